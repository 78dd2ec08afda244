"""What the scheduler may never do, whatever the sink answers and in which order."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from evtrig.relay.event import Event
from evtrig.relay.scheduler import FIRST_DELAY, LONGEST_DELAY, Scheduler
from evtrig.relay.sinks.sink import ACKNOWLEDGED, Outcome, Result

RETRY = Result(Outcome.RETRY, "later")
REFUSED = Result(Outcome.REFUSED, "never")

results = st.sampled_from([ACKNOWLEDGED, ACKNOWLEDGED, RETRY, REFUSED])


def event(id_: int, key: str = "k", size: int = 2) -> Event:
    return Event(id_, id_ + 1000, key, "x" * size)


def scheduler(
    *, entries: int = 10, size: int = 1000, in_order: bool = False, jitter: float = 1.0
) -> Scheduler:
    return Scheduler(
        entries=entries, bytes=size, in_order=in_order, jitter=lambda: jitter
    )


class Rules(RuleBasedStateMachine):
    """A sink that fails at random, and answers its calls in any order."""

    in_order = False

    @initialize(entries=st.integers(1, 5), size=st.integers(1, 30))
    def open(self, entries: int, size: int) -> None:
        self.entries, self.size = entries, size
        self.now = 0.0
        self.scheduler = scheduler(entries=entries, size=size, in_order=self.in_order)
        self.last_id = 0
        self.admitted: list[Event] = []
        self.calls: list[tuple[Event, ...]] = []
        self.acknowledged: list[Event] = []
        #: Of each key, in the order in which the sink saw them for the first time.
        self.seen: dict[str, list[int]] = defaultdict(list)
        self.waits_until: dict[str, float] = {}

    @rule(found=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 40))))
    def read(self, found: list[tuple[str, int]]) -> None:
        fresh = []
        for key, size in found:
            # Ids may be missing: they were rolled back, or commit later.
            self.last_id += 2
            fresh.append(event(self.last_id, key, size))
        self.admitted += fresh
        self.scheduler.admit(fresh)

    @rule()
    def read_what_is_known(self) -> None:
        gone = set(self.acknowledged)
        left = [e for e in self.admitted if e not in gone]
        before = len(self.scheduler)
        self.scheduler.admit(left)
        assert len(self.scheduler) == before

    @rule()
    def send(self) -> None:
        batch = self.scheduler.next_batch(self.now)
        if not batch:
            return
        assert len(batch) <= self.entries
        assert len(batch) == 1 or sum(e.size for e in batch) <= self.size
        in_flight = [e for call in self.calls for e in call]
        keys = {e.key for e in in_flight}
        done = set(self.acknowledged)
        for sent in batch:
            assert sent not in done, "sent after it was acknowledged"
            assert sent not in in_flight
            if sent.id not in self.seen[sent.key]:
                self.seen[sent.key].append(sent.id)
        self.check_batch(batch, keys)
        self.calls.append(batch)

    def check_batch(self, batch: tuple[Event, ...], keys: set[str]) -> None:
        own = [e.key for e in batch]
        assert len(own) == len(set(own)), "two events of a key in one call"
        assert not keys & set(own), "two events of a key in flight"
        for key in own:
            assert self.now >= self.waits_until.get(key, 0.0)

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.calls) - 1))
        batch = self.calls.pop(number)
        n = len(batch)
        answers = data.draw(st.lists(results, min_size=n, max_size=n))
        acknowledged = self.scheduler.settle(batch, answers, self.now)
        self.check_answer(batch, answers, acknowledged)
        self.acknowledged += acknowledged

    def check_answer(
        self, batch: tuple[Event, ...], answers: list[Result], done: list[Event]
    ) -> None:
        pairs = list(zip(batch, answers, strict=True))
        assert done == [e for e, answer in pairs if answer is ACKNOWLEDGED]
        for sent, answer in pairs:
            wakes_at = 0.0 if answer is ACKNOWLEDGED else self.now + FIRST_DELAY
            self.waits_until[sent.key] = wakes_at

    @rule(seconds=st.floats(0.01, LONGEST_DELAY))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def nothing_is_lost_from_the_window(self) -> None:
        gone = set(self.acknowledged)
        left = {e.id for e in self.admitted if e not in gone}
        assert set(self.scheduler.ids) == left
        assert len(self.scheduler) == len(left)

    @invariant()
    def events_of_a_key_are_seen_in_order(self) -> None:
        for key, ids in self.seen.items():
            admitted = [e.id for e in self.admitted if e.key == key]
            assert ids == admitted[: len(ids)]

    def teardown(self) -> None:
        """A sink that takes everything gets everything, and in order."""
        if not hasattr(self, "scheduler"):
            return
        self.now += LONGEST_DELAY
        for batch in self.calls:
            self.acknowledged += self.scheduler.settle(
                batch, [ACKNOWLEDGED] * len(batch), self.now
            )
        self.calls = []
        while len(self.scheduler):
            before = len(self.scheduler)
            self.send()
            batch = self.calls.pop()
            self.acknowledged += self.scheduler.settle(
                batch, [ACKNOWLEDGED] * len(batch), self.now
            )
            assert len(self.scheduler) < before
        assert not self.scheduler.next_batch(self.now)
        assert self.scheduler.wakes_at is None
        for key in "abcd":
            ids = [e.id for e in self.acknowledged if e.key == key]
            assert ids == [e.id for e in self.admitted if e.key == key]


class OrderedRules(Rules):
    """A file or a pipe: a batch is one ordered write."""

    in_order = True

    def check_batch(self, batch: tuple[Event, ...], keys: set[str]) -> None:
        assert not self.calls, "two writes at the same time"
        start = len(self.acknowledged)
        assert list(batch) == self.admitted[start : start + len(batch)]

    def check_answer(
        self, batch: tuple[Event, ...], answers: list[Result], done: list[Event]
    ) -> None:
        good = 0
        while good < len(answers) and answers[good] is ACKNOWLEDGED:
            good += 1
        assert done == list(batch[:good]), "not what stands before the failure"

    @invariant()
    def acknowledged_is_a_prefix(self) -> None:
        assert self.acknowledged == self.admitted[: len(self.acknowledged)]


TestRules = Rules.TestCase
TestOrderedRules = OrderedRules.TestCase
TestRules.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestOrderedRules.settings = TestRules.settings


def test_a_key_that_failed_waits_and_others_flow() -> None:
    window = scheduler(entries=2)
    window.admit([event(1, "a"), event(2, "b"), event(3, "a"), event(4, "b")])
    assert ids(window.next_batch(0)) == [1, 2]
    settle(window, [1, 2], [RETRY, ACKNOWLEDGED])
    assert ids(window.next_batch(0)) == [4]
    assert window.next_batch(FIRST_DELAY - 0.001) == ()
    assert window.wakes_at == FIRST_DELAY
    assert ids(window.next_batch(FIRST_DELAY)) == [1]


def test_the_oldest_events_go_first() -> None:
    window = scheduler(entries=2)
    window.admit([event(id_, f"k{id_}") for id_ in range(1, 6)])
    assert ids(window.next_batch(0)) == [1, 2]
    assert ids(window.next_batch(0)) == [3, 4]


def test_a_late_low_id_overtakes_what_is_not_sent_yet() -> None:
    window = scheduler(entries=1)
    window.admit([event(5, "a"), event(6, "b")])
    window.admit([event(3, "c")])
    assert ids(window.next_batch(0)) == [3]


@pytest.mark.parametrize("in_order", [False, True])
def test_an_event_larger_than_the_limit_goes_alone(in_order: bool) -> None:
    window = scheduler(size=10, in_order=in_order)
    sizes = [4, 100, 4, 4]
    window.admit([event(n, f"k{n}", size) for n, size in enumerate(sizes, 1)])
    batches = []
    while batch := window.next_batch(0):
        batches.append(ids(batch))
        window.settle(batch, [ACKNOWLEDGED] * len(batch), 0)
    assert batches == [[1], [2], [3, 4]]


def test_bytes_are_counted_in_utf_8() -> None:
    window = scheduler(size=10)
    window.admit([Event(1, 1, "a", "🍣🍣"), Event(2, 2, "b", "🍣")])
    assert ids(window.next_batch(0)) == [1]


@given(failures=st.integers(1, 60), jitter=st.floats(0, 1))
def test_the_wait_doubles_up_to_five_seconds_with_full_jitter(
    failures: int, jitter: float
) -> None:
    window = scheduler(jitter=jitter)
    window.admit([event(1)])
    now = 0.0
    for failure in range(failures):
        batch = window.next_batch(now)
        window.settle(batch, [RETRY], now)
        longest = min(5.0, 0.05 * 2.0**failure)
        assert window.wakes_at == pytest.approx(now + longest * jitter)
        now = window.wakes_at or 0.0


def test_a_success_makes_the_wait_short_again() -> None:
    window = scheduler()
    window.admit([event(1), event(2)])
    now = 0.0
    for answer in (RETRY, RETRY, RETRY, ACKNOWLEDGED, RETRY):
        window.settle(window.next_batch(now), [answer], now)
        now = window.wakes_at or now
    assert window.wakes_at == pytest.approx(now)
    assert now == pytest.approx(FIRST_DELAY * (1 + 2 + 4 + 1))


def test_a_key_may_fail_for_days() -> None:
    """At five seconds at most, a thousand failures take less than an hour."""
    window = scheduler(jitter=0.0)
    window.admit([event(1)])
    for _ in range(20_000):
        window.settle(window.next_batch(0), [RETRY], 0)
    assert len(window) == 1


def test_only_refused_keys_are_stuck() -> None:
    window = scheduler()
    window.admit([event(1, "a"), event(2, "b")])
    assert not window.is_stuck
    settle(window, [1, 2], [REFUSED, RETRY], batch=window.next_batch(0))
    assert not window.is_stuck, "b may still be taken"
    batch = window.next_batch(9)
    assert not window.is_stuck, "both are in flight"
    window.settle(batch, [REFUSED, REFUSED], 9)
    assert window.is_stuck
    window.admit([event(3, "c")])
    assert not window.is_stuck


def test_an_empty_window_is_not_stuck() -> None:
    assert not scheduler().is_stuck


def test_a_refused_key_that_is_taken_after_all_goes_on() -> None:
    window = scheduler()
    window.admit([event(1, "a"), event(2, "a")])
    window.settle(window.next_batch(0), [REFUSED], 0)
    window.settle(window.next_batch(9), [ACKNOWLEDGED], 9)
    assert not window.is_stuck
    assert ids(window.next_batch(9)) == [2]


def test_a_failure_in_the_middle_of_an_ordered_batch_is_where_it_goes_on() -> None:
    window = scheduler(in_order=True)
    window.admit([event(id_, f"k{id_}") for id_ in range(1, 6)])
    batch = window.next_batch(0)
    answers = [ACKNOWLEDGED, ACKNOWLEDGED, RETRY, ACKNOWLEDGED, ACKNOWLEDGED]
    assert ids(window.settle(batch, answers, 0)) == [1, 2]
    assert ids(window.next_batch(9)) == [3, 4, 5]


def test_as_many_results_as_events_are_wanted() -> None:
    window = scheduler()
    window.admit([event(1, "a"), event(2, "b")])
    with pytest.raises(ValueError, match="shorter"):
        window.settle(window.next_batch(0), [ACKNOWLEDGED], 0)


def ids(events: tuple[Event, ...] | list[Event]) -> list[int]:
    return [event.id for event in events]


def settle(
    window: Scheduler,
    sent: list[int],
    answers: list[Result],
    batch: tuple[Event, ...] | None = None,
) -> None:
    batch = batch or tuple(event(id_, key) for id_, key in zip(sent, "ab", strict=True))
    window.settle(batch, answers, 0)
