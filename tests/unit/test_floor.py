"""A floor never passes an id that may still come, whatever the transactions do."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from evtrig.relay.action import Read
from evtrig.relay.event import Event
from evtrig.relay.floor import BLIND, CACHED, Floor, Transaction


def event(id_: int) -> Event:
    return Event(id_, id_, "k", "{}")


def read(
    floor: Floor,
    *ids: int,
    at: float,
    limit: int = 100,
    keys: frozenset[str] = frozenset(),
) -> None:
    asked = Read(limit, floor.value, besides_keys=keys)
    floor.has_read(asked, [event(id_) for id_ in ids], at, at)


ONE = Transaction("17", "4 12:00:00")
TWO = Transaction("18", "5 12:00:00")


def test_it_rises_when_all_that_were_open_have_ended_and_were_read() -> None:
    floor = Floor(is_on=True)
    read(floor, 7, 9, at=0.0)
    assert (floor.value, floor.wakes_at) == (0, CACHED)
    floor.has_looked([ONE, TWO], 1.0)
    floor.has_looked([TWO], 2.0)
    read(floor, at=2.5)
    assert floor.value == 0
    floor.has_looked([], 3.0)
    assert floor.value == 0, "what they brought was not read yet"
    read(floor, at=3.5)
    assert floor.value == 10


def test_whoever_comes_later_is_not_waited_for() -> None:
    floor = Floor(is_on=True)
    read(floor, 9, at=0.0)
    floor.has_looked([ONE], 1.0)
    floor.has_looked([TWO], 2.0)
    read(floor, at=2.5)
    assert floor.value == 10


def test_a_transaction_is_known_by_its_session_until_it_has_an_id() -> None:
    floor = Floor(is_on=True)
    read(floor, 9, at=0.0)
    floor.has_looked([Transaction("42100", "4 12:00:00")], 1.0)
    floor.has_looked([Transaction("19", "4 12:00:00")], 2.0)
    # XA PREPARE, and its session has gone.
    floor.has_looked([Transaction("19", "")], 3.0)
    read(floor, at=3.5)
    assert floor.value == 0
    floor.has_looked([Transaction("20", "")], 4.0)
    read(floor, at=4.5)
    assert floor.value == 10


def test_a_read_that_left_something_out_proves_nothing() -> None:
    floor = Floor(is_on=True)
    read(floor, 9, at=0.0)
    floor.has_looked([], 1.0)
    read(floor, at=1.5, keys=frozenset({"k"}))
    assert floor.value == 0
    read(floor, 5, 6, at=2.0, limit=2)
    assert floor.value == 0, "it did not reach 9"
    read(floor, 9, 11, at=2.5, limit=2)
    assert floor.value == 10


def test_a_read_that_began_before_they_had_ended_proves_nothing() -> None:
    floor = Floor(is_on=True)
    read(floor, 9, at=0.0)
    asked = Read(100, 0)
    floor.has_looked([], 1.0)
    floor.has_read(asked, [], 0.9, 1.1)
    assert floor.value == 0


def test_it_falls_to_what_has_to_be_read_again() -> None:
    floor = Floor(is_on=True)
    read(floor, 9, at=0.0)
    floor.has_looked([], 1.0)
    read(floor, at=1.5)
    floor.forget(7)
    assert floor.value == 7
    read(floor, 7, at=2.0)
    floor.has_looked([], 3.0)
    read(floor, at=3.5)
    assert floor.value == 10


def test_who_may_not_see_transactions_reads_from_the_head() -> None:
    floor = Floor(is_on=True)
    read(floor, 9, at=0.0)
    for number in range(BLIND):
        floor.has_looked(None, float(number))
    read(floor, 12, at=9.0)
    assert (floor.value, floor.wakes_at) == (0, None)


def test_it_may_be_off() -> None:
    floor = Floor(is_on=False)
    read(floor, 9, at=0.0)
    assert (floor.value, floor.wakes_at) == (0, None)


@dataclass
class Writer:
    """A transaction, and the ids it has taken."""

    transaction: Transaction
    ids: list[int] = field(default_factory=list)


class Rules(RuleBasedStateMachine):
    """Writers take ids, commit and roll back; a relay reads, deletes and looks."""

    def __init__(self) -> None:
        super().__init__()
        self.floor = Floor(is_on=True)
        self.now = 0.0
        self.last = 0
        self.number = 0
        self.open: list[Writer] = []
        self.visible: set[int] = set()
        self.seen: set[int] = set()
        self.asked: tuple[Read, float, list[int]] | None = None

    @rule()
    def begin(self) -> None:
        self.number += 1
        name = f"{self.number}"
        self.open.append(Writer(Transaction(name, f"session {name}")))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def take_an_id(self, data: st.DataObject) -> None:
        self.last += 1
        data.draw(st.sampled_from(self.open)).ids.append(self.last)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), commits=st.booleans())
    def end(self, data: st.DataObject, commits: bool) -> None:
        writer = data.draw(st.sampled_from(self.open))
        self.open.remove(writer)
        if commits:
            self.visible |= set(writer.ids)

    @precondition(lambda self: self.asked is None)
    @rule(limit=st.integers(1, 4), is_head=st.booleans())
    def begin_a_read(self, limit: int, is_head: bool) -> None:
        floor = 0 if is_head else self.floor.value
        asked = Read(limit, floor, besides=frozenset(self.seen))
        found = sorted(id_ for id_ in self.visible - self.seen if id_ >= floor)
        self.asked = asked, self.now, found[:limit]

    @precondition(lambda self: self.asked is not None)
    @rule()
    def end_a_read(self) -> None:
        assert self.asked is not None
        asked, at, ids = self.asked
        self.asked = None
        self.seen |= set(ids)
        self.floor.has_read(asked, [event(id_) for id_ in ids], at, self.now)

    @precondition(lambda self: self.floor.wakes_at is not None)
    @rule()
    def look(self) -> None:
        assert self.floor.wakes_at is not None
        self.now = max(self.now, self.floor.wakes_at)
        still = [writer.transaction for writer in self.open if writer.ids]
        self.floor.has_looked(still, self.now)

    @rule(seconds=st.floats(0.01, 1))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def nothing_below_it_is_to_come(self) -> None:
        taken = {id_ for writer in self.open for id_ in writer.ids}
        unseen = self.visible - self.seen
        if self.asked is not None:
            # What a read brings is there as soon as it ends.
            unseen -= set(self.asked[2])
        assert not [id_ for id_ in taken | unseen if id_ < self.floor.value]


TestRules = Rules.TestCase
TestRules.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
