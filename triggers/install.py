"""Carrying out a plan on a database."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from ..database.connection import LOCK_WAIT_TIMEOUT, Connection
from ..errors import DatabaseError, EvtrigError
from .plan import Plan, Step
from .render import SESSION

__all__ = ["apply"]

#: How often a statement is tried again that waits for somebody's open transaction;
#: each try waits for the lock_wait_timeout of render.SESSION.
LOCK_TRIES = 10


def apply(
    connection: Connection,
    plan: Plan,
    *,
    on_step: Callable[[Step], None] = lambda step: None,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Carry out the plan, step by step.

    A table ends with all of its triggers or, if one cannot be created, with none;
    the tables before it stay captured. Whatever stopped it, the next install goes on
    from there. ``wait`` takes seconds.
    """
    if not plan.steps:
        return
    for statement in SESSION:
        connection.execute(statement)
    done: list[Step] = []
    for step in plan.steps:
        try:
            _execute(connection, step, wait)
        except EvtrigError as error:
            undone = _undo(connection, [s for s in done if s.source == step.source])
            finished = {s.source for s in done if s.source} - {step.source}
            left = f"{len(finished)} tables are done" if finished else ""
            left += f"; nothing was left on {step.source}" if undone else ""
            raise EvtrigError(
                f"cannot {step.title}: {error.message}"
                + (f" ({left.lstrip('; ')})" if left else ""),
                hint=f"{error.hint or 'Mend that.'} Then run evtrig install again:"
                " it goes on from here.",
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
            wait(random.uniform(0.1, 0.5) * attempt)
        else:
            return


def _undo(connection: Connection, done: list[Step]) -> bool:
    undo = [step.undo for step in reversed(done) if step.undo]
    for statement in undo:
        try:
            connection.execute(statement)
        except DatabaseError:
            # The next install sees what is there, and completes it.
            return False
    return bool(undo)
