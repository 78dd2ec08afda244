"""Events that no sink takes, as people name them, and what becomes of them. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from ..database.connection import Row
from ..errors import UsageError

__all__ = [
    "Key",
    "Letter",
    "Pairs",
    "PutBack",
    "Selection",
    "name_of",
    "parse",
]

#: Source and key of a row of the application.
Key: TypeAlias = "tuple[str, str]"


@dataclass(frozen=True)
class Letter:
    """An event that no sink takes, and why; without what was in the row."""

    id: int
    uid: int
    type: str
    source: str
    operation: str
    #: Whether later events of its key wait behind it.
    holds_key: bool
    #: ``refused``, ``oversized``, ``attempts``, ``age`` or ``behind``.
    reason: str
    attempts: int
    first_error: str | None
    last_error: str | None
    #: UTC, as the envelope has times.
    captured_at: str
    failed_at: str | None
    parked_at: str
    #: Seconds since then, by the clock of the database.
    age: int

    @classmethod
    def of(cls, row: Row) -> Letter:
        facts = list(row[:14])
        facts[5] = bool(facts[5])
        return cls(*facts)

    @property
    def name(self) -> str:
        """The envelope's ``id``."""
        return name_of(self.id, self.uid)


class Pairs:
    """Which events are meant, by id and uid: sixteen bytes each."""

    def __init__(self, pairs: Iterable[tuple[int, int]]) -> None:
        self._numbers = array("Q")
        for pair in pairs:
            self._numbers.extend(pair)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        numbers = iter(self._numbers)
        yield from zip(numbers, numbers, strict=True)

    def __len__(self) -> int:
        return len(self._numbers) // 2

    def batches(self, size: int) -> Iterator[list[tuple[int, int]]]:
        numbers = self._numbers
        for start in range(0, len(numbers), 2 * size):
            part = numbers[start : start + 2 * size]
            yield list(zip(part[::2], part[1::2], strict=True))


@dataclass(frozen=True)
class Selection:
    """Which dead letters a command is about: these, or all of one or every source."""

    #: ``1042-16f0c3a8e1b20001``, or the number if only one has it.
    names: tuple[str, ...] = ()
    source: str | None = None

    def __post_init__(self) -> None:
        for name in self.names:
            parse(name)


@dataclass
class PutBack:
    """What became of some keys."""

    events: int = 0
    keys: int = 0
    #: Of these events some that came later may have been published before.
    overtaken: int = 0
    #: Events that the relay has put aside again meanwhile.
    again: int = 0
    #: Events that stay since another one has their id, ten of a key at most.
    taken: list[str] = field(default_factory=list)


def name_of(id_: int, uid: int) -> str:
    """The ``id`` of an event's envelope."""
    return f"{id_}-{uid:016x}"


def parse(name: str) -> tuple[int, int | None]:
    """Id and uid of an event's name, or of its first part alone. Raises UsageError."""
    number, separator, uid = name.partition("-")
    try:
        if number.isascii() and number.isdigit():
            found = int(number), int(uid, 16) if separator else None
            if max(found[0], found[1] or 0) < 2**64:
                return found
    except ValueError:
        pass
    raise UsageError(
        f"{name!r} is no id of an event",
        hint="It is what the envelope has under id, such as 1042-16f0c3a8e1b20001, or"
        " the number before the hyphen.",
    )
