"""Waiting for transactions that have a table in use, without making others wait.

CREATE and DROP TRIGGER wait for every open transaction on the table, and every later
statement queues behind them. So a step asks for the table briefly, and if that is not
enough it stands back until whoever was in the way has gone.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..database.connection import LOCK_WAIT_TIMEOUT, Connection
from ..errors import DatabaseError
from .blocker import Blocker, blockers
from .step import Step

__all__ = ["Patience"]

#: Seconds for which the first try waits in the server, later ones for one second.
FIRST_WAIT = 3
#: Seconds between two looks whether the one in the way has gone.
POLL = 0.5
#: Of the connections in the way, how many a message names.
NAMED = 3

Found = tuple[Blocker, ...] | None


@dataclass(frozen=True)
class Patience:
    """How long to wait, at each step; times are seconds."""

    seconds: float = 60.0
    #: Is told once for each step what it waits for.
    on_wait: Callable[[str], None] = lambda what: None
    clock: Callable[[], float] = time.monotonic
    wait: Callable[[float], None] = time.sleep

    @property
    def first_wait(self) -> str:
        """What the session needs before the first step."""
        seconds = max(1, int(min(FIRST_WAIT, self.seconds)))
        return f"SET SESSION lock_wait_timeout = {seconds:d}"

    def run(self, connection: Connection, step: Step) -> None:
        """Carry out a step. Raises DatabaseError, which names who is in the way."""
        deadline = self.clock() + self.seconds
        for attempt in itertools.count():
            if attempt == 1:
                connection.execute("SET SESSION lock_wait_timeout = 1")
            asked_at = self.clock()
            try:
                connection.execute(step.sql)
            except DatabaseError as error:
                if error.number != LOCK_WAIT_TIMEOUT:
                    raise
            else:
                if attempt:
                    connection.execute(self.first_wait)
                return
            found = in_the_way(connection, step, self.clock() - asked_at)
            if attempt == 0:
                self.on_wait(f"{step.title} waits: {told(step, found)}")
            found = self._stand_back(connection, step, found, deadline, attempt)
            if self.clock() >= deadline:
                raise DatabaseError(
                    told(step, found),
                    number=LOCK_WAIT_TIMEOUT,
                    hint=f"Wait until it has ended{kill(found)}.",
                )

    def _stand_back(
        self,
        connection: Connection,
        step: Step,
        found: Found,
        deadline: float,
        attempt: int,
    ) -> Found:
        """Wait until those in the way have ended; who is there still.

        Where the server does not tell who that is, the pauses get longer.
        """
        since = {b.connection: b.age for b in found or () if b.is_certain}
        pause = POLL if since else 2.0 ** min(attempt, 3)
        while (left := deadline - self.clock()) > 0:
            self.wait(min(left, pause * random.uniform(1.0, 1.5)))
            if not since or not step.table:
                break
            now = tuple(
                blocker
                for blocker in blockers(connection, *step.table) or ()
                # One that is younger is another transaction of the same connection.
                if blocker.age >= since.get(blocker.connection, float("inf"))
            )
            if not now:
                break
            found = now
        return found


def in_the_way(connection: Connection, step: Step, waited: float) -> Found:
    """Who has kept a step from being carried out for so long."""
    if step.table is None:
        return ()
    found = blockers(connection, *step.table)
    # On a busy table somebody else has it by now; they have not been in the way.
    old = tuple(blocker for blocker in found or () if blocker.age >= int(waited))
    return old or found


def told(step: Step, found: Found) -> str:
    """What is in the way, in words."""
    where = ".".join(step.table) if step.table else "it"
    if found is None:
        return (
            f"an open transaction uses {where}; this account may not see which (that"
            " takes the privilege PROCESS)"
        )
    if not found:
        return (
            f"somebody uses {where} whom the server does not name: an open transaction,"
            " LOCK TABLES, a global read lock or a prepared XA transaction"
        )
    named = "; ".join(str(blocker) for blocker in found[:NAMED])
    more = f"; and {len(found) - NAMED} more" if len(found) > NAMED else ""
    if not found[0].is_certain:
        return f"one of the open transactions uses {where}: {named}{more}"
    return f"{where} is in use: {named}{more}"


def kill(found: Sequence[Blocker] | None) -> str:
    """How to end it, if it is one and surely that."""
    is_one = found is not None and len(found) == 1 and found[0].is_certain
    return f", or end it with KILL {found[0].connection}" if found and is_one else ""
