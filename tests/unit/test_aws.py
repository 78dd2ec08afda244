"""What is told of an error of AWS."""

from __future__ import annotations

import pytest

from evtrig.database.aws import reason_of
from evtrig.relay.sinks.error_code import BUSY, HINTS, plain


@pytest.mark.parametrize(
    "endpoint",
    ["http://user:secret@host:1/x", "https://u:sec/ret@host/", "http://a:b@secret@h"],
)
def test_the_password_of_an_endpoint_is_not_repeated(endpoint: str) -> None:
    told = reason_of(ValueError(f'Could not connect to the endpoint URL: "{endpoint}"'))
    assert "sec" not in told
    assert told.startswith('Could not connect to the endpoint URL: "http')


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("KmsInvalidState", "KmsInvalidState"),
        ("KMSInvalidState", "KmsInvalidState"),
        ("KMSInvalidStateException", "KmsInvalidState"),
        ("KMS.InvalidStateException", "KmsInvalidState"),
        ("KMS.KMSInvalidStateException", "KmsInvalidState"),
        ("KMS.DisabledException", "KmsDisabled"),
        ("AWS.SimpleQueueService.NonExistentQueue", "NonExistentQueue"),
        ("ResourceNotFoundException", "ResourceNotFound"),
    ],
)
def test_a_code_is_known_whatever_its_service_puts_around_it(
    code: str, expected: str
) -> None:
    assert plain(code) == expected
    assert expected in HINTS


def test_codes_are_compared_with_what_is_plain() -> None:
    assert {plain(code) for code in HINTS} == set(HINTS)
    assert {plain(code) for code in BUSY} == BUSY
