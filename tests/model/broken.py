"""Relays, triggers and databases broken on purpose: the search has to catch each.

Each is the shipped class, or the model's database, with as little changed as will break
it, and the smallest world in which that shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from model.clock import Clocked, ClockedSetup
from model.database import Database, Pair, Rows
from model.setups import FIRST, PARK_EVENT, PARK_KEY, A, B
from model.world import Relay, Setup, World

from evtrig.relay.action import Park, Publish, Read, Statement
from evtrig.relay.event import Event
from evtrig.relay.floor import Floor, Transaction
from evtrig.relay.scheduler import Scheduler
from evtrig.relay.sinks.sink import ACKNOWLEDGED, Outcome, Result
from evtrig.relay.term import Term

__all__ = ["BROKEN", "Broken"]


@dataclass(frozen=True)
class Broken:
    """A mistake, and what it leads to."""

    #: How the finding begins.
    wrong: str
    setup: Setup | ClockedSetup
    world: type[World] | type[Clocked] = World


# Rule 1: the id is taken while the row is locked.


class BeforeTriggers(Database):
    """Take the id, and then wait for the row."""

    def _change(
        self, rows: Rows, number: int, key: str, *, is_free: bool
    ) -> Iterator[tuple[str, Rows]]:
        writer = rows.writers[number]
        if not writer.early:
            after = self._with(rows, number, writer._replace(early=rows.next_id))
            yield (
                f"T{number + 1} is going to change {key}: event {rows.next_id}",
                after._replace(next_id=rows.next_id + 1),
            )
        elif is_free:
            ids = (*writer.ids, writer.early)
            writer = writer._replace(ids=ids, early=0)
            yield f"T{number + 1} changes {key}", self._with(rows, number, writer)


# Rule 2: committed reads from the head.


class ReadUncommitted(Database):
    def visible(self, rows: Rows) -> Sequence[Pair]:
        written = [
            pair
            for number, writer in enumerate(rows.writers)
            if writer.state == "open"
            for pair in self._pairs(number, writer)
        ]
        return sorted((*rows.events, *written))


class Cursor(Floor):
    """`WHERE id > cursor`: the floor is above the highest id that was seen."""

    def has_read(
        self, read: Read, events: Sequence[Event], asked_at: float, now: float
    ) -> None:
        if events:
            self.value = max(self.value, events[-1].id + 1)


class ImpatientFloor(Floor):
    """Takes an id that is missing for final, whoever is still at work."""

    def has_looked(
        self, transactions: Iterable[Transaction] | None, now: float
    ) -> None:
        super().has_looked((), now)


class FloorWithoutASecondRead(Floor):
    """Rises as soon as the transactions have ended, with nothing read since."""

    def has_looked(
        self, transactions: Iterable[Transaction] | None, now: float
    ) -> None:
        super().has_looked(transactions, now)
        if self._ended_at is not None:
            self.value, self._ended_at = self._goal, None


class KeepsStaleReads(Term):
    """Takes what a read brings that left out events which have been dropped since."""

    def _forget(self) -> None:
        super()._forget()
        self._is_stale = False


# Rule 3: one event of a key in flight at a time.


class NextBeforeTheAnswer(Scheduler):
    """Lets the next event of a key leave while the one before is in flight."""

    def next_batch(self, now: float) -> tuple[Event, ...]:
        batch = super().next_batch(now)
        if batch:
            return batch
        for key, lane in self._lanes.items():
            if lane.in_flight == 1 and len(lane.events) == 2:
                lane.in_flight += 1
                self._only.calls += 1
                return (self._lanes[key].events[1],)
        return ()

    def settle(
        self, batch: Sequence[Event], results: Sequence[Result], now: float
    ) -> list[Event]:
        # Whatever comes of it is of no matter any more.
        return [
            event
            for event, result in zip(batch, results, strict=True)
            if result is ACKNOWLEDGED
        ]


# Rule 4: delete only what was acknowledged, by id and uid.


class DeleteUpTo(Database):
    def delete(self, rows: Rows, epoch: int, pairs: Sequence[Pair]) -> tuple[Rows, int]:
        highest = max((id_ for id_, _ in pairs), default=0)
        of_all = [pair for pair in rows.events if pair[0] <= highest]
        return super().delete(rows, epoch, of_all)


class DeleteById(Database):
    def delete(self, rows: Rows, epoch: int, pairs: Sequence[Pair]) -> tuple[Rows, int]:
        ids = {id_ for id_, _ in pairs}
        of_ids = [pair for pair in rows.events if pair[0] in ids]
        return super().delete(rows, epoch, of_ids)


class DeleteFirst(Term):
    """Deletes what it sends, before the sink has it."""

    def publish(self, now: float) -> Publish | None:
        call = super().publish(now)
        if call:
            self._undeleted += call.events
        return call

    def _has_published(
        self, call: Publish, results: Sequence[Result], now: float
    ) -> list[Event]:
        del self._calls[call.number]
        return self.scheduler.settle(call.events, results, now)


class RefusedIsDone(Scheduler):
    def settle(
        self, batch: Sequence[Event], results: Sequence[Result], now: float
    ) -> list[Event]:
        done = [
            ACKNOWLEDGED if result.outcome is Outcome.REFUSED else result
            for result in results
        ]
        return super().settle(batch, done, now)


# Rule 5: a failed event holds back its key.


class SkipsThePoison(Scheduler):
    """Leaves a refused event where it is, and goes on with its key."""

    def settle(
        self, batch: Sequence[Event], results: Sequence[Result], now: float
    ) -> list[Event]:
        done = [
            ACKNOWLEDGED if result.outcome is Outcome.REFUSED else result
            for result in results
        ]
        acknowledged = super().settle(batch, done, now)
        for event, result in zip(batch, results, strict=True):
            if result.outcome is Outcome.REFUSED:
                acknowledged.remove(event)
                self._lane_of[event.id] = event.key
        return acknowledged


# Rule 6: a lost connection forgets everything.


class KeepsTheFloor(World):
    """And with it what was true of the server that was lost."""

    def _cut(self, relay: Relay) -> Relay:
        return super()._cut(relay)._replace(core=relay.core)

    def _again(self, relay: Relay) -> Relay:
        again = super()._again(relay)
        before = self.cores.core(relay.core).term
        core = self.cores.core(again.core)
        self._keep(before, core.term)
        return again._replace(core=self.cores.number(core))

    def _keep(self, before: Term, term: Term) -> None:
        term.floor.value = before.floor.value
        # Nor the time of the next read from the head.
        term._head_at = float("inf")


class KeepsTheWindow(KeepsTheFloor):
    """Events that were read, and not sent yet."""

    def _keep(self, before: Term, term: Term) -> None:
        for lane in before.scheduler._lanes.values():
            term.scheduler.admit(lane.events)


# Dead letters.


class TakesOutFirst(Database):
    """Deletes what is to be parked, and writes it down then."""

    def step(
        self, rows: Rows, statement: Statement, number: int, so_far: Any
    ) -> tuple[Rows, Any]:
        if not isinstance(statement, Park):
            return super().step(rows, statement, number, so_far)
        pairs = [(e.event.id, e.event.uid) for e in statement.letters]
        if number == 0:
            there = tuple(pair for pair in pairs if pair in rows.events)
            return self.delete(rows, statement.epoch, pairs)[0], there
        if number == 1:
            with_them = rows._replace(events=tuple(sorted((*rows.events, *so_far))))
            copied = self.copy(with_them, statement.epoch, statement.letters)
            return copied._replace(events=rows.events), so_far
        if number == 2:
            return super().step(rows, statement, 2, rows.dead)
        return rows, so_far[1]


class TakesOutUnseen(Database):
    """Deletes what it has copied, without a look at whether it is there still."""

    def delete_parked(self, rows: Rows, epoch: int, pairs: Sequence[Pair]) -> Rows:
        return self.delete(rows, epoch, pairs)[0]


class NeverRecovers(Term):
    """Begins without a look at what has been parked."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._has_recovered = True


