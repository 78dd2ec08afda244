"""`evtrig check`: the server, other triggers, foreign keys, and what it may not see."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pymysql
import pytest
from acceptance.user import wait_for
from click.testing import CliRunner, Result
from integration.checked import Checked

from evtrig.cli import main
from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.mysqld import Mysqld, Program
from evtrig.demo.server import LocalServer
from evtrig.triggers.check import SEVERITIES, check

T = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))"


@contextlib.contextmanager
def own_server(program: Program, folder: Path, *options: str) -> Iterator[Checked]:
    """A server of the test's own, with a captured table."""
    with LocalServer(Mysqld(program, options)) as server:
        dsn = Dsn.parse(server.dsn)
        with contextlib.closing(
            pymysql.connect(
                host=dsn.host, port=dsn.port, user=dsn.user, autocommit=True
            )
        ) as connection:
            connection.cursor().execute("CREATE DATABASE test_shop")
            connection.select_db("test_shop")
            yield Checked(server, "test_shop", "test_outbox", folder, connection)


# Settings


def test_settings_of_the_server(program: Program, tmp_path: Path) -> None:
    with own_server(program, tmp_path) as checked:
        checked.capture(T, t={})
        checked.comes_and_goes(
            "auto-increment-increment",
            lambda: checked.run("SET GLOBAL auto_increment_increment = 2"),
        )
        checked.comes_and_goes(
            "binlog-statement",
            lambda: checked.run("SET GLOBAL binlog_format = 'STATEMENT'"),
        )
        checked.comes_and_goes(
            "read-only",
            lambda: checked.run("SET GLOBAL read_only = ON"),
            lambda: checked.run("SET GLOBAL read_only = OFF"),
        )
        assert checked.faults() == []
        if not checked.is_mariadb:
            (found,) = checked.of("isolation")
            checked.mend(found)
        assert checked.of("isolation") == []


def test_a_replica(program: Program, tmp_path: Path) -> None:
    with (
        LocalServer(Mysqld(program, ("--server-id=12",))) as source,
        own_server(program, tmp_path, "--server-id=13") as checked,
    ):
        checked.capture(T, t={})
        port = Dsn.parse(source.dsn).port
        follow = (
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1',"
            f" SOURCE_USER = 'root', SOURCE_PORT = {port}, GET_SOURCE_PUBLIC_KEY = 1"
        )
        name = "REPLICA"
        if checked.is_mariadb:
            follow = (
                "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_USER = 'root',"
                f" MASTER_PORT = {port}"
            )
            name = "SLAVE"

        def start() -> None:
            checked.run(follow, f"START {name}")
            with Connection(Dsn.parse(checked.server.dsn)) as connection:
                wait_for(lambda: connection.is_replica)

        checked.comes_and_goes("replica", start, lambda: checked.run(f"STOP {name}"))


def test_transactions_that_are_not_watched(program: Program, tmp_path: Path) -> None:
    if program.server.is_mariadb:
        pytest.skip("MariaDB takes the id from the binary log")
    with own_server(program, tmp_path) as checked:
        checked.capture(T, t={"transaction": True})
        for damage in (
            "setup_instruments SET enabled = 'NO' WHERE name = 'transaction'",
            "setup_instruments SET timed = 'NO' WHERE name = 'transaction'",
            "setup_consumers SET enabled = 'NO'"
            " WHERE name = 'events_transactions_current'",
            "setup_consumers SET enabled = 'NO' WHERE name = 'thread_instrumentation'",
        ):
            statement = f"UPDATE performance_schema.{damage}"
            checked.run("DELETE FROM t", f"DELETE FROM {checked.outbox}.events")

            def switch_off(statement: str = statement) -> None:
                checked.run(statement, "INSERT INTO t VALUES (1, 'a')")
                ids = f"SELECT transaction FROM {checked.outbox}.events"
                assert checked.run(ids) == ((None,),)

            checked.comes_and_goes("transaction-ids", switch_off)
        checked.run("UPDATE performance_schema.setup_instruments SET enabled = 'NO'")
        checked.put(t={})
        assert checked.of("transaction-ids") == []


