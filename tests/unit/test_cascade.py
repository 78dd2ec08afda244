"""From foreign keys to the triggers that record them, or to the reason why not."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from evtrig.database.server import Server
from evtrig.errors import PreflightError, SpecError
from evtrig.triggers.capture import Capture
from evtrig.triggers.cascade import (
    Cascade,
    Restriction,
    Surroundings,
    cascades,
    paths,
    refuse_cascades,
)
from evtrig.triggers.document import Place
from evtrig.triggers.foreign_key import (
    CONSTRAINT,
    ForeignKey,
    ForeignTrigger,
    Management,
)
from evtrig.triggers.installed import Installed, InstalledTrigger
from evtrig.triggers.plan import plan
from evtrig.triggers.render import render_cascade
from evtrig.triggers.spec import parse
from evtrig.triggers.table import Column
from evtrig.triggers.trigger import CASCADE, OPERATIONS, TriggerName

SERVER = Server("mariadb", (10, 11, 19))
PLACE = Place("evtrig.yml", 7, 5)
BY_SERVER = Management(False, False)


def key(way: str, on_delete: str = "CASCADE", **more: str) -> ForeignKey:
    """``key("orders.customer → customers.id")``"""
    child, parent = way.split(" → ")
    (table, column), (other, referenced) = child.split("."), parent.split(".")
    return ForeignKey(
        name=more.get("name", f"{table}_{other}"),
        schema="shop",
        table=table,
        columns=tuple(column.split("+")),
        parent_schema="shop",
        parent_table=other,
        parent_columns=tuple(referenced.split("+")),
        on_delete=on_delete,
        on_update=more.get("on_update", "NO ACTION"),
    )


ORDERS = key("orders.customer → customers.id")
ITEMS = key("items.order → orders.id")
NOTES = key("notes.customer → customers.id", "SET NULL")


def capture(table: str, operations: tuple[str, ...] = OPERATIONS) -> Capture:
    columns = (Column("id", "int"),)
    return Capture("shop", table, columns, columns, operations, "both", "evtrig", None)


def wanted(
    tables: str, keys: Sequence[ForeignKey], **around: object
) -> dict[str, Cascade]:
    """The triggers for these tables, by parent."""
    surroundings = Surroundings(tuple(keys), **around)
    found, _ = cascades([(capture(t), PLACE) for t in tables.split()], surroundings)
    return {cascade.table: cascade for cascade in found}


def refusal(tables: str, keys: Sequence[ForeignKey], **around: object) -> str:
    with pytest.raises(PreflightError) as caught:
        wanted(tables, keys, **around)
    assert all(problem and hint for problem, hint in caught.value.problems)
    return str(caught.value) + (caught.value.hint or "")


# Paths


def test_a_path_goes_from_the_topmost_table_down() -> None:
    (path,) = paths({"shop.items"}, [ORDERS, ITEMS, NOTES])
    assert str(path) == "shop.customers → shop.orders → shop.items (ON DELETE CASCADE)"
    assert path.table == "shop.items"
    assert path.is_delete


def test_updates_go_on_only_where_they_change_what_is_referred_to() -> None:
    top = key("b.x → a.id", "RESTRICT", on_update="CASCADE")
    same = key("c.x → b.x", "RESTRICT", on_update="SET NULL")
    other = key("d.x → b.id", "RESTRICT", on_update="CASCADE")
    found = paths({"shop.c", "shop.d"}, [top, same, other])
    assert [str(path) for path in found] == [
        "shop.a → shop.b → shop.c (ON UPDATE SET NULL)",
        "shop.b → shop.d (ON UPDATE CASCADE)",
    ]
    assert not any(path.is_delete for path in found)


def test_a_row_set_to_null_takes_no_other_along() -> None:
    below = key("b.note → notes.id")
    found = [str(path) for path in paths({"shop.b"}, [NOTES, below])]
    assert found == ["shop.notes → shop.b (ON DELETE CASCADE)"]


def test_restricting_keys_are_no_path() -> None:
    assert paths({"shop.items"}, [key("items.order → orders.id", "RESTRICT")]) == ()


def test_a_path_through_a_circle_ends() -> None:
    boss = key("people.boss → people.id")
    firm = key("people.firm → firms.id")
    owner = key("firms.owner → people.id")
    found = [str(path) for path in paths({"shop.people"}, [boss, firm, owner])]
    assert found == [
        "shop.people → shop.firms → shop.people (ON DELETE CASCADE)",
        "shop.people → shop.people (ON DELETE CASCADE)",
    ]


def test_many_tables_that_all_refer_to_each_other_end_soon() -> None:
    tables = "abcde"
    keys = [key(f"{a}.x → {b}.id") for a in tables for b in tables]
    begin = time.monotonic()
    assert paths({"shop.a"}, keys)
    assert time.monotonic() - begin < 5


# What to create


def test_every_parent_above_has_a_trigger_and_the_tables_beside_do_not() -> None:
    carts = key("carts.customer → customers.id")
    found = wanted("items", [ORDERS, ITEMS, NOTES, carts])
    assert found.keys() == {"customers", "orders"}
    assert found["customers"].deletes == (ORDERS,)
    assert found["customers"].nulls == ()
    assert found["customers"].captured == (("shop", "items"),)


def test_deletes_come_before_updates_and_the_lowest_table_first() -> None:
    direct = key("items.customer → customers.id")
    found = wanted("items orders notes", [ORDERS, NOTES, direct, ITEMS])
    assert found["customers"].deletes == (direct, ORDERS)
    assert found["customers"].nulls == (NOTES,)


def test_only_what_an_operation_records_is_reached() -> None:
    around = Surroundings((ORDERS, NOTES))
    for table, operation in (("notes", "delete"), ("orders", "update")):
        found, notices = cascades([(capture(table, (operation,)), PLACE)], around)
        assert found == ()
        assert f"no foreign key changes shop.{table}" in notices[0]


def test_a_restriction_is_found_at_any_depth_also_below_a_table_beside() -> None:
    claims = key("claims.customer → customers.id", "NO ACTION")
    refunds = key("refunds.order → orders.id", "RESTRICT")
    carts = key("carts.customer → customers.id")
    holds = key("holds.cart → carts.id", "SET DEFAULT")
    found = wanted("orders", [ORDERS, claims, refunds, carts, holds])["customers"]
    assert set(found.restrictions) == {
        Restriction(claims),
        Restriction(refunds, (ORDERS,)),
        Restriction(holds, (carts,)),
    }


def test_the_owner_needs_no_more_than_the_statements_do() -> None:
    refunds = key("refunds.order → orders.id", "RESTRICT")
    found = wanted("orders notes", [ORDERS, NOTES, refunds])["customers"]
    assert set(found.grants) == {
        ("SELECT", "shop", "customers"),
        ("TRIGGER", "shop", "customers"),
        ("SELECT", "shop", "orders"),
        ("DELETE", "shop", "orders"),
        ("SELECT", "shop", "notes"),
        ("UPDATE", "shop", "notes"),
        ("SELECT", "shop", "refunds"),
    }


def test_a_table_between_is_said_to_be_recorded_too() -> None:
    around = Surroundings((ORDERS, ITEMS))
    _, notices = cascades([(capture("items"), PLACE)], around, captured={"shop.orders"})
    assert [notice.startswith("shop.orders is between") for notice in notices] == [True]


# Why not


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL"])
def test_a_table_that_refers_to_itself_is_refused(action: str) -> None:
    text = refusal("people", [key("people.boss → people.id", action)])
    assert "people_people of shop.people" in text
    assert "1442" in text
    assert "evtrig.yml:7:5" in text


def test_a_parent_that_refers_to_itself_is_refused() -> None:
    for action in ("CASCADE", "RESTRICT"):
        tree = key("customers.parent → customers.id", action)
        assert "customers_customers of shop.customers" in refusal(
            "orders", [ORDERS, tree]
        )


def test_a_circle_is_refused_with_each_of_its_keys() -> None:
    back = key("customers.last → items.id")
    text = refusal("items", [ORDERS, ITEMS, back])
    for name in ("orders_customers", "items_orders", "customers_items"):
        assert f"foreign key {name} of" in text


def test_a_restriction_by_rows_that_go_as_well_is_refused() -> None:
    first = key("customers.first → orders.id", "RESTRICT")
    assert "customers_orders" in refusal("orders", [ORDERS, first])
    beside = key("notes.order → orders.id", "RESTRICT")
    notes = key("notes.customer → customers.id")
    assert "notes_orders" in refusal("orders", [ORDERS, beside, notes])


def test_a_restriction_below_a_circle_beside_is_refused() -> None:
    parts = key("carts.customer → customers.id")
    tree = key("carts.part → carts.id")
    holds = key("holds.cart → carts.id", "RESTRICT")
    assert "holds_carts" in refusal("orders", [ORDERS, parts, tree, holds])
    assert wanted("orders", [ORDERS, parts, tree]).keys() == {"customers"}


@pytest.mark.parametrize(
    ("table", "operation", "is_refused"),
    [
        ("orders", "delete", True),
        ("notes", "update", True),
        ("orders", "update", False),
        ("notes", "delete", False),
        ("customers", "delete", False),
    ],
)
def test_only_triggers_that_would_begin_to_fire_are_refused(
    table: str, operation: str, is_refused: bool
) -> None:
    triggers = (ForeignTrigger("mine", "shop", table, operation),)
    if is_refused:
        text = refusal("orders notes", [ORDERS, NOTES], triggers=triggers)
        assert "trigger mine on shop." in text
    else:
        assert wanted("orders notes", [ORDERS, NOTES], triggers=triggers)


def test_where_the_server_does_it_a_trigger_is_refused() -> None:
    text = refusal("orders", [ORDERS], management=BY_SERVER)
    assert "enable_cascade_triggers" in text
    # As it was before there was such a switch.
    text = refusal("orders", [ORDERS], management=Management(False, None))
    assert "innodb_native_foreign_keys=ON" in text


def test_where_the_server_fires_the_triggers_there_is_nothing_to_create() -> None:
    assert wanted("orders", [ORDERS], management=Management(False, True)) == {}


def test_the_switch_alone_does_nothing_while_innodb_does_it() -> None:
    found = wanted("orders", [ORDERS], management=Management(True, True))
    assert found["customers"].is_switchable


def test_without_a_database_the_spec_is_refused_with_the_place() -> None:
    text = "version: 1\nschema: s\ntables:\n  t:\n    cascades: {}\n"
    refuse_cascades(parse(text.format("ignore"), path="evtrig.yml"))
    with pytest.raises(SpecError) as caught:
        refuse_cascades(parse(text.format("capture"), path="evtrig.yml"))
    assert (caught.value.line, caught.value.column) == (5, 5)
    assert "--dsn" in (caught.value.hint or "")


# SQL and plan


def sql(cascade: Cascade, generation: int = 1) -> str:
    name = TriggerName.of(cascade.schema, cascade.table, CASCADE, generation)
    return render_cascade(cascade, name, SERVER)


def test_composite_keys_join_their_columns() -> None:
    both = key("orders.tenant+customer → customers.tenant+id", "SET NULL")
    text = sql(wanted("orders", [both])["customers"])
    assert "`tenant` = NULL,\n        `customer` = NULL\n    WHERE" in text
    assert "`tenant` = OLD.`tenant`\n        AND `customer` = OLD.`id`;" in text


def test_a_column_that_sets_itself_keeps_its_value() -> None:
    stamped = {("shop", "notes"): ("changed", "customer")}
    text = sql(wanted("notes", [NOTES], stamped=stamped)["customers"])
    assert "`customer` = NULL,\n        `changed` = `changed`\n    WHERE" in text


def test_a_server_that_can_be_restarted_otherwise_is_asked() -> None:
    found = wanted("orders", [ORDERS], management=Management(True, False))["customers"]
    assert "IF NOT @@GLOBAL.innodb_native_foreign_keys" in sql(found)
    # No other server has the variable: every DELETE would fail.
    assert "innodb" not in sql(replace(found, is_switchable=False)).lower()


def there(cascade: Cascade, generation: int = 1) -> InstalledTrigger:
    text = sql(cascade, generation)
    return InstalledTrigger(
        name=TriggerName.of(cascade.schema, cascade.table, CASCADE, generation),
        schema=cascade.schema,
        table=cascade.table,
        body=text[text.index("cascades: BEGIN") :],
        definer="root@localhost",
    )


def planned(found: Sequence[Cascade], *triggers: InstalledTrigger, tables: str) -> list:
    """The steps for cascade triggers, as kind and generation."""
    steps = plan(
        [capture(table) for table in tables.split()],
        Installed(triggers=triggers),
        SERVER,
        outbox="evtrig",
        definer=None,
        cascades=found,
    ).steps
    return [(s.kind, int(s.sql.split("_c_")[1].split("`")[0])) for s in steps
            if "_c_" in s.sql.split("BEFORE")[0]]  # fmt: skip


def test_what_is_there_already_stays_and_what_differs_is_replaced() -> None:
    (old,) = wanted("orders", [ORDERS]).values()
    (new,) = wanted("orders notes", [ORDERS, NOTES]).values()
    assert planned([old], tables="orders") == [("trigger", 1)]
    assert planned([old], there(old), tables="orders") == []
    assert planned([new], there(old), tables="orders notes") == [
        ("trigger", 2),
        ("drop", 1),
    ]
    assert planned([new], there(old), there(new, 2), tables="orders notes") == [
        ("drop", 1)
    ]
    assert planned([], there(old), tables="orders") == [("drop", 1)]


def test_a_trigger_that_tables_of_another_spec_need_stays() -> None:
    (cascade,) = wanted("notes", [NOTES]).values()
    text = "capture: BEGIN INSERT INTO `evtrig`.`events`; END"
    other = InstalledTrigger(
        TriggerName.of("shop", "notes", "update"), "shop", "notes", text, "root@%"
    )
    assert planned([], there(cascade), other, tables="orders") == []
    assert planned([], there(cascade), tables="orders") == [("drop", 1)]
    assert planned([], there(cascade), other, tables="notes") == [("drop", 1)]


@pytest.mark.parametrize("outbox", ["evtrig", "it's", "a`b", "a\\b"])
@pytest.mark.parametrize("table", ["orders", "a, `b`.c", "it's", "a\\b"])
def test_the_trigger_says_what_it_is_there_for(outbox: str, table: str) -> None:
    (cascade,) = wanted("orders", [ORDERS]).values()
    captured = (("shop", table), ("shop", "notes"))
    trigger = there(replace(cascade, outbox=outbox, captured=captured))
    assert trigger.cascades_to == {f"shop.{table}", "shop.notes"}
    events = "`" + outbox.replace("`", "``") + "`.`events`"
    assert trigger.writes_to(events)
    assert not trigger.writes_to("`other`.`events`")


def test_the_name_has_a_letter_of_its_own() -> None:
    name = TriggerName.of("shop", "customers", CASCADE, 12)
    assert str(name).endswith("_c_12")
    assert TriggerName.parse(str(name)) == name


def test_rules_are_read_from_the_statement_where_nothing_else_shows_them() -> None:
    actions = ["CASCADE", "SET NULL", "NO ACTION", None]
    for delete, update in itertools.product(actions, actions):
        text = "CREATE TABLE `t` (\n  CONSTRAINT `a``b (` FOREIGN KEY (`x`, `y``)`)"
        text += " REFERENCES `o``ther`.`p` (`i`, `j`)"
        text += f" ON DELETE {delete}" if delete else ""
        text += f" ON UPDATE {update}" if update else ""
        (match,) = CONSTRAINT.finditer(text + ",\n  KEY `k` (`x`)\n)")
        assert match.group("name", "delete", "update") == ("a``b (", delete, update)
