"""The outbox in the database: the lease, reads, exact deletes, dead letters.

All of the relay's SQL. Every statement is its own transaction (autocommit): a relay
that freezes holds no lock.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

from ..database.connection import (
    NO_SUCH_TABLE,
    READ_ONLY,
    RETRY,
    SPECIFIC_ACCESS_DENIED,
    UNKNOWN_COLUMN,
    UNKNOWN_DATABASE,
    Connection,
    Row,
)
from ..database.dsn import Dsn
from ..errors import ConnectionLost, DatabaseError, EvtrigError
from . import column
from .backlog import MOST, Backlog
from .dead_letter import DeadLetter, Parked
from .envelope import is_json
from .event import Event
from .floor import Transaction
from .lease import TTL, Holder
from .privilege import DENIED, ELSEWHERE, lacking
from .route import Route
from .statements import (
    CLAIM,
    COUNT,
    COUNT_FIRST,
    DELETE,
    DELETE_PARKED,
    FINISH_PARKING,
    GRANT,
    HOLDER,
    INCREMENT,
    JSON_COLUMNS,
    KEY,
    KEY_OF_DEAD,
    PARK,
    PARKED,
    PARKED_KEYS,
    PIECES,
    READ,
    READ_PIECE,
    RELEASE,
    RENEW,
    TRANSACTIONS,
    WAITING,
    WATCH,
    WHICH_SERVER,
)

__all__ = ["Outbox"]

#: The relay's row in event_polling_state.
RELAY = "default"

SETTINGS: dict[str, str | int] = {
    "sql_mode": "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION"
}
#: ER_DUP_ENTRY.
DUPLICATE = 1062
#: No lease is ever granted to epoch 0.
NOBODY = (0, "2000-01-01")

#: How often a statement is tried that waits for a lock, two seconds each time.
TRIES = 3
#: Seconds for a second connection, where there is one already.
CONNECT_TIMEOUT = 3
#: Seconds that a read may take: it passes over what the server has not purged yet.
READ_TIMEOUT = 60
#: Characters that an error of a dead letter may have.
ERROR = 255


T = TypeVar("T")


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
            "dead_letters": f"{quoted}.`dead_letters`",
        }
        self._schema = schema
        #: Tells it from another one that the same name leads to.
        self.server: Row | None = None
        #: Whether no other server issues ids for the same table.
        self.is_alone = False

    @classmethod
    def connect(cls, dsn: Dsn, schema: str, *, ttl: int) -> Outbox:
        """Open a connection fit for a relay whose lease lasts ``ttl`` seconds.

        A server that does not answer, or a client that has gone, must not outlast the
        lease by much.
        """
        lock_wait = 1 if ttl < TTL else 2
        connection = Connection(
            dsn,
            settings={
                **SETTINGS,
                "wait_timeout": 2 * ttl,
                # Not to miss a renewal over it. The second is for LOCK TABLES.
                "innodb_lock_wait_timeout": lock_wait,
                "lock_wait_timeout": lock_wait,
            },
            found_rows=True,
            has_schema=False,
            connect_timeout=max(1, ttl // 2),
            # Longer than any lock is waited for: a connection that is given up forgets
            # what was acknowledged.
            read_timeout=max(lock_wait + 2, ttl // 2),
        )
        outbox = cls(connection, schema)
        try:
            if connection.is_read_only:
                raise ConnectionLost(
                    f"{dsn} is read-only",
                    number=READ_ONLY,
                    hint="Connect to the primary (on Aurora: the cluster endpoint).",
                )
            outbox.server = connection.row(WHICH_SERVER)
            outbox.is_alone = connection.value(INCREMENT) == 1
            outbox.check()
        except BaseException:
            connection.close()
            raise
        return outbox

    def reader(self) -> Outbox:
        """A second connection to the same server, for reads: they may take their time
        while the lease has to be renewed.

        Raises ConnectionLost if the name leads to another server by now.
        """
        dsn = self._connection.dsn
        connection = Connection(
            dsn,
            settings=SETTINGS,
            has_schema=False,
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
        )
        reader = type(self)(connection, self._schema)
        reader.server = connection.row(WHICH_SERVER)
        if reader.server != self.server:
            reader.close()
            raise ConnectionLost(
                f"{dsn} is another server than a moment ago", number=READ_ONLY
            )
        return reader

    def check(self) -> None:
        """Try every statement of a relay on no row at all.

        A relay that found out later that it may not delete, or that a table is of an
        older version, would have published a batch by then, and again at each start.
        Raises EvtrigError with everything missing.
        """
        try:
            self._rows(self._sql(READ, where=""), (0,))
            self._execute(DELETE, ("[]", RELAY, 0))
            self._execute(PARK, ("[]", RELAY, 0))
            for statement in (WATCH, CLAIM, GRANT, RENEW, RELEASE):
                # No relay is called 0.
                self._execute(statement, ("0",) * statement.count("%s"))
            self.holder()
        except DatabaseError as error:
            raise self._explained(error) from None

    def _explained(self, error: DatabaseError) -> EvtrigError:
        """What is wrong with the account or the tables, if it is one of these."""
        if error.number in DENIED:
            return lacking(self._connection, self._names) or error
        if error.number == UNKNOWN_COLUMN:
            return column.absent(self._connection, self._schema) or error
        if error.number == UNKNOWN_DATABASE:
            return DatabaseError(
                f"there is no schema {self._schema} at {self._connection.dsn}",
                number=error.number,
                hint=f"{ELSEWHERE} evtrig install makes the schema.",
            )
        if error.number == NO_SUCH_TABLE:
            # MariaDB says so of a schema that is not there too.
            error.hint = f"{error.hint} {ELSEWHERE}"
        return error

    def close(self) -> None:
        self._connection.close()

    def abort(self) -> None:
        """Make what another thread waits for fail; it has to be closed still."""
        self._connection.abort()

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
        claim, epoch, name, expires_at, remaining = rows[0]
        return Holder(claim, epoch, name, expires_at, float(remaining))

    def claim(self) -> int:
        """Ask for the lease; the new epoch. The newest claim wins."""
        self._execute(CLAIM, (RELAY,))
        return self._connection.last_insert_id

    def grant(
        self, epoch: int, name: str, ttl: int, gone: tuple[int, str] | None = None
    ) -> bool:
        """Take the lease if nobody has claimed it since, and it is free or still that
        of a holder which has ``gone`` (its epoch and ``expires_at``)."""
        arguments = (epoch, name, ttl, RELAY, epoch, *(gone or NOBODY))
        return self._execute(GRANT, arguments) == 1

    def renew(self, epoch: int, ttl: int) -> bool:
        """Hold the lease for ``ttl`` seconds more; False if somebody newer waits."""
        arguments = (ttl, RELAY, epoch, epoch)
        return self._execute(RENEW, arguments) == 1

    def watch(self, epoch: int, floor: int = 0) -> tuple[bool, bool]:
        """Whether the lease is ours and nobody waits for it; whether there are events
        from ``floor`` on.

        One cheap query for both, which is all that an idle relay does.
        """
        rows = self._rows(self._sql(WATCH), (epoch, epoch, floor, RELAY))
        return (bool(rows[0][0]), bool(rows[0][1])) if rows else (False, False)

    def release(self, epoch: int) -> None:
        """Let the lease go, if it is still ours."""
        self._execute(RELEASE, (RELAY, epoch))

    # The events

    def read(
        self,
        limit: int,
        *,
        floor: int = 0,
        besides: Collection[int] = (),
        besides_keys: Collection[str] = (),
        wanted: Sequence[tuple[Route, bool]] = (),
    ) -> list[Event]:
        """The first ``limit`` committed events in id order, without those ``besides``,
        and without those that take a route which is not ``wanted``, if that says of
        every route whether it is.

        From the head or from a floor that is proven (floor.py), and never from where
        the last read ended: ids become visible out of order, and a cursor would pass
        over the late ones for good.
        """
        conditions = [f"e.`id` >= {floor:d}"] if floor else []
        arguments: list[object] = []
        if besides:
            ids = ",".join(map(str, sorted(besides)))
            conditions.append(f"e.`id` NOT IN ({ids})")
        if besides_keys:
            places = ", ".join(["%s"] * len(besides_keys))
            conditions.append(f"{KEY} NOT IN ({places})")
            arguments += besides_keys
        if wanted:
            conditions.append(f"CASE {' '.join(map(case_of, wanted))} END")
            for route, _ in wanted:
                patterns = filter(None, (route.source, route.type))
                arguments += map(like, patterns)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        rows = self._rows(self._sql(READ, where=where), (*arguments, limit))
        return [self._event(row) for row in rows]

    def _event(self, row: Row) -> Event:
        id_, uid, key, body = row
        if body is None:
            # CONCAT gives NULL where the result exceeds max_allowed_packet.
            pieces = [self._piece(piece, id_, uid) for piece in PIECES]
            if None in pieces:
                problem = "larger than the server's max_allowed_packet"
                return Event(id_, uid, key, "", problem=problem, is_oversized=True)
            body = "".join(pieces)
        if not is_json(body):
            return Event(id_, uid, key, "", problem=self._problem(id_, uid))
        return Event(id_, uid, key, body)

    def _problem(self, id_: int, uid: int) -> str:
        """Which column makes an envelope unreadable. Triggers write JSON, but anybody
        may INSERT."""
        for name in JSON_COLUMNS:
            text = self._piece(f"e.`{name}`", id_, uid)
            if text is not None and not is_json(text):
                return f"{name} is not JSON"
        return "not JSON"

    def _piece(self, piece: str, id_: int, uid: int) -> Any:
        return self._connection.value(self._sql(READ_PIECE, piece=piece), (id_, uid))

    def delete(self, events: Iterable[Event], epoch: int) -> int:
        """Delete exactly these events, if ``epoch`` holds the lease; how many went.

        Raises DatabaseError with a number of RETRY if somebody holds a lock on one.
        """
        pairs = json.dumps([(event.id, event.uid) for event in events])
        arguments = (pairs, RELAY, epoch)
        return self._connection.execute(self._sql(DELETE), arguments)

    def transactions(self) -> list[Transaction] | None:
        """Open transactions that may have written; None if the server does not tell.

        It shows them to whoever has PROCESS, and to others as an empty list (MySQL 9.7)
        or not at all; and it shows an old list for as long as anybody asks for it more
        often than every 0.1 s. This very question has to be in it.
        """
        nonce = secrets.token_hex(8)
        self._connection.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        try:
            rows = self._connection.rows(TRANSACTIONS.format(nonce=nonce))
        except DatabaseError as error:
            if error.number != SPECIFIC_ACCESS_DENIED:
                raise
            rows = ()
        finally:
            self._connection.execute("COMMIT")
        # By the nonce: the list may be old, and then an earlier one of ours is in it.
        if not any(nonce in (query or "") for *_, query in rows):
            return None
        return [
            Transaction(
                str(id_) if int(id_) else "",
                f"{session} {started}" if session else "",
            )
            for id_, session, started, is_own, may_write, _ in rows
            if may_write and not is_own
        ]

    def backlog(self, floor: int = 0) -> Backlog:
        """What waits from ``floor`` on.

        Raises DatabaseError with a number of RETRY where it cannot be told in two
        seconds.
        """
        # Once each: whoever wants to know asks again anyway.
        rows = self._connection.rows(self._sql(WAITING), (floor, floor))
        ((first, last, age, clock),) = rows
        waiting = 0
        if first is not None:
            # A range that is known to be short is counted faster than one with LIMIT,
            # which on MySQL passes over what is deleted behind it.
            is_short = last - first < MOST
            sql = self._sql(COUNT if is_short else COUNT_FIRST)
            end = last if is_short else MOST + 1
            waiting = int(self._connection.value(sql, (first, end)))
        # A clock that was set back gives events of the future.
        return Backlog(waiting, max(0.0, float(age or 0)), float(clock))

    # Dead letters

    def recover(self, epoch: int) -> frozenset[str]:
        """Finish what a relay that died while parking has left; the keys whose events
        have to wait behind dead letters."""
        self._execute(FINISH_PARKING, (RELAY, epoch))
        rows = self._rows(self._sql(PARKED_KEYS, and_=""))
        return frozenset(key for (key,) in rows)

    def park(self, letters: Sequence[DeadLetter], epoch: int) -> Parked:
        """Move events to the dead letters, if ``epoch`` holds the lease.

        In two steps, of which the first decides: a relay that dies in between leaves
        them in both places, for `recover`; what is put back in between stays an event.
        Raises DatabaseError with a number of RETRY if somebody holds a lock; nothing is
        half done then either.
        """
        rows = json.dumps([
            (
                letter.event.id,
                letter.event.uid,
                int(letter.holds_key),
                letter.reason,
                letter.attempts,
                letter.first_error[:ERROR] or None,
                letter.last_error[:ERROR] or None,
                None if letter.age is None else int(letter.age * 1e6),
            )
            for letter in letters
        ])  # fmt: skip
        try:
            self._connection.execute(self._sql(PARK), (rows, RELAY, epoch))
        except DatabaseError as error:
            if error.number != DUPLICATE:
                raise
            # A relay whose lease has just run out has parked one of them this moment.
            self._connection.execute(self._sql(PARK), (rows, RELAY, epoch))
        found = self._connection.rows(self._sql(PARKED), (rows,))
        ids = frozenset(id_ for id_, _, _ in found)
        keys = {key for _, key, holds_key in found if holds_key}
        unclear = {letter.event.key for letter in letters} - keys
        if unclear:
            places = ", ".join(["%s"] * len(unclear))
            and_ = f"AND {KEY_OF_DEAD} IN ({places})"
            sql = self._sql(PARKED_KEYS, and_=and_)
            keys |= {key for (key,) in self._connection.rows(sql, tuple(unclear))}
        if ids:
            self._delete_parked(rows, epoch)
        return Parked(ids, frozenset(keys))

    def _delete_parked(self, rows: str, epoch: int) -> None:
        self._connection.execute(self._sql(DELETE_PARKED), (rows, RELAY, epoch))

    def _execute(self, statement: str, arguments: tuple[object, ...]) -> int:
        sql = self._sql(statement)
        return patiently(lambda: self._connection.execute(sql, arguments))

    def _rows(self, sql: str, arguments: tuple[object, ...] = ()) -> tuple[Row, ...]:
        return patiently(lambda: self._connection.rows(sql, arguments))

    def _sql(self, statement: str, **parts: str) -> str:
        parts = {name: part.format() for name, part in parts.items()}
        return statement.format(**self._names, **parts)


def case_of(wanted: tuple[Route, bool]) -> str:
    """One WHEN of a CASE that goes through the routes as `Routes.of` does.

    LIKE also where nothing stands for something else: = takes no notice of blanks at
    the end.
    """
    route, is_wanted = wanted
    columns = {"source": route.source, "type": route.type}
    conditions = [
        f"e.`{name}` LIKE %s ESCAPE '|'"
        for name, pattern in columns.items()
        if pattern is not None
    ]
    return f"WHEN {' AND '.join(conditions) or 'TRUE'} THEN {is_wanted:d}"


def like(pattern: str) -> str:
    """A route's pattern as LIKE has it."""
    for mark in "|%_":
        pattern = pattern.replace(mark, f"|{mark}")
    return pattern.replace("*", "%")


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
