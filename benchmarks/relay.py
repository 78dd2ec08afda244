"""How fast a relay is, how soon another takes over, and what it costs to wait.

    make bench                                              some minutes a server
    python benchmarks/relay.py --server mysql --rounds 5    steadier figures

Prints Markdown tables for docs/benchmarks.md. Relays are the installed command, in
processes of their own; SQS is the strict fake of the tests, in another. What is
compared is measured in turn, round by round, and a figure is the median over the
rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import timeit
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from unittest import mock

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.server import Candidate, ThrowawayServer, survey
from evtrig.relay import outbox as outbox_module
from evtrig.relay.backlog import Backlog
from evtrig.relay.envelope import is_json
from evtrig.relay.event import Event
from evtrig.relay.metrics import Metrics
from evtrig.relay.outbox import Outbox
from evtrig.relay.sinks.sink import ACKNOWLEDGED, Result
from evtrig.triggers.render import (
    render_dead_letters,
    render_events,
    render_polling_state,
)

FAKE = Path(__file__).parent.parent / "tests" / "fakes" / "aws.py"

OUTBOX = "evtrig"
EVENTS, STATE = f"{OUTBOX}.events", f"{OUTBOX}.event_polling_state"

#: Events of the backlog, of the transaction that memory is measured with, and of rows
#: that an old snapshot keeps.
BACKLOG, LARGE, DELETED = 200_000, 1_000_000, 200_000
#: Different keys among them.
KEYS = 1000
#: Of the lease that has to run out.
TTL = 2
#: Changes a second, and for how many seconds.
RATE, STEADY = 500, 10
#: Seconds in which an empty outbox is watched.
IDLE = 10

DIGITS = " UNION ALL ".join(f"SELECT {n} AS n" for n in range(10))
NUMBER = "a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n + 100000 * f.n"
#: What a table of nine columns and 250 bytes makes of an update.
IMAGE = (
    """'{"id": ', x.n, ', "status": "paid", "total": "129.90", "note": "',"""
    " REPEAT('x', 200), '\"}'"
)
FILL = f"""\
INSERT INTO {EVENTS}
       (uid, type, source, operation, captured_at, `key`, `before`, `after`)
SELECT UUID_SHORT(), 'orders.update', 'shop.orders', 'update', UTC_TIMESTAMP(6),
       CONCAT('{{"id": ', MOD(x.n, {KEYS}), '}}'), CONCAT({IMAGE}), CONCAT({IMAGE})
  FROM (SELECT {NUMBER} AS n
          FROM ({DIGITS}) AS a, ({DIGITS}) AS b, ({DIGITS}) AS c, ({DIGITS}) AS d,
               ({DIGITS}) AS e, ({DIGITS}) AS f) AS x
 WHERE x.n < %s
