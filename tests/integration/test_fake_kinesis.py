"""The fake must be as strict as Kinesis, and must lie only when told to."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from fakes import faults, kinesis
from fakes.aws import FakeAws

MIB = 1_048_576


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with FakeAws(seed=1) as aws:
        yield aws


def connect(endpoint_url: str, service: str = "kinesis") -> Any:
    return boto3.client(
        service,
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="fake",
        aws_secret_access_key="fake",
        config=Config(connect_timeout=2, retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def client(aws: FakeAws) -> Iterator[Any]:
    client = connect(aws.endpoint_url)
    yield client
    client.close()


@pytest.fixture
def stream(aws: FakeAws) -> kinesis.Stream:
    return aws.kinesis.create_stream("orders")


def record(number: int, key: str | None = None) -> dict[str, Any]:
    return {"Data": f"body {number}".encode(), "PartitionKey": key or f"k{number}"}


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_records_are_stored_in_the_shard_of_their_key(
    client: Any, stream: kinesis.Stream
) -> None:
    answer = client.put_records(
        StreamName="orders", Records=[record(n) for n in range(500)]
    )
    assert answer["FailedRecordCount"] == 0
    shards = client.list_shards(StreamARN=stream.arn)["Shards"]
    assert len(shards) == 4
    for number, result in enumerate(answer["Records"]):
        digest = int(hashlib.md5(f"k{number}".encode()).hexdigest(), 16)
        (holder,) = [
            shard["ShardId"]
            for shard in shards
            if int(shard["HashKeyRange"]["StartingHashKey"])
            <= digest
            <= int(shard["HashKeyRange"]["EndingHashKey"])
        ]
        assert result["ShardId"] == holder
    bodies = {arrival.sequence_number: arrival.body for arrival in stream.arrivals}
    assert [bodies[result["SequenceNumber"]] for result in answer["Records"]] == [
        f"body {n}" for n in range(500)
    ]
    numbers = [int(arrival.sequence_number or 0) for arrival in stream.arrivals]
    assert numbers == sorted(set(numbers))
    assert len(stream.arrivals) == stream.arrived == 500


def test_one_call_keeps_no_order_within_a_key(
    client: Any, stream: kinesis.Stream
) -> None:
    client.put_records(
        StreamName="orders", Records=[record(n, "same") for n in range(10)]
    )
    stored = [arrival.body for arrival in stream.arrivals]
    assert sorted(stored) == [f"body {n}" for n in range(10)] != stored
    assert {arrival.group for arrival in stream.arrivals} == {"same"}


def test_two_calls_keep_their_order(client: Any, stream: kinesis.Stream) -> None:
    for number in range(5):
        client.put_records(StreamName="orders", Records=[record(number, "same")])
    assert [arrival.body[-1] for arrival in stream.arrivals] == list("01234")


def test_the_order_is_the_same_in_every_run() -> None:
    def stored(seed: int) -> list[str]:
        with FakeAws(seed=seed) as aws:
            stream = aws.kinesis.create_stream("orders")
            client = connect(aws.endpoint_url)
            client.put_records(
                StreamName="orders", Records=[record(n) for n in range(20)]
            )
            client.close()
            return [arrival.body for arrival in stream.arrivals]

    assert stored(1) == stored(1) != stored(2)


def test_a_stream_is_known_by_name_and_by_arn(
    client: Any, stream: kinesis.Stream
) -> None:
    for known in (
        {"StreamName": "orders"},
        {"StreamARN": stream.arn},
        {"StreamName": "orders", "StreamARN": stream.arn},
    ):
        client.put_records(**known, Records=[record(1)])
        summary = client.describe_stream_summary(**known)["StreamDescriptionSummary"]
        assert summary["StreamStatus"] == "ACTIVE"
    assert len(stream.arrivals) == 3
    with pytest.raises(client.exceptions.InvalidArgumentException):
        client.put_records(
            StreamName="other", StreamARN=stream.arn, Records=[record(1)]
        )
    with pytest.raises(client.exceptions.InvalidArgumentException):
        client.put_records(Records=[record(1)])


def test_an_unknown_stream_is_not_found(client: Any, stream: kinesis.Stream) -> None:
    for known in (
        {"StreamName": "nowhere"},
        {"StreamARN": stream.arn + "x"},
        {"StreamARN": stream.arn.replace("us-east-1", "eu-west-1")},
    ):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.put_records(**known, Records=[record(1)])
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.describe_stream_summary(**known)


def test_a_summary_tells_mode_size_and_distribution(aws: FakeAws, client: Any) -> None:
    aws.kinesis.create_stream("provisioned", 2)
    aws.kinesis.create_stream("on-demand", mode="ON_DEMAND", max_record_kib=2048)
    aws.kinesis.create_stream("auto", mode="ON_DEMAND", distribution="AUTO")
    summaries = {
        name: client.describe_stream_summary(StreamName=name)[
            "StreamDescriptionSummary"
        ]
        for name in ("provisioned", "on-demand", "auto")
    }
    assert [
        (
            summary["StreamModeDetails"]["StreamMode"],
            summary["OpenShardCount"],
            summary["MaxRecordSizeInKiB"],
            summary.get("RecordDistributionStrategy"),
        )
        for summary in summaries.values()
    ] == [
        ("PROVISIONED", 2, 1024, None),
        ("ON_DEMAND", 4, 2048, "USER_PARTITION_KEY"),
        ("ON_DEMAND", 4, 1024, "AUTO"),
    ]


def test_automatic_distribution_ignores_the_partition_key(
    aws: FakeAws, client: Any
) -> None:
    stream = aws.kinesis.create_stream("auto", mode="ON_DEMAND", distribution="AUTO")
    client.put_records(
        StreamName="auto",
        Records=[record(1, "same"), record(2, "same"), {"Data": b"keyless"}],
    )
    assert len({arrival.attributes["ShardId"] for arrival in stream.arrivals}) == 3


def test_an_impossible_stream_cannot_be_made(aws: FakeAws) -> None:
    with pytest.raises(ValueError, match="not a stream"):
        aws.kinesis.create_stream("orders!")
    with pytest.raises(ValueError, match="AUTO"):
        aws.kinesis.create_stream("orders", distribution="AUTO")
    with pytest.raises(ValueError, match="20000"):
        aws.kinesis.create_stream("orders", max_record_kib=20_000)


def test_a_call_has_at_most_500_records(client: Any, stream: kinesis.Stream) -> None:
    with pytest.raises(ClientError) as error:
        client.put_records(StreamName="orders", Records=[record(n) for n in range(501)])
    assert code(error) == "ValidationException"
    assert stream.arrivals == ()


def test_a_record_has_one_mebibyte_with_its_key(
    client: Any, stream: kinesis.Stream
) -> None:
    good = {"Data": b"x" * (MIB - 2), "PartitionKey": "é"}
    client.put_records(StreamName="orders", Records=[good])
    large = {**good, "Data": b"x" * (MIB - 1)}
    with pytest.raises(client.exceptions.InvalidArgumentException):
        client.put_records(StreamName="orders", Records=[record(1), large])
    assert len(stream.arrivals) == 1


def test_a_stream_may_take_larger_records(aws: FakeAws, client: Any) -> None:
    stream = aws.kinesis.create_stream("large", max_record_kib=10_240)
    records = [{"Data": b"x" * (5 * MIB - 1), "PartitionKey": "k"}] * 2
    client.put_records(StreamName="large", Records=records)
    assert len(stream.arrivals) == 2
    with pytest.raises(client.exceptions.InvalidArgumentException) as error:
        client.put_records(StreamName="large", Records=[*records, record(1)])
    assert "10 MB" in str(error.value)


@pytest.mark.parametrize("key", ["x" * 257, None])
def test_a_partition_key_has_between_1_and_256_characters(
    client: Any, stream: kinesis.Stream, key: str | None
) -> None:
    client.put_records(StreamName="orders", Records=[record(1, "é" * 256)])
    bad = {"Data": b"", **({} if key is None else {"PartitionKey": key})}
    with pytest.raises(ClientError) as error:
        client.put_records(StreamName="orders", Records=[record(1), bad])
    assert code(error) == "ValidationException"
    assert len(stream.arrivals) == 1


def test_a_hash_key_overrides_the_partition_key(
    client: Any, stream: kinesis.Stream
) -> None:
    records = [
        {**record(1), "ExplicitHashKey": "0"},
        {**record(2), "ExplicitHashKey": str((1 << 128) - 1)},
    ]
    answer = client.put_records(StreamName="orders", Records=records)
    assert [result["ShardId"] for result in answer["Records"]] == [
        stream.shards[0],
        stream.shards[-1],
    ]
    with pytest.raises(client.exceptions.InvalidArgumentException):
        client.put_records(
            StreamName="orders",
            Records=[{**record(1), "ExplicitHashKey": str(1 << 128)}],
        )
    with pytest.raises(ClientError) as error:
        client.put_records(
            StreamName="orders", Records=[{**record(1), "ExplicitHashKey": "01"}]
        )
    assert code(error) == "ValidationException"


def test_bytes_that_are_no_text_arrive_as_they_are(
    client: Any, stream: kinesis.Stream
) -> None:
    data = bytes(range(256))
    client.put_records(
        StreamName="orders", Records=[{"Data": data, "PartitionKey": "k"}]
    )
    body = stream.arrivals[0].body
    assert body.encode("utf-8", "surrogateescape") == data


def test_records_fail_as_the_script_says(
    aws: FakeAws, client: Any, stream: kinesis.Stream
) -> None:
    aws.faults.add(
        faults.FailEntries(where=lambda entry: entry["Data"] == "body 1"), calls=1
    )
    aws.faults.add(
        faults.FailEntries(
            "ProvisionedThroughputExceededException",
            where=lambda entry: entry["PartitionKey"] == "k3",
        ),
        calls=1,
    )
    answer = client.put_records(
        StreamName="orders", Records=[record(n) for n in range(5)]
    )
    assert answer["FailedRecordCount"] == 2
    assert [result.get("ErrorCode") for result in answer["Records"]] == [
        None,
        "InternalFailure",
        None,
        "ProvisionedThroughputExceededException",
        None,
    ]
    assert "stream orders under account" in answer["Records"][3]["ErrorMessage"]
    taken = {arrival.body for arrival in stream.arrivals}
    assert taken == {"body 0", "body 2", "body 4"}
    (call,) = aws.calls
    assert (call.entries, call.accepted, call.failed) == (5, 3, 2)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (kinesis.throttled(), "ProvisionedThroughputExceededException"),
        (kinesis.access_denied(), "AccessDeniedException"),
        (kinesis.internal_failure(), "InternalFailureException"),
        (kinesis.kms_error("KMSThrottlingException"), "KMSThrottlingException"),
        (kinesis.not_found(), "ResourceNotFoundException"),
    ],
)
def test_a_whole_call_is_refused_with_the_classes_of_the_model(
    aws: FakeAws, client: Any, stream: kinesis.Stream, error: Any, expected: str
) -> None:
    aws.faults.add(faults.Answer(error), calls=1, action="PutRecords")
    with pytest.raises(getattr(client.exceptions, expected)):
        client.put_records(StreamName="orders", Records=[record(1)])
    assert stream.arrivals == ()


def test_a_call_whose_acknowledgement_is_lost_has_arrived(
    aws: FakeAws, client: Any, stream: kinesis.Stream
) -> None:
    aws.faults.add(faults.LoseAcknowledgement(), calls=1)
    with pytest.raises(ConnectionClosedError):
        client.put_records(StreamName="orders", Records=[record(1)])
    client.put_records(StreamName="orders", Records=[record(1)])
    assert len(stream.delivered) == 2


def test_a_stream_that_is_being_made_takes_nothing(aws: FakeAws, client: Any) -> None:
    stream = aws.kinesis.create_stream("orders", status="CREATING")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.put_records(StreamName="orders", Records=[record(1)])
    stream.status = "ACTIVE"
    client.put_records(StreamName="orders", Records=[record(1)])


def test_a_signature_out_of_date_is_refused(
    aws: FakeAws, client: Any, stream: kinesis.Stream
) -> None:
    aws.signing_clock.advance(400)
    with pytest.raises(ClientError) as error:
        client.put_records(StreamName="orders", Records=[record(1)])
    assert code(error) == "InvalidSignatureException"
    assert stream.arrivals == ()


def test_a_process_has_topics_streams_and_buses(tmp_path: Path) -> None:
    log = tmp_path / "arrivals.ndjson"
    process = subprocess.Popen(
        [
            *(sys.executable, Path(sys.modules[FakeAws.__module__].__file__ or "")),
            *("--topic", "large.fifo,MaximumMessageSize=1048576"),
            *("--stream", "wide,7", "--stream", "usual", "--bus", "orders"),
            *("--log", log),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None
    with process:
        url = stdout.readline().strip()
        topics, streams, buses = (
            connect(url, service) for service in ("sns", "kinesis", "events")
        )
        topic = f"arn:aws:sns:us-east-1:{kinesis.ACCOUNT}:large.fifo"
        attributes = topics.get_topic_attributes(TopicArn=topic)["Attributes"]
        assert attributes["MaximumMessageSize"] == "1048576"
        counts = [
            len(streams.list_shards(StreamName=name)["Shards"])
            for name in ("wide", "usual")
        ]
        assert counts == [7, 4]
        assert buses.describe_event_bus(Name="orders")["Name"] == "orders"
        throttled = {"fault": "Answer", "error": "kinesis.throttled", "calls": 1}
        late = {"fault": "Delay", "seconds": 0.01, "accepted": True}
        stdin.write(json.dumps([throttled, late]) + "\n")
        stdin.flush()
        assert stdout.readline().strip() == "2"
        with pytest.raises(streams.exceptions.ProvisionedThroughputExceededException):
            streams.put_records(StreamName="wide", Records=[record(1)])
        streams.put_records(StreamName="wide", Records=[record(1)])
        for client in (topics, streams, buses):
            client.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    (arrival,) = [line for line in lines if line["log"] == "arrival"]
    assert (arrival["service"], arrival["queue"], arrival["group"]) == (
        "kinesis",
        "wide",
        "k1",
    )
