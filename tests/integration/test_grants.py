"""`evtrig grants`: with what it prints every role does its work, and without any single
line of it something is missing and somebody is told."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import golden
import pymysql
import pytest
from click.testing import CliRunner, Result
from pymysql.constants import CLIENT

from evtrig.cli import main
from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.server import ThrowawayServer
from evtrig.errors import DatabaseError, EvtrigError, PreflightError
from evtrig.relay.outbox import Outbox
from evtrig.relay.privilege import lacking
from evtrig.triggers.capture import resolve
from evtrig.triggers.check import Finding, check
from evtrig.triggers.check.finding import sql
from evtrig.triggers.install import apply, prepare, tables_of
from evtrig.triggers.installed import inspect
from evtrig.triggers.patience import Patience
from evtrig.triggers.scratch import scratch_schema, try_expressions
from evtrig.triggers.spec import Spec, parse
from evtrig.triggers.sql import account as quoted
from evtrig.triggers.sql import ident, qualified
from evtrig.triggers.uninstall import Removal, uninstall

#: Wildcards, quotes of every kind and another script; the second has every option.
ODD = "a_b%c`d 'e\" 注文\\"

OPTIONS = {
    "transaction": True,
    "bypass": "nightly-import",
    "db_user": True,
    "emit": True,
}


@dataclass
class World:
    """A schema to capture from, and accounts that have what `evtrig grants` prints."""

    server: ThrowawayServer
    schema: str
    outbox: str
    #: By role; each test has its own.
    accounts: dict[str, str]
    execute: Callable[..., tuple]
    top: dict[str, object] = field(default_factory=dict)
    tables: dict[str, object] = field(default_factory=lambda: {"orders": {}})

    def text(self, **changes: object) -> str:
        definer = f"{self.accounts['definer']}@localhost"
        head = {"version": 1, "schema": self.schema, "outbox": self.outbox}
        whole = {**head, "definer": definer, **self.top, "tables": self.tables}
        return json.dumps({**whole, **changes})

    def spec(self, **changes: object) -> Spec:
        return parse(self.text(**changes), path="evtrig.yml")

    def table(self, name: str) -> str:
        return qualified(self.schema, name)

    def events(self) -> str:
        return qualified(self.outbox, "events")

    def print(self, *arguments: str) -> str:
        accounts = [
            f"--account={role}={name}@%"
            for role, name in self.accounts.items()
            if role not in ("definer", "app")
        ]
        return golden.printed(
            self.text(), "grants", *arguments, *accounts, dsn=self.server.dsn
        )

    def grants(self, role: str) -> list[dict[str, str]]:
        (assigned,) = json.loads(self.print(role, "--json"))
        return assigned["grants"]

    def grants_on(self, role: str, tables: tuple[str, ...]) -> list[dict[str, str]]:
        """Those on these tables of the outbox, of which each has some."""
        places = {qualified(self.outbox, table) for table in tables}
        found = [grant for grant in self.grants(role) if grant["on"] in places]
        assert {grant["on"] for grant in found} == places
        return found

    def prepare_accounts(self, *roles: str) -> None:
        """Run what is printed, whole, as an administrator; let them in."""
        run_script(self.server, self.print(*roles))
        for role in roles:
            if role != "definer":
                user = self.accounts[role]
                self.execute(f"ALTER USER {user}@'%' IDENTIFIED BY 'pw' ACCOUNT UNLOCK")

    def without(self, grant: dict[str, str], role: str) -> Without:
        host = "localhost" if role == "definer" else "%"
        return Without(self, grant, quoted(self.accounts[role], host))

    def dsn(self, role: str) -> str:
        port = Dsn.parse(self.server.dsn).port
        return f"mysql://{self.accounts[role]}:pw@127.0.0.1:{port}"

    def connection(self, role: str) -> Connection:
        return Connection(Dsn.parse(self.dsn(role)))

    def install(self, **changes: object) -> None:
        with self.connection("installer") as connection:
            apply(connection, prepare(connection, self.spec(**changes)))

    def check(self) -> tuple[Finding, ...]:
        with self.connection("status") as connection:
            return check(connection, self.spec())

    def uninstall(self, connection: Connection) -> Removal:
        return uninstall(
            connection,
            outbox=self.outbox,
            schemas=[self.schema],
            has_emit="emit" in self.top,
        )

    def relay(self, path: Path) -> Result:
        arguments = ["relay", "--drain", "--outbox", self.outbox]
        return CliRunner().invoke(
            main,
            [*arguments, "--sink", f"file:{path}"],
            env={"EVTRIG_DSN": self.dsn("relay")},
        )

    def put_aside(self) -> None:
        """As a relay does whose sink refuses everything; it may not delete here."""
        dead_letters = qualified(self.outbox, "dead_letters")
        with self.connection("relay") as connection:
            connection.execute(
                f"INSERT INTO {dead_letters} SELECT e.*, TRUE, 'refused', 1, NULL,"
                f" NULL, NULL, UTC_TIMESTAMP(6) FROM {self.events()} AS e"
            )
            connection.execute(f"DELETE FROM {self.events()}")

    def operate(self, *arguments: str, role: str = "operator") -> Result:
        return CliRunner().invoke(
            main,
            ["dead-letters", *arguments, "--outbox", self.outbox],
            env={"EVTRIG_DSN": self.dsn(role)},
        )

    def dead(self) -> int:
        dead_letters = qualified(self.outbox, "dead_letters")
        return self.execute(f"SELECT COUNT(*) FROM {dead_letters}")[0][0]

    def snapshot(self) -> None:
        """What a backfill through the outbox would send, if by hand."""
        with self.connection("snapshot") as connection:
            salt = "'no salt'"
            if any("salts" in grant["on"] for grant in self.grants("snapshot")):
                salts = qualified(self.outbox, "salts")
                salt = f"(SELECT `value` FROM {salts})"
            for table in self.tables:
                connection.execute(
                    f"INSERT INTO {self.events()} (`uid`, `type`, `source`,"
                    " `operation`, `captured_at`, `key`, `after`)"
                    " SELECT UUID_SHORT(), 'x', 'x',"
                    " 'read', UTC_TIMESTAMP(6), JSON_OBJECT('id', `id`),"
                    f" JSON_OBJECT('salted', SHA2({salt}, 256))"
                    f" FROM {self.table(table)}"
                )

    def write(self) -> None:
        """Change a row in every way as the application, and use every option."""
        with self.connection("app") as app:
            orders = self.table("orders")
            app.execute(f"INSERT INTO {orders} VALUES (1, 'a'), (2, 'b')")
            app.execute(f"UPDATE {orders} SET note = 'c' WHERE id = 1")
            if "bypass" in self.top:
                app.execute("SET @evtrig_off = 'nightly-import'")
                app.execute(f"UPDATE {orders} SET note = 'd' WHERE id = 1")
                app.execute("SET @evtrig_off = NULL")
            app.execute(f"DELETE FROM {orders}")
            if "emit" in self.top:
                emit = qualified(self.outbox, "emit")
                app.execute(f"CALL {emit}('T', '{{\"id\": 1}}', '{{}}')")
            if "lines" in self.tables:
                app.execute(f"INSERT INTO {orders} VALUES (3, 'x')")
                app.execute(f"INSERT INTO {self.table('lines')} VALUES (1, 3), (2, 3)")
                app.execute(f"INSERT INTO {self.table('notes')} VALUES (1, 3)")
                app.execute(f"DELETE FROM {orders}")

    def operations(self) -> list[str]:
        rows = self.execute(f"SELECT `operation` FROM {self.events()} ORDER BY `id`")
        return [operation for (operation,) in rows]

    def triggers(self) -> tuple:
        return self.execute(
            "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema"
            " = %s ORDER BY 1",
            (self.schema,),
        )


@dataclass
class Without:
    """An account without one of its privileges, for a moment."""

    world: World
    grant: dict[str, str]
    account: str

    def __enter__(self) -> None:
        privilege, on = self.grant["privilege"], self.grant["on"]
        self.world.execute(f"REVOKE {privilege} ON {on} FROM {self.account}")

    def __exit__(self, *_: object) -> None:
        self.world.execute(self.grant["sql"])


def blindness(findings: tuple[Finding, ...]) -> list[Finding]:
    return [finding for finding in findings if finding.code == "not-looked-at"]


def run_script(server: ThrowawayServer, script: str) -> None:
    dsn = Dsn.parse(server.dsn)
    with (
        pymysql.connect(
            host=dsn.host,
            port=dsn.port,
            user=dsn.user,
            password=dsn.password,
            client_flag=CLIENT.MULTI_STATEMENTS,
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(script)
        while cursor.nextset():
            pass


@pytest.fixture
def make(
    server: ThrowawayServer, schema: str, outbox: str, connect, trusting: None
) -> Iterator[Callable[..., World]]:
    """``make(odd=, full=)``: a world, without triggers."""
    cursor = connect().cursor()
    made: list[World] = []

    def execute(sql: str, arguments: object = None) -> tuple:
        cursor.execute(sql, arguments)
        return tuple(cursor.fetchall())

    def make(*, odd: bool = False, full: bool = False) -> World:
        roles = ("installer", *AFTERWARDS)
        accounts = {role: f"{role[:4]}_{secrets.token_hex(4)}" for role in roles}
        accounts["app"] = f"app_{secrets.token_hex(4)}"
        tag = secrets.token_hex(2)
        name, box = (f"{ODD} {tag}", f"o{ODD} {tag}") if odd else (schema, outbox)
        world = World(server, name, box, accounts, execute)
        made.append(world)
        if odd:
            execute(f"CREATE DATABASE {ident(name)} CHARACTER SET utf8mb4")
        orders = world.table("orders")
        execute(f"CREATE TABLE {orders} (id INT PRIMARY KEY, note VARCHAR(20))")
        app = accounts["app"]
        execute(f"CREATE USER {app}@'%' IDENTIFIED BY 'pw'")
        rights = "SELECT, INSERT, UPDATE, DELETE"
        execute(f"GRANT {rights} ON {orders} TO {app}@'%'")
        if not full:
            return world
        world.top = OPTIONS
        function = qualified(name, "is_of_interest")
        execute(
            f"CREATE FUNCTION {function} (note TEXT) RETURNS INT DETERMINISTIC NO SQL"
            " RETURN note <> 'nothing'"
        )
        when = f"{function}(NEW.note)"
        event = {"type": "Came", "on": "insert", "when": when}
        world.tables = {"orders": {"redact": {"note": "hash"}, "events": [event]}}
        if server.name == "mariadb":
            # MySQL 9.7 refuses `cascades: capture`, unless InnoDB does it.
            for child, action in (("lines", "CASCADE"), ("notes", "SET NULL")):
                execute(
                    f"CREATE TABLE {world.table(child)} (id INT PRIMARY KEY, parent"
                    f" INT, FOREIGN KEY (parent) REFERENCES {orders} (id) ON DELETE"
                    f" {action})"
                )
                execute(f"GRANT INSERT ON {world.table(child)} TO {app}@'%'")
                world.tables[child] = {"cascades": "capture"}
        # That of emit, for everybody who is to call it.
        pattern = ident(
            box.replace("\\", "\\\\").replace("_", r"\_").replace("%", r"\%")
        )
        execute(f"GRANT EXECUTE ON {pattern}.* TO {app}@'%'")
        return world

    yield make
    for world in made:
        for role, user in world.accounts.items():
            host = "localhost" if role == "definer" else "%"
            execute(f"DROP USER IF EXISTS {quoted(user, host)}")
        for name in (world.schema, world.outbox):
            if name not in (schema, outbox):
                execute(f"DROP DATABASE IF EXISTS {ident(name)}")


AFTERWARDS = ("definer", "relay", "snapshot", "status", "operator", "uninstaller")


@pytest.fixture(params=["plain", "odd", "full", "odd and full"])
def world(request: pytest.FixtureRequest, make: Callable[..., World]) -> World:
    return make(odd="odd" in request.param, full="full" in request.param)


@pytest.fixture
def whole(make: Callable[..., World]) -> World:
    """With every option, installed, and with every account."""
    world = make(full=True)
    world.prepare_accounts("installer")
    world.install()
    world.prepare_accounts(*AFTERWARDS)
    return world


# With it


def test_with_what_is_printed_every_role_does_its_work(
    world: World, tmp_path: Path
) -> None:
    world.prepare_accounts("installer")
    # Another procedure, and other triggers of orders, than the spec asks for.
    tables = {**world.tables, "orders": {"images": "key"}}
    world.install(tables=tables, db_user=False)
    first = world.triggers()
    world.install()
    assert len(set(world.triggers()) - set(first)) >= 3
    with world.connection("installer") as connection:
        assert prepare(connection, world.spec()).steps == ()
    world.prepare_accounts(*AFTERWARDS)
    world.write()
    before = world.operations()
    assert {"insert", "update", "delete"} <= set(before)
    assert {"emit", "gap"} <= set(before) or not world.top
    findings = world.check()
    assert [f for f in findings if f.severity == "error"] == []
    assert blindness(findings) == []
    world.execute(f"INSERT INTO {world.table('orders')} VALUES (7, 'x')")
    world.snapshot()
    waiting = len(world.operations())
    world.put_aside()
    assert "dead-letters" in {finding.code for finding in world.check()}
    assert world.operate("list", role="status").exit_code == 0
    for command in ("list", "export", "retry"):
        ended = world.operate(command, "--all")
        assert ended.exit_code == 0, ended.output
    assert (len(world.operations()), world.dead()) == (waiting, 0)
    ended = world.relay(tmp_path / "events")
    assert ended.exit_code == 0, ended.output
    assert len((tmp_path / "events").read_text().splitlines()) == waiting
    assert world.operations() == []
    with world.connection("uninstaller") as connection:
        removal = world.uninstall(connection)
    assert removal.outbox_dropped
    assert world.triggers() == ()


def test_what_is_printed_can_be_run_again(whole: World) -> None:
    """Nobody's password is changed by that, and nobody is locked out."""
    run_script(whole.server, whole.print("installer", *AFTERWARDS))
    for role in ("installer", *AFTERWARDS[1:]):
        with whole.connection(role) as connection:
            assert connection.value("SELECT 1") == 1


