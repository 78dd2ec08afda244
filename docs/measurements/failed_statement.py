"""Whom a failed statement holds up: python failed_statement.py HOST PORT USER PASSWORD

Two tables whose triggers write to one outbox. Session A's multi-row INSERT fails at its
second row, and A's transaction stays open; session B writes to the other table.
Makes and drops a schema of its own.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import pymysql

SCHEMA = "evtrig_failed_statement"
SETUP = f"""\
DROP DATABASE IF EXISTS {SCHEMA}
CREATE DATABASE {SCHEMA}
CREATE TABLE {SCHEMA}.a (id INT PRIMARY KEY)
CREATE TABLE {SCHEMA}.b (id INT PRIMARY KEY)
CREATE TABLE {SCHEMA}.events (id BIGINT AUTO_INCREMENT PRIMARY KEY, v INT)
CREATE TRIGGER {SCHEMA}.a_ AFTER INSERT ON {SCHEMA}.a FOR EACH ROW \
INSERT INTO {SCHEMA}.events SET v = NEW.id
CREATE TRIGGER {SCHEMA}.b_ AFTER INSERT ON {SCHEMA}.b FOR EACH ROW \
INSERT INTO {SCHEMA}.events SET v = NEW.id
INSERT INTO {SCHEMA}.a VALUES (1)
"""


def run(cursor: Any, statement: str) -> str:
    try:
        cursor.execute(statement)
    except pymysql.MySQLError as error:
        return f"error {error.args[0]}"
    return "done"


def main(host: str, port: str, user: str, password: str) -> None:
    sessions = [
        pymysql.connect(
            host=host, port=int(port), user=user, password=password, autocommit=True
        )
        for _ in "AB"
    ]
    one, other = (session.cursor() for session in sessions)
    run(other, "SET SESSION innodb_lock_wait_timeout = 2")
    for level in ("REPEATABLE READ", "READ COMMITTED"):
        for cursor in (one, other):
            run(cursor, f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
        for statement in SETUP.splitlines():
            run(one, statement)
        run(one, "BEGIN")
        failed = run(one, f"INSERT INTO {SCHEMA}.a VALUES (2), (1)")
        begun = time.monotonic()
        result = run(other, f"INSERT INTO {SCHEMA}.b VALUES (1)")
        seconds = time.monotonic() - begun
        print(f"{level}: A {failed}; B {result} after {seconds:.2f} s")
        run(one, "ROLLBACK")
    run(one, f"DROP DATABASE {SCHEMA}")


if __name__ == "__main__":
    main(*sys.argv[1:])
