"""Accounts: what an installer, a definer, a relay and an application need.

The least that suffices, and one message before anything is changed if it is less.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import golden
import pymysql
import pytest

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.server import ThrowawayServer
from evtrig.errors import EvtrigError, PreflightError
from evtrig.triggers.install import apply, prepare
from evtrig.triggers.spec import Spec, parse
from evtrig.triggers.uninstall import uninstall

#: SELECT on a table no column of which it may see, and so on: in MySQL's own order.
DENIED = (1142, 1143, 1044, 1045)


@dataclass(frozen=True)
class Place:
    """One server with a table, an outbox name and a definer of the test's own."""

    server: ThrowawayServer
    schema: str
    outbox: str
    definer: str
    execute: Callable[[str], tuple]

    @property
    def is_mariadb(self) -> bool:
        return self.server.name == "mariadb"

    def text(
        self, definer: str | None = None, *, top: str = "", table: str = ""
    ) -> str:
        return (
            f"version: 1\nschema: {self.schema}\noutbox: {self.outbox}\n"
            f"definer: {definer or self.definer}\n{top}tables:\n  orders: {table}\n"
        )

    def spec(self, definer: str | None = None) -> Spec:
        return parse(self.text(definer), path="evtrig.yml")

    def dsn(self, user: str, schema: str | None = None) -> str:
        url = urlsplit(self.server.dsn_of(schema) if schema else self.server.dsn)
        place = url.netloc.rpartition("@")[2]
        return url._replace(netloc=f"{user}:pw@{place}").geturl()

    def connection(self, user: str) -> Connection:
        return Connection(Dsn.parse(self.dsn(user)))

    def as_root(self) -> Connection:
        return Connection(Dsn.parse(self.server.dsn))

    def state(self) -> tuple:
        """Everything that an install changes."""
        schemas = (self.schema, self.outbox)
        return (
            self.execute(
                "SELECT table_schema, table_name, table_type FROM"
                f" information_schema.tables WHERE table_schema IN {schemas}"
                " ORDER BY 1, 2"
            ),
            self.execute(
                "SELECT trigger_schema, trigger_name FROM information_schema.triggers"
                f" WHERE trigger_schema IN {schemas} ORDER BY 1, 2"
            ),
            self.execute(
                "SELECT schema_name FROM information_schema.schemata"
                f" WHERE schema_name IN {schemas} ORDER BY 1"
            ),
            self.execute("SELECT user, host FROM mysql.user ORDER BY 1, 2"),
        )


@pytest.fixture
def place(
    server: ThrowawayServer, schema: str, outbox: str, connect
) -> Iterator[Place]:
    cursor = connect().cursor()

    def execute(sql: str) -> tuple:
        cursor.execute(sql)
        return tuple(cursor.fetchall())

    user = f"d_{secrets.token_hex(4)}"
    execute("CREATE TABLE orders (id INT PRIMARY KEY, note VARCHAR(20))")
    yield Place(server, schema, outbox, f"{user}@localhost", execute)
    execute(f"DROP USER IF EXISTS {user}@localhost")


@pytest.fixture
def account(place: Place) -> Iterator[Callable[..., str]]:
    """``account(*grants)``: a new account with exactly these grants."""
    made: list[str] = []

    def account(*grants: str) -> str:
        made.append(f"a_{secrets.token_hex(4)}")
        place.execute(f"CREATE USER {made[-1]}@'%' IDENTIFIED BY 'pw'")
        for grant in grants:
            place.execute(f"GRANT {grant} TO {made[-1]}@'%'")
        return made[-1]

    yield account
    for name in made:
        place.execute(f"DROP USER {name}@'%'")


@contextlib.contextmanager
def setting(place: Place, name: str, value: str) -> Iterator[None]:
    """A global variable of the shared server, for a moment."""
    ((before,),) = place.execute(f"SELECT @@GLOBAL.{name}")
    place.execute(f"SET GLOBAL {name} = {value}")
    try:
        yield
    finally:
        before = f"'{before}'" if isinstance(before, str) else before
        place.execute(f"SET GLOBAL {name} = {before}")


