"""`evtrig check`: each finding where there is something to find, and none elsewhere.

And what it says mends it, does. test_check_outbox.py and test_check_server.py go on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from integration.checked import Checked

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.triggers.check import check_expressions
from evtrig.triggers.install import apply, prepare

T = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))"
COLUMNS = {"id": "int", "v": "varchar(40)"}


def test_nothing_is_wrong_after_an_install(checked: Checked) -> None:
    checked.capture(T, t={})
    findings = checked.findings()
    # What no server can do is said all the same, and is no reason to fail.
    assert {finding.severity for finding in findings} == {"notice"}
    codes = {finding.code for finding in findings}
    assert {"truncate", "relay-idle", "outbox-administrators"} <= codes
    assert ("isolation" in codes) == (not checked.is_mariadb)


def test_a_database_without_anything_is_an_error_for_the_outbox_and_each_table(
    checked: Checked,
) -> None:
    checked.put(t={})
    checked.run(T)
    found = [f for f in checked.findings() if f.is_fault]
    assert [(f.code, f.object) for f in found] == [
        ("outbox-missing", checked.outbox),
        ("trigger-missing", f"{checked.schema}.t"),
    ]
    assert "schema" in found[0].problem
    assert all(what in found[1].problem for what in ("insert", "update", "delete"))
    checked.mend(found[0])
    assert checked.faults() == []


# What is installed


@pytest.mark.parametrize("what", ["TABLE {}.event_polling_state", "TABLE {}.events"])
def test_a_table_of_the_outbox_that_is_gone(checked: Checked, what: str) -> None:
    checked.capture(T, t={})
    statement = f"DROP {what.format(checked.outbox)}"
    found = checked.comes_and_goes("outbox-missing", lambda: checked.run(statement))
    assert "(1146)" in found.consequence
    checked.run("INSERT INTO t VALUES (1, 'a')")


def test_an_outbox_of_an_older_version_fails_no_write(checked: Checked) -> None:
    checked.capture(T, t={})
    statement = f"DROP TABLE {checked.outbox}.dead_letters"
    found = checked.comes_and_goes("outbox-missing", lambda: checked.run(statement))
    assert "the relay" in found.consequence
    assert "write" not in found.consequence


def test_a_missing_trigger(checked: Checked) -> None:
    checked.capture(T, t={})
    found = checked.comes_and_goes(
        "trigger-missing", lambda: checked.run(f"DROP TRIGGER {checked.trigger()}")
    )
    assert "after update" in found.problem
    assert "insert" not in found.problem


def edited(checked: Checked) -> None:
    checked.recreate(change=lambda create: create.replace("UTC_TIMESTAMP", "NOW"))


def in_another_mode(checked: Checked) -> None:
    checked.recreate(session=("SET SESSION sql_mode = ''",))


def in_another_character_set(checked: Checked) -> None:
    checked.recreate(session=("SET NAMES latin1",))


def of_somebody_else(checked: Checked) -> None:
    user, _, host = checked.definer.partition("@")

    def change(create: str) -> str:
        changed = create.replace(f"`{user}`@`{host}`", "`root`@`localhost`")
        assert changed != create
        return changed

    checked.recreate(change=change)


@pytest.mark.parametrize(
    ("code", "damage"),
    [
        ("trigger-edited", edited),
        ("trigger-sql-mode", in_another_mode),
        ("trigger-character-set", in_another_character_set),
        ("trigger-definer", of_somebody_else),
    ],
)
def test_a_trigger_that_somebody_has_made_anew(
    checked: Checked, code: str, damage: Callable[[Checked], None]
) -> None:
    checked.capture(T, t={})

    def and_nothing_else() -> None:
        damage(checked)
        assert checked.faults() == [code]

    found = checked.comes_and_goes(code, and_nothing_else)
    assert "after update" in found.problem
    assert checked.faults() == []


def test_a_trigger_is_outdated_when_the_spec_has_changed(checked: Checked) -> None:
    checked.capture(T, t={})
    checked.comes_and_goes(
        "trigger-outdated", lambda: checked.put(t={"exclude": ["v"]})
    )


def test_a_trigger_of_a_table_or_operation_that_the_spec_has_not(
    checked: Checked,
) -> None:
    other = "CREATE TABLE other (id INT PRIMARY KEY)"
    checked.capture(T, other, t={}, other={})
    found = checked.comes_and_goes("trigger-orphaned", lambda: checked.put(t={}))
    assert "--prune" in found.mend[0].text
    found = checked.comes_and_goes(
        "trigger-orphaned", lambda: checked.put(t={"operations": ["insert"]})
    )
    assert "--prune" not in found.mend[0].text


def test_a_replacement_that_was_interrupted(checked: Checked) -> None:
    checked.capture(T, t={})

    def interrupt() -> None:
        checked.put(t={"exclude": ["v"]})
        with Connection(Dsn.parse(checked.server.dsn)) as connection:
            whole = prepare(connection, checked.spec)
            creates = tuple(step for step in whole.steps if step.kind != "drop")
            apply(connection, dataclasses.replace(whole, steps=creates))

    checked.comes_and_goes("replacement-interrupted", interrupt)


def test_a_trigger_that_writes_to_another_outbox(checked: Checked) -> None:
    checked.put(t={})
    checked.run(T)
    mine, other = checked.outbox, f"{checked.schema}_other"

    def install_elsewhere() -> None:
        checked.outbox = other
        checked.install()
        checked.outbox = mine

    try:
        install_elsewhere()
        found = checked.of("trigger-elsewhere")
        assert len(found) == 3
        for finding in found[:-1]:
            # Together, as install refuses while one is there.
            checked.run(finding.mend[0].text)
        checked.mend(found[-1])
        assert checked.faults() == []
    finally:
        checked.run(f"DROP DATABASE {other}")


def test_the_procedure_of_the_application(checked: Checked) -> None:
    checked.head["emit"] = True
    checked.capture(T, t={})
    drop = f"DROP PROCEDURE {checked.outbox}.emit"
    checked.comes_and_goes("procedure-missing", lambda: checked.run(drop))

    def change() -> None:
        user, _, host = checked.definer.partition("@")
        checked.run(
            drop,
            f"CREATE DEFINER = `{user}`@`{host}` PROCEDURE {checked.outbox}.emit()"
            " emit: BEGIN END",
        )

    checked.comes_and_goes("procedure-outdated", change)
    checked.comes_and_goes(
        "procedure-orphaned", lambda: checked.head.update({"emit": False})
    )


# The tables


@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize("change", ["DROP COLUMN v", "RENAME COLUMN v TO w"])
def test_a_captured_column_that_is_gone_makes_writes_fail_now(
    checked: Checked, change: str, pinned: bool
) -> None:
    checked.capture(T, t={"columns": COLUMNS} if pinned else {})
    insert = "INSERT INTO t (id) VALUES (1)"

    def alter() -> None:
        checked.run(f"ALTER TABLE t {change}")
        with pytest.raises(Exception, match="1054"):
            checked.run(insert)
        codes = checked.faults()
        assert codes == ["column-lost"] + (
            ["column-not-captured"] if pinned and "RENAME" in change else []
        )

    found = checked.comes_and_goes(
        "column-lost", alter, lambda: checked.put(t={"columns": {"id": "int"}})
    )
    assert found.severity == "error"
    assert "v" in found.problem
    assert "fails now (1054)" in found.consequence
    assert ("edit" in [mend.by for mend in found.mend]) == pinned
    checked.run(insert)


def test_a_column_that_the_spec_names_and_the_table_never_had(checked: Checked) -> None:
    checked.capture(T, t={"columns": COLUMNS})
    found = checked.comes_and_goes(
        "column-unknown",
        lambda: checked.put(t={"columns": {**COLUMNS, "vv": "int"}}),
        lambda: checked.put(t={"columns": COLUMNS}),
    )
    assert found.mend[0].text.startswith(f"{checked.path}:")
    assert "write v " in found.mend[0].text


def test_a_column_that_the_spec_does_not_know(checked: Checked) -> None:
    checked.capture(T, t={"columns": COLUMNS})
    found = checked.comes_and_goes(
        "column-not-captured",
        lambda: checked.run("ALTER TABLE t ADD COLUMN w INT, ADD COLUMN x INT"),
        lambda: checked.put(
            t={"columns": {**COLUMNS, "w": "int", "x": "int"}, "exclude": ["x"]}
        ),
    )
    assert found.severity == "warning"
    assert "w int" in found.problem


@pytest.mark.parametrize("to", ["VARBINARY(40)", "VARCHAR(40) CHARACTER SET latin1"])
def test_a_column_of_another_type_or_character_set(checked: Checked, to: str) -> None:
    checked.capture(T, t={"columns": COLUMNS})
    found = checked.comes_and_goes(
        "column-type",
        lambda: checked.run(f"ALTER TABLE t MODIFY v {to}"),
        lambda: checked.put(t={"columns": {**COLUMNS, "v": to.lower()}}),
    )
    assert "v is var" in found.problem
    assert checked.faults() == []
    # A longer one is written in the same way.
    checked.run("ALTER TABLE t MODIFY id BIGINT")
    assert checked.of("column-type") == []


def test_a_primary_key_that_has_changed(checked: Checked) -> None:
    checked.capture(T, t={})

    def alter() -> None:
        checked.run(
            "ALTER TABLE t MODIFY v VARCHAR(40) NOT NULL, DROP PRIMARY KEY,"
            " ADD PRIMARY KEY (id, v)"
        )
        assert checked.faults() == ["key-changed"]

    checked.comes_and_goes("key-changed", alter)


def test_a_primary_key_that_is_gone(checked: Checked) -> None:
    # In a column with an odd name, and hashed: the trigger says which one it was.
    name = "i'd`\\"
    column = name.replace("`", "``")
    checked.capture(
        f"CREATE TABLE t (`{column}` INT PRIMARY KEY)", t={"redact": {name: "hash"}}
    )
    found = checked.comes_and_goes(
        "key-missing",
        lambda: checked.run("ALTER TABLE t DROP PRIMARY KEY"),
    )
    assert f"ADD PRIMARY KEY (`{column}`)" in found.mend[0].text


def test_a_key_of_the_spec_that_nothing_keeps_unique(checked: Checked) -> None:
    checked.capture(
        "CREATE TABLE t (id INT NOT NULL, v INT NOT NULL, n INT, UNIQUE KEY k (id))",
        t={"key": ["id", "v"]},
    )
    checked.comes_and_goes(
        "key-not-unique", lambda: checked.run("ALTER TABLE t DROP INDEX k")
    )
    # An index over a column that may be NULL keeps nothing unique.
    checked.run("ALTER TABLE t DROP INDEX id, ADD UNIQUE KEY k (n)")
    checked.put(t={"key": ["n"]})
    assert len(checked.of("key-not-unique")) == 1


def test_a_table_that_is_gone(checked: Checked) -> None:
    other = "CREATE TABLE other (id INT PRIMARY KEY)"
    checked.capture(T, other, t={}, other={})
    checked.comes_and_goes(
        "table-missing",
        lambda: checked.run("DROP TABLE other"),
        lambda: checked.put(t={}),
    )


def test_a_view_and_another_engine(checked: Checked) -> None:
    checked.capture(T, t={})
    checked.run("CREATE VIEW seen AS SELECT * FROM t")
    checked.comes_and_goes(
        "table-unfit",
        lambda: checked.put(t={}, seen={}),
        lambda: checked.put(t={}),
    )
    checked.comes_and_goes(
        "table-engine", lambda: checked.run("ALTER TABLE t ENGINE = MyISAM")
    )
    assert checked.faults() == []


def test_an_expression_with_a_column_that_is_not_there(checked: Checked) -> None:
    checked.capture(T, t={})
    checked.comes_and_goes(
        "spec-unfit",
        lambda: checked.put(t={"when": {"insert": "NEW.gone = 1"}}),
        lambda: checked.put(t={}),
    )


def test_a_name_that_mysql_cannot_keep_in_a_trigger(checked: Checked) -> None:
    checked.capture(T, t={})
    add = "ALTER TABLE t ADD COLUMN `x``é` INT"
    if checked.is_mariadb:
        checked.run(add)
        assert checked.of("spec-unfit") == []
        return
    checked.comes_and_goes(
        "spec-unfit",
        lambda: checked.run(add),
        lambda: checked.run("ALTER TABLE t RENAME COLUMN `x``é` TO xe"),
    )


@pytest.mark.parametrize("owner", ["own", "current_user"])
def test_a_table_that_was_renamed(checked: Checked, owner: str) -> None:
    if owner == "current_user":
        checked.head["definer"] = owner
    checked.capture(T, t={})

    def rename() -> None:
        checked.run("RENAME TABLE t TO u")
        assert sorted(checked.faults()) == ["table-missing", "table-renamed"]

    found = checked.comes_and_goes("table-renamed", rename, lambda: checked.put(u={}))
    assert found.object == f"{checked.schema}.u"
    assert [mend.by for mend in found.mend] == ["sql"] * 3 + ["edit", "shell"]
    assert checked.faults() == []


@pytest.mark.parametrize(
    "shadow",
    [
        *("_t_gho", "_t_ghc", "_t_del", "_t_20261123052049_del"),
        *("_t_new", "__t_new", "_t_old", "_t_old_20261123_052049", "_t_chkpnt"),
        *("__osc_new_t", "lhmn_t", "lhma_2026_11_23_05_20_49_161_t"),
    ],
)
def test_the_table_of_an_online_schema_change(checked: Checked, shadow: str) -> None:
    checked.put(t={})
    checked.run(T)
    found = checked.comes_and_goes(
        "online-schema-change",
        lambda: checked.run(f"CREATE TABLE {shadow} (id INT PRIMARY KEY)"),
        lambda: checked.run(f"DROP TABLE {shadow}"),
    )
    assert shadow in found.problem
    checked.run("CREATE TABLE t_new (id INT)", "CREATE TABLE _tt_gho (id INT)")
    assert checked.of("online-schema-change") == []


def test_a_table_that_was_swapped(checked: Checked) -> None:
    """The triggers stay with the old table: capture has stopped without an error."""
    checked.capture(T, t={})

    def swap() -> None:
        checked.run(
            "CREATE TABLE _t_gho LIKE t",
            "RENAME TABLE t TO _t_del, _t_gho TO t",
            "INSERT INTO t VALUES (1, 'a')",
        )
        assert checked.run(f"SELECT * FROM {checked.outbox}.events") == ()
        assert checked.faults() == ["table-swapped", "online-schema-change"]

    found = checked.comes_and_goes("table-swapped", swap)
    assert found.object == f"{checked.schema}.t"
    checked.run("INSERT INTO t VALUES (2, 'a')", "DROP TABLE _t_del")
    assert len(checked.run(f"SELECT * FROM {checked.outbox}.events")) == 1
    assert checked.faults() == ["relay-not-running"]


def test_tables_that_a_dump_without_triggers_has_restored(checked: Checked) -> None:
    checked.capture(T, t={})
    checked.run("DROP TABLE t", T)
    (found,) = [f for f in checked.findings() if f.is_fault]
    assert found.code == "trigger-missing"
    checked.mend(found)
    assert checked.faults() == []


def test_a_partitioned_table(checked: Checked) -> None:
    checked.capture(T, t={})
    found = checked.comes_and_goes(
        "partitioned",
        lambda: checked.run("ALTER TABLE t PARTITION BY HASH (id) PARTITIONS 2"),
        lambda: checked.run("ALTER TABLE t REMOVE PARTITIONING"),
    )
    assert found.severity == "notice"


def test_an_expression_that_fails_for_some_rows_without_their_values(
    checked: Checked,
) -> None:
    checked.run(T, "INSERT INTO t VALUES (1, '1'), (2, 'secret'), (3, NULL)")
    checked.put(t={"when": {"update": "CAST(NEW.v AS UNSIGNED) > 5"}})
    with Connection(Dsn.parse(checked.server.dsn)) as connection:
        findings = check_expressions(connection, checked.spec, 10)
        checked.put(t={"when": {"update": "NEW.v > '5'"}})
        assert check_expressions(connection, checked.spec, 10) == ()
    if checked.is_mariadb:
        # It warns and goes on, so no write fails.
        assert findings == ()
        return
    (finding,) = findings
    assert finding.code == "expression-fails"
    assert "1 of 3 rows on update" in finding.problem
    assert "secret" not in finding.problem
