"""What foreign keys do by themselves, recorded: every change of a child row once.

On servers where InnoDB carries foreign keys out (MariaDB, MySQL with
innodb_native_foreign_keys=ON) a trigger of the parent does it first. Where MySQL does
it itself, the default of 9.7, such a trigger would be wrong: its own switch is needed.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator

import pymysql
import pytest

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.mysqld import Mysqld, Program
from evtrig.demo.server import LocalServer
from evtrig.errors import PreflightError
from evtrig.triggers.account import Account
from evtrig.triggers.capture import resolve
from evtrig.triggers.folder import INDEX, folder, listed
from evtrig.triggers.install import apply, cascades_of, prepare, tables_of
from evtrig.triggers.installed import Installed
from evtrig.triggers.plan import Plan, plan
from evtrig.triggers.spec import parse
from evtrig.triggers.uninstall import uninstall

#: orders and items go with their customer, by keys of two columns; notes outlive it.
TABLES = """
CREATE TABLE customers (
    tenant INT, id INT, name VARCHAR(20), PRIMARY KEY (tenant, id), UNIQUE (id)
);
CREATE TABLE orders (
    tenant INT, id INT, customer INT, PRIMARY KEY (tenant, id),
    CONSTRAINT {s}_orders FOREIGN KEY (tenant, customer)
        REFERENCES customers (tenant, id) ON DELETE CASCADE
);
CREATE TABLE items (
    id INT PRIMARY KEY, tenant INT, `order` INT,
    CONSTRAINT {s}_items FOREIGN KEY (tenant, `order`)
        REFERENCES orders (tenant, id) ON DELETE CASCADE
);
CREATE TABLE notes (
    id INT PRIMARY KEY, customer INT,
    changed TIMESTAMP DEFAULT '2001-02-03 04:05:06' ON UPDATE CURRENT_TIMESTAMP,
    CONSTRAINT {s}_notes FOREIGN KEY (customer)
        REFERENCES customers (id) ON DELETE SET NULL
);
"""
ROWS = """
INSERT INTO customers VALUES (1, 1, 'a'), (1, 2, 'b'), (1, 3, 'c');
INSERT INTO orders VALUES (1, 11, 1), (1, 12, 1), (1, 21, 2), (1, 31, 3);
INSERT INTO items VALUES (111, 1, 11), (112, 1, 11), (211, 1, 21), (311, 1, 31);
INSERT INTO notes (id, customer) VALUES (1, 1), (2, 2), (3, 3);
"""
#: What becomes of the children of each customer.
CHILDREN = {
    1: {
        ("items", "delete", 111),
        ("items", "delete", 112),
        ("orders", "delete", 11),
        ("orders", "delete", 12),
        ("notes", "update", 1),
    },
    2: {("items", "delete", 211), ("orders", "delete", 21), ("notes", "update", 2)},
    3: {("items", "delete", 311), ("orders", "delete", 31), ("notes", "update", 3)},
}
ALL = ("items", "orders", "notes")


class Shop:
    """A schema of one test on a server of this module's own."""

    def __init__(self, server: LocalServer) -> None:
        self.server = server
        self.schema = f"test_{secrets.token_hex(4)}"
        self.outbox = f"{self.schema}_outbox"
        self.evtrig = Connection(Dsn.parse(server.dsn))
        self.connections: list[pymysql.Connection] = []
        self.cursor = self.session("root")
        self.execute(f"CREATE DATABASE {self.schema}")
        self.execute(f"USE {self.schema}")

    def session(self, user: str) -> pymysql.cursors.Cursor:
        dsn = Dsn.parse(self.server.dsn)
        password = "" if user == "root" else "pw"
        connection = pymysql.connect(
            host=dsn.host, port=dsn.port, user=user, password=password, autocommit=True
        )
        self.connections.append(connection)
        return connection.cursor()

    def close(self) -> None:
        for connection in self.connections:
            if connection.open:
                connection.close()
        self.evtrig.close()

    def execute(self, sql: str) -> tuple:
        self.cursor.execute(sql)
        return tuple(self.cursor.fetchall())

    def run(self, script: str) -> None:
        for statement in filter(str.strip, script.split(";")):
            self.execute(statement.format(s=self.schema))

    def fill(self) -> None:
        self.run(TABLES)
        self.run(ROWS)

    def install(
        self,
        *tables: str,
        cascades: str = "capture",
        definer: str = "current_user",
        by: Connection | None = None,
        **more: str,
    ) -> Plan:
        entries = {name: {"cascades": cascades, **more} for name in tables or ALL}
        head = {"version": 1, "schema": self.schema, "outbox": self.outbox}
        spec = json.dumps({**head, "definer": definer, "tables": entries})
        connection = by or self.evtrig
        todo = prepare(connection, parse(spec, path="evtrig.yml"))
        apply(connection, todo)
        return todo

    def events(self) -> list[tuple[str, str, int]]:
        """Those since the last time, as table, operation and id."""
        rows = self.execute(
            f"SELECT source, operation, `key` FROM {self.outbox}.events ORDER BY id"
        )
        self.execute(f"DELETE FROM {self.outbox}.events")
        return [
            (source.partition(".")[2], operation, json.loads(key)["id"])
            for source, operation, key in rows
        ]

    def ids(self, table: str) -> list[int]:
        rows = self.execute(f"SELECT id FROM {table} ORDER BY id")
        return [number for (number,) in rows]

    def error(self, sql: str) -> int:
        with pytest.raises(pymysql.MySQLError) as caught:
            self.execute(sql)
        return caught.value.args[0]

    def cascade_triggers(self) -> list[str]:
        return [
            f"{table}{name[-4:]}"
            for table, name in self.execute(
                "SELECT event_object_table, trigger_name FROM"
                f" information_schema.triggers WHERE trigger_schema = '{self.schema}'"
                " AND trigger_name LIKE 'evtrig\\_%\\_c\\_%' ORDER BY 1, 2"
            )
        ]


