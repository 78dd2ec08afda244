"""The fake must be as strict as SQS, and must lie only when told to."""

from __future__ import annotations

import functools
import gc
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)
from fakes import faults, sqs
from fakes.aws import FakeAws

MIB = 1_048_576


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with FakeAws(seed=1) as aws:
        yield aws


def connect(endpoint_url: str, **config: Any) -> Any:
    return boto3.client(
        "sqs",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="fake",
        aws_secret_access_key="fake",
        config=Config(connect_timeout=2, retries={"total_max_attempts": 1}, **config),
    )


@pytest.fixture
def client(aws: FakeAws) -> Iterator[Any]:
    client = connect(aws.endpoint_url)
    yield client
    client.close()


def fifo(number: int, group: str = "g", body: str | None = None) -> dict[str, str]:
    return {
        "Id": str(number),
        "MessageBody": body or f"body {number}",
        "MessageGroupId": group,
        "MessageDeduplicationId": f"d{number}",
    }


def plain(number: int, body: str | None = None) -> dict[str, str]:
    return {"Id": str(number), "MessageBody": body or f"body {number}"}


def refusal(call: Callable[..., Any], **parameters: Any) -> tuple[str, int]:
    """Code and HTTP status of the error that a call must give."""
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    response = raised.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def bodies(response: dict[str, Any]) -> list[str]:
    return [message["Body"] for message in response.get("Messages", [])]


# Sending and reading


def test_a_batch_arrives_in_order_and_is_answered_with_digests(
    aws: FakeAws, client: Any
) -> None:
    queue = aws.sqs.create_queue("orders.fifo")
    answer = client.send_message_batch(
        QueueUrl=queue.url, Entries=[fifo(n) for n in range(10)]
    )
    assert "Failed" not in answer
    digest = hashlib.md5(b"body 3").hexdigest()
    assert answer["Successful"][3]["MD5OfMessageBody"] == digest
    numbers = [int(entry["SequenceNumber"]) for entry in answer["Successful"]]
    assert numbers == sorted(set(numbers))
    assert [arrival.body for arrival in queue.arrivals] == [
        f"body {n}" for n in range(10)
    ]
    first = queue.arrivals[0]
    assert (first.group, first.deduplication_id, first.duplicate) == ("g", "d0", False)
    (call,) = aws.calls
    assert (call.action, call.entries, call.accepted, call.outcome) == (
        "SendMessageBatch",
        10,
        10,
        "answered",
    )


def test_a_message_is_read_with_its_attributes_and_deleted(
    aws: FakeAws, client: Any
) -> None:
    queue = aws.sqs.create_queue("orders")
    sent = client.send_message(
        QueueUrl=queue.url,
        MessageBody="ünïcode",
        MessageAttributes={
            "type": {"DataType": "String", "StringValue": "orders.update"},
            "raw": {"DataType": "Binary", "BinaryValue": b"\0\1"},
        },
    )
    (message,) = client.receive_message(
        QueueUrl=queue.url,
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["All"],
    )["Messages"]
    assert message["Body"] == "ünïcode"
    assert message["MessageAttributes"]["raw"]["BinaryValue"] == b"\0\1"
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert bodies(client.receive_message(QueueUrl=queue.url)) == []
    handle = message["ReceiptHandle"]
    client.delete_message(QueueUrl=queue.url, ReceiptHandle=handle)
    client.delete_message(QueueUrl=queue.url, ReceiptHandle=handle)
    aws.clock.advance(31)
    assert bodies(client.receive_message(QueueUrl=queue.url)) == []


def test_the_digest_of_attributes_is_the_one_recorded_from_aws(
    aws: FakeAws, client: Any
) -> None:
    # LocalStack, test_receive_message_message_attribute_names_filters.
    queue = aws.sqs.create_queue("orders")
    names = {"Hello": "There", "General": "Kenobi", "Help.Me": "Me"}
    answer = client.send_message(
        QueueUrl=queue.url,
        MessageBody="msg",
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value}
            for name, value in names.items()
        },
    )
    assert answer["MD5OfMessageAttributes"] == "4c360f3fdafd970e05fae2f149d997f5"


