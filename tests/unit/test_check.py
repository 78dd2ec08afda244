"""The parts of `check` that need no database."""

from __future__ import annotations

import pytest

from evtrig.database.server import Server
from evtrig.errors import UsageError
from evtrig.triggers.check import (
    SEVERITIES,
    Finding,
    check_patterns,
    ignored,
    summary,
)
from evtrig.triggers.check.column import named_and_gone
from evtrig.triggers.check.finding import advice, install, shell, some, sql
from evtrig.triggers.check.other_trigger import OtherTrigger
from evtrig.triggers.check.outbox import definitions, holds
from evtrig.triggers.check.table import originals
from evtrig.triggers.check.waiting import longest
from evtrig.triggers.installed import InstalledTrigger
from evtrig.triggers.outbox import OUTBOX_TABLES
from evtrig.triggers.spec import parse
from evtrig.triggers.trigger import TriggerName

SPEC = "version: 1\nschema: shop\ntables: {t: }\n"


def test_a_finding_has_the_severity_of_its_code() -> None:
    for code, severity in SEVERITIES.items():
        finding = Finding(code, "shop.t", "", "", ())
        assert finding.as_dict()["severity"] == severity
        assert finding.is_fault == (severity != "notice")


def test_a_mend_in_sql_ends_with_a_semicolon_when_it_is_printed_only() -> None:
    (mend,) = sql("SELECT 1")
    assert (mend.text, str(mend)) == ("SELECT 1", "SELECT 1;")
    assert str(advice("Do it.")[0]) == "Do it."


def test_a_command_line_is_quoted_for_the_shell() -> None:
    assert shell("evtrig", "relay", "--outbox", "a b")[0].text == (
        "evtrig relay --outbox 'a b'"
    )
    assert install(parse(SPEC, path="evtrig.yml"))[0].text == "evtrig install"
    assert install(parse(SPEC, path="my shop.yml"), "--prune")[0].text == (
        "evtrig install --spec 'my shop.yml' --prune"
    )


def test_a_finding_is_ignored_by_its_code_or_with_its_object() -> None:
    finding = Finding("truncate", "shop.t", "", "", ())
    assert ignored(finding, ["truncate"])
    assert ignored(finding, ["truncate:shop.t"])
    assert not ignored(finding, ["truncate:shop.u", "trunc", "partitioned"])
    check_patterns(["truncate", "outbox-writable:me@%"])
    with pytest.raises(UsageError) as caught:
        check_patterns(["truncat"])
    assert caught.value.hint == "Did you mean truncate?"


def test_a_summary_counts_each_severity() -> None:
    assert summary(["notice", "warning", "notice"]) == "2 notices, 1 warning"
    assert summary([]) == "nothing found"


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("_t_gho", {"t"}),
        ("_t_new_new", {"t", "t_new"} - {"t"}),
        ("__t_new", {"t", "_t"}),
        ("_t_20261123052049_del", {"t"}),
        ("__osc_new_t", {"t"}),
        ("lhma_2026_11_23_05_20_49_161_t", {"t"}),
        ("t_new", set()),
        ("_t", set()),
        ("_new", set()),
    ],
)
def test_the_table_that_a_shadow_belongs_to(table: str, expected: set[str]) -> None:
    assert originals(table) & {"t", "_t", "t_new"} == expected


def trigger(body: str) -> InstalledTrigger:
    name = TriggerName.of("shop", "t", "update")
    return InstalledTrigger(name, "shop", "t", body, "me@localhost")


def test_columns_that_triggers_name_are_found_and_not_those_in_text() -> None:
    body = """capture: BEGIN
    -- It's not NEW.`comment`.
    SET a = NEW.`ID`, b = OLD.`od``d`, c = 'NEW.`text`', d = NEW.`gone`;
END"""
    assert named_and_gone([trigger(body)], ["id", "od`d"]) == ["gone"]
    assert named_and_gone([trigger(body)], ["id", "od`d", "GONE"]) == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("INSERT INTO u VALUES (1)", {"shop.u"}),
        ("insert ignore into `u` set a = 1", {"shop.u"}),
        ("REPLACE u VALUES (1)", {"shop.u"}),
        ("DELETE FROM other . `u``v` WHERE 1", {"other.u`v"}),
        ("UPDATE LOW_PRIORITY u SET a = 1; DELETE FROM v", {"shop.u", "shop.v"}),
        ("SET @a = (SELECT 1 FROM u)", set()),
    ],
)
def test_what_a_trigger_of_somebody_else_writes_to(
    body: str, expected: set[str]
) -> None:
    other = OtherTrigger("shop", "x", "t", "AFTER", "INSERT", True, None, body)
    assert other.writes_to() == expected


@pytest.mark.parametrize(
    ("actual", "wanted", "expected"),
    [
        ("bigint(20) unsigned", "bigint unsigned", True),
        ("bigint unsigned", "bigint unsigned", True),
        ("bigint", "bigint unsigned", False),
        ("int unsigned", "bigint unsigned", False),
        ("varchar(255)", "varchar(255)", True),
        ("varchar(512)", "varchar(255)", True),
        ("varchar(20)", "varchar(255)", False),
        ("longtext", "longtext", True),
        ("text", "longtext", False),
        ("datetime", "datetime(6)", False),
        ("int(10) unsigned", "int unsigned", True),
        ("int unsigned", "int unsigned", True),
        ("int", "int unsigned", False),
        ("tinyint(1)", "tinyint(1)", True),
        ("smallint", "tinyint(1)", False),
    ],
)
def test_whether_a_column_holds_what_another_does(
    actual: str, wanted: str, expected: bool
) -> None:
    assert holds(actual, wanted) == expected


@pytest.mark.parametrize("family", ["mysql", "mariadb"])
def test_the_columns_of_the_outbox_are_read_from_what_creates_it(family: str) -> None:
    found = definitions("evtrig", Server(family))
    assert {table: set(columns) for table, columns in found.items()} == OUTBOX_TABLES
    assert found["events"]["id"].type == "bigint unsigned"
    assert found["events"]["before"].is_nullable
    assert not found["events"]["key"].is_nullable
    assert found["dead_letters"]["holds_key"].type == "tinyint(1)"
    assert found["dead_letters"]["first_error"].is_nullable


def test_a_type_that_holds_more_than_a_packet() -> None:
    packet = 1 << 24
    assert longest("longtext") > packet
    assert longest("json") > packet
    assert longest("mediumblob") > packet
    assert longest("text") < packet
    assert longest("vector") < packet
    assert longest("unheard of") == 0


def test_a_long_list_stays_short() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some([str(n) for n in range(500)], most=2) == "0, 1 and 498 more"
