"""What `plan`, `install` and `check` cost where there are many tables.

Prints a Markdown table for docs/benchmarks.md, on a server of its own for each product.
Queries are what the command sends, counted; seconds are those of one run, connection
and rendering included, without the start of Python.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from evtrig.database.connection import Connection, Row
from evtrig.database.dsn import Dsn
from evtrig.demo.mysqld import Mysqld, programs
from evtrig.demo.server import LocalServer
from evtrig.triggers.check import check
from evtrig.triggers.draft import choose, draft
from evtrig.triggers.install import apply, prepare
from evtrig.triggers.plan import Plan
from evtrig.triggers.spec import Spec, parse
from evtrig.triggers.table import introspect

TYPES = (
    *("BIGINT UNSIGNED", "VARCHAR(64)", "DECIMAL(10,2)", "DATETIME(6)", "TEXT"),
    *("INT", "ENUM('a','b')", "DOUBLE", "DATE", "TINYINT(1)"),
)


class Counting(Connection):
    """A connection that counts its statements."""

    sent = 0

    def execute(self, sql: str, arguments: Any = None) -> int:
        self.sent += 1
        return super().execute(sql, arguments)

    def rows(self, sql: str, arguments: Any = None) -> tuple[Row, ...]:
        self.sent += 1
        return super().rows(sql, arguments)


@contextlib.contextmanager
def shop(tables: int, columns: int, family: str) -> Iterator[Dsn]:
    """A server with a schema of so many tables."""
    program = next(p for p in programs()[0] if p.server.family == family)
    with LocalServer(Mysqld(program)) as server:
        dsn = Dsn.parse(server.dsn)
        with Connection(dsn) as connection:
            connection.execute("CREATE DATABASE shop")
            for n in range(tables):
                listed = ", ".join(
                    f"c{k} {TYPES[k % len(TYPES)]}" for k in range(1, columns)
                )
                connection.execute(
                    f"CREATE TABLE shop.t{n} (c0 BIGINT UNSIGNED PRIMARY KEY, {listed})"
                )
        yield dsn


def drafted(dsn: Dsn, *, exclude: bool) -> Spec:
    """What `evtrig init` writes, with a column of each table left out if so wished."""
    with Connection(dsn) as connection:
        found = choose(introspect(connection, ["shop"]), (), "shop")
        text = draft(found, "shop", connection.server)
    if exclude:
        text = text.replace("    key: [c0]\n", "    key: [c0]\n    exclude: [c7]\n")
    return parse(text, path="evtrig.yml")


def measured(dsn: Dsn, what: Callable[[Counting], object]) -> tuple[float, int, object]:
    """Seconds, statements, and what came of it."""
    begun = time.perf_counter()
    connection = Counting(dsn)
    with connection:
        result = what(connection)
    return time.perf_counter() - begun, connection.sent, result


def report(tables: int, columns: int, family: str) -> None:
    with shop(tables, columns, family) as dsn:
        spec, changed = (drafted(dsn, exclude=exclude) for exclude in (False, True))
        lines = []

        def plan(title: str, spec: Spec) -> Plan:
            seconds, sent, plan = measured(dsn, lambda c: prepare(c, spec))
            assert isinstance(plan, Plan)
            lines.append((title, seconds, sent, f"{len(plan.steps)} steps"))
            return plan

        def install(title: str, plan: Plan) -> None:
            seconds, sent, _ = measured(dsn, lambda c: apply(c, plan))
            each = f"{seconds / len(plan.steps) * 1000:.1f} ms a step"
            lines.append((title, seconds, sent, each))

        install("`install`", plan("`plan`, nothing installed", spec))
        plan("`plan`, nothing to change", spec)
        seconds, sent, findings = measured(dsn, lambda c: check(c, spec))
        assert isinstance(findings, tuple)
        lines.append(("`check`", seconds, sent, f"{len(findings)} findings"))
        everything = plan("`plan`, every table changed", changed)
        install("`install`, every table changed", everything)
    print(f"\n| {tables} tables of {columns} columns | seconds | statements | |")
    print("|---|---|---|---|")
    for title, seconds, sent, what in lines:
        print(f"| {title} | {seconds:.2f} | {sent} | {what} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", choices=["mysql", "mariadb"])
    parser.add_argument("--tables", type=int, default=500)
    parser.add_argument("--columns", type=int, default=20)
    given = parser.parse_args()
    for program in programs()[0]:
        if given.server in (None, program.server.family):
            print(f"\n{program.server}:")
            report(given.tables, given.columns, program.server.family)


if __name__ == "__main__":
    main()
