"""The relay's core is right in every order in which things can happen."""

from __future__ import annotations

import pytest
from model import cores
from model.cores import Core
from model.search import search
from model.setups import BASE, made
from model.world import Setup, World

from evtrig.relay import term
from evtrig.relay.scheduler import Lane, Trouble
from evtrig.relay.term import Term

#: A world that is larger is taken for one that does not end.
MOST = 400_000


@pytest.fixture(autouse=True)
def _window(monkeypatch: pytest.MonkeyPatch) -> None:
    """A world sets these; they are as they were afterwards."""
    monkeypatch.setattr(term, "WINDOW", term.WINDOW)
    monkeypatch.setattr(term, "FIRST_READ", term.FIRST_READ)


@pytest.mark.parametrize("name", BASE)
def test_nothing_is_lost_invented_overtaken_or_stuck(name: str) -> None:
    found = search(made(BASE[name]), most=MOST)
    assert found.is_complete
    assert not found.wrong, "\n".join([found.wrong, *found.trace])


def test_what_is_left_out_of_a_state_is_what_the_core_has() -> None:
    """A name on a list that nobody has any more would hide that it was renamed."""
    world = World(Setup((("a",),)))
    fresh = world.term(False, own=0, seen=0)
    assert isinstance(fresh, Term)
    outlet = fresh.scheduler._only
    parts = [
        *(fresh, fresh.lease, fresh.scheduler, fresh.floor),
        *(outlet, outlet.health),
    ]
    names = {
        name for part in [*parts, Lane(), Trouble(0.0, "", "")] for name in vars(part)
    }
    letter = {"age", "first_error", "last_error"}
    listed = cores.TIMES | cores.OF_NO_MATTER | cores.OF_WAITING | cores.OF_SIZE
    assert listed | cores.CLOCK <= names | letter
    assert {"_reading", "ready", "_calls", "_recent", "failures", "attempts"} <= names


def test_a_state_of_the_core_is_met_again_whenever_it_was_reached() -> None:
    """Else there would be no end of them; and one that differs is another."""
    world = World(Setup((("a",),)))
    known = world.cores
    early = Core(world.term(False, own=0, seen=0))
    late = Core(world.term(False, own=0, seen=0))
    late.now += 10.0
    assert known.number(early) == known.number(late)
    asked, statement = known.step(known.number(early), Core.ask, False)
    assert statement is not None
    assert asked != known.number(late)
