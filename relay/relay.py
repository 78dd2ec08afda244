"""The relay: reads the outbox, publishes, deletes what was acknowledged.

The thin shell around lease.py and scheduler.py: it owns the connection, the threads
and the clock, and decides nothing about order.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import ConnectionLost
from .lease import Lease
from .outbox import Outbox
from .sinks.sink import Sink
from .term import Options, Summary, Term

__all__ = ["Options", "Relay", "Summary"]

log = logging.getLogger(__name__)

#: Seconds between two looks at a lease that somebody else holds or still has to let go.
STANDBY_POLL = 0.2
GRANT_POLL = 0.03
#: Seconds in which whoever has claimed a free lease is granted it: a few GRANT_POLLs.
CLAIM_PAUSE = 0.1
#: Seconds between two attempts to connect again.
RECONNECT_DELAYS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass
class Relay:
    """Publishes one outbox to one sink while it holds the lease.

    ``connect`` opens a new connection each time it is called. ``stop`` ends the relay
    after what is in flight has been acknowledged.
    """

    connect: Callable[[], Outbox]
    sink: Sink
    options: Options = field(default_factory=Options)
    stop: threading.Event = field(default_factory=threading.Event)
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._summary = Summary()
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._ends_at: float | None = None
        self._may_take_over = self.options.take_over
        #: Of the last lease that was granted.
        self._epoch: int | None = None

    def run(self) -> Summary:
        """Publish until there is a reason to stop; what was done.

        Raises DatabaseError if the first connection cannot be made or the database
        refuses a statement, SinkError if the sink cannot be used. A connection that
        is lost later is made again: everything remembered is forgotten with it.
        """
        if self.options.max_seconds is not None:
            self._ends_at = self.clock() + self.options.max_seconds
        outbox = self.connect()
        while True:
            try:
                self._work(outbox)
                return self._summary
            except ConnectionLost as error:
                log.warning(
                    "connection lost",
                    extra={"action": "reconnect", "reason": error.message},
                )
            finally:
                outbox.close()
            again = self._reconnect()
            if again is None:
                return self._summary
            outbox = again

    def _reconnect(self) -> Outbox | None:
        attempt = 0
        while not self._is_over():
            try:
                return self.connect()
            except ConnectionLost as error:
                delay = RECONNECT_DELAYS[min(attempt, len(RECONNECT_DELAYS) - 1)]
                attempt += 1
                log.warning(
                    "waiting for the database",
                    extra={"action": "reconnect", "reason": error.message},
                )
                self._pause(delay)
        return None

    def _work(self, outbox: Outbox) -> None:
        """Hold the lease as often as it can be had, until there is a reason to stop."""
        while True:
            lease = self._acquire(outbox)
            if lease is None:
                return
            self._summary.held = True
            term = Term(outbox, lease, self.sink, self.options, self.clock, self.stop)
            try:
                is_superseded = term.serve(self._summary, self._ends_at)
            except ConnectionLost:
                raise
            except BaseException:
                outbox.release(lease.epoch)
                raise
            outbox.release(lease.epoch)
            if not is_superseded:
                return
            log.info(
                "a newer relay takes over",
                extra={"action": "superseded", "epoch": lease.epoch},
            )

    def _acquire(self, outbox: Outbox) -> Lease | None:
        """Wait for the lease; None if it is time to stop first."""
        if self._epoch is not None:
            # After a lost connection our own lease would have to run out. Nothing is
            # in flight under it any more.
            outbox.release(self._epoch)
        has_said = False
        # At first only an outbox that nobody has ever claimed is surely free.
        seen = self._epoch or 0
        while not self._is_over():
            holder = outbox.holder()
            # A claim that has moved: somebody is about to be granted the lease, and
            # to claim as well would throw them out.
            is_awaited = holder.claim != seen
            if (is_awaited or not holder.is_free) and not self._may_take_over:
                seen = holder.claim
                if holder.is_free:
                    self._pause(CLAIM_PAUSE)
                    continue
                if not has_said:
                    log.info(
                        "another relay publishes, waiting for it to end",
                        extra={"action": "standby", "holder": holder.name},
                    )
                    has_said = True
                self._pause(STANDBY_POLL)
                continue
            lease = self._claim(outbox)
            if lease is not None:
                self._epoch = lease.epoch
                log.info(
                    "publishing",
                    extra={"action": "lead", "epoch": lease.epoch, "outbox": outbox},
                )
                return lease
            seen = -1
        return None

    def _claim(self, outbox: Outbox) -> Lease | None:
        """Ask for the lease and wait for it; None if somebody newer asks too."""
        # Two relays that take over from each other would do so for ever.
        self._may_take_over = False
        epoch = outbox.claim()
        while not self._is_over():
            asked_at = self.clock()
            if outbox.grant(epoch, self._name, self.options.ttl):
                return Lease(epoch, asked_at, self.options.ttl)
            if outbox.holder().claim != epoch:
                return None
            self._pause(GRANT_POLL)
        return None

    def _is_over(self) -> bool:
        return self.stop.is_set() or self._time_left() <= 0

    def _time_left(self) -> float:
        return float("inf") if self._ends_at is None else self._ends_at - self.clock()

    def _pause(self, seconds: float) -> None:
        self.stop.wait(max(0.0, min(seconds, self._time_left())))
