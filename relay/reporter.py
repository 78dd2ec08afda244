"""Prints the metrics of a relay that runs for a minute or two, for CloudWatch."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from . import emf
from .metrics import Metrics

__all__ = ["EVERY", "Reporter"]

#: Seconds between two lines at most: an alarm looks once a minute.
EVERY = 50.0


def _print(text: str) -> None:
    print(text, flush=True)


class Reporter:
    """While it is entered, a line of metrics now and then; one more when it is left.

    ::

        relay = Relay(…, measure_every=MEASURE_EVERY)
        with Reporter(relay.metrics, outbox="evtrig"):
            relay.run()

    Its thread ends with it. ``clock`` is the relay's, ``wall`` gives seconds since 1970
    and ``write`` takes one line without its end.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        outbox: str,
        every: float = EVERY,
        write: Callable[[str], object] = _print,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._metrics, self._outbox, self._every = metrics, outbox, every
        self._write, self._clock, self._wall = write, clock, wall
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="report", daemon=True)

    def __enter__(self) -> Reporter:
        self._last = self._metrics.snapshot(self._clock())
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ends.set()
        self._thread.join()
        self._tell()

    def _run(self) -> None:
        while not self._ends.wait(self._every):
            self._tell()

    def _tell(self) -> None:
        now = self._metrics.snapshot(self._clock())
        text = emf.line(now, outbox=self._outbox, at=self._wall(), since=self._last)
        self._last = now
        self._write(text)
