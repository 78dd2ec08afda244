"""The relay's core as it ships, one step at a time, with its states numbered.

The core is deterministic, and much the same few thousand states of it meet in every
state of the world. So each step is taken once, by the shipped classes, and remembered;
the search then handles numbers.

Two states of a core are one if they differ in nothing that can make a difference. That
is said here by exception: every attribute of every object counts, but for those below,
and an attribute that somebody adds counts until it is put on a list. Of a time only
whether it has come counts, because a step may be taken now, or after a leap that makes
all times come.
"""

from __future__ import annotations

import enum
import pickle
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from evtrig.relay import term
from evtrig.relay.action import Publish, Read, Statement
from evtrig.relay.event import Event
from evtrig.relay.health import RECENT
from evtrig.relay.scheduler import ALONE
from evtrig.relay.sinks.sink import Result
from evtrig.relay.term import Term

__all__ = ["Core", "Cores", "Facts", "no_jitter", "set_window"]

#: Seconds after which every time has come, a holder's that is given up (301) too.
LEAP = 1000.0
#: Seconds that a step takes: no two of them are at the same time.
TICK = 1e-6

#: When something is due.
TIMES = frozenset({
    *("_read_at", "_head_at", "_watch_at", "_delete_at", "_park_at"),
    "_pause_until",
    *("_wait_until", "_gone_at", "_look_at", "probe_at"),
})  # fmt: skip
#: Delays, which are over after any leap; numbers of calls, which tell their events;
#: what only the log or the text of a dead letter shows; what never changes.
OF_NO_MATTER = frozenset({
    *("_poll", "_numbers", "_since", "since", "age", "holder"),
    *("first_error", "last_error"),
    *("_options", "_policy", "_jitter", "_only"),
})  # fmt: skip
#: Of a lease, once it is held: nothing else is ever asked for but to keep it.
OF_WAITING = frozenset({
    *("_take_over", "_seen", "_must_claim", "_must_look", "_wait_until"),
    *("_watched", "_gone_at", "_gone"),
})  # fmt: skip
PLAIN = frozenset({int, str, bool, float})

#: What a clock gives a meaning; times of lanes among them.
CLOCK = frozenset({"_since", "waiting", "_ended_at"})
#: Of a term, as long as the window is larger than all there is.
OF_SIZE = frozenset({"_average"})


def no_jitter() -> float:
    return 1.0


def set_window(events: int) -> None:
    """How many events a core holds at most, until the next world says otherwise: it
    cannot be handed in."""
    term.WINDOW = term.FIRST_READ = events


@dataclass(frozen=True)
class Facts:
    """What the world has to know of a core."""

    is_over: bool
    end: str | None
    #: Of the lease that is held, or claimed; 0 if none is.
    epoch: int


class Core:
    """A term, its clock, and when the statement and the read that it waits for were
    begun."""

    def __init__(self, term: Term) -> None:
        self.term = term
        self.now = 0.0
        self.statement: Statement | None = None
        self.asked_at = 0.0
        self.read_at = 0.0

    # The steps. Each returns what the world has to carry out.

    def ask(self, leaps: bool) -> Statement | None:
        self._pass(leaps)
        self.statement, self.asked_at = self.term.statement(self.now), self.now
        return self.statement

    def read(self, leaps: bool) -> Read | None:
        self._pass(leaps)
        self.read_at = self.now
        return self.term.read(self.now)

    def publish(self, leaps: bool) -> tuple[Event, ...] | None:
        self._pass(leaps)
        call = self.term.publish(self.now)
        return call.events if call else None

    def answer(self, answer: Any) -> None:
        self._pass()
        statement, self.statement = self.statement, None
        assert statement is not None
        self.term.has_done(statement, answer, self.asked_at, self.now)

    def hinder(self) -> None:
        self._pass()
        statement, self.statement = self.statement, None
        assert statement is not None
        self.term.is_hindered(statement, self.now)

    def see(self, events: tuple[Event, ...]) -> None:
        self._pass()
        reading = self.term._reading
        assert reading is not None
        self.term.has_done(reading, list(events), self.read_at, self.now)

    def settle(self, events: tuple[Event, ...], results: Sequence[Result]) -> None:
        self._pass()
        self.term.has_done(self._call(events), results, self.now, self.now)

    def finish(self) -> None:
        self.term.finish("stopped")

    def _call(self, events: tuple[Event, ...]) -> Publish:
        calls = self.term._calls.values()
        return next(call for call in calls if call.events == events)

    def _pass(self, leaps: bool = False) -> None:
        self.now += LEAP if leaps else TICK

    def at(self, now: float, step: Callable[..., Any], *arguments: Any) -> Any:
        """A step by a clock."""
        self.now = now - TICK
        return step(self, *arguments)

    def may_send(self) -> bool:
        return self.term.may_send(self.now + TICK)

    def facts(self) -> Facts:
        lease = self.term.lease
        epoch = 0 if lease.is_lost else lease.epoch
        return Facts(self.term.is_over, self.term.end, epoch)


