"""``stdout:`` and ``file:PATH``: one JSON object a line."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Sequence

from ...errors import SinkError, UsageError
from ..event import Event
from .sink import ACKNOWLEDGED, LEASE_RAN_OUT, Limits, Outcome, Result

__all__ = ["FileSink", "StdoutSink"]

#: How an envelope begins; a last line that is torn begins so too.
ENVELOPE = b'{"id": "'
#: How far back a torn line is looked for.
LONGEST_LINE = 256 * 1024 * 1024


def lines(events: Sequence[Event]) -> bytes:
    """The events as NDJSON.

    Inside valid JSON a line break can only stand between tokens (MariaDB keeps the
    white space of a JSON column), where a blank means the same. A lone surrogate
    becomes its JSON escape.
    """
    return "".join(
        event.body.replace("\r", " ").replace("\n", " ") + "\n" for event in events
    ).encode("utf-8", "backslashreplace")


class StdoutSink:
    """Standard output, flushed after each batch."""

    name = "stdout:"
    limits = Limits(entries=1000, bytes=4 * 1024 * 1024)
    in_order = True

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor

    def check(self, *, thoroughly: bool = False, once: bool = False) -> Sequence[str]:
        return ()

    def publish(
        self, events: Sequence[Event], may_send: Callable[[], bool]
    ) -> Sequence[Result]:
        data = lines(events)
        if not may_send():
            return [LEASE_RAN_OUT] * len(events)
        try:
            write_all(self._descriptor, data)
        except OSError as error:
            raise SinkError(
                f"cannot write to standard output: {error.strerror}",
                hint="Whoever read it has gone. " * (error.errno == errno.EPIPE)
                + "Events that were not acknowledged stay in the outbox.",
            ) from None
        return [ACKNOWLEDGED] * len(events)

    def close(self) -> None:
        """Standard output stays open."""


class FileSink:
    """A file that grows, synced to disk before anything is acknowledged.

    Raises SinkError if it cannot be opened for appending, or is somebody else's.
    """

    limits = Limits(entries=2000, bytes=16 * 1024 * 1024)
    in_order = True

    def __init__(self, path: str) -> None:
        if not path:
            raise UsageError(
                "the sink file: names no file", hint="Write file:events.ndjson"
            )
        self.name = f"file:{path}"
        self._path = path
        try:
            self._descriptor, self._is_regular = open_to_append(path)
        except OSError as error:
            raise SinkError(
                f"cannot append to {path}: {error.strerror}",
                hint="A named pipe needs a reader first."
                if error.errno == errno.ENXIO
                else "Choose a file in a directory that this user may write to.",
            ) from None
        try:
            if self._is_regular:
                self._torn_bytes()
                sync_directory(path)
        except BaseException:
            self.close()
            raise

    def check(self, *, thoroughly: bool = False, once: bool = False) -> Sequence[str]:
        return ()

    def publish(
        self, events: Sequence[Event], may_send: Callable[[], bool]
    ) -> Sequence[Result]:
        data = lines(events)
        try:
            if self._is_regular:
                return [self._append(data, may_send)] * len(events)
            if not may_send():
                return [LEASE_RAN_OUT] * len(events)
            write_all(self._descriptor, data)
        except OSError as error:
            raise SinkError(
                f"cannot write to {self._path}: {error.strerror}",
                hint="Events that were not acknowledged stay in the outbox.",
            ) from None
        return [ACKNOWLEDGED] * len(events)

    def close(self) -> None:
        os.close(self._descriptor)

    def _append(self, data: bytes, may_send: Callable[[], bool]) -> Result:
        """Write all of it or nothing.

        Locked against another relay on this file: each takes back only what it wrote
        itself, or what one that was killed has left.
        """
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return Result(Outcome.UNKNOWN, f"another process writes to {self._path}")
        try:
            status = os.fstat(self._descriptor)
            if not status.st_nlink:
                raise SinkError(
                    f"{self._path} was deleted or replaced while the relay wrote to it",
                    hint="Start the relay again: it makes a new file. Events that were"
                    " not acknowledged stay in the outbox.",
                )
            end = status.st_size - self._torn_bytes()
            os.ftruncate(self._descriptor, end)
            if not may_send():
                return LEASE_RAN_OUT
            try:
                write_all(self._descriptor, data)
                os.fsync(self._descriptor)
            except OSError as error:
                os.ftruncate(self._descriptor, end)
                reason = f"cannot append to {self._path}: {error.strerror}"
                return Result(Outcome.UNKNOWN, reason)
            return ACKNOWLEDGED
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _torn_bytes(self) -> int:
        """How many bytes at the end are an event whose line has no end.

        A relay that was killed leaves them. It was not acknowledged, so it comes
        again, whole. Raises SinkError if they cannot be an event of ours.
        """
        size = os.fstat(self._descriptor).st_size
        start = max(0, size - LONGEST_LINE)
        tail = os.pread(self._descriptor, 1, size - 1) if size else b""
        position = max(0, size - 1)
        while position > start and b"\n" not in tail:
            step = min(1024 * 1024, position - start)
            position -= step
            tail = os.pread(self._descriptor, step, position) + tail
        torn = tail[tail.rfind(b"\n") + 1 :]
        if torn and not (torn.startswith(ENVELOPE) or ENVELOPE.startswith(torn)):
            raise SinkError(
                f"{self._path} does not end with a line break, and its last line is"
                " not an event",
                hint="Is it the right file? End its last line, or choose another.",
            )
        return len(torn)


def open_to_append(path: str) -> tuple[int, bool]:
    """A descriptor, and whether it is of a regular file; a missing file is made.

    Reading is asked for only of a regular file: a pipe opened for both would have
    itself for a reader, and take events that nobody gets.
    """
    flags = os.O_APPEND | os.O_CLOEXEC
    try:
        is_regular = stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        is_regular = True
    if is_regular:
        return os.open(path, flags | os.O_RDWR | os.O_CREAT, 0o644), True
    descriptor = os.open(path, flags | os.O_WRONLY | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    return descriptor, False


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_directory(path: str) -> None:
    """Make a new file's name as durable as its contents (fsync(2))."""
    try:
        directory = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    except PermissionError:
        # A directory that may be written to and not read cannot be synced.
        return
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
