"""Preparing a plan from a spec and a database, and carrying it out."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..database.connection import LOCK_WAIT_TIMEOUT, Connection
from ..database.server import Server
from ..errors import DatabaseError, EvtrigError, UsageError
from .capture import Capture, notices, resolve
from .cascade import Cascade, Surroundings, cascades
from .emit import Emit
from .foreign_key import (
    foreign_keys,
    foreign_triggers,
    management,
    stamped_columns,
)
from .installed import inspect
from .plan import Plan, plan
from .preflight import preflight
from .render import SESSION
from .scratch import to_try, try_expressions
from .spec import Spec
from .step import Step
from .table import Table, introspect

__all__ = ["apply", "cascades_of", "prepare", "server_of", "tables_of"]

#: How often a statement is tried again that waits for somebody's open transaction;
#: each try waits for the lock_wait_timeout of render.SESSION.
LOCK_TRIES = 10


def prepare(connection: Connection, spec: Spec) -> Plan:
    """What has to be done so that the database captures what the spec says.

    Changes nothing that stays: new expressions of the spec are tried on scratch copies,
    which are dropped again. Raises PreflightError with everything that would keep the
    plan from being carried out, or that would make the application's writes fail, and
    UsageError for a spec that is for another kind of server.
    """
    server = server_of(connection, spec)
    tables = tables_of(connection, spec)
    captures = resolve(spec, tables, server)
    installed = inspect(connection, captures, outbox=spec.outbox, definer=spec.definer)
    wanted, cascade_notices = cascades_of(connection, spec, captures, server)
    made = plan(
        captures,
        installed,
        server,
        outbox=spec.outbox,
        definer=spec.definer,
        emit=Emit.of(spec),
        cascades=wanted,
        new_token=lambda name: secrets.token_hex(8),
    )
    preflight(
        connection,
        made,
        captures,
        installed,
        outbox=spec.outbox,
        definer=spec.definer,
        emit=Emit.of(spec),
        cascades=wanted,
    )
    try_expressions(connection, to_try(captures, made), outbox=spec.outbox)
    noted = (*notices(spec, tables), *cascade_notices, *made.notices)
    return replace(made, notices=noted)


def cascades_of(
    connection: Connection, spec: Spec, captures: Sequence[Capture], server: Server
) -> tuple[tuple[Cascade, ...], tuple[str, ...]]:
    """What ``cascades: capture`` needs of this database, and what to know about it.

    Raises PreflightError where a trigger would be wrong.
    """
    places = {
        table.source: table.place_of("cascades")
        for table in spec.tables
        if table.cascades == "capture"
    }
    if not places:
        return (), ()
    keys = foreign_keys(connection, {capture.schema for capture in captures})
    children = {key.child for key in keys if not key.restricts}
    around = Surroundings(
        keys=keys,
        stamped=stamped_columns(connection, children),
        triggers=foreign_triggers(connection, children),
        management=management(connection),
    )
    wanted = [(c, places[c.source]) for c in captures if c.source in places]
    return cascades(wanted, around, captured={c.source for c in captures})


def server_of(connection: Connection, spec: Spec) -> Server:
    """The server, if it is of the kind that the spec says; else UsageError."""
    server = connection.server
    if spec.server not in (None, server.family):
        raise UsageError(
            f"{spec.path} is for `server: {spec.server}`, but {connection.dsn} is"
            f" {server}",
            hint=f"Write `server: {server.family}`, or connect to another server.",
        )
    return server


def tables_of(connection: Connection, spec: Spec) -> tuple[Table, ...]:
    """Every table of the schemas that the spec captures from."""
    return introspect(connection, sorted({table.schema for table in spec.tables}))


def apply(
    connection: Connection,
    todo: Plan,
    *,
    command: str = "install",
    on_step: Callable[[Step], None] = lambda step: None,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Carry out the plan, step by step.

    A table ends with all of its triggers or, if one cannot be created, with none;
    the tables before it stay captured. Whatever stopped it, the next install goes on
    from there. ``command`` is how the user says that again, ``wait`` takes seconds.
    """
    if not todo.steps:
        return
    for statement in SESSION:
        connection.execute(statement)
    done: list[Step] = []
    for step in todo.steps:
        try:
            _execute(connection, step, wait)
        except EvtrigError as error:
            left = _undo(connection, done, step, wait)
            raise EvtrigError(
                f"cannot {step.title}: {error.message}{left}",
                hint=f"{error.hint or ''} Then run evtrig {command} again: it goes on"
                " from here.".lstrip(),
            ) from None
        done.append(step)
        on_step(step)


def _execute(connection: Connection, step: Step, wait: Callable[[float], None]) -> None:
    """CREATE and DROP TRIGGER wait for every open transaction on the table, and
    everybody else queues behind them: so wait briefly, and often."""
    for attempt in range(1, LOCK_TRIES + 1):
        try:
            connection.execute(step.sql)
        except DatabaseError as error:
            if error.number != LOCK_WAIT_TIMEOUT or attempt == LOCK_TRIES:
                raise
            wait(random.uniform(0.5, 1.0) * attempt)
        else:
            return


def _undo(
    connection: Connection,
    done: list[Step],
    failed: Step,
    wait: Callable[[float], None],
) -> str:
    """Take back what was done for the table that failed; what is left, in words."""
    undo = [step for step in done if step.source == failed.source and step.undo]
    for step in reversed(undo):
        try:
            _execute(connection, replace(step, sql=step.undo or step.sql), wait)
        except EvtrigError:
            # The next install sees what is there, and completes it.
            return f". {failed.source} is captured in part"
    return f". Nothing is left on {failed.source}" if undo else ""
