"""What an operator sees of a relay on a real server, when things go wrong."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from chaos.box import Box, until
from fakes import sqs as fake_sqs
from fakes.aws import FakeAws
from fakes.faults import Answer, FailEntries, LoseAcknowledgement, service_unavailable
from prometheus_client.parser import text_string_to_metric_families

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.server import LocalServer, ThrowawayServer
from evtrig.relay import outbox as outbox_module
from evtrig.relay.event import Event
from evtrig.relay.metrics import Metrics
from evtrig.relay.monitor import Monitor
from evtrig.relay.outbox import Outbox
from evtrig.relay.policy import Policy
from evtrig.relay.relay import Options, Relay, Summary
from evtrig.relay.reporter import Reporter
from evtrig.relay.sinks import open_sink
from evtrig.relay.sinks.ndjson import FileSink
from evtrig.relay.sinks.sink import Result, Sink


def is_poison(entry: Mapping[str, Any]) -> bool:
    """Whether the queue is to refuse it: one key in ten."""
    return '"key": {"id": 3}' in entry["MessageBody"]


@pytest.fixture
def box(server: ThrowawayServer, schema: str) -> Iterator[Box]:
    box = Box(server, schema)
    yield box
    box.close()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "fake")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "fake")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with FakeAws(seed=5) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
        yield aws


class Watched:
    """A relay in a thread, and what can be seen of it from outside."""

    def __init__(self, box: Box, sink: Sink, options: Options, hang: float) -> None:
        dsn = Dsn.parse(box.dsn)
        self.metrics = Metrics([sink.name])
        self.lines: list[dict[str, object]] = []
        self.summary: Summary | None = None
        self.relay = Relay(
            lambda: Outbox.connect(dsn, box.schema, ttl=options.ttl),
            sink,
            options,
            metrics=self.metrics,
        )
        # Host and process would be the same for all of them.
        self.relay._name = f"relay {id(self)}"
        self.reporter = Reporter(
            self.metrics,
            outbox=box.schema,
            every=0.1,
            write=lambda line: self.lines.append(json.loads(line)),
        )
        self.monitor = Monitor(
            self.metrics, outbox=box.schema, host="127.0.0.1", port=0, hang=hang
        )
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        with self.reporter:
            self.summary = self.relay.run()

    def get(self, path: str) -> tuple[int, str]:
        return get(self.monitor.port, path)

    def value(self, name: str, **labels: str) -> float | None:
        """Of a sample; None if there is none."""
        return sample(self.get("/metrics")[1], name, **labels)

    def total(self, name: str) -> float:
        """Of all the lines for CloudWatch."""
        values = [line[name] for line in self.lines]
        assert all(isinstance(value, int) for value in values)
        return sum(values)

    def stop(self) -> Summary:
        self.relay.stop.set()
        self.thread.join(20)
        assert self.summary is not None
        return self.summary


def get(port: int, path: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{port}{path}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def sample(text: str, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(text):
        for found in family.samples:
            if (
                found.name == f"evtrig_{name}"
                and labels.items() <= found.labels.items()
            ):
                return found.value
    return None


Watch = Callable[..., Watched]


@pytest.fixture
def watch(box: Box) -> Iterator[Watch]:
    """``watch(sink, options)``: a relay in a thread, ended after the test."""
    with contextlib.ExitStack() as stack:

        def watch(
            sink: Sink,
            options: Options = Options(),  # noqa: B008 - frozen
            hang: float = 30.0,
        ) -> Watched:
            watched = Watched(box, sink, options, hang)
            stack.enter_context(watched.monitor)
            watched.thread.start()
            stack.callback(watched.thread.join, 20)
            stack.callback(watched.relay.stop.set)
            return watched

        yield watch


class TestBacklog:
    def test_an_empty_outbox_has_none(self, box: Box) -> None:
        with outbox_of(box) as outbox:
            backlog = outbox.backlog()
        assert (backlog.waiting, backlog.age) == (0, 0.0)
        ((clock,),) = box.query("SELECT UNIX_TIMESTAMP()")
        assert isinstance(clock, int)
        assert abs(backlog.clock - clock) < 5

    def test_the_first_of_those_that_are_committed_has_the_age(self, box: Box) -> None:
        box.insert(5)
        box.query(
            f"UPDATE {box.events} SET captured_at = captured_at - INTERVAL 90 SECOND"
            " WHERE id = 2"
        )
        box.query(f"DELETE FROM {box.events} WHERE id = 1")
        with box.connect() as writer, writer.cursor() as cursor:
            cursor.execute("START TRANSACTION")
            cursor.execute(f"UPDATE {box.events} SET uid = uid + 1 WHERE id = 3")
            cursor.execute(
                f"INSERT INTO {box.events} SELECT 9, 1, type, source,"
                " operation, captured_at, `key`, `before`, `after`, context,"
                f" transaction FROM {box.events} WHERE id = 3"
            )
            with outbox_of(box) as outbox:
                backlog, later = outbox.backlog(), outbox.backlog(floor=4)
            writer.rollback()
        assert backlog.waiting == 4
        assert 90 <= backlog.age < 100
        assert later.waiting == 2
        assert later.age < 10

    def test_it_is_counted_up_to_a_limit_however_far_apart_they_are(
        self, box: Box, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(outbox_module, "MOST", 10)
        box.insert(30)
        found = []
        with outbox_of(box) as outbox:
            found.append(outbox.backlog().waiting)
            for condition in ("id > 11", "id > 10", "id BETWEEN 5 AND 8"):
                box.query(f"DELETE FROM {box.events} WHERE {condition}")
                found.append(outbox.backlog().waiting)
            box.query(f"UPDATE {box.events} SET id = 100000 WHERE id = 10")
            found.append(outbox.backlog().waiting)
        assert found == [11, 11, 10, 6, 6]

    def test_a_change_of_the_future_has_no_age(self, box: Box) -> None:
        box.insert(1)
        box.query(f"UPDATE {box.events} SET captured_at = '2099-01-01'")
        with outbox_of(box) as outbox:
            assert outbox.backlog().age == 0.0

    def test_a_relay_may_ask_with_the_privileges_that_it_has_anyway(
        self, box: Box, account: Callable[..., Connection]
    ) -> None:
        box.insert(2)
        outbox = Outbox(account(f"SELECT, DELETE ON {box.events}"), box.schema)
        assert outbox.backlog().waiting == 2


def test_faults_are_counted_as_what_they_are(
    box: Box, watch: Watch, aws: FakeAws
) -> None:
    """By Prometheus, by CloudWatch and in the summary alike."""
    queue = aws.sqs.create_queue("orders.fifo")
    send = {"action": "SendMessageBatch"}
    throttled = aws.faults.add(Answer(fake_sqs.throttled()), calls=2, **send)
    aws.faults.add(LoseAcknowledgement(), calls=1, **send)
    aws.faults.add(
        FailEntries(
            "InvalidMessageContents",
            sender_fault=True,
            where=is_poison,
        )
    )
    box.insert(100)
    watched = watch(open_sink(f"sqs:{queue.url}"))
    until(lambda: len(box) == 10 and watched.metrics.snapshot(0).blocked)
    sink = f"sqs:{queue.url}"

    assert throttled.hits == 2
    for name, labels, expected in (
        ("events_published_total", {"sink": sink}, 90),
        ("sink_calls_total", {"outcome": "retry"}, 2),
        ("sink_calls_total", {"outcome": "unknown"}, 1),
        ("keys_blocked", {}, 1),
        ("events_waiting", {}, 10),
        ("lease_held", {}, 1),
        ("sink_down", {}, 0),
    ):
        assert watched.value(name, **labels) == expected, name
    for answer in ("retry", "unknown"):
        retried = watched.value("events_retried_total", answer=answer)
        assert retried is not None
        assert retried > 0, answer
    age = watched.value("oldest_event_age_seconds")
    assert age is not None
    assert age > 0

    aws.faults.clear()
    until(lambda: len(box) == 0)
    until(lambda: not watched.metrics.snapshot(0).blocked)
    # It was measured a moment ago, and whoever asks later has it measured anew.
    until(lambda: watched.value("events_waiting") == 0)
    assert watched.value("oldest_event_age_seconds") == 0
    scraped = watched.get("/metrics")[1]
    summary = watched.stop()
    assert summary.published == 100 == len(queue.delivered)
    for name, total in (
        ("events_published_total", watched.total("Published")),
        (
            "sink_call_duration_seconds_count",
            sum(
                watched.total(f"SinkCalls{outcome}")
                for outcome in ("Acknowledged", "Partly", "Retry", "Refused", "Unknown")
            ),
        ),
    ):
        assert sample(scraped, name) == total, name
    assert (
        watched.total("Retried")
        == summary.retried
        > watched.total("DuplicatesRetried")
        > 0
    )
    assert watched.total("Refused") == summary.refused > 0
    assert watched.total("LeaseChanges") == 1
    assert any("DeliveryLatency" in line for line in watched.lines)


def test_parked_events_are_counted_and_block_nothing(
    box: Box, watch: Watch, aws: FakeAws
) -> None:
    queue = aws.sqs.create_queue("orders.fifo")
    aws.faults.add(
        FailEntries(
            "InvalidMessageContents",
            sender_fault=True,
            where=is_poison,
        )
    )
    box.insert(100)
    options = Options(policy=Policy("park-key"))
    watched = watch(open_sink(f"sqs:{queue.url}"), options)
    until(lambda: len(box) == 0)
    ((letters,),) = box.query(f"SELECT COUNT(*) FROM {box.schema}.dead_letters")
    assert letters == 10
    assert watched.value("events_parked_total") == 10
    assert watched.value("keys_blocked") == 0
    assert watched.stop().parked == 10 == watched.total("DeadLetters")


def test_a_sink_that_is_down_is_seen_and_a_relay_is_well_all_the_same(
    box: Box, watch: Watch, aws: FakeAws
) -> None:
    queue = aws.sqs.create_queue("orders.fifo")
    box.insert(50)
    sink = open_sink(f"sqs:{queue.url}")
    aws.faults.add(Answer(service_unavailable()))
    watched = watch(sink)
    until(lambda: watched.get("/readyz")[0] == 503)
    until(lambda: "takes next to nothing" in watched.get("/readyz")[1])
    assert watched.value("sink_down") == 1
    assert watched.get("/healthz") == (200, "ok\n")
    aws.faults.clear()
    until(lambda: len(box) == 0)
    until(lambda: watched.get("/readyz") == (200, "ok\n"))
    assert watched.value("sink_down") == 0


def test_a_relay_that_is_superseded_is_seen_as_such(
    box: Box, watch: Watch, tmp_path: Path
) -> None:
    older = watch(FileSink(tmp_path / "older"))
    until(lambda: older.metrics.snapshot(0).gained)
    box.insert(5)
    until(lambda: len(box) == 0)
    assert older.value("role", role="leader") == 1
    assert older.value("events_waiting") == 0
    newer = watch(FileSink(tmp_path / "newer"), Options(take_over=True))
    until(lambda: newer.metrics.snapshot(0).gained)
    until(lambda: older.value("lease_changes_total", change="lost") == 1)
    assert older.value("lease_held") == 0
    assert older.value("role", role="standby") == 1
    assert older.value("oldest_event_age_seconds") is None, "it does not look"
    assert older.get("/readyz") == (200, "ok\n"), "it could publish at once"
    assert newer.value("lease_held") == 1
    newer.stop()
    until(lambda: older.value("lease_held") == 1)
    assert older.value("lease_changes_total", change="gained") == 2
    assert older.value("oldest_event_age_seconds") == 0


class Hanging(FileSink):
    """Its calls end when they are let go."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.is_called, self.may_end = threading.Event(), threading.Event()

    def publish(
        self, events: Sequence[Event], may_send: Callable[[], bool]
    ) -> Sequence[Result]:
        self.is_called.set()
        assert self.may_end.wait(30)
        return super().publish(events, may_send)


