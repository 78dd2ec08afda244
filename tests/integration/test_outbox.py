"""The relay's SQL on real servers: the lease, reads from the head, exact deletes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pymysql
import pytest
from tables import outbox_tables

from evtrig.database.dsn import Dsn
from evtrig.demo.server import ThrowawayServer
from evtrig.errors import ConnectionLost, DatabaseError, EvtrigError
from evtrig.relay.event import Event
from evtrig.relay.floor import Transaction
from evtrig.relay.outbox import Outbox

Query = Callable[..., tuple[tuple[object, ...], ...]]

INSERT = (
    "INSERT INTO {events} (id, uid, type, source, operation, captured_at, `key`,"
    " `before`, `after`, context, transaction)"
    " VALUES (%s, %s, 'orders.update', 'shop.orders', 'update',"
    " '2026-11-23 05:20:49.161586', %s, %s, %s, NULL, NULL)"
)

# Awkward for SQL, for the driver's %, for str.format.
WEIRD = 'we\'ird `%s {events} "x" é'


class Box:
    """An outbox's tables, as a writer sees them."""

    def __init__(self, server: ThrowawayServer, schema: str, query: Query) -> None:
        self.server, self.schema, self.query = server, schema, query
        self.quoted = "`" + schema.replace("`", "``") + "`"
        self.events = f"{self.quoted}.events"
        self.state = f"{self.quoted}.event_polling_state"
        for statement in outbox_tables(schema, server.server):
            query(statement)

    def insert(self, *ids: int, query: Query | None = None, pad: int = 0) -> None:
        """Events with these ids, their uids 1,000 higher, all of one key."""
        events = self.events.replace("%", "%%")
        for id_ in ids:
            after = json.dumps({"id": 7, "pad": "x" * pad})
            row = (id_, id_ + 1000, '{"id": 7}', None, after)
            (query or self.query)(INSERT.format(events=events), row)

    def ids(self) -> list[object]:
        return [id_ for (id_,) in self.query(f"SELECT id FROM {self.events}")]

    def expire(self) -> None:
        self.query(
            f"UPDATE {self.state} SET expires_at = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND"
        )


@pytest.fixture
def query(connect: Callable[..., pymysql.Connection]) -> Query:
    return runner(connect())


@pytest.fixture
def box(server: ThrowawayServer, outbox: str, query: Query) -> Box:
    return Box(server, outbox, query)


@pytest.fixture
def opened(server: ThrowawayServer, schema: str) -> Iterator[Callable[..., Outbox]]:
    """``opened(box)``: one more relay's connection."""
    outboxes: list[Outbox] = []

    def open_(box: Box, *, ttl: int = 10) -> Outbox:
        dsn = Dsn.parse(server.dsn_of(schema))
        outboxes.append(Outbox.connect(dsn, box.schema, ttl=ttl))
        return outboxes[-1]

    yield open_
    for outbox in outboxes:
        outbox.close()


