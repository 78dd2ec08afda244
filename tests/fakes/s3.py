"""Amazon S3, as far as PutObject and GetObject go.

Path style only (``/bucket/key``), which is what botocore makes of an endpoint that is
an address. Limits and errors are those of the S3 API reference, "Error responses" and
"PutObject", November 2026. What was sent is compared with every checksum that came
with it. Nothing is taken in chunks: over plain HTTP botocore sends none.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

from .service import AwsError, Call, Request, Response, Service

__all__ = [
    "S3",
    "Bucket",
    "Object",
    "access_denied",
    "no_such_bucket",
    "s3_error",
    "slow_down",
]

#: Bytes of a key in UTF-8.
KEY_BYTES = 1024

_SCOPE = re.compile(r"/([a-z0-9-]+)/s3/aws4_request\b")
_UNSIGNED = "UNSIGNED-PAYLOAD"
_CHECKSUMS: Mapping[str, Callable[[bytes], bytes]] = {
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "sha1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
}


@dataclasses.dataclass(frozen=True)
class Object:
    key: str
    body: bytes
    content_type: str
    #: Headers ``x-amz-checksum-*`` it was sent with.
    checksums: Mapping[str, str]
    #: ``Call.number`` of the call that wrote it.
    call: int
    #: ``time.monotonic()``.
    at: float

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'


class Bucket:
    def __init__(self, name: str, region: str) -> None:
        self.name = name
        self.region = region
        #: Every write that was taken, in order, whether the sender was told or not.
        self.writes: list[Object] = []

    @property
    def objects(self) -> Mapping[str, Object]:
        """What is there now, by key."""
        return {written.key: written for written in self.writes}


class WrongRegion(AwsError):
    """Signed for another region than the bucket's, which the answer names."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(
            "AuthorizationHeaderMalformed",
            f"the region '{got}' is wrong; expecting '{expected}'",
        )
        self.region = expected


def s3_error(code: str, message: str, status: int) -> AwsError:
    return AwsError(code, message, status=status)


def slow_down() -> AwsError:
    return s3_error("SlowDown", "Please reduce your request rate.", 503)


def access_denied(action: str = "s3:PutObject") -> AwsError:
    message = (
        f"User: arn:aws:iam::123456789012:user/fake is not authorized to perform: "
        f"{action}"
    )
    return s3_error("AccessDenied", message, 403)


def no_such_bucket() -> AwsError:
    return s3_error("NoSuchBucket", "The specified bucket does not exist", 404)


