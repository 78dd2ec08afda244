"""Where the objects of large events go."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtrig.errors import UsageError
from evtrig.relay.sinks.claim_check import LONGEST_PREFIX, _folder, read_place

#: "Naming Amazon S3 objects": what needs no special handling.
SAFE = set("!-_.*'()")


@pytest.mark.parametrize(
    ("destination", "place"),
    [
        ("s3://orders-large", ("orders-large", "")),
        ("s3://orders-large/", ("orders-large", "")),
        ("s3://orders-large/events", ("orders-large", "events/")),
        ("s3://orders.large/a/b c/", ("orders.large", "a/b c/")),
        ("s3://0ab/ü", ("0ab", "ü/")),
        ("s3://" + "a" * 63, ("a" * 63, "")),
    ],
)
def test_bucket_and_prefix_are_those_of_the_uri(
    destination: str, place: tuple[str, str]
) -> None:
    assert read_place(destination) == place


@pytest.mark.parametrize(
    "destination",
    [
        "",
        "s3:",
        "s3://",
        "s3:///events",
        "s3:orders-large",
        "https://orders-large.s3.amazonaws.com/events",
        "arn:aws:s3:::orders-large",
        "s3://ab",
        "s3://" + "a" * 64,
        "s3://Orders",
        "s3://orders_large",
        "s3://-orders",
        "s3://orders-",
        "s3://orders..large",
        "s3://xn--orders",
        "s3://192.168.0.1/events",
        "s3://arn:aws:s3:::orders",
        "s3://orders//events",
        "s3://orders/a//b",
        "s3://orders/a/../b",
        "s3://orders/.",
        "s3://orders/a\nb",
        "s3://orders/" + "é" * (LONGEST_PREFIX // 2 + 1),
    ],
)
def test_what_cannot_be_a_place_is_refused_with_what_can(destination: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_place(destination)
    assert refused.value.hint


def test_credentials_in_a_uri_are_not_repeated() -> None:
    for uri in ("s3://AKIA:hush@orders/events", "https://AKIA:hush@orders", "s3:hush"):
        with pytest.raises(UsageError) as refused:
            read_place(uri)
        assert "hush" not in refused.value.message + (refused.value.hint or "")


@pytest.mark.parametrize(
    ("source", "folder"),
    [
        ("shop.orders", "shop.orders"),
        ("shop.größe", "shop.größe"),
        ("a/b.c d", "a%2Fb.c%20d"),
        ("a%2Fb.c", "a%252Fb.c"),
        ("..", "%2E%2E"),
        ("", ""),
    ],
)
def test_a_folder_is_the_source_as_one_part_of_a_key(source: str, folder: str) -> None:
    assert _folder(json.dumps({"id": "1", "source": source})) == folder


@given(one=st.text(st.characters()), other=st.text(st.characters()))
def test_two_sources_never_share_a_folder(one: str, other: str) -> None:
    folders = [_folder(json.dumps({"source": source})) for source in (one, other)]
    assert (one == other) == (folders[0] == folders[1])
    for folder in folders:
        wrong = {c for c in folder if c.isascii() and not c.isalnum()} - SAFE - {"%"}
        assert wrong == set()
        assert folder not in (".", "..")
        # Keys are UTF-8.
        folder.encode()


@pytest.mark.parametrize("body", ["[]", "{}", '{"source": 7}', '{"source": "a"'])
def test_an_envelope_without_a_source_has_no_folder(body: str) -> None:
    with pytest.raises(ValueError, match=r"source|JSON"):
        _folder(body)