class TestLease:
    def test_a_free_lease_is_granted(self, box: Box, opened) -> None:
        relay = opened(box)
        assert relay.holder().is_free
        epoch = relay.claim()
        assert relay.grant(epoch, "here:1", 10)
        holder = relay.holder()
        assert (holder.claim, holder.epoch, holder.name) == (epoch, epoch, "here:1")
        assert not holder.is_free
        assert relay.watch(epoch) == (True, False)

    def test_the_row_says_until_when_and_on_which_connection(
        self, box: Box, opened
    ) -> None:
        relay = opened(box)
        relay.grant(relay.claim(), "here:1", 10)
        ((left, connection),) = box.query(
            "SELECT TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), expires_at),"
            f" holder_connection FROM {box.state}"
        )
        assert 9e6 < left <= 10e6
        processes = box.query("SELECT id FROM information_schema.processlist")
        assert (connection,) in processes

    def test_the_newest_claim_wins(self, box: Box, opened) -> None:
        older, newer = opened(box), opened(box)
        first, second = older.claim(), newer.claim()
        assert second == first + 1
        assert not older.grant(first, "older", 10)
        assert newer.grant(second, "newer", 10)

    def test_a_lease_that_is_held_is_not_granted(self, box: Box, opened) -> None:
        leader, other = opened(box), opened(box)
        epoch = held(leader)
        claim = other.claim()
        assert not other.grant(claim, "other", 10)
        assert other.holder().epoch == epoch

    def test_a_claim_ends_the_renewals_and_not_the_lease(
        self, box: Box, opened
    ) -> None:
        leader, other = opened(box), opened(box)
        epoch = held(leader)
        assert leader.renew(epoch, 10)
        claim = other.claim()
        assert not leader.renew(epoch, 10)
        assert leader.watch(epoch) == (False, False)
        assert not other.grant(claim, "other", 10), "what is in flight is waited for"
        box.insert(1)
        assert leader.delete(leader.read(9), epoch) == 1
        leader.release(epoch)
        assert other.grant(claim, "other", 10)

    def test_an_expired_lease_is_taken(self, box: Box, opened) -> None:
        leader, other = opened(box), opened(box)
        epoch = held(leader)
        box.expire()
        assert other.holder().is_free
        claim = other.claim()
        assert other.grant(claim, "other", 10)
        assert not leader.renew(epoch, 10)
        leader.release(epoch)
        assert other.holder().epoch == claim, "it released what was not its own"

    def test_a_lease_expires_by_the_clock_of_the_database(
        self, box: Box, opened
    ) -> None:
        leader, other = opened(box), opened(box)
        begun = time.monotonic()
        held(leader, ttl=1)
        until(lambda: other.holder().is_free)
        assert 0.9 < time.monotonic() - begun < 2

    def test_an_expired_lease_that_nobody_took_is_renewed(
        self, box: Box, opened
    ) -> None:
        leader = opened(box)
        epoch = held(leader)
        box.expire()
        assert leader.renew(epoch, 10)
        assert not leader.holder().is_free

    def test_of_many_that_claim_at_once_one_holds_the_lease(
        self, box: Box, opened
    ) -> None:
        relays = [opened(box) for _ in range(6)]
        together = threading.Barrier(len(relays))

        def take(relay: Outbox) -> bool:
            together.wait(10)
            epoch = relay.claim()
            return relay.grant(epoch, str(epoch), 10)

        with ThreadPoolExecutor(len(relays)) as pool:
            for _ in range(20):
                granted = list(pool.map(take, relays))
                assert sum(granted) <= 1
                holder = relays[0].holder()
                assert (sum(granted) == 1) == (not holder.is_free)
                if holder.epoch:
                    # The last claim, or one that was granted before the next came.
                    assert holder.name == str(holder.epoch)
                box.query(f"UPDATE {box.state} SET holder = 0")

    def test_a_missing_row_is_named_and_how_to_get_it_back(
        self, box: Box, opened
    ) -> None:
        box.query(f"DELETE FROM {box.state}")
        with pytest.raises(EvtrigError, match="event_polling_state") as raised:
            opened(box)
        assert "evtrig install" in (raised.value.hint or "")

    def test_an_outbox_that_is_not_installed_is_an_error(
        self, server: ThrowawayServer, schema: str, query: Query
    ) -> None:
        with pytest.raises(DatabaseError) as raised:
            Outbox.connect(Dsn.parse(server.dsn), f"{schema}_none", ttl=10)
        assert raised.value.number in (1146, 1049)
        assert "--outbox, or EVTRIG_OUTBOX" in (raised.value.hint or "")
        assert not isinstance(raised.value, ConnectionLost)


