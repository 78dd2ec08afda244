"""`evtrig dead-letters` on real servers: nothing is lost or overtaken."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymysql
import pytest
from click.testing import CliRunner, Result

from evtrig.cli import main
from evtrig.database.dsn import Dsn
from evtrig.demo.server import ThrowawayServer
from evtrig.errors import EvtrigError
from evtrig.relay import dead_letters as module
from evtrig.relay.dead_letter import DeadLetter
from evtrig.relay.dead_letters import DeadLetters
from evtrig.relay.letter import PutBack, Selection
from evtrig.relay.outbox import Outbox
from evtrig.triggers.render import (
    render_dead_letters,
    render_events,
    render_polling_state,
)
from evtrig.triggers.sql import ident

EVTRIG = Path(sys.executable).with_name("evtrig")
ODD = 'o`d%s {0} "é'

PARK = (
    "INSERT INTO {dead} SELECT %s, %s, 'orders.update', %s, 'update',"
    " '2026-11-23 05:20:49.161586', %s, NULL, %s, %s, NULL, %s, %s, 3,"
    " 'TooLarge', 'MessageTooLong 300000 > 262144',"
    " UTC_TIMESTAMP(6) - INTERVAL 3 HOUR, UTC_TIMESTAMP(6) - INTERVAL 2 HOUR"
)
UID = 0x16F0C3A8E1B20000


class Box:
    """An outbox as the relay leaves it, and a command line to work on it."""

    def __init__(
        self,
        server: ThrowawayServer,
        schema: str,
        connect: Callable[..., pymysql.Connection],
    ) -> None:
        self.server, self.schema, self._connect = server, schema, connect
        self._cursor = connect().cursor()
        self.events = f"{ident(schema)}.events"
        self.dead = f"{ident(schema)}.dead_letters"
        self.query(f"CREATE DATABASE {ident(schema)}")
        for render in (render_events, render_polling_state, render_dead_letters):
            self.query(str(render(schema, server.server)))
        state = f"{ident(schema)}.event_polling_state"
        self.query(f"INSERT INTO {state} (name) VALUES ('default')")

    def query(self, sql: str, arguments: tuple | None = None) -> tuple:
        self._cursor.execute(sql, arguments)
        return tuple(self._cursor.fetchall())

    def park(
        self,
        *ids: int,
        key: int = 7,
        source: str = "shop.orders",
        uid: int = 0,
        reason: str = "refused",
        holds: bool = True,
        after: str = '{"id": 7, "note": "seen"}',
        context: str | None = None,
    ) -> None:
        """Put events aside; their uids are UID and the id, unless ``uid`` says so."""
        sql = PARK.format(dead=self.dead.replace("%", "%%"))
        rows = [
            (id_, uid or UID + id_, source, json.dumps({"id": key}), after)
            for id_ in ids
        ]
        self.query("START TRANSACTION")
        for row in rows:
            self.query(sql, (*row, context, holds, reason))
        self.query("COMMIT")

    def others(self) -> pymysql.cursors.Cursor:
        """Somebody else, in a transaction of theirs."""
        cursor = self._connect().cursor()
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        cursor.execute("START TRANSACTION")
        return cursor

    def lock(self, id_: int) -> pymysql.cursors.Cursor:
        """Whoever holds a dead letter until they commit."""
        cursor = self.others()
        cursor.execute(f"SELECT 1 FROM {self.dead} WHERE id = {id_} FOR UPDATE")
        return cursor

    def ids(self, table: str = "dead") -> list[int]:
        rows = self.query(f"SELECT id FROM {getattr(self, table)} ORDER BY id, uid")
        return [id_ for (id_,) in rows]

    @property
    def environment(self) -> dict[str, str]:
        return {"EVTRIG_DSN": self.server.dsn, "EVTRIG_OUTBOX": self.schema}

    def run(self, *arguments: str, code: int = 0, answer: str = "") -> Result:
        ended = CliRunner().invoke(
            main, ["dead-letters", *arguments], env=self.environment, input=answer
        )
        assert ended.exit_code == code, (ended.output, ended.exception)
        return ended

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """In a process of its own, that waits for a lock when this returns."""
        process = self._start("dead-letters", *arguments)
        self.until_somebody_waits()
        return process

    def start_relay(self, *arguments: str) -> subprocess.Popen[str]:
        return self._start("relay", *arguments)

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [EVTRIG, *arguments],
            env={"PATH": os.environ["PATH"], **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def insert(self, id_: int, *, key: int) -> None:
        """An event as a trigger writes it."""
        self.query(
            f"INSERT INTO {self.events} VALUES (%s, %s, 'orders.update', 'shop.orders',"
            " 'update', UTC_TIMESTAMP(6), %s, NULL, '{}', NULL, NULL)",
            (id_, UID + id_, json.dumps({"id": key})),
        )

    def published(self, path: Path) -> list[int]:
        text = path.read_text() if path.exists() else ""
        return [json.loads(line)["sequence"] for line in text.splitlines()]

    def until_somebody_waits(self, number: int = 1) -> int:
        """As many connections wait for a lock; one of them."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            rows = self.query(
                "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx"
                " WHERE trx_state = 'LOCK WAIT' AND INSTR(trx_query, %s)",
                (self.schema,),
            )
            if len(rows) >= number:
                return int(rows[0][0])
            # Asked within 100 ms it would be answered as before; at first perhaps with
            # what another test has left, hence the name.
            time.sleep(0.15)
        raise AssertionError("nobody waits for a lock")

    def relay(self, path: Path) -> list[dict]:
        """What a relay publishes now."""
        ended = CliRunner().invoke(
            main,
            ["relay", "--drain", "--sink", f"file:{path}"],
            env=self.environment,
        )
        assert ended.exit_code == 0, ended.output
        return [json.loads(line) for line in path.read_text().splitlines()]

    @contextlib.contextmanager
    def letters(self, kind: type[DeadLetters] = DeadLetters) -> Iterator[DeadLetters]:
        with kind.connect(Dsn.parse(self.server.dsn), self.schema) as letters:
            yield letters


