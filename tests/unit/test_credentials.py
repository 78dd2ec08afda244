"""Secrets and tokens: what is read from them, and what is said when they fail."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.exceptions import (
    EndpointConnectionError,
    NoCredentialsError,
    ProfileNotFound,
)
from botocore.stub import Stubber

from evtrig.database import aws, secret
from evtrig.database.credentials import logins
from evtrig.database.dsn import Dsn, Secret
from evtrig.database.rds_iam import region_in, token
from evtrig.database.secret import parse_secret, versions
from evtrig.errors import ConnectionLost, CredentialsError

SECRET = "hunter2xyzzy"
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop"
HOST = "shop.c1abc2def3.eu-west-1.rds.amazonaws.com"


@pytest.fixture(autouse=True)
def no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine: neither credentials nor a region."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


def test_a_secret_as_the_console_makes_it_is_read() -> None:
    content = {
        "engine": "mysql", "username": "app", "password": SECRET, "host": HOST,
        "port": 3307, "dbname": "shop", "dbInstanceIdentifier": "shop",
    }  # fmt: skip
    fields = {
        "user": "app",
        "password": SECRET,
        "host": HOST,
        "port": 3307,
        "schema": "shop",
    }
    assert parse_secret(json.dumps(content), ARN) == fields
    assert parse_secret(json.dumps({**content, "port": "3307"}), ARN) == fields


def test_a_secret_that_rds_manages_has_user_and_password_only() -> None:
    text = json.dumps({"username": "app", "password": SECRET})
    assert parse_secret(text, ARN) == {"user": "app", "password": SECRET}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SECRET, "no JSON object"),
        (f'["{SECRET}"]', "no JSON object"),
        (json.dumps({"password": SECRET}), 'has no "username"'),
        (json.dumps({"username": SECRET}), 'has no "password"'),
        (json.dumps({"username": "", "password": SECRET}), 'as "username"'),
        (json.dumps({"username": "app", "password": 7}), 'as "password"'),
        (
            json.dumps({"username": "app", "password": SECRET, "host": 7}),
            'as "host"',
        ),
        (
            json.dumps({"username": "app", "password": SECRET, "port": "x"}),
            '"port"',
        ),
        (
            json.dumps({"engine": "postgres", "username": "a", "password": SECRET}),
            "not for a MySQL",
        ),
    ],
)
def test_a_secret_that_will_not_do_is_refused_without_a_word_of_it(
    text: str, words: str
) -> None:
    with pytest.raises(CredentialsError) as caught:
        parse_secret(text, ARN)
    error = caught.value
    assert words in error.message
    assert ARN in error.message
    assert error.hint
    assert SECRET not in f"{error} {error.hint} {error!r} {error.__cause__!r}"
    assert error.__context__ is None


@pytest.fixture
def stubber(credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    client: Any = boto3.client("secretsmanager", region_name="eu-west-1")
    monkeypatch.setattr(secret, "session", lambda: Session(client))
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()
    client.close()


class Session:
    def __init__(self, client: Any) -> None:
        self._client = client

    def client(self, *arguments: object, **options: object) -> Any:
        return self._client


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ResourceNotFoundException", "Check the ARN"),
        ("AccessDeniedException", "secretsmanager:GetSecretValue"),
        ("DecryptionFailure", "kms:Decrypt"),
        ("InvalidRequestException", "deletion"),
        ("UnrecognizedClientException", "AWS credentials"),
        ("ExpiredTokenException", "AWS credentials"),
        ("SomethingNew", "SomethingNew"),
    ],
)
def test_each_refusal_of_secrets_manager_says_what_to_do(
    stubber: Stubber, code: str, words: str
) -> None:
    stubber.add_client_error("get_secret_value", code, "words of AWS")
    with pytest.raises(CredentialsError) as caught:
        next(versions(Secret(ARN)))
    assert ARN in caught.value.message
    assert words in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("code", sorted(secret.AGAIN))
def test_a_service_that_is_busy_is_tried_again(stubber: Stubber, code: str) -> None:
    stubber.add_client_error("get_secret_value", code)
    with pytest.raises(ConnectionLost):
        next(versions(Secret(ARN)))


def test_a_binary_secret_is_refused(stubber: Stubber) -> None:
    stubber.add_response("get_secret_value", {"SecretBinary": SECRET.encode()})
    with pytest.raises(CredentialsError, match="binary") as caught:
        next(versions(Secret(ARN)))
    assert SECRET not in f"{caught.value} {caught.value.hint}"


def test_a_secret_without_a_host_says_where_to_put_it(stubber: Stubber) -> None:
    text = json.dumps({"username": "app", "password": SECRET})
    stubber.add_response("get_secret_value", {"SecretString": text})
    with pytest.raises(CredentialsError) as caught:
        next(logins(Dsn.parse(ARN)))
    assert "?host=" in str(caught.value.hint)


def test_the_current_version_is_asked_for_first(stubber: Stubber) -> None:
    stubber.add_response(
        "get_secret_value",
        {"SecretString": json.dumps({"username": "app", "password": SECRET})},
        {"SecretId": ARN, "VersionStage": "AWSCURRENT"},
    )
    assert next(versions(Secret(ARN)))["user"] == "app"


@pytest.mark.parametrize("dsn", [ARN, f"mysql://app@{HOST}?auth=rds-iam"])
def test_no_credentials_of_aws_are_said_to_be_missing(dsn: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        next(logins(Dsn.parse(dsn)))
    assert "credentials" in caught.value.message
    assert "AWS_PROFILE" in str(caught.value.hint)


@pytest.mark.parametrize("dsn", [ARN, f"mysql://app@{HOST}?auth=rds-iam"])
def test_a_profile_that_is_not_there_is_named(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(CredentialsError, match="nobody"):
        next(logins(Dsn.parse(dsn)))


def test_no_answer_is_tried_again_and_no_credentials_are_not() -> None:
    no_answer = EndpointConnectionError(endpoint_url="https://example.com")
    assert isinstance(aws.unavailable(no_answer, "x"), ConnectionLost)
    for error in (NoCredentialsError(), ProfileNotFound(profile="x")):
        assert isinstance(aws.unavailable(error, "x"), CredentialsError)


@pytest.mark.parametrize(
    ("host", "region"),
    [
        (HOST, "eu-west-1"),
        ("shop.cluster-ro-c1abc2def3.us-gov-west-1.rds.amazonaws.com", "us-gov-west-1"),
        ("shop.c1abc2def3.rds.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        (HOST.upper(), "eu-west-1"),
        ("db.example.com", None),
        ("eu-west-1.rds.amazonaws.com.example.com", None),
    ],
)
def test_the_region_is_in_the_name_of_an_rds_host(
    host: str, region: str | None
) -> None:
    assert region_in(host) == region


def test_a_token_is_signed_for_this_account_and_place(credentials: None) -> None:
    made = token(Dsn.parse(f"mysql://app@{HOST}:3307/shop?auth=rds-iam"))
    assert made.startswith(f"{HOST}:3307/?")
    query = parse_qs(urlsplit(f"https://{made}").query)
    assert query["DBUser"] == ["app"]
    assert query["X-Amz-Expires"] == ["900"]
    assert "/eu-west-1/rds-db/" in query["X-Amz-Credential"][0]
    assert SECRET not in made


def test_the_region_may_be_in_the_dsn_or_the_environment(
    credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = token(Dsn.parse("mysql://app@db?auth=rds-iam&region=us-east-1"))
    assert "us-east-1" in made
    dsn = Dsn.parse("mysql://app@db?auth=rds-iam")
    with pytest.raises(CredentialsError) as caught:
        token(dsn)
    assert "&region=" in str(caught.value.hint)
    monkeypatch.setenv("AWS_REGION", "us-east-2")
    assert "us-east-2" in token(dsn)


def test_a_token_shows_in_no_text_of_the_login(credentials: None) -> None:
    (login,) = logins(Dsn.parse(f"mysql://app@{HOST}?auth=rds-iam"))
    assert login.password.startswith(HOST)
    assert "X-Amz" not in f"{login} {login!r}"