def test_a_server_that_cannot_tell_transactions_apart(
    program: Program, tmp_path: Path
) -> None:
    without = {"mysql": "--performance-schema=OFF", "mariadb": "--skip-log-bin"}
    family = program.server.family
    with own_server(program, tmp_path, without[family]) as checked:
        checked.capture(T, t={})
        assert checked.faults() == []
        checked.put(t={"transaction": True})
        (found,) = checked.of("transaction-ids")
        assert found.mend[0].by == "advice"
    with own_server(program, tmp_path) as checked:
        checked.capture(T, t={"transaction": True})
        assert checked.of("transaction-ids") == []


# Triggers of somebody else


def test_an_other_trigger_is_noticed_with_its_order(checked: Checked) -> None:
    checked.capture(T, "CREATE TABLE log (id INT)", t={})
    found = checked.comes_and_goes(
        "other-trigger",
        lambda: checked.run(
            "CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW SET NEW.v = 'x'",
            "CREATE TRIGGER y AFTER INSERT ON t FOR EACH ROW INSERT INTO log VALUES"
            " (NEW.id)",
        ),
        lambda: checked.run("DROP TRIGGER x", "DROP TRIGGER y"),
    )
    assert "x before insert, before evtrig's" in found.problem
    assert "y after insert, after evtrig's" in found.problem


def test_an_effect_whose_event_comes_before_that_of_its_cause(
    checked: Checked,
) -> None:
    """And not any more when the trigger follows evtrig's, as check says."""
    create = (
        "CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW{} INSERT INTO u VALUES (1)"
    )
    checked.run(T, "CREATE TABLE u (id INT PRIMARY KEY)", create.format(""))
    checked.put(t={}, u={})
    checked.install()
    (found,) = checked.of("trigger-order")
    assert found.object == f"{checked.schema}.t"
    assert effects(checked) == ["u", "t"]

    def follow() -> None:
        follows = f" FOLLOWS {checked.trigger('insert', 't')}"
        assert follows.strip() in found.mend[0].text.replace("`", "")
        checked.run("DROP TRIGGER x", create.format(follows))

    checked.mend(found, follow)
    assert checked.of("trigger-order") == []
    assert effects(checked) == ["t", "u"]
    # A new generation does not come after it.
    checked.put(t={"exclude": ["v"]}, u={})
    checked.install()
    assert checked.of("trigger-order") == []


def effects(checked: Checked) -> list[str]:
    checked.run(
        "DELETE FROM t",
        "DELETE FROM u",
        f"DELETE FROM {checked.outbox}.events",
        "INSERT INTO t VALUES (1, 'a')",
    )
    rows = checked.run(f"SELECT source FROM {checked.outbox}.events ORDER BY id")
    return [source.partition(".")[2] for (source,) in rows]


def test_a_trigger_that_writes_to_the_outbox(checked: Checked) -> None:
    checked.capture(T, t={})
    checked.comes_and_goes(
        "trigger-on-outbox",
        lambda: checked.run(
            "CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW"
            f" DELETE FROM `{checked.outbox}`.events"
        ),
    )


# Foreign keys


REFERENCE = "FOREIGN KEY (up) REFERENCES"


def test_every_way_of_a_foreign_key_into_a_captured_table_is_listed(
    checked: Checked,
) -> None:
    checked.run(
        "CREATE TABLE top (id INT PRIMARY KEY)",
        f"CREATE TABLE middle (id INT PRIMARY KEY, up INT, {REFERENCE} top (id)"
        " ON DELETE CASCADE)",
        f"CREATE TABLE low (id INT PRIMARY KEY, up INT, {REFERENCE} middle (id)"
        " ON DELETE CASCADE ON UPDATE CASCADE)",
        f"CREATE TABLE free (id INT PRIMARY KEY, up INT, {REFERENCE} top (id))",
    )
    checked.put(low={}, free={}, top={})
    checked.install()
    found = checked.of("cascade")
    assert {f.object for f in found} == {f"{checked.schema}.low"}
    text = "\n".join(finding.problem for finding in found)
    at = checked.schema
    assert f"{at}.top → {at}.middle → {at}.low" in text
    assert f"{at}.middle → {at}.low" in text
    assert "ON UPDATE CASCADE" in text


