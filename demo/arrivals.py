"""The demo's sink: takes every event and remembers when it came."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence

from ..relay.event import Event
from ..relay.sinks.sink import ACKNOWLEDGED, LEASE_RAN_OUT, Limits, Result
from .checker import Envelope

__all__ = ["Arrivals"]


class Arrivals:
    """A sink in memory, read by another thread than the relay's."""

    name = "demo"
    limits = Limits(entries=10, bytes=1024 * 1024)
    in_order = True

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._is_closed = False
        #: In the order of arrival; it only grows.
        self.events: list[Envelope] = []
        #: When each came, by the clock.
        self.times: list[float] = []

    def check(self, *, thoroughly: bool = False, once: bool = False) -> Sequence[str]:
        return ()

    def publish(
        self, events: Sequence[Event], may_send: Callable[[], bool]
    ) -> Sequence[Result]:
        envelopes = [json.loads(event.body) for event in events]
        with self._changed:
            if not may_send():
                return [LEASE_RAN_OUT] * len(events)
            self.events += envelopes
            self.times += [self._clock()] * len(envelopes)
            self._changed.notify_all()
        return [ACKNOWLEDGED] * len(events)

    def close(self) -> None:
        """Nothing more comes: whoever waits need not."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def wait_for(self, count: int, seconds: float) -> bool:
        """Wait until so many events have come in all; False if they have not."""
        with self._changed:
            self._changed.wait_for(
                lambda: len(self.events) >= count or self._is_closed, seconds
            )
            return len(self.events) >= count
