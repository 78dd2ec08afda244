"""The SQL that people read in a review, byte for byte, and how it is made."""

from __future__ import annotations

import difflib
import os
import re

import golden
import jinja2
import pytest

from evtrig.database.server import Server
from evtrig.triggers.account import Account
from evtrig.triggers.capture import resolve
from evtrig.triggers.render import (
    default_mark,
    render,
    render_definer,
    render_trigger,
)
from evtrig.triggers.spec import parse
from evtrig.triggers.sql import Sql, ident, normalize
from evtrig.triggers.trigger import Mark, TriggerName

MYSQL, MARIADB = Server("mysql"), Server("mariadb")

CASES = [(family, name) for family in golden.FAMILIES for name in golden.names(family)]


@pytest.mark.parametrize(("family", "name"), CASES)
def test_the_sql_is_the_golden_one(family: str, name: str) -> None:
    """EVTRIG_ACCEPT=1 rewrites it: then review the difference."""
    sql = golden.generate(golden.spec_text(family, name))
    path = golden.golden(family, name)
    if os.environ.get("EVTRIG_ACCEPT"):
        path.write_text(sql)
    assert sql == path.read_text()


@pytest.mark.parametrize("family", golden.FAMILIES)
def test_no_golden_file_is_left_over(family: str) -> None:
    kept = sorted(path.stem for path in (golden.FOLDER / family).glob("*.sql"))
    assert kept == golden.names(family)


@pytest.mark.parametrize(("family", "name"), CASES)
def test_no_line_ends_with_a_blank_or_has_a_tab(family: str, name: str) -> None:
    lines = golden.golden(family, name).read_text().split("\n")
    assert [line for line in lines if line != line.rstrip() or "\t" in line] == []


@pytest.mark.parametrize(("family", "name"), CASES)
def test_the_same_spec_gives_the_same_bytes(family: str, name: str) -> None:
    text = golden.spec_text(family, name)
    assert golden.generate(text) == golden.generate(text)


@pytest.mark.parametrize("family", golden.FAMILIES)
def test_a_column_added_at_the_end_changes_only_the_lines_that_name_it(
    family: str,
) -> None:
    before = golden.spec_text(family, "shop")
    after = before.replace("      note: text\n", "      note: text\n      tip: int\n")
    changed = [
        line
        for line in difflib.ndiff(
            golden.generate(before).splitlines(), golden.generate(after).splitlines()
        )
        if not line.startswith(" ")
    ]
    assert len(changed) == {"mysql": 4, "mariadb": 5}[family]
    assert [line for line in changed if "`tip`" not in line] == []
    assert [line for line in changed if not line.startswith("+")] == []


@pytest.mark.parametrize("family", golden.FAMILIES)
def test_the_comment_of_a_table_is_one_line_whatever_its_name(family: str) -> None:
    sql = golden.generate(golden.spec_text(family, "names"))
    lines = [line for line in sql.splitlines() if "DROP TABLE" in line]
    assert lines
    # Nothing but the comment, and what is inside of quotes.
    quoted = r"`(?:[^`]|``)*`|'(?:[^'\\]|''|\\.)*'|-- .*"
    assert "DROP TABLE" not in re.sub(quoted, "", sql)


# What reaches a template


@pytest.mark.parametrize("value", ["events", 7, None, b"events", ("events",)])
def test_a_value_that_is_not_quoted_does_not_reach_sql(value: object) -> None:
    with pytest.raises(TypeError, match=f"^{type(value).__name__} reached SQL"):
        render("events.sql.j2", MYSQL, events=value)


def test_a_value_that_is_not_there_is_an_error() -> None:
    with pytest.raises((jinja2.UndefinedError, TypeError), match=r"[Uu]ndefined"):
        render("events.sql.j2", MYSQL)


def test_text_that_looks_like_a_template_is_text() -> None:
    sql = render("events.sql.j2", MYSQL, events=ident("{{ server }} {% raw %}"))
    assert "`{{ server }} {% raw %}` (" in sql


def test_what_is_rendered_is_sql_again() -> None:
    assert isinstance(render("events.sql.j2", MYSQL, events=ident("e")), Sql)


# One trigger


def trigger(**options: Mark | TriggerName) -> str:
    spec = parse(golden.spec_text("mysql", "shop"), path="evtrig.yml")
    name = TriggerName.of("shop", "customers", "update", 2)
    capture = resolve(spec, None, MYSQL)[0]
    expects = Mark(str(name.next), "abc")
    return render_trigger(capture, name, MYSQL, expects=expects, **options)


def test_a_first_trigger_leaves_no_mark_and_stands_where_it_likes() -> None:
    sql = trigger()
    assert "PRECEDES" not in sql
    following = TriggerName.of("shop", "customers", "update", 3)
    assert re.findall("SET @(.*);", sql) == [f"{following} = NULL"]


def test_a_later_trigger_runs_before_the_one_it_replaces_and_marks_the_change() -> None:
    previous = TriggerName.of("shop", "customers", "update", 1)
    sql = trigger(previous=previous, leaves=Mark(str(previous.next), "xyz"))
    assert f"FOR EACH ROW PRECEDES `{previous}`\n" in sql
    mark = f"SET @{previous.next} = CONCAT('xyz', NOW(6));"
    skip = f"IF CAST(@{previous.next.next} AS BINARY) = CONCAT('abc', NOW(6)) THEN"
    assert sql.index(mark) < sql.index(skip)


def test_a_token_is_the_same_each_time_and_differs_for_each_trigger() -> None:
    names = [
        TriggerName.of("shop", "orders", operation, generation)
        for operation in ("insert", "update", "delete")
        for generation in (1, 2)
    ]
    tokens = [default_mark(name).token for name in names]
    assert tokens == [default_mark(name).token for name in names]
    assert len(set(tokens)) == len(tokens)
    assert all(re.fullmatch("[0-9a-f]{16}", token) for token in tokens)


def test_the_account_of_the_definer_is_locked_and_quoted() -> None:
    account = Account("it's `me`", "10.0.%")
    create = "CREATE USER IF NOT EXISTS `it's ``me```@`10.0.%`"
    assert normalize(render_definer(account, MYSQL)) == (
        f"{create} IDENTIFIED BY RANDOM PASSWORD ACCOUNT LOCK"
    )
    assert normalize(render_definer(account, MARIADB)) == f"{create} ACCOUNT LOCK"
