"""The search must be able to fail: every mistake is found, for what it is."""

from __future__ import annotations

import pytest
from model.broken import BROKEN
from model.search import search

from evtrig.relay import term


@pytest.fixture(autouse=True)
def _window(monkeypatch: pytest.MonkeyPatch) -> None:
    """A world sets these; they are as they were afterwards."""
    monkeypatch.setattr(term, "WINDOW", term.WINDOW)
    monkeypatch.setattr(term, "FIRST_READ", term.FIRST_READ)


@pytest.mark.parametrize("name", BROKEN)
def test_a_mistake_is_found(name: str) -> None:
    mistake = BROKEN[name]
    found = search(mistake.world(mistake.setup), most=200_000)
    assert found.wrong.startswith(mistake.wrong), found
    assert found.trace


@pytest.mark.parametrize("rule", range(1, 7))
def test_each_of_the_six_rules_is_left_out_once(rule: int) -> None:
    assert any(name.startswith(f"rule {rule}: ") for name in BROKEN)
