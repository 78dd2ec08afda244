"""Golden SQL is what a server takes: applied as a script, on the server it is for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import golden
from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.server import ThrowawayServer
from evtrig.triggers.folder import INDEX, listed
from evtrig.triggers.install import prepare
from evtrig.triggers.spec import Spec, parse
from evtrig.triggers.sql import ident, literal, qualified
from evtrig.triggers.table_spec import TableSpec
from evtrig.triggers.trigger import TriggerName

Run = Callable[[Dsn, str], None]

#: What is done where the spec says which changes are recorded, and what comes of it.
WRITES = {
    "domain": (
        (
            "INSERT INTO orders VALUES (1, 'new', 9.9, NULL)",
            "UPDATE orders SET status = 'paid'",
            "UPDATE orders SET internal_note = 'rings twice'",
            "UPDATE orders SET total = total",
            "DELETE FROM orders",
        ),
        ["OrderPlaced", "OrderPaid", "OrderChanged", "OrderChanged"],
    ),
    "meaning": (
        (
            "INSERT INTO orders (id, status) VALUES (1, 'new')",
            "UPDATE orders SET email = 'a@b', internal_note = 'rings twice'",
            "UPDATE orders SET status = 'paid', internal_note = NULL",
            "UPDATE orders SET password = 'x'",
            "UPDATE orders SET status = 'shipped', internal_note = ''",
            "UPDATE orders SET internal_note = NULL",
            "DELETE FROM orders",
            "INSERT INTO customers VALUES (1, 'somebody')",
            "UPDATE customers SET email = 'a@b'",
            "DELETE FROM customers",
            "CALL evtrig.emit('Counted', '{}', '7')",
            "SET @evtrig_off = 'nightly-import'",
            "INSERT INTO customers VALUES (1, 'a@b')",
            "SET @evtrig_off = NULL",
        ),
        [
            *("NoteWritten", "orders.update", "orders.update"),
            *("orders.update", "OrderShipped", "NoteWritten"),
            *("orders.delete", "OrderForgotten"),
            *("customers.update", "customers.delete", "Counted", "customers.gap"),
        ],
    ),
}

PIECE = re.compile(
    r"""
      (?P<whole> '(?:[^'\\]|''|\\.)*' | `(?:[^`]|``)*` | "(?:[^"\\]|""|\\.)*"
        | --[ ][^\n]* )
    | ^DELIMITER[ ](?P<delimiter>\S+)$
    | (?P<end> ; | \$\$ )
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)


def statements(script: str) -> Iterator[str]:
    """Split like the `mysql` client does."""
    delimiter, begin = ";", 0
    for piece in PIECE.finditer(script):
        if piece["delimiter"]:
            delimiter, begin = piece["delimiter"], piece.end()
        elif piece["end"] == delimiter:
            yield script[begin : piece.start()].strip()
            begin = piece.end()
    assert not script[begin:].strip()


def with_the_driver(dsn: Dsn, script: str) -> None:
    with Connection(dsn) as connection:
        for statement in statements(script):
            connection.execute(statement)


def with_the_client(dsn: Dsn, script: str) -> None:
    """What people do who do not run `evtrig install`; it drops the comments."""
    place = [f"--host={dsn.host}", f"--port={dsn.port}", "--protocol=tcp"]
    if dsn.unix_socket:
        place = [f"--socket={dsn.unix_socket}"]
    done = subprocess.run(
        ["mysql", "--no-defaults", *place, f"--user={dsn.user}"],
        input=script.encode(),
        capture_output=True,
        env={**os.environ, "MYSQL_PWD": dsn.password},
        check=False,
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")


RUNS = [with_the_driver, *[with_the_client] * bool(shutil.which("mysql"))]


def cases(server: ThrowawayServer) -> list[str]:
    names = golden.names(server.name)
    if server.name == "mysql" and server.server.version < (9,):
        names.remove("vector")
    return names


@pytest.fixture
def drop(server: ThrowawayServer) -> Iterator[list[str]]:
    """Statements that are run after the test, in this order."""
    drops: list[str] = []
    yield drops
    with Connection(Dsn.parse(server.dsn)) as connection:
        for statement in drops:
            connection.execute(statement)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.__name__)
def test_what_generate_prints_can_be_applied_and_install_finds_all_there(
    run: Run, server: ThrowawayServer, schema: str, drop: list[str]
) -> None:
    dsn = Dsn.parse(server.dsn)
    for number, name in enumerate(cases(server)):
        text = golden.spec_text(server.name, name)
        script = golden.golden(server.name, name).read_text()
        text, script = moved(text, script, f"{schema}{number}", drop)
        spec = parse(text, path=f"{name}.yml")
        with Connection(dsn) as connection:
            create_tables(connection, spec)
            run(dsn, script)
            left = [step.title for step in prepare(connection, spec).steps]
            assert (name, left) == (name, [])
            write(connection, name, spec)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.__name__)
