"""Preparing a plan from a spec and a database, and carrying it out."""

from __future__ import annotations

import itertools
import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..database.connection import LOCK_WAIT_TIMEOUT, Connection
from ..database.server import Server
from ..errors import DatabaseError, EvtrigError, UsageError
from .blocker import Blocker, blockers
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

__all__ = ["Patience", "apply", "cascades_of", "prepare", "server_of", "tables_of"]

#: Seconds for which a statement is tried again that waits for somebody's transaction.
LOCK_TIMEOUT = 60.0
#: Seconds for which the first try waits in the server, later ones for one second.
FIRST_WAIT = 3
#: Seconds between two looks whether the one in the way has gone.
LOCK_POLL = 0.5
#: Of the connections in the way, how many a message names.
NAMED = 3


def prepare(
    connection: Connection,
    spec: Spec,
    *,
    only: Sequence[str] = (),
    prune: bool = False,
) -> Plan:
    """What has to be done so that the database captures what the spec says.

    Of the tables in ``only`` if there are any; ``prune`` also drops the triggers of
    tables that the spec does not have. Changes nothing that stays: new expressions of
    the spec are tried on scratch copies, which are dropped again. Raises
    PreflightError with everything that would keep the plan from being carried out, or
    that would make the application's writes fail, and UsageError for a spec that is for
    another kind of server.
    """
    server = server_of(connection, spec)
    besides = {table.source for table in spec.tables}
    if only:
        spec = spec.only(only)
    besides -= {table.source for table in spec.tables}
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
        besides=besides,
        prune=prune,
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


@dataclass(frozen=True)
class Patience:
    """How to wait for transactions that have a table in use; times are seconds."""

    seconds: float = LOCK_TIMEOUT
    #: Is told once for each step what it waits for.
    on_wait: Callable[[str], None] = lambda what: None
    clock: Callable[[], float] = time.monotonic
    wait: Callable[[float], None] = time.sleep


def apply(
    connection: Connection,
    todo: Plan,
    *,
    command: str = "install",
    on_step: Callable[[Step], None] = lambda step: None,
    patience: Patience | None = None,
) -> None:
    """Carry out the plan, step by step.

    A table ends with all of its triggers or, if one cannot be created, with none;
    the tables before it stay captured. Whatever stopped it, the next install goes on
    from there. ``command`` is how the user says that again.
    """
    if not todo.steps:
        return
    patience = patience or Patience()
    for statement in (*SESSION, _first_wait(patience)):
        connection.execute(statement)
    done: list[Step] = []
    for step in todo.steps:
        try:
            _execute(connection, step, patience)
        except EvtrigError as error:
            left = _undo(connection, done, step, patience)
            raise EvtrigError(
                f"cannot {step.title}: {error.message}{left}",
                hint=f"{error.hint or ''} Then run evtrig {command} again: it goes on"
                " from here.".lstrip(),
            ) from None
        done.append(step)
        on_step(step)


def _execute(connection: Connection, step: Step, patience: Patience) -> None:
    """CREATE and DROP TRIGGER wait for every open transaction on the table, and
    everybody else queues behind them: so wait briefly, and try again when whoever was
    in the way has gone."""
    deadline = patience.clock() + patience.seconds
    found: tuple[Blocker, ...] = ()
    for attempt in itertools.count():
        if attempt == 1:
            connection.execute("SET SESSION lock_wait_timeout = 1")
        try:
            connection.execute(step.sql)
        except DatabaseError as error:
            if error.number != LOCK_WAIT_TIMEOUT:
                raise
        else:
            if attempt:
                connection.execute(_first_wait(patience))
            return
        found = blockers(connection, *step.table) if step.table else ()
        if attempt == 0:
            patience.on_wait(f"{step.title} waits: {_in_the_way(step, found)}")
        found = _let_end(connection, step, found, deadline, attempt, patience)
        if patience.clock() >= deadline:
            raise DatabaseError(
                _in_the_way(step, found),
                number=LOCK_WAIT_TIMEOUT,
                hint=f"Wait until it has ended{_kill(found)}.",
            )


def _first_wait(patience: Patience) -> str:
    seconds = max(1, int(min(FIRST_WAIT, patience.seconds)))
    return f"SET SESSION lock_wait_timeout = {seconds:d}"


def _let_end(
    connection: Connection,
    step: Step,
    found: tuple[Blocker, ...],
    deadline: float,
    attempt: int,
    patience: Patience,
) -> tuple[Blocker, ...]:
    """Wait for those in the way without queueing, so that nobody queues behind us.

    Who is in the way then. Where the server does not say it, the pauses get longer.
    """
    certain = {blocker.connection for blocker in found if blocker.is_certain}
    pause = LOCK_POLL if certain else 2.0 ** min(attempt, 3)
    while (left := deadline - patience.clock()) > 0:
        patience.wait(min(left, pause * random.uniform(1.0, 1.5)))
        if not certain or not step.table:
            break
        now = blockers(connection, *step.table)
        if not certain & {blocker.connection for blocker in now}:
            break
        found = now
    return found


def _in_the_way(step: Step, found: Sequence[Blocker]) -> str:
    where = ".".join(step.table) if step.table else "it"
    if not found:
        return (
            f"an open transaction uses {where}; which one could not be seen (that takes"
            " the privilege PROCESS)"
        )
    named = "; ".join(str(blocker) for blocker in found[:NAMED])
    more = f"; and {len(found) - NAMED} more" if len(found) > NAMED else ""
    if not found[0].is_certain:
        return f"one of the open transactions uses {where}: {named}{more}"
    return f"{where} is in use: {named}{more}"


def _kill(found: Sequence[Blocker]) -> str:
    is_one = len(found) == 1 and found[0].is_certain
    return f", or end it with KILL {found[0].connection}" if is_one else ""


def _undo(
    connection: Connection,
    done: list[Step],
    failed: Step,
    patience: Patience,
) -> str:
    """Take back what was done for the table that failed; what is left, in words."""
    undo = [step for step in done if step.source == failed.source and step.undo]
    for step in reversed(undo):
        try:
            _execute(connection, replace(step, sql=step.undo or step.sql), patience)
        except EvtrigError:
            # The next install sees what is there, and completes it.
            return f". {failed.source} is captured in part"
    return f". Nothing is left on {failed.source}" if undo else ""
