"""Expressions are tried on scratch copies: what is found, and that nothing is left."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.server import ThrowawayServer
from evtrig.errors import DatabaseError, PreflightError
from evtrig.triggers.capture import Capture, resolve
from evtrig.triggers.install import apply, prepare, server_of, tables_of
from evtrig.triggers.scratch import (
    COMMENT,
    PRIVILEGES,
    dry_run,
    scratch_schema,
    try_expressions,
)
from evtrig.triggers.spec import Spec, parse

TABLE = """\
CREATE TABLE orders (
    id      INT AUTO_INCREMENT PRIMARY KEY,
    v       INT NOT NULL,
    u       INT UNSIGNED NOT NULL,
    note    VARCHAR(20) NOT NULL,
    payload TEXT NOT NULL,
    raw     VARBINARY(20) NOT NULL,
    day     DATETIME NOT NULL
)
"""
ROW = "(1, 1, 'a', '{}', 'x', '2024-01-01')"


@dataclass(frozen=True)
class Place:
    """A server with a schema, a connection for the tests and one for evtrig."""

    server: ThrowawayServer
    schema: str
    outbox: str
    execute: Callable[[str], tuple]
    connection: Connection

    @property
    def is_mariadb(self) -> bool:
        return self.server.name == "mariadb"

    @property
    def scratch(self) -> str:
        return scratch_schema(self.outbox)

    def spec(self, *lines: str, table: str = "orders") -> Spec:
        body = "".join(f"    {line}\n" for line in lines)
        return parse(
            f"version: 1\nschema: {self.schema}\noutbox: {self.outbox}\n"
            f"definer: current_user\ntables:\n  {table}:\n{body}",
            path="evtrig.yml",
        )

    def captures(self, spec: Spec) -> tuple[Capture, ...]:
        connection = self.connection
        server = server_of(connection, spec)
        return resolve(spec, tables_of(connection, spec), server)

    def attempt(self, spec: Spec, rows: int = 1) -> str | None:
        """Try the spec's expressions; what is said if they fail."""
        before = self.state()
        said = None
        try:
            captures = self.captures(spec)
            try_expressions(self.connection, captures, outbox=self.outbox, rows=rows)
        except PreflightError as error:
            said = str(error)
        assert self.state() == before
        return said

    def state(self) -> tuple:
        return (
            self.execute("SHOW DATABASES"),
            self.execute(
                "SELECT trigger_schema, trigger_name FROM information_schema.triggers"
                " ORDER BY 1, 2"
            ),
            self.execute(f"SELECT IS_FREE_LOCK('{self.scratch}')"),
        )


@pytest.fixture
def place(
    server: ThrowawayServer, schema: str, outbox: str, connect
) -> Iterator[Place]:
    cursor = connect().cursor()

    def execute(sql: str) -> tuple:
        cursor.execute(sql)
        return tuple(cursor.fetchall())

    execute(TABLE)
    with Connection(Dsn.parse(server.dsn)) as connection:
        yield Place(server, schema, outbox, execute, connection)
    execute(f"DROP DATABASE IF EXISTS {scratch_schema(outbox)}")


def when(expression: str, operation: str = "update") -> str:
    return f'when: {{{operation}: "{expression}"}}'


def event(
    value: str, condition: str | None = None, operations: str = "update"
) -> tuple[str, ...]:
    guard = "" if condition is None else f', when: "{condition}"'
    return (
        "change_rows: false",
        "events:",
        f'  - {{type: Shipped, on: {operations}{guard}, data: {{x: "{value}"}}}}',
    )


# What is found. The numbers are those of MySQL and of MariaDB.

MISTAKES = {
    "syntax error": ("NEW.v = = 1", 1064, 1064),
    "unfinished": ("NEW.v >", 1064, 1064),
    "aggregate": ("SUM(NEW.v) > 1", 1111, 1111),
    "window function": ("ROW_NUMBER() OVER () > 1", 3593, 4015),
    "unknown function": ("no_such(NEW.v) > 1", 1305, 1305),
    "wrong number of arguments": ("ABS(NEW.v, 1) > 1", 1582, 1582),
    "column without its row": ("v > 1", 1054, 1327),
    "two columns": ("(NEW.v, NEW.u)", 1241, 1241),
    "bad regular expression": ("NEW.note REGEXP '['", 3696, 1139),
    "our own variable": ("salt > 1", 1054, 1327),
}


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("name", MISTAKES)
def test_a_condition_that_can_never_work_is_found(
    place: Place, name: str, rows: int
) -> None:
    expression, mysql, mariadb = MISTAKES[name]
    if rows:
        place.execute(f"INSERT INTO orders VALUES (7, {ROW[1:]}")
    said = place.attempt(place.spec(when(expression)))
    assert said is not None
    assert said.startswith("evtrig.yml:7:20: `when` of update of orders: ")
    assert f"({mariadb if place.is_mariadb else mysql})" in said
    assert place.scratch not in said


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("condition", [None, "NEW.v = 1 AND OLD.v = 2"])
def test_a_value_that_can_never_work_is_found(
    place: Place, name: str, condition: str | None
) -> None:
    """Also under a condition that is true of no row."""
    expression, *_ = MISTAKES[name]
    said = place.attempt(place.spec(*event(expression, condition)))
    assert said is not None
    assert "`x` of event Shipped: " in said
    assert "evtrig.yml:9:" in said


