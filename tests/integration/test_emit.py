"""Events of the application, through the drivers that applications use, and the
procedure from its installation to its end."""

from __future__ import annotations

import functools
import importlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest

from evtrig.application import emit as module
from evtrig.application.emit import emit
from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.server import ThrowawayServer
from evtrig.triggers.install import apply, prepare
from evtrig.triggers.spec import Spec, parse
from evtrig.triggers.sql import ident, qualified
from evtrig.triggers.uninstall import uninstall

PAGE = (Path(__file__).parents[2] / "docs" / "emit.md").read_text()

NOT_THERE, NOT_ALLOWED, LOCK_WAIT, REFUSED = 1305, 1370, 1205, 1644

ODD_OUTBOXES = ("b`tick", "10%s_%d%%", 'q?:1 "\\', "it's")


@dataclass
class Shop:
    """A table of orders, and an outbox that takes events of the application."""

    server: ThrowawayServer
    schema: str
    outbox: str
    connect: Callable[..., pymysql.Connection]

    def __post_init__(self) -> None:
        self.evtrig = Connection(Dsn.parse(self.server.dsn))
        self.cursor = self.connect().cursor()
        self.execute("CREATE TABLE orders (id INT PRIMARY KEY, status VARCHAR(20))")
        self.execute("INSERT INTO orders VALUES (7, 'new'), (8, 'new'), (9, 'new')")

    def execute(self, sql: str) -> tuple:
        self.cursor.execute(sql)
        return tuple(self.cursor.fetchall())

    def spec(
        self,
        *lines: str,
        emit: str = "true",
        table: str = "{transaction: false, db_user: false}",
    ) -> Spec:
        """Its table asks for nothing of what the top of the spec may say."""
        head = "".join(f"{line}\n" for line in lines)
        return parse(
            f"version: 1\nschema: {self.schema}\noutbox: {json.dumps(self.outbox)}\n"
            f"definer: current_user\nemit: {emit}\n{head}"
            f"tables:\n  orders: {table}\n",
            path="evtrig.yml",
        )

    def titles(self, spec: Spec | None = None) -> list[str]:
        return [step.title for step in prepare(self.evtrig, spec or self.spec()).steps]

    def install(self, spec: Spec | None = None) -> list[str]:
        todo = prepare(self.evtrig, spec or self.spec())
        apply(self.evtrig, todo)
        return [step.title for step in todo.steps]

    def events(self, operation: str = "emit") -> list[tuple]:
        return list(
            self.execute(
                "SELECT type, `key`, after, context, `transaction` FROM"
                f" {qualified(self.outbox, 'events')}"
                f" WHERE operation = '{operation}' ORDER BY id"
            )
        )

    def told(self) -> list[tuple]:
        """Type, key and data of what the application has emitted."""
        return [
            (type_, json.loads(key), after and json.loads(after))
            for type_, key, after, *_ in self.events()
        ]

    def statuses(self) -> dict[int, str]:
        return dict(self.execute("SELECT id, status FROM orders"))


@pytest.fixture
def shop(server, schema: str, outbox: str, connect) -> Shop:
    return Shop(server, schema, outbox, connect)


@pytest.fixture
def odd_shop(request, server, schema: str, connect) -> Iterator[Shop]:
    """One whose outbox is called as its parameter says."""
    shop = Shop(server, schema, f"{schema} {request.param}", connect)
    yield shop
    shop.execute(f"DROP DATABASE IF EXISTS {ident(shop.outbox)}")


# Drivers


@pytest.fixture(params=["pymysql", "mysql.connector", "mariadb", "MySQLdb"])
def driver(request, server, schema: str) -> Iterator[Callable[[], Any]]:
    """``driver()``: a connection to ``schema`` that is not in autocommit."""
    name = request.param
    try:
        found = importlib.import_module(name)
    except ImportError:
        pytest.skip(f"the driver {name} is not installed")
    dsn = Dsn.parse(server.dsn)
    options: dict[str, Any] = {"user": dsn.user, "password": dsn.password}
    if dsn.unix_socket:
        options["unix_socket"] = dsn.unix_socket
    else:
        options |= {"host": dsn.host, "port": dsn.port}
    if name == "mysql.connector":
        # Asked for the collation that MariaDB has too.
        options |= {"charset": "utf8mb4", "collation": "utf8mb4_bin"}
    opened: list[Any] = []

    def connect() -> Any:
        opened.append(found.connect(database=schema, **options))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def run(connection: Any, sql: str) -> None:
    cursor = connection.cursor()
    cursor.execute(sql)
    cursor.close()


