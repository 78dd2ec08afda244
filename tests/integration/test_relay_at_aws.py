"""`evtrig relay` from a real server to every kind of destination, while that fails."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result
from fakes.aws import FakeAws
from fakes.faults import (
    Answer,
    Delay,
    FailEntries,
    Intercept,
    LoseAcknowledgement,
    Reset,
    body_of,
)
from integration.box import Box
from integration.destination import Destination

from evtrig.cli import main
from evtrig.relay import scheduler

pytestmark = pytest.mark.usefixtures("aws_account")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-off as ever, up to a tenth of a second."""
    monkeypatch.setattr(scheduler, "LONGEST_DELAY", 0.1)


@pytest.fixture
def destination(aws: FakeAws, request: pytest.FixtureRequest) -> Iterator[Destination]:
    made = Destination(aws, request.param)
    yield made
    made.close()


def kinds(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("destination", names, indirect=True)


def drain(
    box: Box, destination: Destination, *options: str, **of_uri: object
) -> Result:
    """The command, until there is nothing left that it could publish."""
    arguments = ["relay", "--dsn", box.dsn, "--outbox", box.schema, "--drain"]
    uri = destination.with_options(**of_uri)
    result = CliRunner().invoke(main, [*arguments, "--sink", uri, *options])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return result


def first_occurrences(destination: Destination) -> dict[str, list[int]]:
    """Of each key the sequences in the order in which they were first seen."""
    found: dict[str, dict[int, None]] = defaultdict(dict)
    for body in destination.bodies:
        envelope = json.loads(body)
        found[json.dumps(envelope["key"])].setdefault(envelope["sequence"])
    return {key: list(sequences) for key, sequences in found.items()}


def assert_complete_and_in_order(destination: Destination, count: int) -> None:
    found = first_occurrences(destination)
    assert sum(map(len, found.values())) == count, "something is lost"
    for sequences in found.values():
        assert sequences == sorted(sequences), "one was overtaken by a later one"


def dead(box: Box) -> list[tuple[object, object]]:
    rows = box.query(f"SELECT id, reason FROM {box.schema}.dead_letters ORDER BY id")
    return [(row[0], row[1]) for row in rows]


class TestFaults:
    @kinds("sqs", "sqs-fifo", "sns-fifo", "kinesis", "eventbridge")
    def test_nothing_is_lost_and_first_occurrences_keep_order(
        self, box: Box, destination: Destination
    ) -> None:
        box.insert(600, keys=30)
        faults, service = destination.aws.faults, destination.service
        faults.add(FailEntries(service.busy, rate=0.15), action=service.send)
        faults.add(LoseAcknowledgement(), rate=0.1, action=service.send)
        faults.add(Answer(service.throttled), rate=0.05, action=service.send)
        faults.add(Reset(), rate=0.03, action=service.send)
        faults.add(Delay(0.01), rate=0.1, action=service.send)
        result = drain(box, destination)
        assert result.exit_code == 0, result.output
        assert len(box) == 0
        assert dead(box) == []
        assert_complete_and_in_order(destination, 600)
        assert destination.target.arrived > 600, "acknowledgements were lost"
        if destination.is_fifo:
            assert len(destination.names) == 600
        # What a consumer has to do is enough: drop what is not above the last.
        latest: dict[str, int] = {}
        kept = 0
        for body in destination.bodies:
            envelope = json.loads(body)
            key = json.dumps(envelope["key"])
            if envelope["sequence"] > latest.get(key, 0):
                latest[key] = envelope["sequence"]
                kept += 1
        assert kept == 600

    @kinds("sns-fifo", "kinesis")
    def test_entries_that_fail_alone_repeat_nothing(
        self, box: Box, destination: Destination
    ) -> None:
        """The others of their call were taken, and are not sent again."""
        box.insert(600, keys=30)
        service = destination.service
        failing = FailEntries(service.busy, rate=0.2)
        destination.aws.faults.add(failing, action=service.send)
        assert drain(box, destination).exit_code == 0
        assert sum(call.failed for call in destination.sent) > 60
        assert destination.target.arrived == 600
        assert_complete_and_in_order(destination, 600)

    @kinds("sns-fifo", "kinesis")
    @pytest.mark.parametrize("status", [200, 503])
    def test_a_page_of_a_proxy_instead_of_an_answer_ends_nothing(
        self, box: Box, destination: Destination, status: int
    ) -> None:
        box.insert(40, keys=8)
        page = Intercept(status, b"upstream connect error")
        destination.aws.faults.add(page, calls=3, action=destination.service.send)
        result = drain(box, destination)
        assert result.exit_code == 0, result.output
        assert "upstream" not in result.output
        assert_complete_and_in_order(destination, 40)

    @kinds("sqs-fifo", "kinesis", "eventbridge")
    def test_a_minute_of_throttling_loses_and_repeats_nothing(
        self, box: Box, destination: Destination
    ) -> None:
        """As many calls as a relay makes in a minute that waits for up to five seconds:
        one every 2.5 seconds at the mean, after the first few."""
        box.insert(300, keys=30)
        throttled = Answer(destination.service.throttled)
        rule = destination.aws.faults.add(
            throttled, calls=30, action=destination.service.send
        )
        result = drain(box, destination)
        assert result.exit_code == 0, result.output
        assert rule.hits == 30
        assert "300 events published" in result.stderr
        assert len(box) == 0
        assert destination.target.arrived == 300
        assert_complete_and_in_order(destination, 300)


class TestWhatOthersGetWrong:
    @kinds("sqs-fifo", "sns-fifo", "kinesis", "eventbridge")
    def test_a_failed_record_is_not_overtaken_by_later_ones_of_its_key(
        self, box: Box, destination: Destination
    ) -> None:
        """Who sends the rest of a key in the same call, or sends only what has failed
        again behind what was taken, has them in another order then."""
        box.insert(5, key="a")
        box.insert(40, keys=8)
        failing = FailEntries(
            destination.service.busy, where=lambda e: '"sequence": 1,' in body_of(e)
        )
        rule = destination.aws.faults.add(
            failing, calls=4, action=destination.service.send
        )
        assert drain(box, destination).exit_code == 0
        assert rule.hits == 4
        found = first_occurrences(destination)
        assert found['{"id": "a"}'] == [1, 2, 3, 4, 5]
        assert_complete_and_in_order(destination, 45)
        sequences = [json.loads(body)["sequence"] for body in destination.bodies]
        assert sequences.index(1) > 0, "others did not wait for it"

    @kinds("sqs-fifo", "sns-fifo", "kinesis", "eventbridge")
    def test_an_oversized_message_is_parked_and_not_dropped(
        self, box: Box, destination: Destination
    ) -> None:
        box.insert(20, keys=20)
        box.insert(1, key="a", pad=2000)
        box.insert(1, key="a")
        result = drain(box, destination, message_bytes=1024)
        assert result.exit_code == 0, result.output
        assert "takes 1024" in result.stderr
        assert "2 events are dead letters now" in result.stderr
        assert "xxx" not in result.output
        assert dead(box) == [(21, "oversized"), (22, "behind")]
        rows = box.query(f"SELECT `after` FROM {box.schema}.dead_letters WHERE id = 21")
        assert json.loads(str(rows[0][0]))["pad"] == "x" * 2000
        assert destination.target.arrived == 20
        assert len(box) == 0

    @kinds("sqs-fifo", "sns", "kinesis", "eventbridge")
    def test_a_message_of_a_mebibyte_and_more_goes_by_way_of_s3_if_told_to(
        self, box: Box, destination: Destination
    ) -> None:
        bucket = destination.aws.s3.create_bucket("large")
        box.insert(1, key="a", pad=1024 * 1024)
        box.insert(2, key="a")
        result = drain(box, destination, "--on-oversize", "s3://large/events")
        assert result.exit_code == 0, result.output
        assert first_occurrences(destination) == {'{"id": "a"}': [1, 2, 3]}
        assert "claim_check" in json.loads(destination.bodies[0])
        assert len(bucket.objects) == 1
        assert dead(box) == []

    @kinds("sns-fifo", "kinesis")
    def test_a_call_that_fails_is_not_taken_for_done(
        self, box: Box, destination: Destination
    ) -> None:
        box.insert(20, keys=20)
        internal = Answer(destination.service.internal)
        destination.aws.faults.add(internal, action=destination.service.send)
        result = drain(box, destination, "--max-seconds", "0.3")
        assert result.exit_code == 1
        assert "20 events or more are left" in result.stderr
        assert len(box) == 20
        assert dead(box) == []
        destination.aws.faults.clear()
        assert drain(box, destination).exit_code == 0
        assert_complete_and_in_order(destination, 20)


class TestRefused:
    @kinds("sqs-fifo", "sns-fifo", "eventbridge")
    def test_a_refused_event_holds_up_its_key_and_is_parked_only_if_told_to(
        self, box: Box, destination: Destination
    ) -> None:
        """A record of Kinesis is never refused by itself."""
        box.insert(20, keys=20)
        box.insert(2, key="poison")
        service = destination.service
        assert service.never is not None
        poison = FailEntries(
            service.never,
            sender_fault=True,
            where=lambda e: "poison" in body_of(e),
        )
        destination.aws.faults.add(poison, action=service.send)
        result = drain(box, destination)
        assert result.exit_code == 1
        assert "2 events or more are left" in result.stderr
        assert service.never in result.stderr
        assert destination.target.arrived == 20
        assert len(box) == 2
        # One refusal alone would be that of a sink that is down, so others come too.
        box.insert(20, keys=20)
        result = drain(box, destination, "--on-refused", "park-key")
        assert result.exit_code == 0, result.output
        assert dead(box) == [(21, "refused"), (22, "behind")]
        assert destination.target.arrived == 40
        assert len(box) == 0

    @kinds("sqs-fifo", "sns-fifo", "kinesis", "eventbridge")
    def test_what_may_not_be_sent_stays_and_the_missing_action_is_named(
        self, box: Box, destination: Destination
    ) -> None:
        box.insert(20, keys=20)
        service = destination.service
        denied = Answer(service.denied(service.may_send))
        destination.aws.faults.add(denied, action=service.send)
        result = drain(box, destination, "--on-refused", "park-event")
        assert result.exit_code == 1
        assert f"cannot use {destination.uri}: " in result.stderr
        assert f"Allow {service.may_send} on {destination.place}." in result.stderr
        assert len(box) == 20
        assert dead(box) == []
        destination.aws.faults.clear()
        assert drain(box, destination).exit_code == 0
        assert_complete_and_in_order(destination, 20)