def once(events: list[tuple[str, str, int]]) -> set[tuple[str, str, int]]:
    assert len(events) == len(set(events)), "a change was recorded twice"
    return set(events)


def is_by_server(program: Program) -> bool:
    return program.server.family == "mysql" and program.server.version >= (9, 6)


@pytest.fixture(scope="module")
def by_engine(program: Program) -> Iterator[LocalServer]:
    options = ("--innodb-native-foreign-keys=ON",) if is_by_server(program) else ()
    with LocalServer(Mysqld(program, options)) as server:
        yield server


@pytest.fixture(scope="module")
def by_server(program: Program) -> Iterator[LocalServer]:
    if not is_by_server(program):
        pytest.skip("here InnoDB carries foreign keys out")
    with LocalServer(Mysqld(program, ("--innodb-native-foreign-keys=OFF",))) as server:
        yield server


@pytest.fixture
def empty(by_engine: LocalServer) -> Iterator[Shop]:
    shop = Shop(by_engine)
    yield shop
    shop.close()


@pytest.fixture
def shop(empty: Shop) -> Shop:
    empty.fill()
    return empty


@pytest.fixture
def switched(by_server: LocalServer) -> Iterator[Callable[[str], Shop]]:
    """``switched("ON")``: a shop where MySQL carries the foreign keys out."""
    shops: list[Shop] = []

    def switched(value: str) -> Shop:
        with Connection(Dsn.parse(by_server.dsn)) as connection:
            connection.execute(f"SET GLOBAL enable_cascade_triggers = {value}")
        shops.append(Shop(by_server))
        shops[-1].fill()
        return shops[-1]

    yield switched
    for shop in shops:
        shop.close()


# Every change of a child, once