@pytest.fixture
def box(
    server: ThrowawayServer, outbox: str, connect: Callable[..., pymysql.Connection]
) -> Box:
    return Box(server, outbox, connect)


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def name(id_: int, uid: int = 0) -> str:
    return f"{id_}-{uid or UID + id_:016x}"


# Looking


def test_a_list_says_which_and_why_and_not_what_is_in_them(box: Box) -> None:
    box.park(5, after='{"card": "secret"}', context='"secret"')
    box.park(9, reason="behind")
    box.park(3, key=8, source="shop.people", reason="oversized")
    ended = box.run("list")
    lines = ended.stdout.splitlines()
    assert [line.split()[0] for line in lines[:3]] == [name(3), name(5), name(9)]
    for word in ("shop.people", "update", "oversized", "3 attempts", "2 h"):
        assert word in lines[0]
    assert lines[0].endswith("MessageTooLong 300000 > 262144")
    assert lines[3] == "3 dead letters: 1 behind, 1 oversized, 1 refused"
    assert "secret" not in ended.output
    as_json = box.run("list", "--json")
    assert "secret" not in as_json.output
    data = json.loads(as_json.stdout)
    assert data["counts"] == {"behind": 1, "oversized": 1, "refused": 1}
    assert [letter["id"] for letter in data["dead_letters"]] == [
        name(3),
        name(5),
        name(9),
    ]
    letter = data["dead_letters"][0]
    assert 7200 <= letter.pop("age") < 7300
    assert letter.pop("parked_at") > letter.pop("failed_at")
    assert letter == {
        "id": name(3),
        "type": "orders.update",
        "source": "shop.people",
        "operation": "update",
        "time": "2026-11-23T05:20:49.161586Z",
        "reason": "oversized",
        "attempts": 3,
        "holds_key": True,
        "first_error": "TooLarge",
        "last_error": "MessageTooLong 300000 > 262144",
    }


def test_a_list_can_be_of_one_source_or_of_some_events(box: Box) -> None:
    box.park(5, 9)
    box.park(3, source="shop.people")
    assert len(box.run("list", "--source", "shop.orders").stdout.splitlines()) == 3
    assert len(box.run("list", "3", name(9)).stdout.splitlines()) == 3
    assert len(box.run("list", "--all").stdout.splitlines()) == 4


@pytest.mark.parametrize("command", ["list", "export", "retry", "discard"])
def test_that_there_are_none_is_said_and_is_no_error(box: Box, command: str) -> None:
    assert "no dead letters in " in box.run(command, "--all").output
    box.park(5)
    said = box.run(command, "--source", "shop.order").output
    assert "no dead letters of shop.order in " in said
    assert "there are some of shop.orders" in said
    assert box.ids() == [5]


