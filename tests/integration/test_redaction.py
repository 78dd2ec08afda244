"""Where clear text of a redacted column is: in its own table, and nowhere else.

The binary log has the row's own events, as it has without evtrig, and no more.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pymysql
import pytest

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.server import LocalServer, ThrowawayServer
from evtrig.triggers.install import apply, prepare
from evtrig.triggers.spec import parse

#: A column for each kind; `code` is in the key.
REDACT = {
    "code": "hash",
    "omitted": "omit",
    "nothing": '"null"',
    "card": "last4",
    "hashed": "hash",
    "cut": "{truncate: 3}",
}

COLUMNS = ", ".join(f"{name} VARCHAR(60)" for name in REDACT)

TABLE = f"id INT, {COLUMNS}, n INT, PRIMARY KEY (id, code)"

EVENTS = """
      - type: Seen
        on: [insert, update]
        data: {code: NEW.code, omitted: NEW.hashed, card: NEW.card, cut: NEW.cut}
      - type: Gone
        on: delete
        when: OLD.hashed IS NOT NULL
        data: {card: OLD.card}
"""


def install(dsn: str, text: str) -> None:
    with Connection(Dsn.parse(dsn)) as connection:
        apply(connection, prepare(connection, parse(text, path="evtrig.yml")))


def canary() -> str:
    """Its first three and last four characters may be shown."""
    return f"abc{secrets.token_hex(16)}wxyz"


def clear(value: str) -> bytes:
    """The part of a canary that nobody may see."""
    return value[3:-4].encode()


def statements(
    table: str, canaries: dict[str, str], later: dict[str, str]
) -> list[str]:
    """Everything that happens to a row, some of which fails."""
    names = ", ".join(canaries)
    values = ", ".join(f"'{value}'" for value in canaries.values())
    others = ", ".join(f"'{value}'" for value in later.values())
    return [
        f"INSERT INTO {table} (id, n, {names}) VALUES (1, 0, {values})",
        f"INSERT INTO {table} (id, n, {names}) VALUES (2, 0, {others})",
        f"INSERT INTO {table} (id, n, {names}) VALUES (2, 0, {others})",
        f"UPDATE {table} SET n = n + 1",
        *(
            f"UPDATE {table} SET {name} = '{value}' WHERE id = 1"
            for name, value in later.items()
        ),
        f"UPDATE {table} SET id = 2 WHERE id = 1",
        f"UPDATE {table} SET n = '{later['hashed']}' WHERE id = 1",
        f"REPLACE INTO {table} (id, n, {names}) VALUES (2, 7, {others})",
        "START TRANSACTION",
        f"UPDATE {table} SET card = '{canaries['hashed']}'",
        "SAVEPOINT one",
        f"DELETE FROM {table} WHERE hashed = '{later['hashed']}'",
        "ROLLBACK TO SAVEPOINT one",
        f"UPDATE IGNORE {table} SET id = 2 WHERE id = 1",
        "COMMIT",
        'SET @evtrig_context = \'{"actor": "alice"}\'',
        "SET @evtrig_off = 'nightly-import'",
        f"UPDATE {table} SET omitted = '{canaries['cut']}'",
        "SET @evtrig_off = NULL",
        f"DELETE FROM {table} WHERE id = 2",
    ]


def played(cursor: pymysql.cursors.Cursor, table: str, script: list[str]) -> list[str]:
    """Run it; the messages of what fails, with the table's name left out."""
    messages = []
    for statement in script:
        try:
            cursor.execute(statement)
        except pymysql.MySQLError as error:
            messages.append(str(error).replace(table, "TABLE"))
    return messages


def logged(
    cursor: pymysql.cursors.Cursor, folder: Path, play
) -> tuple[list[str], bytes]:
    """What ``play`` returns, and the binary log that it has made."""
    cursor.execute("FLUSH BINARY LOGS")
    before = set(folder.glob("binlog.[0-9]*"))
    newest = max(before)
    result = play()
    cursor.execute("FLUSH BINARY LOGS")
    return result, newest.read_bytes()