TEXT = "it's 注文 🍣 \\ \" % %s %(key)s ? :1 ; -- /* \n\t\0"


def test_an_event_is_there_if_its_transaction_commits(shop: Shop, driver) -> None:
    shop.install()
    connection = driver()
    emit(connection, "Grüße", {"id": 7, "text": TEXT}, [TEXT, 1.5, None, True, 2**63],
         outbox=shop.outbox)  # fmt: skip
    assert shop.told() == []
    connection.commit()
    expected = ("Grüße", {"id": 7, "text": TEXT}, [TEXT, 1.5, None, True, 2**63])
    assert shop.told() == [expected]


def test_an_event_of_a_rollback_was_never_there(shop: Shop, driver) -> None:
    shop.install()
    connection = driver()
    run(connection, "UPDATE orders SET status = 'paid' WHERE id = 7")
    emit(connection, "Paid", {"id": 7}, outbox=shop.outbox)
    connection.rollback()
    assert (shop.told(), shop.events("update")) == ([], [])


def test_a_savepoint_takes_back_what_came_after_it(shop: Shop, driver) -> None:
    shop.install()
    connection = driver()
    emit(connection, "Packed", {"id": 7}, outbox=shop.outbox)
    run(connection, "SAVEPOINT here")
    emit(connection, "Shipped", {"id": 7}, outbox=shop.outbox)
    run(connection, "ROLLBACK TO SAVEPOINT here")
    emit(connection, "Kept", {"id": 7}, outbox=shop.outbox)
    connection.commit()
    assert [told[0] for told in shop.told()] == ["Packed", "Kept"]


def test_the_connection_is_as_usable_afterwards_as_before(shop: Shop, driver) -> None:
    shop.install()
    connection = driver()
    cursor = connection.cursor()
    emit(connection, "A", {}, outbox=shop.outbox)
    emit(connection, "B", {}, outbox=shop.outbox)
    cursor.execute("SELECT id FROM orders ORDER BY id")
    assert [row[0] for row in cursor.fetchall()] == [7, 8, 9]
    cursor.close()
    connection.commit()
    assert [told[0] for told in shop.told()] == ["A", "B"]


def test_what_the_server_refuses_is_an_error_of_the_driver(shop: Shop, driver) -> None:
    shop.install()
    connection = driver()
    error = importlib.import_module(type(connection).__module__.split(".")[0])
    if error.__name__ == "mysql":
        error = importlib.import_module("mysql.connector")
    run(connection, "UPDATE orders SET status = 'paid' WHERE id = 7")
    with pytest.raises(error.Error) as caught:
        emit(connection, "A", {}, outbox="no_such_outbox")
    assert NOT_THERE in (caught.value.args[0], getattr(caught.value, "errno", None))
    # As after any failed statement, the transaction is still there.
    emit(connection, "B", {}, outbox=shop.outbox)
    connection.commit()
    assert [told[0] for told in shop.told()] == ["B"]
    assert shop.statuses()[7] == "paid"


@pytest.mark.parametrize("odd_shop", ODD_OUTBOXES, indirect=True)
def test_an_outbox_may_be_called_anything(odd_shop: Shop, driver) -> None:
    odd_shop.install()
    connection = driver()
    emit(connection, "A", {"text": TEXT}, TEXT, outbox=odd_shop.outbox)
    connection.commit()
    assert odd_shop.told() == [("A", {"text": TEXT}, TEXT)]


def test_in_autocommit_each_event_is_a_transaction_of_its_own(shop: Shop) -> None:
    shop.install()
    emit(shop.connect(), "A", {}, outbox=shop.outbox)
    assert [told[0] for told in shop.told()] == ["A"]


# What the procedure takes


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ("'', '{}', NULL", "type"),
        ("'  ', '{}', NULL", "type"),
        ("NULL, '{}', NULL", "type"),
        ("'A', NULL, NULL", "key"),
        ("'A', '', NULL", "key"),
        ("'A', '7', NULL", "key"),
        ("'A', '[1]', NULL", "key"),
        ("'A', '{\"id\": 1.}', NULL", "key"),
        ("'A', '{id: 1}', NULL", "key"),
        ("'A', '{}', ''", "data"),
        ("'A', '{}', 'secret'", "data"),
        ("'A', '{}', '{\"secret\": -}'", "data"),
    ],
)
def test_what_is_no_event_is_refused_without_its_contents(
    shop: Shop, arguments: str, what: str
) -> None:
    shop.install()
    with pytest.raises(pymysql.MySQLError) as caught:
        shop.execute(f"CALL {shop.outbox}.emit({arguments})")
    number, message = caught.value.args
    assert number == REFUSED
    assert f"the {what} of an event" in message
    assert "secret" not in message
    assert shop.told() == []


