"""Several destinations of the same events."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from ...errors import SinkError
from ..event import Event
from .sink import ACKNOWLEDGED, LEASE_RAN_OUT, Limits, Outcome, Result, Sink

__all__ = ["FanOut", "Shared"]

#: What is said of an event that did not get everywhere: first what passes, so that one
#: destination which will never take it keeps it from no other.
WORST = (Outcome.UNKNOWN, Outcome.RETRY, Outcome.REFUSED, Outcome.OVERSIZED)
#: Events that are remembered to have got somewhere, at most; more are sent again.
MEMORY = 20_000


class FanOut:
    """A sink that sends each event to all of ``sinks``, by name.

    An event is acknowledged when each of them has acknowledged it. It is not sent again
    to those that have, as long as this process remembers.
    """

    in_order = False

    def __init__(self, sinks: Mapping[str, Sink]) -> None:
        self.name = "+".join(sinks)
        self._sinks = sinks
        #: Where events have got that did not get everywhere yet.
        self._got_to: dict[str, frozenset[str]] = {}
        self._lock = threading.Lock()

    @property
    def limits(self) -> Limits:
        """What all of them take."""
        limits = [sink.limits for sink in self._sinks.values()]
        return Limits(
            entries=min(each.entries for each in limits),
            bytes=min(each.bytes for each in limits),
            calls=min(each.calls for each in limits),
        )

    def check(self, *, thoroughly: bool = False, once: bool = False) -> Sequence[str]:
        found: list[str] = []
        for sink in self._sinks.values():
            found += sink.check(thoroughly=thoroughly, once=once)
        return found

    def publish(
        self, events: Sequence[Event], may_send: Callable[[], bool]
    ) -> Sequence[Result]:
        results: list[Result] = [ACKNOWLEDGED] * len(events)
        got_to = [self._got_to.get(event.name, frozenset()) for event in events]
        for name, sink in self._sinks.items():
            todo = [n for n, already in enumerate(got_to) if name not in already]
            if not todo:
                continue
            try:
                answers = sink.publish([events[n] for n in todo], may_send)
            except SinkError:
                # Until somebody has mended it this is tried again and again.
                unknown = Result(Outcome.UNKNOWN)
                self._remember(events, got_to, [unknown] * len(events))
                raise
            for n, answer in zip(todo, answers, strict=True):
                if answer.outcome is Outcome.ACKNOWLEDGED:
                    got_to[n] |= {name}
                else:
                    results[n] = worse(results[n], answer, name)
        self._remember(events, got_to, results)
        return results

    def close(self) -> None:
        for sink in self._sinks.values():
            sink.close()

    def _remember(
        self,
        events: Sequence[Event],
        got_to: Sequence[frozenset[str]],
        results: Sequence[Result],
    ) -> None:
        with self._lock:
            for event, names, result in zip(events, got_to, results, strict=True):
                self._got_to.pop(event.name, None)
                if names and result is not ACKNOWLEDGED:
                    self._got_to[event.name] = names
            while len(self._got_to) > MEMORY:
                del self._got_to[next(iter(self._got_to))]


def worse(one: Result, other: Result, name: str) -> Result:
    """The result to go by; ``other`` is that of the destination ``name``."""
    if LEASE_RAN_OUT in (one, other):
        return LEASE_RAN_OUT
    other = Result(other.outcome, f"{name}: {other.reason}")
    if one.outcome is Outcome.ACKNOWLEDGED:
        return other
    return min(one, other, key=lambda result: WORST.index(result.outcome))


class Shared:
    """A sink that several outlets use: it gets no more calls at once than it takes."""

    #: A batch may be one ordered write still, but there are those of the other outlets:
    #: the events of a row go one at a time.
    in_order = False

    def __init__(self, sink: Sink) -> None:
        self.name = sink.name
        self._sink = sink
        self._calls = threading.BoundedSemaphore(sink.limits.calls)

    @property
    def limits(self) -> Limits:
        return self._sink.limits

    def check(self, *, thoroughly: bool = False, once: bool = False) -> Sequence[str]:
        return self._sink.check(thoroughly=thoroughly, once=once)

    def publish(
        self, events: Sequence[Event], may_send: Callable[[], bool]
    ) -> Sequence[Result]:
        with self._calls:
            return self._sink.publish(events, may_send)

    def close(self) -> None:
        self._sink.close()
