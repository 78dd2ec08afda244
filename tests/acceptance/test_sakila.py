"""The whole path on a schema that was not made for it, under load and with a crash."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pymysql
import pytest
from acceptance import sakila
from pymysql.constants import ER

from evtrig.demo.checker import Envelope, check, fold
from evtrig.demo.journal import Journal, read_journal
from evtrig.demo.server import ThrowawayServer

TRANSACTIONS = 5000
#: Bounds for what should take a tenth of it, in seconds.
PATIENCE = 60


@pytest.mark.skipif(
    not sakila.FOLDER.is_dir(), reason=f"Sakila is not at {sakila.FOLDER}"
)
def test_sakila_arrives_as_it_was_committed(
    server: ThrowawayServer,
    schema: str,
    outbox: str,
    connect: Callable[..., pymysql.Connection],
    tmp_path: Path,
) -> None:
    admin = connect()
    with admin.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
    sakila.load(connect(), schema)
    shop = sakila.tables(admin, schema)
    evtrig = Evtrig(server.dsn_of(schema), tmp_path)
    with definer(admin, schema) as account:
        evtrig.run("init")
        configure(tmp_path / "evtrig.yml", outbox=outbox, definer=account)
        evtrig.run("install", "--yes")
        before = sakila.contents(admin, shop)

        with evtrig.relay(outbox) as relay:
            writers = start_writers(connect, shop, tmp_path, until=TRANSACTIONS // 3)
            relay.kill()
        with evtrig.relay(outbox, "--take-over") as relay:
            for writer in writers:
                writer.join()
                writer.journal.close()
            assert not any(writer.failure for writer in writers)
            wait_until_empty(admin, outbox, relay)
            relay.terminate()
            assert relay.wait(PATIENCE) == 0
        after = sakila.contents(admin, shop)

    transactions = read_journal(tmp_path.glob("journal-*"))
    arrivals = read(tmp_path / "events.ndjson")
    report = check(transactions, arrivals, start=before)
    assert report.is_clean, report.summary()
    assert report.published == report.committed

    # The events are all it takes to get from the old rows to the new ones.
    for source, changes in fold(arrivals).items():
        before[source] |= changes
    replayed = {
        source: {key: row for key, row in rows.items() if row is not None}
        for source, rows in before.items()
    }
    assert replayed == after

    # That the work was what it is meant to be.
    happened = sum((writer.counts for writer in writers), Counter())
    assert len(transactions) == TRANSACTIONS
    assert 0.12 * TRANSACTIONS < happened["rolled back"] < 0.25 * TRANSACTIONS
    assert len({change.source for item in transactions for change in item.changes}) > 8
    for number in (ER.ROW_IS_REFERENCED_2, ER.NO_REFERENCED_ROW_2, ER.DUP_ENTRY):
        assert happened[number] > 10
    assert happened["savepoint"] > 100


class Evtrig:
    """The command line, in a process of its own."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self._folder = folder
        self._environment = os.environ | {"EVTRIG_DSN": dsn}

    def run(self, *arguments: str) -> None:
        """Run a command that has to succeed."""
        run = subprocess.run(
            [sys.executable, "-m", "evtrig", *arguments],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert run.returncode == 0, run.stderr

    @contextlib.contextmanager
    def relay(self, outbox: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """A relay to ``events.ndjson``, which is not running any more afterwards."""
        sink = ("--sink", "file:events.ndjson")
        command = (sys.executable, "-m", "evtrig", "relay", "--outbox", outbox)
        with (self._folder / "relay.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, *sink, *options],
                cwd=self._folder,
                env=self._environment,
                stderr=log,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def definer(admin: pymysql.Connection, schema: str) -> Iterator[str]:
    """A name for the triggers' account, which is gone afterwards."""
    name = f"{schema}_definer"
    try:
        yield f"{name}@localhost"
    finally:
        with admin.cursor() as cursor:
            cursor.execute(f"DROP USER IF EXISTS {name}@localhost")


def configure(path: Path, **settings: str) -> None:
    """Set what the spec that `evtrig init` writes has as a comment."""
    text = path.read_text(encoding="utf-8")
    for name, value in settings.items():
        assert f"\n# {name}: " in text
        text = text.replace(f"\n# {name}: ", f"\n{name}: {value}  # ")
    path.write_text(text, encoding="utf-8")


def start_writers(
    connect: Callable[..., pymysql.Connection],
    shop: dict[str, sakila.Table],
    folder: Path,
    *,
    until: int,
) -> list[sakila.Writer]:
    """The writers at work, after the first ``until`` transactions."""
    done = count()
    is_reached = threading.Event()

    def look(number: int) -> None:
        if number >= until:
            is_reached.set()

    writers = [
        sakila.Writer(
            session=session,
            connect=connect,
            shop=shop,
            journal=Journal(folder / f"journal-{number}"),
            seed=number,
            transactions=TRANSACTIONS,
            done=done,
            on_transaction=look,
        )
        for number, session in enumerate(sakila.SESSIONS)
    ]
    for writer in writers:
        writer.start()
    assert is_reached.wait(PATIENCE)
    return writers


def wait_until_empty(
    admin: pymysql.Connection, outbox: str, relay: subprocess.Popen[bytes]
) -> None:
    deadline = time.monotonic() + PATIENCE
    with admin.cursor() as cursor:
        while cursor.execute(f"SELECT 1 FROM {outbox}.events LIMIT 1"):
            assert relay.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)


def read(path: Path) -> list[Envelope]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