def test_a_type_that_does_not_fit_is_an_error_and_not_cut(shop: Shop) -> None:
    shop.install()
    with pytest.raises(pymysql.MySQLError):
        shop.execute(f"CALL {shop.outbox}.emit(REPEAT('A', 256), '{{}}', NULL)")
    assert shop.told() == []


def test_a_large_event_is_one_line_and_whole(shop: Shop) -> None:
    shop.install()
    data = {"text": "x\n" * 500_000, "list": list(range(50_000))}
    emit(shop.connect(), "A", {}, data, outbox=shop.outbox)
    ((_, _, after, _, _),) = shop.events()
    assert json.loads(after) == data
    assert "\n" not in after


def test_white_space_does_not_make_two_keys_of_one(shop: Shop) -> None:
    shop.install()
    for key in ('{"id":7,"n":1}', '{ "id" : 7,\n"n": 1 }'):
        shop.cursor.execute(f"CALL {shop.outbox}.emit('A', %s, NULL)", (key,))
    emit(shop.connect(), "A", {"n": 1, "id": 7}, outbox=shop.outbox)
    assert len({key for _, key, *_ in shop.events()}) == 1


def test_what_arrays_may_be_nested_the_page_says(shop: Shop) -> None:
    shop.install()
    deepest = 31 if shop.server.name == "mariadb" else 100
    assert f"deeper than {31} on MariaDB,\n  or {100} on MySQL" in PAGE
    for depth in (deepest, deepest + 1):
        data: list[Any] = []
        for _ in range(depth - 1):
            data = [data]
        call = functools.partial(emit, shop.connect(), outbox=shop.outbox)
        if depth == deepest:
            call("A", {}, data)
        else:
            with pytest.raises(pymysql.MySQLError):
                call("A", {}, data)
    assert len(shop.told()) == 1


# What comes with an event


def test_who_why_and_in_which_transaction_as_for_a_change(shop: Shop) -> None:
    shop.install(shop.spec("db_user: true", "transaction: true"))
    connection = shop.connect(autocommit=False)
    run(connection, 'SET @evtrig_context = \'{"actor": "alice"}\'')
    for type_ in ("A", "B"):
        emit(connection, type_, {}, outbox=shop.outbox)
    connection.commit()
    emit(connection, "C", {}, outbox=shop.outbox)
    connection.commit()
    contexts = [json.loads(context) for *_, context, _ in shop.events()]
    assert {context["actor"] for context in contexts} == {"alice"}
    assert all("@" in context["db_user"] for context in contexts)
    one, two, three = (transaction for *_, transaction in shop.events())
    if shop.execute("SELECT @@log_bin") == ((1,),) or shop.server.name == "mysql":
        assert one == two != three
        assert None not in (one, three)


def test_a_change_and_the_event_about_it_share_a_transaction(shop: Shop) -> None:
    shop.install(shop.spec("transaction: true", table="{}"))
    connection = shop.connect(autocommit=False)
    emit(connection, "First", {}, outbox=shop.outbox)
    run(connection, "UPDATE orders SET status = 'paid' WHERE id = 7")
    emit(connection, "Last", {}, outbox=shop.outbox)
    connection.commit()
    found = [row[-1] for row in shop.events() + shop.events("update")]
    assert (len(found), len(set(found))) == (3, 1)


def test_recording_that_is_switched_off_leaves_these_events_in(shop: Shop) -> None:
    shop.install(shop.spec("bypass: nightly-import"))
    connection = shop.connect()
    run(connection, "SET @evtrig_off = 'nightly-import'")
    run(connection, "UPDATE orders SET status = 'paid' WHERE id = 7")
    emit(connection, "Imported", {}, outbox=shop.outbox)
    assert (shop.events("update"), len(shop.events("gap"))) == ([], 1)
    assert [told[0] for told in shop.told()] == ["Imported"]


def test_the_last_insert_id_is_that_of_the_event_as_the_page_says(shop: Shop) -> None:
    shop.install()
    shop.execute("CREATE TABLE numbered (id INT AUTO_INCREMENT PRIMARY KEY)")
    shop.execute("INSERT INTO numbered VALUES (), (), ()")
    shop.execute("INSERT INTO numbered VALUES ()")
    assert shop.cursor.lastrowid == 4
    emit(shop.cursor.connection, "A", {}, outbox=shop.outbox)
    assert shop.cursor.lastrowid == 4
    (event,) = shop.execute(f"SELECT id FROM {shop.outbox}.events")
    assert shop.execute("SELECT LAST_INSERT_ID()") == (event,)