class LeavesItHalfParked(Database):
    """Knows the keys that are parked, and does not finish what was half done."""

    def finish_parking(self, rows: Rows, epoch: int) -> Rows:
        return rows


# The lease.


class CountsFromTheEnd(Term):
    """Counts the lease from when it heard of it, and not from when it asked."""

    def has_done(
        self, action: Any, answer: Any, asked_at: float, now: float
    ) -> list[Event]:
        return super().has_done(action, answer, now, now)


#: The first transaction has a lower id than the second, and commits after it.
LATE = ("T1 changes a: event 1", "T2 changes b: event 2", "T2 commits")
ONE = ("T1 changes a: event 1", "T1 commits")

BROKEN: dict[str, Broken] = {
    "rule 1: BEFORE triggers": Broken("order", Setup((A, A), database=BeforeTriggers)),
    "rule 2: READ UNCOMMITTED": Broken(
        "phantom", Setup((A,), rolls_back=True, database=ReadUncommitted)
    ),
    "rule 2: WHERE id > cursor": Broken(
        "order", Setup((A, B, A), floor=True, floor_type=Cursor)
    ),
    "rule 2: a floor that waits for no transaction": Broken(
        "order", Setup((A, B, A), floor=True, floor_type=ImpatientFloor, begun=LATE)
    ),
    "rule 2: a floor without a second read": Broken(
        "order",
        Setup((A, B, A), floor=True, floor_type=FloorWithoutASecondRead, begun=LATE),
    ),
    "rule 2: a read that is stale": Broken(
        "order", Setup((A, A), unreadable=FIRST, term=KeepsStaleReads)
    ),
    "rule 3: two events of a key in one call": Broken(
        "order", Setup((A, A), {"retry": 1}, in_order=True)
    ),
    "rule 3: the next leaves before the answer": Broken(
        "order", Setup((A, A), calls=2, scheduler=NextBeforeTheAnswer)
    ),
    "rule 4: DELETE id <= max": Broken("lost", Setup((A, B), database=DeleteUpTo)),
    "rule 4: delete by id alone": Broken(
        "lost", Setup((A, A), {"truncate": 1}, database=DeleteById)
    ),
    "rule 4: delete before the answer": Broken("lost", Setup((A,), term=DeleteFirst)),
    "rule 4: refused is done": Broken(
        "lost", Setup((A,), refused=FIRST, scheduler=RefusedIsDone)
    ),
    "rule 5: a poison event is passed over": Broken(
        "order", Setup((A, A), refused=FIRST, scheduler=SkipsThePoison)
    ),
    "rule 6: the floor outlives the connection": Broken(
        "order",
        Setup((A, ("a", "a")), {"failover": 1}, floor=True, begun=ONE),
        KeepsTheFloor,
    ),
    "rule 6: the window outlives the connection": Broken(
        "order", Setup((A, A, A), {"failover": 1}, begun=ONE), KeepsTheWindow
    ),
    "the deadline is counted from the end of the statement": Broken(
        "late", ClockedSetup(term=CountsFromTheEnd), Clocked
    ),
    "parking: deleted first, copied then": Broken(
        "lost",
        Setup((A,), {"crash": 1}, policy=PARK_KEY, refused=FIRST,
              database=TakesOutFirst),
    ),
    "parking: deleted though it was put back": Broken(
        "lost",
        Setup((A,), {"put back": 1}, policy=PARK_KEY, refused=FIRST,
              database=TakesOutUnseen),
    ),
    "parking: a relay that does not recover": Broken(
        "parked and sent",
        Setup((A, A), {"crash": 1}, policy=PARK_KEY, refused=FIRST, term=NeverRecovers),
    ),
    "parking: what is half parked stays so": Broken(
        "parked and sent",
        Setup((A,), {"crash": 1}, policy=PARK_EVENT, refused=FIRST,
              database=LeavesItHalfParked),
    ),
}  # fmt: skip
