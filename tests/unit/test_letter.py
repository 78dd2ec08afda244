"""How dead letters are named and counted, and what is printed of them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from evtrig.cli import main
from evtrig.commands.dead_letters import exported, line, span, summary
from evtrig.errors import UsageError
from evtrig.relay.dead_letters import BYTES, by_size
from evtrig.relay.letter import Letter, Pairs, Selection, name_of, parse

NUMBERS = st.integers(min_value=0, max_value=2**64 - 1)

LETTER = Letter(
    id=1042,
    uid=0x16F0C3A8E1B20001,
    type="orders.update",
    source="shop.orders",
    operation="update",
    holds_key=True,
    reason="refused",
    attempts=1,
    first_error=None,
    last_error=None,
    captured_at="2026-11-23T05:20:49.161586Z",
    failed_at=None,
    parked_at="2026-11-23T05:20:50.000000Z",
    age=7200,
)


@given(id_=NUMBERS, uid=NUMBERS)
def test_a_name_is_read_as_it_is_written(id_: int, uid: int) -> None:
    assert parse(name_of(id_, uid)) == (id_, uid)
    assert parse(str(id_)) == (id_, None)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-",
        "x",
        "1042-",
        "1042-xyz",
        "-1",
        "1.5",
        "٣",
        "1 2",
        str(2**64),
        "1-" + "f" * 17,
    ],
)
def test_what_is_no_name_is_wrong_usage(name: str) -> None:
    with pytest.raises(UsageError):
        parse(name)
    with pytest.raises(UsageError):
        Selection((name,))


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=20), st.integers(1, 7))
def test_pairs_are_what_was_put_in(pairs: list[tuple[int, int]], size: int) -> None:
    kept = Pairs(pairs)
    assert len(kept) == len(pairs)
    assert list(kept) == pairs
    batches = list(kept.batches(size))
    assert [pair for batch in batches for pair in batch] == pairs
    assert all(len(batch) <= size for batch in batches)


@given(st.lists(st.integers(0, 2 * BYTES), max_size=30))
def test_what_is_read_at_once_is_one_event_or_small(sizes: list[int]) -> None:
    page = [(n, n, size) for n, size in enumerate(sizes)]
    parts = list(by_size(page))
    covered = [n for (first, _), (last, _) in parts for n in range(first, last + 1)]
    assert covered == list(range(len(sizes)))
    for (first, _), (last, _) in parts:
        assert first == last or sum(sizes[first : last + 1]) <= BYTES


def test_an_export_leaves_the_envelope_as_it_is() -> None:
    body = '{"id": "1042-x", "after": {"n": 1.10,\n "big": 18446744073709551615}}'
    text = exported(LETTER, body)
    assert text.startswith(body.replace("\n", " ")[:-1])
    assert "\n" not in text
    assert json.loads(text)["dead_letter"]["reason"] == "refused"


def test_a_line_says_what_and_why_and_moves_no_cursor() -> None:
    text = line(LETTER)
    assert text.split() == [
        *("1042-16f0c3a8e1b20001", "shop.orders", "update", "refused"),
        *("1", "attempt", "2", "h", "-"),
    ]
    odd = Letter(**{**vars(LETTER), "source": "a\x1b[2Jb\n"})
    assert "a?[2Jb?" in line(odd)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (10**6, "11 d")],
)
def test_a_span_of_time_is_short(seconds: int, text: str) -> None:
    assert span(seconds) == text


def test_a_summary_counts() -> None:
    assert summary({"refused": 1}) == "1 dead letter: 1 refused"
    assert summary({"refused": 2, "behind": 3}) == "5 dead letters: 3 behind, 2 refused"


@pytest.mark.parametrize(
    "arguments",
    [
        ("retry",),
        ("discard",),
        ("show",),
        ("list", "x"),
        ("retry", "1042", "--all"),
        ("discard", "--source", "shop.orders", "--all"),
        ("show", "--all"),
        ("nonsense",),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2_before_anything_is_opened(arguments: tuple[str, ...]) -> None:
    ended = CliRunner().invoke(
        main,
        ["dead-letters", *arguments],
        env={"EVTRIG_DSN": "mysql://app@no-such-host.invalid"},
    )
    assert ended.exit_code == 2
    assert ended.stdout == ""