def test_the_script_and_the_json_grant_the_same(whole: World) -> None:
    for role in ("installer", *AFTERWARDS):
        host = "localhost" if role == "definer" else "%"
        name = quoted(whole.accounts[role], host)
        by_script = sorted(whole.execute(f"SHOW GRANTS FOR {name}"))
        for grant in whole.grants(role):
            privilege, on = grant["privilege"], grant["on"]
            whole.execute(f"REVOKE {privilege} ON {on} FROM {name}")
        # On the procedure that it has created (automatic_sp_privileges).
        left = [
            line
            for (line,) in whole.execute(f"SHOW GRANTS FOR {name}")
            if " ON PROCEDURE " not in line and "GRANT USAGE ON *.* " not in line
        ]
        assert left == []
        for grant in whole.grants(role):
            whole.execute(grant["sql"])
        assert sorted(whole.execute(f"SHOW GRANTS FOR {name}")) == by_script


def test_a_new_account_is_locked_until_it_has_a_password(make) -> None:
    world = make()
    run_script(world.server, world.print("installer"))
    with pytest.raises(DatabaseError), world.connection("installer"):
        pass


def test_what_is_printed_for_the_definer_is_what_install_grants(make) -> None:
    world = make(full=True)
    world.prepare_accounts("installer")
    world.install()
    name = quoted(world.accounts["definer"], "localhost")
    installed = sorted(world.execute(f"SHOW GRANTS FOR {name}"))
    world.execute(f"DROP USER {name}")
    world.prepare_accounts("definer")
    assert sorted(world.execute(f"SHOW GRANTS FOR {name}")) == installed