def test_a_column_of_the_outbox_is_no_column_of_the_row(place: Place) -> None:
    """The trigger's INSERT would take it for the event's own, and record nothing."""
    said = place.attempt(place.spec(*event("COALESCE(id, 0)")))
    assert said is not None
    assert "1054" in said or "1327" in said


def test_a_comparison_that_strict_mode_refuses_is_found_without_a_row(
    place: Place,
) -> None:
    lines = event("NEW.v = 'abc'") if place.is_mariadb else (when("NEW.v = 'abc'"),)
    said = place.attempt(place.spec(*lines))
    assert said is not None
    assert "(1292)" in said


def test_an_empty_table_does_not_get_in_the_way_of_what_may_work(place: Place) -> None:
    for expression in (
        "JSON_EXTRACT(NEW.payload, '$.a') = 1",
        "NEW.u - 1 >= 0",
        "NEW.note + 0 > 5",
        "CAST(NEW.note AS DATE) > '2020-01-01'",
        "NEW.day > '2020-01-01'",
    ):
        assert place.attempt(place.spec(when(expression))) is None, expression
        assert place.attempt(place.spec(*event(expression))) is None, expression


def test_every_mistake_is_said_at_once_and_each_once(place: Place) -> None:
    said = place.attempt(
        place.spec(
            'when: {insert: "SUM(NEW.v)", delete: "OLD.v = = 1"}',
            "events:",
            "  - type: Shipped",
            "    on: [insert, update]",
            '    when: "no_such(NEW.v)"',
            '    data: {x: "MAX(NEW.v)", y: "NEW.v + 1", z: NEW.v}',
        )
    )
    assert said is not None
    assert said.startswith("4 problems")
    for what in (
        "evtrig.yml:7:20: `when` of insert of orders",
        "`when` of delete of orders: syntax error near = 1 (1064)",
        "evtrig.yml:11:15: `when` of event Shipped",
        "evtrig.yml:12:19: `x` of event Shipped",
    ):
        assert said.count(what) == 1


def test_a_broken_condition_does_not_accuse_what_it_guards(place: Place) -> None:
    for condition in ("NEW.v = = 1", "SUM(NEW.v)"):
        said = place.attempt(place.spec(*event("NEW.v + 1", condition)))
        assert said is not None
        assert "`when` of event Shipped" in said
        assert "`x`" not in said


# Existing rows


def test_what_fails_for_an_existing_row_is_said_without_its_contents(
    place: Place,
) -> None:
    place.execute("INSERT INTO orders VALUES (1, 1, 1, 'a', 'canary', 'x', '2024-1-1')")
    value = "JSON_EXTRACT(NEW.payload, '$.a') + 1"
    said = place.attempt(place.spec(*event(value, operations="insert")))
    assert said is not None
    assert "`x` of event Shipped fails for an existing row: a text is not JSON" in said
    assert "canary" not in said


def test_an_unknown_error_on_a_row_is_said_by_its_number_alone(place: Place) -> None:
    place.execute(
        "INSERT INTO orders VALUES (1, 1, 1, 'canary', '{}', 'x', '2024-1-1')"
    )
    place.execute(
        "CREATE FUNCTION refuse(note VARCHAR(20)) RETURNS INT DETERMINISTIC BEGIN"
        " IF note = 'canary' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = note;"
        " END IF; RETURN 1; END"
    )
    said = place.attempt(place.spec(when(f"{place.schema}.refuse(OLD.note)")))
    assert said is not None
    assert "(1644)" in said
    assert "canary" not in said