@pytest.mark.parametrize("customer", [1, 2, 3])
def test_what_goes_with_a_deleted_row_is_recorded_once(
    shop: Shop, customer: int
) -> None:
    shop.install()
    shop.execute(f"DELETE FROM customers WHERE id = {customer}")
    assert once(shop.events()) == CHILDREN[customer]
    assert shop.ids("notes") == [1, 2, 3]


def test_each_file_of_a_folder_has_what_its_triggers_need(shop: Shop) -> None:
    """Of the orders there is no file but for their foreign keys."""
    definer = Account(f"d_{secrets.token_hex(4)}", "localhost")
    entries = {name: {"cascades": "capture"} for name in ("items", "notes")}
    head = {"version": 1, "schema": shop.schema, "outbox": shop.outbox}
    text = json.dumps({**head, "definer": str(definer), "tables": entries})
    spec = parse(text, path="evtrig.yml")
    server = shop.evtrig.server
    captures = resolve(spec, tables_of(shop.evtrig, spec), server)
    found, _ = cascades_of(shop.evtrig, spec, captures, server)
    steps = plan(
        captures,
        Installed(),
        server,
        outbox=spec.outbox,
        definer=definer,
        cascades=found,
    )
    files = folder(steps, server, captures, found)
    shared, *paths = listed(files[INDEX])
    s = shop.schema
    assert paths == [f"{s}/{t}.sql" for t in ("items", "notes", "customers", "orders")]
    for path in (shared, f"{s}/customers.sql"):
        run_script(shop, files[path])
    # Without the grants that other files repeat, this would fail (1142).
    shop.execute("DELETE FROM customers WHERE id = 3")
    for path in paths:
        if path != f"{s}/customers.sql":
            run_script(shop, files[path])
    shop.execute("DELETE FROM customers WHERE id = 1")
    assert once(shop.events()) == {c for c in CHILDREN[1] if c[0] != "orders"}
    assert prepare(shop.evtrig, spec).steps == ()


def run_script(shop: Shop, text: str) -> None:
    for part in re.split(r"^DELIMITER \$\$\n", text, flags=re.MULTILINE):
        compound, _, plain = part.rpartition(" $$\nDELIMITER ;\n")
        comments = re.compile("^--.*\n", re.MULTILINE)
        for statement in (compound, *comments.sub("", plain).split(";\n")):
            if statement.strip():
                shop.evtrig.execute(statement)


def test_without_the_option_nothing_is_recorded_of_it(shop: Shop) -> None:
    shop.install(cascades="ignore")
    shop.execute("DELETE FROM customers WHERE id = 1")
    assert shop.events() == []
    assert shop.cascade_triggers() == []


def test_a_statement_on_the_table_itself_is_recorded_as_ever(shop: Shop) -> None:
    shop.install()
    shop.execute("DELETE FROM orders WHERE id = 11")
    assert shop.events() == [
        ("items", "delete", 111),
        ("items", "delete", 112),
        ("orders", "delete", 11),
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM customers",
        "DELETE FROM customers WHERE id IN (1, 2, 3) ORDER BY id DESC",
        "DELETE IGNORE FROM customers",
        "REPLACE INTO customers VALUES (1, 1, 'A'), (1, 2, 'B'), (1, 3, 'C')",
    ],
)
def test_a_statement_with_many_rows_records_the_children_of_all(
    shop: Shop, statement: str
) -> None:
    shop.install()
    shop.execute(statement)
    assert once(shop.events()) == CHILDREN[1] | CHILDREN[2] | CHILDREN[3]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM customers WHERE id = 1",
        "DELETE IGNORE FROM customers",
        "REPLACE INTO customers VALUES (1, 2, 'B')",
        "REPLACE INTO customers VALUES (1, 9, 'B')",
        "UPDATE customers SET name = 'z'",
    ],
)
def test_the_tables_end_as_they_would_without(empty: Shop, statement: str) -> None:
    """The same statement on two shops, one of them captured."""
    ends = []
    for is_captured in (False, True):
        empty.run("DROP TABLE IF EXISTS notes, items, orders, customers")
        empty.fill()
        if is_captured:
            empty.install()
        empty.execute(statement)
        ends.append(
            [
                empty.execute(f"SELECT * FROM {table} ORDER BY 1, 2")
                for table in ("customers", *ALL)
            ]
        )
    assert ends[0] == ends[1]


