"""When a sink is taken for down, and when it is not any more."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtrig.relay.health import Health


def health(*calls: str) -> Health:
    """After calls such as ``+--``; an upper-case letter is a repetition."""
    health = Health()
    ids = itertools.count()
    for call in calls:
        firsts = [(next(ids), fate == "+") for fate in call if fate in "+-"]
        health.judge(firsts, has_taken="+" in call or "T" in call)
    return health


@pytest.mark.parametrize(
    ("calls", "is_down"),
    [
        (("-",), False),
        (("-", "-"), False),
        (("-", "-", "-"), True),
        (("----------",), True),
        (("------++++",), True),
        (("-----+++++",), False),
        (("+", "-", "+", "-", "-"), True),
        (("-", "-", "+"), False),
        (("-", "F", "F", "F", "F"), False),
        (("---", "F", "F"), True),
        (("---", "T"), False),
        (("---", "T", "-"), False),
        (("---", "T", "-", "-", "-"), True),
        (("++++++++++", "-", "-", "-"), False),
    ],
)
def test_a_sink_that_takes_less_than_half_is_down(
    calls: tuple[str, ...], is_down: bool
) -> None:
    assert health(*calls).is_down == is_down


@given(st.lists(st.text("+-", min_size=1, max_size=10)), st.integers(1, 10))
def test_a_call_that_is_taken_whole_ends_it(calls: list[str], count: int) -> None:
    assert not health(*calls, "+" * count).is_down


def test_each_attempt_while_it_is_down_counts() -> None:
    assert health("---", "F", "F").failures == 3
    assert health("---", "F", "F", "T").failures == 0


def test_an_event_that_was_put_back_and_fails_again_counts_once() -> None:
    health = Health()
    health.judge([(1, True)], has_taken=True)
    for _ in range(3):
        health.judge([(2, False)], has_taken=False)
    assert not health.is_down
    health.judge([(3, False)], has_taken=False)
    assert health.is_down
