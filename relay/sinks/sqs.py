"""``sqs:QUEUE_URL``: Amazon SQS, standard and FIFO queues.

On a FIFO queue the message group is the key, so SQS keeps the order that the relay
keeps; the deduplication id is the event's name, so an event that is sent again within
five minutes is taken once. A standard queue keeps no order by itself: its consumers
drop an event whose ``sequence`` is not above the last one they saw of the key.

Limits are those of "Amazon SQS message quotas" and of SendMessageBatch in the SQS API
reference, November 2026.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import botocore.exceptions
from botocore.config import Config

from ...database.aws import region_of
from ...errors import SinkError, UsageError
from ..event import Event
from .aws import UNMENTIONED, AwsSink, member, session, size_of, unusable
from .config import client_config
from .error_code import BUSY, plain
from .message import ATTRIBUTES, attributes, attributes_size, escaped, group_id
from .sink import ACKNOWLEDGED, Limits, Outcome, Result
from .uri import LIMITS, Uri

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

__all__ = ["SqsSink"]

#: Of a message, and of all messages of a call together.
BYTES = 1024 * 1024
#: Calls at the same time. At 8 ms a call this is what one core of boto3 can send.
CALLS = 16
REGION = re.compile(r"(?:^|\.)sqs(?:-fips)?\.([a-z]{2,4}(?:-[a-z]+)+-\d)\.")
#: What a fair queue is fair between.
FAIR = ("key", "source")

UNORDERED = (
    "a standard queue keeps no order: consumers drop an event whose sequence is not"
    " above the last one they saw of its key"
)
SLOW = (
    "the queue takes 300 calls a second: for more set its DeduplicationScope to"
    " messageGroup and its FifoThroughputLimit to perMessageGroupId"
)


class SqsSink(AwsSink["SendMessageBatchRequestEntryTypeDef"]):
    """One queue.

    ``?fair=key`` or ``?fair=source`` gives messages of a standard queue a group, which
    makes it a fair queue; ``?attributes=type,source`` gives them attributes.
    """

    service = "sqs"
    title = "SQS"
    kind = "queue"
    describe = "sqs:GetQueueAttributes"
    send = "sqs:SendMessage"
    # On FIFO queues also for entries that a standard queue would report one by one.
    bad_entry = frozenset({
        "InvalidMessageContents", "InvalidParameterValue", "MissingParameter",
        "BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong",
        "InvalidAttributeValue", "InvalidParameterCombination",
    })  # fmt: skip
    defaults = Limits(entries=10, bytes=BYTES, calls=CALLS)
    largest = BYTES

    _client: SQSClient

    def __init__(self, rest: str) -> None:
        uri = Uri.parse("sqs", rest, (*LIMITS, "attributes", "fair"))
        self._url = uri.target
        try:
            parts = urlsplit(self._url)
        except ValueError:
            # Such as a bracket without the other.
            parts = urlsplit("")
        if "@" in parts.netloc:
            raise UsageError(
                "the URL of a queue holds no user or password",
                hint="Leave them out; credentials come from the AWS configuration.",
            )
        if parts.scheme not in ("http", "https") or not parts.path.strip("/"):
            raise UsageError(
                "the sink sqs: needs the URL of a queue",
                hint="Write sqs:https://sqs.eu-west-1.amazonaws.com/123456789012/orders",
            )
        self._attributes = uri.several("attributes", ATTRIBUTES)
        self._fair = uri.choice("fair", {name: name for name in FAIR}, "")
        self._is_fifo = self._url.endswith(".fifo")
        if self._is_fifo and self._fair:
            raise UsageError(
                "the option fair is for standard queues: in a FIFO queue each key is a"
                " group",
                hint="Leave it out.",
            )
        aws = session(str(uri))
        calls = uri.limits(self.defaults).calls
        super().__init__(uri, aws, client(aws, self._url, calls))

    def _look(self, client: SQSClient) -> Sequence[str]:
        # All, because a standard queue refuses to be asked for FifoQueue.
        answer = client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["All"])
        found: dict[str, str] = member(answer, "Attributes")
        largest = int(found.get("MaximumMessageSize", BYTES))
        self._largest = min(largest, self._uri.message_bytes(largest))
        if (found.get("FifoQueue") == "true") != self._is_fifo:
            raise SinkError(
                f"cannot use {self.name}: it is"
                + (" no FIFO queue" if self._is_fifo else " a FIFO queue")
                + ", and its name says otherwise",
                hint="Whatever answers for SQS has to tell the two apart: see"
                " AWS_ENDPOINT_URL.",
            )
        if not self._is_fifo:
            return [UNORDERED]
        return [SLOW] if found.get("FifoThroughputLimit") == "perQueue" else []

    def _entry(self, event: Event) -> tuple[SendMessageBatchRequestEntryTypeDef, int]:
        body = escaped(event.body)
        entry: SendMessageBatchRequestEntryTypeDef = {"Id": "", "MessageBody": body}
        size = size_of(body)
        if self._is_fifo:
            entry["MessageGroupId"] = group_id(event.key)
            entry["MessageDeduplicationId"] = event.name
        elif self._fair:
            by = event.key if self._fair == "key" else f"{event.header.source}:"
            entry["MessageGroupId"] = group_id(by)
        if self._attributes:
            entry["MessageAttributes"] = attributes(event, self._attributes)
            size += attributes_size(entry["MessageAttributes"])
        return entry, size

    def _call(
        self, entries: Sequence[SendMessageBatchRequestEntryTypeDef]
    ) -> Sequence[Result]:
        for number, entry in enumerate(entries):
            entry["Id"] = str(number)
        answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
        return batch_results(len(entries), answer)


def batch_results(count: int, answer: Any) -> list[Result]:
    """Of a call of SQS or SNS, whose entries are numbered."""
    results = [UNMENTIONED] * count
    numbers = {str(number): number for number in range(count)}
    for done in answer.get("Successful", ()):
        if done.get("Id") in numbers:
            results[numbers[done["Id"]]] = ACKNOWLEDGED
    for failed in answer.get("Failed", ()):
        if failed.get("Id") not in numbers:
            continue
        code = failed.get("Code", "no code")
        # For being throttled SNS blames the sender, and it passes all the same: in its
        # service model Throttled and KMSThrottling have senderFault (botocore 1.44).
        never = failed.get("SenderFault") and plain(code) not in BUSY
        outcome = Outcome.REFUSED if never else Outcome.RETRY
        results[numbers[failed["Id"]]] = Result(outcome, code)
    return results


# Any: the stubs do not know this option yet.
_IGNORE: dict[str, Any] = {"ignore_configured_endpoint_urls": True}
#: For what AWS itself would be reached at.
UNCONFIGURED = Config(**_IGNORE)


def client(session: boto3.session.Session, url: str, calls: int = CALLS) -> SQSClient:
    """A client for the queue's region and endpoint.

    The endpoint is the queue's own, so that VPC endpoints and local stand-ins work
    without a setting, unless one is configured (AWS_ENDPOINT_URL, a profile).
    """
    name = f"sqs:{url}"
    config = client_config(calls)
    parts = urlsplit(url)
    found = REGION.search(parts.netloc)
    region = found[1] if found else region_of(session)
    try:
        made: SQSClient = session.client("sqs", region_name=region, config=config)
        plain = session.client("sqs", region_name=region, config=UNCONFIGURED)
        endpoint = plain.meta.endpoint_url
        plain.close()
        if made.meta.endpoint_url != endpoint:
            return made
        made.close()
        return session.client(
            "sqs",
            region_name=region,
            config=config,
            endpoint_url=f"{parts.scheme}://{parts.netloc}",
        )
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        raise unusable(name, error) from None
