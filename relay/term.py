"""One term of office: what a relay does from asking for the lease to letting it go.

Pure: it is told what was seen and when, and says what to do next. What it remembers
ends with it; after a lost connection a new term begins, from the claim.

::

    statement()  the next statement on the connection that holds the lease
    read()       the next read, which has a connection of its own
    publish()    the next call to the sink

Each is carried out by whoever asked, and answered with `has_done`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from .action import (
    Claim,
    Delete,
    Grant,
    Look,
    Park,
    Publish,
    Read,
    Recover,
    Release,
    Renew,
    Statement,
    Transactions,
    Watch,
)
from .event import Event
from .floor import Floor
from .lease import TTL, Lease
from .policy import Policy
from .scheduler import Scheduler
from .sinks.sink import Result

__all__ = ["End", "Options", "Term"]

#: Events held in memory at most, and the bytes they are meant to stay below.
WINDOW = 5000
WINDOW_BYTES = 32 * 1024 * 1024
#: Events of the first read, before their size is known.
FIRST_READ = 200

#: Seconds between two looks into an empty outbox, doubling from the first to the last;
#: the last is also how soon a newer relay that waits for the lease is noticed.
SHORTEST_POLL = 0.001
LONGEST_POLL = 0.05
#: Seconds between two reads from the head, floor or not: dead letters that were put
#: back have their old ids.
HEAD_POLL = 5.0
#: Seconds between two reads as long as an outlet is shut; at least so many times as
#: long as the read has taken.
SHUT_POLL = 1.0
SHUT_REST = 4
#: Seconds between two deletes while calls are in flight: each is a transaction, for
#: which calls that have ended wait.
DELETE_PAUSE = 0.01
#: Seconds until a statement is tried again that somebody's lock has held up.
HINDERED = 0.5
#: How often a relay that ends tries to delete.
TRIES = 3

#: Why a term ends: somebody newer is to have the lease · it is to stop · it has done
#: what it was to do · the sink cannot be used.
End: TypeAlias = Literal["superseded", "stopped", "done", "failed"]


@dataclass(frozen=True)
class Options:
    """When a relay stops, how it comes to its lease, and what it does with failures."""

    #: Stop after one batch of what was read first.
    once: bool = False
    #: Stop when the outbox is empty.
    drain: bool = False
    #: Stop after this many seconds; None for never.
    max_seconds: float | None = None
    #: Take the lease from whoever has it instead of waiting.
    take_over: bool = False
    #: Stop when somebody newer asks for the lease, instead of waiting for it again.
    ends_superseded: bool = False
    ttl: int = TTL
    policy: Policy = field(default_factory=Policy)


class Term:
    """See the module."""

    def __init__(
        self, lease: Lease, scheduler: Scheduler, floor: Floor, options: Options
    ) -> None:
        self.lease = lease
        self.scheduler = scheduler
        self.floor = floor
        #: Why it ends; None as long as it does not.
        self.end: End | None = None
        #: Whether there is nothing to do any more.
        self.is_over = False
        self._options = options
        #: In flight, by number.
        self._calls: dict[int, Publish] = {}
        self._numbers = 0
        #: The read that is under way.
        self._reading: Read | None = None
        #: Whether its answer is of no use.
        self._is_stale = False
        #: Acknowledged, and in the outbox still.
        self._undeleted: list[Event] = []
        #: Bytes of an average event, once some have been read.
        self._average: float | None = None
        self._poll = SHORTEST_POLL
        self._has_recovered = False
        self._has_read = False
        #: Whether the last read has seen all there was.
        self._saw_end = False
        #: Whether there may be events that no read has seen.
        self._has_events = True
        self._read_at = 0.0
        self._head_at = 0.0
        self._watch_at = 0.0
        self._delete_at = 0.0
        #: Until when deletes may be put off while calls are in flight.
        self._pause_until = 0.0
        #: How often in a row somebody's lock was in the way of a delete.
        self._hindered = 0
        self._park_at = 0.0

    def finish(self, end: End) -> None:
        """Send nothing more; what is in flight is waited for and acknowledged."""
        self.end = self.end or end
        if not (self.lease.is_held or self.lease.is_lost):
            # There is nothing to let go.
            self.is_over = True

    # What to do next

    def statement(self, now: float) -> Statement | None:
        lease = self.lease
        if self.is_over:
            return None
        if not lease.is_held and self.end is None:
            return lease.next(now)
        if self.end is None and self._is_finished():
            self.finish("done")
        if self.end is None and now >= self._watch_at:
            return Watch(lease.epoch, self.floor.value)
        if self._undeleted and now >= self._deletes_at:
            return Delete(lease.epoch, tuple(self._undeleted))
        if self.end is not None:
            # Nobody else is let in while a call may still arrive.
            is_done = not self._calls and not self._undeleted
            return Release(lease.epoch) if is_done else self._renewal(now)
        renewal = self._renewal(now)
        if renewal:
            return renewal
        if not self._has_recovered:
            return Recover(lease.epoch)
        if self.scheduler.must_park and now >= self._park_at:
            return Park(lease.epoch, self.scheduler.next_letters())
        if self.floor.wakes_at is not None and now >= self.floor.wakes_at:
            return Transactions()
        return None

    def read(self, now: float) -> Read | None:
        scheduler = self.scheduler
        if not self._has_room:
            scheduler.trim()
            self._forget()
        is_head = now >= self._head_at
        if not self._may_read or now < self._read_at:
            return None
        if self._is_idle and not self._has_events and not is_head:
            return None
        known = scheduler.ids | {event.id for event in self._undeleted}
        self._reading = Read(
            limit=max(1, self._capacity - len(scheduler)),
            floor=0 if is_head else self.floor.value,
            besides=frozenset(known),
            besides_keys=frozenset(scheduler.held),
            besides_outlets=scheduler.shut,
        )
        return self._reading

    def publish(self, now: float) -> Publish | None:
        if not self.may_send(now):
            return None
        if now >= self._watch_at:
            # First see whether somebody newer waits.
            return None
        batch = self.scheduler.next_batch(now)
        self._forget()
        if not batch:
            return None
        self._numbers += 1
        outlet = self.scheduler.outlet(batch[0]).name
        call = Publish(self._numbers, batch, outlet)
        self._calls[call.number] = call
        return call

    def may_send(self, now: float) -> bool:
        """Whether the lease lets anything leave at this moment."""
        return self.end is None and self.lease.is_held and now < self.lease.deadline

    def wakes_at(self) -> float:
        """When to ask again, if no answer comes before."""
        return min(self._times())

    # What was done

    def has_done(
        self,
        action: Statement | Read | Publish,
        answer: Any,
        asked_at: float,
        now: float,
    ) -> list[Event]:
        """Take in the answer to an action that was begun at ``asked_at``.

        Returns the events that it has acknowledged.
        """
        lease = self.lease
        match action:
            case Publish():
                return self._has_published(action, answer, now)
            case Read():
                self._has_seen(action, answer, asked_at, now)
            case Delete():
                self._has_deleted(action, answer, now)
            case Watch():
                is_ours, self._has_events = answer
                self._watch_at = now + (self._poll if self._is_idle else LONGEST_POLL)
                self._back_off()
                if self._has_events and self._is_idle:
                    self._read_at = now
                if not is_ours:
                    lease.lost()
            case Renew():
                lease.renewed(answer, asked_at)
            case Park():
                self.scheduler.settle_letters(action.letters, answer)
                self._forget()
            case Transactions():
                self.floor.has_looked(answer, now)
            case Recover():
                self._has_recovered = True
                self.scheduler.hold(answer)
            case Look():
                if lease.looked(answer, now) and self._options.ends_superseded:
                    self.finish("superseded")
            case Claim():
                lease.claimed(answer)
            case Grant():
                lease.granted(answer, asked_at)
                self._watch_at = now + LONGEST_POLL
            case Release():
                lease.released()
                self.is_over = self.end is not None
        if lease.is_lost:
            self.finish("superseded")
        return []

    def is_hindered(self, action: Statement, now: float) -> None:
        """Somebody's lock has held a statement up; nothing was changed."""
        match action:
            case Delete():
                self._delete_at = now + HINDERED
                self._hindered += 1
                if self.end is not None and self._hindered >= TRIES:
                    # They stay, and are sent again: better than never to end.
                    self._undeleted = []
            case Park():
                self.scheduler.defer_letters(action.letters)
                self._park_at = now + HINDERED

    @property
    def in_flight(self) -> int:
        """How many calls are."""
        return len(self._calls)

    @property
    def is_drained(self) -> bool:
        """Whether everything that the last read could see has been done with."""
        return self._is_idle and not self._has_events

    @property
    def head(self) -> int:
        """No event that waits has a lower id, but for dead letters that were put back
        a few seconds ago."""
        waiting = [*self.scheduler.ids, *(event.id for event in self._undeleted)]
        return min([self.floor.value, *waiting])

    def _renewal(self, now: float) -> Renew | None:
        lease = self.lease
        return Renew(lease.epoch) if lease.is_held and now >= lease.renew_at else None

    @property
    def _is_idle(self) -> bool:
        return self._saw_end and not len(self.scheduler) and not self._undeleted

    @property
    def _capacity(self) -> int:
        """How many events the window should hold, by the size of those read last."""
        if self._average is None:
            return FIRST_READ
        return max(1, min(WINDOW, int(WINDOW_BYTES / self._average)))

    @property
    def _has_room(self) -> bool:
        return len(self.scheduler) <= self._capacity // 2

    @property
    def _may_read(self) -> bool:
        return (
            self.end is None
            and self.lease.is_held
            and self._has_recovered
            and self._reading is None
            and self._has_room
            and not (self._options.once and self._has_read)
        )

    def _back_off(self) -> None:
        self._poll = min(LONGEST_POLL, self._poll * 2)

    def _forget(self) -> None:
        for id_ in self.scheduler.forgotten():
            self.floor.forget(id_)
            # It was told to leave these out, and may bring later ones of their keys.
            self._is_stale = self._reading is not None
            self._saw_end, self._has_events, self._read_at = False, True, 0.0

    def _has_published(
        self, call: Publish, results: Sequence[Result], now: float
    ) -> list[Event]:
        del self._calls[call.number]
        acknowledged = self.scheduler.settle(call.events, results, now)
        self._undeleted += acknowledged
        # An outlet that was shut may be open again.
        self._forget()
        return acknowledged

    def _has_seen(
        self, read: Read, events: Sequence[Event], asked_at: float, now: float
    ) -> None:
        self._reading = None
        if self._is_stale:
            self._is_stale = False
            return
        self.floor.has_read(read, events, asked_at, now)
        self.scheduler.admit(events)
        self._has_read = True
        # What was left out then need not be left out any more.
        self._has_events = bool(read.besides_keys or read.besides_outlets)
        self._saw_end = len(events) < read.limit
        if read.floor == 0:
            self._head_at = now + HEAD_POLL
        if events:
            self._average = max(1.0, sum(event.size for event in events) / len(events))
            self._poll = SHORTEST_POLL
        if self._saw_end:
            pause = self._poll
            if read.besides_outlets:
                # To find what is wanted the server has passed over all that is not.
                pause = max(SHUT_POLL, SHUT_REST * (now - asked_at))
            self._read_at = now + pause
            if self._is_idle:
                self._watch_at = min(self._watch_at, self._read_at)
            self._back_off()

    @property
    def _deletes_at(self) -> float:
        if not self._calls:
            return self._delete_at
        return max(self._delete_at, self._pause_until)

    def _has_deleted(self, delete: Delete, count: int, now: float) -> None:
        self._pause_until = now + DELETE_PAUSE
        gone = len(delete.events)
        del self._undeleted[:gone]
        self._hindered = 0
        if count < gone:
            # Somebody else holds the lease, or has deleted events: find out now.
            self._watch_at = 0.0

    def _is_finished(self) -> bool:
        if self._calls or self._undeleted or self._reading or self.scheduler.must_park:
            return False
        if self._options.drain:
            is_stuck = self._saw_end and self.scheduler.is_stuck
            return is_stuck or self.is_drained
        # Whatever is left of the one batch waits after a failure.
        return self._options.once and self._has_read and not self.scheduler.has_ready

    def _times(self) -> Iterator[float]:
        lease = self.lease
        # Who has lost it waits for what is in flight, and for nothing else.
        yield float("inf") if lease.is_lost else lease.wakes_at
        if self._undeleted:
            yield self._deletes_at
        if self.end is not None or not lease.is_held:
            return
        yield self._watch_at
        if self._may_read and (self._has_events or not self._is_idle):
            yield self._read_at
        if self.scheduler.must_park:
            yield self._park_at
        if self.floor.wakes_at is not None:
            yield self.floor.wakes_at
        if self.scheduler.wakes_at is not None:
            yield self.scheduler.wakes_at