def test_a_call_that_never_ends_is_seen_and_so_is_a_loop_that_waits_for_it(
    box: Box, watch: Watch, tmp_path: Path
) -> None:
    """The loop turns while a call hangs. It does not after a lost connection: what is
    in flight has to end before anything is sent anew."""
    sink = Hanging(tmp_path / "events")
    watched = watch(sink, hang=0.3)
    box.insert(5)
    try:
        assert sink.is_called.wait(10)
        until(lambda: "a call to" in watched.get("/readyz")[1])
        assert watched.get("/healthz") == (200, "ok\n")
        ((session,),) = box.query(f"SELECT holder_connection FROM {box.state}")
        box.query(f"KILL {session}")
        until(lambda: watched.get("/healthz")[0] == 503)
        assert "the loop has not turned" in watched.get("/healthz")[1]
        assert watched.get("/readyz") == (503, "not connected to the database\n")
        assert watched.value("lease_held") == 0
    finally:
        sink.may_end.set()
    until(lambda: len(box) == 0)
    until(lambda: watched.get("/healthz")[0] == watched.get("/readyz")[0] == 200)
    assert watched.value("lease_changes_total", change="lost") == 1


def test_no_thread_of_the_reporter_or_the_monitor_outlives_it(
    box: Box, watch: Watch, tmp_path: Path
) -> None:
    watched = watch(FileSink(tmp_path / "events"), Options(drain=True))
    watched.thread.join(20)
    assert "report" not in {thread.name for thread in threading.enumerate()}
    assert watched.lines, "one when it ends, however short it was"
    monitor = Monitor(watched.metrics, outbox="x", host="127.0.0.1", port=0)
    with monitor:
        assert get(monitor.port, "/healthz")[0] == 200
        assert get(monitor.port, "/elsewhere")[0] == 404
    with pytest.raises(urllib.error.URLError, match="refused"):
        get(monitor.port, "/healthz")


