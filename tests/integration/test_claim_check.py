"""Large events by way of a strict S3: what is stored, what is sent, what if not."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
from fakes import aws as fake_aws
from fakes import faults, s3
from fakes import sqs as fake_sqs
from fakes.aws import FakeAws
from fakes.faults import Answer, FailEntries, Fault, Hang, LoseAcknowledgement, Reset
from fakes.sqs import Queue
from integration.destination import always, outcomes

from evtrig.errors import SinkError, UsageError
from evtrig.relay.event import Event
from evtrig.relay.sinks import config, open_sink, with_claim_check
from evtrig.relay.sinks.claim_check import FATAL, ClaimCheck
from evtrig.relay.sinks.ndjson import FileSink
from evtrig.relay.sinks.sink import (
    ACKNOWLEDGED,
    LEASE_RAN_OUT,
    Limits,
    Outcome,
    Result,
    Sink,
)
from evtrig.relay.sinks.sqs import SqsSink

ROOT = Path(__file__).resolve().parents[2]

#: What the queues of these tests take.
LARGEST = 2048


@pytest.fixture(autouse=True)
def account(aws_account: None, monkeypatch: pytest.MonkeyPatch, aws: FakeAws) -> None:
    """Only S3 is the fake's by a setting: a queue's URL says where that is."""
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", aws.endpoint_url)


@pytest.fixture
def bucket(aws: FakeAws) -> s3.Bucket:
    return aws.s3.create_bucket("large")


@pytest.fixture(params=["orders", "orders.fifo"])
def queue(aws: FakeAws, request: pytest.FixtureRequest) -> Queue:
    return aws.sqs.create_queue(request.param, MaximumMessageSize=LARGEST)


@pytest.fixture
def sink(queue: Queue, bucket: s3.Bucket) -> Iterator[ClaimCheck]:
    sink = ClaimCheck(open_sink(f"sqs:{queue.url}"), "s3://large/events")
    yield sink
    sink.close()


class Ordered:
    """A sink that takes a batch as one ordered write, and only small events."""

    name = "ordered:"
    limits = Limits(entries=10, bytes=100_000)
    in_order = True

    def __init__(self, largest: int = LARGEST) -> None:
        self.largest = largest
        self.arrived: list[Event] = []
        self.is_closed = False

    def publish(
        self, events: Sequence[Event], may_send: Callable[[], bool]
    ) -> Sequence[Result]:
        if not may_send():
            return [LEASE_RAN_OUT] * len(events)
        large = [event.size > self.largest for event in events]
        if any(large):
            other = Result(Outcome.RETRY, "another is too large")
            return [Result(Outcome.OVERSIZED) if too else other for too in large]
        self.arrived += events
        return [ACKNOWLEDGED] * len(events)

    def close(self) -> None:
        self.is_closed = True


def event(id_: int, after: object = None, **members: Any) -> Event:
    envelope = {
        "id": f"{id_}-{id_:016x}",
        "sequence": id_,
        "type": "orders.update",
        "source": "shop.orders",
        "operation": "update",
        "time": "2026-11-24T10:00:00.000000Z",
        "key": {"id": id_},
        "before": {"note": "old"},
        "after": after,
        "transaction": "t1",
        "context": {"user": "ann"},
        **members,
    }
    body = json.dumps(envelope, ensure_ascii=False)
    return Event(id_, id_, f'shop.orders:{{"id": {id_}}}', body)


def large(id_: int, **members: Any) -> Event:
    return event(id_, {"note": "secret 🍣" * 400}, **members)


def pointer_to(event: Event, *, context: object = ...) -> dict[str, Any]:
    data = event.body.encode()
    envelope: dict[str, Any] = json.loads(event.body)
    if context is not ...:
        envelope["context"] = context
    return {
        **envelope,
        "before": None,
        "after": None,
        "claim_check": {
            "bucket": "large",
            "key": f"events/shop.orders/{event.name}.json",
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        },
    }


def actions(aws: FakeAws) -> list[str]:
    return [c.action for c in aws.calls if c.action != "GetQueueAttributes"]


class TestLargeEvents:
    def test_the_whole_is_stored_and_a_pointer_sent(
        self, sink: ClaimCheck, queue: Queue, bucket: s3.Bucket
    ) -> None:
        sent = large(7)
        assert list(sink.publish([sent], always)) == [ACKNOWLEDGED]
        (written,) = bucket.writes
        assert written.key == f"events/shop.orders/{sent.name}.json"
        assert written.body == sent.body.encode()
        assert written.content_type == "application/json"
        (arrival,) = queue.arrivals
        pointer = json.loads(arrival.body)
        assert pointer == pointer_to(sent)
        assert list(pointer) == [*json.loads(sent.body), "claim_check"]

    def test_the_object_is_there_before_the_pointer_is_sent(
        self, sink: ClaimCheck, aws: FakeAws
    ) -> None:
        sink.publish([large(1)], always)
        assert actions(aws) == ["PutObject", "SendMessageBatch"]

    def test_who_gets_a_pointer_can_fetch_and_verify_the_whole(
        self, sink: ClaimCheck, queue: Queue, bucket: s3.Bucket
    ) -> None:
        """By the very lines of docs/claim-check.md."""
        text = (ROOT / "docs/claim-check.md").read_text()
        (block,) = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
        documented: dict[str, Any] = {}
        exec(block, documented)
        whole = documented["whole"]
        small, sent = event(1), large(2)
        sink.publish([small, sent], always)
        client = boto3.client("s3")
        envelopes = [json.loads(arrival.body) for arrival in queue.arrivals]
        envelopes.sort(key=lambda envelope: envelope["sequence"])
        assert [whole(envelope, client) for envelope in envelopes] == [
            json.loads(sent.body) for sent in (small, sent)
        ]
        client.put_object(Bucket="large", Key=bucket.writes[0].key, Body=b"{}")
        with pytest.raises(ValueError, match="not what was sent"):
            whole(envelopes[1], client)
        client.close()

    def test_s3_compares_the_sha256_of_the_pointer_with_what_arrives(
        self, sink: ClaimCheck, bucket: s3.Bucket
    ) -> None:
        sink.publish([large(1)], always)
        (written,) = bucket.writes
        digest = base64.b64encode(hashlib.sha256(written.body).digest()).decode()
        assert written.checksums == {"x-amz-checksum-sha256": digest}

    def test_over_tls_the_body_is_signed_and_in_one_piece_too(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """botocore's own checksum would follow in a trailer, which not every stand-in
        for S3 can read. Nothing leaves: AWS is not to be called."""
        monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
        sink = ClaimCheck(Ordered(), "s3://large/events")
        seen: list[Any] = []
        may_send = iter([True, False])

        def look(request: Any, **_: object) -> None:
            seen.append(request)

        sink._client.meta.events.register_first("before-send", look)
        sent = large(1)
        results = sink.publish([sent], lambda: next(may_send))
        assert results == [LEASE_RAN_OUT]
        (request,) = seen
        digest = hashlib.sha256(sent.body.encode())
        assert request.url.startswith("https://large.s3")
        assert request.headers["X-Amz-Content-SHA256"].decode() == digest.hexdigest()
        assert "Content-Encoding" not in request.headers
        assert request.body.getvalue() == sent.body.encode()
        sink.close()

    def test_small_events_never_come_near_s3(
        self, sink: ClaimCheck, queue: Queue, aws: FakeAws, bucket: s3.Bucket
    ) -> None:
        events = [event(n) for n in range(1, 11)]
        assert outcomes(sink.publish(events, always)) == "A" * 10
        assert [arrival.body for arrival in queue.arrivals] == [e.body for e in events]
        assert actions(aws) == ["SendMessageBatch"]

    def test_the_others_of_a_batch_go_as_they_are(
        self, sink: ClaimCheck, queue: Queue, bucket: s3.Bucket
    ) -> None:
        events = [event(1), large(2), event(3), large(4)]
        assert outcomes(sink.publish(events, always)) == "AAAA"
        arrived = {a.body for a in queue.arrivals}
        assert {e.body for e in (events[0], events[2])} < arrived
        pointers = [json.loads(body) for body in arrived if "claim_check" in body]
        assert sorted(p["sequence"] for p in pointers) == [2, 4]
        assert len(bucket.writes) == 2

    def test_the_results_of_the_others_stay(
        self, sink: ClaimCheck, queue: Queue, aws: FakeAws, bucket: s3.Bucket
    ) -> None:
        events = [event(1), large(2), event(3), event(4)]
        for number, refused in ((0, False), (2, True)):
            body = events[number].body
            aws.faults.add(
                FailEntries(
                    sender_fault=refused,
                    where=lambda e, body=body: e.get("MessageBody") == body,
                )
            )
        assert outcomes(sink.publish(events, always)) == "RAXA"

    def test_a_pointer_has_the_group_and_the_dedup_id_of_the_event(
        self, aws: FakeAws, bucket: s3.Bucket
    ) -> None:
        queue = aws.sqs.create_queue("orders.fifo", MaximumMessageSize=LARGEST)
        sink = ClaimCheck(open_sink(f"sqs:{queue.url}"), "s3://large")
        sent = large(7)
        for _ in range(2):
            assert outcomes(sink.publish([sent], always)) == "A"
        sink.close()
        one, other = queue.arrivals
        assert one.deduplication_id == sent.name
        assert one.group == 'shop.orders:{"id":7}'
        assert one.body == other.body
        assert (one.duplicate, other.duplicate) == (False, True)
        assert bucket.writes[0].key == bucket.writes[1].key
        assert bucket.writes[0].body == bucket.writes[1].body
        assert len(bucket.objects) == 1

    def test_a_context_that_is_too_large_is_left_out_too(
        self, sink: ClaimCheck, queue: Queue, bucket: s3.Bucket
    ) -> None:
        sent = event(1, context={"why": "x" * LARGEST})
        small = large(2)
        for _ in range(2):
            assert outcomes(sink.publish([sent, small], always)) == "AA"
        bodies = {a.deduplication_id or a.body: a.body for a in queue.arrivals}
        pointers = {json.loads(body)["sequence"]: body for body in bodies.values()}
        assert json.loads(pointers[1]) == pointer_to(sent, context=None)
        assert json.loads(pointers[2]) == pointer_to(small)
        assert len({a.body for a in queue.arrivals}) == 2, "the same bytes again"
        assert bucket.writes[0].body == sent.body.encode()

    def test_a_key_that_is_too_large_leaves_the_event_oversized(
        self, sink: ClaimCheck, queue: Queue, bucket: s3.Bucket
    ) -> None:
        sent = event(1, key={"name": "secret" * LARGEST})
        results = sink.publish([event(2), sent, large(3)], always)
        assert outcomes(results) == "ALA"
        assert str(LARGEST) in results[1].reason
        assert "secret" not in results[1].reason
        assert queue.arrived == 2

    @pytest.mark.parametrize(
        ("members", "reason"),
        [
            ({"source": "🍣" * 255}, "its object's key has"),
            ({"source": None}, "without a source"),
        ],
    )
    def test_what_can_have_no_object_leaves_the_event_oversized(
        self,
        sink: ClaimCheck,
        bucket: s3.Bucket,
        members: dict[str, Any],
        reason: str,
    ) -> None:
        (result,) = sink.publish([large(1, **members)], always)
        assert result.outcome is Outcome.OVERSIZED
        assert reason in result.reason
        assert bucket.writes == []

    def test_memory_is_that_of_one_body_more(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In a process of its own the fake adds nothing to it."""
        size = 8 * 1024 * 1024
        program = str(Path(fake_aws.__file__))
        with subprocess.Popen(
            [sys.executable, program, "--bucket", "large"],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            endpoint = process.stdout.readline().strip()
            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
            sink = ClaimCheck(Ordered(), "s3://large")
            events = [event(n, "x" * size) for n in (1, 2, 3)]
            tracemalloc.start()
            assert outcomes(sink.publish(events, always)) == "AAA"
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            sink.close()
            process.terminate()
        assert size < peak < 1.5 * size

    def test_of_a_sink_that_keeps_order_the_whole_batch_goes_again(
        self, bucket: s3.Bucket
    ) -> None:
        inner = Ordered()
        sink = ClaimCheck(inner, "s3://large/events")
        events = [event(1), large(2), event(3), event(4, context="x" * LARGEST)]
        assert outcomes(sink.publish(events, always)) == "AAAA"
        assert [json.loads(e.body)["sequence"] for e in inner.arrived] == [1, 2, 3, 4]
        assert inner.arrived[0] is events[0]
        assert json.loads(inner.arrived[1].body)["claim_check"]
        assert json.loads(inner.arrived[3].body)["context"] is None
        hopeless = event(5, key={"name": "x" * LARGEST})
        assert outcomes(sink.publish([event(6), hopeless], always)) == "RL"
        assert len(inner.arrived) == 4
        sink.close()
        assert inner.is_closed


class TestTrouble:
    @pytest.mark.parametrize(
        "fault",
        [
            Answer(s3.slow_down()),
            Answer(s3.s3_error("InternalError", "by the fault script", 500)),
            Answer(faults.service_unavailable()),
            Answer(s3.s3_error("RequestTimeout", "by the fault script", 400)),
            Reset(),
            LoseAcknowledgement(),
            Hang(),
        ],
        ids=lambda fault: getattr(getattr(fault, "error", fault), "code", str(fault)),
    )
    def test_what_may_pass_is_a_retry_of_the_large_ones_only(
        self,
        queue: Queue,
        aws: FakeAws,
        bucket: s3.Bucket,
        monkeypatch: pytest.MonkeyPatch,
        fault: Fault,
    ) -> None:
        monkeypatch.setattr(config, "READ_TIMEOUT", 0.3)
        sink = ClaimCheck(open_sink(f"sqs:{queue.url}"), "s3://large/events")
        events = [event(1), large(2), event(3), large(4)]
        aws.faults.add(fault, calls=1, action="PutObject")
        results = sink.publish(events, always)
        assert outcomes(results) == "AUAU"
        assert results[1].reason.startswith("S3: ")
        assert "secret" not in results[1].reason
        assert actions(aws).count("PutObject") == 1, "no hidden repetition"
        assert queue.arrived == 2, "no pointer to what may not be there"
        waiting = [events[1], events[3]]
        assert outcomes(sink.publish(waiting, always)) == "AA"
        assert {written.body for written in bucket.objects.values()} == {
            sent.body.encode() for sent in waiting
        }
        sink.close()

    def test_s3_that_is_away_is_a_retry(
        self,
        sink: ClaimCheck,
        bucket: s3.Bucket,
        aws: FakeAws,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
        other = ClaimCheck(sink._sink, "s3://large")
        (result,) = other.publish([large(1)], always)
        assert result == Result(Outcome.UNKNOWN, "S3: EndpointConnectionError")

    def test_a_pointer_that_fails_is_sent_again_by_the_same_bytes(
        self, sink: ClaimCheck, queue: Queue, aws: FakeAws, bucket: s3.Bucket
    ) -> None:
        sent = large(1)
        for fault in (LoseAcknowledgement(), Answer(fake_sqs.throttled())):
            aws.faults.add(fault, calls=1, action="SendMessageBatch")
            assert outcomes(sink.publish([sent], always)) == "U"
        assert outcomes(sink.publish([sent], always)) == "A"
        assert len({arrival.body for arrival in queue.arrivals}) == 1
        assert len(bucket.objects) == 1

    def test_an_object_too_large_for_s3_leaves_the_event_oversized(
        self, sink: ClaimCheck, aws: FakeAws
    ) -> None:
        error = s3.s3_error("EntityTooLarge", "by the fault script", 400)
        aws.faults.add(Answer(error), calls=1, action="PutObject")
        results = sink.publish([large(1), large(2)], always)
        assert outcomes(results) == "LA"
        assert results[0].reason == "S3: EntityTooLarge"

    @pytest.mark.parametrize("code", FATAL)
    def test_what_only_a_person_can_mend_is_said_with_the_remedy(
        self, sink: ClaimCheck, queue: Queue, aws: FakeAws, code: str
    ) -> None:
        aws.faults.add(Answer(s3.s3_error(code, "by the fault script", 403)))
        with pytest.raises(SinkError) as raised:
            sink.publish([large(1)], always)
        assert code in raised.value.message
        assert "s3://large/events" in raised.value.message
        assert raised.value.hint
        assert "{" not in raised.value.hint
        assert queue.arrived == 0

    def test_a_missing_permission_is_named_with_its_objects(
        self, sink: ClaimCheck, aws: FakeAws
    ) -> None:
        aws.faults.add(Answer(s3.access_denied()), action="PutObject")
        with pytest.raises(SinkError) as raised:
            sink.publish([large(1)], always)
        hint = raised.value.hint or ""
        assert "s3:PutObject on arn:aws:s3:::large/events/*" in hint
        assert "kms:GenerateDataKey" in hint

    def test_a_bucket_that_is_not_there(self, sink: ClaimCheck, aws: FakeAws) -> None:
        aws.s3.delete_bucket("large")
        with pytest.raises(SinkError, match="NoSuchBucket"):
            sink.publish([large(1)], always)

    def test_a_clock_that_is_wrong(self, sink: ClaimCheck, aws: FakeAws) -> None:
        aws.faults.add(Answer(s3.s3_error("RequestTimeTooSkewed", "late", 403)))
        with pytest.raises(SinkError) as raised:
            sink.publish([large(1)], always)
        assert "clock" in (raised.value.hint or "")

    def test_acknowledgements_are_not_thrown_away_with_it(
        self, sink: ClaimCheck, queue: Queue, aws: FakeAws
    ) -> None:
        """What the queue has must be deleted, or it would be sent twice."""
        events = [event(1), large(2), event(3), large(4)]
        aws.faults.add(Answer(s3.access_denied()), action="PutObject")
        results = sink.publish(events, always)
        assert outcomes(results) == "AUAU"
        assert "AccessDenied" in results[1].reason
        with pytest.raises(SinkError, match="AccessDenied"):
            sink.publish([event(5)], always)
        assert queue.arrived == 2
        # Whoever mends it and starts again finds nothing left over.
        aws.faults.clear()
        assert outcomes(sink.publish([event(5), large(2)], always)) == "AA"

    def test_whoever_asks_again_is_not_told_of_what_was_mended(
        self, sink: ClaimCheck, aws: FakeAws
    ) -> None:
        """A Lambda does, in each invocation."""
        aws.faults.add(Answer(s3.access_denied()), action="PutObject")
        assert outcomes(sink.publish([event(1), large(2)], always)) == "AU"
        aws.faults.clear()
        sink.check()
        assert outcomes(sink.publish([large(2)], always)) == "A"

    def test_nor_where_the_pointer_is_what_fails(
        self, sink: ClaimCheck, queue: Queue, aws: FakeAws
    ) -> None:
        denied = Answer(faults.access_denied())

        def deny_pointers(request: Any, **_: object) -> None:
            if b"claim_check" in request.body:
                aws.faults.add(denied, calls=1, action="SendMessageBatch")

        inner = sink._sink
        assert isinstance(inner, SqsSink)
        inner._client.meta.events.register("before-send", deny_pointers)
        results = sink.publish([event(1), large(2)], always)
        assert outcomes(results) == "AU"
        with pytest.raises(SinkError, match="AccessDenied"):
            sink.publish([event(3)], always)


class TestFence:
    def test_nothing_is_stored_or_sent_once_the_lease_has_run_out(
        self, sink: ClaimCheck, queue: Queue, bucket: s3.Bucket, aws: FakeAws
    ) -> None:
        results = sink.publish([large(1), event(2)], lambda: False)
        assert results == [LEASE_RAN_OUT] * 2
        assert actions(aws) == []

    def test_nor_if_it_ran_out_between_signing_and_sending(
        self, sink: ClaimCheck, queue: Queue, bucket: s3.Bucket, aws: FakeAws
    ) -> None:
        holds = [True]
        signed: list[str] = []

        def freeze(request: Any, **_: object) -> None:
            signed.append(request.headers["Authorization"].decode())
            holds[0] = False

        sink._client.meta.events.register_first("before-send", freeze)
        results = sink.publish([large(1), event(2)], lambda: holds[0])
        assert results == [LEASE_RAN_OUT, ACKNOWLEDGED]
        (signature,) = signed
        assert "/s3/aws4_request" in signature
        assert actions(aws) == ["SendMessageBatch"]

    def test_an_object_is_stored_and_no_pointer_sent_if_it_runs_out_in_between(
        self, sink: ClaimCheck, queue: Queue, bucket: s3.Bucket
    ) -> None:
        results = sink.publish([large(1), large(2)], lambda: len(bucket.writes) < 2)
        assert results == [LEASE_RAN_OUT] * 2
        assert len(bucket.writes) == 2
        assert queue.arrived == 0

    def test_the_time_outs_are_those_of_every_sink(self, sink: ClaimCheck) -> None:
        found = sink._client.meta.config
        assert found.connect_timeout == config.CONNECT_TIMEOUT
        assert found.read_timeout == config.READ_TIMEOUT
        assert found.retries["total_max_attempts"] == 1


class TestOpening:
    def test_it_says_what_the_sink_says(self, sink: ClaimCheck, queue: Queue) -> None:
        assert sink.name == f"sqs:{queue.url}"
        assert sink.limits == sink._sink.limits
        assert sink.in_order is False

    def test_nothing_is_asked_or_written(
        self, sink: ClaimCheck, aws: FakeAws, bucket: s3.Bucket
    ) -> None:
        assert {call.service for call in aws.calls} == {"sqs"}

    def test_what_is_no_place_in_s3_is_refused(self, tmp_path: Path) -> None:
        inner: Sink = FileSink(str(tmp_path / "events"))
        with pytest.raises(UsageError) as refused:
            with_claim_check(inner, "s3://Orders Large")
        assert refused.value.hint
        inner.close()

    def test_a_region_is_needed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        with pytest.raises(SinkError, match="region") as raised:
            with_claim_check(Ordered(), "s3://large")
        assert "AWS_REGION" in (raised.value.hint or "")
        monkeypatch.setenv("AWS_REGION", "eu-north-1")
        sink = ClaimCheck(Ordered(), "s3://large")
        assert sink._client.meta.region_name == "eu-north-1"
        sink.close()

    def test_no_credentials(
        self, monkeypatch: pytest.MonkeyPatch, bucket: s3.Bucket
    ) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        sink = ClaimCheck(Ordered(), "s3://large")
        with pytest.raises(SinkError) as raised:
            sink.publish([large(1)], always)
        assert "AWS_PROFILE" in (raised.value.hint or "")
        sink.close()

    def test_a_profile_that_does_not_exist(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        with pytest.raises(SinkError, match="nobody") as raised:
            ClaimCheck(Ordered(), "s3://large")
        assert raised.value.hint


class TestRegion:
    """botocore asks again where S3 says it should have: one call more, once."""

    @pytest.fixture
    def bucket(self, aws: FakeAws) -> s3.Bucket:
        return aws.s3.create_bucket("large", region="eu-west-1")

    def test_a_bucket_in_another_region_is_found(
        self, sink: ClaimCheck, aws: FakeAws, bucket: s3.Bucket
    ) -> None:
        for number in (1, 2):
            assert outcomes(sink.publish([large(number)], always)) == "A"
        assert actions(aws).count("PutObject") == 3
        assert len(bucket.writes) == 2

    def test_asking_again_is_asked_about_again(
        self, sink: ClaimCheck, aws: FakeAws, bucket: s3.Bucket
    ) -> None:
        results = sink.publish([large(1)], lambda: "PutObject" not in actions(aws))
        assert results == [LEASE_RAN_OUT]
        assert actions(aws) == ["PutObject"]
        assert bucket.writes == []