def test_a_foreign_key_that_the_engine_carries_out(
    program: Program, tmp_path: Path
) -> None:
    native = () if program.server.is_mariadb else ("--innodb-native-foreign-keys=ON",)
    with own_server(program, tmp_path, *native) as checked:
        on = "ON DELETE CASCADE ON UPDATE CASCADE"
        checked.capture(
            "CREATE TABLE p (id INT PRIMARY KEY)",
            f"CREATE TABLE c (id INT PRIMARY KEY, up INT, {REFERENCE} p (id) {on})",
            c={},
        )
        found = checked.of("cascade")
        assert len(found) == 2
        for finding in found:
            checked.mend(finding, lambda: checked.put(c={"cascades": "capture"}))
        assert checked.of("cascade") == []
        assert checked.faults() == []
        # What it does nothing for is said.
        assert checked.of("cascade-note") == []
        checked.run("ALTER TABLE c DROP FOREIGN KEY c_ibfk_1")
        assert len(checked.of("cascade-note")) == 1


def test_a_foreign_key_that_the_server_carries_out(
    program: Program, tmp_path: Path
) -> None:
    if program.server.is_mariadb or program.server.version < (9, 6):
        pytest.skip("only MySQL from 9.6 on carries foreign keys out by itself")
    with own_server(program, tmp_path) as checked:
        checked.capture(
            "CREATE TABLE p (id INT PRIMARY KEY)",
            f"CREATE TABLE c (id INT PRIMARY KEY, up INT, {REFERENCE} p (id)"
            " ON DELETE CASCADE)",
            c={},
        )
        checked.comes_and_goes(
            "cascade-refused",
            lambda: checked.put(c={"cascades": "capture"}),
            lambda: checked.put(c={}),
        )
        assert checked.of("cascade-switch") == []
        (found,) = checked.of("cascade")
        checked.mend(found)
        assert checked.of("cascade") == []
        assert len(checked.of("cascade-switch")) == 1


# What it may not see


@pytest.fixture
def reader(checked: Checked) -> Iterator[Callable[..., str]]:
    """``reader(*grants)``: the DSN of an account with these privileges."""
    name = f"reader_{checked.schema.removeprefix('test_')}"

    def dsn(*grants: str) -> str:
        checked.run(f"DROP USER IF EXISTS {name}", f"CREATE USER {name}")
        checked.run(f"ALTER USER {name} IDENTIFIED BY 'pw'")
        for grant in grants:
            checked.run(f"GRANT {grant} TO {name}")
        url = urlsplit(checked.server.dsn)
        return url._replace(netloc=f"{name}:pw@{url.netloc.split('@')[-1]}").geturl()

    yield dsn
    checked.run(f"DROP USER IF EXISTS {name}")


def test_what_an_account_may_not_see_is_said_with_the_grants_for_it(
    checked: Checked, reader: Callable[..., str]
) -> None:
    checked.head["emit"] = True
    checked.capture(
        T, t={"redact": {"v": "hash"}, "transaction": True, "columns": COLUMNS}
    )
    grants: list[str] = [f"REFERENCES ON `{checked.schema}`.*"]
    # Each run says what else it takes, until nothing is left; it never fails.
    for _ in range(5):
        findings = checked.findings(dsn=reader(*grants))
        assert {f.code for f in findings if f.is_fault} == set()
        hidden = [f for f in findings if f.code == "not-looked-at"]
        if not hidden:
            break
        lacking = [mend.text for finding in hidden for mend in finding.mend]
        assert all(text.startswith("GRANT ") for text in lacking)
        grants += [text[6:].rpartition(" TO ")[0] for text in lacking]
    assert not hidden
    as_root = [(f.code, f.object) for f in checked.findings()]
    assert {f.code for f in findings} == {code for code, _ in as_root}


COLUMNS = {"id": "int", "v": "varchar(40)"}


def test_the_least_account_sees_what_is_wrong_with_the_tables(
    checked: Checked, reader: Callable[..., str]
) -> None:
    checked.capture(T, t={"columns": COLUMNS})
    dsn = reader(f"TRIGGER, REFERENCES ON `{checked.schema}`.*")
    checked.run("ALTER TABLE t DROP COLUMN v")
    assert [f.code for f in checked.findings(dsn=dsn) if f.is_fault] == ["column-lost"]