"""
ONE = (
    f"INSERT INTO {EVENTS} (uid, type, source, operation, captured_at, `key`, `after`)"
    " VALUES (UUID_SHORT(), 'orders.update', 'shop.orders', 'update',"
    " UTC_TIMESTAMP(6), %s, %s)"
)


class Bench:
    """A server with an outbox, and a folder for what the relays write."""

    def __init__(self, server: ThrowawayServer, folder: Path, rounds: int) -> None:
        self.server, self.folder, self.rounds = server, folder, rounds
        self.dsn = server.dsn
        #: What the relays say.
        self.log = folder / "log"
        self.root = Connection(Dsn.parse(server.dsn))
        self.execute = self.root.execute
        self.execute(f"CREATE DATABASE {OUTBOX}")
        for render in (render_events, render_polling_state, render_dead_letters):
            self.execute(str(render(OUTBOX, server.server)))
        self.execute(f"INSERT INTO {STATE} (name) VALUES ('default')")
        # Durable commits, as in production: MariaDB's own default is less.
        for setting in ("innodb_flush_log_at_trx_commit = 1", "sync_binlog = 1"):
            self.execute(f"SET GLOBAL {setting}")

    def fill(self, count: int) -> None:
        self.execute(FILL, (count,))

    def clear(self) -> None:
        """Only a benchmark may TRUNCATE it: its ids begin again."""
        self.execute(f"TRUNCATE TABLE {EVENTS}")

    def count(self) -> int:
        return int(self.root.value(f"SELECT COUNT(*) FROM {EVENTS}"))

    def is_led_by(self, process: subprocess.Popen[bytes]) -> bool:
        name = self.root.value(f"SELECT IF(holder, holder_id, ':0') FROM {STATE}")
        return str(name).endswith(f":{process.pid}")

    def claim(self) -> int:
        return int(self.root.value(f"SELECT claim FROM {STATE}"))

    def has_claim_above(self, claim: int) -> bool:
        return self.claim() > claim

    def says(self, what: str, since: int) -> bool:
        """Whether a relay has said so, from this place in the log on."""
        return what in self.log.read_text()[since:]

    def relay(
        self, sink: str, *options: str, dsn: str | None = None
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "evtrig", "relay", "--dsn", dsn or self.dsn]
        with self.log.open("a") as log:
            return subprocess.Popen(  # noqa: S603  no shell, and our own words
                [*command, "--outbox", OUTBOX, "--sink", sink, *options],
                stderr=log,
                env=AWS,
            )

    @contextlib.contextmanager
    def running(
        self, sink: str, *options: str, dsn: str | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A relay that holds the lease."""
        process = self.relay(sink, *options, dsn=dsn)
        try:
            until(partial(self.is_led_by, process))
            yield process
        finally:
            process.terminate()
            process.wait()

    @contextlib.contextmanager
    def outbox(self) -> Iterator[Outbox]:
        outbox = Outbox.connect(Dsn.parse(self.dsn), OUTBOX, ttl=300)
        try:
            yield outbox
        finally:
            outbox.close()


