"""`evtrig check --ddl`: what is forecast then happens, and nothing is touched."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pymysql
import pytest
from click.testing import CliRunner

from evtrig.cli import main
from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.server import ThrowawayServer
from evtrig.errors import PreflightError, UsageError
from evtrig.triggers.check import check
from evtrig.triggers.ddl import foresee
from evtrig.triggers.foreseen import Foreseen
from evtrig.triggers.install import apply, prepare
from evtrig.triggers.scratch import PRIVILEGES
from evtrig.triggers.scratch_schema import scratch_schema
from evtrig.triggers.spec import Spec, parse
from evtrig.triggers.trial import FURTHER

TABLE = """\
CREATE TABLE orders (
    id       INT AUTO_INCREMENT PRIMARY KEY,
    customer INT NOT NULL,
    note     VARCHAR(20),
    total    DECIMAL(10,2),
    secret   VARCHAR(10),
    CONSTRAINT costly CHECK (total > 5),
    FOREIGN KEY of_customer (customer) REFERENCES customers (id)
)
"""
PINNED = {
    "id": "int",
    "customer": "int",
    "note": "varchar(20)",
    "total": "decimal(10,2)",
    "secret": "varchar(10)",
}


@dataclass
class Shop:
    """A schema with two tables, of which `orders` is captured."""

    server: ThrowawayServer
    schema: str
    outbox: str
    execute: Callable[[str], tuple]
    connection: Connection
    definer: str = "current_user"
    spec: Spec = field(init=False)

    @property
    def is_mariadb(self) -> bool:
        return self.server.name == "mariadb"

    def capture(self, table: str = "orders", **keys: object) -> None:
        """What the spec says of the only captured table, from now on."""
        self.capture_all({table: {"exclude": ["secret"], **keys}})

    def capture_all(self, tables: dict[str, object]) -> None:
        head = {"version": 1, "schema": self.schema, "outbox": self.outbox}
        head["definer"] = self.definer
        self.spec = parse(json.dumps({**head, "tables": tables}), path="evtrig.yml")

    def install(self) -> None:
        apply(self.connection, prepare(self.connection, self.spec))

    def foresee(self, text: str) -> list[Foreseen]:
        before = snapshot(self.execute)
        found = list(foresee(self.connection, self.spec, text, "m.sql"))
        assert snapshot(self.execute) == before
        return found

    def faults(self, text: str) -> list[Foreseen]:
        return [finding for finding in self.foresee(text) if finding.is_fault]

    def steps(self, text: str) -> list[str]:
        """The order in which nothing is lost."""
        (found,) = [f for f in self.foresee(text) if "the order" in f.problem]
        return [line.partition(". ")[2] for line in found.mend.split("\n")]

    def insert(self, table: str = "orders", **columns: object) -> None:
        columns = {"customer": 1, **columns}
        names = ", ".join(f"`{name}`" for name in columns)
        values = ", ".join(repr(value) for value in columns.values())
        self.execute(f"INSERT INTO {table} ({names}) VALUES ({values})")

    def events(self) -> list[dict]:
        """Since the last time, what each event has in `after`."""
        found = self.execute(f"SELECT after FROM {self.outbox}.events ORDER BY id")
        self.execute(f"DELETE FROM {self.outbox}.events")
        return [json.loads(after) for (after,) in found if after is not None]

    def is_captured(self) -> bool:
        """Whether check finds nothing to mend.

        That nobody publishes, and that nothing keeps a `key:` unique, is no matter.
        """
        found = {f.code for f in check(self.connection, self.spec) if f.is_fault}
        return found <= {"relay-not-running", "key-not-unique"}


def snapshot(execute: Callable[[str], tuple]) -> dict[str, object]:
    """The whole server: every table's definition and count, every trigger."""
    system = "('mysql', 'sys', 'information_schema', 'performance_schema')"
    tables = execute(
        "SELECT table_schema, table_name FROM information_schema.tables"
        f" WHERE table_type = 'BASE TABLE' AND table_schema NOT IN {system}"
    )
    found: dict[str, object] = {"schemas": execute("SHOW DATABASES")}
    for schema, table in tables:
        name = ".".join("`" + n.replace("`", "``") + "`" for n in (schema, table))
        found[name] = (
            execute(f"SHOW CREATE TABLE {name}"),
            execute(f"SELECT COUNT(*) FROM {name}"),
        )
    found["triggers"] = execute(
        "SELECT trigger_schema, trigger_name, event_object_table, action_statement"
        " FROM information_schema.triggers"
        f" WHERE trigger_schema NOT IN {system} ORDER BY 1, 2"
    )
    return found


@pytest.fixture
def shop(server: ThrowawayServer, schema: str, outbox: str, connect) -> Iterator[Shop]:
    cursor = connect().cursor()

    def execute(sql: str) -> tuple:
        cursor.execute(sql)
        return tuple(cursor.fetchall())

    execute("CREATE TABLE customers (id INT PRIMARY KEY, name TEXT)")
    execute("INSERT INTO customers VALUES (1, 'a'), (2, 'b')")
    execute(TABLE)
    with Connection(Dsn.parse(server.dsn)) as connection:
        place = Shop(server, schema, outbox, execute, connection)
        place.capture()
        yield place
    for number in (1, 2):
        execute(f"DROP DATABASE IF EXISTS {scratch_schema(outbox, number)}")


def pinned(*without: str, **more: str) -> dict[str, str]:
    return {k: v for k, v in {**PINNED, **more}.items() if k not in without}


# What makes writes fail. Each forecast is followed by the real thing.

LOSSES = {
    "drop": "ALTER TABLE orders DROP COLUMN note",
    "rename": "ALTER TABLE orders RENAME COLUMN note TO remark",
    "change": "ALTER TABLE orders CHANGE COLUMN note remark VARCHAR(40)",
}


@pytest.mark.parametrize("is_pinned", [False, True], ids=["live", "pinned"])
@pytest.mark.parametrize("name", ["drop", "rename", "change"])
def test_a_captured_column_that_goes_makes_every_write_fail(
    shop: Shop, name: str, is_pinned: bool
) -> None:
    text = LOSSES[name]
    shop.capture(**({"columns": PINNED} if is_pinned else {}))
    shop.install()
    shop.insert(note="x")
    errors = [f for f in shop.faults(text) if f.severity == "error"]
    (finding,) = errors
    assert finding.object == f"{shop.schema}.orders"
    assert "every INSERT, UPDATE, DELETE fails after line 1" in finding.problem
    assert "Unknown column 'note'" in finding.problem
    assert "(1054)" in finding.problem
    steps = shop.steps(text)
    shop.execute(text)
    for write in ("UPDATE orders SET total = 9", "DELETE FROM orders"):
        with pytest.raises(pymysql.Error) as caught:
            shop.execute(write)
        assert caught.value.args[0] == 1054
    with pytest.raises(pymysql.Error):
        shop.insert()
    assert steps.index("evtrig install") < steps.index("Run m.sql.")
    assert "note" in steps[0]


