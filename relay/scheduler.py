"""Which events to send next, and what becomes of those that fail. Pure: no clock, no
network, no randomness of its own.

Events of one key leave one at a time, the next after the acknowledgement of the one
before; a key that failed waits and holds nobody else back.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field

from .dead_letter import DeadLetter, Parked
from .event import Event
from .health import RECENT
from .outlet import Outlet
from .policy import Policy
from .sinks.sink import ACKNOWLEDGED, LEASE_RAN_OUT, Outcome, Result

__all__ = [
    "FIRST_DELAY",
    "KEPT",
    "LONGEST_DELAY",
    "Scheduler",
]

#: Seconds a key waits at most after its first failure; doubled with each further one.
FIRST_DELAY = 0.05
LONGEST_DELAY = 5.0

#: After so many failures in a row an event is sent by itself: it may be what makes the
#: calls fail that others are part of.
ALONE = 4

#: Dead letters that are parked together, about.
PARK = 200

#: Lanes that stay in the window of an outlet that is shut, to try it with; of one in
#: order so many events.
KEPT = 100


@dataclass
class Trouble:
    """What has happened to the first event of a key, since it was first sent."""

    since: float
    first_error: str
    last_error: str
    attempts: int = 0


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
    #: Of the first event; None if it has not failed.
    trouble: Trouble | None = None
    #: That the first event is to be parked.
    verdict: DeadLetter | None = None


class Scheduler:
    """A window of read events, and what may be sent of it.

    The limits of an ``outlet`` limit a batch; an event that is larger by itself goes
    alone, and the sink says what becomes of it. ``route`` names the outlet of an event,
    always the same one; it need not be given if there is but one. ``jitter`` gives a
    number between 0 and 1. ``parked`` are the keys that have dead letters which later
    events have to wait behind.
    """

    def __init__(
        self,
        outlets: Sequence[Outlet],
        *,
        jitter: Callable[[], float],
        route: Callable[[Event], str] | None = None,
        policy: Policy = Policy(),  # noqa: B008 - frozen
    ) -> None:
        self._outlets = {outlet.name: outlet for outlet in outlets}
        self._groups = groups(outlets)
        self._route = route
        self._only = outlets[0]
        self._jitter = jitter
        self._policy = policy
        self._lanes: dict[str, Lane] = {}
        #: Keys of the lanes that have something to be parked.
        self._parking: deque[str] = deque()
        #: Of each event in the window the key of its lane.
        self._lane_of: dict[int, str] = {}
        #: Lanes that a key of an outlet in order has for itself.
        self._own: set[str] = set()
        self._held: set[str] = set()
        self._parked: set[str] = set()
        self._forgotten: list[int] = []

    def __len__(self) -> int:
        """Events in the window, in flight or not."""
        return len(self._lane_of)

    @property
    def ids(self) -> Set[int]:
        return self._lane_of.keys()

    @property
    def down(self) -> tuple[str, ...]:
        """Names of the outlets that take next to nothing."""
        return tuple(o.name for o in self._outlets.values() if o.is_down)

    @property
    def wakes_at(self) -> float | None:
        """When something may be sent that may not yet; None if nothing waits."""
        times = [outlet.wakes_at for outlet in self._outlets.values()]
        return min((at for at in times if at is not None), default=None)

    @property
    def is_stuck(self) -> bool:
        """Whether all that is left are keys whose first event the sink refuses."""
        lanes = self._lanes.values()
        return any(lane.is_refused for lane in lanes) and all(
            # Where it refuses everything, the others would be refused as well.
            (
                lane.is_refused
                or (lane.trouble is None and self._outlet_of(lane).is_down)
            )
            and not lane.in_flight
            and lane.verdict is None
            for lane in lanes
        )

    @property
    def shut(self) -> frozenset[str]:
        """Names of the outlets whose events are not wanted now, see `trim`."""
        return frozenset(o.name for o in self._outlets.values() if o.is_shut)

    @property
    def held(self) -> set[str]:
        """Keys of which only the first event is in the window, see `trim`."""
        return self._held

    @property
    def has_ready(self) -> bool:
        """Whether something may be sent as soon as a call is free."""
        return any(o.ready and not o.is_down for o in self._outlets.values())

    @property
    def must_park(self) -> bool:
        return bool(self._parking)

    def outlet(self, event: Event) -> Outlet:
        """Where an event goes."""
        return self._outlets[self._route(event)] if self._route else self._only

    def hold(self, keys: Iterable[str]) -> None:
        """Events of these keys are to be parked: others before them were."""
        self._parked.update(keys)

    def trim(self) -> None:
        """Keep only the first event of each key that waits after a failure, and few of
        an outlet that is down, where there are others.

        For when they fill the window, and other events find no room in it. The rest is
        read again when the first has been acknowledged, or the outlet is up. Outlets
        that share a place with it go with it: what stays in the outbox would be
        overtaken there by later events of its key.
        """
        for outlet in self._outlets.values():
            group = self._groups[outlet.name]
            has_others = len(group) < len(self._outlets)
            if has_others and any(each.is_down for each in group):
                outlet.is_shut = True
            if outlet.is_shut:
                ready = sorted(outlet.ready)
                for _, key in ready[KEPT:]:
                    self._forget_lane(key)
                # Sorted is a heap.
                outlet.ready = ready[:KEPT]
            if outlet.in_order:
                if outlet.is_shut:
                    self._shorten_lane(f"\n{outlet.name}")
                continue
            trimmed = [key for _, key in outlet.waiting]
            if outlet.is_shut:
                trimmed += [key for _, key in outlet.ready]
            for key in trimmed:
                lane = self._lanes[key]
                while len(lane.events) > 1:
                    self._held.add(key)
                    self._forget(lane.events.pop())

    def forgotten(self) -> list[int]:
        """Ids that have left the window unsent since this was last asked: they have to
        be read again, and before any later event of their keys. 0 is the head."""
        ids, self._forgotten = self._forgotten, []
        return ids

    def admit(self, events: Iterable[Event]) -> None:
        """Take events into the window, in id order; known ones are passed over."""
        for event in events:
            if event.id in self._lane_of:
                continue
            outlet = self.outlet(event)
            key = self._choose_lane(event, outlet)
            self._lane_of[event.id] = key
            lane = self._lanes.get(key)
            if lane is None:
                lane = self._lanes[key] = Lane()
            lane.events.append(event)
            if len(lane.events) > 1:
                continue
            if event.key in self._parked:
                self._parking.append(key)
            else:
                heapq.heappush(outlet.ready, (event.id, key))

    def next_batch(self, now: float) -> tuple[Event, ...]:
        """The oldest events that may be sent together now; they are in flight then.

        All of them go to one outlet.
        """
        for outlet in self._outlets.values():
            for key in outlet.woken(now):
                self._wake(key)
            # All there was to try it with may be a dead letter, or have been mended.
            self._reopen(outlet)
        ready = [o for o in self._outlets.values() if o.ready and not o.is_busy]
        for outlet in sorted(ready, key=lambda outlet: outlet.ready[0]):
            batch = self._batch(outlet, now)
            if batch:
                outlet.calls += 1
                return batch
        return ()

    def _batch(self, outlet: Outlet, now: float) -> tuple[Event, ...]:
        if not outlet.is_down:
            return self._fill(outlet, outlet.ready, now)
        if now < outlet.probe_at:
            return ()
        first, rest = outlet.divide(self._hopeless)
        batch = self._fill(outlet, first, now)
        outlet.ready = first + rest
        heapq.heapify(outlet.ready)
        return batch

    def _hopeless(self, key: str) -> tuple[bool, int]:
        lane = self._lanes[key]
        return lane.is_refused, lane.failures

    def _fill(
        self, outlet: Outlet, ready: list[tuple[int, str]], now: float
    ) -> tuple[Event, ...]:
        """A batch of the first events of a heap of lanes, which leave it."""
        limits = outlet.limits
        batch: list[Event] = []
        size = 0
        while ready:
            key = ready[0][1]
            lane = self._lanes[key]
            if lane.events[0].problem:
                heapq.heappop(ready)
                self._settle_unsent(key, outlet, ready, now)
                continue
            is_alone = lane.failures >= ALONE
            if is_alone and batch:
                break
            for event in lane.events if outlet.in_order else (lane.events[0],):
                if event.problem or (
                    batch
                    and (
                        len(batch) == limits.entries or size + event.size > limits.bytes
                    )
                ):
                    break
                batch.append(event)
                size += event.size
                lane.in_flight += 1
            if not lane.in_flight:
                break
            heapq.heappop(ready)
            if is_alone:
                break
        return tuple(batch)

    def settle(
        self, batch: Sequence[Event], results: Sequence[Result], now: float
    ) -> list[Event]:
        """Take in how each event of a batch fared; the acknowledged ones.

        An event whose fate is unknown is sent again, with the same body and name.
        """
        outlet = self.outlet(batch[0])
        outlet.calls -= 1
        self._judge(outlet, batch, results, now)
        acknowledged = []
        touched: dict[str, tuple[Event, Result] | None] = {}
        for event, result in zip(batch, results, strict=True):
            key = self._lane_of[event.id]
            lane = self._lanes[key]
            lane.in_flight -= 1
            failed = touched.setdefault(key, None)
            if failed is None and result.outcome is Outcome.ACKNOWLEDGED:
                lane.events.popleft()
                lane.trouble = None
                del self._lane_of[event.id]
                acknowledged.append(event)
            elif failed is None:
                touched[key] = event, result
        for key, failed in touched.items():
            if failed is None:
                self._go_on(key)
            else:
                self._fail(key, *failed, now, is_alone=len(batch) == 1)
        return acknowledged

    # Dead letters

    def next_letters(self) -> tuple[DeadLetter, ...]:
        """What is to be parked next; `settle_letters` or `defer_letters` follows."""
        letters: list[DeadLetter] = []
        while self._parking and len(letters) < PARK:
            lane = self._lanes[self._parking.popleft()]
            if lane.verdict is not None:
                letters.append(lane.verdict)
            else:
                letters += (DeadLetter(e, "behind", True) for e in lane.events)
        return tuple(letters)

    def settle_letters(self, letters: Sequence[DeadLetter], parked: Parked) -> None:
        """Take in what has become of them.

        Where some are not, somebody has put dead letters of the key back, or discarded
        them: what is in the outbox is read again, since there may be earlier ones.
        """
        lanes: dict[str, list[DeadLetter]] = {}
        for letter in letters:
            lanes.setdefault(self._lane_of[letter.event.id], []).append(letter)
        for key, of_lane in lanes.items():
            lane = self._lanes[key]
            lane.verdict = None
            event_key = of_lane[0].event.key
            is_missing = False
            for letter in of_lane:
                if letter.event.id in parked.ids:
                    lane.events.remove(letter.event)
                    lane.trouble = None
                    del self._lane_of[letter.event.id]
                else:
                    is_missing = True
            if event_key in parked.keys:
                self._hold_lane(key, event_key)
            elif event_key in self._parked:
                self._parked.discard(event_key)
                self._forgotten.append(0)
            if is_missing:
                self._forget_lane(key)
            else:
                self._go_on(key)

    def defer_letters(self, letters: Sequence[DeadLetter]) -> None:
        """They could not be parked now."""
        keys = dict.fromkeys(self._lane_of[letter.event.id] for letter in letters)
        self._parking.extendleft(reversed(keys))

    # Below: how lanes move between ready, in flight, waiting and parking.

    def _choose_lane(self, event: Event, outlet: Outlet) -> str:
        """The key of the lane for an event: that of its row, but for an outlet in
        order, which has one for all, and one for each key that is held up."""
        if not outlet.in_order:
            return event.key
        own = f"\n{outlet.name}\n{event.key}"
        if event.key in self._parked or own in self._own:
            self._own.add(own)
            return own
        return f"\n{outlet.name}"

    def _outlet_of(self, lane: Lane) -> Outlet:
        return self.outlet(lane.events[0])

    def _forget(self, event: Event) -> None:
        del self._lane_of[event.id]
        self._forgotten.append(event.id)

    def _forget_lane(self, key: str) -> None:
        for event in self._lanes.pop(key).events:
            self._forget(event)
        self._own.discard(key)
        self._held.discard(key)

    def _shorten_lane(self, key: str) -> None:
        lane = self._lanes.get(key)
        while lane and len(lane.events) > max(KEPT, lane.in_flight):
            self._forget(lane.events.pop())

    def _wake(self, key: str) -> None:
        """A lane has waited long enough."""
        lane = self._lanes[key]
        if lane.events[0].problem and lane.trouble is not None:
            # Somebody may have mended the row meanwhile.
            self._forget_lane(key)
        else:
            heapq.heappush(self._outlet_of(lane).ready, (lane.events[0].id, key))

    def _go_on(self, key: str) -> None:
        """The first event of a lane is done with, or is to be sent again at once."""
        lane = self._lanes.get(key)
        if lane is None:
            return
        lane.failures, lane.is_refused = 0, False
        self._held.discard(key)
        if not lane.events:
            del self._lanes[key]
            self._own.discard(key)
        elif lane.events[0].key in self._parked:
            self._parking.append(key)
        else:
            heapq.heappush(self._outlet_of(lane).ready, (lane.events[0].id, key))

    def _settle_unsent(
        self, key: str, outlet: Outlet, ready: list[tuple[int, str]], now: float
    ) -> None:
        """The first event of a lane has no envelope that could be sent."""
        lane = self._lanes[key]
        event = lane.events[0]
        if outlet.in_order and key not in self._own:
            # All keys are in this lane; from here on this one has its own.
            own = self._split(key, event.key)
            if lane.events:
                heapq.heappush(ready, (lane.events[0].id, key))
            else:
                del self._lanes[key]
            key = own
        outcome = Outcome.OVERSIZED if event.is_oversized else Outcome.REFUSED
        self._fail(key, event, Result(outcome, event.problem), now, is_alone=True)

    def _fail(
        self, key: str, event: Event, result: Result, now: float, *, is_alone: bool
    ) -> None:
        lane = self._lanes[key]
        lane.is_refused = result.outcome in (Outcome.REFUSED, Outcome.OVERSIZED)
        trouble = lane.trouble or Trouble(now, result.reason, result.reason)
        trouble.last_error = result.reason
        outlet = self.outlet(event)
        # Where a whole call has failed it is not known whose fault that is.
        if not outlet.is_down and (is_alone or result.outcome is not Outcome.UNKNOWN):
            trouble.attempts += 1
        lane.trouble = trouble
        reason = self._policy.verdict(
            result.outcome,
            attempts=trouble.attempts,
            age=now - trouble.since,
            is_down=outlet.is_down,
        )
        if reason is not None:
            lane.verdict = DeadLetter(
                event,
                reason,
                holds_key=not self._policy.skips,
                attempts=trouble.attempts,
                first_error=trouble.first_error,
                last_error=trouble.last_error,
                age=now - trouble.since,
            )
            self._parking.append(key)
            return
        # A row that cannot be sent as it is is looked at anew, and not soon.
        longest = LONGEST_DELAY if event.problem else delay(lane.failures)
        lane.failures += 1
        heapq.heappush(outlet.waiting, (now + longest * self._jitter(), key))

    def _judge(
        self,
        outlet: Outlet,
        batch: Sequence[Event],
        results: Sequence[Result],
        now: float,
    ) -> None:
        taken = results.count(ACKNOWLEDGED)
        if taken == len(results):
            # What would be forgotten at once need not be looked at.
            batch, results = batch[-RECENT:], results[-RECENT:]
        firsts = [
            (event.id, result.outcome is Outcome.ACKNOWLEDGED)
            for event, result in zip(batch, results, strict=True)
            # That it is too large is the event's own fault, and what was not sent tells
            # nothing.
            if result.outcome is not Outcome.OVERSIZED
            and result is not LEASE_RAN_OUT
            and self._lanes[self._lane_of[event.id]].trouble is None
        ]
        outlet.health.judge(firsts, has_taken=taken > 0)
        if outlet.is_down:
            longest = delay(outlet.health.failures - 1)
            outlet.probe_at = now + longest * self._jitter()
        self._reopen(outlet)

    def _reopen(self, outlet: Outlet) -> None:
        """Let the events of a shut outlet in again, if none of its group is known to be
        down, and none ever will be known to be up otherwise."""
        group = self._groups[outlet.name]
        if not outlet.is_shut or any(o.is_down and not o.is_untried for o in group):
            return
        for each in group:
            each.is_shut = False
        # What was left in the outbox may be before what comes now.
        self._forgotten.append(0)

    def _hold_lane(self, key: str, event_key: str) -> None:
        """Later events of a key have to wait: in a lane of their own."""
        self._parked.add(event_key)
        if key in self._own or key == event_key:
            return
        own = self._split(key, event_key)
        if self._lanes[own].events:
            self._parking.append(own)
        else:
            del self._lanes[own]
            self._own.discard(own)

    def _split(self, key: str, event_key: str) -> str:
        """Give the events of one key a lane of their own; its key."""
        lane = self._lanes[key]
        own = f"{key}\n{event_key}"
        self._own.add(own)
        events = deque(event for event in lane.events if event.key == event_key)
        lane.events = deque(e for e in lane.events if e.key != event_key)
        self._lanes[own] = Lane(events)
        for event in events:
            self._lane_of[event.id] = own
        return own


def groups(outlets: Sequence[Outlet]) -> dict[str, tuple[Outlet, ...]]:
    """By the name of an outlet those that share a place with it, and so on."""
    found: list[list[Outlet]] = []
    for outlet in outlets:
        same = [g for g in found if any(o.reaches & outlet.reaches for o in g)]
        found = [group for group in found if group not in same]
        found.append([*(each for group in same for each in group), outlet])
    return {outlet.name: tuple(group) for group in found for outlet in group}


def delay(failures: int) -> float:
    """Seconds to wait at most after so many failures and one."""
    return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures, 16))
