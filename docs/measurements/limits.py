"""What is not captured, and what else may surprise: docs/limits.md, line by line.

    .venv/bin/python docs/measurements/limits.py [TITLE…]

Starts throwaway servers of its own, installs with evtrig and prints what each
statement gave and which events came of it. `native` is a MySQL with
innodb_native_foreign_keys=ON, `switch` one with that OFF, which is the default, and
enable_cascade_triggers=ON.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.server import LocalServer, ThrowawayServer, survey
from evtrig.errors import DatabaseError, EvtrigError
from evtrig.triggers.install import apply, prepare
from evtrig.triggers.spec import parse

T = "CREATE TABLE t (id INT PRIMARY KEY, v INT)"
ROWS = "INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)"
PARTITIONS = (
    f"{T} PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (2),"
    " PARTITION p1 VALUES LESS THAN (100))"
)

FAMILY = (
    "CREATE TABLE p (id INT PRIMARY KEY, v INT)",
    "CREATE TABLE c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id)"
    " ON DELETE CASCADE ON UPDATE CASCADE)",
    "CREATE TABLE n (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id)"
    " ON DELETE SET NULL)",
    "CREATE TABLE g (id INT PRIMARY KEY, c INT, FOREIGN KEY (c) REFERENCES c (id))",
    "CREATE TABLE r (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id))",
    "INSERT INTO p VALUES (1, 1), (2, 2), (3, 3), (4, 4)",
    "INSERT INTO c VALUES (11, 1), (21, 2), (31, 3), (41, 4)",
    "INSERT INTO n VALUES (11, 1)",
    "INSERT INTO g VALUES (1, 31)",
    "INSERT INTO r VALUES (1, 4)",
)
CASCADING = (
    "DELETE FROM p WHERE id = 1",
    "UPDATE p SET id = 20 WHERE id = 2",
    "DELETE p, c FROM p JOIN c ON c.p = p.id WHERE p.id = 2",
    "DELETE p FROM p JOIN c ON c.p = p.id WHERE p.id = 2",
    "DELETE FROM p WHERE id IN (SELECT p FROM c WHERE id = 21)",
    "REPLACE INTO p VALUES (2, 9)",
    "DELETE IGNORE FROM p WHERE id = 3",
    "DELETE IGNORE FROM p WHERE id = 4",
    "DELETE FROM p WHERE id = 4",
    "SET foreign_key_checks = 0; DELETE FROM p WHERE id = 1",
)
LOOK = (
    "SELECT (SELECT GROUP_CONCAT(id) FROM p) AS p,"
    " (SELECT GROUP_CONCAT(id, '/', COALESCE(p, 'NULL')) FROM c) AS c,"
    " (SELECT GROUP_CONCAT(id, '/', COALESCE(p, 'NULL')) FROM n) AS n"
)


@dataclass(frozen=True)
class Case:
    title: str
    setup: tuple[str, ...]
    #: Below `tables:`.
    spec: str
    #: One that begins with `2: ` is another session's.
    statements: tuple[str, ...]
    top: str = ""
    #: Further options of the server.
    options: tuple[str, ...] = ()
    #: Whether every statement finds the tables as they were, and what to look at then.
    look: str = ""
    only: tuple[str, ...] = ("mysql", "mariadb")


CASES = (
    Case("truncate", (T, ROWS), "t:", ("TRUNCATE TABLE t",)),
    Case(
        "partitions",
        (PARTITIONS, ROWS, "CREATE TABLE other (id INT PRIMARY KEY, v INT)"),
        "t:",
        (
            "REPLACE INTO t PARTITION (p1) VALUES (3, 33)",
            "INSERT INTO other VALUES (0, 0)",
            "ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE other",
            "SELECT * FROM t ORDER BY id",
            "ALTER TABLE t TRUNCATE PARTITION p1",
            "ALTER TABLE t DROP PARTITION p0",
        ),
    ),
    Case(
        "exchange with a captured table",
        (PARTITIONS, "CREATE TABLE other (id INT PRIMARY KEY, v INT)"),
        "other:",
        (
            "INSERT INTO other VALUES (0, 0)",
            "ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE other",
            "SELECT COUNT(*) FROM other",
        ),
    ),
    Case(
        "drop table",
        (T, ROWS),
        "t:",
        ("DROP TABLE t", T, "INSERT INTO t VALUES (1, 1)"),
    ),
    Case(
        "rename",
        (T, ROWS),
        "t:",
        (
            "RENAME TABLE t TO u",
            "INSERT INTO u VALUES (4, 4)",
            "UPDATE u SET v = 9 WHERE id = 1",
            "DELETE FROM u WHERE id = 2",
        ),
    ),
    Case(
        "rename, definer: current_user",
        (T, ROWS),
        "t:",
        (
            "RENAME TABLE t TO u",
            "INSERT INTO u VALUES (4, 4)",
            "UPDATE u SET v = 9 WHERE id = 1",
            "DELETE FROM u WHERE id = 2",
        ),
        top="definer: current_user",
    ),
    Case(
        "swap",
        (T, ROWS),
        "t:",
        (
            "CREATE TABLE _t_gho LIKE t",
            "INSERT INTO _t_gho SELECT * FROM t",
            "RENAME TABLE t TO _t_del, _t_gho TO t",
            "UPDATE t SET v = 9 WHERE id = 1",
            "INSERT INTO _t_del VALUES (9, 9)",
        ),
    ),
    Case(
        "engine changed afterwards",
        (T, ROWS),
        "t:",
        (
            "ALTER TABLE t ENGINE = MyISAM",
            "BEGIN",
            "INSERT INTO t VALUES (4, 4)",
            "ROLLBACK",
            "SELECT COUNT(*) FROM t WHERE id = 4",
            "INSERT INTO t VALUES (5, 5)",
        ),
    ),
    Case("myisam", (f"{T} ENGINE = MyISAM",), "t:", ()),
    Case(
        "temporary table",
        (T, ROWS),
        "t:",
        (
            "CREATE TEMPORARY TABLE t (id INT PRIMARY KEY, v INT)",
            "INSERT INTO t VALUES (7, 7)",
            "DROP TEMPORARY TABLE t",
        ),
    ),
    Case(
        "load data",
        (T, ROWS, "SELECT id + 10, v INTO OUTFILE '{folder}/rows' FROM t"),
        "t:",
        ("LOAD DATA INFILE '{folder}/rows' INTO TABLE t",),
    ),
    Case(
        "columns",
        ("CREATE TABLE t (id INT PRIMARY KEY, v INT, w INT)",),
        "t:",
        (
            "ALTER TABLE t ADD COLUMN x INT",
            "INSERT INTO t VALUES (1, 1, 1, 1)",
            "ALTER TABLE t DROP COLUMN w",
            "INSERT INTO t (id) VALUES (2)",
        ),
    ),
    Case(
        "cascades by default",
        FAMILY,
        "{c: , n: }",
        CASCADING,
        look=LOOK,
        only=("mysql", "mariadb", "native", "switch"),
    ),
    Case(
        "cascades: capture",
        FAMILY,
        "{c: {cascades: capture}, n: {cascades: capture}}",
        CASCADING,
        look=LOOK,
        only=("mysql", "mariadb", "native", "switch"),
    ),
    Case(
        "the switch, a session's own",
        FAMILY,
        "{c: , n: }",
        (
            "SET SESSION enable_cascade_triggers = OFF",
            "DELETE FROM p WHERE id = 1",
            "SET SESSION enable_cascade_triggers = ON",
            "DELETE FROM p WHERE id = 2",
        ),
        only=("mysql", "switch"),
    ),
    Case(
        "transaction ids",
        (T,),
        "t:",
        (
            "INSERT INTO t VALUES (1, 1)",
            "BEGIN",
            "INSERT INTO t VALUES (2, 2)",
            "UPDATE t SET v = 3 WHERE id = 2",
            "COMMIT",
            "CALL {outbox}.emit('Said', '{}', NULL)",
            "SET SESSION sql_log_bin = 0",
            "INSERT INTO t VALUES (3, 3)",
        ),
        top="transaction: true\nemit: true",
    ),
    Case(
        "transaction ids without performance schema",
        (T,),
        "t:",
        ("INSERT INTO t VALUES (1, 1)",),
        top="transaction: true",
        options=("--performance-schema=OFF",),
        only=("mysql",),
    ),
    Case(
        "transaction ids without binlog",
        (T,),
        "t:",
        ("INSERT INTO t VALUES (1, 1)",),
        top="transaction: true",
        options=("--skip-log-bin",),
    ),
    Case(
        "set insert_id",
        (T,),
        "t:",
        (
            "SET INSERT_ID = 500",
            "INSERT INTO t VALUES (1, 1)",
            "SELECT id FROM {outbox}.events",
            "SET INSERT_ID = 500",
            "INSERT INTO t VALUES (2, 2)",
        ),
    ),
    Case(
        "a condition that fails",
        (
            "CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT, n INT UNSIGNED,"
            " s VARCHAR(9), j LONGTEXT)",
        ),
        "{t: {when: {insert: NEW.a / NEW.b > 1}}}",
        ("INSERT INTO t VALUES (1, 1, 0, 1, 'x', '{}')",),
    ),
    Case(
        "a condition that fails: mod",
        ("CREATE TABLE t (id INT PRIMARY KEY, s VARCHAR(9))",),
        "{t: {when: {insert: NEW.s = 5}}}",
        ("INSERT INTO t VALUES (1, 'x')",),
    ),
    Case(
        "a condition that fails: cast",
        ("CREATE TABLE t (id INT PRIMARY KEY, s VARCHAR(9))",),
        "{t: {when: {insert: CAST(NEW.s AS UNSIGNED) > 5}}}",
        ("INSERT INTO t VALUES (1, 'x')",),
    ),
    Case(
        "a condition that fails: unsigned",
        ("CREATE TABLE t (id INT PRIMARY KEY, n INT UNSIGNED)",),
        "{t: {when: {update: NEW.n - OLD.n > 5}}}",
        ("INSERT INTO t VALUES (1, 9)", "UPDATE t SET n = 1"),
    ),
    Case(
        "a condition that fails: json",
        ("CREATE TABLE t (id INT PRIMARY KEY, s VARCHAR(9))",),
        "{t: {when: {insert: \"JSON_EXTRACT(NEW.s, '$.a') = 1\"}}}",
        ("INSERT INTO t VALUES (1, 'x')",),
    ),
    Case(
        "a condition that fails: date",
        ("CREATE TABLE t (id INT PRIMARY KEY, s VARCHAR(9))",),
        "{t: {when: {insert: NEW.s > CAST('2026-01-01' AS DATE)}}}",
        ("INSERT INTO t VALUES (1, 'x')",),
    ),
    Case(
        "a stored function",
        (
            T,
            "CREATE FUNCTION {schema}.f (a INT) RETURNS INT DETERMINISTIC NO SQL"
            " RETURN a > 1",
        ),
        "{t: {when: {insert: '{schema}.f(NEW.v)'}}}",
        (
            "INSERT INTO t VALUES (1, 2)",
            "DROP FUNCTION f",
            "INSERT INTO t VALUES (2, 2)",
            "2: INSERT INTO t VALUES (3, 2)",
        ),
    ),
    Case(
        "a condition that is NULL",
        (T,),
        "{t: {when: {insert: NEW.v > 5}}}",
        ("INSERT INTO t VALUES (1, NULL)", "INSERT INTO t VALUES (2, 6)"),
    ),
    Case(
        "hash",
        ("CREATE TABLE t (id INT PRIMARY KEY, s VARCHAR(30))",),
        "{t: {redact: {s: hash}}}",
        ("INSERT INTO t VALUES (1, 'canary-7'), (2, 'canary-7'), (3, NULL)",),
    ),
    Case(
        "bypass",
        (T, ROWS),
        "t:",
        (
            "SET @evtrig_off = 'nightly-import'",
            "INSERT INTO t VALUES (4, 4), (5, 5)",
            "BEGIN",
            "UPDATE t SET v = 0",
            "DELETE FROM t WHERE id = 1",
            "COMMIT",
            "SET @evtrig_off = NULL",
            "DELETE FROM t WHERE id = 2",
        ),
        top="bypass: nightly-import",
    ),
    Case(
        "a failed statement, REPEATABLE READ",
        (T, ROWS),
        "t:",
        (
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "BEGIN",
            "INSERT INTO t VALUES (4, 4), (1, 1)",
            "2: SET SESSION innodb_lock_wait_timeout = 1",
            "2: INSERT INTO t VALUES (9, 9)",
            "ROLLBACK",
        ),
    ),
    Case(
        "a failed statement, READ COMMITTED",
        (T, ROWS),
        "t:",
        (
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            "BEGIN",
            "INSERT INTO t VALUES (4, 4), (1, 1)",
            "2: SET SESSION innodb_lock_wait_timeout = 1",
            "2: INSERT INTO t VALUES (9, 9)",
            "ROLLBACK",
        ),
    ),
    Case(
        "two ids in one transaction",
        (T, "CREATE SEQUENCE numbers CACHE 2"),
        "t:",
        (
            "BEGIN",
            "INSERT INTO t VALUES (1, 1)",
            "SELECT NEXT VALUE FOR numbers",
            "INSERT INTO t VALUES (2, 2)",
            "COMMIT",
        ),
        top="transaction: true",
        only=("mariadb",),
    ),
    Case(
        "a context of another type",
        (T,),
        "t:",
        (
            "SET @evtrig_context = 1",
            "INSERT INTO t VALUES (1, 1)",
            """SET @evtrig_context = '{"actor":"alice"}'""",
            "INSERT INTO t VALUES (2, 2)",
        ),
    ),
    Case(
        "the insert id of an upsert",
        (
            "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, u INT UNIQUE, v INT)",
            "INSERT INTO t VALUES (7, 1, 1)",
        ),
        "t:",
        (
            "INSERT INTO t (u, v) VALUES (1, 1)"
            " ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id)",
            "INSERT INTO t (u, v) VALUES (1, 2)"
            " ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), v = VALUES(v)",
        ),
    ),
    Case(
        "the insert id of an upsert, without triggers",
        (
            "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, u INT UNIQUE, v INT)",
            "INSERT INTO t VALUES (7, 1, 1)",
        ),
        "",
        (
            "INSERT INTO t (u, v) VALUES (1, 1)"
            " ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id)",
        ),
    ),
    Case(
        "a counter in a user variable",
        (
            T,
            "CREATE TRIGGER t_i AFTER INSERT ON t FOR EACH ROW"
            " SET @n = COALESCE(@n, 0) + 1",
        ),
        "",
        (
            "BEGIN",
            "INSERT INTO t VALUES (1, 1)",
            "SAVEPOINT a",
            "INSERT INTO t VALUES (2, 2)",
            "ROLLBACK TO SAVEPOINT a",
            "INSERT INTO t VALUES (3, 3), (1, 1)",
            "SELECT @n, COUNT(*) FROM t",
            "COMMIT",
        ),
    ),
)


def run(case: Case, name: str, server: ThrowawayServer, number: int) -> None:
    print(f"\n### {case.title}: {name}")
    if not case.look:
        one(case, case.statements, server, f"limit_{number}")
        return
    for index, statement in enumerate(case.statements):
        statements = (*statement.split("; "), case.look)
        if not one(case, statements, server, f"limit_{number}_{index}"):
            return


def one(
    case: Case, statements: tuple[str, ...], server: ThrowawayServer, schema: str
) -> bool:
    outbox = f"{schema}_outbox"
    folder = str(server.folder) if isinstance(server, LocalServer) else "/tmp"  # noqa: S108

    def filled(statement: str) -> str:
        return (
            statement.replace("{folder}", folder)
            .replace("{outbox}", outbox)
            .replace("{schema}", schema)
        )

    with Connection(Dsn.parse(server.dsn)) as root:
        root.execute(f"CREATE SCHEMA {schema}")
        dsn = Dsn.parse(server.dsn_of(schema))
        with Connection(dsn) as first, Connection(dsn) as second:
            for statement in case.setup:
                first.execute(filled(statement))
            if case.spec and not installed(root, case, schema, outbox):
                return False
            for statement in statements:
                print(f"    {filled(statement)}")
                session = second if statement.startswith("2: ") else first
                print(f"        {execute(session, filled(statement))}")
                for event in events(root, outbox) if case.spec else ():
                    print(f"        → {event}")
        if case.title == "hash" and isinstance(server, LocalServer):
            for file in sorted(Path(server.folder, "data").glob("binlog.0*")):
                print(
                    f"    clear text in the binlog: {b'canary-7' in file.read_bytes()}"
                )
    return True


def installed(root: Connection, case: Case, schema: str, outbox: str) -> bool:
    below = case.spec.replace("{schema}", schema)
    tables = f"\n  {below}" if below.endswith(":") else f" {below}"
    top = f"version: 1\nschema: {schema}\noutbox: {outbox}\n{case.top}"
    try:
        apply(root, prepare(root, parse(f"{top}\ntables:{tables}\n", path="limits")))
    except EvtrigError as error:
        print(f"    install refuses: {error.message}\n    {error.hint}")
        return False
    root.execute(f"CREATE TABLE {outbox}.seen (id BIGINT UNSIGNED PRIMARY KEY)")
    return True


def execute(session: Connection, statement: str) -> str:
    statement = statement.removeprefix("2: ")
    try:
        if statement.startswith("SELECT"):
            return str([tuple(row) for row in session.rows(statement)])
        affected = session.execute(statement)
        if "LAST_INSERT_ID" in statement:
            sent = session.last_insert_id
            value = session.value("SELECT LAST_INSERT_ID()")
            return f"{affected} rows, insert id {sent}, LAST_INSERT_ID() {value}"
        return f"{affected} rows"
    except DatabaseError as error:
        return f"ERROR {error.number}: {error.message}"


def events(root: Connection, outbox: str) -> list[str]:
    """Those that other sessions see and have not been printed yet."""
    rows = root.rows(
        f"SELECT id, type, `key`, `before`, `after`, `transaction`, context"
        f" FROM {outbox}.events WHERE id NOT IN (SELECT id FROM {outbox}.seen)"
        " ORDER BY id"
    )
    for row in rows:
        root.execute(f"INSERT INTO {outbox}.seen VALUES (%s)", (row[0],))
    return [" ".join(str(value) for value in row[1:]) for row in rows]


def main() -> None:
    wanted = sys.argv[1:]
    cases = [case for case in CASES if not wanted or case.title in wanted]
    kinds: tuple[tuple[str, str, tuple[str, ...]], ...] = (
        ("mysql", "mysql", ()),
        ("mariadb", "mariadb", ()),
        ("native", "mysql", ("--innodb-native-foreign-keys=ON",)),
        (
            "switch",
            "mysql",
            ("--innodb-native-foreign-keys=OFF", "--enable-cascade-triggers=ON"),
        ),
    )
    found = {c.family: c for c in survey().candidates}
    for name, family, options in kinds:
        if family not in found:
            continue
        with found[family].start(*options) as server:
            print(f"\n## {name}: {server.server}")
            for number, case in enumerate(cases):
                if name not in case.only:
                    continue
                if case.options:
                    with found[family].start(*case.options) as special:
                        run(case, name, special, number)
                else:
                    run(case, name, server, number)


if __name__ == "__main__":
    main()