# The command


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_relay_is_not_ready_while_its_database_is_away(
    local_server: LocalServer, tmp_path: Path
) -> None:
    port = free_port()
    box = Box(local_server, "shop")
    try:
        options = ("--metrics-port", str(port), "--ttl", "2")
        process = box.relay(f"file:{tmp_path / 'events'}", *options)
        until(lambda: process.poll() is None and box.holder == process.pid)
        assert get(port, "/readyz") == (200, "ok\n")
        local_server.kill()
        until(lambda: get(port, "/readyz") == (503, "not connected to the database\n"))
        assert get(port, "/healthz") == (200, "ok\n"), "a new relay would do no better"
        text = get(port, "/metrics")[1]
        assert sample(text, "role", role="disconnected") == 1
        assert sample(text, "events_waiting") is None
        local_server.restart()
        until(lambda: get(port, "/readyz") == (200, "ok\n"), 20)
        # By a question: the test's own connection has to be made anew, too.
        assert len(box) == 0
        box.insert(3)
        until(lambda: len(box) == 0)
        text = get(port, "/metrics")[1]
        assert sample(text, "events_published_total", sink="sink") == 3
        assert sample(text, "lease_changes_total", change="gained") == 2
        process.terminate()
        assert process.wait(10) == 0
        with pytest.raises(urllib.error.URLError, match="refused"):
            get(port, "/healthz")
    finally:
        box.close()