@pytest.mark.parametrize("is_pinned", [False, True], ids=["live", "pinned"])
def test_the_order_for_a_dropped_column_loses_nothing(
    shop: Shop, is_pinned: bool
) -> None:
    text = LOSSES["drop"]
    shop.capture(**({"columns": PINNED} if is_pinned else {}))
    shop.install()
    steps = shop.steps(text)
    if is_pinned:
        assert steps[0].startswith(
            "Take note out of `columns:` of orders (evtrig.yml:1:"
        )
        assert steps[1:] == ["evtrig install", "Run m.sql."]
        shop.capture(columns=pinned("note"))
    else:
        assert steps == [
            "Take note of orders into `exclude:`.",
            "evtrig install",
            "Run m.sql.",
            "Take note of orders out of `exclude:`.",
        ]
        shop.capture(exclude=["secret", "note"])
    shop.insert(note="a", total=6)
    shop.install()
    # Now the spec is the one for afterwards, and the migration harmless.
    assert shop.faults(text) == []
    shop.insert(note="b", total=7)
    shop.execute(text)
    shop.insert(total=8)
    if not is_pinned:
        shop.capture()
    assert shop.is_captured()
    assert [event["total"] for event in shop.events()] == ["6.00", "7.00", "8.00"]


@pytest.mark.parametrize("is_pinned", [False, True], ids=["live", "pinned"])
@pytest.mark.parametrize("name", ["rename", "change"])
def test_the_order_for_a_renamed_column_loses_nothing(
    shop: Shop, name: str, is_pinned: bool
) -> None:
    text = LOSSES[name]
    shop.capture(**({"columns": PINNED} if is_pinned else {}))
    shop.install()
    steps = shop.steps(text)
    assert [s for s in steps if "`" not in s] == [
        "evtrig install",
        "Run m.sql.",
        "evtrig install",
    ]
    without = (
        {"columns": pinned("note")} if is_pinned else {"exclude": ["note", "secret"]}
    )
    shop.capture(**without)
    shop.install()
    shop.insert(note="a", total=6)
    shop.execute(text)
    shop.insert(remark="b", total=7)
    kind = "varchar(40)" if name == "change" else "varchar(20)"
    if is_pinned:
        assert any(f"Add `remark: {kind}` to `columns:`" in step for step in steps)
    with_it = {"columns": pinned("note", remark=kind)} if is_pinned else {}
    shop.capture(**with_it)
    shop.install()
    shop.insert(remark="c", total=8)
    assert [(e["total"], e.get("remark")) for e in shop.events()] == [
        ("6.00", None),
        ("7.00", None),
        ("8.00", "c"),
    ]
    assert shop.is_captured()


def test_a_spec_that_no_longer_names_the_column_is_installed_first(shop: Shop) -> None:
    shop.capture(columns=PINNED)
    shop.install()
    shop.capture(columns=pinned("note"))
    text = LOSSES["drop"]
    assert [f.severity for f in shop.faults(text)] == ["error"]
    assert shop.steps(text) == ["evtrig install", "Run m.sql."]


def test_a_spec_that_names_a_column_of_afterwards_is_installed_afterwards(
    shop: Shop,
) -> None:
    shop.capture(columns=PINNED)
    shop.install()
    shop.capture(columns=pinned(extra="int"))
    text = "ALTER TABLE orders ADD COLUMN extra INT"
    (finding,) = shop.faults(text)
    assert finding.severity == "warning"
    assert shop.steps(text) == ["Run m.sql.", "evtrig install"]
    with pytest.raises(PreflightError):
        shop.install()
    shop.insert()
    shop.execute(text)
    shop.insert(extra=1)
    shop.install()
    shop.insert(extra=2)
    assert [e.get("extra") for e in shop.events()] == [None, None, 2]


def test_a_spec_for_after_a_rename_waits_for_its_new_name(shop: Shop) -> None:
    shop.capture(columns=PINNED)
    shop.install()
    shop.capture(columns=pinned("note", remark="varchar(20)"))
    assert shop.steps(LOSSES["rename"]) == [
        "Leave remark out of orders for now.",
        "evtrig install",
        "Run m.sql.",
        "Put remark back into orders.",
        "evtrig install",
    ]


def test_what_is_not_installed_yet_is_tried_as_it_would_be(shop: Shop) -> None:
    (finding,) = shop.faults(LOSSES["drop"])
    assert "every INSERT, UPDATE, DELETE fails" in finding.problem


def test_the_triggers_that_are_there_count_and_not_those_of_the_spec(
    shop: Shop,
) -> None:
    shop.capture(exclude=["secret", "note"])
    shop.install()
    shop.capture()
    assert shop.faults(LOSSES["drop"]) == []
    shop.execute(LOSSES["drop"])
    shop.insert()
    assert len(shop.events()) == 1


def test_a_condition_that_reads_the_column_makes_writes_fail(shop: Shop) -> None:
    shop.capture(exclude=["note", "secret"], when={"insert": "NEW.note <> 'draft'"})
    shop.install()
    (finding,) = shop.faults(LOSSES["drop"])
    assert "every INSERT fails" in finding.problem
    assert shop.steps(LOSSES["drop"])[0] == "Take note of orders out of `when:`."
    shop.execute(LOSSES["drop"])
    with pytest.raises(pymysql.Error):
        shop.insert()


def test_redaction_goes_with_a_column_to_its_new_name(shop: Shop) -> None:
    shop.capture(redact={"note": "hash"})
    shop.install()
    steps = shop.steps(LOSSES["rename"])
    assert "Take note of orders into `exclude:`, and out of `redact:`." in steps
    assert "Name remark in `redact:` of orders, as note was." in steps


def test_a_dropped_key_column_asks_for_another_key(shop: Shop) -> None:
    shop.execute("CREATE TABLE links (a INT, b INT, c INT, PRIMARY KEY (a, b))")
    shop.capture_all({"links": {}})
    shop.install()
    text = "ALTER TABLE links DROP PRIMARY KEY, DROP COLUMN b, ADD PRIMARY KEY (a)"
    assert any("every INSERT" in f.problem for f in shop.faults(text))
    assert shop.steps(text)[0] == "Name another `key:` for links: b goes."


