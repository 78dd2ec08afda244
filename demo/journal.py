"""What the writers did, written down outside the database.

One half of the proof that nothing is lost: checker.py compares it with what arrived.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeAlias

__all__ = ["Change", "Journal", "Outcome", "Row", "Transaction", "read_journal"]

#: The columns of a row, or of its key, with values as they are in an event.
Row: TypeAlias = dict[str, Any]

Outcome: TypeAlias = Literal["committed", "rolled back", "unknown"]


@dataclass(frozen=True)
class Change:
    """One change of one row, as its event should tell it.

    A change of a row's key is two of these, a ``delete`` and an ``insert``.
    """

    #: ``schema.table``
    source: str
    #: ``insert``, ``update`` or ``delete``
    operation: str
    key: Row
    #: None for an insert.
    before: Row | None
    #: None for a delete.
    after: Row | None


@dataclass(frozen=True)
class Transaction:
    """Changes that were committed together, or not at all."""

    #: When the intent was written: nanoseconds of this machine's monotonic clock,
    #: which all its processes share. For two transactions that changed the same row
    #: it is the order of their commits, see ``Journal.intent``.
    at: int
    changes: tuple[Change, ...]
    #: ``unknown`` where the writer did not hear from its COMMIT, or did not live to
    #: write it down; the rows themselves tell.
    outcome: Outcome


class Journal:
    """A new file, one JSON object a line, each on disk before the call returns.

    Threads may share one; every process writes its own. Raises FileExistsError, so
    that what a killed process has left stays as it was.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o644)
        self._lock = threading.Lock()
        self._last = 0

    def intent(self, changes: Sequence[Change]) -> int:
        """Write down what a transaction has changed; its number in this file.

        Called after the last change and before COMMIT: while the transaction holds
        the locks of its rows, nobody else's intent for them comes in between.
        """
        with self._lock:
            self._last += 1
            number = self._last
            self._write(
                transaction=number,
                intent=[asdict(change) for change in changes],
                at=time.monotonic_ns(),
            )
        self._sync()
        return number

    def committed(self, number: int) -> None:
        """COMMIT has succeeded."""
        self._outcome(number, "committed")

    def rolled_back(self, number: int) -> None:
        """The transaction was rolled back, by the writer or by the server."""
        self._outcome(number, "rolled back")

    def unknown(self, number: int) -> None:
        """COMMIT was sent and not answered."""
        self._outcome(number, "unknown")

    def close(self) -> None:
        os.close(self._descriptor)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _outcome(self, number: int, outcome: Outcome) -> None:
        with self._lock:
            self._write(transaction=number, outcome=outcome)
        self._sync()

    def _write(self, **entry: object) -> None:
        line = memoryview(json.dumps(entry).encode() + b"\n")
        while line:
            line = line[os.write(self._descriptor, line) :]

    def _sync(self) -> None:
        # Outside the lock: one thread's fsync also covers what others have written.
        os.fsync(self._descriptor)


def read_journal(
    paths: Iterable[str | os.PathLike[str]],
) -> tuple[Transaction, ...]:
    """The transactions of all these files, in the order of their intents.

    A last line without its end is what a killed process has left, and passed over.
    """
    transactions = [item for path in paths for item in _read(Path(path))]
    return tuple(sorted(transactions, key=lambda transaction: transaction.at))


def _read(path: Path) -> list[Transaction]:
    intents: dict[int, tuple[int, tuple[Change, ...]]] = {}
    outcomes: dict[int, Outcome] = {}
    *lines, _ = path.read_text(encoding="utf-8").split("\n")
    for line in lines:
        entry = json.loads(line)
        number = entry["transaction"]
        if "intent" in entry:
            changes = tuple(Change(**change) for change in entry["intent"])
            intents[number] = (entry["at"], changes)
        else:
            outcomes[number] = entry["outcome"]
    return [
        Transaction(at, changes, outcomes.get(number, "unknown"))
        for number, (at, changes) in intents.items()
    ]
