"""Writers of a shop that go on whatever happens to their connections.

Every transaction also inserts a row into ``marks``: that it is there tells at the end
whether a COMMIT that nobody answered was carried out. The other tables stay small, so
that writers meet at the same rows after hours as well.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.checker import key_text
from evtrig.demo.journal import Change, Journal, Row, Transaction, read_journal
from evtrig.demo.load import LINGER, ChangedMind, attempt
from evtrig.demo.shop import Shop
from evtrig.demo.writer import Writer
from evtrig.errors import ConnectionLost

__all__ = ["MarkedShop", "Writers"]

SKUS = tuple(f"sku-{number}" for number in range(8))
CUSTOMERS = range(1, 9)
#: Orders from which on more are cancelled than placed.
MANY = 60
#: Seconds; a server that is silent is given up.
PATIENCE = 5
RECONNECT_DELAY = 0.1


@dataclass(frozen=True)
class MarkedShop(Shop):
    """The demo's shop with the table ``marks``, of which every row is captured too."""

    @property
    def spec(self) -> str:
        return f"{super().spec}  marks:\n"

    @property
    def marks(self) -> str:
        return f"{self.schema}.marks"

    def create(self, connection: Connection) -> None:
        super().create(connection)
        connection.execute(
            f"CREATE TABLE {self.marks} (writer INT NOT NULL, number INT NOT NULL,"
            " PRIMARY KEY (writer, number))"
        )
        for sku in SKUS:
            products = f"INSERT INTO {self.schema}.products VALUES (%s, 9.90, 500)"
            connection.execute(products, (sku,))
        for id_ in CUSTOMERS:
            connection.execute(
                f"INSERT INTO {self.schema}.customers VALUES (%s, %s, 'nobody', '')",
                (id_, f"{id_}@example.com"),
            )

    def rows(self, connection: Connection) -> dict[str, dict[str, Row]]:
        found = super().rows(connection)
        marks = connection.rows(f"SELECT writer, number FROM {self.marks}")
        rows = [{"writer": writer, "number": number} for writer, number in marks]
        return found | {self.marks: {key_text(row): row for row in rows}}

    def forget_marks(self, connection: Connection) -> None:
        """Between two runs: no trigger sees it."""
        connection.execute(f"TRUNCATE TABLE {self.marks}")


@dataclass
class MarkedWriter(Writer):
    number: int = 0
    count: int = 0

    def commit(self) -> int:
        self.count += 1
        assert isinstance(self.shop, MarkedShop)
        mark = {"writer": self.number, "number": self.count}
        self.connection.execute(
            f"INSERT INTO {self.shop.marks} VALUES (%s, %s)", tuple(mark.values())
        )
        self._changes.append(Change(self.shop.marks, "insert", mark, None, mark))
        changes = super().commit()
        # For the demo's latencies; in a long run it would only grow.
        self.sent.clear()
        return changes


