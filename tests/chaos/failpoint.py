"""A relay that kills or freezes itself at a named step.

::

    EVTRIG_FAILPOINT=delete:before:2 EVTRIG_FAILS=SIGSTOP EVTRIG_PASSED=FILE \\
        python tests/chaos/failpoint.py DSN OUTBOX QUEUE_URL TTL [take-over]

The shipped relay, around whose outbox and sink the steps are: nothing in it knows of
them. It waits for a line on standard input before it begins, so that whoever needs the
next one soon can start it beforehand. Once it has failed and goes on all the same, it
says on standard error what it reaches.

The first byte of FILE says how many calls may be past the last question whether the
lease holds, and not sent yet: a client cannot hold these back any more.
"""

from __future__ import annotations

import mmap
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from botocore.awsrequest import AWSHTTPConnection

from evtrig.commands.log import log_to_stderr
from evtrig.database.dsn import Dsn
from evtrig.relay.dead_letter import DeadLetter, Parked
from evtrig.relay.event import Event
from evtrig.relay.outbox import Outbox
from evtrig.relay.relay import Options, Relay
from evtrig.relay.scheduler import Policy
from evtrig.relay.sinks.sink import Result
from evtrig.relay.sinks.sqs import SqsSink

__all__ = ["PASSED", "SIGNAL", "STEPS", "VARIABLE"]

#: ``STEP:TIME``: at which step, counted from 1; and the signal that it sends itself.
VARIABLE, SIGNAL = "EVTRIG_FAILPOINT", "EVTRIG_FAILS"
PASSED = "EVTRIG_PASSED"

#: What Outbox calls each statement and each read.
METHODS = {
    "look": "holder",
    "claim": "claim",
    "grant": "grant",
    "renew": "renew",
    "release": "release",
    "watch": "watch",
    "recover": "recover",
    "transactions": "transactions",
    "read": "read",
}

#: Every step there is, in the order in which a relay gets there.
STEPS = (
    *("look:before", "look:after", "claim:before", "claim:after"),
    *("grant:before", "grant:after", "recover:before", "recover:after"),
    *("read:before", "read:after"),
    # Signed and not asked for the lease yet; asked, and nothing sent; sent, and the
    # answer not read.
    *("publish:before", "publish:signed", "publish:asked", "publish:sent"),
    *("publish:after", "delete:before", "delete:after"),
    # Between: it is a dead letter, and in the outbox still.
    *("park:before", "park:between", "park:after"),
    *("watch:before", "watch:after", "renew:before", "renew:after"),
    *("transactions:before", "transactions:after"),
    *("release:before", "release:after"),
)


class Failpoint:
    """The step at which the process fails, or none."""

    def __init__(self) -> None:
        self._step, _, time = os.environ.get(VARIABLE, "").rpartition(":")
        self._time = int(time or 1)
        self._signal = signal.Signals[os.environ.get(SIGNAL, "SIGKILL")]
        self._reached: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._has_failed = False

    def reach(self, step: str) -> None:
        assert step in STEPS
        with self._lock:
            self._reached[step] += 1
            is_there = step == self._step and self._reached[step] == self._time
            if self._has_failed:
                print(f"reached {step}", file=sys.stderr, flush=True)
            self._has_failed = self._has_failed or is_there
        if is_there:
            # To this very thread: it would get a little further if another one took
            # the signal. All of the process stops or ends.
            signal.pthread_kill(threading.get_ident(), self._signal)


failpoint = Failpoint()


def around(step: str, run: Callable[..., Any]) -> Callable[..., Any]:
    def stepwise(*arguments: Any, **more: Any) -> Any:
        failpoint.reach(f"{step}:before")
        answer = run(*arguments, **more)
        failpoint.reach(f"{step}:after")
        return answer

    return stepwise


class Stepwise(Outbox):
    """With a step before and after each statement."""

    def delete(self, events: Iterable[Event], epoch: int) -> int:
        failpoint.reach("delete:before")
        count = super().delete(events, epoch)
        failpoint.reach("delete:after")
        return count

    def park(self, letters: Sequence[DeadLetter], epoch: int) -> Parked:
        failpoint.reach("park:before")
        parked = super().park(letters, epoch)
        failpoint.reach("park:after")
        return parked

    def _delete_parked(self, rows: str, epoch: int) -> None:
        failpoint.reach("park:between")
        super()._delete_parked(rows, epoch)


for step, method in METHODS.items():
    setattr(Stepwise, method, around(step, getattr(Outbox, method)))


class Passed:
    """How many calls may be past the fence, where another process can read it even
    while this one is stopped: from just before they ask, for nobody can stop a process
    between the answer and a note of it."""

    def __init__(self, path: str) -> None:
        with open(path, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 1)
        self._lock = threading.Lock()
        self._thread = threading.local()

    def begin(self) -> None:
        with self._lock:
            self._memory[0] += 1
        self._thread.is_past = True

    def end(self) -> None:
        if getattr(self._thread, "is_past", False):
            self._thread.is_past = False
            with self._lock:
                self._memory[0] -= 1


class StepwiseSink(SqsSink):
    """With a step wherever a call may be cut short."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._passed = Passed(os.environ[PASSED])
        # After the call that looked at the queue. In front of the sink's own question
        # whether the lease holds, and behind it.
        events = self._client.meta.events
        events.register_first("before-send", self._signed)
        events.register_last("before-send", self._asked)
        answer = AWSHTTPConnection.getresponse

        def sent(connection: AWSHTTPConnection, *arguments: Any) -> Any:
            self._passed.end()
            failpoint.reach("publish:sent")
            return answer(connection, *arguments)

        AWSHTTPConnection.getresponse = sent

    def publish(
        self, events: Sequence[Event], may_send: Callable[[], bool]
    ) -> Sequence[Result]:
        failpoint.reach("publish:before")
        try:
            results = super().publish(events, may_send)
        finally:
            self._passed.end()
        failpoint.reach("publish:after")
        return results

    def _signed(self, **_: object) -> None:
        failpoint.reach("publish:signed")
        self._passed.begin()

    def _asked(self, **_: object) -> None:
        failpoint.reach("publish:asked")


def main(arguments: Collection[str]) -> None:
    dsn, outbox, url, ttl, *take_over = arguments
    log_to_stderr()
    options = Options(
        ttl=int(ttl), take_over=bool(take_over), policy=Policy("park-key")
    )
    sys.stdin.readline()
    relay = Relay(
        lambda: Stepwise.connect(Dsn.parse(dsn), outbox, ttl=int(ttl)),
        StepwiseSink(url),
        options,
    )
    signal.signal(signal.SIGTERM, lambda *_: relay.stop.set())
    relay.run()


if __name__ == "__main__":
    main(sys.argv[1:])