def everything(cursor: pymysql.cursors.Cursor, schema: str) -> bytes:
    """Every column of every table of a schema."""
    cursor.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s",
        (schema,),
    )
    found = []
    for (table,) in cursor.fetchall():
        cursor.execute(f"SELECT * FROM `{schema}`.`{table}`")
        found.append(str(cursor.fetchall()))
    return "\n".join(found).encode()


def relayed(dsn: str, outbox: str, path: Path) -> bytes:
    """What a relay writes: events, results and log."""
    ended = subprocess.run(
        [
            Path(sys.executable).with_name("evtrig"),
            *("relay", "--drain", "--outbox", outbox, "--sink", f"file:{path}"),
        ],
        env={"PATH": os.environ["PATH"], "EVTRIG_DSN": dsn},
        capture_output=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout + ended.stderr


def looked_after(
    dsn: str, cursor: pymysql.cursors.Cursor
) -> tuple[bytes, bytes, bytes]:
    """Every event put aside and back: the table, what is shown of it if contents are
    asked for, and what is otherwise."""
    cursor.execute(
        "INSERT INTO evtrig.dead_letters SELECT e.*, TRUE, 'refused', 1, NULL, NULL,"
        " NULL, UTC_TIMESTAMP(6) FROM evtrig.events AS e"
    )
    cursor.execute("DELETE FROM evtrig.events")
    table = everything(cursor, "evtrig")
    commands = (["export"], ["list"], ["list", "--json"], ["retry", "--all"])
    said = []
    for command in commands:
        ended = subprocess.run(
            [Path(sys.executable).with_name("evtrig"), "dead-letters", *command],
            env={"PATH": os.environ["PATH"], "EVTRIG_DSN": dsn},
            capture_output=True,
            timeout=60,
        )
        assert ended.returncode == 0, ended.stderr
        said.append(ended.stdout + ended.stderr)
    return table, said[0], b"".join(said[1:])


@pytest.mark.parametrize("redacted", [True, False])
def test_clear_text_is_nowhere_but_in_its_table(
    redacted: bool, local_server: LocalServer, tmp_path: Path
) -> None:
    dsn = Dsn.parse(local_server.dsn)
    connection = pymysql.connect(
        host=dsn.host,
        port=dsn.port,
        user=dsn.user,
        autocommit=True,
        charset="utf8mb4",
    )
    cursor = connection.cursor()
    cursor.execute("CREATE DATABASE shop")
    connection.select_db("shop")
    for table in ("people", "others"):
        cursor.execute(f"CREATE TABLE {table} ({TABLE})")
    redact = "".join(f"      {name}: {how}\n" for name, how in REDACT.items())
    install(
        local_server.dsn,
        "version: 1\nschema: shop\noutbox: evtrig\ndefiner: current_user\n"
        "transaction: true\ndb_user: true\nemit: true\nbypass: nightly-import\n"
        "tables:\n  people:\n    events:\n"
        + EVENTS
        + (f"    redact:\n{redact}" if redacted else ""),
    )
    canaries = {name: canary() for name in REDACT}
    later = {name: canary() for name in REDACT}
    secret = [clear(value) for value in (*canaries.values(), *later.values())]

    folder = local_server.folder / "data"
    (
        messages,
        binlog,
    ) = {}, {}
    for table in ("others", "people"):
        script = statements(table, canaries, later)
        messages[table], binlog[table] = logged(
            cursor, folder, lambda t=table, s=script: played(cursor, t, s)
        )
    cursor.execute("CALL evtrig.emit('Nightly', '{\"id\": 1}', '{\"rows\": 2}')")
    assert len(messages["people"]) == 3
    cursor.execute("SELECT type, COUNT(*) FROM evtrig.events GROUP BY 1 ORDER BY 1")
    types = dict(cursor.fetchall())
    assert {"people.gap", "Seen", "Gone", "Nightly", "people.insert"} <= types.keys()
    assert clear(later["hashed"]) in everything(cursor, "shop")

    path = tmp_path / "events"
    outbox = everything(cursor, "evtrig")
    dead_letters, shown, put_back = looked_after(local_server.dsn, cursor)
    output = relayed(local_server.dsn, "evtrig", path)
    lines = path.read_bytes()
    assert lines.count(b"\n") == sum(types.values())
    places = {
        "outbox": outbox,
        "dead letters": dead_letters,
        "export": shown,
        "list and retry": put_back,
        "sink": lines,
        "output": output,
        "log of the server": (local_server.folder / "log").read_bytes(),
    }
    found = {name for name, text in places.items() if any(s in text for s in secret)}
    if not redacted:
        # The search is able to find something.
        assert found == {"outbox", "dead letters", "export", "sink"}
        return
    assert found == set()
    # What the application is told is what it is told without triggers.
    assert messages["people"] == messages["others"]
    counts = {table: [log.count(s) for s in secret] for table, log in binlog.items()}
    assert counts["people"] == counts["others"]
    assert all(counts["others"])
    connection.close()


def hashes(cursor: pymysql.cursors.Cursor, outbox: str) -> list[dict[str, object]]:
    cursor.execute(f"SELECT `after` FROM {outbox}.events ORDER BY id")
    return [json.loads(text) for (text,) in cursor.fetchall()]


def test_a_hash_is_that_of_the_salt_and_the_value_in_whatever_table(
    server: ThrowawayServer, schema: str, outbox: str, connect
) -> None:
    cursor = connect().cursor()
    types = {
        "v": "VARCHAR(30)",
        "w": "VARCHAR(30) CHARACTER SET latin1",
        "n": "BIGINT UNSIGNED",
        "z": "INT(8) ZEROFILL",
        "d": "DECIMAL(10,2)",
        "day": "DATE",
        "at": "TIMESTAMP NULL",
        "b": "BLOB",
    }
    columns = ", ".join(f"{name} {kind}" for name, kind in types.items())
    redact = ", ".join(f"{name}: hash" for name in types)
    for table in ("one", "two"):
        cursor.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY, {columns})")
    install(
        server.dsn,
        f"version: 1\nschema: {schema}\noutbox: {outbox}\ndefiner: current_user\n"
        f"tables: {{one: {{redact: {{{redact}}}}}, two: {{redact: {{{redact}}}}}}}\n",
    )
    cursor.execute("SET time_zone = '+05:00'")
    for table in ("one", "two"):
        cursor.execute(
            f"INSERT INTO {table} VALUES (1, 'é🍣', 'é', 18446744073709551615, 7, 7.5,"
            " '2026-01-02', '2026-01-01 05:00:00', x'00ff')"
        )
    cursor.execute(f"SELECT name, value FROM {outbox}.salts")
    ((_, salt),) = cursor.fetchall()
    assert len(salt) == 64
    values = ["é🍣", "é", "18446744073709551615", "7", "7.50"]
    values += ["2026-01-02", "2026-01-01 00:00:00", "AP8="]
    wanted = {
        name: hashlib.sha256((salt + value).encode()).hexdigest()
        for name, value in zip(types, values, strict=True)
    }
    assert hashes(cursor, outbox) == [{"id": 1, **wanted}] * 2


def test_two_outboxes_have_two_salts(
    server: ThrowawayServer, schema: str, outbox: str, connect
) -> None:
    cursor = connect().cursor()
    found = []
    for name in ("one", "two"):
        cursor.execute(f"CREATE TABLE {name} (id INT PRIMARY KEY, v INT)")
        install(
            server.dsn,
            f"version: 1\nschema: {schema}\noutbox: {outbox}\ndefiner: current_user\n"
            f"tables: {{{name}: {{redact: {{v: hash}}}}}}\n",
        )
        cursor.execute(f"INSERT INTO {name} VALUES (1, 1)")
        cursor.execute(f"SELECT value FROM {outbox}.salts")
        ((salt,),) = cursor.fetchall()
        found.append((salt, hashes(cursor, outbox)[0]["v"]))
        cursor.execute(f"DROP TABLE {name}")
        cursor.execute(f"DROP DATABASE {outbox}")
    (salt, value), (other_salt, other_value) = found
    assert salt != other_salt
    assert value != other_value
