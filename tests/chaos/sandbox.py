"""AWS Lambda, as far as a function notices it: sandboxes, and who gets an invocation.

A sandbox is a process. It imports the function once, serves one invocation after the
other, is frozen between two of them, and is killed where one is not over at its limit
(AWS Lambda Developer Guide, "Understanding the Lambda execution environment
lifecycle"). The function's reserved concurrency is how many may be busy; who comes
while they are is turned away for good, where Lambda tries again until the event is too
old ("How Lambda handles errors and retries with asynchronous invocation").

Each sandbox signs with an access key of its own, as each has credentials of its own in
Lambda: a faked service can tell them apart.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Invocation", "Lambda", "Sandbox"]

TESTS = Path(__file__).resolve().parents[1]
#: Busy sandboxes at a time: the invocation that publishes, and the one that takes over.
CONCURRENCY = 2
#: Seconds that an invocation has here to end by itself; those that it keeps for that
#: (``RESERVE``) are longer than the whole schedule of a test.
ENDING = 1.0
#: Seconds within which the threads of a process that has answered are gone.
THREADS_SECONDS = 0.2

#: What a sandbox writes into its log before an invocation, as Lambda does.
START = "START RequestId: "


@dataclass(eq=False)
class Invocation:
    """One, and how it went. Times are those of the machine's monotonic clock."""

    number: int
    sandbox: Sandbox
    #: Whether a process had to be started for it.
    is_cold: bool
    asked_at: float
    #: When the handler was called; None until then.
    begun_at: float | None = None
    #: None as long as it runs.
    ended_at: float | None = None
    #: What the handler returned.
    answer: dict[str, Any] | None = None
    #: What it raised.
    error: str | None = None

    @property
    def is_running(self) -> bool:
        return self.ended_at is None

    @property
    def was_killed(self) -> bool:
        return not self.is_running and self.answer is None and self.error is None

    @property
    def end(self) -> str:
        """Why it ended, in a word."""
        if self.answer is not None:
            return str(self.answer["end"])
        return "error" if self.error is not None else "killed"


class Sandbox:
    """A process with the function in it; its log goes to a file."""

    def __init__(
        self,
        folder: Path,
        number: int,
        environment: Mapping[str, str],
        broken: str | None = None,
    ) -> None:
        self.access_key = f"SANDBOX{number}"
        self.log = folder / f"sandbox-{number}.log"
        #: The one that it serves, or has served last.
        self.invocation: Invocation | None = None
        self.is_frozen = False
        self._unread = b""
        with self.log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "chaos.sandbox", *([broken] if broken else [])],
                cwd=folder,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(folder),
                    "PYTHONPATH": str(TESTS),
                    "AWS_ACCESS_KEY_ID": self.access_key,
                    "AWS_SECRET_ACCESS_KEY": "fake",
                    "AWS_DEFAULT_REGION": "us-east-1",
                    "AWS_EC2_METADATA_DISABLED": "true",
                    **environment,
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
            )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)

    @property
    def is_busy(self) -> bool:
        return self.invocation is not None and self.invocation.is_running

    @property
    def threads(self) -> int:
        """How many the process has."""
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def invoke(self, number: int, seconds: float) -> Invocation:
        """Let it publish for so long at most; it may need ``ENDING`` after that."""
        is_cold = self.invocation is None
        self.thaw()
        self.invocation = Invocation(number, self, is_cold, time.monotonic())
        assert self.process.stdin is not None
        line = json.dumps({"number": number, "seconds": seconds})
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()
        return self.invocation

    def listen(self) -> None:
        """Take in what the process has said of its invocation."""
        assert self.process.stdout is not None
        while chunk := self.process.stdout.read(1 << 16):
            self._unread += chunk
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            assert self.invocation is not None
            for name, value in json.loads(line).items():
                setattr(self.invocation, name, value)

    def freeze(self) -> None:
        self.is_frozen = True
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.is_frozen = False
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.listen()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        if self.invocation is not None and self.invocation.is_running:
            self.invocation.ended_at = time.monotonic()

    def epochs(self) -> dict[int, int]:
        """Of the lease that each of its invocations held last, by their numbers."""
        found: dict[int, int] = {}
        number = 0
        for line in self.log.read_text(errors="replace").splitlines():
            if line.startswith(START):
                number = int(line.removeprefix(START))
            elif "action=lead" in line:
                found[number] = int(line.partition("epoch=")[2].split()[0])
        return found


