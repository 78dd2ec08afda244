"""SQL expressions over NEW and OLD: what is read of them, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evtrig.errors import SpecError
from evtrig.triggers.document import Place, Scalar
from evtrig.triggers.expression import Expression, Reference, expression


def read(text: str) -> Expression:
    place = Place("evtrig.yml", 7, 13)
    return expression(Scalar(text, plain=False, place=place), "`when` of t")


def columns(text: str) -> list[tuple[str, str]]:
    return [(found.row, found.column) for found in read(text).references]


def refused(text: str) -> SpecError:
    with pytest.raises(SpecError) as caught:
        read(text)
    assert caught.value.message.startswith("evtrig.yml:7:13: `when` of t ")
    assert caught.value.hint
    return caught.value


# What is read


@pytest.mark.parametrize(
    "text",
    ["NEW.status", "new.status", "New . status", "NEW\n.\tstatus", "NEW.`status`"],
)
def test_a_column_may_be_written_in_many_ways(text: str) -> None:
    found = read(text)
    assert found.references == (Reference("NEW", "status"),)
    assert found.sql == "NEW.`status`"
    assert found.column == Reference("NEW", "status")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NEW.a <> OLD.b", [("NEW", "a"), ("OLD", "b")]),
        ("(NEW.a)", [("NEW", "a")]),
        ("-NEW.a", [("NEW", "a")]),
        ("NEW.a<=>OLD.a", [("NEW", "a"), ("OLD", "a")]),
        ("NEW.`a``b` = 1", [("NEW", "a`b")]),
        ("NEW.`a.b` = 1", [("NEW", "a.b")]),
        ("NEW.注文 = 1", [("NEW", "注文")]),
        ("NEW.$a_1 = 1", [("NEW", "$a_1")]),
        ("NEW.a = 'OLD.b'", [("NEW", "a")]),
        ('NEW.a = "it\'s OLD.b"', [("NEW", "a")]),
        ("NEW.a = 'it''s OLD.b'", [("NEW", "a")]),
        (r"NEW.a = 'it\'s OLD.b'", [("NEW", "a")]),
        ("NEW.a = `OLD.b`", [("NEW", "a")]),
        ("renew.x = 1", []),
        ("t.NEW.x = 1", []),
        ("`t`.NEW.x = 1", []),
        ("@NEW.x = 1", []),
        ("$NEW.x = 1", []),
        ("NEWS.x = 1", []),
        ("NEW = 1", []),
        ("1", []),
    ],
)
def test_new_and_old_are_found_where_they_are_rows(
    text: str, expected: list[tuple[str, str]]
) -> None:
    assert columns(text) == expected


def test_text_stays_as_it_is_and_white_space_between_is_one_blank() -> None:
    found = read("NEW.a\n    <>   'two  blanks, -- no comment; # (nor /* here'\n")
    assert found.sql == "NEW.`a` <> 'two  blanks, -- no comment; # (nor /* here'"


@pytest.mark.parametrize("text", ["NEW.a + 0", "(NEW.a)", "NEW.a, NEW.b", "1", "'a'"])
def test_what_is_more_than_a_column_is_none(text: str) -> None:
    assert read(text).column is None


@pytest.mark.parametrize(
    "text", ["NEW.a - 1", "5--3", "NEW.a /2", "a->>'$.x'", "1--NEW.a"]
)
def test_what_only_looks_like_a_comment_is_none(text: str) -> None:
    assert read(text).sql


QUOTED = st.one_of(
    *(
        st.text(max_size=12).map(
            lambda text, q=quote: (
                q + text.replace("\\", "" if q == "`" else "\\\\").replace(q, q + q) + q
            )
        )
        for quote in "'\"`"
    )
)


@given(before=QUOTED, after=QUOTED)
@example(before="'NEW.a'", after='"OLD.b; -- (SELECT"')
@example(before="'\\\\'", after="'''('")
@example(before="`a``; NEW.b`", after="'/*'")
def test_nothing_within_quotes_means_anything(before: str, after: str) -> None:
    found = read(f"{before} = NEW.a OR {after} = f({before})")
    assert found.references == (Reference("NEW", "a"),)
    assert found.sql == f"{before} = NEW.`a` OR {after} = f({before})"


@given(st.text() | st.text(alphabet="'\"`()\\;-#/*@. \nNEWOLDa"))
def test_any_text_is_read_or_refused_and_stays_one_expression(text: str) -> None:
    try:
        found = read(text)
    except SpecError:
        return
    again = read(found.sql)
    assert again == found
    assert ";" not in text or any(quote in text for quote in "'\"`")


# What is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("NEW.a = 1; DROP TABLE t", "holds a semicolon"),
        ("NEW.a = 1 -- but", "holds a comment, which would hide what follows it"),
        ("NEW.a = 1 --", "holds a comment"),
        ("NEW.a = 1 # but", "holds a comment"),
        ("NEW.a = 1 /* but */", "holds a comment"),
        ("NEW.a = /*! 1 */ 2", "holds a comment"),
        ("NEW.a = 'open", "has a quote ' that is not closed"),
        ("NEW.a = `open", "has a quote ` that is not closed"),
        ('NEW.a = "open', 'has a quote " that is not closed'),
        ("NEW.a = 'it's'", "has a quote ' that is not closed"),
        (r"NEW.a = 'open\'", "has a quote ' that is not closed"),
        ("(NEW.a", "has a parenthesis too many or too few: `(NEW.a`"),
        ("NEW.a)", "has a parenthesis too many or too few"),
        (")NEW.a(", "has a parenthesis too many or too few"),
        ("NEW.a) OR (1", "has a parenthesis too many or too few"),
        ("EXISTS (SELECT 1)", "reads a table: `EXISTS (SELECT 1)`"),
        ("(select 1)", "reads a table"),
        ("NEW.a IN (TABLE t)", "reads a table"),
        ("", "is empty"),
        (" \n ", "is empty"),
    ],
)
def test_what_is_no_single_expression_is_refused(text: str, message: str) -> None:
    assert message in refused(text).message


@pytest.mark.parametrize(
    "text", ["NEW.`select` = 1", "NEW.a = 'SELECT 1'", "NEW.selected"]
)
def test_a_name_or_text_with_such_a_word_is_none(text: str) -> None:
    assert columns(text)


# Rows and columns


@pytest.mark.parametrize(
    ("text", "operation", "there"),
    [("OLD.a", "insert", "NEW"), ("NEW.a OR OLD.b", "insert", "NEW"),
     ("NEW.a", "delete", "OLD")],
)  # fmt: skip
def test_a_row_that_an_operation_has_not_is_refused(
    text: str, operation: str, there: str
) -> None:
    with pytest.raises(SpecError) as caught:
        read(text).check_rows(["update", operation], "`when` of t")
    missing = "OLD" if there == "NEW" else "NEW"
    assert f"but {operation} has no {missing} row" in caught.value.message
    assert caught.value.message.startswith("evtrig.yml:7:13: ")
    assert f"Write {there} instead of {missing}" in (caught.value.hint or "")


def test_rows_that_an_operation_has_are_fine() -> None:
    read("NEW.a").check_rows(["insert", "update"], "w")
    read("OLD.a").check_rows(["update", "delete"], "w")
    read("1").check_rows(["insert", "update", "delete"], "w")


def test_a_column_that_is_not_there_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(SpecError) as caught:
        read("NEW.statsu = 1").check_columns(["id", "status"], "`when` of t")
    assert caught.value.message == (
        "evtrig.yml:7:13: `when` of t reads NEW.statsu, which is not in `columns`"
        " — did you mean `status`?"
    )


def test_columns_are_known_in_any_case() -> None:
    found = read("NEW.STATUS = OLD.Id")
    found.check_columns(["id", "status"], "w")
    assert found.names(["note", "Id"]) == "Id"
    assert found.names(["note"]) is None
