"""``stdout:`` and ``file:PATH``: one JSON object a line."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from ...errors import SinkError, UsageError
from ..event import Event
from .sink import ACKNOWLEDGED, Limits, Outcome, Result

__all__ = ["FileSink", "StdoutSink"]

#: How an envelope begins; a last line that is torn begins so too.
ENVELOPE = b'{"id": "'
#: How far back a torn line is looked for.
LONGEST_LINE = 256 * 1024 * 1024


def lines(events: Sequence[Event]) -> bytes:
    """The events as NDJSON.

    Inside valid JSON a line break can only stand between tokens (MariaDB keeps the
    white space of a JSON column), where a blank means the same.
    """
    return "".join(
        event.body.replace("\r", " ").replace("\n", " ") + "\n" for event in events
    ).encode("utf-8", "surrogatepass")


class StdoutSink:
    """Standard output, flushed after each batch."""

    name = "stdout:"
    limits = Limits(entries=1000, bytes=4 * 1024 * 1024)
    in_order = True

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor

    def publish(self, events: Sequence[Event]) -> Sequence[Result]:
        try:
            write_all(self._descriptor, lines(events))
        except OSError as error:
            raise SinkError(
                f"cannot write to standard output: {error.strerror}",
                hint="Whoever read it has gone. Events that were not acknowledged"
                " stay in the outbox.",
            ) from None
        return [ACKNOWLEDGED] * len(events)

    def close(self) -> None:
        """Standard output stays open."""


class FileSink:
    """A file that grows, synced to disk before anything is acknowledged.

    Raises SinkError if it cannot be opened for appending.
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
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            self._descriptor = os.open(path, flags, 0o644)
            self._is_regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        except OSError as error:
            raise SinkError(
                f"cannot append to {path}: {error.strerror}",
                hint="Choose a file in a directory that this user may write to.",
            ) from None
        if self._is_regular:
            try:
                self._mend_tail()
                sync_directory(path)
            except BaseException:
                self.close()
                raise

    def publish(self, events: Sequence[Event]) -> Sequence[Result]:
        if not self._is_regular:
            write_all(self._descriptor, lines(events))
            return [ACKNOWLEDGED] * len(events)
        end = os.fstat(self._descriptor).st_size
        try:
            write_all(self._descriptor, lines(events))
            os.fsync(self._descriptor)
        except OSError as error:
            # Half a batch must not stay: it is written again from its beginning.
            os.ftruncate(self._descriptor, end)
            reason = f"cannot append to {self._path}: {error.strerror}"
            return [Result(Outcome.RETRY, reason)] * len(events)
        return [ACKNOWLEDGED] * len(events)

    def close(self) -> None:
        os.close(self._descriptor)

    def _mend_tail(self) -> None:
        """Cut off a line that a killed relay has left without its end.

        It was not acknowledged, so it comes again, whole.
        """
        size = os.fstat(self._descriptor).st_size
        start = max(0, size - LONGEST_LINE)
        tail = b""
        position = size
        while position > start and b"\n" not in tail:
            step = min(1024 * 1024, position - start)
            position -= step
            tail = os.pread(self._descriptor, step, position) + tail
        torn = tail[tail.rfind(b"\n") + 1 :]
        if not torn:
            return
        if not (torn.startswith(ENVELOPE) or ENVELOPE.startswith(torn)):
            raise SinkError(
                f"{self._path} does not end with a line break, and its last line is"
                " not an event",
                hint="Is it the right file? End its last line, or choose another.",
            )
        os.ftruncate(self._descriptor, size - len(torn))


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_directory(path: str) -> None:
    """Make a new file's name as durable as its contents (fsync(2))."""
    directory = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