def test_each_file_of_a_folder_can_be_applied_and_install_finds_all_there(
    run: Run, server: ThrowawayServer, schema: str, drop: list[str], tmp_path: Path
) -> None:
    dsn = Dsn.parse(server.dsn)
    for number, name in enumerate(cases(server)):
        text = golden.spec_text(server.name, name)
        text, _ = moved(text, "", f"{schema}{number}", drop)
        spec = parse(text, path=f"{name}.yml")
        folder = tmp_path / name
        golden.generate(text, "--output", str(folder))
        shared, *tables = listed((folder / INDEX).read_text())
        with Connection(dsn) as connection:
            create_tables(connection, spec)
            # Each in a session of its own, and in any order but for the first.
            for path in (shared, *reversed(tables)):
                run(dsn, (folder / path).read_bytes().decode())
            left = [step.title for step in prepare(connection, spec).steps]
            assert (name, left) == (name, [])
            write(connection, name, spec)


def moved(text: str, script: str, prefix: str, drop: list[str]) -> tuple[str, str]:
    """Spec and SQL with schemas and an account of this test's own."""
    spec = parse(text, path="evtrig.yml")
    schema, outbox = spec.tables[0].schema, spec.outbox
    new_schema, new_outbox = f"{prefix} {schema}", f"{prefix} {outbox}"
    drop += [f"DROP SCHEMA IF EXISTS {ident(s)}" for s in (new_schema, new_outbox)]
    for table in spec.tables:
        old, new = (
            TriggerName.of(s, table.name, "insert").table for s in (schema, new_schema)
        )
        script = script.replace(f"evtrig_{old}_", f"evtrig_{new}_")
        script = script.replace(
            literal(f"{schema}.{table.name}"), literal(f"{new_schema}.{table.name}")
        )
    script = script.replace(literal(f"{outbox}.emit"), literal(f"{new_outbox}.emit"))
    for old, new in ((schema, new_schema), (outbox, new_outbox)):
        script = script.replace(ident(old), ident(new))
    owner = "current_user"
    if spec.definer:
        owner = f"{prefix}_d@localhost"
        script = script.replace("`evtrig_definer`@", f"`{prefix}_d`@")
        drop.append(f"DROP USER IF EXISTS `{prefix}_d`@localhost")
    lines = [f"definer: {owner}", f"schema: {quoted(new_schema)}"]
    lines.append(f"outbox: {quoted(new_outbox)}")
    kept = re.sub(r"^(schema|outbox|definer):.*\n", "", text, flags=re.MULTILINE)
    return kept + "\n".join(lines) + "\n", script


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def create_tables(connection: Connection, spec: Spec) -> None:
    connection.execute("SET SESSION sql_mode = ''")
    connection.execute(
        f"CREATE DATABASE {ident(spec.tables[0].schema)} CHARACTER SET utf8mb4"
    )
    for table in spec.tables:
        columns = [f"{ident(column.name)} {column.type}" for column in table.columns]
        keys = ", ".join(ident(name) for name in table.key)
        connection.execute(
            f"CREATE TABLE {qualified(table.schema, table.name)}"
            f" ({', '.join(columns)}, PRIMARY KEY ({keys}))"
        )


def write(connection: Connection, name: str, spec: Spec) -> None:
    """Each operation once, in each table; empty values where there is no default."""
    if name in WRITES:
        statements, expected = WRITES[name]
        connection.execute(f"USE {ident(spec.tables[0].schema)}")
        for statement in statements:
            outbox = str(ident(spec.outbox))
            connection.execute(statement.replace("evtrig.", f"{outbox}."))
    else:
        expected = [
            kind for table in spec.tables for kind in changed(connection, table)
        ]
    rows = connection.rows(
        f"SELECT type, source FROM {qualified(spec.outbox, 'events')} ORDER BY id"
    )
    assert (name, [row[0] for row in rows]) == (name, expected)
    sources = {f"{table.schema}.{table.name}" for table in spec.tables}
    assert {row[1] for row in rows} - {f"{spec.outbox}.emit"} == sources


def changed(connection: Connection, table: TableSpec) -> list[str]:
    """Change the table in every way: the types of the events that must come of it."""
    name = qualified(table.schema, table.name)
    connection.execute(f"INSERT INTO {name} () VALUES ()")
    key = ident(table.key[0])
    kind = next(c.type for c in table.columns if c.name == table.key[0])
    new = "UUID()" if kind == "uuid" else "7"
    connection.execute(f"UPDATE {name} SET {key} = {new}")
    connection.execute(f"DELETE FROM {name}")
    operations = {
        "insert": ["insert"],
        # Of the key: the row goes and comes.
        "update": ["delete", "insert"],
        "delete": ["delete"],
    }
    return [
        f"{table.name}.{done}"
        for operation in table.operations
        for done in operations[operation]
    ]