def test_what_a_condition_keeps_away_is_not_evaluated(place: Place) -> None:
    place.execute(
        "INSERT INTO orders VALUES (1, 1, 1, 'text', 'none', 'x', '2024-1-1')"
    )
    value = "JSON_EXTRACT(NEW.payload, '$.a') + 1"
    assert place.attempt(place.spec(*event(value, "NEW.note = 'json'"))) is None
    assert place.attempt(place.spec(*event(value, "NEW.note = 'text'"))) is not None


@pytest.mark.parametrize("value", ["NEW.raw", "CONCAT(NEW.raw, 'x')"])
def test_a_binary_value_is_recorded_or_refused_before_it_fails_a_write(
    place: Place, value: str
) -> None:
    place.execute(
        "INSERT INTO orders VALUES (1, 1, 1, 'a', '{}', X'FF00', '2024-01-01')"
    )
    spec = place.spec(*event(value, operations="insert"))
    with contextlib.suppress(PreflightError):
        apply(place.connection, prepare(place.connection, spec))
    place.execute(
        "INSERT INTO orders VALUES (2, 1, 1, 'a', '{}', X'FF00', '2024-01-01')"
    )


# Tables

TABLES = {
    "generated columns": "id INT PRIMARY KEY, g INT AS (id + 1) STORED, w INT AS (id)",
    "no defaults": "id INT NOT NULL, t TEXT NOT NULL, p POINT NOT NULL,"
    " e ENUM('a') NOT NULL, d DATE NOT NULL, PRIMARY KEY (id)",
    "check": "id INT PRIMARY KEY, a INT NOT NULL, CHECK (a > 100), CHECK (id > a)",
    "auto increment": "n INT, id BIGINT AUTO_INCREMENT, PRIMARY KEY (id)",
    "partitions": "id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS (3",
    "unique": "id INT PRIMARY KEY, a INT NOT NULL UNIQUE, b CHAR(1) NOT NULL UNIQUE",
    "defaults": "id INT PRIMARY KEY, u VARCHAR(36) DEFAULT (UUID()),"
    " t TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP",
    "our own name": "id INT PRIMARY KEY, Evtrig_Row INT, evtrig_row_ INT",
    "odd types": "id INT PRIMARY KEY, j JSON NOT NULL, b BIT(3), y YEAR, s SET('a'),"
    " g GEOMETRY, z INT(5) ZEROFILL, l CHAR(2) CHARACTER SET latin1, tb TINYBLOB,"
    " tm TIME(6), f FLOAT, c DECIMAL(10,2)",
}


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("name", TABLES)
def test_every_kind_of_table_can_be_copied(place: Place, name: str, rows: int) -> None:
    definition = TABLES[name].replace("PARTITIONS (3", "PARTITIONS 3")
    end = "" if name == "partitions" else ")"
    place.execute(f"CREATE TABLE kinds ({definition}{end}")
    if rows:
        place.execute("SET SESSION sql_mode = ''")
        columns = {
            "no defaults": "id, p) VALUES (1, POINT(1, 2)",
            "check": "id, a) VALUES (200, 150",
            "odd types": "id, j) VALUES (1, '{}'",
        }.get(name, "id) VALUES (1")
        place.execute(f"INSERT INTO kinds ({columns})")
    for expression, is_sound in (("NEW.id > 0", True), ("SUM(NEW.id)", False)):
        for operation in ("insert", "update"):
            spec = place.spec(when(expression, operation), table="kinds")
            assert (place.attempt(spec) is None) is is_sound
    assert (
        place.attempt(place.spec(when("OLD.id > 0", "delete"), table="kinds")) is None
    )
    spec = place.spec(when("NEW.id > 0"), *event("NEW.id + 1")[1:], table="kinds")
    failures = dry_run(
        place.connection, place.captures(spec), outbox=place.outbox, rows=9
    )
    assert failures == ()
    bad = place.spec(when("SUM(NEW.id)"), table="kinds")
    (failure,) = dry_run(
        place.connection, place.captures(bad), outbox=place.outbox, rows=9
    )
    assert (failure.rows, failure.tried) == (rows, rows)


def test_invisible_columns_are_copied(place: Place) -> None:
    place.execute(
        "CREATE TABLE hidden (id INT PRIMARY KEY, secret INT INVISIBLE DEFAULT 5)"
    )
    place.execute("INSERT INTO hidden (id) VALUES (1)")
    spec = place.spec(when("NEW.secret / 0 IS NULL", "insert"), table="hidden")
    assert place.attempt(spec) is None
    refuse = "CREATE FUNCTION refuse() RETURNS INT DETERMINISTIC BEGIN SIGNAL SQLSTATE"
    place.execute(f"{refuse} '45000'; RETURN 1; END")
    call = f"CASE NEW.secret WHEN 5 THEN {place.schema}.refuse() END"
    said = place.attempt(place.spec(when(call, "insert"), table="hidden"))
    assert said is not None
    assert "1644" in said


