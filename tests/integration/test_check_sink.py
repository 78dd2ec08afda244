"""`evtrig check --sink`: whether the relay could publish there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from fakes import eventbridge, faults, kinesis, sns
from fakes.aws import FakeAws
from fakes.faults import Answer
from fakes.service import AwsError
from integration.checked import Checked

from evtrig.cli import main


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "fake")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "fake")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("EVTRIG_DSN", raising=False)
    with FakeAws() as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
        yield aws


def check(*arguments: str) -> tuple[int, list[dict[str, object]]]:
    result = CliRunner().invoke(main, ["check", "--json", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, json.loads(result.stdout) if result.stdout else []


def made(aws: FakeAws) -> dict[str, str]:
    """A usable destination of each kind."""
    return {
        "sqs": f"sqs:{aws.sqs.create_queue('orders').url}",
        "sqs-fifo": f"sqs:{aws.sqs.create_queue('orders.fifo').url}",
        "sns": f"sns:{aws.sns.create_topic('orders').arn}",
        "kinesis": f"kinesis:{aws.kinesis.create_stream('orders').name}",
        "eventbridge": f"eventbridge:{aws.eventbridge.create_bus('orders').name}",
    }


def test_what_can_be_used_is_no_fault_and_gets_nothing(aws: FakeAws) -> None:
    for uri in made(aws).values():
        code, findings = check("--sink", uri)
        assert code == 0
        assert {finding["code"] for finding in findings} <= {"sink-notice"}
    assert aws.arrivals == ()


@pytest.mark.parametrize(
    ("kind", "error", "action", "call"),
    [
        ("sqs", faults.access_denied(), "sqs:GetQueueAttributes", "GetQueueAttributes"),
        ("sqs", faults.access_denied(), "sqs:SendMessage", "SendMessageBatch"),
        ("sns", sns.access_denied(), "sns:GetTopicAttributes", "GetTopicAttributes"),
        ("sns", sns.access_denied(), "sns:Publish", "PublishBatch"),
        (
            *("kinesis", kinesis.access_denied()),
            *("kinesis:DescribeStreamSummary", "DescribeStreamSummary"),
        ),
        ("kinesis", kinesis.access_denied(), "kinesis:PutRecords", "PutRecords"),
        (
            *("eventbridge", eventbridge.access_denied()),
            *("events:DescribeEventBus", "DescribeEventBus"),
        ),
        ("eventbridge", eventbridge.access_denied(), "events:PutEvents", "PutEvents"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_action_that_is_not_allowed_is_named(
    aws: FakeAws, kind: str, error: AwsError, action: str, call: str
) -> None:
    uri = made(aws)[kind]
    aws.faults.add(Answer(error), action=call)
    code, findings = check("--sink", uri)
    assert code == 3
    (fault,) = [f for f in findings if f["code"] == "sink-unusable"]
    assert f"Allow {action} on" in str(fault["mend"])


def test_every_destination_of_the_routes_is_asked(aws: FakeAws, tmp_path: Path) -> None:
    aws.kinesis.create_stream("auto", mode="ON_DEMAND", distribution="AUTO")
    path = tmp_path / "relay.yml"
    path.write_text(
        "version: 1\n"
        "destinations:\n"
        f"  orders: '{made(aws)['sqs-fifo']}'\n"
        "  audit: kinesis:auto\n"
        "  gone: eventbridge:gone\n"
        "routes: [{source: a.b, to: [orders, gone]}, {to: audit}]\n"
    )
    code, findings = check("--routes", str(path))
    assert code == 3
    unusable = [f for f in findings if f["code"] == "sink-unusable"]
    assert [f["object"] for f in unusable] == ["audit", "gone"]
    problems = [str(f["problem"]) for f in unusable]
    assert "AUTO ignores partition keys" in problems[0]
    assert "eventbridge:gone: ResourceNotFound" in problems[1]


def test_it_can_be_left_out_like_every_finding(aws: FakeAws) -> None:
    code, findings = check("--sink", "kinesis:gone", "--ignore", "sink-unusable")
    assert (code, findings) == (0, [])


def test_what_is_wrong_and_what_is_to_know_of_a_sink_are_about_the_same_object(
    aws: FakeAws,
) -> None:
    uri = made(aws)["sqs"]
    _, (notice,) = check("--sink", uri)
    _, (fault,) = check("--sink", f"{uri}-gone")
    assert notice["object"] == fault["object"] == "sqs"
    printed = CliRunner().invoke(main, ["check", "--sink", uri]).stdout
    assert printed.startswith("notice: sqs: ")
    assert check("--sink", uri, "--ignore", "sink-notice:sqs") == (0, [])
    assert check("--sink", f"{uri}-gone", "--ignore", "sink-unusable:sqs") == (0, [])


def test_with_routes_the_object_is_the_name_of_the_destination(
    aws: FakeAws, tmp_path: Path
) -> None:
    path = tmp_path / "relay.yml"
    path.write_text(
        "version: 1\n"
        "destinations:\n"
        f"  orders: '{made(aws)['sqs']}'\n"
        "routes: [{to: orders}]\n"
    )
    code, (notice,) = check("--routes", str(path))
    assert (code, notice["object"]) == (0, "orders")
    ignore = ("--ignore", "sink-notice:orders")
    assert check("--routes", str(path), *ignore) == (0, [])
    aws.faults.add(Answer(faults.access_denied()), action="GetQueueAttributes")
    code, (fault,) = check("--routes", str(path))
    assert (code, fault["object"]) == (3, "orders")


def test_without_a_database_and_a_sink_there_is_nothing_to_check(aws: FakeAws) -> None:
    result = CliRunner().invoke(main, ["check"])
    assert result.exit_code == 2
    assert "no database is named" in result.stderr
    result = CliRunner().invoke(main, ["check", "--sink", "stdout:", "--ddl", "x.sql"])
    assert result.exit_code == 2
    assert "need a database" in result.stderr


def test_with_a_database_both_are_looked_at(aws: FakeAws, checked: Checked) -> None:
    checked.capture("CREATE TABLE t (id INT PRIMARY KEY)", t={})
    path, dsn = str(checked.path), checked.server.dsn
    code, findings = check("--spec", path, "--dsn", dsn, "--sink", "kinesis:gone")
    assert code == 3
    assert {"relay-idle", "sink-unusable"} <= {finding["code"] for finding in findings}
