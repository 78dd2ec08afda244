"""A first spec, written from the tables that are there."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

import jinja2
import yaml

from ..database.server import Server
from ..errors import EvtrigError, nearest
from .column import ColumnType, UnknownType
from .spec import DEFAULT_DEFINER, DEFAULT_OUTBOX
from .table import Table

__all__ = ["choose", "draft"]

#: Plain YAML that no version of YAML takes for anything but text.
PLAIN = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_ ()',.$-]*[A-Za-z0-9_)'$])?")
#: What YAML takes for the end of a line, or does not take at all (YAML 1.1, 5.1).
UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


@dataclass(frozen=True)
class Entry:
    """One table as the template writes it, every text quoted for YAML."""

    name: str
    key: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    #: Why the table is written as a comment; empty if it is not.
    reason: str

    @property
    def lead(self) -> str:
        return "  # " if self.reason else "  "


def choose(tables: Sequence[Table], names: Sequence[str], schema: str) -> list[Table]:
    """The tables called so, or every one that is not a view.

    Raises EvtrigError for a name that is not there, and for a view.
    """
    if not tables:
        raise EvtrigError(
            f"the schema {schema} has no tables that this account can see",
            hint="Check the schema at the end of the DSN and the account's privileges.",
        )
    if not names:
        return [table for table in tables if not table.is_view]
    by_name = {table.name: table for table in tables}
    for name in names:
        if name not in by_name:
            near = nearest(name, by_name)
            raise EvtrigError(
                f"there is no table {name} in {schema}",
                hint=f"Did you mean {near}?"
                if near
                else f"There are {', '.join(sorted(by_name)[:10])}.",
            )
        if by_name[name].is_view:
            raise EvtrigError(
                f"{schema}.{name} is a view, and a view has no triggers",
                hint="Name the tables it selects from instead.",
            )
    return [by_name[name] for name in dict.fromkeys(names)]


def draft(tables: Sequence[Table], schema: str, server: Server) -> str:
    """The text of a spec that captures these tables, every default commented.

    A table that cannot be captured as it is stands there as a comment, with the
    reason.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("evtrig"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - this is YAML; scalar() quotes
    )
    entries = [entry(table) for table in tables]
    return environment.get_template("evtrig.yml.j2").render(
        schema=scalar(schema),
        server=server.family,
        outbox=DEFAULT_OUTBOX,
        definer=DEFAULT_DEFINER,
        tables=entries,
        # Nothing but comments would be no mapping.
        all_commented=all(entry.reason for entry in entries),
    )


def entry(table: Table) -> Entry:
    return Entry(
        name=scalar(table.name),
        key=tuple(scalar(name) for name in table.primary_key),
        columns=tuple(
            (scalar(c.name), scalar(c.type, in_list=False)) for c in table.columns
        ),
        # In a comment, which a line break in a name would end.
        reason=" ".join(reason(table).split()),
    )


def reason(table: Table) -> str:
    """Why a table cannot be captured as it is; empty if it can."""
    if (table.engine or "").lower() != "innodb":
        return f"{table.name} uses the engine {table.engine}: no rollback, no events."
    for column in table.columns:
        try:
            ColumnType.parse(column.type)
        except UnknownType as error:
            return f"{table.name}: {error}"
    if not table.primary_key:
        return f"{table.name} has no primary key: say what identifies a row."
    return ""


def scalar(text: str, *, in_list: bool = True) -> str:
    """Text as a YAML scalar, quoted only where it has to be.

    ``in_list`` is for text that may stand in ``[…]``, where commas divide.
    """
    document, value = (f"[{text}]", [text]) if in_list else (text, text)
    # PyYAML knows its own surprises: no, on, null, …
    if PLAIN.fullmatch(text) and yaml.safe_load(document) == value:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)