# What is missing from events


@pytest.mark.parametrize("is_pinned", [False, True], ids=["live", "pinned"])
def test_an_added_column_is_missing_until_an_install(
    shop: Shop, is_pinned: bool
) -> None:
    text = "ALTER TABLE orders ADD COLUMN extra INT DEFAULT 3"
    shop.capture(**({"columns": PINNED} if is_pinned else {}))
    shop.install()
    (finding,) = shop.faults(text)
    assert finding.severity == "warning"
    assert finding.problem.startswith("extra int")
    steps = shop.steps(text)
    assert steps[0] == "Run m.sql."
    assert steps[-1] == "evtrig install"
    shop.execute(text)
    shop.insert()
    if is_pinned:
        (add,) = steps[1:-1]
        kind = "int(11)" if shop.is_mariadb else "int"
        assert f"Add `extra: {kind}` to `columns:` of orders" in add
        shop.capture(columns=pinned(extra=kind))
    shop.install()
    shop.insert()
    assert [event.get("extra") for event in shop.events()] == [None, 3]
    assert shop.is_captured()


def test_a_column_that_the_spec_excludes_may_come_and_go(shop: Shop) -> None:
    shop.install()
    text = "ALTER TABLE orders DROP COLUMN secret"
    findings = shop.foresee(text)
    assert not any(finding.is_fault for finding in findings)
    assert any(
        "install refuses a spec that names it" in f.consequence for f in findings
    )
    assert shop.steps(text)[0] == "Run m.sql."
    assert "out of `exclude:`" in shop.steps(text)[1]
    shop.execute(text)
    shop.insert()
    assert len(shop.events()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "CREATE INDEX i ON orders (note)",
        "ALTER TABLE orders ADD INDEX (note), ADD UNIQUE (customer, note)",
        "CREATE UNIQUE INDEX i ON orders (note); DROP INDEX i ON orders",
        "ALTER TABLE orders DROP FOREIGN KEY of_customer",
        "ALTER TABLE orders DROP CONSTRAINT costly",
        "ALTER TABLE orders ADD CONSTRAINT more CHECK (total < 900)",
        "ALTER TABLE orders MODIFY note VARCHAR(90) DEFAULT 'x'",
        "ALTER TABLE orders MODIFY id BIGINT AUTO_INCREMENT",
        "ALTER TABLE orders COMMENT 'x'; ALTER TABLE orders AUTO_INCREMENT = 100",
        "CREATE TABLE other (id INT PRIMARY KEY); DROP TABLE other",
        "ALTER TABLE customers DROP COLUMN name, ADD age INT",
        "ALTER TABLE orders RENAME INDEX of_customer TO by_customer",
        "ALTER TABLE orders FORCE",
        "CREATE TABLE t2 LIKE orders; ALTER TABLE t2 DROP COLUMN note;",
    ],
)
def test_what_changes_nothing_that_is_captured_is_harmless(
    shop: Shop, text: str
) -> None:
    if "FOREIGN KEY" not in text and "RENAME INDEX" not in text:
        shop.execute("ALTER TABLE orders ADD COLUMN hidden INT INVISIBLE")
        shop.capture(exclude=["secret", "hidden"])
    if "of_customer" in text:
        ((name,),) = shop.execute(
            "SELECT constraint_name FROM information_schema.key_column_usage"
            f" WHERE table_schema = '{shop.schema}' AND column_name = 'customer'"
            " AND referenced_table_name IS NOT NULL"
        )
        text = text.replace("FOREIGN KEY of_customer", f"FOREIGN KEY `{name}`")
    shop.install()
    (finding,) = shop.foresee(text)
    assert finding.severity == "notice"
    assert "nothing in it disturbs capture" in finding.problem
    for statement in text.split(";"):
        if statement.strip():
            shop.execute(statement)
    shop.insert(total=8)
    assert len(shop.events()) == 1
    assert shop.is_captured()


def test_generated_columns_and_checks_are_copied_and_do_not_disturb(shop: Shop) -> None:
    shop.execute(
        "CREATE TABLE boxes (id INT PRIMARY KEY, a INT NOT NULL, j JSON NOT NULL,"
        " g INT AS (a + 1) STORED, v INT AS (a * 2) VIRTUAL, p POINT NOT NULL,"
        " CHECK (a > 100), UNIQUE (g))"
    )
    shop.capture_all({"boxes": {}})
    shop.install()
    assert shop.faults("ALTER TABLE boxes ADD INDEX (v)") == []
    findings = shop.faults("ALTER TABLE boxes DROP COLUMN v")
    assert any("every INSERT" in f.problem and "'v'" in f.problem for f in findings)
    (finding,) = shop.faults("ALTER TABLE boxes DROP COLUMN nope")
    assert "fails by itself" in finding.problem


# Types and keys


RETYPED = {
    "text to blob": "note BLOB",
    "decimal to binary": "total VARBINARY(20)",
    "utf8mb4 to latin1": "note VARCHAR(20) CHARACTER SET latin1",
    "decimal to float": "total FLOAT",
}


@pytest.mark.parametrize("name", RETYPED)
@pytest.mark.parametrize("is_pinned", [False, True], ids=["live", "pinned"])
def test_a_type_with_another_expression_is_a_warning_at_least(
    shop: Shop, name: str, is_pinned: bool
) -> None:
    text = f"ALTER TABLE orders MODIFY COLUMN {RETYPED[name]}"
    shop.execute("ALTER TABLE orders DROP CONSTRAINT costly")
    shop.capture(**({"columns": PINNED} if is_pinned else {}))
    shop.install()
    column = RETYPED[name].split()[0]
    findings = shop.faults(text)
    assert any(f"{column} is recorded as before" in f.problem for f in findings)
    is_binary = "binary" in name or "blob" in name
    fails = [f for f in findings if "fails for some values" in f.problem]
    assert bool(fails) is (is_binary and shop.is_mariadb)
    steps = shop.steps(text)
    assert steps[-1] == "evtrig install"
    shop.execute(text)
    if is_binary:
        write = f"INSERT INTO orders (customer, {column}) VALUES (1, 0xFF)"
        if fails:
            with pytest.raises(pymysql.Error):
                shop.execute(write)
        else:
            shop.execute(write)
            # Not base64 of the byte, but what MySQL makes of it.
            assert shop.events()[0][column] != "/w=="
    if is_pinned:
        kind = RETYPED[name].partition(" ")[2].lower()
        shop.capture(columns=pinned(**{column: kind}))
    shop.install()
    if is_binary:
        shop.execute(f"INSERT INTO orders (customer, {column}) VALUES (1, 0xFF)")
        assert shop.events()[0][column] == "/w=="


