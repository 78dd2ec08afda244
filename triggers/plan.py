"""What has to change in a database so that it captures what the spec says.

Pure: from what is wanted and what is installed to a list of steps. `generate`
prints the plan for an empty database, `install` carries out the plan for a real
one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from ..database.server import Server
from .account import Account
from .capture import Capture
from .cascade import Cascade
from .emit import PROCEDURE, Emit
from .installed import (
    CHARACTER_SET,
    COLLATION,
    RELAY,
    SALT,
    SQL_MODE,
    Installed,
    InstalledTrigger,
)
from .privilege import Privileges
from .render import (
    default_token,
    render_cascade,
    render_definer,
    render_emit,
    render_events,
    render_polling_state,
    render_salts,
    render_trigger,
)
from .sql import Sql, account, ident, literal, normalize, qualified
from .trigger import CASCADE, OPERATIONS, TriggerName

__all__ = ["Plan", "Step", "further_reads", "outbox_removal", "plan", "removal"]

#: With the columns that evtrig uses.
OUTBOX_TABLES = {
    "events": frozenset(
        {"id", "uid", "type", "source", "operation", "captured_at"}
        | {"key", "before", "after", "context", "transaction"}
    ),
    "event_polling_state": frozenset(
        {"name", "claim", "holder", "holder_id", "holder_connection", "expires_at"}
    ),
}

#: Only there if the spec asks for what needs it.
SALTS = {"salts": frozenset({"name", "value"})}

Kind = Literal["outbox", "account", "grant", "trigger", "procedure", "drop"]

#: What the id of a transaction is read from on MySQL.
TRANSACTIONS = ("threads", "events_transactions_current")


@dataclass(frozen=True)
class Step:
    """One statement, and what it is for."""

    kind: Kind
    #: Such as ``create trigger shop.evtrig_…``.
    title: str
    sql: Sql
    #: The captured table it belongs to, as ``schema.table``.
    source: str | None = None
    #: Takes the step back if a later step of the same table fails.
    undo: Sql | None = None

    @property
    def is_compound(self) -> bool:
        """Whether the statement holds semicolons."""
        return self.kind in ("trigger", "procedure")


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which they are safe."""

    steps: tuple[Step, ...]
    #: Worth knowing, but nothing that install changes.
    notices: tuple[str, ...] = ()


def plan(
    captures: Sequence[Capture],
    installed: Installed,
    server: Server,
    *,
    outbox: str,
    definer: Account | None,
    emit: Emit | None = None,
    cascades: Sequence[Cascade] = (),
    new_token: Callable[[TriggerName], str] = default_token,
) -> Plan:
    """The steps from what is installed to what is to be captured."""
    steps = [
        *_outbox_steps(captures, installed, server, outbox),
        *_definer_steps(captures, installed, server, outbox, definer, emit, cascades),
        *_emit_steps(emit, installed, server, outbox),
    ]
    for capture in captures:
        steps += _trigger_steps(capture, installed, server, new_token)
    # Last: by then there is something that records what they do.
    steps += _cascade_steps(cascades, captures, installed, server)
    return Plan(tuple(steps), tuple(_notices(captures, installed)))


def removal(installed: Installed, outbox: str, *, keep_emit: bool = False) -> Plan:
    """The steps that end all capture; the outbox and its events stay.

    The oldest generation goes first: a newer one is whole without it. ``keep_emit``
    leaves the procedure by which the application writes events itself.
    """
    triggers = sorted(installed.triggers, key=lambda t: t.name.generation)
    steps = [_drop(trigger) for trigger in triggers]
    if installed.emit and not keep_emit:
        steps.append(_drop_emit(outbox))
    return Plan(tuple(steps))


def outbox_removal(installed: Installed, outbox: str) -> Plan:
    """The steps that drop the outbox, and its schema if nothing else is in it."""
    known = {**OUTBOX_TABLES, **SALTS}
    ours = [name for name in known if name in installed.outbox_tables]
    steps = [
        Step(
            "drop",
            f"drop table {outbox}.{name}",
            Sql(f"DROP TABLE IF EXISTS {qualified(outbox, name)}"),
        )
        for name in ours
    ]
    if installed.has_outbox and not installed.outbox_tables.keys() - set(known):
        drop = Sql(f"DROP SCHEMA IF EXISTS {ident(outbox)}")
        steps.append(Step("drop", f"drop schema {outbox}", drop))
    return Plan(tuple(steps))


