"""The relay as a Lambda function: one invocation, and two at once."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pymysql
import pytest
from fakes import sqs as fake_sqs
from fakes.aws import FakeAws
from fakes.faults import Answer, Delay, access_denied
from tables import outbox_tables

from evtrig.demo.server import ThrowawayServer
from evtrig.relay import invocation
from evtrig.relay.invocation import InvocationError, lambda_handler
from evtrig.relay.route import Route, Routes


class Context:
    """As much of Lambda's as there is."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self._until - time.monotonic()) * 1000)


class Shop:
    """An outbox, its writer, and the environment of a function that reads it."""

    def __init__(
        self,
        server: ThrowawayServer,
        schema: str,
        connection: pymysql.Connection,
        queue: fake_sqs.Queue,
    ) -> None:
        self.schema, self.queue = schema, queue
        self.connection = connection
        self.environment = {
            "EVTRIG_DSN": server.dsn_of(schema),
            "EVTRIG_OUTBOX": schema,
            "EVTRIG_SINK": f"sqs:{queue.url}",
            "EVTRIG_RELAY_TTL": "3",
        }
        for statement in outbox_tables(schema, server.server):
            self.query(statement)

    def query(self, sql: str, *arguments: object) -> tuple[tuple[Any, ...], ...]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, arguments or None)
            return tuple(cursor.fetchall())

    def change(self, count: int = 1) -> None:
        for _ in range(count):
            self.query(
                f"INSERT INTO {self.schema}.events (uid, type, source, operation,"
                " captured_at, `key`, `after`) VALUES (UUID_SHORT(), 'orders.insert',"
                " 'shop.orders', 'insert', UTC_TIMESTAMP(6), '{\"id\": 1}', '{}')"
            )

    @property
    def holder(self) -> int:
        ((holder,),) = self.query(
            f"SELECT holder FROM {self.schema}.event_polling_state"
        )
        return int(holder)

    @property
    def connections(self) -> int:
        """To the server, which is this test run's own."""
        return len(self.query("SELECT id FROM information_schema.processlist"))


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "fake")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "fake")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with FakeAws(seed=1) as aws:
        yield aws


@pytest.fixture
def shop(
    server: ThrowawayServer,
    outbox: str,
    connect: Callable[..., object],
    aws: FakeAws,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Shop]:
    connection = connect()
    assert isinstance(connection, pymysql.Connection)
    shop = Shop(server, outbox, connection, aws.sqs.create_queue("orders.fifo"))
    for name, value in shop.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(invocation, "made", None)
    yield shop
    if isinstance(invocation.made, invocation.Function):
        invocation.made.close()


@pytest.fixture
def invoke() -> Iterator[Callable[[float], Future[dict[str, Any]]]]:
    with ThreadPoolExecutor(4) as pool:
        yield lambda seconds: pool.submit(lambda_handler, {}, Context(seconds))


def wait_until(condition: Callable[[], object], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.005)


def test_an_invocation_publishes_until_its_time_is_over(
    shop: Shop, invoke: Callable[[float], Future[dict[str, Any]]]
) -> None:
    shop.change(3)
    begun = time.monotonic()
    running = invoke(8.0)
    wait_until(lambda: shop.queue.arrived == 3)
    shop.change(2)
    told = running.result(20)
    assert 2 < time.monotonic() - begun < 4, "5 of the 8 s are kept"
    assert told["published"] == 5
    assert told["end"] == "stopped"
    assert told["epoch"] == 1
    assert json.loads(json.dumps(told)) == told
    assert shop.holder == 0, "the lease was let go"


