"""The errors: exit codes, and what their text holds."""

from __future__ import annotations

import pytest

from evtrig import errors
from evtrig.errors import (
    ConnectionLost,
    DatabaseError,
    EvtrigError,
    PreflightError,
    SpecError,
    UsageError,
)


def test_every_error_is_listed_and_drawn() -> None:
    made = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, EvtrigError)
    }
    assert made == set(errors.__all__) - {"nearest"}
    assert errors.__doc__
    assert all(name in errors.__doc__ for name in made)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EvtrigError("x"), 1),
        (UsageError("x"), 2),
        (SpecError("x", path="evtrig.yml"), 2),
        (DatabaseError("x", number=1146), 1),
        (ConnectionLost("x", number=2013), 1),
        (PreflightError((("x", "y"),)), 1),
    ],
)
def test_usage_is_2_and_everything_else_is_1(error: EvtrigError, code: int) -> None:
    assert error.exit_code == code


@pytest.mark.parametrize(
    ("line", "column", "text"),
    [
        (None, None, "evtrig.yml: wrong"),
        (3, None, "evtrig.yml:3: wrong"),
        (3, 7, "evtrig.yml:3:7: wrong"),
    ],
)
def test_a_spec_error_begins_with_its_place(
    line: int | None, column: int | None, text: str
) -> None:
    assert SpecError("wrong", path="evtrig.yml", line=line, column=column).message == (
        text
    )


def test_one_problem_is_said_as_any_other_error() -> None:
    error = PreflightError((("shop.orders is a view", "Capture its tables."),))
    assert (error.message, error.hint) == (
        "shop.orders is a view",
        "Capture its tables.",
    )


def test_several_problems_come_each_with_what_to_do() -> None:
    error = PreflightError((("a is wrong", "Mend a."), ("b is wrong", "Mend b.")))
    assert error.hint is None
    assert error.message.splitlines() == [
        "2 problems, nothing was changed",
        "  - a is wrong",
        "    → Mend a.",
        "  - b is wrong",
        "    → Mend b.",
    ]