def _outbox_steps(
    captures: Sequence[Capture], installed: Installed, server: Server, outbox: str
) -> list[Step]:
    steps = []
    if not installed.has_outbox:
        create = f"CREATE SCHEMA IF NOT EXISTS {ident(outbox)}"
        create += " DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        steps.append(Step("outbox", f"create schema {outbox}", Sql(create)))
    if "events" not in installed.outbox_tables:
        events = render_events(outbox, server)
        steps.append(Step("outbox", f"create table {outbox}.events", events))
    if "event_polling_state" not in installed.outbox_tables:
        state = render_polling_state(outbox, server)
        steps.append(
            Step("outbox", f"create table {outbox}.event_polling_state", state)
        )
    if not installed.has_relay:
        state = qualified(outbox, "event_polling_state")
        insert = f"INSERT IGNORE INTO {state} (`name`) VALUES ({literal(RELAY)})"
        steps.append(
            Step(
                "outbox", f"add the relay to {outbox}.event_polling_state", Sql(insert)
            )
        )
    if any(capture.needs_salt for capture in captures):
        if "salts" not in installed.outbox_tables:
            salts = render_salts(outbox, server)
            steps.append(Step("outbox", f"create table {outbox}.salts", salts))
        if not installed.has_salt:
            # Drawn by the server: what `generate` prints has no secret in it.
            salt = f"INSERT IGNORE INTO {qualified(outbox, 'salts')} (`name`, `value`)"
            salt += f" VALUES ({literal(SALT)}, HEX(RANDOM_BYTES(32)))"
            steps.append(Step("outbox", f"draw the salt of {outbox}.salts", Sql(salt)))
    return steps


def _emit_steps(
    emit: Emit | None, installed: Installed, server: Server, outbox: str
) -> list[Step]:
    """The procedure for events of the application; dropped if nobody asks for it."""
    if emit is None:
        return [_drop_emit(outbox)] if installed.emit else []
    create = render_emit(emit, server)
    there = installed.emit
    if there is not None:
        body = create[create.index("emit: BEGIN") :]
        if (
            normalize(there.body) == normalize(body)
            and (emit.definer is None or there.definer == str(emit.definer))
            and there.sql_mode == SQL_MODE
        ):
            return []
    steps = [_drop_emit(outbox)] if there else []
    title = f"create procedure {emit.source}"
    return [*steps, Step("procedure", title, create)]


def _drop_emit(outbox: str) -> Step:
    drop = Sql(f"DROP PROCEDURE IF EXISTS {qualified(outbox, PROCEDURE)}")
    return Step("drop", f"drop procedure {outbox}.{PROCEDURE}", drop)


