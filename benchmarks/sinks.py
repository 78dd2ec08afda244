"""How fast a relay is to each sink at AWS, and what an event costs it.

    python benchmarks/sinks.py --server mysql --rounds 3

Prints a Markdown table for docs/benchmarks.md. The relay is the installed command, one
process; AWS is the strict fake of the tests, in another, and answers every call 8 ms
late. A figure is the median over the rounds, in which the sinks are measured in turn.
The last column is boto3 by itself: full calls in one thread, without a relay.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest import mock

from evtrig.benchmarks.relay import AWS, BACKLOG, FAKE, Bench, until
from evtrig.demo.server import survey
from evtrig.relay.event import Event
from evtrig.relay.sinks import open_sink
from evtrig.relay.sinks.sink import ACKNOWLEDGED

#: Seconds from a call to its answer, beside what the fake needs for it.
LATENCY = 0.008
#: Calls by which boto3 alone is measured.
CALLS_ALONE = 60
ACCOUNT = "us-east-1:123456789012"
#: Title, what is to be made in the fake, and the sink's URI.
SINKS = (
    ("`sqs:`", "--queue=orders", "sqs:{endpoint}/123456789012/orders"),
    ("`sqs:`, FIFO", "--queue=o.fifo", "sqs:{endpoint}/123456789012/o.fifo"),
    (
        "`sqs:`, FIFO, 3 attributes",
        "--queue=a.fifo",
        "sqs:{endpoint}/123456789012/a.fifo?attributes=type,source,operation",
    ),
    ("`sns:`", "--topic=orders", f"sns:arn:aws:sns:{ACCOUNT}:orders"),
    ("`sns:`, FIFO", "--topic=o.fifo", f"sns:arn:aws:sns:{ACCOUNT}:o.fifo"),
    (
        "`sns:`, FIFO, 3 attributes",
        "--topic=a.fifo",
        f"sns:arn:aws:sns:{ACCOUNT}:a.fifo?attributes=type,source,operation",
    ),
    ("`kinesis:`", "--stream=orders,16", "kinesis:orders"),
    ("`eventbridge:`", "--bus=orders", "eventbridge:orders"),
)


@contextlib.contextmanager
def fake() -> Iterator[str]:
    """Its endpoint."""
    options = [made for _, made, _ in SINKS]
    command = [sys.executable, str(FAKE), *options, "--forget"]
    with subprocess.Popen(  # noqa: S603  no shell, and our own words
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            endpoint = process.stdout.readline().strip()
            process.stdin.write(f'[{{"fault": "Delay", "seconds": {LATENCY}}}]\n')
            process.stdin.flush()
            assert process.stdout.readline().strip() == "1"
            yield endpoint
        finally:
            process.terminate()


def sinks(bench: Bench, backlog: int, only: str) -> Iterator[str]:
    rates: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    with fake() as endpoint:
        AWS["AWS_ENDPOINT_URL"] = endpoint
        for _ in range(bench.rounds):
            for title, _, uri in SINKS:
                if only not in uri:
                    continue
                bench.fill(backlog)
                process = bench.relay(uri.format(endpoint=endpoint), "--drain")
                # What it costs to start Python says nothing about events.
                until(partial(bench.is_led_by, process))
                begun = time.monotonic()
                _, status, usage = os.wait4(process.pid, 0)
                took = time.monotonic() - begun
                process.returncode = os.waitstatus_to_exitcode(status)
                assert process.returncode == 0, title
                assert bench.count() == 0
                rates.setdefault(title, []).append(backlog / took)
                used = usage.ru_utime + usage.ru_stime
                cpu.setdefault(title, []).append(used / backlog * 1e6)
                bench.clear()
        alone = {
            title: client_alone(uri.format(endpoint=endpoint))
            for title, _, uri in SINKS
            if title in rates
        }
    heads = "events a second | µs of the relay's CPU | of these boto3's"
    yield f"| a backlog of {backlog:,} | {heads} |"
    yield "|---|---|---|---|"
    for title in rates:
        rate, used = statistics.median(rates[title]), statistics.median(cpu[title])
        yield f"| {title} | {rate:,.0f} | {used:.0f} | {alone[title]:.0f} |"


def client_alone(uri: str) -> float:
    """Microseconds of CPU that an event costs in a full call, nothing around it."""
    with mock.patch.dict(os.environ, AWS), contextlib.closing(open_sink(uri)) as sink:
        entries = sink.limits.entries
        events = [event(n) for n in range(1, CALLS_ALONE * entries + 1)]
        taken = []
        for start in range(0, len(events), entries):
            batch = events[start : start + entries]
            begun = time.process_time()
            results = sink.publish(batch, lambda: True)
            taken.append((time.process_time() - begun) / entries)
            assert set(results) == {ACKNOWLEDGED}
        return statistics.median(taken) * 1e6


def event(n: int) -> Event:
    """One like those of the backlog."""
    image = {"id": n, "status": "paid", "total": "129.90", "note": "x" * 200}
    envelope = {
        "id": f"{n}-{n:016x}",
        "sequence": n,
        "type": "orders.update",
        "source": "shop.orders",
        "operation": "update",
        "time": "2026-11-29T01:00:00.000000Z",
        "key": {"id": n},
        "before": image,
        "after": image,
        "transaction": None,
        "context": None,
    }
    return Event(n, n, f'shop.orders:{{"id": {n}}}', json.dumps(envelope))


def main() -> None:
    assert __doc__
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds measured (3)")
    parser.add_argument("--server", help="only this one: mysql, mariadb")
    parser.add_argument("--backlog", type=int, default=BACKLOG)
    parser.add_argument("--only", default="", help="sinks with this in their URI")
    given = parser.parse_args()
    for candidate in survey().candidates:
        if given.server not in (None, candidate.family, candidate.name):
            continue
        with candidate.start() as server, tempfile.TemporaryDirectory() as folder:
            print(f"\n## {server.server}\n", flush=True)
            bench = Bench(server, Path(folder), given.rounds)
            for line in sinks(bench, given.backlog, given.only):
                print(line, flush=True)
            bench.root.close()


if __name__ == "__main__":
    main()
