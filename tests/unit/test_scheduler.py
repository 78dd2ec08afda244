"""What the scheduler may never do, whatever the sink answers and in which order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import ClassVar

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

from evtrig.relay import scheduler as scheduler_module
from evtrig.relay.dead_letter import Parked
from evtrig.relay.event import Event
from evtrig.relay.outlet import Outlet
from evtrig.relay.policy import ON_REFUSED, OnRefused, Policy
from evtrig.relay.scheduler import (
    ALONE,
    FIRST_DELAY,
    KEPT,
    LONGEST_DELAY,
    Scheduler,
)
from evtrig.relay.sinks.sink import ACKNOWLEDGED, Limits, Outcome, Result

RETRY = Result(Outcome.RETRY, "later")
REFUSED = Result(Outcome.REFUSED, "never")
UNKNOWN = Result(Outcome.UNKNOWN, "who knows")

results = st.sampled_from([ACKNOWLEDGED, ACKNOWLEDGED, RETRY, REFUSED])


def event(id_: int, key: str = "k", size: int = 2) -> Event:
    return Event(id_, id_ + 1000, key, "x" * size)


def scheduler(
    *, entries: int = 10, size: int = 1000, in_order: bool = False, jitter: float = 1.0
) -> Scheduler:
    return Scheduler([outlet(entries, size, in_order)], jitter=lambda: jitter)


def outlet(entries: int, size: int, in_order: bool) -> Outlet:
    # How many calls there may be is no concern of most tests here.
    return Outlet("", Limits(entries, size, calls=99), in_order=in_order)


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


def where(sent: Event) -> str:
    """Which of three outlets an event goes to: as good as by chance."""
    return ("queue", "topic", "file")[sent.id * 7 % 3]


class SeveralRules(Rules):
    """Two queues and a file; a key has events in all of them. What fills the window
    leaves it, and is read again."""

    #: Of an outlet that comes to more than its own place.
    reaches: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    @initialize(entries=st.integers(3, 5), size=st.just(30))
    def open(self, entries: int, size: int) -> None:
        super().open(entries, size)
        # So that there is more.
        scheduler_module.KEPT = 1
        outlets = [
            Outlet(
                name,
                Limits(entries, size, calls=2),
                in_order=name == "file",
                reaches=self.reaches.get(name, ()),
            )
            for name in ("queue", "topic", "file")
        ]
        self.scheduler = Scheduler(outlets, route=where, jitter=lambda: 1.0)

    @rule(found=st.lists(st.tuples(st.sampled_from("abcdefgh"), st.just(2))))
    def read(self, found: list[tuple[str, int]]) -> None:
        for key, size in found:
            self.last_id += 2
            self.admitted.append(event(self.last_id, key, size))
        self.read_what_is_wanted()

    @rule()
    def read_what_is_known(self) -> None:
        self.scheduler.admit([e for e in self.admitted if e.id in self.scheduler.ids])

    @rule()
    def read_what_is_wanted(self) -> None:
        """As the outbox gives it: in order of ids, without what is left out."""
        done, window = set(self.acknowledged), self.scheduler
        window.forgotten()
        fresh = [
            e
            for e in self.admitted
            if e not in done
            and e.id not in window.ids
            and where(e) not in window.shut
            and e.key not in window.held
        ]
        window.admit(fresh)

    @rule()
    def lose_all_calls(self) -> None:
        """An outage, by which an outlet is taken for down."""
        for _ in range(4):
            self.send()
        for batch in self.calls:
            self.scheduler.settle(batch, [UNKNOWN] * len(batch), self.now)
        self.calls = []

    @rule()
    def make_room(self) -> None:
        self.scheduler.trim()

    @invariant()
    def nothing_is_lost_from_the_window(self) -> None:
        """Whatever is not in it is read again."""
        assert set(self.scheduler.ids) <= {e.id for e in self.admitted}
        assert not set(self.scheduler.ids) & {e.id for e in self.acknowledged}

    def check_batch(self, batch: tuple[Event, ...], keys: set[str]) -> None:
        (outlet,) = {where(sent) for sent in batch}
        of_outlet = [call for call in self.calls if where(call[0]) == outlet]
        if outlet == "file":
            assert not of_outlet, "two writes at the same time"
            return
        assert len(of_outlet) < 2, "more calls than it takes"
        queued = {e.key for call in self.calls for e in call if where(e) != "file"}
        super().check_batch(batch, queued)

    def check_answer(
        self, batch: tuple[Event, ...], answers: list[Result], done: list[Event]
    ) -> None:
        if where(batch[0]) != "file":
            super().check_answer(batch, answers, done)

    @invariant()
    def events_of_a_key_are_seen_in_order(self) -> None:
        """In each outlet: what is in one tells nothing about another."""
        for key, ids in self.seen.items():
            for outlet in ("queue", "topic", "file"):
                seen = [id_ for id_ in ids if where(event(id_)) == outlet]
                admitted = [
                    e.id for e in self.admitted if e.key == key and where(e) == outlet
                ]
                assert seen == admitted[: len(seen)]

    def teardown(self) -> None:
        scheduler_module.KEPT = KEPT
        if not hasattr(self, "scheduler"):
            return
        for _ in range(3 * len(self.admitted) + 3):
            self.now += LONGEST_DELAY
            self.read_what_is_wanted()
            self.send()
            for batch in self.calls:
                self.acknowledged += self.scheduler.settle(
                    batch, [ACKNOWLEDGED] * len(batch), self.now
                )
            self.calls = []
        assert not len(self.scheduler)
        assert self.scheduler.wakes_at is None
        assert len(self.acknowledged) == len(self.admitted)


class SharingRules(SeveralRules):
    """What goes to the topic goes to the queue as well."""

    reaches: ClassVar = {"topic": ("queue", "topic")}

    @invariant()
    def events_of_a_key_come_to_the_queue_in_order(self) -> None:
        for key, ids in self.seen.items():
            seen = [id_ for id_ in ids if where(event(id_)) != "file"]
            admitted = [
                e.id for e in self.admitted if e.key == key and where(e) != "file"
            ]
            assert seen == admitted[: len(seen)]


TestSeveralRules = SeveralRules.TestCase
TestSharingRules = SharingRules.TestCase
TestRules = Rules.TestCase
TestOrderedRules = OrderedRules.TestCase
TestRules.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestOrderedRules.settings = TestSeveralRules.settings = TestRules.settings
TestSharingRules.settings = TestRules.settings


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


class TestDeadLetters:
    """What is given up, and what becomes of the later events of its key."""

    @pytest.mark.parametrize("policy", ON_REFUSED)
    def test_what_is_refused_goes_by_the_policy(self, policy: OnRefused) -> None:
        window = parking(policy)
        window.admit([event(1), event(2), event(3, "other")])
        batch = window.next_batch(0)
        settle(window, [1, 3], [REFUSED, ACKNOWLEDGED], batch=batch)
        letters = window.next_letters()
        if policy == "block":
            assert letters == ()
            assert ids(window.next_batch(9)) == [1]
            return
        assert [(x.event.id, x.reason, x.attempts) for x in letters] == [
            (1, "refused", 1)
        ]
        assert (letters[0].first_error, letters[0].last_error) == ("never", "never")
        assert letters[0].holds_key == (policy == "park-key")
        assert window.next_batch(9) == (), "nothing of its key before it is parked"
        keys = frozenset({"k"} if policy == "park-key" else ())
        window.settle_letters(letters, Parked(frozenset({1}), keys))
        behind = window.next_letters()
        if policy == "park-event":
            assert behind == ()
            assert ids(window.next_batch(9)) == [2]
            return
        assert [(x.event.id, x.reason, x.holds_key) for x in behind] == [
            (2, "behind", True)
        ]
        window.settle_letters(behind, Parked(frozenset({2}), keys))
        assert len(window) == 0
        window.admit([event(4), event(5, "other")])
        assert ids(window.next_batch(9)) == [5]
        assert [x.event.id for x in window.next_letters()] == [4]

    def test_a_key_that_is_not_parked_any_more_is_read_again_from_the_head(
        self,
    ) -> None:
        """Its dead letters may have been put back: they have lower ids."""
        window = parking("park-key")
        window.hold({"k"})
        window.admit([event(5), event(6)])
        letters = window.next_letters()
        window.settle_letters(letters, Parked(frozenset(), frozenset()))
        assert len(window) == 0
        assert window.next_batch(9) == ()
        assert set(window.forgotten()) == {0, 5, 6}
        window.admit([event(1), event(5), event(6)])
        assert ids(window.next_batch(9)) == [1]

    def test_what_could_not_be_parked_now_is_parked_later(self) -> None:
        window = parking("park-key")
        window.admit([event(1), event(2)])
        settle(window, [1], [REFUSED], batch=window.next_batch(0))
        letters = window.next_letters()
        assert not window.must_park
        window.defer_letters(letters)
        assert window.next_batch(9) == ()
        assert window.next_letters() == letters

    def test_a_row_that_somebody_has_taken_away_is_looked_for_again(self) -> None:
        window = parking("park-event")
        window.admit([event(1), event(2)])
        settle(window, [1], [REFUSED], batch=window.next_batch(0))
        letters = window.next_letters()
        window.settle_letters(letters, Parked(frozenset(), frozenset()))
        assert window.next_batch(9) == (), "2 must not overtake 1, if that is there"
        assert set(window.forgotten()) == {1, 2}

    @pytest.mark.parametrize(
        ("outcome", "reason"), [(Outcome.RETRY, "attempts"), (Outcome.RETRY, "age")]
    )
    def test_what_fails_too_often_or_too_long_is_given_up(
        self, outcome: Outcome, reason: str
    ) -> None:
        window = parking(
            "park-key",
            max_attempts=3 if reason == "attempts" else None,
            max_age=10.0 if reason == "age" else None,
        )
        window.admit([event(1)])
        for now in (0.0, 5.0):
            window.settle(window.next_batch(now), [Result(outcome, "x")], now)
            assert not window.must_park
        window.settle(window.next_batch(10.0), [Result(outcome, "y")], 10.0)
        (letter,) = window.next_letters()
        assert (letter.reason, letter.attempts, letter.age) == (reason, 3, 10.0)
        assert (letter.first_error, letter.last_error) == ("x", "y")

    def test_a_call_that_fails_is_no_attempt_of_its_events(self) -> None:
        window = parking("park-key", max_attempts=1)
        window.admit([event(1, "a"), event(2, "b")])
        settle(window, [1, 2], [UNKNOWN, UNKNOWN], batch=window.next_batch(0))
        assert not window.must_park

    def test_an_event_that_fails_again_and_again_is_sent_by_itself(self) -> None:
        """It may be what makes the calls fail that others are part of."""
        window = parking("park-key", max_attempts=1)
        window.admit([event(1, "a"), event(2, "b")])
        now = 0.0
        for _ in range(ALONE):
            window.settle(window.next_batch(now), [UNKNOWN, UNKNOWN], now)
            now += LONGEST_DELAY
        assert ids(window.next_batch(now)) == [1]
        window.settle((event(1, "a"),), [UNKNOWN], now)
        (letter,) = window.next_letters()
        assert (letter.event.id, letter.reason) == (1, "attempts")

    def test_nothing_is_given_up_while_the_sink_is_down(self) -> None:
        window = parking("park-key", max_attempts=1)
        window.admit([event(n, f"k{n}") for n in range(1, 9)])
        batch = window.next_batch(0)
        window.settle(batch, [REFUSED] * len(batch), 0)
        assert window.down
        assert not window.must_park
        assert window.is_stuck

    @pytest.mark.parametrize("policy", ON_REFUSED)
    def test_what_is_too_large_is_parked_by_any_policy(self, policy: OnRefused) -> None:
        window = parking(policy)
        window.admit([event(1), event(2)])
        large = Result(Outcome.OVERSIZED, "9 bytes, 8 are taken")
        settle(window, [1], [large], batch=window.next_batch(0))
        (letter,) = window.next_letters()
        assert letter.reason == "oversized"
        assert letter.holds_key == (policy != "park-event")

    def test_what_cannot_be_sent_is_settled_without_being_sent(self) -> None:
        window = parking("park-event")
        bad = Event(1, 1, "k", "", problem="after is not JSON")
        large = Event(2, 2, "l", "", problem="too large", is_oversized=True)
        window.admit([bad, large, event(3)])
        assert window.next_batch(0) == ()
        letters = window.next_letters()
        assert [(x.event.id, x.reason) for x in letters] == [
            (1, "refused"),
            (2, "oversized"),
        ]

    def test_a_row_that_blocks_is_read_again_after_a_while(self) -> None:
        window = scheduler()
        bad = Event(1, 1, "k", "", problem="after is not JSON")
        window.admit([bad, event(2)])
        assert window.next_batch(0) == ()
        assert window.is_stuck
        assert window.wakes_at == LONGEST_DELAY
        assert window.next_batch(LONGEST_DELAY) == ()
        assert set(window.forgotten()) == {1, 2}
        window.admit([event(1), event(2)])
        assert ids(window.next_batch(LONGEST_DELAY)) == [1]

    def test_of_an_ordered_batch_only_the_key_is_parked(self) -> None:
        window = parking("park-key", in_order=True)
        window.admit([event(1, "a"), event(2, "b"), event(3, "a"), event(4, "b")])
        answers = [REFUSED, ACKNOWLEDGED, ACKNOWLEDGED, ACKNOWLEDGED]
        window.settle(window.next_batch(0), answers, 0)
        letters = window.next_letters()
        window.settle_letters(letters, Parked(frozenset({1}), frozenset({"a"})))
        assert [x.event.id for x in window.next_letters()] == [3]
        assert ids(window.next_batch(0)) == [2, 4]


class TestDown:
    def test_one_batch_at_a_time_is_tried_after_ever_longer_waits(self) -> None:
        window = scheduler(entries=2)
        window.admit([event(n, f"k{n}") for n in range(1, 20)])
        now = 0.0
        for _ in range(2):
            window.settle(window.next_batch(now), [UNKNOWN, UNKNOWN], now)
        assert window.down
        for wait in (FIRST_DELAY, 2 * FIRST_DELAY, 4 * FIRST_DELAY):
            assert window.next_batch(now + wait * 0.99) == ()
            now += wait
            batch = window.next_batch(now)
            assert len(batch) == 2
            assert window.next_batch(now) == (), "another is in flight"
            window.settle(batch, [UNKNOWN, UNKNOWN], now)
        batch = window.next_batch(now + LONGEST_DELAY)
        window.settle(batch, [ACKNOWLEDGED, UNKNOWN], now)
        assert not window.down

    def test_what_never_failed_is_tried_first(self) -> None:
        window = scheduler(entries=4)
        window.admit([event(n, f"k{n}") for n in range(1, 5)])
        window.settle(window.next_batch(0), [REFUSED] * 4, 0)
        assert window.down
        window.admit([event(9, "new")])
        assert ids(window.next_batch(LONGEST_DELAY)) == [9]


def parking(
    policy: OnRefused,
    *,
    max_attempts: int | None = None,
    max_age: float | None = None,
    in_order: bool = False,
) -> Scheduler:
    return Scheduler(
        [outlet(10, 1000, in_order)],
        jitter=lambda: 1.0,
        policy=Policy(policy, max_attempts, max_age),
    )


def test_a_few_refused_keys_do_not_keep_a_sink_down_for_the_others() -> None:
    window = scheduler(entries=4)
    window.admit([event(n, f"poison {n}") for n in range(1, 7)])
    window.admit([event(9, "good")])
    now = 0.0
    taken = False
    # An outage: nothing is taken of anybody.
    for _ in range(12):
        batch = window.next_batch(now)
        window.settle(batch, [UNKNOWN] * len(batch), now)
        now += LONGEST_DELAY
    # It is over, and the sink refuses the poison only.
    for _ in range(12):
        while batch := window.next_batch(now):
            answers = [
                REFUSED if "poison" in sent.key else ACKNOWLEDGED for sent in batch
            ]
            taken = taken or ACKNOWLEDGED in answers
            window.settle(batch, answers, now)
        now += LONGEST_DELAY
    assert taken


def test_in_an_ordered_sink_too_a_bad_row_holds_back_its_key_only() -> None:
    window = scheduler(in_order=True)
    bad = Event(2, 2, "a", "", problem="after is not JSON")
    window.admit([event(1, "a"), bad, event(3, "b"), event(4, "a"), event(5, "b")])
    batch = window.next_batch(0)
    assert ids(batch) == [1]
    window.settle(batch, [ACKNOWLEDGED], 0)
    batch = window.next_batch(0)
    assert ids(batch) == [3, 5]
    window.admit([event(6, "a")])
    window.settle(batch, [ACKNOWLEDGED] * 2, 0)
    assert window.next_batch(0) == ()
    assert window.is_stuck
    assert window.next_batch(LONGEST_DELAY) == ()
    assert set(window.forgotten()) == {2, 4, 6}, "to be read again, in order"
    window.admit([event(2, "a"), event(4, "a"), event(6, "a")])
    assert ids(window.next_batch(LONGEST_DELAY)) == [2, 4, 6]


def two_queues() -> Scheduler:
    outlets = [Outlet(name, Limits(10, 1000, calls=4)) for name in ("a", "b")]
    # By the name of the key: "a1" goes to a.
    return Scheduler(outlets, route=lambda sent: sent.key[0], jitter=lambda: 1.0)


def test_a_batch_is_of_one_outlet() -> None:
    window = two_queues()
    window.admit([event(1, "a1"), event(2, "b1"), event(3, "a2"), event(4, "b2")])
    assert ids(window.next_batch(0)) == [1, 3]
    assert ids(window.next_batch(0)) == [2, 4]


def test_an_outlet_that_is_down_holds_up_its_own_events_only() -> None:
    window = two_queues()
    window.admit([event(n, f"a{n}") for n in range(1, 5)])
    batch = window.next_batch(0)
    window.settle(batch, [UNKNOWN] * 4, 0)
    assert window.down == ("a",)
    window.admit([event(5, "a5"), event(6, "b6"), event(7, "b7")])
    assert ids(window.next_batch(0)) == [6, 7]
    assert window.next_batch(0) == ()
    assert ids(window.next_batch(LONGEST_DELAY)) == [5]


def test_an_outlet_without_a_free_call_lets_the_other_go_on() -> None:
    outlets = [Outlet(name, Limits(1, 1000, calls=1)) for name in ("a", "b")]
    window = Scheduler(outlets, route=lambda sent: sent.key[0], jitter=lambda: 1.0)
    window.admit([event(1, "a1"), event(2, "a2"), event(3, "b3")])
    assert ids(window.next_batch(0)) == [1]
    assert ids(window.next_batch(0)) == [3]
    assert window.next_batch(0) == ()


def test_a_key_waits_for_its_event_wherever_that_goes() -> None:
    outlets = [Outlet(name, Limits(10, 1000, calls=4)) for name in ("odd", "even")]
    window = Scheduler(
        outlets,
        route=lambda sent: "odd" if sent.id % 2 else "even",
        jitter=lambda: 1.0,
    )
    window.admit([event(1), event(2), event(3)])
    for id_ in (1, 2, 3):
        batch = window.next_batch(0)
        assert ids(batch) == [id_]
        assert window.next_batch(0) == ()
        window.settle(batch, [ACKNOWLEDGED], 0)


def test_an_outlet_that_is_down_leaves_room_for_the_others() -> None:
    window = two_queues()
    window.admit([event(n, f"a{n}") for n in range(1, 500)])
    batch = window.next_batch(0)
    window.settle(batch, [UNKNOWN] * 10, 0)
    window.trim()
    assert window.shut == {"a"}
    # Those that have failed, and some to try it with.
    assert len(window) == 10 + KEPT
    assert len(window.forgotten()) == 499 - 10 - KEPT
    window.admit([event(1000, "b1")])
    assert ids(window.next_batch(0)) == [1000]
    # It is up again.
    batch = window.next_batch(LONGEST_DELAY)
    window.settle(batch, [ACKNOWLEDGED] * len(batch), LONGEST_DELAY)
    assert window.shut == frozenset()
    assert window.forgotten() == [0], "to be read from the head"


def test_an_outlet_that_shares_a_place_with_one_that_is_shut_is_shut_as_well() -> None:
    """Or it would bring that place later events of a key before those left behind."""
    outlets = [
        Outlet("all", Limits(10, 1000), reaches=("queue", "audit")),
        Outlet("audit", Limits(10, 1000)),
        Outlet("mail", Limits(10, 1000)),
    ]
    of = {"d": "all", "a": "audit", "m": "mail"}
    window = Scheduler(outlets, route=lambda sent: of[sent.key[0]], jitter=lambda: 1.0)
    window.admit([event(n, f"d{n}") for n in range(1, 500)])
    window.settle(window.next_batch(0), [UNKNOWN] * 10, 0)
    window.trim()
    assert window.shut == {"all", "audit"}
    window.forgotten()
    batch = window.next_batch(LONGEST_DELAY)
    window.settle(batch, [ACKNOWLEDGED] * len(batch), LONGEST_DELAY)
    assert window.shut == frozenset()
    assert window.forgotten() == [0]


def test_outlets_that_all_share_a_place_are_never_shut() -> None:
    outlets = [
        Outlet("all", Limits(10, 1000), reaches=("queue", "audit")),
        Outlet("audit", Limits(10, 1000)),
    ]
    window = Scheduler(outlets, route=lambda sent: "all", jitter=lambda: 1.0)
    window.admit([event(n, f"k{n}") for n in range(1, 500)])
    window.settle(window.next_batch(0), [UNKNOWN] * 10, 0)
    window.trim()
    assert window.shut == frozenset()
    assert len(window) == 499


def test_a_shut_outlet_with_nothing_left_to_try_it_is_opened() -> None:
    window = two_queues()
    window.admit([event(n, f"a{n}") for n in (1, 2, 3)])
    window.settle(window.next_batch(0), [UNKNOWN] * 3, 0)
    window.trim()
    assert window.shut == {"a"}
    batch = window.next_batch(LONGEST_DELAY)
    window.settle(batch, [Result(Outcome.OVERSIZED)] * 3, LONGEST_DELAY)
    letters = window.next_letters()
    ids_ = frozenset(letter.event.id for letter in letters)
    window.settle_letters(letters, Parked(ids_, frozenset()))
    assert window.next_batch(LONGEST_DELAY) == ()
    assert window.shut == frozenset(), "its events would wait for ever"
    assert window.forgotten() == [0]


def test_the_only_outlet_is_never_shut() -> None:
    window = scheduler(entries=4)
    window.admit([event(n, f"k{n}") for n in range(1, 500)])
    window.settle(window.next_batch(0), [UNKNOWN] * 4, 0)
    assert window.down
    window.trim()
    assert window.shut == frozenset()
    assert len(window) == 499
