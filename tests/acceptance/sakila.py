"""The Sakila film rental shop: loading it, reading it, and random work on it.

What a row looks like in an event is worked out here in Python, from the values that
the driver gives: nothing of evtrig's own SQL is used.
"""

from __future__ import annotations

import base64
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import pymysql
from pymysql.constants import ER

from evtrig.demo.checker import key_text
from evtrig.demo.journal import Change, Journal, Row

#: Beside the checkout; it is not part of the project.
FOLDER = Path(__file__).resolve().parents[3] / "shared/data/sakila"

TEXTS = ("char", "varchar", "text", "enum", "set")
BYTES = ("blob", "geometry")
#: A transaction that ran into one of these is rolled back, the next one is begun.
DEADLOCK = (ER.LOCK_DEADLOCK, ER.LOCK_WAIT_TIMEOUT)


def load(connection: pymysql.Connection, schema: str) -> None:
    """Load the dump into a schema of another name; it names its own, sakila."""
    with connection.cursor() as cursor:
        for name in ("schema.sql", "data.sql"):
            text = (FOLDER / name).read_text(encoding="utf-8")
            for statement in statements(text):
                if statement.startswith(("CREATE SCHEMA", "DROP SCHEMA", "USE")):
                    continue
                # In the bodies of views; the data has it in no statement.
                cursor.execute(statement.replace("sakila.", f"{schema}."))


def statements(text: str) -> Iterator[str]:
    """The statements of a dump, which end with a delimiter at the end of a line."""
    delimiter, lines = ";", []
    for line in text.splitlines():
        if line.startswith("DELIMITER"):
            delimiter = line.split()[1]
            continue
        if not lines and (not line.strip() or line.startswith("--")):
            continue
        lines.append(line)
        if line.rstrip().endswith(delimiter):
            yield "\n".join(lines).rstrip().removesuffix(delimiter)
            lines = []


@dataclass(frozen=True)
class Table:
    """A table of the shop, and how its rows are read."""

    schema: str
    name: str
    #: (name, data type) of each.
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]

    @property
    def source(self) -> str:
        return f"{self.schema}.{self.name}"

    @cached_property
    def select(self) -> str:
        # As the bytes that are stored: the session's character set may lack them.
        columns = (
            f"CAST({name} AS BINARY)" if kind in TEXTS else name
            for name, kind in self.columns
        )
        return f"SELECT {', '.join(columns)} FROM {self.name}"

    def row(self, values: tuple[Any, ...], offset: timedelta) -> Row:
        """A row as an event has it; ``offset`` is that of the session's time zone."""
        return {
            name: as_json(value, kind, offset)
            for (name, kind), value in zip(self.columns, values, strict=True)
        }

    def key_of(self, row: Row) -> Row:
        return {name: row[name] for name in self.key}


def as_json(value: Any, kind: str, offset: timedelta) -> Any:
    if value is None:
        return None
    if kind in TEXTS:
        return value.decode()
    if kind in BYTES:
        return base64.b64encode(value).decode()
    if kind == "timestamp":
        return str(value - offset)
    if kind in ("decimal", "datetime", "date"):
        return str(value)
    assert isinstance(value, int), kind
    return value