def _definer_steps(
    captures: Sequence[Capture],
    installed: Installed,
    server: Server,
    outbox: str,
    definer: Account | None,
    emit: Emit | None,
    cascades: Sequence[Cascade],
) -> list[Step]:
    """The account and its grants: all of them before the first trigger.

    A trigger whose definer is missing or may not write makes every write fail.
    """
    if definer is None:
        return []
    steps = []
    privileges = installed.definer_privileges
    # Of a hidden account that owns triggers it is known that it is there, and what it
    # was granted then. MySQL refuses CREATE USER IF NOT EXISTS for it (4006).
    owned = {
        trigger.source
        for trigger in installed.triggers
        if installed.is_definer_hidden and trigger.definer == str(definer)
    }
    if privileges is None:
        privileges = Privileges()
        if not owned:
            create = render_definer(definer, server)
            steps.append(Step("account", f"create account {definer}", create))
    wanted = [] if owned else [("INSERT", outbox, "events")]
    for capture in captures:
        if capture.source not in owned:
            wanted.append(("SELECT", capture.schema, capture.table))
            wanted.append(("TRIGGER", capture.schema, capture.table))
    bodies = "\n".join(
        trigger.body
        for trigger in installed.triggers
        if owned and trigger.definer == str(definer)
    )
    wanted += [
        ("SELECT", schema, table)
        for schema, table in further_reads(captures, server, outbox, emit)
        if f"FROM {qualified(schema, table)}" not in bodies
        and f"JOIN {qualified(schema, table)}" not in bodies
    ]
    wanted += [
        grant
        for cascade in cascades
        for grant in cascade.grants
        if not _is_evident(grant, bodies, owned)
    ]
    missing: dict[tuple[str, str], list[str]] = {}
    for privilege, schema, table in dict.fromkeys(wanted):
        if not privileges.allow(privilege, schema, table):
            missing.setdefault((schema, table), []).append(privilege)
    to = account(definer.user, definer.host)
    if emit and not privileges.allow("EXECUTE", outbox) and not installed.emit:
        # On the schema: what is granted on a procedure goes with it (MySQL 9.7). Who
        # owns a procedure does not run it without (1370).
        grant = Sql(f"GRANT EXECUTE ON {every_table(outbox)} TO {to}")
        steps.append(Step("grant", f"grant execute on {outbox}.* to {definer}", grant))
    functions = {f for c in captures for e in c.expressions() for f in e.functions}
    for schema, name in sorted(functions):
        called = f"{ident(schema)}.{ident(name)}"
        # Without it every write would fail (1370).
        is_evident = called in bodies or f"{schema}.{name}" in bodies
        if not privileges.allow_function(schema, name) and not is_evident:
            grant = Sql(f"GRANT EXECUTE ON FUNCTION {called} TO {to}")
            title = f"grant execute on function {schema}.{name} to {definer}"
            steps.append(Step("grant", title, grant))
    for (schema, table), names in missing.items():
        listed = ", ".join(names)
        grant = Sql(f"GRANT {listed} ON {qualified(schema, table)} TO {to}")
        title = f"grant {listed.lower()} on {schema}.{table} to {definer}"
        steps.append(Step("grant", title, grant))
    return steps


def _is_evident(
    grant: tuple[str, str, str], bodies: str, owned: Collection[str]
) -> bool:
    """Whether triggers that the definer owns show that it was granted this."""
    privilege, schema, table = grant
    name = qualified(schema, table)
    uses = {
        "SELECT": (f"FROM {name}", f"JOIN {name}", f"UPDATE {name}"),
        "DELETE": (f"DELETE FROM {name}",),
        "UPDATE": (f"UPDATE {name}",),
        "TRIGGER": (),
    }[privilege]
    if privilege in ("SELECT", "TRIGGER") and f"{schema}.{table}" in owned:
        return True
    return any(use in bodies for use in uses)


def every_table(schema: str) -> Sql:
    """All of a schema, in a GRANT, where ``_`` and ``%`` are wildcards."""
    name = schema.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%")
    return Sql(f"{ident(name)}.*")


def further_reads(
    captures: Sequence[Capture], server: Server, outbox: str, emit: Emit | None
) -> list[tuple[str, str]]:
    """What triggers read besides their own table, as schema and table."""
    found = []
    if any(capture.bypass for capture in captures):
        found.append((outbox, "events"))
    if any(capture.needs_salt for capture in captures):
        found.append((outbox, "salts"))
    if any(c.needs_transaction for c in captures) or (emit and emit.transaction):
        if not server.is_mariadb:
            found += [("performance_schema", table) for table in TRANSACTIONS]
    return found


def _trigger_steps(
    capture: Capture,
    installed: Installed,
    server: Server,
    new_token: Callable[[TriggerName], str],
) -> list[Step]:
    """Create first, drop last: never a moment in which a change goes unrecorded."""
    create, drop = [], []
    for operation in OPERATIONS:
        first = TriggerName.of(capture.schema, capture.table, operation)
        generations = sorted(
            (t for t in installed.triggers if _is_of(t, first, capture.schema)),
            key=lambda trigger: trigger.name.generation,
        )
        newest = generations[-1] if generations else None
        obsolete = generations
        if operation in capture.triggers:
            if newest and _is_current(newest, capture, server):
                obsolete = generations[:-1]
            else:
                name = newest.name.next if newest else first
                create.append(_create(capture, name, server, newest, new_token))
        drop += [_drop(trigger) for trigger in obsolete]
    return create + drop


