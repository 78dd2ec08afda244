"""What is captured of one table: its spec, completed from the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..database.server import Server
from ..errors import PreflightError, SpecError, nearest
from .column import ColumnType, UnknownType
from .spec import Account, Spec, TableSpec
from .sql import Sql, qualified
from .table import Column, Table

__all__ = ["Capture", "notices", "resolve"]


@dataclass(frozen=True)
class Capture:
    """Everything the triggers of one table depend on."""

    schema: str
    table: str
    #: Columns that identify a row.
    key: tuple[Column, ...]
    #: Columns of the before and after images, in the order of the table.
    columns: tuple[Column, ...]
    operations: tuple[str, ...]
    #: ``both``, ``after`` or ``key``.
    images: str
    #: Schema of the events table.
    outbox: str
    #: Owner of the triggers; None for whoever creates them.
    definer: Account | None

    @property
    def source(self) -> str:
        return f"{self.schema}.{self.table}"


Problem = tuple[str, str]


def resolve(
    spec: Spec, tables: Sequence[Table] | None, server: Server
) -> tuple[Capture, ...]:
    """Complete every table of the spec; pure.

    ``tables`` is what the database has, or None to go by the spec alone: then
    every table needs ``columns:`` and ``key:``, or SpecError is raised. With
    ``tables``, whatever would keep a trigger from working is collected and raised
    as one PreflightError.
    """
    _check_types(spec)
    if tables is None:
        return tuple(_from_spec(spec, table) for table in spec.tables)
    found = {(table.schema, table.name): table for table in tables}
    problems: list[Problem] = []
    captures = []
    for table_spec in spec.tables:
        table = found.get((table_spec.schema, table_spec.name))
        if table is None:
            problems.append(_missing(table_spec, tables))
            continue
        table_problems = list(_unfit(table_spec, table, server))
        problems += table_problems
        if not table_problems:
            captures.append(_complete(spec, table_spec, table))
    if problems:
        raise PreflightError(tuple(problems))
    return tuple(captures)


def notices(spec: Spec, tables: Sequence[Table]) -> list[str]:
    """Columns of the database that the spec does not know, so no event has them."""
    found = {(table.schema, table.name): table for table in tables}
    lines = []
    for table_spec in spec.tables:
        table = found.get((table_spec.schema, table_spec.name))
        if table is None or table_spec.columns is None:
            continue
        pinned = {column.name for column in table_spec.columns}
        for column in table.columns:
            if column.name not in pinned and column.name not in table_spec.exclude:
                lines.append(
                    f"{table_spec.place}: {table.schema}.{table.name} also has"
                    f" {column.name} {column.type}, which no event will have"
                )
    return lines


def _check_types(spec: Spec) -> None:
    for table in spec.tables:
        for column in table.columns or ():
            try:
                ColumnType.parse(column.type)
            except UnknownType as error:
                place = table.place_of("columns", column.name)
                raise SpecError(
                    f"column {column.name} of table {table.name}: {error}",
                    path=place.path,
                    line=place.line,
                    column=place.column,
                    hint="Write the type as SHOW CREATE TABLE does,"
                    " or let evtrig init write it.",
                ) from None


def _from_spec(spec: Spec, table: TableSpec) -> Capture:
    for name, value in (("columns", table.columns), ("key", table.key)):
        if value is None:
            raise SpecError(
                f"table {table.name} has no `{name}:`, so its SQL depends on the"
                " database",
                path=table.place.path,
                line=table.place.line,
                column=table.place.column,
                hint=f"Add `{name}:` (evtrig init writes it), or give --dsn.",
            )
    assert table.columns is not None
    return _capture(spec, table, table.columns, table.key or ())


def _complete(spec: Spec, table_spec: TableSpec, table: Table) -> Capture:
    columns = table_spec.columns or table.columns
    return _capture(spec, table_spec, columns, table_spec.key or table.primary_key)


def _capture(
    spec: Spec, table: TableSpec, columns: tuple[Column, ...], key: tuple[str, ...]
) -> Capture:
    by_name = {column.name: column for column in columns}
    return Capture(
        schema=table.schema,
        table=table.name,
        key=tuple(by_name[name] for name in key),
        columns=tuple(c for c in columns if c.name not in table.exclude),
        operations=table.operations,
        images=table.images,
        outbox=spec.outbox,
        definer=spec.definer,
    )


def _missing(spec: TableSpec, tables: Sequence[Table]) -> Problem:
    schema = [table.name for table in tables if table.schema == spec.schema]
    hint = f"Remove it from {spec.place}, or create it first."
    if not schema:
        hint = f"Check `schema:` in {spec.place.path}: {spec.schema} has no tables"
        hint += " that this account can see."
    near = nearest(spec.name, schema)
    if near:
        hint = f"Did you mean {near}? ({spec.place})"
    return f"there is no table {spec.schema}.{spec.name}", hint


def _unfit(spec: TableSpec, table: Table, server: Server) -> list[Problem]:
    """Why this table cannot be captured as the spec says; empty if it can."""
    source = f"{table.schema}.{table.name}"
    at = spec.place
    if table.is_view:
        return [(
            f"{source} is a view, and a view has no triggers",
            f"Capture the tables it selects from instead ({at}).",
        )]  # fmt: skip
    if (table.engine or "").lower() != "innodb":
        return [(
            f"{source} uses the engine {table.engine}, which cannot roll back:"
            " an event and its change could part",
            f"ALTER TABLE {source} ENGINE = InnoDB, or remove it ({at}).",
        )]  # fmt: skip
    if not table.columns:
        return [(
            f"this account may not see the columns of {source}: it lacks the privilege"
            " SELECT",
            f"GRANT SELECT ON {qualified(table.schema, table.name)} TO it.",
        )]  # fmt: skip
    key = spec.key or table.primary_key
    if not key:
        return [(
            f"{source} has no primary key",
            f"Name the columns that identify a row in `key:` ({at}).",
        )]  # fmt: skip
    problems: list[Problem] = []
    live = {column.name: column for column in table.columns}
    pinned = {column.name for column in spec.columns or table.columns}
    for where, names in (
        ("columns", [column.name for column in spec.columns or ()]),
        ("key", list(spec.key or ())),
        ("exclude", list(spec.exclude)),
    ):
        for column in names:
            if column not in live:
                near = nearest(column, live)
                mend = f"Did you mean {near}?" if near else "Remove it"
                problems.append((
                    f"{source} has no column {column}, which `{where}:` names",
                    f"{mend} ({spec.place_of(where, column)})",
                ))  # fmt: skip
    for column in key:
        if column not in live:
            continue
        if column not in pinned:
            problems.append((
                f"`columns:` of {source} leaves out {column}, a column of its key",
                f"Add it, or name another `key:` ({at}).",
            ))  # fmt: skip
        elif column in spec.exclude:
            problems.append((
                f"`exclude:` of {source} names {column}, a column of its key",
                f"An event needs its key: remove it from `exclude:` ({at}).",
            ))  # fmt: skip
    problems += _changed_types(spec, live, source, server)
    return problems


def _changed_types(
    spec: TableSpec, live: dict[str, Column], source: str, server: Server
) -> list[Problem]:
    problems: list[Problem] = []
    for column in spec.columns or live.values():
        if column.name not in live or column.name in spec.exclude:
            continue
        actual = live[column.name].type
        try:
            wanted = ColumnType.parse(actual).json(Sql("c"), server)
        except UnknownType as error:
            problems.append((
                f"column {column.name} of {source}: {error}",
                f"Put it under `exclude:` ({spec.place}).",
            ))  # fmt: skip
            continue
        # Types may be written differently (int(11) and int) and still be one.
        if ColumnType.parse(column.type).json(Sql("c"), server) != wanted:
            problems.append((
                f"column {column.name} of {source} is {actual}, but `columns:` says"
                f" {column.type}",
                f"Write {actual} ({spec.place_of('columns', column.name)}).",
            ))  # fmt: skip
    return problems
