"""Which events to send next. Pure: no clock, no network, no randomness of its own.

Events of one key leave one at a time, the next after the acknowledgement of the one
before; a key that failed waits and holds nobody else back.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from .event import Event
from .sinks.sink import Outcome, Result

__all__ = ["FIRST_DELAY", "LONGEST_DELAY", "Scheduler"]

#: Seconds a key waits at most after its first failure; doubled with each further one.
FIRST_DELAY = 0.05
LONGEST_DELAY = 5.0


@dataclass
class Lane:
    """The events of one key, oldest first."""

    events: deque[Event] = field(default_factory=deque)
    #: How many at the front are in flight.
    in_flight: int = 0
    #: Failures since the last acknowledgement.
    failures: int = 0
    #: Whether the last answer was that the event will never be taken.
    is_refused: bool = False


class Scheduler:
    """A window of read events, and what may be sent of it.

    ``entries`` and ``bytes`` limit a batch; an event that is larger by itself goes
    alone, and the sink says what becomes of it. ``in_order`` is for a sink that
    takes a batch as one ordered write: the whole window is then one lane. ``jitter``
    gives a number between 0 and 1.
    """

    def __init__(
        self,
        *,
        entries: int,
        bytes: int,  # noqa: A002 - the field's word, as in every sink's limits
        in_order: bool,
        jitter: Callable[[], float],
    ) -> None:
        self._entries = entries
        self._bytes = bytes
        self._in_order = in_order
        self._jitter = jitter
        self._lanes: dict[str, Lane] = {}
        #: (id of the first event, key) of every lane that may send.
        self._ready: list[tuple[int, str]] = []
        #: (when, key) of every lane that waits after a failure.
        self._waiting: list[tuple[float, str]] = []
        self._ids: set[int] = set()
        self._held: set[str] = set()

    def __len__(self) -> int:
        """Events in the window, in flight or not."""
        return len(self._ids)

    @property
    def ids(self) -> set[int]:
        return self._ids

    @property
    def wakes_at(self) -> float | None:
        """When the next key has waited long enough; None if none waits."""
        return self._waiting[0][0] if self._waiting else None

    @property
    def is_stuck(self) -> bool:
        """Whether all that is left are keys whose first event the sink refuses."""
        return bool(self._lanes) and all(
            lane.is_refused and not lane.in_flight for lane in self._lanes.values()
        )

    @property
    def held(self) -> set[str]:
        """Keys of which only the first event is in the window, see `trim`."""
        return self._held

    def trim(self) -> None:
        """Keep only the first event of each key that waits after a failure.

        For when they fill the window, and other keys' events find no room in it. The
        rest is read again when the first has been acknowledged.
        """
        if self._in_order:
            return
        for _, key in self._waiting:
            lane = self._lanes[key]
            while len(lane.events) > 1:
                self._held.add(key)
                self._ids.discard(lane.events.pop().id)

    def admit(self, events: Iterable[Event]) -> None:
        """Take events into the window, in id order; known ones are passed over."""
        for event in events:
            if event.id in self._ids:
                continue
            self._ids.add(event.id)
            key = "" if self._in_order else event.key
            lane = self._lanes.setdefault(key, Lane())
            lane.events.append(event)
            if len(lane.events) == 1:
                heapq.heappush(self._ready, (event.id, key))

    def next_batch(self, now: float) -> tuple[Event, ...]:
        """The oldest events that may be sent together now; they are in flight then."""
        while self._waiting and self._waiting[0][0] <= now:
            _, key = heapq.heappop(self._waiting)
            heapq.heappush(self._ready, (self._lanes[key].events[0].id, key))
        batch: list[Event] = []
        size = 0
        while self._ready:
            key = self._ready[0][1]
            lane = self._lanes[key]
            for event in lane.events if self._in_order else (lane.events[0],):
                if batch and (
                    len(batch) == self._entries or size + event.size > self._bytes
                ):
                    break
                batch.append(event)
                size += event.size
                lane.in_flight += 1
            if not lane.in_flight:
                break
            heapq.heappop(self._ready)
        return tuple(batch)

    def settle(
        self, batch: Sequence[Event], results: Sequence[Result], now: float
    ) -> list[Event]:
        """Take in how each event of a batch fared; the acknowledged ones.

        An event whose fate is unknown is sent again, with the same body and name.
        """
        acknowledged = []
        touched: dict[str, Result | None] = {}
        for event, result in zip(batch, results, strict=True):
            key = "" if self._in_order else event.key
            lane = self._lanes[key]
            lane.in_flight -= 1
            failed = touched.setdefault(key, None)
            if failed is None and result.outcome is Outcome.ACKNOWLEDGED:
                lane.events.popleft()
                self._ids.discard(event.id)
                acknowledged.append(event)
            elif failed is None:
                touched[key] = result
        for key, failed in touched.items():
            self._requeue(key, failed, now)
        return acknowledged

    def _requeue(self, key: str, failed: Result | None, now: float) -> None:
        lane = self._lanes[key]
        lane.is_refused = failed is not None and failed.outcome in (
            Outcome.REFUSED,
            Outcome.OVERSIZED,
        )
        if failed is not None:
            longest = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(lane.failures, 16))
            lane.failures += 1
            heapq.heappush(self._waiting, (now + longest * self._jitter(), key))
            return
        lane.failures = 0
        self._held.discard(key)
        if lane.events:
            heapq.heappush(self._ready, (lane.events[0].id, key))
        else:
            del self._lanes[key]
