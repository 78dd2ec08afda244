"""Which privileges a relay lacks, asked of the server without changing anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from ..database.connection import (
    COLUMN_ACCESS_DENIED,
    DATABASE_ACCESS_DENIED,
    TABLE_ACCESS_DENIED,
    Connection,
)
from ..errors import DatabaseError, EvtrigError

__all__ = ["DENIED", "ELSEWHERE", "Probes", "lacking"]

#: The account may not do that.
DENIED = frozenset({DATABASE_ACCESS_DENIED, TABLE_ACCESS_DENIED, COLUMN_ACCESS_DENIED})

#: Where an outbox is looked for that is another one. A Lambda has the variable only.
ELSEWHERE = "Is --outbox, or EVTRIG_OUTBOX, right?"

Probes: TypeAlias = Mapping[tuple[str, str], str]

#: By privilege and table, a statement that takes this one only. Both servers look at
#: privileges before they see that no row can be meant. MariaDB asks for every column
#: without a default all the same (1364).
PROBES: Probes = {
    ("SELECT", "events"): "SELECT `id` FROM {events} LIMIT 0",
    ("DELETE", "events"): "DELETE FROM {events} WHERE FALSE",
    ("SELECT", "state"): "SELECT `name` FROM {state} LIMIT 0",
    ("UPDATE", "state"): "UPDATE {state} SET `holder` = 0 WHERE FALSE",
    ("SELECT", "dead_letters"): "SELECT `id` FROM {dead_letters} LIMIT 0",
    ("INSERT", "dead_letters"): "INSERT INTO {dead_letters} (`id`, `uid`, `type`,"
    " `source`, `operation`, `captured_at`, `key`, `holds_key`, `reason`, `attempts`,"
    " `parked_at`) SELECT 0, 0, '', '', '', '2000-01-01', '', 0, '', 0, '2000-01-01'"
    " FROM DUAL WHERE FALSE",
}


def lacking(
    connection: Connection,
    names: Mapping[str, str],
    probes: Probes = PROBES,
    *,
    done: str = "published",
) -> EvtrigError | None:
    """What to tell an account that lacks a privilege; None if it lacks none of them.

    ``names`` are the tables that it uses, by their names in ``probes``, quoted for the
    driver. ``done`` is what was not done without it.
    """
    missing = []
    for (privilege, table), probe in probes.items():
        if table not in names:
            continue
        try:
            # Arguments, so that the driver takes %% for %.
            connection.execute(probe.format(**names), ())
        except DatabaseError as error:
            if error.number not in DENIED:
                raise
            missing.append(f"{privilege} ON {names[table].replace('%%', '%')}")
    if not missing:
        return None
    account = str(connection.value("SELECT CURRENT_USER()"))
    to = "@".join(f"`{p.replace('`', '``')}`" for p in account.rsplit("@", 1))
    return EvtrigError(
        f"{account} lacks the privilege {' and '.join(missing)}; nothing was {done}."
        f" {ELSEWHERE}",
        hint="; ".join(f"GRANT {privilege} TO {to}" for privilege in missing),
    )
