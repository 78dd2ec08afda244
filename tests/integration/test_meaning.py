"""What a session and evtrig have to do with each other.

Whatever it sets evtrig's variables to, no write fails for it and no event is lost; and
the session of the application stays as it would be without.
"""

from __future__ import annotations

import itertools
import json
import random

import pymysql
import pytest

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.server import ThrowawayServer
from evtrig.triggers.install import apply, prepare
from evtrig.triggers.spec import parse
from evtrig.triggers.trigger import TriggerName

ODD = [
    *("0", "1", "-1", "TRUE", "1.5", "1e308", "18446744073709551615", "NULL"),
    *("''", "'1'", "x'ff00'", "_binary x'c328'", "_utf16 x'd83cdf63'", "_utf32 x'41'"),
    *("_latin1 x'e9'", "'🍣'", "NOW(6)", "REPEAT('x', 70000)", "CAST('{}' AS CHAR)"),
    *("'{\"a\": 1}'", '\'{"a": "🍣"}\'', "_latin1'{\"a\": 1}'", "'[1]'", "'{'"),
    *("REPEAT('[', 5000)", "CONCAT(REPEAT('{\"a\":', 5000), 1, REPEAT('}', 5000))"),
]

OPTIONS = """
    exclude: [note]
    redact: {card: last4, secret: hash}
    when: {update: NEW.n >= 0}
    events:
      - {type: Came, on: insert, when: NEW.n >= 0, data: {card: NEW.card}}
      - {type: Noted, on: update, when: NOT (NEW.note <=> OLD.note)}
"""


def install(server: ThrowawayServer, schema: str, outbox: str) -> None:
    """Every option that a spec has."""
    text = (
        f"version: 1\nschema: {schema}\noutbox: {outbox}\ndefiner: current_user\n"
        "transaction: true\ndb_user: true\nemit: true\nbypass: nightly-import\n"
        f"tables:\n  t:{OPTIONS}"
    )
    with Connection(Dsn.parse(server.dsn)) as connection:
        apply(connection, prepare(connection, parse(text, path="evtrig.yml")))


def create(cursor: pymysql.cursors.Cursor, table: str = "t") -> None:
    cursor.execute(
        f"CREATE TABLE {table} (id INT AUTO_INCREMENT PRIMARY KEY, n INT UNIQUE,"
        " card VARCHAR(20), secret VARCHAR(20), note VARCHAR(3))"
    )


def variables(schema: str) -> list[str]:
    names = [TriggerName.of(schema, "t", op) for op in ("insert", "update", "delete")]
    return [
        *("evtrig_context", "evtrig_off", "evtrig_last_gtid", "evtrig_transaction"),
        f"evtrig_{names[0].table}_gap",
        *(str(name) for name in names),
        *(str(name.next) for name in names),
    ]


def count(cursor: pymysql.cursors.Cursor, outbox: str) -> dict[str, int]:
    cursor.execute(f"SELECT `type`, COUNT(*) FROM {outbox}.events GROUP BY 1")
    return dict(cursor.fetchall())


def changed(cursor: pymysql.cursors.Cursor, number: int) -> None:
    """A row comes, changes and goes: five events."""
    cursor.execute("INSERT INTO t (id, n) VALUES (%s, %s)", (number, number))
    cursor.execute("UPDATE t SET card = 'a', note = 'b' WHERE id = %s", (number,))
    cursor.execute("DELETE FROM t WHERE id = %s", (number,))


PER_ROW = ("t.insert", "t.update", "t.delete", "Came", "Noted")


def test_odd_values_in_every_variable_lose_no_event(
    server: ThrowawayServer, schema: str, outbox: str, connect
) -> None:
    """Each after each other: MySQL keeps the type that a variable had at first."""
    cursor = connect().cursor()
    create(cursor)
    install(server, schema, outbox)
    chance = random.Random(7)
    pairs = list(itertools.permutations(ODD, 2))
    rows = 0
    for names in [[name] for name in variables(schema)] + [variables(schema)] * 3:
        # All pairs where the whole session's text is read, a sample elsewhere.
        some = pairs if names == ["evtrig_context"] else chance.sample(pairs, 40)
        for pair in some:
            session = connect()
            for value in pair:
                values = chance.choices(ODD, k=len(names)) if names[1:] else [value]
                setting = ", ".join(
                    f"@{name} = {odd}" for name, odd in zip(names, values, strict=True)
                )
                session.cursor().execute(f"SET {setting}")
                rows += 1
                try:
                    changed(session.cursor(), rows)
                except pymysql.MySQLError as error:
                    pytest.fail(f"{pair}, {setting[:200]}: {error}")
            session.close()
    assert count(cursor, outbox) == dict.fromkeys(PER_ROW, rows)
    cursor.execute(f"SELECT context FROM {outbox}.events")
    contexts = [json.loads(text) for (text,) in cursor.fetchall()]
    assert {frozenset(context) for context in contexts} <= {
        frozenset({"db_user"}),
        frozenset({"db_user", "a"}),
    }
    print(f"{server.name}: {rows} rows, {len(contexts)} events")


