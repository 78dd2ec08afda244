"""The harness must be able to fail: every broken relay is caught, the shipped one not.

One workload for all. It does on purpose what goes wrong once in a thousand times by
itself: ids that commit late, rollbacks under the eyes of the relay, failing sinks.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pymysql
import pytest
from chaos.broken import (
    Arrivals,
    DeletesFirst,
    DeletesUpTo,
    ReadsUncommitted,
    RefusedIsDone,
    SeveralOfAKey,
    WithCursor,
    capture_before,
)
from click.testing import CliRunner

from evtrig.cli import main
from evtrig.database.dsn import Dsn
from evtrig.demo.checker import Report, check
from evtrig.demo.journal import Change, Journal, Row, read_journal
from evtrig.demo.server import ThrowawayServer
from evtrig.errors import SinkError
from evtrig.relay.lease import TTL
from evtrig.relay.outbox import Outbox
from evtrig.relay.relay import Options, Relay
from evtrig.relay.sinks.sink import Outcome

#: Of the workload, which is nine transactions; every fault shows in the first.
ROUNDS = 3

SPEC = """\
version: 1
schema: {schema}
outbox: {outbox}
definer: current_user
tables:
  orders:
"""


class Writer:
    """A session that writes into ``orders`` and notes what it did."""

    def __init__(
        self, connection: pymysql.Connection, journal: Journal, source: str
    ) -> None:
        self._connection = connection
        self._journal = journal
        self._source = source
        self._changes: list[Change] = []

    def update(self, id_: int) -> None:
        before = self._read(id_)
        self._execute(f"UPDATE orders SET version = version + 1 WHERE id = {id_}")
        self._note("update", id_, before, self._read(id_))

    def insert(self, id_: int) -> None:
        self._execute(f"INSERT INTO orders VALUES ({id_}, 0)")
        self._note("insert", id_, None, self._read(id_))

    def insert_what_is_there(self, id_: int) -> None:
        self._execute(f"INSERT IGNORE INTO orders VALUES ({id_}, 99)")

    def delete(self, id_: int) -> None:
        before = self._read(id_)
        self._execute(f"DELETE FROM orders WHERE id = {id_}")
        self._note("delete", id_, before, None)

    def commit(self) -> None:
        number = self._journal.intent(self._changes)
        self._connection.commit()
        self._journal.committed(number)
        self._changes = []

    def rollback(self) -> None:
        number = self._journal.intent(self._changes)
        self._connection.rollback()
        self._journal.rolled_back(number)
        self._changes = []

    def _execute(self, sql: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)

    def _read(self, id_: int) -> Row:
        with self._connection.cursor() as cursor:
            cursor.execute(
                f"SELECT id, version FROM orders WHERE id = {id_} FOR UPDATE"
            )
            return dict(zip(("id", "version"), cursor.fetchone(), strict=True))

    def _note(
        self, operation: str, id_: int, before: Row | None, after: Row | None
    ) -> None:
        change = Change(self._source, operation, {"id": id_}, before, after)
        self._changes.append(change)


class Shop:
    """Two writers, a relay that looks when it is told to, and both logs."""

    def __init__(
        self,
        writers: tuple[Writer, Writer],
        dsn: Dsn,
        outbox: str,
        path: Path,
    ) -> None:
        self.early, self.late = writers
        self.dsn = dsn
        self._outbox, self._path = outbox, path

    def report(self, outbox: type[Outbox], sink: Arrivals) -> Report:
        """What the checker says after the workload has met this relay."""
        for round_ in range(ROUNDS):
            self._work(outbox, sink, new=10 + round_)
        return check(read_journal([self._path]), sink.events)

    def relay(self, outbox: type[Outbox], sink: Arrivals) -> None:
        """Publish until the outbox is empty, or the sink does not take any more."""
        with contextlib.suppress(SinkError):
            Relay(
                connect=lambda: outbox.connect(self.dsn, self._outbox, ttl=TTL),
                sink=sink,
                options=Options(drain=True),
            ).run()

    def _work(self, outbox: type[Outbox], sink: Arrivals, *, new: int) -> None:
        early, late = self.early, self.late
        relay = functools.partial(self.relay, outbox, sink)
        # The lower id is committed while the higher one is being published.
        early.update(1)
        late.update(2)
        late.commit()
        sink.during = early.commit
        relay()
        # … or rolled back then: the relay has had the time to see it.
        early.update(1)
        late.update(2)
        late.commit()
        sink.during = early.rollback
        relay()
        # A statement that leaves the row as it was.
        early.insert(new)
        early.commit()
        late.insert_what_is_there(new)
        late.commit()
        relay()
        # The sink takes nothing, then all of it.
        early.update(1)
        early.commit()
        sink.is_down = True
        relay()
        # It does not take one of two events of a row now, and then it does.
        late.update(2)
        late.update(2)
        late.commit()
        sink.next = Outcome.RETRY
        relay()
        # It refuses one, until somebody has mended it.
        early.update(new)
        early.delete(new)
        early.commit()
        sink.next = Outcome.REFUSED
        relay()
        relay()


@pytest.fixture
def shop(
    server: ThrowawayServer,
    schema: str,
    outbox: str,
    connect: Callable[..., pymysql.Connection],
    tmp_path: Path,
) -> Iterator[Shop]:
    with connect().cursor() as cursor:
        cursor.execute("CREATE TABLE orders (id INT PRIMARY KEY, version INT NOT NULL)")
        cursor.execute("INSERT INTO orders VALUES (1, 0), (2, 0)")
    spec = tmp_path / "evtrig.yml"
    spec.write_text(SPEC.format(schema=schema, outbox=outbox), encoding="utf-8")
    dsn = server.dsn_of(schema)
    install = CliRunner().invoke(
        main, ["install", "--yes", "-s", str(spec), "--dsn", dsn]
    )
    assert install.exit_code == 0, install.output
    path = tmp_path / "journal"
    with Journal(path) as journal:
        early, late = (
            Writer(connect(autocommit=False), journal, f"{schema}.orders")
            for _ in range(2)
        )
        yield Shop((early, late), Dsn.parse(dsn), outbox, path)


def test_the_shipped_relay_is_clean(shop: Shop) -> None:
    report = shop.report(Outbox, Arrivals())

    assert report.is_clean, report
    assert (report.published, report.duplicates) == (report.committed, 0)
    assert report.rolled_back == ROUNDS


def test_the_shipped_relay_does_not_wait_for_an_open_transaction(shop: Shop) -> None:
    sink = Arrivals()
    shop.early.update(1)
    shop.late.update(2)
    shop.late.commit()

    # An outbox of two rows, one of them locked: to look for the other by scanning
    # the table would be waiting for the lock.
    shop.relay(Outbox, sink)
    assert [event["key"] for event in sink.events] == [{"id": 2}]
    shop.early.commit()
    shop.relay(Outbox, sink)

    assert shop.report(Outbox, sink).is_clean


def test_the_shipped_relay_needs_no_schema_in_its_dsn(
    shop: Shop, server: ThrowawayServer
) -> None:
    shop.dsn = Dsn.parse(server.dsn)

    assert shop.report(Outbox, Arrivals()).is_clean


def test_a_cursor_is_caught(shop: Shop) -> None:
    kind = type("WithCursorOfItsOwn", (WithCursor,), {})

    assert shop.report(kind, Arrivals()).lost


def test_deleting_up_to_the_highest_id_is_caught(shop: Shop) -> None:
    assert shop.report(DeletesUpTo, Arrivals()).lost


def test_reading_what_is_not_committed_is_caught(shop: Shop) -> None:
    assert shop.report(ReadsUncommitted, Arrivals()).phantom


def test_deleting_before_the_acknowledgement_is_caught(shop: Shop) -> None:
    assert shop.report(DeletesFirst, Arrivals()).lost


def test_two_events_of_a_key_in_one_call_are_caught(shop: Shop) -> None:
    assert shop.report(Outbox, SeveralOfAKey()).order


def test_taking_a_refused_event_for_done_is_caught(shop: Shop) -> None:
    assert shop.report(Outbox, RefusedIsDone()).lost


def test_before_triggers_are_caught(
    shop: Shop, connect: Callable[..., pymysql.Connection]
) -> None:
    capture_before(connect(), "orders")

    assert shop.report(Outbox, Arrivals()).phantom