def test_set_null_leaves_the_time_of_the_last_change_alone(shop: Shop) -> None:
    shop.install()
    shop.execute("DELETE FROM customers WHERE id = 2")
    ((time, customer),) = shop.execute("SELECT changed, customer FROM notes WHERE id=2")
    assert (str(time), customer) == ("2001-02-03 04:05:06", None)


def test_a_rollback_takes_it_all_back(shop: Shop) -> None:
    shop.install()
    shop.execute("BEGIN")
    shop.execute("DELETE FROM customers WHERE id = 1")
    shop.execute("ROLLBACK")
    assert shop.events() == []
    assert shop.ids("items") == [111, 112, 211, 311]


def test_with_foreign_key_checks_off_the_children_stay(shop: Shop) -> None:
    shop.install()
    shop.execute("SET foreign_key_checks = 0")
    shop.execute("DELETE FROM customers WHERE id = 1")
    assert shop.events() == []
    assert shop.ids("orders") == [11, 12, 21, 31]


def test_only_the_operations_of_the_spec_make_triggers(shop: Shop) -> None:
    shop.install("notes", "items", operations=["insert"])
    assert shop.cascade_triggers() == []
    todo = shop.install("items", operations=["delete"])
    assert shop.cascade_triggers() == ["customers_c_1", "orders_c_1"]
    shop.execute("DELETE FROM customers WHERE id = 2")
    assert shop.events() == [("items", "delete", 211)]
    # orders are not in the spec, but have a trigger now.
    assert not any("orders" in notice for notice in todo.notices)


def test_parents_may_be_in_another_schema(shop: Shop) -> None:
    other = f"{shop.schema}_other"
    shop.execute(f"CREATE DATABASE {other}")
    shop.execute(f"CREATE TABLE {other}.firms (id INT PRIMARY KEY)")
    shop.execute("ALTER TABLE customers ADD COLUMN firm INT")
    shop.execute(
        "ALTER TABLE customers ADD FOREIGN KEY (firm)"
        f" REFERENCES {other}.firms (id) ON DELETE CASCADE"
    )
    shop.execute(f"INSERT INTO {other}.firms VALUES (7)")
    shop.execute("UPDATE customers SET firm = 7 WHERE id <> 3")
    shop.install()
    shop.execute(f"DELETE FROM {other}.firms")
    assert once(shop.events()) == CHILDREN[1] | CHILDREN[2]
    assert shop.install().steps == ()
    uninstall(shop.evtrig, outbox=shop.outbox)
    assert not shop.execute(
        f"SELECT 1 FROM information_schema.triggers WHERE trigger_schema = '{other}'"
    )
    shop.execute("SET foreign_key_checks = 0")
    shop.execute(f"DROP DATABASE {other}")


def test_a_child_of_two_parents_is_deleted_once_and_not_changed_before(
    empty: Shop,
) -> None:
    empty.run("""
    CREATE TABLE p (id INT PRIMARY KEY);
    CREATE TABLE a (id INT PRIMARY KEY, p INT,
        FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE);
    CREATE TABLE c (id INT PRIMARY KEY, a INT, p INT,
        FOREIGN KEY (a) REFERENCES a (id) ON DELETE SET NULL,
        FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE);
    INSERT INTO p VALUES (1), (2);
    INSERT INTO a VALUES (1, 1);
    INSERT INTO c VALUES (1, 1, 1), (2, 1, 2)
    """)
    empty.install("a", "c")
    empty.execute("DELETE FROM p WHERE id = 1")
    assert empty.events() == [
        ("c", "delete", 1),
        ("c", "update", 2),
        ("a", "delete", 1),
    ]


