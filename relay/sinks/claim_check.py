"""Events larger than a sink takes: the whole goes to S3, a pointer to the sink.

The object is written before the pointer is sent, so whoever gets a pointer finds what
it points to. Its key and its bytes depend on the event alone: an event that is sent
again writes the same object again. What consumers get is in docs/claim-check.md.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import boto3
import botocore.exceptions

from ...database.aws import error_code, region_of
from ...errors import SinkError, UsageError
from ..envelope import abridged, members
from ..event import Event
from .aws import unusable
from .config import client_config
from .error_code import hint_of
from .fence import Fence, LeaseRanOut
from .sink import LEASE_RAN_OUT, Limits, Outcome, Result, Sink

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["ClaimCheck", "read_place"]

SCHEME = "s3://"
#: Bytes of a key ("Naming Amazon S3 objects", November 2026), and what of that the
#: prefix may take: the rest is for the source and the event's name.
LONGEST_KEY = 1024
LONGEST_PREFIX = 512
#: "General purpose bucket naming rules", November 2026.
BUCKET = re.compile(r"(?!xn--)[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
#: ASCII that S3 advises against in keys or calls for special handling; a slash would
#: look like another folder.
UNSAFE = re.compile(r"[\x00-\x20\"#$%&+,/:;<=>?@\[\\\]^`{|}~\x7f\ud800-\udfff]")

#: What a pointer leaves out; the context only where it is still too large with it.
ROW = ("before", "after")
ROW_AND_CONTEXT = (*ROW, "context")

REGION_HINT = "Set AWS_REGION to the region of the bucket."
#: Error codes of S3 that no repetition mends, with what does; aws.py has the common.
FATAL = {
    "NoSuchBucket": "Create the bucket, or check its name and AWS_ENDPOINT_URL.",
    "AccessDenied": "Allow s3:PutObject on {objects}, and kms:GenerateDataKey on the"
    " bucket's key if it is encrypted with a key of its own.",
    "AllAccessDisabled": "The bucket is disabled; choose another.",
    "PermanentRedirect": REGION_HINT,
    "AuthorizationHeaderMalformed": REGION_HINT,
    "IllegalLocationConstraintException": REGION_HINT,
}
#: What S3 says where the object itself is too large for it.
TOO_LARGE = frozenset({"EntityTooLarge", "KeyTooLongError"})


@dataclass(frozen=True)
class Reference:
    """The member ``claim_check`` of a pointer: where the whole envelope is."""

    bucket: str
    key: str
    bytes: int
    #: Of the object, in hexadecimal digits.
    sha256: str


class ClaimCheck:
    """A sink that takes events of any size, around one that does not.

    ``destination`` is ``s3://BUCKET/PREFIX``. The sink is closed with it. Raises
    UsageError for a destination that cannot be right, SinkError where AWS cannot be
    called; whether the bucket may be written to shows with the first large event.
    """

    def __init__(self, sink: Sink, destination: str) -> None:
        self._bucket, self._prefix = read_place(destination)
        self.name = sink.name
        self.in_order = sink.in_order
        self._sink = sink
        self._client = client(self._bucket, sink.limits.calls)
        self._fence = Fence(self._client.meta.events)
        self._failure: SinkError | None = None

    @property
    def limits(self) -> Limits:
        return self._sink.limits

    def check(self, *, thoroughly: bool = False, once: bool = False) -> Sequence[str]:
        # Somebody may have mended it meanwhile.
        self._failure = None
        return self._sink.check(thoroughly=thoroughly, once=once)

    def publish(
        self, events: Sequence[Event], may_send: Callable[[], bool]
    ) -> Sequence[Result]:
        failure, self._failure = self._failure, None
        if failure:
            raise failure
        results = list(self._sink.publish(events, may_send))
        large = _oversized(results)
        if not large:
            return results
        try:
            self._check_in(events, large, results, may_send)
        except SinkError as error:
            if all(result.outcome is not Outcome.ACKNOWLEDGED for result in results):
                raise
            # What was acknowledged must be known to be; the next call says the rest.
            self._failure = error
            for number in large:
                if results[number].outcome is Outcome.OVERSIZED:
                    results[number] = Result(Outcome.UNKNOWN, error.message)
        return results

    def close(self) -> None:
        self._client.close()
        self._sink.close()

    def _check_in(
        self,
        events: Sequence[Event],
        large: Sequence[int],
        results: list[Result],
        may_send: Callable[[], bool],
    ) -> None:
        """Store what is too large and send pointers; put their results in place."""
        stored: dict[int, Reference] = {}
        for place, number in enumerate(large):
            found = self._store(events[number], may_send)
            if isinstance(found, Reference):
                stored[number] = found
                continue
            results[number] = found
            if found.outcome is Outcome.UNKNOWN:
                # S3 does not answer, or the lease is over: the others need not try.
                for waiting in large[place:]:
                    results[waiting] = found
                break
        for without in (ROW, ROW_AND_CONTEXT):
            if any(results[number].outcome is Outcome.OVERSIZED for number in stored):
                self._point(events, stored, without, results, may_send)

    def _point(
        self,
        events: Sequence[Event],
        stored: Mapping[int, Reference],
        without: Collection[str],
        results: list[Result],
        may_send: Callable[[], bool],
    ) -> None:
        numbers = [n for n in stored if results[n].outcome is Outcome.OVERSIZED]
        if self.in_order:
            # One ordered write, of which nothing was taken: it goes again as a whole.
            numbers = list(range(len(events)))
            if any(n not in stored for n in _oversized(results)):
                return
        batch = [
            _pointer(events[n], stored[n], without) if n in stored else events[n]
            for n in numbers
        ]
        answers = self._sink.publish(batch, may_send)
        for number, answer in zip(numbers, answers, strict=True):
            results[number] = answer

    def _store(self, event: Event, may_send: Callable[[], bool]) -> Reference | Result:
        """Write the envelope as an object; how that failed if it did."""
        try:
            key = f"{self._prefix}{_folder(event.body)}/{event.name}.json"
        except ValueError as error:
            return Result(Outcome.OVERSIZED, f"its envelope is {error}")
        length = len(key.encode())
        if length > LONGEST_KEY:
            reason = f"its object's key has {length} bytes, S3 takes {LONGEST_KEY}"
            return Result(Outcome.OVERSIZED, reason)
        # A lone surrogate becomes its JSON escape.
        data = event.body.encode("utf-8", "backslashreplace")
        digest = hashlib.sha256(data)
        try:
            with self._fence.asking(may_send):
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=data,
                    ContentType="application/json",
                    # S3 compares it with what arrives, and keeps it.
                    ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
                )
        except LeaseRanOut:
            return LEASE_RAN_OUT
        except botocore.exceptions.ClientError as error:
            code = error_code(error)
            self._raise_if_fatal(code)
            outcome = Outcome.OVERSIZED if code in TOO_LARGE else Outcome.UNKNOWN
            return Result(outcome, f"S3: {code}")
        except botocore.exceptions.NoCredentialsError as error:
            raise unusable(f"{SCHEME}{self._bucket}", error) from None
        except botocore.exceptions.BotoCoreError as error:
            # Timed out or cut off: it may be there or not, and is written again.
            return Result(Outcome.UNKNOWN, f"S3: {type(error).__name__}")
        return Reference(self._bucket, key, len(data), digest.hexdigest())

    def _raise_if_fatal(self, code: str) -> None:
        meta = self._client.meta
        objects = f"arn:{meta.partition}:s3:::{self._bucket}/{self._prefix}*"
        hint = FATAL[code].format(objects=objects) if code in FATAL else None
        hint = hint or hint_of(
            code,
            action="s3:PutObject",
            kind="bucket",
            where=objects,
            region=meta.region_name,
        )
        if hint:
            raise SinkError(
                f"cannot write to {SCHEME}{self._bucket}/{self._prefix}: {code}",
                hint=hint,
            ) from None


def client(bucket: str, calls: int) -> S3Client:
    """A client for the region of the environment or the profile.

    A bucket elsewhere is found by botocore, with one call more.
    """
    try:
        session = boto3.session.Session()
        region = region_of(session)
        if region is None:
            # boto3 would take us-east-1, and ask around from there.
            raise botocore.exceptions.NoRegionError
        made: S3Client = session.client(
            "s3", region_name=region, config=client_config(calls)
        )
        return made
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        raise unusable(f"{SCHEME}{bucket}", error) from None


def read_place(destination: str) -> tuple[str, str]:
    """Bucket and prefix of ``s3://BUCKET/PREFIX``; the prefix is empty or ends with a
    slash. Raises UsageError."""
    scheme, _, rest = destination.partition("//")
    bucket, _, prefix = rest.partition("/")
    hint = "Write s3://BUCKET/PREFIX, such as s3://orders-large/events."
    if f"{scheme}//" != SCHEME or not bucket:
        # What was written is not repeated: it may hold credentials.
        raise UsageError("--on-oversize names no place in S3", hint=hint)
    if not BUCKET.fullmatch(bucket) or _is_address(bucket):
        raise UsageError(
            "--on-oversize names no possible bucket",
            hint="A name has 3 to 63 lower-case letters, digits, dots and hyphens.",
        )
    prefix = prefix.removesuffix("/")
    if not prefix:
        return bucket, ""
    if any(part in ("", ".", "..") for part in prefix.split("/")) or re.search(
        r"[\x00-\x1f\x7f\ud800-\udfff]", prefix
    ):
        raise UsageError(
            f"the prefix in {SCHEME}{bucket} cannot be one of keys", hint=hint
        )
    if len(prefix.encode()) > LONGEST_PREFIX:
        raise UsageError(
            f"the prefix in {SCHEME}{bucket} is too long",
            hint=f"It may have {LONGEST_PREFIX} bytes; a key in S3 has {LONGEST_KEY}.",
        )
    return bucket, f"{prefix}/"


def _is_address(bucket: str) -> bool:
    try:
        ipaddress.IPv4Address(bucket)
    except ValueError:
        return False
    return True


def _folder(body: str) -> str:
    """The event's source, as one part of a key. Raises ValueError."""
    found = members(body)
    if "source" not in found:
        raise ValueError("without a source")
    start, end = found["source"]
    source = json.loads(body[start:end])
    if not isinstance(source, str):
        raise ValueError("without a source")
    folder = UNSAFE.sub(_percent, source)
    # "." and ".." are directions to some tools.
    return folder if folder.strip(".") else folder.replace(".", "%2E")


def _percent(match: re.Match[str]) -> str:
    # Not urllib.parse.quote, which never writes ~ this way.
    data = match[0].encode("utf-8", "surrogatepass")
    return "".join(f"%{byte:02X}" for byte in data)


def _pointer(event: Event, reference: Reference, without: Collection[str]) -> Event:
    """The event as before to the sink: of the same name and key."""
    body = abridged(event.body, without, claim_check=asdict(reference))
    return replace(event, body=body)


def _oversized(results: Sequence[Result]) -> list[int]:
    return [
        n for n, result in enumerate(results) if result.outcome is Outcome.OVERSIZED
    ]