def test_odd_values_while_recording_is_off_leave_their_gap(
    server: ThrowawayServer, schema: str, outbox: str, connect
) -> None:
    """The id of a gap event that a session makes up is not taken for its own."""
    cursor = connect().cursor()
    create(cursor)
    install(server, schema, outbox)
    gap = next(name for name in variables(schema) if name.endswith("_gap"))
    for number, value in enumerate(ODD, 1):
        session = connect().cursor()
        session.execute("SET @evtrig_off = 'nightly-import'")
        session.execute("START TRANSACTION")
        session.execute(f"SET @{gap} = {value}, @evtrig_transaction = 7")
        changed(session, number)
        session.execute(f"SET @{gap} = {value}")
        session.execute("COMMIT")
    found = count(cursor, outbox)
    assert found.keys() == {"t.gap"}
    # A session may make the outbox say it twice, but never not at all.
    cursor.execute(f"SELECT COUNT(*) FROM {outbox}.events")
    assert found["t.gap"] >= len(ODD)


def test_a_session_cannot_hide_its_changes_behind_the_gap_of_another(
    server: ThrowawayServer, schema: str, outbox: str, connect
) -> None:
    cursor = connect().cursor()
    create(cursor)
    install(server, schema, outbox)
    gap = next(name for name in variables(schema) if name.endswith("_gap"))
    cursor.execute("SET @evtrig_off = 'nightly-import'")
    cursor.execute("INSERT INTO t (n) VALUES (1)")
    cursor.execute(f"SELECT MAX(id) FROM {outbox}.events")
    (there,) = cursor.fetchone()
    other = connect().cursor()
    other.execute(f"SET @evtrig_off = 'nightly-import', @{gap} = {there}")
    other.execute("INSERT INTO t (n) VALUES (2)")
    assert count(cursor, outbox) == {"t.gap": 2}


STATEMENTS = [
    "INSERT INTO {t} (n, card, note) VALUES (1, 'a', 'x'), (2, 'b', 'y')",
    "INSERT INTO {t} (n, note) VALUES (3, 'too long')",
    "INSERT IGNORE INTO {t} (n) VALUES (1), (4)",
    "INSERT INTO {t} (n) VALUES (1) ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id)",
    "INSERT INTO {t} (n) VALUES (1) ON DUPLICATE KEY UPDATE card = 'z', note = '1234'",
    "REPLACE INTO {t} (n, card) VALUES (2, 'c')",
    "UPDATE {t} SET card = 'x' WHERE n > 1",
    "UPDATE {t} SET card = 'x' WHERE n > 1",
    "UPDATE {t} SET note = NULL, secret = 'y', n = LAST_INSERT_ID(50) WHERE n = 1",
    "UPDATE IGNORE {t} SET n = 2 WHERE n = 50",
    "UPDATE {t} SET id = id + 100 ORDER BY id DESC",
    "UPDATE {t} SET n = n / 0 WHERE n = 50",
    "DELETE FROM {t} WHERE n > 2",
    "DELETE FROM {t} WHERE n = 99",
    "INSERT INTO {t} (n) SELECT n + 10 FROM (SELECT n FROM {t}) AS x",
    "INSERT INTO {t} (n, id) VALUES (2, 900)",
]


@pytest.mark.parametrize("bypassed", [False, True])
def test_the_session_of_the_application_is_undisturbed_with_every_option(
    bypassed: bool, server: ThrowawayServer, schema: str, outbox: str, connect
) -> None:
    """Ids, counts and warnings are those of the same table without triggers."""
    cursor = connect().cursor()
    create(cursor)
    create(cursor, "plain")
    install(server, schema, outbox)
    cursor.execute("INSERT INTO t (n) VALUES (-1)")
    cursor.execute("INSERT INTO plain (n) VALUES (-1)")
    seen = {}
    for table in ("t", "plain"):
        session = connect().cursor()
        session.execute("SET sql_mode = '', @evtrig_context = '{\"a\": 1}'")
        if bypassed:
            session.execute("SET @evtrig_off = 'nightly-import'")
        seen[table] = []
        for statement in STATEMENTS:
            try:
                affected = session.execute(statement.format(t=table))
                found: list[object] = [affected]
                if "LAST_INSERT_ID(" not in statement:
                    found.append(session.lastrowid)
                session.execute("SELECT ROW_COUNT(), LAST_INSERT_ID()")
                found.append(session.fetchall())
                session.execute("SHOW WARNINGS")
            except pymysql.MySQLError as error:
                found = [str(error).replace(f"'{table}.", "'t.")]
                session.execute("SHOW WARNINGS")
            found.append(str(session.fetchall()).replace(f"'{table}.", "'t."))
            seen[table].append((statement, *found))
    assert seen["t"] == seen["plain"]
    cursor.execute("SELECT * FROM t ORDER BY id")
    rows = cursor.fetchall()
    cursor.execute("SELECT * FROM plain ORDER BY id")
    assert rows == cursor.fetchall()
    found = count(cursor, outbox)
    assert ("t.gap" in found) == bypassed
    assert ("t.update" in found) != bypassed


def test_the_drivers_insert_id_is_lost_where_a_trigger_runs(
    server: ThrowawayServer, schema: str, outbox: str, connect
) -> None:
    """A limit of both servers, with whatever trigger: SQL has the id all the same."""
    cursor = connect().cursor()
    create(cursor)
    create(cursor, "plain")
    install(server, schema, outbox)
    found = {}
    for table in ("t", "plain"):
        cursor.execute(f"INSERT INTO {table} (id, n) VALUES (5, 1)")
        cursor.execute(
            f"INSERT INTO {table} (n) VALUES (1)"
            " ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id)"
        )
        insert_id = cursor.lastrowid
        cursor.execute("SELECT LAST_INSERT_ID()")
        found[table] = (insert_id, cursor.fetchone()[0])
    assert found == {"t": (0, 5), "plain": (5, 5)}