def test_attributes_tell_the_limit_and_the_kind_of_a_queue(
    aws: FakeAws, client: Any
) -> None:
    queue = aws.sqs.create_queue(
        "orders.fifo", MaximumMessageSize=2048, ContentBasedDeduplication=True
    )
    attributes = client.get_queue_attributes(
        QueueUrl=queue.url, AttributeNames=["All"]
    )["Attributes"]
    assert attributes["MaximumMessageSize"] == "2048"
    assert attributes["FifoQueue"] == attributes["ContentBasedDeduplication"] == "true"
    assert attributes["ApproximateNumberOfMessages"] == "0"
    assert client.get_queue_url(QueueName="orders.fifo")["QueueUrl"] == queue.url
    code = refusal(
        client.get_queue_attributes, QueueUrl=queue.url, AttributeNames=["Nonsense"]
    )
    assert code == ("InvalidAttributeName", 400)


def test_an_impossible_queue_cannot_be_made(aws: FakeAws) -> None:
    with pytest.raises(ValueError, match="DeduplicationScope"):
        aws.sqs.create_queue("orders", DeduplicationScope="queue")
    with pytest.raises(ValueError, match="MaximumMessageSize=1"):
        aws.sqs.create_queue("orders", MaximumMessageSize=1)
    with pytest.raises(ValueError, match="not a queue name"):
        aws.sqs.create_queue("orders!")


def test_an_unknown_queue_has_the_code_that_boto3_users_know(
    aws: FakeAws, client: Any
) -> None:
    url = f"{aws.endpoint_url}/{sqs.ACCOUNT}/nowhere"
    with pytest.raises(client.exceptions.QueueDoesNotExist) as raised:
        client.send_message_batch(QueueUrl=url, Entries=[plain(1)])
    code = raised.value.response["Error"]["Code"]
    assert code == "AWS.SimpleQueueService.NonExistentQueue"
    with pytest.raises(client.exceptions.QueueDoesNotExist):
        client.get_queue_url(QueueName="nowhere")
    with pytest.raises(client.exceptions.InvalidAddress):
        client.get_queue_attributes(QueueUrl=f"{aws.endpoint_url}/orders")


def test_a_waiting_receive_returns_when_something_arrives(
    aws: FakeAws, client: Any
) -> None:
    queue = aws.sqs.create_queue("orders")
    found: list[str] = []

    def read() -> None:
        found.extend(
            bodies(client.receive_message(QueueUrl=queue.url, WaitTimeSeconds=20))
        )

    reader = threading.Thread(target=read)
    reader.start()
    sender = connect(aws.endpoint_url)
    sender.send_message(QueueUrl=queue.url, MessageBody="late")
    sender.close()
    reader.join(10)
    assert found == ["late"]


# Limits


def test_a_batch_has_between_one_and_ten_entries(aws: FakeAws, client: Any) -> None:
    queue = aws.sqs.create_queue("orders")
    send = client.send_message_batch
    with pytest.raises(client.exceptions.TooManyEntriesInBatchRequest):
        send(QueueUrl=queue.url, Entries=[plain(n) for n in range(11)])
    with pytest.raises(client.exceptions.EmptyBatchRequest):
        send(QueueUrl=queue.url, Entries=[])
    assert queue.arrivals == ()
    assert {call.outcome for call in aws.calls} == {"refused"}


@pytest.mark.parametrize("name", ["", "a" * 81, "a:b", "a b", "ä"])
def test_entry_ids_have_few_characters(aws: FakeAws, client: Any, name: str) -> None:
    queue = aws.sqs.create_queue("orders")
    with pytest.raises(client.exceptions.InvalidBatchEntryId):
        client.send_message_batch(
            QueueUrl=queue.url, Entries=[{"Id": name, "MessageBody": "b"}]
        )


def test_entry_ids_are_distinct(aws: FakeAws, client: Any) -> None:
    queue = aws.sqs.create_queue("orders")
    with pytest.raises(client.exceptions.BatchEntryIdsNotDistinct):
        client.send_message_batch(QueueUrl=queue.url, Entries=[plain(1), plain(1)])
    assert queue.arrivals == ()