def test_another_character_set_of_the_table_is_seen(shop: Shop) -> None:
    shop.install()
    text = "ALTER TABLE orders CONVERT TO CHARACTER SET latin1"
    (finding,) = shop.faults(text)
    assert "note is recorded as before, but is varchar(20) character set latin1" in (
        finding.problem
    )


def test_another_primary_key_is_a_warning(shop: Shop) -> None:
    shop.install()
    text = "ALTER TABLE orders DROP PRIMARY KEY, ADD PRIMARY KEY (id, customer)"
    (finding,) = shop.faults(text)
    assert finding.severity == "warning"
    assert finding.problem.startswith("its key is id, customer after")
    assert shop.steps(text) == ["Run m.sql.", "evtrig install"]
    shop.execute(text)
    assert not shop.is_captured()
    shop.install()
    assert shop.is_captured()


def test_a_table_without_a_key_can_only_be_captured_with_one_in_the_spec(
    shop: Shop,
) -> None:
    shop.install()
    text = "ALTER TABLE orders MODIFY id INT NOT NULL, DROP PRIMARY KEY"
    (finding,) = shop.faults(text)
    assert "has no primary key" in finding.problem
    assert shop.steps(text)[0].startswith("Write `key: [id]` under orders")
    shop.capture(key=["id"])
    assert shop.faults(text) == []
    shop.execute(text)
    assert shop.is_captured()


def test_another_engine_is_an_error(shop: Shop) -> None:
    shop.execute("CREATE TABLE plain (id INT PRIMARY KEY)")
    shop.capture_all({"plain": {}})
    shop.install()
    text = "ALTER TABLE plain ENGINE = MyISAM"
    errors = [f for f in shop.faults(text) if f.severity == "error"]
    assert any("uses the engine MyISAM" in f.problem for f in errors)
    ((enforced,),) = (
        ((0,),)
        if shop.is_mariadb
        else shop.execute("SELECT @@enforce_gtid_consistency")
    )
    fails = any("every INSERT" in f.problem and "1785" in f.problem for f in errors)
    assert fails is (enforced == "ON")
    shop.execute(text)
    with pytest.raises(pymysql.Error) if fails else contextlib.nullcontext():
        shop.execute("INSERT INTO plain VALUES (1)")


# Tables that move

SWAPS = {
    "gh-ost": (
        "CREATE TABLE _orders_gho LIKE orders;\n"
        "ALTER TABLE _orders_gho ADD COLUMN extra INT;\n"
        "RENAME TABLE orders TO _orders_del, _orders_gho TO orders;\n"
    ),
    "pt-osc": (
        "CREATE TABLE _orders_new LIKE orders;\n"
        "ALTER TABLE _orders_new ADD COLUMN extra INT;\n"
        "RENAME TABLE orders TO _orders_old, _orders_new TO orders;\n"
        "DROP TABLE IF EXISTS _orders_old;\n"
    ),
    "by hand": (
        "CREATE TABLE fresh LIKE orders;\nALTER TABLE fresh ADD extra INT;\n"
        "ALTER TABLE orders RENAME TO stale;\nALTER TABLE fresh RENAME orders;\n"
    ),
}


@pytest.mark.parametrize("name", SWAPS)
def test_a_swap_stops_capture_and_install_starts_it_again(
    shop: Shop, name: str
) -> None:
    text = SWAPS[name]
    shop.install()
    faults = shop.faults(text)
    assert faults[0].severity == "error"
    assert any("extra int" in f.problem for f in faults)
    if name != "by hand":
        assert "capture stops without an error after line 3" in faults[0].problem
        assert "--preserve-triggers" in faults[0].mend
        assert "--trigger-suffix" in faults[0].mend
    steps = shop.steps(text)
    assert "otherwise stop the writes" in steps[0]
    assert steps[-1] == "evtrig install"
    for statement in text.split(";\n")[:-1]:
        shop.execute(statement)
    shop.insert()
    assert shop.events() == []
    run = steps.index("Run m.sql.")
    for step in steps[run + 1 : -1]:
        shop.execute(step.rstrip(";"))
    shop.install()
    shop.insert()
    assert len(shop.events()) == 1
    assert not any(f.severity == "error" for f in check(shop.connection, shop.spec))


def test_a_suffix_of_0_keeps_the_triggers_that_gh_ost_takes_along(shop: Shop) -> None:
    """What gh-ost does at its cut-over, in SQL: it was not run itself."""
    shop.install()
    shop.execute("CREATE TABLE _orders_gho LIKE orders")
    triggers = shop.execute(
        "SELECT trigger_name, event_manipulation, action_statement"
        f" FROM information_schema.triggers WHERE trigger_schema = '{shop.schema}'"
    )
    for name, event, body in triggers:
        shop.execute(
            f"CREATE TRIGGER {name}0 AFTER {event} ON _orders_gho FOR EACH ROW {body}"
        )
    shop.execute("RENAME TABLE orders TO _orders_del, _orders_gho TO orders")
    shop.execute("DROP TABLE _orders_del")
    shop.insert(note="a")
    shop.install()
    shop.insert(note="b")
    assert [event["note"] for event in shop.events()] == ["a", "b"]
    assert shop.is_captured()


@pytest.mark.parametrize(
    "statement", ["RENAME TABLE {} TO {}", "ALTER TABLE {} RENAME {}"]
)
@pytest.mark.parametrize("definer", ["current_user", "its own"])
def test_a_renamed_table_is_not_captured_under_its_new_name(
    shop: Shop, statement: str, definer: str
) -> None:
    account = f"d_{secrets.token_hex(4)}"
    if definer == "its own":
        shop.definer = f"{account}@localhost"
        shop.capture()
    shop.install()
    text = statement.format(f"{shop.schema}.orders", f"{shop.schema}.purchases")
    try:
        errors = [f for f in shop.faults(text) if f.severity == "error"]
        assert "not captured under its new name after line 1" in errors[0].problem
        fails = errors[0].consequence.startswith("Every write to ")
        assert fails is (definer == "its own")
        updates_fail = any("every UPDATE fails" in f.problem for f in errors)
        assert updates_fail is shop.is_mariadb
        steps = shop.steps(text)
        shop.execute(text)
        with pytest.raises(pymysql.Error) if fails else contextlib.nullcontext():
            shop.insert(table="purchases")
        if updates_fail:
            if not fails:
                shop.insert(table="purchases")
                with pytest.raises(pymysql.Error):
                    shop.execute("UPDATE purchases SET customer = 2")
        run = steps.index("Run m.sql.")
        assert steps[run + 1] == "Write purchases for orders under `tables:`."
        for step in steps[run + 2 : -2]:
            shop.execute(step.rstrip(";"))
        assert steps[-2] == "evtrig install"
        shop.capture("purchases")
        shop.install()
        shop.execute(f"DELETE FROM {shop.outbox}.events")
        shop.insert(table="purchases")
        shop.execute("UPDATE purchases SET customer = 2")
        assert len(shop.events()) >= 2
        assert shop.is_captured()
    finally:
        if definer == "its own":
            shop.execute(f"DROP USER IF EXISTS {account}@localhost")