@pytest.mark.parametrize("name", ["a `b", "it's", 'say "x"', "100%s", "名前 x"])
def test_odd_names(place: Place, name: str) -> None:
    quoted = "`" + name.replace("`", "``") + "`"
    place.execute(f"CREATE TABLE {quoted} (id INT PRIMARY KEY, {quoted} INT NOT NULL)")
    place.execute(f"INSERT INTO {quoted} VALUES (1, 2)")
    written = quoted.replace('"', '\\"')
    key = '"' + name.replace('"', '\\"') + '"'
    for expression, is_sound in (
        (f"NEW.{written} > 1", True),
        (f"SUM(NEW.{written})", False),
    ):
        spec = place.spec(when(expression), *event(expression)[1:], table=key)
        assert (place.attempt(spec) is None) is is_sound


def test_a_row_that_somebody_is_writing_does_not_block(place: Place, connect) -> None:
    place.execute(f"INSERT INTO orders VALUES (1, {ROW[1:]}")
    writer = connect(autocommit=False)
    writer.cursor().execute("UPDATE orders SET v = 2")
    begun = time.monotonic()
    assert place.attempt(place.spec(when("NEW.v > 0"))) is None
    assert time.monotonic() - begun < 3
    writer.rollback()


# The dry run


def test_a_dry_run_counts_the_rows_that_fail(place: Place) -> None:
    for id_ in range(1, 11):
        payload = "{}" if id_ % 3 else "canary"
        place.execute(
            f"INSERT INTO orders VALUES ({id_}, 1, {id_ - 1}, 'a', '{payload}', 'x',"
            " '2024-01-01')"
        )
    spec = place.spec(
        'when: {insert: "NEW.u - 2 >= 0"}',
        "events:",
        '  - {type: Less, on: [update, delete], when: "OLD.u - 1 >= 0"}',
        "  - type: Changed",
        "    on: update",
        '    when: "NEW.payload <> OLD.payload"',
        '    data: {x: "JSON_EXTRACT(NEW.payload, \'$.a\') + 1", y: "NEW.v + 1"}',
        "  - type: Fine",
        "    on: update",
        "    when: NEW.payload <> 'canary'",
        "    data: {x: \"JSON_EXTRACT(NEW.payload, '$.a') + 1\"}",
    )
    before = place.state()
    found = dry_run(place.connection, place.captures(spec), outbox=place.outbox, rows=8)
    assert place.state() == before
    assert [(f.what, f.operation, f.rows, f.tried) for f in found] == [
        ("`when` of insert of orders", "insert", 2, 8),
        ("`when` of event Less", "update", 1, 8),
        ("`when` of event Less", "delete", 1, 8),
        ("`x` of event Changed", "update", 2, 8),
    ]
    assert [f.place.line for f in found] == [7, 9, 9, 13]
    assert {f.number for f in found} == (
        {4038, 1690} if place.is_mariadb else {3141, 1690}
    )
    assert not any("canary" in f.message for f in found)


# What is left


def test_a_second_install_tries_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = place.spec(when("NEW.v > 0"))
    apply(place.connection, prepare(place.connection, spec))
    statements: list[str] = []
    execute = place.connection.execute

    def record(sql: str, arguments: object = None) -> int:
        statements.append(sql)
        return execute(sql, arguments)

    monkeypatch.setattr(place.connection, "execute", record)
    assert prepare(place.connection, spec).steps == ()
    assert statements == []
    other = place.spec(when("NEW.v > 1"))
    assert len(prepare(place.connection, other).steps) > 0
    assert any(place.scratch in statement for statement in statements)


def test_the_session_is_as_before(place: Place) -> None:
    query = (
        "SELECT @@sql_mode, @@lock_wait_timeout, @@autocommit, @@collation_connection"
    )
    before = place.connection.row(query)
    place.attempt(place.spec(when("SUM(NEW.v)")))
    assert place.connection.row(query) == before


def test_what_a_killed_run_left_is_dropped(place: Place) -> None:
    place.execute(f"CREATE DATABASE {place.scratch}")
    place.execute(
        f"CREATE TABLE {place.scratch}.subject (id INT) COMMENT = '{COMMENT}'"
    )
    spec = place.spec(when("NEW.v > 0"))
    captures = place.captures(spec)
    try_expressions(place.connection, captures, outbox=place.outbox)
    assert place.execute(f"SHOW DATABASES LIKE '{place.scratch}'") == ()