def needed(place: Place, text: str | None = None) -> list[str]:
    """Every privilege that installing needs, as `evtrig grants` prints it, such as
    ``SELECT ON `shop`.`orders```."""
    printed = golden.printed(
        text or place.text(), "grants", "installer", "--json", dsn=place.server.dsn
    )
    (installer,) = json.loads(printed)
    return [f"{grant['privilege']} ON {grant['on']}" for grant in installer["grants"]]


def without(grants: list[str], start: str) -> list[str]:
    """All but the one that starts so."""
    kept = [grant for grant in grants if not grant.startswith(start)]
    assert len(kept) == len(grants) - 1
    return kept


def refused(place: Place, user: str, spec: Spec | None = None) -> PreflightError:
    """What an install by ``user`` says, having changed nothing."""
    before = place.state()
    with place.connection(user) as connection, pytest.raises(PreflightError) as caught:
        apply(connection, prepare(connection, spec or place.spec()))
    assert place.state() == before
    assert all(message and hint for message, hint in caught.value.problems)
    return caught.value


def write(place: Place) -> list[str]:
    """Change a row in every way; the operations that the outbox has of it."""
    place.execute("INSERT INTO orders VALUES (1, 'a')")
    place.execute("UPDATE orders SET note = 'b'")
    place.execute("DELETE FROM orders")
    rows = place.execute(f"SELECT operation FROM {place.outbox}.events ORDER BY id")
    return [operation for (operation,) in rows]


# The installer


@pytest.mark.usefixtures("trusting")
def test_exactly_what_is_needed_suffices(place: Place, account) -> None:
    user = account(*needed(place))
    with place.connection(user) as connection:
        apply(connection, prepare(connection, place.spec()))
    assert write(place) == ["insert", "update", "delete"]


@pytest.mark.usefixtures("trusting")
def test_each_missing_privilege_is_named_before_anything_changes(
    place: Place, account
) -> None:
    for name in needed(place):
        grants = [grant for grant in needed(place) if grant != name]
        error = refused(place, account(*grants))
        lacked = name.replace(" ON ", " on ", 1)
        # Of a table without any privilege on it nothing is seen.
        assert f"lacks the privilege {lacked}" in str(error) or (
            name.startswith("SELECT") and "lacks the privilege SELECT" in str(error)
        )


@pytest.mark.usefixtures("trusting")
def test_every_hint_is_a_statement_and_together_they_mend_it(
    place: Place, account
) -> None:
    user = account(f"SELECT, TRIGGER ON `{place.schema}`.`orders`")
    for _, hint in refused(place, user).problems:
        place.execute(hint.partition(";")[0])
    with place.connection(user) as connection:
        apply(connection, prepare(connection, place.spec()))
    assert write(place) == ["insert", "update", "delete"]


def test_an_account_without_any_privilege_is_told_so(place: Place, account) -> None:
    error = refused(place, account())
    assert place.schema in f"{error.message} {error.hint}"


def test_everything_that_is_missing_is_said_at_once(place: Place, account) -> None:
    schema = place.schema.replace("_", r"\_")
    error = refused(place, account(f"SELECT ON `{schema}`.*"))
    text = str(error)
    for privilege in ("CREATE", "CREATE USER", "TRIGGER", "GRANT OPTION", "1419"):
        assert privilege in text


def test_without_super_the_binary_log_needs_a_setting(place: Place, account) -> None:
    user = account(*needed(place))
    with setting(place, "log_bin_trust_function_creators", "0"):
        error = refused(place, user)
    assert "1419" in error.message
    assert "log_bin_trust_function_creators" in (error.hint or "")


def test_super_needs_no_setting_and_may_name_any_definer(place: Place, account) -> None:
    user = account(*without(needed(place), "SET"), "SUPER ON *.*")
    with (
        setting(place, "log_bin_trust_function_creators", "0"),
        place.connection(user) as connection,
    ):
        apply(connection, prepare(connection, place.spec()))
    assert write(place) == ["insert", "update", "delete"]


