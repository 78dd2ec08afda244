"""Group ids and escapes: what SQS takes, from whatever a key or a row may hold."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evtrig.relay.event import Event
from evtrig.relay.sinks.message import escaped, group_id

#: "Amazon SQS message quotas": message group ID.
GROUP_ID = re.compile(r"[!-~]{1,128}")

#: XML 1.0, section 2.2, written the other way round than in the sink.
XML_CHARACTERS = re.compile("[\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")

# Key columns as the database writes them: with blanks behind colons and commas.
columns = st.text(st.sampled_from('abc :,"\\{}é🍣'), max_size=5)
members = columns | st.integers(0, 2**64 - 1)
keys = st.dictionaries(columns, members, min_size=1, max_size=3).map(
    lambda key: "shop.orders:" + json.dumps(key, ensure_ascii=False)
)


@given(key=keys | st.text(min_size=1))
def test_every_key_gives_an_id_that_sqs_takes(key: str) -> None:
    assert GROUP_ID.fullmatch(group_id(key))


@given(one=keys, other=keys)
@example(one='shop.t:{"k": ": x"}', other='shop.t:{"k": ":x"}')
@example(one='shop.t:{"k": ", x"}', other='shop.t:{"k": ",x"}')
def test_two_keys_never_share_a_group(one: str, other: str) -> None:
    assert (one == other) == (group_id(one) == group_id(other))


def test_a_short_key_stays_readable() -> None:
    assert group_id('shop.orders:{"id": 7}') == 'shop.orders:{"id":7}'
    two = 'shop.orders:{"tenant": "a", "name": "b"}'
    assert group_id(two) == 'shop.orders:{"tenant":"a","name":"b"}'


def test_a_key_that_is_no_id_becomes_a_digest() -> None:
    for name in ("two words", "é", "x" * 200, 'a "quote"', "back\\slash", "tab\t"):
        group = group_id(f"shop.orders:{json.dumps({'name': name})}")
        assert re.fullmatch("h-[A-Z2-7]{52}", group), name


@pytest.mark.parametrize("text", ['{"id": 007}', '{"id": 1,}', '{"a": "x\ty"}', ""])
def test_a_key_that_is_no_json_becomes_a_digest_too(text: str) -> None:
    """An application may write events itself; it must not end the relay."""
    assert re.fullmatch("h-[A-Z2-7]{52}", group_id(f"shop.t:{text}"))


def test_the_longest_id_is_of_128_characters() -> None:
    frame = len('s:{"k":""}')
    for length in (127, 128):
        key = 's:{"k": "' + "x" * (length - frame) + '"}'
        assert len(group_id(key)) == length
    key = 's:{"k": "' + "x" * (129 - frame) + '"}'
    assert group_id(key).startswith("h-")


def code_units(text: str) -> bytes:
    """Two lone surrogates in a row are a pair to every reader of JSON escapes."""
    return text.encode("utf-16", "surrogatepass")


@given(text=st.text(st.characters()))
@example(text="\ufffe\uffff\ud800 \udfff\x00\x0b\x1f")
@example(text="\U0001f363\U0010ffff\ue000\ufffd\x7f\x85")
def test_an_escaped_body_is_xml_and_means_the_same(text: str) -> None:
    body = json.dumps({"name": text}, ensure_ascii=False)
    found = escaped(body)
    assert XML_CHARACTERS.fullmatch(found)
    assert code_units(json.loads(found)["name"]) == code_units(text)


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cn", "Cc"])))
def test_a_body_that_sqs_takes_is_left_alone(text: str) -> None:
    body = json.dumps({"name": text}, ensure_ascii=False)
    assert escaped(body) == body


@given(id_=st.integers(1, 2**64 - 1), uid=st.integers(0, 2**64 - 1))
def test_a_name_is_a_deduplication_id(id_: int, uid: int) -> None:
    event = Event(id_, uid, "k", "{}")
    assert GROUP_ID.fullmatch(event.name)
    assert event.name == f"{id_}-{uid:016x}"
