"""Compares what was committed with what arrived. Pure: two logs in, a report out."""

from __future__ import annotations

import bisect
import hashlib
import json
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .journal import Change, Row, Transaction

__all__ = [
    "NEAR",
    "Arrival",
    "Envelope",
    "Pair",
    "Report",
    "Tables",
    "check",
    "fold",
    "key_text",
]

#: An event as it arrived: the parsed JSON object.
Envelope: TypeAlias = dict[str, Any]
#: Two arrivals of one key that do not go together; None for the beginning, and where
#: one event came twice.
Pair: TypeAlias = tuple[Envelope | None, Envelope]
#: Rows by source and ``key_text``.
Tables: TypeAlias = Mapping[str, Mapping[str, Row]]
#: When something was made to go wrong: from and to, by the clock of the arrivals.
Fault: TypeAlias = tuple[float, float]

#: Seconds from an arrival within which a fault explains that the event came again:
#: about as long as it takes from the sink to the deletion.
NEAR = 2.0


@dataclass(frozen=True)
class Arrival:
    """An event that a sink took, and what is known besides."""

    event: Envelope
    #: When, in seconds of a clock of the caller's.
    at: float = 0.0
    #: False where the sink took it and gave it to nobody: a FIFO queue that knew it.
    is_delivered: bool = True
    #: False where the sink took it and the relay was not told.
    is_answered: bool = True


@dataclass(frozen=True)
class Report:
    """What was found. Everything from ``lost`` on is a fault."""

    #: Changes, not transactions.
    committed: int
    rolled_back: int
    #: Different events that arrived.
    published: int
    #: Arrivals of an event that had arrived before: allowed, at least once is promised.
    duplicates: int
    #: Committed changes that never arrived.
    lost: tuple[Change, ...]
    #: Transactions of which some changes arrived and some never did. Where a key went
    #: through the same change twice, it may be the other one that is named.
    incomplete: tuple[Transaction, ...]
    #: Events that tell of nothing that was committed, or of it a second time.
    phantom: tuple[Envelope, ...]
    #: Events that came first after a later one of their key, or before an earlier one.
    order: tuple[Pair, ...]
    #: Events whose ``before`` is not the ``after`` of the one before them, and events
    #: that came again with other contents.
    content: tuple[Pair, ...]
    #: Arrivals that were no first ones, without a fault near this one or the last.
    unexplained: tuple[Arrival, ...] = ()
    #: Events that a FIFO queue delivered after a newer one of their key.
    overtaken: tuple[Envelope, ...] = ()
    #: Events that are in the outbox although nobody writes any more.
    left: int = 0
    #: Source and key of rows that a consumer of the events has otherwise than the
    #: tables.
    different: tuple[tuple[str, str], ...] = ()

    @property
    def is_clean(self) -> bool:
        return not any(self._faults.values())

    def summary(self) -> str:
        """The counts in one line."""
        found = {name: self._faults[name] for name in ALWAYS}
        found |= {name: count for name, count in self._faults.items() if count}
        return (
            f"{self.committed} changes committed, {self.rolled_back} rolled back,"
            f" {self.published} events published, {self.duplicates} duplicates, "
            + ", ".join(f"{count} {name}" for name, count in found.items())
        )

    @property
    def _faults(self) -> dict[str, int]:
        return {
            "lost": len(self.lost),
            "phantom": len(self.phantom),
            "out of order": len(self.order),
            "with wrong content": len(self.content),
            "incomplete transactions": len(self.incomplete),
            "unexplained duplicates": len(self.unexplained),
            "delivered after a newer one": len(self.overtaken),
            "left in the outbox": self.left,
            "rows different for a consumer": len(self.different),
        }


#: The counts that ``Report.summary`` gives though they are 0.
ALWAYS = ("lost", "phantom", "out of order", "with wrong content")


