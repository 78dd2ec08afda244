"""What a relay has done, and how it is: for whoever has to look after it.

Its threads count here, and whoever tells people (emf.py, prometheus.py) takes a
snapshot. No I/O, no clock: times are seconds of the relay's own, which is monotonic.

What costs time is done once a call to a sink, and not once an event. No name and no
number here is taken from a row; a sink is known by the name of its outlet.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from .backlog import Backlog
from .envelope import captured_at
from .event import Event
from .histogram import Histogram
from .sinks.error_code import is_untaken
from .sinks.sink import ACKNOWLEDGED, LEASE_RAN_OUT, Outcome, Result

__all__ = ["ANSWERS", "CALLS", "Metrics", "Role", "SinkCounts", "Snapshot"]

#: Bounds for a call to a sink, and for the way from a change to its acknowledgement,
#: which may be hours where the sink was down. In seconds.
CALL = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
DELIVERY = (*CALL[2:], 60, 300, 900, 3600)

#: What may become of an event that is to be sent: an Outcome, or that the lease ran out
#: before it was.
ANSWERS = (*(outcome.value for outcome in Outcome), "unsent")
#: What may become of a call: every event was acknowledged, some were, or none and this
#: is why; ``error`` is that nothing can be taken before somebody mends something.
CALLS = ("acknowledged", "partly", "retry", "refused", "unknown", "unsent", "error")
#: Of several reasons for which none was acknowledged, the one that tells most.
FIRST = ("unknown", "retry", "oversized", "refused", "unsent")

REFUSALS = (Outcome.REFUSED, Outcome.OVERSIZED)

#: Seconds for which what was measured is as good as new.
FRESH = 1.0
#: Seconds for which a row that is no event is known to be there: every few seconds it
#: is read again.
SEEN = 20.0

#: It publishes · it could, if the one that does ended · it has no connection.
Role: TypeAlias = Literal["leader", "standby", "disconnected"]


@dataclass
class SinkCounts:
    """What went to one outlet."""

    #: Events, by one of ANSWERS; each time that an event was sent.
    events: Counter[str] = field(default_factory=Counter)
    #: Calls, by one of CALLS.
    calls: Counter[str] = field(default_factory=Counter)
    #: Seconds that calls took.
    latency: Histogram = field(default_factory=lambda: Histogram(CALL))
    #: Seconds from the statement that made the first event of a call to its
    #: acknowledgement. Only while the backlog is measured: that tells the time.
    delivery: Histogram = field(default_factory=lambda: Histogram(DELIVERY))
    #: When each call that is in flight was begun, by its number.
    begun: dict[int, float] = field(default_factory=dict)
    #: Whether it takes next to nothing.
    is_down: bool = False

    def copy(self) -> SinkCounts:
        return SinkCounts(
            Counter(self.events),
            Counter(self.calls),
            self.latency.copy(),
            self.delivery.copy(),
            dict(self.begun),
            self.is_down,
        )

    def since(self, earlier: SinkCounts) -> SinkCounts:
        return replace(
            self,
            events=self.events - earlier.events,
            calls=self.calls - earlier.calls,
            latency=self.latency.since(earlier.latency),
            delivery=self.delivery.since(earlier.delivery),
        )


@dataclass(frozen=True)
class Snapshot:
    """All of it at one moment; nothing in it changes any more."""

    #: The moment.
    at: float
    #: By the names of their outlets.
    sinks: Mapping[str, SinkCounts] = field(default_factory=dict)
    #: Rows that are no event, each time that one was read.
    unreadable: int = 0
    #: Events moved to the dead letters.
    parked: int = 0
    #: How often the lease was had, and how often it was lost to another relay, or with
    #: the connection. Letting it go is neither.
    gained: int = 0
    lost: int = 0
    #: How many keys wait behind an event that was refused, or a row that is none.
    blocked: int = 0
    role: Role = "disconnected"
    #: What waited when that was last measured, and when; None if it is not known.
    backlog: Backlog | None = None
    measured_at: float = float("-inf")
    #: Seconds since the relay's loop last turned.
    idle: float = 0.0

    @property
    def is_held(self) -> bool:
        """Whether the lease lets events leave at this moment."""
        return self.role == "leader"

    @property
    def published(self) -> int:
        """Events acknowledged."""
        return self._events("acknowledged")

    @property
    def repeated(self) -> int:
        """Events sent again though the sink may have them: their fate was unknown."""
        return self._events("unknown")

    @property
    def retried(self) -> int:
        """Events sent again, for whatever reason."""
        return self._events("retry", "unknown", "unsent")

    @property
    def refused(self) -> int:
        """Answers that the sink will never take an event, and rows that are none."""
        return self._events("refused", "oversized") + self.unreadable

    @property
    def calls(self) -> Counter[str]:
        """Of all sinks together, by one of CALLS."""
        return sum((sink.calls for sink in self.sinks.values()), Counter())

    @property
    def latency(self) -> Histogram:
        return _together(CALL, (sink.latency for sink in self.sinks.values()))

    @property
    def delivery(self) -> Histogram:
        return _together(DELIVERY, (sink.delivery for sink in self.sinks.values()))

    @property
    def down(self) -> tuple[str, ...]:
        """Outlets that take next to nothing."""
        return tuple(name for name, sink in self.sinks.items() if sink.is_down)

    def oldest_call(self, name: str) -> float:
        """Seconds since the oldest call in flight was begun; 0.0 without one."""
        begun = self.sinks[name].begun.values()
        return max(0.0, self.at - min(begun)) if begun else 0.0

    def since(self, earlier: Snapshot) -> Snapshot:
        """What was counted after ``earlier``; how it is, it is now.

        What was measured before is left out.
        """
        none = SinkCounts()
        is_new = self.measured_at > earlier.at
        return replace(
            self,
            sinks={
                name: sink.since(earlier.sinks.get(name, none))
                for name, sink in self.sinks.items()
            },
            unreadable=self.unreadable - earlier.unreadable,
            parked=self.parked - earlier.parked,
            gained=self.gained - earlier.gained,
            lost=self.lost - earlier.lost,
            backlog=self.backlog if is_new else None,
        )

    def _events(self, *answers: str) -> int:
        return sum(sink.events[a] for sink in self.sinks.values() for a in answers)


class Metrics:
    """See the module. May be written and read by any thread."""

    def __init__(self, sinks: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._is_measured = threading.Condition(self._lock)
        #: Whether somebody waits for that.
        self.is_asked = False
        self._sinks = {name: SinkCounts() for name in sinks}
        self._numbers = 0
        self._unreadable = self._parked = self._gained = self._lost = 0
        #: Keys of events that were refused and have not gone since.
        self._blocked: set[str] = set()
        #: Of rows that are no event, with when they were last read.
        self._no_events: dict[str, float] = {}
        self._backlog: Backlog | None = None
        self._measured_at = float("-inf")
        #: What the database's clock is ahead of the relay's; None if it is not known.
        self._ahead: float | None = None
        #: When the loop last turned, until when the lease lets events leave (None
        #: without it), and whether there is a connection. Replaced as a whole.
        self._turn: tuple[float, float | None, bool] | None = None

    # The relay's loop

    def turned(self, now: float, until: float | None, *, is_connected: bool) -> None:
        """The loop has turned; ``until`` is when the lease is over, if it is held."""
        self._turn = (now, until, is_connected)

    def forget(self) -> None:
        """A term begins: what an earlier one knew of keys and sinks is forgotten."""
        with self._lock:
            self._blocked.clear()
            self._no_events.clear()
            for sink in self._sinks.values():
                sink.is_down = False

    def led(self) -> None:
        """The lease was granted."""
        with self._lock:
            self._gained += 1

    def lost(self) -> None:
        """The lease is another relay's, or the connection is gone that held it."""
        with self._lock:
            self._lost += 1

    # Calls to a sink

    def begins(self, outlet: str, now: float) -> int:
        """A call is begun; its number, for `ends`."""
        with self._lock:
            self._numbers += 1
            self._sink(outlet).begun[self._numbers] = now
            return self._numbers

    def ends(self, outlet: str, number: int, now: float) -> None:
        with self._lock:
            sink = self._sink(outlet)
            sink.latency.observe(now - sink.begun.pop(number))

    def answered(
        self,
        outlet: str,
        events: Sequence[Event],
        results: Sequence[Result],
        now: float,
        *,
        is_error: bool = False,
    ) -> Mapping[Result, int]:
        """How the events of a call fared; the results that are no acknowledgement,
        each with how many had it. ``is_error`` if the call has raised one."""
        failed: Counter[Result] = Counter()
        if results.count(ACKNOWLEDGED) != len(results):
            failed.update(r for r in results if r.outcome is not Outcome.ACKNOWLEDGED)
        taken = len(results) - failed.total()
        with self._lock:
            sink = self._sink(outlet)
            sink.events["acknowledged"] += taken
            for result, count in failed.items():
                sink.events[_answer(result)] += count
            sink.calls["error" if is_error else _kind(taken, failed)] += 1
            if self._blocked or self._no_events or failed:
                self._judge(events, results)
            if self._ahead is not None and results[0].outcome is Outcome.ACKNOWLEDGED:
                made_at = captured_at(events[0].body)
                if made_at is not None:
                    sink.delivery.observe(max(0.0, now + self._ahead - made_at))
        return failed

    def down(self, names: Collection[str]) -> None:
        """The outlets that take next to nothing, and no other."""
        with self._lock:
            for name in names:
                self._sink(name)
            for name, sink in self._sinks.items():
                sink.is_down = name in names

    # Rows of the outbox

    def found_no_event(self, key: str, now: float) -> None:
        """A row cannot be sent."""
        with self._lock:
            self._unreadable += 1
            self._no_events[key] = now

    def parked(self, events: Collection[Event]) -> None:
        """These are dead letters now, and nothing waits behind them."""
        with self._lock:
            self._parked += len(events)
            for event in events:
                self._unblock(event.key)

    def measured(self, backlog: Backlog | None, asked_at: float, now: float) -> None:
        """What waits, as it was asked for at ``asked_at``; None if it was not told."""
        with self._lock:
            self._backlog, self._measured_at = backlog, now
            self.is_asked = False
            self._is_measured.notify_all()
            if backlog is not None:
                # The database looks at its clock when the statement begins.
                self._ahead = backlog.clock - asked_at

    # What others see

    def ask(self, now: float, patience: float) -> None:
        """Have the backlog measured, and wait for that, so many seconds at most; not at
        all if it was just now, or the relay does not publish."""
        with self._lock:
            measured_at = self._measured_at
            if now - measured_at < FRESH or self._role(now) != "leader":
                return
            self.is_asked = True
            self._is_measured.wait_for(
                lambda: self._measured_at != measured_at, patience
            )

    def snapshot(self, now: float) -> Snapshot:
        with self._lock:
            if self._turn is None:
                # Not begun: from here on it counts.
                self._turn = (now, None, False)
            turned_at, *_ = self._turn
            for key, seen_at in list(self._no_events.items()):
                if now - seen_at > SEEN:
                    del self._no_events[key]
            return Snapshot(
                at=now,
                sinks={name: sink.copy() for name, sink in self._sinks.items()},
                unreadable=self._unreadable,
                parked=self._parked,
                gained=self._gained,
                lost=self._lost,
                blocked=len(self._blocked | self._no_events.keys()),
                role=self._role(now),
                backlog=self._backlog,
                measured_at=self._measured_at,
                idle=max(0.0, now - turned_at),
            )

    def _role(self, now: float) -> Role:
        _, until, is_connected = self._turn or (now, None, False)
        if until is not None and now < until:
            return "leader"
        return "standby" if is_connected else "disconnected"

    def _sink(self, outlet: str) -> SinkCounts:
        sink = self._sinks.get(outlet)
        if sink is None:
            sink = self._sinks[outlet] = SinkCounts()
        return sink

    def _judge(self, events: Sequence[Event], results: Sequence[Result]) -> None:
        for event, result in zip(events, results, strict=True):
            if result.outcome in REFUSALS:
                self._blocked.add(event.key)
            elif result.outcome is Outcome.ACKNOWLEDGED:
                self._unblock(event.key)

    def _unblock(self, key: str) -> None:
        self._blocked.discard(key)
        self._no_events.pop(key, None)


def _answer(result: Result) -> str:
    if result == LEASE_RAN_OUT:
        return "unsent"
    # Before it may be whose it is: "orders: AWS.SimpleQueueService.RequestThrottled".
    # The relay sends again in any case; whoever counts duplicates has to know.
    code = result.reason.rpartition(" ")[2]
    if result.outcome is Outcome.UNKNOWN and is_untaken(code):
        return "retry"
    return result.outcome.value


def _kind(taken: int, failed: Mapping[Result, int]) -> str:
    if not failed:
        return "acknowledged"
    if taken:
        return "partly"
    answers = {_answer(result) for result in failed}
    kind = next(answer for answer in FIRST if answer in answers)
    return "refused" if kind == "oversized" else kind


def _together(bounds: Sequence[float], histograms: Iterable[Histogram]) -> Histogram:
    total = Histogram(bounds)
    for each in histograms:
        total = total.plus(each)
    return total
