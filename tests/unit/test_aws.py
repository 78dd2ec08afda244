"""What is told of an error of AWS."""

from __future__ import annotations

import pytest

from evtrig.database.aws import reason_of


@pytest.mark.parametrize(
    "endpoint",
    ["http://user:secret@host:1/x", "https://u:sec/ret@host/", "http://a:b@secret@h"],
)
def test_the_password_of_an_endpoint_is_not_repeated(endpoint: str) -> None:
    told = reason_of(ValueError(f'Could not connect to the endpoint URL: "{endpoint}"'))
    assert "sec" not in told
    assert told.startswith('Could not connect to the endpoint URL: "http')