def test_status_sees_no_row_of_a_captured_table(whole: World) -> None:
    with whole.connection("status") as connection:
        for statement in (
            f"SELECT * FROM {whole.table('orders')}",
            f"SELECT `value` FROM {qualified(whole.outbox, 'salts')}",
            f"DELETE FROM {whole.events()}",
            *(
                f"SELECT `{column}` FROM {qualified(whole.outbox, 'dead_letters')}"
                for column in ("key", "before", "after", "context")
            ),
        ):
            with pytest.raises(DatabaseError) as caught:
                connection.execute(statement)
            assert caught.value.number in (1142, 1143)


# Without one of them


def test_each_grant_that_the_installer_lacks_is_named_before_the_first_trigger(
    make,
) -> None:
    world = make(full=True)
    world.prepare_accounts("installer")
    for grant in world.grants("installer"):
        with (
            world.without(grant, "installer"),
            world.connection("installer") as connection,
            pytest.raises(PreflightError) as caught,
        ):
            apply(connection, prepare(connection, world.spec()))
        assert f"lacks the privilege {grant['privilege']}" in str(caught.value)
        assert world.triggers() == ()
    world.install()
    assert world.triggers() != ()


def test_without_any_grant_of_the_installer_its_statements_fail(make) -> None:
    """So what is asked for beforehand is not asked for in vain."""
    world = make(full=True)
    world.prepare_accounts("installer")
    spec = world.spec()
    with Connection(Dsn.parse(world.server.dsn)) as root:
        plan = prepare(root, spec)
        captures = resolve(spec, tables_of(root, spec), root.server)

        def carry_out() -> None:
            """What follows a preflight that has found nothing."""
            with world.connection("installer") as connection:
                try_expressions(connection, captures, outbox=world.outbox)
                apply(connection, plan)

        for grant in world.grants("installer"):
            if grant["why"].startswith(("to see whether", "to see whose")):
                continue
            with world.without(grant, "installer"), pytest.raises(EvtrigError):
                carry_out()
            uninstall(root, outbox=world.outbox)
            definer = quoted(world.accounts["definer"], "localhost")
            world.execute(f"DROP USER IF EXISTS {definer}")
            world.execute(
                f"DROP DATABASE IF EXISTS {ident(scratch_schema(world.outbox))}"
            )
        carry_out()
    world.write()