@dataclass
class Lane:
    """What has arrived of one key, and what should come."""

    #: Committed changes as texts, oldest first: those that should come next, and
    #: those that were passed over by one that did come. The number is the
    #: transaction's.
    expected: deque[tuple[str, Change, int]] = field(default_factory=deque)
    skipped: list[tuple[str, Change, int]] = field(default_factory=list)
    last: Envelope | None = None
    #: Whether ``row`` is known: what the row was after the last arrival.
    has_row: bool = False
    row: Row | None = None


def check(
    transactions: Iterable[Transaction],
    arrivals: Iterable[Envelope | Arrival],
    *,
    start: Tables | None = None,
    end: Tables | None = None,
    faults: Iterable[Fault] | None = None,
    near: float = NEAR,
    is_fifo: bool = False,
    left: int = 0,
) -> Report:
    """Compare the writers' journal with what arrived, in the order of arrival.

    ``start`` are the rows before the first transaction; with it the first ``before``
    of every key is checked too. ``end`` are the rows after the last one: a consumer
    that began with ``start`` must have them, value for value. ``faults`` are what
    explains a duplicate ``near`` seconds from it; None explains all. ``is_fifo``: the
    sink promises never to deliver an event after a newer one. ``left`` is how many
    events the outbox holds after everything is quiet.

    Arrivals are read once and not kept. Raises ValueError for a transaction whose
    outcome is unknown: whoever can read the tables settles it.
    """
    transactions = sorted(transactions, key=lambda item: item.at)
    lanes: dict[tuple[str, str], Lane] = {}
    committed = rolled_back = 0
    for number, transaction in enumerate(transactions):
        if transaction.outcome == "unknown":
            raise ValueError("a transaction's outcome is unknown: settle it first")
        if transaction.outcome == "rolled back":
            rolled_back += len(transaction.changes)
            continue
        for change in transaction.changes:
            committed += 1
            lane = lanes.setdefault((change.source, key_text(change.key)), Lane())
            text = _text(change.operation, change.before, change.after)
            lane.expected.append((text, change, number))
    if start is not None:
        for (source, key), lane in lanes.items():
            lane.has_row, lane.row = True, start.get(source, {}).get(key)

    again = _Again(faults, near)
    consumer = _Consumer()
    phantom: list[Envelope] = []
    order: list[Pair] = []
    content: list[Pair] = []
    overtaken: list[Envelope] = []
    for item in arrivals:
        arrival = item if isinstance(item, Arrival) else Arrival(item)
        event = arrival.event
        if arrival.is_delivered and consumer.take(event) > event["sequence"]:
            overtaken += [event] * is_fifo
        if (is_same := again.take(arrival)) is not None:
            if not is_same:
                content.append((None, event))
            continue
        lane = lanes.setdefault((event["source"], key_text(event["key"])), Lane())
        pair = (lane.last, event)
        is_first_in_line = _take(lane, event)
        if is_first_in_line is None:
            phantom.append(event)
        late = lane.last is not None and event["sequence"] <= lane.last["sequence"]
        if late or is_first_in_line is False:
            order.append(pair)
        if lane.has_row and not _follows(event, lane.row):
            content.append(pair)
        lane.last = event
        # An update without after is of a spec that leaves the images out.
        lane.has_row = event["operation"] == "delete" or event["after"] is not None
        lane.row = event["after"]

    missing = [
        (change, number)
        for lane in lanes.values()
        for _, change, number in (*lane.skipped, *lane.expected)
    ]
    return Report(
        committed=committed,
        rolled_back=rolled_back,
        published=len(again.first),
        duplicates=again.count,
        lost=tuple(change for change, _ in missing),
        incomplete=_incomplete(transactions, [number for _, number in missing]),
        phantom=tuple(phantom),
        order=tuple(order),
        content=tuple(content),
        unexplained=tuple(again.unexplained),
        overtaken=tuple(overtaken),
        left=left,
        different=() if end is None else consumer.differences(start or {}, end),
    )


def fold(arrivals: Iterable[Envelope]) -> dict[str, dict[str, Row | None]]:
    """The rows that a consumer ends up with, by source and ``key_text``.

    It does what the documentation tells every consumer to do: drop an event whose
    sequence is not above the last one of its key. None is a row that was deleted.
    """
    consumer = _Consumer()
    for event in arrivals:
        consumer.take(event)
    return consumer.rows