class TestSession:
    def test_it_is_set_up_as_the_design_has_it(
        self, server: ThrowawayServer, box: Box, opened
    ) -> None:
        connection = opened(box, ttl=7)._connection
        level = "tx_isolation" if server.name == "mariadb" else "transaction_isolation"
        row = connection.row(
            f"SELECT @@SESSION.{level}, @@autocommit, @@wait_timeout,"
            " @@innodb_lock_wait_timeout, @@character_set_client"
        )
        assert row == ("READ-COMMITTED", 1, 14, 1, "utf8mb4")

    def test_between_two_statements_no_transaction_is_open(
        self, box: Box, opened
    ) -> None:
        """A relay that freezes holds no lock and no snapshot."""
        relay = opened(box)
        epoch = held(relay)
        box.insert(1, 2)
        relay.delete(relay.read(1), epoch)
        relay.read(9)
        # information_schema.innodb_trx is cached for 100 ms: so ask for the locks.
        box.query("SET SESSION innodb_lock_wait_timeout = 1")
        box.query("START TRANSACTION")
        assert box.query(f"SELECT id FROM {box.events} FOR UPDATE") == ((2,),)
        box.query(f"SELECT * FROM {box.state} FOR UPDATE")
        box.query("ROLLBACK")

    @pytest.mark.parametrize("is_on", [True, False])
    def test_a_read_only_server_is_refused(self, box: Box, opened, is_on: bool) -> None:
        """Also to an account that could write to it: it is a replica."""
        box.query(f"SET GLOBAL read_only = {int(is_on)}")
        try:
            if is_on:
                with pytest.raises(ConnectionLost, match="read-only"):
                    opened(box)
            else:
                opened(box)
        finally:
            box.query("SET GLOBAL read_only = 0")

    def test_a_dsn_without_a_schema_is_enough(
        self, server: ThrowawayServer, box: Box
    ) -> None:
        relay = Outbox.connect(Dsn.parse(server.dsn), box.schema, ttl=10)
        try:
            box.insert(1)
            epoch = held(relay)
            assert relay.delete(relay.read(9), epoch) == 1
        finally:
            relay.close()


class TestRead:
    def test_events_come_in_the_order_of_their_ids(self, box: Box, opened) -> None:
        box.insert(3, 1, 2)
        assert ids(opened(box).read(9)) == [1, 2, 3]
        assert ids(opened(box).read(2)) == [1, 2]

    def test_an_id_that_commits_late_is_not_passed_over(
        self, box: Box, opened, connect
    ) -> None:
        relay = opened(box)
        slow = connect(autocommit=False)
        box.insert(1, query=runner(slow))
        box.insert(2)
        assert ids(relay.read(9)) == [2]
        slow.commit()
        assert ids(relay.read(9, besides={2})) == [1]
        assert ids(relay.read(9)) == [1, 2]

    def test_what_is_rolled_back_is_never_read(self, box: Box, opened, connect) -> None:
        relay = opened(box)
        writer = connect(autocommit=False)
        box.insert(1, query=runner(writer))
        assert relay.read(9) == []
        writer.rollback()
        assert relay.read(9) == []

    def test_known_events_do_not_count_against_the_limit(
        self, box: Box, opened
    ) -> None:
        box.insert(*range(1, 11))
        relay = opened(box)
        assert ids(relay.read(3, besides={1, 2, 5})) == [3, 4, 6]
        assert ids(relay.read(3, besides=set(range(1, 11)))) == []

    def test_a_read_does_not_wait_for_writers(self, box: Box, opened, connect) -> None:
        box.insert(1, 2)
        writer = connect(autocommit=False)
        runner(writer)(f"SELECT * FROM {box.events} FOR UPDATE")
        begun = time.monotonic()
        assert ids(opened(box).read(9)) == [1, 2]
        assert time.monotonic() - begun < 1

    def test_a_look_tells_whether_there_are_events(self, box: Box, opened) -> None:
        relay = opened(box)
        epoch = held(relay)
        assert relay.watch(epoch) == (True, False)
        box.insert(1)
        assert relay.watch(epoch) == (True, True)
        assert relay.watch(epoch + 1) == (False, True)

    def test_keys_of_two_tables_are_not_the_same(self, box: Box, opened) -> None:
        box.insert(1, 2)
        box.query(f"UPDATE {box.events} SET source = 'shop.items' WHERE id = 2")
        one, other = opened(box).read(9)
        assert one.key != other.key