# Not all in one name: MySQL 9.7 refuses any trigger that has some of them (3507).
@pytest.mark.parametrize("name", ["o`dd 'q' \\", "表 'q' \"x\"", "100% %s $$"])
@pytest.mark.parametrize("is_plain", [False, True], ids=["of all", "of columns"])
def test_any_name_is_quoted(empty: Shop, name: str, is_plain: bool) -> None:
    quoted = f"`{name.replace('`', '``')}`"
    parent = "parent" if is_plain else quoted
    empty.execute(f"CREATE TABLE {parent} ({quoted} INT PRIMARY KEY)")
    empty.execute(
        f"CREATE TABLE child (id INT PRIMARY KEY, {quoted} INT, CONSTRAINT {quoted}"
        f" FOREIGN KEY ({quoted}) REFERENCES {parent} ({quoted}) ON DELETE CASCADE)"
    )
    empty.execute(f"INSERT INTO {parent} VALUES (1)")
    empty.execute("INSERT INTO child VALUES (5, 1)")
    empty.install("child")
    assert empty.install("child").steps == ()
    empty.execute(f"DELETE FROM {parent}")
    assert empty.events() == [("child", "delete", 5)]
    uninstall(empty.evtrig, outbox=empty.outbox)
    assert empty.cascade_triggers() == []


# Rows that are kept


RESTRICTED = """
CREATE TABLE claims (id INT PRIMARY KEY, customer INT, CONSTRAINT {s}_claims
    FOREIGN KEY (customer) REFERENCES customers (id));
CREATE TABLE refunds (id INT PRIMARY KEY, tenant INT, `order` INT,
    CONSTRAINT {s}_refunds FOREIGN KEY (tenant, `order`)
    REFERENCES orders (tenant, id) ON DELETE RESTRICT)
"""


@pytest.mark.parametrize(
    "claim",
    ["INSERT INTO claims VALUES (1, 1)", "INSERT INTO refunds VALUES (1, 1, 12)"],
    ids=["of the row", "of a child"],
)
def test_a_row_that_is_kept_keeps_its_children(shop: Shop, claim: str) -> None:
    shop.run(RESTRICTED)
    shop.execute(claim)
    shop.install()
    assert shop.error("DELETE FROM customers") == 1451
    assert shop.events() == []
    shop.execute("DELETE IGNORE FROM customers")
    assert once(shop.events()) == CHILDREN[2] | CHILDREN[3]
    assert shop.ids("customers") == [1]
    assert shop.ids("orders") == [11, 12]
    assert shop.ids("items") == [111, 112]
    assert shop.execute("SELECT customer FROM notes WHERE id = 1") == ((1,),)


def test_a_row_that_a_table_beside_keeps_keeps_its_children(shop: Shop) -> None:
    """The restriction is below a child that is not captured."""
    shop.run("""
    CREATE TABLE carts (id INT PRIMARY KEY, customer INT,
        FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE CASCADE);
    CREATE TABLE holds (id INT PRIMARY KEY, cart INT,
        FOREIGN KEY (cart) REFERENCES carts (id));
    INSERT INTO carts VALUES (1, 1);
    INSERT INTO holds VALUES (1, 1)
    """)
    shop.install()
    shop.execute("DELETE IGNORE FROM customers")
    assert once(shop.events()) == CHILDREN[2] | CHILDREN[3]
    assert shop.ids("items") == [111, 112]