class _Consumer:
    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Row | None]] = {}
        self._seen: dict[tuple[str, str], int] = {}

    def take(self, event: Envelope) -> int:
        """The last sequence of the key until now; an event not above it is dropped."""
        source, key = event["source"], key_text(event["key"])
        last = self._seen.get((source, key), 0)
        if event["sequence"] > last:
            self._seen[source, key] = event["sequence"]
            self.rows.setdefault(source, {})[key] = event["after"]
        return last

    def differences(self, start: Tables, end: Tables) -> tuple[tuple[str, str], ...]:
        """Source and key of the rows that are not what they are in ``end``."""
        found = []
        for source in sorted({*start, *end, *self.rows}):
            rows = {**start.get(source, {}), **self.rows.get(source, {})}
            other = end.get(source, {})
            found += [
                (source, key)
                for key in sorted({*rows, *other})
                if json_text(rows.get(key)) != json_text(other.get(key))
            ]
        return tuple(found)


class _Again:
    """Knows which events have come, and finds out why one comes again."""

    def __init__(self, faults: Iterable[Fault] | None, near: float) -> None:
        #: What each looked like and its last arrival, by id. Not the event itself: a
        #: long run would not fit into memory.
        self.first: dict[str, tuple[bytes, float, bool]] = {}
        self.count = 0
        self.unexplained: list[Arrival] = []
        self._explains_all = faults is None
        self._begins: list[float] = []
        self._ends: list[float] = []
        for begin, end in sorted(faults or ()):
            begin, end = begin - near, end + near
            if self._ends and begin <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._begins.append(begin)
                self._ends.append(end)

    def take(self, arrival: Arrival) -> bool | None:
        """None for an event that is new, else whether it is as it was."""
        name = arrival.event["id"]
        digest = hashlib.blake2b(
            json_text(arrival.event).encode("utf-8", "surrogatepass"), digest_size=16
        ).digest()
        known = self.first.get(name)
        if known is None:
            self.first[name] = (digest, arrival.at, arrival.is_answered)
            return None
        self.count += 1
        was, before, was_answered = known
        self.first[name] = (was, arrival.at, arrival.is_answered)
        if was_answered and not (self._explains(before) or self._explains(arrival.at)):
            self.unexplained.append(arrival)
        return was == digest

    def _explains(self, at: float) -> bool:
        place = bisect.bisect_right(self._begins, at) - 1
        return self._explains_all or (place >= 0 and at <= self._ends[place])


def _incomplete(
    transactions: list[Transaction], missing: list[int]
) -> tuple[Transaction, ...]:
    counts: dict[int, int] = {}
    for number in missing:
        counts[number] = counts.get(number, 0) + 1
    return tuple(
        transactions[number]
        for number, count in sorted(counts.items())
        if count < len(transactions[number].changes)
    )


def key_text(key: Row) -> str:
    """A key as a text: the same for the same values, whatever their order."""
    return json_text(key)


def json_text(value: object) -> str:
    """JSON by which to compare: Python itself holds 1, 1.0 and True for the same."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _text(operation: str, before: Row | None, after: Row | None) -> str:
    return json_text([operation, before, after])


def _take(lane: Lane, event: Envelope) -> bool | None:
    """Tick off the change that the event tells of; was it the next one?

    None if there is no such change.
    """
    text = _text(event["operation"], event["before"], event["after"])
    for position, (expected, *_) in enumerate(lane.expected):
        if expected == text:
            lane.skipped += (lane.expected.popleft() for _ in range(position))
            lane.expected.popleft()
            return position == 0
    for position, (skipped, *_) in enumerate(lane.skipped):
        if skipped == text:
            del lane.skipped[position]
            return False
    return None


def _follows(event: Envelope, row: Row | None) -> bool:
    if event["operation"] == "insert":
        return row is None
    return event["before"] is None or json_text(event["before"]) == json_text(row)
