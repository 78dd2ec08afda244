"""A snapshot as one line of CloudWatch's embedded metric format.

A Lambda that prints it has metrics without calling anybody: CloudWatch makes them of
its log. Pure.

docs.aws.amazon.com, "Specification: Embedded metric format" (Amazon CloudWatch User
Guide): one JSON object a line; an array has 100 values at most.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from .metrics import CALLS, Snapshot

__all__ = ["DIMENSION", "MOST_VALUES", "NAMESPACE", "line"]

NAMESPACE = "evtrig"
#: Its value is the schema of the outbox.
DIMENSION = "Relay"
#: In an array.
MOST_VALUES = 100


def line(
    snapshot: Snapshot, *, outbox: str, at: float, since: Snapshot | None = None
) -> str:
    """What was counted after ``since``, and how it is now, without a line end.

    CloudWatch adds counts up: each must be in one line only, so that the next line of
    a relay begins ``since`` this snapshot. ``at`` is in seconds since 1970.

    What is not known is left out: age and number of waiting events where they were not
    measured meanwhile, durations where there were none.
    """
    counted = snapshot if since is None else snapshot.since(since)
    found = list(_metrics(counted))
    document: dict[str, object] = {
        "_aws": {
            "Timestamp": int(at * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": NAMESPACE,
                    "Dimensions": [[DIMENSION]],
                    "Metrics": [
                        {"Name": name, "Unit": unit} for name, unit, _ in found
                    ],
                }
            ],
        },
        # "must contain only ASCII characters" (CloudWatch API reference, "Dimension").
        DIMENSION: outbox.encode("ascii", "backslashreplace").decode(),
    }
    document.update((name, value) for name, _, value in found)
    return json.dumps(document, allow_nan=False)


def _metrics(counted: Snapshot) -> Iterator[tuple[str, str, object]]:
    """Name, unit and value of each."""
    yield "Published", "Count", counted.published
    yield "DuplicatesRetried", "Count", counted.repeated
    yield "Retried", "Count", counted.retried
    yield "Refused", "Count", counted.refused
    yield "DeadLetters", "Count", counted.parked
    yield "BlockedKeys", "Count", counted.blocked
    yield "LeaseChanges", "Count", counted.gained + counted.lost
    yield "SinksDown", "Count", len(counted.down)
    calls = counted.calls
    for outcome in CALLS:
        yield f"SinkCalls{outcome.capitalize()}", "Count", calls[outcome]
    if counted.backlog is not None:
        yield "EventsWaiting", "Count", counted.backlog.waiting
        yield "OldestEventAge", "Seconds", round(counted.backlog.age, 3)
    for name, histogram in (
        ("PublishLatency", counted.latency),
        ("DeliveryLatency", counted.delivery),
    ):
        values = histogram.values(MOST_VALUES)
        if values:
            yield name, "Seconds", [round(value, 6) for value in values]
