"""An outbox on a real server, without triggers: events are written by hand."""

from __future__ import annotations

import json

import pymysql
from tables import outbox_tables

from evtrig.demo.server import ThrowawayServer


class Box:
    """An outbox and its writers."""

    def __init__(
        self, server: ThrowawayServer, schema: str, connection: pymysql.Connection
    ) -> None:
        self.server, self.schema = server, schema
        self.dsn = server.dsn_of(schema)
        self.connection = connection
        self.events = f"{schema}.events"
        self.state = f"{schema}.event_polling_state"
        for statement in outbox_tables(schema, server.server):
            self.query(statement)

    def query(self, sql: str, *arguments: object) -> tuple[tuple[object, ...], ...]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, arguments or None)
            return tuple(cursor.fetchall())

    def insert(
        self, count: int = 1, *, key: str | None = None, keys: int = 50, pad: int = 0
    ) -> None:
        """Events of one key, or of many in turn; ``n`` counts within the call."""
        rows = []
        for n in range(count):
            after = {"n": n, "pad": "x" * pad}
            rows.append((json.dumps({"id": key or n % keys}), json.dumps(after)))
        with self.connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {self.events} (uid, type, source, operation,"
                " captured_at, `key`, `after`) VALUES (UUID_SHORT(), 'orders.insert',"
                " 'shop.orders', 'insert', UTC_TIMESTAMP(6), %s, %s)",
                rows,
            )

    def __len__(self) -> int:
        ((count,),) = self.query(f"SELECT COUNT(*) FROM {self.events}")
        assert isinstance(count, int)
        return count

    @property
    def holder(self) -> object:
        ((holder,),) = self.query(f"SELECT holder FROM {self.state}")
        return holder

    def expire(self) -> None:
        self.query(
            f"UPDATE {self.state} SET expires_at = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND"
        )
