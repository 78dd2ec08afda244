"""An outbox, those who write to it, and relays in processes of their own."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymysql
from tables import outbox_tables

from evtrig.database.dsn import Dsn
from evtrig.demo.server import ThrowawayServer

__all__ = ["Box", "Writers", "failed_clearly", "line", "read", "until"]

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
    """An outbox, and the relays that were started on it.

    ``outbox`` is its schema, if one more than a test's own is needed.
    """

    def __init__(
        self, server: ThrowawayServer, schema: str, outbox: str | None = None
    ) -> None:
        self.dsn = server.dsn_of(schema)
        self.schema = outbox or f"{schema}_outbox"
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
        return self._holder_if("holder > 0")

    @property
    def leader(self) -> int:
        """The process that holds the lease and is going to keep it: nobody newer has
        asked for it. Else 0."""
        return self._holder_if("holder > 0 AND holder = claim")

    def _holder_if(self, condition: str) -> int:
        ((name,),) = self.query(
            f"SELECT IF({condition}, holder_id, ':0') FROM {self.state}"
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

    def drop(self) -> None:
        """For an outbox that no fixture knows of."""
        self.close()
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {self.schema}")

    def close(self) -> None:
        for process in self.relays:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self._connection.close()


class Writers:
    """Transactions of several events each, of which one in seven is rolled back.

    Every key belongs to one writer, as a row lock would have it; ``n`` counts the
    committed changes of a key. ``pause`` is seconds between two transactions.
    """

    def __init__(self, box: Box, count: int = 3, pause: float = 0.002) -> None:
        self.committed: dict[str, int] = defaultdict(int)
        self._box, self._pause = box, pause
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
                    self._stop.wait(self._pause)
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


def read(path: Path) -> list[dict[str, Any]]:
    """The envelopes of a file; every line must be whole."""
    text = path.read_text()
    assert text == "" or text.endswith("\n")
    return [json.loads(row) for row in text.split("\n")[:-1]]


def failed_clearly(process: subprocess.Popen[str], what: str) -> None:
    """It has ended by itself, with an error that says what and what to do."""
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
