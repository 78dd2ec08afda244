"""Compares what was committed with what arrived. Pure: two logs in, a report out."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .journal import Change, Row, Transaction

__all__ = ["Envelope", "Pair", "Report", "check", "fold", "key_text"]

#: An event as it arrived: the parsed JSON object.
Envelope: TypeAlias = dict[str, Any]
#: Two arrivals of one key that do not go together; None for the beginning.
Pair: TypeAlias = tuple[Envelope | None, Envelope]


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
    #: Events that tell of nothing that was committed, or of it a second time.
    phantom: tuple[Envelope, ...]
    #: Events that came first after a later one of their key, or before an earlier one.
    order: tuple[Pair, ...]
    #: Events whose ``before`` is not the ``after`` of the one before them, and events
    #: that came again with other contents.
    content: tuple[Pair, ...]

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.phantom or self.order or self.content)

    def summary(self) -> str:
        """The counts in one line."""
        return (
            f"{self.committed} changes committed, {self.rolled_back} rolled back,"
            f" {self.published} events published, {self.duplicates} duplicates,"
            f" {len(self.lost)} lost, {len(self.phantom)} phantom,"
            f" {len(self.order)} out of order, {len(self.content)} with wrong content"
        )


@dataclass
class Lane:
    """What has arrived of one key, and what should come."""

    #: Committed changes as texts, oldest first: those that should come next, and
    #: those that were passed over by one that did come.
    expected: deque[tuple[str, Change]] = field(default_factory=deque)
    skipped: list[tuple[str, Change]] = field(default_factory=list)
    last: Envelope | None = None
    #: Whether ``row`` is known: what the row was after the last arrival.
    has_row: bool = False
    row: Row | None = None


def check(
    transactions: Iterable[Transaction],
    arrivals: Iterable[Envelope],
    *,
    start: Mapping[str, Mapping[str, Row]] | None = None,
) -> Report:
    """Compare the writers' journal with what arrived, in the order of arrival.

    ``start`` are the rows before the first transaction by source and ``key_text``;
    with it the first ``before`` of every key is checked too. Raises ValueError for
    a transaction whose outcome is unknown: whoever can read the tables settles it.
    """
    lanes: dict[tuple[str, str], Lane] = {}
    committed = rolled_back = 0
    for transaction in sorted(transactions, key=lambda item: item.at):
        if transaction.outcome == "unknown":
            raise ValueError("a transaction's outcome is unknown: settle it first")
        if transaction.outcome == "rolled back":
            rolled_back += len(transaction.changes)
            continue
        for change in transaction.changes:
            committed += 1
            lane = lanes.setdefault((change.source, key_text(change.key)), Lane())
            text = _text(change.operation, change.before, change.after)
            lane.expected.append((text, change))
    if start is not None:
        for (source, key), lane in lanes.items():
            lane.has_row, lane.row = True, start.get(source, {}).get(key)

    first: dict[str, Envelope] = {}
    duplicates = 0
    phantom: list[Envelope] = []
    order: list[Pair] = []
    content: list[Pair] = []
    for event in arrivals:
        if event["id"] in first:
            duplicates += 1
            if json_text(first[event["id"]]) != json_text(event):
                content.append((first[event["id"]], event))
            continue
        first[event["id"]] = event
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
    return Report(
        committed=committed,
        rolled_back=rolled_back,
        published=len(first),
        duplicates=duplicates,
        lost=tuple(
            change
            for lane in lanes.values()
            for _, change in (*lane.skipped, *lane.expected)
        ),
        phantom=tuple(phantom),
        order=tuple(order),
        content=tuple(content),
    )


def fold(arrivals: Iterable[Envelope]) -> dict[str, dict[str, Row | None]]:
    """The rows that a consumer ends up with, by source and ``key_text``.

    It does what the documentation tells every consumer to do: drop an event whose
    sequence is not above the last one of its key. None is a row that was deleted.
    """
    rows: dict[str, dict[str, Row | None]] = {}
    seen: dict[tuple[str, str], int] = {}
    for event in arrivals:
        source, key = event["source"], key_text(event["key"])
        if event["sequence"] > seen.get((source, key), 0):
            seen[source, key] = event["sequence"]
            rows.setdefault(source, {})[key] = event["after"]
    return rows


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
    for position, (expected, _) in enumerate(lane.expected):
        if expected == text:
            lane.skipped += (lane.expected.popleft() for _ in range(position))
            lane.expected.popleft()
            return position == 0
    for position, (skipped, _) in enumerate(lane.skipped):
        if skipped == text:
            del lane.skipped[position]
            return False
    return None


def _follows(event: Envelope, row: Row | None) -> bool:
    if event["operation"] == "insert":
        return row is None
    return event["before"] is None or json_text(event["before"]) == json_text(row)
