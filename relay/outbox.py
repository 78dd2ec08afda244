"""The outbox in the database: the lease, reading from the head, exact deletes.

All of the relay's SQL. Every statement is its own transaction (autocommit): a relay
that freezes holds no lock.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TypeVar

from ..database.connection import READ_ONLY, RETRY, Connection, Row
from ..database.dsn import Dsn
from ..errors import ConnectionLost, DatabaseError, EvtrigError
from .event import Event
from .privilege import DENIED, lacking

__all__ = ["Holder", "Outbox"]

T = TypeVar("T")

# The envelope's pieces, in its order of members; the server puts them together, which
# costs the relay a fifth of doing it in Python. DATE_FORMAT's % are doubled for the
# driver.
HEAD = """\
CONCAT('{{"id": "', e.`id`, '-', LPAD(LOWER(HEX(e.`uid`)), 16, '0'),
       '", "sequence": ', e.`id`,
       ', "type": ', JSON_QUOTE(e.`type`),
       ', "source": ', JSON_QUOTE(e.`source`),
       ', "operation": ', JSON_QUOTE(e.`operation`),
       ', "time": "', DATE_FORMAT(e.`captured_at`, '%%Y-%%m-%%dT%%H:%%i:%%s.%%fZ'),
       '", "key": ', e.`key`,
       ', "before": ')"""
BEFORE = "COALESCE(e.`before`, 'null')"
BETWEEN = "', \"after\": '"
AFTER = "COALESCE(e.`after`, 'null')"
TAIL = """\
CONCAT(', "transaction": ', COALESCE(JSON_QUOTE(e.`transaction`), 'null'),
       ', "context": ')"""
CONTEXT = "COALESCE(e.`context`, 'null')"
END = "'}}'"
PIECES = (HEAD, BEFORE, BETWEEN, AFTER, TAIL, CONTEXT, END)

KEY = "CONCAT(e.`source`, ':', e.`key`)"

READ = f"""\
SELECT e.`id`, e.`uid`, {KEY},
       CONCAT({", ".join(PIECES)})
  FROM {{events}} AS e
 {{where}}
 ORDER BY e.`id`
 LIMIT %s
"""
READ_PIECE = "SELECT {piece} FROM {events} AS e WHERE e.`id` = %s AND e.`uid` = %s"

# Keyed by (id, uid), because a fail-over may issue an id again, and guarded by the
# holder: a relay that lost its lease deletes nothing. Order of the joins and index are
# forced: left alone, both servers scan a table of a few rows, and then wait for the
# writers whose rows they meet. Without aliases, since `DELETE alias` asks for a default
# schema (1046).
DELETE = """\
DELETE {events}
  FROM JSON_TABLE(%s, '$[*]' COLUMNS (
           `id` BIGINT UNSIGNED PATH '$[0]',
           `uid` BIGINT UNSIGNED PATH '$[1]')) AS x
       STRAIGHT_JOIN {events} FORCE INDEX (PRIMARY)
           ON {events}.`id` = x.`id` AND {events}.`uid` = x.`uid`
       JOIN {state} AS s ON s.`name` = %s AND s.`holder` = %s
"""

CLAIM = "UPDATE {state} SET `claim` = LAST_INSERT_ID(`claim` + 1) WHERE `name` = %s"
GRANT = """\
UPDATE {state}
   SET `holder` = %s, `holder_id` = %s, `holder_connection` = CONNECTION_ID(),
       `expires_at` = UTC_TIMESTAMP(6) + INTERVAL %s SECOND
 WHERE `name` = %s AND `claim` = %s
   AND (`holder` = 0 OR `expires_at` <= UTC_TIMESTAMP(6))
"""
RENEW = """\
UPDATE {state}
   SET `expires_at` = UTC_TIMESTAMP(6) + INTERVAL %s SECOND
 WHERE `name` = %s AND `holder` = %s AND `claim` = %s
"""
RELEASE = "UPDATE {state} SET `holder` = 0 WHERE `name` = %s AND `holder` = %s"
HOLDER = """\
SELECT `claim`, `holder`, `holder_id`, `holder` = 0 OR `expires_at` <= UTC_TIMESTAMP(6)
  FROM {state}
 WHERE `name` = %s
"""

LOOK = """\
SELECT `holder` = %s AND `claim` = %s, EXISTS (SELECT 1 FROM {events})
  FROM {state}
 WHERE `name` = %s
