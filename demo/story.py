"""The demo's first part: two writers, one thing at a time, so that it can be read."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ..database.connection import Connection
from ..errors import DatabaseError
from .arrivals import Arrivals
from .screen import Screen, wrapped
from .writer import LostLock, Writer

__all__ = ["CHECK_VIOLATED", "DUPLICATE_KEY", "Story"]

# dev.mysql.com/doc/mysql-errors and mariadb.com/kb "MariaDB Error Codes".
DUPLICATE_KEY = 1062
#: MySQL, MariaDB.
CHECK_VIOLATED = frozenset({3819, 4025})

#: Seconds in which the events of a transaction must come. It takes milliseconds.
PATIENCE = 10.0


class Silence(Exception):
    """An event has not come; the checker will say which."""


@dataclass
class Story:
    """Tells what ``a`` and ``b`` do, and what comes of it.

    ``a`` and ``b`` are different connections; ``observer`` is a third, which sees
    what is committed.
    """

    screen: Screen
    a: Writer
    b: Writer
    observer: Connection
    arrivals: Arrivals

    def tell(self) -> None:
        """Raises DatabaseError for what is not in the script."""
        self._shown = 0
        try:
            self._opening()
            self._order()
            self._change_of_mind()
            self._constraint()
            self._failed_statement()
            self._optimistic_lock()
            self._nothing_new()
            self._late_commit()
            self._refund()
        except Silence:
            self.screen.text("The relay is silent, so the story ends here.")
            for writer in (self.a, self.b):
                if writer.is_open:
                    writer.rollback()

    def _opening(self) -> None:
        self.a.begin()
        for name in ("ann", "bob"):
            self._register(self.a, name, f"{name}@example.com")
        for sku, price, stock in (
            ("lamp", "29.90", 40),
            ("mug", "8.50", 12),
            ("desk", "349.00", 25),
        ):
            self.a.insert("products", sku=sku, price=price, stock=stock)
        self._commit(self.a, "opens the shop: five rows in one transaction")

    def _order(self) -> None:
        self.a.begin()
        self._place(self.a, customer=1, sku="lamp", quantity=2)
        self._commit(self.a, "places order 1 for ann: two lamps")

    def _change_of_mind(self) -> None:
        self.b.begin()
        self._place(self.b, customer=2, sku="desk", quantity=1)
        self._roll_back(self.b, "places an order for bob, who changes his mind")

    def _constraint(self) -> None:
        self.b.begin()
        number = 0
        try:
            self._place(self.b, customer=2, sku="mug", quantity=50)
        except DatabaseError as error:
            if error.number not in CHECK_VIOLATED:
                raise
            number = error.number
        self._roll_back(
            self.b,
            "orders 50 mugs, of which 12 are there: CHECK (stock >= 0) violated, error"
            f" {number}",
        )

    def _failed_statement(self) -> None:
        self.a.begin()
        ann = self.a.read("customers", id=1, lock=True)
        self.a.update("customers", ann, name="Ann Lee")
        number = 0
        try:
            self._register(self.a, "bobby", "bob@example.com")
        except DatabaseError as error:
            if error.number != DUPLICATE_KEY:
                raise
            number = error.number
        self._commit(
            self.a,
            "renames ann; registering a taken e-mail fails (UNIQUE, error"
            f" {number}), the rest commits",
        )

    def _optimistic_lock(self) -> None:
        self.a.begin()
        self.b.begin()
        order = self.a.read("orders", id=1)
        same = self.b.read("orders", id=1)
        (line,) = self.b.find("order_lines", order_id=1)
        lamp = self.b.read("products", sku="lamp", lock=True)
        self.b.delete("order_lines", line)
        self.b.update("products", lamp, stock=lamp["stock"] + 2)
        self.a.update("orders", order, status="paid")
        self._commit(self.a, "pays order 1, which B has read a moment ago, too")
        self.screen.text("That event in full; a queue gets it in one line:")
        self.screen.verbatim(wrapped(self.arrivals.events[-1]))
        lost = False
        try:
            self.b.delete("orders", same)
        except LostLock:
            lost = True
        assert lost, "the version has changed since"
        self._roll_back(
            self.b,
            f"cancels order 1 WHERE version = {same['version']}: too late,"
            " the optimistic lock is lost",
        )

    def _nothing_new(self) -> None:
        self.b.begin()
        self.b.touch("products", self.b.read("products", sku="mug", lock=True))
        written = self._unpublished(self.b.connection)
        self._commit(self.b, "saves a form unchanged: an UPDATE to the same values")
        self.screen.no_event(f"nothing has changed; the outbox had {written}")

    def _late_commit(self) -> None:
        self.a.begin()
        lamp = self.a.read("products", sku="lamp", lock=True)
        self.a.update("products", lamp, price="31.90")
        self.screen.action(
            "A", "…", "changes the price of lamps, and does not commit yet"
        )
        self.b.begin()
        mug = self.b.read("products", sku="mug", lock=True)
        self.b.update("products", mug, price="8.90")
        self._commit(self.b, "changes the price of mugs meanwhile")
        self._commit(self.a, "is ready now")
        early, late = (event["sequence"] for event in self.arrivals.events[-2:])
        self.screen.text(
            f"{late} came after {early}: A wrote first and committed last. A reader"
            " that asks for what is above the last number it saw would have lost it. Of"
            " one row, the numbers are in commit order."
        )

    def _refund(self) -> None:
        self.b.begin()
        order = self.b.read("orders", id=1)
        for line in self.b.find("order_lines", order_id=1):
            product = self.b.read("products", sku=line["sku"], lock=True)
            self.b.delete("order_lines", line)
            stock = product["stock"] + line["quantity"]
            self.b.update("products", product, stock=stock)
        self.b.delete("orders", order)
        self._commit(self.b, "refunds order 1 and deletes it")

    def _register(self, writer: Writer, name: str, email: str) -> None:
        secret = {"password_hash": "never leaves the database"}
        writer.insert("customers", unseen=secret, email=email, name=name.title())

    def _place(self, writer: Writer, *, customer: int, sku: str, quantity: int) -> None:
        product = writer.read("products", sku=sku, lock=True)
        order = writer.insert(
            "orders",
            customer=customer,
            status="new",
            total=str(Decimal(product["price"]) * quantity),
            version=1,
        )
        writer.insert(
            "order_lines", order_id=order["id"], line=1, sku=sku, quantity=quantity
        )
        writer.update("products", product, stock=product["stock"] - quantity)

    def _commit(self, writer: Writer, title: str) -> None:
        """Commit, and show every event that comes of it when it comes."""
        due = self._shown + writer.commit()
        self.screen.action(writer.name, "COMMIT", title)
        while self._shown < due:
            if not self.arrivals.wait_for(self._shown + 1, PATIENCE):
                raise Silence
            self._show()

    def _roll_back(self, writer: Writer, title: str) -> None:
        """Roll back, and show what the outbox had and has of it."""
        before = self._unpublished(writer.connection)
        writer.rollback()
        after = self._unpublished(self.observer)
        self.screen.action(writer.name, "ROLLBACK", title)
        self.screen.no_event(
            f"the outbox had {before} before ROLLBACK, and {after} after"
        )
        # What came all the same would not be hidden.
        self._show()

    def _unpublished(self, connection: Connection) -> int:
        # Of those that came, the relay may be about to delete some.
        arrived = {event["sequence"] for event in self.arrivals.events}
        return len(self.a.shop.waiting(connection) - arrived)

    def _show(self) -> None:
        for event in self.arrivals.events[self._shown :]:
            self.screen.event(event)
            self._shown += 1