class TestEnvelope:
    def test_it_is_that_of_the_documentation_byte_for_byte(
        self, box: Box, opened
    ) -> None:
        before, after = '{"id": 7, "status": "paid"}', '{"id": 7, "status": "shipped"}'
        row = (1042, 0x16F0C3A8E1B20001, '{"id": 7}', before, after)
        box.query(INSERT.format(events=box.events), row)
        (event,) = opened(box).read(9)
        assert event.name == "1042-16f0c3a8e1b20001"
        assert event.body == (
            '{"id": "1042-16f0c3a8e1b20001", "sequence": 1042,'
            ' "type": "orders.update", "source": "shop.orders",'
            ' "operation": "update", "time": "2026-11-23T05:20:49.161586Z",'
            ' "key": {"id": 7}, "before": {"id": 7, "status": "paid"},'
            ' "after": {"id": 7, "status": "shipped"},'
            ' "transaction": null, "context": null}'
        )

    def test_every_member_may_hold_anything(self, box: Box, opened) -> None:
        name = 'a "quoted" \\ name, 100 % é 🍣 %s {x} \u2028\ufffe'
        stored = json.dumps({"v": name}, ensure_ascii=False)
        context = json.dumps({"actor": name}, ensure_ascii=False)
        box.query(
            f"INSERT INTO {box.events} VALUES (18446744073709551614, %s, %s, %s,"
            " 'insert', '2026-11-23 05:20:49', %s, NULL, %s, %s, %s)",
            (2**64 - 1, name, name, stored, stored, context, name),
        )
        (event,) = opened(box).read(9)
        assert json.loads(event.body) == {
            "id": "18446744073709551614-ffffffffffffffff",
            "sequence": 18446744073709551614,
            "type": name,
            "source": name,
            "operation": "insert",
            "time": "2026-11-23T05:20:49.000000Z",
            "key": {"v": name},
            "before": None,
            "after": {"v": name},
            "transaction": name,
            "context": {"actor": name},
        }
        assert event.name == json.loads(event.body)["id"]

    def test_a_small_uid_is_written_with_all_its_digits(self, box: Box, opened) -> None:
        box.query(INSERT.format(events=box.events), (1, 10, "{}", None, None))
        (event,) = opened(box).read(9)
        assert event.name == json.loads(event.body)["id"] == "1-000000000000000a"

    def test_the_stored_text_is_passed_through(self, box: Box, opened) -> None:
        """Numbers that a parser would round, members in their order, blanks."""
        text = '{"b":1.10,  "a": 12345678901234567890.123456789, "b": "\\u00e9"}'
        box.query(INSERT.format(events=box.events), (1, 2, text, text, text))
        (event,) = opened(box).read(9)
        assert f'"key": {text}, "before": {text}, "after": {text},' in event.body

    def test_it_may_be_larger_than_max_allowed_packet(self, box: Box, opened) -> None:
        before = json.dumps({"v": "b" * 700_000})
        after = json.dumps({"v": "ä" * 300_000}, ensure_ascii=False)
        box.query(INSERT.format(events=box.events), (1, 1, "{}", before, after))
        with packets_of(box, 1024 * 1024):
            (event,) = opened(box).read(9)
        assert f'"before": {before}, "after": {after},' in event.body
        assert json.loads(event.body)["operation"] == "update"

    def test_an_image_may_be_larger_than_max_allowed_packet(
        self, box: Box, opened
    ) -> None:
        """What a column holds is sent whole; only CONCAT gives up."""
        after = json.dumps({"v": "x" * 1_500_000})
        box.query(INSERT.format(events=box.events), (1, 1, "{}", None, after))
        with packets_of(box, 1024 * 1024):
            (event,) = opened(box).read(9)
        assert json.loads(event.body)["after"] == json.loads(after)

    def test_an_event_that_the_server_cannot_send_is_one_with_a_problem(
        self, box: Box, opened
    ) -> None:
        box.insert(41)
        key = json.dumps({"v": "x" * 1_500_000})
        box.query(f"UPDATE {box.events} SET `key` = %s", (key,))
        with packets_of(box, 1024 * 1024):
            relay = opened(box)
            (event,) = relay.read(9)
        assert event.is_oversized
        assert "max_allowed_packet" in event.problem
        assert event.key.startswith("shop.orders:")

    @pytest.mark.parametrize("column", ["key", "before", "after", "context"])
    @pytest.mark.parametrize("text", ["", "{", "not JSON", '{"a": 1} {"b": 2}'])
    def test_what_is_not_json_is_a_problem_of_its_event_only(
        self, box: Box, opened, column: str, text: str
    ) -> None:
        box.insert(1, 2)
        box.query(f"UPDATE {box.events} SET `{column}` = %s WHERE id = 1", (text,))
        bad, good = opened(box).read(9)
        assert (bad.problem, bad.body) == (f"{column} is not JSON", "")
        assert not bad.is_oversized
        assert json.loads(good.body)["sequence"] == 2

    @pytest.mark.parametrize("depth", [31, 33, 99, 101, 900, 20_000])
    def test_json_may_be_nested_deeper_than_the_server_itself_takes(
        self, box: Box, opened, depth: int
    ) -> None:
        box.insert(1)
        text = "[" * depth + "]" * depth
        box.query(f"UPDATE {box.events} SET `after` = %s", (text,))
        (event,) = opened(box).read(9)
        assert event.problem == ""
        assert text in event.body