"""

#: The relay's row in event_polling_state.
RELAY = "default"

#: How often a statement is tried that waits for a lock, two seconds each time.
TRIES = 3


@dataclass(frozen=True)
class Holder:
    """Who publishes now, as the database says."""

    #: The newest epoch that was asked for.
    claim: int
    epoch: int
    #: Host and process.
    name: str
    #: Whether nobody holds the lease, or not any more.
    is_free: bool


class Outbox:
    """The outbox of one database, over one connection.

    Raises DatabaseError, or ConnectionLost where a new connection may help.
    """

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        quoted = "`" + schema.replace("`", "``").replace("%", "%%") + "`"
        self._names = {
            "events": f"{quoted}.`events`",
            "state": f"{quoted}.`event_polling_state`",
        }
        self._schema = schema

    @classmethod
    def connect(cls, dsn: Dsn, schema: str, *, ttl: int) -> Outbox:
        """Open a connection fit for a relay whose lease lasts ``ttl`` seconds.

        A server that does not answer, or a client that has gone, must not outlast the
        lease by much.
        """
        connection = Connection(
            dsn,
            settings={
                "sql_mode": "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION",
                "wait_timeout": 2 * ttl,
                "innodb_lock_wait_timeout": 2,
            },
            found_rows=True,
            has_schema=False,
            connect_timeout=max(1, ttl // 2),
            read_timeout=max(1, ttl // 2),
        )
        outbox = cls(connection, schema)
        try:
            if connection.is_read_only:
                raise ConnectionLost(
                    f"{dsn} is read-only",
                    number=READ_ONLY,
                    hint="Connect to the primary (on Aurora: the cluster endpoint).",
                )
            outbox.check_privileges()
            outbox.holder()
        except BaseException:
            connection.close()
            raise
        return outbox

    def check_privileges(self) -> None:
        """Try every statement of a relay on no row at all.

        A relay that found out later that it may not delete would have published a batch
        by then, and again at each start. Raises EvtrigError with everything missing.
        """
        try:
            self._rows(self._sql(READ, where=""), (0,))
            self._execute(DELETE, ("[]", RELAY, 0))
            for statement in (LOOK, CLAIM, GRANT, RENEW, RELEASE):
                # No relay is called 0.
                self._execute(statement, ("0",) * statement.count("%s"))
        except DatabaseError as error:
            if error.number not in DENIED:
                raise
            raise lacking(self._connection, self._names) or error from None

    def close(self) -> None:
        self._connection.close()

    def __str__(self) -> str:
        return f"{self._schema} at {self._connection.dsn}"

    # The lease

    def holder(self) -> Holder:
        """Raises EvtrigError if event_polling_state has no row for the relay."""
        rows = self._rows(self._sql(HOLDER), (RELAY,))
        if not rows:
            raise EvtrigError(
                f"{self._schema}.event_polling_state has no row {RELAY!r}",
                hint="Run evtrig install: it puts the row back.",
            )
        claim, epoch, name, is_free = rows[0]
        return Holder(claim, epoch, name, bool(is_free))

    def claim(self) -> int:
        """Ask for the lease; the new epoch. The newest claim wins."""
        self._execute(CLAIM, (RELAY,))
        return self._connection.last_insert_id

    def grant(self, epoch: int, name: str, ttl: int) -> bool:
        """Take the lease if it is free and nobody has claimed it since."""
        arguments = (epoch, name, ttl, RELAY, epoch)
        return self._execute(GRANT, arguments) == 1

    def renew(self, epoch: int, ttl: int) -> bool:
        """Hold the lease for ``ttl`` seconds more; False if somebody newer waits."""
        arguments = (ttl, RELAY, epoch, epoch)
        return self._execute(RENEW, arguments) == 1

    def look(self, epoch: int) -> tuple[bool, bool]:
        """Whether the lease is ours and nobody waits for it; whether there are events.

        One cheap query for both, which is all that an idle relay does.
        """
        rows = self._rows(self._sql(LOOK), (epoch, epoch, RELAY))
        return (bool(rows[0][0]), bool(rows[0][1])) if rows else (False, False)

    def release(self, epoch: int) -> None:
        """Let the lease go, if it is still ours."""
        self._execute(RELEASE, (RELAY, epoch))

    # The events

    def read(
        self,
        limit: int,
        *,
        besides: Collection[int] = (),
        besides_keys: Collection[str] = (),
    ) -> list[Event]:
        """The first ``limit`` committed events in id order, without those ``besides``.

        Always from the head and never from where the last read ended: ids become
        visible out of order, and a cursor would pass over the late ones for good.
        """
        conditions = []
        if besides:
            ids = ",".join(map(str, sorted(besides)))
            conditions.append(f"e.`id` NOT IN ({ids})")
        if besides_keys:
            places = ", ".join(["%s"] * len(besides_keys))
            conditions.append(f"{KEY} NOT IN ({places})")
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        arguments = (*besides_keys, limit)
        rows = self._rows(self._sql(READ, where=where), arguments)
        return [self._event(row) for row in rows]

    def _event(self, row: Row) -> Event:
        id_, uid, key, body = row
        if body is None:
            # CONCAT gives NULL where the result exceeds max_allowed_packet.
            body = "".join(self._piece(piece, id_, uid) for piece in PIECES)
        return Event(id_, uid, key, body)

    def _piece(self, piece: str, id_: int, uid: int) -> str:
        value = self._connection.value(self._sql(READ_PIECE, piece=piece), (id_, uid))
        if value is None:
            raise EvtrigError(
                f"event {id_} of {self} is larger than the server may send",
                hint="Raise max_allowed_packet on the server; the event waits.",
            )
        return str(value)

    def delete(self, events: Iterable[Event], epoch: int) -> int:
        """Delete exactly these events, if ``epoch`` holds the lease; how many went.

        Raises DatabaseError with a number of RETRY if somebody holds a lock on one.
        """
        pairs = json.dumps([(event.id, event.uid) for event in events])
        arguments = (pairs, RELAY, epoch)
        return self._connection.execute(self._sql(DELETE), arguments)

    def _execute(self, statement: str, arguments: tuple[object, ...]) -> int:
        sql = self._sql(statement)
        return patiently(lambda: self._connection.execute(sql, arguments))

    def _rows(self, sql: str, arguments: tuple[object, ...]) -> tuple[Row, ...]:
        return patiently(lambda: self._connection.rows(sql, arguments))

    def _sql(self, statement: str, **parts: str) -> str:
        parts = {name: part.format() for name, part in parts.items()}
        return statement.format(**self._names, **parts)


def patiently(run: Callable[[], T]) -> T:
    """Run a statement that may have to wait for a lock, more than once if need be.

    Each is a transaction of its own, so that repeating it is safe.
    """
    for _ in range(TRIES - 1):
        try:
            return run()
        except DatabaseError as error:
            if error.number not in RETRY:
                raise
    try:
        return run()
    except DatabaseError as error:
        if error.number not in RETRY:
            raise
        # Not worth ending for: the relay starts again from its claim.
        raise ConnectionLost(
            error.message, number=error.number, hint=error.hint
        ) from None
