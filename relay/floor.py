"""From which id on the outbox has to be read. Pure: no clock, no database.

While an old snapshot is open (a dump, say) the server keeps the rows that the relay has
deleted, and a read from the head passes over all of them, time and again. The floor is
where it may begin instead. Ids become visible out of order, so an id below it must be
one that was seen, or that can never come.

Only transactions that were open when a higher id was seen can still bring a lower one:
it was theirs by then. When all of them have ended, a read that was begun later has seen
what they brought, and the floor may be where the ids ended then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .action import Read
from .event import Event

__all__ = ["CACHED", "Floor", "Transaction"]

#: Seconds between two looks at the open transactions, which the servers remember for
#: 0.1 s: what is shown must not be older than what it is asked for.
#: dev.mysql.com/doc, "The INFORMATION_SCHEMA INNODB_TRX Table"; the time is measured.
CACHED = 0.5

#: After so many looks that saw nothing it is a privilege that is missing.
BLIND = 5


@dataclass(frozen=True)
class Transaction:
    """One that is open, as the server lists it; empty where it has no such thing."""

    id: str
    session: str


class Floor:
    """``is_on`` False leaves it at the head: whoever may not see the transactions, or
    has several servers that issue ids, can prove nothing."""

    def __init__(self, *, is_on: bool) -> None:
        #: Ids below need not be looked for.
        self.value = 0
        self._is_on = is_on
        #: Above every id that was seen.
        self._above = 0
        #: What the floor becomes, once it is proven; not above ``value`` if nothing is
        #: to be proven.
        self._goal = 0
        #: Transactions that may still bring an id below the goal; None before the
        #: first look.
        self._open: tuple[Transaction, ...] | None = None
        self._look_at = 0.0
        #: How often in a row the server did not tell.
        self._blind = 0
        #: When none of them was open any more.
        self._ended_at: float | None = None

    @property
    def wakes_at(self) -> float | None:
        """When to look at the transactions; None if there is nothing to find out."""
        is_waiting = self._goal > self.value and self._ended_at is None
        return self._look_at if is_waiting else None

    def has_read(
        self, read: Read, events: Sequence[Event], asked_at: float, now: float
    ) -> None:
        """Take in what a read that was begun at ``asked_at`` has seen."""
        if not self._is_on:
            return
        reaches = len(events) < read.limit or events[-1].id + 1 >= self._goal
        if (
            self._ended_at is not None
            and asked_at >= self._ended_at
            # What was left out, or not reached, proves nothing.
            and read.floor <= self.value
            and not read.besides_keys
            and not read.besides_outlets
            and reaches
        ):
            self.value, self._ended_at = self._goal, None
        if events:
            self._above = max(self._above, events[-1].id + 1)
        if self._goal <= self.value < self._above:
            self._goal, self._open = self._above, None
            self._look_at = now + CACHED

    def has_looked(
        self, transactions: Iterable[Transaction] | None, now: float
    ) -> None:
        """Take in which transactions are open that may have written; None if the server
        did not tell, which it may do later."""
        self._look_at = now + CACHED
        if transactions is None:
            self._blind += 1
            if self._blind >= BLIND:
                self._goal = self.value
                self._is_on = False
            return
        self._blind = 0
        still = tuple(transactions)
        if self._open is not None:
            # By either: the server gives a transaction its id when it first writes, and
            # one that was prepared (XA) outlives its session.
            ids = {open_.id for open_ in self._open if open_.id}
            sessions = {open_.session for open_ in self._open if open_.session}
            still = tuple(t for t in still if t.id in ids or t.session in sessions)
        self._open = still
        if not still:
            self._ended_at = now

    def forget(self, id_: int) -> None:
        """An event was dropped unsent, and has to be read again."""
        self.value = min(self.value, id_)
        self._goal, self._ended_at = 0, None
        self._above = max(self._above, id_ + 1)