class TestTransactions:
    """What the floor goes by."""

    def test_who_has_written_is_among_them_until_it_ends(
        self, box: Box, opened, connect
    ) -> None:
        relay = opened(box)
        writer = connect(autocommit=False)
        runner(writer)(f"INSERT INTO {box.events} SELECT * FROM {box.events}")
        box.insert(3, query=runner(writer))
        session = writer.thread_id()
        before_long(lambda: sessions(relay) == [session])
        writer.commit()
        before_long(lambda: sessions(relay) == [])

    def test_who_only_reads_is_not_even_for_hours(
        self, box: Box, opened, connect
    ) -> None:
        """As mysqldump --single-transaction does."""
        relay = opened(box)
        box.insert(1)
        dump = runner(connect(autocommit=False, init_command=SNAPSHOT))
        dump(f"SELECT * FROM {box.events}")
        before_long(lambda: sessions(relay) == [])
        box.insert(2)
        assert len(dump(f"SELECT * FROM {box.events}")) == 1, "it is open still"

    def test_one_that_was_prepared_outlives_its_session(
        self, box: Box, opened, connect
    ) -> None:
        relay = opened(box)
        writer = connect(autocommit=True)
        run = runner(writer)
        run("XA START 'a'")
        box.insert(3, query=run)
        found: list[Transaction] = []

        def is_of(session: int) -> bool:
            found[:] = relay.transactions() or []
            return [number_of(each) for each in found] == [session]

        before_long(lambda: is_of(writer.thread_id()))
        (before,) = found
        run("XA END 'a'")
        run("XA PREPARE 'a'")
        writer.close()
        try:
            before_long(lambda: is_of(0))
            (after,) = found
            assert (after.id, after.session) == (before.id, "")
        finally:
            box.query("XA ROLLBACK 'a'")

    def test_who_may_not_see_them_is_told_so(self, box: Box, server, account) -> None:
        connection = account(f"SELECT, INSERT, UPDATE, DELETE ON {box.quoted}.*")
        outbox = Outbox(connection, box.schema)
        assert outbox.transactions() is None
        # And the connection is as good as before.
        assert connection.value("SELECT 1") == 1

    def test_asking_leaves_no_transaction_open(self, box: Box, opened) -> None:
        relay = opened(box)
        relay.transactions()
        session = relay._connection.value("SELECT CONNECTION_ID()")
        question = (
            "SELECT COUNT(*) FROM information_schema.innodb_trx"
            " WHERE trx_mysql_thread_id = %s"
        )
        before_long(lambda: box.query(question, (session,)) == ((0,),))


SNAPSHOT = "START TRANSACTION WITH CONSISTENT SNAPSHOT"


def sessions(relay: Outbox) -> list[int] | None:
    """Of the transactions that may have written; None if the server does not tell."""
    found = relay.transactions()
    if found is None:
        return None
    return [number_of(transaction) for transaction in found]


