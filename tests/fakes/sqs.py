"""SQS, as its documentation has it.

Sources: the service model in botocore (``sqs/2012-11-05/service-2.json``), cited as
[model]; docs.aws.amazon.com/AWSSimpleQueueService/latest, "Amazon SQS message
quotas" [quotas] and "Common Errors" [errors]; answers recorded from AWS in the
tests of LocalStack (``tests/aws/services/sqs/test_sqs.snapshot.json``) [recorded].

Where the sources leave it open, the harsher reading holds:

* A bad entry of a batch comes back under ``Failed`` on a standard queue. On a FIFO
  queue the whole call is refused and nothing of it is taken: so recorded where the
  group or deduplication id is missing, and taken to hold for every bad entry.
  ``fifo_refuses_whole_call = False`` gives the milder reading.
* Delays and dead-letter queues are not there: asking for them is refused.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import heapq
import re
import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .deduplication import Deduplication
from .message import ENTRY_ID, TOKEN, forbidden, size
from .service import Arrival, AwsError, Call, JsonService, Surroundings

__all__ = ["Queue", "Sqs", "kms_error", "queue_does_not_exist", "throttled"]

ACCOUNT = "123456789012"
REGION = "us-east-1"

#: [model] SendMessageBatch, ReceiveMessage, DeleteMessageBatch.
BATCH_ENTRIES = 10

#: [model] SendMessageBatch: a message, and all messages of a batch together.
BATCH_BYTES = 1_048_576

#: [quotas] "A message can contain up to 10 metadata attributes."
MESSAGE_ATTRIBUTES = 10

_QUEUE_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")

#: [model] CreateQueue: default, least and greatest value.
_NUMBERS = {
    "DelaySeconds": (0, 0, 900),
    "MaximumMessageSize": (1_048_576, 1024, 1_048_576),
    "MessageRetentionPeriod": (345_600, 60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 0, 20),
    "VisibilityTimeout": (30, 0, 43_200),
}

_FIFO_CHOICES = {
    "FifoQueue": ("true",),
    "ContentBasedDeduplication": ("false", "true"),
    "DeduplicationScope": ("queue", "messageGroup"),
    "FifoThroughputLimit": ("perQueue", "perMessageGroupId"),
}

_ATTRIBUTES = {
    *_NUMBERS,
    *_FIFO_CHOICES,
    "All",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
    "CreatedTimestamp",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "LastModifiedTimestamp",
    "Policy",
    "QueueArn",
    "RedriveAllowPolicy",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
}

#: Codes of the query protocol, which boto3 still gives as ``Error.Code``. Not in
#: botocore's model; from the API reference, "Errors" of SendMessage.
_KMS_CODES = {
    "KmsAccessDenied": "KMS.AccessDeniedException",
    "KmsDisabled": "KMS.DisabledException",
    "KmsInvalidKeyUsage": "KMS.InvalidKeyUsageException",
    "KmsInvalidState": "KMS.InvalidStateException",
    "KmsNotFound": "KMS.NotFoundException",
    "KmsOptInRequired": "KMS.OptInRequired",
    "KmsThrottled": "KMS.ThrottlingException",
}


def throttled() -> AwsError:
    """The status is 403 (botocore ``_retry.json``, under ``sqs``)."""
    return _sqs_error("RequestThrottled", "Request is throttled.", status=403)


def kms_error(shape: str) -> AwsError:
    """``KmsAccessDenied``, ``KmsThrottled`` and so on, as in ``client.exceptions``."""
    return _sqs_error(shape, f"{shape} by the fault script", code=_KMS_CODES[shape])


def queue_does_not_exist() -> AwsError:
    """boto3 raises ``QueueDoesNotExist`` with the old code in ``Error.Code``.

    botocore tests/functional/test_sqs.py has the answer of the service.
    """
    return _sqs_error(
        "QueueDoesNotExist",
        "The specified queue does not exist.",
        code="AWS.SimpleQueueService.NonExistentQueue",
    )


@dataclasses.dataclass(eq=False)
class _Message:
    arrival: Arrival
    md5: str
    #: Messages of a lane are handed out together or not at all: the group on a
    #: FIFO queue, the message itself on a standard one.
    lane: str
    sent_at: float
    received: int = 0
    first_received_at: float = 0.0
    in_flight: bool = False


class Queue:
    """A queue, as Python sees it; over HTTP it is known by its ``url``."""

    def __init__(self, sqs: Sqs, name: str, attributes: Mapping[str, object]) -> None:
        self.name = name
        self.fifo = name.endswith(".fifo")
        #: ``len(arrivals)``, at no cost: for ``FakeAws.wait_for``.
        self.arrived = 0
        self._sqs = sqs
        if not _QUEUE_NAME.fullmatch(name.removesuffix(".fifo")) or len(name) > 80:
            raise ValueError(f"not a queue name: {name!r}")
        self.attributes = {key: str(default) for key, (default, *_) in _NUMBERS.items()}
        if self.fifo:
            self.attributes |= {key: of[0] for key, of in _FIFO_CHOICES.items()}
        for key, value in attributes.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if key in _NUMBERS:
                _, least, most = _NUMBERS[key]
                good = text.isdecimal() and least <= int(text) <= most
                good = good and (key != "DelaySeconds" or text == "0")
            elif key in _FIFO_CHOICES:
                good = self.fifo and text in _FIFO_CHOICES[key]
            else:
                good = False
            if not good:
                raise ValueError(f"not for {name}: {key}={text}")
            self.attributes[key] = text
        now = str(int(sqs.aws.clock.now()))
        self.attributes |= {
            "CreatedTimestamp": now,
            "LastModifiedTimestamp": now,
            "QueueArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}",
            "SqsManagedSseEnabled": "true",
        }
        self._arrivals: list[Arrival] = []
        self._deduplication = Deduplication()
        self._messages: dict[str, _Message] = {}
        self._lanes: dict[str, dict[str, _Message]] = {}
        #: Lanes with messages and none of them in flight, in the order of service.
        self._ready: dict[str, None] = {}
        #: Messages of a lane in flight; no key where there are none.
        self._busy: dict[str, int] = {}
        #: (visible again at, tie-breaker, message, its count of receives)
        self._hidden: list[tuple[float, int, _Message, int]] = []
        self._ties = 0

    @property
    def url(self) -> str:
        return f"{self._sqs.aws.endpoint_url}/{ACCOUNT}/{self.name}"

    @property
    def arrivals(self) -> tuple[Arrival, ...]:
        """What was taken, in order, with the duplicates that are not delivered."""
        with self._sqs.aws.changed:
            return tuple(self._arrivals)

    @property
    def delivered(self) -> tuple[Arrival, ...]:
        """``arrivals`` without the duplicates: what consumers get to see."""
        return tuple(arrival for arrival in self.arrivals if not arrival.duplicate)

    def take(self, entry: _Entry, call: Call) -> Arrival:
        """Accept a message that was found good."""
        now = self._sqs.aws.clock.now()
        original = self._duplicate_of(entry, now)
        number = self._sqs.aws.log.arrived + 1
        sequence = f"{18_870_000_000_000_000_000 + number * 256}" if self.fifo else None
        arrival = self._sqs.aws.log.arrive(
            service="sqs",
            queue=self.name,
            body=entry.body,
            group=entry.group,
            deduplication_id=entry.deduplication_id,
            duplicate=original is not None,
            message_id=original.message_id
            if original
            else f"00000000-0000-4000-8000-{number:012x}",
            sequence_number=original.sequence_number if original else sequence,
            attributes=entry.attributes,
            call=call.number,
        )
        self.arrived += 1
        if self._sqs.aws.log.remember:
            self._arrivals.append(arrival)
        if original is not None:
            return arrival
        if entry.deduplication_id is not None:
            self._deduplication.remember(
                self._scope(entry), entry.deduplication_id, now, arrival
            )
        if not self._sqs.aws.log.remember:
            return arrival
        lane = (entry.group or "") if self.fifo else arrival.message_id
        message = _Message(arrival, entry.md5, lane, now)
        self._messages[arrival.message_id] = message
        self._lanes.setdefault(lane, {})[arrival.message_id] = message
        if lane not in self._busy:
            self._ready.setdefault(lane)
        return arrival

    def receive(self, most: int, timeout: float) -> list[tuple[_Message, str]]:
        """Up to ``most`` messages with their receipt handles.

        As long as a message of a group is in flight, nothing else of that group is
        handed out ([model] ReceiveMessage).
        """
        now = self._sqs.aws.clock.now()
        self._reveal(now)
        taken: list[tuple[_Message, str]] = []
        while self._ready and len(taken) < most:
            lane = next(iter(self._ready))
            del self._ready[lane]
            for message in list(self._lanes[lane].values())[: most - len(taken)]:
                message.received += 1
                message.first_received_at = message.first_received_at or now
                message.in_flight = True
                self._busy[lane] = self._busy.get(lane, 0) + 1
                self._ties += 1
                item = (now + timeout, self._ties, message, message.received)
                heapq.heappush(self._hidden, item)
                taken.append((message, self._handle(message)))
        return taken

    def delete(self, handle: str) -> None:
        """Delete by receipt handle; a message that is gone already is fine."""
        message_id, _, rest = handle.partition("#")
        received, _, name = rest.partition("#")
        if name != self.name or not received.isdecimal():
            raise _sqs_error(
                "ReceiptHandleIsInvalid",
                f'The input receipt handle "{handle}" is not a valid receipt handle.',
                status=404,
            )
        self._reveal(self._sqs.aws.clock.now())
        message = self._messages.get(message_id)
        if message is None:
            return
        if not message.in_flight or message.received != int(received):
            if self.fifo:  # [recorded] test_fifo_delete_message_with_expired_…
                raise _invalid_value(
                    handle, "ReceiptHandle", "The receipt handle has expired."
                )
            if message.received != int(received):
                return  # [model] only the last handle is sure to work
        del self._messages[message_id]
        lane = self._lanes[message.lane]
        del lane[message_id]
        if not lane:
            del self._lanes[message.lane]
            self._ready.pop(message.lane, None)
        if message.in_flight:
            self._settle(message)

    def count(self) -> dict[str, str]:
        """The three Approximate… attributes, exact here."""
        self._reveal(self._sqs.aws.clock.now())
        in_flight = sum(self._busy.values())
        return {
            "ApproximateNumberOfMessages": str(len(self._messages) - in_flight),
            "ApproximateNumberOfMessagesDelayed": "0",
            "ApproximateNumberOfMessagesNotVisible": str(in_flight),
        }

    def _handle(self, message: _Message) -> str:
        return f"{message.arrival.message_id}#{message.received}#{self.name}"

    def _scope(self, entry: _Entry) -> str:
        per_group = self.attributes["DeduplicationScope"] == "messageGroup"
        return (entry.group or "") if per_group else ""

    def _duplicate_of(self, entry: _Entry, now: float) -> Arrival | None:
        if entry.deduplication_id is None:
            return None
        return self._deduplication.find(self._scope(entry), entry.deduplication_id, now)

    def _reveal(self, now: float) -> None:
        """Make visible again what has been in flight for too long."""
        while self._hidden and self._hidden[0][0] <= now:
            _, _, message, received = heapq.heappop(self._hidden)
            gone = self._messages.get(message.arrival.message_id) is not message
            if gone or not message.in_flight or message.received != received:
                continue
            message.in_flight = False
            self._settle(message)

    def _settle(self, message: _Message) -> None:
        lane = message.lane
        self._busy[lane] -= 1
        if not self._busy[lane]:
            del self._busy[lane]
            if lane in self._lanes:
                self._ready.setdefault(lane)


@dataclasses.dataclass(frozen=True)
class _Entry:
    """A message as sent, found to be good."""

    body: str
    md5: str
    attributes: Mapping[str, Any]
    group: str | None
    deduplication_id: str | None


class Sqs(JsonService):
    """The service. Queues are made from Python, not over HTTP."""

    name = "sqs"
    target = "AmazonSQS"

    def __init__(self, aws: Surroundings) -> None:
        super().__init__(aws)
        self.queues: dict[str, Queue] = {}
        #: Whether one bad entry makes a FIFO queue refuse the batch.
        self.fifo_refuses_whole_call = True

    def create_queue(self, name: str, **attributes: object) -> Queue:
        """A queue with ``attributes`` named as in CreateQueue; FIFO by its name."""
        queue = Queue(self, name, attributes)
        with self.aws.changed:
            self.queues[name] = queue
        return queue

    def delete_queue(self, name: str) -> None:
        with self.aws.changed:
            del self.queues[name]

    def do_GetQueueUrl(self, call: Call) -> Mapping[str, Any]:  # noqa: N802
        queue = self.queues.get(_required(call.parameters, "QueueName"))
        if queue is None:
            raise queue_does_not_exist()
        return {"QueueUrl": queue.url}

    def do_GetQueueAttributes(self, call: Call) -> Mapping[str, Any]:  # noqa: N802
        queue = self._queue(call)
        names = call.parameters.get("AttributeNames", ())
        for name in names:
            if name not in _ATTRIBUTES:
                raise _sqs_error("InvalidAttributeName", f"Unknown Attribute {name}.")
        known = {**queue.attributes, **queue.count()}
        if "All" not in names:
            known = {name: known[name] for name in names if name in known}
        return {"Attributes": known} if known else {}

    def do_SendMessage(self, call: Call) -> Mapping[str, Any]:  # noqa: N802
        queue = self._queue(call)
        call.entries = 1
        entry = _check(queue, call.parameters)
        failure = call.fail(call.parameters)
        if failure is not None:
            status = 400 if failure.sender_fault else 500
            raise AwsError(failure.code, failure.message, status=status)
        call.accepted = 1
        return _receipt(entry, queue.take(entry, call))

    def do_SendMessageBatch(self, call: Call) -> Mapping[str, Any]:  # noqa: N802
        queue = self._queue(call)
        entries = _batch(call)
        total = sum(map(_size, entries))
        if total > BATCH_BYTES:
            raise _batch_error(
                "BatchRequestTooLong",
                f"Batch requests cannot be longer than {BATCH_BYTES} bytes. "
                f"You have sent {total} bytes.",
            )
        checked: list[_Entry | AwsError] = []
        for entry in entries:
            try:
                checked.append(_check(queue, entry))
            except AwsError as error:
                if queue.fifo and self.fifo_refuses_whole_call:
                    raise
                checked.append(error)
        successful, failed = [], []
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
            arrival = queue.take(found, call)
            successful.append({"Id": entry["Id"], **_receipt(found, arrival)})
        return _outcome(call, successful, failed)

    def do_ReceiveMessage(self, call: Call) -> Mapping[str, Any]:  # noqa: N802
        queue = self._queue(call)
        asked = call.parameters
        most = _between(asked, "MaxNumberOfMessages", 1, 1, BATCH_ENTRIES)
        hide = _between(
            asked,
            "VisibilityTimeout",
            int(queue.attributes["VisibilityTimeout"]),
            0,
            43_200,
        )
        patience = _between(
            asked,
            "WaitTimeSeconds",
            int(queue.attributes["ReceiveMessageWaitTimeSeconds"]),
            0,
            20,
        )
        until = time.monotonic() + patience
        while True:
            taken = queue.receive(most, hide)
            left = until - time.monotonic()
            if taken or left <= 0 or self.aws.closing.is_set():
                break
            # A second at most, for messages that become visible by the clock.
            self.aws.changed.wait(min(left, 1))
        call.entries = call.accepted = len(taken)
        if not taken:
            return {}
        return {"Messages": [_message(m, handle, asked) for m, handle in taken]}

    def do_DeleteMessage(self, call: Call) -> Mapping[str, Any]:  # noqa: N802
        self._queue(call).delete(_required(call.parameters, "ReceiptHandle"))
        call.entries = call.accepted = 1
        return {}

    def do_DeleteMessageBatch(self, call: Call) -> Mapping[str, Any]:  # noqa: N802
        queue = self._queue(call)
        successful, failed = [], []
        for entry in _batch(call):
            try:
                queue.delete(_required(entry, "ReceiptHandle"))
            except AwsError as error:
                failed.append(_failed(entry, error.code, error.message, True))
            else:
                successful.append({"Id": entry["Id"]})
        return _outcome(call, successful, failed)

    def _queue(self, call: Call) -> Queue:
        """The queue of ``QueueUrl``, of which the host does not count."""
        url = _required(call.parameters, "QueueUrl")
        account, _, name = url.partition("://")[2].partition("/")[2].partition("/")
        if not name:
            raise _sqs_error(
                "InvalidAddress", f"The address {url} is not valid for this endpoint."
            )
        queue = self.queues.get(name)
        if queue is None or account != ACCOUNT:
            raise queue_does_not_exist()
        return queue


def _check(queue: Queue, entry: Mapping[str, Any]) -> _Entry:
    """What one message must be like. Raises AwsError."""
    body = _required(entry, "MessageBody")
    attributes = entry.get("MessageAttributes") or {}
    if len(attributes) > MESSAGE_ATTRIBUTES:
        raise AwsError(
            "InvalidParameterValueException",
            f"Number of message attributes [{len(attributes)}] exceeds the allowed "
            f"maximum [{MESSAGE_ATTRIBUTES}].",
            code="InvalidParameterValue",
        )
    character = forbidden(body, attributes)
    if character is not None:  # [quotas] Message content
        raise _sqs_error(
            "InvalidMessageContents",
            f"Invalid binary character '#x{ord(character):X}' was found in "
            "the message body, the set of allowed characters is #x9 | #xA | #xD | "
            "[#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF].",
        )
    limit = int(queue.attributes["MaximumMessageSize"])
    if _size(entry) > limit:  # [recorded] test_send_oversized_message
        raise AwsError(
            "InvalidParameterValueException",
            "One or more parameters are invalid. Reason: Message must be shorter than "
            f"{limit} bytes.",
            code="InvalidParameterValue",
        )
    group = _token(entry, "MessageGroupId")
    deduplication_id = _token(entry, "MessageDeduplicationId")
    if entry.get("DelaySeconds"):
        reason = "The request include parameter that is not valid for this queue type."
        if not queue.fifo:
            reason = "The fake has no delays."
        raise _invalid_value(str(entry["DelaySeconds"]), "DelaySeconds", reason)
    if queue.fifo:
        if group is None:
            raise _missing("MessageGroupId")
        if deduplication_id is None:
            if queue.attributes["ContentBasedDeduplication"] != "true":
                raise AwsError(
                    "InvalidParameterValueException",
                    "The queue should either have ContentBasedDeduplication enabled or "
                    "MessageDeduplicationId provided explicitly",
                    code="InvalidParameterValue",
                )
            deduplication_id = hashlib.sha256(body.encode()).hexdigest()
    elif deduplication_id is not None:
        raise _invalid_value(
            deduplication_id,
            "MessageDeduplicationId",
            "The request include parameter that is not valid for this queue type.",
        )
    md5 = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
    return _Entry(body, md5, attributes, group, deduplication_id)


def _batch(call: Call) -> Sequence[Mapping[str, Any]]:
    """The entries of a batch, of which number and ids are good."""
    entries: Sequence[Mapping[str, Any]] = call.parameters.get("Entries") or ()
    call.entries = len(entries)
    if not entries:
        raise _batch_error(
            "EmptyBatchRequest", "There should be at least one entry in the request."
        )
    if len(entries) > BATCH_ENTRIES:  # [recorded] test_too_many_entries_in_…
        raise _batch_error(
            "TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request are {BATCH_ENTRIES}. "
            f"You have sent {len(entries)}.",
        )
    ids = set()
    for entry in entries:
        name = entry.get("Id", "")
        if not ENTRY_ID.fullmatch(name):  # [recorded] test_invalid_batch_id
            raise _batch_error(
                "InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens "
                "and underscores. It can be at most 80 letters long.",
            )
        if name in ids:
            raise _batch_error("BatchEntryIdsNotDistinct", f"Id {name} repeated.")
        ids.add(name)
    return entries


def _outcome(
    call: Call, successful: list[dict[str, Any]], failed: list[dict[str, Any]]
) -> Mapping[str, Any]:
    call.accepted, call.failed = len(successful), len(failed)
    # [recorded] a list that would be empty is left out.
    lists = {"Successful": successful, "Failed": failed}
    return {name: entries for name, entries in lists.items() if entries}


def _failed(
    entry: Mapping[str, Any], code: str, message: str, sender_fault: bool
) -> dict[str, Any]:
    return {
        "Id": entry["Id"],
        "Code": code,
        "Message": message,
        "SenderFault": sender_fault,
    }


def _receipt(entry: _Entry, arrival: Arrival) -> dict[str, Any]:
    receipt = {"MessageId": arrival.message_id, "MD5OfMessageBody": entry.md5}
    if entry.attributes:
        receipt["MD5OfMessageAttributes"] = _attributes_md5(entry.attributes)
    if arrival.sequence_number is not None:
        receipt["SequenceNumber"] = arrival.sequence_number
    return receipt


def _message(
    message: _Message, handle: str, asked: Mapping[str, Any]
) -> dict[str, Any]:
    arrival = message.arrival
    found: dict[str, Any] = {
        "MessageId": arrival.message_id,
        "ReceiptHandle": handle,
        "MD5OfBody": message.md5,
        "Body": arrival.body,
    }
    system = {
        "SenderId": "AIDAFAKE",
        "SentTimestamp": str(int(message.sent_at * 1000)),
        "ApproximateReceiveCount": str(message.received),
        "ApproximateFirstReceiveTimestamp": str(int(message.first_received_at * 1000)),
        "MessageGroupId": arrival.group,
        "MessageDeduplicationId": arrival.deduplication_id,
        "SequenceNumber": arrival.sequence_number,
    }
    names = {
        *asked.get("AttributeNames", ()),
        *asked.get("MessageSystemAttributeNames", ()),
    }
    wanted = {
        name: value
        for name, value in system.items()
        if value is not None and ("All" in names or name in names)
    }
    if wanted:
        found["Attributes"] = wanted
    attributes = dict(_chosen(arrival, asked.get("MessageAttributeNames", ())))
    if attributes:
        found["MessageAttributes"] = attributes
        found["MD5OfMessageAttributes"] = _attributes_md5(attributes)
    return found


def _chosen(arrival: Arrival, names: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """[model] ReceiveMessage: a name, ``All``, or a prefix and ``.*``."""
    for key, value in arrival.attributes.items():
        for name in names:
            prefix = name.removesuffix("*").removesuffix(".")
            if name in ("All", key) or (name.endswith("*") and key.startswith(prefix)):
                yield key, value
                break


def _size(entry: Mapping[str, Any]) -> int:
    """[model] SendMessage: attributes count."""
    return size(str(entry.get("MessageBody", "")), entry.get("MessageAttributes") or {})


def _attributes_md5(attributes: Mapping[str, Any]) -> str:
    """SQS Developer Guide, "Calculating the MD5 message digest for attributes"."""
    digest = hashlib.md5(usedforsecurity=False)

    def add(data: bytes) -> None:
        digest.update(struct.pack("!I", len(data)) + data)

    for name, value in sorted(attributes.items()):
        add(name.encode())
        add(value["DataType"].encode())
        if "BinaryValue" in value:
            digest.update(b"\x02")
            add(base64.b64decode(value["BinaryValue"]))
        else:
            digest.update(b"\x01")
            add(value["StringValue"].encode())
    return digest.hexdigest()


def _required(parameters: Mapping[str, Any], name: str) -> str:
    value = parameters.get(name)
    if not value:
        raise _missing(name)
    return str(value)


def _token(entry: Mapping[str, Any], name: str) -> str | None:
    value = entry.get(name)
    if value is not None and not TOKEN.fullmatch(value):
        raise _invalid_value(
            value,
            name,
            f"{name} can only include alphanumeric and punctuation characters. "
            "1 to 128 in length.",
        )
    return value


def _between(
    parameters: Mapping[str, Any], name: str, default: int, least: int, most: int
) -> int:
    value = parameters.get(name)
    if value is None:
        return default
    if not least <= value <= most:  # [recorded] test_send_receive_max_number_…
        raise _invalid_value(
            str(value), name, f"Must be between {least} and {most}, if provided."
        )
    return int(value)


def _missing(name: str) -> AwsError:
    return AwsError(
        "MissingRequiredParameterException",
        f"The request must contain the parameter {name}.",
        code="MissingParameter",
    )


def _invalid_value(value: str, name: str, reason: str) -> AwsError:
    return AwsError(
        "InvalidParameterValueException",
        f"Value {value} for parameter {name} is invalid. Reason: {reason}",
        code="InvalidParameterValue",
    )


def _batch_error(shape: str, message: str) -> AwsError:
    return _sqs_error(shape, message, code=f"AWS.SimpleQueueService.{shape}")


def _sqs_error(
    shape: str, message: str, *, code: str | None = None, status: int = 400
) -> AwsError:
    return AwsError(
        shape, message, code=code, status=status, namespace="com.amazonaws.sqs"
    )