def test_a_batch_is_at_most_one_mebibyte_in_utf_8(aws: FakeAws, client: Any) -> None:
    queue = aws.sqs.create_queue("orders")
    half = "é" * (MIB // 4)
    send = client.send_message_batch
    send(QueueUrl=queue.url, Entries=[plain(1, half), plain(2, half)])
    with pytest.raises(client.exceptions.BatchRequestTooLong) as raised:
        send(QueueUrl=queue.url, Entries=[plain(1, half), plain(2, half + "x")])
    assert "1048577 bytes" in str(raised.value)
    assert len(queue.arrivals) == 2


def test_attributes_count_towards_the_size_of_a_message(
    aws: FakeAws, client: Any
) -> None:
    queue = aws.sqs.create_queue("orders", MaximumMessageSize=1024)
    attributes = {"k": {"DataType": "String", "StringValue": "x"}}
    body = "a" * (1024 - len("kStringx"))
    send = client.send_message
    send(QueueUrl=queue.url, MessageBody=body, MessageAttributes=attributes)
    code = refusal(
        send, QueueUrl=queue.url, MessageBody=body + "a", MessageAttributes=attributes
    )
    assert code == ("InvalidParameterValue", 400)


@pytest.mark.parametrize("character", ["\0", "\x0b", "\x1f", "\ufffe", "\uffff"])
def test_characters_outside_xml_are_refused(
    aws: FakeAws, client: Any, character: str
) -> None:
    queue = aws.sqs.create_queue("orders")
    with pytest.raises(client.exceptions.InvalidMessageContents):
        client.send_message(QueueUrl=queue.url, MessageBody=f"a{character}b")


def test_a_lone_surrogate_is_refused(aws: FakeAws, client: Any) -> None:
    queue = aws.sqs.create_queue("orders")
    with pytest.raises(client.exceptions.InvalidMessageContents):
        client.send_message(QueueUrl=queue.url, MessageBody="a\ud800b")


def test_every_character_of_xml_is_taken(aws: FakeAws, client: Any) -> None:
    queue = aws.sqs.create_queue("orders")
    body = "\t\n\r ~\x7f\x85\ud7ff\ue000\ufffd\U00010000\U0010ffff"
    client.send_message(QueueUrl=queue.url, MessageBody=body)
    assert queue.arrivals[0].body == body


def test_a_standard_queue_fails_the_bad_entry_and_takes_the_others(
    aws: FakeAws, client: Any
) -> None:
    queue = aws.sqs.create_queue("orders", MaximumMessageSize=1024)
    answer = client.send_message_batch(
        QueueUrl=queue.url,
        Entries=[plain(1), plain(2, "\uffff"), plain(3, "a" * 1025), plain(4)],
    )
    assert [entry["Id"] for entry in answer["Successful"]] == ["1", "4"]
    assert [
        (entry["Id"], entry["Code"], entry["SenderFault"]) for entry in answer["Failed"]
    ] == [("2", "InvalidMessageContents", True), ("3", "InvalidParameterValue", True)]


def test_a_fifo_queue_refuses_the_whole_batch_for_a_bad_entry(
    aws: FakeAws, client: Any
) -> None:
    queue = aws.sqs.create_queue("orders.fifo")
    batch = {"QueueUrl": queue.url, "Entries": [fifo(1), fifo(2, body="\uffff")]}
    code = refusal(client.send_message_batch, **batch)
    assert code == ("InvalidMessageContents", 400)
    assert queue.arrivals == ()
    aws.sqs.fifo_refuses_whole_call = False
    answer = client.send_message_batch(**batch)
    assert [entry["Id"] for entry in answer["Successful"]] == ["1"]
    assert answer["Failed"][0]["SenderFault"] is True


@pytest.mark.parametrize("group", ["", "a b", "é", "x" * 129, "a\n"])
def test_a_group_id_is_printable_ascii_without_space(
    aws: FakeAws, client: Any, group: str
) -> None:
    queue = aws.sqs.create_queue("orders.fifo")
    for name in ("MessageGroupId", "MessageDeduplicationId"):
        entry = {**fifo(1), name: group}
        code = refusal(client.send_message_batch, QueueUrl=queue.url, Entries=[entry])
        assert code == ("InvalidParameterValue", 400)
    assert queue.arrivals == ()


def test_all_punctuation_is_allowed_in_a_group_id(aws: FakeAws, client: Any) -> None:
    queue = aws.sqs.create_queue("orders.fifo")
    group = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~".ljust(128, "x")
    client.send_message_batch(QueueUrl=queue.url, Entries=[fifo(1, group)])
    assert queue.arrivals[0].group == group


def test_a_fifo_queue_needs_a_group_and_a_deduplication_id(
    aws: FakeAws, client: Any
) -> None:
    queue = aws.sqs.create_queue("orders.fifo")
    entry = fifo(1)
    del entry["MessageDeduplicationId"]
    send = client.send_message_batch
    code = refusal(send, QueueUrl=queue.url, Entries=[entry])
    assert code == ("InvalidParameterValue", 400)
    del entry["MessageGroupId"]
    code = refusal(send, QueueUrl=queue.url, Entries=[entry])
    assert code == ("MissingParameter", 400)


def test_a_standard_queue_has_groups_but_no_deduplication(
    aws: FakeAws, client: Any
) -> None:
    queue = aws.sqs.create_queue("orders")
    client.send_message(QueueUrl=queue.url, MessageBody="b", MessageGroupId="tenant")
    code = refusal(
        client.send_message,
        QueueUrl=queue.url,
        MessageBody="b",
        MessageDeduplicationId="d",
    )
    assert code == ("InvalidParameterValue", 400)


# FIFO


def test_the_same_id_within_five_minutes_is_accepted_but_not_delivered(
    aws: FakeAws, client: Any
) -> None:
    queue = aws.sqs.create_queue("orders.fifo")

    def send() -> str:
        answer = client.send_message_batch(QueueUrl=queue.url, Entries=[fifo(1)])
        return str(answer["Successful"][0]["MessageId"])

    first = send()
    aws.clock.advance(299)
    assert send() == first
    aws.clock.advance(2)
    assert send() != first
    assert [arrival.duplicate for arrival in queue.arrivals] == [False, True, False]
    assert len(queue.delivered) == 2


def test_a_deleted_message_still_deduplicates(aws: FakeAws, client: Any) -> None:
    queue = aws.sqs.create_queue("orders.fifo")
    client.send_message_batch(QueueUrl=queue.url, Entries=[fifo(1)])
    (message,) = client.receive_message(QueueUrl=queue.url)["Messages"]
    client.delete_message(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])
    client.send_message_batch(QueueUrl=queue.url, Entries=[fifo(1)])
    assert bodies(client.receive_message(QueueUrl=queue.url)) == []


