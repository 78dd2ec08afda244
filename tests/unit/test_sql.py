"""Names and literals that stay inside their quotes, and SQL that is compared."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtrig.triggers.sql import Sql, account, ident, literal, normalize, qualified

TEXTS = st.text(st.sampled_from("ab`'\"\\%;-#/* \n\té鍵🍣"))


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("id", "`id`"),
        ("", "``"),
        ("a`b", "`a``b`"),
        ("`", "````"),
        ("a'b\"c\\d%s\n鍵", "`a'b\"c\\d%s\n鍵`"),
    ],
)
def test_a_name_is_quoted_by_doubling_its_back_ticks(name: str, quoted: str) -> None:
    assert ident(name) == quoted


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("", "''"),
        ("it's", "'it''s'"),
        ("back\\slash", "'back\\\\slash'"),
        ("\\'", "'\\\\'''"),
        ('"`%s\n鍵', "'\"`%s\n鍵'"),
    ],
)
def test_a_literal_doubles_quotes_and_backslashes(text: str, quoted: str) -> None:
    assert literal(text) == quoted


@given(TEXTS)
def test_a_name_ends_where_its_quotes_do(name: str) -> None:
    assert re.fullmatch("`(?:[^`]|``)*`", ident(name))
    assert ident(name)[1:-1].replace("``", "`") == name


@given(TEXTS)
def test_a_literal_ends_where_its_quotes_do(text: str) -> None:
    quoted = literal(text)
    assert re.fullmatch(r"'(?:[^'\\]|''|\\.)*'", quoted, re.DOTALL)
    inside = re.sub(r"''|\\(.)", lambda m: m[1] or "'", quoted[1:-1], flags=re.DOTALL)
    assert inside == text


def test_a_table_and_an_account_are_quoted_in_their_parts() -> None:
    assert qualified("my.shop", "a`b") == "`my.shop`.`a``b`"
    assert account("o'neil", "%") == "`o'neil`@`%`"


@pytest.mark.parametrize(
    "sql", [ident("a"), literal("a"), qualified("a", "b"), account("a", "b")]
)
def test_what_is_quoted_is_sql(sql: str) -> None:
    assert isinstance(sql, Sql)


# Comparing with what a server has stored


@pytest.mark.parametrize(
    ("statement", "normal"),
    [
        ("SELECT 1", "SELECT 1"),
        ("\n  SELECT\t1\r\n", "SELECT 1"),
        ("SELECT -- one\n    1", "SELECT 1"),
        ("SELECT # one\n    1", "SELECT 1"),
        ("SELECT /* one\n or */ 1", "SELECT 1"),
        ("SELECT 1 -- at the end", "SELECT 1"),
        ("SELECT 1--1", "SELECT 1--1"),
        ("SELECT '  -- text', \"/* text */\", `# name`", None),
        ("SELECT 'it''s  ', 'a\\'  b', `a``  b`", None),
        ("SELECT 'two\n  lines'", None),
    ],
)
def test_blanks_and_comments_are_no_difference(
    statement: str, normal: str | None
) -> None:
    assert normalize(statement) == (statement if normal is None else normal)


@given(st.lists(TEXTS.map(ident) | TEXTS.map(literal), min_size=1))
def test_what_is_inside_of_quotes_is_compared_as_it_is(parts: list[str]) -> None:
    assert normalize(" /* and */ ".join(parts)) == " ".join(parts)


@given(TEXTS)
def test_normal_sql_is_normal(text: str) -> None:
    once = normalize(f"SELECT {literal(text)}, {ident(text)} -- {text!r}")
    assert normalize(once) == once


@pytest.mark.parametrize("text", ["'" * 5001, "'\\" * 5000, "-- " * 5000, "/*" * 5000])
def test_odd_sql_is_compared_in_no_time(text: str) -> None:
    # Of the processor: this machine may be busy.
    begun = time.thread_time()
    normalize(text)
    assert time.thread_time() - begun < 1
