"""What every sink at AWS must do, on a strict fake: every answer, and none at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import faults
from fakes.aws import FakeAws
from fakes.faults import (
    Answer,
    FailEntries,
    Hang,
    Intercept,
    LoseAcknowledgement,
    Reset,
    body_of,
)
from fakes.kinesis import Stream
from fakes.service import AwsError
from fakes.sns import Topic
from fakes.sqs import Queue
from integration.destination import (
    KINDS,
    SERVICES,
    WITH_CLAIM_CHECK,
    Destination,
    always,
    client_of,
    event,
    outcomes,
)

from evtrig.relay.sinks import SCHEMES, config, open_sink
from evtrig.relay.sinks.sink import ACKNOWLEDGED, LEASE_RAN_OUT, Outcome, Result, Sink

pytestmark = pytest.mark.usefixtures("aws_account")

EVERY_KIND = (*KINDS, *WITH_CLAIM_CHECK)
#: Of each service.
ONE_OF_EACH = ("sqs-fifo", "sns", "kinesis", "eventbridge")
#: What no service answers. The word in them must not be told.
BODIES = (
    b"",
    b"upstream sesame error",
    b"<html><body>sesame</body></html>",
    b"<!DOCTYPE html><p>sesame<br></html>",
    b"<p>sesame \xe9t\xe9</p>",
    b"{}",
    b"[]",
    b"null",
    b'"sesame"',
    b'{"sesame": "sesame"}',
)


@pytest.fixture(params=EVERY_KIND)
def destination(aws: FakeAws, request: pytest.FixtureRequest) -> Iterator[Destination]:
    made = Destination(aws, request.param)
    yield made
    made.close()


@pytest.fixture(params=["sqs", "sqs-fifo", "sns", "sns-fifo", "kinesis", "eventbridge"])
def plain(aws: FakeAws, request: pytest.FixtureRequest) -> Iterator[Destination]:
    """Without a claim check, which has nothing to do with it."""
    made = Destination(aws, request.param)
    yield made
    made.close()


class TestEntries:
    def test_each_has_its_own_outcome_in_its_own_place(
        self, destination: Destination
    ) -> None:
        sink, events = destination.open(), destination.events()
        service = destination.service
        aws = destination.aws
        # Of those that go to S3 where there is one, and of those that do not.
        busy, never = {events[1].name, events[2].name}, {events[7].name, events[8].name}
        aws.faults.add(
            FailEntries(service.busy, where=lambda e: named(e, busy)),
            action=service.send,
        )
        if service.never:
            aws.faults.add(
                FailEntries(
                    service.never, sender_fault=True, where=lambda e: named(e, never)
                ),
                action=service.send,
            )
        results = sink.publish(events, always)
        assert outcomes(results) == ("ARRAAAAXXA" if service.never else "ARRAAAAAAA")
        assert results[1] == results[2] == Result(Outcome.RETRY, service.busy)
        missing = busy
        if service.never:
            assert results[7] == Result(Outcome.REFUSED, service.never)
            missing = busy | never
        assert set(destination.names) == {e.name for e in events} - missing
        # What failed is taken when it is sent again, by itself.
        aws.faults.clear()
        assert outcomes(sink.publish(events[1:3], always)) == "AA"
        assert len(destination.names) == len(set(destination.names))
        assert busy < set(destination.names)

    @pytest.mark.parametrize(
        ("kind", "code"),
        [
            ("sqs", "RequestThrottled"),
            ("sqs-fifo", "KMS.ThrottlingException"),
            ("sqs-fifo", "KmsThrottled"),
            ("sns", "Throttled"),
            ("sns-fifo", "KMSThrottling"),
            ("kinesis", "KMSThrottlingException"),
            ("eventbridge", "TooManyRequestsException"),
        ],
    )
    def test_one_that_was_throttled_is_not_refused_whoever_is_blamed_for_it(
        self, aws: FakeAws, kind: str, code: str
    ) -> None:
        destination = Destination(aws, kind)
        sink, events = destination.open(), destination.events()
        throttled = FailEntries(
            code, sender_fault=True, where=lambda e: named(e, {events[3].name})
        )
        aws.faults.add(throttled, action=destination.service.send)
        results = sink.publish(events, always)
        assert outcomes(results) == "AAARAAAAAA"
        assert results[3].reason == code
        destination.close()

    def test_a_bad_one_that_fails_the_whole_call_harms_no_other(
        self, plain: Destination
    ) -> None:
        sink, large = shrunk(plain)
        events = [event(n, "x" * large if n == 4 else "") for n in range(1, 11)]
        for _ in range(2):
            assert outcomes(sink.publish(events, always)) == "AAAXAAAAAA"
        assert set(plain.names) == {e.name for e in events} - {events[3].name}
        # Found one by one, those of a FIFO queue are still what they were before.
        assert len(plain.names) == (9 if plain.is_fifo else 18)

    def test_of_those_sent_one_by_one_each_is_asked_about(
        self, plain: Destination
    ) -> None:
        sink, large = shrunk(plain)
        events = [event(n, "x" * large if n == 10 else "") for n in range(1, 11)]
        if plain.kind == "sqs":
            # A standard queue says of each entry what is wrong with it.
            assert outcomes(sink.publish(events, always)) == "A" * 9 + "X"
            assert len(plain.sent) == 1
            return
        # The lease holds until three have arrived.
        results = sink.publish(events, lambda: plain.target.arrived < 3)
        assert results[3:] == [LEASE_RAN_OUT] * 7
        assert outcomes(results) == "AAA" + "U" * 7
        assert plain.names == [e.name for e in events[:3]]

    def test_those_of_a_key_come_to_one_place_in_order(
        self, destination: Destination
    ) -> None:
        """One group of a FIFO queue, one shard of a stream."""
        sink = destination.open()
        keys = [f'shop.orders:{{"id": {n}}}' for n in range(5)]
        for n in range(20):
            (result,) = sink.publish([event(n + 1, key=keys[n % 5])], always)
            assert result is ACKNOWLEDGED
        by_place: dict[str | None, list[int]] = {}
        for arrival in destination.target.delivered:
            place = arrival.attributes.get("ShardId") or arrival.group
            sequence = json.loads(arrival.body)["sequence"]
            by_place.setdefault(place, []).append(sequence)
        for found in by_place.values():
            assert found == sorted(found)
        where = {n: place for place, found in by_place.items() for n in found}
        for n in range(1, 6):
            assert len({where[m] for m in range(n, 21, 5)}) == 1
        if destination.is_fifo or destination.kind == "sqs-fair":
            assert len(by_place) == 5

    def test_fifo_knows_an_event_again_by_its_name_and_others_do_not(
        self, destination: Destination
    ) -> None:
        sink, events = destination.open(), destination.events()
        for _ in range(2):
            assert outcomes(sink.publish(events, always)) == "A" * 10
        if destination.is_fifo:
            ids = [a.deduplication_id for a in destination.target.arrivals]
            assert sorted(map(str, ids)) == sorted([e.name for e in events] * 2)
        assert_delivered_after_repetition(destination, [e.name for e in events])


class TestLimits:
    """Of a message and of a call: the destination's own, and those of the URI."""

    @pytest.mark.parametrize(
        ("kind", "settings", "limit"),
        [
            ("sqs", {}, 1024 * 1024),
            ("sqs", {"MaximumMessageSize": 2048}, 2048),
            ("sqs-fifo", {"MaximumMessageSize": 2048}, 2048),
            ("sns", {}, 256 * 1024),
            ("sns", {"MaximumMessageSize": 2048}, 2048),
            ("sns-fifo", {"MaximumMessageSize": 1024 * 1024}, 1024 * 1024),
            ("kinesis", {}, 1024 * 1024),
            ("kinesis", {"max_record_kib": 10240}, 10240 * 1024),
            ("eventbridge", {}, 1_000_000 - 1),
        ],
        ids=str,
    )
    def test_what_the_destination_takes_is_sent_and_a_byte_more_is_not(
        self, aws: FakeAws, kind: str, settings: dict[str, int], limit: int
    ) -> None:
        destination = Destination(aws, kind, **settings)
        sink = destination.open()
        fits, large = destination.event_of(limit), destination.event_of(limit + 1)
        assert list(sink.publish([fits], always)) == [ACKNOWLEDGED]
        calls = len(aws.calls)
        (result,) = sink.publish([large], always)
        reason = f"{limit + 1} bytes, the {destination_word(kind)} takes {limit}"
        assert result == Result(Outcome.OVERSIZED, reason)
        assert len(aws.calls) == calls
        # Among others it harms none.
        others = [event(2), destination.event_of(limit + 1, id_=3), event(4)]
        assert outcomes(sink.publish(others, always)) == "ALA"
        assert destination.target.arrived == 3
        destination.close()

    @pytest.mark.parametrize("kind", ["sqs", "sqs-fifo", "sns", "kinesis"])
    def test_what_it_takes_is_asked_anew_and_the_uri_goes_before(
        self, aws: FakeAws, kind: str
    ) -> None:
        destination = Destination(aws, kind)
        low, high, said = 2048, 200 * 1024, 4096
        if destination.scheme == "kinesis":
            low, high, said = 1024 * 1024, 4096 * 1024, 2048 * 1024
        takes(destination, low)
        sink = destination.open()
        restricted = destination.open(message_bytes=said)
        takes(destination, high)
        for each in (sink, restricted):
            each.check()
        for size, expected in ((said, "AA"), (said + 1, "AL"), (high + 1, "LL")):
            sent = destination.event_of(size)
            results = [*sink.publish([sent], always)]
            results += restricted.publish([sent], always)
            assert outcomes(results) == expected
        destination.close()

    def test_the_uri_says_how_large_a_message_may_be(self, plain: Destination) -> None:
        sink = plain.open(message_bytes=3000)
        events = [plain.event_of(3000), plain.event_of(3001, id_=2)]
        assert outcomes(sink.publish(events, always)) == "AL"
        assert plain.names == [events[0].name]

    def test_the_uri_says_how_many_bytes_a_call_carries(
        self, plain: Destination
    ) -> None:
        sink = plain.open(bytes=2048)
        assert sink.limits.bytes == 2048
        events = [plain.event_of(1024, id_=n) for n in range(1, 6)]
        assert outcomes(sink.publish(events, always)) == "A" * 5
        assert [call.entries for call in plain.sent] == [2, 2, 1]
        # Also one by itself.
        (result,) = sink.publish([plain.event_of(2049, id_=6)], always)
        assert result.outcome is Outcome.OVERSIZED

    def test_the_uri_says_how_many_entries_a_call_carries(
        self, plain: Destination
    ) -> None:
        sink = plain.open(entries=3, calls=2)
        assert (sink.limits.entries, sink.limits.calls) == (3, 2)
        assert outcomes(sink.publish(plain.events(), always)) == "A" * 10
        assert [call.entries for call in plain.sent] == [3, 3, 3, 1]

    def test_size_counts_as_it_is_sent(self, plain: Destination) -> None:
        """U+FFFF is 3 bytes in UTF-8, and 6 as an escape; bytes have no escapes."""
        sink = plain.open(message_bytes=2048)
        large = event(1, "\uffff" * 500)
        assert large.size < 2048
        expected = "A" if plain.scheme == "kinesis" else "L"
        assert outcomes(sink.publish([large], always)) == expected

    def test_a_batch_that_grows_above_the_limit_goes_in_several_calls(
        self, plain: Destination
    ) -> None:
        sink = plain.open()
        of_each = sink.limits.bytes // 10
        events = [event(n, "\uffff" * ((of_each - 400) // 3)) for n in range(1, 11)]
        assert sum(sent.size for sent in events) <= sink.limits.bytes
        assert outcomes(sink.publish(events, always)) == "A" * 10
        assert len(plain.sent) == (1 if plain.scheme == "kinesis" else 2)
        assert sorted(plain.names) == sorted(e.name for e in events)


class TestCalls:
    def test_one_that_failed_is_unknown_of_all_and_the_sink_goes_on(
        self, destination: Destination
    ) -> None:
        sink, service = destination.open(), destination.service
        for error in (
            service.throttled,
            service.internal,
            service.kms_throttled,
            faults.service_unavailable(),
            AwsError("SomethingNew", "nobody knows this one"),
        ):
            if error is None:
                continue
            destination.aws.faults.add(Answer(error), action=service.send)
            results = sink.publish(destination.events(), always)
            assert set(results) == {Result(Outcome.UNKNOWN, error.code)}
            assert destination.target.arrived == 0
            destination.aws.faults.clear()
        events = destination.events()
        assert outcomes(sink.publish(events, always)) == "A" * 10
        assert sorted(destination.names) == sorted(e.name for e in events)

    @pytest.mark.parametrize("kind", ONE_OF_EACH)
    def test_an_answer_of_somebody_else_is_unknown_and_the_sink_goes_on(
        self, aws: FakeAws, kind: str
    ) -> None:
        """A proxy's or a load balancer's, which is no XML or JSON, or of another
        shape."""
        destination = Destination(aws, kind)
        sink, events = destination.open(), destination.events()
        for status in (200, 403, 503):
            for body in BODIES:
                intercept = Intercept(status, body)
                aws.faults.add(intercept, action=destination.service.send)
                results = sink.publish(events, always)
                assert outcomes(results) == "U" * 10, (status, body)
                assert "sesame" not in repr(results)
                aws.faults.clear()
        assert destination.target.arrived == 0
        assert outcomes(sink.publish(events, always)) == "A" * 10
        destination.close()

    def test_what_cannot_be_read_is_told_by_its_kind(self, aws: FakeAws) -> None:
        destination = Destination(aws, "sns-fifo")
        sink = destination.open()
        aws.faults.add(Intercept(503, b"upstream connect error"), action="PublishBatch")
        results = sink.publish(destination.events(), always)
        assert set(results) == {Result(Outcome.UNKNOWN, "ResponseParserError")}
        destination.close()

    def test_what_an_answer_says_of_entries_that_were_not_sent_is_not_heard(
        self, aws: FakeAws
    ) -> None:
        destination = Destination(aws, "sqs-fifo")
        sink = destination.open()
        answer = {
            "Successful": [{"Id": "0"}, {}, {"Id": "77"}, {"Id": "-1"}, {"Id": "x"}],
            "Failed": [{"Id": "1"}, {"Code": "InternalError"}, {"Id": "78"}],
        }
        intercept = Intercept(200, json.dumps(answer).encode())
        aws.faults.add(intercept, action="SendMessageBatch")
        results = sink.publish(destination.events(), always)
        assert outcomes(results) == "AR" + "U" * 8
        destination.close()

    @pytest.mark.parametrize("kind", ["kinesis", "eventbridge"])
    def test_an_answer_about_fewer_entries_than_were_sent_tells_of_none(
        self, aws: FakeAws, kind: str
    ) -> None:
        """Which it tells of is known by their places only."""
        destination = Destination(aws, kind)
        sink = destination.open()
        answer = b'{"FailedRecordCount": 0, "Records": [{"SequenceNumber": "1"}]}'
        if kind == "eventbridge":
            answer = b'{"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}'
        aws.faults.add(Intercept(200, answer), action=destination.service.send)
        assert outcomes(sink.publish(destination.events(), always)) == "U" * 10
        destination.close()

    @pytest.mark.parametrize("kind", ONE_OF_EACH)
    def test_it_is_never_repeated_by_the_sink_whatever_the_environment_says(
        self, aws: FakeAws, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        """A hidden repetition could outlast the lease, and so could the pauses that the
        mode ``adaptive`` makes before it sends."""
        destination = Destination(aws, kind)
        service = destination.service
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
        for mode in ("legacy", "standard", "adaptive"):
            monkeypatch.setenv("AWS_RETRY_MODE", mode)
            sink, events = destination.open(), destination.events()
            before = destination.target.arrived
            failures = (Answer(service.throttled), Answer(service.internal))
            for failure in (*failures, Reset(), LoseAcknowledgement()):
                calls = len(destination.sent)
                aws.faults.add(failure, action=service.send)
                assert outcomes(sink.publish(events, always)) == "U" * 10
                assert len(destination.sent) == calls + 1
                aws.faults.clear()
            # Nor is what was not sent because the lease ran out.
            answers = iter([False, True, True, True, True])
            results = sink.publish(events, lambda answers=answers: next(answers))
            assert results == [LEASE_RAN_OUT] * 10
            assert len(list(answers)) == 4
            # Of the acknowledgement that was lost.
            assert destination.target.arrived == before + 10
            assert client_of(sink).meta.config.retries["mode"] == "standard"
        destination.close()

    def test_a_connection_that_is_reset_is_unknown(
        self, destination: Destination
    ) -> None:
        sink, events = destination.open(), destination.events()
        destination.aws.faults.add(Reset(), action=destination.service.send)
        assert outcomes(sink.publish(events, always)) == "U" * 10
        destination.aws.faults.clear()
        assert destination.target.arrived == 0
        assert outcomes(sink.publish(events, always)) == "A" * 10

    def test_a_service_that_is_away_is_unknown_until_it_is_back(
        self, destination: Destination
    ) -> None:
        sink, events = destination.open(), destination.events()
        with destination.aws.unreachable():
            assert outcomes(sink.publish(events, always)) == "U" * 10
        assert destination.target.arrived == 0
        assert outcomes(sink.publish(events, always)) == "A" * 10

    @pytest.mark.parametrize("accepted", [False, True])
    def test_a_service_that_says_nothing_is_unknown_after_the_time_out(
        self,
        destination: Destination,
        monkeypatch: pytest.MonkeyPatch,
        accepted: bool,
    ) -> None:
        monkeypatch.setattr(config, "READ_TIMEOUT", 0.1)
        sink, events = destination.open(), destination.events()
        hang = Hang(accepted=accepted)
        destination.aws.faults.add(hang, action=destination.service.send)
        results = sink.publish(events, always)
        assert set(results) == {Result(Outcome.UNKNOWN, "ReadTimeoutError")}
        assert destination.target.arrived == (10 if accepted else 0)

    def test_the_time_outs_stay_under_the_lease(self) -> None:
        assert config.CONNECT_TIMEOUT + config.READ_TIMEOUT < 9

    def test_a_lost_acknowledgement_is_delivered_once_by_fifo_and_twice_by_others(
        self, destination: Destination
    ) -> None:
        sink, events = destination.open(), destination.events()
        lost = LoseAcknowledgement()
        destination.aws.faults.add(lost, action=destination.service.send)
        assert outcomes(sink.publish(events, always)) == "U" * 10
        destination.aws.faults.clear()
        assert destination.target.arrived == 10
        assert outcomes(sink.publish(events, always)) == "A" * 10
        assert destination.target.arrived == 20
        assert_delivered_after_repetition(destination, [e.name for e in events])

    def test_one_that_failed_leaves_nothing_behind_for_the_next(
        self, plain: Destination
    ) -> None:
        """They share a client and the connections that it keeps."""
        sink, service = plain.open(), plain.service
        every = (Answer(service.throttled), Reset(), LoseAcknowledgement())
        for number, failure in enumerate((*every, *every)):
            sent = event(number + 1)
            plain.aws.faults.add(failure, action=service.send)
            assert outcomes(sink.publish([sent], always)) == "U"
            plain.aws.faults.clear()
            assert outcomes(sink.publish([sent], always)) == "A"
        assert len(set(plain.names)) == 6


#: Stops itself between signing and sending. The lease is over once a file is there.
STOPPED = """\
import os, signal, sys
from evtrig.relay.event import Event
from evtrig.relay.sinks import make_sink

sink = make_sink(sys.argv[1])
sink._client.meta.events.register_first(
    "before-send", lambda **_: os.kill(os.getpid(), signal.SIGSTOP)
)
event = Event(1, 1, "k", '{"type": "t", "source": "s", "operation": "o"}')
(result,) = sink.publish([event], lambda: not os.path.exists(sys.argv[2]))
print(result.reason or result.outcome.value)
"""


class TestFence:
    """Whoever is frozen between signing and sending sends nothing afterwards."""

    def test_a_signed_call_is_not_sent_once_the_lease_has_run_out(
        self, destination: Destination
    ) -> None:
        # Only the small ones: what becomes of objects is test_claim_check.py's.
        sink, events = destination.open(), destination.events()[::2]
        calls = len(destination.aws.calls)
        holds = [True]
        signed: list[bytes] = []

        def freeze(request: Any, **_: object) -> None:
            signed.append(request.headers["Authorization"])
            holds[0] = False

        # Before the sink's own question, as a process that is stopped there.
        client_of(sink).meta.events.register_first("before-send", freeze)
        results = sink.publish(events, lambda: holds[0])
        assert results == [LEASE_RAN_OUT] * 5
        assert len(signed) == 1, "frozen once only"
        assert b"AWS4-HMAC-SHA256" in signed[0]
        assert len(destination.aws.calls) == calls
        assert destination.target.arrived == 0

    @pytest.mark.parametrize("kind", ONE_OF_EACH)
    @pytest.mark.parametrize("is_over", [True, False])
    def test_a_process_that_was_stopped_there_sends_only_if_it_still_may(
        self, aws: FakeAws, tmp_path: Path, kind: str, is_over: bool
    ) -> None:
        destination = Destination(aws, kind)
        over = tmp_path / "over"
        arguments = [sys.executable, "-c", STOPPED, destination.uri, str(over)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            if is_over:
                over.touch()
            process.send_signal(signal.SIGCONT)
            said, _ = process.communicate(timeout=20)
        if is_over:
            assert said == f"{LEASE_RAN_OUT.reason}\n"
            # It looked at the destination, and sent it nothing.
            assert all(c.action.startswith(("Get", "Describe")) for c in aws.calls)
        else:
            assert said == "acknowledged\n"
            assert destination.target.arrived == 1


class TestClose:
    def test_no_connection_is_left(self, plain: Destination) -> None:
        sink = open_sink(plain.uri)
        assert outcomes(sink.publish(plain.events(), always)) == "A" * 10
        assert plain.aws.connections > 0
        sink.close()
        plain.aws.wait_for(lambda: plain.aws.connections == 0)


def test_every_scheme_at_aws_is_tested_here() -> None:
    assert {*SERVICES, "stdout", "file"} == set(SCHEMES)
    assert {kind.partition("-")[0] for kind in KINDS} == set(SERVICES)


def named(entry: Any, names: set[str]) -> bool:
    """Whether the event in an entry has one of these names."""
    return json.loads(body_of(entry))["id"] in names


def destination_word(kind: str) -> str:
    """What messages call it."""
    words = {"sqs": "queue", "sns": "topic", "kinesis": "stream", "eventbridge": "bus"}
    return words[kind.partition("-")[0]]


def takes(destination: Destination, size: int) -> None:
    """Have the destination take messages of so many bytes."""
    target = destination.target
    if isinstance(target, Stream):
        target.max_record_kib = size // 1024
    elif isinstance(target, Topic):
        target.attributes["MaximumMessageSize"] = str(size)
        target.limit = size
    else:
        assert isinstance(target, Queue)
        target.attributes["MaximumMessageSize"] = str(size)


def shrunk(destination: Destination) -> tuple[Sink, int]:
    """A sink that believes in a larger limit than there is, and bytes that are more
    than that."""
    target = destination.target
    if isinstance(target, Queue):
        sink = destination.open()
        target.attributes["MaximumMessageSize"] = "1024"
        return sink, 2000
    if isinstance(target, Topic):
        sink = destination.open()
        target.limit = 1024
        return sink, 2000
    if isinstance(target, Stream):
        target.max_record_kib = 2048
        sink = destination.open()
        target.max_record_kib = 1024
        return sink, 1024 * 1024
    return destination.open(bytes=4_000_000, message_bytes=2_000_000), 1_000_000


def assert_delivered_after_repetition(
    destination: Destination, names: list[str]
) -> None:
    """What was sent twice: seen once from FIFO, twice with the same bytes elsewhere."""
    times = 1 if destination.is_fifo else 2
    assert sorted(destination.names) == sorted(names * times)
    assert len(set(destination.bodies)) == len(names)
