"""SNS, as its documentation has it: topics, and what is published to them.

Sources: the service model in botocore (``sns/2010-03-31/service-2.json``), cited as
[model]; docs.aws.amazon.com/sns/latest/dg, "Amazon SNS message attributes"
[attributes]; repost.aws/knowledge-center/sns-throttling-exception-errors [throttled];
answers recorded from AWS in the tests of LocalStack
(``tests/aws/services/sns/test_sns.snapshot.json``) [recorded].

Where the sources leave it open, the harsher reading holds:

* A bad entry of a batch comes back under ``Failed`` on a standard topic. On a FIFO
  topic the whole call is refused and nothing of it is taken: so recorded where the
  group or deduplication id is missing, and taken to hold for every bad entry.
  ``fifo_refuses_whole_call = False`` gives the milder reading.
* Characters that XML 1.0 does not have are refused: the answer of SNS and the message
  of a queue that is subscribed could not carry them.
* Every topic has a subscription with raw delivery, so a message with more than ten
  attributes is taken and not ``delivered`` ([attributes]).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .deduplication import Deduplication
from .message import ENTRY_ID, TOKEN, forbidden, size
from .query import QueryService, Table
from .service import Arrival, AwsError, Call, Surroundings

__all__ = [
    "Sns",
    "Topic",
    "access_denied",
    "internal_error",
    "kms_error",
    "not_found",
    "throttled",
]

ACCOUNT = "123456789012"
REGION = "us-east-1"

#: [model] PublishBatch.
BATCH_ENTRIES = 10

#: [model] MaximumMessageSize of CreateTopic: default, least and greatest value. It
#: bounds a message and all messages of a batch together, attributes counted.
SIZES = (262_144, 1024, 1_048_576)

#: [attributes] More are discarded where delivery is raw.
RAW_ATTRIBUTES = 10

_TOPIC_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")

#: [attributes] "Message attribute items and validation".
_ATTRIBUTE_NAME = re.compile(
    r"(?!(?i:aws|amazon)\.)(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)"
)
_ATTRIBUTE_TYPES = ("String", "String.Array", "Number", "Binary")

_FIFO_CHOICES = {
    "FifoTopic": ("true",),
    "ContentBasedDeduplication": ("false", "true"),
    "FifoThroughputScope": ("Topic", "MessageGroup"),
}

#: [model] Status by shape.
_KMS_STATUS = {
    "KMSAccessDeniedException": 400,
    "KMSDisabledException": 400,
    "KMSInvalidStateException": 400,
    "KMSNotFoundException": 400,
    "KMSOptInRequired": 403,
    "KMSThrottlingException": 400,
}


def throttled() -> AwsError:
    """What Publish gives ([throttled]); [model] has ``ThrottledException`` besides."""
    return AwsError("ThrottlingException", "Rate exceeded", status=400)


def access_denied(action: str = "SNS:Publish") -> AwsError:
    """[model] AuthorizationErrorException."""
    return _error(
        "AuthorizationErrorException",
        "User: arn:aws:iam::123456789012:user/fake is not authorized to perform: "
        f"{action}",
        status=403,
    )


def not_found() -> AwsError:
    """[recorded] test_publish_batch_messages_without_topic."""
    return _error("NotFoundException", "Topic does not exist", status=404)


def internal_error() -> AwsError:
    """[model] InternalErrorException."""
    return _error("InternalErrorException", "Internal failure", status=500)


def kms_error(shape: str) -> AwsError:
    """``KMSAccessDeniedException``, ``KMSThrottlingException`` and so on ([model])."""
    return _error(shape, f"{shape} by the fault script", status=_KMS_STATUS[shape])


class Topic:
    """A topic, as Python sees it; over HTTP it is known by its ``arn``."""

    def __init__(self, sns: Sns, name: str, attributes: Mapping[str, object]) -> None:
        self.name = name
        self.arn = f"arn:aws:sns:{REGION}:{ACCOUNT}:{name}"
        self.fifo = name.endswith(".fifo")
        #: ``len(arrivals)``, at no cost: for ``FakeAws.wait_for``.
        self.arrived = 0
        self._sns = sns
        if not _TOPIC_NAME.fullmatch(name.removesuffix(".fifo")) or len(name) > 256:
            raise ValueError(f"not a topic name: {name!r}")
        #: Without MaximumMessageSize where nobody has set it ([model]
        #: GetTopicAttributes).
        self.attributes = {"TopicArn": self.arn, "Owner": ACCOUNT}
        if self.fifo:
            self.attributes |= {key: of[0] for key, of in _FIFO_CHOICES.items()}
        for key, value in attributes.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if key == "MaximumMessageSize":
                good = text.isdecimal() and SIZES[1] <= int(text) <= SIZES[2]
            else:
                good = self.fifo and text in _FIFO_CHOICES.get(key, ())
            if not good:
                raise ValueError(f"not for {name}: {key}={text}")
            self.attributes[key] = text
        #: Bytes.
        self.limit = int(self.attributes.get("MaximumMessageSize", SIZES[0]))
        self._arrivals: list[Arrival] = []
        self._deduplication = Deduplication()

    @property
    def arrivals(self) -> tuple[Arrival, ...]:
        """What was taken, in order, with what is not delivered."""
        with self._sns.aws.changed:
            return tuple(self._arrivals)

    @property
    def delivered(self) -> tuple[Arrival, ...]:
        """``arrivals`` without duplicates and without what raw delivery discards."""
        return tuple(
            arrival
            for arrival in self.arrivals
            if not arrival.duplicate and len(arrival.attributes) <= RAW_ATTRIBUTES
        )

    def take(self, entry: _Entry, call: Call) -> Arrival:
        """Accept a message that was found good."""
        aws = self._sns.aws
        now = aws.clock.now()
        per_group = self.attributes.get("FifoThroughputScope") == "MessageGroup"
        scope = (entry.group or "") if per_group else ""
        original = None
        if entry.deduplication_id is not None:
            original = self._deduplication.find(scope, entry.deduplication_id, now)
        number = aws.log.arrived + 1
        sequence = f"{10_000_000_000_000_000_000 + number * 256}" if self.fifo else None
        arrival = aws.log.arrive(
            service="sns",
            queue=self.name,
            body=entry.message,
            group=entry.group,
            deduplication_id=entry.deduplication_id,
            duplicate=original is not None,
            message_id=original.message_id
            if original
            else f"00000000-0000-5000-8000-{number:012x}",
            sequence_number=original.sequence_number if original else sequence,
            attributes=entry.attributes,
            call=call.number,
        )
        self.arrived += 1
        if aws.log.remember:
            self._arrivals.append(arrival)
        if original is None and entry.deduplication_id is not None:
            self._deduplication.remember(scope, entry.deduplication_id, now, arrival)
        return arrival


@dataclasses.dataclass(frozen=True)
class _Entry:
    """A message as sent, found to be good."""

    message: str
    attributes: Mapping[str, Any]
    group: str | None
    deduplication_id: str | None


class Sns(QueryService):
    """The service. Topics are made from Python, not over HTTP."""

    name = "sns"
    version = "2010-03-31"
    namespace = "http://sns.amazonaws.com/doc/2010-03-31/"

    def __init__(self, aws: Surroundings) -> None:
        super().__init__(aws)
        #: By ARN.
        self.topics: dict[str, Topic] = {}
        #: Whether one bad entry makes a FIFO topic refuse the batch.
        self.fifo_refuses_whole_call = True

    def create_topic(self, name: str, **attributes: object) -> Topic:
        """A topic with ``attributes`` named as in CreateTopic; FIFO by its name."""
        topic = Topic(self, name, attributes)
        with self.aws.changed:
            self.topics[topic.arn] = topic
        return topic

    def delete_topic(self, name: str) -> None:
        with self.aws.changed:
            del self.topics[f"arn:aws:sns:{REGION}:{ACCOUNT}:{name}"]

    def do_GetTopicAttributes(self, call: Call) -> Mapping[str, Any]:  # noqa: N802
        return {"Attributes": Table(self._topic(call).attributes)}

    def do_Publish(self, call: Call) -> Mapping[str, Any]:  # noqa: N802
        topic = self._topic(call)
        call.entries = 1
        entry = _check(topic, call.parameters)
        if _size(call.parameters) > topic.limit:
            raise _invalid("Message too long")
        failure = call.fail(call.parameters)
        if failure is not None:
            status = 400 if failure.sender_fault else 500
            raise AwsError(failure.code, failure.message, status=status)
        call.accepted = 1
        return _receipt(topic.take(entry, call))

    def do_PublishBatch(self, call: Call) -> Mapping[str, Any]:  # noqa: N802
        topic = self._topic(call)
        entries = _batch(call)
        if sum(map(_size, entries)) > topic.limit:  # [recorded] …_too_long_message
            raise _error(
                "BatchRequestTooLongException",
                "The length of all the messages put together is more than the limit.",
            )
        checked: list[_Entry | AwsError] = []
        for entry in entries:
            try:
                checked.append(_check(topic, entry))
            except AwsError as error:
                if topic.fifo and self.fifo_refuses_whole_call:
                    raise
                checked.append(error)
        successful: list[Mapping[str, Any]] = []
        failed: list[Mapping[str, Any]] = []
        for entry, found in zip(entries, checked, strict=True):
            if isinstance(found, AwsError):
                failed.append(_failed(entry, found.code, found.message, True))
                continue
            failure = call.fail(entry)
            if failure is not None:
                failed.append(
                    _failed(entry, failure.code, failure.message, failure.sender_fault)
                )
                continue
            successful.append({"Id": entry["Id"], **_receipt(topic.take(found, call))})
        call.accepted, call.failed = len(successful), len(failed)
        return {"Successful": successful, "Failed": failed}

    def _topic(self, call: Call) -> Topic:
        arn = call.parameters.get("TopicArn")
        if not arn:
            raise _invalid("TopicArn or TargetArn Reason: no value for required")
        if not re.fullmatch(r"arn:aws:sns:[a-z0-9-]+:\d{12}:[^:]+", arn):
            raise _invalid("TopicArn")
        topic = self.topics.get(arn)
        if topic is None:
            raise not_found()
        return topic


def _batch(call: Call) -> Sequence[Mapping[str, Any]]:
    """The entries of a batch, of which number and ids are good."""
    entries = call.parameters.get("PublishBatchRequestEntries") or ()
    call.entries = len(entries)
    if not isinstance(entries, list) or not entries:
        raise _error(
            "EmptyBatchRequestException",
            "The batch request doesn't contain any entries.",
        )
    if len(entries) > BATCH_ENTRIES:  # [recorded] test_publish_batch_exceptions
        raise _error(
            "TooManyEntriesInBatchRequestException",
            "The batch request contains more entries than permissible.",
        )
    ids = set()
    for entry in entries:
        name = entry.get("Id", "")
        if not ENTRY_ID.fullmatch(name):
            raise _error(
                "InvalidBatchEntryIdException",
                "The Id of a batch entry in a batch request doesn't abide by the "
                "specification.",
            )
        if name in ids:
            raise _error(
                "BatchEntryIdsNotDistinctException",
                "Two or more batch entries in the request have the same Id.",
            )
        ids.add(name)
    return entries


def _check(topic: Topic, entry: Mapping[str, Any]) -> _Entry:
    """What one message must be like. Raises AwsError."""
    message = entry.get("Message", "")
    if not message:
        raise _invalid("Empty message")
    attributes = entry.get("MessageAttributes") or {}
    for name, value in attributes.items():
        _check_attribute(name, value)
    character = forbidden(message, attributes)
    if character is not None:
        raise _invalid(f"Message Reason: #x{ord(character):X} is not a character")
    subject = entry.get("Subject", "")
    if len(subject) >= 100 or any(ord(character) < 32 for character in subject):
        raise _invalid("Subject")
    if entry.get("MessageStructure"):
        _check_structure(entry["MessageStructure"], message)
        # [attributes] "sent only when the message structure is String, not JSON".
        attributes = {}
    group = _token(entry, "MessageGroupId")
    deduplication_id = _token(entry, "MessageDeduplicationId")
    if topic.fifo:
        if group is None:  # [recorded] test_publish_batch_exceptions
            raise _invalid("The MessageGroupId parameter is required for FIFO topics")
        if deduplication_id is None:
            if topic.attributes["ContentBasedDeduplication"] != "true":
                raise _invalid(
                    "The topic should either have ContentBasedDeduplication enabled or "
                    "MessageDeduplicationId provided explicitly"
                )
            deduplication_id = hashlib.sha256(message.encode()).hexdigest()
    elif deduplication_id is not None:
        raise _invalid(
            "MessageDeduplicationId Reason: The request includes "
            "MessageDeduplicationId parameter that is not valid for this topic type"
        )
    return _Entry(message, attributes, group, deduplication_id)


def _check_attribute(name: str, value: Any) -> None:
    """[model] MessageAttributeValue: name, type and value must not be empty."""
    kind = value.get("DataType", "")
    if not _ATTRIBUTE_NAME.fullmatch(name) or kind not in _ATTRIBUTE_TYPES:
        raise AwsError(
            "InvalidParameterValueException",
            f"The message attribute '{name}' has no valid name or type.",
            code="ParameterValueInvalid",
        )
    if not value.get("BinaryValue" if kind == "Binary" else "StringValue"):
        raise AwsError(
            "InvalidParameterValueException",
            f"The message attribute '{name}' must contain a non-empty value for type "
            f"'{kind}'.",
            code="ParameterValueInvalid",
        )


def _check_structure(structure: str, message: str) -> None:
    """[model] MessageStructure: a JSON object with a text for ``default``."""
    if structure != "json":
        raise _invalid("MessageStructure")
    try:
        found = json.loads(message)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("default"), str):
        raise _invalid("Message Structure - No default entry in JSON message body")


def _size(entry: Mapping[str, Any]) -> int:
    """[model] Publish: body and attributes together."""
    return size(entry.get("Message", ""), entry.get("MessageAttributes") or {})


def _token(entry: Mapping[str, Any], name: str) -> str | None:
    value = entry.get(name)
    if value is None:
        return None
    if not TOKEN.fullmatch(value):
        raise _invalid(
            f"{name} Reason: {name} can only include alphanumeric and "
            "punctuation characters, 1 to 128"
        )
    return str(value)


def _receipt(arrival: Arrival) -> dict[str, Any]:
    receipt = {"MessageId": arrival.message_id}
    if arrival.sequence_number is not None:
        receipt["SequenceNumber"] = arrival.sequence_number
    return receipt


def _failed(
    entry: Mapping[str, Any], code: str, message: str, sender_fault: bool
) -> dict[str, Any]:
    return {
        "Id": entry["Id"],
        "Code": code,
        "Message": message,
        "SenderFault": sender_fault,
    }


def _invalid(reason: str) -> AwsError:
    return _error("InvalidParameterException", f"Invalid parameter: {reason}")


def _error(shape: str, message: str, *, status: int = 400) -> AwsError:
    """[model] An error's code is its shape without ``Exception``."""
    return AwsError(shape, message, code=shape.removesuffix("Exception"), status=status)