def _cascade_steps(
    cascades: Sequence[Cascade],
    captures: Sequence[Capture],
    installed: Installed,
    server: Server,
) -> list[Step]:
    """Two generations at once do no harm, what the first has done is done: so create
    the new one, then drop the old."""
    there = [t for t in (*installed.triggers, *installed.others) if t.is_cascade]
    create, kept = [], set()
    for cascade in cascades:
        first = TriggerName.of(cascade.schema, cascade.table, CASCADE)
        own = [t for t in there if _is_of(t, first, cascade.schema)]
        current = [t for t in own if _is_current_cascade(t, cascade, server)]
        if current:
            kept.add(current[-1].name)
        else:
            newest = max(own, key=lambda t: t.name.generation, default=None)
            name = newest.name.next if newest else first
            create.append(_create_cascade(cascade, name, server, bool(own)))
    wanted = {capture.source for capture in captures}
    captured = {t.source for t in installed.triggers if not t.is_cascade}
    drop = [
        _drop(trigger)
        for trigger in installed.triggers
        if trigger.is_cascade
        and trigger.name not in kept
        # Tables that are not in the spec go on as they are.
        and not (trigger.cascades_to - wanted) & captured
    ]
    return create + drop


def _is_current_cascade(
    trigger: InstalledTrigger, cascade: Cascade, server: Server
) -> bool:
    wanted = render_cascade(cascade, trigger.name, server)
    return trigger.source == cascade.source and _is_as(
        trigger, wanted[wanted.index("cascades: BEGIN") :], cascade.definer
    )


def _create_cascade(
    cascade: Cascade, name: TriggerName, server: Server, is_replacement: bool
) -> Step:
    title = f"create trigger {cascade.schema}.{name} before delete on {cascade.table}"
    trigger = render_cascade(cascade, name, server)
    undo = None if is_replacement else _drop_sql(cascade.schema, name)
    return Step("trigger", title, trigger, cascade.source, undo)


def _is_of(trigger: InstalledTrigger, first: TriggerName, schema: str) -> bool:
    name = trigger.name
    return (
        trigger.schema == schema
        and name.table == first.table
        and name.operation == first.operation
    )


def _is_current(trigger: InstalledTrigger, capture: Capture, server: Server) -> bool:
    wanted = render_trigger(
        capture,
        trigger.name,
        server,
        token=trigger.token,
        previous=trigger.name,
        previous_token=trigger.previous_token,
    )
    # information_schema has what comes after FOR EACH ROW, without the order.
    body = wanted[wanted.index("capture: BEGIN") :]
    return _is_as(trigger, body, capture.definer)


def _is_as(trigger: InstalledTrigger, body: str, definer: Account | None) -> bool:
    return (
        normalize(trigger.body) == normalize(body)
        and (definer is None or trigger.definer == str(definer))
        and trigger.sql_mode == SQL_MODE
        and trigger.character_set == CHARACTER_SET
        and trigger.collation == COLLATION
    )


def _create(
    capture: Capture,
    name: TriggerName,
    server: Server,
    previous: InstalledTrigger | None,
    new_token: Callable[[TriggerName], str],
) -> Step:
    trigger = render_trigger(
        capture,
        name,
        server,
        token=new_token(name),
        previous=previous.name if previous else None,
        previous_token=previous.token if previous else None,
    )
    # With an older generation there, the newer one may stay whatever happens: that is
    # what the marks are for. Dropping it would leave marks behind for the older one.
    undo = None if previous else _drop_sql(capture.schema, name)
    title = f"create trigger {capture.schema}.{name} after {name.operation}"
    title += f" on {capture.table}"
    return Step("trigger", title, trigger, capture.source, undo)


def _drop(trigger: InstalledTrigger) -> Step:
    return Step(
        "drop",
        f"drop trigger {trigger.schema}.{trigger.name}",
        _drop_sql(trigger.schema, trigger.name),
        trigger.source,
    )


def _drop_sql(schema: str, name: TriggerName) -> Sql:
    return Sql(f"DROP TRIGGER IF EXISTS {qualified(schema, str(name))}")


def _notices(captures: Sequence[Capture], installed: Installed) -> list[str]:
    wanted = {capture.source for capture in captures}
    there = {t.source for t in installed.triggers if not t.is_cascade}
    return [
        f"{source} has triggers of evtrig but is not in the spec; they stay"
        for source in sorted(there - wanted)
    ]