@pytest.mark.usefixtures("trusting")
def test_privileges_through_a_role_count(place: Place, account) -> None:
    role = f"r_{secrets.token_hex(4)}"
    user = account()
    place.execute(f"CREATE ROLE {role}")
    try:
        for grant in needed(place):
            place.execute(f"GRANT {grant} TO {role}")
        place.execute(f"GRANT {role} TO {user}@'%'")
        for_user = "FOR" if place.is_mariadb else "TO"
        place.execute(f"SET DEFAULT ROLE {role} {for_user} {user}@'%'")
        with place.connection(user) as connection:
            apply(connection, prepare(connection, place.spec()))
        assert write(place) == ["insert", "update", "delete"]
    finally:
        place.execute(f"DROP ROLE {role}")


@pytest.mark.usefixtures("trusting")
def test_a_role_that_is_not_active_does_not_count(place: Place, account) -> None:
    role = f"r_{secrets.token_hex(4)}"
    user = account()
    place.execute(f"CREATE ROLE {role}")
    try:
        place.execute(f"GRANT ALL ON *.* TO {role}")
        place.execute(f"GRANT {role} TO {user}@'%'")
        refused(place, user)
    finally:
        place.execute(f"DROP ROLE {role}")


@pytest.mark.usefixtures("trusting")
def test_a_second_install_by_the_same_account_changes_nothing(
    place: Place, account
) -> None:
    """Also if it may not look into the schema ``mysql`` for the definer's grants."""
    user = account(*needed(place))
    with place.connection(user) as connection:
        apply(connection, prepare(connection, place.spec()))
        again = prepare(connection, place.spec())
        assert [s.title for s in again.steps if s.kind in ("trigger", "drop")] == []
        apply(connection, again)
    assert write(place) == ["insert", "update", "delete"]


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("definer", ["an account", "current_user"])
def test_an_outbox_that_is_there_does_not_spare_its_privileges(
    place: Place, account, definer: str
) -> None:
    """Nothing has to be put into it, but the triggers' owner has to be allowed to."""
    with place.as_root() as connection:
        apply(connection, prepare(connection, place.spec("current_user")))
        uninstall(connection, outbox=place.outbox, keep_outbox=True)
    user = account(*without(needed(place), "INSERT"))
    spec = place.spec(None if definer == "an account" else definer)
    assert "INSERT" in str(refused(place, user, spec))


@pytest.mark.usefixtures("trusting")
def test_who_may_see_some_columns_only_does_not_capture_a_part(
    place: Place, account
) -> None:
    table = f"ON `{place.schema}`.`orders`"
    grants = without(needed(place), f"SELECT {table}")
    error = refused(place, account(*grants, f"SELECT (id) {table}"))
    assert f"{place.schema}" in str(error)
    assert "SELECT" in str(error)


# The definer


@pytest.mark.usefixtures("trusting")
def test_the_current_user_as_definer_needs_no_account_to_be_created(
    place: Place, account
) -> None:
    user = account(*needed(place, place.text("current_user")))
    with place.connection(user) as connection:
        apply(connection, prepare(connection, place.spec("current_user")))
        assert prepare(connection, place.spec("current_user")).steps == ()
    assert write(place) == ["insert", "update", "delete"]


@pytest.mark.usefixtures("trusting")
def test_a_current_user_who_may_not_do_what_its_triggers_do_is_refused(
    place: Place, account
) -> None:
    """Triggers of a definer who may not insert make every write fail."""
    grants = needed(place, place.text("current_user"))
    for name in grants:
        user = account(*(other for other in grants if other != name))
        refused(place, user, place.spec("current_user"))
    place.execute("INSERT INTO orders VALUES (1, 'a')")


def test_the_definer_is_locked_and_may_do_no_more_than_it_needs(
    place: Place,
) -> None:
    with place.as_root() as connection:
        apply(connection, prepare(connection, place.spec()))
    user, host = place.definer.split("@")
    rows = place.execute(f"SHOW GRANTS FOR {user}@{host}")
    grants = sorted(row[0].partition(" TO ")[0] for row in rows)
    assert [grant for grant in grants if "USAGE" not in grant] == [
        f"GRANT INSERT ON `{place.outbox}`.`events`",
        f"GRANT SELECT, TRIGGER ON `{place.schema}`.`orders`",
    ]
    with pytest.raises(EvtrigError), place.connection(user):
        pass


