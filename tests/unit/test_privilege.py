"""What SHOW GRANTS says, in the words of MySQL 8.0, 8.4 and 9.7 and of MariaDB."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtrig.triggers.privilege import Privileges
from evtrig.triggers.sql import ident

#: Of root on MySQL 9.7, shortened in the middle of its second line.
MYSQL_ROOT = (
    "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, SHUTDOWN, PROCESS,"
    " FILE, REFERENCES, INDEX, ALTER, SHOW DATABASES, SUPER, CREATE TEMPORARY TABLES,"
    " LOCK TABLES, EXECUTE, REPLICATION SLAVE, REPLICATION CLIENT, CREATE VIEW, SHOW"
    " VIEW, CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER, CREATE"
    " TABLESPACE, CREATE ROLE, DROP ROLE ON *.* TO `root`@`localhost` WITH GRANT"
    " OPTION",
    "GRANT ALLOW_NONEXISTENT_DEFINER,APPLICATION_PASSWORD_ADMIN,SET_ANY_DEFINER,"
    "SYSTEM_USER,XA_RECOVER_ADMIN ON *.* TO `root`@`localhost` WITH GRANT OPTION",
    "GRANT PROXY ON ``@`` TO `root`@`localhost` WITH GRANT OPTION",
)
MARIADB_ROOT = (
    "GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION",
    "GRANT PROXY ON ''@'%' TO 'root'@'localhost' WITH GRANT OPTION",
)
MARIADB_PASSWORD = (
    "GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD"
    " '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19'",
    "GRANT CREATE USER, SET USER ON *.* TO `app`@`%` IDENTIFIED VIA"
    " mysql_native_password USING '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19' OR"
    " unix_socket",
)


def of(*lines: str) -> Privileges:
    return Privileges.parse(lines)


@pytest.mark.parametrize("lines", [MYSQL_ROOT, MARIADB_ROOT], ids=["mysql", "mariadb"])
def test_root_may_do_everything(lines: tuple[str, ...]) -> None:
    root = of(*lines)
    for privilege in ("CREATE USER", "SUPER"):
        assert root.allow(privilege)
    for privilege in ("SELECT", "INSERT", "TRIGGER", "GRANT OPTION"):
        assert root.allow(privilege, "shop", "orders")


def test_dynamic_privileges_stand_on_a_line_of_their_own() -> None:
    assert of(*MYSQL_ROOT).allow("SET_ANY_DEFINER")
    assert not of(MYSQL_ROOT[0]).allow("SET_ANY_DEFINER")


def test_usage_is_nothing() -> None:
    nobody = of("GRANT USAGE ON *.* TO `app`@`%`")
    assert not nobody.allow("SELECT", "shop", "orders")


def test_a_password_or_plugin_behind_the_account_does_not_matter() -> None:
    app = of(*MARIADB_PASSWORD)
    assert app.allow("SET USER")
    assert not app.allow("SELECT", "shop", "orders")


def test_require_and_limits_behind_the_account_do_not_matter() -> None:
    app = of(
        "GRANT TRIGGER ON *.* TO `app`@`%` REQUIRE SSL WITH GRANT OPTION"
        " MAX_QUERIES_PER_HOUR 10"
    )
    assert app.allow("TRIGGER", "shop", "orders")


def test_grant_option_counts_with_limits_behind_it() -> None:
    # As MariaDB 10.11 writes it for an account with a limit.
    app = of(
        "GRANT TRIGGER ON *.* TO `app`@`%` WITH GRANT OPTION MAX_QUERIES_PER_HOUR 10"
    )
    assert app.allow("GRANT OPTION", "shop", "orders")


def test_all_privileges_do_not_hold_grant_option() -> None:
    owner = of("GRANT ALL PRIVILEGES ON `shop`.* TO `owner`@`%`")
    assert owner.allow("TRIGGER", "shop", "orders")
    assert not owner.allow("GRANT OPTION", "shop", "orders")


def test_all_privileges_on_a_schema_hold_nothing_global() -> None:
    owner = of("GRANT ALL PRIVILEGES ON `shop`.* TO `owner`@`%` WITH GRANT OPTION")
    assert not owner.allow("CREATE USER")
    assert not owner.allow("TRIGGER", "crm", "people")


def test_a_table_grant_holds_for_that_table_only() -> None:
    app = of("GRANT SELECT, TRIGGER ON `shop`.`orders` TO `app`@`%`")
    assert app.allow("TRIGGER", "shop", "orders")
    assert not app.allow("TRIGGER", "shop", "order")
    assert not app.allow("TRIGGER", "shop")
    assert not app.allow("TRIGGER")
    assert not app.allow("INSERT", "shop", "orders")


def test_a_column_grant_is_not_the_privilege_on_the_table() -> None:
    app = of(
        "GRANT SELECT (`id`, `a,b`, `)x`), INSERT (`id`), DELETE ON `s`.`t` TO `a`@`%`"
    )
    assert app.allow("DELETE", "s", "t")
    assert not app.allow("SELECT", "s", "t")
    assert not app.allow("INSERT", "s", "t")


@pytest.mark.parametrize(
    ("pattern", "schema", "matches"),
    [
        (r"shop\_eu", "shop_eu", True),
        (r"shop\_eu", "shopXeu", False),
        ("shop_eu", "shopXeu", True),
        ("shop%", "shop", True),
        ("shop%", "shop_eu", True),
        (r"shop\%", "shop%", True),
        (r"shop\%", "shop_eu", False),
        ("a.b", "aXb", False),
        ("%", "anything", True),
        ("tienda``x", "tienda`x", True),
        ("注文", "注文", True),
    ],
)
def test_a_schema_is_a_pattern(pattern: str, schema: str, matches: bool) -> None:
    app = of(f"GRANT TRIGGER ON `{pattern}`.* TO `app`@`%`")
    assert app.allow("TRIGGER", schema, "t") is matches


def test_the_schema_of_a_table_grant_is_no_pattern() -> None:
    app = of("GRANT TRIGGER ON `shop_eu`.`t` TO `app`@`%`")
    assert app.allow("TRIGGER", "shop_eu", "t")
    assert not app.allow("TRIGGER", "shopXeu", "t")


def test_roles_and_routines_are_passed_over() -> None:
    app = of(
        "GRANT `writer`@`%` TO `app`@`%`",
        "GRANT `writer` TO `app`@`%`",
        "GRANT `a`@`%`,`b`@`%` TO `app`@`%` WITH ADMIN OPTION",
        "SET DEFAULT ROLE `writer` FOR `app`@`%`",
        "GRANT EXECUTE ON PROCEDURE `shop`.`p` TO `app`@`%`",
        "GRANT EXECUTE ON FUNCTION `shop`.`on` TO `app`@`%` WITH GRANT OPTION",
    )
    for privilege in ("EXECUTE", "SELECT", "GRANT OPTION"):
        assert not app.allow(privilege, "shop", "p")


def test_a_partial_revoke_takes_the_privilege_away() -> None:
    # MySQL with partial_revokes = ON; SHOW GRANTS has it as a line of its own.
    app = of(
        "GRANT TRIGGER ON *.* TO `app`@`%`",
        "REVOKE TRIGGER ON `shop`.* FROM `app`@`%`",
    )
    assert app.allow("TRIGGER", "crm", "people")
    assert not app.allow("TRIGGER", "shop", "orders")


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(schema=NAMES, table=NAMES, user=NAMES)
def test_any_name_is_understood(schema: str, table: str, user: str) -> None:
    line = f"GRANT TRIGGER ON {ident(schema)}.{ident(table)} TO {ident(user)}@`%`"
    assert of(line).allow("TRIGGER", schema, table)
    assert not of(line).allow("TRIGGER", schema, table + "x")


@given(schema=NAMES)
def test_a_schema_with_its_wildcards_escaped_is_that_schema(schema: str) -> None:
    escaped = schema.replace("%", r"\%").replace("_", r"\_")
    app = of(f"GRANT TRIGGER ON {ident(escaped)}.* TO `app`@`%`")
    # The servers keep a back-slash before anything else as it is.
    if "\\" not in schema:
        assert app.allow("TRIGGER", schema, "t")
