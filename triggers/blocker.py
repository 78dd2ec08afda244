"""Who keeps a trigger from being created or dropped.

CREATE and DROP TRIGGER wait for every open transaction that has touched the table, and
what comes later queues behind them. The one in the way is named, so that somebody can
end it; of its statement without the values, which are contents of rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..database.connection import Connection, Row
from ..errors import ConnectionLost, DatabaseError

__all__ = ["Blocker", "blockers", "without_values"]

#: Characters of a statement that a message shows.
SHOWN = 100

# dev.mysql.com/doc, "The metadata_locks Table": on by default since MySQL 8.0.
LOCKS = """\
SELECT thread.processlist_id,
       CONCAT(thread.processlist_user, '@', thread.processlist_host),
       thread.processlist_time,
       MAX(statement.digest_text)
  FROM performance_schema.metadata_locks AS held
  JOIN performance_schema.threads AS thread
    ON thread.thread_id = held.owner_thread_id
  LEFT JOIN performance_schema.events_statements_current AS statement
    ON statement.thread_id = thread.thread_id
   AND statement.nesting_event_id IS NULL
 WHERE held.object_type = 'TABLE'
   AND held.object_schema = %s AND held.object_name = %s
   AND held.lock_status = 'GRANTED'
   AND thread.processlist_id <> CONNECTION_ID()
 GROUP BY 1, 2, 3
"""
# mariadb.com/kb, "Metadata Lock Info Plugin": not loaded by default.
PLUGIN = """\
SELECT process.id, CONCAT(process.user, '@', process.host), process.time, process.info
  FROM information_schema.metadata_lock_info AS held
  JOIN information_schema.processlist AS process ON process.id = held.thread_id
 WHERE held.lock_type = 'Table metadata lock'
   AND held.table_schema = %s AND held.table_name = %s
   AND process.id <> CONNECTION_ID()
"""
TRANSACTIONS = """\
SELECT process.id, CONCAT(process.user, '@', process.host),
       TIMESTAMPDIFF(SECOND, open.trx_started, SYSDATE()), process.info
  FROM information_schema.innodb_trx AS open
  JOIN information_schema.processlist AS process
    ON process.id = open.trx_mysql_thread_id
 WHERE process.id <> CONNECTION_ID()
"""
AGES = """\
SELECT trx_mysql_thread_id, TIMESTAMPDIFF(SECOND, trx_started, SYSDATE())
  FROM information_schema.innodb_trx
"""

VALUE = re.compile(
    r"""
      [xXbBnN]? ' (?: [^'\\] | '' | \\. )* (?: ' | \Z )
    | " (?: [^"\\] | "" | \\. )* (?: " | \Z )
    | (?P<name> ` (?: [^`] | `` )* (?: ` | \Z ) | [^\W\d][\w$]* )
    | (?: \d | \.\d ) [\w.]*
    | (?P<gap> (?: \s | --\s[^\n]* | \#[^\n]* | /\*.*?(?:\*/|\Z) )+ )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Blocker:
    """A connection that has a transaction or a statement open."""

    #: As in SHOW PROCESSLIST.
    connection: int
    #: ``user@host``
    user: str
    #: How long it has been open, in seconds.
    age: int
    #: What it does or did last, without values; None if nobody can tell.
    statement: str | None
    #: Whether it is surely on the table in question; some servers do not tell.
    is_certain: bool

    def __str__(self) -> str:
        doing = f", last with {self.statement}" if self.statement else ""
        return f"connection {self.connection} of {self.user}, for {self.age} s{doing}"


def blockers(
    connection: Connection, schema: str, table: str
) -> tuple[Blocker, ...] | None:
    """Who has this table in use now, the one that has had it longest first.

    Where the server does not say which tables a transaction uses, as MariaDB without
    its plugin, all that are open. None if this account may not know.
    """
    # In which innodb_trx has its times, whatever new sessions are given.
    connection.execute("SET SESSION time_zone = 'SYSTEM'")
    query = PLUGIN if connection.server.is_mariadb else LOCKS
    found, is_certain = _rows(connection, query, (schema, table)), True
    if found is None:
        found, is_certain = _rows(connection, TRANSACTIONS, ()), False
        if not found and not connection.server.is_mariadb:
            # Without PROCESS, MySQL 9.7 shows no transaction instead of refusing.
            return None
    if found is None:
        return None
    opened = {row[0]: int(row[1] or 0) for row in _rows(connection, AGES, ()) or ()}
    named = [
        Blocker(
            connection=int(number),
            user=str(user),
            age=opened.get(number, int(age or 0)),
            statement=without_values(str(statement)) if statement else None,
            is_certain=is_certain,
        )
        for number, user, age, statement in found
    ]
    return tuple(sorted(named, key=lambda blocker: -blocker.age))


def _rows(
    connection: Connection, query: str, arguments: Sequence[str]
) -> tuple[Row, ...] | None:
    """None if this account, or this server, does not tell."""
    try:
        return connection.rows(query, arguments)
    except ConnectionLost:
        raise
    except DatabaseError:
        return None


def without_values(statement: str) -> str:
    """A statement with ``?`` for every literal, in one line and not too long.

    A back-slash may or may not escape a quote (NO_BACKSLASH_ESCAPES), so of a statement
    that has one only what comes before the first literal is shown.
    """
    if "\\" in statement:
        statement = re.split(r"['\"0-9]", statement, maxsplit=1)[0] + "…"
    text = VALUE.sub(_shown, statement).strip()
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _shown(match: re.Match[str]) -> str:
    if match["name"]:
        return match["name"]
    return " " if match["gap"] else "?"
