"""The relay on real servers: when it publishes, waits, gives way and stops."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import pymysql
import pytest
from click.testing import CliRunner
from click.testing import Result as ClickResult
from fakes import s3
from fakes import sqs as fake_sqs
from fakes.aws import FakeAws
from fakes.faults import Answer, FailEntries, LoseAcknowledgement
from integration.box import Box

from evtrig.cli import main
from evtrig.database.dsn import Dsn
from evtrig.errors import ConnectionLost, SinkError
from evtrig.relay.action import Read
from evtrig.relay.destinations import Destinations
from evtrig.relay.event import Event
from evtrig.relay.floor import Floor
from evtrig.relay.hands import Hands
from evtrig.relay.lease import TTL, Lease
from evtrig.relay.metrics import Metrics
from evtrig.relay.outbox import Outbox
from evtrig.relay.outlet import Outlet
from evtrig.relay.policy import Policy
from evtrig.relay.relay import Options, Relay, Summary
from evtrig.relay.scheduler import Scheduler
from evtrig.relay.sinks import open_sink
from evtrig.relay.sinks.claim_check import ClaimCheck
from evtrig.relay.sinks.message import escaped, group_id
from evtrig.relay.sinks.sink import (
    ACKNOWLEDGED,
    LEASE_RAN_OUT,
    Limits,
    Outcome,
    Result,
    Sink,
)
from evtrig.relay.term import Term

RETRY = Result(Outcome.RETRY, "later")
REFUSED = Result(Outcome.REFUSED, "poison")
DRAIN = Options(drain=True)

Answers = Callable[[Sequence[Event]], Sequence[Result] | None]


class Memory:
    """A sink that remembers, and answers as it is told to."""

    name = "memory:"

    def __init__(
        self, answers: Answers | None = None, *, calls: int = 4, in_order: bool = False
    ) -> None:
        self.limits = Limits(entries=10, bytes=1024 * 1024, calls=calls)
        self.in_order = in_order
        self.answers = answers
        self.arrived: list[Event] = []
        self._lock = threading.Lock()

    def publish(
        self, events: Sequence[Event], may_send: Callable[[], bool]
    ) -> Sequence[Result]:
        if not may_send():
            return [LEASE_RAN_OUT] * len(events)
        results = self.answers(events) if self.answers else None
        results = results or [ACKNOWLEDGED] * len(events)
        with self._lock:
            self.arrived += [
                event
                for event, result in zip(events, results, strict=True)
                if result is ACKNOWLEDGED
            ]
        return results

    def close(self) -> None:
        pass


class Gate:
    """Answers of a sink that takes its time: calls wait until it is opened."""

    def __init__(self) -> None:
        self.waiting = threading.Semaphore(0)
        self._open = threading.Event()

    def __call__(self, events: Sequence[Event]) -> None:
        self.waiting.release()
        assert self._open.wait(10)

    def open(self) -> None:
        self._open.set()

    def wait_for_a_call(self) -> None:
        assert self.waiting.acquire(timeout=10)


class Running:
    """A relay in a thread."""

    def __init__(
        self,
        sink: Sink,
        options: Options,
        connect: Callable[[], Outbox],
        clock: Callable[[], float],
    ) -> None:
        self.sink = sink
        self.relay = Relay(connect, sink, options, clock=clock)
        # Host and process would be the same for all of them.
        self.relay._name = f"relay {id(self)}"
        self._result: Summary | BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self.relay.run()
        except BaseException as error:
            self._result = error

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def end(self, seconds: float = 20) -> Summary:
        """Wait until it ends by itself."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the relay does not end"
        if isinstance(self._result, BaseException):
            raise self._result
        assert self._result is not None
        return self._result

    def stop(self) -> Summary:
        self.relay.stop.set()
        return self.end()


Start = Callable[..., Running]


@pytest.fixture
def start(box: Box) -> Iterator[Start]:
    """``start(sink, options)``: a relay in a thread, ended after the test."""
    started: list[Running] = []

    def start(
        sink: Sink,
        options: Options = Options(),  # noqa: B008 - frozen
        *,
        kind: type[Outbox] = Outbox,
        clock: Callable[[], float] = time.monotonic,
    ) -> Running:
        def connect() -> Outbox:
            return kind.connect(Dsn.parse(box.dsn), box.schema, ttl=options.ttl)

        started.append(Running(sink, options, connect, clock))
        return started[-1]

    yield start
    for running in started:
        running.relay.stop.set()
    for running in started:
        running._thread.join(20)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "fake")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "fake")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with FakeAws(seed=1) as aws:
        yield aws