@pytest.mark.parametrize(
    ("command", "empty"),
    [
        (("list",), {"dead_letters": [], "counts": {}}),
        (("discard", "--all"), {"discarded": 0, "left_of_the_rows": 0}),
    ],
)
def test_json_is_json_also_of_none(
    box: Box, command: tuple[str, ...], empty: object
) -> None:
    assert json.loads(box.run(*command, "--json").stdout) == empty


def test_an_event_is_shown_whole_if_it_is_asked_for(box: Box) -> None:
    box.park(5, after='{"n": 1.10, "big": 18446744073709551615,\n "v": "é"}')
    text = box.run("show", "5").stdout
    assert "refused" in text
    assert "wait behind it" in text
    # As it is stored: no reader of JSON has made another number of it.
    assert '"after": {"n": 1.10, "big": 18446744073709551615,  "v": "é"}' in text
    (shown,) = json.loads(box.run("show", name(5), "--json").stdout)
    assert shown["dead_letter"]["reason"] == "refused"
    assert shown["after"]["big"] == 18446744073709551615


def test_what_is_no_json_is_exported_as_a_text(box: Box) -> None:
    box.park(5, after='{"v": "é', context='nobody\'s \\ "words"')
    (event,) = map(json.loads, box.run("export").stdout.splitlines())
    assert event["after"] == '{"v": "é'
    assert event["context"] == 'nobody\'s \\ "words"'
    assert (event["key"], event["before"]) == ({"id": 7}, None)
    (other,) = json.loads(box.run("show", "5", "--json").stdout)
    assert other == event


def test_what_is_nested_deeper_than_the_servers_look_is_exported(box: Box) -> None:
    box.park(5, after="[" * 200 + "]" * 200)
    (line,) = box.run("export").stdout.splitlines()
    assert '"after": ' + "[" * 200 in line


@pytest.mark.parametrize("depth", [40, 200])
def test_json_that_the_server_finds_too_deep_is_no_text(box: Box, depth: int) -> None:
    """MySQL takes 100 levels, MariaDB 31."""
    box.park(5, after="[" * depth + "]" * depth)
    (event,) = map(json.loads, box.run("export").stdout.splitlines())
    assert isinstance(event["after"], list)


def test_an_export_has_the_envelopes_that_the_relay_sends(
    box: Box, tmp_path: Path
) -> None:
    after = '{"s": "\\u2028 \\"x\\" %s é🍣", "n": 1.10}'
    box.park(5, 9, after=after, context='{"actor": "alice"}')
    box.park(3, key=8)
    lines = box.run("export").stdout.split("\n")
    assert lines.pop() == ""
    exported = [json.loads(line) for line in lines]
    reasons = [event.pop("dead_letter") for event in exported]
    assert [reason["attempts"] for reason in reasons] == [3, 3, 3]
    box.run("retry", "--all")
    assert box.relay(tmp_path / "events") == exported
    assert [event["sequence"] for event in exported] == [3, 5, 9]


