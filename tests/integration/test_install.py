"""Installing and uninstalling on a real server: whole, twice, stopped, taken back."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pymysql
import pytest

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.database.server import Server
from evtrig.demo.server import ThrowawayServer
from evtrig.errors import EvtrigError, PreflightError, UsageError
from evtrig.triggers.capture import resolve
from evtrig.triggers.install import apply, prepare, tables_of
from evtrig.triggers.installed import Installed
from evtrig.triggers.patience import Patience
from evtrig.triggers.plan import Plan, plan
from evtrig.triggers.render import SESSION
from evtrig.triggers.spec import Spec, parse
from evtrig.triggers.trigger import TriggerName
from evtrig.triggers.uninstall import Removal, uninstall

TABLES = ("a_orders", "b_people", "c_items")


@dataclass
class Shop:
    """Three tables, and evtrig as somebody with every privilege uses it."""

    server: ThrowawayServer
    schema: str
    outbox: str
    connect: Callable[..., pymysql.Connection]

    def __post_init__(self) -> None:
        self.cursor = self.connect().cursor()
        for table in TABLES:
            self.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY, note TEXT, n INT)")
        self.evtrig = Connection(Dsn.parse(self.server.dsn))

    def execute(self, sql: str) -> tuple:
        self.cursor.execute(sql)
        return tuple(self.cursor.fetchall())

    def spec(
        self, *tables: str, lines: str = "{}", outbox: str = "", head: str = ""
    ) -> Spec:
        entries = "".join(f"  {name}: {lines}\n" for name in tables or TABLES)
        return parse(
            f"version: 1\nschema: {self.schema}\noutbox: {outbox or self.outbox}\n"
            f"definer: current_user\n{head}tables:\n{entries}",
            path="evtrig.yml",
        )

    def plan(self, spec: Spec | None = None) -> Plan:
        return prepare(self.evtrig, spec or self.spec())

    def install(self, spec: Spec | None = None, **how: object) -> Plan:
        todo = self.plan(spec)
        apply(self.evtrig, todo, **how)
        return todo

    def uninstall(self, **how: object) -> Removal:
        return uninstall(self.evtrig, outbox=self.outbox, **how)

    def triggers(self, *tables: str) -> list[str]:
        """What is there, as ``a_orders_i_1``."""
        rows = self.execute(
            "SELECT event_object_table, trigger_name FROM information_schema.triggers"
            f" WHERE trigger_schema = '{self.schema}' ORDER BY 1, trigger_name"
        )
        return [
            f"{table}_{name[-3:]}"
            for table, name in rows
            if not tables or table in tables
        ]

    def events(self) -> list[tuple[str, str]]:
        return list(
            self.execute(
                f"SELECT source, operation FROM {self.outbox}.events ORDER BY id"
            )
        )

    def has_outbox(self) -> bool:
        return bool(self.execute(f"SHOW DATABASES LIKE '{self.outbox}'"))

    def structure(self) -> tuple:
        return tuple(
            self.execute(
                f"SELECT * FROM information_schema.{what} WHERE {column} IN"
                f" ('{self.schema}', '{self.outbox}') ORDER BY 1, 2, 3, 4"
            )
            for what, column in (
                ("triggers", "trigger_schema"),
                ("columns", "table_schema"),
                ("schemata", "schema_name"),
            )
        )

    def write(self, table: str = "a_orders", *, cursor=None) -> list[str]:
        """Change a row in every way; the operations that are recorded of it."""
        before = len(self.events())
        for sql in (
            f"INSERT INTO {table} VALUES (1, 'a', 1)",
            f"UPDATE {table} SET note = 'b', n = 2",
            f"DELETE FROM {table}",
        ):
            (cursor or self.cursor).execute(sql)
        events = self.events()[before:]
        assert {source for source, _ in events} <= {f"{self.schema}.{table}"}
        return [operation for _, operation in events]


ALL = ["insert", "update", "delete"]


@pytest.fixture
def shop(server: ThrowawayServer, schema: str, outbox: str, connect) -> Iterator[Shop]:
    shop = Shop(server, schema, outbox, connect)
    with shop.evtrig:
        yield shop


@contextlib.contextmanager
def setting(shop: Shop, name: str, value: str) -> Iterator[None]:
    """A global variable of the shared server, for a moment."""
    ((before,),) = shop.execute(f"SELECT @@GLOBAL.{name}")
    shop.execute(f"SET GLOBAL {name} = {value}")
    try:
        yield
    finally:
        before = f"'{before}'" if isinstance(before, str) else before
        shop.execute(f"SET GLOBAL {name} = {before}")


#: Wait one second for a lock in all, not a minute.
IMPATIENT = Patience(seconds=1)


def refused(shop: Shop, spec: Spec | None = None) -> PreflightError:
    before = shop.structure()
    with pytest.raises(PreflightError) as caught:
        shop.install(spec)
    assert shop.structure() == before
    assert all(message and hint for message, hint in caught.value.problems)
    return caught.value


# Once and twice


def test_every_change_of_every_table_is_recorded(shop: Shop) -> None:
    shop.install()
    for table in TABLES:
        assert shop.write(table) == ALL


def test_installing_twice_changes_nothing(shop: Shop) -> None:
    shop.install()
    before = shop.structure()
    assert shop.install().steps == ()
    assert shop.structure() == before


def test_each_step_is_said_when_it_is_done(shop: Shop) -> None:
    said = []
    todo = shop.plan()
    apply(shop.evtrig, todo, on_step=said.append)
    assert tuple(said) == todo.steps


def test_a_plan_changes_nothing(shop: Shop) -> None:
    before = shop.structure()
    assert shop.plan().steps
    assert shop.structure() == before


def test_a_changed_spec_is_installed_as_the_next_generation(shop: Shop) -> None:
    shop.install()
    shop.install(shop.spec(lines="{exclude: [n]}"))
    assert shop.triggers("a_orders") == [f"a_orders_{o}_2" for o in "diu"]
    shop.write()
    rows = shop.execute(f"SELECT `after` FROM {shop.outbox}.events LIMIT 1")
    assert '"n"' not in rows[0][0]
    assert shop.install(shop.spec(lines="{exclude: [n]}")).steps == ()


def test_fewer_operations_leave_fewer_triggers(shop: Shop) -> None:
    shop.install()
    shop.install(shop.spec(lines="{operations: [update]}"))
    assert shop.write() == ["update"]


def test_a_table_that_left_the_spec_is_noticed_and_goes_on(shop: Shop) -> None:
    shop.install()
    todo = shop.install(shop.spec("a_orders"))
    assert todo.steps == ()
    assert [f"{shop.schema}.{t}" in n for t, n in zip(
        TABLES[1:], todo.notices, strict=True)] == [True, True]  # fmt: skip
    assert shop.write("b_people") == ALL


def test_a_column_that_was_added_is_noticed_where_columns_are_pinned(
    shop: Shop,
) -> None:
    spec = shop.spec("a_orders", lines="{columns: {id: int, note: text, n: int}}")
    shop.install(spec)
    shop.execute("ALTER TABLE a_orders ADD COLUMN more INT")
    (notice,) = shop.plan(spec).notices
    assert "more int" in notice
    shop.install(shop.spec("a_orders"))
    shop.execute("INSERT INTO a_orders VALUES (1, 'a', 1, 5)")
    ((after,),) = shop.execute(f"SELECT `after` FROM {shop.outbox}.events")
    assert '"more"' in after


def test_a_trigger_that_somebody_dropped_comes_back(shop: Shop) -> None:
    shop.install()
    name = TriggerName.of(shop.schema, "a_orders", "update")
    shop.execute(f"DROP TRIGGER {name}")
    assert len(shop.install().steps) == 1
    assert shop.write() == ALL


@pytest.mark.parametrize("table", ["events", "event_polling_state", "dead_letters"])
def test_an_outbox_table_that_somebody_dropped_comes_back(
    shop: Shop, table: str
) -> None:
    shop.install()
    shop.execute(f"DROP TABLE {shop.outbox}.{table}")
    shop.install()
    assert shop.write() == ALL
    assert shop.install().steps == ()


def test_a_relay_row_that_somebody_deleted_comes_back(shop: Shop) -> None:
    shop.install()
    shop.execute(f"DELETE FROM {shop.outbox}.event_polling_state")
    assert len(shop.install().steps) == 1


def test_what_generate_prints_is_what_install_wants(shop: Shop) -> None:
    generated = generate(shop, shop.spec())
    for step in generated.steps:
        shop.execute(step.sql)
    # The session of this test has another sql_mode than the script's.
    assert [step.kind for step in shop.plan().steps if step.kind == "outbox"] == []


def generate(shop: Shop, spec: Spec) -> Plan:
    """What `evtrig generate` prints, its tokens the same every time."""
    for sql in SESSION:
        shop.execute(sql)
    server: Server = shop.evtrig.server
    tables = tables_of(shop.evtrig, spec)
    captures = resolve(spec, tables, server)
    return plan(captures, Installed(), server, outbox=spec.outbox, definer=spec.definer)


def test_two_outboxes_of_different_tables_do_not_meet(shop: Shop) -> None:
    other = f"{shop.schema}_outbox"
    shop.install(shop.spec("a_orders"))
    second = shop.spec("b_people", outbox=f"{other}2")
    try:
        shop.install(second)
        assert shop.write("a_orders") == ALL
        assert shop.write("b_people") == []
        assert shop.plan(second).steps == ()
        assert uninstall(shop.evtrig, outbox=f"{other}2").triggers == 3
        shop.execute("INSERT INTO b_people VALUES (1, 'a', 1)")
        assert shop.write("a_orders") == ALL
    finally:
        shop.execute(f"DROP DATABASE IF EXISTS {other}2")


# What preflight finds


def test_a_spec_for_the_other_server_is_refused(shop: Shop) -> None:
    other = "mysql" if shop.server.name == "mariadb" else "mariadb"
    with pytest.raises(UsageError, match=f"server: {other}"):
        shop.plan(shop.spec(head=f"server: {other}\n"))


def test_a_read_only_server_is_refused(shop: Shop) -> None:
    with setting(shop, "read_only", "1"):
        error = refused(shop)
    assert "read-only" in error.message


def test_statement_binlog_format_is_refused(shop: Shop) -> None:
    with setting(shop, "binlog_format", "'STATEMENT'"):
        error = refused(shop)
    assert "binlog_format" in error.message


def test_mixed_binlog_format_is_accepted(shop: Shop) -> None:
    with setting(shop, "binlog_format", "'MIXED'"):
        shop.install()


def test_somebody_elses_trigger_of_that_name_is_refused(shop: Shop) -> None:
    name = TriggerName.of(shop.schema, "a_orders", "update")
    shop.execute(
        f"CREATE TRIGGER {name} AFTER UPDATE ON a_orders FOR EACH ROW SET @x = 1"
    )
    assert str(name) in refused(shop).message


def test_another_outbox_that_captures_the_table_is_refused(shop: Shop) -> None:
    shop.install(shop.spec("a_orders"))
    error = refused(shop, shop.spec("a_orders", outbox=f"{shop.outbox}2"))
    assert f"{shop.outbox}2.events" in str(error)


@pytest.mark.parametrize("table", ["events", "event_polling_state", "dead_letters"])
def test_somebody_elses_table_in_the_outbox_is_refused(shop: Shop, table: str) -> None:
    shop.execute(f"CREATE DATABASE {shop.outbox}")
    shop.execute(f"CREATE TABLE {shop.outbox}.{table} (id INT PRIMARY KEY, name INT)")
    assert f"{shop.outbox}.{table}" in refused(shop).message


def test_somebody_elses_triggers_run_besides(shop: Shop) -> None:
    shop.execute(
        "CREATE TRIGGER upper BEFORE INSERT ON a_orders FOR EACH ROW"
        " SET NEW.note = UPPER(NEW.note)"
    )
    shop.execute("CREATE TRIGGER seen AFTER UPDATE ON a_orders FOR EACH ROW SET @x = 1")
    shop.install()
    shop.execute("INSERT INTO a_orders VALUES (1, 'a', 1)")
    ((after,),) = shop.execute(f"SELECT `after` FROM {shop.outbox}.events")
    assert '"A"' in after
    shop.uninstall()
    assert [name for name in shop.triggers() if name.startswith("a_orders")] == [
        "a_orders_een",
        "a_orders_per",
    ]


@pytest.mark.parametrize("how", ["renamed", "swapped"])
def test_a_renamed_table_is_refused_with_what_mends_it(shop: Shop, how: str) -> None:
    """Triggers go with a table that is renamed, as after gh-ost or pt-osc."""
    shop.install()
    if how == "renamed":
        shop.execute("RENAME TABLE a_orders TO a_old")
        spec = shop.spec("a_old")
    else:
        shop.execute("CREATE TABLE a_new LIKE a_orders")
        shop.execute("RENAME TABLE a_orders TO a_old, a_new TO a_orders")
        spec = shop.spec("a_orders")
    error = refused(shop, spec)
    assert len(error.problems) == 3
    for message, hint in error.problems:
        assert f"{shop.schema}.a_old" in message
        shop.execute(hint.partition(", ")[0])
    shop.install(spec)
    assert shop.write(spec.tables[0].name) == ALL


def test_unfit_tables_are_all_named_at_once(shop: Shop) -> None:
    shop.execute("CREATE TABLE d_old (id INT PRIMARY KEY) ENGINE = MyISAM")
    shop.execute("CREATE TABLE e_bare (id INT)")
    shop.execute("CREATE VIEW f_view AS SELECT * FROM a_orders")
    error = refused(shop, shop.spec("a_orders", "d_old", "e_bare", "f_view", "g_none"))
    text = str(error)
    for word in ("engine MyISAM", "no primary key", "is a view", "no table"):
        assert word in text
    assert len(error.problems) == 4


# What stops it half way


def test_a_table_that_somebody_holds_is_left_whole(shop: Shop) -> None:
    holder = shop.connect(autocommit=False).cursor()
    holder.execute("SELECT * FROM b_people")
    with pytest.raises(EvtrigError) as caught:
        shop.install(patience=IMPATIENT)
    assert "b_people" in caught.value.message
    assert "evtrig_" in caught.value.message
    assert "again" in (caught.value.hint or "")
    assert len(shop.triggers("a_orders")) == 3
    assert shop.triggers("b_people", "c_items") == []
    assert shop.write("a_orders") == ALL

    holder.connection.rollback()
    shop.install()
    assert shop.write("b_people") == ALL
    assert shop.write("c_items") == ALL
    assert shop.install().steps == ()


def test_a_table_that_is_held_half_way_is_said_to_be_captured_in_part(
    shop: Shop,
) -> None:
    """What holds up the second trigger holds up taking back the first one."""
    holder = shop.connect(autocommit=False)

    def hold(step) -> None:
        if step.kind == "trigger" and step.source == f"{shop.schema}.b_people":
            with holder.cursor() as cursor:
                cursor.execute("SELECT * FROM b_people")

    with pytest.raises(EvtrigError) as caught:
        shop.install(on_step=hold, patience=IMPATIENT)
    assert "b_people is captured in part" in caught.value.message
    holder.rollback()
    shop.install()
    assert len(shop.triggers()) == 9
    assert shop.write("b_people") == ALL


def test_the_triggers_of_a_table_are_taken_back_if_one_fails(shop: Shop) -> None:
    update = TriggerName.of(shop.schema, "b_people", "update")

    def clash(step) -> None:
        if step.kind == "trigger" and step.source == f"{shop.schema}.b_people":
            shop.execute(
                f"CREATE TRIGGER {update} BEFORE UPDATE ON c_items FOR EACH ROW"
                " SET @x = 1"
            )

    with pytest.raises(EvtrigError) as caught:
        shop.install(on_step=clash)
    assert "Nothing is left on" in caught.value.message
    assert shop.triggers("b_people") == []
    assert len(shop.triggers("a_orders")) == 3
    shop.execute(f"DROP TRIGGER {update}")
    shop.install()
    assert shop.write("b_people") == ALL


def test_a_lock_that_is_let_go_in_time_is_waited_for(shop: Shop) -> None:
    holder = shop.connect(autocommit=False)
    with holder.cursor() as cursor:
        cursor.execute("SELECT * FROM b_people")
    waited = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        holder.rollback()

    said: list[str] = []
    shop.install(patience=Patience(wait=wait, on_wait=said.append))
    assert len(waited) == 1
    assert len(said) == 1
    assert "b_people" in said[0]
    assert len(shop.triggers()) == 9


def test_a_replacement_that_fails_keeps_capturing(shop: Shop) -> None:
    shop.install()
    holder = shop.connect(autocommit=False)

    def hold(step) -> None:
        if step.kind == "trigger":
            with holder.cursor() as cursor:
                cursor.execute("SELECT * FROM a_orders")

    changed = shop.spec("a_orders", lines="{exclude: [n]}")
    with pytest.raises(EvtrigError):
        shop.install(changed, on_step=hold, patience=IMPATIENT)
    assert shop.write() == ALL
    holder.rollback()
    assert shop.write() == ALL
    shop.install(changed)
    assert shop.write() == ALL
    assert shop.install(changed).steps == ()


def test_triggers_that_a_tool_has_renamed_are_replaced_without_recording_twice(
    shop: Shop,
) -> None:
    """As gh-ost does with --trigger-suffix=0, which evtrig check --ddl asks for."""
    shop.install()
    for operation in ("insert", "update", "delete"):
        name = TriggerName.of(shop.schema, "a_orders", operation)
        ((_, _, create, *_),) = shop.execute(f"SHOW CREATE TRIGGER {name}")
        for sql in SESSION:
            shop.execute(sql)
        shop.execute(f"DROP TRIGGER {name}")
        shop.execute(create.replace(f"`{name}`", f"`{name}0`", 1))
    assert shop.plan().steps == ()
    changed = shop.spec(lines="{exclude: [n]}")
    todo = shop.plan(changed)
    created = tuple(step for step in todo.steps if step.kind == "trigger")
    apply(shop.evtrig, Plan(created))
    # Both generations are there.
    assert len(shop.triggers("a_orders")) == 6
    assert shop.write() == ALL
    shop.install(changed)
    assert len(shop.triggers("a_orders")) == 3
    assert shop.write() == ALL


def test_a_column_with_an_odd_name_that_left_the_spec_is_no_edit_by_hand(
    shop: Shop,
) -> None:
    shop.execute("ALTER TABLE a_orders ADD COLUMN `a\\b``c` INT")
    shop.install()
    spec = shop.spec("a_orders", lines="{exclude: ['a\\b`c']}")
    reasons = {r for item in shop.plan(spec).items for r in item.reasons if "spec" in r}
    assert reasons >= {"the spec has changed, or evtrig"}
    hand = [r for item in shop.plan(spec).items for r in item.reasons if "hand" in r]
    assert hand == []


def test_what_was_begun_is_taken_back_without_waiting_again(shop: Shop) -> None:
    holder = shop.connect(autocommit=False)

    def hold(step) -> None:
        if step.kind == "trigger" and step.source == f"{shop.schema}.b_people":
            with holder.cursor() as cursor:
                cursor.execute("SELECT * FROM b_people")

    said: list[str] = []
    begun = time.monotonic()
    with pytest.raises(EvtrigError):
        shop.install(on_step=hold, patience=Patience(seconds=4, on_wait=said.append))
    assert time.monotonic() - begun < 8
    assert len(said) == 1
    holder.rollback()


# Uninstalling


def test_an_event_that_the_application_has_yet_to_commit_keeps_the_outbox(
    shop: Shop,
) -> None:
    """MariaDB drops the procedure under the transaction that has called it."""
    shop.install(shop.spec(head="emit: true\n"))
    holder = shop.connect(autocommit=False)
    with holder.cursor() as cursor:
        cursor.execute(f"CALL {shop.outbox}.emit('Happened', '{{}}', '1')")
    with pytest.raises(EvtrigError):
        shop.uninstall(patience=IMPATIENT)
    assert shop.has_outbox()
    holder.commit()
    assert shop.uninstall().waiting == 1
    shop.execute(f"DELETE FROM {shop.outbox}.events")
    assert shop.uninstall().outbox_dropped


def test_uninstalling_leaves_no_trace(shop: Shop) -> None:
    before = shop.structure()
    shop.install()
    assert shop.uninstall() == Removal(9, 0, 0, outbox_dropped=True)
    assert shop.structure() == before


def test_the_triggers_go_before_the_outbox(shop: Shop) -> None:
    shop.install()
    said: list[str] = []
    shop.uninstall(on_step=lambda step: said.append(step.title))
    assert [title.split()[1] for title in said] == (
        ["trigger"] * 9 + ["table", "table", "table", "schema"]
    )


def test_events_that_wait_keep_the_outbox(shop: Shop) -> None:
    shop.install()
    shop.write()
    removal = shop.uninstall()
    assert removal == Removal(9, waiting=3, dead_letters=0, outbox_dropped=False)
    assert shop.triggers() == []
    assert len(shop.events()) == 3
    shop.execute(f"DELETE FROM {shop.outbox}.events")
    assert shop.uninstall() == Removal(0, 0, 0, outbox_dropped=True)
    assert not shop.has_outbox()


def test_dead_letters_keep_the_outbox(shop: Shop) -> None:
    shop.install()
    shop.execute("INSERT INTO a_orders VALUES (1, 'a', 1)")
    put_aside(shop)
    removal = shop.uninstall()
    assert removal == Removal(9, waiting=0, dead_letters=1, outbox_dropped=False)
    assert shop.has_outbox()
    shop.execute(f"DELETE FROM {shop.outbox}.dead_letters")
    assert shop.uninstall() == Removal(0, 0, 0, outbox_dropped=True)


def put_aside(shop: Shop) -> None:
    """Every event becomes a dead letter."""
    shop.execute(
        f"INSERT INTO {shop.outbox}.dead_letters SELECT e.*, TRUE, 'refused', 1, NULL,"
        f" NULL, NULL, UTC_TIMESTAMP(6) FROM {shop.outbox}.events AS e"
    )
    shop.execute(f"DELETE FROM {shop.outbox}.events")


def test_an_outbox_without_dead_letters_as_older_versions_made_it_gets_them(
    shop: Shop,
) -> None:
    shop.install()
    shop.execute(f"DROP TABLE {shop.outbox}.dead_letters")
    assert shop.uninstall(keep_outbox=True).dead_letters == 0
    shop.install()
    shop.execute(f"DROP TABLE {shop.outbox}.dead_letters")
    (step,) = shop.install().steps
    assert step.title == f"create table {shop.outbox}.dead_letters"
    assert shop.plan().steps == ()
    shop.execute(f"DROP TABLE {shop.outbox}.dead_letters")
    assert shop.uninstall().outbox_dropped


def test_the_outbox_is_kept_if_that_is_asked_for(shop: Shop) -> None:
    shop.install()
    assert not shop.uninstall(keep_outbox=True).outbox_dropped
    assert shop.has_outbox()
    shop.install()
    assert shop.write() == ALL


def test_uninstalling_nothing_is_nothing(shop: Shop) -> None:
    assert shop.uninstall() == Removal(0, 0, 0, outbox_dropped=False)


def test_a_table_of_somebody_else_in_the_outbox_schema_stays(shop: Shop) -> None:
    shop.install()
    shop.execute(f"CREATE TABLE {shop.outbox}.letters (id INT)")
    shop.uninstall()
    assert shop.execute(f"SHOW TABLES FROM {shop.outbox}") == (("letters",),)


def test_both_generations_of_a_half_done_replacement_are_removed(shop: Shop) -> None:
    shop.install()
    todo = shop.plan(shop.spec(lines="{exclude: [n]}"))
    apply(shop.evtrig, Plan(tuple(s for s in todo.steps if s.kind == "trigger")))
    assert shop.write() == ALL
    assert len(shop.triggers()) == 18
    assert shop.uninstall().triggers == 18


def test_an_uninstall_that_is_held_up_loses_nothing(shop: Shop) -> None:
    shop.install()
    holder = shop.connect(autocommit=False)
    with holder.cursor() as cursor:
        cursor.execute("INSERT INTO c_items VALUES (7, 'held', 7)")
    with pytest.raises(EvtrigError) as caught:
        shop.uninstall(patience=IMPATIENT)
    # Not "evtrig install": whoever follows that would get the triggers back.
    assert "uninstall" in (caught.value.hint or "")
    holder.commit()
    assert (f"{shop.schema}.c_items", "insert") in shop.events()
    assert shop.uninstall().waiting == 1


# Again, with sessions that stayed open


def test_a_session_that_stayed_open_is_captured_after_a_new_install(
    shop: Shop,
) -> None:
    """It still has the marks of every generation there was."""
    session = shop.connect().cursor()
    for _ in range(2):
        shop.install()
        assert shop.write(cursor=session) == ALL
        for lines in ("{exclude: [n]}", "{images: after}", "{}"):
            todo = shop.plan(shop.spec(lines=lines))
            first = Plan(tuple(s for s in todo.steps if s.kind == "trigger"))
            apply(shop.evtrig, first)
            assert shop.write(cursor=session) == ALL
            shop.install(shop.spec(lines=lines))
            assert shop.write(cursor=session) == ALL
        shop.execute(f"DELETE FROM {shop.outbox}.events")
        shop.uninstall()
        for sql in ("INSERT INTO a_orders VALUES (1, 'a', 1)", "DELETE FROM a_orders"):
            session.execute(sql)


def test_a_session_that_stayed_open_is_captured_by_what_generate_prints(
    shop: Shop,
) -> None:
    """Its tokens are the same every time, so an old mark fits again."""
    session = shop.connect().cursor()
    for _ in range(2):
        for step in generate(shop, shop.spec("a_orders")).steps:
            shop.execute(step.sql)
        assert shop.write(cursor=session) == ALL
        shop.install(shop.spec("a_orders", lines="{exclude: [n]}"))
        assert shop.write(cursor=session) == ALL
        shop.execute(f"DELETE FROM {shop.outbox}.events")
        shop.uninstall()


def test_an_application_cannot_suppress_an_event_with_a_variable(
    shop: Shop,
) -> None:
    shop.install()
    for operation in ALL:
        name = TriggerName.of(shop.schema, "a_orders", operation)
        for value in ("1", f"'{secrets.token_hex(8)}'", "''", "NULL", "0", "TRUE"):
            shop.execute(f"SET @{name.next} = {value}, @{name} = {value}")
    assert shop.write() == ALL


def test_the_definer_may_call_the_stored_functions_of_the_spec(
    server: ThrowawayServer, schema: str, outbox: str, connect
) -> None:
    """Else every write would fail (1370)."""
    cursor = connect().cursor()
    cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    cursor.execute("CREATE FUNCTION f(v INT) RETURNS INT DETERMINISTIC RETURN v + 1")
    definer = f"{schema}_d@localhost"
    head = {"version": 1, "schema": schema, "outbox": outbox, "definer": definer}
    tables = {"t": {"when": {"insert": f"{schema}.f(NEW.v) > 5"}}}
    spec = parse(json.dumps({**head, "tables": tables}), path="evtrig.yml")
    try:
        with Connection(Dsn.parse(server.dsn)) as connection:
            todo = prepare(connection, spec)
            assert f"grant execute on function {schema}.f to {definer}" in [
                step.title for step in todo.steps
            ]
            apply(connection, todo)
            assert prepare(connection, spec).steps == ()
        cursor.execute("INSERT INTO t VALUES (1, 1), (2, 9)")
        cursor.execute(f"SELECT `key` FROM {outbox}.events")
        assert [json.loads(key) for (key,) in cursor.fetchall()] == [{"id": 2}]
    finally:
        cursor.execute(f"DROP USER IF EXISTS `{schema}_d`@`localhost`")
