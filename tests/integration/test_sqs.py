"""The SQS sink on a strict fake: every answer, and none at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from fakes import faults
from fakes import sqs as fake_sqs
from fakes.aws import FakeAws
from fakes.faults import Answer, FailEntries, Hang, LoseAcknowledgement, Reset
from fakes.service import AwsError
from fakes.sqs import Queue

from evtrig.errors import EvtrigError, SinkError, UsageError
from evtrig.relay.event import Event
from evtrig.relay.sinks import config, open_sink, sqs
from evtrig.relay.sinks.sink import LEASE_RAN_OUT, Outcome, Result
from evtrig.relay.sinks.sqs import SqsSink

KINDS = ("orders", "orders.fifo")
VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SQS",
)


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials and a region for the fake, and nothing of this machine's."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "fake")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "fake")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with FakeAws(seed=1) as aws:
        yield aws


@pytest.fixture
def opened() -> Iterator[Callable[[Queue], SqsSink]]:
    sinks: list[SqsSink] = []

    def open_(queue: Queue) -> SqsSink:
        sinks.append(SqsSink(queue.url))
        sinks[-1].check()
        return sinks[-1]

    yield open_
    for sink in sinks:
        sink.close()


@pytest.fixture(params=KINDS)
def queue(aws: FakeAws, request: pytest.FixtureRequest) -> Queue:
    return aws.sqs.create_queue(request.param)


def always() -> bool:
    return True


def event(id_: int, value: object = None) -> Event:
    body = json.dumps({"id": str(id_), "v": value}, ensure_ascii=False)
    return Event(id_, id_ + 1000, f'shop.orders:{{"id": {id_}}}', body)


EVENTS = tuple(event(n) for n in range(1, 11))


def outcomes(results: object) -> str:
    """A, R, U, X or L an event: acknowledged, retry, unknown, refused, too large."""
    letters = {
        Outcome.ACKNOWLEDGED: "A",
        Outcome.RETRY: "R",
        Outcome.UNKNOWN: "U",
        Outcome.REFUSED: "X",
        Outcome.OVERSIZED: "L",
    }
    assert isinstance(results, list | tuple)
    return "".join(letters[result.outcome] for result in results)


class TestIds:
    def test_fifo_has_the_key_as_group_and_the_name_against_duplicates(
        self, aws: FakeAws, opened
    ) -> None:
        queue = aws.sqs.create_queue("orders.fifo")
        opened(queue).publish(EVENTS, always)
        assert [a.group for a in queue.arrivals] == [
            f'shop.orders:{{"id":{n}}}' for n in range(1, 11)
        ]
        assert [a.deduplication_id for a in queue.arrivals] == [e.name for e in EVENTS]

    def test_a_standard_queue_has_neither(self, aws: FakeAws, opened) -> None:
        """There a group would make SQS fair between keys, at a price."""
        queue = aws.sqs.create_queue("orders")
        opened(queue).publish(EVENTS, always)
        assert {(a.group, a.deduplication_id) for a in queue.arrivals} == {(None, None)}


class TestEntries:
    def test_each_entry_has_its_own_outcome(self, queue: Queue, aws, opened) -> None:
        sink = opened(queue)
        body = {n: EVENTS[n - 1].body for n in range(1, 11)}
        aws.faults.add(FailEntries(where=lambda e: e["MessageBody"] == body[2]))
        aws.faults.add(
            FailEntries(
                "InvalidMessageContents",
                sender_fault=True,
                where=lambda e: e["MessageBody"] == body[9],
            )
        )
        results = sink.publish(EVENTS, always)
        assert outcomes(results) == "ARAAAAAAXA"
        assert results[1] == Result(Outcome.RETRY, "InternalError")
        assert results[8] == Result(Outcome.REFUSED, "InvalidMessageContents")
        assert queue.arrived == 8

    def test_a_message_too_large_for_the_queue_is_told_and_not_sent(
        self, aws: FakeAws, opened
    ) -> None:
        for name in KINDS:
            queue = aws.sqs.create_queue(name, MaximumMessageSize=2048)
            sink = opened(queue)
            results = sink.publish([event(1), event(2, "x" * 2048), event(3)], always)
            assert outcomes(results) == "ALA"
            assert "2048" in results[1].reason
            assert "xxx" not in results[1].reason
            assert [json.loads(a.body)["id"] for a in queue.arrivals] == ["1", "3"]

    def test_size_counts_after_escaping(self, aws: FakeAws, opened) -> None:
        """U+FFFF is 3 bytes in UTF-8, and 6 as an escape."""
        queue = aws.sqs.create_queue("orders", MaximumMessageSize=2048)
        large = event(1, "\uffff" * 500)
        assert large.size < 2048
        assert outcomes(opened(queue).publish([large], always)) == "L"

    def test_a_batch_that_grows_above_the_limit_is_sent_one_by_one(
        self, queue: Queue, opened
    ) -> None:
        events = [event(n, "\uffff" * 33_000) for n in range(1, 11)]
        assert sum(sent.size for sent in events) < 1024 * 1024
        assert outcomes(opened(queue).publish(events, always)) == "A" * 10
        assert queue.arrived == 10

    def test_one_bad_entry_that_fails_the_call_does_not_fail_the_others(
        self, queue: Queue, opened
    ) -> None:
        """A FIFO queue refuses the whole call; the bad one must be found."""
        sink = opened(queue)
        # Behind the sink's back, which asked when it was opened.
        queue.attributes["MaximumMessageSize"] = "1024"
        events = [event(n, "x" * 2000 if n == 4 else "") for n in range(1, 11)]
        assert outcomes(sink.publish(events, always)) == "AAAXAAAAAA"
        assert queue.arrived == 9

    def test_what_was_refused_as_a_whole_is_delivered_once(
        self, aws: FakeAws, opened
    ) -> None:
        queue = aws.sqs.create_queue("orders.fifo")
        sink = opened(queue)
        queue.attributes["MaximumMessageSize"] = "1024"
        events = [event(n, "x" * 2000 if n == 4 else "") for n in range(1, 11)]
        sink.publish(events, always)
        sink.publish(events, always)
        assert len(queue.delivered) == 9


class TestCalls:
    @pytest.mark.parametrize(
        "error",
        [
            fake_sqs.throttled(),
            faults.internal_failure(),
            faults.service_unavailable(),
            fake_sqs.kms_error("KmsThrottled"),
            AwsError("SomethingNew", "nobody knows this one"),
        ],
        ids=lambda error: error.code,
    )
    def test_an_error_that_may_pass_is_a_retry_of_all(
        self, queue: Queue, aws, opened, error: AwsError
    ) -> None:
        sink = opened(queue)
        aws.faults.add(Answer(error), calls=1)
        results = sink.publish(EVENTS, always)
        assert set(results) == {Result(Outcome.UNKNOWN, error.code)}
        assert queue.arrived == 0
        assert outcomes(sink.publish(EVENTS, always)) == "A" * 10

    def test_it_never_repeats_a_call_by_itself(self, queue: Queue, aws, opened) -> None:
        """A hidden repetition could outlast the lease."""
        sink = opened(queue)
        aws.faults.add(Answer(fake_sqs.throttled()), action="SendMessageBatch")
        sink.publish(EVENTS, always)
        sent = [call for call in aws.calls if call.action == "SendMessageBatch"]
        assert len(sent) == 1

    def test_a_connection_that_is_reset_is_a_retry(
        self, queue: Queue, aws, opened
    ) -> None:
        sink = opened(queue)
        aws.faults.add(Reset(), calls=1)
        assert outcomes(sink.publish(EVENTS, always)) == "U" * 10

    def test_a_service_that_is_away_is_a_retry(self, queue: Queue, aws, opened) -> None:
        sink = opened(queue)
        with aws.unreachable():
            assert outcomes(sink.publish(EVENTS, always)) == "U" * 10
        assert outcomes(sink.publish(EVENTS, always)) == "A" * 10

    @pytest.mark.parametrize("accepted", [False, True])
    def test_a_service_that_says_nothing_is_a_retry(
        self,
        queue: Queue,
        aws,
        opened,
        monkeypatch: pytest.MonkeyPatch,
        accepted: bool,
    ) -> None:
        monkeypatch.setattr(config, "READ_TIMEOUT", 0.2)
        sink = opened(queue)
        aws.faults.add(Hang(accepted=accepted), calls=1)
        assert outcomes(sink.publish(EVENTS, always)) == "U" * 10

    def test_the_time_outs_stay_under_the_lease(self) -> None:
        assert config.CONNECT_TIMEOUT + config.READ_TIMEOUT < 9

    def test_a_lost_acknowledgement_is_delivered_once_by_fifo(
        self, aws: FakeAws, opened
    ) -> None:
        queue = aws.sqs.create_queue("orders.fifo")
        sink = opened(queue)
        aws.faults.add(LoseAcknowledgement(), calls=1)
        assert outcomes(sink.publish(EVENTS, always)) == "U" * 10
        assert outcomes(sink.publish(EVENTS, always)) == "A" * 10
        assert [a.body for a in queue.delivered] == [e.body for e in EVENTS]
        assert queue.arrived == 20


#: Stops itself between signing and sending. The lease is over once a file is there.
STOPPED = """\
import os, signal, sys
from evtrig.relay.event import Event
from evtrig.relay.sinks.sqs import SqsSink

