"""What of a database the connected account may look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..database.connection import Connection
from .account import Account
from .need import Need
from .privilege import Privileges, own_privileges
from .role import status_needs
from .spec import Spec
from .sql import Sql
from .step import Step

__all__ = ["Sight", "look"]


@dataclass(frozen=True)
class Sight:
    """The privileges of one account, against what `evtrig check` looks at."""

    #: ``user@host``
    user: str
    own: Privileges
    outbox: str
    #: What it does not have, with the statement that grants it.
    missing: tuple[tuple[Need, Sql], ...]

    def known(self, steps: Iterable[Step]) -> tuple[Step, ...]:
        """The steps that are missing for sure.

        What an account may not see looks to it as if it were not there.
        """
        return tuple(step for step in steps if self._shows(step))

    def _shows(self, step: Step) -> bool:
        lacks = {(need.privilege, need.schema, need.table) for need, _ in self.missing}
        if step.kind in ("account", "grant"):
            return lacks.isdisjoint({("SELECT", "mysql", t) for t in ("user", None)})
        if step.kind == "procedure" or step.title.startswith("drop procedure"):
            hiding = {("SHOW_ROUTINE", None, None), ("SELECT", "mysql", None)}
            return lacks.isdisjoint(hiding)
        if step.kind == "outbox":
            return all(schema != self.outbox for _, schema, _ in lacks)
        source = step.source or ""
        for privilege, schema, _ in lacks:
            # A name may hold a dot.
            if privilege == "TRIGGER" and source.startswith(f"{schema}."):
                table = source.removeprefix(f"{schema}.")
                return self.own.allow("TRIGGER", schema, table)
        return True


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
    )
    to = Account(*user.rsplit("@", 1))
    missing = tuple((need, need.grant(to)) for need in needs if not need.is_met_by(own))
    return Sight(user, own, spec.outbox, missing)
