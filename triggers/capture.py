"""What is captured of one table: its spec, completed from the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..database.server import Server
from ..errors import PreflightError, SpecError, nearest
from .account import Account
from .column import ColumnType, UnknownType
from .domain_event import DomainEvent
from .expression import Expression, Reference
from .redaction import Redaction
from .spec import Spec
from .sql import Sql, qualified
from .table import Column, Table
from .table_spec import TableSpec
from .trigger import OPERATIONS

__all__ = ["Capture", "notices", "resolve"]


@dataclass(frozen=True)
class Capture:
    """Everything the triggers of one table depend on."""

    schema: str
    table: str
    #: Columns that identify a row.
    key: tuple[Column, ...]
    #: Columns whose changes are recorded, in the order of the table.
    columns: tuple[Column, ...]
    #: Those whose changes are recorded as they are, apart from domain events.
    operations: tuple[str, ...]
    #: ``both``, ``after`` or ``key``.
    images: str
    #: Schema of the events table.
    outbox: str
    #: Owner of the triggers; None for whoever creates them.
    definer: Account | None
    #: By name of a column, how an event shows it.
    redactions: Mapping[str, Redaction] = field(default_factory=dict, hash=False)
    #: Columns that no event shows but a domain event may depend on.
    excluded: tuple[Column, ...] = ()
    #: By operation, which changes are recorded.
    when: Mapping[str, Expression] = field(default_factory=dict, hash=False)
    events: tuple[DomainEvent, ...] = ()
    #: Whether events carry the id of their transaction.
    transaction: bool = False
    #: Whether the context says which account wrote.
    db_user: bool = False
    #: What @evtrig_off has to be to record nothing.
    bypass: str | None = None

    @property
    def source(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def triggers(self) -> tuple[str, ...]:
        """The operations that need a trigger."""
        wanted = {*self.operations, *(o for e in self.events for o in e.operations)}
        return tuple(operation for operation in OPERATIONS if operation in wanted)

    @property
    def needs_salt(self) -> bool:
        return any(r.kind == "hash" for r in self.redactions.values())

    @property
    def needs_transaction(self) -> bool:
        """Whether a trigger asks for the id of the transaction."""
        return self.transaction or self.bypass is not None

    def type_of(self, reference: Reference) -> Column:
        """The column that an expression refers to."""
        name = reference.column.lower()
        columns = (*self.columns, *self.excluded)
        return next(column for column in columns if column.name.lower() == name)

    def expressions(self) -> list[Expression]:
        """Every expression of the spec that its triggers hold."""
        found = list(self.when.values())
        for event in self.events:
            found += [event.when] if event.when else []
            found += [value for _, value in event.data]
        return found


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
    for table_spec in spec.tables:
        _check_types(table_spec)
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


def _check_types(table: TableSpec) -> None:
    """Raise SpecError for a type that is unknown, or does not go with the rest."""
    for column in table.columns or ():
        try:
            type_ = ColumnType.parse(column.type)
        except UnknownType as error:
            raise table.place_of("columns", column.name).error(
                f"column {column.name} of table {table.name}: {error}",
                hint="Write the type as SHOW CREATE TABLE does,"
                " or let evtrig init write it.",
            ) from None
        if misfit := _misfit(table, column.name, type_, table.key or ()):
            problem, hint = misfit
            raise table.place_of("redact", column.name).error(problem, hint=hint)


def _misfit(
    table: TableSpec, column: str, type_: ColumnType, key: Sequence[str]
) -> Problem | None:
    """Why a column cannot be redacted as the spec says; None if it can."""
    redaction = table.redact.get(column)
    if redaction is None:
        return None
    what = f"`redact` of {table.source} cannot be done to {column}"
    if column in key and redaction.kind != "hash":
        return (
            f"{what}: it is in the key, by which events are put in order",
            "A column of the key can be left as it is or replaced by its `hash`.",
        )
    if problem := redaction.misfit(type_):
        return f"{what}: {problem}", "Use `hash`, `null` or `omit`."
    return None


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
        operations=table.operations if table.change_rows else (),
        images=table.images,
        outbox=spec.outbox,
        definer=spec.definer,
        redactions=table.redact,
        excluded=tuple(c for c in columns if c.name in table.exclude and _is_known(c)),
        when=table.when,
        events=table.events,
        transaction=table.transaction,
        db_user=table.db_user,
        bypass=table.bypass,
    )


def _is_known(column: Column) -> bool:
    try:
        ColumnType.parse(column.type)
    except UnknownType:
        return False
    return True


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
        ("redact", list(spec.redact)),
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
    for what, expression in (*spec.conditions(), *spec.values()):
        if error := expression.unknown_column(live, what):
            problems.append((error.message, f"{source} has {', '.join(live)}."))
    for name in spec.redact:
        if name in live and _is_known(live[name]):
            if misfit := _misfit(spec, name, ColumnType.parse(live[name].type), key):
                problem, hint = misfit
                problems.append((f"{spec.place_of('redact', name)}: {problem}", hint))
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
