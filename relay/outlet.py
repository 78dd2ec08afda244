"""One destination as the scheduler sees it: what may be sent there, and when. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection

from .health import Health
from .sinks.sink import Limits

__all__ = ["Outlet"]


class Outlet:
    """The lanes whose next event goes to one destination.

    ``in_order`` is for a sink that takes a batch as one ordered write: all that goes
    there is then one lane. ``reaches`` tells all places its events come to from those
    of other outlets; by default no other has any of them.
    """

    def __init__(
        self,
        name: str,
        limits: Limits,
        *,
        in_order: bool = False,
        reaches: Collection[str] = (),
    ) -> None:
        self.name = name
        self.limits = limits
        self.in_order = in_order
        self.reaches = frozenset(reaches or (name,))
        self.health = Health()
        #: (id of the first event, key) of every lane that may send.
        self.ready: list[tuple[int, str]] = []
        #: (when, key) of every lane that waits after a failure.
        self.waiting: list[tuple[float, str]] = []
        #: When the next batch may be tried while the sink is down.
        self.probe_at = 0.0
        #: How many calls are in flight.
        self.calls = 0
        #: Whether further events for it are left in the outbox: it is down, or one that
        #: shares a place with it, and they would leave no room for those of the others.
        self.is_shut = False

    @property
    def is_down(self) -> bool:
        """Whether the sink takes next to nothing: then one batch is tried at a time."""
        return self.health.is_down

    @property
    def is_untried(self) -> bool:
        """Whether it is down, and there is nothing to find out with that it is not."""
        return self.is_down and not (self.ready or self.waiting or self.calls)

    @property
    def is_busy(self) -> bool:
        """Whether no further call may be begun now."""
        return self.calls >= (1 if self.is_down else self.limits.calls)

    @property
    def wakes_at(self) -> float | None:
        """When something may be sent that may not yet; None if nothing waits."""
        if self.is_busy:
            return None
        at = self.waiting[0][0] if self.waiting else None
        if self.is_down and self.ready:
            return self.probe_at
        if self.is_down and at is not None:
            return max(at, self.probe_at)
        return at

    def woken(self, now: float) -> list[str]:
        """The lanes that have waited long enough; they wait no more."""
        keys = []
        while self.waiting and self.waiting[0][0] <= now:
            keys.append(heapq.heappop(self.waiting)[1])
        return keys

    def divide(
        self, hopeless: Callable[[str], tuple[bool, int]]
    ) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
        """The ready lanes to try while the sink is down, and the others.

        What the sink has not refused first, and of that what has failed least: a few
        that are refused time and again would be all that is ever tried.
        """
        best = min((hopeless(key) for _, key in self.ready), default=None)
        first = [item for item in self.ready if hopeless(item[1]) == best]
        rest = [item for item in self.ready if hopeless(item[1]) != best]
        heapq.heapify(first)
        return first, rest
