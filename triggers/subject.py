"""The captured tables that a migration could concern, with their triggers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..database.connection import Connection
from ..database.server import Server
from ..errors import PreflightError
from .actor import Actor
from .capture import Capture, Problem, resolve
from .install import cascades_of
from .installed import Installed, InstalledTrigger, inspect
from .privilege import Privileges
from .render import default_mark, render_cascade, render_trigger
from .scratch_name import Name
from .spec import Spec
from .sql import Sql, qualified
from .table import Table
from .table_spec import TableSpec
from .trigger import CASCADE, OPERATIONS, TriggerName

__all__ = ["Subject", "fitting", "subjects"]

#: What the body of each trigger begins with.
LABELS = {CASCADE: "cascades: BEGIN"}
LABEL = "capture: BEGIN"


@dataclass(frozen=True)
class Subject:
    """A captured table, or the parent of one, as it is before the migration."""

    source: Name
    #: None: it has triggers and is not in the spec.
    spec: TableSpec | None
    actors: tuple[Actor, ...]
    #: The columns that events have, in lower case.
    recorded: frozenset[str]
    #: Whether the triggers are there, and not only what install would create.
    is_installed: bool
    #: Who owns the triggers, as ``user@host``; None for whoever installs them, and if
    #: nothing is known of its privileges.
    owner: str | None = None
    #: The owner's; None if they are not known.
    privileges: Privileges | None = None

    @property
    def reads(self) -> frozenset[str]:
        """The columns that its triggers name, in lower case."""
        return frozenset[str]().union(*(actor.reads for actor in self.actors))

    @property
    def captures(self) -> bool:
        """Whether it is captured itself, and not only the parent of such a table."""
        operations = {actor.operation for actor in self.actors}
        return self.spec is not None or bool(operations & set(OPERATIONS))

    def owner_lacks(self, table: Name) -> tuple[str, ...]:
        """What the owner needs to fire the triggers under another name of the table."""
        if self.owner is None:
            return ()
        # What install grants is on the one table.
        own = self.privileges or Privileges()
        return tuple(p for p in ("TRIGGER", "SELECT") if not own.allow(p, *table))

    def __str__(self) -> str:
        return ".".join(self.source)


def fitting(
    spec: Spec, tables: Sequence[Table], server: Server
) -> tuple[tuple[Capture, ...], Mapping[Name, tuple[Problem, ...]]]:
    """The tables of the spec that can be captured so, and why the others cannot."""
    captures: list[Capture] = []
    problems: dict[Name, tuple[Problem, ...]] = {}
    for table in spec.tables:
        try:
            captures += resolve(replace(spec, tables=(table,)), tables, server)
        except PreflightError as error:
            problems[table.schema, table.name] = error.problems
    return tuple(captures), problems


def subjects(
    connection: Connection,
    spec: Spec,
    tables: Sequence[Table],
    server: Server,
    concerned: Collection[Name],
) -> tuple[Subject, ...]:
    """The captured tables among ``concerned``, and parents whose deletes are recorded.

    Their triggers are those that are installed; where there are none, those that
    install would create.
    """
    captures, _ = fitting(spec, tables, server)
    installed = inspect(connection, captures, outbox=spec.outbox, definer=spec.definer)
    actors: dict[Name, list[Actor]] = {}
    for trigger in installed.triggers:
        source = (trigger.schema, trigger.table)
        if source in concerned:
            body = _body(connection, trigger)
            actors.setdefault(source, []).append(Actor(trigger.name, source, body))
    there = set(actors)
    for actor in _wanted(connection, spec, captures, server, installed):
        if actor.source in concerned:
            actors.setdefault(actor.source, []).append(actor)
    by_source = {(table.schema, table.name): table for table in spec.tables}
    recorded = {(c.schema, c.table): c for c in captures}
    owner = str(spec.definer) if spec.definer else None
    if installed.is_definer_hidden:
        # Whose privileges are not known may have what it needs.
        owner = None
    found = []
    for source in dict.fromkeys((*by_source, *actors)):
        own = tuple(sorted(actors.get(source, ()), key=lambda a: a.name.generation))
        if source not in concerned and not own:
            continue
        reads = frozenset[str]().union(*(actor.reads for actor in own))
        if capture := recorded.get(source):
            excluded = {column.name.lower() for column in capture.excluded}
            reads = (reads - excluded) | {c.name.lower() for c in capture.columns}
        found.append(
            Subject(
                source=source,
                spec=by_source.get(source),
                actors=own,
                recorded=reads,
                is_installed=source in there,
                owner=owner,
                privileges=installed.definer_privileges,
            )
        )
    return tuple(found)


def _body(connection: Connection, trigger: InstalledTrigger) -> str:
    """As it was sent: information_schema does not always have it so."""
    create = f"SHOW CREATE TRIGGER {qualified(trigger.schema, str(trigger.name))}"
    row = connection.row(create)
    label = LABELS.get(trigger.name.operation, LABEL)
    text = str(row[2]) if row else ""
    return label + text.partition(label)[2] if label in text else trigger.body


def _wanted(
    connection: Connection,
    spec: Spec,
    captures: Sequence[Capture],
    server: Server,
    installed: Installed,
) -> Iterator[Actor]:
    """What install would create on tables that have nothing."""
    there = {
        (t.name.operation == CASCADE, t.schema, t.table) for t in installed.triggers
    }
    for capture in captures:
        if (False, capture.schema, capture.table) in there:
            continue
        for operation in capture.triggers:
            name = TriggerName.of(capture.schema, capture.table, operation)
            sql = render_trigger(capture, name, server, expects=default_mark(name))
            yield _actor(name, (capture.schema, capture.table), sql)
    try:
        cascades, _ = cascades_of(connection, spec, captures, server)
    except PreflightError:
        # Install refuses it, and check says so.
        return
    for cascade in cascades:
        if (True, cascade.schema, cascade.table) not in there:
            name = TriggerName.of(cascade.schema, cascade.table, CASCADE)
            sql = render_cascade(cascade, name, server)
            yield _actor(name, (cascade.schema, cascade.table), sql)


def _actor(name: TriggerName, source: Name, sql: Sql) -> Actor:
    label = LABELS.get(name.operation, LABEL)
    return Actor(name, source, label + sql.partition(label)[2])
