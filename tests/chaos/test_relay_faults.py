"""Relays that are killed, frozen and cut off; disks that are full, pipes that break.

Relays run in processes of their own: the installed command, or RELAY below where a
test needs a short lease.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from tables import outbox_tables

from evtrig.database.dsn import Dsn
from evtrig.demo.server import LocalServer, ThrowawayServer
from evtrig.relay.event import Event
from evtrig.relay.sinks.ndjson import FileSink
from evtrig.relay.sinks.sink import ACKNOWLEDGED

# A relay with a lease of argv[4] seconds, taking over if there is an argv[5].
RELAY = """
import signal, sys, threading
from evtrig.commands.log import log_to_stderr
from evtrig.database.dsn import Dsn
from evtrig.relay.outbox import Outbox
from evtrig.relay.relay import Options, Relay
from evtrig.relay.sinks import open_sink
dsn, outbox, sink, ttl = sys.argv[1:5]
log_to_stderr()
options = Options(ttl=int(ttl), take_over=bool(sys.argv[5:]))
connect = lambda: Outbox.connect(Dsn.parse(dsn), outbox, ttl=int(ttl))
relay = Relay(connect, open_sink(sink), options)
signal.signal(signal.SIGTERM, lambda *_: relay.stop.set())
relay.run()
"""

INSERT = (
    "INSERT INTO {events} (uid, type, source, operation, captured_at, `key`, `after`)"
    " VALUES (UUID_SHORT(), 'orders.update', 'shop.orders', 'update',"
    " UTC_TIMESTAMP(6), %s, %s)"
)


class Box:
    """An outbox, and the relays that were started on it."""

    def __init__(self, server: ThrowawayServer, schema: str) -> None:
        self.dsn = server.dsn_of(schema)
        self.schema = f"{schema}_outbox"
        self.events = f"{self.schema}.events"
        self.state = f"{self.schema}.event_polling_state"
        self.relays: list[subprocess.Popen[str]] = []
        self._connection = self.connect(server.dsn)
        self.query(f"CREATE DATABASE IF NOT EXISTS {schema}")
        for statement in outbox_tables(self.schema, server.server):
            self.query(statement)

    def connect(self, text: str | None = None) -> pymysql.Connection:
        dsn = Dsn.parse(text or self.dsn)
        return pymysql.connect(
            host=dsn.host,
            port=dsn.port,
            user=dsn.user,
            password=dsn.password,
            unix_socket=dsn.unix_socket,
            autocommit=True,
            charset="utf8mb4",
        )

    def query(self, sql: str, *arguments: object) -> tuple[tuple[object, ...], ...]:
        try:
            self._connection.ping(reconnect=False)
        except pymysql.MySQLError:
            self._connection = self.connect()
        with self._connection.cursor() as cursor:
            cursor.execute(sql, arguments or None)
            return tuple(cursor.fetchall())

    def insert(self, count: int = 1, pad: int = 0) -> None:
        rows = [
            (json.dumps({"id": n % 10}), json.dumps({"n": n, "pad": "x" * pad}))
            for n in range(count)
        ]
        with self._connection.cursor() as cursor:
            cursor.executemany(INSERT.format(events=self.events), rows)

    def __len__(self) -> int:
        ((count,),) = self.query(f"SELECT COUNT(*) FROM {self.events}")
        assert isinstance(count, int)
        return count

    @property
    def holder(self) -> int:
        """The process that holds the lease, 0 if nobody does."""
        ((name,),) = self.query(
            f"SELECT IF(holder > 0, holder_id, ':0') FROM {self.state}"
        )
        return int(str(name).rpartition(":")[2])

    def expire(self) -> None:
        """What waiting for the lease of a dead process comes to."""
        self.query(f"UPDATE {self.state} SET expires_at = '2000-01-01'")

    def relay(
        self, sink: object, *options: str, ttl: int | None = None, **popen: object
    ) -> subprocess.Popen[str]:
        if ttl is None:
            command = ["-m", "evtrig", "relay", "--dsn", self.dsn]
            command += ["--outbox", self.schema, "--sink", str(sink), *options]
        else:
            command = ["-c", RELAY, self.dsn, self.schema, str(sink), str(ttl)]
            command += options
        arguments = {"stderr": subprocess.PIPE, "text": True, **popen}
        process = subprocess.Popen([sys.executable, *command], **arguments)
        self.relays.append(process)
        return process

    def close(self) -> None:
        for process in self.relays:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self._connection.close()


@pytest.fixture
def box(server: ThrowawayServer, schema: str) -> Iterator[Box]:
    box = Box(server, schema)
    yield box
    box.close()


class Writers:
    """Transactions of several events each, of which one in seven is rolled back.

    Every key belongs to one writer, as a row lock would have it; ``n`` counts the
    committed changes of a key.
    """

    def __init__(self, box: Box, count: int = 3) -> None:
        self.committed: dict[str, int] = defaultdict(int)
        self._box = box
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(number,))
            for number in range(count)
        ]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        assert not self._failures, self._failures

    def _run(self, number: int) -> None:
        chance = random.Random(number)
        try:
            connection = self._box.connect()
            connection.autocommit(False)
            with connection, connection.cursor() as cursor:
                while not self._stop.is_set():
                    self._transaction(cursor, number, chance)
                    self._stop.wait(0.002)
        except BaseException as error:
            self._failures.append(error)

    def _transaction(
        self, cursor: pymysql.cursors.Cursor, number: int, chance: random.Random
    ) -> None:
        written: dict[str, int] = defaultdict(int)
        for _ in range(chance.randint(1, 4)):
            key = f"{number}-{chance.randint(0, 7)}"
            written[key] += 1
            n = self.committed[key] + written[key]
            row = (json.dumps({"id": key}), json.dumps({"n": n}))
            cursor.execute(INSERT.format(events=self._box.events), row)
        if chance.random() < 1 / 7:
            cursor.connection.rollback()
            return
        cursor.connection.commit()
        for key, count in written.items():
            self.committed[key] += count

    def check(self, envelopes: list[dict[str, Any]]) -> int:
        """Everything arrived, first occurrences in order; how many came again."""
        latest: dict[str, int] = defaultdict(int)
        counts: dict[str, int] = defaultdict(int)
        again = 0
        for envelope in envelopes:
            key, sequence = envelope["key"]["id"], envelope["sequence"]
            if sequence <= latest[key]:
                again += 1
                continue
            latest[key] = sequence
            counts[key] += 1
            assert envelope["after"]["n"] == counts[key], "a gap, or out of order"
        assert counts == {k: n for k, n in self.committed.items() if n}
        return again


class TestKill:
    def test_a_relay_killed_at_any_moment_loses_nothing(
        self, box: Box, tmp_path: Path
    ) -> None:
        path = tmp_path / "events.ndjson"
        path.touch()
        chance = random.Random(15)
        with Writers(box) as writers:
            for _ in range(15):
                process = box.relay(f"file:{path}", stderr=subprocess.DEVNULL)
                size = path.stat().st_size
                until(lambda before=size: path.stat().st_size > before)
                time.sleep(chance.uniform(0, 0.1))
                process.kill()
                process.wait()
                box.expire()
        last = box.relay(f"file:{path}", "--drain")
        assert last.wait(30) == 0
        assert len(box) == 0
        again = writers.check(read(path))
        # At most what was in flight: a batch a kill, and seldom that.
        assert again <= 15 * 2000

    def test_another_takes_over_when_the_lease_has_run_out(
        self, box: Box, tmp_path: Path
    ) -> None:
        first = box.relay(f"file:{tmp_path / 'first'}", ttl=2)
        until(lambda: box.holder == first.pid)
        second = box.relay(f"file:{tmp_path / 'second'}", ttl=2)
        line(second, "another relay publishes")
        box.insert(5)
        until(lambda: len(box) == 0)
        first.kill()
        begun = time.monotonic()
        box.insert(5)
        until(lambda: len(box) == 0)
        assert time.monotonic() - begun < 2 + 1
        assert box.holder == second.pid

    def test_a_newer_relay_takes_over_within_a_quarter_of_a_second(
        self, box: Box, tmp_path: Path
    ) -> None:
        """Counted from its claim; a busy machine is given more."""
        box.relay(f"file:{tmp_path / '0'}", ttl=10)
        until(lambda: box.holder)
        times = []
        for number in range(1, 6):
            ((claim,),) = box.query(f"SELECT claim FROM {box.state}")
            newer = box.relay(f"file:{tmp_path / str(number)}", "take over", ttl=10)
            until(
                lambda before=claim: (
                    box.query(f"SELECT claim FROM {box.state}") != ((before,),)
                )
            )
            begun = time.monotonic()
            until(lambda pid=newer.pid: box.holder == pid, 5)
            times.append(time.monotonic() - begun)
        assert statistics.median(times) < 0.5, times

    def test_sigterm_drains_and_releases(self, box: Box, tmp_path: Path) -> None:
        path = tmp_path / "events"
        with Writers(box) as writers:
            process = box.relay(f"file:{path}")
            until(lambda: path.exists() and path.stat().st_size > 5000)
            process.terminate()
            assert process.wait(10) == 0
            assert box.holder == 0
        assert box.relay(f"file:{path}", "--drain").wait(30) == 0
        assert writers.check(read(path)) == 0


class TestFreeze:
    def test_a_relay_that_was_frozen_publishes_and_deletes_nothing(
        self, box: Box, tmp_path: Path
    ) -> None:
        frozen = box.relay(f"file:{tmp_path / 'frozen'}", ttl=2)
        box.insert(5)
        until(lambda: len(box) == 0)
        frozen.send_signal(signal.SIGSTOP)
        other = box.relay(f"file:{tmp_path / 'other'}", ttl=2)
        begun = time.monotonic()
        until(lambda: box.holder == other.pid)
        assert time.monotonic() - begun < 4
        # Now the other sees nothing either, and the first wakes up.
        other.send_signal(signal.SIGSTOP)
        box.query(f"UPDATE {box.state} SET expires_at = '2099-01-01'")
        size = (tmp_path / "frozen").stat().st_size
        box.insert(5)
        frozen.send_signal(signal.SIGCONT)
        line(frozen, "another relay publishes")
        assert (tmp_path / "frozen").stat().st_size == size
        assert len(box) == 5
        other.send_signal(signal.SIGCONT)
        until(lambda: len(box) == 0)

    def test_freezing_the_leader_under_load_loses_nothing(
        self, box: Box, tmp_path: Path
    ) -> None:
        """Each relay has a file: what is sent twice is seen, and nothing is torn."""
        paths = [tmp_path / "0", tmp_path / "1"]
        relays = [box.relay(f"file:{path}", ttl=2) for path in paths]
        until(lambda: box.holder)
        with Writers(box) as writers:
            for _ in range(2):
                leader = next(r for r in relays if r.pid == box.holder)
                other = relays[1 - relays.index(leader)]
                leader.send_signal(signal.SIGSTOP)
                until(lambda pid=other.pid: box.holder == pid)
                leader.send_signal(signal.SIGCONT)
        until(lambda: len(box) == 0)
        for relay in relays:
            relay.terminate()
            assert relay.wait(10) == 0
        arrived = [envelope for path in paths for envelope in read(path)]
        names = {envelope["id"] for envelope in arrived}
        assert len(names) == sum(writers.committed.values())


class TestDatabase:
    def test_a_relay_survives_restarts_of_the_server(
        self, local_server: LocalServer, tmp_path: Path
    ) -> None:
        path = tmp_path / "events"
        box = Box(local_server, "shop")
        try:
            process = box.relay(f"file:{path}", ttl=4)
            for number in range(1, 3):
                box.insert(50)
                until(lambda: len(box) == 0, 20)
                box.insert(50)
                if number == 1:
                    local_server.kill()
                local_server.restart()
                until(lambda: len(box) == 0, 20)
            assert process.poll() is None
            sequences = [envelope["sequence"] for envelope in read(path)]
            assert set(sequences) == set(range(1, 201))
        finally:
            box.close()


class TestFile:
    def test_a_full_disk_is_waited_for_and_nothing_half_written_stays(
        self, box: Box, tmp_path: Path
    ) -> None:
        path = tmp_path / "events"
        process = box.relay(f"file:{path}")
        until(lambda: box.holder)
        # The write that goes beyond this is cut, and the next one fails.
        limits = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100_000, limits[1]))
        box.insert(50, pad=4000)
        line(process, "not acknowledged")
        assert process.poll() is None
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limits)
        until(lambda: len(box) == 0)
        assert process.poll() is None
        sequences = [envelope["sequence"] for envelope in read(path)]
        assert sequences == list(range(1, 51))

    def test_a_device_that_takes_nothing_is_a_clear_error(self, box: Box) -> None:
        box.insert(5)
        process = box.relay("file:/dev/full", "--drain")
        failed_clearly(process, "/dev/full")
        assert len(box) == 5

    def test_a_pipe_that_nobody_reads_swallows_nothing(
        self, box: Box, tmp_path: Path
    ) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        box.insert(5)
        process = box.relay(f"file:{path}", "--drain")
        with contextlib.suppress(subprocess.TimeoutExpired):
            # Waiting for a reader is as good as refusing.
            process.wait(3)
        process.kill()
        process.wait()
        assert len(box) == 5

    def test_a_pipe_that_is_read_gets_everything(
        self, box: Box, tmp_path: Path
    ) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        box.insert(500)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        process = box.relay(f"file:{path}", "--drain")
        line(process, "publishing")
        os.set_blocking(reader, True)
        with open(reader) as pipe:
            text = pipe.read()
        assert process.wait(10) == 0
        sequences = [json.loads(row)["sequence"] for row in text.split("\n")[:-1]]
        assert sequences == list(range(1, 501))
        assert len(box) == 0

    def test_a_reader_of_standard_output_that_goes_is_a_clear_error(
        self, box: Box
    ) -> None:
        box.insert(2000, pad=1000)
        process = box.relay("stdout:", "--drain", stdout=subprocess.PIPE)
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        assert first["sequence"] == 1
        process.stdout.close()
        process.stdout = None
        failed_clearly(process, "standard output")
        assert len(box) > 0
        assert box.holder == 0

    def test_opening_the_file_of_a_relay_that_writes_cuts_off_nothing(
        self, tmp_path: Path
    ) -> None:
        """As a second relay does that stands by for the first."""
        path = tmp_path / "events"
        sink = FileSink(str(path))
        written: list[str] = []
        done = threading.Event()

        def write() -> None:
            pad = "x" * 40_000
            for number in range(60):
                batch = []
                for id_ in range(100 * number, 100 * number + 100):
                    body = f'{{"id": "{id_}", "pad": "{pad}"}}'
                    batch.append(Event(id_, id_, "k", body))
                results = sink.publish(batch, lambda: True)
                if results[0] is ACKNOWLEDGED:
                    written.extend(str(event.id) for event in batch)
            done.set()

        writer = threading.Thread(target=write)
        writer.start()
        while not done.is_set():
            FileSink(str(path)).close()
        writer.join()
        sink.close()
        found = {envelope["id"] for envelope in read(path)}
        assert found >= set(written)


def read(path: Path) -> list[dict[str, Any]]:
    """The envelopes of a file; every line must be whole."""
    text = path.read_text()
    assert text == "" or text.endswith("\n")
    return [json.loads(row) for row in text.split("\n")[:-1]]


def failed_clearly(process: subprocess.Popen[str], what: str) -> None:
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert what in errors
    assert "→" in errors
    assert "Traceback" not in errors


def line(process: subprocess.Popen[str], what: str) -> None:
    """Wait until the relay says this on standard error."""
    assert process.stderr is not None
    kill = threading.Timer(15, process.kill)
    kill.start()
    try:
        for text in process.stderr:
            if what in text:
                return
    finally:
        kill.cancel()
    raise AssertionError(f"never said: {what}")


def until(condition: Callable[[], object], seconds: float = 15) -> None:
    """Return as soon as the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.01)
