"""The relay's threads: one for each call to the sink, and one that reads."""

from __future__ import annotations

import contextlib
import functools
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias, TypeVar

from ..errors import ConnectionLost
from .action import Measure, Publish, Read
from .backlog import Backlog
from .destinations import Destinations
from .event import Event
from .metrics import Metrics
from .outbox import Outbox
from .sinks.sink import LEASE_RAN_OUT, Result
from .term import Term

__all__ = ["Done", "Hands"]

T = TypeVar("T")

#: What a thread has done: for which term, the action, when it was begun, and its answer
#: or why there is none.
Done: TypeAlias = "tuple[Term, Publish | Read | Measure, float, Any]"


class Hands:
    """Carries out what a term asks for beside statements, and tells when it is done.

    Leaving it waits for what is in flight: an event is not sent again while an earlier
    call may still arrive with it.
    """

    def __init__(
        self,
        outbox: Outbox,
        destinations: Destinations,
        clock: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self._outbox, self._clock, self._metrics = outbox, clock, metrics
        self._destinations = destinations
        # Not a SimpleQueue: up to Python 3.12 its get() never ends if a signal is
        # handled while it waits, and the time-out is over by then.
        self._done: queue.Queue[Done] = queue.Queue()
        self._reader: Outbox | None = None
        self._is_closing = False
        self._publishing = ThreadPoolExecutor(destinations.calls, "publish")
        self._reading = ThreadPoolExecutor(1, "read")

    def __enter__(self) -> Hands:
        return self

    def __exit__(self, *exception: object) -> None:
        self.join()

    def join(self) -> None:
        self._publishing.shutdown()
        self._is_closing = True
        if self._reader is not None:
            self._reader.abort()
        self._reading.shutdown(cancel_futures=True)
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def publish(self, call: Publish, term: Term) -> None:
        send = functools.partial(self._send, term)
        self._publishing.submit(self._do, term, call, send)

    def read(self, read: Read, term: Term) -> None:
        self._reading.submit(self._do, term, read, self._read)

    def measure(self, measure: Measure, term: Term) -> None:
        self._reading.submit(self._do, term, measure, self._measure)

    def done(self, seconds: float) -> Iterator[Done]:
        """What has been done; waits so long for the first."""
        with contextlib.suppress(queue.Empty):
            yield (
                self._done.get(timeout=seconds) if seconds else self._done.get_nowait()
            )
            while True:
                yield self._done.get_nowait()

    def _do(
        self, term: Term, action: Publish | Read | Measure, run: Callable[[Any], Any]
    ) -> None:
        asked_at = self._clock()
        answer: Any
        try:
            answer = run(action)
        except BaseException as error:
            answer = error
        self._done.put((term, action, asked_at, answer))

    def _send(self, term: Term, call: Publish) -> Sequence[Result]:
        def may_send() -> bool:
            return term.may_send(self._clock())

        # In a thread, perhaps long after it was submitted.
        if not may_send():
            return [LEASE_RAN_OUT] * len(call.events)
        number = self._metrics.begins(call.outlet, self._clock())
        try:
            return self._destinations.sinks[call.outlet].publish(call.events, may_send)
        finally:
            self._metrics.ends(call.outlet, number, self._clock())

    def _read(self, read: Read) -> list[Event]:
        return self._ask(
            lambda reader: reader.read(
                read.limit,
                floor=read.floor,
                besides=read.besides,
                besides_keys=read.besides_keys,
                wanted=self._destinations.wanted(read.besides_outlets),
            )
        )

    def _measure(self, measure: Measure) -> Backlog:
        return self._ask(lambda reader: reader.backlog(measure.floor))

    def _ask(self, question: Callable[[Outbox], T]) -> T:
        try:
            return self._ask_once(question)
        except ConnectionLost:
            # It may only have been idle for too long: nothing depends on it.
            if self._reader is None or self._is_closing:
                raise
            self._reader.close()
            self._reader = None
            return self._ask_once(question)

    def _ask_once(self, question: Callable[[Outbox], T]) -> T:
        if self._reader is None:
            self._reader = self._outbox.reader()
            if self._is_closing:
                # `join` found no connection to abort: a read may take a minute.
                raise ConnectionLost("the relay ends", number=0)
        return question(self._reader)
