"""Preparing a plan from a spec and a database, and carrying it out."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..database.connection import Connection
from ..database.server import Server
from ..errors import ConnectionLost, EvtrigError, UsageError
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
from .patience import Patience
from .plan import Plan, plan
from .preflight import preflight
from .render import SESSION
from .scratch import to_try, try_expressions
from .spec import Spec
from .step import Step
from .table import Table, introspect

__all__ = ["AGAIN", "apply", "cascades_of", "prepare", "server_of", "tables_of"]

NO_NEW_ACCOUNT = "SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_CREATE_USER')"

#: How to go on after something has stopped a plan.
AGAIN = "Then run evtrig {command} again: it goes on from here."


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
    if only and prune:
        raise UsageError(
            "--only and --prune exclude each other",
            hint="--prune is about the tables that the spec does not have: run it by"
            " itself.",
        )
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
        is_partial=bool(only),
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
    hidden: tuple[str, ...] = ()
    if installed.is_definer_hidden and installed.triggers:
        hidden = (
            f"this account may not see whether {spec.definer} is there and what it may"
            " do, and takes it for as it was; evtrig check by one that reads mysql.user"
            " tells",
        )
    noted = (*notices(spec, tables), *cascade_notices, *made.notices, *hidden)
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
    again: str = AGAIN.format(command="install"),
    on_step: Callable[[Step], None] = lambda step: None,
    patience: Patience | None = None,
) -> None:
    """Carry out the plan, step by step.

    A table that had its triggers keeps them all the while. One whose first triggers
    cannot all be created is left with none, if they can be taken back; the message says
    what is left. Whatever stopped it, the next install goes on from there: ``again`` is
    how the user is told. Raises EvtrigError, also for Ctrl-C.
    """
    if not todo.steps:
        return
    patience = patience or Patience()
    for statement in (*SESSION, patience.first_wait):
        connection.execute(statement)
    done: list[Step] = []
    for step in todo.steps:
        try:
            if step.kind == "grant" and connection.server.is_mariadb:
                # Or MariaDB makes an account that is missing, without a password.
                connection.execute(NO_NEW_ACCOUNT)
            patience.run(connection, step)
            if step.kind == "grant" and connection.server.is_mariadb:
                connection.execute(SESSION[1])
        except KeyboardInterrupt:
            # The statement goes on without us; the connection is of no more use.
            raise EvtrigError(
                f"interrupted while it was to {step.title}{_left(todo, done)}",
                hint=again,
            ) from None
        except ConnectionLost as error:
            raise EvtrigError(
                f"cannot {step.title}: {error.message}{_left(todo, done)}",
                hint=f"{error.hint or ''} {again}".lstrip(),
            ) from None
        except EvtrigError as error:
            left = _undo(connection, done, step)
            raise EvtrigError(
                f"cannot {step.title}: {error.message}{left}",
                hint=f"{error.hint or ''} {again}".lstrip(),
            ) from None
        done.append(step)
        on_step(step)


def _undo(connection: Connection, done: list[Step], failed: Step) -> str:
    """Take back what was done for the table that failed; what is left, in words."""
    undo = [
        replace(step, sql=step.undo, title=f"take back: {step.title}")
        for step in reversed(done)
        if step.undo and step.table == failed.table
    ]
    for step in undo:
        try:
            # Whoever was in the way of the failed step is in the way of this one too.
            Patience(seconds=1).run(connection, step)
        except EvtrigError:
            # The next install sees what is there, and completes it.
            return f". {failed.source} is captured in part"
    return f". Nothing is left on {failed.source}" if undo else ""


def _left(todo: Plan, done: Sequence[Step]) -> str:
    """How a table is captured where nobody knows whether the next step was done."""
    steps = todo.steps[len(done) :]
    source = steps[0].source
    if steps[0].kind != "trigger":
        return ""
    # A step that replaces a trigger has no undo: the trigger before it is there.
    if any(step.undo for step in steps if step.source == source):
        return f". {source} may be captured in part"
    return f". {source} is captured all the same, by the triggers that it had"
