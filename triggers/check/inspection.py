"""The spec and the database, read once for all that looks at them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from ...database.connection import (
    COLUMN_ACCESS_DENIED,
    DATABASE_ACCESS_DENIED,
    SPECIFIC_ACCESS_DENIED,
    TABLE_ACCESS_DENIED,
    Connection,
)
from ...database.server import Server
from ...errors import DatabaseError
from ..capture import Capture
from ..foreign_key import Name
from ..installed import Installed
from ..outbox import OUTBOX_TABLES
from ..plan import Plan
from ..sight import Sight
from ..spec import Spec
from ..sql import qualified
from ..table import Table
from ..trigger import TriggerName
from .finding import Finding, advice, sql

__all__ = ["Inspection", "attempt", "blind", "blindness"]

#: The account may not; the last one is ER_SP_DOES_NOT_EXIST, which is what SHOW CREATE
#: PROCEDURE says of one that the account may not see.
DENIED = frozenset(
    {DATABASE_ACCESS_DENIED, TABLE_ACCESS_DENIED, COLUMN_ACCESS_DENIED}
    | {SPECIFIC_ACCESS_DENIED, 1305}
)

UNSEEN = "What it would show was not looked at."


@dataclass(frozen=True)
class Inspection:
    """What every look starts from."""

    connection: Connection
    spec: Spec
    server: Server
    sight: Sight
    tables: Mapping[Name, Table]
    #: Of the tables that can be captured; what hinders it in the spec is left out.
    captures: tuple[Capture, ...]
    installed: Installed
    plan: Plan
    #: Whether ``installed`` and ``plan`` say nothing, for lack of a privilege.
    is_blind: bool = False

    @property
    def outbox(self) -> str:
        return self.spec.outbox

    @property
    def events(self) -> str:
        """The events table, quoted."""
        return qualified(self.spec.outbox, "events")

    def has(self, table: str) -> bool:
        """Whether a table of the outbox is there and has the columns it should."""
        there = self.installed.outbox_tables.get(table, frozenset())
        return there >= OUTBOX_TABLES[table]

    @property
    def schemas(self) -> tuple[str, ...]:
        return tuple(sorted({table.schema for table in self.spec.tables}))

    @cached_property
    def captured(self) -> frozenset[str]:
        """Every table of the spec, ``schema.table`` each."""
        return frozenset(table.source for table in self.spec.tables)

    @cached_property
    def by_digest(self) -> Mapping[str, str]:
        """The tables of the spec, by what the names of their triggers have of them."""
        return {
            TriggerName.of(table.schema, table.name, "insert").table: table.source
            for table in self.spec.tables
        }


def attempt(
    inspection: Inspection,
    look: Callable[[Inspection], Iterable[Finding]],
) -> list[Finding]:
    """What a look finds; or nothing, if the account may not look."""
    try:
        return list(look(inspection))
    except DatabaseError as error:
        return blind(inspection.sight, error)


def blind(sight: Sight, error: DatabaseError) -> list[Finding]:
    """What to say of a look that was refused; raises any other error.

    Nothing, if what the account lacks is said anyway.
    """
    if error.number not in DENIED:
        raise error
    if sight.missing:
        return []
    text = f"{sight.user} may not look at something: {error.text}"
    return [
        Finding(
            "not-looked-at",
            sight.user,
            f"{text} ({error.number})",
            UNSEEN,
            advice("Grant the privilege that the message names."),
        )
    ]


def blindness(sight: Sight) -> Iterator[Finding]:
    """What could not be looked at."""
    for need, grant in sight.missing:
        yield Finding(
            "not-looked-at",
            need.on,
            f"{sight.user} lacks the privilege {need.name} ({need.why})",
            UNSEEN,
            sql(grant),
        )