@pytest.mark.parametrize(("scope", "taken"), [("queue", 1), ("messageGroup", 2)])
def test_deduplication_has_a_scope(
    aws: FakeAws, client: Any, scope: str, taken: int
) -> None:
    queue = aws.sqs.create_queue("orders.fifo", DeduplicationScope=scope)
    for group in ("a", "b"):
        client.send_message_batch(QueueUrl=queue.url, Entries=[fifo(1, group)])
    assert len(queue.delivered) == taken


def test_the_body_can_be_its_own_deduplication_id(aws: FakeAws, client: Any) -> None:
    queue = aws.sqs.create_queue("orders.fifo", ContentBasedDeduplication=True)
    for body in ("a", "a", "b"):
        client.send_message(QueueUrl=queue.url, MessageBody=body, MessageGroupId="g")
    assert [arrival.body for arrival in queue.delivered] == ["a", "b"]


def test_a_group_is_handed_out_in_order_and_one_receive_at_a_time(
    aws: FakeAws, client: Any
) -> None:
    queue = aws.sqs.create_queue("orders.fifo")
    for number, group in enumerate("aabab"):
        client.send_message_batch(QueueUrl=queue.url, Entries=[fifo(number, group)])

    def receive(most: int) -> list[dict[str, Any]]:
        answer = client.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=most)
        return list(answer.get("Messages", []))

    two = receive(2)
    assert [message["Body"] for message in two] == ["body 0", "body 1"]
    assert [message["Body"] for message in receive(10)] == ["body 2", "body 4"]
    client.send_message_batch(QueueUrl=queue.url, Entries=[fifo(5, "a")])
    assert receive(10) == []
    handles = [message["ReceiptHandle"] for message in two]
    client.delete_message(QueueUrl=queue.url, ReceiptHandle=handles[0])
    assert receive(10) == []
    answer = client.delete_message_batch(
        QueueUrl=queue.url, Entries=[{"Id": "x", "ReceiptHandle": handles[1]}]
    )
    assert answer["Successful"] == [{"Id": "x"}]
    assert [message["Body"] for message in receive(10)] == ["body 3", "body 5"]