class Writers:
    """Threads that write until they are stopped, each into a journal of its own.

    ``port`` is where they connect to, as root. ``rate`` is transactions a second of
    each. Leaving it stops them, and raises what has ended one of them: an error that
    an application has no answer to.
    """

    def __init__(
        self,
        shop: MarkedShop,
        dsn: Callable[[], Dsn],
        folder: Path,
        *,
        seed: object = 0,
        count: int = 3,
        rate: float = 30,
    ) -> None:
        self.paths = tuple(folder / f"journal-{number}" for number in range(count))
        self.outcomes: Counter[str] = Counter()
        self._shop, self._dsn, self._seed, self._rate = shop, dsn, seed, rate
        self._stop = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self._lock = threading.Lock()
        self._busy = 0
        self._failures: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"writer-{number}")
            for number in range(count)
        ]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
        assert not self._failures, self._failures

    def stop(self) -> None:
        self._stop.set()
        self._going.set()
        for thread in self._threads:
            thread.join()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Nobody is in a transaction, and nobody begins one."""
        self._going.clear()
        while self._busy and not self._failures:
            time.sleep(0.002)
        try:
            yield
        finally:
            self._going.set()

    def transactions(self, rows: Mapping[str, Mapping[str, Row]]) -> list[Transaction]:
        """What was written, with unknown outcomes settled by the rows at the end."""
        marks = rows[self._shop.marks]
        return [
            transaction
            if transaction.outcome != "unknown"
            else replace(transaction, outcome=self._outcome(transaction, marks))
            for transaction in read_journal(self.paths)
        ]

    def _outcome(self, transaction: Transaction, marks: Mapping[str, Row]) -> str:
        is_there = any(
            change.source == self._shop.marks and key_text(change.key) in marks
            for change in transaction.changes
        )
        return "committed" if is_there else "rolled back"

    def _run(self, number: int) -> None:
        try:
            with Journal(self.paths[number]) as journal:
                self._write(number, journal)
        except BaseException as error:
            self._failures.append(error)

    def _write(self, number: int, journal: Journal) -> None:
        dice = random.Random(f"{self._seed}/{number}")
        writer: MarkedWriter | None = None
        count = 0
        while not self._stop.is_set():
            self._going.wait()
            with self._lock:
                self._busy += 1
            try:
                if not self._going.is_set() or self._stop.is_set():
                    continue
                if writer is None:
                    connection = Connection(
                        self._dsn(),
                        found_rows=True,
                        settings={"innodb_lock_wait_timeout": 2},
                        connect_timeout=PATIENCE,
                        read_timeout=PATIENCE,
                    )
                    name = str(number)
                    writer = MarkedWriter(name, self._shop, connection, journal)
                    writer.number, writer.count = number, count
                outcome = attempt(writer, transaction, dice)
            except ConnectionLost:
                outcome = "lost the connection"
                if writer is not None:
                    writer.connection.close()
                    count, writer = writer.count, None
            finally:
                with self._lock:
                    self._busy -= 1
            with self._lock:
                self.outcomes[outcome] += 1
            lost = RECONNECT_DELAY * (writer is None)
            self._stop.wait(lost + dice.expovariate(self._rate))
        if writer is not None:
            writer.connection.close()


def transaction(writer: Writer, dice: random.Random) -> None:
    """Several changes; one in seven thinks better of it, some of those slowly."""
    kinds, weights = zip(*KINDS, strict=True)
    for work in dice.choices(kinds, weights, k=dice.randint(1, 3)):
        work(writer, dice)
    if dice.random() < 1 / 7:
        time.sleep(dice.uniform(0, 3 * LINGER))
        raise ChangedMind


def place(writer: Writer, dice: random.Random) -> None:
    if len(order_ids(writer)) > MANY:
        cancel(writer, dice)
        return
    # Not in a fixed order: now and then two writers lock each other out.
    skus = dice.sample(SKUS, dice.randint(1, 3))
    products = [writer.read("products", sku=sku, lock=True) for sku in skus]
    order = writer.insert(
        "orders",
        customer=dice.choice(CUSTOMERS),
        status="new",
        total=f"{dice.randrange(100_000)}.{dice.randrange(10)}0",
        version=1,
    )
    for line, product in enumerate(products, 1):
        quantity = dice.choices((1, 2, 3, 600), (50, 30, 15, 5))[0]
        writer.insert(
            "order_lines",
            order_id=order["id"],
            line=line,
            sku=product["sku"],
            quantity=quantity,
        )
        stock = product["stock"] - quantity
        # Below 0 the table's CHECK refuses it.
        more = 500 if 0 <= stock < 50 else 0
        writer.update("products", product, stock=stock + more)


def advance(writer: Writer, dice: random.Random) -> None:
    ids = order_ids(writer)
    if not ids:
        return
    order = writer.read("orders", id=dice.choice(ids[:10]))
    # A person looks at it. The row is not locked meanwhile; that is the point.
    time.sleep(dice.uniform(0, 0.004))
    status = dice.choice(("new", "paid", "shipped"))
    writer.update("orders", order, status=status)


def cancel(writer: Writer, dice: random.Random) -> None:
    ids = order_ids(writer)
    if not ids:
        return
    order = writer.read("orders", id=dice.choice(ids), lock=True)
    for line in writer.find("order_lines", order_id=order["id"]):
        writer.delete("order_lines", line)
    writer.delete("orders", order)


def rename(writer: Writer, dice: random.Random) -> None:
    customer = writer.read("customers", id=dice.choice(CUSTOMERS), lock=True)
    # The same few names: a row goes through the same change again and again.
    writer.update("customers", customer, name=dice.choice(("Ann", "Bob", "Zoë ☃")))


def touch(writer: Writer, dice: random.Random) -> None:
    product = writer.read("products", sku=dice.choice(SKUS), lock=True)
    writer.touch("products", product)


def order_ids(writer: Writer) -> list[int]:
    """The newest first."""
    orders = f"{writer.shop.schema}.orders"
    rows = writer.connection.rows(f"SELECT id FROM {orders} ORDER BY id DESC LIMIT 100")
    return [row[0] for row in rows]


KINDS: tuple[tuple[Callable[[Writer, random.Random], None], int], ...] = (
    (place, 30),
    (advance, 35),
    (cancel, 25),
    (rename, 25),
    (touch, 5),
)
