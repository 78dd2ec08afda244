"""Scenarios: what an application does, and exactly the events that come of it.

Each file in tests/scenarios is SQL, one statement up to a `;` at the end of a line.
Lines that begin with `--!` direct it, those with `-->` are what must come of the
statement before:

    --! capture {t: {images: key}}   tables of the spec; what stands above is not seen
    --! session b                    go on in session b; it begins in session a
    --! delimiter //                 statements end so from here on
    --> insert KEY BEFORE AFTER      an event, as JSON; of several tables: insert table
    --> rows [[1, "a"]]              what the query gives
    --> error 1062                   the statement fails

The events of the whole file are compared in order, so one too many fails too. A line
that begins with `--> mysql:` or `--> mariadb:` counts on that server only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pymysql
import pytest
import yaml

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.server import ThrowawayServer
from evtrig.triggers.install import apply, prepare
from evtrig.triggers.spec import parse
from evtrig.triggers.trigger import OPERATIONS, TriggerName

FOLDER = Path(__file__).parents[1] / "scenarios"
SCENARIOS = sorted(path.stem for path in FOLDER.glob("*.sql"))


@dataclass
class Step:
    """A directive or a statement, and what must come of it."""

    directive: str = ""
    statement: str = ""
    results: list[str] = field(default_factory=list)


def steps(text: str) -> Iterator[Step]:
    delimiter, step = ";", Step()
    for line in text.splitlines():
        if line.startswith("-->"):
            step.results.append(line[3:].strip())
            continue
        if (step.directive or step.statement.endswith(delimiter)) and line.strip():
            yield cut(step, delimiter)
            if step.directive.startswith("delimiter "):
                delimiter = step.directive.split()[1]
            step = Step()
        if line.startswith("--!"):
            step.directive = line[3:].strip()
        elif line.strip() and not line.startswith("-- "):
            step.statement += f"\n{line}".rstrip() if step.statement else line
    yield cut(step, delimiter)


def cut(step: Step, delimiter: str) -> Step:
    step.statement = step.statement.removesuffix(delimiter)
    return step


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_makes_exactly_its_events(
    name: str, server: ThrowawayServer, schema: str, outbox: str, connect
) -> None:
    sessions: dict[str, pymysql.cursors.Cursor] = {}
    current, wanted, captured = "a", [], {}
    for step in steps((FOLDER / f"{name}.sql").read_text()):
        if step.directive.startswith("capture "):
            captured = yaml.safe_load(step.directive.removeprefix("capture "))
            install(server, schema, outbox, captured)
        elif step.directive.startswith("session "):
            current = step.directive.split()[1]
        elif step.directive:
            assert step.directive.startswith("delimiter "), step.directive
        if not step.statement:
            assert step.results == [], f"nothing before --> {step.results[0]}"
            continue
        if current not in sessions:
            sessions[current] = connect().cursor()
        results = [only(server.name, result) for result in step.results]
        error = run(sessions[current], step.statement)
        rows = [list(row) for row in sessions[current].fetchall()] if not error else []
        came = {"error": error, "rows": rows}
        for result in filter(None, results):
            kind, rest = result.split(maxsplit=1)
            if kind == "error":
                assert (step.statement, came.pop("error")) == (
                    step.statement,
                    int(rest),
                )
            elif kind == "rows":
                assert (step.statement, rows) == (step.statement, json.loads(rest))
            else:
                wanted.append(event(kind, rest, captured))
        # An error that the scenario does not mention.
        assert (step.statement, came.get("error")) == (step.statement, None)
    assert events(connect, outbox) == wanted


def install(
    server: ThrowawayServer, schema: str, outbox: str, tables: dict[str, object]
) -> None:
    head = {"version": 1, "schema": schema, "outbox": outbox, "definer": "current_user"}
    text = json.dumps({**head, "tables": tables})
    with Connection(Dsn.parse(server.dsn)) as connection:
        apply(connection, prepare(connection, parse(text, path="scenario")))


def only(family: str, result: str) -> str:
    """The result if it is meant for this server, else nothing."""
    match = re.match("(mysql|mariadb): ", result)
    if match is None:
        return result
    return result[match.end() :] if match[1] == family else ""


def run(cursor: pymysql.cursors.Cursor, statement: str) -> int | None:
    """The number of the error, None if there is none."""
    try:
        cursor.execute(statement)
    except pymysql.MySQLError as error:
        return error.args[0]
    return None


def event(kind: str, rest: str, captured: dict[str, object]) -> tuple[object, ...]:
    table = next(iter(captured))
    if not rest.startswith("{"):
        table, rest = rest.split(maxsplit=1)
    decoder, documents, end = json.JSONDecoder(), [], 0
    while end < len(rest):
        document, end = decoder.raw_decode(rest, end)
        end += len(rest[end:]) - len(rest[end:].lstrip())
        documents.append(document)
    return (table, kind, *documents)


def events(
    connect: Callable[..., pymysql.Connection], outbox: str
) -> list[tuple[object, ...]]:
    """Only what is committed; whatever the scenario left open is not."""
    cursor = connect().cursor()
    cursor.execute(
        "SELECT source, operation, `key`, `before`, `after`, `type`"
        f" FROM {outbox}.events ORDER BY id"
    )
    found = []
    for source, operation, *images, kind in cursor.fetchall():
        table = source.split(".")[1]
        assert kind == f"{table}.{operation}"
        found.append((table, operation, *(json.loads(i or "null") for i in images)))
    return found


def test_a_file_that_is_loaded_makes_an_event_a_row(
    server: ThrowawayServer, schema: str, outbox: str, connect, tmp_path: Path
) -> None:
    path = tmp_path / "rows.txt"
    path.write_text("1\tone\n2\ttwo\n1\tagain\n")
    cursor = connect(local_infile=True).cursor()
    cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9))")
    install(server, schema, outbox, {"t": {}})
    cursor.execute("SELECT @@GLOBAL.local_infile")
    (before,) = cursor.fetchone()
    try:
        cursor.execute("SET GLOBAL local_infile = 1")
        # A duplicate is passed over, as always with LOCAL.
        cursor.execute(f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE t")
    finally:
        cursor.execute("SET GLOBAL local_infile = %s", (before,))
    assert events(connect, outbox) == [
        ("t", "insert", {"id": 1}, None, {"id": 1, "v": "one"}),
        ("t", "insert", {"id": 2}, None, {"id": 2, "v": "two"}),
    ]


ODD = ["0", "1", "1e308", "''", "'1'", "x'ff00'", "_utf16 x'd83cdf63'", "_latin1 x'e9'"]
ODD += ["_binary x'c328'", "NOW(6)", "REPEAT('x', 70000)", "CAST('{}' AS CHAR)", "NULL"]


@pytest.mark.parametrize("generation", [1, 2])
def test_a_session_that_sets_the_marks_loses_no_event(
    generation: int, server: ThrowawayServer, schema: str, outbox: str, connect
) -> None:
    """With them one generation of a trigger tells another that it was there."""
    cursor = connect().cursor()
    cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    install(server, schema, outbox, {"t": {}})
    names = [TriggerName.of(schema, "t", op, generation) for op in OPERATIONS]
    wanted = []
    for number, value in enumerate(ODD):
        cursor.execute("SET " + ", ".join(f"@{name} = {value}" for name in names))
        key, one, two = {"id": number}, {"id": number, "v": 1}, {"id": number, "v": 2}
        cursor.execute("INSERT INTO t VALUES (%s, 1)", (number,))
        cursor.execute("UPDATE t SET v = 2 WHERE id = %s", (number,))
        cursor.execute("DELETE FROM t WHERE id = %s", (number,))
        wanted += [
            ("t", "insert", key, None, one),
            ("t", "update", key, one, two),
            ("t", "delete", key, two, None),
        ]
    assert events(connect, outbox) == wanted
