"""One term of office: what a relay does from being granted the lease to losing it."""

from __future__ import annotations

import logging
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from ..database.connection import RETRY
from ..errors import DatabaseError, SinkError
from .event import Event
from .lease import TTL, Lease
from .outbox import Outbox
from .scheduler import Scheduler
from .sinks.sink import Outcome, Result, Sink

__all__ = ["Options", "Summary", "Term"]

log = logging.getLogger(__name__)

#: Events held in memory at most, and the bytes they are meant to stay below.
WINDOW = 5000
WINDOW_BYTES = 32 * 1024 * 1024
#: Events of the first read, before their size is known.
FIRST_READ = 200

#: Seconds between two looks into an empty outbox, doubling from the first to the last.
SHORTEST_POLL = 0.001
LONGEST_POLL = 0.05
#: Seconds between two looks whether a newer relay waits for the lease.
HAND_OVER_POLL = 0.2


@dataclass(frozen=True)
class Options:
    """When a relay stops, and how it comes to its lease."""

    #: Stop after one batch of what was read first.
    once: bool = False
    #: Stop when the outbox is empty.
    drain: bool = False
    #: Stop after this many seconds; None for never.
    max_seconds: float | None = None
    #: Take the lease from whoever has it instead of waiting.
    take_over: bool = False
    ttl: int = TTL


@dataclass
class Summary:
    """What a relay did."""

    published: int = 0
    #: Events sent again because their fate was unknown, or the sink was busy.
    retried: int = 0
    #: Answers that said the sink will never take an event.
    refused: int = 0
    #: Why the sink refused last; never an event's contents.
    last_reason: str = ""
    #: Events that were read and not published when the relay stopped.
    left: int = 0
    #: Whether everything left waits behind an event that the sink refuses.
    is_stuck: bool = False
    #: Whether the lease was held at all.
    held: bool = False