def test_what_is_not_deleted_comes_again_in_order(aws: FakeAws, client: Any) -> None:
    queue = aws.sqs.create_queue("orders.fifo", VisibilityTimeout=10)
    client.send_message_batch(QueueUrl=queue.url, Entries=[fifo(1), fifo(2)])
    (message,) = client.receive_message(QueueUrl=queue.url)["Messages"]
    aws.clock.advance(10)
    again = client.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10)
    assert bodies(again) == ["body 1", "body 2"]
    stale = {"QueueUrl": queue.url, "ReceiptHandle": message["ReceiptHandle"]}
    assert refusal(client.delete_message, **stale) == ("InvalidParameterValue", 400)
    stale["ReceiptHandle"] = "nonsense"
    with pytest.raises(client.exceptions.ReceiptHandleIsInvalid):
        client.delete_message(**stale)


# Faults


def test_entries_fail_as_the_script_says(aws: FakeAws, client: Any) -> None:
    queue = aws.sqs.create_queue("orders.fifo")
    rule = aws.faults.add(
        faults.FailEntries(where=lambda entry: entry["Id"] in ("1", "3")), calls=1
    )
    aws.faults.add(
        faults.FailEntries(
            "InvalidParameterValue",
            sender_fault=True,
            where=lambda entry: "poison" in entry["MessageBody"],
        )
    )
    entries = [fifo(n) for n in range(4)] + [fifo(4, body="poison")]
    first = client.send_message_batch(QueueUrl=queue.url, Entries=entries)
    assert [entry["Id"] for entry in first["Successful"]] == ["0", "2"]
    assert [
        (entry["Id"], entry["Code"], entry["SenderFault"]) for entry in first["Failed"]
    ] == [
        ("1", "InternalError", False),
        ("3", "InternalError", False),
        ("4", "InvalidParameterValue", True),
    ]
    second = client.send_message_batch(QueueUrl=queue.url, Entries=entries)
    assert [entry["Id"] for entry in second["Failed"]] == ["4"]
    assert rule.hits == 1
    # What was taken twice is known to be a duplicate; the order has a gap.
    assert [arrival.body[-1] for arrival in queue.delivered] == ["0", "2", "1", "3"]


def test_chances_are_the_same_in_every_run() -> None:
    def failed(seed: int) -> list[list[str]]:
        with FakeAws(seed=seed) as aws:
            queue = aws.sqs.create_queue("orders")
            aws.faults.add(faults.FailEntries(rate=0.3))
            client = connect(aws.endpoint_url)
            answers = [
                client.send_message_batch(
                    QueueUrl=queue.url, Entries=[plain(n) for n in range(10)]
                )
                for _ in range(20)
            ]
            client.close()
            return [[e["Id"] for e in answer.get("Failed", [])] for answer in answers]

    one = failed(1)
    assert one == failed(1) != failed(2)
    assert 30 < sum(map(len, one)) < 90


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (sqs.throttled(), ("RequestThrottled", 403)),
        (faults.service_unavailable(), ("ServiceUnavailable", 503)),
        (faults.internal_failure(), ("InternalFailure", 500)),
        (faults.access_denied(), ("AccessDenied", 403)),
        (sqs.kms_error("KmsThrottled"), ("KMS.ThrottlingException", 400)),
    ],
)
def test_whole_calls_are_refused_for_as_long_as_the_script_says(
    aws: FakeAws, client: Any, error: Any, expected: tuple[str, int]
) -> None:
    queue = aws.sqs.create_queue("orders")
    aws.faults.add(faults.Answer(error), calls=2, action="SendMessageBatch")
    batch = {"QueueUrl": queue.url, "Entries": [plain(1)]}
    client.send_message(QueueUrl=queue.url, MessageBody="another action")
    assert refusal(client.send_message_batch, **batch) == expected
    assert refusal(client.send_message_batch, **batch) == expected
    client.send_message_batch(**batch)
    assert len(queue.arrivals) == 2
    assert [call.code for call in aws.calls] == [None, expected[0], expected[0], None]