def test_a_dropped_table_is_a_warning_and_one_made_anew_an_error(shop: Shop) -> None:
    shop.install()
    (finding,) = shop.faults("DROP TABLE orders")
    assert finding.severity == "warning"
    assert "rows are gone without an event" in finding.consequence
    text = "DROP TABLE orders;\nCREATE TABLE orders (id INT PRIMARY KEY);\n"
    assert shop.steps(text)[-1] == "evtrig install"
    for statement in text.split(";\n")[:-1]:
        shop.execute(statement)
    shop.execute("INSERT INTO orders VALUES (1)")
    assert shop.events() == []


def test_a_table_with_triggers_does_not_move_to_another_schema(
    shop: Shop,
) -> None:
    """It is not run: the other schema is nobody's business."""
    shop.install()
    text = f"RENAME TABLE orders TO {shop.outbox}.orders"
    (finding,) = shop.faults(text)
    assert "was not tried" in finding.problem
    assert finding.object == "m.sql:1"


# Foreign keys


def test_a_foreign_key_that_cascades_is_a_warning(shop: Shop) -> None:
    shop.install()
    text = (
        "ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (customer)"
        " REFERENCES customers (id) ON DELETE CASCADE"
    )
    (finding,) = shop.faults(text)
    assert finding.severity == "warning"
    assert f"{shop.schema}.customers → {shop.schema}.orders" in finding.problem
    plain = text.replace(" ON DELETE CASCADE", "")
    assert shop.faults(plain) == []
    shop.insert()
    shop.execute(
        "ALTER TABLE orders DROP FOREIGN KEY "
        + shop.execute(
            "SELECT constraint_name FROM information_schema.referential_constraints"
            f" WHERE constraint_schema = '{shop.schema}'"
        )[0][0]
    )
    shop.execute(text)
    shop.events()
    shop.execute("DELETE FROM customers WHERE id = 1")
    assert shop.execute("SELECT COUNT(*) FROM orders") == ((0,),)
    assert shop.execute(f"SELECT COUNT(*) FROM {shop.outbox}.events") == ((0,),)


def test_a_foreign_key_never_refers_to_the_real_table(shop: Shop) -> None:
    """Or dropping a parent's copy would be refused, or the real one be locked."""
    shop.install()
    (finding,) = shop.faults("DROP TABLE customers")
    assert "fails by itself" in finding.problem
    assert shop.schema in finding.problem or "foreign key" in finding.problem
    assert scratch_schema(shop.outbox) not in finding.problem


def test_the_trigger_of_a_parent_is_tried_too(shop: Shop) -> None:
    """With `cascades: capture` a delete of the parent goes to the child's columns."""
    if not shop.is_mariadb:
        pytest.skip("MySQL 9.7 carries foreign keys out in a way that is refused")
    shop.execute(
        "CREATE TABLE items (id INT PRIMARY KEY, parent INT, customer INT,"
        " FOREIGN KEY (parent) REFERENCES customers (id) ON DELETE CASCADE)"
    )
    shop.capture_all({"items": {"cascades": "capture", "exclude": ["parent"]}})
    shop.install()
    text = (
        "ALTER TABLE items DROP FOREIGN KEY items_ibfk_1;"
        "ALTER TABLE items DROP COLUMN parent"
    )
    findings = shop.faults(text)
    (failing,) = [f for f in findings if "every DELETE fails" in f.problem]
    assert failing.object == f"{shop.schema}.customers"
    for statement in text.split(";"):
        shop.execute(statement)
    with pytest.raises(pymysql.Error):
        shop.execute("DELETE FROM customers")


# Files


def test_a_statement_that_fails_is_told_in_the_server_s_words(shop: Shop) -> None:
    shop.install()
    text = "ALTER TABLE orders ADD a INT;\n\nALTER TABLE orders DROP COLUMN nope;\n"
    findings = shop.faults(text)
    (failed,) = [f for f in findings if f.severity == "error"]
    assert failed.object == "m.sql:3"
    assert "(1091)" in failed.problem
    assert "migration stops here" in failed.consequence
    with pytest.raises(pymysql.Error) as caught:
        shop.execute("ALTER TABLE orders DROP COLUMN nope")
    assert caught.value.args[1] in failed.problem


def test_what_comes_of_each_line_is_told_with_it(shop: Shop) -> None:
    shop.install()
    text = (
        "-- first\r\nUSE `" + shop.schema + "`;\r\n"
        "ALTER TABLE orders ADD COLUMN a INT; /* a; b */\r\n"
        "# 'nothing\r\n"
        "ALTER TABLE orders\r\n    DROP COLUMN note;\r\n"
        "ALTER TABLE orders DROP COLUMN total\r\n"
    )
    problems = [f.problem for f in shop.faults(text)]
    assert sum("line 3" in problem for problem in problems) == 1
    assert sum("line 5" in problem for problem in problems) == 1
    # Every write fails already.
    assert sum("line 7" in problem for problem in problems) <= 1


def test_writes_that_fail_already_are_not_blamed_on_the_migration(shop: Shop) -> None:
    shop.install()
    shop.execute(LOSSES["drop"])
    findings = shop.faults("CREATE INDEX i ON orders (total)")
    assert {f.severity for f in findings} == {"warning"}
    assert all("fails already" in f.problem for f in findings)


def test_a_table_of_the_spec_that_the_migration_makes_is_installed_after_it(
    shop: Shop,
) -> None:
    shop.install()
    shop.capture_all({"orders": {"exclude": ["secret"]}, "fresh": {}})
    text = "CREATE TABLE fresh (id INT PRIMARY KEY)"
    (finding,) = shop.faults(text)
    assert finding.object == f"{shop.schema}.fresh"
    assert shop.steps(text) == ["Run m.sql.", "evtrig install"]
    shop.execute(text)
    shop.install()
    assert shop.is_captured()


