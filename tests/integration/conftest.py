"""A database to break and to mend, and AWS as somebody else understands it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pymysql
import pytest
from fakes.aws import FakeAws
from fakes.ministack import ministack, program
from integration.box import Box
from integration.checked import Checked
from integration.stand_in import Theirs

from evtrig.demo.server import ThrowawayServer

#: What boto3 would take from the machine that the tests run on.
AWS_VARIABLES = (
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_RETRY_MODE",
    "AWS_MAX_ATTEMPTS",
    "AWS_ENDPOINT_URL",
    *(f"AWS_ENDPOINT_URL_{name}" for name in ("S3", "SQS", "SNS", "KINESIS")),
    "AWS_ENDPOINT_URL_EVENTBRIDGE",
)


@pytest.fixture
def checked(
    server: ThrowawayServer,
    schema: str,
    outbox: str,
    tmp_path: Path,
    connect: Callable[..., pymysql.Connection],
) -> Iterator[Checked]:
    """With nothing installed; its owner goes with it."""
    found = Checked(server, schema, outbox, tmp_path, connect())
    yield found
    user, _, host = found.definer.partition("@")
    found.run(f"DROP USER IF EXISTS `{user}`@`{host}`")


@pytest.fixture
def box(
    server: ThrowawayServer, outbox: str, connect: Callable[..., pymysql.Connection]
) -> Box:
    return Box(server, outbox, connect())


@pytest.fixture(scope="session")
def second_opinion() -> Iterator[str]:
    """Endpoint of a MiniStack, which knows nothing of our fake AWS."""
    python = program()
    if python is None:
        reason = "no MiniStack here; python tests/fakes/ministack.py installs it"
        if os.environ.get("CI"):
            pytest.fail(f"{reason}; under CI it is required", pytrace=False)
        pytest.skip(reason)
    with ministack(python) as endpoint_url:
        yield endpoint_url


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with FakeAws(seed=1) as aws:
        yield aws


@pytest.fixture
def aws_account(aws: FakeAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials and a region for the fake, and nothing of this machine's."""
    for name in AWS_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "fake")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "fake")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)


@pytest.fixture(scope="session")
def theirs(second_opinion: str) -> Iterator[Theirs]:
    """MiniStack, to be asked."""
    found = Theirs(second_opinion)
    yield found
    found.close()