def test_errors_are_raised_as_the_classes_of_the_model(
    aws: FakeAws, client: Any
) -> None:
    queue = aws.sqs.create_queue("orders")
    aws.faults.add(faults.Answer(sqs.kms_error("KmsAccessDenied")), calls=1)
    with pytest.raises(client.exceptions.KmsAccessDenied):
        client.send_message(QueueUrl=queue.url, MessageBody="b")
    aws.faults.add(faults.Answer(sqs.throttled()), calls=1)
    with pytest.raises(client.exceptions.RequestThrottled):
        client.send_message(QueueUrl=queue.url, MessageBody="b")


def test_a_call_whose_acknowledgement_is_lost_has_arrived(
    aws: FakeAws, client: Any
) -> None:
    queue = aws.sqs.create_queue("orders.fifo")
    aws.faults.add(faults.LoseAcknowledgement(), calls=1)
    entries = [fifo(1), fifo(2)]
    with pytest.raises(ConnectionClosedError):
        client.send_message_batch(QueueUrl=queue.url, Entries=entries)
    assert len(queue.arrivals) == 2
    assert aws.calls[-1].outcome == "acknowledgement lost"
    answer = client.send_message_batch(QueueUrl=queue.url, Entries=entries)
    assert len(answer["Successful"]) == 2
    assert len(queue.delivered) == 2


def test_a_reset_call_has_not_arrived(aws: FakeAws, client: Any) -> None:
    queue = aws.sqs.create_queue("orders")
    aws.faults.add(faults.Reset(), calls=1)
    with pytest.raises(ConnectionClosedError):
        client.send_message(QueueUrl=queue.url, MessageBody="b")
    assert queue.arrivals == ()
    assert aws.calls[-1].outcome == "reset"


@pytest.mark.parametrize("accepted", [False, True])
def test_a_hanging_call_times_out_in_the_client(aws: FakeAws, accepted: bool) -> None:
    queue = aws.sqs.create_queue("orders")
    aws.faults.add(faults.Hang(accepted=accepted), calls=1)
    client = connect(aws.endpoint_url, read_timeout=0.2)
    with pytest.raises(ReadTimeoutError):
        client.send_message(QueueUrl=queue.url, MessageBody="b")
    client.close()
    assert len(queue.arrivals) == accepted
    assert aws.calls[-1].outcome == "hung"


def test_an_answer_may_come_late(aws: FakeAws, client: Any) -> None:
    queue = aws.sqs.create_queue("orders")
    aws.faults.add(faults.Delay(0.1), calls=1)
    started = time.monotonic()
    client.send_message(QueueUrl=queue.url, MessageBody="b")
    assert time.monotonic() - started >= 0.1
    aws.faults.add(faults.Delay(30, accepted=True), calls=1)
    impatient = connect(aws.endpoint_url, read_timeout=0.2)
    with pytest.raises(ReadTimeoutError):
        impatient.send_message(QueueUrl=queue.url, MessageBody="c")
    impatient.close()
    assert [arrival.body for arrival in queue.arrivals] == ["b", "c"]


def test_an_unreachable_fake_comes_back_at_the_same_address(
    aws: FakeAws, client: Any
) -> None:
    queue = aws.sqs.create_queue("orders")
    client.send_message(QueueUrl=queue.url, MessageBody="before")
    with aws.unreachable(), pytest.raises(EndpointConnectionError):
        client.send_message(QueueUrl=queue.url, MessageBody="lost")
    client.send_message(QueueUrl=queue.url, MessageBody="after")
    assert [arrival.body for arrival in queue.arrivals] == ["before", "after"]


@pytest.mark.parametrize("seconds", [301, -302])
def test_a_signature_is_good_for_five_minutes(
    aws: FakeAws, client: Any, seconds: int
) -> None:
    queue = aws.sqs.create_queue("orders")
    message = {"QueueUrl": queue.url, "MessageBody": "b"}
    aws.signing_clock.advance(seconds)
    assert refusal(client.send_message, **message) == ("SignatureDoesNotMatch", 403)
    aws.signing_clock.advance(-seconds / 30)
    client.send_message(**message)
    assert len(queue.arrivals) == 1


def test_a_call_without_a_signature_is_refused(aws: FakeAws) -> None:
    queue = aws.sqs.create_queue("orders")
    client = connect(aws.endpoint_url, signature_version=UNSIGNED)
    code = refusal(client.send_message, QueueUrl=queue.url, MessageBody="b")
    client.close()
    assert code == ("MissingAuthenticationToken", 403)