def test_a_definer_that_was_dropped_is_put_back(place: Place) -> None:
    with place.as_root() as connection:
        apply(connection, prepare(connection, place.spec()))
        place.execute(f"DROP USER {place.definer}")
        with pytest.raises(pymysql.OperationalError, match="1449"):
            place.execute("INSERT INTO orders VALUES (1, 'a')")
        apply(connection, prepare(connection, place.spec()))
    assert write(place) == ["insert", "update", "delete"]


def test_a_grant_that_was_revoked_is_put_back(place: Place) -> None:
    with place.as_root() as connection:
        apply(connection, prepare(connection, place.spec()))
        place.execute(f"REVOKE INSERT ON {place.outbox}.events FROM {place.definer}")
        steps = prepare(connection, place.spec()).steps
        assert [step.kind for step in steps] == ["grant"]
        apply(connection, prepare(connection, place.spec()))
    assert write(place) == ["insert", "update", "delete"]


def test_another_definer_takes_over_without_a_gap(place: Place, account) -> None:
    other = account()
    with place.as_root() as connection:
        apply(connection, prepare(connection, place.spec()))
        apply(connection, prepare(connection, place.spec(f"{other}@%")))
        assert prepare(connection, place.spec(f"{other}@%")).steps == ()
    owners = place.execute(
        "SELECT DISTINCT definer FROM information_schema.triggers"
        f" WHERE trigger_schema = '{place.schema}'"
    )
    assert owners == ((f"{other}@%",),)
    assert write(place) == ["insert", "update", "delete"]


# The application


def test_an_application_needs_nothing_but_its_own_table(place: Place, account) -> None:
    with place.as_root() as connection:
        apply(connection, prepare(connection, place.spec()))
    user = account(
        f"SELECT, INSERT, UPDATE, DELETE ON `{place.schema}`.`orders`",
    )
    with place.connection(user) as application:
        orders = f"{place.schema}.orders"
        application.execute(f"INSERT INTO {orders} VALUES (1, 'a'), (2, 'b')")
        application.execute(f"UPDATE {orders} SET note = 'c' WHERE id = 1")
        application.execute(f"DELETE FROM {orders} WHERE id = 2")
        for statement in (
            f"SELECT * FROM {place.outbox}.events",
            f"INSERT INTO {place.outbox}.events (uid) VALUES (1)",
            f"DELETE FROM {place.outbox}.events",
        ):
            with pytest.raises(EvtrigError) as caught:
                application.execute(statement)
            assert caught.value.number in DENIED
    rows = place.execute(
        f"SELECT operation, `key` FROM {place.outbox}.events ORDER BY id"
    )
    assert [(operation, json.loads(key)) for operation, key in rows] == [
        ("insert", {"id": 1}),
        ("insert", {"id": 2}),
        ("update", {"id": 1}),
        ("delete", {"id": 2}),
    ]


# With every option


#: By what of the spec asks for it.
OPTIONS = {
    "hash": ("", "{redact: {note: hash}}"),
    "transaction": ("transaction: true\n", ""),
    "bypass": ("bypass: nightly-import\n", ""),
    "emit": ("emit: true\n", ""),
    "everything": (
        "transaction: true\nbypass: nightly-import\nemit: true\ndb_user: true\n",
        "{redact: {note: hash}, events: [{type: Came, on: insert}]}",
    ),
}


def optional(place: Place, option: str) -> str:
    top, table = OPTIONS[option]
    return place.text(top=top, table=table)


def spec_with(place: Place, option: str) -> Spec:
    return parse(optional(place, option), path="evtrig.yml")