@pytest.mark.parametrize("what", ["DROP", "TRUNCATE"])
def test_rows_of_a_partition_go_without_an_event(shop: Shop, what: str) -> None:
    shop.execute(
        "CREATE TABLE parts (id INT PRIMARY KEY) PARTITION BY RANGE (id)"
        " (PARTITION low VALUES LESS THAN (10), PARTITION high VALUES LESS THAN (20))"
    )
    shop.capture_all({"parts": {}})
    shop.install()
    text = f"ALTER TABLE parts {what} PARTITION low"
    (finding,) = shop.faults(text)
    assert finding.severity == "warning"
    assert "without an event" in finding.problem
    shop.execute("INSERT INTO parts VALUES (1)")
    shop.events()
    shop.execute(text)
    assert shop.execute("SELECT * FROM parts") == ()
    assert shop.execute(f"SELECT * FROM {shop.outbox}.events") == ()
    added = "ALTER TABLE parts ADD PARTITION (PARTITION top VALUES LESS THAN (30))"
    assert shop.faults(added) == []


def test_a_column_called_as_evtrig_s_own_is_no_matter(shop: Shop) -> None:
    shop.execute("CREATE TABLE rows_ (id INT PRIMARY KEY, evtrig_row INT)")
    shop.capture_all({"rows_": {}})
    shop.install()
    assert shop.faults("CREATE INDEX i ON rows_ (evtrig_row)") == []
    findings = shop.faults("ALTER TABLE rows_ DROP COLUMN evtrig_row")
    assert any("every INSERT, UPDATE, DELETE" in f.problem for f in findings)


def test_a_server_that_is_read_only_is_left_alone(shop: Shop) -> None:
    """It may be a replica, and an account with SUPER could write there."""
    shop.install()
    shop.execute("SET GLOBAL read_only = ON")
    try:
        with pytest.raises(PreflightError) as caught:
            shop.foresee(LOSSES["drop"])
        assert "is read-only" in caught.value.message
    finally:
        shop.execute("SET GLOBAL read_only = OFF")


@pytest.mark.parametrize(
    ("text", "severities"),
    [
        ("INSERT INTO orders (customer) VALUES (1)", ["notice"]),
        ("SET NAMES utf8mb4; SELECT 1; UPDATE orders SET total = 9", ["notice"] * 3),
        ("TRUNCATE TABLE orders", ["warning"]),
        ("TRUNCATE TABLE nothing_of_ours", ["notice"]),
        ("CALL something()", ["warning"]),
        ("ALTER TABLE elsewhere.t ADD x INT", ["notice"]),
        ("USE elsewhere; ALTER TABLE orders DROP COLUMN note", ["warning"]),
        ("ALTER TABLE orders /*! DROP COLUMN note */", ["warning"]),
    ],
)
def test_what_is_not_tried_is_said(
    shop: Shop, text: str, severities: list[str]
) -> None:
    shop.install()
    findings = [f for f in shop.foresee(text) if "nothing in it" not in f.problem]
    assert [finding.severity for finding in findings] == severities


ODD = ["a `b", "it's", 'say "x"', "100%s", "名前 x", "x" * 64, "a.b", "evtrig;--"]


@pytest.mark.parametrize("name", ODD)
def test_odd_names(shop: Shop, name: str) -> None:
    quoted = "`" + name.replace("`", "``") + "`"
    shop.execute(f"CREATE TABLE {quoted} (id INT PRIMARY KEY, {quoted} INT NOT NULL)")
    shop.capture_all({name: {}})
    shop.install()
    assert shop.faults(f"CREATE INDEX i ON {quoted} ({quoted})") == []
    findings = shop.faults(f"ALTER TABLE {quoted} DROP COLUMN {quoted}")
    assert any("every INSERT, UPDATE, DELETE fails" in f.problem for f in findings)
    findings = shop.faults(f"ALTER TABLE {quoted} RENAME COLUMN {quoted} TO `new one`")
    assert any("new one" in f.problem for f in findings)


@pytest.mark.parametrize("name", ["名前 s", "it's `s`", "100%s"])
def test_odd_schemas(shop: Shop, name: str, server: ThrowawayServer) -> None:
    schema = f"{name}_{secrets.token_hex(3)}"
    quoted = "`" + schema.replace("`", "``") + "`"
    shop.execute(f"CREATE DATABASE {quoted}")
    try:
        shop.execute(f"CREATE TABLE {quoted}.t (id INT PRIMARY KEY, v INT)")
        shop.capture_all({"t": {"schema": schema}})
        shop.install()
        for text in (
            f"ALTER TABLE {quoted}.t DROP COLUMN v",
            "ALTER TABLE t DROP COLUMN v",
            f"USE {quoted}\nALTER TABLE t DROP COLUMN v",
        ):
            findings = shop.faults(text)
            assert any("every INSERT" in f.problem for f in findings), text
    finally:
        shop.execute(f"DROP DATABASE {quoted}")


def test_tables_of_one_name_in_two_schemas_are_kept_apart(shop: Shop) -> None:
    other = f"{shop.schema}_2"
    shop.execute(f"CREATE DATABASE {other}")
    try:
        shop.execute(f"CREATE TABLE {other}.orders (id INT PRIMARY KEY, v INT)")
        both = {"schema": other}
        shop.execute(f"CREATE TABLE {other}.events (id INT PRIMARY KEY, v INT)")
        shop.capture_all({"orders": {}, "events": both})
        shop.install()
        text = f"ALTER TABLE {other}.events DROP COLUMN v"
        findings = shop.faults(text)
        assert {f.object for f in findings} == {f"{other}.events"}
        assert any("every INSERT" in f.problem for f in findings)
        with pytest.raises(UsageError) as caught:
            shop.foresee("ALTER TABLE orders ADD x INT")
        assert "its schema is not known" in caught.value.message
        assert shop.faults(f"USE {shop.schema}; ALTER TABLE orders DROP note")
    finally:
        shop.execute(f"DROP DATABASE {other}")


# Nothing else is touched