# What does not work, and is in docs/limits.md


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE c, o FROM customers c JOIN orders o ON o.customer = c.id",
        "DELETE c FROM customers c JOIN orders o ON o.customer = c.id",
        "DELETE FROM customers WHERE id IN (SELECT customer FROM orders)",
    ],
)
def test_a_delete_that_also_uses_the_child_fails_and_changes_nothing(
    shop: Shop, statement: str
) -> None:
    shop.install()
    assert shop.error(statement) == 1442
    assert shop.ids("customers") == [1, 2, 3]
    assert shop.events() == []


def refused(shop: Shop, *tables: str) -> str:
    before = shop.execute("SELECT COUNT(*) FROM information_schema.triggers")
    with pytest.raises(PreflightError) as caught:
        shop.install(*tables)
    assert shop.execute("SELECT COUNT(*) FROM information_schema.triggers") == before
    assert all(problem and hint for problem, hint in caught.value.problems)
    return str(caught.value) + (caught.value.hint or "")


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL"])
def test_a_key_to_its_own_table_is_refused(empty: Shop, action: str) -> None:
    empty.execute(
        "CREATE TABLE people (id INT PRIMARY KEY, boss INT, CONSTRAINT boss FOREIGN KEY"
        f" (boss) REFERENCES people (id) ON DELETE {action})"
    )
    text = refused(empty, "people")
    assert "boss of" in text
    assert "1442" in text


def test_keys_in_a_circle_are_refused(empty: Shop) -> None:
    empty.run("""
    CREATE TABLE a (id INT PRIMARY KEY, b INT);
    CREATE TABLE b (id INT PRIMARY KEY, a INT, CONSTRAINT to_a
        FOREIGN KEY (a) REFERENCES a (id) ON DELETE CASCADE);
    ALTER TABLE a ADD CONSTRAINT to_b
        FOREIGN KEY (b) REFERENCES b (id) ON DELETE SET NULL
    """)
    text = refused(empty, "a", "b")
    assert "to_a of" in text
    assert "to_b of" in text


def test_a_trigger_of_somebody_else_that_would_begin_to_fire_is_refused(
    shop: Shop,
) -> None:
    for name, event in (("mine", "DELETE ON orders"), ("yours", "UPDATE ON notes")):
        shop.execute(f"CREATE TRIGGER {name} AFTER {event} FOR EACH ROW SET @x = 1")
    text = refused(shop)
    assert "trigger mine on" in text
    assert "trigger yours on" in text
    assert shop.install("items", cascades="ignore").steps


# Installing


def test_installing_twice_changes_nothing(shop: Shop) -> None:
    shop.install()
    assert shop.cascade_triggers() == ["customers_c_1", "orders_c_1"]
    todo = shop.install()
    assert todo.steps == ()
    assert todo.notices == ()


def test_a_foreign_key_that_changes_replaces_the_trigger(shop: Shop) -> None:
    shop.install()
    shop.execute(f"ALTER TABLE notes DROP FOREIGN KEY {shop.schema}_notes")
    todo = shop.install()
    assert [step.kind for step in todo.steps] == ["trigger", "drop"]
    assert shop.cascade_triggers() == ["customers_c_2", "orders_c_1"]
    shop.execute("DELETE FROM customers WHERE id = 2")
    assert once(shop.events()) == CHILDREN[2] - {("notes", "update", 2)}


def test_two_generations_at_once_record_once(shop: Shop) -> None:
    shop.install()
    shop.execute(f"ALTER TABLE notes DROP FOREIGN KEY {shop.schema}_notes")
    # Stopped after the first step.
    head = {"version": 1, "schema": shop.schema, "outbox": shop.outbox}
    tables = {name: {"cascades": "capture"} for name in ALL}
    text = json.dumps({**head, "definer": "current_user", "tables": tables})
    todo = prepare(shop.evtrig, parse(text, path="evtrig.yml"))
    apply(shop.evtrig, Plan(todo.steps[:1]))
    assert shop.cascade_triggers() == ["customers_c_1", "customers_c_2", "orders_c_1"]
    shop.execute("DELETE FROM customers WHERE id = 1")
    assert once(shop.events()) >= CHILDREN[1] - {("notes", "update", 1)}
    shop.install()
    assert shop.cascade_triggers() == ["customers_c_2", "orders_c_1"]


