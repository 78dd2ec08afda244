"""A second opinion: MiniStack, an AWS emulator by others (PyPI ``ministack``).

It needs one certain botocore, which is older than the one evtrig is tested with, so it
has a virtual environment of its own in evtrig's cache folder. ``python
tests/fakes/ministack.py`` makes it, as ``make test`` does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from pathlib import Path

from evtrig.demo.mysqld import LAUNCH, cache_folder

__all__ = ["ACCOUNT", "VERSION", "install", "ministack", "program"]

#: One version, so that where it differs is known exactly.
VERSION = "1.5.33"

ACCOUNT = "123456789012"

#: Seconds until it has to answer.
PATIENCE = 60


def program() -> Path | None:
    """The Python that has it; None where it was not installed."""
    found = _folder() / "bin" / "python"
    return found if found.exists() else None


def install() -> None:
    """Make the environment. Raises CalledProcessError without a package index."""
    folder = _folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Next to where it will be: what is half made is never found.
    new = folder.with_name(f"{folder.name}.new.{os.getpid()}")
    try:
        venv.create(new, with_pip=True)
        subprocess.run(
            [
                *(new / "bin" / "python", "-m", "pip", "install", "--quiet"),
                *("--disable-pip-version-check", f"ministack=={VERSION}"),
            ],
            check=True,
        )
        with contextlib.suppress(OSError):  # somebody else was faster
            new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


@contextlib.contextmanager
def ministack(python: Path) -> Iterator[str]:
    """Run it on loopback and give its endpoint, until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        log = Path(folder, "log")
        # Nothing of ours is passed on, and what it writes goes with the folder.
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "TMPDIR": folder,
            "S3_DATA_DIR": folder,
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "SERVICES": "sqs,sns,kinesis",
            "LOG_LEVEL": "WARNING",
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                # Through LAUNCH, so that it does not outlive us.
                [
                    *(sys.executable, "-I", "-S", "-c", LAUNCH, str(os.getpid())),
                    *(python, "-m", "ministack"),
                ],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait(process, port, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _folder() -> Path:
    return cache_folder() / f"ministack-{VERSION}"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until it listens. Raises RuntimeError with its log where it does not."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"MiniStack does not answer: {log.read_text()[-2000:]}")


if __name__ == "__main__":
    if program() is None:
        try:
            install()
        except (OSError, subprocess.CalledProcessError) as error:
            # The tests that want it say loudly that they did not run.
            print(f"MiniStack was not installed: {error}", file=sys.stderr)
