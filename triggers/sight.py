"""What of a database the connected account may look at."""

from __future__ import annotations

from dataclasses import dataclass

from ..database.connection import Connection
from .account import Account
from .need import Need
from .privilege import Privileges, own_privileges
from .role import status_needs
from .spec import Spec
from .sql import Sql
from .step import Item
from .table import Table

__all__ = ["Sight", "look", "needs_transaction"]


@dataclass(frozen=True)
class Sight:
    """The privileges of one account, against what `evtrig check` looks at."""

    #: ``user@host``
    user: str
    own: Privileges
    outbox: str
    #: What it does not have, with the statement that grants it.
    missing: tuple[tuple[Need, Sql], ...]

    def shows(self, item: Item) -> bool:
        """Whether the account would see it if it were there.

        What an account may not see looks to it as if it were missing.
        """
        if item.kind in ("account", "grant"):
            return any(self.own.allow("SELECT", "mysql", t) for t in ("user", None))
        if item.kind == "procedure":
            return self._shows_procedures()
        if item.kind == "trigger":
            return self._shows_triggers(item.source or "")
        # "table evtrig.events", "row default of evtrig.event_polling_state"
        table = item.name.rpartition(f"{self.outbox}.")[2]
        privileges = ("SELECT", "INSERT", "CREATE")
        return any(self.own.allow(p, self.outbox, table) for p in privileges)

    def hides(self, schema: str, name: str, table: Table | None) -> bool:
        """Whether a captured table, or its columns, may be there and not be shown."""
        if table is not None:
            return not table.is_view and not table.columns
        # Whoever has any of them is shown that it is there.
        privileges = ("SELECT", "INSERT", "UPDATE", "DELETE", "REFERENCES", "TRIGGER")
        return not any(self.own.allow(p, schema, name) for p in privileges)

    def shows_columns(self, table: str) -> bool:
        """Whether all columns of a table of the outbox are shown.

        Of one on some of whose columns it has privileges, it sees only these.
        """
        privileges = ("SELECT", "INSERT", "UPDATE", "REFERENCES")
        return any(self.own.allow(p, self.outbox, table) for p in privileges)

    def _shows_procedures(self) -> bool:
        on_schema = ("EXECUTE", "CREATE ROUTINE", "ALTER ROUTINE")
        return (
            any(self.own.allow(privilege, self.outbox) for privilege in on_schema)
            or self.own.allow("SHOW_ROUTINE")
            or self.own.allow("SELECT")
            or self.own.allow("SELECT", "mysql", "proc")
        )

    def _shows_triggers(self, source: str) -> bool:
        # A name may hold a dot.
        dots = (n for n, character in enumerate(source) if character == ".")
        return any(
            self.own.allow("TRIGGER", source[:dot], source[dot + 1 :]) for dot in dots
        )


def look(connection: Connection, spec: Spec) -> Sight:
    """What the connected account may look at of what the spec names."""
    own = own_privileges(connection)
    user = str(connection.value("SELECT CURRENT_USER()"))
    needs = status_needs(
        sorted({table.schema for table in spec.tables}),
        connection.server,
        spec.outbox,
        needs_salt=any(
            redaction.kind == "hash"
            for table in spec.tables
            for redaction in table.redact.values()
        ),
        has_emit=spec.emit,
        needs_transaction=needs_transaction(spec),
    )
    to = Account(*user.rsplit("@", 1))
    missing = tuple((need, need.grant(to)) for need in needs if not need.is_met_by(own))
    return Sight(user, own, spec.outbox, missing)


def needs_transaction(spec: Spec) -> bool:
    """Whether events carry the id of their transaction, or a gap looks for it."""
    return (spec.emit and spec.transaction) or any(
        table.transaction or table.bypass is not None for table in spec.tables
    )
