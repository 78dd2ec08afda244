"""What an account needs: one privilege on one object, and what it is for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .account import Account
from .privilege import Privileges
from .sql import Sql, account, every_table, ident, qualified

__all__ = ["Need", "distinct"]

#: What a server takes instead of a privilege that shows something, or SET USER.
AS_GOOD = {
    # MySQL manual, "SHOW CREATE PROCEDURE Statement".
    "SHOW_ROUTINE": ("SELECT",),
    # Whoever may read or write a column sees that it is there (both servers).
    "REFERENCES": ("SELECT", "INSERT", "UPDATE"),
    "SET_ANY_DEFINER": ("SUPER",),
    "SET_USER_ID": ("SUPER",),
    "SET USER": ("SUPER",),
}


@dataclass(frozen=True)
class Need:
    """One privilege. Two on different objects are two needs, ``ALL`` is none."""

    privilege: str
    #: Goes on from the privilege: "to see its columns".
    why: str
    #: None for every schema.
    schema: str | None = None
    #: None for every table of the schema.
    table: str | None = None
    #: Of the table; none for all of them.
    columns: tuple[str, ...] = ()
    #: A stored function of the schema, instead of a table.
    function: str | None = None
    #: A procedure of the schema, on all of which the privilege is granted: what is
    #: granted on a procedure goes with it (MySQL 9.7). Having it on that one will do.
    procedure: str | None = None
    #: Whether the table may not be there yet. A grant on it would be refused (1146 on
    #: both servers), so it is for all of the schema.
    is_ahead: bool = False

    @property
    def on(self) -> Sql:
        """What a GRANT is on."""
        if self.schema is None:
            return Sql("*.*")
        if self.function is not None:
            return Sql(f"FUNCTION {qualified(self.schema, self.function)}")
        if self.table is None or self.is_ahead:
            return every_table(self.schema)
        return qualified(self.schema, self.table)

    @property
    def name(self) -> Sql:
        """The privilege, with its columns."""
        if not self.columns:
            return Sql(self.privilege)
        return Sql(f"{self.privilege} ({', '.join(map(ident, self.columns))})")

    @property
    def short(self) -> Sql:
        """The same for a comment, where the statement follows."""
        if len(self.columns) < 3:
            return self.name
        return Sql(f"{self.privilege} ({len(self.columns)} columns)")

    def grant(self, to: Account) -> Sql:
        """The statement that gives it, and nothing else."""
        return Sql(f"GRANT {self.name} ON {self.on} TO {account(to.user, to.host)}")

    def is_met_by(self, own: Privileges) -> bool:
        """Whether an account with these privileges has it, or what is as good."""
        return any(
            self._is_held(privilege, own)
            for privilege in (self.privilege, *AS_GOOD.get(self.privilege, ()))
        )

    def _is_held(self, privilege: str, own: Privileges) -> bool:
        schema = self.schema or ""
        if self.function is not None:
            return own.allow_routine(privilege, "FUNCTION", schema, self.function)
        if self.procedure is not None:
            return own.allow_routine(privilege, "PROCEDURE", schema, self.procedure)
        return all(
            own.allow(privilege, self.schema, self.table, column)
            for column in self.columns or (None,)
        )


def distinct(needs: Iterable[Need]) -> tuple[Need, ...]:
    """The needs, none of them twice; the first reason stands."""
    found: dict[tuple[str, str], Need] = {}
    for need in needs:
        found.setdefault((need.name, need.on), need)
    return tuple(found.values())