sink = SqsSink(sys.argv[1])
sink._client.meta.events.register_first(
    "before-send", lambda **_: os.kill(os.getpid(), signal.SIGSTOP)
)
event = Event(1, 1, "k", "{}")
(result,) = sink.publish([event], lambda: not os.path.exists(sys.argv[2]))
print(result.reason or result.outcome.value)
"""


class TestFence:
    """Whoever is frozen between signing and sending sends nothing afterwards."""

    def test_a_signed_call_is_not_sent_once_the_lease_has_run_out(
        self, queue: Queue, aws: FakeAws, opened
    ) -> None:
        sink = opened(queue)
        calls = len(aws.calls)
        leases = iter([True])
        holds = [True]
        signed = []

        def freeze(request: Any, **_: object) -> None:
            signed.append(request.headers["Authorization"])
            assert next(leases), "frozen once only"
            holds[0] = False

        # Before the sink's own question, as a process that is stopped there.
        sink._client.meta.events.register_first("before-send", freeze)
        results = sink.publish(EVENTS, lambda: holds[0])
        assert results == [LEASE_RAN_OUT] * 10
        assert len(signed) == 1
        assert b"AWS4-HMAC-SHA256" in signed[0]
        assert len(aws.calls) == calls
        assert queue.arrived == 0

    @pytest.mark.parametrize("is_over", [True, False])
    def test_a_process_that_was_stopped_there_sends_only_if_it_still_may(
        self, queue: Queue, aws: FakeAws, tmp_path: Path, is_over: bool
    ) -> None:
        over = tmp_path / "over"
        arguments = [sys.executable, "-c", STOPPED, queue.url, str(over)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            if is_over:
                over.touch()
            process.send_signal(signal.SIGCONT)
            said, _ = process.communicate(timeout=20)
        if is_over:
            assert said == f"{LEASE_RAN_OUT.reason}\n"
            assert aws.calls == ()
        else:
            assert said == "acknowledged\n"
            assert queue.arrived == 1

    @pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
    def test_it_is_not_tried_again_whatever_the_environment_says(
        self, queue: Queue, opened, monkeypatch: pytest.MonkeyPatch, mode: str
    ) -> None:
        monkeypatch.setenv("AWS_RETRY_MODE", mode)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
        sink = opened(queue)
        answers = iter([False, True, True, True, True])
        assert outcomes(sink.publish(EVENTS, lambda: next(answers))) == "U" * 10
        assert len(list(answers)) == 4
        assert queue.arrived == 0

    def test_of_events_sent_one_by_one_each_is_asked_about(
        self, aws: FakeAws, opened
    ) -> None:
        queue = aws.sqs.create_queue("orders.fifo")
        sink = opened(queue)
        queue.attributes["MaximumMessageSize"] = "1024"
        events = [event(n, "x" * 2000 if n == 10 else "") for n in range(1, 11)]
        # The lease holds until three have arrived.
        results = sink.publish(events, lambda: queue.arrived < 3)
        assert results[3:] == [LEASE_RAN_OUT] * 7
        assert outcomes(results) == "AAA" + "U" * 7
        assert [a.body for a in queue.delivered] == [e.body for e in events[:3]]


class TestUnusable:
    def test_a_queue_that_does_not_exist(self, aws: FakeAws) -> None:
        url = f"{aws.endpoint_url}/123456789012/nothing"
        with pytest.raises(SinkError, match="nothing") as raised:
            open_sink(f"sqs:{url}")
        assert "account and the region" in (raised.value.hint or "")

    def test_a_queue_that_is_deleted_meanwhile(self, queue: Queue, aws, opened) -> None:
        sink = opened(queue)
        aws.sqs.delete_queue(queue.name)
        with pytest.raises(SinkError, match="NonExistentQueue"):
            sink.publish(EVENTS, always)

    @pytest.mark.parametrize(
        "error",
        [
            faults.access_denied(),
            fake_sqs.kms_error("KmsAccessDenied"),
            fake_sqs.kms_error("KmsDisabled"),
            AwsError("InvalidClientTokenId", "no such key", status=403),
            AwsError("ExpiredTokenException", "expired", code="ExpiredToken"),
        ],
        ids=lambda error: error.code,
    )
    def test_what_only_a_person_can_mend_is_said_with_the_remedy(
        self, queue: Queue, aws, opened, error: AwsError
    ) -> None:
        sink = opened(queue)
        aws.faults.add(Answer(error))
        with pytest.raises(SinkError) as raised:
            sink.publish(EVENTS, always)
        assert error.code in raised.value.message
        assert queue.name in raised.value.message
        assert raised.value.hint

    def test_a_clock_that_is_wrong(self, queue: Queue, aws) -> None:
        aws.signing_clock.advance(3600)
        with pytest.raises(SinkError) as raised:
            open_sink(f"sqs:{queue.url}")
        assert "clock" in (raised.value.hint or "")

    def test_no_credentials(
        self, queue: Queue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(SinkError) as raised:
            open_sink(f"sqs:{queue.url}")
        assert "AWS_PROFILE" in (raised.value.hint or "")

    def test_a_profile_that_does_not_exist(
        self, queue: Queue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        with pytest.raises(EvtrigError, match="nobody") as raised:
            open_sink(f"sqs:{queue.url}")
        assert raised.value.hint

    def test_nobody_there(self) -> None:
        with pytest.raises(SinkError) as raised:
            open_sink("sqs:http://127.0.0.1:1/123456789012/orders")
        assert raised.value.hint

    @pytest.mark.parametrize(
        "url", ["", "orders", "arn:aws:sqs:us-east-1:123456789012:orders", "https://x"]
    )
    def test_what_is_no_url_of_a_queue(self, url: str) -> None:
        with pytest.raises(UsageError) as raised:
            SqsSink(url)
        assert "sqs:https://" in (raised.value.hint or "")


class TestClient:
    """No call is made: nothing listens, and nobody waits."""

    @pytest.mark.parametrize(
        ("host", "region"),
        [
            ("sqs.eu-west-1.amazonaws.com", "eu-west-1"),
            ("sqs.ap-southeast-2.amazonaws.com", "ap-southeast-2"),
            ("sqs.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
            ("sqs.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            ("sqs.us-east-2.api.aws", "us-east-2"),
            ("sqs-fips.us-west-2.amazonaws.com", "us-west-2"),
            ("vpce-0a1b-2c3d.sqs.eu-west-1.vpce.amazonaws.com", "eu-west-1"),
        ],
    )
    @pytest.mark.parametrize("default", [None, "us-east-1"])
    def test_region_and_endpoint_are_those_of_the_queue(
        self,
        monkeypatch: pytest.MonkeyPatch,
        host: str,
        region: str,
        default: str | None,
    ) -> None:
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        if default:
            monkeypatch.setenv("AWS_DEFAULT_REGION", default)
        client = sqs.client(f"https://{host}/123456789012/orders")
        assert client.meta.region_name == region
        assert client.meta.endpoint_url == f"https://{host}"
        client.close()

    def test_a_local_stand_in_needs_no_further_setting(self) -> None:
        client = sqs.client("http://127.0.0.1:9324/queue/orders")
        assert client.meta.endpoint_url == "http://127.0.0.1:9324"
        client.close()

    @pytest.mark.parametrize(
        "endpoint",
        [
            "http://localhost:4566",
            "https://vpce-0a1b-2c3d.sqs.eu-west-1.vpce.amazonaws.com",
        ],
    )
    @pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS"])
    def test_a_configured_endpoint_is_heeded(
        self, monkeypatch: pytest.MonkeyPatch, variable: str, endpoint: str
    ) -> None:
        monkeypatch.setenv(variable, endpoint)
        client = sqs.client("https://sqs.eu-west-1.amazonaws.com/123456789012/orders")
        assert client.meta.endpoint_url == endpoint
        assert client.meta.region_name == "eu-west-1"
        client.close()

    def test_no_region_says_what_to_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        with pytest.raises(SinkError, match="region") as raised:
            sqs.client("http://127.0.0.1:9324/queue/orders")
        assert "AWS_DEFAULT_REGION" in (raised.value.hint or "")

    def test_the_region_of_the_hint_is_heeded(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """boto3 does not look at AWS_REGION, which the other SDKs do."""
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        monkeypatch.setenv("AWS_REGION", "eu-north-1")
        client = sqs.client("http://127.0.0.1:9324/queue/orders")
        assert client.meta.region_name == "eu-north-1"
        client.close()


def test_an_independent_stand_in_takes_the_same_messages(second_opinion: str) -> None:
    client = boto3.client("sqs", endpoint_url=second_opinion, region_name="us-east-1")
    awkward = {1: "plain", 2: "\ufffe\uffff", 3: "é 🍣 \U0010ffff", 4: "a\tb\nc<&>"}
    events = [event(n, text) for n, text in awkward.items()]
    for name in KINDS:
        attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        url = client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        sink = SqsSink(url)
        # The second time a FIFO queue takes them for what they are: duplicates.
        for _ in range(2 if attributes else 1):
            assert outcomes(sink.publish(events, always)) == "AAAA"
        sink.close()
        found = []
        while len(found) < 10:
            got = client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=10,
                MessageSystemAttributeNames=["MessageGroupId"],
            )
            if not got.get("Messages"):
                break
            found += got["Messages"]
        values = {json.loads(m["Body"])["id"]: json.loads(m["Body"]) for m in found}
        assert {int(n): value["v"] for n, value in values.items()} == awkward
        assert len(found) == 4
        if attributes:
            groups = {m["Attributes"]["MessageGroupId"] for m in found}
            assert groups == {f'shop.orders:{{"id":{n}}}' for n in awkward}
    client.close()
