"""Whom the SQS sink calls: what its queue's URL says of region and endpoint."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from evtrig.errors import SinkError, UsageError
from evtrig.relay.sinks import sqs
from evtrig.relay.sinks.sqs import SqsSink

pytestmark = pytest.mark.usefixtures("aws_account")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, aws_account: None) -> None:
    """The queue's own endpoint, and not that of a fake."""
    monkeypatch.delenv("AWS_ENDPOINT_URL")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "orders",
        "arn:aws:sqs:us-east-1:123456789012:orders",
        "https://x",
        "https://[::1/123456789012/orders",
    ],
)
def test_what_is_no_url_of_a_queue(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        SqsSink(url)
    assert "sqs:https://" in (raised.value.hint or "")


def client(url: str) -> Any:
    return sqs.client(boto3.session.Session(), url)


class TestClient:
    """No call is made: nothing listens, and nobody waits."""

    @pytest.mark.parametrize(
        ("host", "region"),
        [
            ("sqs.eu-west-1.amazonaws.com", "eu-west-1"),
            ("sqs.ap-southeast-2.amazonaws.com", "ap-southeast-2"),
            ("sqs.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
            ("sqs.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            ("sqs.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
            ("sqs.us-east-2.api.aws", "us-east-2"),
            ("sqs-fips.us-west-2.amazonaws.com", "us-west-2"),
            ("vpce-0a1b-2c3d.sqs.eu-west-1.vpce.amazonaws.com", "eu-west-1"),
        ],
    )
    @pytest.mark.parametrize("default", [None, "us-east-1"])
    def test_region_and_endpoint_are_those_of_the_queue(
        self,
        monkeypatch: pytest.MonkeyPatch,
        host: str,
        region: str,
        default: str | None,
    ) -> None:
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        if default:
            monkeypatch.setenv("AWS_DEFAULT_REGION", default)
        made = client(f"https://{host}/123456789012/orders")
        assert made.meta.region_name == region
        assert made.meta.endpoint_url == f"https://{host}"
        made.close()

    def test_a_local_stand_in_needs_no_further_setting(self) -> None:
        made = client("http://127.0.0.1:9324/queue/orders")
        assert made.meta.endpoint_url == "http://127.0.0.1:9324"
        made.close()

    @pytest.mark.parametrize(
        "endpoint",
        [
            "http://localhost:4566",
            "https://vpce-0a1b-2c3d.sqs.eu-west-1.vpce.amazonaws.com",
        ],
    )
    @pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS"])
    def test_a_configured_endpoint_is_heeded(
        self, monkeypatch: pytest.MonkeyPatch, variable: str, endpoint: str
    ) -> None:
        monkeypatch.setenv(variable, endpoint)
        made = client("https://sqs.eu-west-1.amazonaws.com/123456789012/orders")
        assert made.meta.endpoint_url == endpoint
        assert made.meta.region_name == "eu-west-1"
        made.close()

    def test_no_region_says_what_to_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        with pytest.raises(SinkError, match="region") as raised:
            client("http://127.0.0.1:9324/queue/orders")
        assert "AWS_DEFAULT_REGION" in (raised.value.hint or "")

    def test_the_region_of_the_hint_is_heeded(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """boto3 does not look at AWS_REGION, which the other SDKs do."""
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        monkeypatch.setenv("AWS_REGION", "eu-north-1")
        made = client("http://127.0.0.1:9324/queue/orders")
        assert made.meta.region_name == "eu-north-1"
        made.close()