#: What MySQL's id of a transaction is read from.
TRANSACTIONS = ("threads", "events_transactions_current")


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("option", OPTIONS)
def test_what_an_option_needs_suffices_to_install_it(
    place: Place, account, option: str
) -> None:
    user = account(*needed(place, optional(place, option)))
    with place.connection(user) as connection:
        apply(connection, prepare(connection, spec_with(place, option)))
    wanted = ["insert", "update", "delete"]
    if option == "everything":
        wanted.insert(0, "insert")
    assert write(place) == wanted


@pytest.mark.usefixtures("trusting")
def test_each_privilege_that_the_options_lack_is_named_before_anything_changes(
    place: Place, account
) -> None:
    grants = needed(place, optional(place, "everything"))
    for name in grants:
        user = account(*(other for other in grants if other != name))
        error = refused(place, user, spec_with(place, "everything"))
        assert f"lacks the privilege {name.partition(' ON ')[0]}" in str(error), name


def test_the_definer_may_do_what_the_options_need_and_no_more(place: Place) -> None:
    with place.as_root() as connection:
        apply(connection, prepare(connection, spec_with(place, "everything")))
        assert prepare(connection, spec_with(place, "everything")).steps == ()
    user, host = place.definer.split("@")
    rows = place.execute(f"SHOW GRANTS FOR {user}@{host}")
    grants = {row[0].partition(" TO ")[0].replace("\\", "") for row in rows}
    wanted = {
        f"GRANT EXECUTE ON `{place.outbox}`.*",
        f"GRANT SELECT, INSERT ON `{place.outbox}`.`events`",
        f"GRANT SELECT ON `{place.outbox}`.`salts`",
        f"GRANT SELECT, TRIGGER ON `{place.schema}`.`orders`",
    }
    if not place.is_mariadb:
        wanted |= {f"GRANT SELECT ON `performance_schema`.`{t}`" for t in TRANSACTIONS}
    assert {grant for grant in grants if "USAGE" not in grant} == wanted


def test_with_every_option_an_application_needs_nothing_but_its_own_table(
    place: Place, account
) -> None:
    with place.as_root() as connection:
        apply(connection, prepare(connection, spec_with(place, "everything")))
    user = account(f"SELECT, INSERT, UPDATE, DELETE ON `{place.schema}`.`orders`")
    orders = f"{place.schema}.orders"
    with place.connection(user) as application:
        application.execute('SET @evtrig_context = \'{"actor": "alice"}\'')
        application.execute(f"INSERT INTO {orders} VALUES (1, 'a')")
        application.execute("SET @evtrig_off = 'nightly-import'")
        application.execute(f"UPDATE {orders} SET note = 'b'")
        application.execute("SET @evtrig_off = NULL")
        application.execute(f"DELETE FROM {orders}")
        for statement in (
            f"SELECT value FROM {place.outbox}.salts",
            f"SELECT * FROM {place.outbox}.events",
            f"CALL {place.outbox}.emit('T', '{{}}', NULL)",
        ):
            with pytest.raises(EvtrigError) as caught:
                application.execute(statement)
            assert caught.value.number in (*DENIED, NOT_EXECUTABLE)
    rows = place.execute(
        f"SELECT operation, context FROM {place.outbox}.events ORDER BY id"
    )
    assert [operation for operation, _ in rows] == ["insert", "insert", "gap", "delete"]
    for _, context in rows:
        said = json.loads(context)
        assert said["actor"] == "alice"
        # The application, not the owner of the triggers.
        assert said["db_user"].startswith(f"{user}@")


#: ER_PROCACCESS_DENIED_ERROR.
NOT_EXECUTABLE = 1370


def test_execute_on_the_outbox_is_all_that_emitting_needs(
    place: Place, account
) -> None:
    with place.as_root() as connection:
        apply(connection, prepare(connection, spec_with(place, "everything")))
    user = account("EXECUTE ON `{}`.*".format(place.outbox.replace("_", r"\_")))
    with place.connection(user) as application:
        application.execute(f"CALL {place.outbox}.emit('T', '{{\"id\": 1}}', '{{}}')")
        with pytest.raises(EvtrigError) as caught:
            application.execute(f"SELECT * FROM {place.outbox}.events")
        assert caught.value.number in DENIED
    rows = place.execute(f"SELECT type, operation FROM {place.outbox}.events")
    assert rows == (("T", "emit"),)