def number_of(transaction: Transaction) -> int:
    """Of its session, 0 if it has none."""
    return int(transaction.session.split(" ")[0]) if transaction.session else 0


def before_long(condition: Callable[[], object], seconds: float = 10) -> None:
    """Return as soon as the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not in time"
        # The servers remember the list until nobody has asked for 0.1 s.
        time.sleep(0.15)


class TestDelete:
    def test_what_was_published_is_deleted_and_nothing_else(
        self, box: Box, opened
    ) -> None:
        relay = opened(box)
        epoch = held(relay)
        box.insert(*range(1, 8))
        events = relay.read(9)
        assert relay.delete([events[0], events[2], events[5]], epoch) == 3
        assert box.ids() == [2, 4, 5, 7]

    def test_an_event_that_has_the_same_id_stays(self, box: Box, opened) -> None:
        """After a fail-over an id may be issued again."""
        relay = opened(box)
        epoch = held(relay)
        box.insert(1, 2)
        assert relay.delete([Event(1, 999, "", ""), Event(2, 1002, "", "")], epoch) == 1
        assert box.ids() == [1]

    def test_the_largest_ids_are_not_rounded(self, box: Box, opened) -> None:
        relay = opened(box)
        epoch = held(relay)
        row = (2**64 - 2, 2**64 - 1, "{}", None, None)
        box.query(INSERT.format(events=box.events), row)
        assert relay.delete([Event(2**64 - 2, 2**64 - 2, "", "")], epoch) == 0
        assert relay.delete(relay.read(9), epoch) == 1

    def test_who_holds_the_lease_no_more_deletes_nothing(
        self, box: Box, opened
    ) -> None:
        stale, newer = opened(box), opened(box)
        epoch = held(stale)
        box.insert(1, 2, 3)
        events = stale.read(9)
        box.expire()
        held(newer)
        assert stale.delete(events, epoch) == 0
        newer.release(newer.holder().epoch)
        assert stale.delete(events, epoch) == 0
        assert box.ids() == [1, 2, 3]

    # With few rows an optimiser may prefer to scan the table.
    @pytest.mark.parametrize("rows", [1, 2, 5, 300])
    def test_it_does_not_wait_for_a_writer(
        self, box: Box, opened, connect, rows: int
    ) -> None:
        """Neither for a row after those it deletes, nor for one between them."""
        relay = opened(box)
        epoch = held(relay)
        box.insert(*range(2, 2 * rows + 1, 2))
        writer = connect(autocommit=False)
        box.insert(1, 2 * rows + 1, 2 * rows + 2, query=runner(writer))
        events = relay.read(500)
        assert len(events) == rows
        begun = time.monotonic()
        assert relay.delete(events, epoch) == rows
        assert time.monotonic() - begun < 1
        writer.commit()
        assert box.ids() == [1, 2 * rows + 1, 2 * rows + 2]

    @pytest.mark.parametrize("rows", [2, 300])
    def test_writers_do_not_wait_for_it(
        self, box: Box, opened, connect, rows: int
    ) -> None:
        """Not even where it takes long: here it stays open."""
        relay = opened(box)
        epoch = held(relay)
        box.insert(*range(2, 2 * rows + 1, 2))
        events = relay.read(500)[:-1]
        relay._connection.execute("START TRANSACTION")
        assert relay.delete(events, epoch) == rows - 1
        writer = runner(connect())
        writer("SET SESSION innodb_lock_wait_timeout = 1")
        box.insert(1, 3, 2 * rows + 1, query=writer)
        relay._connection.execute("COMMIT")
        assert box.ids() == [1, 3, 2 * rows, 2 * rows + 1]

    def test_two_thousand_rows_are_deleted_at_once(self, box: Box, opened) -> None:
        relay = opened(box)
        epoch = held(relay)
        numbers = "SELECT 0 d" + "".join(f" UNION SELECT {n}" for n in range(1, 10))
        box.query(
            f"INSERT INTO {box.events} (uid, type, source, operation, captured_at,"
            " `key`, `after`) SELECT UUID_SHORT(), 't.insert', 's.t', 'insert',"
            " UTC_TIMESTAMP(6), '{}', REPEAT('x', 250) FROM"
            f" ({numbers}) a, ({numbers}) b, ({numbers}) c, (SELECT 0 UNION SELECT 1) d"
        )
        events = relay.read(5000)
        assert len(events) == 2000
        begun = time.monotonic()
        assert relay.delete(events, epoch) == 2000
        # A full scan a row would take minutes; 30 ms are usual.
        assert time.monotonic() - begun < 2


class TestOldSnapshot:
    """Somebody's dump keeps the rows that the relay has deleted."""

    def test_from_the_floor_nothing_passes_over_them(
        self, box: Box, opened, connect, query: Query
    ) -> None:
        relay = opened(box)
        digits = " UNION ALL ".join(f"SELECT {n} AS n" for n in range(10))
        tens = ", ".join(f"({digits}) AS t{n}" for n in range(4))
        old = connect(autocommit=False)
        query(
            f"INSERT INTO {box.events} (uid, type, source, operation, captured_at,"
            " `key`, `after`) SELECT 1, 't', 's', 'update', UTC_TIMESTAMP(6), '{}',"
            f" CONCAT('\"', REPEAT('x', 500), '\"') FROM {tens}, ({digits}) AS more"
        )
        with old.cursor() as cursor:
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        query(f"DELETE FROM {box.events}")
        # The newest is on its way, and the servers take the table for nearly empty:
        # they would rather scan it than look into the index.
        floor = 1_000_000
        box.insert(floor + 1)
        query(f"ANALYZE TABLE {box.events}")

        head = fastest(lambda: relay.watch(1))
        assert fastest(lambda: relay.watch(1, floor)) < head / 4
        assert fastest(lambda: relay.watch(1, floor + 2)) < head / 4
        assert fastest(lambda: relay.read(10, floor=floor)) < head / 4
        assert [event.id for event in relay.read(10, floor=floor)] == [floor + 1]
        assert relay.watch(1, floor)[1]
        assert not relay.watch(1, floor + 2)[1]
        old.rollback()