HOSTILE = """\
DROP DATABASE {schema};
DROP TABLE {other}.precious;
DROP TABLE orders, {other}.precious;
ALTER TABLE {other} . precious ADD x INT;
ALTER TABLE `{other}`/**/./**/`precious` DROP COLUMN v;
ALTER TABLE orders RENAME TO {other}.orders;
RENAME TABLE {other}.precious TO orders2;
RENAME TABLE orders TO {other}.orders;
CREATE TABLE t1 LIKE {other}.precious;
CREATE TABLE {other}.t2 LIKE orders;
CREATE TABLE t3 AS SELECT * FROM {other}.precious;
CREATE TABLE t4 (id INT) ENGINE=MERGE UNION=({other}.precious);
ALTER TABLE orders EXCHANGE PARTITION p WITH TABLE {other}.precious;
ALTER TABLE orders ADD FOREIGN KEY (id) REFERENCES {other}.precious (id);
CREATE TABLE t5 (id INT) DATA DIRECTORY = '/tmp';
ALTER TABLE orders DISCARD TABLESPACE;
/*! DROP TABLE {other}.precious */;
ALTER TABLE orders /*!50000 RENAME TO {other}.orders */;
/*M! DROP TABLE {other}.precious */;
DROP TABLE /*!99999 x, */ {other}.precious;
USE {other};
DROP TABLE precious;
ALTER TABLE precious ADD COLUMN x INT;
USE {schema};
TRUNCATE TABLE orders;
DELETE FROM orders;
INSERT INTO {other}.precious VALUES (9, 9);
SET GLOBAL max_connections = 1;
DROP TRIGGER IF EXISTS {trigger};
CREATE TRIGGER steal BEFORE INSERT ON {other}.precious FOR EACH ROW SET @a = 1;
ALTER TABLE .precious ADD x INT;
ALTER TABLE 1.5{other}.precious ADD x INT;
DROP TABLE {outbox}.events;
DROP TABLE {scratch}.orders;
DROP TABLE evtrig_scratch_mark;
DROP TABLE evtrig_trial_events;
DROP TABLE orders;
DROP TABLE customers;
"""


def test_a_hostile_file_touches_nothing(shop: Shop) -> None:
    shop.install()
    shop.insert(note="canary")
    other = f"{shop.schema}_other"
    shop.execute(f"CREATE DATABASE {other}")
    try:
        shop.execute(f"CREATE TABLE {other}.precious (id INT PRIMARY KEY, v INT)")
        shop.execute(f"INSERT INTO {other}.precious VALUES (1, 2)")
        ((trigger,),) = shop.execute(
            "SELECT MIN(trigger_name) FROM information_schema.triggers"
            f" WHERE trigger_schema = '{shop.schema}'"
        )
        text = HOSTILE.format(
            schema=shop.schema,
            other=other,
            outbox=shop.outbox,
            trigger=trigger,
            scratch=scratch_schema(shop.outbox),
        )
        # foresee() of the fixture compares the whole server.
        findings = shop.foresee(text)
        variables = shop.execute("SELECT @@GLOBAL.max_connections")
        assert variables != ((1,),)
        told = "\n".join(f"{f.problem} {f.consequence} {f.mend}" for f in findings)
        assert "canary" not in told
        untried = [f for f in findings if "was not tried" in f.problem]
        assert len(untried) >= 30
        # One by one too: none needs another to be let through.
        for line in text.splitlines():
            shop.foresee(line)
    finally:
        shop.execute(f"DROP DATABASE {other}")


@pytest.mark.usefixtures("trusting")
def test_a_function_that_a_trigger_calls_is_not_called(shop: Shop) -> None:
    shop.execute("CREATE TABLE calls (id INT AUTO_INCREMENT PRIMARY KEY) ENGINE=MyISAM")
    shop.execute(
        "CREATE FUNCTION f(v INT) RETURNS INT MODIFIES SQL DATA"
        " BEGIN INSERT INTO calls VALUES (); RETURN v; END"
    )
    call = f"{shop.schema}.f(NEW.customer) > 0"
    shop.capture(when={"insert": call, "update": call})
    statements = shop.connection.execute
    # Installed by hand: install tries expressions, and would call it.
    statements(f"CREATE DATABASE {shop.outbox}")
    assert shop.faults("CREATE INDEX i ON orders (note)") == []
    assert any("every INSERT" in f.problem for f in shop.faults(LOSSES["drop"]))
    assert shop.execute("SELECT COUNT(*) FROM calls") == ((0,),)


def test_a_trigger_that_somebody_has_changed_is_not_fired(shop: Shop) -> None:
    shop.install()
    ((name,),) = shop.execute(
        "SELECT trigger_name FROM information_schema.triggers"
        f" WHERE trigger_schema = '{shop.schema}' AND event_manipulation = 'INSERT'"
    )
    shop.execute(f"DROP TRIGGER {name}")
    shop.execute("CREATE DATABASE IF NOT EXISTS " + f"{shop.schema}_audit")
    try:
        shop.execute(f"CREATE TABLE {shop.schema}_audit.log (id INT) ENGINE=MyISAM")
        shop.execute(
            f"CREATE TRIGGER {name} AFTER INSERT ON orders FOR EACH ROW capture: BEGIN"
            f" INSERT INTO {shop.schema}_audit.log VALUES (1);"
            f" INSERT INTO `{shop.outbox}`.`events` SET uid = 1; END"
        )
        findings = shop.faults("CREATE INDEX i ON orders (note)")
        assert any("its triggers were not tried" in f.problem for f in findings)
        assert any(f"{shop.schema}_audit.log" in f.problem for f in findings)
        rows = shop.execute(f"SELECT COUNT(*) FROM {shop.schema}_audit.log")
        assert rows == ((0,),)
    finally:
        shop.execute(f"DROP DATABASE {shop.schema}_audit")


def test_ctrl_c_leaves_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.install()
    scratch = scratch_schema(shop.outbox)
    execute = Connection.execute
    busy = (
        "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User sleep'"
    )

    def press() -> None:
        for _ in range(500):
            if shop.execute(busy) != ((0,),):
                break
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)

    def slow(connection: Connection, sql: str, arguments: object = None) -> int:
        """The statement of the migration takes its time."""
        if sql != LOSSES["drop"]:
            return execute(connection, sql, arguments)
        thread.start()
        return execute(connection, "DO SLEEP(30)")

    monkeypatch.setattr(Connection, "execute", slow)
    before = snapshot(shop.execute)
    with pytest.raises(KeyboardInterrupt):
        foresee(shop.connection, shop.spec, LOSSES["drop"], "m.sql")
    thread.join()
    assert snapshot(shop.execute) == before
    assert shop.execute(f"SELECT IS_FREE_LOCK('{scratch}')") == ((1,),)


def test_what_a_killed_run_left_is_dropped_by_the_next(shop: Shop) -> None:
    scratch = scratch_schema(shop.outbox)

    class Killed(BaseException):
        pass

    shop.install()
    with contextlib.suppress(Killed), pytest.MonkeyPatch.context() as patch:
        patch.setattr("evtrig.triggers.scratch_schema._clean_up", lambda *a: None)
        patch.setattr("evtrig.triggers.rehearsal.Rehearsal.run", raise_(Killed))
        foresee(shop.connection, shop.spec, LOSSES["drop"], "m.sql")
    assert shop.execute(f"SHOW DATABASES LIKE '{scratch}'") != ()
    before_names = shop.execute("SHOW DATABASES")
    found = foresee(shop.connection, shop.spec, LOSSES["drop"], "m.sql")
    assert any(f.is_fault for f in found)
    assert shop.execute(f"SHOW DATABASES LIKE '{scratch}'") == ()
    assert len(shop.execute("SHOW DATABASES")) == len(before_names) - 1