def tables(connection: pymysql.Connection, schema: str) -> dict[str, Table]:
    """The base tables of the schema by name."""
    columns: dict[str, list[tuple[str, str]]] = {}
    keys: dict[str, list[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.table_name, c.column_name, c.data_type, c.column_key"
            "  FROM information_schema.columns c"
            "  JOIN information_schema.tables t USING (table_schema, table_name)"
            " WHERE c.table_schema = %s AND t.table_type = 'BASE TABLE'"
            " ORDER BY c.table_name, c.ordinal_position",
            (schema,),
        )
        for table, column, kind, key in cursor.fetchall():
            kind = kind.decode() if isinstance(kind, bytes) else kind
            columns.setdefault(table, []).append((column, kind))
            # No key of Sakila has its columns in another order than the table.
            if key == "PRI":
                keys.setdefault(table, []).append(column)
    return {
        name: Table(schema, name, tuple(columns[name]), tuple(keys[name]))
        for name in columns
    }


def contents(
    connection: pymysql.Connection, shop: dict[str, Table]
) -> dict[str, dict[str, Row]]:
    """Every row by source and key; the connection's time zone is UTC."""
    found: dict[str, dict[str, Row]] = {}
    with connection.cursor() as cursor:
        for table in shop.values():
            cursor.execute(table.select)
            rows = [table.row(values, timedelta()) for values in cursor.fetchall()]
            found[table.source] = {key_text(table.key_of(row)): row for row in rows}
    return found


@dataclass(frozen=True)
class Session:
    """How a writer's client is set up: none of it may show in an event."""

    charset: str
    offset: timedelta
    sql_mode: str
    isolation: str
    #: What this client can write; utf8mb3 in the tables.
    words: tuple[str, ...]

    def connect(self, connect: Callable[..., pymysql.Connection]) -> pymysql.Connection:
        minutes = self.offset // timedelta(minutes=1)
        sign = "-" if minutes < 0 else "+"
        zone = f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
        connection = connect(charset=self.charset, autocommit=False, binary_prefix=True)
        with connection.cursor() as cursor:
            cursor.execute("SET time_zone = %s, sql_mode = %s", (zone, self.sql_mode))
            cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {self.isolation}")
            cursor.execute("SET innodb_lock_wait_timeout = 5")
        return connection


WESTERN = ("Zoë", "don't", 'say "ah"', "back\\slash", "tab\t", "€ 5", "end  ", "")
WIDE = (*WESTERN, "Łódź", "映画館", "line\nbreak", "\x01\x1f", "\u2028", "e\u0301")

SESSIONS = (
    Session("utf8mb4", timedelta(), "STRICT_TRANS_TABLES", "REPEATABLE READ", WIDE),
    Session(
        "latin1", timedelta(hours=-8), "STRICT_TRANS_TABLES", "REPEATABLE READ", WESTERN
    ),
    Session(
        "utf8mb4",
        timedelta(hours=5, minutes=30),
        "ANSI,STRICT_ALL_TABLES",
        "READ COMMITTED",
        WIDE,
    ),
    Session("utf8mb4", timedelta(hours=13), "", "READ COMMITTED", WIDE),
)


@dataclass
class Writer(threading.Thread):
    """Random transactions until the common counter has reached ``transactions``.

    Foreign keys with ON DELETE SET NULL and ON UPDATE CASCADE fire no triggers, on
    either server, so such a change makes no event. The work here keeps clear of
    them: a rental is deleted after its payments, a key that others refer to stays.
    """

    session: Session
    connect: Callable[..., pymysql.Connection]
    shop: dict[str, Table]
    journal: Journal
    seed: int
    transactions: int
    done: Iterator[int]
    on_transaction: Callable[[int], None]
    #: How often what happened: error numbers, and words.
    counts: Counter[int | str] = field(default_factory=Counter)
    failure: BaseException | None = None

    def __post_init__(self) -> None:
        super().__init__(name=f"writer-{self.seed}")
        self.random = random.Random(self.seed)
        self.changes: list[Change] = []
        self.numbers = count(1)

    # threading.Thread hashes by identity, which @dataclass takes away.
    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        try:
            self.connection = self.session.connect(self.connect)
            with self.connection.cursor() as self.cursor:
                while (number := next(self.done)) < self.transactions:
                    self.transaction()
                    self.on_transaction(number)
        except BaseException as error:
            self.failure = error
            raise

    def transaction(self) -> None:
        self.changes = []
        is_over = self.random.random() < 0.15
        try:
            for _ in range(self.random.choice((1, 1, 2, 3))):
                self.step()
        except pymysql.MySQLError as error:
            if error.args[0] not in DEADLOCK:
                raise
            self.counts[error.args[0]] += 1
            is_over = True
        number = self.journal.intent(self.changes)
        if is_over:
            self.connection.rollback()
            self.journal.rolled_back(number)
            self.counts["rolled back"] += 1
        else:
            self.connection.commit()
            self.journal.committed(number)
            self.counts["committed"] += 1

    def step(self) -> None:
        """One piece of work, now and then taken back to a savepoint."""
        works, weights = zip(*WORKS, strict=True)
        mark = len(self.changes)
        is_undone = self.random.random() < 0.08
        if is_undone:
            self.cursor.execute("SAVEPOINT before_it")
        try:
            self.random.choices(works, weights)[0](self)
        except pymysql.IntegrityError as error:
            # A refused statement leaves no trace; what came before it stays.
            self.counts[error.args[0]] += 1
        if is_undone:
            self.cursor.execute("ROLLBACK TO SAVEPOINT before_it")
            del self.changes[mark:]
            self.counts["savepoint"] += 1

    # Changes, which note what they did

    def read(self, table: str, key: Row) -> Row | None:
        """The newest version of a row, locked.

        Without the lock, REPEATABLE READ would show a row that an UPDATE has left as
        it is in its version of when the transaction began.
        """
        found = self.shop[table]
        where = " AND ".join(f"{name} = %s" for name in key)
        sql = f"{found.select} WHERE {where} FOR UPDATE"
        self.cursor.execute(sql, tuple(key.values()))
        values = self.cursor.fetchone()
        return values and found.row(values, self.session.offset)

    def insert(self, table: str, columns: Row, *, verb: str = "INSERT") -> int:
        """The new row's id, where it has one."""
        marks = ", ".join(["%s"] * len(columns))
        sql = f"{verb} INTO {table} ({', '.join(columns)}) VALUES ({marks})"
        self.cursor.execute(sql, tuple(columns.values()))
        new = self.cursor.lastrowid
        key = self.shop[table].key
        row = self.read(table, {name: columns.get(name, new) for name in key})
        self.note(table, None, row)
        if table == "film":
            self.note("film_text", None, self.read("film_text", {"film_id": new}))
        return new

    def update(self, table: str, key: Row, sets: Row) -> None:
        # Sakila's own triggers keep film_text like film.
        watched = [table, "film_text"] if table == "film" else [table]
        before = [self.read(name, key) for name in watched]
        assignments = ", ".join(f"{name} = %s" for name in sets)
        where = " AND ".join(f"{name} = %s" for name in key)
        sql = f"UPDATE {table} SET {assignments} WHERE {where}"
        self.cursor.execute(sql, (*sets.values(), *key.values()))
        moved = {name: sets.get(name, value) for name, value in key.items()}
        for name, old in zip(watched, before, strict=True):
            self.note(name, old, self.read(name, moved) if old else None)

    def delete(self, table: str, key: Row) -> None:
        watched = [table, "film_text"] if table == "film" else [table]
        before = [self.read(name, key) for name in watched]
        where = " AND ".join(f"{name} = %s" for name in key)
        self.cursor.execute(f"DELETE FROM {table} WHERE {where}", tuple(key.values()))
        for name, old in zip(watched, before, strict=True):
            self.note(name, old, None)

    def note(self, table: str, before: Row | None, after: Row | None) -> None:
        if before == after:
            return
        found = self.shop[table]
        keys = [row and found.key_of(row) for row in (before, after)]
        if keys[0] == keys[1] and keys[0]:
            change = Change(found.source, "update", keys[0], before, after)
            self.changes.append(change)
            return
        if before and keys[0]:
            change = Change(found.source, "delete", keys[0], before, None)
            self.changes.append(change)
        if after and keys[1]:
            change = Change(found.source, "insert", keys[1], None, after)
            self.changes.append(change)

    # What to write

    def pick(self, last: int) -> int:
        """An id; half of the time one of a few, so that writers meet."""
        few = min(last, 12)
        return self.random.randint(1, few if self.random.random() < 0.5 else last)

    def text(self, longest: int) -> str:
        words = self.random.choices(self.session.words, k=self.random.randint(1, 4))
        return " ".join([*words, str(next(self.numbers))])[:longest]

    def money(self) -> str:
        return f"{self.random.randint(0, 999_99) / 100:.2f}"

    def moment(self) -> datetime:
        return datetime(2026, 1, 1) + timedelta(seconds=self.random.randrange(10**7))

    # The work

    def rent(self) -> None:
        customer, staff = self.pick(599), self.random.randint(1, 2)
        rental = self.insert("rental", {
            "rental_date": self.moment(), "inventory_id": self.pick(4581),
            "customer_id": customer, "staff_id": staff,
        })  # fmt: skip
        self.insert("payment", {
            "customer_id": customer, "staff_id": staff, "rental_id": rental,
            "amount": self.money(), "payment_date": self.moment(),
        })  # fmt: skip

    def rent_what_is_not_there(self) -> None:
        self.insert("rental", {
            "rental_date": self.moment(), "inventory_id": 8_000_000,
            "customer_id": self.pick(599), "staff_id": 1,
        })  # fmt: skip

    def give_back(self) -> None:
        back = self.random.choice((None, self.moment()))
        self.update("rental", {"rental_id": self.pick(16049)}, {"return_date": back})

    def forget_a_rental(self) -> None:
        rental = self.pick(16049)
        # Locked first: nobody can add a payment that SET NULL would then change.
        if not self.read("rental", {"rental_id": rental}):
            return
        sql = "SELECT payment_id FROM payment WHERE rental_id = %s FOR UPDATE"
        self.cursor.execute(sql, (rental,))
        for (payment,) in self.cursor.fetchall():
            self.delete("payment", {"payment_id": payment})
        self.delete("rental", {"rental_id": rental})

    def correct_a_payment(self) -> None:
        self.update("payment", {"payment_id": self.pick(16049)}, {
            "amount": self.money(), "payment_date": self.moment(),
        })  # fmt: skip

    def add_a_customer(self) -> None:
        place = {
            "address": self.text(50), "district": self.text(20),
            "city_id": self.pick(600), "phone": self.text(20),
        }  # fmt: skip
        if any(name == "location" for name, _ in self.shop["address"].columns):
            x, y = self.random.random(), self.random.randint(-90, 90)
            self.cursor.execute("SELECT ST_GeomFromText(%s)", (f"POINT({x} {y})",))
            place["location"] = self.cursor.fetchone()[0]
        self.insert("customer", {
            "store_id": self.random.randint(1, 2), "first_name": self.text(45),
            "last_name": self.text(45), "email": self.random.choice((None, "a@b.c")),
            "address_id": self.insert("address", place), "create_date": self.moment(),
        })  # fmt: skip

    def change_a_customer(self) -> None:
        self.update("customer", {"customer_id": self.pick(599)}, {
            "email": self.random.choice((None, self.text(50))),
            "active": self.random.choice((0, 1, 2)), "last_name": self.text(45),
        })  # fmt: skip

    def drop_a_customer(self) -> None:
        # Nearly all have rentals: refused by a foreign key.
        self.delete("customer", {"customer_id": self.random.randint(1, 620)})

    def add_a_film(self) -> None:
        film = self.insert("film", {
            "title": self.text(255), "description": self.text(2000),
            "release_year": self.random.choice((None, 1901, 2026, 2155)),
            "language_id": self.random.randint(1, 6), "rental_rate": "0.99",
            "special_features": self.random.choice((None, "", "Trailers,Commentaries")),
        })  # fmt: skip
        self.insert("film_category", {"film_id": film, "category_id": self.pick(16)})
        self.insert("film_actor", {"film_id": film, "actor_id": self.pick(200)})
        if self.random.random() < 0.5:
            self.insert("inventory", {"film_id": film, "store_id": 1})

    def change_a_film(self) -> None:
        self.update("film", {"film_id": self.pick(1000)}, {
            "title": self.text(255), "description": self.text(2000),
            "rating": self.random.choice(("G", "NC-17", None)),
            "special_features": self.random.choice((None, "Deleted Scenes")),
            "replacement_cost": self.money(), "length": self.random.choice((None, 9)),
        })  # fmt: skip

    def reprice_a_film(self) -> None:
        # Sakila's trigger leaves film_text alone then.
        self.update("film", {"film_id": self.pick(1000)}, {"rental_rate": "2.50"})

    def drop_a_film(self) -> None:
        film = self.random.randint(990, 1100)
        for table, other in (
            ("film_category", "category_id"),
            ("film_actor", "actor_id"),
        ):
            sql = f"SELECT {other} FROM {table} WHERE film_id = %s FOR UPDATE"
            self.cursor.execute(sql, (film,))
            for (value,) in self.cursor.fetchall():
                self.delete(table, {"film_id": film, other: value})
        self.delete("film", {"film_id": film})

    def cast_an_actor(self) -> None:
        # Some are cast already, some do not exist.
        actor = self.random.randint(1, 210)
        self.insert("film_actor", {"actor_id": actor, "film_id": self.pick(1010)})

    def recast(self) -> None:
        """Change a primary key: a delete and an insert."""
        key = {"actor_id": self.pick(200), "film_id": self.pick(30)}
        self.update("film_actor", key, {"actor_id": self.pick(200)})

    def replace_a_category(self) -> None:
        """REPLACE of a row that is there: a delete and an insert as well."""
        key = {"film_id": self.pick(1000), "category_id": self.pick(16)}
        # Locked first: nobody can add the row between the look and the REPLACE.
        self.read("film", {"film_id": key["film_id"]})
        before = self.read("film_category", key)
        self.note("film_category", before, None)
        try:
            self.insert("film_category", key, verb="REPLACE")
        except pymysql.MySQLError:
            if before:
                self.changes.pop()
            raise

    def add_an_actor(self) -> None:
        names = {"first_name": self.text(45), "last_name": self.text(45)}
        actor = self.insert("actor", names)
        if self.random.random() < 0.5:
            self.update("actor", {"actor_id": actor}, {"last_name": self.text(45)})
        if self.random.random() < 0.3:
            self.delete("actor", {"actor_id": actor})

    def rename_an_actor(self) -> None:
        key = {"actor_id": self.pick(200)}
        name = self.random.choice((self.text(45), "SAME"))
        self.update("actor", key, {"first_name": name})

    def write_what_is_there(self) -> None:
        """An update that changes nothing: no event."""
        key = {"city_id": self.pick(600)}
        before = self.read("city", key)
        assert before
        sql = "UPDATE city SET city = city, country_id = country_id WHERE city_id = %s"
        self.cursor.execute(sql, tuple(key.values()))
        self.note("city", before, self.read("city", key))

    def rename_a_place(self) -> None:
        table, last = self.random.choice((("city", 600), ("country", 109)))
        self.update(table, {f"{table}_id": self.pick(last)}, {table: self.text(50)})

    def change_what_everybody_uses(self) -> None:
        table = self.random.choice(("category", "language"))
        self.update(table, {f"{table}_id": self.random.randint(1, 6)}, {
            "name": self.text(20).strip(),
        })  # fmt: skip

    def take_a_picture(self) -> None:
        self.update("staff", {"staff_id": self.random.randint(1, 2)}, {
            "picture": self.random.choice((None, b"", self.random.randbytes(300))),
            "password": self.text(40),
        })  # fmt: skip

    def move_a_store(self) -> None:
        self.update("store", {"store_id": self.random.randint(1, 2)}, {
            "address_id": self.random.randint(1, 20),
        })  # fmt: skip

    def promote_a_manager(self) -> None:
        # There are two, each manages one store: refused by a unique key.
        self.update("store", {"store_id": 1}, {"manager_staff_id": 2})


WORKS: tuple[tuple[Callable[[Writer], None], int], ...] = (
    (Writer.rent, 16),
    (Writer.rent_what_is_not_there, 3),
    (Writer.give_back, 12),
    (Writer.forget_a_rental, 5),
    (Writer.correct_a_payment, 12),
    (Writer.add_a_customer, 5),
    (Writer.change_a_customer, 10),
    (Writer.drop_a_customer, 3),
    (Writer.add_a_film, 4),
    (Writer.change_a_film, 8),
    (Writer.reprice_a_film, 4),
    (Writer.drop_a_film, 2),
    (Writer.cast_an_actor, 6),
    (Writer.recast, 4),
    (Writer.replace_a_category, 4),
    (Writer.add_an_actor, 5),
    (Writer.rename_an_actor, 8),
    (Writer.write_what_is_there, 3),
    (Writer.rename_a_place, 5),
    (Writer.change_what_everybody_uses, 2),
    (Writer.take_a_picture, 2),
    (Writer.move_a_store, 2),
    (Writer.promote_a_manager, 1),
)
