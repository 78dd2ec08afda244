"""Kinesis Data Streams, as far as writing to a stream goes.

Sources: the service model in botocore (``kinesis/2013-12-02/service-2.json``), cited
as [model]; docs.aws.amazon.com/streams/latest/dev/large-records.html [large]. The model
has no HTTP statuses: 400 where the caller is to blame, 500 where the service is.

[model] PutRecords: "A single record failure does not stop the processing of subsequent
records. As a result, PutRecords doesn't guarantee the ordering of records." The fake
makes this bite: it stores the records of every call in another order than they were
sent in, the same one in every run with its seed, also those that share a partition key.

Where the sources leave it open, the harsher reading holds: one record that is too large
or has no good partition key makes the whole call be refused.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .service import (
    Arrival,
    AwsError,
    Call,
    EntryFailure,
    JsonService,
    Surroundings,
    never,
    shuffled,
)

__all__ = [
    "Kinesis",
    "Stream",
    "access_denied",
    "internal_failure",
    "kms_error",
    "not_found",
    "throttled",
]

ACCOUNT = "123456789012"
REGION = "us-east-1"

#: [model] PutRecordsRequestEntryList.
RECORDS = 500

#: [model] PutRecords: all data and partition keys of a call, in bytes.
REQUEST_BYTES = 10 * 1024 * 1024

#: [model] PartitionKey: characters.
KEY_CHARACTERS = 256

#: [model] MaxRecordSizeInKiB: least and greatest value; [large] the default is 1 MiB.
RECORD_KIB = (1024, 10_240)

#: What a partition key hashes to is below this.
_HASHES = 1 << 128

#: Partition keys of which a stream remembers the shard.
_CACHED_KEYS = 100_000

_STREAM_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")
_HASH_KEY = re.compile(r"0|[1-9]\d{0,38}")
_MODES = ("PROVISIONED", "ON_DEMAND")
_STATUSES = ("CREATING", "DELETING", "ACTIVE", "UPDATING")
_STRATEGIES = ("USER_PARTITION_KEY", "AUTO")

_KMS_ERRORS = (
    "KMSAccessDeniedException",
    "KMSDisabledException",
    "KMSInvalidStateException",
    "KMSNotFoundException",
    "KMSOptInRequired",
    "KMSThrottlingException",
)


def throttled() -> AwsError:
    """The whole call; single records fail with the same code ([model])."""
    return AwsError(
        "ProvisionedThroughputExceededException",
        f"Rate exceeded for shard shardId-000000000000 under account {ACCOUNT}.",
    )


def access_denied(action: str = "kinesis:PutRecords") -> AwsError:
    """[model] AccessDeniedException."""
    return AwsError(
        "AccessDeniedException",
        "User: arn:aws:iam::123456789012:user/fake is not authorized to perform: "
        f"{action}",
    )


def not_found(name: str = "fake") -> AwsError:
    return AwsError(
        "ResourceNotFoundException",
        f"Stream {name} under account {ACCOUNT} not found.",
    )


def internal_failure() -> AwsError:
    """The whole call; single records fail with ``InternalFailure`` ([model])."""
    return AwsError("InternalFailureException", "Internal Service Failure", status=500)


def kms_error(shape: str) -> AwsError:
    """``KMSAccessDeniedException``, ``KMSThrottlingException`` and so on ([model])."""
    if shape not in _KMS_ERRORS:
        raise ValueError(f"not an error of KMS: {shape}")
    return AwsError(shape, f"{shape} by the fault script")


class Stream:
    """A stream, as Python sees it.

    ``mode``, ``distribution``, ``status`` and ``max_record_kib`` are StreamMode,
    RecordDistributionStrategy, StreamStatus and MaxRecordSizeInKiB of
    DescribeStreamSummary; all but the number of shards may be changed at any time.
    """

    def __init__(
        self,
        kinesis: Kinesis,
        name: str,
        shards: int,
        *,
        mode: str = "PROVISIONED",
        distribution: str = "USER_PARTITION_KEY",
        status: str = "ACTIVE",
        max_record_kib: int = RECORD_KIB[0],
    ) -> None:
        if not _STREAM_NAME.fullmatch(name) or shards < 1:
            raise ValueError(f"not a stream: {name!r} with {shards} shards")
        if (
            mode not in _MODES
            or status not in _STATUSES
            or distribution not in _STRATEGIES
            or (distribution == "AUTO" and mode != "ON_DEMAND")
            or not RECORD_KIB[0] <= max_record_kib <= RECORD_KIB[1]
        ):
            raise ValueError(
                f"not for {name}: {mode}, {distribution}, {status}, {max_record_kib}"
            )
        self.name = name
        self.arn = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{name}"
        self.mode, self.distribution, self.status = mode, distribution, status
        self.max_record_kib = max_record_kib
        self.shards = tuple(f"shardId-{number:012}" for number in range(shards))
        #: ``len(arrivals)``, at no cost: for ``FakeAws.wait_for``.
        self.arrived = 0
        self._kinesis = kinesis
        self._created = kinesis.aws.clock.now()
        self._arrivals: list[Arrival] = []
        self._calls = 0
        self._shard_by_key: dict[str, str] = {}

    @property
    def arrivals(self) -> tuple[Arrival, ...]:
        """What was stored, in the order in which it is read from a shard.

        ``attributes["ShardId"]`` says from which.
        """
        with self._kinesis.aws.changed:
            return tuple(self._arrivals)

    @property
    def delivered(self) -> tuple[Arrival, ...]:
        """``arrivals``: Kinesis knows no duplicates."""
        return self.arrivals

    def shard_of(self, key: str) -> str:
        """[model] PutRecords: by the MD5 of the partition key."""
        shard = self._shard_by_key.get(key)
        if shard is None:
            digest = hashlib.md5(key.encode(), usedforsecurity=False).digest()
            shard = self.shard_of_hash(int.from_bytes(digest, "big"))
            if len(self._shard_by_key) >= _CACHED_KEYS:
                self._shard_by_key.clear()
            self._shard_by_key[key] = shard
        return shard

    def shard_of_hash(self, value: int) -> str:
        return self.shards[value * len(self.shards) // _HASHES]

    def take(
        self, records: Sequence[tuple[int, str | None, str, str]], call: Call
    ) -> dict[int, dict[str, str]]:
        """Store what was found good: place in the call, key, shard and data.

        Returns what PutRecords says of each, by its place in the call.
        """
        aws = self._kinesis.aws
        log, remember = aws.log, aws.log.remember
        self._calls += 1
        seed = f"{aws.seed}/{self.name}/{self._calls}"
        stored = {}
        for chosen in shuffled(len(records), seed):
            place, key, shard, data = records[chosen]
            number = f"{_FIRST_NUMBER + log.arrived + 1}"
            arrival = log.arrive(
                service="kinesis",
                queue=self.name,
                body=data,
                group=key,
                deduplication_id=None,
                duplicate=False,
                message_id=number,
                sequence_number=number,
                attributes={"ShardId": shard},
                call=call.number,
            )
            if remember:
                self._arrivals.append(arrival)
            stored[place] = {"SequenceNumber": number, "ShardId": shard}
        self.arrived += len(records)
        return stored

    def describe(self) -> dict[str, Any]:
        """StreamDescriptionSummary."""
        summary: dict[str, Any] = {
            "StreamName": self.name,
            "StreamARN": self.arn,
            "StreamStatus": self.status,
            "StreamModeDetails": {"StreamMode": self.mode},
            "RetentionPeriodHours": 24,
            "StreamCreationTimestamp": self._created,
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "EncryptionType": "NONE",
            "OpenShardCount": len(self.shards),
            "ConsumerCount": 0,
            "MaxRecordSizeInKiB": self.max_record_kib,
        }
        if self.mode == "ON_DEMAND":  # [model] "only present for … on-demand"
            summary["RecordDistributionStrategy"] = self.distribution
        return summary


#: Sequence numbers have 56 digits.
_FIRST_NUMBER = (
    49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_800
)


class Kinesis(JsonService):
    """The service. Streams are made from Python, not over HTTP."""

    name = "kinesis"
    target = "Kinesis_20131202"
    version = "1.1"
    out_of_date = ("InvalidSignatureException", "InvalidSignatureException")
    #: [model] PutRecordsResultEntry.
    internal = "InternalFailure"

    def __init__(self, aws: Surroundings) -> None:
        super().__init__(aws)
        self.streams: dict[str, Stream] = {}

    def create_stream(self, name: str, shards: int = 4, **settings: Any) -> Stream:
        """A stream; ``settings`` are those of ``Stream``."""
        stream = Stream(self, name, shards, **settings)
        with self.aws.changed:
            self.streams[name] = stream
        return stream

    def delete_stream(self, name: str) -> None:
        with self.aws.changed:
            del self.streams[name]

    def do_DescribeStreamSummary(self, call: Call) -> Mapping[str, Any]:  # noqa: N802
        return {"StreamDescriptionSummary": self._stream(call).describe()}

    def do_ListShards(self, call: Call) -> Mapping[str, Any]:  # noqa: N802
        """All shards at once, of which there may be 1,000 ([model])."""
        if {"NextToken", "ExclusiveStartShardId", "ShardFilter"} & set(call.parameters):
            raise _invalid_argument("the fake gives all shards at once")
        stream = self._stream(call)
        count = len(stream.shards)
        bounds = [-(-_HASHES * number // count) for number in range(count + 1)]
        return {
            "Shards": [
                {
                    "ShardId": shard,
                    "HashKeyRange": {
                        "StartingHashKey": str(bounds[number]),
                        "EndingHashKey": str(bounds[number + 1] - 1),
                    },
                    "SequenceNumberRange": {
                        "StartingSequenceNumber": str(_FIRST_NUMBER)
                    },
                }
                for number, shard in enumerate(stream.shards)
            ]
        }

    def do_PutRecords(self, call: Call) -> Mapping[str, Any]:  # noqa: N802
        records = call.parameters.get("Records")
        if not isinstance(records, list) or not 1 <= len(records) <= RECORDS:
            count = len(records) if isinstance(records, list) else 0
            call.entries = count
            raise _invalid(
                "records",
                f"Member must have length less than or equal to {RECORDS}"
                if count
                else "Member must not be null",
            )
        call.entries = len(records)
        stream = self._stream(call)
        if stream.status not in ("ACTIVE", "UPDATING"):
            raise not_found(stream.name)
        good: list[tuple[int, str | None, str, str]] = []
        failed: dict[int, dict[str, str]] = {}
        asked = call.fail is not never
        total = 0
        for place, record in enumerate(records):
            data, key, shard = self._check(stream, place, record)
            total += len(data) + len((key or "").encode())
            if total > REQUEST_BYTES:
                raise _invalid_argument(
                    f"Records size exceeds {REQUEST_BYTES // 1_048_576} MB limit"
                )
            text = data.decode("utf-8", "surrogateescape")
            if asked and (failure := call.fail({**record, "Data": text})):
                failed[place] = self._failed(stream, shard, failure)
            else:
                good.append((place, key, shard, text))
        stored = stream.take(good, call)
        call.accepted, call.failed = len(stored), len(failed)
        return {
            "FailedRecordCount": len(failed),
            "Records": [
                stored.get(place) or failed[place] for place in range(len(records))
            ],
            "EncryptionType": "NONE",
        }

    def _check(
        self, stream: Stream, place: int, record: Mapping[str, Any]
    ) -> tuple[bytes, str | None, str]:
        """Data, partition key and shard of a record. Raises AwsError."""
        where = f"records.{place + 1}.member"
        sent = record.get("Data")
        if sent is None:
            raise _invalid(f"{where}.data", "Member must not be null")
        try:
            data = binascii.a2b_base64(sent)
        except (ValueError, TypeError) as error:
            raise AwsError("SerializationException", str(error)) from None
        key = record.get("PartitionKey")
        if key is not None and not 1 <= len(key) <= KEY_CHARACTERS:
            raise _invalid(
                f"{where}.partitionKey",
                f"Member must have length between 1 and {KEY_CHARACTERS}",
            )
        size = len(data) + len((key or "").encode())
        if size > stream.max_record_kib * 1024:
            raise _invalid_argument(
                f"Record {place + 1} has {size} bytes with its partition key, more "
                f"than the {stream.max_record_kib} KiB of stream {stream.name}"
            )
        if stream.distribution == "AUTO":  # [model] PutRecordsRequestEntry: ignored
            shard = stream.shards[(stream.arrived + place) % len(stream.shards)]
            return data, key, shard
        if key is None:
            raise _invalid(f"{where}.partitionKey", "Member must not be null")
        chosen = record.get("ExplicitHashKey")
        if chosen is None:
            return data, key, stream.shard_of(key)
        if not _HASH_KEY.fullmatch(chosen):
            raise _invalid(
                f"{where}.explicitHashKey",
                f"Member must satisfy regular expression pattern: {_HASH_KEY.pattern}",
            )
        if int(chosen) >= _HASHES:
            raise _invalid_argument(f"Invalid ExplicitHashKey {chosen}")
        return data, key, stream.shard_of_hash(int(chosen))

    def _failed(
        self, stream: Stream, shard: str, failure: EntryFailure
    ) -> dict[str, str]:
        """[model] PutRecordsResultEntry says what the messages are."""
        message = failure.message
        if failure.code == "InternalFailure":
            message = "Internal Service Failure"
        elif failure.code == "ProvisionedThroughputExceededException":
            message = (
                f"Rate exceeded for shard {shard} in stream {stream.name} "
                f"under account {ACCOUNT}."
            )
        return {"ErrorCode": failure.code, "ErrorMessage": message}

    def _stream(self, call: Call) -> Stream:
        """The stream of ``StreamARN`` or ``StreamName``, which must agree."""
        name, arn = call.parameters.get("StreamName"), call.parameters.get("StreamARN")
        if name is None and arn is None:
            raise _invalid_argument("Either StreamName or StreamARN must be specified.")
        if arn is not None:
            prefix, _, found = arn.partition(":stream/")
            if not re.fullmatch(r"arn:aws[\w-]*:kinesis:[\w-]+:\d{12}", prefix):
                raise _invalid("streamARN", "Member must satisfy the pattern of an ARN")
            if name is not None and name != found:
                raise _invalid_argument("StreamName and StreamARN do not agree.")
            name = found
        stream = self.streams.get(name)
        if stream is None or (arn is not None and arn != stream.arn):
            raise not_found(str(name))
        return stream


def _invalid(where: str, constraint: str) -> AwsError:
    return AwsError(
        "ValidationException",
        f"1 validation error detected: Value at '{where}' failed to satisfy "
        f"constraint: {constraint}",
    )


def _invalid_argument(message: str) -> AwsError:
    return AwsError("InvalidArgumentException", message)