def test_a_relay_that_tries_to_connect_again_is_well_however_long_that_takes(
    local_server: LocalServer, tmp_path: Path
) -> None:
    box = Box(local_server, "shop")
    watched = Watched(box, FileSink(tmp_path / "events"), Options(ttl=2), hang=1.5)
    connect, attempts = watched.relay.connect, []

    def counted() -> Outbox:
        attempts.append(None)
        return connect()

    watched.relay.connect = counted
    try:
        with watched.monitor:
            watched.thread.start()
            until(lambda: watched.metrics.snapshot(0).gained)
            local_server.kill()
            # Two seconds: the pauses before them are 0.1, 0.2, 0.5 and 1 s.
            until(lambda: len(attempts) == 6)
            assert watched.get("/healthz") == (200, "ok\n")
            assert watched.get("/readyz")[0] == 503
            watched.stop()
    finally:
        watched.relay.stop.set()
        box.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1", "::ffff", "no such host"])
def test_an_address_that_cannot_be_had_is_one_error_and_nothing_is_published(
    box: Box, tmp_path: Path, host: str
) -> None:
    """192.0.2.1 is nobody's (RFC 5737)."""
    box.insert(3)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = subprocess.run(
            [sys.executable, "-m", "evtrig", "relay", "--drain"],
            env={
                "PATH": os.environ["PATH"],
                "EVTRIG_DSN": box.dsn,
                "EVTRIG_OUTBOX": box.schema,
                "EVTRIG_SINK": f"file:{tmp_path / 'events'}",
                "EVTRIG_RELAY_METRICS_PORT": str(taken.getsockname()[1]),
                "EVTRIG_RELAY_METRICS_HOST": host,
            },
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert ended.returncode == 1
    assert "cannot serve metrics at" in ended.stderr
    assert "--metrics-port" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(box) == 3


@contextlib.contextmanager
def outbox_of(box: Box) -> Iterator[Outbox]:
    outbox = Outbox.connect(Dsn.parse(box.dsn), box.schema, ttl=10)
    try:
        yield outbox
    finally:
        outbox.close()
