"""Dead letters in the database: looking at them, putting them back, discarding them.

The relay puts events aside (outbox.py); all that people do with them is here.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence

from ..database.connection import (
    LOCK_WAIT_TIMEOUT,
    NO_SUCH_TABLE,
    READ_ONLY,
    UNKNOWN_DATABASE,
    Connection,
    Row,
)
from ..database.dsn import Dsn
from ..errors import ConnectionLost, DatabaseError, EvtrigError, nearest
from .envelope import is_json
from .letter import Key, Letter, Pairs, PutBack, Selection, name_of, parse
from .privilege import DENIED, ELSEWHERE, Probes, lacking
from .statements import JSON_COLUMNS, PIECES

__all__ = ["DeadLetters"]

#: ER_DUP_ENTRY: an event with this id is there.
DUPLICATE = 1062
DEADLOCK = 1213

#: Of an event, in the order of its table.
COLUMNS = ", ".join(
    f"{{0}}`{name}`"
    for name in (
        *("id", "uid", "type", "source", "operation", "captured_at"),
        *("key", "before", "after", "context", "transaction"),
    )
)

TIME = "DATE_FORMAT(e.`{}`, '%%Y-%%m-%%dT%%H:%%i:%%s.%%fZ')"
FACTS = f"""\
e.`id`, e.`uid`, e.`type`, e.`source`, e.`operation`, e.`holds_key`, e.`reason`,
       e.`attempts`, e.`first_error`, e.`last_error`, {TIME.format("captured_at")},
       {TIME.format("failed_at")}, {TIME.format("parked_at")},
       TIMESTAMPDIFF(SECOND, e.`parked_at`, UTC_TIMESTAMP(6))"""
SIZE = "e.`id`, e.`uid`, " + " + ".join(
    f"COALESCE(OCTET_LENGTH(e.`{name}`), 0)"
    for name in ("key", "before", "after", "context")
)
WHOLE = f"{FACTS}, CONCAT({', '.join(PIECES)})"
PIECE = "SELECT {piece} FROM {dead_letters} AS e WHERE e.`id` = %s AND e.`uid` = %s"

# Along the primary key, one page after the other: by another index each page would be
# sorted anew.
READ = """\
SELECT {what}
  FROM {dead_letters} AS e FORCE INDEX (PRIMARY)
 WHERE {where}
 ORDER BY e.`id`, e.`uid`
 LIMIT %s
"""
COUNTS = """\
SELECT e.`reason`, COUNT(*)
  FROM {dead_letters} AS e
 WHERE {where}
 GROUP BY e.`reason`
 ORDER BY 1
"""
SOURCES = "SELECT DISTINCT `source` FROM {dead_letters} ORDER BY 1 LIMIT 11"
SAME_ID = "SELECT `id`, `uid` FROM {dead_letters} WHERE `id` = %s ORDER BY `uid`"
SOME = "SELECT `id`, `uid` FROM {dead_letters} ORDER BY `id` LIMIT 1000"
OF_KEY = """\
SELECT `id`, `uid`, `holds_key`
  FROM {dead_letters} FORCE INDEX (by_key)
 WHERE `source` = %s AND `key` = %s
 ORDER BY `id`, `uid`
"""

# Exactly these rows, in every statement: the relay may put others aside meanwhile.
THESE = """\
JSON_TABLE(%s, '$[*]' COLUMNS (
           `id` BIGINT UNSIGNED PATH '$[0]',
           `uid` BIGINT UNSIGNED PATH '$[1]')) AS x
       STRAIGHT_JOIN {dead_letters} FORCE INDEX (PRIMARY)
           ON {dead_letters}.`id` = x.`id` AND {dead_letters}.`uid` = x.`uid`"""
# One that is among the events already was put aside without being taken out of them.
PUT_BACK = f"""\
INSERT INTO {{events}} ({COLUMNS.format("")})
SELECT {COLUMNS.format("{dead_letters}.")}
  FROM {THESE}
 WHERE NOT EXISTS (
           SELECT 1
             FROM {{events}} AS e
            WHERE e.`id` = x.`id` AND e.`uid` = x.`uid`)
