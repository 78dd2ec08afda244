"""What the fake AWS and MiniStack say to the same questions.

Each question has an answer that AWS documents. The fake must give it. MiniStack, which
others have written from the same documents, gives it too, or its answer is below as
``ministack``, and the document that decides against it as ``source``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from fakes.aws import FakeAws
from integration.stand_in import Aws, Ours, Theirs, drained

KIB = 1024
MIB = 1024 * KIB

SQS = "botocore, sqs/2012-11-05"
SNS = "botocore, sns/2010-03-31"
KINESIS = "botocore, kinesis/2013-12-02"

#: That a bad entry for a FIFO queue or topic makes the whole call fail.
SQS_RECORDED = "LocalStack, tests/aws/services/sqs/test_sqs.snapshot.json"
SNS_RECORDED = (
    "LocalStack, tests/aws/services/sns/test_sns.snapshot.json, "
    "test_publish_batch_exceptions"
)


@dataclasses.dataclass(frozen=True)
class Question:
    ask: Callable[[Aws], object]
    documented: object
    #: Where that is said.
    source: str
    #: What MiniStack answers instead; None where it answers as documented.
    ministack: object = None


@pytest.fixture(scope="module")
def ours() -> Iterator[Ours]:
    with FakeAws(seed=1) as aws:
        found = Ours(aws)
        yield found
        found.close()


# How questions are asked and answers are put


def refused(call: Callable[..., Any], **parameters: Any) -> object:
    """The code of the error; where there is none, what the call says of its parts."""
    try:
        return outcome(call(**parameters))
    except ClientError as error:
        return error.response["Error"]["Code"]


def outcome(answer: dict[str, Any]) -> object:
    """Ids that were taken, and ids, codes and blame of those that were not."""
    if "FailedRecordCount" in answer:
        return [result.get("ErrorCode", "taken") for result in answer["Records"]]
    return (
        [entry["Id"] for entry in answer.get("Successful") or ()],
        [
            (entry["Id"], entry["Code"], entry["SenderFault"])
            for entry in answer.get("Failed") or ()
        ],
    )


def send(aws: Aws, url: str, *entries: dict[str, Any]) -> object:
    return refused(aws.sqs.send_message_batch, QueueUrl=url, Entries=entries)


def publish(aws: Aws, topic: str, *entries: dict[str, Any]) -> object:
    return refused(
        aws.sns.publish_batch, TopicArn=topic, PublishBatchRequestEntries=entries
    )


def put(aws: Aws, stream: str, *records: dict[str, Any]) -> object:
    return refused(aws.kinesis.put_records, StreamName=stream, Records=records)


def message(name: object = 1, body: str = "b", **members: Any) -> dict[str, Any]:
    return {"Id": str(name), "MessageBody": body, **members}


def notice(name: object = 1, body: str = "b", **members: Any) -> dict[str, Any]:
    return {"Id": str(name), "Message": body, **members}


def record(data: bytes = b"d", key: str = "k", **members: Any) -> dict[str, Any]:
    return {"Data": data, "PartitionKey": key, **members}


def fifo(name: object, group: str = "g") -> dict[str, str]:
    return {"MessageGroupId": group, "MessageDeduplicationId": f"d{name}"}


def text(value: str) -> dict[str, dict[str, str]]:
    return {"k": {"DataType": "String", "StringValue": value}}


def queue_hands_out_again(aws: Aws) -> object:
    """Two receives of a group of two messages, while the first is not deleted."""
    url = aws.queue(".fifo")
    send(aws, url, *(message(n, f"b{n}", **fifo(n)) for n in range(2)))
    return [
        [
            found["Body"]
            for found in aws.sqs.receive_message(QueueUrl=url).get("Messages", [])
        ]
        for _ in range(2)
    ]


def queue_gets_twice(aws: Aws) -> object:
    url = aws.queue(".fifo")
    said = [send(aws, url, message(1, **fifo(1))) for _ in range(2)]
    return said, drained(aws, url)


def queue_keeps_order(aws: Aws) -> object:
    url = aws.queue(".fifo")
    for start in (0, 5):
        send(
            aws, url, *(message(n, f"b{n}", **fifo(n)) for n in range(start, start + 5))
        )
    return drained(aws, url)


def topic_gets_twice(aws: Aws) -> object:
    topic = aws.topic(".fifo")
    said = [publish(aws, topic, notice(1, **fifo(1))) for _ in range(2)]
    return said, aws.delivered(topic)


def topic_keeps_order(aws: Aws) -> object:
    topic = aws.topic(".fifo")
    publish(aws, topic, *(notice(n, f"b{n}", **fifo(n)) for n in range(10)))
    return aws.delivered(topic)


def topic_gets_attributes(aws: Aws) -> object:
    topic = aws.topic()
    for count in (10, 11):
        attributes = {
            f"a{n}": {"DataType": "String", "StringValue": "x"} for n in range(count)
        }
        publish(aws, topic, notice(body=f"{count}", MessageAttributes=attributes))
    return aws.delivered(topic)


def stream_gets_hashes(aws: Aws) -> object:
    stream = aws.stream()
    last = str((1 << 128) - 1)
    put(aws, stream, record(b"first", ExplicitHashKey="0"))
    put(aws, stream, record(b"last", ExplicitHashKey=last))
    return aws.stored(stream)


def stream_gets_keys(aws: Aws) -> object:
    """The MD5 of "b" begins with 92, that of "a" with 0c: shards 2 and 0 of 4."""
    stream = aws.stream()
    for number in range(3):
        put(aws, stream, record(f"a{number}".encode(), "a"))
        put(aws, stream, record(f"b{number}".encode(), "b"))
    return aws.stored(stream)


FIRST, THIRD, LAST = (f"shardId-{number:012}" for number in (0, 2, 3))
HALF = "x" * (MIB // 2)

QUESTIONS = {
    # SQS
    "eleven messages": Question(
        lambda aws: send(aws, aws.queue(), *map(message, range(11))),
        "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
        f"{SQS}, SendMessageBatch",
    ),
    "no message": Question(
        lambda aws: send(aws, aws.queue()),
        "AWS.SimpleQueueService.EmptyBatchRequest",
        f"{SQS}, EmptyBatchRequest",
    ),
    "two messages with one id": Question(
        lambda aws: send(aws, aws.queue(), message(1), message(1)),
        "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
        f"{SQS}, BatchEntryIdsNotDistinct",
    ),
    "a message with a space in its id": Question(
        lambda aws: send(aws, aws.queue(), message("a b")),
        "AWS.SimpleQueueService.InvalidBatchEntryId",
        f"{SQS}, SendMessageBatchRequestEntry",
    ),
    "messages of 1 MiB and a byte": Question(
        lambda aws: send(aws, aws.queue(), message(1, HALF), message(2, HALF + "x")),
        "AWS.SimpleQueueService.BatchRequestTooLong",
        f"{SQS}, SendMessageBatch",
    ),
    "messages of 1 MiB and the attributes": Question(
        lambda aws: send(
            aws,
            aws.queue(),
            message(1, HALF),
            message(2, HALF, MessageAttributes=text("x")),
        ),
        "AWS.SimpleQueueService.BatchRequestTooLong",
        f"{SQS}, MessageAttributeValue: all parts count towards the size",
        ministack=(["1", "2"], []),
    ),
    "a message that is larger than its queue takes": Question(
        lambda aws: send(
            aws,
            aws.queue(MaximumMessageSize="1024"),
            message(1, "x" * 1025),
            message(2),
        ),
        (["2"], [("1", "InvalidParameterValue", True)]),
        f"{SQS}, CreateQueue and SendMessageBatch",
    ),
    "a message with attributes that is too large": Question(
        lambda aws: send(
            aws,
            aws.queue(MaximumMessageSize="1024"),
            message(1, "x" * 1020, MessageAttributes=text("x")),
        ),
        ([], [("1", "InvalidParameterValue", True)]),
        f"{SQS}, MessageAttributeValue: all parts count towards the size",
        ministack=(["1"], []),
    ),
    "a message with a character that XML has not": Question(
        lambda aws: send(aws, aws.queue(), message(1, "\x0b"), message(2)),
        (["2"], [("1", "InvalidMessageContents", True)]),
        f"{SQS}, SendMessage: the characters that are allowed",
    ),
    "a message without a group": Question(
        lambda aws: send(
            aws, aws.queue(".fifo"), message(1, MessageDeduplicationId="d")
        ),
        "MissingParameter",
        SQS_RECORDED,
        ministack=([], [("1", "MissingParameter", True)]),
    ),
    "a message without a deduplication id": Question(
        lambda aws: send(aws, aws.queue(".fifo"), message(1, MessageGroupId="g")),
        "InvalidParameterValue",
        SQS_RECORDED,
        ministack=([], [("1", "InvalidParameterValue", True)]),
    ),
    "a message with a space in its group": Question(
        lambda aws: send(aws, aws.queue(".fifo"), message(1, **fifo(1, "a b"))),
        "InvalidParameterValue",
        f"{SQS}, MessageGroupId: alphanumeric characters and punctuation",
        ministack=(["1"], []),
    ),
    "a deduplication id on a standard queue": Question(
        lambda aws: send(aws, aws.queue(), message(1, MessageDeduplicationId="d")),
        ([], [("1", "InvalidParameterValue", True)]),
        f"{SQS}, MessageDeduplicationId: applies only to FIFO queues",
        ministack=(["1"], []),
    ),
    "a queue that is not there": Question(
        lambda aws: send(aws, aws.queue() + "x", message(1)),
        "AWS.SimpleQueueService.NonExistentQueue",
        f"{SQS}, QueueDoesNotExist",
    ),
    "a message twice": Question(
        queue_gets_twice,
        ([(["1"], []), (["1"], [])], ["b"]),
        f"{SQS}, MessageDeduplicationId",
    ),
    "ten messages of a group": Question(
        queue_keeps_order, [f"b{n}" for n in range(10)], f"{SQS}, MessageGroupId"
    ),
    "a group of which a message is in flight": Question(
        queue_hands_out_again,
        [["b0"], []],
        f"{SQS}, ReceiveMessage, and the Developer Guide, 'FIFO delivery logic'",
    ),
    # SNS
    "eleven notices": Question(
        lambda aws: publish(aws, aws.topic(), *map(notice, range(11))),
        "TooManyEntriesInBatchRequest",
        f"{SNS}, PublishBatch",
    ),
    "no notice": Question(
        lambda aws: publish(aws, aws.topic()),
        "EmptyBatchRequest",
        f"{SNS}, EmptyBatchRequestException",
        ministack="InvalidParameterException",
    ),
    "two notices with one id": Question(
        lambda aws: publish(aws, aws.topic(), notice(1), notice(1)),
        "BatchEntryIdsNotDistinct",
        f"{SNS}, BatchEntryIdsNotDistinctException",
    ),
    "a notice with a space in its id": Question(
        lambda aws: publish(aws, aws.topic(), notice("a b")),
        "InvalidBatchEntryId",
        f"{SNS}, PublishBatchRequestEntry",
        ministack=(["a b"], []),
    ),
    "notices of 256 KiB and a byte": Question(
        lambda aws: publish(
            aws,
            aws.topic(),
            notice(1, "x" * (128 * KIB)),
            notice(2, "x" * (128 * KIB + 1)),
        ),
        "BatchRequestTooLong",
        f"{SNS}, PublishBatch",
        ministack=(["1", "2"], []),
    ),
    "notices of 256 KiB and the attributes": Question(
        lambda aws: publish(
            aws,
            aws.topic(),
            notice(1, "x" * (128 * KIB)),
            notice(2, "x" * (128 * KIB), MessageAttributes=text("x")),
        ),
        "BatchRequestTooLong",
        f"{SNS}, PublishBatch: 'including each message's body and attributes'",
        ministack=(["1", "2"], []),
    ),
    "a notice of 1 MiB on a topic that takes it": Question(
        lambda aws: publish(
            aws, aws.topic(MaximumMessageSize=str(MIB)), notice(1, "x" * MIB)
        ),
        (["1"], []),
        f"{SNS}, MaximumMessageSize of CreateTopic",
        ministack=([], [("1", "InvalidParameter", True)]),
    ),
    "a notice without a group": Question(
        lambda aws: publish(
            aws, aws.topic(".fifo"), notice(1, MessageDeduplicationId="d")
        ),
        "InvalidParameter",
        SNS_RECORDED,
        ministack=([], [("1", "InvalidParameterException", True)]),
    ),
    "a notice without a deduplication id": Question(
        lambda aws: publish(aws, aws.topic(".fifo"), notice(1, MessageGroupId="g")),
        "InvalidParameter",
        SNS_RECORDED,
        ministack=([], [("1", "InvalidParameterException", True)]),
    ),
    "a notice with a space in its group": Question(
        lambda aws: publish(aws, aws.topic(".fifo"), notice(1, **fifo(1, "a b"))),
        "InvalidParameter",
        f"{SNS}, MessageGroupId: alphanumeric characters and punctuation",
        ministack=(["1"], []),
    ),
    "a deduplication id on a standard topic": Question(
        lambda aws: publish(aws, aws.topic(), notice(1, MessageDeduplicationId="d")),
        ([], [("1", "InvalidParameter", True)]),
        f"{SNS}, MessageDeduplicationId: applies only to FIFO topics",
        ministack=(["1"], []),
    ),
    "a topic that is not there": Question(
        lambda aws: publish(aws, aws.topic() + "x", notice(1)),
        "NotFound",
        f"{SNS}, NotFoundException",
    ),
    "a notice twice": Question(
        topic_gets_twice,
        ([(["1"], []), (["1"], [])], ["b"]),
        f"{SNS}, MessageDeduplicationId",
    ),
    "ten notices of a group": Question(
        topic_keeps_order, [f"b{n}" for n in range(10)], f"{SNS}, PublishBatch"
    ),
    "a notice with eleven attributes": Question(
        topic_gets_attributes,
        ["10"],
        "SNS Developer Guide, 'Amazon SNS message attributes': discarded where "
        "delivery is raw",
        ministack=["10", "11"],
    ),
    # Kinesis
    "501 records": Question(
        lambda aws: put(aws, aws.stream(), *[record()] * 501),
        "ValidationException",
        f"{KINESIS}, PutRecordsRequestEntryList",
    ),
    "a record of 1 MiB and its key": Question(
        lambda aws: put(aws, aws.stream(), record(b"x" * MIB)),
        "InvalidArgumentException",
        f"{KINESIS}, PutRecords: 'the total size of the partition key and data blob'",
        ministack=["taken"],
    ),
    "a record of 1 MiB with its key": Question(
        lambda aws: put(aws, aws.stream(), record(b"x" * (MIB - 1))),
        ["taken"],
        f"{KINESIS}, PutRecords",
    ),
    "records of 10 MiB and their keys": Question(
        lambda aws: put(
            aws, aws.stream(max_record_kib=10_240), *[record(b"x" * (5 * MIB))] * 2
        ),
        "InvalidArgumentException",
        f"{KINESIS}, PutRecords: '10 MiB for the entire request, including partition "
        "keys'",
        ministack="ValidationException",
    ),
    "records of 10 MiB with their keys": Question(
        lambda aws: put(
            aws, aws.stream(max_record_kib=10_240), *[record(b"x" * (5 * MIB - 1))] * 2
        ),
        ["taken", "taken"],
        f"{KINESIS}, PutRecords",
        ministack="ValidationException",
    ),
    "a partition key of 257 characters": Question(
        lambda aws: put(aws, aws.stream(), record(key="x" * 257)),
        "ValidationException",
        f"{KINESIS}, PartitionKey",
    ),
    "a record without a partition key": Question(
        lambda aws: put(aws, aws.stream(), {"Data": b"d"}),
        "ValidationException",
        f"{KINESIS}, PartitionKey: required unless the distribution is AUTO",
        ministack=["taken"],
    ),
    "a stream that is not there": Question(
        lambda aws: put(aws, aws.stream() + "x", record()),
        "ResourceNotFoundException",
        f"{KINESIS}, ResourceNotFoundException",
    ),
    "a hash key that is no number": Question(
        lambda aws: put(aws, aws.stream(), record(ExplicitHashKey="x")),
        "ValidationException",
        f"{KINESIS}, HashKey: a pattern",
        ministack="InternalError",
    ),
    "hash keys at both ends": Question(
        stream_gets_hashes,
        [(FIRST, "first"), (LAST, "last")],
        f"{KINESIS}, ExplicitHashKey",
    ),
    "two keys in six calls": Question(
        stream_gets_keys,
        [
            *((FIRST, f"a{number}") for number in range(3)),
            *((THIRD, f"b{number}") for number in range(3)),
        ],
        f"{KINESIS}, PutRecords: MD5 of the partition key",
    ),
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_the_fake_answers_as_documented(ours: Ours, question: Question) -> None:
    assert question.ask(ours) == question.documented, question.source


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_ministack_agrees_or_differs_as_is_known(
    theirs: Theirs, question: Question
) -> None:
    expected = question.documented
    if question.ministack is not None:
        expected = question.ministack
        assert expected != question.documented
    assert question.ask(theirs) == expected, question.source