@dataclass
class Lambda:
    """A function, its sandboxes and what became of its invocations."""

    folder: Path
    environment: dict[str, str]
    #: That an invocation may publish.
    seconds: float
    #: A class of ``chaos.broken`` to use instead of the relay's Outbox.
    broken: str | None = None
    invocations: list[Invocation] = field(default_factory=list)
    #: Those that were turned away.
    throttled: int = 0
    #: What no fault excuses.
    findings: list[str] = field(default_factory=list)
    #: How often a process was frozen between two invocations.
    frozen: int = 0
    #: Every sandbox there was.
    sandboxes: list[Sandbox] = field(default_factory=list)
    _living: list[Sandbox] = field(default_factory=list)

    @property
    def limit(self) -> float:
        """Seconds after which an invocation is killed: the function's time-out."""
        return self.seconds + ENDING

    @property
    def busy(self) -> list[Sandbox]:
        return [sandbox for sandbox in self._living if sandbox.is_busy]

    def invoke(self) -> Invocation | None:
        """None if it was turned away."""
        if len(self.busy) >= CONCURRENCY:
            self.throttled += 1
            return None
        idle = [sandbox for sandbox in self._living if not sandbox.is_busy]
        # The one that was used last.
        sandbox = max(idle, key=ended_at) if idle else self._start()
        invocation = sandbox.invoke(len(self.invocations) + 1, self.seconds)
        self.invocations.append(invocation)
        return invocation

    def step(self) -> list[Invocation]:
        """Freeze those that have answered and kill those that are out of time; which
        have ended."""
        ended = []
        for sandbox in self.busy:
            sandbox.listen()
            invocation = sandbox.invocation
            assert invocation is not None
            if not invocation.is_running:
                self._freeze(sandbox)
                ended.append(invocation)
            elif sandbox.process.poll() is not None:
                self._find(invocation, "its process ended by itself")
                self.kill(invocation)
                ended.append(invocation)
            elif (
                invocation.begun_at is not None
                and time.monotonic() > invocation.begun_at + self.limit
            ):
                self.kill(invocation)
                ended.append(invocation)
        return ended

    def recycle(self) -> int:
        """End the sandboxes that are idle; how many there were."""
        idle = [sandbox for sandbox in self._living if not sandbox.is_busy]
        for sandbox in idle:
            self._end(sandbox)
        return len(idle)

    def kill(self, invocation: Invocation) -> None:
        """And its process with it."""
        self._end(invocation.sandbox)

    def close(self) -> None:
        for sandbox in tuple(self._living):
            self._end(sandbox)

    def epochs(self) -> dict[int, int]:
        return {
            number: epoch
            for sandbox in self.sandboxes
            for number, epoch in sandbox.epochs().items()
        }

    def _start(self) -> Sandbox:
        number = len(self.sandboxes)
        sandbox = Sandbox(self.folder, number, self.environment, self.broken)
        self.sandboxes.append(sandbox)
        self._living.append(sandbox)
        return sandbox

    def _end(self, sandbox: Sandbox) -> None:
        sandbox.kill()
        self._living.remove(sandbox)

    def _freeze(self, sandbox: Sandbox) -> None:
        end = time.monotonic() + THREADS_SECONDS
        # A thread that was joined may be there for a moment still.
        while sandbox.threads > 1 and time.monotonic() < end:
            time.sleep(0.001)
        if sandbox.threads > 1:
            assert sandbox.invocation is not None
            self._find(sandbox.invocation, f"left {sandbox.threads - 1} threads")
        sandbox.freeze()
        self.frozen += 1

    def _find(self, invocation: Invocation, what: str) -> None:
        self.findings.append(
            f"invocation {invocation.number}, {invocation.sandbox.log.name}: {what}"
        )


def ended_at(sandbox: Sandbox) -> float:
    assert sandbox.invocation is not None
    assert sandbox.invocation.ended_at is not None
    return sandbox.invocation.ended_at


# In the sandbox


class Context:
    """What Lambda tells an invocation."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int(1000 * (self._until - time.monotonic())))


def serve(lines: Iterator[str], broken: str | None) -> Iterator[dict[str, object]]:
    """Import the function, and call it once a line; what to say of it."""
    # The runtime's own, which is there before the function is.
    logging.basicConfig(format="[%(levelname)s] %(message)s")
    if broken is not None:
        outbox = importlib.import_module("evtrig.relay.outbox")
        kind = getattr(importlib.import_module("chaos.broken"), broken)
        outbox.Outbox = kind
    handler = importlib.import_module("evtrig.relay").lambda_handler
    reserve = sys.modules[handler.__module__].RESERVE
    for line in lines:
        asked = json.loads(line)
        print(f"{START}{asked['number']}", file=sys.stderr, flush=True)
        context = Context(asked["seconds"] + reserve)
        yield {"begun_at": time.monotonic()}
        told: dict[str, object]
        try:
            told = {"answer": handler({}, context)}
        except Exception as error:
            told = {"error": f"{type(error).__name__}: {error}"}
        yield {**told, "ended_at": time.monotonic()}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    # What a function prints goes to its log.
    os.dup2(2, 1)
    for answer in serve(sys.stdin, sys.argv[1] if sys.argv[1:] else None):
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
