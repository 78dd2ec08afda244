"""A statement that is in the way is shown without the contents of rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtrig.triggers.blocker import SHOWN, Blocker, without_values


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("SELECT 1", "SELECT ?"),
        ("UPDATE t1 SET a='x', b = 2.5e3", "UPDATE t1 SET a=?, b = ?"),
        ('SELECT * FROM `a \'b` WHERE c2 = "d"', "SELECT * FROM `a 'b` WHERE c2 = ?"),
        ("SELECT 'it''s', x'ff', 0xFF, -.5", "SELECT ?, ?, ?, -?"),
        ("SELECT a -- secret\n , b /* secret */ # secret\n", "SELECT a , b"),
        ("INSERT INTO t VALUES ('cut off", "INSERT INTO t VALUES (?"),
        ("SELECT N'x', _utf8mb4'y', DATE'2026-01-01'", "SELECT ?, _utf8mb4?, DATE?"),
    ],
)
def test_every_literal_is_a_question_mark(statement: str, shown: str) -> None:
    assert without_values(statement) == shown


@given(st.text(), st.sampled_from(["'", '"']))
def test_a_quoted_text_is_never_shown_however_it_is_written(
    text: str, quote: str
) -> None:
    secret = f"{text}4711secret"
    for written in (
        secret.replace("\\", "\\\\").replace(quote, quote * 2),
        # Under NO_BACKSLASH_ESCAPES.
        secret.replace(quote, quote * 2),
        secret.replace("\\", "\\\\").replace(quote, f"\\{quote}"),
    ):
        statement = f"SELECT a FROM t WHERE b = {quote}{written}{quote}"
        assert without_values(statement) in (
            "SELECT a FROM t WHERE b = ?",
            "SELECT a FROM t WHERE b = …",
        )


def test_after_a_back_slash_nobody_can_tell_where_a_text_ends() -> None:
    assert without_values("SELECT a, 'C:\\', 'secret'") == "SELECT a, …"


def test_a_long_statement_is_cut() -> None:
    shown = without_values("SELECT " + ", ".join(["a_column"] * 100))
    assert len(shown) == SHOWN
    assert shown.endswith("…")


def test_a_blocker_says_who_how_long_and_what() -> None:
    blocker = Blocker(17, "app@db", 312, "SELECT ?", is_certain=True)
    assert str(blocker) == "connection 17 of app@db, for 312 s, last with SELECT ?"
