"""What a relay calls at AWS, recorded, is what its policy allows, and no more."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from fakes.aws import FakeAws
from integration.box import Box
from integration.destination import KINDS, Destination

from evtrig.cli import main
from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.relay.permission import (
    Here,
    for_database,
    for_destinations,
    for_large_events,
)
from evtrig.relay.sinks import make_sink

pytestmark = pytest.mark.usefixtures("aws_account")

HERE = Here(region="us-east-1", account="123456789012")
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/relay-a1B2c3"
LARGE = "s3://large/events"

#: Calls that IAM knows by another action: SendMessage and Publish allow them too
#: ("Amazon SQS API permissions", and "Actions defined by Amazon SNS" in the Service
#: Authorization Reference).
ALLOWED_BY = {
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sns:PublishBatch": "sns:Publish",
}


@pytest.fixture
def secret(box: Box, aws: FakeAws) -> Iterator[str]:
    """Names a secret that holds the password of an account of the test's own."""
    name, password = f"test_{secrets.token_hex(4)}", secrets.token_hex(8)
    place = Dsn.parse(box.server.dsn)
    with Connection(place) as root:
        root.execute(f"CREATE USER {name}@'%%' IDENTIFIED BY %s", (password,))
        root.execute(f"GRANT ALL ON *.* TO {name}@'%'")
        known = {"engine": box.server.name, "host": place.host, "port": place.port}
        held = {**known, "username": name, "password": password}
        aws.secrets.put(SECRET, json.dumps(held))
        yield SECRET
        root.execute(f"DROP USER {name}@'%'")


def called(aws: FakeAws) -> set[str]:
    """The actions of all calls so far, as IAM names them."""
    actions = {f"{call.service}:{call.action}" for call in aws.calls}
    return {ALLOWED_BY.get(action, action) for action in actions}


def at_aws(destination: Destination) -> str:
    """The URI with the URL that a queue has at AWS, and not at the fake."""
    name = destination.target.name
    queue = f"sqs:https://sqs.us-east-1.amazonaws.com/123456789012/{name}"
    return queue if destination.scheme == "sqs" else destination.uri


@pytest.mark.parametrize("kind", KINDS)
def test_a_relay_calls_what_it_is_allowed_to_and_all_of_it(
    box: Box, aws: FakeAws, secret: str, kind: str
) -> None:
    destination = Destination(aws, kind)
    aws.s3.create_bucket("large")
    box.insert(10, keys=5)
    box.insert(1, key="large", pad=4000)
    arguments = ["relay", "--dsn", secret, "--outbox", box.schema, "--drain"]
    arguments += ["--sink", destination.with_options(message_bytes=2048)]
    result = CliRunner().invoke(main, [*arguments, "--on-oversize", LARGE])
    assert result.exit_code == 0, result.output
    assert destination.target.arrived == 11
    allowed = [
        *for_destinations([at_aws(destination)], HERE),
        *for_large_events(LARGE),
        *for_database(Dsn.parse(secret), HERE),
    ]
    assert called(aws) == {a for permission in allowed for a in permission.actions}


@pytest.mark.parametrize("kind", KINDS)
def test_who_only_asks_whether_a_destination_does_needs_no_more(
    aws: FakeAws, kind: str
) -> None:
    destination = Destination(aws, kind)
    sink = make_sink(destination.uri)
    sink.check(thoroughly=True)
    sink.close()
    allowed = for_destinations([at_aws(destination)], HERE)
    assert called(aws) == {a for permission in allowed for a in permission.actions}
