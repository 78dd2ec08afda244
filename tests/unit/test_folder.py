"""A plan as files: every statement in the one where it is looked for, and no other."""

from __future__ import annotations

import os
import re
from pathlib import Path

import golden
import pytest

from evtrig.database.server import Server
from evtrig.triggers.account import Account
from evtrig.triggers.capture import Capture, resolve
from evtrig.triggers.cascade import Cascade
from evtrig.triggers.emit import Emit
from evtrig.triggers.folder import INDEX, MARK, folder, is_made, listed
from evtrig.triggers.foreign_key import ForeignKey
from evtrig.triggers.installed import Installed
from evtrig.triggers.plan import Plan, plan
from evtrig.triggers.render import SESSION
from evtrig.triggers.spec import parse
from evtrig.triggers.table import Column
from evtrig.triggers.trigger import OPERATIONS

MYSQL = Server("mysql")
DEFINER = Account("evtrig_definer", "localhost")
CASES = [(family, name) for family in golden.FAMILIES for name in golden.names(family)]
GOLDEN = golden.FOLDER / "folder"


def generated(family: str, name: str) -> tuple[Plan, dict[str, str]]:
    spec = parse(golden.spec_text(family, name), path="evtrig.yml")
    server = Server(family)
    captures = resolve(spec, None, server)
    whole = plan(
        captures,
        Installed(),
        server,
        outbox=spec.outbox,
        definer=spec.definer,
        emit=Emit.of(spec),
    )
    return whole, folder(whole, server, captures)


def capture(
    table: str, schema: str = "shop", definer: Account | None = DEFINER
) -> Capture:
    columns = (Column("id", "int"), Column("parent", "int"))
    return Capture(
        schema, table, columns[:1], columns, OPERATIONS, "both", "evtrig", definer
    )


def of(*captures: Capture, cascades: tuple[Cascade, ...] = ()) -> dict[str, str]:
    definer = captures[0].definer
    whole = plan(
        captures,
        Installed(),
        MYSQL,
        outbox="evtrig",
        definer=definer,
        cascades=cascades,
    )
    return folder(whole, MYSQL, captures, cascades)


def grants(text: str) -> list[str]:
    return re.findall(r"^GRANT (.*) TO", text, re.MULTILINE)


@pytest.mark.parametrize(("family", "name"), CASES)
def test_every_statement_of_the_plan_is_in_one_file(family: str, name: str) -> None:
    whole, files = generated(family, name)
    scripts = [text for path, text in files.items() if path != INDEX]
    for step in whole.steps:
        assert sum(text.count(step.sql) for text in scripts) == 1, step.title
    rest = "\n".join(scripts)
    for step in whole.steps:
        rest = rest.replace(step.sql, "")
    lines = {line for line in rest.splitlines() if not line.startswith("-- ")}
    settings = {f"{statement};" for statement in SESSION}
    assert lines - settings == {"", ";", "DELIMITER $$", " $$", "DELIMITER ;"}


@pytest.mark.parametrize(("family", "name"), CASES)
def test_every_script_begins_with_whose_it_is_and_the_settings(
    family: str, name: str
) -> None:
    _, files = generated(family, name)
    settings = "\n".join(f"{statement};" for statement in SESSION)
    for path, text in files.items():
        assert is_made(text)
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        if path != INDEX:
            head = text.partition("\n\n")[0]
            assert head.endswith(settings)
            assert set(head.removesuffix(settings).splitlines()) == set(
                re.findall("^-- .*", head, re.MULTILINE)
            )


@pytest.mark.parametrize(("family", "name"), CASES)
def test_the_index_lists_the_other_files_what_they_share_first(
    family: str, name: str
) -> None:
    _, files = generated(family, name)
    assert list(files)[-1] == INDEX
    assert listed(files[INDEX]) == tuple(files)[:-1]
    assert listed(files[INDEX])[0] == "outbox.sql"
    assert len(files) == 2 + len(parse(golden.spec_text(family, name), path="x").tables)


def test_the_folder_is_the_golden_one() -> None:
    """EVTRIG_ACCEPT=1 rewrites it: then review the difference."""
    _, files = generated("mysql", "shop")
    if os.environ.get("EVTRIG_ACCEPT"):
        for path, text in files.items():
            (GOLDEN / path).parent.mkdir(parents=True, exist_ok=True)
            (GOLDEN / path).write_text(text)
    assert files == contents(GOLDEN)


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_column_changes_the_file_of_its_table_alone() -> None:
    text = golden.spec_text("mysql", "shop")
    longer = text.replace("      note: text\n", "      note: text\n      tip: int\n")
    before, after = (
        of(*resolve(parse(t, path="evtrig.yml"), None, MYSQL)) for t in (text, longer)
    )
    assert [path for path in after if after[path] != before[path]] == [
        "shop/orders.sql"
    ]