class TestEnd:
    def test_drain_ends_when_the_outbox_is_empty(self, box: Box, start: Start) -> None:
        box.insert(1234)
        sink = Memory()
        summary = start(sink, DRAIN).end()
        assert summary.published == len(sink.arrived) == 1234
        assert (summary.left, summary.is_stuck, summary.held) == (0, False, True)
        assert len(box) == 0
        assert box.holder == 0

    def test_drain_of_an_empty_outbox_ends_at_once(
        self, box: Box, start: Start
    ) -> None:
        assert start(Memory(), DRAIN).end(5).published == 0
        assert box.holder == 0

    def test_once_is_one_batch_of_a_sink_that_keeps_order(
        self, box: Box, start: Start
    ) -> None:
        """A batch that keeps order holds ten events here."""
        box.insert(3)
        sink = Memory(in_order=True, calls=1)
        assert start(sink, Options(once=True)).end().published == 3
        assert [event.id for event in sink.arrived] == [1, 2, 3]
        assert len(box) == 0

    def test_once_does_not_wait_for_further_events(
        self, box: Box, start: Start
    ) -> None:
        assert start(Memory(), Options(once=True)).end(5).published == 0
        box.insert(2000)
        assert 0 < start(Memory(), Options(once=True)).end(5).published < 2000

    def test_once_does_not_wait_for_a_key_that_failed(
        self, box: Box, start: Start
    ) -> None:
        box.insert(4, keys=4)
        sink = Memory(lambda events: [RETRY] * len(events))
        summary = start(sink, Options(once=True)).end(5)
        assert (summary.published, summary.left) == (0, 4)
        assert len(box) == 4

    def test_it_ends_after_so_many_seconds(self, box: Box, start: Start) -> None:
        begun = time.monotonic()
        start(Memory(), Options(max_seconds=0.5)).end()
        assert 0.4 < time.monotonic() - begun < 2
        assert box.holder == 0

    def test_the_time_also_ends_the_wait_for_the_lease(
        self, box: Box, start: Start
    ) -> None:
        leader = start(Memory())
        until(lambda: box.holder)
        summary = start(Memory(), Options(max_seconds=0.3)).end(5)
        assert not summary.held
        assert leader.is_running

    @pytest.mark.parametrize("seconds", ["0.000001", "0.3"])
    def test_a_drain_that_runs_out_of_time_says_that_it_is_not_done(
        self, box: Box, tmp_path, seconds: str
    ) -> None:
        box.insert(5000 if seconds == "0.3" else 5)
        arguments = ["relay", "--dsn", box.dsn, "--outbox", box.schema, "--drain"]
        arguments += ["--sink", f"file:{tmp_path / 'events'}"]
        result = CliRunner().invoke(main, [*arguments, "--max-seconds", seconds])
        if len(box):
            assert result.exit_code == 1

    def test_a_drain_whose_time_is_over_between_two_reads_is_not_done(
        self, box: Box, start: Start
    ) -> None:
        """Nothing that was read is left then; what was not read is."""
        reads = itertools.count(1)

        class Slow(Outbox):
            def read(self, limit: int, **besides: Any) -> list[Event]:
                if next(reads) == 2:
                    time.sleep(2)
                return super().read(limit, **besides)

        box.insert(300)
        options = Options(drain=True, max_seconds=1)
        summary = start(Memory(), options, kind=Slow).end(10)
        assert (len(box), summary.published) == (100, 200)
        assert (summary.left, summary.is_drained) == (0, False)

    def test_a_stop_lets_what_is_in_flight_finish(self, box: Box, start: Start) -> None:
        box.insert(5, keys=5)
        gate = Gate()
        running = start(Memory(gate, calls=1))
        gate.wait_for_a_call()
        box.insert(5, key="later")
        running.relay.stop.set()
        gate.open()
        assert running.end().published == 5
        assert len(box) == 5
        assert box.holder == 0

    def test_a_stop_is_obeyed_at_once_when_idle(self, box: Box, start: Start) -> None:
        running = start(Memory())
        until(lambda: box.holder)
        begun = time.monotonic()
        running.stop()
        assert time.monotonic() - begun < 0.5

    def test_a_sink_that_cannot_be_used_ends_it_after_what_is_in_flight(
        self, box: Box, start: Start
    ) -> None:
        """What another call has delivered meanwhile is acknowledged."""
        box.insert(20, keys=20)
        both = threading.Barrier(2, timeout=10)

        def answers(events: Sequence[Event]) -> None:
            both.wait()
            if events[0].id == 1:
                raise SinkError("no such queue")
            time.sleep(0.1)

        with pytest.raises(SinkError, match="no such queue"):
            start(Memory(answers)).end()
        assert len(box) == 10
        assert box.holder == 0


