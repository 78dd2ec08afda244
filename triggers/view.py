"""What the templates know of a trigger or a procedure; everything quoted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..database.server import Server
from .account import Account
from .capture import Capture
from .cascade import Cascade, Restriction
from .column import ColumnType
from .emit import PROCEDURE, Emit
from .expression import Expression
from .foreign_key import ForeignKey
from .sql import Sql, account, ident, literal, qualified
from .table import Column
from .trigger import Mark, TriggerName

__all__ = [
    "CascadeView",
    "EmitView",
    "MarkView",
    "Member",
    "TriggerView",
    "column_of",
    "definer",
]


@dataclass(frozen=True)
class MarkView:
    """A mark, as the templates see it; everything quoted."""

    variable: Sql
    token: Sql

    @classmethod
    def of(cls, mark: Mark) -> MarkView:
        return cls(Sql(f"@{mark.name}"), literal(mark.token))


@dataclass(frozen=True)
class Member:
    """One member of a JSON object."""

    name: str
    value: Sql


@dataclass(frozen=True)
class Document:
    """A JSON object of a row, in two local variables ``before_…`` and ``after_…``."""

    name: str
    before: tuple[Member, ...]
    after: tuple[Member, ...]
    #: The same of the row that a SELECT calls `now`.
    now: tuple[Member, ...]

    @property
    def before_name(self) -> Sql:
        return Sql(f"before_{self.name}")

    @property
    def after_name(self) -> Sql:
        return Sql(f"after_{self.name}")


@dataclass(frozen=True)
class EventView:
    """A domain event, as the templates see it; everything quoted."""

    type: Sql
    when: Sql | None
    data: tuple[Member, ...]


@dataclass(frozen=True)
class TriggerView:
    """What the templates know of a trigger; everything quoted."""

    capture: Capture
    operation: str
    server: Server
    name: Sql
    definer: Sql
    #: `` PRECEDES …`` where an older generation is there.
    order: Sql
    #: For the generation before, None if there is none.
    mark: MarkView | None
    #: Left by the generation after.
    next_mark: MarkView

    @property
    def event(self) -> Sql:
        return Sql(self.operation.upper())

    @property
    def table(self) -> Sql:
        return qualified(self.capture.schema, self.capture.table)

    @property
    def events(self) -> Sql:
        return qualified(self.capture.outbox, "events")

    @property
    def salts(self) -> Sql:
        return qualified(self.capture.outbox, "salts")

    @property
    def source(self) -> Sql:
        return literal(self.capture.source)

    def type(self, operation: str) -> Sql:
        return literal(f"{self.capture.table}.{operation}")

    # What is recorded, and when

    @property
    def has_changes(self) -> bool:
        """Whether the changes are recorded as they are."""
        return self.operation in self.capture.operations

    @property
    def when(self) -> Sql | None:
        found = self.capture.when.get(self.operation)
        return found.sql if found else None

    @property
    def domain_events(self) -> tuple[EventView, ...]:
        return tuple(
            EventView(
                literal(event.type),
                event.when.sql if event.when else None,
                tuple(Member(name, self._datum(value)) for name, value in event.data),
            )
            for event in self.capture.events
            if self.operation in event.operations
        )

    def _datum(self, value: Expression) -> Sql:
        reference = value.column
        if reference is None:
            return Sql(f"({value.sql})")
        column = self.capture.type_of(reference)
        return self._shown(column, reference.row)

    # Rows

    def key(self, row: str) -> tuple[Member, ...]:
        return tuple(Member(c.name, self._shown(c, row)) for c in self.capture.key)

    @property
    def key_columns(self) -> tuple[Column, ...]:
        return self.capture.key

    def image(self, row: str) -> tuple[Member, ...]:
        """What an event shows of a row."""
        return tuple(
            Member(column.name, self._shown(column, row))
            for column in self.capture.columns
            if not self._is_omitted(column)
        )

    @property
    def has_before(self) -> bool:
        return self.capture.images == "both"

    @property
    def has_after(self) -> bool:
        return self.capture.images in ("both", "after")

    @property
    def documents(self) -> tuple[Document, ...]:
        """What tells whether an update has changed anything that is recorded."""
        capture = self.capture
        redacted = [c for c in capture.columns if c.name in capture.redactions]
        rows = (self.image("OLD"), self.image("NEW"), self.image("`now`"))
        return (Document("row", *rows), *self._documents("redacted", redacted))

    @property
    def further_documents(self) -> tuple[Document, ...]:
        """What domain events may depend on besides."""
        if not self.domain_events:
            return ()
        return self._documents("excluded", self.capture.excluded)

    @property
    def pairs(self) -> tuple[tuple[Sql, Sql], ...]:
        """Local variables that hold the same of the row before and after an update."""
        documents = (*self.documents, *self.further_documents)
        return (
            (Sql("before_key"), Sql("after_key")),
            *((document.before_name, document.after_name) for document in documents),
        )

    def unchanged(self, documents: Sequence[Document]) -> tuple[Sql, ...]:
        """All true if none of these differs."""
        return tuple(Sql(f"{d.before_name} <=> {d.after_name}") for d in documents)

    @property
    def change_conditions(self) -> tuple[Sql, ...]:
        """Which updates are recorded, where the trigger also has domain events."""
        if not self.domain_events:
            return ()
        conditions = []
        if self.further_documents:
            unchanged = " AND ".join(self.unchanged(self.documents))
            conditions.append(Sql(f"NOT ({unchanged})"))
        if self.when:
            conditions.append(Sql(f"({self.when})") if conditions else self.when)
        return tuple(conditions)

    def _documents(self, name: str, columns: Sequence[Column]) -> tuple[Document, ...]:
        if not columns:
            return ()
        before, after, now = (
            tuple(Member(c.name, self._clear(c, row)) for c in columns)
            for row in ("OLD", "NEW", "`now`")
        )
        return (Document(name, before, after, now),)

    def _is_omitted(self, column: Column) -> bool:
        redaction = self.capture.redactions.get(column.name)
        return redaction is not None and redaction.kind == "omit"

    def _shown(self, column: Column, row: str) -> Sql:
        redaction = self.capture.redactions.get(column.name)
        if redaction is None:
            return self._clear(column, row)
        kind = ColumnType.parse(column.type)
        return redaction.json(kind, column_of(row, column), self.server)

    def _clear(self, column: Column, row: str) -> Sql:
        kind = ColumnType.parse(column.type)
        return kind.json(column_of(row, column), self.server)

    # What comes with an event

    @property
    def needs_salt(self) -> bool:
        return self.capture.needs_salt

    @property
    def has_transaction(self) -> bool:
        return self.capture.transaction

    @property
    def has_db_user(self) -> bool:
        return self.capture.db_user

    @property
    def bypass(self) -> Sql | None:
        token = self.capture.bypass
        return None if token is None else literal(token)

    @property
    def gap(self) -> Sql:
        """The session variable that holds the id of the last gap event."""
        name = TriggerName.of(self.capture.schema, self.capture.table, self.operation)
        return Sql(f"@evtrig_{name.table}_gap")


@dataclass(frozen=True)
class EmitView:
    """What the template knows of the procedure; everything quoted."""

    emit: Emit

    @property
    def procedure(self) -> Sql:
        return qualified(self.emit.outbox, PROCEDURE)

    @property
    def definer(self) -> Sql:
        return definer(self.emit.definer)

    @property
    def events(self) -> Sql:
        return qualified(self.emit.outbox, "events")

    @property
    def source(self) -> Sql:
        return literal(self.emit.source)

    @property
    def has_transaction(self) -> bool:
        return self.emit.transaction

    @property
    def has_db_user(self) -> bool:
        return self.emit.db_user


@dataclass(frozen=True)
class ChildView:
    """What is done to the rows of one foreign key; everything quoted."""

    #: Its name, for a comment.
    key: str
    table: Sql
    columns: tuple[Sql, ...]
    #: A line for each of ``columns``.
    condition: Sql
    #: Columns that keep their values only if an UPDATE names them.
    stamped: tuple[Sql, ...]


@dataclass(frozen=True)
class RestrictionView:
    """What keeps a row from being deleted; everything quoted."""

    table: Sql
    #: Upwards: table, alias and condition.
    joins: tuple[tuple[Sql, Sql, Sql], ...]
    condition: Sql


@dataclass(frozen=True)
class CascadeView:
    """What the template knows of a parent's trigger; everything quoted."""

    cascade: Cascade
    name: Sql

    @property
    def definer(self) -> Sql:
        return definer(self.cascade.definer)

    @property
    def table(self) -> Sql:
        return qualified(self.cascade.schema, self.cascade.table)

    @property
    def outbox(self) -> Sql:
        return literal(qualified(self.cascade.outbox, "events"))

    @property
    def captured(self) -> Sql:
        return literal(", ".join(qualified(*table) for table in self.cascade.captured))

    @property
    def is_switchable(self) -> bool:
        return self.cascade.is_switchable

    @property
    def deletes(self) -> tuple[ChildView, ...]:
        return tuple(self._child(key) for key in self.cascade.deletes)

    @property
    def nulls(self) -> tuple[ChildView, ...]:
        return tuple(self._child(key) for key in self.cascade.nulls)

    @property
    def restrictions(self) -> tuple[RestrictionView, ...]:
        return tuple(self._restriction(r) for r in self.cascade.restrictions)

    def _child(self, key: ForeignKey) -> ChildView:
        stamped = self.cascade.stamped.get(key.child, ())
        return ChildView(
            key=key.name,
            table=qualified(*key.child),
            columns=tuple(map(ident, key.columns)),
            condition=references(key, None, "OLD"),
            stamped=tuple(ident(c) for c in stamped if c not in key.columns),
        )

    def _restriction(self, restriction: Restriction) -> RestrictionView:
        joins, below, key = [], "`kept`", restriction.key
        for number, parent in enumerate(reversed(restriction.through), 1):
            alias = f"`parent_{number}`"
            condition = references(key, below, alias)
            joins.append((qualified(*parent.child), Sql(alias), condition))
            below, key = alias, parent
        return RestrictionView(
            qualified(*restriction.key.child),
            tuple(joins),
            references(key, below, "OLD"),
        )


def references(key: ForeignKey, child: str | None, parent: str) -> Sql:
    """That a child's row refers to a parent's, each called so; a line a column."""
    prefix = f"{child}." if child else ""
    pairs = zip(key.columns, key.parent_columns, strict=True)
    return Sql(
        "\nAND ".join(f"{prefix}{ident(own)} = {parent}.{ident(o)}" for own, o in pairs)
    )


def column_of(row: str, column: Column) -> Sql:
    return Sql(f"{row}.{ident(column.name)}")


def definer(owner: Account | None) -> Sql:
    return account(owner.user, owner.host) if owner else Sql("CURRENT_USER")
