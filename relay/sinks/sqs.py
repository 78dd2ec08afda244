"""``sqs:QUEUE_URL``: Amazon SQS, standard and FIFO queues.

On a FIFO queue the message group is the key, so SQS keeps the order that the relay
keeps; the deduplication id is the event's name, so an event that is sent again within
five minutes is taken once. A standard queue keeps no order by itself: its consumers
drop an event whose ``sequence`` is not above the last one they saw of the key.

Limits are those of "Amazon SQS message quotas" and of SendMessageBatch in the SQS API
reference, November 2026.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import botocore.exceptions
from botocore.config import Config

from ...database.aws import error_code
from ...errors import SinkError, UsageError
from ..event import Event
from .config import READ_TIMEOUT, client_config
from .fence import Fence, LeaseRanOut
from .sink import ACKNOWLEDGED, LEASE_RAN_OUT, Limits, Outcome, Result

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

__all__ = ["SqsSink"]

ENTRIES = 10
#: Of a message, and of all messages of a call together.
BYTES = 1024 * 1024
#: Calls at the same time. At 8 ms a call this is what one core of boto3 can send.
CALLS = 16
#: Of a message group id and a deduplication id.
LONGEST_ID = 128

#: SQS takes what XML 1.0 can hold. The rest is written as JSON escapes, which every
#: JSON reader turns back. Control characters are escaped in JSON already.
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
NOT_ID = re.compile(r"[^!-~]")
#: A key whose source needs no quotes, with integers and texts only: what JSON readers
#: and writers agree on, so that two keys never become one.
PLAIN_KEY = re.compile(
    r"""([\w.$-]+):(\{(?:"[^"\\]*":\s?(?:-?\d+|"[^"\\]*")(?:,\s?)?)+\})""", re.ASCII
)
REGION = re.compile(r"(?:^|\.)sqs(?:-fips)?\.([a-z]{2}(?:-[a-z]+)+-\d)\.")

#: Error codes that no repetition mends, with what does. Both the codes of the JSON
#: protocol and those of the older query protocol.
FATAL = {
    "QueueDoesNotExist": "Check the queue's URL, account and region.",
    "AWS.SimpleQueueService.NonExistentQueue": "Check the queue's URL, account and"
    " region.",
    "InvalidAddress": "Check the queue's URL, account and region.",
    "AccessDenied": "Allow sqs:SendMessage and sqs:GetQueueAttributes on the queue.",
    "AccessDeniedException": "Allow sqs:SendMessage and sqs:GetQueueAttributes on the"
    " queue.",
    "InvalidClientTokenId": "Check the AWS credentials.",
    "UnrecognizedClientException": "Check the AWS credentials.",
    "InvalidSecurity": "Check the AWS credentials.",
    "SignatureDoesNotMatch": "Check the AWS credentials and this machine's clock.",
    "MissingAuthenticationToken": "Check the AWS credentials.",
    "KMS.AccessDeniedException": "Allow kms:GenerateDataKey and kms:Decrypt on the"
    " queue's key.",
    "KmsAccessDenied": "Allow kms:GenerateDataKey and kms:Decrypt on the queue's key.",
    "KMS.DisabledException": "Enable the queue's KMS key.",
    "KmsDisabled": "Enable the queue's KMS key.",
    "KMS.NotFoundException": "The queue's KMS key is gone; choose another.",
    "KmsNotFound": "The queue's KMS key is gone; choose another.",
}
#: One entry that SQS cannot take makes the whole call fail with one of these (on FIFO
#: queues also for entries that a standard queue would report one by one).
BAD_ENTRY = frozenset({
    "InvalidMessageContents", "InvalidParameterValue", "MissingParameter",
    "BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong",
    "InvalidAttributeValue", "InvalidParameterCombination",
})  # fmt: skip


class SqsSink:
    """One queue. Raises UsageError for an impossible URL, SinkError for a queue that
    cannot be used."""

    in_order = False

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
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
        self.name = f"sqs:{url}"
        self._url = url
        self._is_fifo = url.endswith(".fifo")
        self._client = client(url)
        self._fence = Fence(self._client.meta.events)
        largest = int(self._attributes().get("MaximumMessageSize", BYTES))
        self._largest = min(BYTES, largest)
        self.limits = Limits(entries=ENTRIES, bytes=BYTES, calls=CALLS)

    def publish(
        self, events: Sequence[Event], may_send: Callable[[], bool]
    ) -> Sequence[Result]:
        results: dict[str, Result] = {}
        entries: list[SendMessageBatchRequestEntryTypeDef] = []
        for number, event in enumerate(events):
            entry = self._entry(str(number), event)
            size = len(entry["MessageBody"].encode())
            if size > self._largest:
                reason = f"{size} bytes, the queue takes {self._largest}"
                results[entry["Id"]] = Result(Outcome.OVERSIZED, reason)
            else:
                entries.append(entry)
        if entries:
            with self._fence.asking(may_send):
                results |= self._send(entries, may_send)
        unknown = Result(Outcome.UNKNOWN, "SQS did not mention the entry")
        return [results.get(str(number), unknown) for number in range(len(events))]

    def close(self) -> None:
        self._client.close()

    def _entry(self, number: str, event: Event) -> SendMessageBatchRequestEntryTypeDef:
        entry: SendMessageBatchRequestEntryTypeDef = {
            "Id": number,
            "MessageBody": NOT_XML.sub(_escape, event.body),
        }
        if self._is_fifo:
            entry["MessageGroupId"] = group_id(event.key)
            entry["MessageDeduplicationId"] = event.name
        return entry

    def _send(
        self,
        entries: Sequence[SendMessageBatchRequestEntryTypeDef],
        may_send: Callable[[], bool],
    ) -> dict[str, Result]:
        try:
            answer = self._client.send_message_batch(
                QueueUrl=self._url, Entries=entries
            )
        except LeaseRanOut:
            return {entry["Id"]: LEASE_RAN_OUT for entry in entries}
        except botocore.exceptions.ClientError as error:
            code = error_code(error)
            if code in BAD_ENTRY:
                return self._send_alone(entries, code, may_send)
            if code in FATAL:
                raise self._fatal(error) from None
            return self._all(entries, Outcome.UNKNOWN, code)
        except botocore.exceptions.NoCredentialsError as error:
            raise self._unusable(error) from None
        except botocore.exceptions.BotoCoreError as error:
            # Timed out or cut off: SQS may have taken the messages, or not.
            return self._all(entries, Outcome.UNKNOWN, type(error).__name__)
        results = {done["Id"]: ACKNOWLEDGED for done in answer.get("Successful", [])}
        for failed in answer.get("Failed", []):
            outcome = Outcome.REFUSED if failed["SenderFault"] else Outcome.RETRY
            results[failed["Id"]] = Result(outcome, failed["Code"])
        return results

    def _send_alone(
        self,
        entries: Sequence[SendMessageBatchRequestEntryTypeDef],
        code: str,
        may_send: Callable[[], bool],
    ) -> dict[str, Result]:
        """Find the entry that made the call fail; the others are innocent."""
        if len(entries) == 1:
            return self._all(entries, Outcome.REFUSED, code)
        results: dict[str, Result] = {}
        # What is not sent by then waits: a relay that stops awaits this call.
        until = time.monotonic() + READ_TIMEOUT
        for entry in entries:
            if not may_send():
                results[entry["Id"]] = LEASE_RAN_OUT
            elif time.monotonic() < until:
                results |= self._send([entry], may_send)
            else:
                results |= self._all([entry], Outcome.UNKNOWN, code)
        return results

    @staticmethod
    def _all(
        entries: Sequence[SendMessageBatchRequestEntryTypeDef],
        outcome: Outcome,
        reason: str,
    ) -> dict[str, Result]:
        return {entry["Id"]: Result(outcome, reason) for entry in entries}

    def _attributes(self) -> Mapping[Any, str]:
        try:
            answer = self._client.get_queue_attributes(
                QueueUrl=self._url, AttributeNames=["MaximumMessageSize"]
            )
        except botocore.exceptions.ClientError as error:
            raise self._fatal(error) from None
        except botocore.exceptions.BotoCoreError as error:
            raise self._unusable(error) from None
        return answer.get("Attributes", {})

    def _fatal(self, error: botocore.exceptions.ClientError) -> SinkError:
        code = error_code(error)
        return SinkError(
            f"cannot use {self.name}: {code}",
            hint=FATAL.get(code, "Look the code up in the SQS API reference."),
        )

    def _unusable(self, error: botocore.exceptions.BotoCoreError) -> SinkError:
        hint = "Check the queue's URL, the network and AWS_ENDPOINT_URL."
        if isinstance(error, botocore.exceptions.NoCredentialsError):
            hint = "Set AWS_PROFILE, or give this machine a role; see boto3's docs."
        return SinkError(f"cannot use {self.name}: {error}", hint=hint)


# Any: the stubs do not know this option yet.
_IGNORE: dict[str, Any] = {"ignore_configured_endpoint_urls": True}
#: For what AWS itself would be reached at.
UNCONFIGURED = Config(**_IGNORE)


def client(url: str) -> SQSClient:
    """A client for the queue's region and endpoint.

    The endpoint is the queue's own, so that VPC endpoints and local stand-ins work
    without a setting, unless one is configured (AWS_ENDPOINT_URL, a profile).
    """
    config = client_config(CALLS)
    parts = urlsplit(url)
    found = REGION.search(parts.netloc)
    # boto3 itself reads AWS_DEFAULT_REGION and the profile only.
    region = found[1] if found else os.environ.get("AWS_REGION")
    try:
        session = boto3.session.Session()
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
    except botocore.exceptions.NoRegionError:
        raise SinkError(
            f"no AWS region for sqs:{url}",
            hint="Set AWS_REGION or AWS_DEFAULT_REGION, or the region of the profile.",
        ) from None
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        raise SinkError(
            f"cannot use sqs:{url}: {error}",
            hint="Check AWS_PROFILE and the AWS configuration files.",
        ) from None


def group_id(key: str) -> str:
    """The message group of a key: ``shop.orders:{"id":7}`` where SQS takes that as an
    id, else a digest.

    Ids are 1 to 128 characters of printable ASCII without the blank.
    """
    parts = PLAIN_KEY.fullmatch(key)
    if parts:
        # An application may have written the event itself, and anything for its key.
        with contextlib.suppress(ValueError):
            compact = json.dumps(json.loads(parts[2]), separators=(",", ":"))
            plain = f"{parts[1]}:{compact}"
            if len(plain) <= LONGEST_ID and not NOT_ID.search(plain):
                return plain
    digest = base64.b32encode(hashlib.sha256(key.encode()).digest())
    return "h-" + digest.decode().rstrip("=")


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