# The relay


RELAY_GRANTS = (
    "SELECT, DELETE ON {outbox}.events",
    "SELECT, UPDATE ON {outbox}.event_polling_state",
    "SELECT, INSERT ON {outbox}.dead_letters",
)


def drain(dsn: str, outbox: str, path: Path) -> subprocess.CompletedProcess[str]:
    command = (
        Path(sys.executable).with_name("evtrig"),
        *("relay", "--drain", "--outbox", outbox, "--sink", f"file:{path}"),
    )
    return subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], "EVTRIG_DSN": dsn},
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize("in_dsn", ["nothing", "outbox"])
def test_a_relay_needs_three_tables_and_nothing_else(
    place: Place, account, tmp_path: Path, in_dsn: str
) -> None:
    with place.as_root() as connection:
        apply(connection, prepare(connection, place.spec()))
    write(place)
    user = account(*(grant.format(outbox=place.outbox) for grant in RELAY_GRANTS))
    schema = place.outbox if in_dsn == "outbox" else None
    ended = drain(place.dsn(user, schema), place.outbox, tmp_path / "events")
    assert ended.returncode == 0, ended.stderr
    assert len((tmp_path / "events").read_text().splitlines()) == 3
    assert place.execute(f"SELECT * FROM {place.outbox}.events") == ()


@pytest.mark.parametrize(
    ("lacking", "table"),
    [
        ("SELECT", "events"),
        ("DELETE", "events"),
        ("SELECT", "event_polling_state"),
        ("UPDATE", "event_polling_state"),
        ("SELECT", "dead_letters"),
        ("INSERT", "dead_letters"),
    ],
)
def test_a_relay_that_lacks_a_privilege_says_which(
    place: Place, account, tmp_path: Path, lacking: str, table: str
) -> None:
    with place.as_root() as connection:
        apply(connection, prepare(connection, place.spec()))
    write(place)
    user = account(*(grant.format(outbox=place.outbox) for grant in RELAY_GRANTS))
    place.execute(f"REVOKE {lacking} ON {place.outbox}.{table} FROM {user}@'%'")
    ended = drain(place.dsn(user), place.outbox, tmp_path / "events")
    assert ended.returncode == 1
    assert lacking in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "\n  → GRANT " in ended.stderr
    assert not (tmp_path / "events").exists() or not (tmp_path / "events").read_text()
    assert len(place.execute(f"SELECT * FROM {place.outbox}.events")) == 3


# Uninstalling


def test_who_may_not_see_the_triggers_does_not_drop_their_outbox(
    place: Place, account
) -> None:
    """Triggers without an outbox make every write of the application fail."""
    with place.as_root() as connection:
        apply(connection, prepare(connection, place.spec()))
    outbox = place.outbox.replace("_", r"\_")
    user = account(f"ALL ON `{outbox}`.*")
    with place.connection(user) as connection, contextlib.suppress(EvtrigError):
        uninstall(connection, outbox=place.outbox)
    assert write(place) == ["insert", "update", "delete"]


def test_who_may_see_the_triggers_of_some_tables_does_not_drop_the_others_outbox(
    place: Place, account
) -> None:
    place.execute("CREATE TABLE people (id INT PRIMARY KEY)")
    both = parse(
        f"version: 1\nschema: {place.schema}\noutbox: {place.outbox}\n"
        "definer: current_user\ntables:\n  orders:\n  people:\n",
        path="evtrig.yml",
    )
    with place.as_root() as connection:
        apply(connection, prepare(connection, both))
    user = account(
        "ALL ON `{}`.*".format(place.outbox.replace("_", r"\_")),
        f"SELECT, TRIGGER ON `{place.schema}`.`orders`",
    )
    with place.connection(user) as connection, contextlib.suppress(EvtrigError):
        uninstall(connection, outbox=place.outbox, schemas=[place.schema])
    place.execute("INSERT INTO people VALUES (1)")
