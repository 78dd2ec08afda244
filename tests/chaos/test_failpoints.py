"""A relay that dies, or freezes and goes on later, at every step that there is.

Before and after each statement and each read, and within a call to the sink: another
relay takes over, nothing is lost or out of order, and one that was frozen sends and
deletes nothing afterwards. The steps are those of failpoint.py.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from chaos import failpoint
from chaos.box import INSERT, Box, Writers, until
from chaos.failpoint import PASSED, SIGNAL, STEPS, VARIABLE
from fakes.aws import FakeAws
from fakes.faults import FailEntries
from fakes.sqs import Queue

from evtrig.demo.server import ThrowawayServer

# It keeps all of a machine busy: one of these at a time.
pytestmark = pytest.mark.xdist_group("busy")

#: Seconds of the lease.
TTL = 2
#: Outboxes that are tried at the same time, each with a queue: waiting for a lease to
#: run out costs nothing.
QUEUES = ("one.fifo", "two.fifo", "three.fifo", "four")
#: Which time a step is failed at, where the first would tell little. The first look is
#: that of connecting, and the first reads are of what waits anyway.
TIMES = {"look": 2, "watch": 2, "read": 3, "publish": 4, "delete": 2}
#: How often a step is tried, and seconds in which anything happens, however busy the
#: machine is.
TRIES = 3
PATIENCE = 60
#: Calls of ten events that may be in flight.
IN_FLIGHT = 160


class Lane:
    """An outbox with a queue, writers, and a relay that stands by for victims."""

    def __init__(self, box: Box, aws: FakeAws, queue: Queue, folder: Path) -> None:
        self.box, self.aws, self.queue, self.folder = box, aws, queue, folder
        self.writers = Writers(box, count=2, pause=0.01)
        #: Seconds from the end of a leader to its successor's lease.
        self.gaps: list[float] = []
        #: Calls of frozen relays that arrived late, past any fence.
        self.late = 0
        self._numbers = count(1)
        self._poison: list[str] = []
        #: Of each victim: its log, what failpoint.py counts, and the signal.
        self._files: dict[int, tuple[Path, Path, str]] = {}
        self._standby = self.shipped()
        until(lambda: box.holder == self._standby.pid, PATIENCE)

    def shipped(self, *options: str) -> subprocess.Popen[str]:
        """A relay as it is installed."""
        with (self.folder / f"{self.queue.name}.log").open("a") as log:
            return self.box.relay(
                f"sqs:{self.queue.url}",
                *("--ttl", str(TTL), "--on-refused", "park-key", *options),
                stderr=log,
            )

    def victim(self, step: str, signal_: str) -> subprocess.Popen[str]:
        """One that fails at the step, as soon as it is told to begin."""
        name = f"{self.queue.name}-{next(self._numbers)}"
        log, passed = (self.folder / f"{name}.{kind}" for kind in ("log", "passed"))
        passed.write_bytes(bytes(1))
        time_ = TIMES.get(step.partition(":")[0], 1)
        # Whoever stands by would not get to look, and others would not get further.
        options = [] if step.startswith("look") else ["take over"]
        program = [sys.executable, failpoint.__file__, self.box.dsn, self.box.schema]
        with log.open("w") as file:
            process = subprocess.Popen(
                [*program, self.queue.url, str(TTL), *options],
                env={
                    **os.environ,
                    VARIABLE: f"{step}:{time_}",
                    SIGNAL: signal_,
                    PASSED: str(passed),
                },
                stdin=subprocess.PIPE,
                stderr=file,
                text=True,
            )
        self.box.relays.append(process)
        self._files[process.pid] = log, passed, signal_
        return process

    # What is done to the victims

    def kill(self, victim: subprocess.Popen[str], step: str) -> None:
        victim, at, _ = self._fail(victim, step)
        assert victim.wait(PATIENCE) == -signal.SIGKILL
        self._is_taken_over(at)

    def freeze(self, victim: subprocess.Popen[str], step: str) -> None:
        victim, at, has_led = self._fail(victim, step)
        granted = self._is_taken_over(at)
        if has_led:
            self._was_quiet(at, granted)
        self.wake(victim, step)

    def wake(self, victim: subprocess.Popen[str], step: str) -> None:
        """Let a frozen relay go on while its successor cannot do anything: whatever
        happens then it has done itself."""
        box, leader = self.box, self._standby
        log, passed, _ = self._files[victim.pid]
        with stopped(leader):
            until(lambda: self._is_idle, PATIENCE)
            box.query(f"UPDATE {box.state} SET expires_at = '2099-01-01'")
            ids = set(box.query(f"SELECT id FROM {box.events}"))
            calls = {arrival.call for arrival in self.queue.arrivals}
            said = log.stat().st_size
            # Those that a fence in the client cannot hold back any more.
            most = passed.read_bytes()[0]
            victim.send_signal(signal.SIGCONT)
            if step.startswith("release"):
                # It was told to stop, and does.
                assert victim.wait(PATIENCE) == 0
            else:
                # It stands by, or asks again: either way it is told no twice.
                looked = "reached look:after"
                until(lambda: log.read_text()[said:].count(looked) > 1, PATIENCE)
            late = len({arrival.call for arrival in self.queue.arrivals} - calls)
            assert late <= most, "sent by a relay that had lost its lease"
            if step == "publish:asked":
                assert late, "a call that was let through is not noticed here"
            assert ids <= set(box.query(f"SELECT id FROM {box.events}"))
            assert box.holder == leader.pid
        self.late += late
        if victim.poll() is None:
            victim.terminate()
            assert victim.wait(PATIENCE) == 0

    def take_over(self, victim: subprocess.Popen[str], step: str) -> None:
        """The same where somebody newer claims the lease without waiting for it to be
        free."""
        victim, at, has_led = self._fail(victim, step)
        newer = self.shipped("--take-over")
        # The other one stands by for good: two successors would be one too many.
        self._standby.terminate()
        assert self._standby.wait(PATIENCE) == 0
        self._standby = newer
        granted = self._is_taken_over(at)
        if has_led:
            self._was_quiet(at, granted)
        self.wake(victim, step)

    def check(self) -> None:
        """Once the writers have stopped: what is left of it all."""
        until(lambda: len(self.box) == 0, PATIENCE)
        self._standby.terminate()
        assert self._standby.wait(PATIENCE) == 0
        arrived = [json.loads(arrival.body) for arrival in self.queue.arrivals]
        delivered = [json.loads(arrival.body) for arrival in self.queue.delivered]
        again = self.writers.check(delivered)
        if self.queue.fifo:
            assert again == 0, "an old event behind a newer one"
            again = self.writers.check(arrived)
        assert again <= IN_FLIGHT * len(self._files)
        letters = self.box.query(
            f"SELECT `key`, reason FROM {self.box.schema}.dead_letters ORDER BY id"
        )
        assert letters == tuple(
            (key, reason) for key in self._poison for reason in ("refused", "behind")
        )

    # How the victims get there

    def _fail(
        self, victim: subprocess.Popen[str], step: str
    ) -> tuple[subprocess.Popen[str], float, bool]:
        """Let one get to the step: which it was, when, and whether it held the lease.

        On a machine that is busy enough one may lose its short lease before; it is
        given up for another then.
        """
        for _ in range(TRIES):
            with contextlib.suppress(AssertionError):
                self._begin(victim, step)
                until(functools.partial(has_failed, victim), 10)
                return victim, time.monotonic(), self.box.holder == victim.pid
            victim.kill()
            victim.wait()
            signal_ = self._files[victim.pid][2]
            victim = self.victim(step, signal_)
        raise AssertionError("never reached")

    def _begin(self, victim: subprocess.Popen[str], step: str) -> None:
        assert victim.stdin is not None
        victim.stdin.write("begin\n")
        victim.stdin.close()
        if step.startswith(("park", "release")):
            until(lambda: self.box.holder == victim.pid, 10)
        if step.startswith("park"):
            self._insert_poison()
        if step.startswith("release"):
            victim.terminate()

    def _insert_poison(self) -> None:
        """An event that the queue refuses, and one that has to wait behind it."""
        key = json.dumps({"id": f"poison-{len(self._poison)}"})
        self._poison.append(key)
        for value in ("poison", "good"):
            self.box.query(
                INSERT.format(events=self.box.events), key, json.dumps({"n": value})
            )

    # What has to hold then

    def _is_taken_over(self, at: float) -> float:
        """When the successor was granted the lease, or a little before."""
        # Not as long as a claim of the victim makes it let the lease go.
        until(lambda: self.box.leader == self._standby.pid, PATIENCE)
        now = time.monotonic()
        ((age,),) = self.box.query(
            "SELECT TIMESTAMPDIFF(MICROSECOND, expires_at - INTERVAL %s SECOND,"
            f" UTC_TIMESTAMP(6)) FROM {self.box.state}",
            TTL,
        )
        granted = now - float(str(age)) / 1e6
        self.gaps.append(granted - at)
        arrived = self.queue.arrived
        until(lambda: self.queue.arrived > arrived, PATIENCE)
        return granted

    def _was_quiet(self, at: float, granted: float) -> None:
        """From its end until its successor was granted the lease nothing has arrived:
        half a second for what was under way."""
        between = [a for a in self.queue.arrivals if at + 0.5 < a.at < granted]
        assert not between, "sent by a relay that had been stopped"

    @property
    def _is_idle(self) -> bool:
        """Whether nothing is under way any more: of the holder, which has been stopped,
        or of a victim, whose last call may have arrived after it was."""
        if time.monotonic() - self.queue.arrivals[-1].at < 0.2:
            return False
        if not self.aws.is_idle:
            return False
        ((is_idle,),) = self.box.query(
            "SELECT command = 'Sleep' FROM information_schema.processlist"
            f" WHERE id = (SELECT holder_connection FROM {self.box.state})"
        )
        return bool(is_idle)


def has_failed(process: subprocess.Popen[str]) -> bool:
    """Whether it has ended or stopped; leaves it to be waited for."""
    which = os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, process.pid, which) is not None


@contextlib.contextmanager
def stopped(process: subprocess.Popen[str]) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    until(lambda: has_failed(process))
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


Deed = Callable[[Lane, subprocess.Popen[str], str], None]


def run(lane: Lane, steps: Sequence[str], signal_: str, deed: Deed) -> None:
    """Do this to a victim at each step; the next one is started meanwhile."""
    with lane.writers:
        victim = lane.victim(steps[0], signal_) if steps else None
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            next_ = lane.victim(following, signal_) if following else None
            assert victim is not None
            try:
                deed(lane, victim, step)
            except BaseException as error:
                raise AssertionError(f"{step} of {lane.queue.name}") from error
            victim = next_
    lane.check()


@pytest.fixture
def lanes(
    server: ThrowawayServer, schema: str, tmp_path: Path, aws: FakeAws
) -> Iterator[list[Lane]]:
    with contextlib.ExitStack() as stack:
        aws.faults.add(
            FailEntries(
                "InvalidMessageContents",
                sender_fault=True,
                where=lambda entry: '"n": "poison"' in entry["MessageBody"],
            )
        )
        lanes = []
        for number, name in enumerate(QUEUES):
            box = Box(server, schema, f"{schema}_{number}")
            stack.callback(box.drop)
            lanes.append(Lane(box, aws, aws.sqs.create_queue(name), tmp_path))
        yield lanes


def in_all(lanes: list[Lane], steps: Sequence[str], signal_: str, deed: Deed) -> None:
    """Deal the steps out to the lanes, which run at the same time."""
    with ThreadPoolExecutor(len(lanes)) as pool:
        done = [
            pool.submit(run, lane, steps[number :: len(lanes)], signal_, deed)
            for number, lane in enumerate(lanes)
        ]
    for lane in done:
        lane.result()


def test_a_relay_that_dies_at_any_step_loses_nothing(lanes: list[Lane]) -> None:
    in_all(lanes, STEPS, "SIGKILL", Lane.kill)

    gaps = [gap for lane in lanes for gap in lane.gaps]
    assert len(gaps) == len(STEPS)
    assert max(gaps) < TTL + 1, gaps


def test_a_relay_that_was_frozen_at_any_step_sends_and_deletes_nothing_later(
    lanes: list[Lane],
) -> None:
    # Each step meets another kind of queue than in the test before.
    in_all(lanes[::-1], STEPS, "SIGSTOP", Lane.freeze)


def test_nor_does_it_once_a_newer_one_has_taken_over(lanes: list[Lane]) -> None:
    steps = (
        *("publish:signed", "publish:sent", "publish:after", "delete:before"),
        *("park:between", "watch:after", "renew:before"),
    )
    in_all(lanes, steps, "SIGSTOP", Lane.take_over)