def test_a_trigger_that_nobody_needs_any_more_goes(shop: Shop) -> None:
    shop.install()
    shop.install(cascades="ignore")
    assert shop.cascade_triggers() == []


def test_a_table_that_left_the_spec_goes_on_with_its_cascades(shop: Shop) -> None:
    shop.install()
    todo = shop.install("notes")
    assert ["orders" in n or "items" in n for n in todo.notices] == [True, True]
    shop.execute("DELETE FROM customers WHERE id = 2")
    assert once(shop.events()) == CHILDREN[2]
    assert shop.install("notes").steps == ()


def test_uninstalling_drops_them_too(shop: Shop) -> None:
    shop.install()
    uninstall(shop.evtrig, outbox=shop.outbox)
    assert shop.cascade_triggers() == []
    shop.execute("DELETE FROM customers WHERE id = 1")
    assert shop.ids("items") == [211, 311]


def test_an_update_of_the_referenced_key_is_said_to_make_no_event(shop: Shop) -> None:
    shop.run(
        "ALTER TABLE notes DROP FOREIGN KEY {s}_notes;"
        "ALTER TABLE notes ADD CONSTRAINT both_ways FOREIGN KEY (customer)"
        " REFERENCES customers (id) ON DELETE CASCADE ON UPDATE CASCADE"
    )
    (notice,) = shop.install().notices
    assert "both_ways" in notice
    assert "ON UPDATE CASCADE" in notice


# Accounts


def test_who_may_delete_the_parent_only_needs_nothing_else(shop: Shop) -> None:
    user = f"u_{secrets.token_hex(4)}"
    definer = f"d_{secrets.token_hex(4)}@localhost"
    shop.run(RESTRICTED)
    shop.install(definer=definer)
    assert shop.install(definer=definer).steps == ()
    shop.execute(f"CREATE USER {user}@'%' IDENTIFIED BY 'pw'")
    shop.execute(f"GRANT SELECT, DELETE ON {shop.schema}.customers TO {user}@'%'")
    shop.session(user).execute(f"DELETE FROM {shop.schema}.customers WHERE id = 1")
    assert once(shop.events()) == CHILDREN[1]


def test_what_the_installer_lacks_is_named_and_the_hints_mend_it(shop: Shop) -> None:
    user = f"u_{secrets.token_hex(4)}"
    definer = f"d_{secrets.token_hex(4)}@localhost"
    shop.run(RESTRICTED)
    # On a server of this module's own.
    shop.execute("SET GLOBAL log_bin_trust_function_creators = 1")
    shop.execute(f"CREATE USER {user}@'%' IDENTIFIED BY 'pw'")
    shop.execute(f"GRANT TRIGGER, SELECT ON {shop.schema}.notes TO {user}@'%'")
    # Without any privilege on the tables it would not see their foreign keys.
    for table in ("customers", "orders", "items", "claims", "refunds"):
        shop.execute(f"GRANT INSERT ON {shop.schema}.{table} TO {user}@'%'")
    for table in ("orders", "items"):
        shop.execute(f"GRANT SELECT ON {shop.schema}.{table} TO {user}@'%'")
    dsn = f"mysql://{user}:pw@127.0.0.1:{Dsn.parse(shop.server.dsn).port}"
    with Connection(Dsn.parse(dsn)) as connection:
        with pytest.raises(PreflightError) as caught:
            shop.install(definer=definer, by=connection)
        text = str(caught.value)
        for privilege, table in (
            ("TRIGGER", "customers"),
            ("SELECT", "customers"),
            ("GRANT OPTION", "customers"),
            ("SELECT", "claims"),
            ("SELECT", "refunds"),
            ("GRANT OPTION", "refunds"),
            ("DELETE", "orders"),
            ("DELETE", "items"),
            ("UPDATE", "notes"),
        ):
            assert f"{privilege} on `{shop.schema}`.`{table}`" in text
        for _, hint in caught.value.problems:
            shop.execute(hint.partition(";")[0])
    with Connection(Dsn.parse(dsn)) as connection:
        shop.install(definer=definer, by=connection)
        again = shop.install(definer=definer, by=connection)
        assert again.steps == ()
    shop.execute("DELETE FROM customers WHERE id = 1")
    assert once(shop.events()) == CHILDREN[1]