# Order


def test_under_one_lock_events_are_in_the_order_of_the_commits(shop: Shop) -> None:
    shop.install()
    first, second = (shop.connect(autocommit=False) for _ in range(2))
    run(second, "SET innodb_lock_wait_timeout = 1")
    ship = "UPDATE orders SET status = '{}' WHERE id = 7"
    run(first, ship.format("first"))
    with pytest.raises(pymysql.MySQLError) as caught:
        run(second, ship.format("second"))
    assert caught.value.args[0] == LOCK_WAIT
    emit(first, "first", {"id": 7}, outbox=shop.outbox)
    first.commit()
    run(second, ship.format("second"))
    emit(second, "second", {"id": 7}, outbox=shop.outbox)
    second.commit()
    assert [told[0] for told in shop.told()] == ["first", "second"]


def test_without_a_lock_the_later_call_may_be_there_first(shop: Shop) -> None:
    """The relay reads what is committed: it may publish the second before the first."""
    shop.install()
    first, second = (shop.connect(autocommit=False) for _ in range(2))
    emit(first, "first", {"id": 7}, outbox=shop.outbox)
    emit(second, "second", {"id": 7}, outbox=shop.outbox)
    second.commit()
    assert [told[0] for told in shop.told()] == ["second"]
    first.commit()
    assert [told[0] for told in shop.told()] == ["first", "second"]


# From its installation to its end


@pytest.mark.parametrize("odd_shop", ["outbox", *ODD_OUTBOXES], indirect=True)
def test_the_procedure_comes_is_kept_replaced_dropped_and_comes_again(
    odd_shop: Shop,
) -> None:
    shop = odd_shop
    create = f"create procedure {shop.outbox}.emit"
    drop = f"drop procedure {shop.outbox}.emit"
    assert create in shop.install()
    assert shop.install() == []
    changed = shop.spec("transaction: true")
    assert shop.install(changed) == [drop, create]
    assert shop.install(changed) == []
    without = shop.spec(emit="false")
    assert shop.install(without) == [drop]
    assert shop.install(without) == []
    assert shop.install() == [create]
    emit(shop.connect(), "A", {}, outbox=shop.outbox)
    assert shop.told() == [("A", {}, None)]


def test_a_procedure_that_somebody_has_edited_is_replaced(shop: Shop) -> None:
    shop.install()
    procedure = qualified(shop.outbox, "emit")
    shop.execute(f"DROP PROCEDURE {procedure}")
    shop.execute(f"CREATE PROCEDURE {procedure}() DO 1")
    assert shop.install()[0] == f"drop procedure {shop.outbox}.emit"
    assert shop.install() == []


@pytest.mark.parametrize("odd_shop", ["outbox", *ODD_OUTBOXES], indirect=True)
def test_uninstall_drops_the_procedure_and_the_salts(odd_shop: Shop) -> None:
    salted = odd_shop.spec(table="{redact: {status: hash}}")
    assert f"create table {odd_shop.outbox}.salts" in odd_shop.install(salted)
    done: list[str] = []
    gone = uninstall(
        odd_shop.evtrig,
        outbox=odd_shop.outbox,
        on_step=lambda step: done.append(step.title),
    )
    assert gone.outbox_dropped
    assert f"drop procedure {odd_shop.outbox}.emit" in done
    assert f"drop table {odd_shop.outbox}.salts" in done
    found = "SELECT schema_name FROM information_schema.schemata"
    assert (odd_shop.outbox,) not in odd_shop.execute(found)


def test_events_that_wait_are_kept_and_nobody_can_add_one(shop: Shop) -> None:
    shop.install()
    emit(shop.connect(), "A", {}, outbox=shop.outbox)
    gone = uninstall(shop.evtrig, outbox=shop.outbox)
    assert (gone.waiting, gone.outbox_dropped) == (1, False)
    with pytest.raises(pymysql.MySQLError) as caught:
        emit(shop.connect(), "B", {}, outbox=shop.outbox)
    assert caught.value.args[0] == NOT_THERE
    assert [told[0] for told in shop.told()] == ["A"]


# The page


