"""A small shop: the tables that the demo captures, and the spec that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..database.connection import Connection
from .checker import key_text
from .journal import Row

__all__ = ["TABLES", "Shop", "ShopTable"]


@dataclass(frozen=True)
class ShopTable:
    """A table of the shop."""

    key: tuple[str, ...]
    #: Those that events carry, in the order of the table.
    columns: tuple[str, ...]
    #: What CREATE TABLE takes between its brackets.
    members: str


TABLES: Mapping[str, ShopTable] = {
    "customers": ShopTable(
        ("id",),
        ("id", "email", "name"),
        """
        id            INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        email         VARCHAR(100) NOT NULL,
        name          VARCHAR(100) NOT NULL,
        password_hash VARCHAR(100) NOT NULL,
        CONSTRAINT customers_email UNIQUE (email)
        """,
    ),
    "products": ShopTable(
        ("sku",),
        ("sku", "price", "stock"),
        """
        sku   VARCHAR(20)   NOT NULL PRIMARY KEY,
        price DECIMAL(8, 2) NOT NULL,
        stock INT           NOT NULL,
        CONSTRAINT products_stock CHECK (stock >= 0)
        """,
    ),
    "orders": ShopTable(
        ("id",),
        ("id", "customer", "status", "total", "version"),
        """
        id       BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        customer INT UNSIGNED    NOT NULL,
        status   ENUM('new', 'paid', 'shipped') NOT NULL,
        total    DECIMAL(10, 2)  NOT NULL,
        version  INT UNSIGNED    NOT NULL,
        FOREIGN KEY (customer) REFERENCES customers (id)
        """,
    ),
    "order_lines": ShopTable(
        ("order_id", "line"),
        ("order_id", "line", "sku", "quantity"),
        """
        order_id BIGINT UNSIGNED  NOT NULL,
        line     TINYINT UNSIGNED NOT NULL,
        sku      VARCHAR(20)      NOT NULL,
        quantity INT UNSIGNED     NOT NULL,
        PRIMARY KEY (order_id, line),
        FOREIGN KEY (order_id) REFERENCES orders (id),
        FOREIGN KEY (sku) REFERENCES products (sku)
        """,
    ),
}

SPEC = """\
version: 1
schema: {schema}
{account}tables:
  customers: {{exclude: [password_hash]}}
  products:
  orders:
  order_lines:
"""


@dataclass(frozen=True)
class Shop:
    """The shop's place on a server.

    ``suffix`` makes its names its own where the server holds the work of others.
    """

    suffix: str = ""

    @property
    def schema(self) -> str:
        return f"shop{self.suffix}"

    @property
    def outbox(self) -> str:
        return f"evtrig{self.suffix}"

    @property
    def spec(self) -> str:
        """The text of an ``evtrig.yml`` for the shop."""
        account = ""
        if self.suffix:
            account = f"outbox: {self.outbox}\ndefiner: {self.outbox}@localhost\n"
        return SPEC.format(schema=self.schema, account=account)

    def create(self, connection: Connection) -> None:
        """Create the schema and its tables, empty. Raises DatabaseError."""
        connection.execute(f"CREATE SCHEMA {self.schema} CHARACTER SET utf8mb4")
        for name, table in TABLES.items():
            connection.execute(f"CREATE TABLE {self.schema}.{name} ({table.members})")

    def drop(self, connection: Connection) -> None:
        """Drop all that the demo has made on a server that stays."""
        assert self.suffix, "without it, the names may be somebody else's"
        for schema in (self.schema, self.outbox):
            connection.execute(f"DROP SCHEMA IF EXISTS {schema}")
        connection.execute(f"DROP USER IF EXISTS {self.outbox}@localhost")

    def waiting(self, connection: Connection) -> set[int]:
        """The ids of the events that this connection sees in the outbox."""
        rows = connection.rows(f"SELECT id FROM {self.outbox}.events")
        return {row[0] for row in rows}

    def rows(self, connection: Connection) -> dict[str, dict[str, Row]]:
        """All rows by source and key, with values as they are in an event."""
        found = {}
        for name, table in TABLES.items():
            source = f"{self.schema}.{name}"
            query = f"SELECT {', '.join(table.columns)} FROM {source}"
            rows = [row_of(table, values) for values in connection.rows(query)]
            found[source] = {
                key_text({column: row[column] for column in table.key}): row
                for row in rows
            }
        return found


def row_of(table: ShopTable, values: tuple[object, ...]) -> Row:
    """A row as its event has it: DECIMAL as a string."""
    return {
        column: value if isinstance(value, int) else str(value)
        for column, value in zip(table.columns, values, strict=True)
    }