def test_with_the_optional_grants_an_installer_names_who_is_in_the_way(
    make, connect
) -> None:
    """Without them it says what that takes."""
    world = make()
    world.prepare_accounts("installer")
    holder = connect(autocommit=False)
    with holder.cursor() as cursor:
        cursor.execute("SELECT * FROM orders")
    impatient = Patience(seconds=1)
    said = []
    for grants in ([], optional(world.print("installer"))):
        for grant in grants:
            world.execute(grant)
        with world.connection("installer") as connection:
            todo = prepare(connection, world.spec())
            with pytest.raises(EvtrigError) as caught:
                apply(connection, todo, patience=impatient)
        said.append(caught.value.message)
    holder.rollback()
    assert "privilege PROCESS" in said[0]
    assert f"connection {holder.thread_id()} of root@localhost" in said[1]


def test_status_sees_what_is_wrong_with_the_outbox(whole: World) -> None:
    whole.execute(f"DELETE FROM {qualified(whole.outbox, 'event_polling_state')}")
    trigger = qualified(whole.outbox, "somebody_s")
    whole.execute(
        f"CREATE TRIGGER {trigger} BEFORE INSERT ON {whole.events()} FOR EACH ROW"
        " SET @seen = 1"
    )
    codes = {finding.code for finding in whole.check() if finding.severity == "error"}
    assert {"outbox-missing", "outbox-trigger"} <= codes