class Cores:
    """Every state that a core was met in, by number.

    ``most_attempts`` is after how many an event is given up, 0 for never;
    ``most_failures`` how many events may fail that were sent for the first time;
    ``most_events`` how many there may be, if a window always holds all of them. Where
    the world ``has_clock`` a time counts as it is.
    """

    def __init__(
        self,
        *,
        most_attempts: int = 0,
        most_failures: int = 10,
        most_events: int | None = None,
        has_clock: bool = False,
    ) -> None:
        self._has_clock = has_clock
        self.facts: list[Facts] = []
        self._pickled: list[bytes] = []
        self._numbers: dict[Any, int] = {}
        self._steps: dict[Any, tuple[int, Any]] = {}
        self._most_attempts = most_attempts
        self._most_failures = most_failures
        self._most_events = most_events

    def __len__(self) -> int:
        return len(self.facts)

    def number(self, core: Core) -> int:
        key = self._key(core)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.facts)
            self.facts.append(core.facts())
            self._pickled.append(pickle.dumps(core, -1))
        return number

    def step(
        self, number: int, step: Callable[..., Any], *arguments: Any
    ) -> tuple[int, Any]:
        """The state after a step, and what the core asked for."""
        key = number, step, arguments
        found = self._steps.get(key)
        if found is None:
            core = self.core(number)
            asked = step(core, *arguments)
            found = self._steps[key] = self.number(core), asked
        return found

    def core(self, number: int) -> Core:
        """One in this state."""
        core = pickle.loads(self._pickled[number])
        assert isinstance(core, Core)
        return core

    def _key(self, core: Core) -> Any:
        no_matter = OF_NO_MATTER
        if core.term.lease.is_held or core.term.lease.is_lost:
            no_matter |= OF_WAITING
        if self._most_events is not None:
            no_matter |= OF_SIZE
        if self._most_failures < 2:
            # The fewest that make a sink seem down are 2 of 3.
            no_matter |= {"_recent"}
        if self._has_clock:
            no_matter -= TIMES | CLOCK
        return self._of(core.term, core, no_matter), self._of(
            core.statement, core, no_matter
        )

    def _of(self, value: Any, core: Core, no_matter: frozenset[str]) -> Any:
        kind = type(value)
        if value is None or kind in PLAIN:
            return value
        if kind is Event:
            return value.id, value.uid
        if kind in (list, deque, tuple):
            return tuple([self._of(item, core, no_matter) for item in value])
        if kind in (set, frozenset):
            return frozenset(value)
        if kind is dict:
            return frozenset(
                [(key, self._of(item, core, no_matter)) for key, item in value.items()]
            )
        if isinstance(value, enum.Enum):
            return value
        parts = [
            item
            if item is None or type(item) is bool
            else self._attribute(name, item, core, no_matter)
            for name, item in vars(value).items()
            if name not in no_matter
        ]
        return kind, *parts

    def _attribute(
        self, name: str, value: Any, core: Core, no_matter: frozenset[str]
    ) -> Any:
        now = core.now
        if name in TIMES:
            return value if self._has_clock else value <= now
        match name:
            case "_reading":
                # Of no matter is what was known already: who carries it out has that.
                limit = value.limit
                if self._most_events is not None:
                    assert limit > self._most_events
                    limit = 0
                return limit, value.floor, value.besides_keys
            case "waiting":
                if self._has_clock:
                    return tuple(sorted(value))
                return frozenset([(key, at <= now) for at, key in value])
            case "ready":
                return tuple(sorted(value))
            case "_calls":
                return frozenset(
                    [self._of(call.events, core, no_matter) for call in value.values()]
                )
            case "_recent":
                # Counted only, as long as it is not full.
                assert len(value) < RECENT
                return len(value), sum(value.values())
            case "_ended_at":
                if self._has_clock:
                    return value
                # Whether the read under way was begun before.
                return core.term._reading is not None and core.read_at < value
            case "failures":
                return min(value, ALONE)
            case "attempts":
                return min(value, self._most_attempts)
        return self._of(value, core, no_matter)