#: For the fake; nothing of this machine's.
AWS = {
    **{k: v for k, v in os.environ.items() if not k.startswith("AWS_")},
    "AWS_ACCESS_KEY_ID": "fake",
    "AWS_SECRET_ACCESS_KEY": "fake",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@contextlib.contextmanager
def queue(log: Path | None = None) -> Iterator[str]:
    """A FIFO queue of the fake's, in a process of its own; its URL."""
    options = ["--queue", "orders.fifo", "--forget"]
    if log is not None:
        options += ["--log", str(log)]
    command = [sys.executable, str(FAKE), *options]
    with subprocess.Popen(  # noqa: S603  no shell, and our own words
        command, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            endpoint = process.stdout.readline().strip()
            yield f"sqs:{endpoint}/123456789012/orders.fifo"
        finally:
            process.terminate()


# How soon another takes over


def take_over(bench: Bench) -> Iterator[str]:
    died, handed = [], []
    file = f"file:{bench.folder / 'taken'}"
    rounds = 3 * bench.rounds
    leader = bench.relay(file, "--ttl", str(TTL))
    until(partial(bench.is_led_by, leader))
    for _ in range(rounds):
        said = bench.log.stat().st_size
        other = bench.relay(file, "--ttl", str(TTL))
        until(partial(bench.says, "waiting", said))
        leader.kill()
        begun = time.monotonic()
        until(partial(bench.is_led_by, other))
        died.append(time.monotonic() - begun)
        leader.wait()
        leader = other
    for _ in range(rounds):
        claim = bench.claim()
        newer = bench.relay(file, "--ttl", str(TTL), "--take-over")
        until(partial(bench.has_claim_above, claim))
        begun = time.monotonic()
        until(partial(bench.is_led_by, newer))
        handed.append(time.monotonic() - begun)
        leader.terminate()
        leader.wait()
        leader = newer
    leader.terminate()
    leader.wait()
    yield f"| seconds until the other holds the lease, {rounds} times | median | max |"
    yield "|---|---|---|"
    for title, seconds in (
        (f"the leader is killed, `--ttl {TTL}`", died),
        ("handed over: from the claim of one with `--take-over`", handed),
    ):
        yield f"| {title} | {statistics.median(seconds):.3f} | {max(seconds):.3f} |"


# How fast it is


def drain(bench: Bench) -> Iterator[str]:
    rates: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    memory: dict[str, list[float]] = {}
    for _ in range(bench.rounds):
        with queue() as url:
            path = bench.folder / "drained"
            for title, sink in (("`file:`", f"file:{path}"), ("`sqs:`, FIFO", url)):
                bench.fill(BACKLOG)
                begun = time.monotonic()
                process = bench.relay(sink, "--drain")
                _, status, usage = os.wait4(process.pid, 0)
                took = time.monotonic() - begun
                process.returncode = os.waitstatus_to_exitcode(status)
                assert process.returncode == 0, title
                assert bench.count() == 0
                rates.setdefault(title, []).append(BACKLOG / took)
                used = usage.ru_utime + usage.ru_stime
                cpu.setdefault(title, []).append(used / BACKLOG * 1e6)
                memory.setdefault(title, []).append(usage.ru_maxrss / 1024)
                bench.clear()
                path.unlink(missing_ok=True)
    heads = "events a second | µs of the relay's CPU an event | MB"
    yield f"| a backlog of {BACKLOG:,}, with the start of Python | {heads} |"
    yield "|---|---|---|---|"
    for title in rates:
        figures = [statistics.median(x[title]) for x in (rates, cpu, memory)]
        yield f"| {title} | {figures[0]:,.0f} | {figures[1]:.0f} | {figures[2]:.0f} |"


def large(bench: Bench) -> Iterator[str]:
    bench.fill(LARGE)
    path = bench.folder / "large"
    with bench.running(f"file:{path}") as process:
        begun = time.monotonic()
        until(lambda: bench.count() == 0, 600, every=0.25)
        took = time.monotonic() - begun
        status = Path(f"/proc/{process.pid}/status").read_text()
    most = re.search(r"VmHWM:\s+(\d+) kB", status)
    path.unlink()
    bench.clear()
    assert most
    yield (
        f"One transaction of {LARGE:,} events, to `file:`: {took:.0f} s,"
        f" {int(most[1]) / 1024:.0f} MB at most."
    )


def latency(bench: Bench) -> Iterator[str]:
    yield f"| ms from commit to sink, {RATE} changes a second | p50 | p99 | max |"
    yield "|---|---|---|---|"
    waits: dict[str, list[float]] = {}
    for _ in range(bench.rounds):
        log = bench.folder / "arrivals"
        with queue(log) as url, bench.running(url):
            committed = write_steadily(bench)
            until(lambda: bench.count() == 0)
        arrived: dict[int, float] = {}
        for line in log.read_text().splitlines():
            entry = json.loads(line)
            if entry["log"] == "arrival":
                n = json.loads(entry["body"])["after"]["n"]
                arrived.setdefault(n, entry["at"])
        log.unlink()
        waits.setdefault("`sqs:`, FIFO", []).extend(between(committed, arrived))
        with piped(bench) as (sink, got), bench.running(sink):
            committed = write_steadily(bench)
            until(lambda: bench.count() == 0)
        waits.setdefault("`file:`, a pipe", []).extend(between(committed, got))
    for title, seconds in waits.items():
        yield f"| {title} | {percentiles(seconds)} |"


def percentiles(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    shown = (0.5, 0.99, 1.0)
    at = [ordered[min(len(ordered) - 1, int(p * len(ordered)))] for p in shown]
    return " | ".join(f"{value * 1000:.1f}" for value in at)


def write_steadily(
    bench: Bench, rate: float = RATE, seconds: float = STEADY
) -> dict[int, float]:
    """When each change was committed, by its number."""
    committed = {}
    with Connection(Dsn.parse(bench.server.dsn)) as connection:
        begun = time.monotonic()
        for n in range(int(rate * seconds)):
            pause = begun + n / rate - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            key = json.dumps({"id": n % KEYS})
            connection.execute(ONE, (key, json.dumps({"n": n, "pad": "x" * 200})))
            committed[n] = time.monotonic()
    return committed


def between(committed: dict[int, float], arrived: dict[int, float]) -> list[float]:
    assert committed.keys() == arrived.keys()
    # The relay may be faster than the answer to the writer.
    return [max(0.0, arrived[n] - at) for n, at in committed.items()]


@contextlib.contextmanager
def piped(bench: Bench) -> Iterator[tuple[str, dict[int, float]]]:
    """A sink whose events are noted as they come, by their number."""
    path = bench.folder / "pipe"
    os.mkfifo(path)
    arrived: dict[int, float] = {}
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(path, os.O_WRONLY)
    os.set_blocking(reader, True)

    def read() -> None:
        with open(reader) as lines:
            for line in lines:
                at = time.monotonic()
                arrived.setdefault(json.loads(line)["after"]["n"], at)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield f"file:{path}", arrived
    finally:
        # The relay has its end; with this one closed the reader comes to its own.
        os.close(writer)
        thread.join()
        path.unlink()


# What waiting costs


def idle(bench: Bench) -> Iterator[str]:
    with bench.running(f"file:{bench.folder / 'idle'}") as process:
        # Until it is as calm as it gets.
        time.sleep(2)
        queries, cpu = questions(bench), used(process.pid)
        time.sleep(IDLE)
        queries = questions(bench) - queries
        cpu = used(process.pid) - cpu
    yield (
        f"An empty outbox: {queries / IDLE:.1f} queries a second,"
        f" {cpu / IDLE * 100:.2f} % of a core for the relay."
    )


def questions(bench: Bench) -> int:
    row = bench.root.row("SHOW GLOBAL STATUS LIKE 'Questions'")
    assert row
    return int(row[1])


def used(pid: int) -> float:
    """Seconds of CPU."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def statements(bench: Bench) -> Iterator[str]:
    """What the relay's statements take, by what is in the outbox."""
    times: dict[str, list[float]] = {}

    def measure(title: str, run: Callable[[], object], repeat: int) -> None:
        for _ in range(repeat):
            begun = time.perf_counter()
            run()
            times.setdefault(title, []).append(time.perf_counter() - begun)

    with bench.outbox() as outbox:
        for count in (0, 20_000, BACKLOG):
            if count:
                bench.fill(count)
            what = f"backlog {count:,}"
            measure(f"read of 200 from the head, {what}", lambda: outbox.read(200), 50)
            measure(f"`Watch`, {what}", lambda: outbox.watch(1), 500)
            if count == BACKLOG:
                for _ in range(5 * bench.rounds):
                    for title, looks in (
                        ("", is_json),
                        (", without looking whether it is JSON", lambda text: True),
                    ):
                        with mock.patch.object(outbox_module, "is_json", looks):
                            what = f"read of 5,000{title}"
                            measure(what, lambda: outbox.read(5000), 1)
            bench.clear()
        with old_snapshot(bench) as floor:
            what = f"{DELETED:,} deleted under an old snapshot"
            for _ in range(bench.rounds):
                measure(f"read of nothing, {what}", lambda: outbox.read(200), 3)
                measure("… from the floor", lambda: outbox.read(200, floor=floor), 30)
                measure(f"`Watch`, {what}", lambda: outbox.watch(1), 3)
                measure("… from the floor ", lambda: outbox.watch(1, floor), 30)
        bench.clear()
    yield "| statement | ms |"
    yield "|---|---|"
    for title, seconds in times.items():
        yield f"| {title} | {statistics.median(seconds) * 1000:.2f} |"


def backlog(bench: Bench) -> Iterator[str]:
    """What it takes to say how many events wait, and for how long."""
    yield "| waiting and age | median, ms | max |"
    yield "|---|---|---|"

    def measured(title: str, floor: int = 0) -> str:
        times = []
        with bench.outbox() as outbox:
            for _ in range(10 * bench.rounds):
                begun = time.perf_counter()
                outbox.backlog(floor)
                times.append((time.perf_counter() - begun) * 1000)
        return f"| {title} | {statistics.median(times):.2f} | {max(times):.2f} |"

    yield measured("nothing waits")
    for count in (BACKLOG // 10, LARGE):
        bench.fill(count)
        yield measured(f"{count:,} events")
        bench.clear()
    with old_snapshot(bench) as floor:
        what = f"{DELETED:,} deleted under an old snapshot"
        yield measured(what)
        yield measured("… from the floor", floor)
    bench.clear()


def counting(bench: Bench) -> Iterator[str]:
    """What the metrics take of the relay's time."""
    body = '{"type": "t", "source": "s", "time": "2026-11-28T12:00:00.000000Z"}'
    yield "| counting a call | µs | µs an event |"
    yield "|---|---|---|"
    for count in (10, 500):
        metrics = Metrics(["sink"])
        metrics.measured(Backlog(0, 0.0, 0.0), 0.0, 0.0)
        events = [Event(n, n, "key", body) for n in range(count)]
        results = [ACKNOWLEDGED] * count

        def call(
            metrics: Metrics = metrics,
            events: Sequence[Event] = events,
            results: Sequence[Result] = results,
        ) -> None:
            metrics.ends("sink", metrics.begins("sink", 0.0), 0.1)
            metrics.answered("sink", events, results, 1.0)

        took = min(timeit.repeat(call, number=2000, repeat=bench.rounds)) / 2000 * 1e6
        yield f"| {count} events | {took:.1f} | {took / count:.2f} |"


@contextlib.contextmanager
def old_snapshot(bench: Bench) -> Iterator[int]:
    """A transaction that still sees as many events as have been deleted; the first id
    that was not."""
    bench.fill(DELETED)
    with Connection(Dsn.parse(bench.dsn)) as old:
        old.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        old.rows(f"SELECT COUNT(*) FROM {EVENTS}")
        floor = int(bench.root.value(f"SELECT MAX(id) FROM {EVENTS}")) + 1
        bench.execute(f"DELETE FROM {EVENTS}")
        yield floor
        old.execute("COMMIT")


def snapshot(bench: Bench) -> Iterator[str]:
    """What an old snapshot does to a relay that may, or may not, see transactions."""
    accounts = {}
    for name in ("with", "without"):
        user = f"relay_{name}"
        bench.execute(f"CREATE USER {user}@'%'")
        bench.execute(f"GRANT ALL ON {OUTBOX}.* TO {user}@'%'")
        accounts[f"{name} PROCESS"] = bench.dsn.replace("root@", f"{user}@")
    bench.execute("GRANT PROCESS ON *.* TO relay_with@'%'")
    found: dict[str, list[float]] = {}
    cost: dict[str, list[float]] = {}
    for _ in range(bench.rounds):
        for title, dsn in accounts.items():
            with old_snapshot(bench), piped(bench) as (sink, got):
                with bench.running(sink, dsn=dsn):
                    # The floor is found by the time that counts.
                    write_steadily(bench, 20, 3)
                    until(lambda: bench.count() == 0)
                    got.clear()
                    server = used(server_pid(bench))
                    committed = write_steadily(bench, 20, 5)
                    until(lambda: bench.count() == 0)
                    server = used(server_pid(bench)) - server
                found.setdefault(title, []).extend(between(committed, got))
                cost.setdefault(title, []).append(server / 5 * 100)
            bench.clear()
    heads = "p50 | p99 | max | % of a core at the server"
    yield (
        f"| ms from commit to sink, 20 changes a second, {DELETED:,} deleted under an"
        f" old snapshot | {heads} |"
    )
    yield "|---|---|---|---|---|"
    for title, seconds in found.items():
        core = statistics.median(cost[title])
        yield f"| relay {title} | {percentiles(seconds)} | {core:.0f} |"


def server_pid(bench: Bench) -> int:
    pid_file = Path(str(bench.root.value("SELECT @@pid_file")))
    return int(pid_file.read_text())


def until(
    condition: Callable[[], object], seconds: float = 60, every: float = 0.002
) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            sys.exit("not in time")
        time.sleep(every)


SECTIONS: dict[str, Callable[[Bench], Iterator[str]]] = {
    "take-over": take_over,
    "drain": drain,
    "large": large,
    "latency": latency,
    "idle": idle,
    "statements": statements,
    "backlog": backlog,
    "counting": counting,
    "snapshot": snapshot,
}


def run(candidate: Candidate, rounds: int, sections: Sequence[str]) -> None:
    with candidate.start() as server, tempfile.TemporaryDirectory() as folder:
        print(f"\n## {server.server}", flush=True)
        bench = Bench(server, Path(folder), rounds)
        for name in sections:
            print(flush=True)
            for line in SECTIONS[name](bench):
                print(line, flush=True)
        bench.root.close()


def main() -> None:
    assert __doc__
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds measured (3)")
    parser.add_argument("--server", help="only this one: mysql, mariadb")
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="WHAT"
    )
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error("--rounds must be 1 or more")
    for candidate in survey().candidates:
        if given.server in (None, candidate.family, candidate.name):
            run(candidate, given.rounds, given.only)


if __name__ == "__main__":
    main()