def blocks(language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found


def application(shop: Shop, grant: str) -> Iterator[str]:
    """An account that has what ``grant`` says, and may write to the table."""
    user = f"{shop.schema}_app"
    shop.execute(f"CREATE USER {user}@`%` IDENTIFIED BY 'pw'")
    shop.execute(f"GRANT SELECT, UPDATE ON {shop.schema}.orders TO {user}@`%`")
    shop.execute(grant.replace("`app`", user))
    yield user
    shop.execute(f"DROP USER {user}@`%`")


@pytest.fixture
def documented(shop: Shop) -> Iterator[tuple[Shop, str]]:
    """What the page installs, and the account that it grants one privilege."""
    (text,) = blocks("yaml")
    text = text.replace("schema: shop", f"schema: {shop.schema}")
    text += f"outbox: {shop.outbox}\ndefiner: {shop.schema}_d@localhost\n"
    spec = parse(text, path="docs/emit.md")
    shop.install(spec)
    assert shop.titles(spec) == []
    (grant,) = (sql for sql in blocks("sql") if sql.startswith("GRANT"))
    # The wildcard in the outbox's own name, as the page says.
    pattern = shop.outbox.replace("_", "\\_")
    grant = grant.strip().removesuffix(";").replace("`evtrig`", f"`{pattern}`")
    accounts = application(shop, grant)
    yield shop, next(accounts)
    next(accounts, None)
    shop.execute(f"DROP USER {shop.schema}_d@localhost")


def test_the_sql_of_the_page_does_what_the_page_says(
    documented: tuple[Shop, str],
) -> None:
    shop, user = documented
    connection = shop.connect(user=user, password="pw")
    for block in blocks("sql"):
        if block.startswith("GRANT"):
            continue
        for statement in block.split(";"):
            if statement.strip():
                run(connection, statement.replace("evtrig.", f"{shop.outbox}."))
    assert shop.told() == [
        ("OrderShipped", {"id": 7}, {"carrier": "post"}),
        ("OrderPacked", {"id": 9}, None),
    ]
    assert shop.statuses() == {7: "shipped", 8: "new", 9: "packed"}
    with pytest.raises(pymysql.MySQLError):
        run(connection, f"SELECT * FROM {shop.outbox}.events")


def test_the_event_of_the_page_is_the_one_that_comes(
    documented: tuple[Shop, str],
) -> None:
    shop, _ = documented
    (shown,) = (json.loads(block) for block in blocks("json"))
    emit(
        shop.connect(), shown["type"], shown["key"], shown["after"], outbox=shop.outbox
    )
    columns = ("type", "source", "operation", "key", "before", "after")
    names = ", ".join(f"`{name}`" for name in (*columns, "transaction", "context"))
    (row,) = shop.execute(f"SELECT {names} FROM {shop.outbox}.events")
    shown["source"] = shown["source"].replace("evtrig", shop.outbox)
    for name in ("key", "after"):
        row = tuple(
            json.loads(value) if column == name else value
            for column, value in zip(shown, row, strict=True)
        )
    assert dict(zip(shown, row, strict=True)) == shown


def test_the_python_of_the_page_does_what_the_page_says(
    documented: tuple[Shop, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, user = documented
    monkeypatch.setitem(module.emit.__kwdefaults__, "outbox", shop.outbox)
    connection = shop.connect(user=user, password="pw", autocommit=False)
    names: dict[str, Any] = {"connection": connection}
    for block in blocks("python"):
        exec(compile(block, "docs/emit.md", "exec"), names)
    assert shop.told() == [("OrderShipped", {"id": 7}, {"carrier": "post"})]
    assert shop.statuses() == {7: "shipped", 8: "new", 9: "new"}


def test_a_grant_on_the_procedure_is_gone_when_it_is_replaced(shop: Shop) -> None:
    shop.install()
    accounts = application(
        shop, f"GRANT EXECUTE ON PROCEDURE {shop.outbox}.emit TO `app`@`%`"
    )
    user = next(accounts)
    call = functools.partial(
        emit, shop.connect(user=user, password="pw"), "A", {}, outbox=shop.outbox
    )
    call()
    shop.install(shop.spec("transaction: true"))
    with pytest.raises(pymysql.MySQLError) as caught:
        call()
    next(accounts, None)
    assert caught.value.args[0] == NOT_ALLOWED


def test_a_grant_on_the_schema_outlives_the_procedure(
    documented: tuple[Shop, str],
) -> None:
    shop, user = documented
    connection = shop.connect(user=user, password="pw")
    emit(connection, "A", {}, outbox=shop.outbox)
    shop.install(shop.spec("transaction: true"))
    emit(connection, "B", {}, outbox=shop.outbox)
    assert [told[0] for told in shop.told()] == ["A", "B"]
