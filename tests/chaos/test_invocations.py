"""The relay as a Lambda function under a schedule, on every server.

Sandboxes are processes that import the handler, are frozen between two invocations, and
killed at a limit: sandbox.py. Which of them has published is told by the access key of
each call.
"""

from __future__ import annotations

import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chaos.box import Box, Writers, until
from chaos.invocations import KINDS, TTL, Options, Result, Schedule
from chaos.sandbox import Invocation, Lambda
from chaos.workload import MarkedShop
from fakes.aws import FakeAws
from fakes.sqs import Queue

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.server import ThrowawayServer

# It keeps all of a machine busy: one of these at a time.
pytestmark = pytest.mark.xdist_group("busy")

#: As in every run, so that one that fails fails again.
SEED = "1042"
#: Seconds; far more than any of it takes.
PATIENCE = 20


#: Runs a schedule with these options.
Run = Callable[[Options], Result]


@pytest.fixture
def run(server: ThrowawayServer, tmp_path: Path) -> Iterator[Run]:
    shop = MarkedShop(f"_{secrets.token_hex(4)}")
    yield lambda options: Schedule(server, tmp_path, options, print, shop).run()
    with Connection(Dsn.parse(server.dsn)) as connection:
        shop.drop(connection)


def test_nothing_is_lost_whatever_becomes_of_invocations(run: Run) -> None:
    kinds = sorted(set(KINDS))
    # So many that each comes once.
    options = Options(2 * len(kinds), SEED, kinds=kinds)

    result = run(options)

    assert result.is_clean, result.text()
    assert result.report.committed > 500
    happened = result.counts
    for what in ("killed at any moment", "killed at its limit", "ended: error"):
        assert happened[what] > 0, result.text()
    assert happened["started twice"] > 0
    assert happened["ended: superseded"] > 3
    assert happened["frozen between"] > 4
    assert happened["warm"] > 2


def test_a_function_that_deletes_first_is_caught(run: Run) -> None:
    # What it holds when the sink forbids everything is gone.
    options = Options(2, SEED, kinds=("error",), broken="DeletesFirst")

    result = run(options)

    assert result.report.lost, result.text()


def test_a_function_that_publishes_beside_a_newer_one_is_caught(run: Run) -> None:
    # It has time enough for the other to come by the lease, which is not renewed.
    options = Options(3, SEED, kinds=("plain",), seconds=6, broken="IgnoresTheNewer")

    result = run(options)

    assert "published though a newer one does" in result.text()
    assert result.report.unexplained


def test_a_function_that_keeps_its_lease_is_caught(run: Run) -> None:
    options = Options(2, SEED, kinds=("plain",), broken="KeepsItsLease")

    result = run(options)

    assert "still holds the lease" in result.text()


@pytest.fixture
def queue(aws: FakeAws) -> Queue:
    return aws.sqs.create_queue("events.fifo")


@pytest.fixture
def function(box: Box, queue: Queue, tmp_path: Path) -> Iterator[Lambda]:
    environment = {
        "EVTRIG_DSN": box.dsn,
        "EVTRIG_OUTBOX": box.schema,
        "EVTRIG_SINK": f"sqs:{queue.url}",
        "EVTRIG_RELAY_TTL": str(TTL),
    }
    function = Lambda(tmp_path, environment, seconds=5)
    yield function
    function.close()


def wait(function: Lambda, condition: Callable[[], object]) -> None:
    """Until it holds; Lambda does its work meanwhile."""

    def holds() -> object:
        function.step()
        return condition()

    until(holds, PATIENCE)


def start(function: Lambda) -> Invocation:
    invocation = function.invoke()
    assert invocation is not None
    return invocation


def senders(aws: FakeAws) -> list[str]:
    """The access key of each call that brought events, in order."""
    calls = [call for call in aws.calls if call.action == "SendMessageBatch"]
    return [call.access_key for call in sorted(calls, key=lambda call: call.at)]


def test_the_older_publishes_nothing_once_the_newer_does(
    box: Box, queue: Queue, aws: FakeAws, function: Lambda
) -> None:
    # A busy machine may need a moment: less than until the next renewal.
    ttl = 6
    function.environment["EVTRIG_RELAY_TTL"] = str(ttl)
    claim = f"SELECT claim FROM {box.state}"
    with Writers(box, pause=0.02) as writers:
        older = start(function)
        wait(function, lambda: queue.arrived > 100)
        newer = start(function)
        wait(function, lambda: box.query(claim) == ((2,),))
        claimed_at = time.monotonic()
        wait(function, lambda: not older.is_running)
        arrived = queue.arrived
        wait(function, lambda: queue.arrived > arrived + 100)
    wait(function, lambda: not newer.is_running)

    assert older.end == "superseded"
    assert older.ended_at is not None
    assert older.ended_at - claimed_at < ttl / 3
    by_turns = [key for key, _ in itertools.groupby(senders(aws))]
    assert by_turns == [older.sandbox.access_key, newer.sandbox.access_key]
    # All of it: nothing had to be sent again.
    arrivals = [json.loads(arrival.body) for arrival in queue.arrivals]
    assert writers.check(arrivals) == 0
    assert function.findings == []


def test_one_that_hangs_is_replaced_when_its_lease_is_over(
    box: Box, queue: Queue, aws: FakeAws, function: Lambda
) -> None:
    with Writers(box, pause=0.02) as writers:
        hung = start(function)
        wait(function, lambda: queue.arrived > 100)
        hung.sandbox.freeze()
        at = time.monotonic()
        newer = start(function)
        # Two are busy, one of them with nothing.
        assert function.invoke() is None
        key = newer.sandbox.access_key
        wait(function, lambda: key in senders(aws))
        silence = time.monotonic() - at
        wait(function, lambda: not hung.is_running)
    # Its end has let somebody else in, for what the newer one has not done.
    start(function)
    wait(function, lambda: len(box) == 0)

    assert hung.end == "killed"
    assert silence < TTL + 1
    delivered = [json.loads(arrival.body) for arrival in queue.delivered]
    assert writers.check(delivered) == 0


def test_a_process_that_was_frozen_serves_the_next_invocation(
    box: Box, queue: Queue, function: Lambda
) -> None:
    function.seconds = 1.5
    connections = (
        "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'root'"
    )
    before = box.query(connections)
    for count in (1, 2):
        box.insert()
        invocation = start(function)
        wait(function, lambda: not function.busy)
        assert invocation.answer is not None
        assert invocation.answer["published"] == 1
        assert invocation.is_cold == (count == 1)
        assert invocation.sandbox.is_frozen
        assert box.query(f"SELECT holder FROM {box.state}") == ((0,),)
        # The server may need a moment to see that they were closed.
        until(lambda: box.query(connections) == before)
    assert len(function.sandboxes) == 1
    assert function.findings == []
