"""What the server says of an expression, without the probe around it."""

from __future__ import annotations

import pytest

from evtrig.triggers.document import Place
from evtrig.triggers.expression import Expression
from evtrig.triggers.probe import REASONS, Error, Probe, problems, told
from evtrig.triggers.sql import Sql


def expression(sql: str) -> Expression:
    return Expression(Sql(sql), (), Place("evtrig.yml", 7, 20))


def error(number: int, message: str | None, operation: str = "update") -> Error:
    probe = Probe("`when` of event E", expression("NEW.`v` = 1"), operation, False)
    return Error(probe, number, 1, message)


@pytest.mark.parametrize(
    ("near", "said"),
    [
        ("= 1)) THEN\n        LEAVE probe;", "syntax error near = 1)"),
        (") THEN\n        LEAVE probe;", "syntax error at its end"),
        ("= 1) + NEW.`v`", "syntax error near = 1) + NEW.`v`"),
    ],
)
def test_a_syntax_error_quotes_the_expression_only(near: str, said: str) -> None:
    sql = "(NEW.`v` = = 1)" if "+" not in near else "(NEW.`v` = = 1) + NEW.`v` + 1"
    text = f"You have an error; for the right syntax to use near '{near}' at line 23"
    assert told(text, expression(sql), "s") == said


def test_the_scratch_schema_is_not_named() -> None:
    text = "FUNCTION shop_scratch.f does not exist"
    assert told(text, expression("f()"), "shop_scratch") == "FUNCTION f does not exist"


def test_one_expression_is_one_problem() -> None:
    found = problems([error(1111, "no", "insert"), error(1111, "no", "update")])
    assert [problem for problem, _ in found] == [
        "evtrig.yml:7:20: `when` of event E: no (1111)"
    ]


def test_an_error_on_a_row_is_said_in_our_own_words() -> None:
    for number in (*REASONS, 1644, 3617):
        ((problem, hint),) = problems([error(number, None)])
        assert problem.endswith(f"({number})")
        assert "--dry-run-rows" in hint
