"""What waits in the outbox, as the database says."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MEASURE_EVERY", "MOST", "Backlog"]

#: Seconds between two looks at it, where somebody wants to know.
MEASURE_EVERY = 15.0

#: Counted to at most: a count passes over every row, and has to end.
MOST = 100_000


@dataclass(frozen=True)
class Backlog:
    """How many committed events wait, and for how long the first of them has.

    Both without what a transaction that is open still has written.
    """

    #: MOST + 1 if there are more.
    waiting: int
    #: Seconds since the statement that made the event with the lowest id, by the clock
    #: of the database; 0.0 if nothing waits. Not since its commit, which may be later.
    age: float
    #: What that clock said then, in seconds since 1970.
    clock: float

    @property
    def is_more(self) -> bool:
        """Whether there are more than were counted."""
        return self.waiting > MOST
