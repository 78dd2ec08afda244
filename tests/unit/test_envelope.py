"""An envelope without its rows is otherwise what it was, to the letter."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evtrig.relay.envelope import abridged, is_json, members

texts = st.text(st.characters() | st.sampled_from('"\\{}[],: \n'), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=10,
)
objects = st.dictionaries(texts, values, min_size=1, max_size=6)


@given(envelope=objects, indent=st.sampled_from([None, 0, 2]), ascii_=...)
@example(envelope={'"': '\\"', "\\": "\\\\"}, indent=None, ascii_=False)
@example(envelope={"a": {"b": '}"'}, "c": "]"}, indent=None, ascii_=False)
def test_each_member_is_found_where_it_is(
    envelope: dict[str, Any], indent: int | None, ascii_: bool
) -> None:
    body = json.dumps(envelope, indent=indent, ensure_ascii=ascii_)
    found = members(body)
    assert list(found) == list(envelope)
    for name, (start, end) in found.items():
        assert json.loads(body[start:end]) == envelope[name]


@given(envelope=objects, without=st.sets(st.sampled_from("abc")), more=values)
def test_what_is_left_out_is_null_and_the_order_stays(
    envelope: dict[str, Any], without: set[str], more: object
) -> None:
    envelope |= {"a": 1, "b": {"c": ["}"]}}
    body = json.dumps(envelope)
    found = json.loads(abridged(body, without, claim_check=more))
    expected = {
        name: None if name in without else value for name, value in envelope.items()
    }
    expected["claim_check"] = more
    assert found == expected
    # The last of the same name counts, as it does for readers of JSON.
    assert list(found) == list(expected)


def test_numbers_and_escapes_stay_as_they_are_written() -> None:
    """Python would make 0.1 of the number, and a character of the escape."""
    body = (
        '{"key": {"n": 0.10000000000000000000001, "e": 1E400, "t": "\\u00e9"},\n'
        ' "before":{"x": 1}, "after": [1, 2] }\n'
    )
    assert abridged(body, ("before", "after"), more={"a": "é"}) == (
        '{"key": {"n": 0.10000000000000000000001, "e": 1E400, "t": "\\u00e9"},\n'
        ' "before": null, "after": null, "more": {"a": "é"}}'
    )


def test_names_further_inside_do_not_count() -> None:
    body = '{"before": {"after": 1, "before": 2}, "k": {"after": 3}, "after": null}'
    assert json.loads(abridged(body, ["after"])) == json.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[1, 2]",
        '"text"',
        "{",
        '{"a": 1',
        '{"a": "text',
        '{"a": "text\\"}',
        '{"a": [1, 2}',
        '{"a": {"b": 1}',
        '{"a": 1}, "b": 2}',
        '{"a": 1}{"b": 2}',
    ],
)
def test_what_is_no_object_is_said_to_be_none(body: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        members(body)


def test_the_rows_are_not_copied() -> None:
    row = json.dumps({"text": 'a "quote" and \\ ' * 100_000, "list": [0] * 100_000})
    body = f'{{"id": "1", "before": {row}, "after": {row}, "key": {{"id": 1}}}}'
    tracemalloc.start()
    pointer = abridged(body, ("before", "after"), claim_check={"bytes": 1})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(body) > 4_000_000
    assert peak < 100_000
    assert pointer == (
        '{"id": "1", "before": null, "after": null, "key": {"id": 1},'
        ' "claim_check": {"bytes": 1}}'
    )


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", "7", '"x"', '{"a": 1e400}', '{"a": "\\ud800"}', "9" * 5000]
    + ["[" * depth + "]" * depth for depth in (100, 900, 100_000)],
)
def test_what_a_consumer_can_read_is_json(text: str) -> None:
    assert is_json(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "{} {}", "nonsense", "-Infinity"),
        *("{'a': 1}", '{"a": 1,}', '{"a": NaN}', '{"a": 01}', '{"a": "\t"}'),
    ],
)
def test_what_no_consumer_can_read_is_not(text: str) -> None:
    assert not is_json(text)
