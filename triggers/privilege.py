"""What an account may do, as SHOW GRANTS tells."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..database.connection import Connection
from ..errors import DatabaseError
from .account import Account
from .sql import account

__all__ = ["Grant", "Privileges", "own_privileges", "privileges_of"]

NAME = r"(?:\*|`(?:[^`]|``)*`)"
GRANT = re.compile(
    rf"(?P<verb>GRANT|REVOKE) (?P<privileges>.+?) ON"
    rf" (?P<schema>{NAME})\.(?P<table>{NAME}) (?:TO|FROM) (?P<rest>.*)",
    re.DOTALL,
)
ROUTINE = re.compile(
    rf"GRANT (?P<privileges>.*) ON (?P<kind>FUNCTION|PROCEDURE)"
    rf" (?P<schema>{NAME})\.(?P<name>{NAME}) TO (?P<rest>.*)",
    re.DOTALL,
)
COLUMN = r"(?:`(?:[^`]|``)*`|[^`,()]+)"
#: One of a list of privileges, with the columns it is on.
PRIVILEGE = re.compile(
    rf"(?P<name>[A-Za-z_ ]+?)(?: \((?P<columns>{COLUMN}(?:, *{COLUMN})*)\))?(?:, *|$)"
)
#: ER_NONEXISTING_GRANT: there is no such account.
NO_SUCH_ACCOUNT = 1141


@dataclass(frozen=True)
class Grant:
    """One line of SHOW GRANTS."""

    privileges: frozenset[str]
    #: A LIKE pattern, ``_`` and ``%`` being wildcards; None for every schema.
    schema: str | None
    #: None for every table.
    table: str | None
    #: Privileges that are on one column of the table only, each with the column.
    columns: frozenset[tuple[str, str]] = frozenset()

    def covers(
        self,
        privilege: str,
        schema: str | None,
        table: str | None,
        column: str | None = None,
    ) -> bool:
        is_column = column is not None and (privilege, column) in self.columns
        if privilege not in self.privileges and not is_column:
            # ALL does not hold GRANT OPTION, on either server.
            if "ALL PRIVILEGES" not in self.privileges or privilege == "GRANT OPTION":
                return False
        if self.schema is None:
            return True
        if schema is None or not _like(
            self.schema, schema, exact=self.table is not None
        ):
            return False
        return self.table is None or self.table == table


@dataclass(frozen=True)
class Privileges:
    """Everything that is granted to one account."""

    grants: tuple[Grant, ...] = ()
    #: Schemas that a grant for every schema does not reach (MySQL's partial revokes).
    revokes: tuple[Grant, ...] = ()
    #: Privileges on single routines: with FUNCTION or PROCEDURE, schema and name, the
    #: latter in lower case.
    routines: frozenset[tuple[str, str, str, str]] = frozenset()

    @classmethod
    def parse(cls, lines: Iterable[str]) -> Privileges:
        """Read SHOW GRANTS. Lines that grant roles are passed over."""
        lines = tuple(lines)
        found: dict[str, list[Grant]] = {"GRANT": [], "REVOKE": []}
        for match in filter(None, map(GRANT.fullmatch, lines)):
            privileges, columns = _privileges(match["privileges"], match["rest"])
            schema, table = _name(match["schema"]), _name(match["table"])
            grant = Grant(privileges, schema, table, columns)
            found[match["verb"]].append(grant)
        routines = frozenset(
            (name, match["kind"], _name(match["schema"]) or "", routine.lower())
            for match in filter(None, map(ROUTINE.fullmatch, lines))
            for name in _privileges(match["privileges"], match["rest"])[0]
            for routine in [_name(match["name"]) or ""]
        )
        return cls(tuple(found["GRANT"]), tuple(found["REVOKE"]), routines)

    def allow_routine(self, privilege: str, kind: str, schema: str, name: str) -> bool:
        """Whether ``privilege`` holds on a FUNCTION or PROCEDURE."""
        held = (privilege, kind, schema, name.lower()) in self.routines
        return held or self.allow(privilege, schema)

    def allow(
        self,
        privilege: str,
        schema: str | None = None,
        table: str | None = None,
        column: str | None = None,
    ) -> bool:
        """Whether ``privilege`` holds on a column, a table, a schema, or everywhere."""
        is_revoked = any(r.covers(privilege, schema, table) for r in self.revokes)
        return any(
            grant.covers(privilege, schema, table, column)
            for grant in self.grants
            if grant.schema is not None or not is_revoked
        )


def own_privileges(connection: Connection) -> Privileges:
    """What the connected account may do, with the roles that are active."""
    statement = "SHOW GRANTS"
    if not connection.server.is_mariadb:
        # MariaDB lists the active role's grants by itself.
        roles = connection.value("SELECT CURRENT_ROLE()")
        if roles and roles != "NONE":
            statement = f"SHOW GRANTS FOR CURRENT_USER() USING {roles}"
    return Privileges.parse(row[0] for row in connection.rows(statement))


def privileges_of(connection: Connection, owner: Account) -> Privileges | None:
    """What another account may do, None if there is no such account.

    Raises DatabaseError if the connected account may not know.
    """
    name = account(owner.user, owner.host)
    try:
        return Privileges.parse(
            row[0] for row in connection.rows(f"SHOW GRANTS FOR {name}")
        )
    except DatabaseError as error:
        if error.number == NO_SUCH_ACCOUNT:
            return None
        raise


def _privileges(
    text: str, rest: str
) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    """The privileges on the whole object, and those on single columns of it."""
    whole, columns = set(), set()
    for match in PRIVILEGE.finditer(text):
        name = match["name"].strip().upper()
        if match["columns"] is None:
            whole.add(name)
            continue
        for column in re.findall(COLUMN, match["columns"]):
            column = column.strip()
            bare = _name(column) if column.startswith("`") else column
            columns.add((name, bare or ""))
    if re.search(r" WITH (?:.* )?GRANT OPTION\b", rest):
        whole.add("GRANT OPTION")
    return frozenset(whole), frozenset(columns)


def _name(quoted: str) -> str | None:
    return None if quoted == "*" else quoted[1:-1].replace("``", "`")


def _like(pattern: str, text: str, *, exact: bool) -> bool:
    if exact:
        return pattern == text
    wildcards = {"%": ".*", "_": "."}
    parts = re.findall(r"\\[%_\\]|.", pattern, re.DOTALL)
    expression = "".join(wildcards.get(part, re.escape(part[-1])) for part in parts)
    return re.fullmatch(expression, text, re.DOTALL) is not None