# Where MySQL carries foreign keys out itself


def test_while_the_switch_is_off_it_is_refused_and_the_switch_named(
    switched: Callable[[str], Shop],
) -> None:
    shop = switched("OFF")
    text = refused(shop)
    assert "REPLACE" in text
    assert "SET PERSIST enable_cascade_triggers = ON" in text


@pytest.mark.parametrize("cascades", ["ignore", "capture"])
def test_with_the_switch_on_the_server_does_it_once(
    switched: Callable[[str], Shop], cascades: str
) -> None:
    shop = switched("ON")
    shop.install(cascades=cascades)
    assert shop.cascade_triggers() == []
    shop.execute("DELETE FROM customers WHERE id IN (1, 2)")
    assert once(shop.events()) == CHILDREN[1] | CHILDREN[2]


@pytest.mark.parametrize("cascades", ["ignore", "capture"])
def test_a_session_that_switches_it_off_records_no_cascade(
    switched: Callable[[str], Shop], cascades: str
) -> None:
    shop = switched("ON")
    todo = shop.install(cascades=cascades)
    assert len(todo.notices) == (3 if cascades == "capture" else 0)
    assert all("a session" in notice for notice in todo.notices)
    shop.execute("SET SESSION enable_cascade_triggers = OFF")
    shop.execute("DELETE FROM customers WHERE id = 1")
    assert shop.events() == []
    shop.execute("SET SESSION enable_cascade_triggers = ON")
    shop.execute("DELETE FROM customers WHERE id = 2")
    assert once(shop.events()) == CHILDREN[2]


@pytest.mark.parametrize("switch", ["ON", "OFF"])
def test_replace_keeps_the_children_there(
    switched: Callable[[str], Shop], switch: str
) -> None:
    """Why a trigger would be wrong: it cannot tell REPLACE from DELETE."""
    shop = switched(switch)
    shop.install(cascades="ignore")
    shop.execute("REPLACE INTO customers VALUES (1, 1, 'A'), (1, 2, 'B')")
    assert shop.ids("orders") == [11, 12, 21, 31]
    assert shop.events() == []


def test_a_trigger_stands_back_after_a_restart_in_that_way(program: Program) -> None:
    if not is_by_server(program):
        pytest.skip("here InnoDB carries foreign keys out")
    with LocalServer(Mysqld(program, ("--innodb-native-foreign-keys=ON",))) as server:
        shop = Shop(server)
        shop.fill()
        shop.install()
        shop.close()
        server._mysqld._options = ("--innodb-native-foreign-keys=OFF",)
        server.restart()
        shop.evtrig = Connection(Dsn.parse(server.dsn))
        shop.cursor = shop.session("root")
        shop.execute(f"USE {shop.schema}")
        shop.execute("REPLACE INTO customers VALUES (1, 1, 'A')")
        assert shop.ids("orders") == [11, 12, 21, 31]
        shop.execute("SET GLOBAL enable_cascade_triggers = ON")
        shop.execute("SET SESSION enable_cascade_triggers = ON")
        shop.execute("DELETE FROM customers WHERE id = 1")
        assert once(shop.events()) == CHILDREN[1]
        todo = shop.install()
        assert [step.kind for step in todo.steps] == ["drop", "drop"]
        shop.close()
