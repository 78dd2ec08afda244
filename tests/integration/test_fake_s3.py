"""The fake must be as strict as S3, and must lie only when told to."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from fakes import s3
from fakes.aws import FakeAws
from fakes.faults import Answer, FailEntries, LoseAcknowledgement, Reset


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with FakeAws(seed=1) as aws:
        yield aws


@pytest.fixture
def bucket(aws: FakeAws) -> s3.Bucket:
    return aws.s3.create_bucket("large")


def connect(aws: FakeAws, **config: Any) -> Any:
    return boto3.client(
        "s3",
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


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


@pytest.mark.parametrize(
    "key", ["a", "a/b.json", "/a", "a//b", "é 🍣?#&%2E+", "a/../b", "x" * 1024]
)
def test_what_is_put_can_be_got(client: Any, bucket: s3.Bucket, key: str) -> None:
    body = bytes(range(256)) * 1000
    put = client.put_object(Bucket="large", Key=key, Body=body, ContentType="a/b")
    got = client.get_object(Bucket="large", Key=key)
    assert got["Body"].read() == body
    assert (got["ContentType"], got["ETag"]) == ("a/b", put["ETag"])
    assert list(bucket.objects) == [key]


def test_the_checksum_that_boto3_sends_is_kept(client: Any, bucket: s3.Bucket) -> None:
    client.put_object(Bucket="large", Key="a", Body=b"123456789")
    # The check value of CRC-32.
    expected = base64.b64encode(bytes.fromhex("cbf43926")).decode()
    assert bucket.writes[0].checksums == {"x-amz-checksum-crc32": expected}
    got = client.get_object(Bucket="large", Key="a", ChecksumMode="ENABLED")
    assert got["ChecksumCRC32"] == expected


def test_a_checksum_of_the_caller_is_compared(client: Any, bucket: s3.Bucket) -> None:
    for algorithm in ("sha256", "sha1"):
        member = f"Checksum{algorithm.upper()}"
        wrong = hashlib.new(algorithm, b"other").digest()
        with pytest.raises(ClientError) as error:
            client.put_object(
                Bucket="large",
                Key="a",
                Body=b"this",
                **{member: base64.b64encode(wrong).decode()},
            )
        assert code(error) == "BadDigest"
    assert bucket.writes == []


def test_a_body_that_was_changed_on_the_way_is_noticed(
    client: Any, bucket: s3.Bucket
) -> None:
    def change(request: Any, **_: object) -> None:
        request.body = b"that"

    client.meta.events.register("before-send", change)
    with pytest.raises(ClientError) as error:
        client.put_object(Bucket="large", Key="a", Body=b"this")
    assert code(error) == "XAmzContentSHA256Mismatch"
    assert bucket.writes == []


def test_what_is_not_there_is_said_to_be_missing(client: Any, aws: FakeAws) -> None:
    with pytest.raises(client.exceptions.NoSuchBucket):
        client.get_object(Bucket="large", Key="a")
    aws.s3.create_bucket("large")
    with pytest.raises(client.exceptions.NoSuchKey):
        client.get_object(Bucket="large", Key="a")
    aws.s3.delete_bucket("large")
    with pytest.raises(ClientError) as error:
        client.put_object(Bucket="large", Key="a", Body=b"")
    assert code(error) == "NoSuchBucket"


def test_a_key_has_1024_bytes(client: Any, bucket: s3.Bucket) -> None:
    with pytest.raises(ClientError) as error:
        client.put_object(Bucket="large", Key="é" * 512 + "x", Body=b"")
    assert code(error) == "KeyTooLongError"


@pytest.mark.parametrize("seconds", [1000, -1000])
def test_a_signature_out_of_date_is_refused(
    client: Any, aws: FakeAws, bucket: s3.Bucket, seconds: int
) -> None:
    aws.signing_clock.advance(seconds)
    with pytest.raises(ClientError) as error:
        client.put_object(Bucket="large", Key="a", Body=b"")
    assert code(error) == "RequestTimeTooSkewed"
    aws.signing_clock.advance(-seconds * 0.8)
    client.put_object(Bucket="large", Key="a", Body=b"")


def test_nothing_is_taken_without_a_signature(aws: FakeAws, bucket: s3.Bucket) -> None:
    client = connect(aws, signature_version=UNSIGNED)
    with pytest.raises(ClientError):
        client.put_object(Bucket="large", Key="a", Body=b"")
    client.close()
    assert bucket.writes == []


def test_what_it_does_not_know_it_does_not_take(client: Any, bucket: s3.Bucket) -> None:
    for call, members in (
        (client.delete_object, {"Key": "a"}),
        (client.list_objects_v2, {}),
        (client.put_object_tagging, {"Key": "a", "Tagging": {"TagSet": []}}),
    ):
        with pytest.raises(ClientError) as error:
            call(Bucket="large", **members)
        assert code(error) == "InvalidAction"


def test_it_fails_as_it_is_told_to(
    client: Any, aws: FakeAws, bucket: s3.Bucket
) -> None:
    def put() -> None:
        client.put_object(Bucket="large", Key="a", Body=b"")

    for fault, expected in (
        (Answer(s3.slow_down()), "SlowDown"),
        (Answer(s3.access_denied()), "AccessDenied"),
        (FailEntries("KMS.DisabledException", sender_fault=True), "KMS.Disabled"),
    ):
        aws.faults.add(fault, calls=1)
        with pytest.raises(ClientError, match=expected):
            put()
    aws.faults.add(Reset(), calls=1)
    with pytest.raises(ConnectionClosedError):
        put()
    assert bucket.writes == []
    aws.faults.clear()
    aws.faults.add(LoseAcknowledgement(), calls=1)
    with pytest.raises(ConnectionClosedError):
        put()
    assert len(bucket.writes) == 1
