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
FUNCTION = re.compile(
    rf"GRANT .*\bEXECUTE\b.* ON FUNCTION (?P<schema>{NAME})\.(?P<name>{NAME}) TO .*",
    re.DOTALL,
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

    def covers(self, privilege: str, schema: str | None, table: str | None) -> bool:
        if privilege not in self.privileges:
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
    #: Stored functions, as schema and name in lower case.
    functions: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def parse(cls, lines: Iterable[str]) -> Privileges:
        """Read SHOW GRANTS. Lines that grant roles or procedures are passed over."""
        lines = tuple(lines)
        found: dict[str, list[Grant]] = {"GRANT": [], "REVOKE": []}
        for match in filter(None, map(GRANT.fullmatch, lines)):
            found[match["verb"]].append(
                Grant(
                    _privileges(match["privileges"], match["rest"]),
                    _name(match["schema"]),
                    _name(match["table"]),
                )
            )
        functions = frozenset(
            (_name(match["schema"]) or "", (_name(match["name"]) or "").lower())
            for match in filter(None, map(FUNCTION.fullmatch, lines))
        )
        return cls(tuple(found["GRANT"]), tuple(found["REVOKE"]), functions)

    def allow_function(self, schema: str, name: str) -> bool:
        """Whether a stored function may be called."""
        return (schema, name.lower()) in self.functions or self.allow("EXECUTE", schema)

    def allow(
        self, privilege: str, schema: str | None = None, table: str | None = None
    ) -> bool:
        """Whether ``privilege`` holds on a table, a schema, or everywhere."""
        is_revoked = any(r.covers(privilege, schema, table) for r in self.revokes)
        return any(
            grant.covers(privilege, schema, table)
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


def _privileges(text: str, rest: str) -> frozenset[str]:
    # A column list, as in SELECT (`a`, `b`), is not the privilege on the table.
    names = re.split(r",\s*(?![^(]*\))", text)
    found = {name.strip().upper() for name in names if "(" not in name}
    if re.search(r" WITH (?:.* )?GRANT OPTION\b", rest):
        found.add("GRANT OPTION")
    return frozenset(found)


def _name(quoted: str) -> str | None:
    return None if quoted == "*" else quoted[1:-1].replace("``", "`")


def _like(pattern: str, text: str, *, exact: bool) -> bool:
    if exact:
        return pattern == text
    wildcards = {"%": ".*", "_": "."}
    parts = re.findall(r"\\[%_\\]|.", pattern, re.DOTALL)
    expression = "".join(wildcards.get(part, re.escape(part[-1])) for part in parts)
    return re.fullmatch(expression, text, re.DOTALL) is not None
