"""A schedule that starts the relay as a Lambda function, and everything that may go
wrong with that: then the question what was lost.

``python tests/chaos/invocations.py --invocations 200 --server mysql``. It starts an
invocation every two seconds where the template says a minute; the time-out is two of
these intervals, as there. Every other invocation goes as it should: it takes over from
the one before, publishes, and is superseded by the next. The rest is one of ``KINDS``.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import random
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # Run by path, with the folder of this file in front instead of its parent.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from chaos.fleet import AwsProcess, read_arrivals
from chaos.monkey import ALWAYS, Diary
from chaos.sandbox import ENDING, Invocation, Lambda
from chaos.workload import MarkedShop, Writers

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.checker import Report, check
from evtrig.demo.mysqld import Mysqld, programs
from evtrig.demo.server import LocalServer, ThrowawayServer

__all__ = ["KINDS", "Options", "Result", "Schedule", "main"]

#: Seconds between two scheduled invocations.
INTERVAL = 2.0
#: Of the lease: no longer than the interval, as ten seconds are in a minute.
TTL = 2
#: Within the time-out, less what an invocation has to end.
SECONDS = 2 * INTERVAL - ENDING
#: Invocations after the writers have stopped, within which the outbox must be empty.
TO_DRAIN = 4
#: Seconds from the call of a handler to its first call of the queue, on a machine that
#: is busy.
SLACK = 1.0
#: Seconds between two commits of the pulse, and how long one may take before it counts
#: as the machine's being slow.
BEAT, SLOW = 0.05, 0.1
#: Seconds until everything is over, however slow the machine is.
PATIENCE = 60
#: Seconds for which a call of a killed process may still be on its way.
LATE = 0.5
#: Lines of progress are this many invocations apart.
TELL = 20

#: What goes wrong with every other invocation, each as often as it stands here.
#:
#: * killed: its process, at any moment before the next takes over;
#: * hung: frozen instead, and killed at its limit: it keeps its lease, and its place
#:   among the two that may be busy;
#: * error: the sink forbids everything while it publishes;
#: * twice: the schedule, which promises at least once, starts it again;
#: * recycled: the idle sandboxes are ended before it, so that it starts cold.
KINDS = ("killed", "killed", "hung", "error", "twice", "recycled")


@dataclass(frozen=True)
class Options:
    invocations: int
    seed: str = "0"
    #: Transactions a second of each of three writers.
    rate: float = 10
    #: What goes wrong, if not everything.
    kinds: Sequence[str] = KINDS
    #: How long an invocation may publish.
    seconds: float = SECONDS
    broken: str | None = None


@dataclass
class Result:
    report: Report
    #: What happened how often, and what ended how.
    counts: Counter[str]
    #: What no fault excuses.
    findings: tuple[str, ...]
    #: Seconds in which nothing arrived, the longest.
    silence: float
    #: Seconds that the server spent on commits which took it very long.
    slow: float
    #: Seconds from asking for an invocation to the call of its handler, where a process
    #: had to be started.
    starts: Sequence[float]
    #: Seconds from the call of a handler to the return of the one that it supersedes.
    returns: Sequence[float]
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def is_clean(self) -> bool:
        return self.report.is_clean and not self.findings

    def text(self) -> str:
        lines = [
            self.report.summary(),
            "invocations: " + ", ".join(told(self.counts)),
            f"longest silence {self.silence:.2f} s; commits were slow for"
            f" {self.slow:.1f} s; a cold start took"
            f" {middle_and_most(self.starts)}; a superseded one returned after"
            f" {middle_and_most(self.returns)}",
            "transactions: " + ", ".join(told(self.outcomes)),
        ]
        return "\n".join([*lines, *self.findings])


class Pulse:
    """Commits a row again and again, while it is entered.

    Where that takes long the machine is slow, and not the relay.
    """

    def __init__(self, dsn: Dsn, table: str) -> None:
        self._beats: list[tuple[float, float]] = []
        self._dsn, self._table = dsn, table
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse")

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def slow(self, begin: float, end: float) -> float:
        """Seconds of slow commits in this time."""
        within = ((max(a, begin), min(b, end)) for a, b in self._beats if b - a > SLOW)
        return sum(b - a for a, b in within if b > a)

    def _run(self) -> None:
        with Connection(self._dsn) as connection:
            while not self._stop.wait(BEAT):
                begin = time.monotonic()
                connection.execute(f"UPDATE {self._table} SET n = n + 1")
                self._beats.append((begin, time.monotonic()))


class Schedule:
    """A server with a shop that is captured, writers, a queue, and the function."""

    def __init__(
        self,
        server: ThrowawayServer,
        folder: Path,
        options: Options,
        tell: Callable[[str], None],
        shop: MarkedShop,
    ) -> None:
        self._server, self._folder, self._options = server, folder, options
        self._tell, self._shop = tell, shop
        self._dice = random.Random(options.seed)
        self._dsn = Dsn.parse(server.dsn)
        self._pulse_table = f"{shop.schema}.pulse"
        self._pulse = Pulse(self._dsn, self._pulse_table)
        self._diary = Diary()
        self._counts: Counter[str] = Counter()
        self._log = folder / "sqs.ndjson"
        #: What is still to be done, in the order of the dice from the end.
        self._deck: list[str] = []
        #: When something is to be done, and what.
        self._due: list[tuple[float, Callable[[], object]]] = []
        #: Those that may end with an error.
        self._denied: set[Invocation] = set()
        #: Those that something was done to.
        self._disturbed: set[Invocation] = set()
        #: See ``Result.returns``.
        self._returns: list[float] = []

    def run(self) -> Result:
        self._install()
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(Connection(self._dsn))
            start = self._shop.rows(connection)
            self._aws = AwsProcess(self._log)
            stack.callback(self._aws.close)
            self._aws.script(*ALWAYS)
            self._lambda = Lambda(
                self._folder,
                {
                    "EVTRIG_DSN": self._server.dsn,
                    "EVTRIG_OUTBOX": self._shop.outbox,
                    "EVTRIG_SINK": self._aws.sink,
                    "EVTRIG_RELAY_TTL": str(TTL),
                },
                self._options.seconds,
                self._options.broken,
            )
            stack.callback(self._lambda.close)
            over = threading.Event()
            watch = threading.Thread(target=self._diary.watch, args=(over,))
            watch.start()
            stack.callback(watch.join)
            stack.callback(over.set)
            writers = Writers(
                self._shop,
                lambda: self._dsn,
                self._folder,
                seed=self._options.seed,
                rate=self._options.rate,
            )
            with writers, self._pulse:
                self._disturb(connection)
                quiet_at = time.monotonic()
            left = self._drain(connection)
            end = self._shop.rows(connection)
            transactions = writers.transactions(end)
        report = check(
            transactions,
            read_arrivals(self._log),
            start=start,
            end=end,
            faults=self._diary.faults,
            is_fifo=True,
            left=left,
        )
        return self._result(report, writers.outcomes, quiet_at)

    def _install(self) -> None:
        spec = self._folder / "evtrig.yml"
        spec.write_text(self._shop.spec, encoding="utf-8")
        with Connection(self._dsn) as connection:
            self._shop.create(connection)
            # It is not in the spec.
            connection.execute(f"CREATE TABLE {self._pulse_table} (n INT NOT NULL)")
            connection.execute(f"INSERT INTO {self._pulse_table} VALUES (0)")
        dsn = self._server.dsn_of(self._shop.schema)
        install = ["install", "--yes", "-s", str(spec), "--dsn", dsn]
        command = [sys.executable, "-m", "evtrig", *install]
        subprocess.run(command, check=True, capture_output=True)

    def _disturb(self, connection: Connection) -> None:
        at = time.monotonic()
        for number, kind in enumerate(self._kinds(), 1):
            self._until(at, connection)
            self._start(kind)
            at += INTERVAL
            if number % TELL == 0:
                self._tell(
                    f"{number} invocations, {self._aws.arrived} events arrived;"
                    f" {', '.join(told(self._counts))}"
                )
        self._until(at, connection)

    def _kinds(self) -> Iterator[str]:
        """What is done to each invocation: to as many as are asked for, and a few more
        if what was to be done to one that was turned away still is."""
        least = self._options.invocations
        for number in range(2 * least + 10):
            if number >= least and not self._deck:
                return
            if number % 2 == 0:
                yield "plain"
                continue
            if not self._deck:
                self._deck = list(self._options.kinds)
                self._dice.shuffle(self._deck)
            yield self._deck.pop()

    def _start(self, kind: str) -> None:
        if kind == "recycled":
            self._counts["sandboxes recycled"] += self._lambda.recycle()
        invocation = self._invoke()
        if invocation is None and kind != "plain":
            self._deck.append(kind)
            return
        moment = time.monotonic() + self._dice.uniform(0.1, 0.8) * INTERVAL
        if kind == "twice":
            self._counts["started twice"] += 1
            again = time.monotonic() + self._dice.uniform(0, 0.4) * INTERVAL
            self._due.append((again, self._invoke))
        elif invocation is not None and kind in ("killed", "hung", "error"):
            deed = {"killed": self._kill, "hung": self._hang, "error": self._deny}
            self._due.append((moment, lambda: deed[kind](invocation)))

    def _invoke(self) -> Invocation | None:
        others = len(self._lambda.busy)
        invocation = self._lambda.invoke()
        if invocation is not None:
            self._counts["cold" if invocation.is_cold else "warm"] += 1
            self._counts["overlapping"] += others > 0
        return invocation

    # What goes wrong

    def _kill(self, invocation: Invocation) -> None:
        if invocation.is_running:
            begin = time.monotonic()
            self._disturbed.add(invocation)
            self._lambda.kill(invocation)
            self._diary.note("killed at any moment", begin, explains=True)
            self._ended(invocation)

    def _hang(self, invocation: Invocation) -> None:
        if not invocation.is_running:
            return
        if invocation.begun_at is None:
            # It has no limit either.
            soon = time.monotonic() + 0.05 * INTERVAL
            self._due.append((soon, lambda: self._hang(invocation)))
        else:
            self._disturbed.add(invocation)
            invocation.sandbox.freeze()
            self._diary.note("hung", time.monotonic(), explains=True)

    def _deny(self, invocation: Invocation) -> None:
        if not invocation.is_running:
            return
        self._denied |= {s.invocation for s in self._lambda.busy if s.invocation}
        denied = {"fault": "Answer", "error": "access_denied"}
        self._aws.script({**denied, "action": "SendMessageBatch"}, *ALWAYS)
        mend = time.monotonic() + 0.2 * INTERVAL
        self._due.append((mend, lambda: self._aws.script(*ALWAYS)))

    # What becomes of it

    def _until(
        self,
        at: float,
        connection: Connection,
        is_done: Callable[[], bool] = lambda: False,
    ) -> None:
        while (now := time.monotonic()) < at and not is_done():
            due = [item for item in self._due if item[0] <= now]
            self._due = [item for item in self._due if item[0] > now]
            for _, deed in due:
                deed()
            for invocation in self._lambda.step():
                self._ended(invocation)
                self._look(invocation, connection)
            time.sleep(0.005)

    def _ended(self, invocation: Invocation) -> None:
        if invocation.was_killed and invocation.sandbox.is_frozen:
            self._diary.note("killed at its limit", time.monotonic(), explains=True)
        self._counts[f"ended: {invocation.end}"] += 1
        if invocation.end == "superseded":
            newest = self._lambda.invocations[-1]
            if newest.begun_at is not None and invocation.ended_at is not None:
                self._returns.append(invocation.ended_at - newest.begun_at)

    def _look(self, invocation: Invocation, connection: Connection) -> None:
        """At one that has ended by itself: it must have let its lease go."""
        if invocation.error is not None and invocation not in self._denied:
            self._find(invocation, invocation.error)
        if invocation.error is not None and "→" not in invocation.error:
            self._find(invocation, f"says not what to do: {invocation.error}")
        if invocation.was_killed and invocation not in self._disturbed:
            self._find(invocation, "was not over at its limit")
        if invocation.answer is not None and invocation.answer["epoch"]:
            state = f"{self._shop.outbox}.event_polling_state"
            holder = connection.value(f"SELECT holder FROM {state}")
            if holder == invocation.answer["epoch"]:
                self._find(invocation, "still holds the lease")

    def _find(self, invocation: Invocation, what: str) -> None:
        name = invocation.sandbox.log.name
        self._diary.findings.append(f"invocation {invocation.number}, {name}: {what}")

    def _drain(self, connection: Connection) -> int:
        """Let the schedule go on until the outbox is empty; what is left if it does not
        get so. Everything has ended then."""

        def is_empty() -> bool:
            return not self._shop.waiting(connection)

        at = time.monotonic()
        for _ in range(TO_DRAIN):
            self._invoke()
            at += INTERVAL
            self._until(at, connection, is_empty)
            if is_empty():
                break
        self._until(
            time.monotonic() + PATIENCE, connection, lambda: not self._lambda.busy
        )
        for sandbox in self._lambda.busy:
            assert sandbox.invocation is not None
            self._find(sandbox.invocation, f"was not over after {PATIENCE} s")
            self._lambda.kill(sandbox.invocation)
        return len(self._shop.waiting(connection))

    def _result(
        self, report: Report, outcomes: Counter[str], quiet_at: float
    ) -> Result:
        invocations = self._lambda.invocations
        counts = self._counts + self._diary.counts
        counts["begun"] = len(invocations)
        counts["frozen between"] = self._lambda.frozen
        counts["turned away"] = self._lambda.throttled
        starts = [
            invocation.begun_at - invocation.asked_at
            for invocation in invocations
            if invocation.is_cold and invocation.begun_at is not None
        ]
        sent = [Sending.of(call, invocations) for call in calls(self._log)]
        gaps = list(silences(sent, quiet_at, self._pulse.slow))
        findings = [*self._diary.findings, *self._lambda.findings]
        findings += overtaken(sent, self._lambda.epochs())
        findings += [
            f"nothing arrived for {seconds:.2f} s, {bound:.2f} s are allowed"
            for seconds, bound in gaps
            if seconds > bound
        ]
        return Result(
            report=report,
            counts=counts,
            findings=tuple(findings),
            silence=max((seconds for seconds, _ in gaps), default=0.0),
            slow=self._pulse.slow(0, quiet_at),
            starts=starts,
            returns=self._returns,
            outcomes=outcomes,
        )


def calls(log: Path) -> list[dict[str, Any]]:
    """Those that brought events, in the order in which they came."""
    with log.open(encoding="utf-8") as file:
        found = [json.loads(line) for line in file if line.startswith('{"log": "call"')]
    sent = [call for call in found if call["action"] == "SendMessageBatch"]
    return sorted(sent, key=lambda call: float(call["at"]))


@dataclass(frozen=True)
class Sending:
    """A call that brought events, and whose it was."""

    at: float
    access_key: str
    #: How many events were taken of it.
    accepted: int
    #: None for a sandbox that had none at that moment.
    invocation: Invocation | None

    @classmethod
    def of(cls, call: dict[str, Any], invocations: Sequence[Invocation]) -> Sending:
        at, key = call["at"], call["access_key"]
        begun = [
            invocation
            for invocation in invocations
            if invocation.sandbox.access_key == key
            and invocation.begun_at is not None
            and invocation.begun_at <= at
        ]
        return cls(at, key, call["accepted"], begun[-1] if begun else None)


def overtaken(sent: Sequence[Sending], epochs: dict[int, int]) -> Iterator[str]:
    """Calls of an invocation after a newer one has published, or without a lease."""
    newest = 0
    for sending in sent:
        invocation = sending.invocation
        if invocation is None or invocation.number not in epochs:
            yield f"{sending.access_key} published without the lease"
            continue
        assert invocation.ended_at is not None
        if sending.at > invocation.ended_at + LATE * invocation.was_killed:
            yield f"invocation {invocation.number} published after its end"
        epoch = epochs[invocation.number]
        if epoch < newest:
            yield f"invocation {invocation.number} published though a newer one does"
        newest = max(newest, epoch)


def silences(
    sent: Sequence[Sending], end: float, slow: Callable[[float, float], float]
) -> Iterator[tuple[float, float]]:
    """Seconds between two calls of which something was taken, while writers wrote, and
    how many they may be: until the next invocation, what that took to start, and what
    was slow of it for everybody."""
    taken = [sending for sending in sent if sending.accepted]
    for one, other in itertools.pairwise(taken):
        if other.at > end:
            break
        start = 0.0
        invocation = other.invocation
        if invocation not in (None, one.invocation):
            assert invocation is not None
            assert invocation.begun_at is not None
            start = invocation.begun_at - invocation.asked_at
        bound = INTERVAL + start + SLACK + slow(one.at, other.at)
        yield other.at - one.at, bound


def told(counts: Counter[str]) -> list[str]:
    return [f"{count} {what}" for what, count in counts.most_common() if count]


def middle_and_most(seconds: Sequence[float]) -> str:
    if not seconds:
        return "no time"
    return f"{statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s"


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 if anything is found; what it was stays in a folder then."""
    found = {program.server.family: program for program in programs()[0]}
    parser = argparse.ArgumentParser(description="The relay as a scheduled Lambda.")
    parser.add_argument("--invocations", type=int, default=200, help="on each server")
    parser.add_argument("--server", choices=("mysql", "mariadb"), help="default: both")
    parser.add_argument("--seed", help="default: a new one, which is printed")
    parser.add_argument("--rate", type=float, default=10, help="of each writer")
    parser.add_argument(
        "--broken",
        metavar="CLASS",
        help="run this outbox of tests/chaos/broken.py: something must be found",
    )
    asked = parser.parse_args(arguments)
    code = 0
    for family in (asked.server,) if asked.server else ("mysql", "mariadb"):
        if family not in found:
            print(f"NOT RUN: no {family} on this machine, make servers installs it")
            code = 1
            continue
        seed = asked.seed or secrets.token_hex(4)
        options = Options(asked.invocations, seed, asked.rate, broken=asked.broken)
        folder = Path(tempfile.mkdtemp(prefix=f"evtrig-invocations-{family}-"))
        program = found[family]
        print(f"{program.server}, {asked.invocations} invocations, seed {seed}")

        def tell(text: str, name: str = family) -> None:
            print(f"{name} {text}", flush=True)

        try:
            with LocalServer(Mysqld(program)) as server:
                result = Schedule(server, folder, options, tell, MarkedShop()).run()
        except BaseException:
            print(f"STOPPED: what there is, is in {folder}; seed {seed}")
            raise
        print(result.text(), flush=True)
        if result.is_clean:
            shutil.rmtree(folder)
        else:
            code = 1
            print(f"FOUND: see {folder}; seed {seed}")
    return code


if __name__ == "__main__":
    sys.exit(main())
