"""Which columns of the outbox's tables a relay needs, and the server has not."""

from __future__ import annotations

from ..database.connection import Connection
from ..errors import EvtrigError

__all__ = ["COLUMNS", "absent"]

EVENT = (
    *("id", "uid", "type", "source", "operation", "captured_at", "key"),
    *("before", "after", "context", "transaction"),
)
#: By table.
COLUMNS = {
    "events": EVENT,
    "event_polling_state": (
        *("name", "claim", "holder", "holder_id", "holder_connection", "expires_at"),
    ),
    "dead_letters": (
        *EVENT,
        *("holds_key", "reason", "attempts", "first_error", "last_error"),
        *("failed_at", "parked_at"),
    ),
}

QUERY = """\
SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = %s
"""


def absent(connection: Connection, schema: str) -> EvtrigError | None:
    """What to tell whoever has tables without some columns; None if all are there.

    A column on which the account has no privilege counts as absent: the server shows
    no other. A table that is absent as a whole is an error of its own (1146).
    """
    found = {
        (str(table), str(column)) for table, column in connection.rows(QUERY, (schema,))
    }
    tables = {table for table, _ in found}
    lacking = []
    for table in (name for name in COLUMNS if name in tables):
        missing = [name for name in COLUMNS[table] if (table, name) not in found]
        if missing:
            lacking.append(f"{schema}.{table} has no column {', '.join(missing)}")
    if not lacking:
        return None
    return EvtrigError(
        f"{'; '.join(lacking)}: made by another version of evtrig, or altered; nothing"
        " was published",
        hint="Run evtrig check: it prints the ALTER TABLE that adds what is missing.",
    )