def test_a_table_without_its_triggers_in_sight_is_not_called_uncaptured(
    checked: Checked, reader: Callable[..., str]
) -> None:
    checked.capture(T, t={})
    dsn = reader(f"REFERENCES ON `{checked.schema}`.*")
    findings = checked.findings(dsn=dsn)
    assert [f.code for f in findings if f.is_fault] == []
    hidden = {f.object for f in findings if f.code == "not-looked-at"}
    assert {f"`{checked.schema}`.*", f"`{checked.outbox}`.`events`"} <= {
        what.replace("\\_", "_") for what in hidden
    }


# The command


def command(checked: Checked, *arguments: str) -> Result:
    assert checked.spec
    return CliRunner().invoke(
        main,
        ["check", "--spec", str(checked.path), *arguments],
        env={"EVTRIG_DSN": checked.server.dsn},
    )


def test_the_command_exits_with_3_for_faults_and_prints_them_as_json(
    checked: Checked,
) -> None:
    checked.capture(T, t={})
    assert command(checked).exit_code == 0
    checked.run(f"DROP TRIGGER {checked.trigger()}")
    ended = command(checked)
    assert ended.exit_code == 3
    assert "[trigger-missing]" in ended.output
    assert f"→ evtrig install --spec {checked.path}" in ended.output
    assert "1 error, " in ended.output
    found = json.loads(command(checked, "--json").output)
    assert found[0]["code"] == "trigger-missing"
    assert found[0]["severity"] == "error"
    assert found[0]["mend"][0]["by"] == "shell"


def test_the_command_leaves_out_what_is_ignored(checked: Checked) -> None:
    checked.capture(T, t={})
    checked.run(f"DROP TRIGGER {checked.trigger()}")
    for ignored in ("trigger-missing", f"trigger-missing:{checked.schema}.t"):
        ended = command(checked, "--ignore", ignored, "--ignore", "truncate")
        assert ended.exit_code == 0
        assert "trigger-missing" not in ended.output
        assert "[truncate]" not in ended.output
    assert command(checked, "--ignore", "trigger-missing:x.y").exit_code == 3
    ended = command(checked, "--ignore", "triger-missing")
    assert ended.exit_code == 2
    everything = [part for code in SEVERITIES for part in ("--ignore", code)]
    assert "nothing found" in command(checked, *everything).output


def test_odd_names_come_quoted_out_of_every_mend(checked: Checked) -> None:
    name = "o'd `d\\ %s"
    quoted = "`" + name.replace("`", "``") + "`"
    checked.capture(f"CREATE TABLE {quoted} (id INT PRIMARY KEY)", **{name: {}})
    checked.comes_and_goes(
        "table-engine", lambda: checked.run(f"ALTER TABLE {quoted} ENGINE = MyISAM")
    )
    checked.comes_and_goes(
        "trigger-missing", lambda: checked.run(f"DROP TRIGGER {checked.trigger()}")
    )
    checked.comes_and_goes(
        "key-missing",
        lambda: checked.run(f"ALTER TABLE {quoted} DROP PRIMARY KEY"),
    )


# Many tables


def test_the_number_of_queries_does_not_depend_on_the_number_of_tables(
    checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    for count in (3, 30):
        names = [f"t{n}" for n in range(count)]
        checked.capture(
            *(f"CREATE TABLE IF NOT EXISTS {n} (id INT PRIMARY KEY)" for n in names),
            **{name: {} for name in names},
        )
        spec, queries = checked.spec, 0
        rows, execute = Connection.rows, Connection.execute

        def counted(method: Callable) -> Callable:
            def call(*arguments: object) -> object:
                nonlocal queries
                queries += 1
                return method(*arguments)

            return call

        with Connection(Dsn.parse(checked.server.dsn)) as connection:
            monkeypatch.setattr(Connection, "rows", counted(rows))
            monkeypatch.setattr(Connection, "execute", counted(execute))
            assert [f for f in check(connection, spec) if f.is_fault] == []
            monkeypatch.undo()
        counts.append(queries)
    assert counts[0] == counts[1]
    assert 10 < counts[0] <= 40
