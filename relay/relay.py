"""The relay: reads the outbox, publishes, deletes what was acknowledged.

The thin shell around term.py: it owns the connections, the threads and the clock, and
decides nothing about order.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..database.connection import RETRY
from ..errors import ConnectionLost, DatabaseError, EvtrigError, SinkError
from .action import (
    Claim,
    Delete,
    Grant,
    Look,
    Measure,
    Park,
    Publish,
    Recover,
    Release,
    Renew,
    Statement,
    Transactions,
    Watch,
)
from .destinations import Destinations
from .event import Event
from .floor import Floor
from .hands import Done, Hands
from .lease import Lease
from .metrics import Metrics
from .outbox import Outbox
from .scheduler import Scheduler
from .sinks.sink import ACKNOWLEDGED, Outcome, Result, Sink
from .term import LONGEST_POLL, End, Options, Term

__all__ = ["Options", "Relay", "Summary"]

log = logging.getLogger(__name__)

#: Seconds between two attempts to connect again.
RECONNECT_DELAYS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass
class Summary:
    """What a relay did."""

    published: int = 0
    #: Events sent again because their fate was unknown, or the sink was busy.
    retried: int = 0
    #: Answers that said the sink will never take an event.
    refused: int = 0
    #: Events moved to the dead letters.
    parked: int = 0
    #: Why the sink refused last; never an event's contents.
    last_reason: str = ""
    #: Events that were read and not published when the relay stopped.
    left: int = 0
    #: Whether the outbox was seen to be empty then.
    is_drained: bool = False
    #: Whether everything left waits behind an event that the sink refuses.
    is_stuck: bool = False
    #: Whether the lease was held at all.
    held: bool = False
    #: Of the last lease; 0 if there was none.
    epoch: int = 0
    #: Why the last term ended.
    end: End | None = None
    #: Outlets of several that could not be used the last time they were tried.
    unusable: dict[str, SinkError] = field(default_factory=dict)


@dataclass
class Relay:
    """Publishes one outbox while it holds the lease: to one sink, or to several.

    ``connect`` opens a new connection each time it is called. ``stop`` ends the relay
    after what is in flight has been acknowledged.
    """

    connect: Callable[[], Outbox]
    sink: Sink | Destinations
    options: Options = field(default_factory=Options)
    stop: threading.Event = field(default_factory=threading.Event)
    clock: Callable[[], float] = time.monotonic
    #: Where it counts.
    metrics: Metrics = field(default_factory=Metrics)
    #: Seconds between two looks at what waits; None if only the metrics ask for one.
    measure_every: float | None = None

    def __post_init__(self) -> None:
        self._summary = Summary()
        sink = self.sink
        if not isinstance(sink, Destinations):
            sink = Destinations({sink.name: sink})
        self._destinations = sink
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._ends_at: float | None = None
        self._may_take_over = self.options.take_over
        #: Of the last lease that was granted.
        self._epoch = 0
        #: Of the last one that was asked for.
        self._claim = 0
        #: When to look at what waits, and whether somebody is looking.
        self._measure_at = 0.0
        self._is_measuring = False
        self._failure: BaseException | None = None

    def run(self) -> Summary:
        """Publish until there is a reason to stop; what was done.

        Raises DatabaseError if the first connection cannot be made or the database
        refuses a statement, SinkError if the sink cannot be used. A connection that
        is lost later is made again: everything remembered is forgotten with it.
        """
        begun = self.metrics.snapshot(self.clock())
        if self.options.max_seconds is not None:
            self._ends_at = self.clock() + self.options.max_seconds
        outbox = self.connect()
        # Its own lease would have to run out, if it had one.
        own = 0
        while True:
            try:
                self._serve(outbox, own)
                break
            except ConnectionLost as error:
                log.warning(
                    "connection lost",
                    extra={"action": "reconnect", "reason": error.message},
                )
            finally:
                outbox.close()
            again = self._reconnect()
            if again is None:
                break
            outbox, own = again, self._epoch
        done = self.metrics.snapshot(self.clock()).since(begun)
        return dataclasses.replace(
            self._summary,
            published=done.published,
            retried=done.retried,
            refused=done.refused,
            parked=done.parked,
        )

    def _reconnect(self) -> Outbox | None:
        attempt = 0
        while not self._is_over():
            self.metrics.turned(self.clock(), None, is_connected=False)
            try:
                return self.connect()
            except ConnectionLost as error:
                delay = RECONNECT_DELAYS[min(attempt, len(RECONNECT_DELAYS) - 1)]
                attempt += 1
                log.warning(
                    "waiting for the database",
                    extra={"action": "reconnect", "reason": error.message},
                )
                self.stop.wait(max(0.0, min(delay, self._time_left())))
        return None

    def _serve(self, outbox: Outbox, own: int) -> None:
        """Hold the lease as often as it can be had, until there is a reason to stop."""
        self._is_measuring = False
        with Hands(outbox, self._destinations, self.clock, self.metrics) as hands:
            while True:
                term = self._term(own, outbox)
                self.metrics.forget()
                try:
                    self._run(term, outbox, hands)
                except ConnectionLost:
                    # What is in flight is waited for next, however long that takes.
                    self.metrics.turned(self.clock(), None, is_connected=False)
                    if term.lease.is_held:
                        self.metrics.lost()
                    raise
                except BaseException:
                    if term.lease.is_held:
                        hands.join()
                        outbox.release(term.lease.epoch)
                    raise
                if self._failure:
                    raise self._failure
                self._summary.end = term.end
                if term.end != "superseded":
                    return
                self.metrics.lost()
                if self.options.ends_superseded:
                    return
                log.info(
                    "a newer relay takes over",
                    extra={"action": "superseded", "epoch": term.lease.epoch},
                )
                own = 0

    def _term(self, own: int, outbox: Outbox) -> Term:
        options = self.options
        lease = Lease(
            ttl=options.ttl,
            take_over=self._may_take_over,
            own=own,
            seen=max(self._epoch, self._claim),
        )
        scheduler = Scheduler(
            self._destinations.outlets(),
            route=self._destinations.route,
            jitter=random.random,
            policy=options.policy,
        )
        floor = Floor(is_on=outbox.is_alone)
        return Term(lease, scheduler, floor, options)

    def _run(self, term: Term, outbox: Outbox, hands: Hands) -> None:
        """Do what the term asks for, until it is over."""
        told = Told()
        while not term.is_over:
            now = self.clock()
            is_held = term.lease.is_held
            until = term.lease.deadline if is_held else None
            self.metrics.turned(now, until, is_connected=True)
            if self._is_over():
                term.finish("stopped")
            while call := term.publish(now):
                hands.publish(call, term)
            read = term.read(now)
            if read:
                hands.read(read, term)
            if is_held and not self._is_measuring and self._must_measure(now):
                self._is_measuring = True
                hands.measure(Measure(term.head), term)
            statement = term.statement(self.clock())
            if statement:
                self._do(statement, term, outbox)
                told.about(term, outbox)
                wait = 0.0
            else:
                wait = min(term.wakes_at() - self.clock(), LONGEST_POLL)
                wait = max(0.0, min(wait, self._time_left()))
            for done in hands.done(wait):
                self._take(done, term)
        self._summary.left = len(term.scheduler)
        self._summary.is_drained = term.is_drained
        self._summary.is_stuck = term.scheduler.is_stuck

    def _do(self, statement: Statement, term: Term, outbox: Outbox) -> None:
        asked_at = self.clock()
        try:
            answer = self._ask(statement, outbox)
        except DatabaseError as error:
            if error.number not in RETRY:
                raise
            log.warning(
                "somebody's lock is in the way",
                extra={
                    "action": type(statement).__name__.lower(),
                    "reason": error.message,
                },
            )
            term.is_hindered(statement, self.clock())
            return
        term.has_done(statement, answer, asked_at, self.clock())

    def _ask(self, statement: Statement, outbox: Outbox) -> Any:
        match statement:
            case Look():
                return outbox.holder()
            case Claim():
                self._may_take_over = False
                self._claim = outbox.claim()
                return self._claim
            case Grant(epoch, gone):
                granted = outbox.grant(epoch, self._name, self.options.ttl, gone)
                if granted:
                    self._epoch, self._summary.held = epoch, True
                    self._summary.epoch = epoch
                    self.metrics.led()
                return granted
            case Renew(epoch):
                return outbox.renew(epoch, self.options.ttl)
            case Release(epoch):
                return outbox.release(epoch)
            case Watch(epoch, floor):
                return outbox.watch(epoch, floor)
            case Recover(epoch):
                return outbox.recover(epoch)
            case Transactions():
                return outbox.transactions()
            case Delete(epoch, acknowledged):
                return outbox.delete(acknowledged, epoch)
            case Park(epoch, letters):
                parked = outbox.park(letters, epoch)
                events = [letter.event for letter in letters]
                self.metrics.parked([e for e in events if e.id in parked.ids])
                for letter in letters:
                    if letter.event.id in parked.ids:
                        log.warning(
                            "parked, see evtrig dead-letters",
                            extra={
                                "action": "park",
                                "event": letter.event.name,
                                "why": letter.reason,
                                "reason": letter.last_error,
                            },
                        )
                return parked

    def _take(self, done: Done, term: Term) -> None:
        asked_by, action, asked_at, answer = done
        if isinstance(action, Measure):
            self._has_measured(answer, asked_at)
            return
        if asked_by is not term:
            # A read that has outlived its term.
            return
        if isinstance(action, Publish):
            is_error = isinstance(answer, BaseException)
            if isinstance(answer, BaseException):
                reason = answer.message if isinstance(answer, SinkError) else ""
                if isinstance(answer, SinkError) and self._has_others:
                    # Theirs go on; this one is tried again, ever less often.
                    self._tell_of_unusable(call_to=action.outlet, error=answer)
                else:
                    self._failure = self._failure or answer
                    term.finish("failed")
                answer = [Result(Outcome.UNKNOWN, reason)] * len(action.events)
            elif ACKNOWLEDGED in answer:
                self._summary.unusable.pop(action.outlet, None)
            self._count(action, answer, is_error=is_error)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            self._tell_of_problems(answer)
        were_down = term.scheduler.down
        term.has_done(action, answer, asked_at, self.clock())
        are_down = term.scheduler.down
        if are_down != were_down:
            self.metrics.down(are_down)
        for name in are_down:
            if name not in were_down and not self._failure:
                log.error(
                    "the sink takes next to nothing: taken for down, one batch at a"
                    " time",
                    extra={
                        "action": "down",
                        "sink": self._destinations.sinks[name].name,
                        "reason": self._summary.last_reason,
                    },
                )
        for name in were_down:
            if name not in are_down:
                log.info(
                    "the sink takes events again",
                    extra={
                        "action": "up",
                        "sink": self._destinations.sinks[name].name,
                    },
                )

    @property
    def _has_others(self) -> bool:
        """Whether there is somewhere else to publish to, and no end to come to."""
        is_endless = not (self.options.once or self.options.drain)
        return is_endless and len(self._destinations.sinks) > 1

    def _tell_of_unusable(self, *, call_to: str, error: SinkError) -> None:
        self._summary.unusable[call_to] = error
        log.error(
            "a destination cannot be used, the others go on without it",
            extra={
                "action": "unusable",
                "sink": self._destinations.sinks[call_to].name,
                "reason": error.message,
                "mend": error.hint,
            },
        )

    def _tell_of_problems(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.problem:
                self.metrics.found_no_event(event.key, self.clock())
                self._summary.last_reason = event.problem
                log.warning(
                    "a row of the outbox cannot be sent",
                    extra={
                        "action": "refused",
                        "event": event.name,
                        "reason": event.problem,
                    },
                )

    def _must_measure(self, now: float) -> bool:
        is_due = self.measure_every is not None and now >= self._measure_at
        return is_due or self.metrics.is_asked

    def _has_measured(self, answer: Any, asked_at: float) -> None:
        now = self.clock()
        self._is_measuring = False
        self._measure_at = now + (self.measure_every or 0.0)
        if isinstance(answer, EvtrigError):
            # Nothing depends on it; whoever reads next finds out whether it is more.
            log.warning(
                "how much waits is not known",
                extra={"action": "measure", "reason": answer.message},
            )
            answer = None
        elif isinstance(answer, BaseException):
            raise answer
        self.metrics.measured(answer, asked_at, now)

    def _count(
        self, call: Publish, results: Sequence[Result], *, is_error: bool
    ) -> None:
        batch = call.events
        failed = self.metrics.answered(
            call.outlet, batch, results, self.clock(), is_error=is_error
        )
        for result, count in failed.items():
            self._summary.last_reason = result.reason
            if is_error:
                # That is said with what to do: here, or by whoever runs this.
                continue
            log.warning(
                "not acknowledged",
                extra={
                    "action": result.outcome.value,
                    "events": count,
                    "first": batch[results.index(result)].name,
                    "reason": result.reason,
                },
            )

    def _is_over(self) -> bool:
        return self.stop.is_set() or self._time_left() <= 0

    def _time_left(self) -> float:
        return float("inf") if self._ends_at is None else self._ends_at - self.clock()


class Told:
    """What the log says of a term, each thing once."""

    def __init__(self) -> None:
        self._waits = self._leads = False

    def about(self, term: Term, outbox: Outbox) -> None:
        lease = term.lease
        holder = lease.holder
        if lease.is_held and not self._leads:
            self._leads = True
            log.info(
                "publishing",
                extra={"action": "lead", "epoch": lease.epoch, "outbox": outbox},
            )
        elif (
            not (self._waits or self._leads or lease.is_lost)
            and holder is not None
            and not holder.is_free
        ):
            self._waits = True
            log.info(
                "another relay publishes, waiting for it to end",
                extra={"action": "standby", "holder": holder.name},
            )
