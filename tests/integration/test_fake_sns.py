"""The fake must be as strict as SNS, and must lie only when told to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from fakes import faults, sns
from fakes.aws import FakeAws

KIB = 1024


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with FakeAws(seed=1) as aws:
        yield aws


def connect(aws: FakeAws, service: str = "sns", **config: Any) -> Any:
    return boto3.client(
        service,
        endpoint_url=aws.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="fake",
        aws_secret_access_key="fake",
        config=Config(connect_timeout=2, retries={"total_max_attempts": 1}, **config),
    )


@pytest.fixture
def client(aws: FakeAws) -> Iterator[Any]:
    client = connect(aws)
    yield client
    client.close()


@pytest.fixture
def topic(aws: FakeAws) -> sns.Topic:
    return aws.sns.create_topic("orders")


@pytest.fixture
def fifo_topic(aws: FakeAws) -> sns.Topic:
    return aws.sns.create_topic("orders.fifo")


def plain(number: int, message: str | None = None, **members: Any) -> dict[str, Any]:
    return {"Id": str(number), "Message": message or f"body {number}", **members}


def fifo(number: int, group: str = "g", message: str | None = None) -> dict[str, Any]:
    return plain(
        number, message, MessageGroupId=group, MessageDeduplicationId=f"d{number}"
    )


def text(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


def publish(client: Any, topic: sns.Topic, *entries: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = client.publish_batch(
        TopicArn=topic.arn, PublishBatchRequestEntries=entries
    )
    return answer


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_a_batch_arrives_in_order_with_groups_and_numbers(
    aws: FakeAws, client: Any, fifo_topic: sns.Topic
) -> None:
    answer = publish(client, fifo_topic, *[fifo(n) for n in range(10)])
    assert answer["Failed"] == []
    assert [entry["Id"] for entry in answer["Successful"]] == list("0123456789")
    numbers = [int(entry["SequenceNumber"]) for entry in answer["Successful"]]
    assert numbers == sorted(set(numbers))
    assert [arrival.body[-1] for arrival in fifo_topic.arrivals] == list("0123456789")
    first = fifo_topic.arrivals[0]
    assert (first.group, first.deduplication_id, first.duplicate) == ("g", "d0", False)
    assert (aws.calls[0].entries, aws.calls[0].accepted) == (10, 10)


def test_a_message_is_published_with_its_attributes(
    client: Any, topic: sns.Topic
) -> None:
    body = "ünï & <code> +%2B=&\t\r\n 🍣"
    answer = client.publish(
        TopicArn=topic.arn,
        Message=body,
        MessageAttributes={
            "type": text("orders.update"),
            "raw": {"DataType": "Binary", "BinaryValue": b"\0\1"},
        },
    )
    (arrival,) = topic.delivered
    assert arrival.body == body
    assert arrival.message_id == answer["MessageId"]
    assert arrival.sequence_number is None
    assert arrival.attributes == {
        "type": text("orders.update"),
        "raw": {"DataType": "Binary", "BinaryValue": "AAE="},
    }


def test_attributes_tell_the_limit_only_where_it_was_set(
    aws: FakeAws, client: Any, topic: sns.Topic
) -> None:
    large = aws.sns.create_topic(
        "large.fifo", MaximumMessageSize=1_048_576, ContentBasedDeduplication=True
    )

    def attributes(of: sns.Topic) -> dict[str, str]:
        answer = client.get_topic_attributes(TopicArn=of.arn)
        return dict(answer["Attributes"])

    assert attributes(large)["MaximumMessageSize"] == "1048576"
    assert attributes(large)["FifoTopic"] == "true"
    assert attributes(large)["ContentBasedDeduplication"] == "true"
    assert not {"MaximumMessageSize", "FifoTopic"} & attributes(topic).keys()


def test_an_impossible_topic_cannot_be_made(aws: FakeAws) -> None:
    with pytest.raises(ValueError, match="not a topic name"):
        aws.sns.create_topic("orders!")
    with pytest.raises(ValueError, match="MaximumMessageSize=2000000"):
        aws.sns.create_topic("orders", MaximumMessageSize=2_000_000)
    with pytest.raises(ValueError, match="FifoThroughputScope"):
        aws.sns.create_topic("orders", FifoThroughputScope="Topic")


def test_an_unknown_topic_is_not_found(client: Any, topic: sns.Topic) -> None:
    with pytest.raises(client.exceptions.NotFoundException) as error:
        client.publish(TopicArn=topic.arn + "x", Message="b")
    assert code(error) == "NotFound"
    with pytest.raises(client.exceptions.NotFoundException):
        client.get_topic_attributes(TopicArn=topic.arn + "x")
    with pytest.raises(client.exceptions.InvalidParameterException):
        client.publish(TopicArn="orders", Message="b")


# Limits


def test_a_batch_has_between_one_and_ten_entries(client: Any, topic: sns.Topic) -> None:
    with pytest.raises(client.exceptions.TooManyEntriesInBatchRequestException):
        publish(client, topic, *[plain(n) for n in range(11)])
    with pytest.raises(client.exceptions.EmptyBatchRequestException):
        publish(client, topic)
    assert topic.arrivals == ()


@pytest.mark.parametrize("name", ["", "a" * 81, "a:b", "a b", "ä"])
def test_entry_ids_have_few_characters(
    client: Any, topic: sns.Topic, name: str
) -> None:
    with pytest.raises(client.exceptions.InvalidBatchEntryIdException):
        publish(client, topic, {"Id": name, "Message": "b"})


def test_entry_ids_are_distinct(client: Any, topic: sns.Topic) -> None:
    with pytest.raises(client.exceptions.BatchEntryIdsNotDistinctException):
        publish(client, topic, plain(1), plain(1))
    assert topic.arrivals == ()


@pytest.mark.parametrize("limit", [None, 1024 * KIB])
def test_a_batch_is_as_large_as_a_message_of_its_topic(
    aws: FakeAws, client: Any, limit: int | None
) -> None:
    set_limit = {} if limit is None else {"MaximumMessageSize": limit}
    topic = aws.sns.create_topic("orders", **set_limit)
    size = limit or 256 * KIB
    half = "é" * (size // 4)
    publish(client, topic, plain(1, half), plain(2, half))
    with pytest.raises(client.exceptions.BatchRequestTooLongException) as error:
        publish(client, topic, plain(1, half), plain(2, half + "x"))
    assert code(error) == "BatchRequestTooLong"
    with pytest.raises(client.exceptions.InvalidParameterException):
        client.publish(TopicArn=topic.arn, Message=half + half + "x")
    assert len(topic.arrivals) == 2


def test_attributes_count_towards_the_size(client: Any, topic: sns.Topic) -> None:
    attributes = {"k": text("x")}
    body = "a" * (256 * KIB - len("kStringx"))
    publish(client, topic, plain(1, body, MessageAttributes=attributes))
    with pytest.raises(client.exceptions.BatchRequestTooLongException):
        publish(client, topic, plain(1, body + "a", MessageAttributes=attributes))


@pytest.mark.parametrize("character", ["\0", "\x0b", "\x1f", "\ufffe", "\uffff"])
def test_characters_outside_xml_are_refused(
    client: Any, topic: sns.Topic, character: str
) -> None:
    with pytest.raises(client.exceptions.InvalidParameterException):
        client.publish(TopicArn=topic.arn, Message=f"a{character}b")
    assert topic.arrivals == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aws.a", text("x")),
        ("a..b", text("x")),
        (".a", text("x")),
        ("a", text("")),
        ("a", {"DataType": "Text", "StringValue": "x"}),
    ],
)
def test_attributes_have_a_name_a_type_and_a_value(
    client: Any, topic: sns.Topic, name: str, value: dict[str, str]
) -> None:
    with pytest.raises(client.exceptions.InvalidParameterValueException):
        client.publish(TopicArn=topic.arn, Message="b", MessageAttributes={name: value})


def test_more_than_ten_attributes_are_taken_but_not_delivered(
    client: Any, topic: sns.Topic
) -> None:
    for count in (10, 11):
        client.publish(
            TopicArn=topic.arn,
            Message=f"with {count}",
            MessageAttributes={f"a{n}": text("x") for n in range(count)},
        )
    assert len(topic.arrivals) == 2
    assert [arrival.body for arrival in topic.delivered] == ["with 10"]


def test_a_standard_topic_fails_the_bad_entry_and_takes_the_others(
    client: Any, topic: sns.Topic
) -> None:
    answer = publish(
        client,
        topic,
        plain(1),
        plain(2, "\uffff"),
        plain(3, MessageDeduplicationId="d"),
        plain(4, MessageGroupId="tenant"),
    )
    assert [entry["Id"] for entry in answer["Successful"]] == ["1", "4"]
    assert [
        (entry["Id"], entry["Code"], entry["SenderFault"]) for entry in answer["Failed"]
    ] == [("2", "InvalidParameter", True), ("3", "InvalidParameter", True)]


def test_a_fifo_topic_refuses_the_whole_batch_for_a_bad_entry(
    aws: FakeAws, client: Any, fifo_topic: sns.Topic
) -> None:
    entries = [fifo(1), fifo(2, message="\uffff")]
    with pytest.raises(client.exceptions.InvalidParameterException):
        publish(client, fifo_topic, *entries)
    assert fifo_topic.arrivals == ()
    aws.sns.fifo_refuses_whole_call = False
    answer = publish(client, fifo_topic, *entries)
    assert [entry["Id"] for entry in answer["Successful"]] == ["1"]
    assert answer["Failed"][0]["SenderFault"] is True


@pytest.mark.parametrize("missing", ["MessageGroupId", "MessageDeduplicationId"])
def test_a_fifo_topic_needs_a_group_and_a_deduplication_id(
    client: Any, fifo_topic: sns.Topic, missing: str
) -> None:
    entry = fifo(1)
    del entry[missing]
    with pytest.raises(client.exceptions.InvalidParameterException, match=missing):
        publish(client, fifo_topic, entry)


@pytest.mark.parametrize("group", ["", "a b", "é", "x" * 129, "a\n"])
def test_a_group_id_is_printable_ascii_without_space(
    client: Any, fifo_topic: sns.Topic, group: str
) -> None:
    for name in ("MessageGroupId", "MessageDeduplicationId"):
        with pytest.raises(client.exceptions.InvalidParameterException):
            publish(client, fifo_topic, {**fifo(1), name: group})
    assert fifo_topic.arrivals == ()


def test_a_structured_message_has_a_default(client: Any, topic: sns.Topic) -> None:
    structured = {"TopicArn": topic.arn, "MessageStructure": "json"}
    client.publish(**structured, Message='{"default": "a"}')
    for message in ('{"sqs": "a"}', "[]", "text", '{"default": 1}'):
        with pytest.raises(client.exceptions.InvalidParameterException):
            client.publish(**structured, Message=message)
    assert len(topic.arrivals) == 1


# FIFO


def test_the_same_id_within_five_minutes_is_accepted_but_not_delivered(
    aws: FakeAws, client: Any, fifo_topic: sns.Topic
) -> None:
    def send() -> str:
        answer = publish(client, fifo_topic, fifo(1))
        return str(answer["Successful"][0]["MessageId"])

    first = send()
    aws.clock.advance(299)
    assert send() == first
    aws.clock.advance(2)
    assert send() != first
    duplicates = [arrival.duplicate for arrival in fifo_topic.arrivals]
    assert duplicates == [False, True, False]
    assert len(fifo_topic.delivered) == 2


@pytest.mark.parametrize(("scope", "taken"), [("Topic", 1), ("MessageGroup", 2)])
def test_deduplication_has_a_scope(
    aws: FakeAws, client: Any, scope: str, taken: int
) -> None:
    topic = aws.sns.create_topic("orders.fifo", FifoThroughputScope=scope)
    publish(client, topic, fifo(1, "a"))
    publish(client, topic, fifo(1, "b"))
    assert len(topic.delivered) == taken


def test_the_body_can_be_its_own_deduplication_id(aws: FakeAws, client: Any) -> None:
    topic = aws.sns.create_topic("orders.fifo", ContentBasedDeduplication=True)
    for message in ("a", "a", "b"):
        client.publish(TopicArn=topic.arn, Message=message, MessageGroupId="g")
    assert [arrival.body for arrival in topic.delivered] == ["a", "b"]


# Faults


def test_entries_fail_as_the_script_says(
    aws: FakeAws, client: Any, topic: sns.Topic
) -> None:
    aws.faults.add(
        faults.FailEntries(where=lambda entry: entry["Message"] == "body 1"), calls=1
    )
    aws.faults.add(
        faults.FailEntries(
            "InvalidParameter",
            sender_fault=True,
            where=lambda entry: "poison" in faults.body_of(entry),
        )
    )
    answer = publish(client, topic, plain(0), plain(1), plain(2, "poison"))
    assert [entry["Id"] for entry in answer["Successful"]] == ["0"]
    assert [
        (entry["Id"], entry["Code"], entry["SenderFault"]) for entry in answer["Failed"]
    ] == [("1", "InternalError", False), ("2", "InvalidParameter", True)]
    with pytest.raises(ClientError) as error:
        client.publish(TopicArn=topic.arn, Message="poison")
    assert code(error) == "InvalidParameter"


def test_a_chance_of_an_entry_depends_on_its_body(
    aws: FakeAws, client: Any, topic: sns.Topic
) -> None:
    aws.faults.add(faults.FailEntries(rate=0.5))
    once = publish(client, topic, *[plain(n) for n in range(10)])
    failed = {entry["Id"] for entry in once["Failed"]}
    assert 0 < len(failed) < 10
    assert {arrival.body[-1] for arrival in topic.arrivals} == set("0123456789") - (
        failed
    )


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (sns.throttled(), ("ThrottlingException", 400)),
        (sns.access_denied(), ("AuthorizationError", 403)),
        (sns.internal_error(), ("InternalError", 500)),
        (sns.kms_error("KMSThrottlingException"), ("KMSThrottling", 400)),
        (sns.kms_error("KMSOptInRequired"), ("KMSOptInRequired", 403)),
        (sns.not_found(), ("NotFound", 404)),
        (faults.service_unavailable(), ("ServiceUnavailable", 503)),
    ],
)
def test_whole_calls_are_refused_as_the_script_says(
    aws: FakeAws,
    client: Any,
    topic: sns.Topic,
    error: Any,
    expected: tuple[str, int],
) -> None:
    aws.faults.add(faults.Answer(error), calls=1, action="PublishBatch")
    with pytest.raises(ClientError) as raised:
        publish(client, topic, plain(1))
    response = raised.value.response
    status = response["ResponseMetadata"]["HTTPStatusCode"]
    assert (response["Error"]["Code"], status) == expected
    assert aws.calls[0].code == expected[0]
    assert topic.arrivals == ()


def test_errors_are_raised_as_the_classes_of_the_model(
    aws: FakeAws, client: Any, topic: sns.Topic
) -> None:
    for error, kind in (
        (sns.access_denied(), client.exceptions.AuthorizationErrorException),
        (
            sns.kms_error("KMSAccessDeniedException"),
            client.exceptions.KMSAccessDeniedException,
        ),
    ):
        aws.faults.add(faults.Answer(error), calls=1)
        with pytest.raises(kind):
            client.publish(TopicArn=topic.arn, Message="b")


def test_a_call_whose_acknowledgement_is_lost_has_arrived(
    aws: FakeAws, client: Any, fifo_topic: sns.Topic
) -> None:
    aws.faults.add(faults.LoseAcknowledgement(), calls=1)
    with pytest.raises(ConnectionClosedError):
        publish(client, fifo_topic, fifo(1))
    publish(client, fifo_topic, fifo(1))
    assert len(fifo_topic.arrivals) == 2
    assert len(fifo_topic.delivered) == 1


@pytest.mark.parametrize("seconds", [301, -302])
def test_a_signature_is_good_for_five_minutes(
    aws: FakeAws, client: Any, topic: sns.Topic, seconds: int
) -> None:
    aws.signing_clock.advance(seconds)
    with pytest.raises(ClientError) as error:
        client.publish(TopicArn=topic.arn, Message="b")
    assert code(error) == "SignatureDoesNotMatch"
    assert topic.arrivals == ()


def test_a_call_without_a_signature_is_refused(aws: FakeAws, topic: sns.Topic) -> None:
    client = connect(aws, signature_version=UNSIGNED)
    with pytest.raises(ClientError) as error:
        client.publish(TopicArn=topic.arn, Message="b")
    client.close()
    assert code(error) == "MissingAuthenticationToken"


def test_what_it_does_not_know_it_does_not_take(client: Any) -> None:
    with pytest.raises(ClientError) as error:
        client.list_topics()
    assert code(error) == "InvalidAction"


def test_sts_says_who_is_calling(aws: FakeAws) -> None:
    client = connect(aws, "sts")
    identity = client.get_caller_identity()
    client.close()
    assert identity["Account"] == sns.ACCOUNT
    assert identity["Arn"].startswith(f"arn:aws:iam::{sns.ACCOUNT}:")