def raise_(kind: type[BaseException]) -> Callable[..., None]:
    def raising(*arguments: object) -> None:
        raise kind

    return raising


def test_somebody_else_s_schema_of_that_name_stays(shop: Shop) -> None:
    shop.install()
    scratch = scratch_schema(shop.outbox)
    shop.execute(f"CREATE DATABASE {scratch}")
    shop.execute(f"CREATE TABLE {scratch}.theirs (id INT)")
    with pytest.raises(PreflightError) as caught:
        shop.foresee(LOSSES["drop"])
    assert scratch in str(caught.value)
    assert shop.execute(f"SELECT COUNT(*) FROM {scratch}.theirs") == ((0,),)


# Privileges


def granted(shop: Shop) -> dict[str, str]:
    outbox, table, scratch = (
        f"`{name}`.*".replace("_", r"\_")
        for name in (shop.outbox, shop.schema, scratch_schema(shop.outbox))
    )
    return {
        "outbox": f"SELECT ON {outbox}",
        "table": f"SELECT, TRIGGER ON {table}",
        **{name: f"{name} ON {scratch}" for name in (*PRIVILEGES, *FURTHER)},
    }


EVERYTHING = (
    "CREATE INDEX i ON orders (note);\nDROP INDEX i ON orders;\n"
    "ALTER TABLE orders DROP COLUMN note;\nCREATE TABLE t LIKE customers;\n"
    "ALTER TABLE t ADD FOREIGN KEY (id) REFERENCES customers (id);\n"
    "RENAME TABLE t TO u;\nDROP TABLE u;\n"
)


def test_exactly_what_is_needed_suffices(shop: Shop, account) -> None:
    shop.install()
    expected = shop.foresee(EVERYTHING)
    assert not any("fails by itself" in f.problem for f in expected)
    with account(*granted(shop).values()) as connection:
        found = foresee(connection, shop.spec, EVERYTHING, "m.sql")
    assert list(found) == expected


@pytest.mark.parametrize("name", [*PRIVILEGES, *FURTHER])
def test_each_privilege_is_asked_for_before_anything_is_done(
    shop: Shop, account, name: str
) -> None:
    shop.install()
    having = granted(shop)
    del having[name]
    before = snapshot(shop.execute)
    with account(*having.values()) as connection:
        with pytest.raises(PreflightError) as caught:
            foresee(connection, shop.spec, EVERYTHING, "m.sql")
        assert f"lacks the privilege {name} on `" in str(caught.value)
        ((_, hint),) = caught.value.problems
        assert snapshot(shop.execute) == before
        shop.execute(hint)
        foresee(connection, shop.spec, EVERYTHING, "m.sql")


def test_what_triggers_read_besides_is_asked_for_too(shop: Shop, account) -> None:
    shop.capture(transaction=True)
    shop.install()
    text = "CREATE INDEX i ON orders (note)"
    with account(*granted(shop).values()) as connection:
        if not shop.is_mariadb:
            with pytest.raises(PreflightError) as caught:
                foresee(connection, shop.spec, text, "m.sql")
            assert "on `performance_schema`.`threads`" in str(caught.value)
            for _, hint in caught.value.problems:
                shop.execute(hint)
        (finding,) = foresee(connection, shop.spec, text, "m.sql")
        assert finding.severity == "notice"


# The command


@pytest.fixture
def run(shop: Shop, tmp_path) -> Callable[..., tuple[int, str, str]]:
    spec = tmp_path / "evtrig.yml"
    spec.write_text(
        f"version: 1\nschema: {shop.schema}\noutbox: {shop.outbox}\n"
        "definer: current_user\ntables:\n  orders: {exclude: [secret]}\n"
    )

    def run(*arguments: str, stdin: bytes | None = None) -> tuple[int, str, str]:
        environment = {"EVTRIG_DSN": shop.server.dsn, "EVTRIG_SPEC": str(spec)}
        ended = CliRunner().invoke(
            main, ["check", *arguments], env=environment, input=stdin
        )
        return ended.exit_code, ended.stdout, ended.stderr

    return run


def test_the_command_exits_with_3_if_there_is_something_to_mend(
    shop: Shop, run, tmp_path
) -> None:
    shop.install()
    file = tmp_path / "m.sql"
    file.write_text(LOSSES["drop"])
    code, out, _ = run("--ddl", str(file))
    assert code == 3
    assert "every INSERT, UPDATE, DELETE fails" in out
    assert "1. Take note of orders into `exclude:`.\n    2. evtrig install\n" in out
    code, out, _ = run("--ddl", "-", "--json", stdin=LOSSES["drop"].encode())
    assert code == 3
    found = json.loads(out)
    assert found[0]["severity"] == "error"
    assert "standard input" in found[-1]["object"]


def test_the_command_exits_with_0_if_the_migration_is_harmless(shop: Shop, run) -> None:
    shop.install()
    code, out, _ = run(
        "--ddl", "-", stdin=b"\xef\xbb\xbfCREATE INDEX i ON orders (note);"
    )
    assert code == 0
    assert "nothing in it disturbs capture" in out


@pytest.mark.parametrize(
    ("stdin", "what"),
    [
        (b"", "holds no statement"),
        (b" -- nothing\n;", "holds no statement"),
        (b"ALTER TABLE a\n COMMENT '\xff'", "standard input:2: not UTF-8"),
        (b"DROP TABLE a;\n\nALTER TABLE t COMMENT 'x", "standard input:3: a string"),
        (b"x" * 1_100_000, "larger than 1 MB"),
        (b"DELIMITER //\n", "DELIMITER"),
    ],
)
def test_bad_input_is_one_message(run, stdin: bytes, what: str) -> None:
    code, out, err = run("--ddl", "-", stdin=stdin)
    assert (code, out) == (2, "")
    assert what in err
    assert "→" in err
    assert "Traceback" not in err


def test_a_file_that_cannot_be_read_is_one_message(run, tmp_path) -> None:
    for path in (tmp_path / "none.sql", tmp_path):
        code, _, err = run("--ddl", str(path))
        assert code == 2
        assert "cannot be read" in err
    assert run("--ddl", "-", "--dry-run-rows", "5")[0] == 2
