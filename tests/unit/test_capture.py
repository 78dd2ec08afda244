"""Completing a spec from what the database has, and what keeps that from working."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evtrig.database.server import Server
from evtrig.errors import PreflightError, SpecError
from evtrig.triggers.capture import Capture, notices, resolve
from evtrig.triggers.spec import Spec, parse
from evtrig.triggers.table import Column, Table

MYSQL = Server("mysql", (9, 7, 4))

ORDERS = Table(
    schema="shop",
    name="orders",
    kind="BASE TABLE",
    engine="InnoDB",
    columns=(
        Column("id", "int"),
        Column("status", "varchar(20)"),
        Column("total", "decimal(10,2)"),
    ),
    primary_key=("id",),
)


def spec_of(*lines: str, table: str = "orders") -> Spec:
    body = "".join(f"    {line}\n" for line in lines)
    text = f"version: 1\nschema: shop\ntables:\n  {table}:\n{body}"
    return parse(text, path="evtrig.yml")


def capture(*lines: str, table: Table = ORDERS) -> Capture:
    (found,) = resolve(spec_of(*lines), [table], MYSQL)
    return found


def problems(*lines: str, table: Table = ORDERS) -> list[tuple[str, str]]:
    with pytest.raises(PreflightError) as caught:
        resolve(spec_of(*lines), [table], MYSQL)
    assert all(message and hint for message, hint in caught.value.problems)
    return list(caught.value.problems)


def test_columns_and_key_come_from_the_database() -> None:
    found = capture()
    assert found.columns == ORDERS.columns
    assert found.key == (Column("id", "int"),)
    assert found.source == "shop.orders"


def test_what_the_spec_pins_comes_first() -> None:
    found = capture("key: [status]", "columns: {total: 'decimal(10,2)', status: text}")
    assert [column.name for column in found.columns] == ["total", "status"]
    assert found.key == (Column("status", "text"),)


def test_excluded_columns_are_in_no_image() -> None:
    found = capture("exclude: [total]")
    assert [column.name for column in found.columns] == ["id", "status"]


def test_a_key_of_several_columns_keeps_its_order() -> None:
    table = replace(ORDERS, primary_key=("status", "id"))
    assert [column.name for column in capture(table=table).key] == ["status", "id"]


def test_a_table_without_primary_key_takes_the_key_of_the_spec() -> None:
    table = replace(ORDERS, primary_key=())
    assert capture("key: [id]", table=table).key == (Column("id", "int"),)


def test_types_may_be_written_differently() -> None:
    found = capture("columns: {id: int(11), status: VARCHAR(30), total: 'dec(9,1)'}")
    assert len(found.columns) == 3


PROBLEMS = {
    "view": ((), replace(ORDERS, kind="VIEW", engine=None), "is a view"),
    "MyISAM": ((), replace(ORDERS, engine="MyISAM"), "engine MyISAM"),
    "no key": ((), replace(ORDERS, primary_key=()), "no primary key"),
    "key not there": (("key: [ident]",), ORDERS, "no column ident, which `key:`"),
    "column not there": (
        ("columns: {id: int, state: int}",),
        ORDERS,
        "no column state, which `columns:`",
    ),
    "exclude not there": (
        ("exclude: [totl]",),
        ORDERS,
        "no column totl, which `exclude:`",
    ),
    "primary key not pinned": (
        ("columns: {status: text}",),
        ORDERS,
        "leaves out id, a column of its key",
    ),
    "primary key excluded": (
        ("exclude: [id]",),
        ORDERS,
        "names id, a column of its key",
    ),
    "another type": (
        ("columns: {id: int, total: int}",),
        ORDERS,
        "total of shop.orders is decimal(10,2), but `columns:` says int",
    ),
    "unknown type": (
        (),
        replace(ORDERS, columns=(*ORDERS.columns, Column("x", "xmltype"))),
        "unknown column type 'xmltype'",
    ),
}


@pytest.mark.parametrize(
    ("lines", "table", "message"), PROBLEMS.values(), ids=PROBLEMS.keys()
)
def test_one_mistake_is_one_problem(
    lines: tuple[str, ...], table: Table, message: str
) -> None:
    ((found, hint),) = problems(*lines, table=table)
    assert message in found
    assert "evtrig.yml:" in hint


def test_the_nearest_column_is_named_with_its_place() -> None:
    ((_, hint),) = problems("exclude:", "- totl")
    assert hint == "Did you mean total? (evtrig.yml:6:7)"


def test_the_nearest_table_is_named() -> None:
    with pytest.raises(PreflightError) as caught:
        resolve(spec_of(table="order"), [ORDERS], MYSQL)
    assert caught.value.message == "there is no table shop.order"
    assert caught.value.hint == "Did you mean orders? (evtrig.yml:4:3)"


def test_a_schema_without_tables_says_so() -> None:
    with pytest.raises(PreflightError) as caught:
        resolve(spec_of(), [], MYSQL)
    assert "shop has no tables that this account can see" in (caught.value.hint or "")


def test_every_problem_of_every_table_is_said_at_once() -> None:
    text = "version: 1\nschema: shop\ntables:\n  orders: {key: [x], exclude: [y]}\n  b:"
    with pytest.raises(PreflightError) as caught:
        resolve(parse(text, path="evtrig.yml"), [ORDERS], MYSQL)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("lines", "key"), [(("key: [id]",), "columns"), (("columns: {id: int}",), "key")]
)
def test_without_a_database_the_spec_has_to_say_everything(
    lines: tuple[str, ...], key: str
) -> None:
    with pytest.raises(SpecError) as caught:
        resolve(spec_of(*lines), None, MYSQL)
    assert f"orders has no `{key}:`" in caught.value.message
    assert "--dsn" in (caught.value.hint or "")
    assert caught.value.line == 4


@pytest.mark.parametrize("tables", [None, [ORDERS]])
def test_a_misspelt_type_is_found_with_its_place(tables: list[Table] | None) -> None:
    with pytest.raises(SpecError) as caught:
        resolve(spec_of("key: [id]", "columns: {id: itn}"), tables, MYSQL)
    assert "did you mean int?" in caught.value.message
    assert (caught.value.line, caught.value.column) == (6, 15)


def test_columns_that_are_not_pinned_are_noticed() -> None:
    status, total = notices(spec_of("columns: {id: int}"), [ORDERS])
    assert "shop.orders also has status varchar(20)" in status
    assert "shop.orders also has total decimal(10,2)" in total


def test_a_table_whose_columns_are_not_pinned_has_nothing_to_notice() -> None:
    assert notices(spec_of("exclude: [total]"), [ORDERS]) == []


# What people mean


def test_a_table_of_domain_events_has_the_triggers_that_they_need() -> None:
    found = capture(
        "change_rows: false",
        "events: [{type: A, on: delete}, {type: B, on: [insert, delete]}]",
    )
    assert found.operations == ()
    assert found.triggers == ("insert", "delete")


def test_an_event_may_need_a_trigger_that_the_changes_do_not() -> None:
    found = capture("operations: [update]", "events: [{type: A, on: insert}]")
    assert (found.operations, found.triggers) == (("update",), ("insert", "update"))


@pytest.mark.parametrize(
    ("line", "needed"),
    [
        ("transaction: true", True),
        ("bypass: nightly-import", True),
        ("transaction: false", False),
        ("db_user: true", False),
    ],
)
def test_the_id_of_the_transaction_is_asked_for_only_where_it_is_of_use(
    line: str, needed: bool
) -> None:
    assert capture(line).needs_transaction is needed


def test_only_a_hash_needs_the_salt() -> None:
    assert capture("redact: {status: hash, total: omit}").needs_salt
    assert not capture("redact: {status: last4, total: omit}").needs_salt


def test_a_domain_event_may_depend_on_what_is_left_out() -> None:
    found = capture(
        "exclude: [total]",
        "events: [{type: A, on: update, when: NEW.TOTAL > 9, data: {x: NEW.Status}}]",
    )
    assert [column.name for column in found.excluded] == ["total"]
    when, value = found.expressions()
    assert found.type_of(when.references[0]) == Column("total", "decimal(10,2)")
    assert found.type_of(value.references[0]) == Column("status", "varchar(20)")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("when: {update: NEW.totl > 1}", "`when` of orders reads NEW.totl"),
        (
            "events: [{type: A, on: insert, when: NEW.x}]",
            "`when` of event A reads NEW.x",
        ),
        ("events: [{type: A, on: insert, data: {n: NEW.x}}]", "`n` of event A reads"),
    ],
)
def test_a_column_of_an_expression_that_the_table_has_not_is_a_problem(
    line: str, message: str
) -> None:
    ((found, hint),) = problems(line)
    assert message in found
    assert found.startswith("evtrig.yml:5:")
    assert hint == "shop.orders has id, status, total."
