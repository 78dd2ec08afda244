"""A user with a database and an empty folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance.user import User

from evtrig.demo.server import ThrowawayServer


@pytest.fixture
def user(
    server: ThrowawayServer, schema: str, outbox: str, connect, tmp_path: Path
) -> Iterator[User]:
    cursor = connect().cursor()

    def execute(sql: str) -> tuple:
        cursor.execute(sql)
        return tuple(cursor.fetchall())

    execute("CREATE TABLE orders (id INT PRIMARY KEY, status VARCHAR(20))")
    execute("CREATE TABLE people (no INT PRIMARY KEY, `on` DATE, `a: b` TEXT)")
    execute("CREATE TABLE bare (id INT)")
    execute("CREATE TABLE old (id INT PRIMARY KEY) ENGINE = MyISAM")
    execute("CREATE VIEW totals AS SELECT COUNT(*) AS n FROM orders")
    user = User(server, schema, outbox, tmp_path, execute)
    yield user
    for process in user.running:
        process.kill()
        process.wait()