def test_a_relay_takes_a_dsn_that_names_the_schema_of_the_application(
    whole: World,
) -> None:
    """On which its account has no privilege."""
    whole.execute(f"INSERT INTO {whole.table('orders')} (id) VALUES (7)")
    url = Dsn.parse(whole.dsn("relay"))
    dsn = replace(url, schema=whole.schema)
    with pytest.raises(DatabaseError):
        Connection(dsn)
    box = Outbox.connect(dsn, whole.outbox, ttl=10)
    assert box.read(10)
    box.close()


def test_no_grant_makes_an_account_that_anybody_could_log_in_with(
    whole: World,
) -> None:
    """The installer does not see that the definer is gone; MariaDB would make it."""
    definer = whole.accounts["definer"]
    whole.execute(f"DROP USER {quoted(definer, 'localhost')}")
    whole.execute(f"CREATE TABLE {whole.table('more')} (id INT PRIMARY KEY)")
    whole.tables = {**whole.tables, "more": {}}
    with pytest.raises(EvtrigError) as caught:
        whole.install()
    assert caught.value.hint
    users = whole.execute("SELECT user FROM mysql.user")
    assert (definer,) not in users


def optional(script: str) -> list[str]:
    """The statements of a script that stand in comments."""
    lines = script.splitlines()
    found = [line[7:].rstrip(";") for line in lines if line.startswith("--     GRANT")]
    assert found
    return found


