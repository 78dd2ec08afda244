"""The demo's second part: several writers at once, as fast as they can."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from decimal import Decimal

from ..database.connection import LOCK_WAIT_TIMEOUT
from ..errors import DatabaseError
from . import interrupt
from .story import CHECK_VIOLATED, DUPLICATE_KEY
from .writer import LostLock, Writer

__all__ = ["Load"]

#: So that two runs look alike; what happens at the same time is up to the server.
SEED = 1042

#: Seconds that a transaction stays open before it gives up: long enough for a relay
#: that read uncommitted events to be caught.
LINGER = 0.03

DEADLOCK = 1213
#: On MariaDB 11.6 and later, an optimistic lock lost shows so as well.
RECORD_CHANGED = 1020


class ChangedMind(Exception):
    """The transaction is rolled back though nothing has gone wrong."""


Work = Callable[[Writer, random.Random], None]


@dataclass
class Load:
    """Transactions of a shop, dealt out to the writers, a thread each."""

    writers: Sequence[Writer]
    transactions: int
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> Counter[str]:
        """Do all of them; how often each outcome: ``committed``, or why not.

        Raises DatabaseError for anything that a shop has no answer to.
        """
        with ThreadPoolExecutor(len(self.writers), "writer") as threads:
            try:
                runs = [
                    threads.submit(self._write, number)
                    for number in range(len(self.writers))
                ]
                while wait(runs, 0.2, FIRST_EXCEPTION).not_done:
                    if any(run.done() and run.exception() for run in runs):
                        break
                    interrupt.check()
                return sum((run.result() for run in runs), Counter())
            finally:
                # Interrupted, or one has failed: the others need not go on.
                self.stop.set()

    def _write(self, number: int) -> Counter[str]:
        dice = random.Random(SEED + number)
        outcomes: Counter[str] = Counter()
        kinds, weights = zip(*KINDS, strict=True)
        for _ in range(number, self.transactions, len(self.writers)):
            if self.stop.is_set():
                break
            work = dice.choices(kinds, weights)[0]
            outcomes[attempt(self.writers[number], work, dice)] += 1
        return outcomes


def attempt(writer: Writer, work: Work, dice: random.Random) -> str:
    """One transaction; how it ended."""
    writer.begin()
    try:
        work(writer, dice)
    except ChangedMind:
        outcome = "changed their mind"
    except LostLock:
        outcome = "lost an optimistic lock"
    except DatabaseError as error:
        outcome = reason(error.number)
        if not outcome:
            raise
    else:
        writer.commit()
        return "committed"
    writer.rollback()
    return outcome


def reason(number: int) -> str:
    """Why a shop's transaction may fail; empty for anything else."""
    if number in CHECK_VIOLATED:
        return "violated CHECK"
    if number == DUPLICATE_KEY:
        return "violated UNIQUE"
    if number == RECORD_CHANGED:
        return "lost an optimistic lock"
    if number == LOCK_WAIT_TIMEOUT:
        return "waited too long for a lock"
    return "in a deadlock" if number == DEADLOCK else ""


def place(writer: Writer, dice: random.Random) -> None:
    customer = dice.choice(writer.find("customers"))
    # Not in a fixed order: now and then two writers lock each other out.
    skus = dice.sample([row["sku"] for row in writer.find("products")], 2)
    products = [
        writer.read("products", sku=sku, lock=True)
        for sku in skus[: dice.randint(1, 2)]
    ]
    quantity = dice.choices((1, 2, 3, 100), (50, 30, 10, 10))[0]
    total = sum(Decimal(product["price"]) * quantity for product in products)
    order = writer.insert(
        "orders", customer=customer["id"], status="new", total=str(total), version=1
    )
    for line, product in enumerate(products, 1):
        writer.insert(
            "order_lines",
            order_id=order["id"],
            line=line,
            sku=product["sku"],
            quantity=quantity,
        )
        writer.update("products", product, stock=product["stock"] - quantity)


def advance(writer: Writer, dice: random.Random) -> None:
    order = an_order(writer, dice)
    # A person looks at it. The row is not locked meanwhile; that is the point.
    time.sleep(dice.uniform(0.001, 0.005))
    status = "paid" if order["status"] == "new" else "shipped"
    writer.update("orders", order, status=status)


def cancel(writer: Writer, dice: random.Random) -> None:
    order = an_order(writer, dice)
    for line in writer.find("order_lines", order_id=order["id"]):
        product = writer.read("products", sku=line["sku"], lock=True)
        writer.delete("order_lines", line)
        stock = product["stock"] + line["quantity"]
        writer.update("products", product, stock=stock)
    writer.delete("orders", order)


def give_up(writer: Writer, dice: random.Random) -> None:
    place(writer, dice)
    time.sleep(dice.uniform(LINGER, 2 * LINGER))
    raise ChangedMind


def restock(writer: Writer, dice: random.Random) -> None:
    rows = writer.find("products", lock=True)
    product = min(rows, key=lambda row: row["stock"])
    writer.update("products", product, stock=product["stock"] + 30)


def register(writer: Writer, dice: random.Random) -> None:
    name = f"customer{dice.randrange(10_000)}"
    # Now and then an e-mail that is taken.
    email = f"{'ann' if dice.random() < 0.3 else name}@example.com"
    secret = {"password_hash": "never leaves the database"}
    writer.insert("customers", unseen=secret, email=email, name=name)


def an_order(writer: Writer, dice: random.Random) -> dict[str, object]:
    """One of the newest few, so that the writers meet. Raises ChangedMind if none."""
    orders = writer.find("orders")
    if not orders:
        raise ChangedMind
    return dice.choice(orders[-6:])


#: What a shop does, and how often.
KINDS: tuple[tuple[Work, int], ...] = (
    (place, 45),
    (advance, 28),
    (cancel, 7),
    (give_up, 6),
    (restock, 6),
    (register, 8),
)
