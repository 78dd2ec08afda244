"""Scenarios: what an application does, and exactly the events that come of it.

Each file in tests/scenarios is SQL, one statement up to a `;` at the end of a line.
Lines that begin with `--!` direct it, those with `-->` are what must come of the
statement before:

    --! spec {emit: true}            keys for the top of the spec, before a capture
    --! capture {t: {images: key}}   tables of the spec; what stands above is not seen
    --! session b                    go on in session b; it begins in session a
    --! delimiter //                 statements end so from here on
    --!     …                        the directive of the line before goes on
    --> insert KEY BEFORE AFTER      an event, as JSON; of several tables: insert table
    --> event TYPE OPERATION KEY BEFORE AFTER
                                     one with a type of its own, of the first table or
                                     of the procedure emit; else: TYPE OPERATION table
    --> rows [[1, "a"]]              what the query gives
    --> error 1062                   the statement fails

An event may end in a further document, its context, and begin with `[name]`: those of
one name have the same transaction id, and no others have it. Without, there is none.
The events of the whole file are compared in order, so one too many fails too. A line
that begins with `--> mysql:` or `--> mariadb:` counts on that server only. `$schema`,
`$outbox` and `$user` stand for the names that the test has drawn and for USER().
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

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


class Event(NamedTuple):
    """A row of the outbox, without what no two runs have in common."""

    table: str
    type: str
    operation: str
    key: object
    before: object
    after: object
    context: object = None
    transaction: object = None


def steps(text: str) -> Iterator[Step]:
    delimiter, step = ";", Step()
    for line in text.splitlines():
        if line.startswith("-->"):
            step.results.append(line[3:].strip())
            continue
        if line.startswith("--!  "):
            step.directive += f" {line[3:].strip()}"
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
    sessions: dict[str, pymysql.cursors.Cursor] = {"a": connect().cursor()}
    sessions["a"].execute("SELECT USER()")
    names = {"$schema": schema, "$outbox": outbox, "$user": sessions["a"].fetchone()[0]}
    current, wanted, top, first = "a", [], {}, ""
    for step in steps(replaced((FOLDER / f"{name}.sql").read_text(), names)):
        if step.directive.startswith("capture "):
            tables = step.directive.removeprefix("capture ")
            first = next(iter(yaml.safe_load(tables)))
            install(server, schema, outbox, tables, **top)
        elif step.directive.startswith("spec "):
            top = yaml.safe_load(step.directive.removeprefix("spec "))
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
                wanted.append(event(result, first))
        # An error that the scenario does not mention.
        assert (step.statement, came.get("error")) == (step.statement, None)
    assert numbered(events(connect, outbox)) == numbered(wanted)


def install(
    server: ThrowawayServer,
    schema: str,
    outbox: str,
    tables: dict[str, object] | str,
    **top: object,
) -> None:
    """``tables`` as a spec has them, or in YAML; ``top`` is what stands above."""
    head = {"version": 1, "schema": schema, "outbox": outbox, "definer": "current_user"}
    text = json.dumps({**head, **top})[:-1]
    text += f', "tables": {tables if isinstance(tables, str) else json.dumps(tables)}}}'
    with Connection(Dsn.parse(server.dsn)) as connection:
        apply(connection, prepare(connection, parse(text, path="scenario")))


def replaced(text: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(name, value)
    return text


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


EVENT = re.compile(
    r"(?:\[(?P<transaction>\w+)\] )?"
    r"(?:event (?P<type>\S+) )?(?P<operation>\w+) (?:(?P<table>\w+) )?(?P<rest>\{.*)"
)


def event(line: str, first: str) -> Event:
    """What a line says; ``first`` is the table if it names none."""
    match = EVENT.fullmatch(line)
    assert match, line
    operation, rest = match["operation"], match["rest"]
    table = match["table"] or ("emit" if operation == "emit" else first)
    decoder, documents, end = json.JSONDecoder(), [], 0
    while end < len(rest):
        document, end = decoder.raw_decode(rest, end)
        end += len(rest[end:]) - len(rest[end:].lstrip())
        documents.append(document)
    key, before, after, *context = documents
    return Event(
        table,
        match["type"] or f"{table}.{operation}",
        operation,
        *(key, before, after),
        *(context or [None]),
        match["transaction"],
    )


def events(connect: Callable[..., pymysql.Connection], outbox: str) -> list[Event]:
    """Only what is committed; whatever the scenario left open is not."""
    cursor = connect().cursor()
    cursor.execute(
        "SELECT source, `type`, operation, `key`, `before`, `after`, context,"
        f" `transaction` FROM {outbox}.events ORDER BY id"
    )
    found = []
    for source, kind, operation, *documents, transaction in cursor.fetchall():
        schema, table = source.split(".")
        assert schema == (outbox if operation == "emit" else schema_of(outbox))
        # A line break would end the line of the event.
        assert not [text for text in documents if text and "\n" in text]
        values = [json.loads(text or "null") for text in documents]
        found.append(Event(table, kind, operation, *values, transaction))
    return found


def schema_of(outbox: str) -> str:
    return outbox.removesuffix("_outbox")


def numbered(found: Iterable[Event]) -> list[Event]:
    """With transactions numbered as they come, since their ids are drawn."""
    numbers: dict[object, object] = {None: None}
    return [
        one._replace(transaction=numbers.setdefault(one.transaction, len(numbers)))
        for one in found
    ]


def change(table: str, operation: str, *images: object) -> Event:
    return Event(table, f"{table}.{operation}", operation, *images)


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
        change("t", "insert", {"id": 1}, None, {"id": 1, "v": "one"}),
        change("t", "insert", {"id": 2}, None, {"id": 2, "v": "two"}),
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
            change("t", "insert", key, None, one),
            change("t", "update", key, one, two),
            change("t", "delete", key, two, None),
        ]
    assert events(connect, outbox) == wanted