def test_who_may_not_see_the_procedure_would_replace_it_each_time(
    whole: World,
) -> None:
    """Which is why the installer gets a privilege just to see it."""
    (grant,) = (
        grant
        for grant in whole.grants("installer")
        if grant["why"].startswith("to see whether")
    )
    with (
        whole.without(grant, "installer"),
        whole.connection("installer") as connection,
    ):
        installed = inspect(connection, (), outbox=whole.outbox, definer=None)
    with whole.connection("installer") as connection:
        seen = inspect(connection, (), outbox=whole.outbox, definer=None)
    assert seen.emit is not None
    assert installed.emit != seen.emit


def test_each_grant_that_the_relay_lacks_is_named_before_anything_is_published(
    whole: World, tmp_path: Path
) -> None:
    whole.write()
    before = whole.operations()
    for grant in whole.grants("relay"):
        path = tmp_path / grant["privilege"]
        with whole.without(grant, "relay"):
            ended = whole.relay(path)
        assert ended.exit_code == 1
        wanted = f"{grant['privilege']} ON {grant['on']}"
        assert f"lacks the privilege {wanted}; nothing was published" in ended.stderr
        assert f"\n  → {grant['sql']}\n" in ended.stderr
        assert not path.exists() or path.read_text() == ""
        assert whole.operations() == before


def test_all_that_the_relay_lacks_is_said_at_once_and_the_hint_mends_it(
    whole: World, tmp_path: Path
) -> None:
    for grant in whole.grants("relay"):
        name = quoted(whole.accounts["relay"], "%")
        whole.execute(f"REVOKE {grant['privilege']} ON {grant['on']} FROM {name}")
    ended = whole.relay(tmp_path / "events")
    assert ended.exit_code == 1
    for grant in whole.grants("relay"):
        assert grant["sql"] in ended.stderr
        whole.execute(grant["sql"])
    assert whole.relay(tmp_path / "events").exit_code == 0


def test_each_grant_on_dead_letters_that_an_account_lacks_can_be_asked_for(
    whole: World,
) -> None:
    names = {"dead_letters": qualified(whole.outbox, "dead_letters")}
    with whole.connection("relay") as connection:
        assert lacking(connection, names) is None
    for grant in whole.grants_on("relay", ("dead_letters",)):
        with whole.without(grant, "relay"), whole.connection("relay") as connection:
            error = lacking(connection, names)
        assert error is not None
        assert f"lacks the privilege {grant['privilege']} ON " in error.message
        assert error.hint == grant["sql"]