class Term:
    """Reads, sends and deletes under one lease; remembers nothing beyond it."""

    def __init__(
        self,
        outbox: Outbox,
        lease: Lease,
        sink: Sink,
        options: Options,
        clock: Callable[[], float],
        stop: threading.Event,
    ) -> None:
        self._outbox = outbox
        self._lease = lease
        self._sink = sink
        self._options = options
        self._clock = clock
        self._stop = stop
        limits = sink.limits
        self._scheduler = Scheduler(
            entries=limits.entries,
            bytes=limits.bytes,
            in_order=sink.in_order,
            jitter=random.random,
        )
        self._calls: dict[Future[Sequence[Result]], tuple[Event, ...]] = {}
        self._failure: SinkError | None = None
        #: Acknowledged, and in the outbox still.
        self._undeleted: list[Event] = []
        #: Bytes of an average event, once some have been read.
        self._average: float | None = None
        self._poll = SHORTEST_POLL
        self._read_at = 0.0
        self._has_read = False
        self._saw_end = False
        self._look_at = 0.0
        #: What the last look into the outbox saw; an idle relay reads only then.
        self._has_events = True

    def serve(self, summary: Summary, ends_at: float | None) -> bool:
        """Publish until there is a reason to stop; True if somebody newer is why.

        Raises SinkError if the sink cannot be used any more, after what was in flight
        has been acknowledged.
        """
        self._summary = summary
        is_superseded = False
        with ThreadPoolExecutor(
            self._sink.limits.calls, thread_name_prefix="publish"
        ) as self._threads:
            while not self._failure:
                if not self._is_ours():
                    is_superseded = True
                    break
                if self._stop.is_set() or (ends_at and self._clock() >= ends_at):
                    break
                self._delete()
                self._read()
                self._send()
                if self._is_finished():
                    break
                self._await(ends_at)
            self._finish()
        summary.left = len(self._scheduler)
        summary.is_stuck = self._scheduler.is_stuck
        if self._failure:
            raise self._failure
        return is_superseded

    def _is_ours(self) -> bool:
        """Whether the lease is held still and nobody newer waits; renews it in time."""
        now = self._clock()
        epoch = self._lease.epoch
        if now >= self._lease.renew_at:
            if not self._outbox.renew(epoch, self._lease.ttl):
                return False
            self._lease = self._lease.renewed(asked_at=now)
        if now >= self._look_at or (self._is_idle and now >= self._read_at):
            self._look_at = now + HAND_OVER_POLL
            is_ours, self._has_events = self._outbox.look(epoch)
            return is_ours
        return True

    @property
    def _is_idle(self) -> bool:
        return self._saw_end and not len(self._scheduler) and not self._undeleted

    def _read(self) -> None:
        now = self._clock()
        scheduler = self._scheduler
        if not self._has_room:
            scheduler.trim()
        if now < self._read_at or not self._may_read:
            return
        limit = self._capacity - len(scheduler)
        events: list[Event] = []
        if self._has_events or not self._is_idle:
            events = self._outbox.read(
                limit,
                besides=scheduler.ids | {event.id for event in self._undeleted},
                besides_keys=scheduler.held,
            )
        scheduler.admit(events)
        self._has_read = True
        self._saw_end = len(events) < limit
        if events:
            self._average = max(1.0, sum(event.size for event in events) / len(events))
            self._poll = SHORTEST_POLL
        else:
            self._poll = min(LONGEST_POLL, self._poll * 2)
        if self._saw_end:
            self._read_at = self._clock() + self._poll

    @property
    def _capacity(self) -> int:
        """How many events the window should hold, by the size of those read last."""
        if self._average is None:
            return FIRST_READ
        return max(1, min(WINDOW, int(WINDOW_BYTES / self._average)))

    @property
    def _has_room(self) -> bool:
        return len(self._scheduler) <= self._capacity // 2

    @property
    def _may_read(self) -> bool:
        return self._has_room and not (self._options.once and self._has_read)

    def _send(self) -> None:
        while len(self._calls) < self._sink.limits.calls:
            now = self._clock()
            if now >= self._lease.deadline:
                return
            batch = self._scheduler.next_batch(now)
            if not batch:
                return
            call = self._threads.submit(self._sink.publish, batch, self._may_send)
            self._calls[call] = batch

    def _may_send(self) -> bool:
        """Asked by the sink, in a thread, perhaps long after the call was submitted:
        of the lease as it is then, renewed meanwhile or not."""
        return self._clock() < self._lease.deadline

    def _await(self, ends_at: float | None) -> None:
        """Sleep until there is something to do: a call that has ended, a key that has
        waited, a lease to renew, an outbox to look into."""
        times = [self._lease.renew_at, self._look_at]
        if self._may_read:
            times.append(self._read_at)
        can_send = len(self._calls) < self._sink.limits.calls
        if can_send and self._scheduler.wakes_at is not None:
            times.append(self._scheduler.wakes_at)
        if ends_at is not None:
            times.append(ends_at)
        seconds = max(0.0, min(times) - self._clock())
        if self._calls:
            # A stop is looked for often enough this way.
            done, _ = wait(
                self._calls, min(seconds, LONGEST_POLL), return_when=FIRST_COMPLETED
            )
            self._settle(done)
        elif seconds:
            self._stop.wait(seconds)

    def _finish(self) -> None:
        while self._calls:
            done, _ = wait(self._calls, return_when=FIRST_COMPLETED)
            self._settle(done)
        self._delete()

    def _settle(self, done: set[Future[Sequence[Result]]]) -> None:
        for call in done:
            batch = self._calls.pop(call)
            try:
                results = call.result()
            except SinkError as error:
                self._failure = error
                results = [Result(Outcome.RETRY, error.message)] * len(batch)
            self._count(batch, results)
            self._undeleted += self._scheduler.settle(batch, results, self._clock())
        self._delete()

    def _delete(self) -> None:
        """Delete what was acknowledged; while somebody holds a lock on it, later."""
        events = self._undeleted
        if not events:
            return
        try:
            deleted = self._outbox.delete(events, self._lease.epoch)
        except DatabaseError as error:
            if error.number not in RETRY:
                raise
            log.warning(
                "cannot delete yet",
                extra={
                    "action": "delete",
                    "events": len(events),
                    "reason": error.message,
                },
            )
            return
        if deleted < len(events):
            # Somebody else holds the lease, or has deleted events: find out now.
            self._lease = self._lease.renewed(asked_at=self._clock() - self._lease.ttl)
        self._undeleted = []

    def _count(self, batch: Sequence[Event], results: Sequence[Result]) -> None:
        summary = self._summary
        failed = Counter(
            result for result in results if result.outcome is not Outcome.ACKNOWLEDGED
        )
        summary.published += len(batch) - failed.total()
        for result, count in failed.items():
            summary.last_reason = result.reason
            if result.outcome in (Outcome.REFUSED, Outcome.OVERSIZED):
                summary.refused += count
            else:
                summary.retried += count
            log.warning(
                "not acknowledged",
                extra={
                    "action": result.outcome.value,
                    "events": count,
                    "first": batch[results.index(result)].name,
                    "reason": result.reason,
                },
            )

    def _is_finished(self) -> bool:
        if self._calls or self._undeleted:
            return False
        if self._options.drain:
            return self._is_idle or (self._saw_end and self._scheduler.is_stuck)
        # Whatever is left of the one batch waits after a failure.
        return self._options.once
