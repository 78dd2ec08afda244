"""From what is installed to what is wanted: in safe order, and always to an end."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtrig.database.server import Server
from evtrig.triggers.account import Account
from evtrig.triggers.capture import Capture
from evtrig.triggers.document import Place
from evtrig.triggers.emit import Emit
from evtrig.triggers.grant import further_reads
from evtrig.triggers.installed import Installed, InstalledProcedure, InstalledTrigger
from evtrig.triggers.outbox import OUTBOX_TABLES, outbox_removal
from evtrig.triggers.plan import Plan, plan, removal
from evtrig.triggers.privilege import Privileges
from evtrig.triggers.redaction import Redaction
from evtrig.triggers.render import render_emit
from evtrig.triggers.step import Step
from evtrig.triggers.table import Column
from evtrig.triggers.trigger import OPERATIONS, TriggerName

MYSQL = Server("mysql", (9, 7, 4))
MARIADB = Server("mariadb", (10, 11, 19))
DEFINER = Account("evtrig_definer", "localhost")

COLUMNS = (Column("id", "int"), Column("note", "text"), Column("n", "int"))


def capture(
    table: str = "orders",
    *,
    operations: tuple[str, ...] = OPERATIONS,
    columns: tuple[Column, ...] = COLUMNS,
    images: str = "both",
    definer: Account | None = DEFINER,
) -> Capture:
    key = (columns[0],)
    return Capture("shop", table, key, columns, operations, images, "evtrig", definer)


CAPTURES = st.builds(
    capture,
    operations=st.sampled_from(
        [
            operations
            for n in (1, 2, 3)
            for operations in itertools.combinations(OPERATIONS, n)
        ]
    ),
    columns=st.sampled_from([COLUMNS, COLUMNS[:2], COLUMNS[:1]]),
    images=st.sampled_from(["both", "after", "key"]),
)


class Database:
    """What a server would have after the steps: the simulated one."""

    def __init__(self) -> None:
        self.installed = Installed()
        self._tokens = itertools.count()

    def plan(self, *captures: Capture, server: Server = MYSQL) -> Plan:
        return plan(
            captures,
            self.installed,
            server,
            outbox="evtrig",
            definer=captures[0].definer if captures else DEFINER,
            new_token=lambda name: f"token{next(self._tokens)}",
        )

    def apply(self, steps: Iterable[Step]) -> None:
        for step in steps:
            self.apply_one(step)

    def apply_one(self, step: Step) -> None:
        there = self.installed
        if step.kind == "trigger":
            trigger = parsed(step)
            assert trigger.name not in {t.name for t in there.triggers}
            previous = re.search(r" PRECEDES `(\w+)`", step.sql)
            if previous:
                assert previous[1] in {str(t.name) for t in there.triggers}
            self.installed = replace(there, triggers=(*there.triggers, trigger))
        elif step.kind == "drop":
            (name,) = re.findall(r"`(evtrig_\w+)`$", step.sql)
            kept = tuple(t for t in there.triggers if str(t.name) != name)
            assert len(kept) == len(there.triggers) - 1
            self.installed = replace(there, triggers=kept)
        elif step.kind == "outbox":
            self._apply_outbox(step.title)
        else:
            old = there.definer_privileges or Privileges()
            new = Privileges.parse([step.sql] if step.kind == "grant" else [])
            grants = Privileges(old.grants + new.grants)
            self.installed = replace(there, definer_privileges=grants)

    def _apply_outbox(self, title: str) -> None:
        there = self.installed
        table = title.rpartition(".")[2]
        if title.startswith("create schema"):
            self.installed = replace(there, has_outbox=True)
        elif title.startswith("create table"):
            assert there.has_outbox
            tables = {**there.outbox_tables, table: OUTBOX_TABLES[table]}
            self.installed = replace(there, outbox_tables=tables)
        else:
            assert "event_polling_state" in there.outbox_tables
            self.installed = replace(there, has_relay=True)

    def current(self, wanted: Capture) -> dict[str, InstalledTrigger]:
        """The newest trigger of every operation."""
        found: dict[str, InstalledTrigger] = {}
        for trigger in sorted(self.installed.triggers, key=lambda t: t.name.generation):
            if trigger.table == wanted.table:
                found[trigger.name.operation] = trigger
        return found


def parsed(step: Step) -> InstalledTrigger:
    found = re.search(
        r"DEFINER = `(?P<user>\w+)`@`(?P<host>\w+)`\n"
        r"TRIGGER `(?P<schema>\w+)`\.`(?P<name>\w+)`\n"
        r"AFTER \w+ ON `\w+`\.`(?P<table>\w+)`\nFOR EACH ROW[^\n]*\n"
        r"(?P<body>capture: BEGIN.*)",
        step.sql,
        re.DOTALL,
    )
    assert found
    name = TriggerName.parse(found["name"])
    assert name
    return InstalledTrigger(
        name=name,
        schema=found["schema"],
        table=found["table"],
        body=found["body"],
        definer=f"{found['user']}@{found['host']}",
    )


def kinds(steps: Sequence[Step]) -> list[str]:
    return [kind for kind, _ in itertools.groupby(step.kind for step in steps)]


# Installing


def test_the_outbox_comes_first_then_the_account_then_the_triggers() -> None:
    steps = Database().plan(capture()).steps
    assert kinds(steps) == ["outbox", "account", "grant", "trigger"]


def test_every_grant_comes_before_the_first_trigger_of_any_table() -> None:
    steps = Database().plan(capture("orders"), capture("people")).steps
    assert kinds(steps) == ["outbox", "account", "grant", "trigger"]


def test_the_current_user_as_definer_needs_neither_account_nor_grant() -> None:
    steps = Database().plan(capture(definer=None)).steps
    assert kinds(steps) == ["outbox", "trigger"]


@pytest.mark.parametrize("product", [MYSQL, MARIADB], ids=str)
def test_what_is_installed_needs_no_step(product: Server) -> None:
    database = Database()
    tables = capture("orders"), capture("people", operations=("update",))
    database.apply(database.plan(*tables, server=product).steps)
    assert database.plan(*tables, server=product).steps == ()


def test_a_plan_is_the_same_twice() -> None:
    fixed = [
        plan([capture()], Installed(), MYSQL, outbox="evtrig", definer=DEFINER)
        for _ in range(2)
    ]
    assert fixed[0] == fixed[1]


def test_comments_and_spaces_that_a_client_drops_are_no_difference() -> None:
    database = Database()
    database.apply(database.plan(capture()).steps)
    triggers = tuple(
        replace(t, body=re.sub(r"\n\s*(--[^\n]*)?", "\n", t.body))
        for t in database.installed.triggers
    )
    database.installed = replace(database.installed, triggers=triggers)
    assert database.plan(capture()).steps == ()


# Replacing


def test_an_outdated_trigger_is_preceded_by_its_next_generation_then_dropped() -> None:
    database = Database()
    database.apply(database.plan(capture()).steps)
    old = database.current(capture())
    steps = database.plan(capture(columns=COLUMNS[:2])).steps
    assert kinds(steps) == ["trigger", "drop"]
    for step in steps[:3]:
        new = parsed(step)
        before = old[new.name.operation]
        assert new.name == before.name.next
        assert step.sql.count(f"FOR EACH ROW PRECEDES `{before.name}`\n") == 1
        # The newer one says what the older one waits for.
        assert new.leaves == before.expects
        assert new.leaves is not None
        assert new.expects not in (None, before.expects)
    database.apply(steps)
    assert database.plan(capture(columns=COLUMNS[:2])).steps == ()


def test_a_plan_says_of_everything_how_it_is() -> None:
    database = Database()
    items = database.plan(capture()).items
    assert {item.state for item in items} == {"missing"}
    triggers = [item.name for item in items if item.kind == "trigger"]
    assert triggers == [f"trigger after {o} on shop.orders" for o in OPERATIONS]
    database.apply(database.plan(capture()).steps)
    items = database.plan(capture()).items
    assert {item.state for item in items} == {"installed"}
    items = database.plan(capture(operations=("insert", "update"))).items
    (orphan,) = [item for item in items if item.state != "installed"]
    assert (orphan.state, orphan.name) == (
        "orphaned",
        "trigger after delete on shop.orders",
    )


def test_a_difference_shows_the_lines_that_the_spec_changes_and_no_others() -> None:
    database = Database()
    database.apply(database.plan(capture()).steps)
    items = database.plan(capture(columns=COLUMNS[:2])).items
    inserted = next(item for item in items if "after insert" in item.name)
    assert inserted.state == "outdated"
    assert inserted.reasons == ("the spec has changed, or evtrig",)
    changed = [line for line in inserted.difference if line[0] in "+-"]
    assert len(changed) == 1
    assert "NEW.`n`" in changed[0]


def test_a_trigger_that_was_edited_is_told_from_one_that_is_outdated() -> None:
    database = Database()
    database.apply(database.plan(capture()).steps)
    first, *others = database.installed.triggers
    body = first.body.replace("'orders.insert'", "'orders.added'")
    edited = replace(first, body=body)
    database.installed = replace(database.installed, triggers=(edited, *others))
    (item,) = [i for i in database.plan(capture()).items if i.state != "installed"]
    assert item.reasons == ("its body was changed by hand",)
    assert any(line.startswith("-") and "added" in line for line in item.difference)


def test_a_trigger_that_was_renamed_is_the_same_and_gets_its_mark() -> None:
    """Tools for online schema changes give the triggers of the copy other names."""
    database = Database()
    database.apply(database.plan(capture()).steps)
    renamed = tuple(
        replace(t, name=replace(t.name, generation=10 * t.name.generation))
        for t in database.installed.triggers
    )
    database.installed = replace(database.installed, triggers=renamed)
    assert database.plan(capture()).steps == ()
    steps = database.plan(capture(columns=COLUMNS[:2])).steps
    for step, old in zip(steps[:3], renamed, strict=True):
        new = parsed(step)
        assert new.name == old.name.next
        assert new.leaves == old.expects
        assert new.expects is not None
        assert new.expects.name == str(new.name.next)


def test_a_trigger_without_its_mark_is_dropped_as_soon_as_the_next_one_is_there() -> (
    None
):
    database = Database()
    database.apply(database.plan(capture()).steps)
    first, *others = database.installed.triggers
    begin, end = first.body.index("    IF CAST(@"), first.body.index("    END IF;")
    cut = replace(first, body=first.body[:begin] + first.body[end + 12 :])
    database.installed = replace(database.installed, triggers=(cut, *others))
    todo = database.plan(capture())
    assert [step.kind for step in todo.steps] == ["trigger", "drop"]
    (item,) = [item for item in todo.items if item.state != "installed"]
    assert item.reasons[0] == "its body was changed by hand"
    assert "recorded twice" in item.reasons[1]
    # With other triggers to replace, its drop does not wait for them.
    todo = database.plan(capture(columns=COLUMNS[:2]))
    kinds = ["trigger", "drop", "trigger", "trigger", "drop", "drop"]
    assert [step.kind for step in todo.steps] == kinds


def test_the_id_of_a_plan_is_that_of_what_it_does() -> None:
    database = Database()
    first = database.plan(capture())
    # Other tokens, the same steps.
    assert database.plan(capture()).id == first.id != ""
    assert database.plan(capture(columns=COLUMNS[:2])).id != first.id
    database.apply(first.steps[:-1])
    assert database.plan(capture()).id not in (first.id, "")
    database.apply(first.steps[-1:])
    assert database.plan(capture()).id == ""


def test_only_the_operation_that_differs_is_replaced() -> None:
    database = Database()
    database.apply(database.plan(capture()).steps)
    triggers = tuple(
        replace(t, sql_mode=frozenset({"ANSI_QUOTES"}))
        if t.name.operation == "delete"
        else t
        for t in database.installed.triggers
    )
    database.installed = replace(database.installed, triggers=triggers)
    steps = database.plan(capture()).steps
    assert [step.kind for step in steps] == ["trigger", "drop"]
    assert all("_d_" in step.title for step in steps)


@pytest.mark.parametrize(
    "change",
    [
        {"definer": "somebody@localhost"},
        {"sql_mode": frozenset({"STRICT_TRANS_TABLES"})},
        {"character_set": "latin1"},
        {"collation": "utf8mb4_general_ci"},
        {"body": "capture: BEGIN\nINSERT INTO `evtrig`.`events` SET a = 1;\nEND"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_a_trigger_keeps_is_compared(change: dict[str, object]) -> None:
    database = Database()
    database.apply(database.plan(capture()).steps)
    first, *others = database.installed.triggers
    database.installed = replace(
        database.installed, triggers=(replace(first, **change), *others)
    )
    steps = database.plan(capture()).steps
    assert [step.kind for step in steps] == ["trigger", "drop"]
    database.apply(steps)
    assert database.plan(capture()).steps == ()


def test_an_operation_that_is_not_wanted_any_more_is_dropped() -> None:
    database = Database()
    database.apply(database.plan(capture()).steps)
    less = capture(operations=("insert",))
    assert [s.kind for s in database.plan(less).steps] == ["drop", "drop"]
    database.apply(database.plan(less).steps)
    assert set(database.current(less)) == {"insert"}


def test_a_table_that_is_not_in_the_spec_is_noticed_and_stays() -> None:
    database = Database()
    database.apply(database.plan(capture("orders"), capture("people")).steps)
    made = database.plan(capture("orders"))
    assert made.steps == ()
    (notice,) = made.notices
    assert "shop.people" in notice


def test_triggers_of_a_table_that_is_not_in_the_spec_are_dropped_if_asked_for() -> None:
    database = Database()
    database.apply(database.plan(capture(), capture("people")).steps)
    arguments = {"outbox": "evtrig", "definer": DEFINER}
    there = database.installed
    (orders, people) = capture(), capture("people")
    pruned = plan([orders], there, MYSQL, prune=True, **arguments)
    assert [step.kind for step in pruned.steps] == ["drop"] * 3
    assert {step.source for step in pruned.steps} == {people.source}
    assert pruned.notices == ()
    kept = plan(
        [orders], there, MYSQL, prune=True, besides={people.source}, **arguments
    )
    assert kept.steps == kept.notices == ()


def test_the_same_table_in_another_schema_is_another_table() -> None:
    database = Database()
    database.apply(database.plan(capture()).steps)
    other = replace(capture(), schema="crm")
    steps = database.plan(other).steps
    assert kinds(steps) == ["grant", "trigger"]
    assert not [step for step in steps if "shop" in step.sql]


# Half-done states


@given(
    data=st.data(), first=CAPTURES, others=st.lists(CAPTURES, min_size=1, max_size=4)
)
def test_whatever_was_interrupted_the_next_plan_ends_it(
    data: st.DataObject, first: Capture, others: list[Capture]
) -> None:
    """Plans of changing specs, each stopped anywhere; at any time every operation
    that was captured and still is wanted has its trigger."""
    database = Database()
    database.apply(database.plan(first).steps)
    captured = set(first.operations)
    for wanted in others:
        captured &= set(wanted.operations)
        steps = database.plan(wanted).steps
        for step in steps[: data.draw(st.integers(0, len(steps)))]:
            database.apply_one(step)
            assert captured <= set(database.current(wanted))
        captured |= {name for name in OPERATIONS if name in database.current(wanted)}
    last = others[-1]
    steps = database.plan(last).steps
    database.apply(steps)
    assert database.plan(last).steps == ()
    assert len(database.installed.triggers) == len(last.operations)
    assert set(database.current(last)) == set(last.operations)


@given(data=st.data(), wanted=CAPTURES)
def test_any_subset_of_the_triggers_is_completed(
    data: st.DataObject, wanted: Capture
) -> None:
    """Whatever somebody has dropped by hand while two generations were there."""
    database = Database()
    database.apply(database.plan(capture()).steps)
    changed = capture(columns=COLUMNS[:1])
    database.apply(s for s in database.plan(changed).steps if s.kind == "trigger")
    all_six = database.installed.triggers
    kept = data.draw(st.sets(st.sampled_from(range(len(all_six)))))
    database.installed = replace(
        database.installed, triggers=tuple(all_six[n] for n in sorted(kept))
    )
    for step in database.plan(wanted).steps:
        before = set(database.current(wanted))
        database.apply_one(step)
        assert before & set(wanted.operations) <= set(database.current(wanted))
    assert database.plan(wanted).steps == ()
    assert set(database.current(wanted)) == set(wanted.operations)


@given(stop=st.integers(0, 12))
def test_a_first_install_that_was_interrupted_goes_on(stop: int) -> None:
    database = Database()
    tables = capture("orders"), capture("people")
    steps = database.plan(*tables).steps
    database.apply(steps[:stop])
    rest = database.plan(*tables).steps
    assert [step.title for step in rest] == [step.title for step in steps[stop:]]
    database.apply(rest)
    assert database.plan(*tables).steps == ()


def test_a_third_generation_marks_for_the_second_and_both_older_ones_go() -> None:
    database = Database()
    database.apply(database.plan(capture()).steps)
    second = capture(columns=COLUMNS[:2])
    database.apply(s for s in database.plan(second).steps if s.kind == "trigger")
    third = capture(columns=COLUMNS[:1])
    steps = database.plan(third).steps
    assert [s.kind for s in steps] == ["trigger"] * 3 + ["drop"] * 6
    for step in steps[:3]:
        name = parsed(step).name
        assert name.generation == 3
        assert f"PRECEDES `{replace(name, generation=2)}`" in step.sql
    # The oldest first: the younger one still leaves it marks.
    dropped = [step.title[-3:] for step in steps[3:5]]
    assert dropped == ["i_1", "i_2"]


def test_only_a_trigger_that_was_not_there_before_is_taken_back() -> None:
    database = Database()
    first = database.plan(capture()).steps
    assert all(s.undo for s in first if s.kind == "trigger")
    database.apply(first)
    for step in database.plan(capture(columns=COLUMNS[:1])).steps:
        assert step.undo is None


# Removing


def test_removing_drops_every_trigger_the_oldest_generation_first() -> None:
    database = Database()
    database.apply(database.plan(capture()).steps)
    changed = capture(columns=COLUMNS[:1])
    database.apply(s for s in database.plan(changed).steps if s.kind == "trigger")
    steps = removal(database.installed, "evtrig").steps
    assert [step.title[-1] for step in steps] == ["1"] * 3 + ["2"] * 3
    database.apply(steps)
    assert database.installed.triggers == ()


def test_removing_from_an_empty_database_is_nothing() -> None:
    assert removal(Installed(), "evtrig").steps == ()
    assert outbox_removal(Installed(), "evtrig") == ()


def test_a_schema_with_other_tables_in_it_stays() -> None:
    tables = {**OUTBOX_TABLES, "letters": frozenset({"id"})}
    there = Installed(has_outbox=True, outbox_tables=tables)
    titles = [step.title for step in outbox_removal(there, "evtrig")]
    assert titles == [
        "drop table evtrig.events",
        "drop table evtrig.event_polling_state",
        "drop table evtrig.dead_letters",
    ]
    empty = replace(there, outbox_tables=OUTBOX_TABLES)
    assert outbox_removal(empty, "evtrig")[-1].title == "drop schema evtrig"


# Salts, the procedure, and what triggers read besides their table

HASHED = replace(
    capture(), redactions={"note": Redaction("hash", place=Place("evtrig.yml", 1, 1))}
)
EMIT = Emit("evtrig", DEFINER, transaction=False, db_user=False)
THREADS = [
    ("performance_schema", "threads"),
    ("performance_schema", "events_transactions_current"),
]


def with_emit(
    there: Installed, emit: Emit | None, *captures: Capture, server: Server = MYSQL
) -> list[str]:
    made = plan(captures, there, server, outbox="evtrig", definer=DEFINER, emit=emit)
    return [step.title for step in made.steps]


def procedure(emit: Emit = EMIT, server: Server = MYSQL) -> InstalledProcedure:
    sql = render_emit(emit, server)
    return InstalledProcedure(sql[sql.index("emit: BEGIN") :], str(emit.definer))


def test_a_salt_is_drawn_once_and_only_where_something_is_hashed() -> None:
    drawn = ["create table evtrig.salts", "draw the salt of evtrig.salts"]

    def of(there: Installed, wanted: Capture) -> list[str]:
        return [title for title in with_emit(there, None, wanted) if "salt" in title]

    assert of(Installed(), capture()) == []
    assert of(Installed(), HASHED)[:2] == drawn
    tables = {**OUTBOX_TABLES, "salts": frozenset({"name", "value"})}
    there = Installed(has_outbox=True, outbox_tables=tables)
    assert drawn[0] not in of(there, HASHED)
    assert drawn[1] in of(there, HASHED)
    assert drawn[1] not in of(replace(there, has_salt=True), HASHED)


def test_the_salt_is_drawn_by_the_server() -> None:
    made = plan([HASHED], Installed(), MYSQL, outbox="evtrig", definer=DEFINER)
    (draw,) = (step for step in made.steps if step.title.startswith("draw"))
    assert "HEX(RANDOM_BYTES(32))" in draw.sql
    assert "INSERT IGNORE" in draw.sql


@pytest.mark.parametrize(
    ("wanted", "emit", "mysql", "mariadb"),
    [
        (capture(), None, [], []),
        (capture(), EMIT, [], []),
        (HASHED, None, [("evtrig", "salts")], [("evtrig", "salts")]),
        (replace(capture(), transaction=True), None, THREADS, []),
        (capture(), replace(EMIT, transaction=True), THREADS, []),
        (
            replace(capture(), bypass="nightly-import"),
            None,
            [("evtrig", "events"), *THREADS],
            [("evtrig", "events")],
        ),
        (replace(capture(), db_user=True), replace(EMIT, db_user=True), [], []),
    ],
)
def test_what_is_read_besides_depends_on_what_is_asked_for(
    wanted: Capture,
    emit: Emit | None,
    mysql: list[tuple[str, str]],
    mariadb: list[tuple[str, str]],
) -> None:
    assert further_reads([wanted], MYSQL, "evtrig", emit) == mysql
    assert further_reads([wanted], MARIADB, "evtrig", emit) == mariadb


def test_what_is_read_is_granted_before_the_first_trigger() -> None:
    wanted = replace(HASHED, transaction=True, bypass="nightly-import")
    titles = with_emit(Installed(), EMIT, wanted)
    first = next(n for n, t in enumerate(titles) if t.startswith("create trigger"))
    granted = " / ".join(t for t in titles[:first] if t.startswith("grant"))
    for what in (
        "grant execute on evtrig.* to",
        "grant insert, select on evtrig.events to",
        "grant select on evtrig.salts to",
        "grant select on performance_schema.threads to",
        "grant select on performance_schema.events_transactions_current to",
    ):
        assert what in granted
    assert not [t for t in titles[first:] if t.startswith("grant")]


def test_of_a_hidden_definer_only_what_its_triggers_do_not_read_yet_is_granted() -> (
    None
):
    database = Database()
    wanted = replace(capture(), transaction=True)
    database.apply(database.plan(wanted).steps)
    there = replace(database.installed, definer_privileges=None, is_definer_hidden=True)

    def granted(*captures: Capture) -> list[str]:
        titles = with_emit(there, None, *captures)
        assert not [title for title in titles if title.startswith("create account")]
        return [title for title in titles if title.startswith("grant")]

    assert granted(wanted) == []
    (salts,) = granted(replace(wanted, redactions=HASHED.redactions))
    assert salts.startswith("grant select on evtrig.salts to")
    (events,) = granted(replace(wanted, bypass="nightly-import"))
    assert events.startswith("grant select on evtrig.events to")


@pytest.mark.parametrize("product", [MYSQL, MARIADB], ids=str)
def test_the_procedure_that_is_there_as_it_should_be_stays(product: Server) -> None:
    created = "create procedure evtrig.emit"
    assert created in with_emit(Installed(), EMIT, server=product)
    there = Installed(emit=procedure(server=product))
    titles = with_emit(there, EMIT, server=product)
    assert not [title for title in titles if "procedure" in title]


@pytest.mark.parametrize(
    "changed",
    [
        replace(procedure(), body="emit: BEGIN END"),
        replace(procedure(), definer="somebody@localhost"),
        replace(procedure(), sql_mode=frozenset({"ANSI_QUOTES"})),
        procedure(replace(EMIT, transaction=True)),
        procedure(replace(EMIT, db_user=True)),
        procedure(replace(EMIT, outbox="other")),
    ],
    ids=["body", "definer", "sql_mode", "transaction", "db_user", "outbox"],
)
def test_whatever_the_procedure_keeps_is_compared(changed: InstalledProcedure) -> None:
    titles = with_emit(Installed(emit=changed), EMIT)
    assert [title for title in titles if "procedure" in title] == [
        "drop procedure evtrig.emit",
        "create procedure evtrig.emit",
    ]


def test_comments_that_a_client_drops_do_not_replace_the_procedure() -> None:
    body = re.sub(r"\n\s*(--[^\n]*)?", "\n", procedure().body)
    there = Installed(emit=replace(procedure(), body=body))
    assert not [title for title in with_emit(there, EMIT) if "procedure" in title]


def test_whoever_installs_may_own_the_procedure() -> None:
    there = Installed(emit=replace(procedure(), definer="somebody@localhost"))
    titles = with_emit(there, replace(EMIT, definer=None))
    assert not [title for title in titles if "procedure" in title]


def test_a_procedure_that_nobody_asks_for_is_dropped() -> None:
    there = Installed(emit=procedure())
    assert "drop procedure evtrig.emit" in with_emit(there, None)
    assert not [title for title in with_emit(Installed(), None) if "procedure" in title]


def test_removing_drops_the_procedure_unless_it_is_to_be_kept() -> None:
    there = Installed(emit=procedure())
    drop = ["drop procedure evtrig.emit"]
    assert [step.title for step in removal(there, "evtrig").steps] == drop
    assert removal(there, "evtrig", keep_emit=True).steps == ()


def test_the_salts_go_with_the_outbox() -> None:
    tables = {**OUTBOX_TABLES, "salts": frozenset({"name", "value"})}
    there = Installed(has_outbox=True, outbox_tables=tables)
    titles = [step.title for step in outbox_removal(there, "evtrig")]
    assert titles[-2:] == ["drop table evtrig.salts", "drop schema evtrig"]


def test_wildcards_in_the_name_of_the_outbox_are_none_in_a_grant() -> None:
    emit = replace(EMIT, outbox="a_b%c`d")
    made = plan([], Installed(), MYSQL, outbox="a_b%c`d", definer=DEFINER, emit=emit)
    (grant,) = (s.sql for s in made.steps if s.sql.startswith("GRANT EXECUTE"))
    assert grant.startswith("GRANT EXECUTE ON `a\\_b\\%c``d`.* TO ")
