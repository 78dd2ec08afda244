"""What is counted, and when it is no longer so."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from evtrig.relay.backlog import Backlog
from evtrig.relay.envelope import captured_at
from evtrig.relay.event import Event
from evtrig.relay.metrics import ANSWERS, CALLS, Metrics, Snapshot
from evtrig.relay.sinks.sink import ACKNOWLEDGED, LEASE_RAN_OUT, Outcome, Result

RETRY = Result(Outcome.RETRY, "Throttled")
UNKNOWN = Result(Outcome.UNKNOWN, "timed out")
REFUSED = Result(Outcome.REFUSED, "InvalidMessageContents")
OVERSIZED = Result(Outcome.OVERSIZED, "too large")

NOON = 1_795_867_200.0
BODY = (
    '{{"id": "{id}-00000000000000ff", "sequence": {id}, "type": {type},'
    ' "source": "shop.orders", "operation": "update", "time": "{time}", "key": {{}}}}'
)


def event(
    id_: int = 1, *, key: str = "k", time: str = "2026-11-28T12:00:00.000000Z"
) -> Event:
    return Event(id_, 255, key, BODY.format(id=id_, type='"t"', time=time))


def answered(metrics: Metrics, *results: Result, is_error: bool = False) -> Snapshot:
    """After a call with an event of a key of its own for each result."""
    events = [event(n, key=f"k{n}") for n in range(len(results))]
    metrics.answered("sink", events, results, 0.0, is_error=is_error)
    return metrics.snapshot(0.0)


class TestCalls:
    @pytest.mark.parametrize(
        ("results", "outcome"),
        [
            ([ACKNOWLEDGED, ACKNOWLEDGED], "acknowledged"),
            ([ACKNOWLEDGED, RETRY], "partly"),
            ([ACKNOWLEDGED, REFUSED], "partly"),
            ([RETRY, RETRY], "retry"),
            ([RETRY, REFUSED], "retry"),
            ([REFUSED, OVERSIZED], "refused"),
            ([OVERSIZED], "refused"),
            ([UNKNOWN, RETRY], "unknown"),
            ([LEASE_RAN_OUT, LEASE_RAN_OUT], "unsent"),
            ([Result(Outcome.UNKNOWN, "RequestThrottled")] * 2, "retry"),
            ([Result(Outcome.UNKNOWN, "S3: SlowDown")] * 2, "retry"),
            ([Result(Outcome.UNKNOWN, "audit: ThrottlingException")] * 2, "retry"),
            ([Result(Outcome.UNKNOWN, "KMS.ThrottlingException"), RETRY], "retry"),
            ([Result(Outcome.UNKNOWN, "KMSThrottling"), RETRY], "retry"),
            ([Result(Outcome.UNKNOWN, "RequestThrottled"), UNKNOWN], "unknown"),
        ],
    )
    def test_a_call_is_counted_by_what_it_came_to(
        self, results: list[Result], outcome: str
    ) -> None:
        calls = answered(Metrics(), *results).calls
        assert calls == {outcome: 1}
        assert outcome in CALLS

    def test_a_call_that_raises_is_an_error(self) -> None:
        assert answered(Metrics(), UNKNOWN, is_error=True).calls == {"error": 1}

    @pytest.mark.parametrize(
        ("reason", "repeated"),
        [
            (
                "cannot use sqs:https://queue: AWS.SimpleQueueService.NonExistentQueue",
                0,
            ),
            ("cannot use kinesis:orders: AccessDeniedException", 0),
            ("cannot write to s3://large/events: KMS.DisabledException", 0),
            ("cannot use sns:arn: ServiceUnavailable", 1),
            ("cannot use sns:arn: what answers is not AWS: ResponseParserError", 1),
            ("", 1),
        ],
    )
    def test_what_was_refused_outright_cannot_arrive_twice(
        self, reason: str, repeated: int
    ) -> None:
        found = answered(Metrics(), Result(Outcome.UNKNOWN, reason), is_error=True)
        assert (found.repeated, found.retried) == (repeated, 1)
        assert found.calls == {"error": 1}

    def test_each_answer_is_counted_as_what_it_is(self) -> None:
        found = answered(
            Metrics(),
            *[ACKNOWLEDGED] * 5,
            *[RETRY] * 4,
            *[UNKNOWN] * 3,
            *[REFUSED] * 2,
            OVERSIZED,
            LEASE_RAN_OUT,
        )
        assert {name: found.sinks["sink"].events[name] for name in ANSWERS} == {
            "acknowledged": 5,
            "retry": 4,
            "unknown": 3,
            "refused": 2,
            "oversized": 1,
            "unsent": 1,
        }
        assert (found.published, found.retried, found.repeated) == (5, 8, 3)
        assert found.refused == 3

    def test_the_results_that_failed_are_told_with_their_counts(self) -> None:
        failed = Metrics().answered(
            "sink", [event()] * 3, [RETRY, ACKNOWLEDGED, RETRY], 0.0
        )
        assert failed == {RETRY: 2}

    def test_a_call_in_flight_has_an_age_until_it_ends(self) -> None:
        metrics = Metrics(["sink"])
        first = metrics.begins("sink", 10.0)
        metrics.begins("sink", 12.0)
        now = metrics.snapshot(15.0)
        assert (len(now.sinks["sink"].begun), now.oldest_call("sink")) == (2, 5.0)
        metrics.ends("sink", first, 15.5)
        later = metrics.snapshot(16.0)
        assert (len(later.sinks["sink"].begun), later.oldest_call("sink")) == (1, 4.0)
        assert (later.latency.count, later.latency.sum) == (1, 5.5)
        assert now.latency.count == 0, "a snapshot does not change"

    def test_threads_do_not_lose_each_others_counts(self) -> None:
        metrics = Metrics()

        def call() -> None:
            for _ in range(500):
                number = metrics.begins("sink", 0.0)
                metrics.ends("sink", number, 0.1)
                answered(metrics, ACKNOWLEDGED, RETRY)

        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = metrics.snapshot(0.0)
        assert (found.published, found.retried) == (2000, 2000)
        assert (found.latency.count, found.calls["partly"]) == (2000, 2000)


class TestBlockedKeys:
    def test_a_key_waits_from_its_refusal_to_its_acknowledgement(self) -> None:
        metrics = Metrics()
        assert answered(metrics, REFUSED, ACKNOWLEDGED, OVERSIZED).blocked == 2
        assert answered(metrics, RETRY).blocked == 2, "refused before, busy now"
        assert answered(metrics, ACKNOWLEDGED).blocked == 1

    def test_parking_lets_a_key_go_and_counts(self) -> None:
        metrics = Metrics()
        answered(metrics, REFUSED, REFUSED)
        metrics.parked([event(1, key="k0"), event(2, key="k0")])
        found = metrics.snapshot(0.0)
        assert (found.blocked, found.parked) == (1, 2)

    def test_a_row_that_is_no_event_blocks_as_long_as_it_is_read(self) -> None:
        metrics = Metrics()
        for now in (0.0, 5.0):
            metrics.found_no_event("k0", now)
        found = metrics.snapshot(24.0)
        assert (found.blocked, found.unreadable, found.refused) == (1, 2, 2)
        assert metrics.snapshot(26.0).blocked == 0, "somebody has deleted it"

    def test_a_row_that_was_mended_blocks_no_more(self) -> None:
        metrics = Metrics()
        metrics.found_no_event("k0", 0.0)
        assert answered(metrics, ACKNOWLEDGED).blocked == 0

    def test_a_new_term_knows_nothing_of_the_one_before(self) -> None:
        metrics = Metrics()
        metrics.down(["sink"])
        assert answered(metrics, REFUSED).down == ("sink",)
        metrics.forget()
        found = metrics.snapshot(0.0)
        assert (found.blocked, found.down, found.refused) == (0, (), 1)


class TestRole:
    def test_a_relay_that_has_not_begun_is_disconnected_and_not_idle(self) -> None:
        metrics = Metrics()
        assert metrics.snapshot(1000.0).idle == 0
        found = metrics.snapshot(1003.0)
        assert (found.role, found.idle) == ("disconnected", 3.0)

    def test_a_frozen_relay_holds_no_lease_when_its_deadline_is_over(self) -> None:
        """The loop has told nothing since: it cannot."""
        metrics = Metrics()
        metrics.turned(0.0, 9.0, is_connected=True)
        assert metrics.snapshot(8.9).is_held
        found = metrics.snapshot(9.1)
        assert (found.is_held, found.role, found.idle) == (False, "standby", 9.1)

    def test_without_a_lease_it_stands_by_and_without_a_connection_not_even_that(
        self,
    ) -> None:
        metrics = Metrics()
        metrics.turned(0.0, None, is_connected=True)
        assert metrics.snapshot(0.0).role == "standby"
        metrics.turned(1.0, None, is_connected=False)
        assert metrics.snapshot(1.0).role == "disconnected"


class TestSince:
    def test_counts_are_those_that_came_later_and_states_are_those_of_now(self) -> None:
        metrics = Metrics()
        metrics.led()
        metrics.found_no_event("x", 0.0)
        metrics.parked([event()])
        earlier = answered(metrics, ACKNOWLEDGED, REFUSED)
        metrics.lost()
        metrics.down(["other"])
        later = answered(metrics, ACKNOWLEDGED, RETRY).since(earlier)
        assert (later.published, later.retried, later.refused) == (1, 1, 0)
        assert (later.gained, later.lost, later.parked) == (0, 1, 0)
        assert later.calls == {"partly": 1}
        assert (later.down, later.blocked) == (("other",), 2)

    def test_what_was_measured_before_is_left_out(self) -> None:
        metrics = Metrics()
        metrics.measured(Backlog(3, 1.0, NOON), 5.0, 5.1)
        earlier = metrics.snapshot(6.0)
        assert earlier.backlog == Backlog(3, 1.0, NOON)
        assert metrics.snapshot(7.0).since(earlier).backlog is None
        metrics.measured(Backlog(4, 2.0, NOON + 2), 7.0, 7.1)
        found = metrics.snapshot(8.0).since(earlier).backlog
        assert found is not None
        assert found.waiting == 4


class TestDelivery:
    def test_it_is_told_by_the_clock_of_the_database(self) -> None:
        """Which knows nothing of the relay's: one counts from 1970, one from a boot."""
        metrics = Metrics()
        events = [event(time="2026-11-28T12:00:00.250000Z"), event()]
        metrics.answered("sink", events, [ACKNOWLEDGED, ACKNOWLEDGED], 101.0)
        assert metrics.snapshot(101.0).delivery.count == 0, "the time is not known yet"
        metrics.measured(Backlog(0, 0.0, NOON), 100.0, 100.5)
        metrics.answered("sink", events, [ACKNOWLEDGED, ACKNOWLEDGED], 101.0)
        found = metrics.snapshot(101.0).delivery
        assert found.count == 1, "of the first event of a call"
        assert found.sum == pytest.approx(0.75)

    @pytest.mark.parametrize(
        "type_", ['"t"', r'"\", \"time\": \"2001-01-01T00:00:00.000000Z"', '"é"']
    )
    def test_the_time_of_an_envelope_is_found_and_not_one_in_a_text(
        self, type_: str
    ) -> None:
        body = BODY.format(id=1, type=type_, time="2026-11-28T12:00:00.000001Z")
        assert captured_at(body) == pytest.approx(NOON + 1e-6, abs=1e-7)

    @pytest.mark.parametrize("body", ["", "{}", '{"a": "", "time": "0000-00-00T00:0"}'])
    def test_an_envelope_without_a_time_has_none(self, body: str) -> None:
        assert captured_at(body) is None


class TestAsking:
    def test_whoever_asks_waits_for_what_is_measured(self) -> None:
        metrics = Metrics()
        metrics.turned(0.0, 9.0, is_connected=True)
        asking = threading.Thread(target=metrics.ask, args=(5.0, 30))
        asking.start()
        while not metrics.is_asked:
            assert asking.is_alive()
        metrics.measured(None, 5.0, 5.1)
        asking.join(10)
        assert not asking.is_alive()
        assert not metrics.is_asked

    @pytest.mark.parametrize(
        ("until", "measured_at"), [(None, 0.0), (2.0, 0.0), (9.0, 4.5)]
    )
    def test_nobody_is_asked_without_a_lease_or_just_after(
        self, until: float | None, measured_at: float
    ) -> None:
        metrics = Metrics()
        metrics.turned(0.0, until, is_connected=True)
        metrics.measured(None, measured_at, measured_at)
        metrics.ask(5.0, 30)
        assert not metrics.is_asked


def test_a_relay_that_nobody_scrapes_does_not_load_the_library() -> None:
    code = (
        "import sys, evtrig.commands.relay, evtrig.relay.relay, evtrig.relay.reporter;"
        "sys.exit('prometheus_client' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