def test_each_grant_that_the_operator_lacks_is_named_before_anything_is_put_back(
    whole: World,
) -> None:
    whole.write()
    whole.put_aside()
    before = whole.dead()
    for grant in whole.grants("operator"):
        with whole.without(grant, "operator"):
            ended = whole.operate("retry", "--all")
        assert ended.exit_code == 1
        wanted = f"{grant['privilege']} ON {grant['on']}"
        assert f"lacks the privilege {wanted}; nothing was changed" in ended.stderr
        assert f"\n  → {grant['sql']}\n" in ended.stderr
        assert (whole.operations(), whole.dead()) == ([], before)
    assert whole.operate("retry", "--all").exit_code == 0
    assert whole.dead() == 0


def test_who_may_only_look_discards_nothing(whole: World) -> None:
    whole.write()
    whole.put_aside()
    before = whole.dead()
    for role, lacking_ in (("relay", "DELETE"), ("status", "SELECT")):
        ended = whole.operate("discard", "--all", "--yes", role=role)
        assert ended.exit_code == 1
        assert f"lacks the privilege {lacking_} ON" in ended.stderr
    ended = whole.operate("export", role="status")
    assert ended.stdout == ""
    assert "lacks the privilege SELECT ON" in ended.stderr
    assert whole.dead() == before


def test_each_grant_that_status_lacks_is_said_and_check_runs(whole: World) -> None:
    assert blindness(whole.check()) == []
    for grant in whole.grants("status"):
        with whole.without(grant, "status"):
            findings = whole.check()
        (blind,) = blindness(findings)
        assert blind.code == "not-looked-at"
        assert f"lacks the privilege {grant['privilege']}" in blind.problem
        assert (blind.object, blind.mend) == (grant["on"], sql(grant["sql"]))
        # What cannot be seen is not taken for missing.
        assert [f for f in findings if f.severity == "error"] == []


def test_an_account_that_may_see_nothing_is_told_so_by_check(whole: World) -> None:
    for grant in whole.grants("status"):
        name = quoted(whole.accounts["status"], "%")
        whole.execute(f"REVOKE {grant['privilege']} ON {grant['on']} FROM {name}")
    findings = whole.check()
    named = [finding.object for finding in blindness(findings)]
    assert named == [grant["on"] for grant in whole.grants("status")]


def test_without_any_grant_of_the_definer_a_write_fails(whole: World) -> None:
    """So none of them is too much."""
    whole.write()
    whole.execute(f"DELETE FROM {whole.events()}")
    for grant in whole.grants("definer"):
        with whole.without(grant, "definer"), pytest.raises(DatabaseError):
            whole.write()
        for table in ("lines", "notes", "orders"):
            if table in whole.tables:
                whole.execute("SET @evtrig_off = NULL")
                whole.execute(f"DELETE FROM {whole.table(table)}")


def test_without_any_grant_of_the_snapshot_its_sql_fails(whole: World) -> None:
    whole.snapshot()
    for grant in whole.grants("snapshot"):
        with whole.without(grant, "snapshot"), pytest.raises(DatabaseError):
            whole.snapshot()


def test_each_grant_that_the_uninstaller_lacks_is_named_before_anything_is_dropped(
    whole: World,
) -> None:
    before = whole.triggers()
    for grant in whole.grants("uninstaller"):
        with (
            whole.without(grant, "uninstaller"),
            whole.connection("uninstaller") as connection,
            pytest.raises(PreflightError) as caught,
        ):
            whole.uninstall(connection)
        assert f"lacks the privilege {grant['privilege']} on" in str(caught.value)
        assert whole.triggers() == before
        whole.execute(f"SELECT 1 FROM {whole.events()}")
