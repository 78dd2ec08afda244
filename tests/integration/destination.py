"""A destination at the fake AWS, of every kind, for what holds of all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fakes import eventbridge, faults, kinesis, sns, sqs
from fakes.aws import FakeAws
from fakes.eventbridge import EventBus
from fakes.kinesis import Stream
from fakes.service import AwsError, Call
from fakes.sns import Topic
from fakes.sqs import Queue

from evtrig.relay.event import Event
from evtrig.relay.sinks import open_sink, with_claim_check
from evtrig.relay.sinks.aws import AwsSink
from evtrig.relay.sinks.sink import Outcome, Result, Sink

#: At AWS. One for each way in which a sink behaves differently.
KINDS = ("sqs", "sqs-fifo", "sqs-fair", "sns", "sns-fifo", "kinesis", "eventbridge")
WITH_CLAIM_CHECK = ("sqs-fifo-s3", "sns-s3", "kinesis-s3", "eventbridge-s3")

#: What a message may have where every second event is to go to S3, in bytes.
SMALL = 2048


@dataclass(frozen=True)
class Service:
    """How a service is called, and how it says no."""

    #: Actions of its API, and what IAM calls them.
    look: str
    send: str
    may_look: str
    may_send: str
    throttled: AwsError
    internal: AwsError
    denied: Callable[[str], AwsError]
    #: The KMS key is disabled, and is asked for too often; None for EventBridge, whose
    #: PutEvents lists no such error.
    kms_disabled: AwsError | None
    kms_throttled: AwsError | None
    #: Code of an entry that was not taken now, and of one that never will be: of the
    #: latter a record of Kinesis has none (PutRecordsResultEntry).
    busy: str
    never: str | None


SERVICES = {
    "sqs": Service(
        look="GetQueueAttributes",
        send="SendMessageBatch",
        may_look="sqs:GetQueueAttributes",
        may_send="sqs:SendMessage",
        throttled=sqs.throttled(),
        internal=faults.internal_failure(),
        denied=faults.access_denied,
        kms_disabled=sqs.kms_error("KmsDisabled"),
        kms_throttled=sqs.kms_error("KmsThrottled"),
        busy="InternalError",
        never="InvalidMessageContents",
    ),
    "sns": Service(
        look="GetTopicAttributes",
        send="PublishBatch",
        may_look="sns:GetTopicAttributes",
        may_send="sns:Publish",
        throttled=sns.throttled(),
        internal=sns.internal_error(),
        denied=sns.access_denied,
        kms_disabled=sns.kms_error("KMSDisabledException"),
        kms_throttled=sns.kms_error("KMSThrottlingException"),
        busy="InternalError",
        never="InvalidParameter",
    ),
    "kinesis": Service(
        look="DescribeStreamSummary",
        send="PutRecords",
        may_look="kinesis:DescribeStreamSummary",
        may_send="kinesis:PutRecords",
        throttled=kinesis.throttled(),
        internal=kinesis.internal_failure(),
        denied=kinesis.access_denied,
        kms_disabled=kinesis.kms_error("KMSDisabledException"),
        kms_throttled=kinesis.kms_error("KMSThrottlingException"),
        busy="ProvisionedThroughputExceededException",
        never=None,
    ),
    "eventbridge": Service(
        look="DescribeEventBus",
        send="PutEvents",
        may_look="events:DescribeEventBus",
        may_send="events:PutEvents",
        throttled=eventbridge.throttled(),
        internal=eventbridge.internal_exception(),
        denied=eventbridge.access_denied,
        kms_disabled=None,
        kms_throttled=None,
        busy="ThrottlingException",
        never="MalformedDetail",
    ),
}


class Destination:
    """A fresh one of a kind, and the sinks that were opened to it.

    ``settings`` are those of the fake: attributes of a queue or topic, settings of a
    stream.
    """

    target: Queue | Topic | Stream | EventBus

    def __init__(self, aws: FakeAws, kind: str, **settings: Any) -> None:
        self.aws, self.kind = aws, kind
        self.scheme = kind.partition("-")[0]
        self.service = SERVICES[self.scheme]
        self.is_fifo = "fifo" in kind
        self.claim_check: str | None = None
        if kind.endswith("-s3"):
            bucket = aws.s3.create_bucket("large")
            self.claim_check = f"s3://{bucket.name}/events"
        name = "orders.fifo" if self.is_fifo else "orders"
        match self.scheme:
            case "sqs":
                queue = aws.sqs.create_queue(name, **settings)
                place, self.target = queue.url, queue
            case "sns":
                topic = aws.sns.create_topic(name, **settings)
                place, self.target = topic.arn, topic
            case "kinesis":
                self.target = aws.kinesis.create_stream(name, **settings)
                place = name
            case _:
                self.target = aws.eventbridge.create_bus(name, **settings)
                place = name
        self.place = place
        self.uri = f"{self.scheme}:{place}" + "?fair=key" * ("fair" in kind)
        self._sinks: list[Sink] = []

    @property
    def sent(self) -> list[Call]:
        """The calls that carried entries."""
        return [call for call in self.aws.calls if call.action == self.service.send]

    @property
    def bodies(self) -> list[str]:
        """What consumers get to see."""
        return [arrival.body for arrival in self.target.delivered]

    @property
    def names(self) -> list[str]:
        """The names of the events that consumers get to see."""
        return [json.loads(body)["id"] for body in self.bodies]

    def with_options(self, **options: object) -> str:
        """The URI of the sink, with more behind the question mark."""
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return self.uri + ("&" if "?" in self.uri else "?") * bool(query) + query

    def open(self, **options: object) -> Sink:
        if self.claim_check:
            options = {"message_bytes": SMALL, **options}
        sink = open_sink(self.with_options(**options))
        if self.claim_check:
            sink = with_claim_check(sink, self.claim_check)
        self._sinks.append(sink)
        return sink

    def events(self, count: int = 10) -> list[Event]:
        """Of as many keys; with a claim check every second is too large without it."""
        large = "x" * 2 * SMALL
        return [
            event(n, large if self.claim_check and n % 2 == 0 else "small")
            for n in range(1, count + 1)
        ]

    def event_of(self, size: int, *, id_: int = 1) -> Event:
        """One whose entry has so many bytes, as the service counts them."""
        extra = 0
        if self.scheme == "kinesis":
            # Data and partition key: PutRecordsRequestEntry.
            extra = len(event(id_).key)
        elif self.scheme == "eventbridge":
            # "Calculating PutEvents event entry size", EventBridge User Guide.
            extra = len("shop.orders" + "orders.insert")
        made = event(id_, "x" * (size - extra - event(id_, "").size))
        assert made.size + extra == size
        return made

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()


def client_of(sink: Sink) -> Any:
    """The client that sends what a sink gets."""
    inner = getattr(sink, "_sink", sink)
    assert isinstance(inner, AwsSink)
    return inner._client


def always() -> bool:
    return True


def never() -> bool:
    return False


def event(id_: int, value: object = None, key: str | None = None) -> Event:
    envelope = {
        "id": f"{id_}-{id_:016x}",
        "sequence": id_,
        "type": "orders.insert",
        "source": "shop.orders",
        "operation": "insert",
        "key": {"id": id_},
        "before": None,
        "after": value,
    }
    body = json.dumps(envelope, ensure_ascii=False)
    return Event(id_, id_, key or f'shop.orders:{{"id": {id_}}}', body)


def outcomes(results: Sequence[Result]) -> str:
    """A, R, U, X or L an event: acknowledged, retry, unknown, refused, too large."""
    letters = {
        Outcome.ACKNOWLEDGED: "A",
        Outcome.RETRY: "R",
        Outcome.UNKNOWN: "U",
        Outcome.REFUSED: "X",
        Outcome.OVERSIZED: "L",
    }
    return "".join(letters[result.outcome] for result in results)
