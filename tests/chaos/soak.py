"""Hours of faults: writers, relays and a monkey, and then the question what was lost.

``make soak MINUTES=60 ARGS="--server mysql --seed 7"``, or ``python
tests/chaos/soak.py --help``. A run is made of rounds of a few minutes. At the end of
each everything becomes quiet, and the writers' journals are compared with the log of
the queue; so memory and disk hold one round, however long it lasts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import resource
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    # Run by path, with the folder of this file in front instead of its parent.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from chaos.fleet import AwsProcess, Fleet, read_arrivals
from chaos.monkey import Diary, Monkey
from chaos.proxy import Proxy
from chaos.workload import MarkedShop, Writers

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.checker import NEAR, Report, check
from evtrig.demo.mysqld import Mysqld, programs
from evtrig.demo.server import LocalServer
from evtrig.errors import DatabaseError

__all__ = ["Options", "Result", "Soak", "main"]

#: Seconds in which the outbox must be empty when nothing goes wrong any more.
DRAIN_SECONDS = 30
#: Seconds between two lines of progress.
TELL = 10
#: How many of each kind of fault are written down.
SHOWN = 20


@dataclass(frozen=True)
class Options:
    seconds: float
    seed: str = "0"
    #: Of a round.
    longest: float = 300
    #: Between two crashes of the server, about.
    crashes: float = 150
    #: Transactions a second of each of three writers.
    rate: float = 25
    ttl: int = 3
    broken: str | None = None


@dataclass
class Result:
    """Of a round."""

    report: Report
    diary: Diary
    outcomes: Counter[str]
    seconds: float
    #: Of these, how many were not near a fault that explains a duplicate.
    calm: float

    @property
    def is_clean(self) -> bool:
        return self.report.is_clean and not self.diary.findings

    def text(self) -> str:
        report, faults = self.report, self.diary.counts
        lines = [
            f"changes: {report.committed} committed, {report.rolled_back} rolled back;"
            f" events: {report.published} published, in {self.seconds:.0f} s",
            f"{len(report.lost)} lost, {len(report.phantom)} phantom,"
            f" {len(report.order)} first occurrences out of order,"
            f" {len(report.content)} with wrong content,"
            f" {len(report.incomplete)} incomplete transactions",
            f"{report.duplicates} duplicates,"
            f" {len(report.unexplained)} of them in the {self.calm:.0f} s that have no"
            f" fault near; {len(report.overtaken)} delivered after a newer one",
            f"{report.left} left in the outbox, {len(report.different)} rows different"
            " for a consumer",
            "transactions: " + ", ".join(told(self.outcomes)),
            "faults: " + ", ".join(told(faults)),
        ]
        return "\n".join(lines + self.diary.findings)


class Soak:
    """A server with a shop that is captured, and as many rounds as are asked for."""

    def __init__(
        self,
        server: LocalServer,
        folder: Path,
        options: Options,
        tell: Callable[[str], None],
    ) -> None:
        self._server, self._folder, self._options = server, folder, options
        self._tell = tell
        self._shop = MarkedShop()
        self._dice = random.Random(options.seed)
        self._direct = Dsn.parse(f"{server.dsn}?tls=off")

    def run(self) -> Result:
        """All rounds together; it ends early with the first that finds something."""
        self._install()
        end = time.monotonic() + self._options.seconds
        total: Result | None = None
        number = 0
        while total is None or (total.is_clean and end - time.monotonic() > 5):
            number += 1
            folder = self._folder / f"round-{number}"
            folder.mkdir()
            seconds = min(self._options.longest, end - time.monotonic())
            result = self._round(folder, seconds)
            self._tell(f"round {number}: {result.report.summary()}")
            if result.is_clean:
                shutil.rmtree(folder)
            total = result if total is None else add(total, result)
        return total

    def _install(self) -> None:
        spec = self._folder / "evtrig.yml"
        spec.write_text(self._shop.spec, encoding="utf-8")
        with Connection(self._direct) as connection:
            self._shop.create(connection)
        subprocess.run(
            [
                sys.executable,
                "-m",
                "evtrig",
                "install",
                "--yes",
                "-s",
                str(spec),
                "--dsn",
                self._server.dsn_of(self._shop.schema),
            ],
            check=True,
            capture_output=True,
        )

    def _round(self, folder: Path, seconds: float) -> Result:
        options, shop, diary = self._options, self._shop, Diary()
        begin = time.monotonic()
        with contextlib.ExitStack() as stack:
            with Connection(self._direct) as connection:
                shop.forget_marks(connection)
                # Nobody reads it, and in hours it would fill the disk.
                connection.execute("FLUSH BINARY LOGS")
                connection.execute("PURGE BINARY LOGS BEFORE NOW()")
                start = shop.rows(connection)
            port = self._direct.port
            seed = self._dice.randrange(1 << 32)
            relays_way = stack.enter_context(Proxy(port, seed=seed))
            writers_way = stack.enter_context(Proxy(port, seed=seed + 1))
            aws = AwsProcess(folder / "sqs.ndjson")
            stack.callback(aws.close)
            dsn = f"mysql://root@127.0.0.1:{relays_way.port}?tls=off"
            fleet = Fleet(
                dsn, shop.outbox, aws.sink, folder, options.ttl, options.broken
            )
            stack.callback(fleet.close)
            over = threading.Event()
            watch = threading.Thread(target=diary.watch, args=(over,), name="watch")
            watch.start()
            stack.callback(watch.join)
            stack.callback(over.set)
            way = Dsn.parse(f"mysql://root@127.0.0.1:{writers_way.port}?tls=off")
            monkey = Monkey(
                random.Random(seed),
                diary,
                self._server,
                fleet,
                aws,
                relays_way,
                writers_way,
                leader=self._leader,
                crashes=options.crashes,
            )
            writers = Writers(
                shop, lambda: way, folder, seed=seed, count=3, rate=options.rate
            )
            with writers:
                self._disturb(monkey, writers, aws, diary, begin, begin + seconds)
                monkey.calm()
            left = self._drain(monkey)
            monkey.end()
            with Connection(self._direct) as connection:
                end = shop.rows(connection)
            outcomes = writers.outcomes
            transactions = writers.transactions(end)
        report = check(
            transactions,
            read_arrivals(folder / "sqs.ndjson"),
            start=start,
            end=end,
            faults=diary.faults,
            is_fifo=True,
            left=left,
        )
        diary.counts += calls(folder / "sqs.ndjson")
        now = time.monotonic()
        calm = now - begin - near(diary.faults, begin, now)
        result = Result(report, diary, outcomes, now - begin, calm)
        if not result.is_clean:
            (folder / "findings.txt").write_text(findings(result), encoding="utf-8")
        return result

    def _disturb(
        self,
        monkey: Monkey,
        writers: Writers,
        aws: AwsProcess,
        diary: Diary,
        begin: float,
        end: float,
    ) -> None:
        tell_at = begin + TELL
        while (now := time.monotonic()) < end and not diary.findings:
            monkey.step()
            if now >= tell_at:
                tell_at += TELL
                committed = writers.outcomes["committed"]
                self._tell(
                    f"{now - begin:4.0f} s: {committed} transactions committed,"
                    f" {aws.arrived} events arrived,"
                    f" {diary.counts.total()} faults"
                )
            time.sleep(0.05)

    def _drain(self, monkey: Monkey) -> int:
        """Wait until the outbox is empty; what is left if it does not get so."""
        deadline = time.monotonic() + DRAIN_SECONDS
        with Connection(self._direct) as connection:
            while left := len(self._shop.waiting(connection)):
                if time.monotonic() > deadline:
                    break
                monkey.settle()
                time.sleep(0.05)
        return left

    def _leader(self) -> int:
        state = f"{self._shop.outbox}.event_polling_state"
        try:
            with Connection(self._direct, connect_timeout=2, read_timeout=2) as look:
                row = look.row(
                    "SELECT IF(holder > 0 AND expires_at > UTC_TIMESTAMP(6), holder_id,"
                    f" ':0') FROM {state}"
                )
        except DatabaseError:
            return 0
        return int(row[0].rpartition(":")[2]) if row else 0


def calls(log: Path) -> Counter[str]:
    """What the fake made go wrong by itself."""
    counts: Counter[str] = Counter()
    with log.open(encoding="utf-8") as file:
        for line in file:
            if line.startswith('{"log": "call"'):
                call = json.loads(line)
                counts["entries failed"] += call["failed"]
                if call["outcome"] != "answered":
                    counts[f"calls {call['outcome']}"] += 1
    return +counts


def add(one: Result, other: Result) -> Result:
    """Two rounds together; everything that was found is in the second."""
    fields = vars(other.report)
    numbers = ("committed", "rolled_back", "published", "duplicates")
    fields = {**fields, **{n: getattr(one.report, n) + fields[n] for n in numbers}}
    diary = Diary(
        counts=one.diary.counts + other.diary.counts, findings=other.diary.findings
    )
    outcomes = one.outcomes + other.outcomes
    seconds, calm = one.seconds + other.seconds, one.calm + other.calm
    return Result(Report(**fields), diary, outcomes, seconds, calm)


def near(faults: list[tuple[float, float]], begin: float, end: float) -> float:
    """Seconds from ``begin`` to ``end`` that are near one of these."""
    seconds, covered = 0.0, begin
    for start, stop in sorted(faults):
        start, stop = max(start - NEAR, covered), min(stop + NEAR, end)
        if stop > start:
            seconds += stop - start
            covered = stop
    return seconds


def findings(result: Result) -> str:
    """The counts, the first of each fault, and what was done when."""
    lines = [result.text(), ""]
    for name, found in vars(result.report).items():
        if isinstance(found, tuple):
            lines += [f"{name}: {item}" for item in found[:SHOWN]]
    lines += [
        f"{begin:.3f} to {end:.3f}: {what}"
        for begin, end, what in sorted(result.diary.entries)
    ]
    return "\n".join(lines) + "\n"


def told(counts: Counter[str]) -> list[str]:
    return [f"{count} {what}" for what, count in counts.most_common()]


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 if anything is found; what it was stays in a folder then."""
    found = {program.server.family: program for program in programs()[0]}
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=10, help="for each server")
    parser.add_argument("--server", choices=("mysql", "mariadb"), help="default: both")
    parser.add_argument("--seed", help="default: a new one, which is printed")
    parser.add_argument("--round", type=float, default=5, help="minutes between checks")
    parser.add_argument("--rate", type=float, default=25, help="of each writer")
    parser.add_argument("--ttl", type=int, default=3)
    parser.add_argument(
        "--broken",
        metavar="CLASS",
        help="run this outbox of tests/chaos/broken.py: something must be found",
    )
    asked = parser.parse_args(arguments)
    families = (asked.server,) if asked.server else ("mysql", "mariadb")
    code = 0
    for family in families:
        if family not in found:
            print(f"NOT RUN: no {family} on this machine, make servers installs it")
            code = 1
            continue
        options = Options(
            seconds=60 * asked.minutes,
            seed=asked.seed or secrets.token_hex(4),
            longest=60 * asked.round,
            rate=asked.rate,
            ttl=asked.ttl,
            broken=asked.broken,
        )
        folder = Path(tempfile.mkdtemp(prefix=f"evtrig-soak-{family}-"))
        program = found[family]
        print(f"{program.server}, {asked.minutes:g} minutes, seed {options.seed}")

        def tell(text: str, name: str = family) -> None:
            print(f"{name} {text}", flush=True)

        try:
            with LocalServer(Mysqld(program)) as server:
                result = Soak(server, folder, options, tell).run()
                files = (path for path in server.folder.rglob("*") if path.is_file())
                disk = sum(path.stat().st_size for path in files) >> 20
        except BaseException:
            print(f"STOPPED: what there is, is in {folder}; seed {options.seed}")
            raise
        print(result.text())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"memory: {peak} MiB at most; the server's files: {disk} MiB")
        if result.is_clean:
            shutil.rmtree(folder)
        else:
            code = 1
            print(f"FOUND: see {folder}; seed {options.seed}")
    return code


if __name__ == "__main__":
    sys.exit(main())
