"""A database of a few rows: writers, the outbox, the lease and the dead letters.

Its answers are those of relay/statements.py. A method takes a state of it and returns
the next one; each is one transaction of the server.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from evtrig.relay.action import (
    Claim,
    Delete,
    Grant,
    Look,
    Park,
    Read,
    Recover,
    Release,
    Renew,
    Statement,
    Transactions,
    Watch,
)
from evtrig.relay.dead_letter import DeadLetter, Parked
from evtrig.relay.event import Event
from evtrig.relay.floor import Transaction

__all__ = ["Database", "Dead", "Pair", "Rows", "Writer"]

#: Id and uid of an event. The uid tells also which of the writers' changes it is: the
#: first change of the first transaction has 0.
Pair = tuple[int, int]


class Writer(NamedTuple):
    """A transaction of the application; it changes one key after the other."""

    #: Ids of the events it has written.
    ids: tuple[int, ...] = ()
    #: "open", also before its first change, or how it ended.
    state: str = "open"
    #: BEFORE triggers only: an id that was taken before the row was locked.
    early: int = 0

    @property
    def is_active(self) -> bool:
        return self.state == "open" and bool(self.ids or self.early)


class Dead(NamedTuple):
    """A row of dead_letters."""

    id: int
    uid: int
    holds_key: bool


class Rows(NamedTuple):
    """What is in the database."""

    writers: tuple[Writer, ...]
    next_id: int = 1
    #: Committed events, by id.
    events: tuple[Pair, ...] = ()
    dead: tuple[Dead, ...] = ()
    #: For each key the changes that were committed, in the order of their row locks.
    log: tuple[tuple[int, ...], ...] = ()
    claim: int = 0
    holder: int = 0
    #: Whether the holder's time is over; and when that is, where there is a clock.
    is_expired: bool = False
    expires_at: int = 0
    #: Changes whose order nothing is promised of: parked while their key went on.
    skipped: frozenset[int] = frozenset()
    #: Changes whose events the operator has thrown away.
    dropped: frozenset[int] = frozenset()


class Database:
    """``script`` names the keys that each transaction changes, one after the other.

    ``guard`` False leaves out that only the holder may delete and park. Ids are kept
    only where they are issued again after one that ``fails_over``.
    """

    def __init__(
        self,
        script: Sequence[Sequence[str]],
        *,
        guard: bool = True,
        rolls_back: bool = False,
        fails_over: bool = False,
    ) -> None:
        self._fails_over = fails_over
        self._script = script
        self._guard = guard
        self._rolls_back = rolls_back
        self._keys = sorted({key for keys in script for key in keys})
        #: Of every change its key, in the order of the uids.
        self.key_of = [key for keys in script for key in keys]
        self._first_uid = [
            sum(map(len, script[:number])) for number in range(len(script))
        ]

    def empty(self) -> Rows:
        return Rows(tuple(Writer() for _ in self._script), log=((),) * len(self._keys))

    def event(self, pair: Pair) -> Event:
        id_, uid = pair
        return Event(id_, uid, self.key_of[uid], "x")

    def log_of(self, rows: Rows, key: str) -> tuple[int, ...]:
        return rows.log[self._keys.index(key)]

    def committed(self, rows: Rows) -> frozenset[int]:
        return frozenset().union(*rows.log)

    # The application

    def writes(self, rows: Rows) -> Iterator[tuple[str, Rows]]:
        """What the application may do next."""
        locked = {
            self._script[number][step]
            for number, writer in enumerate(rows.writers)
            if writer.state == "open"
            for step in range(len(writer.ids))
        }
        for number, writer in enumerate(rows.writers):
            if writer.state != "open":
                continue
            keys = self._script[number]
            done = len(writer.ids)
            if done < len(keys):
                own = keys[:done]
                free = keys[done] not in locked or keys[done] in own
                yield from self._change(rows, number, keys[done], is_free=free)
            else:
                yield f"T{number + 1} commits", self._commit(rows, number)
            if self._rolls_back and done:
                yield (
                    f"T{number + 1} rolls back",
                    self._with(rows, number, writer._replace(state="rolled back")),
                )

    def _change(
        self, rows: Rows, number: int, key: str, *, is_free: bool
    ) -> Iterator[tuple[str, Rows]]:
        """AFTER triggers: the id is taken while the row is locked."""
        if not is_free:
            return
        writer = rows.writers[number]
        writer = writer._replace(ids=(*writer.ids, rows.next_id))
        rows_ = self._with(rows, number, writer)
        yield (
            f"T{number + 1} changes {key}: event {rows.next_id}",
            rows_._replace(next_id=rows.next_id + 1),
        )

    def _commit(self, rows: Rows, number: int) -> Rows:
        writer = rows.writers[number]
        ids = writer.ids if self._fails_over else ()
        rows = self._with(rows, number, Writer(ids, "committed"))
        log = list(rows.log)
        for step, key in enumerate(self._script[number]):
            log[self._keys.index(key)] += (self._first_uid[number] + step,)
        return rows._replace(
            events=tuple(sorted((*rows.events, *self._pairs(number, writer)))),
            log=tuple(log),
        )

    def _pairs(self, number: int, writer: Writer) -> Iterator[Pair]:
        first = self._first_uid[number]
        return ((id_, first + step) for step, id_ in enumerate(writer.ids))

    @staticmethod
    def _with(rows: Rows, number: int, writer: Writer) -> Rows:
        if writer.state == "rolled back":
            writer = Writer(state="rolled back")
        writers = list(rows.writers)
        writers[number] = writer
        return rows._replace(writers=tuple(writers))

    def truncate(self, rows: Rows) -> Rows | None:
        """TRUNCATE of the outbox: ids begin anew. It waits for open transactions."""
        if any(writer.is_active for writer in rows.writers):
            return None
        gone = {uid for _, uid in rows.events}
        return rows._replace(events=(), next_id=1, dropped=rows.dropped | gone)

    def fail_over(self, rows: Rows) -> Iterator[tuple[int, Rows]]:
        """To a replica that lacks a transaction which was committed last, for its keys;
        what is open is rolled back, and ids are issued again."""
        writers = tuple(
            Writer(state="rolled back") if writer.is_active else writer
            for writer in rows.writers
        )
        for number, writer in enumerate(rows.writers):
            first = self._first_uid[number]
            uids = range(first, first + len(self._script[number]))
            if writer.state != "committed":
                continue
            log = tuple(
                tuple(uid for uid in of_key if uid not in uids) for of_key in rows.log
            )
            if any(
                before[: len(after)] != after
                for before, after in zip(rows.log, log, strict=True)
            ):
                continue
            events = tuple(pair for pair in rows.events if pair[1] not in uids)
            dead = tuple(d for d in rows.dead if d.uid not in uids)
            issued = [
                id_
                for other, kept in enumerate(rows.writers)
                if other != number and kept.state == "committed"
                for id_ in kept.ids
            ]
            yield (
                number,
                rows._replace(
                    writers=writers,
                    next_id=max(issued, default=0) + 1,
                    events=events,
                    dead=dead,
                    log=log,
                    dropped=rows.dropped | set(uids),
                ),
            )

    def put_back(self, rows: Rows, key: str) -> Rows:
        """The operator's ``dead-letters retry``: old ids, in one transaction."""
        back = [(d.id, d.uid) for d in rows.dead if self.key_of[d.uid] == key]
        return rows._replace(
            dead=tuple(d for d in rows.dead if self.key_of[d.uid] != key),
            events=tuple(sorted({*rows.events, *back})),
        )

    # The relay

    def answer(self, rows: Rows, statement: Statement) -> tuple[Rows, Any]:
        """Carry out a statement that is a single transaction."""
        match statement:
            case Look():
                is_free = rows.holder == 0 or rows.is_expired
                return rows, (rows.claim, rows.holder, is_free)
            case Claim():
                return rows._replace(claim=rows.claim + 1), rows.claim + 1
            case Grant(epoch, gone):
                is_free = rows.holder == 0 or rows.is_expired
                is_gone = gone == (rows.holder, str(rows.expires_at))
                if rows.claim == epoch and (is_free or is_gone):
                    return rows._replace(holder=epoch, is_expired=False), True
                return rows, False
            case Renew(epoch):
                if rows.holder == rows.claim == epoch:
                    return rows._replace(is_expired=False), True
                return rows, False
            case Release(epoch):
                if rows.holder == epoch:
                    rows = rows._replace(holder=0, is_expired=False)
                return rows, None
            case Watch(epoch, floor):
                is_ours = rows.holder == rows.claim == epoch
                return rows, (is_ours, any(id_ >= floor for id_, _ in rows.events))
            case Transactions():
                return rows, tuple(
                    Transaction(str(number + 1), "")
                    for number, writer in enumerate(rows.writers)
                    if writer.is_active
                )
            case Delete(epoch, events):
                return self.delete(rows, epoch, [(e.id, e.uid) for e in events])
        raise AssertionError(statement)

    def delete(self, rows: Rows, epoch: int, pairs: Sequence[Pair]) -> tuple[Rows, int]:
        if not self.is_let(rows, epoch):
            return rows, 0
        left = tuple(pair for pair in rows.events if pair not in pairs)
        return rows._replace(events=left), len(rows.events) - len(left)

    def is_let(self, rows: Rows, epoch: int) -> bool:
        return rows.holder == epoch or not self._guard

    def read(self, rows: Rows, read: Read) -> tuple[Pair, ...]:
        found = [
            (id_, uid)
            for id_, uid in self.visible(rows)
            if id_ >= read.floor
            and id_ not in read.besides
            and self.key_of[uid] not in read.besides_keys
        ]
        return tuple(found[: read.limit])

    def visible(self, rows: Rows) -> Sequence[Pair]:
        return rows.events

    # What takes several transactions, in relay/outbox.py

    def steps(self, statement: Statement) -> int:
        """How many transactions it takes."""
        match statement:
            case Park():
                return 4
            case Recover():
                return 2
        return 1

    def step(
        self, rows: Rows, statement: Statement, number: int, so_far: Any
    ) -> tuple[Rows, Any]:
        """One transaction of a statement, and what it has found; the last gives the
        answer."""
        if not isinstance(statement, Park | Recover):
            return self.answer(rows, statement)
        if isinstance(statement, Recover):
            if number == 0:
                return self.finish_parking(rows, statement.epoch), None
            return rows, self.parked_keys(rows)
        letters = statement.letters
        match number:
            case 0:
                return self.copy(rows, statement.epoch, letters), None
            case 1:
                pairs = {(e.event.id, e.event.uid) for e in letters}
                return rows, tuple(d for d in rows.dead if (d.id, d.uid) in pairs)
            case 2:
                keys = {self.key_of[d.uid] for d in so_far if d.holds_key}
                unclear = {letter.event.key for letter in letters} - keys
                keys |= self.parked_keys(rows) & unclear
                pairs = tuple((d.id, d.uid) for d in so_far)
                ids = frozenset(id_ for id_, _ in pairs)
                return rows, (pairs, Parked(ids, frozenset(keys)))
            case _:
                pairs, parked = so_far
                return self.delete_parked(rows, statement.epoch, pairs), parked

    def delete_parked(self, rows: Rows, epoch: int, pairs: Sequence[Pair]) -> Rows:
        dead = {(d.id, d.uid) for d in rows.dead}
        return self.delete(rows, epoch, [pair for pair in pairs if pair in dead])[0]

    def finish_parking(self, rows: Rows, epoch: int) -> Rows:
        return self.delete(rows, epoch, [(d.id, d.uid) for d in rows.dead])[0]

    def parked_keys(self, rows: Rows) -> frozenset[str]:
        return frozenset(self.key_of[d.uid] for d in rows.dead if d.holds_key)

    def copy(self, rows: Rows, epoch: int, letters: Sequence[DeadLetter]) -> Rows:
        if not self.is_let(rows, epoch):
            return rows
        held = self.parked_keys(rows)
        dead = {(d.id, d.uid): d for d in rows.dead}
        skipped = set(rows.skipped)
        for letter in letters:
            pair = letter.event.id, letter.event.uid
            if pair not in rows.events:
                continue
            if letter.reason != "behind" or letter.event.key in held:
                dead.setdefault(pair, Dead(*pair, letter.holds_key))
                if not letter.holds_key:
                    skipped.add(letter.event.uid)
        return rows._replace(
            dead=tuple(sorted(dead.values())), skipped=frozenset(skipped)
        )