def test_a_read_that_has_not_begun_when_a_relay_ends_is_not_awaited(
    box: Box, connect: Callable[[], pymysql.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection was being made, so that there was none to cut."""
    is_connecting, go = threading.Event(), threading.Event()
    make = Outbox.reader

    def reader(outbox: Outbox) -> Outbox:
        is_connecting.set()
        assert go.wait(10)
        return make(outbox)

    monkeypatch.setattr(Outbox, "reader", reader)
    outbox = Outbox.connect(Dsn.parse(box.dsn), box.schema, ttl=TTL)
    hands = Hands(outbox, Destinations({"": Memory()}), time.monotonic, Metrics())
    term = Term(
        Lease(),
        Scheduler([Outlet("", Limits(1, 1))], jitter=lambda: 1.0),
        Floor(is_on=False),
        Options(),
    )
    other = connect()
    with other.cursor() as cursor:
        # A read would wait for it.
        cursor.execute(f"LOCK TABLES {box.events} WRITE")
    ending = threading.Thread(target=hands.join, daemon=True)
    try:
        hands.read(Read(1, 0), term)
        assert is_connecting.wait(10)
        ending.start()
        until(lambda: hands._is_closing)
        go.set()
        ending.join(5)
        assert not ending.is_alive()
    finally:
        with other.cursor() as cursor:
            cursor.execute("UNLOCK TABLES")
        ending.join(20)
        outbox.close()


class TestHandOver:
    def test_a_second_relay_waits(self, box: Box, start: Start) -> None:
        first = start(Memory())
        until(lambda: box.holder)
        second = start(Memory())
        box.insert(20)
        until(lambda: len(box) == 0)
        box.insert(20)
        until(lambda: len(box) == 0)
        assert isinstance(first.sink, Memory)
        assert isinstance(second.sink, Memory)
        assert (len(first.sink.arrived), len(second.sink.arrived)) == (40, 0)
        first.stop()
        box.insert(10)
        until(lambda: len(box) == 0, 2)
        assert len(second.sink.arrived) == 10

    @pytest.mark.parametrize("standing_by", [0, 2])
    def test_a_newer_relay_takes_over_at_once_and_for_good(
        self, box: Box, start: Start, standing_by: int
    ) -> None:
        old = start(Memory())
        until(lambda: box.holder)
        for _ in range(standing_by):
            start(Memory())
        sink = Memory()
        begun = time.monotonic()
        new = start(sink, Options(take_over=True))
        until(lambda: holds(box, new), 5)
        # 250 ms at most are wanted; a busy machine may take longer.
        assert time.monotonic() - begun < 1
        box.insert(10)
        until(lambda: len(sink.arrived) == 10, 5)
        assert holds(box, new)
        assert old.is_running, "it stands by"
        new.stop()
        box.insert(5)
        until(lambda: len(box) == 0, 5)

    def test_two_that_take_over_from_each_other_settle(
        self, box: Box, start: Start
    ) -> None:
        start(Memory())
        until(lambda: box.holder)
        sinks = [Memory() for _ in range(3)]
        for sink in sinks:
            start(sink, Options(take_over=True))
        box.insert(30)
        until(lambda: len(box) == 0, 10)
        # The outbox may be empty before the last of them has claimed.
        newest = f"SELECT claim >= 4 AND holder = claim FROM {box.state}"
        until(lambda: box.query(newest) == ((1,),))
        epoch = box.holder
        # For longer than anyone looks for a newer relay.
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            assert box.holder == epoch
            time.sleep(0.01)

    def test_a_hand_over_loses_and_repeats_nothing(
        self, box: Box, start: Start
    ) -> None:
        sinks: list[Memory] = []
        writer = threading.Thread(target=lambda: box_writer(box, 1500))
        writer.start()
        while writer.is_alive():
            sinks.append(Memory())
            start(sinks[-1], Options(take_over=True))
            until(lambda: sinks[-1].arrived or not writer.is_alive(), 10)
        writer.join()
        until(lambda: len(box) == 0)
        arrived = sorted(event.id for sink in sinks for event in sink.arrived)
        assert arrived == list(range(1, 1501))

    def test_a_relay_whose_lease_has_expired_deletes_and_sends_nothing(
        self, box: Box, start: Start
    ) -> None:
        """As after SIGSTOP and SIGCONT: it comes back with an answer in its hands."""
        box.insert(3, key="a")
        gate = Gate()
        slept = 0.0
        frozen = start(Memory(gate), clock=lambda: time.monotonic() + slept)
        gate.wait_for_a_call()
        box.expire()
        dead = Memory(lambda events: [RETRY] * len(events))
        other = start(dead)
        until(lambda: holds(box, other), 5)
        slept = 60.0
        gate.open()
        until(lambda: frozen.sink.arrived)
        summary = frozen.stop()
        assert summary.published == 1
        assert len(box) == 3
        assert holds(box, other)

    def test_a_call_asks_about_the_lease_as_it_is_when_bytes_leave(
        self, box: Box, start: Start
    ) -> None:
        """Renewed while the call waited, it may go; lost meanwhile, it may not."""
        gate = Gate()
        asked: list[Callable[[], bool]] = []

        class Waiting(Memory):
            def publish(
                self, events: Sequence[Event], may_send: Callable[[], bool]
            ) -> Sequence[Result]:
                asked.append(may_send)
                gate(events)
                return super().publish(events, may_send)

        ahead = [0.0]
        box.insert(1)
        running = start(Waiting(), clock=lambda: time.monotonic() + ahead[0])
        gate.wait_for_a_call()
        (may_send,) = asked
        assert may_send()
        # Past the deadline of the lease under which the call was submitted.
        ahead[0] += TTL
        until(may_send)
        # Somebody newer: it is not renewed any more.
        box.query(f"UPDATE {box.state} SET claim = claim + 1")
        box.expire()
        running.relay.stop.set()
        ahead[0] += TTL
        assert not may_send()
        gate.open()
        summary = running.end()
        assert running.sink.arrived == []
        assert (summary.published, summary.retried) == (0, 1)
        assert summary.last_reason == "the lease ran out"
        assert len(box) == 1


class TestTrouble:
    def test_a_connection_that_is_killed_is_made_again(
        self, box: Box, start: Start
    ) -> None:
        """It need not wait for a lease that is its own."""
        question = f"SELECT holder_connection FROM {box.state}"
        sink = Memory()
        running = start(sink)
        for round_ in (1, 2, 3):
            box.insert(10)
            until(lambda n=10 * round_: len(sink.arrived) >= n, 5)
            ((connection,),) = box.query(question)
            box.query(f"KILL {connection}")
            until(lambda old=connection: box.query(question) != ((old,),))
        box.insert(10)
        until(lambda: len(box) == 0, 5)
        assert running.is_running
        assert {event.id for event in sink.arrived} == set(range(1, 41))

    @pytest.mark.parametrize("table", ["events", "event_polling_state"])
    def test_a_lock_that_somebody_holds_is_waited_for(
        self, box: Box, start: Start, connect, table: str
    ) -> None:
        """What was acknowledged is deleted afterwards, and not sent over and over."""

        class Impatient(Outbox):
            """Gives up on a lock after one second, and not after two."""

            @classmethod
            def connect(cls, dsn: Dsn, schema: str, *, ttl: int) -> Outbox:
                outbox = super().connect(dsn, schema, ttl=ttl)
                outbox._connection.execute("SET SESSION innodb_lock_wait_timeout = 1")
                return outbox

        gate = Gate()
        sink = Memory(gate)
        box.insert(5)
        running = start(sink, kind=Impatient)
        gate.wait_for_a_call()
        somebody = connect(autocommit=False)
        with somebody.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {box.schema}.{table} FOR UPDATE")
            gate.open()
            end = time.monotonic() + 5
            while time.monotonic() < end:
                assert running.is_running, running.end()
                time.sleep(0.05)
        somebody.commit()
        until(lambda: len(box) == 0, 8)
        assert running.is_running
        assert sorted(event.id for event in sink.arrived) == [1, 2, 3, 4, 5]

    def test_what_a_relay_has_claimed_itself_does_not_end_it(
        self, box: Box, start: Start
    ) -> None:
        """It loses its connection, and again before it is granted its second claim."""

        class Twice(Outbox):
            grants = 0

            def grant(self, *arguments: Any) -> bool:
                Twice.grants += 1
                if Twice.grants == 2:
                    raise ConnectionLost("gone", number=2013)
                return super().grant(*arguments)

        sink = Memory()
        options = Options(take_over=True, ends_superseded=True)
        running = start(sink, options, kind=Twice)
        box.insert()
        until(lambda: len(box) == 0)
        ((connection,),) = box.query(f"SELECT holder_connection FROM {box.state}")
        box.query(f"KILL {connection}")
        until(lambda: Twice.grants >= 2)
        box.insert()
        until(lambda: len(sink.arrived) == 2 or not running.is_running)
        assert running.stop().end == "stopped"
        assert len(sink.arrived) == 2

    def test_half_of_a_surrogate_pair_holds_nobody_up(
        self, box: Box, start: Start
    ) -> None:
        """MariaDB keeps one in a text of utf8mb4; MySQL makes NULL of it."""
        half = "CONVERT(UNHEX('EDA080') USING utf8mb4)"
        box.query(
            f"INSERT INTO {box.events} (id, uid, type, source, operation, captured_at,"
            " `key`, `after`) VALUES (1, 1, 'codes.insert', 'shop.codes', 'insert',"
            ' UTC_TIMESTAMP(6), CONCAT(\'{"code": "\', COALESCE('
            f"{half}, ''), '\"}}'), CONCAT('[\"', {half}, '\"]'))"
        )
        box.insert(2)
        sink = Memory()
        assert start(sink, DRAIN).end().published == 3
        (first,) = (event for event in sink.arrived if event.id == 1)
        is_kept = box.server.server.is_mariadb
        assert json.loads(escaped(first.body))["after"] == (
            ["\ud800"] if is_kept else None
        )
        assert group_id(first.key)
        assert len(box) == 0

    def test_a_relay_that_took_over_once_does_not_again_after_a_lost_connection(
        self, box: Box, start: Start
    ) -> None:
        old = start(Memory(), Options(take_over=True))
        until(lambda: box.holder)
        ((connection,),) = box.query(f"SELECT holder_connection FROM {box.state}")
        # Somebody newer has the lease by the time it is back.
        box.query(f"UPDATE {box.state} SET claim = 77, holder = 77")
        box.query(f"KILL {connection}")
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            assert box.query(f"SELECT claim FROM {box.state}") == ((77,),)
            time.sleep(0.02)
        assert old.is_running

    def test_memory_holds_only_so_many_large_events(
        self, box: Box, start: Start
    ) -> None:
        """32 MiB are meant; 600 of these are 60 MB."""

        class Counting(Outbox):
            reads = 0

            def read(
                self, limit: int, *, besides: Collection[int] = (), **options: Any
            ) -> list[Event]:
                Counting.reads += 1
                Counting.window = len(besides)
                return super().read(limit, besides=besides, **options)

            window = 0

        for _ in range(6):
            box.insert(100, pad=100_000, keys=100)
        gate = Gate()
        running = start(Memory(gate, calls=1), kind=Counting)
        gate.wait_for_a_call()
        end = time.monotonic() + 1.5
        while time.monotonic() < end and Counting.window < 500:
            time.sleep(0.01)
        assert Counting.window < 400
        assert Counting.reads < 50, "one query an event"
        gate.open()
        running.stop()

    def test_waiting_costs_no_processor_time(self, box: Box, start: Start) -> None:
        """All calls taken, and a key whose time to be sent again has come."""
        gate = Gate()

        def answers(events: Sequence[Event]) -> Sequence[Result] | None:
            if "fails" in events[0].key:
                return [RETRY] * len(events)
            gate(events)
            return None

        box.insert(1, key="fails")
        sink = Memory(answers, calls=1)
        running = start(sink)
        until(lambda: running.relay.metrics.snapshot(0).retried)
        box.insert(1, key="hangs")
        gate.wait_for_a_call()
        before = time.process_time()
        # Long enough to be told from what a poll of 50 ms costs.
        threading.Event().wait(1.5)
        assert time.process_time() - before < 0.4
        gate.open()
        running.stop()

    def test_an_idle_relay_asks_little(self, box: Box, start: Start) -> None:
        """At most twenty looks into the outbox a second, and a renewal now and then."""

        class Counting(Outbox):
            asked = 0

            def _sql(self, statement: str, **parts: str) -> str:
                Counting.asked += 1
                return super()._sql(statement, **parts)

        running = start(Memory(), kind=Counting)
        box.insert(5)
        until(lambda: len(box) == 0)
        threading.Event().wait(0.3)
        asked, cpu = Counting.asked, time.process_time()
        threading.Event().wait(2)
        assert Counting.asked - asked <= 2 * 21
        assert time.process_time() - cpu < 0.2
        running.stop()


class TestFloor:
    """Reads begin behind what can never come, and nowhere else."""

    def test_it_rises_past_ids_that_were_rolled_back_and_stops_at_one_that_is_open(
        self, box: Box, start: Start, connect: Callable[..., pymysql.Connection]
    ) -> None:
        floors: list[int] = []

        class Watching(Outbox):
            def read(
                self, limit: int, *, floor: int = 0, **besides: Any
            ) -> list[Event]:
                floors.append(floor)
                return super().read(limit, floor=floor, **besides)

        def write(number: int) -> pymysql.Connection:
            """A transaction that has taken an id, and is not over."""
            writer = connect(autocommit=False)
            row = (json.dumps({"id": f"late {number}"}), "{}")
            with writer.cursor() as cursor:
                cursor.execute(INSERT.format(events=box.events), row)
            return writer

        sink = Memory()
        running = start(sink, kind=Watching)
        write(1).rollback()
        box.insert(5)
        until(lambda: len(sink.arrived) == 5)
        # The rolled back id 1 is between the head and the events.
        until(lambda: insert_and_see(box, floors, above=6), 15)
        late = write(2)
        ((last,),) = late_id(late)
        box.insert(5)
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            insert_and_see(box, floors, above=last + 1)
            assert max(floors) <= last
        late.commit()
        until(lambda: any("late 2" in event.key for event in sink.arrived))
        until(lambda: insert_and_see(box, floors, above=last), 15)
        running.stop()
        assert len(box) == 0
        assert len({event.id for event in sink.arrived}) == len(sink.arrived)

    def test_dead_letters_that_are_put_back_are_below_it_and_come_all_the_same(
        self, box: Box, start: Start
    ) -> None:
        is_mended = False

        def answers(events: Sequence[Event]) -> Sequence[Result]:
            return [
                REFUSED if "poison" in event.key and not is_mended else ACKNOWLEDGED
                for event in events
            ]

        sink = Memory(answers)
        box.insert(20)
        box.insert(3, key="poison")
        running = start(sink, Options(policy=Policy("park-key")))
        until(lambda: len(box) == 0)
        dead = f"{box.schema}.dead_letters"
        assert box.query(f"SELECT COUNT(*) FROM {dead}") == ((3,),)
        is_mended = True
        # A later one of the key comes at the same moment.
        columns = (
            "id, uid, type, source, operation, captured_at, `key`, `before`, `after`"
        )
        with box.connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(
                f"INSERT INTO {box.events} ({columns}) SELECT {columns} FROM {dead}"
            )
            cursor.execute(f"DELETE FROM {dead}")
            cursor.execute(
                INSERT.format(events=box.events).replace("s.t", "shop.orders"),
                (json.dumps({"id": "poison"}), "{}"),
            )
            cursor.execute("COMMIT")
        until(lambda: len(box) == 0)
        poison = [event.id for event in sink.arrived if "poison" in event.key]
        assert poison == [21, 22, 23, 24]
        running.stop()


INSERT = (
    "INSERT INTO {events} (uid, type, source, operation, captured_at, `key`, `after`)"
    " VALUES (UUID_SHORT(), 't.insert', 's.t', 'insert', UTC_TIMESTAMP(6), %s, %s)"
)


def late_id(connection: pymysql.Connection) -> tuple[tuple[int, ...], ...]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT LAST_INSERT_ID()")
        return tuple(cursor.fetchall())


def insert_and_see(box: Box, floors: list[int], *, above: int) -> bool:
    """Something to read for, and whether a read has begun so high."""
    box.insert(1)
    time.sleep(0.05)
    return max(floors) >= above


class TestPoison:
    @pytest.mark.parametrize("poison", [1, 300, 6000])
    def test_it_blocks_its_key_and_no_other(
        self, box: Box, start: Start, poison: int
    ) -> None:
        """Also where its events fill what the relay reads at once."""
        box.insert(poison, key="poison")
        box.insert(120, keys=40)

        def answers(events: Sequence[Event]) -> Sequence[Result]:
            return [REFUSED if "poison" in e.key else ACKNOWLEDGED for e in events]

        sink = Memory(answers)
        summary = start(sink, DRAIN).end()
        assert len(sink.arrived) == 120
        assert_in_order(sink.arrived)
        assert summary.is_stuck
        assert summary.left > 0
        assert summary.last_reason == "poison"
        assert len(box) == poison

    def test_the_command_says_what_is_left_and_ends_with_1(
        self, box: Box, aws: FakeAws
    ) -> None:
        queue = aws.sqs.create_queue("orders.fifo")
        poison = FailEntries(
            "InvalidMessageContents",
            sender_fault=True,
            where=lambda entry: "poison" in entry["MessageBody"],
        )
        aws.faults.add(poison)
        box.insert(30, keys=30)
        box.insert(2, key="poison", pad=2000)
        result = drain(box, queue)
        assert result.exit_code == 1
        assert "2 events or more are left" in result.stderr
        assert "InvalidMessageContents" in result.stderr
        assert "xxx" not in result.stderr
        assert "Traceback" not in result.stderr
        assert len(queue.delivered) == 30
        assert len(box) == 2

    @pytest.mark.parametrize("policy", ["park-key", "park-event"])
    def test_the_command_parks_what_the_sink_refuses(
        self, box: Box, aws: FakeAws, policy: str
    ) -> None:
        queue = aws.sqs.create_queue("orders.fifo")
        poison = FailEntries(
            "InvalidMessageContents",
            sender_fault=True,
            where=lambda entry: '"n": 3,' in entry["MessageBody"],
        )
        aws.faults.add(poison)
        box.insert(8, key="a")
        box.insert(3, key="b")
        result = drain(box, queue, "--on-refused", policy)
        assert result.exit_code == 0, result.stderr
        assert len(box) == 0
        parked = [4, 5, 6, 7, 8] if policy == "park-key" else [4]
        assert f"{len(parked)} events are dead letters now" in result.stderr
        arrived = [json.loads(a.body)["sequence"] for a in queue.delivered]
        assert sorted(arrived) == sorted({*range(1, 12)} - {*parked})
        rows = box.query(
            "SELECT id, reason, holds_key, attempts, first_error, last_error,"
            f" failed_at IS NULL, `after` FROM {box.schema}.dead_letters ORDER BY id"
        )
        assert [row[0] for row in rows] == parked
        code = "InvalidMessageContents"
        holds_key = int(policy == "park-key")
        assert rows[0][1:7] == ("refused", holds_key, 1, code, code, 0)
        assert rows[0][7] == '{"n": 3, "pad": ""}'
        for row in rows[1:]:
            assert row[1:7] == ("behind", 1, 0, None, None, 1)
        # Those of its key that come later wait too, and no others.
        box.insert(2, key="a")
        box.insert(2, key="b")
        aws.faults.clear()
        assert drain(box, queue, "--on-refused", policy).exit_code == 0
        assert len(queue.delivered) == len(arrived) + (2 if parked[1:] else 4)

    def test_what_is_too_large_is_parked_and_the_later_ones_wait_behind_it(
        self, box: Box, aws: FakeAws
    ) -> None:
        queue = aws.sqs.create_queue("orders.fifo", MaximumMessageSize=1024)
        box.insert(30, keys=30)
        box.insert(1, key="large", pad=2000)
        box.insert(2, key="large")
        result = drain(box, queue)
        assert result.exit_code == 0
        assert "3 events are dead letters now" in result.stderr
        assert "the queue takes 1024" in result.stderr
        assert "xxx" not in result.stderr
        assert len(queue.delivered) == 30
        rows = box.query(
            f"SELECT id, reason, last_error FROM {box.schema}.dead_letters ORDER BY id"
        )
        assert [row[:2] for row in rows] == [
            (31, "oversized"),
            (32, "behind"),
            (33, "behind"),
        ]

    def test_what_is_too_large_goes_to_s3_if_it_is_told_to(
        self, box: Box, aws: FakeAws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
        queue = aws.sqs.create_queue("orders.fifo", MaximumMessageSize=1024)
        aws.s3.create_bucket("orders-large")
        box.insert(1, key="a", pad=2000)
        box.insert(2, key="a")
        result = drain(box, queue, "--on-oversize", "s3://orders-large/events")
        assert result.exit_code == 0, result.stderr
        assert len(box) == 0
        arrived = [json.loads(arrival.body) for arrival in queue.delivered]
        assert [envelope["sequence"] for envelope in arrived] == [1, 2, 3]
        assert arrived[0]["claim_check"]["bucket"] == "orders-large"
        assert box.query(f"SELECT COUNT(*) FROM {box.schema}.dead_letters") == ((0,),)

    @pytest.mark.parametrize("place", ["s3://", "s3://UPPER", "gs://bucket", "drop"])
    def test_a_place_for_large_events_that_cannot_be_is_refused(
        self, box: Box, aws: FakeAws, place: str
    ) -> None:
        queue = aws.sqs.create_queue("orders.fifo")
        result = drain(box, queue, "--on-oversize", place)
        assert result.exit_code == 2
        assert "Traceback" not in result.output

    def test_a_sink_that_refuses_everything_is_down_and_nothing_is_parked(
        self, box: Box, start: Start
    ) -> None:
        box.insert(200, keys=100)
        is_down = True

        def answers(events: Sequence[Event]) -> Sequence[Result] | None:
            return [REFUSED] * len(events) if is_down else None

        sink = Memory(answers)
        policy = Policy("park-key", max_attempts=1)
        running = start(sink, Options(policy=policy))
        until(lambda: running.relay.metrics.snapshot(0).refused >= 30)
        assert box.query(f"SELECT COUNT(*) FROM {box.schema}.dead_letters") == ((0,),)
        is_down = False
        until(lambda: len(box) == 0)
        assert running.stop().parked == 0
        assert len(sink.arrived) == 200
        assert_in_order(sink.arrived)

    @pytest.mark.parametrize("column", ["key", "after"])
    def test_a_row_that_is_no_event_blocks_its_key_until_it_is_mended(
        self, box: Box, start: Start, column: str
    ) -> None:
        box.insert(40, keys=4)
        box.query(f"UPDATE {box.events} SET `{column}` = 'nonsense' WHERE id = 2")
        sink = Memory()
        running = start(sink)
        left = 1 if column == "key" else 10
        until(lambda: len(box) == left)
        assert running.is_running
        assert running.relay._summary.last_reason == f"{column} is not JSON"
        mended = '{"id": 1}' if column == "key" else "{}"
        box.query(f"UPDATE {box.events} SET `{column}` = %s WHERE id = 2", mended)
        until(lambda: len(box) == 0)
        running.stop()
        if column != "key":
            assert_in_order(sink.arrived)


class TestOddRows:
    """What an application may have written into the outbox by itself."""

    @pytest.mark.parametrize("name", ["orders.fifo", "orders"])
    def test_all_that_is_json_arrives_and_the_rest_holds_up_nobody(
        self, box: Box, aws: FakeAws, name: str
    ) -> None:
        queue = aws.sqs.create_queue(name)
        good = [
            # An empty payload, a key of 3 KB, texts that XML or a group id cannot hold.
            ('{"id": 1}', None),
            (json.dumps({"name": "k" * 3000}), "{}"),
            (json.dumps({"name": "\ufffe\uffff"}, ensure_ascii=False), "{}"),
            (json.dumps({"name": 'é 🍣 \\ "'}, ensure_ascii=False), "{}"),
            ("7", "[1, 2]"),
            ('{"id": 1}', json.dumps({"a": "\ufffe\x00\ud800"})),
            ('{ "id":\n\t1 }', '{ "a":\n\t1 }'),
        ]
        bad = [('{"id": 2}', ""), ('{"id": 3', "{}"), ("", "{}"), ('{"id": 4}', "x")]
        with box.connection.cursor() as cursor:
            for row in (*good, *bad, *good):
                cursor.execute(INSERT.format(events=box.events), row)
        result = drain(box, queue)
        assert result.exit_code == 1
        assert "is not JSON" in result.stderr
        assert "Traceback" not in result.stderr
        assert len(box) == len(bad)
        arrived = [json.loads(arrival.body) for arrival in queue.delivered]
        expected = [(json.loads(k), a and json.loads(a)) for k, a in good] * 2
        assert len(arrived) == len(expected)
        by_id = {envelope["sequence"]: envelope for envelope in arrived}
        found = [(by_id[n]["key"], by_id[n]["after"]) for n in sorted(by_id)]
        assert found == expected
        # And once more: nothing is sent twice, nothing is skipped.
        assert drain(box, queue, "--on-refused", "park-event").exit_code == 0
        assert len(queue.delivered) == len(expected)
        assert len(box) == 0
        dead = box.query(f"SELECT reason, attempts FROM {box.schema}.dead_letters")
        assert len(dead) == len(bad)


def drain(box: Box, queue: fake_sqs.Queue, *options: str) -> ClickResult:
    arguments = ["relay", "--dsn", box.dsn, "--outbox", box.schema, "--drain"]
    arguments += ["--sink", f"sqs:{queue.url}", *options]
    return CliRunner().invoke(main, arguments)


class TestClaimCheck:
    def test_events_too_large_for_the_queue_keep_their_place_among_the_others(
        self,
        box: Box,
        start: Start,
        aws: FakeAws,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """By way of S3, and while that and the queue fail all the time."""
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", aws.endpoint_url)
        bucket = aws.s3.create_bucket("large")
        queue = aws.sqs.create_queue("orders.fifo", MaximumMessageSize=2048)
        for pad in (0, 4000, 10, 3000):
            box.insert(100, pad=pad)
        aws.faults.add(Answer(s3.slow_down()), rate=0.1, action="PutObject")
        aws.faults.add(LoseAcknowledgement(), rate=0.1)
        aws.faults.add(FailEntries(rate=0.05))
        sink = ClaimCheck(open_sink(f"sqs:{queue.url}"), "s3://large/events")
        summary = start(sink, DRAIN).end(60)
        sink.close()
        assert summary.published == 400
        assert summary.refused == 0
        assert len(box) == 0
        assert len(queue.delivered) == 400
        assert_queue_in_order(queue)
        pointers = 0
        for arrival in queue.delivered:
            envelope = json.loads(arrival.body)
            claim = envelope.pop("claim_check", None)
            if claim:
                pointers += 1
                whole = json.loads(bucket.objects[claim["key"]].body)
                assert len(whole["after"]["pad"]) >= 3000
                assert {**whole, "before": None, "after": None} == envelope
        assert pointers == len(bucket.objects) == 200


def assert_queue_in_order(queue: fake_sqs.Queue) -> None:
    numbers = defaultdict(list)
    for arrival in queue.delivered:
        envelope = json.loads(arrival.body)
        numbers[json.dumps(envelope["key"])].append(envelope["sequence"])
    assert len(numbers) == 50
    for sequence in numbers.values():
        assert sequence == sorted(set(sequence))


def assert_in_order(events: Sequence[Event]) -> None:
    ids = defaultdict(list)
    for event in events:
        ids[event.key].append(event.id)
    for of_key in ids.values():
        assert of_key == sorted(set(of_key))


def box_writer(box: Box, count: int) -> None:
    """Events at about a thousand a second, over a connection of its own."""
    dsn = Dsn.parse(box.dsn)
    with pymysql.connect(
        host=dsn.host, port=dsn.port, user=dsn.user, password=dsn.password
    ) as connection:
        connection.autocommit(True)
        with connection.cursor() as cursor:
            for n in range(count):
                cursor.execute(
                    f"INSERT INTO {box.events} (uid, type, source, operation,"
                    " captured_at, `key`, `after`) VALUES (UUID_SHORT(), 't.insert',"
                    " 's.t', 'insert', UTC_TIMESTAMP(6), %s, '{}')",
                    (json.dumps({"id": n % 20}),),
                )


def holds(box: Box, running: Running) -> bool:
    """Whether this relay has the lease."""
    row = box.query(f"SELECT holder > 0, holder_id FROM {box.state}")
    return row == ((1, running.relay._name),)


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Return as soon as the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.005)