def fastest(run: Callable[[], object]) -> float:
    """Seconds of the fastest of a few times."""
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return min(times)


def test_a_schema_may_have_any_name(
    server: ThrowawayServer, schema: str, query: Query, opened
) -> None:
    name = f"{schema} {WEIRD}"[:64]
    box = Box(server, name, query)
    try:
        relay = opened(box)
        epoch = held(relay)
        assert relay.read(1) == []
        box.insert(1, 2)
        assert len(relay.read(1)) == 1
        assert relay.renew(epoch, 10)
        assert relay.watch(epoch) == (True, True)
        assert relay.delete(relay.read(9), epoch) == 2
        relay.release(epoch)
        assert relay.holder().is_free
    finally:
        query(f"DROP DATABASE {box.quoted}")


class packets_of:  # noqa: N801 - reads as a phrase
    """``with packets_of(box, bytes)``: max_allowed_packet of new connections."""

    def __init__(self, box: Box, size: int) -> None:
        self.box, self.size = box, size

    def __enter__(self) -> None:
        ((self.before,),) = self.box.query("SELECT @@GLOBAL.max_allowed_packet")
        self.box.query(f"SET GLOBAL max_allowed_packet = {self.size}")

    def __exit__(self, *exception: object) -> None:
        self.box.query(f"SET GLOBAL max_allowed_packet = {self.before}")


def runner(connection: pymysql.Connection) -> Query:
    def query(sql: str, arguments: object = None) -> tuple[tuple[object, ...], ...]:
        with connection.cursor() as cursor:
            cursor.execute(sql, arguments)
            return tuple(cursor.fetchall())

    return query


def held(relay: Outbox, ttl: int = 10) -> int:
    """Take the lease; the epoch."""
    epoch = relay.claim()
    assert relay.grant(epoch, "test", ttl)
    return epoch


def ids(events: list[Event]) -> list[int]:
    return [event.id for event in events]


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Return as soon as the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.01)
