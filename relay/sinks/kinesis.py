"""``kinesis:STREAM``: Amazon Kinesis Data Streams, by name or ARN.

The partition key is the event's key, so that all events of a row come into one shard.
PutRecords keeps no order within a call and may take some records of a call only; the
relay has one event of a key in flight, so each shard has a row's events in order.

Limits are those of PutRecords in the Kinesis API reference, November 2026.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import boto3
from botocore.model import StructureShape

from ...errors import SinkError, UsageError
from ..event import Event
from .aws import (
    UNMENTIONED,
    AwsSink,
    is_arn,
    make_client,
    member,
    region_of_arn,
    session,
)
from .sink import ACKNOWLEDGED, Limits, Outcome, Result
from .uri import LIMITS, Uri

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_kinesis.type_defs import PutRecordsRequestEntryTypeDef

__all__ = ["KinesisSink"]

#: Of data and partition key of a record, unless the stream says more.
RECORD = 1024 * 1024
#: Of all records of a call, partition keys among them.
BYTES = 10 * 1024 * 1024
#: Calls at the same time.
CALLS = 4
#: Characters of a partition key.
LONGEST_KEY = 256
NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")

#: What tells whether partition keys count; of streams on demand only.
STRATEGY = "RecordDistributionStrategy"

REPEATS = (
    "Kinesis stores an event twice that is sent twice: consumers drop one whose"
    " sequence is not above the last one they saw of its key"
)
#: botocore's model of Kinesis has STRATEGY since this version, and botocore drops what
#: its model has not.
FIRST = "1.43.101"
TOO_OLD = (
    f"boto3 {boto3.__version__} is too old to tell whether the stream ignores partition"
    " keys, so that the events of a row come into several shards: see that its record"
    f" distribution strategy is USER_PARTITION_KEY, or install boto3 {FIRST} or newer"
    " (in a Lambda: evtrig lambda build --with-boto3)"
)


class KinesisSink(AwsSink["PutRecordsRequestEntryTypeDef"]):
    """One stream."""

    service = "kinesis"
    title = "Kinesis"
    kind = "stream"
    describe = "kinesis:DescribeStreamSummary"
    send = "kinesis:PutRecords"
    bad_entry = frozenset({
        "InvalidArgumentException", "ValidationException", "SerializationException",
    })  # fmt: skip
    defaults = Limits(entries=500, bytes=BYTES, calls=CALLS)
    largest = RECORD

    _client: KinesisClient

    def __init__(self, rest: str) -> None:
        uri = Uri.parse("kinesis", rest, LIMITS)
        has_arn = is_arn(uri.target, "kinesis", "stream/")
        if not has_arn and not NAME.fullmatch(uri.target):
            raise UsageError(
                "the sink kinesis: needs the name or the ARN of a stream",
                hint="Write kinesis:orders, or"
                " kinesis:arn:aws:kinesis:eu-west-1:123456789012:stream/orders",
            )
        # An ARN also names a stream of another account.
        self._stream = uri.target
        self._has_arn = has_arn
        calls = uri.limits(self.defaults).calls
        region = region_of_arn(self._stream) if has_arn else None
        aws = session(str(uri))
        client = make_client(uri, aws, self.service, region, calls)
        super().__init__(uri, aws, client)

    def _look(self, client: KinesisClient) -> Sequence[str]:
        if self._has_arn:
            answer = client.describe_stream_summary(StreamARN=self._stream)
        else:
            answer = client.describe_stream_summary(StreamName=self._stream)
        # dict: the stubs do not know all of its members yet.
        found: dict[str, object] = member(answer, "StreamDescriptionSummary")
        if found.get(STRATEGY) == "AUTO":
            raise SinkError(
                f"cannot use {self.name}: its record distribution strategy AUTO ignores"
                " partition keys, so the events of a row would come into several"
                " shards, in no order",
                hint="Set it to USER_PARTITION_KEY"
                " (aws kinesis update-stream-record-distribution-strategy).",
            )
        status = found.get("StreamStatus")
        if status not in ("ACTIVE", "UPDATING"):
            raise SinkError(
                f"cannot use {self.name}: the stream is {status}",
                hint="Start again when it is ACTIVE.",
            )
        largest = found.get("MaxRecordSizeInKiB")
        if isinstance(largest, int) and "message_bytes" not in self._uri.options:
            self._largest = largest * 1024
        mode = found.get("StreamModeDetails")
        is_provisioned = isinstance(mode, dict) and mode["StreamMode"] == "PROVISIONED"
        return [REPEATS] if is_provisioned or not is_old(client) else [REPEATS, TOO_OLD]

    def _entry(self, event: Event) -> tuple[PutRecordsRequestEntryTypeDef, int]:
        # A lone surrogate becomes its JSON escape.
        data = event.body.encode("utf-8", "backslashreplace")
        key = partition_key(event.key)
        return {"Data": data, "PartitionKey": key}, len(data) + len(key.encode())

    def _call(
        self, entries: Sequence[PutRecordsRequestEntryTypeDef]
    ) -> Sequence[Result]:
        if self._has_arn:
            answer = self._client.put_records(StreamARN=self._stream, Records=entries)
        else:
            answer = self._client.put_records(StreamName=self._stream, Records=entries)
        records = answer.get("Records", ())
        if len(records) != len(entries):
            # Which they are is known by their places only.
            return [UNMENTIONED] * len(entries)
        if not answer.get("FailedRecordCount"):
            return [ACKNOWLEDGED] * len(records)
        return [
            # The two codes of a record are about the shard, not about the record.
            Result(Outcome.RETRY, record["ErrorCode"])
            if record.get("ErrorCode")
            else ACKNOWLEDGED
            for record in records
        ]


def is_old(client: KinesisClient) -> bool:
    """Whether botocore drops STRATEGY from what Kinesis says."""
    model = client.meta.service_model
    summary = model.shape_for("StreamDescriptionSummary")
    return not isinstance(summary, StructureShape) or STRATEGY not in summary.members


def partition_key(key: str) -> str:
    """The key itself where it is short enough, else a digest."""
    if len(key) <= LONGEST_KEY and key.isascii():
        return key
    return "h-" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
