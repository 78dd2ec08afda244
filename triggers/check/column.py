"""Columns and keys: those of the spec, of the table, and those that triggers name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...database.connection import Connection
from ...database.server import Server
from ...errors import nearest
from ..column import ColumnType, UnknownType
from ..foreign_key import Name
from ..installed import InstalledTrigger
from ..spec import Spec
from ..sql import Sql, ident, normalize, qualified
from ..table import Column, Table
from ..table_spec import TableSpec
from .finding import Finding, Mend, edit, install, sql

__all__ = ["EXPLAINING", "column_findings", "fitting", "key_findings", "unique_keys"]

#: Findings that say why the triggers of a table differ from the spec.
EXPLAINING = frozenset(
    {"column-lost", "column-unknown", "column-type", "key-changed", "key-missing"}
)

UNIQUE = """\
SELECT table_name, index_name, column_name, nullable
  FROM information_schema.statistics
 WHERE table_schema = %s AND non_unique = 0
 ORDER BY table_name, index_name, seq_in_index
"""
NAMED = re.compile(r"\b(?:NEW|OLD)\.`((?:[^`]|``)*)`")
LITERAL = re.compile(r"'(?:[^'\\]|''|\\.)*'", re.DOTALL)
#: How every trigger writes down the key, one member a line.
KEY = re.compile(r"(?:_key|`key`) *= JSON_OBJECT\(\n(.*?)\n *\)[,;]", re.DOTALL)
MEMBER = re.compile(r"^ *(?:, )? *'((?:[^'\\]|''|\\.)*)',", re.MULTILINE)


@dataclass(frozen=True)
class UniqueKey:
    """A unique index whose columns are never NULL; the primary key is one."""

    columns: frozenset[str]


def unique_keys(
    connection: Connection, schemas: Sequence[str]
) -> Mapping[Name, tuple[UniqueKey, ...]]:
    """By table; one query a schema."""
    parts: dict[tuple[str, str, str], list[str | None]] = {}
    for schema in schemas:
        for table, index, column, nullable in connection.rows(UNIQUE, (schema,)):
            # Of an expression there is no column, and it may be NULL.
            part = None if nullable == "YES" else column
            parts.setdefault((schema, table, index), []).append(part)
    found: dict[Name, tuple[UniqueKey, ...]] = {}
    for (schema, table, _), columns in parts.items():
        if None not in columns:
            key = UniqueKey(frozenset(c.lower() for c in columns if c))
            found[schema, table] = (*found.get((schema, table), ()), key)
    return found


def fitting(spec: TableSpec, table: Table, server: Server) -> TableSpec:
    """The spec without the columns that the table lacks, and with the types it has."""
    live = {column.name: column for column in table.columns}
    columns = spec.columns
    if columns is not None:
        columns = tuple(
            live[c.name] if is_other_type(c, live[c.name], server) else c
            for c in columns
            if c.name in live
        )
    key = spec.key
    if key is not None and not live.keys() >= set(key):
        key = None
    if not (key or table.primary_key):
        # Any column will do: key_findings says that there is none.
        key = tuple(name for name in live if may_be_key(spec, name))[:1] or None
    return replace(
        spec,
        columns=columns or None,
        key=key,
        exclude=tuple(name for name in spec.exclude if name in live),
        redact={n: redaction for n, redaction in spec.redact.items() if n in live},
    )


def may_be_key(spec: TableSpec, name: str) -> bool:
    redaction = spec.redact.get(name)
    return name not in spec.exclude and (not redaction or redaction.kind == "hash")


def column_findings(
    spec: Spec,
    table_spec: TableSpec,
    table: Table,
    triggers: Sequence[InstalledTrigger],
    server: Server,
) -> Iterator[Finding]:
    """Columns that are gone, that are new, or that have become something else."""
    source = table_spec.source
    live = {column.name: column for column in table.columns}
    lost = named_and_gone(triggers, live)
    gone = [(where, n) for where, n in names_of(table_spec) if n not in live]
    changes = [removal(table_spec, where, name, live) for where, name in gone]
    if lost:
        also = [f"{where}: {n}" for where, n in gone if n not in lost]
        more = f"; the spec also names {', '.join(also)}" if also else ""
        yield Finding(
            "column-lost",
            source,
            f"has no column {', '.join(lost)} any more, but its triggers name it{more}",
            f"Every write to {source} that fires them fails now (1054).",
            (*edit(*changes), *install(spec)),
        )
    elif gone:
        wrong = ", ".join(f"{name} (`{where}:`)" for where, name in gone)
        yield Finding(
            "column-unknown",
            source,
            f"has no column that the spec names: {wrong}",
            "evtrig install refuses to run.",
            (*edit(*changes), *install(spec)),
        )
    yield from changed_types(spec, table_spec, live, server)
    yield from new_columns(spec, table_spec, table)


def removal(spec: TableSpec, where: str, name: str, live: Mapping[str, Column]) -> str:
    near = nearest(name, live)
    mend = f"remove {name} from `{where}:`"
    if near:
        mend += f", or write {near} if that is what it is called now"
    return f"{spec.place_of(where, name)}: {mend}"


def names_of(spec: TableSpec) -> list[tuple[str, str]]:
    """Every column that the spec names outside of expressions, with the key it is
    under; none twice."""
    found: dict[tuple[str, str], None] = {}
    for where, names in (
        ("columns", [column.name for column in spec.columns or ()]),
        ("key", spec.key or ()),
        ("exclude", spec.exclude),
        ("redact", spec.redact),
    ):
        for name in names:
            found[where, name] = None
    return list(found)


def named_and_gone(
    triggers: Sequence[InstalledTrigger], live: Collection[str]
) -> list[str]:
    """The columns that triggers name and the table does not have, in their order."""
    there = {name.lower() for name in live}
    gone: dict[str, None] = {}
    for trigger in triggers:
        if set(map(str.lower, columns_in(trigger.body))) <= there:
            continue
        # Once more without what only looks like a name.
        for name in columns_in(LITERAL.sub("''", normalize(trigger.body))):
            if name.lower() not in there:
                gone[name] = None
    return list(gone)


def columns_in(body: str) -> list[str]:
    return [name.replace("``", "`") for name in NAMED.findall(body)]


def changed_types(
    spec: Spec, table_spec: TableSpec, live: Mapping[str, Column], server: Server
) -> Iterator[Finding]:
    changed = [
        (column, live[column.name])
        for column in table_spec.columns or ()
        if column.name in live
        and column.name not in table_spec.exclude
        and is_other_type(column, live[column.name], server)
    ]
    if changed:
        yield Finding(
            "column-type",
            table_spec.source,
            "; ".join(
                f"{actual.name} is {actual.type}, but `columns:` says {wanted.type}"
                for wanted, actual in changed
            ),
            "Its triggers write it as what it was: events may be wrong, and writes may"
            " fail.",
            (
                *edit(
                    *(
                        f"{table_spec.place_of('columns', actual.name)}: write"
                        f" {actual.type}"
                        for _, actual in changed
                    )
                ),
                *install(spec),
            ),
        )


def is_other_type(wanted: Column, actual: Column, server: Server) -> bool:
    """Whether a trigger would write it in another way; int(11) and int are one type."""
    try:
        types = [ColumnType.parse(column.type) for column in (wanted, actual)]
    except UnknownType:
        return False
    one, other = (kind.json(Sql("c"), server) for kind in types)
    return one != other


def new_columns(spec: Spec, table_spec: TableSpec, table: Table) -> Iterator[Finding]:
    if table_spec.columns is None:
        return
    pinned = {column.name for column in table_spec.columns}
    new = [
        column
        for column in table.columns
        if column.name not in pinned and column.name not in table_spec.exclude
    ]
    if not new:
        return
    place = table_spec.place_of("columns")
    mends: tuple[Mend, ...] = edit(
        *(
            f"{place}: add `{column.name}: {column.type}` to `columns:`, and"
            f" {column.name} to `exclude:` too if no event shall have it"
            for column in new
        )
    )
    yield Finding(
        "column-not-captured",
        table_spec.source,
        f"also has {', '.join(f'{c.name} {c.type}' for c in new)}, which no event has",
        "What it holds is not published.",
        (*mends, *install(spec)),
    )


def key_findings(
    spec: Spec,
    table_spec: TableSpec,
    table: Table,
    triggers: Sequence[InstalledTrigger],
    unique: Sequence[UniqueKey],
) -> Iterator[Finding]:
    """Whether the key still says which row it is."""
    source = table_spec.source
    live = {column.name.lower() for column in table.columns}
    if table_spec.key is None:
        yield from derived_key(spec, table_spec, table, triggers)
        return
    key = frozenset(name.lower() for name in table_spec.key)
    if not key <= live or any(index.columns <= key for index in unique):
        return
    columns = ", ".join(ident(name) for name in table_spec.key)
    yield Finding(
        "key-not-unique",
        source,
        f"no unique index without NULL is within the key ({', '.join(table_spec.key)})",
        "Different rows may have one key, and consumers take them for one.",
        sql(f"ALTER TABLE {at(table_spec)} ADD UNIQUE INDEX ({columns})")
        if not unique
        else edit(f"{table_spec.place_of('key')}: write the columns of a unique index"),
    )


def derived_key(
    spec: Spec,
    table_spec: TableSpec,
    table: Table,
    triggers: Sequence[InstalledTrigger],
) -> Iterator[Finding]:
    recorded = recorded_key(triggers)
    now = table.primary_key
    if not now:
        mend: tuple[Mend, ...] = edit(
            f"{table_spec.place}: name the columns that identify a row in `key:`"
        )
        if recorded:
            columns = ", ".join(map(ident, recorded))
            mend = sql(f"ALTER TABLE {at(table_spec)} ADD PRIMARY KEY ({columns})")
        yield Finding(
            "key-missing",
            table_spec.source,
            "has no primary key, and the spec no `key:`",
            "evtrig install refuses to run, and different rows may have one key.",
            mend,
        )
    elif recorded and [c.lower() for c in recorded] != [c.lower() for c in now]:
        yield Finding(
            "key-changed",
            table_spec.source,
            f"its primary key is ({', '.join(now)}) now, but events have"
            f" ({', '.join(recorded)})",
            "Different rows may have one key, and consumers take them for one.",
            install(spec),
        )


def recorded_key(triggers: Sequence[InstalledTrigger]) -> tuple[str, ...]:
    """The columns of the key that the newest trigger writes; empty if it does not
    show."""
    for trigger in sorted(triggers, key=lambda t: -t.name.generation):
        if match := KEY.search(trigger.body):
            names = MEMBER.findall(match[1])
            return tuple(n.replace("''", "'").replace("\\\\", "\\") for n in names)
    return ()


def at(spec: TableSpec) -> str:
    return qualified(spec.schema, spec.name)