@pytest.mark.parametrize(
    "thing",
    [
        "TABLE {}.subject (id INT)",
        "FUNCTION {}.f() RETURNS INT DETERMINISTIC RETURN 1",
        "VIEW {}.v AS SELECT 1 AS a",
    ],
)
def test_what_is_somebody_elses_stays(place: Place, thing: str) -> None:
    place.execute(f"CREATE DATABASE {place.scratch}")
    place.execute("CREATE " + thing.format(place.scratch))
    said = place.attempt(place.spec(when("NEW.v > 0")))
    assert said is not None
    assert place.scratch in said


def test_two_installers_do_not_meet(
    place: Place, connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evtrig.triggers.scratch_schema.LOCK_TIMEOUT", 0)
    other = connect()
    other.cursor().execute(f"SELECT GET_LOCK('{place.scratch}', 0)")
    said = place.attempt(place.spec(when("NEW.v > 0")))
    assert said is not None
    assert "another evtrig" in said


def test_ctrl_c_in_the_middle_of_a_statement_leaves_nothing(place: Place) -> None:
    place.execute(f"INSERT INTO orders VALUES (1, {ROW[1:]}")
    spec = place.spec(when("NEW.v + SLEEP(30) > 0", "insert"))
    captures = place.captures(spec)
    busy = (
        "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User sleep'"
    )

    def press() -> None:
        for _ in range(500):
            if place.execute(busy) != ((0,),):
                break
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        try_expressions(place.connection, captures, outbox=place.outbox)
    thread.join()
    assert place.execute(f"SHOW DATABASES LIKE '{place.scratch}'") == ()
    # The server ends the statement, and with it the connection, in its own time.
    is_free = f"SELECT IS_FREE_LOCK('{place.scratch}')"
    end = time.monotonic() + 10
    while place.execute(is_free) != ((1,),):
        assert time.monotonic() < end, "the lock is held still"
        time.sleep(0.01)


def test_a_long_outbox_makes_a_name_that_fits() -> None:
    assert len(scratch_schema("x" * 64)) == 64
    assert scratch_schema("evtrig") == "evtrig_scratch"


# Privileges


def grants(place: Place) -> dict[str, str]:
    outbox, table, scratch = (
        f"`{name}`.*".replace("_", r"\_")
        for name in (place.outbox, place.schema, place.scratch)
    )
    return {
        "outbox": f"CREATE, SELECT, INSERT ON {outbox}",
        "table": f"SELECT, TRIGGER ON {table}",
        **{name: f"{name} ON {scratch}" for name in PRIVILEGES},
    }


def test_exactly_what_is_needed_suffices_for_trying(place: Place, account) -> None:
    place.execute(f"INSERT INTO orders VALUES (1, {ROW[1:]}")
    spec = place.spec(when("NEW.v > 0"), *event("NEW.v + 1")[1:])
    with account(*grants(place).values()) as connection:
        captures = place.captures(spec)
        assert dry_run(connection, captures, outbox=place.outbox, rows=5) == ()
        apply(connection, prepare(connection, spec))
    assert place.execute(f"SHOW DATABASES LIKE '{place.scratch}'") == ()


@pytest.mark.parametrize("name", PRIVILEGES)
def test_each_privilege_is_needed_and_named(place: Place, account, name: str) -> None:
    spec = place.spec(when("NEW.v > 0"), *event("NEW.v + 1")[1:])
    having = grants(place)
    del having[name]
    before = place.state()
    with account(*having.values()) as connection:
        with pytest.raises(PreflightError) as caught:
            prepare(connection, spec)
        assert f"lacks the privilege {name} on `" in str(caught.value)
        assert place.state() == before
        with pytest.raises(PreflightError):
            dry_run(connection, place.captures(spec), outbox=place.outbox, rows=5)
        assert place.state() == before
        (hint,) = [hint for _, hint in caught.value.problems]
        # And it is not asked for in vain.
        with pytest.raises(DatabaseError):
            try_expressions(connection, place.captures(spec), outbox=place.outbox)
        place.execute(f"DROP DATABASE IF EXISTS {place.scratch}")
        place.execute(hint)
        apply(connection, prepare(connection, spec))


def test_a_spec_without_expressions_needs_no_scratch_schema(
    place: Place, account
) -> None:
    having = grants(place)
    with account(having["outbox"], having["table"]) as connection:
        apply(connection, prepare(connection, place.spec()))
