"""The fake must be as strict as EventBridge, and must lie only when told to."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from fakes import eventbridge, faults
from fakes.aws import FakeAws


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with FakeAws(seed=1) as aws:
        yield aws


def connect(aws: FakeAws) -> Any:
    return boto3.client(
        "events",
        endpoint_url=aws.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="fake",
        aws_secret_access_key="fake",
        config=Config(connect_timeout=2, retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def client(aws: FakeAws) -> Iterator[Any]:
    client = connect(aws)
    yield client
    client.close()


@pytest.fixture
def bus(aws: FakeAws) -> eventbridge.EventBus:
    return aws.eventbridge.create_bus("orders")


def entry(number: int = 1, **members: Any) -> dict[str, Any]:
    return {
        "EventBusName": "orders",
        "Source": "evtrig",
        "DetailType": "orders.insert",
        "Detail": json.dumps({"number": number}),
        **members,
    }


def failures(answer: dict[str, Any]) -> list[str | None]:
    return [result.get("ErrorCode") for result in answer["Entries"]]


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_events_arrive_in_no_particular_order(
    client: Any, bus: eventbridge.EventBus
) -> None:
    answer = client.put_events(Entries=[entry(n) for n in range(10)])
    assert answer["FailedEntryCount"] == 0
    arrived = [arrival.body for arrival in bus.arrivals]
    sent = [json.dumps({"number": n}) for n in range(10)]
    assert sorted(arrived) == sent != arrived
    ids = {arrival.message_id: arrival.body for arrival in bus.arrivals}
    assert [ids[result["EventId"]] for result in answer["Entries"]] == sent
    assert bus.arrivals[0].attributes["DetailType"] == "orders.insert"


def test_the_order_is_the_same_in_every_run() -> None:
    def arrived(seed: int) -> list[str]:
        with FakeAws(seed=seed) as aws:
            bus = aws.eventbridge.create_bus("orders")
            client = connect(aws)
            client.put_events(Entries=[entry(n) for n in range(10)])
            client.close()
            return [arrival.body for arrival in bus.arrivals]

    assert arrived(1) == arrived(1) != arrived(2)


def test_a_bus_is_known_by_name_and_by_arn(
    aws: FakeAws, client: Any, bus: eventbridge.EventBus
) -> None:
    client.put_events(Entries=[entry(), entry(EventBusName=bus.arn)])
    assert len(bus.arrivals) == 2
    without = entry()
    del without["EventBusName"]
    client.put_events(Entries=[without])
    assert len(aws.eventbridge.default.arrivals) == 1
    for name in ("orders", bus.arn):
        assert client.describe_event_bus(Name=name)["Arn"] == bus.arn
    assert client.describe_event_bus()["Name"] == "default"
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_event_bus(Name="nowhere")


@pytest.mark.parametrize(
    "members", [{"EventBusName": "nowhere"}, {"DetailType": "x" * 129}]
)
def test_an_event_may_be_accepted_and_thrown_away(
    aws: FakeAws, client: Any, bus: eventbridge.EventBus, members: dict[str, str]
) -> None:
    answer = client.put_events(Entries=[entry(**members)])
    assert answer["FailedEntryCount"] == 0
    assert answer["Entries"][0]["EventId"]
    assert bus.arrivals == ()
    assert [lost["Source"] for lost in aws.eventbridge.lost] == ["evtrig"]


def test_a_call_has_between_1_and_10_entries(
    client: Any, bus: eventbridge.EventBus
) -> None:
    with pytest.raises(ClientError) as error:
        client.put_events(Entries=[entry(n) for n in range(11)])
    assert code(error) == "ValidationException"
    assert bus.arrivals == ()


def test_all_entries_together_are_smaller_than_a_megabyte(
    client: Any, bus: eventbridge.EventBus
) -> None:
    frame = len("evtrig" + "orders.insert" + '{"a": ""}' + "resource") + 14
    members = {
        "Time": datetime.datetime(2026, 11, 1, tzinfo=datetime.timezone.utc),
        "Resources": ["resource"],
    }

    def entry_of(size: int) -> dict[str, Any]:
        return entry(Detail=json.dumps({"a": "x" * (size - frame)}), **members)

    client.put_events(Entries=[entry_of(500_000), entry_of(499_999)])
    with pytest.raises(ClientError) as error:
        client.put_events(Entries=[entry_of(500_000), entry_of(500_000)])
    assert code(error) == "ValidationException"
    assert "Total size of the entries" in str(error.value)
    assert len(bus.arrivals) == 2


@pytest.mark.parametrize(
    "detail",
    [
        "text",
        '"text"',
        "[]",
        "{",
        '{"a": NaN}',
        '{"a": 9223372036854775808}',
        '{"a":' * 1001 + "1" + "}" * 1001,
    ],
)
def test_a_detail_is_a_json_object(
    client: Any, bus: eventbridge.EventBus, detail: str
) -> None:
    answer = client.put_events(Entries=[entry(1), entry(Detail=detail), entry(2)])
    assert failures(answer) == [None, "MalformedDetail", None]
    assert answer["FailedEntryCount"] == 1
    assert len(bus.arrivals) == 2


def test_brackets_in_a_text_are_no_levels(
    client: Any, bus: eventbridge.EventBus
) -> None:
    detail = json.dumps({"a": '[{"' * 2000, "least": -(1 << 63)})
    assert failures(client.put_events(Entries=[entry(Detail=detail)])) == [None]


@pytest.mark.parametrize("name", ["Source", "DetailType", "Detail"])
def test_an_entry_needs_source_type_and_detail(
    client: Any, bus: eventbridge.EventBus, name: str
) -> None:
    bad = entry()
    del bad[name]
    answer = client.put_events(Entries=[bad, entry()])
    assert failures(answer) == ["InvalidArgument", None]
    assert f"{name} is a required argument" in answer["Entries"][0]["ErrorMessage"]


def test_the_sources_of_aws_are_its_own(client: Any, bus: eventbridge.EventBus) -> None:
    answer = client.put_events(Entries=[entry(Source="aws.rds"), entry(Source="aws")])
    assert failures(answer) == ["NotAuthorizedForSourceException", None]


def test_entries_fail_as_the_script_says(
    aws: FakeAws, client: Any, bus: eventbridge.EventBus
) -> None:
    aws.faults.add(
        faults.FailEntries(where=lambda entry: "1" in faults.body_of(entry)), calls=1
    )
    answer = client.put_events(Entries=[entry(n) for n in range(3)])
    assert failures(answer) == [None, "InternalFailure", None]
    assert (aws.calls[0].accepted, aws.calls[0].failed) == (2, 1)
    aws.faults.add(faults.FailEntries("ThrottlingException"), calls=1)
    answer = client.put_events(Entries=[entry(n) for n in range(3)])
    assert failures(answer) == ["ThrottlingException"] * 3
    assert len(bus.arrivals) == 2


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (eventbridge.throttled(), "ThrottlingException"),
        (eventbridge.access_denied(), "AccessDeniedException"),
        (eventbridge.internal_exception(), "InternalException"),
        (faults.service_unavailable(), "ServiceUnavailable"),
    ],
)
def test_a_whole_call_is_refused_as_the_script_says(
    aws: FakeAws, client: Any, bus: eventbridge.EventBus, error: Any, expected: str
) -> None:
    aws.faults.add(faults.Answer(error), calls=1, action="PutEvents")
    with pytest.raises(ClientError) as raised:
        client.put_events(Entries=[entry()])
    assert code(raised) == expected
    assert bus.arrivals == ()


def test_a_call_whose_acknowledgement_is_lost_has_arrived(
    aws: FakeAws, client: Any, bus: eventbridge.EventBus
) -> None:
    aws.faults.add(faults.LoseAcknowledgement(), calls=1)
    with pytest.raises(ConnectionClosedError):
        client.put_events(Entries=[entry()])
    assert len(bus.delivered) == 1