"""
KEPT = """\
SELECT COUNT(*)
  FROM JSON_TABLE(%s, '$[*]' COLUMNS (
           `id` BIGINT UNSIGNED PATH '$[0]',
           `uid` BIGINT UNSIGNED PATH '$[1]')) AS x
       STRAIGHT_JOIN {events} AS e ON e.`id` = x.`id` AND e.`uid` = x.`uid`
"""
DELETE = f"DELETE {{dead_letters}}\n  FROM {THESE}"
TAKEN = f"""\
SELECT x.`id`, x.`uid`
  FROM {THESE}
       STRAIGHT_JOIN {{events}} AS e ON e.`id` = x.`id` AND e.`uid` <> x.`uid`
 LIMIT 10
"""

#: Rows of a page without contents.
PAGE = 1000
#: Bytes of contents that are read at once, unless one event has more.
BYTES = 4 * 1024 * 1024
#: Rows that one statement writes. An INSERT … SELECT keeps others from getting an id
#: until it ends, where innodb_autoinc_lock_mode is 1, the default of MariaDB.
BATCH = 500
#: How often a key is begun anew: because of deadlocks, or because the relay goes on
#: putting its events aside.
ROUNDS = 10
#: So many keys that stay show that it is the sink.
MOST_STUCK = 1000
#: Seconds to wait for a lock.
LOCK_TIMEOUT = 5

#: What putting back takes, by privilege and table; see privilege.PROBES.
PROBES: Probes = {
    ("SELECT", "dead_letters"): "SELECT `key` FROM {dead_letters} LIMIT 0",
    ("DELETE", "dead_letters"): "DELETE FROM {dead_letters} WHERE FALSE",
    ("INSERT", "events"): "INSERT INTO {events} (`uid`, `type`, `source`, `operation`,"
    " `captured_at`, `key`) SELECT 0, '', '', '', '2000-01-01', '' FROM DUAL"
    " WHERE FALSE",
    ("SELECT (`id`, `uid`)", "events"): "SELECT `id`, `uid` FROM {events} LIMIT 0",
}
#: The same of looking and of discarding.
LOOKS: Probes = {key: PROBES[key] for key in [("SELECT", "dead_letters")]}
DISCARDS: Probes = {key: text for key, text in PROBES.items() if "dead" in key[1]}


class DeadLetters:
    """The dead letters of one outbox, over one connection.

    Raises DatabaseError, or ConnectionLost where a new connection may help.
    """

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._schema = schema
        quoted = "`" + schema.replace("`", "``").replace("%", "%%") + "`"
        self._names = {
            "events": f"{quoted}.`events`",
            "dead_letters": f"{quoted}.`dead_letters`",
        }

    @classmethod
    @contextlib.contextmanager
    def connect(cls, dsn: Dsn, schema: str) -> Iterator[DeadLetters]:
        """Over a connection of its own, on which errors say what to do.

        Raises EvtrigError if there is no such table.
        """
        connection = Connection(
            dsn,
            settings={
                "sql_mode": "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION",
                "innodb_lock_wait_timeout": LOCK_TIMEOUT,
            },
            has_schema=False,
        )
        letters = cls(connection, schema)
        with connection:
            try:
                yield letters
            except DatabaseError as error:
                raise letters._explained(error) from None

    def _explained(self, error: DatabaseError) -> EvtrigError:
        if error.number in (NO_SUCH_TABLE, UNKNOWN_DATABASE):
            return EvtrigError(
                f"there are no dead letters in {self}: {error.text} ({error.number})",
                hint=f"{ELSEWHERE} Run evtrig install: it adds the table to an outbox"
                " that an older version has made.",
            )
        if error.number in DENIED:
            return self._lacking(LOOKS, "read") or error
        if error.number == LOCK_WAIT_TIMEOUT:
            return EvtrigError(
                f"an open transaction holds a lock in {self._schema}"
                f" ({error.number}), waited {LOCK_TIMEOUT} s",
                hint="Run it again when that transaction has ended: a relay's takes"
                " moments, somebody's by hand may be in the way.",
            )
        return error

    def __str__(self) -> str:
        return f"{self._schema} at {self._connection.dsn}"

    # Looking

    def counts(self, source: str | None = None) -> Mapping[str, int]:
        """How many there are, by reason."""
        where, arguments = of_source(source)
        rows = self._rows(COUNTS, arguments, where=where)
        return {str(reason): int(count) for reason, count in rows}

    def sources(self) -> list[str]:
        """Up to eleven of the sources that have dead letters."""
        return [str(source) for (source,) in self._rows(SOURCES)]

    def find(self, names: Sequence[str]) -> Pairs:
        """The events of these names, each once.

        Raises EvtrigError for one that is no dead letter, or stands for several.
        """
        found = dict.fromkeys(self._find(name) for name in names)
        return Pairs(tuple(found))

    def _find(self, name: str) -> tuple[int, int]:
        id_, uid = parse(name)
        rows = [(int(i), int(u)) for i, u in self._rows(SAME_ID, (id_,))]
        matches = [pair for pair in rows if uid in (None, pair[1])]
        if len(matches) == 1:
            return matches[0]
        if matches:
            several = ", ".join(name_of(*pair) for pair in matches)
            raise EvtrigError(
                f"{name} stands for {len(matches)} dead letters: the number was issued"
                " again",
                hint=f"Name one of {several}.",
            )
        # Who has said a number is answered with one that looks alike.
        others = [] if rows else [(int(i), int(u)) for i, u in self._rows(SOME)]
        known = {name_of(*p) if uid is not None else str(p[0]): p for p in others}
        near = nearest(name, known)
        meant = rows[0] if rows else known[near] if near else None
        raise EvtrigError(
            f"{name} is no dead letter in {self._schema}",
            hint=f"Did you mean {name_of(*meant)}?"
            if meant
            else "evtrig dead-letters list shows those there are.",
        )

    def pairs(self, selection: Selection) -> Pairs:
        """Which events a selection means now."""
        if selection.names:
            return self.find(selection.names)
        pages = self._pages("e.`id`, e.`uid`", selection.source)
        return Pairs((int(i), int(u)) for page in pages for i, u in page)

    def facts(self, selection: Selection) -> Iterator[Letter]:
        """Without what was in the rows, the oldest first, read page by page."""
        if selection.names:
            for pair in sorted(self.find(selection.names)):
                yield from map(Letter.of, self._between(FACTS, pair, pair))
            return
        for page in self._pages(FACTS, selection.source):
            yield from map(Letter.of, page)

    def envelopes(self, selection: Selection) -> Iterator[tuple[Letter, str]]:
        """With the envelopes, the oldest first, a few megabytes at a time.

        Of one that is larger than that the envelope is in memory, and no other.
        """
        if selection.names:
            for pair in sorted(self.find(selection.names)):
                yield from self._whole(pair, pair)
            return
        for page in self._pages(SIZE, selection.source):
            for first, last in by_size(page):
                yield from self._whole(first, last, selection.source)

    def _whole(
        self, first: tuple[int, int], last: tuple[int, int], source: str | None = None
    ) -> Iterator[tuple[Letter, str]]:
        for row in self._between(WHOLE, first, last, source):
            letter, body = Letter.of(row), row[14]
            if body is None:
                # CONCAT gives NULL where the result exceeds max_allowed_packet.
                body = "".join(self._piece(piece, letter) for piece in PIECES)
            if not is_json(body):
                body = self._quoted(letter)
            yield letter, str(body)

    def _quoted(self, letter: Letter) -> str:
        """The envelope, with what is not JSON as a text."""
        pieces: tuple[str, ...] = PIECES
        for name in JSON_COLUMNS:
            column = f"e.`{name}`"
            text = self._piece(f"COALESCE({column}, 'null')", letter)
            if not is_json(text):
                quoted = f"JSON_QUOTE({column})"
                pieces = tuple(piece.replace(column, quoted) for piece in pieces)
        return "".join(self._piece(piece, letter) for piece in pieces)

    def _piece(self, piece: str, letter: Letter) -> str:
        rows = self._rows(PIECE, (letter.id, letter.uid), piece=piece)
        if rows and rows[0][0] is not None:
            return str(rows[0][0])
        if not rows:
            raise EvtrigError(
                f"{letter.name} was put back or discarded meanwhile",
                hint="Run it again.",
            )
        raise EvtrigError(
            f"{letter.name} is larger than the server may send",
            hint="Raise max_allowed_packet on the server.",
        )

    def _pages(self, what: str, source: str | None) -> Iterator[tuple[Row, ...]]:
        """Of columns that begin with id and uid."""
        where, arguments = of_source(source)
        rows = self._rows(READ, (*arguments, PAGE), what=what, where=where)
        while rows:
            yield rows
            after, behind = where_behind(rows[-1][0], rows[-1][1])
            rows = self._rows(
                READ,
                (*arguments, *behind, PAGE),
                what=what,
                where=f"{where} AND {after}",
            )

    def _between(
        self,
        what: str,
        first: tuple[int, int],
        last: tuple[int, int],
        source: str | None = None,
    ) -> tuple[Row, ...]:
        where, arguments = of_source(source)
        where += " AND e.`id` BETWEEN %s AND %s"
        where += " AND (e.`id` > %s OR e.`uid` >= %s)"
        where += " AND (e.`id` < %s OR e.`uid` <= %s)"
        bounds = (first[0], last[0], *first, *last)
        # As many as there are between: of a page, and what has come since.
        return self._rows(
            READ, (*arguments, *bounds, 2**63 - 1), what=what, where=where
        )

    # Putting back

    def check_put_back(self) -> None:
        """Raise EvtrigError with every privilege that putting back lacks."""
        self._check(PROBES)

    def check_discard(self) -> None:
        """Raise EvtrigError with every privilege that discarding lacks."""
        self._check(DISCARDS)

    def put_back(self, selection: Selection, done: PutBack) -> None:
        """Make events of all dead letters of every key that is meant.

        Whole keys: a part of one would be overtaken by the rest. Adds to ``done`` what
        was done, key by key.
        """
        if selection.names:
            for key in self.keys_of(self.find(selection.names)):
                self._put_back(key, done)
            return
        stuck: set[Key] = set()
        what = "e.`id`, e.`uid`, e.`source`, e.`key`"
        for page in self._pages(what, selection.source):
            # Of those of a page before there is left only what could not be put back.
            keys = dict.fromkeys((str(source), str(key)) for *_, source, key in page)
            for key in keys:
                if key not in stuck and not self._put_back(key, done):
                    stuck.add(key)
            if len(stuck) >= MOST_STUCK:
                raise EvtrigError(
                    f"{len(stuck)} keys could not be put back for good, so the rest was"
                    " left",
                    hint="The sink refuses them still, or their ids are taken: look at"
                    " some with evtrig dead-letters show.",
                )

    def keys_of(self, pairs: Pairs) -> list[Key]:
        """Of these events, each key once, in their order."""
        what = "e.`id`, e.`uid`, e.`source`, e.`key`"
        rows = (row for pair in pairs for row in self._between(what, pair, pair))
        return list(dict.fromkeys((str(source), str(key)) for *_, source, key in rows))

    def _put_back(self, key: Key, done: PutBack) -> bool:
        """All events of a key in one transaction; False if some are dead letters still.

        The relay reads from the head in id order, so it sends them in order. What it
        puts aside meanwhile is taken along, unless it is one of those again.
        """
        moved: set[tuple[int, int]] = set()
        for _ in range(ROUNDS):
            rows = self._rows(OF_KEY, key)
            waiting = [(int(id_), int(uid)) for id_, uid, _ in rows]
            back = moved.intersection(waiting)
            done.again += len(back)
            if not waiting or back:
                return not waiting
            try:
                is_moved = self._move(waiting)
            except DatabaseError as error:
                if error.number not in (DEADLOCK, DUPLICATE):
                    raise
                taken = self._rows(TAKEN, (json.dumps(waiting),))
                if taken and error.number == DUPLICATE:
                    done.taken += [name_of(int(i), int(u)) for i, u in taken]
                    return False
                is_moved = False
            if is_moved:
                done.events += len(waiting)
                done.keys += not moved
                done.overtaken += sum(not holds for *_, holds in rows)
                moved.update(waiting)
        raise EvtrigError(
            f"the dead letters of a key of {key[0]} change all the time",
            hint="A relay puts its events aside as fast as they are put back, or"
            " somebody else works on them. Run it again later.",
        )

    def _move(self, pairs: list[tuple[int, int]]) -> bool:
        """In one transaction; False, and nothing is done, if one of them has gone."""
        batches = [
            json.dumps(pairs[start : start + BATCH])
            for start in range(0, len(pairs), BATCH)
        ]
        with self._transaction():
            for batch in batches:
                self._execute(PUT_BACK, (batch,))
            deleted = sum(self._execute(DELETE, (batch,)) for batch in batches)
            # A relay that was finishing to park them may have deleted what was among
            # the events when we looked. It locks the dead letters that it goes by, so
            # it has ended by now, or waits for us and finds none.
            kept = sum(self._rows(KEPT, (batch,))[0][0] for batch in batches)
            is_whole = bool(deleted == kept == len(pairs))
            if not is_whole:
                self._connection.execute("ROLLBACK")
        return is_whole

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Nothing is done unless this ends: a server that waits for a lock goes on
        with a single statement when its client has gone (MySQL 9.7)."""
        self._connection.execute("START TRANSACTION")
        try:
            yield
            self._connection.execute("COMMIT")
        except ConnectionLost:
            raise
        except DatabaseError:
            # A lock wait time-out ends the statement and not the transaction.
            self._connection.execute("ROLLBACK")
            raise

    # Discarding

    def discard(self, pairs: Pairs) -> Iterator[int]:
        """Delete exactly these; how many went, batch by batch."""
        for batch in pairs.batches(BATCH):
            with self._transaction():
                deleted = self._execute(DELETE, (json.dumps(batch),))
            yield deleted

    def count_of(self, keys: Sequence[Key]) -> int:
        """How many dead letters these keys have."""
        return sum(len(self._rows(OF_KEY, key)) for key in keys)

    def _check(self, probes: Probes) -> None:
        if self._connection.is_read_only:
            raise ConnectionLost(
                f"{self._connection.dsn} is read-only",
                number=READ_ONLY,
                hint="Connect to the primary (on Aurora: the cluster endpoint).",
            )
        error = self._lacking(probes, "changed")
        if error is not None:
            raise error

    def _lacking(self, probes: Probes, done: str) -> EvtrigError | None:
        return lacking(self._connection, self._names, probes, done=done)

    def _execute(self, statement: str, arguments: tuple[object, ...]) -> int:
        return self._connection.execute(statement.format(**self._names), arguments)

    def _rows(
        self, query: str, arguments: tuple[object, ...] = (), **parts: str
    ) -> tuple[Row, ...]:
        parts = {name: part.format() for name, part in parts.items()}
        return self._connection.rows(query.format(**self._names, **parts), arguments)


def of_source(source: str | None) -> tuple[str, tuple[object, ...]]:
    return ("TRUE", ()) if source is None else ("e.`source` = %s", (source,))


def where_behind(id_: int, uid: int) -> tuple[str, tuple[object, ...]]:
    """Row constructors would not be looked up in the index (both servers)."""
    return "e.`id` >= %s AND (e.`id` > %s OR e.`uid` > %s)", (id_, id_, uid)


def by_size(page: Sequence[Row]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """The first and the last of rows that have BYTES together, or of one row."""
    first = last = None
    total = 0
    for id_, uid, size in page:
        pair = (int(id_), int(uid))
        if first is not None and last is not None and total + int(size) > BYTES:
            yield first, last
            first, total = None, 0
        first, last = first or pair, pair
        total += int(size)
    if first is not None and last is not None:
        yield first, last