# Grants, and foreign keys that cascade


def key(table: str, parent: str) -> ForeignKey:
    return ForeignKey(
        name=f"{table}_{parent}",
        schema="shop",
        table=table,
        columns=("parent",),
        parent_schema="shop",
        parent_table=parent,
        parent_columns=("id",),
        on_delete="CASCADE",
        on_update="NO ACTION",
    )


def cascade(parent: str, *children: str) -> Cascade:
    return Cascade(
        schema="shop",
        table=parent,
        deletes=tuple(key(child, parent) for child in children),
        nulls=(),
        restrictions=(),
        captured=(("shop", "items"),),
        outbox="evtrig",
        definer=DEFINER,
    )


def test_what_is_granted_on_a_table_is_in_its_file() -> None:
    files = of(capture("orders"), capture("orders", schema="Shop"))
    assert grants(files["outbox.sql"]) == ["INSERT ON `evtrig`.`events`"]
    assert grants(files["shop/orders.sql"]) == ["SELECT, TRIGGER ON `shop`.`orders`"]
    assert grants(files["+shop/orders.sql"]) == ["SELECT, TRIGGER ON `Shop`.`orders`"]


def test_without_an_account_of_its_own_there_is_nothing_to_grant() -> None:
    files = of(capture("orders", definer=None))
    assert [text for text in files.values() if "GRANT" in text] == []


def test_the_trigger_of_a_parent_is_in_the_parents_file_with_what_it_needs() -> None:
    captures = capture("items"), capture("customers")
    files = of(
        *captures, cascades=(cascade("customers", "orders"), cascade("orders", "items"))
    )
    assert listed(files[INDEX]) == (
        *("outbox.sql", "shop/items.sql", "shop/customers.sql", "shop/orders.sql"),
    )
    assert files["shop/items.sql"].count("CREATE DEFINER") == 3
    assert files["shop/customers.sql"].count("CREATE DEFINER") == 4
    assert files["shop/orders.sql"].count("CREATE DEFINER") == 1
    # Each can be run without the other, so some grants are in two.
    on_items = "SELECT, TRIGGER, DELETE ON `shop`.`items`"
    on_orders = "SELECT, DELETE, TRIGGER ON `shop`.`orders`"
    assert grants(files["shop/items.sql"]) == [on_items]
    assert grants(files["shop/orders.sql"]) == [on_orders, on_items]
    assert grants(files["shop/customers.sql"]) == [
        "SELECT, TRIGGER ON `shop`.`customers`",
        on_orders,
    ]
    assert grants(files["outbox.sql"]) == ["INSERT ON `evtrig`.`events`"]


def test_tables_are_told_apart_whatever_they_are_called() -> None:
    tables = [
        *(("a.b", "c"), ("a", "b.c"), ("a", "B.c"), ("shop", "x` TO `y"), ("a", "on")),
        *(("shop` ON `shop", "t"), ("shop", "t"), ("outbox.sql", "t"), ("con", "nul")),
    ]
    files = of(*(capture(table, schema=schema) for schema, table in tables))
    assert len(files) == 2 + len(tables)
    for (schema, table), text in zip(tables, list(files.values())[1:-1], strict=True):
        name = f"`{schema.replace('`', '``')}`.`{table.replace('`', '``')}`"
        assert grants(text) == [f"SELECT, TRIGGER ON {name}"]
        assert set(re.findall("^AFTER [A-Z]+ ON (.*)$", text, re.M)) == {name}
        assert len(re.findall("^AFTER [A-Z]+ ON", text, re.M)) == 3


# What an index says


@pytest.mark.parametrize(
    "line",
    [
        *("../orders.sql", "/etc/passwd", "shop/../../x.sql", "shop/orders.txt", "#"),
        *("", "shop", "orders.sql", "shop/Orders.sql", "shop/a/b.sql", "shop/.sql"),
        *("<<<<<<< HEAD", ".git/config", "shop/orders.sql.orig", "./shop/orders.sql"),
    ],
)
def test_an_index_leads_nowhere_else_whatever_somebody_has_written_there(
    line: str,
) -> None:
    assert listed(f"# {MARK}\n{line}\nshop/orders.sql\r\n") == ("shop/orders.sql",)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        (f"-- {MARK}\nSET NAMES", True),
        (f"# {MARK}\r\nx", True),
        (f"-- {MARK}", True),
        (f"\n-- {MARK}", False),
        (f"SELECT 1; -- {MARK}", False),
        ("", False),
    ],
)
def test_a_file_of_evtrig_is_known_by_its_first_line(text: str, made: bool) -> None:
    assert is_made(text) is made