def test_who_has_signed_a_call_is_told(aws: FakeAws, client: Any) -> None:
    queue = aws.sqs.create_queue("orders")
    message = {"QueueUrl": queue.url, "MessageBody": "b"}
    client.send_message(**message)
    unsigned = connect(aws.endpoint_url, signature_version=UNSIGNED)
    refusal(unsigned.send_message, **message)
    unsigned.close()
    assert [call.access_key for call in aws.calls] == ["fake", ""]


# The server itself


def test_nothing_is_left_open_after_the_end(tmp_path: Path) -> None:
    gc.collect()
    before = _open_files()
    with FakeAws(log=tmp_path / "arrivals.ndjson") as aws:
        queue = aws.sqs.create_queue("orders")
        aws.faults.add(faults.Hang(), calls=1, action="SendMessageBatch")
        client = connect(aws.endpoint_url)
        client.send_message(QueueUrl=queue.url, MessageBody="b")
        hanging = threading.Thread(
            target=pytest.raises,
            args=(ConnectionClosedError, client.send_message_batch),
            kwargs={"QueueUrl": queue.url, "Entries": [plain(1)]},
        )
        hanging.start()
        aws.wait_for(lambda: len(aws.log.calls) == 2)
    hanging.join(10)
    client.close()
    assert not hanging.is_alive()
    names = [thread.name for thread in threading.enumerate()]
    assert "fake-aws" not in names
    assert _open_files() <= before


def _open_files() -> int:
    """How many there are; always 0 where there is no /proc."""
    folder = Path("/proc/self/fd")
    return len(os.listdir(folder)) if folder.exists() else 0


def test_a_long_run_need_not_be_remembered() -> None:
    with FakeAws(remember=False) as aws:
        queue = aws.sqs.create_queue("orders.fifo")
        client = connect(aws.endpoint_url)
        for _ in range(2):
            client.send_message_batch(QueueUrl=queue.url, Entries=[fifo(1)])
        assert bodies(client.receive_message(QueueUrl=queue.url)) == []
        client.close()
        assert queue.arrived == 2
        assert aws.arrivals == queue.arrivals == ()
        assert aws.calls == ()


def test_the_log_tells_other_processes_what_arrived(tmp_path: Path) -> None:
    path = tmp_path / "arrivals.ndjson"
    fakes = Path(sys.modules[FakeAws.__module__].__file__ or "")
    process = subprocess.Popen(
        [sys.executable, fakes, "--queue", "orders.fifo", "--log", path],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process, process.stdout:
        endpoint_url = process.stdout.readline().strip()
        client = connect(endpoint_url)
        url = client.get_queue_url(QueueName="orders.fifo")["QueueUrl"]
        client.send_message_batch(QueueUrl=url, Entries=[fifo(1), fifo(2)])
        client.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["body"] for line in lines if line["log"] == "arrival"] == [
        "body 1",
        "body 2",
    ]
    calls = [line for line in lines if line["log"] == "call"]
    assert [(call["action"], call["accepted"]) for call in calls] == [
        ("GetQueueUrl", 0),
        ("SendMessageBatch", 2),
    ]


def test_a_process_is_told_on_standard_input_what_goes_wrong() -> None:
    fakes = Path(sys.modules[FakeAws.__module__].__file__ or "")
    process = subprocess.Popen(
        [sys.executable, fakes, "--queue", "orders"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None

    def script(*entries: dict[str, Any]) -> None:
        stdin.write(json.dumps(entries) + "\n")
        stdin.flush()
        assert stdout.readline().strip() == str(len(entries))

    with process:
        client = connect(stdout.readline().strip())
        url = client.get_queue_url(QueueName="orders")["QueueUrl"]
        send = functools.partial(client.send_message_batch, QueueUrl=url)
        throttled = {"fault": "Answer", "error": "throttled"}
        script({**throttled, "action": "SendMessageBatch"})
        assert refusal(send, Entries=[plain(1)])[0] == "RequestThrottled"
        # What was said before does not hold any more.
        script({"fault": "FailEntries", "chance": 0.5})
        answer = send(Entries=[plain(number) for number in range(10)])
        assert 0 < len(answer["Failed"]) < 10
        script()
        assert "Failed" not in send(Entries=[plain(1)])
        client.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
