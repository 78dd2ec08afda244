"""`evtrig check`: each finding where there is something to find, and none elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable

import pymysql
import pytest

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.server import ThrowawayServer
from evtrig.triggers.check import Finding, check, check_expressions
from evtrig.triggers.install import apply, prepare
from evtrig.triggers.spec import Spec, parse

Connect = Callable[..., pymysql.Connection]


def spec_of(schema: str, outbox: str, tables: dict[str, object]) -> Spec:
    head = {"version": 1, "schema": schema, "outbox": outbox, "definer": "current_user"}
    return parse(json.dumps({**head, "tables": tables}), path="evtrig.yml")


def install(server: ThrowawayServer, spec: Spec) -> None:
    with Connection(Dsn.parse(server.dsn)) as connection:
        apply(connection, prepare(connection, spec))


def found(server: ThrowawayServer, spec: Spec) -> tuple[Finding, ...]:
    with Connection(Dsn.parse(server.dsn)) as connection:
        return check(connection, spec)


def faults(server: ThrowawayServer, spec: Spec) -> list[Finding]:
    return [finding for finding in found(server, spec) if finding.is_fault]


def run(connect: Connect, *statements: str) -> None:
    cursor = connect().cursor()
    for statement in statements:
        cursor.execute(statement)


def test_nothing_is_wrong_after_an_install(
    server: ThrowawayServer, schema: str, outbox: str, connect: Connect
) -> None:
    run(connect, "CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    spec = spec_of(schema, outbox, {"t": {}})
    install(server, spec)
    findings = found(server, spec)
    # What no server can do is said all the same, and is no reason to fail.
    assert {finding.severity for finding in findings} == {"notice"}
    text = "\n".join(finding.problem for finding in findings)
    assert "TRUNCATE" in text
    assert ("transaction_isolation" in text) == (server.name == "mysql")


def test_a_missing_trigger_is_found_and_install_mends_it(
    server: ThrowawayServer, schema: str, outbox: str, connect: Connect
) -> None:
    run(connect, "CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    spec = spec_of(schema, outbox, {"t": {}})
    install(server, spec)
    cursor = connect().cursor()
    cursor.execute(
        "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = %s"
        " AND event_manipulation = 'UPDATE'",
        (schema,),
    )
    (name,) = cursor.fetchone()
    cursor.execute(f"DROP TRIGGER {name}")
    (finding,) = faults(server, spec)
    assert (finding.severity, finding.object) == ("error", f"{schema}.t")
    assert "after update on t" in finding.problem
    assert finding.mend == "evtrig install"
    install(server, spec)
    assert faults(server, spec) == []


def test_a_database_without_anything_is_an_error_for_the_outbox_and_each_table(
    server: ThrowawayServer, schema: str, outbox: str, connect: Connect
) -> None:
    run(connect, "CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    findings = faults(server, spec_of(schema, outbox, {"t": {}}))
    assert {finding.severity for finding in findings} == {"error"}
    assert [finding.object for finding in findings] == [outbox, f"{schema}.t"]
    assert "create schema" in findings[0].problem
    assert "create trigger" in findings[1].problem
    assert "2 steps more" in findings[1].problem


def test_a_dropped_column_is_an_error_because_writes_fail(
    server: ThrowawayServer, schema: str, outbox: str, connect: Connect
) -> None:
    run(connect, "CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    columns = {"id": "int", "v": "int"}
    spec = spec_of(schema, outbox, {"t": {"columns": columns}})
    install(server, spec)
    run(connect, "ALTER TABLE t DROP COLUMN v")
    (finding,) = faults(server, spec)
    assert finding.severity == "error"
    assert "has no column v" in finding.problem
    assert "every write" in finding.consequence


def test_a_column_that_the_spec_does_not_know_is_a_warning(
    server: ThrowawayServer, schema: str, outbox: str, connect: Connect
) -> None:
    run(connect, "CREATE TABLE t (id INT PRIMARY KEY)")
    spec = spec_of(schema, outbox, {"t": {"columns": {"id": "int"}}})
    install(server, spec)
    assert faults(server, spec) == []
    run(connect, "ALTER TABLE t ADD COLUMN v INT")
    (finding,) = faults(server, spec)
    assert finding.severity == "warning"
    assert "also has v int" in finding.problem


def test_a_partitioned_table_is_noticed(
    server: ThrowawayServer, schema: str, outbox: str, connect: Connect
) -> None:
    run(
        connect,
        "CREATE TABLE plain (id INT PRIMARY KEY)",
        "CREATE TABLE parts (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2",
    )
    spec = spec_of(schema, outbox, {"plain": {}, "parts": {}})
    install(server, spec)
    partitioned = [f.object for f in found(server, spec) if "partitioned" in f.problem]
    assert partitioned == [f"{schema}.parts"]


@pytest.mark.parametrize("shadow", ["_t_gho", "_t_new", "_t_old"])
def test_the_table_of_an_online_schema_change_is_a_warning(
    shadow: str, server: ThrowawayServer, schema: str, outbox: str, connect: Connect
) -> None:
    run(connect, "CREATE TABLE t (id INT PRIMARY KEY)")
    spec = spec_of(schema, outbox, {"t": {}})
    install(server, spec)
    run(connect, f"CREATE TABLE {shadow} (id INT PRIMARY KEY)")
    (finding,) = faults(server, spec)
    assert finding.severity == "warning"
    assert shadow in finding.problem
    run(connect, f"DROP TABLE {shadow}")
    assert faults(server, spec) == []


def test_a_table_that_was_swapped_is_an_error(
    server: ThrowawayServer, schema: str, outbox: str, connect: Connect
) -> None:
    """The triggers stay with the old table: capture has stopped without an error."""
    run(connect, "CREATE TABLE t (id INT PRIMARY KEY)")
    spec = spec_of(schema, outbox, {"t": {}})
    install(server, spec)
    run(
        connect,
        "CREATE TABLE _t_new LIKE t",
        "RENAME TABLE t TO _t_old, _t_new TO t",
    )
    errors = [f for f in faults(server, spec) if f.severity == "error"]
    assert any("has been renamed" in finding.problem for finding in errors)
    assert any("_t_old" in finding.problem for finding in errors)


def test_every_way_of_a_foreign_key_into_a_captured_table_is_listed(
    server: ThrowawayServer, schema: str, outbox: str, connect: Connect
) -> None:
    reference = "FOREIGN KEY (up) REFERENCES"
    run(
        connect,
        "CREATE TABLE top (id INT PRIMARY KEY)",
        f"CREATE TABLE middle (id INT PRIMARY KEY, up INT, {reference} top (id)"
        " ON DELETE CASCADE)",
        f"CREATE TABLE low (id INT PRIMARY KEY, up INT, {reference} middle (id)"
        " ON DELETE CASCADE ON UPDATE CASCADE)",
        f"CREATE TABLE free (id INT PRIMARY KEY, up INT, {reference} top (id))",
    )
    spec = spec_of(schema, outbox, {"low": {}, "free": {}, "top": {}})
    install(server, spec)
    findings = faults(server, spec)
    assert {(f.severity, f.object) for f in findings} == {("warning", f"{schema}.low")}
    text = "\n".join(finding.problem for finding in findings)
    assert f"{schema}.top → {schema}.middle → {schema}.low" in text
    assert f"{schema}.middle → {schema}.low" in text
    assert "ON UPDATE CASCADE" in text
    mends = {f.mend for f in findings if "ON DELETE" in f.problem}
    captured = spec_of(
        schema, outbox, {"low": {"cascades": "capture"}, "free": {}, "top": {}}
    )
    if has_switch(connect):
        assert all("enable_cascade_triggers = ON" in mend for mend in mends)
        # And nothing else will do: the server carries foreign keys out in a way of
        # its own, which a trigger cannot imitate.
        (finding,) = faults(server, captured)
        assert finding.severity == "error"
        assert "innodb_native_foreign_keys is OFF" in finding.problem
    else:
        assert all("cascades: capture" in mend for mend in mends)
        install(server, captured)
        left = faults(server, captured)
        assert [f for f in left if "(ON DELETE" in f.problem] == []
        assert [f for f in left if "ON UPDATE" in f.problem]


def has_switch(connect: Connect) -> bool:
    cursor = connect().cursor()
    cursor.execute("SHOW VARIABLES LIKE 'enable\\_cascade\\_triggers'")
    return cursor.fetchone() is not None


def test_an_expression_that_fails_for_some_rows_is_an_error_without_their_values(
    server: ThrowawayServer, schema: str, outbox: str, connect: Connect
) -> None:
    run(
        connect,
        "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))",
        "INSERT INTO t VALUES (1, '1'), (2, 'secret'), (3, NULL)",
    )
    when = "CAST(NEW.v AS UNSIGNED) > 5"
    spec = spec_of(schema, outbox, {"t": {"when": {"update": when}}})
    with Connection(Dsn.parse(server.dsn)) as connection:
        findings = check_expressions(connection, spec, 10)
    if server.name == "mariadb":
        # It warns and goes on, so no write fails.
        assert findings == ()
        return
    (finding,) = findings
    assert finding.severity == "error"
    assert "1 of 3 rows on update" in finding.problem
    assert "secret" not in finding.problem