class S3(Service):
    name = "s3"
    # "Error responses": RequestTimeTooSkewed.
    signature_window = 900
    out_of_date = ("RequestTimeTooSkewed", "RequestTimeTooSkewed")

    def __init__(self, aws: Any) -> None:
        super().__init__(aws)
        self.buckets: dict[str, Bucket] = {}

    def create_bucket(self, name: str, region: str = "us-east-1") -> Bucket:
        bucket = Bucket(name, region)
        with self.aws.changed:
            self.buckets[name] = bucket
        return bucket

    def delete_bucket(self, name: str) -> None:
        with self.aws.changed:
            del self.buckets[name]

    def action(self, request: Request) -> str | None:
        if not _SCOPE.search(request.headers.get("authorization", "")):
            return None
        path, _, query = request.path.partition("?")
        has_key = bool(path.lstrip("/").partition("/")[2])
        if query or not has_key:
            return f"{request.method} {request.path}"
        return {"PUT": "PutObject", "GET": "GetObject"}.get(request.method, "?")

    def parse(self, request: Request) -> Mapping[str, Any]:
        # One slash stands before the bucket, one behind it; more belong to the key.
        bucket, _, key = request.path.removeprefix("/").partition("/")
        scope = _SCOPE.search(request.headers["authorization"])
        assert scope
        return {
            "Bucket": bucket,
            "Region": scope[1],
            "Key": unquote(key, errors="strict"),
            "Headers": request.headers,
            "Body": request.body,
        }

    def do_PutObject(self, call: Call) -> Mapping[str, Any]:  # noqa: N802
        call.entries = 1
        bucket = self._bucket(call)
        headers, body = call.parameters["Headers"], call.parameters["Body"]
        if "content-length" not in headers:
            raise s3_error(
                "MissingContentLength", "You must provide a Content-Length.", 411
            )
        if "aws-chunked" in headers.get("content-encoding", ""):
            raise s3_error("NotImplemented", "the fake takes no chunks", 501)
        self._check_digests(headers, body)
        failure = call.fail(call.parameters)
        if failure is not None:
            raise s3_error(
                failure.code, failure.message, 400 if failure.sender_fault else 500
            )
        checksums = {
            name: value
            for name, value in headers.items()
            if name.startswith("x-amz-checksum-")
        }
        written = Object(
            call.parameters["Key"],
            body,
            headers.get("content-type", "binary/octet-stream"),
            checksums,
            call.number,
            time.monotonic(),
        )
        bucket.writes.append(written)
        call.accepted = 1
        return {"headers": {"ETag": written.etag, **checksums}, "body": b""}

    def do_GetObject(self, call: Call) -> Mapping[str, Any]:  # noqa: N802
        call.entries = 1
        found = self._bucket(call).objects.get(call.parameters["Key"])
        if found is None:
            raise s3_error("NoSuchKey", "The specified key does not exist.", 404)
        headers = {"ETag": found.etag, "Content-Type": found.content_type}
        if call.parameters["Headers"].get("x-amz-checksum-mode") == "ENABLED":
            headers |= found.checksums
        call.accepted = 1
        return {"headers": headers, "body": found.body}

    def render(self, request: Request, result: Mapping[str, Any]) -> Response:
        return Response(200, result["headers"], result["body"])

    def render_error(self, request: Request, error: AwsError) -> Response:
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{escape(error.code)}</Code>"
            f"<Message>{escape(error.message)}</Message>"
        )
        headers = {"Content-Type": "application/xml"}
        if isinstance(error, WrongRegion):
            text += f"<Region>{error.region}</Region>"
            headers["x-amz-bucket-region"] = error.region
        text += "</Error>"
        return Response(error.status, headers, text.encode())

    def _bucket(self, call: Call) -> Bucket:
        if len(call.parameters["Key"].encode()) > KEY_BYTES:
            raise s3_error("KeyTooLongError", "Your key is too long", 400)
        bucket = self.buckets.get(call.parameters["Bucket"])
        if bucket is None:
            raise no_such_bucket()
        if call.parameters["Region"] != bucket.region:
            raise WrongRegion(bucket.region, call.parameters["Region"])
        return bucket

    def _check_digests(self, headers: Mapping[str, str], body: bytes) -> None:
        signed = headers.get("x-amz-content-sha256")
        if signed is None:
            raise s3_error(
                "InvalidRequest", "Missing required header x-amz-content-sha256", 400
            )
        if signed not in (_UNSIGNED, hashlib.sha256(body).hexdigest()):
            raise s3_error(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was "
                "computed.",
                400,
            )
        sent = {
            name.removeprefix("x-amz-checksum-"): value
            for name, value in headers.items()
            if name.startswith("x-amz-checksum-")
        }
        if len(sent) > 1:
            raise s3_error(
                "InvalidRequest", "Expecting a single x-amz-checksum- header", 400
            )
        for algorithm, value in sent.items():
            if algorithm not in _CHECKSUMS:
                raise s3_error("NotImplemented", f"the fake has no {algorithm}", 501)
            if base64.b64encode(_CHECKSUMS[algorithm](body)).decode() != value:
                raise s3_error(
                    "BadDigest",
                    f"The {algorithm.upper()} you specified did not match the "
                    "calculated checksum.",
                    400,
                )
