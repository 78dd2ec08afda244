"""What `evtrig grants` prints, byte for byte, and what it refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path

import golden
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from evtrig.cli import main
from evtrig.database.server import Server
from evtrig.triggers.account import Account
from evtrig.triggers.need import Need, distinct
from evtrig.triggers.privilege import Privileges
from evtrig.triggers.role import (
    DEFAULT_ROLES,
    ROLES,
    Wanted,
    Work,
    installer_needs,
    needs_of,
    status_needs,
)

CASES = [
    (family, name)
    for family in golden.FAMILIES
    for name in ("images", "meaning", "names", "shop")
]
TO = Account("evtrig_relay", "%")


def kept(family: str, name: str) -> Path:
    return golden.FOLDER / family / "grants" / f"{name}.sql"


def printed(family: str, name: str, *arguments: str) -> str:
    return golden.printed(golden.spec_text(family, name), "grants", *arguments)


def roles_of(name: str) -> list[str]:
    """All of them; where whoever installs owns the triggers there is no definer."""
    return [role for role in ROLES if name != "images" or role != "definer"]


@pytest.mark.parametrize(("family", "name"), CASES)
def test_the_grants_are_the_golden_ones(family: str, name: str) -> None:
    """EVTRIG_ACCEPT=1 rewrites them: then review the difference."""
    sql = printed(family, name, *roles_of(name))
    if os.environ.get("EVTRIG_ACCEPT"):
        kept(family, name).write_text(sql)
    assert sql == kept(family, name).read_text()
    assert sql == printed(family, name, *reversed(roles_of(name)))


@pytest.mark.parametrize("family", golden.FAMILIES)
def test_no_golden_file_is_left_over(family: str) -> None:
    folder = golden.FOLDER / family / "grants"
    names = sorted(name for of, name in CASES if of == family)
    assert sorted(path.stem for path in folder.iterdir()) == names


@pytest.mark.parametrize(("family", "name"), CASES)
def test_every_privilege_has_a_reason(family: str, name: str) -> None:
    for assigned in json.loads(printed(family, name, "--json")):
        assert assigned["grants"]
        for grant in assigned["grants"]:
            assert set(grant) == {"privilege", "on", "why", "sql"}
            assert grant["why"]
            wanted = f"GRANT {grant['privilege']} ON {grant['on']} TO "
            assert grant["sql"].startswith(wanted)


def test_without_a_role_all_but_the_uninstaller_are_printed() -> None:
    data = json.loads(printed("mysql", "shop", "--json"))
    assert [assigned["role"] for assigned in data] == list(DEFAULT_ROLES)
    assert set(ROLES) - set(DEFAULT_ROLES) == {"uninstaller"}


def test_whoever_owns_the_triggers_by_installing_them_needs_no_definer() -> None:
    data = json.loads(printed("mysql", "images", "--json"))
    assert "definer" not in [assigned["role"] for assigned in data]
    sql = printed("mysql", "images", "installer")
    assert "`definer: current_user`" in sql
    assert "GRANT OPTION" not in sql
    assert "CREATE USER," not in sql


@pytest.mark.parametrize(("family", "name"), CASES)
def test_no_line_ends_with_a_blank_and_no_password_is_in_it(
    family: str, name: str
) -> None:
    sql = printed(family, name)
    assert [line for line in sql.split("\n") if line != line.rstrip()] == []
    passwords = sql.replace("IDENTIFIED BY '…'", "").replace(
        "IDENTIFIED BY RANDOM PASSWORD", ""
    )
    assert "IDENTIFIED" not in passwords


def test_an_account_is_what_the_option_says() -> None:
    sql = printed("mysql", "shop", "relay", "--account", "relay='it''s'@10.0.%")
    assert "TO `it's`@`10.0.%`;" in sql
    assert "evtrig_relay" not in sql


# What it refuses


def run(*arguments: str, name: str = "shop") -> Result:
    path = golden.FOLDER / f"{name}.yml"
    return CliRunner().invoke(
        main, ["grants", "-s", str(path), *arguments], env={"EVTRIG_DSN": None}
    )


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("relai",), "Did you mean relay?"),
        (("xyz",), "There are installer, definer,"),
        (("--account", "relay"), "Write ROLE=NAME@HOST"),
        (("--account", "relai=a@b"), "Did you mean relay?"),
        (("--account", "relay=a b@c"), "Write name@host"),
        (("--account", "definer=a@b"), "`definer: name@host`"),
        (("--account", f"relay={'x' * 33}@b"), "Choose a shorter name."),
    ],
    ids=str,
)
def test_a_role_or_account_that_cannot_be_is_refused(
    arguments: tuple[str, ...], hint: str
) -> None:
    ended = run(*arguments)
    assert ended.exit_code == 2
    assert ended.stdout == ""
    assert hint in ended.stderr


def test_there_is_nothing_to_print_for_a_definer_that_there_is_not() -> None:
    ended = run("definer", name="images")
    assert ended.exit_code == 2
    assert "evtrig grants installer" in ended.stderr


# Needs


NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\\"),
    min_size=1,
    max_size=20,
)


@given(schema=NAMES, table=NAMES, column=NAMES)
def test_any_name_in_a_grant_is_that_name(schema: str, table: str, column: str) -> None:
    for need in (
        Need("SELECT", "", schema),
        Need("SELECT", "", schema, table),
        Need("SELECT", "", schema, table, is_ahead=True),
        Need("SELECT", "", schema, table, (column,)),
        Need("SELECT", "", schema, table, (column, f"{column}x")),
        Need("EXECUTE", "", schema, function=table),
    ):
        assert need.is_met_by(Privileges.parse([need.grant(TO)]))
        assert not need.is_met_by(Privileges.parse([]))
    column_only = Privileges.parse(
        [Need("SELECT", "", schema, table, (column,)).grant(TO)]
    )
    assert not Need("SELECT", "", schema, table).is_met_by(column_only)
    for more in ((f"{column}x",), (column, f"{column}x")):
        assert not Need("SELECT", "", schema, table, more).is_met_by(column_only)


def test_what_is_as_good_will_do() -> None:
    reader = Privileges.parse(["GRANT SELECT ON `shop`.* TO `a`@`%`"])
    assert Need("REFERENCES", "", "shop").is_met_by(reader)
    admin = Privileges.parse(["GRANT SUPER ON *.* TO `a`@`%`"])
    assert Need("SET_ANY_DEFINER", "").is_met_by(admin)
    assert not Need("PROCESS", "").is_met_by(admin)


def test_alter_routine_on_the_procedure_alone_will_do_to_replace_it() -> None:
    need = Need("ALTER ROUTINE", "", "evtrig", procedure="emit")
    own = "GRANT EXECUTE, ALTER ROUTINE ON PROCEDURE `evtrig`.`emit` TO `a`@`%`"
    assert need.is_met_by(Privileges.parse([own]))
    function = own.replace("PROCEDURE", "FUNCTION")
    assert not need.is_met_by(Privileges.parse([function]))
    assert need.on == "`evtrig`.*"


def test_the_first_reason_of_a_privilege_stands() -> None:
    needs = [Need("SELECT", why, "shop", "orders") for why in ("one", "two")]
    assert [need.why for need in distinct(needs)] == ["one"]


@pytest.mark.parametrize(
    ("version", "privilege"),
    [
        ((), "SET_ANY_DEFINER"),
        ((9, 7, 4), "SET_ANY_DEFINER"),
        ((8, 2, 0), "SET_ANY_DEFINER"),
        ((8, 1, 0), "SET_USER_ID"),
        ((8, 0, 17), "SET_USER_ID"),
    ],
)
def test_the_version_decides_how_another_owner_is_allowed(
    version: tuple[int, ...], privilege: str
) -> None:
    wanted = Wanted((), Server("mysql", version), "evtrig", Account("d", "localhost"))
    (need,) = (
        n for n in needs_of("installer", wanted) if n.privilege.startswith("SET")
    )
    assert need.privilege == privilege
    assert ("SET_USER_ID" in need.why) == (version == ())


def test_before_mysql_8_0_20_routines_are_seen_by_select() -> None:
    for version, privilege in (((8, 0, 19), "SELECT"), ((8, 0, 20), "SHOW_ROUTINE")):
        needs = status_needs(
            ["shop"],
            Server("mysql", version),
            "evtrig",
            needs_salt=False,
            has_emit=True,
            needs_transaction=False,
        )
        assert [n.privilege for n in needs if "procedure" in n.why] == [privilege]


def test_an_install_with_nothing_to_do_needs_nothing() -> None:
    nothing = Work(
        creates_outbox=False,
        adds_relay=False,
        adds_salt=False,
        creates_account=False,
        creates_procedure=False,
        sources=(),
        granted=(),
    )
    wanted = Wanted((), Server("mysql"), "evtrig", Account("d", "localhost"))
    assert installer_needs(wanted, nothing) == ()
