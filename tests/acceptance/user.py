"""Somebody who runs `evtrig` in a folder, as processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from evtrig.demo.server import ThrowawayServer

EVTRIG = Path(sys.executable).with_name("evtrig")

Ended = subprocess.CompletedProcess[str]


def run(
    folder: Path, environment: dict[str, str], *arguments: str, code: int = 0
) -> Ended:
    """A command that ends with this code, and without a traceback."""
    ended = subprocess.run(
        [EVTRIG, *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended


@dataclass
class User:
    """Somebody in a folder, with a database of theirs in EVTRIG_DSN."""

    server: ThrowawayServer
    schema: str
    outbox: str
    folder: Path
    execute: Callable[[str], tuple]
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def spec(self) -> Path:
        return self.folder / "evtrig.yml"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "EVTRIG_DSN": self.server.dsn_of(self.schema),
            "EVTRIG_OUTBOX": self.outbox,
        }

    def run(self, *arguments: str, code: int = 0, **more: str) -> Ended:
        return run(self.folder, {**self.environment, **more}, *arguments, code=code)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command in the background; its log goes to ``<number>.log``."""
        log = self.folder / f"{len(self.running)}.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                [EVTRIG, *arguments],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                text=True,
            )
        self.running.append(process)
        return process

    def log(self, process: subprocess.Popen[str]) -> str:
        return (self.folder / f"{self.running.index(process)}.log").read_text()

    def init(self) -> None:
        """`evtrig init`, with this test's outbox and without an account."""
        self.run("init", "orders", "people")
        text = self.spec.read_text()
        text = text.replace("# outbox: evtrig ", f"outbox: {self.outbox} ")
        text = text.replace(
            "# definer: evtrig_definer@localhost ", "definer: current_user "
        )
        self.spec.write_text(text)

    def install(self) -> None:
        self.init()
        self.run("install", "--yes")

    def write(self, *ids: int) -> None:
        for n in ids:
            self.execute(f"INSERT INTO orders VALUES ({n}, 'new')")

    def waiting(self) -> int:
        ((count,),) = self.execute(f"SELECT COUNT(*) FROM {self.outbox}.events")
        return count

    def holder(self) -> int:
        ((holder,),) = self.execute(
            "SELECT IF(expires_at > UTC_TIMESTAMP(6), holder, 0)"
            f" FROM {self.outbox}.event_polling_state"
        )
        return holder

    def published(self, name: str = "events.ndjson") -> list[dict]:
        path = self.folder / name
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines()]


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)
