"""Routes on a real server: to several destinations, of which some fail."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pymysql
import pytest
from click.testing import CliRunner, Result
from fakes import sqs as fake_sqs
from fakes.aws import FakeAws
from fakes.faults import (
    Answer,
    FailEntries,
    LoseAcknowledgement,
    access_denied,
    body_of,
    internal_failure,
)
from fakes.kinesis import Stream
from fakes.service import Arrival
from tables import outbox_tables

from evtrig.cli import main
from evtrig.database.dsn import Dsn
from evtrig.demo.server import ThrowawayServer
from evtrig.relay.outbox import Outbox
from evtrig.relay.route import Route
from evtrig.relay.term import WINDOW

#: Of shop.orders; and as many of shop.stock.
EVENTS = 400


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "fake")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "fake")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with FakeAws(seed=3) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
        yield aws


class Shop:
    """An outbox with changes of two tables, every tenth of which is shipped."""

    def __init__(
        self, server: ThrowawayServer, schema: str, connection: pymysql.Connection
    ) -> None:
        self.dsn = server.dsn
        self.schema = schema
        self._connection = connection
        for statement in outbox_tables(schema, server.server):
            with connection.cursor() as cursor:
                cursor.execute(statement)

    def change(self) -> None:
        rows = []
        for n in range(EVENTS):
            for table in ("orders", "stock"):
                type_ = f"{table}.update" if n % 10 else "OrderShipped"
                rows.append((type_, f"shop.{table}", json.dumps({"id": n % 20})))
        with self._connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {self.schema}.events (uid, type, source, operation,"
                " captured_at, `key`, `after`) VALUES (UUID_SHORT(), %s, %s, 'update',"
                " UTC_TIMESTAMP(6), %s, '{}')",
                rows,
            )

    def insert(self, rows: list[tuple[str, str]]) -> None:
        """Events of these sources and types."""
        with self._connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {self.schema}.events (uid, type, source, operation,"
                " captured_at, `key`, `after`) VALUES (UUID_SHORT(), %s, %s, 'update',"
                " UTC_TIMESTAMP(6), '{\"id\": 1}', '{}')",
                [(type_, source) for source, type_ in rows],
            )

    def fill(self, source: str, count: int, *, type_: str = "update") -> None:
        """Events of many keys, in one transaction."""
        with self._connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {self.schema}.events (uid, type, source, operation,"
                " captured_at, `key`, `after`) VALUES (UUID_SHORT(), %s, %s,"
                " 'update', UTC_TIMESTAMP(6), %s, '{}')",
                [(type_, source, json.dumps({"id": n % 700})) for n in range(count)],
            )

    def __len__(self) -> int:
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {self.schema}.events")
            ((count,),) = cursor.fetchall()
        return int(count)

    def relay(self, routes: Path, *options: str) -> Result:
        return CliRunner().invoke(main, [*self.command(routes), *options])

    def command(self, routes: Path) -> list[str]:
        arguments = ["relay", "--dsn", self.dsn, "--outbox", self.schema, "--drain"]
        return [*arguments, "--routes", str(routes)]


@pytest.fixture
def shop(server: ThrowawayServer, outbox: str, connect: Callable[..., object]) -> Shop:
    connection = connect()
    assert isinstance(connection, pymysql.Connection)
    return Shop(server, outbox, connection)


def write_routes(path: Path, destinations: dict[str, str], routes: str) -> Path:
    lines = [f"  {name}: '{uri}'" for name, uri in destinations.items()]
    file = path / "evtrig-relay.yml"
    text = "\n".join(["version: 1", "destinations:", *lines, "routes:", routes])
    file.write_text(text)
    return file


def envelopes(arrivals: tuple[Arrival, ...] | list[str]) -> list[dict[str, object]]:
    return [json.loads(a if isinstance(a, str) else a.body) for a in arrivals]


def assert_in_order(found: list[dict[str, object]]) -> None:
    latest: dict[str, int] = {}
    for envelope in found:
        key = f"{envelope['source']}:{envelope['key']}"
        sequence = envelope["sequence"]
        assert isinstance(sequence, int)
        assert sequence > latest.get(key, 0), "an old event after a newer one"
        latest[key] = sequence


def test_each_event_comes_to_its_destinations_and_in_order(
    shop: Shop, aws: FakeAws, tmp_path: Path
) -> None:
    orders = aws.sqs.create_queue("orders.fifo")
    shipped = aws.sns.create_topic("shipped.fifo")
    audit = tmp_path / "audit.ndjson"
    routes = write_routes(
        tmp_path,
        {
            "orders": f"sqs:{orders.url}",
            "shipped": f"sns:{shipped.arn}",
            "audit": f"file:{audit}",
        },
        "  - {type: OrderShipped, to: [shipped, audit]}\n"
        "  - {source: shop.orders, to: [orders, audit]}\n"
        "  - {to: audit}\n",
    )
    shop.change()
    result = shop.relay(routes)
    assert result.exit_code == 0, result.output
    assert len(shop) == 0
    kinds = Counter(str(e["type"]) for e in envelopes(orders.delivered))
    assert kinds == {"orders.update": EVENTS * 9 // 10}
    kinds = Counter(str(e["type"]) for e in envelopes(shipped.delivered))
    assert kinds == {"OrderShipped": EVENTS * 2 // 10}
    written = envelopes(audit.read_text().splitlines())
    assert len(written) == 2 * EVENTS
    for found in (
        envelopes(orders.delivered),
        envelopes(shipped.delivered),
        written,
    ):
        assert_in_order(found)


def test_what_got_to_one_of_two_is_not_sent_there_again(
    shop: Shop, aws: FakeAws, tmp_path: Path
) -> None:
    good = aws.sqs.create_queue("good")
    bad = aws.sns.create_topic("bad")
    routes = write_routes(
        tmp_path,
        {"good": f"sqs:{good.url}", "bad": f"sns:{bad.arn}"},
        "  - {to: [good, bad]}\n",
    )
    shop.change()
    aws.faults.add(FailEntries(rate=0.3), action="PublishBatch")
    result = shop.relay(routes)
    assert result.exit_code == 0, result.output
    assert good.arrived == bad.arrived == 2 * EVENTS
    assert_in_order(envelopes(good.delivered))
    assert_in_order(envelopes(bad.delivered))


def test_calls_that_fail_lose_nothing_anywhere(
    shop: Shop, aws: FakeAws, tmp_path: Path
) -> None:
    one, two = (aws.sqs.create_queue(f"{name}.fifo") for name in ("one", "two"))
    stream = aws.kinesis.create_stream("all")
    routes = write_routes(
        tmp_path,
        {
            "one": f"sqs:{one.url}",
            "two": f"sqs:{two.url}",
            "all": f"kinesis:{stream.name}",
        },
        "  - {source: shop.orders, to: [one, all]}\n  - {to: [two, all]}\n",
    )
    shop.change()
    aws.faults.add(LoseAcknowledgement(), rate=0.1)
    aws.faults.add(Answer(fake_sqs.throttled()), rate=0.1, action="SendMessageBatch")
    aws.faults.add(FailEntries(rate=0.1), action="PutRecords")
    result = shop.relay(routes)
    assert result.exit_code == 0, result.output
    assert len(one.delivered) == len(two.delivered) == EVENTS
    assert_in_order(envelopes(one.delivered))
    assert_in_order(envelopes(two.delivered))
    first: dict[str, dict[str, object]] = {}
    for envelope in envelopes(stream.delivered):
        first.setdefault(str(envelope["id"]), envelope)
    assert len(first) == 2 * EVENTS
    assert_in_order(list(first.values()))


def test_a_destination_that_refuses_holds_up_its_own_events_only(
    shop: Shop, aws: FakeAws, tmp_path: Path
) -> None:
    orders, rest = aws.sqs.create_queue("orders.fifo"), aws.sqs.create_queue("rest")
    routes = write_routes(
        tmp_path,
        {"orders": f"sqs:{orders.url}", "rest": f"sqs:{rest.url}"},
        "  - {source: shop.orders, to: orders}\n  - {to: rest}\n",
    )
    shop.change()
    refusal = FailEntries(
        "InvalidMessageContents",
        sender_fault=True,
        where=lambda entry: "shop.orders" in body_of(entry),
    )
    aws.faults.add(refusal)
    result = shop.relay(routes)
    assert result.exit_code == 1
    assert "not empty" in result.output
    assert rest.arrived == EVENTS
    assert orders.arrived == 0
    assert len(shop) == EVENTS
    aws.faults.clear()
    assert shop.relay(routes).exit_code == 0
    assert orders.arrived == EVENTS
    assert rest.arrived == EVENTS


def test_a_destination_that_is_down_does_not_fill_the_window_of_the_others(
    shop: Shop, aws: FakeAws, tmp_path: Path
) -> None:
    """More of its events wait than a relay holds, and they are the older ones."""
    orders, stock = aws.sqs.create_queue("o.fifo"), aws.sns.create_topic("s.fifo")
    routes = write_routes(
        tmp_path,
        {"orders": f"sqs:{orders.url}", "stock": f"sns:{stock.arn}"},
        '  - {source: "shop.ord*", to: orders}\n  - {to: stock}\n',
    )
    backlog = WINDOW + 1000
    shop.fill("shop.orders", backlog)
    aws.faults.add(Answer(fake_sqs.throttled()), action="SendMessageBatch")
    command = [sys.executable, "-m", "evtrig", *shop.command(routes)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as relay:
        aws.wait_for(lambda: any(c.code == "RequestThrottled" for c in aws.log.calls))
        shop.fill("shop.stock", 50)
        aws.wait_for(lambda: stock.arrived == 50, 20)
        assert orders.arrived == 0
        aws.faults.clear()
        aws.wait_for(lambda: orders.arrived == backlog, 60)
        assert relay.wait(60) == 0
    assert len(shop) == 0
    assert_in_order(envelopes(orders.delivered))
    assert_in_order(envelopes(stock.delivered))


@pytest.fixture
def running(shop: Shop) -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """A relay that runs until the test is over."""
    started: list[subprocess.Popen[str]] = []

    def start(routes: Path) -> subprocess.Popen[str]:
        arguments = [a for a in shop.command(routes) if a != "--drain"]
        command = [sys.executable, "-m", "evtrig", *arguments]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for relay in started:
        relay.kill()
        relay.communicate()


def two(aws: FakeAws, tmp_path: Path) -> tuple[Path, fake_sqs.Queue, Stream]:
    """Routes of orders into a queue, and of the rest into a stream."""
    queue, stream = aws.sqs.create_queue("o.fifo"), aws.kinesis.create_stream("rest")
    destinations = {"orders": f"sqs:{queue.url}", "rest": f"kinesis:{stream.name}"}
    lines = "  - {source: shop.orders, to: orders}\n  - {to: rest}\n"
    return write_routes(tmp_path, destinations, lines), queue, stream


def test_one_that_does_not_answer_at_the_start_keeps_no_other_waiting(
    shop: Shop,
    aws: FakeAws,
    tmp_path: Path,
    running: Callable[[Path], subprocess.Popen[str]],
) -> None:
    routes, queue, stream = two(aws, tmp_path)
    shop.change()
    aws.faults.add(Answer(internal_failure()), action="DescribeStreamSummary")
    running(routes)
    aws.wait_for(lambda: queue.arrived == EVENTS, 30)
    assert stream.arrived == 0
    aws.faults.clear()
    aws.wait_for(lambda: stream.arrived == EVENTS, 30)
    assert_in_order(envelopes(stream.delivered))


def test_what_it_is_found_to_be_later_counts(
    shop: Shop,
    aws: FakeAws,
    tmp_path: Path,
    running: Callable[[Path], subprocess.Popen[str]],
) -> None:
    """A stream that ignores keys gets nothing, whenever that is found out."""
    aws.kinesis.create_stream("auto", mode="ON_DEMAND", distribution="AUTO")
    queue = aws.sqs.create_queue("o.fifo")
    routes = write_routes(
        tmp_path,
        {"orders": f"sqs:{queue.url}", "rest": "kinesis:auto"},
        "  - {source: shop.orders, to: orders}\n  - {to: rest}\n",
    )
    shop.change()
    # All four attempts of the look at the start.
    aws.faults.add(Answer(internal_failure()), action="DescribeStreamSummary", calls=4)
    relay = running(routes)
    aws.wait_for(lambda: queue.arrived == EVENTS, 30)
    assert relay.stderr is not None
    said = next(line for line in relay.stderr if "cannot be used" in line)
    assert "USER_PARTITION_KEY" in said
    assert aws.kinesis.streams["auto"].arrived == 0


def test_one_that_is_forbidden_meanwhile_ends_no_other(
    shop: Shop,
    aws: FakeAws,
    tmp_path: Path,
    running: Callable[[Path], subprocess.Popen[str]],
) -> None:
    routes, queue, stream = two(aws, tmp_path)
    aws.faults.add(Answer(access_denied()), action="SendMessageBatch")
    relay = running(routes)
    shop.change()
    aws.wait_for(lambda: stream.arrived == EVENTS, 30)
    assert relay.stderr is not None
    said = next(line for line in relay.stderr if "cannot be used" in line)
    assert "Allow sqs:SendMessage on" in said
    aws.faults.clear()
    aws.wait_for(lambda: queue.arrived == EVENTS, 30)
    assert_in_order(envelopes(queue.delivered))
    assert relay.poll() is None


def test_a_destination_of_two_routes_gets_rows_in_order_while_one_is_down(
    shop: Shop, aws: FakeAws, tmp_path: Path
) -> None:
    """The later events of a row come by the other route, and would find room."""
    orders, audit = aws.sqs.create_queue("o.fifo"), aws.sns.create_topic("a.fifo")
    mail = aws.sns.create_topic("m.fifo")
    routes = write_routes(
        tmp_path,
        {
            "orders": f"sqs:{orders.url}",
            "audit": f"sns:{audit.arn}",
            "mail": f"sns:{mail.arn}",
        },
        "  - {source: shop.orders, type: update, to: [orders, audit]}\n"
        "  - {source: shop.orders, to: audit}\n  - {to: mail}\n",
    )
    backlog = WINDOW + 1000
    shop.fill("shop.orders", backlog)
    aws.faults.add(Answer(fake_sqs.throttled()), action="SendMessageBatch")
    command = [sys.executable, "-m", "evtrig", *shop.command(routes)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as relay:
        aws.wait_for(lambda: any(c.code == "RequestThrottled" for c in aws.log.calls))
        shop.fill("shop.orders", 700, type_="shipped")
        shop.fill("shop.stock", 50)
        aws.wait_for(lambda: mail.arrived == 50, 20)
        aws.faults.clear()
        aws.wait_for(lambda: audit.arrived == backlog + 700, 60)
        assert relay.wait(60) == 0
    assert len(shop) == 0
    for place in (orders, audit, mail):
        assert_in_order(envelopes(place.delivered))


PATTERNS = (
    None,
    *("*", "shop.*", "*.orders", "shop.o*s", "a_b", "a%", "a|b", "a\\b", "a b ", "ä*"),
)
NAMES = (
    *("shop.orders", "shop.Orders", "shopXorders", "axb", "a_b", "a%", "abc", "a|b"),
    *("a\\b", "a b ", "a b", "äö", "ao", "", "'; --", "%s {}"),
)


def test_the_server_leaves_out_what_the_routes_say(shop: Shop) -> None:
    """As `Routes.of` does, whatever stands in a pattern or a name."""
    rows = [(name, other) for name in NAMES for other in NAMES]
    shop.insert(rows)
    outbox = Outbox.connect(Dsn.parse(shop.dsn), shop.schema, ttl=10)
    try:
        for source, type_ in product(PATTERNS, PATTERNS):
            first, last = Route(("a",), source, type_), Route(("b",))
            for wanted in (
                [(first, False), (last, True)],
                [(first, True), (last, False)],
            ):
                events = outbox.read(10_000, wanted=wanted)
                found = {(e.header.source, e.header.type) for e in events}
                assert found == {
                    row for row in rows if first.matches(*row) == wanted[0][1]
                }
    finally:
        outbox.close()


def test_one_destination_that_is_not_there_ends_it_before_anything_is_sent(
    shop: Shop, aws: FakeAws, tmp_path: Path
) -> None:
    queue = aws.sqs.create_queue("rest")
    routes = write_routes(
        tmp_path,
        {"orders": "kinesis:nothing", "rest": f"sqs:{queue.url}"},
        "  - {source: shop.orders, to: orders}\n  - {to: rest}\n",
    )
    shop.change()
    result = shop.relay(routes)
    assert result.exit_code == 1
    assert "kinesis:nothing" in result.output
    assert "ResourceNotFound" in result.output
    assert queue.arrived == 0
    assert len(shop) == 2 * EVENTS


def test_a_route_to_nowhere_is_a_mistake_at_start(
    shop: Shop, aws: FakeAws, tmp_path: Path
) -> None:
    routes = write_routes(tmp_path, {"orders": "stdout:"}, "  - {to: order}\n")
    result = shop.relay(routes)
    assert result.exit_code == 2
    assert "did you mean orders?" in result.output