def test_pages_have_every_event_once(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 3)
    monkeypatch.setattr(module, "BYTES", 200)
    sizes = [10, 500, 10, 10, 90, 90, 90, 1000, 1000, 10]
    for n, size in enumerate(sizes):
        # Ids that were issued again are beside each other.
        box.park(n // 2, uid=n + 1, key=n, after=json.dumps("x" * size))
    with box.letters() as letters:
        facts = [letter.uid for letter in letters.facts(Selection())]
        bodies = [json.loads(body) for _, body in letters.envelopes(Selection())]
        pairs = list(letters.pairs(Selection()))
    wanted = list(range(1, len(sizes) + 1))
    assert facts == wanted
    assert [len(body["after"]) for body in bodies] == sizes
    assert [uid for _, uid in pairs] == wanted


def test_an_event_larger_than_a_packet_is_exported(box: Box) -> None:
    ((packet,),) = box.query("SELECT @@GLOBAL.max_allowed_packet")
    box.query("SET GLOBAL max_allowed_packet = 1048576")
    try:
        box.park(5)
        for column in ("before", "after"):
            large = "CONCAT('\"', REPEAT('x', 700000), '\"')"
            box.query(f"UPDATE {box.dead} SET `{column}` = {large}")
        (line,) = box.run("export").stdout.splitlines()
    finally:
        box.query(f"SET GLOBAL max_allowed_packet = {packet}")
    event = json.loads(line)
    assert (len(event["before"]), len(event["after"])) == (700000, 700000)


@pytest.mark.parametrize("command", ["show", "retry", "discard", "list", "export"])
def test_an_event_that_is_not_there_is_said_with_the_nearest(
    box: Box, command: str
) -> None:
    box.park(1042, 5)
    said = box.run(command, "1024", code=1).stderr
    assert "1024 is no dead letter" in said
    assert f"Did you mean {name(1042)}?" in said
    said = box.run(command, name(1042, 99), code=1).stderr
    assert f"Did you mean {name(1042)}?" in said
    assert "dead-letters list" in box.run(command, "77777777", code=1).stderr
    assert box.ids() == [5, 1042]


def test_a_number_that_was_issued_again_has_to_be_said_whole(box: Box) -> None:
    box.park(5)
    box.park(5, uid=99, key=8)
    said = box.run("discard", "5", "--yes", code=1).stderr
    assert name(5) in said
    assert name(5, 99) in said
    box.run("discard", name(5, 99), "--yes")
    assert box.query(f"SELECT uid FROM {box.dead}") == ((UID + 5,),)


def test_an_older_outbox_is_to_be_installed_again(box: Box) -> None:
    box.query(f"DROP TABLE {box.dead}")
    for command in (("list",), ("retry", "--all"), ("discard", "--all", "--yes")):
        said = box.run(*command, code=1).stderr
        assert "Run evtrig install" in said
        assert "dead_letters" in said


# Putting back


def test_a_whole_row_is_put_back_as_it_was_and_in_order(
    box: Box, tmp_path: Path
) -> None:
    columns = (
        "id, uid, type, source, operation, captured_at, `key`, `before`, `after`,"
        " context, transaction"
    )
    box.park(12, 5, 9, context='{"actor": "alice"}')
    box.park(6, key=8)
    before = box.query(f"SELECT {columns} FROM {box.dead} WHERE id <> 6 ORDER BY id")
    # One that was captured later waits among the events.
    box.query(
        f"INSERT INTO {box.events} SELECT 20, 1, type, source, operation,"
        f" captured_at, `key`, `before`, `after`, context, transaction"
        f" FROM {box.dead} WHERE id = 9"
    )
    ended = box.run("retry", "9")
    assert "3 events of 1 row put back" in ended.stdout
    assert "whole rows" in ended.stderr
    assert box.ids() == [6]
    there = box.query(f"SELECT {columns} FROM {box.events} WHERE id < 20 ORDER BY id")
    assert there == before
    published = box.relay(tmp_path / "events")
    assert [event["sequence"] for event in published] == [5, 9, 12, 20]


def test_all_of_a_source_is_put_back_and_no_other(box: Box) -> None:
    box.park(5, 9)
    box.park(6, key=8)
    box.park(7, source="shop.people")
    ended = box.run("retry", "--source", "shop.orders", "--json")
    assert json.loads(ended.stdout) == {
        "put_back": 3,
        "keys": 2,
        "overtaken": 0,
        "came_back": 0,
        "id_taken": [],
    }
    assert ended.stderr == ""
    assert (box.ids("events"), box.ids()) == ([5, 6, 9], [7])


def test_keys_that_begin_alike_are_not_mixed_up(box: Box) -> None:
    """The index has the first 191 characters of them only."""
    for n in range(3):
        box.park(n + 1, after="{}")
        long = json.dumps({"id": "x" * 300 + str(n)})
        box.query(f"UPDATE {box.dead} SET `key` = %s WHERE id = %s", (long, n + 1))
    box.run("retry", "2")
    assert (box.ids("events"), box.ids()) == ([2], [1, 3])


def test_that_later_events_may_have_gone_before_is_said(box: Box) -> None:
    box.park(5, holds=False)
    assert "1 event did not hold back later ones" in box.run("retry", "5").stderr


def test_an_id_that_was_issued_again_is_not_written_over(box: Box) -> None:
    box.park(5, 9)
    box.park(6, key=8)
    box.query(
        f"INSERT INTO {box.events} (id, uid, type, source, operation, captured_at,"
        " `key`) VALUES (9, 1, 't', 's', 'insert', '2026-01-01', '{}')"
    )
    ended = box.run("retry", "--all", code=1)
    assert f"the id of {name(9)} is taken by another event" in ended.stderr
    assert "discard" in ended.stderr
    assert "1 event of 1 row put back" in ended.stdout
    assert (box.ids("events"), box.ids()) == ([6, 9], [5, 9])
    # When that has been published, it goes.
    box.query(f"DELETE FROM {box.events} WHERE id = 9")
    box.run("retry", "--all")
    assert (box.ids("events"), box.ids()) == ([5, 6, 9], [])


def test_one_that_is_among_the_events_already_is_there_once(box: Box) -> None:
    box.park(5, 9)
    box.run("retry", "--all")
    box.park(5)
    box.run("retry", "5")
    assert (box.ids("events"), box.ids()) == ([5, 9], [])


def test_what_is_put_aside_meanwhile_is_taken_along(box: Box) -> None:
    box.park(5)
    holder = box.lock(5)
    with ThreadPoolExecutor() as pool:
        ended = pool.submit(box.run, "retry", "5")
        box.until_somebody_waits()
        box.park(9, reason="behind")
        holder.execute("COMMIT")
        assert "2 events of 1 row" in ended.result().stdout
    assert (box.ids("events"), box.ids()) == ([5, 9], [])


def test_what_is_put_back_while_the_relay_puts_it_aside_is_not_lost(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in both tables then, and the relay is about to take it out of one."""
    box.insert(5, key=7)
    with parking(box) as (relay, epoch, letters):
        rows = relay._connection.rows

        def put_back_first(*arguments: object) -> object:
            found = rows(*arguments)
            box.run("retry", "5")
            return found

        monkeypatch.setattr(relay._connection, "rows", put_back_first)
        relay.park(letters, epoch)
    assert (box.ids("events"), box.ids()) == ([5], [])


def test_the_relay_waits_for_whoever_is_putting_it_back(box: Box) -> None:
    box.insert(5, key=7)
    with parking(box) as (relay, epoch, letters), ThreadPoolExecutor() as pool:
        box.park(5)
        other = box.others()
        other.execute(f"DELETE FROM {box.dead} WHERE id = 5")
        ended = pool.submit(relay.park, letters, epoch)
        box.until_somebody_waits()
        other.execute("COMMIT")
        ended.result()
    assert (box.ids("events"), box.ids()) == ([5], [])


def test_what_is_put_back_while_a_relay_finishes_parking_is_not_lost(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay has died in the middle of parking: the event is in both tables."""
    box.insert(5, key=7)
    box.park(5)
    relay = Outbox.connect(Dsn.parse(box.server.dsn), box.schema, ttl=10)
    epoch = relay.claim()
    relay.grant(epoch, "here", 10)
    execute = DeadLetters._execute
    recovered = []

    def recover_first(self: DeadLetters, query: str, *more: object) -> int:
        if query is module.DELETE and not recovered:
            recovered.append(relay.recover(epoch))
        return execute(self, query, *more)

    monkeypatch.setattr(DeadLetters, "_execute", recover_first)
    with DeadLetters.connect(Dsn.parse(box.server.dsn), box.schema) as letters:
        letters.put_back(Selection(), PutBack())
    assert recovered
    relay.close()
    assert (box.ids("events"), box.ids()) == ([5], [])


@contextlib.contextmanager
def parking(box: Box) -> Iterator[tuple[Outbox, int, list[DeadLetter]]]:
    """A relay that is going to put every event aside."""
    relay = Outbox.connect(Dsn.parse(box.server.dsn), box.schema, ttl=10)
    try:
        epoch = relay.claim()
        assert relay.grant(epoch, "here:1", 10)
        yield relay, epoch, [DeadLetter(e, "refused", True) for e in relay.read(10)]
    finally:
        relay.close()


def test_what_the_sink_still_refuses_is_not_put_back_for_ever(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.park(5, 9)

    class Refused(DeadLetters):
        def _move(self, pairs: list[tuple[int, int]]) -> bool:
            moved = super()._move(pairs)
            # As the relay does.
            box.query(f"DELETE FROM {box.events}")
            box.park(*(id_ for id_, _ in pairs), 12)
            return moved

    monkeypatch.setattr(module, "DeadLetters", Refused)
    ended = box.run("retry", "5", code=1)
    assert "2 events came back" in ended.stderr
    assert box.ids() == [5, 9, 12]


def test_a_row_that_changes_all_the_time_is_left_alone_at_last(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.park(1)

    class Busy(DeadLetters):
        def _move(self, pairs: list[tuple[int, int]]) -> bool:
            moved = super()._move(pairs)
            box.park(pairs[-1][0] + 1)
            return moved

    monkeypatch.setattr(module, "DeadLetters", Busy)
    ended = box.run("retry", "--all", code=1)
    assert f"{module.ROUNDS} events of 1 row put back" in ended.stderr
    assert box.ids() == [module.ROUNDS + 1]


def test_a_sink_that_refuses_everything_ends_it(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_STUCK", 2)
    monkeypatch.setattr(module, "PAGE", 1)
    for n in range(1, 6):
        box.park(n, key=n)
        box.query(
            f"INSERT INTO {box.events} (id, uid, type, source, operation, captured_at,"
            f" `key`) VALUES ({n}, 1, 't', 's', 'insert', '2026-01-01', '{{}}')"
        )
    assert "2 keys could not be put back" in box.run("retry", "--all", code=1).stderr
    assert box.ids() == [1, 2, 3, 4, 5]


def test_two_who_put_back_at_once_put_back_once(box: Box) -> None:
    box.park(*range(1, 400))
    for n in range(400, 600):
        box.park(n, key=n)
    start = threading.Barrier(2)

    def retry() -> None:
        done = PutBack()
        with box.letters() as letters:
            start.wait()
            letters.put_back(Selection(), done)

    with ThreadPoolExecutor() as pool:
        for future in [pool.submit(retry) for _ in range(2)]:
            # Whoever comes second finds nothing, or rows that go under its hands.
            with contextlib.suppress(EvtrigError):
                future.result()
    box.run("retry", "--all")
    assert (box.ids("events"), box.ids()) == ([*range(1, 600)], [])


def test_a_writer_goes_on_while_a_row_is_put_back(box: Box) -> None:
    """Also with the lock of ids of MariaDB, while the transaction is open."""
    box.park(*range(1, 2000))
    holder = box.lock(1999)
    with ThreadPoolExecutor() as pool:
        ended = pool.submit(box.run, "retry", "1")
        box.until_somebody_waits()
        box.query("SET SESSION innodb_lock_wait_timeout = 1")
        box.query(
            f"INSERT INTO {box.events} (uid, type, source, operation, captured_at,"
            " `key`) VALUES (1, 't', 's', 'insert', '2026-01-01', '{}')"
        )
        holder.execute("COMMIT")
        assert "1999 events" in ended.result().stdout


def test_a_relay_that_starts_while_a_row_is_put_back_takes_nothing_of_it_for_parked(
    box: Box, tmp_path: Path
) -> None:
    """It finishes what another has left half parked, in both tables, when it starts."""
    box.park(1, 2, 3)
    path = tmp_path / "events"
    holder = box.lock(1)
    with ThreadPoolExecutor() as pool:
        ended = pool.submit(box.run, "retry", "1")
        box.until_somebody_waits()
        relay = box.start_relay("--drain", "--sink", f"file:{path}")
        box.until_somebody_waits(2)
        holder.execute("COMMIT")
        assert "3 events of 1 row put back" in ended.result().stdout
    _, said = relay.communicate(timeout=20)
    assert relay.returncode == 0, said
    published = [json.loads(line) for line in path.read_text().splitlines()]
    assert [event["sequence"] for event in published] == [1, 2, 3]
    assert (box.ids("events"), box.ids()) == ([], [])


def test_a_relay_that_runs_sends_what_is_put_back_before_what_waited_behind(
    box: Box, tmp_path: Path
) -> None:
    """Though the ids are lower than those it has got to."""
    path = tmp_path / "events"
    box.park(5, 9)
    relay = box.start_relay("--on-refused", "park-key", "--sink", f"file:{path}")
    try:
        box.insert(20, key=8)
        until(lambda: box.published(path) == [20])
        # Of the key that is put aside: it goes behind.
        box.insert(21, key=7)
        until(lambda: box.ids() == [5, 9, 21])
        box.run("retry", "5")
        until(lambda: box.published(path) == [20, 5, 9, 21])
        box.insert(22, key=7)
        until(lambda: box.published(path) == [20, 5, 9, 21, 22])
        assert box.ids() == []
    finally:
        relay.send_signal(signal.SIGTERM)
        _, said = relay.communicate(timeout=20)
    assert relay.returncode == 0, said


# What ends it half way


def test_a_lock_that_is_held_is_one_message_and_changes_nothing(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_TIMEOUT", 1)
    box.park(3, key=8)
    box.park(5, 9)
    for command in (("retry", "--all"), ("discard", "5", "9", "--yes")):
        holder = box.lock(9)
        ended = box.run(*command, code=1)
        holder.execute("ROLLBACK")
        assert "(1205)" in ended.stderr
        assert "Run it again when that transaction has ended" in ended.stderr
    # The row that nobody held went, and that is said.
    assert (box.ids("events"), box.ids()) == ([3], [5, 9])


def test_a_killed_connection_loses_nothing_and_can_be_run_again(box: Box) -> None:
    box.park(3, key=8)
    box.park(5, 9)
    holder = box.lock(9)
    with ThreadPoolExecutor() as pool:
        ended = pool.submit(box.run, "retry", "--all", code=1)
        box.query(f"KILL {box.until_somebody_waits()}")
        said = ended.result().stderr
    assert "1 event of 1 row put back" in said
    assert "\n  → Run it again" in said
    holder.execute("ROLLBACK")
    assert (box.ids("events"), box.ids()) == ([3], [5, 9])
    box.run("retry", "--all")
    assert (box.ids("events"), box.ids()) == ([3, 5, 9], [])


@pytest.mark.parametrize("command", ["retry", "discard"])
def test_an_interrupted_command_says_how_far_it_came(box: Box, command: str) -> None:
    box.park(5, 9)
    holder = box.lock(9)
    yes = ("--yes",) * (command == "discard")
    process = box.start(command, "--all", *yes)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "evtrig: interrupted\n  → Run it again" in said
    assert "Traceback" not in said
    holder.execute("ROLLBACK")
    assert (box.ids("events"), box.ids()) == ([], [5, 9])


# Discarding


def test_only_what_is_named_is_discarded_and_what_stays_is_said(box: Box) -> None:
    box.park(5, 9, 12)
    box.park(6, key=8)
    ended = box.run("discard", "5", name(6), answer="y\n")
    assert "Discard 2 events of " in ended.stderr
    assert "export" in ended.stderr
    assert "2 events discarded" in ended.stdout
    assert "2 events of the same rows stay dead letters" in ended.stderr
    assert (box.ids("events"), box.ids()) == ([], [9, 12])


def test_nothing_is_discarded_without_a_yes(box: Box) -> None:
    box.park(5)
    for answer in ("n\n", ""):
        assert (
            "nothing was changed"
            in box.run("discard", "--all", code=1, answer=answer).stderr
        )
    assert box.ids() == [5]


def test_what_is_put_aside_after_the_question_is_not_discarded(box: Box) -> None:
    box.park(*range(1, 1300))
    with box.letters() as letters:
        pairs = letters.pairs(Selection())
        box.park(1300)
        # The same number again, of another event.
        box.park(7, uid=99)
        assert sum(letters.discard(pairs)) == 1299
    assert box.ids() == [7, 1300]


def test_a_source_is_discarded_and_no_other(box: Box) -> None:
    box.park(5)
    box.park(6, source="shop.people")
    data = json.loads(
        box.run("discard", "--source", "shop.people", "--yes", "--json").stdout
    )
    assert data == {"discarded": 1, "left_of_the_rows": 0}
    assert box.ids() == [5]


# Names


def test_any_name_of_an_outbox_will_do(
    server: ThrowawayServer, connect: Callable[..., pymysql.Connection]
) -> None:
    box = Box(server, f"{ODD} {secrets.token_hex(3)}", connect)
    try:
        box.park(5, 9, source="od`d %s.{t}", key=1)
        assert "od`d %s.{t}" in box.run("list").stdout
        assert len(box.run("export").stdout.splitlines()) == 2
        assert "2 events" in box.run("retry", "--source", "od`d %s.{t}").stdout
        box.park(12)
        box.run("discard", "12", "--yes")
        assert (box.ids("events"), box.ids()) == ([5, 9], [])
    finally:
        box.query(f"DROP DATABASE {ident(box.schema)}")


def test_the_envelope_is_the_relay_s(box: Box) -> None:
    box.park(5, after='{"x": "\\\\ %"}')
    with box.letters() as letters:
        ((_, body),) = letters.envelopes(Selection())
    box.run("retry", "5")
    outbox = Outbox.connect(Dsn.parse(box.server.dsn), box.schema, ttl=10)
    (event,) = outbox.read(10)
    outbox.close()
    assert event.body == body
