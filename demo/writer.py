"""A writer of the shop, as an application is one: reads, computes, writes, commits.

It knows nothing of evtrig. What it writes goes into the journal as the writer itself
computed it, so that events are compared with something that no trigger has touched.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..database.connection import Connection
from .journal import Change, Journal, Row
from .shop import TABLES, Shop, row_of

__all__ = ["LostLock", "Writer"]


class LostLock(Exception):
    """Somebody else has changed the row since it was read."""


@dataclass
class Writer:
    """One connection with one transaction at a time.

    The connection counts the rows that an UPDATE matched (``found_rows``).
    """

    name: str
    shop: Shop
    connection: Connection
    journal: Journal
    clock: Callable[[], float] = time.monotonic
    #: When COMMIT was sent, by id and version of the orders that it changed.
    sent: dict[tuple[int, int], float] = field(default_factory=dict)
    #: Whether there is a transaction.
    is_open: bool = False

    def begin(self) -> None:
        self._changes: list[Change] = []
        self.is_open = True
        self.connection.execute("BEGIN")

    def commit(self) -> int:
        """Commit; how many changes."""
        number = self.journal.intent(self._changes)
        sent = self.clock()
        self.connection.execute("COMMIT")
        self.is_open = False
        self.journal.committed(number)
        for change in self._changes:
            if change.after and "version" in change.after:
                self.sent[change.after["id"], change.after["version"]] = sent
        return len(self._changes)

    def rollback(self) -> int:
        """Roll back; how many changes are taken back."""
        number = self.journal.intent(self._changes)
        self.connection.execute("ROLLBACK")
        self.is_open = False
        self.journal.rolled_back(number)
        return len(self._changes)

    def read(self, table: str, *, lock: bool = False, **key: object) -> Row:
        """The row with this key. Raises LostLock if there is none any more."""
        rows = self.find(table, lock=lock, **key)
        if not rows:
            raise LostLock
        return rows[0]

    def find(self, table: str, *, lock: bool = False, **values: object) -> list[Row]:
        """The rows with these values, in the order of their keys."""
        shape = TABLES[table]
        query = f"SELECT {', '.join(shape.columns)} FROM {self._name(table)}"
        if values:
            query += f" WHERE {_equal(values)}"
        query += f" ORDER BY {', '.join(shape.key)}" + " FOR UPDATE" * lock
        rows = self.connection.rows(query, tuple(values.values()))
        return [row_of(shape, row) for row in rows]

    def insert(self, table: str, *, unseen: Row | None = None, **row: object) -> Row:
        """Insert a row; it, with the id that it was given.

        ``unseen`` are columns that no event carries.
        """
        values = {**row, **(unseen or {})}
        self.connection.execute(
            f"INSERT INTO {self._name(table)} ({', '.join(values)})"
            f" VALUES ({', '.join(['%s'] * len(values))})",
            tuple(values.values()),
        )
        shape = TABLES[table]
        if shape.key == ("id",):
            row["id"] = self.connection.last_insert_id
        after = {column: row[column] for column in shape.columns}
        self._record(table, "insert", None, after)
        return after

    def update(self, table: str, before: Row, **values: object) -> Row:
        """Write new values into a row that was read; the row then.

        An order must have the version that was read, and gets the next one; raises
        LostLock otherwise.
        """
        if "version" in before:
            values["version"] = before["version"] + 1
        matched = self.connection.execute(
            f"UPDATE {self._name(table)}"
            f" SET {', '.join(f'{column} = %s' for column in values)}"
            f" WHERE {_equal(_identity(table, before))}",
            (*values.values(), *_identity(table, before).values()),
        )
        if not matched:
            raise LostLock
        after = before | values
        if after != before:
            self._record(table, "update", before, after)
        return after

    def touch(self, table: str, row: Row) -> None:
        """An UPDATE that sets every column to the value that it has."""
        self.connection.execute(
            f"UPDATE {self._name(table)}"
            f" SET {', '.join(f'{column} = %s' for column in row)}"
            f" WHERE {_equal(_identity(table, row))}",
            (*row.values(), *_identity(table, row).values()),
        )

    def delete(self, table: str, before: Row) -> None:
        """Delete a row that was read. Raises LostLock as ``update`` does."""
        identity = _identity(table, before)
        if not self.connection.execute(
            f"DELETE FROM {self._name(table)} WHERE {_equal(identity)}",
            tuple(identity.values()),
        ):
            raise LostLock
        self._record(table, "delete", before, None)

    def _name(self, table: str) -> str:
        return f"{self.shop.schema}.{table}"

    def _record(
        self, table: str, operation: str, before: Row | None, after: Row | None
    ) -> None:
        row = after or before
        assert row
        key = {column: row[column] for column in TABLES[table].key}
        self._changes.append(Change(self._name(table), operation, key, before, after))


def _identity(table: str, row: Row) -> Row:
    columns = TABLES[table].key + (("version",) if "version" in row else ())
    return {column: row[column] for column in columns}


def _equal(values: Row) -> str:
    return " AND ".join(f"{column} = %s" for column in values)