def test_its_metrics_are_a_line_for_cloudwatch(
    shop: Shop,
    invoke: Callable[[float], Future[dict[str, Any]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    shop.change(3)
    told = invoke(6.5).result(20)
    (line,) = capsys.readouterr().out.splitlines()
    document = json.loads(line)
    assert document["Relay"] == shop.schema
    assert document["Published"] == told["published"] == 3
    assert document["LeaseChanges"] == 1
    assert document["OldestEventAge"] >= 0
    assert document["PublishLatency"]


def test_the_metrics_of_an_invocation_that_is_superseded_say_so(
    shop: Shop,
    invoke: Callable[[float], Future[dict[str, Any]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    older = invoke(30.0)
    wait_until(lambda: shop.holder == 1)
    newer = invoke(6.5)
    assert older.result(10)["end"] == "superseded"
    newer.result(20)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["LeaseChanges"] for line in lines] == [2, 1]


def test_what_its_destinations_take_to_answer_is_part_of_its_time(
    shop: Shop, aws: FakeAws, invoke: Callable[[float], Future[dict[str, Any]]]
) -> None:
    aws.faults.add(Delay(2.0), action="GetQueueAttributes")
    shop.change(1)
    begun = time.monotonic()
    told = invoke(8.0).result(20)
    assert told["published"] == 1
    assert time.monotonic() - begun < 4, "5 of the 8 s are kept"


def test_nothing_of_it_is_left_when_it_has_ended(
    shop: Shop, invoke: Callable[[float], Future[dict[str, Any]]]
) -> None:
    """Lambda freezes the process then, and connections would be held for hours."""
    shop.query(f"USE {shop.schema}")
    before = shop.connections
    threads = {t.name for t in threading.enumerate()}
    running = invoke(6.5)
    wait_until(lambda: shop.connections > before)
    running.result(20)
    wait_until(lambda: shop.connections == before)
    left = {t.name for t in threading.enumerate()} - threads
    # Of the fake, and of this test's own pool.
    assert {n for n in left if not n.startswith(("fake-aws", "ThreadPool"))} == set()


def test_the_newest_publishes_and_the_older_returns(
    shop: Shop, aws: FakeAws, invoke: Callable[[float], Future[dict[str, Any]]]
) -> None:
    older = invoke(30.0)
    wait_until(lambda: shop.holder == 1)
    shop.change(5)
    wait_until(lambda: shop.queue.arrived == 5)
    begun = time.monotonic()
    newer = invoke(8.0)
    told = older.result(10)
    took = time.monotonic() - begun
    assert told["end"] == "superseded"
    assert told["published"] == 5
    # Its renew interval; it looks every 50 ms.
    assert took < 1.0
    shop.change(5)
    told = newer.result(20)
    assert told["published"] == 5
    assert told["epoch"] == 2
    assert shop.queue.arrived == 10, "each came once"


def test_one_that_is_overtaken_before_it_has_the_lease_returns_too(
    shop: Shop, invoke: Callable[[float], Future[dict[str, Any]]]
) -> None:
    """Somebody holds the lease and does not let go; two invocations wait for it."""
    shop.query(
        f"UPDATE {shop.schema}.event_polling_state SET claim = 7, holder = 7,"
        " expires_at = UTC_TIMESTAMP(6) + INTERVAL 2 SECOND"
    )
    shop.change(1)
    older = invoke(30.0)
    wait_until(
        lambda: (
            shop.query(f"SELECT claim FROM {shop.schema}.event_polling_state")
            == ((8,),)
        )
    )
    newer = invoke(9.0)
    told = older.result(10)
    assert (told["end"], told["published"], told["epoch"]) == ("superseded", 0, 0)
    assert newer.result(20)["published"] == 1


def test_a_third_starts_where_two_have_ended(
    shop: Shop, invoke: Callable[[float], Future[dict[str, Any]]]
) -> None:
    for n in range(1, 4):
        shop.change(1)
        assert invoke(6.3).result(20)["published"] == 1
        assert shop.queue.arrived == n


def test_its_destination_is_asked_about_each_time(
    shop: Shop, aws: FakeAws, invoke: Callable[[float], Future[dict[str, Any]]]
) -> None:
    for _ in range(2):
        invoke(6.1).result(20)
    asked = [call for call in aws.calls if call.action == "GetQueueAttributes"]
    assert len(asked) == 2


def test_a_bus_that_was_deleted_is_noticed_by_the_next_invocation(
    shop: Shop,
    aws: FakeAws,
    monkeypatch: pytest.MonkeyPatch,
    invoke: Callable[[float], Future[dict[str, Any]]],
) -> None:
    """EventBridge says yes to every event for it, and drops it."""
    aws.eventbridge.create_bus("orders")
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
    monkeypatch.setenv("EVTRIG_SINK", "eventbridge:orders")
    shop.change(1)
    assert invoke(6.3).result(20)["published"] == 1
    aws.eventbridge.delete_bus("orders")
    shop.change(1)
    with pytest.raises(InvocationError, match="Check the bus's name"):
        invoke(6.3).result(20)
    aws.eventbridge.create_bus("orders")
    assert invoke(6.3).result(20)["published"] == 1


@pytest.fixture
def route_to(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> Callable[[str], None]:
    """Instead of one sink two destinations: the shop's queue, and the one of this URL
    for what is of the type other.insert."""

    def route_to(url: str) -> None:
        routes = Routes(
            {"other": f"sqs:{url}", "orders": f"sqs:{shop.queue.url}"},
            (Route(("other",), type="other.insert"), Route(("orders",))),
        )
        path = tmp_path / "evtrig-relay.json"
        path.write_text(routes.to_json())
        monkeypatch.delenv("EVTRIG_SINK")
        monkeypatch.setenv("EVTRIG_ROUTES", str(path))

    return route_to


def test_one_of_two_that_is_gone_stops_no_invocation_from_serving_the_other(
    shop: Shop,
    aws: FakeAws,
    route_to: Callable[[str], None],
    invoke: Callable[[float], Future[dict[str, Any]]],
) -> None:
    route_to(aws.sqs.create_queue("other").url)
    aws.sqs.delete_queue("other")
    for n in range(1, 4):
        shop.change(1)
        with pytest.raises(InvocationError, match="Check the queue's name"):
            invoke(6.3).result(20)
        assert shop.queue.arrived == n
        assert shop.holder == 0
    aws.sqs.create_queue("other")
    shop.change(1)
    assert invoke(6.3).result(20)["published"] == 1


def test_one_of_two_that_hangs_does_not_use_up_the_time_of_the_other(
    shop: Shop,
    route_to: Callable[[str], None],
    invoke: Callable[[float], Future[dict[str, Any]]],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        route_to(f"http://{host}:{port}/123456789012/other")
        shop.change(1)
        begun = time.monotonic()
        told = invoke(12.0).result(20)
    assert told["published"] == 1
    # Of the 12 s 5 are kept; one time-out of 4 is lost, not one of each attempt.
    assert time.monotonic() - begun < 8


def test_routes_come_from_a_file(
    shop: Shop,
    aws: FakeAws,
    route_to: Callable[[str], None],
    invoke: Callable[[float], Future[dict[str, Any]]],
) -> None:
    other = aws.sqs.create_queue("other")
    route_to(other.url)
    shop.change(2)
    assert invoke(6.3).result(20)["published"] == 2
    assert (shop.queue.arrived, other.arrived) == (2, 0)


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("EVTRIG_DSN", "", "EVTRIG_DSN is not set"),
        ("EVTRIG_SINK", "", "neither EVTRIG_SINK nor EVTRIG_ROUTES"),
        ("EVTRIG_ROUTES", "nothing.json", "exclude each other"),
        ("EVTRIG_RELAY_TTL", "1", "EVTRIG_RELAY_TTL is too small"),
        ("EVTRIG_RELAY_TTL", "ten", "EVTRIG_RELAY_TTL is not a number"),
        ("EVTRIG_RELAY_ON_REFUSED", "drop", "EVTRIG_RELAY_ON_REFUSED"),
        ("EVTRIG_RELAY_MAX_ATTEMPTS", "3", "block parks none"),
        ("EVTRIG_RELAY_ON_OVERSIZE", "gs://x", "EVTRIG_RELAY_ON_OVERSIZE"),
        ("EVTRIG_TLS", "maybe", "EVTRIG_TLS"),
        ("EVTRIG_SINK", "sqz:x", "unknown scheme"),
        ("EVTRIG_SINK", "stdout:", "no destinations for a Lambda"),
        ("EVTRIG_SINK", "file:/tmp/events", "no destinations for a Lambda"),
    ],
)
def test_a_wrong_setting_is_one_line_with_what_to_do(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, name: str, value: str, what: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvocationError, match=what) as raised:
        lambda_handler({}, Context(60))
    assert " → " in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_too_little_time_is_said_with_the_setting(shop: Shop) -> None:
    with pytest.raises(InvocationError, match="timeout to 120 s"):
        lambda_handler({}, Context(3))


def test_a_missing_permission_fails_the_invocation_and_loses_nothing(
    shop: Shop, aws: FakeAws, invoke: Callable[[float], Future[dict[str, Any]]]
) -> None:
    shop.change(1)
    aws.faults.add(Answer(access_denied()), action="SendMessageBatch")
    with pytest.raises(InvocationError, match="Allow sqs:SendMessage on"):
        invoke(20).result(20)
    assert shop.holder == 0
    aws.faults.clear()
    assert invoke(6.3).result(20)["published"] == 1


def test_the_log_shows_the_facts(
    shop: Shop,
    invoke: Callable[[float], Future[dict[str, Any]]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "evtrig")
    invoke(6.1).result(20)
    ended = [r for r in caplog.records if r.getMessage() == "invocation ended"]
    assert [vars(record)["end"] for record in ended] == ["stopped"]


#: As Lambda's runtime does it: import the module, then ask for the attribute.
COLD = """\
import importlib, sys
handler = getattr(importlib.import_module("evtrig.relay"), "lambda_handler")
assert callable(handler)
print(*sorted(m.partition(".")[0] for m in sys.modules))
"""


def test_a_cold_start_imports_neither_jinja2_nor_yaml(shop: Shop) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", COLD], capture_output=True, text=True, check=True
    )
    modules = set(ended.stdout.split())
    assert {"evtrig", "boto3", "pymysql"} <= modules
    assert not modules & {"jinja2", "yaml", "click", "markupsafe"}


def test_the_package_itself_imports_nothing_of_it() -> None:
    code = "import evtrig.relay, sys; print('boto3' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "False\n"
