"""Relays and a faked AWS, each in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from evtrig.demo.checker import Arrival

__all__ = ["AwsProcess", "Fleet", "Relay", "read_arrivals"]

TESTS = Path(__file__).resolve().parents[1]
QUEUE = "events.fifo"
ACCOUNT = "123456789012"

#: The command with its Outbox exchanged for the class of ``chaos.broken`` in argv.
BROKEN = """
import sys
from chaos import broken
from evtrig.cli import main
from evtrig.relay import outbox
outbox.Outbox = getattr(broken, sys.argv.pop(1))
main()
"""


class AwsProcess:
    """The strict fake, with one FIFO queue and its log in a file."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._process = subprocess.Popen(
            [
                sys.executable,
                TESTS / "fakes/aws.py",
                "--queue",
                QUEUE,
                "--log",
                log,
                "--forget",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.endpoint = self._answer()
        self._read = 0
        self._arrived = 0

    @property
    def sink(self) -> str:
        return f"sqs:{self.endpoint}/{ACCOUNT}/{QUEUE}"

    @property
    def arrived(self) -> int:
        """How many messages were taken until now, duplicates included."""
        with self.log.open("rb") as file:
            file.seek(self._read)
            while chunk := file.read(1 << 20):
                end = chunk.rfind(b"\n") + 1
                if not end:
                    break
                self._arrived += chunk.count(b'{"log": "arrival"', 0, end)
                self._read += end
                file.seek(self._read)
        return self._arrived

    def script(self, *faults: dict[str, object]) -> None:
        """Replace the fault script, see ``fakes.faults.script``."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(faults) + "\n")
        self._process.stdin.flush()
        assert self._answer() == str(len(faults))

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def read_arrivals(log: Path) -> Iterator[Arrival]:
    """Of a fake's log, in order; what became of the call stands behind its arrivals."""
    pending = []
    with log.open(encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            if entry["log"] == "arrival":
                pending.append(entry)
                continue
            for arrival in pending:
                assert arrival["call"] == entry["number"]
                yield Arrival(
                    json.loads(arrival["body"]),
                    at=arrival["at"],
                    is_delivered=not arrival["duplicate"],
                    is_answered=entry["outcome"] == "answered",
                )
            pending = []
    assert not pending


@dataclass(eq=False)
class Relay:
    """``evtrig relay`` as a process; its log goes to a file."""

    process: subprocess.Popen[bytes]
    log: Path
    #: By the monotonic clock.
    since: float
    is_frozen: bool = False
    #: Whether somebody has asked it to end.
    is_ending: bool = False

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    @property
    def has_begun(self) -> bool:
        """Whether it has reached its database once."""
        text = self.log.read_text(errors="replace")
        return "action=lead" in text or "action=standby" in text

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.is_frozen = True
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.is_frozen = False
        self.process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        self.is_ending = True
        self.process.terminate()


@dataclass
class Fleet:
    """The relays of one outbox."""

    dsn: str
    outbox: str
    sink: str
    folder: Path
    ttl: int = 3
    #: A class of ``chaos.broken`` to use instead of the relay's Outbox.
    broken: str | None = None
    relays: list[Relay] = field(default_factory=list)

    def start(self, *options: str, prefix: tuple[str, ...] = (), **more: str) -> Relay:
        """``prefix`` is put in front of the command; ``more``: another ``dsn`` or
        ``sink`` for this one."""
        number = len(list(self.folder.glob("relay-*.log")))
        log = self.folder / f"relay-{number}.log"
        command = ["-c", BROKEN, self.broken] if self.broken else ["-m", "evtrig"]
        place = {"dsn": self.dsn, "outbox": self.outbox, "sink": self.sink, **more}
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*prefix, sys.executable, *command, "relay", "--ttl", str(self.ttl)]
                + [word for key in place for word in (f"--{key}", place[key])]
                + list(options),
                cwd=self.folder,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(self.folder),
                    "PYTHONPATH": str(TESTS),
                    "AWS_ACCESS_KEY_ID": "fake",
                    "AWS_SECRET_ACCESS_KEY": "fake",
                    "AWS_DEFAULT_REGION": "us-east-1",
                    "AWS_EC2_METADATA_DISABLED": "true",
                },
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        relay = Relay(process, log, time.monotonic())
        self.relays.append(relay)
        return relay

    def close(self) -> None:
        for relay in self.relays:
            relay.kill()
