"""The id that all events of one transaction share, and no others."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pymysql
import pytest

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.mysqld import Mysqld, Program
from evtrig.demo.server import LocalServer, ThrowawayServer
from evtrig.triggers.install import apply, prepare
from evtrig.triggers.spec import parse

WRITERS = 8
TRANSACTIONS = 60

DEADLOCK, LOCK_WAIT_TIMEOUT = 1213, 1205

#: COM_RESET_CONNECTION: what pools send before they lend a connection again.
RESET = 0x1F

TABLES = ("orders", "items", "notes")


def install(dsn: str, schema: str, outbox: str) -> None:
    tables = "".join(f"  {table}: {{images: after}}\n" for table in TABLES)
    text = (
        f"version: 1\nschema: {schema}\noutbox: {outbox}\ndefiner: current_user\n"
        f"transaction: true\ntables:\n{tables}"
    )
    with Connection(Dsn.parse(dsn)) as connection:
        apply(connection, prepare(connection, parse(text, path="evtrig.yml")))


def create(cursor: pymysql.cursors.Cursor) -> None:
    """Tables whose rows say which transaction wrote them."""
    for table in TABLES:
        cursor.execute(
            f"CREATE TABLE {table} (id INT AUTO_INCREMENT PRIMARY KEY, tx VARCHAR(20))"
        )


def ids(cursor: pymysql.cursors.Cursor, outbox: str) -> list[tuple[str, str | None]]:
    """Of each event, the transaction that wrote its row, and its id."""
    cursor.execute(
        "SELECT JSON_UNQUOTE(JSON_EXTRACT(`after`, '$.tx')), `transaction`"
        f" FROM {outbox}.events ORDER BY id"
    )
    return list(cursor.fetchall())


def reset(connection: pymysql.Connection) -> None:
    connection._execute_command(RESET, b"")
    connection._read_ok_packet()
    connection.autocommit_mode = None


class Writer(threading.Thread):
    """Commits and rolls back, on connections that it closes, resets or keeps."""

    def __init__(self, number: int, connect: Callable[..., pymysql.Connection]) -> None:
        super().__init__()
        self.number = number
        self.connect = connect
        self.random = random.Random(number)
        #: By transaction, how many of its rows are committed.
        self.committed: dict[str, int] = {}
        self.rolled_back = 0
        self.connections = 1
        self.resets = 0
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            connection = self.connect()
            for number in range(TRANSACTIONS):
                choice = self.random.random()
                if choice < 0.1:
                    connection.close()
                    connection = self.connect()
                    self.connections += 1
                elif choice < 0.3:
                    reset(connection)
                    self.resets += 1
                self.write(connection.cursor(), f"{self.number}-{number}")
        except Exception as error:
            self.error = error

    def write(self, cursor: pymysql.cursors.Cursor, tx: str) -> None:
        kind = self.random.choice(["autocommit", "commit", "commit", "rollback"])
        try:
            if kind != "autocommit":
                cursor.execute("START TRANSACTION")
            rows = self.insert(cursor, tx)
            if kind == "autocommit":
                self.committed[tx] = rows
                return
            for _ in range(self.random.randrange(4)):
                rows += self.insert(cursor, tx)
            if self.random.random() < 0.4:
                cursor.execute("SAVEPOINT one")
                self.insert(cursor, tx)
                cursor.execute("ROLLBACK TO SAVEPOINT one")
                rows += self.insert(cursor, tx)
            cursor.execute("COMMIT" if kind == "commit" else "ROLLBACK")
        except pymysql.OperationalError as error:
            if error.args[0] not in (DEADLOCK, LOCK_WAIT_TIMEOUT):
                raise
            cursor.execute("ROLLBACK")
            kind = "rollback"
        if kind == "commit":
            self.committed[tx] = rows
        else:
            self.rolled_back += 1

    def insert(self, cursor: pymysql.cursors.Cursor, tx: str) -> int:
        rows = self.random.randint(1, 3)
        table = self.random.choice(TABLES)
        values = ", ".join(["(%s)"] * rows)
        cursor.execute(f"INSERT INTO {table} (tx) VALUES {values}", [tx] * rows)
        return rows


def test_a_transaction_has_one_id_and_shares_it_with_no_other(
    server: ThrowawayServer, schema: str, outbox: str, connect
) -> None:
    cursor = connect().cursor()
    create(cursor)
    install(server.dsn, schema, outbox)
    # Each thread has connections of its own; the fixture closes them.
    lock = threading.Lock()

    def locked() -> pymysql.Connection:
        with lock:
            return connect()

    writers = [Writer(number, locked) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert not writer.is_alive()
    assert [writer.error for writer in writers] == [None] * WRITERS

    wanted = {tx: n for writer in writers for tx, n in writer.committed.items()}
    ids_of, transactions_of = defaultdict(list), defaultdict(set)
    for tx, transaction in ids(cursor, outbox):
        ids_of[tx].append(transaction)
        transactions_of[transaction].add(tx)
    assert {tx: len(found) for tx, found in ids_of.items()} == wanted
    assert None not in transactions_of
    assert {tx: found for tx, found in ids_of.items() if len(set(found)) > 1} == {}
    assert {t: txs for t, txs in transactions_of.items() if len(txs) > 1} == {}
    # Or the above would say little.
    assert sum(writer.rolled_back for writer in writers) > 50
    assert sum(writer.resets for writer in writers) > 20
    assert sum(writer.connections for writer in writers) > 20
    print(
        f"{server.name}: {sum(wanted.values())} events of {len(wanted)} transactions,"
        f" {sum(writer.rolled_back for writer in writers)} rolled back,"
        f" {sum(writer.connections for writer in writers)} connections,"
        f" {sum(writer.resets for writer in writers)} resets"
    )


def test_a_reset_connection_does_not_take_up_its_old_id(
    server: ThrowawayServer, schema: str, outbox: str, connect
) -> None:
    connection = connect()
    cursor = connection.cursor()
    create(cursor)
    install(server.dsn, schema, outbox)
    for number in range(5):
        cursor.execute("INSERT INTO orders (tx) VALUES (%s)", (number,))
        reset(connection)
    cursor.execute("START TRANSACTION")
    cursor.execute("INSERT INTO orders (tx) VALUES ('lost')")
    reset(connection)
    cursor.execute("INSERT INTO orders (tx) VALUES (5)")
    found = ids(cursor, outbox)
    assert [tx for tx, _ in found] == list("012345")
    assert len({transaction for _, transaction in found} - {None}) == 6


@contextmanager
def own_server(program: Program, *options: str) -> Iterator[pymysql.cursors.Cursor]:
    """A captured table on a server with these options."""
    with LocalServer(Mysqld(program, options)) as server:
        dsn = Dsn.parse(server.dsn)
        connection = pymysql.connect(
            host=dsn.host, port=dsn.port, user=dsn.user, autocommit=True
        )
        cursor = connection.cursor()
        cursor.execute("CREATE DATABASE shop")
        connection.select_db("shop")
        create(cursor)
        install(server.dsn, "shop", "evtrig")
        yield cursor
        connection.close()


WITHOUT = {
    "mysql": "--performance-schema=OFF",
    "mariadb": "--skip-log-bin",
}


def test_where_the_server_knows_no_transactions_there_is_no_id_and_no_error(
    program: Program,
) -> None:
    with own_server(program, WITHOUT[program.server.family]) as cursor:
        cursor.execute("INSERT INTO orders (tx) VALUES ('a'), ('b')")
        cursor.execute("START TRANSACTION")
        cursor.execute("INSERT INTO items (tx) VALUES ('c')")
        cursor.execute("COMMIT")
        assert ids(cursor, "evtrig") == [("a", None), ("b", None), ("c", None)]


def test_a_consumer_that_is_switched_off_leaves_the_id_out(program: Program) -> None:
    if program.server.is_mariadb:
        pytest.skip("MariaDB's id does not come from performance_schema")
    consumer = (
        "UPDATE performance_schema.setup_consumers SET enabled = '{}'"
        " WHERE name = 'events_transactions_current'"
    )
    with own_server(program) as cursor:
        cursor.execute(consumer.format("NO"))
        cursor.execute("INSERT INTO orders (tx) VALUES ('a')")
        cursor.execute(consumer.format("YES"))
        cursor.execute("INSERT INTO orders (tx) VALUES ('b')")
        (_, off), (_, on) = ids(cursor, "evtrig")
        assert off is None
        assert on is not None


@pytest.mark.parametrize(
    "statement", ["INSERT INTO plain VALUES (1)", "SELECT NEXT VALUE FOR numbers"]
)
def test_what_is_not_transactional_splits_the_id_on_mariadb(
    statement: str, server: ThrowawayServer, schema: str, outbox: str, connect
) -> None:
    """A limit: last_gtid changes within the transaction (10.11)."""
    if server.name != "mariadb":
        pytest.skip("MySQL has no sequences, and with GTIDs refuses such a write")
    cursor = connect().cursor()
    create(cursor)
    cursor.execute("CREATE TABLE plain (id INT) ENGINE = MyISAM")
    cursor.execute("CREATE SEQUENCE numbers")
    install(server.dsn, schema, outbox)
    cursor.execute("START TRANSACTION")
    cursor.execute("INSERT INTO orders (tx) VALUES ('one')")
    cursor.execute(statement)
    cursor.fetchall()
    cursor.execute("INSERT INTO items (tx) VALUES ('one')")
    cursor.execute("COMMIT")
    found = {transaction for _, transaction in ids(cursor, outbox)}
    assert len(found) == 2
    assert None not in found
