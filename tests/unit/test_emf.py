"""The embedded metric format, as CloudWatch reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from evtrig.relay import emf
from evtrig.relay.backlog import Backlog
from evtrig.relay.event import Event
from evtrig.relay.metrics import Metrics, Snapshot
from evtrig.relay.sinks.sink import ACKNOWLEDGED, Outcome, Result

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/metrics.md"

UNITS = ["Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "None"]

#: docs.aws.amazon.com, Amazon CloudWatch User Guide, "Specification: Embedded metric
#: format", its limits and the schema at its end, without the units that nobody here
#: uses; and no member that the specification does not know.
SCHEMA = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "additionalProperties": False,
            "properties": {
                "Timestamp": {"type": "integer"},
                "CloudWatchMetrics": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["Namespace", "Dimensions", "Metrics"],
                        "additionalProperties": False,
                        "properties": {
                            "Namespace": {
                                "type": "string",
                                "minLength": 1,
                                "maxLength": 1024,
                            },
                            "Dimensions": {
                                "type": "array",
                                "minItems": 1,
                                "items": {
                                    "type": "array",
                                    "maxItems": 30,
                                    "items": {
                                        "type": "string",
                                        "minLength": 1,
                                        "maxLength": 250,
                                    },
                                },
                            },
                            "Metrics": {
                                "type": "array",
                                "maxItems": 100,
                                "items": {
                                    "type": "object",
                                    "required": ["Name"],
                                    "additionalProperties": False,
                                    "properties": {
                                        "Name": {
                                            "type": "string",
                                            "minLength": 1,
                                            "maxLength": 1024,
                                        },
                                        "Unit": {"enum": UNITS},
                                        "StorageResolution": {"enum": [1, 60]},
                                    },
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}
#: Of a member that a metric names: "a numeric value or an array of numeric values", of
#: which there "MUST NOT" be more than 100.
TARGET = {
    "oneOf": [
        {"type": "number"},
        {
            "type": "array",
            "minItems": 1,
            "maxItems": 100,
            "items": {"type": "number"},
        },
    ]
}
DIMENSION = {"type": "string", "minLength": 1, "maxLength": 1024}

RETRY = Result(Outcome.RETRY, "secret reason")
UNKNOWN = Result(Outcome.UNKNOWN, "secret reason")
REFUSED = Result(Outcome.REFUSED, "secret reason")


def read(line: str) -> dict[str, Any]:
    """What CloudWatch makes of a line; fails where it would make nothing of it."""
    assert "\n" not in line
    document = json.loads(line)
    jsonschema.validate(document, SCHEMA)
    named = set()
    for directive in document["_aws"]["CloudWatchMetrics"]:
        for metric in directive["Metrics"]:
            jsonschema.validate(document[metric["Name"]], TARGET)
            named.add(metric["Name"])
        for name in (name for names in directive["Dimensions"] for name in names):
            jsonschema.validate(document[name], DIMENSION)
            named.add(name)
    assert set(document) == {"_aws", *named}, "a member that nothing names"
    return document


def busy() -> Metrics:
    metrics = Metrics(["sink", "audit"])
    metrics.turned(0.0, 9.0, is_connected=True)
    metrics.led()
    metrics.measured(Backlog(7, 12.3456, 1e9), 1.0, 1.1)
    results = [ACKNOWLEDGED, RETRY, UNKNOWN, REFUSED]
    for n in range(150):
        number = metrics.begins("sink", 0.0)
        metrics.ends("sink", number, n / 1000)
        events = [
            Event(
                m,
                m,
                f"secret key {m}",
                '{"": "", "time": "2026-11-28T12:00:00.000000Z", "secret row": 1}',
            )
            for m in range(4)
        ]
        metrics.answered("sink", events, results, 2.0)
    metrics.parked(events[:2])
    metrics.down(["audit"])
    return metrics


def test_a_line_is_what_the_specification_asks_for() -> None:
    document = read(emf.line(busy().snapshot(2.0), outbox="evtrig", at=1795867200.25))
    assert document["Relay"] == "evtrig"
    assert document["_aws"]["Timestamp"] == 1795867200250
    (directive,) = document["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("evtrig", [["Relay"]])
    units = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
    seconds = {name for name, unit in units.items() if unit == "Seconds"}
    assert seconds == {"OldestEventAge", "PublishLatency", "DeliveryLatency"}
    assert {name: document[name] for name in units if name not in seconds} == {
        "Published": 150,
        "DuplicatesRetried": 150,
        "Retried": 300,
        "Refused": 150,
        "DeadLetters": 2,
        "BlockedKeys": 1,
        "LeaseChanges": 1,
        "SinksDown": 1,
        "SinkCallsAcknowledged": 0,
        "SinkCallsPartly": 150,
        "SinkCallsRetry": 0,
        "SinkCallsRefused": 0,
        "SinkCallsUnknown": 0,
        "SinkCallsUnsent": 0,
        "SinkCallsError": 0,
        "EventsWaiting": 7,
    }
    assert document["OldestEventAge"] == 12.346
    assert len(document["PublishLatency"]) == len(document["DeliveryLatency"]) == 100


def test_a_line_holds_nothing_of_a_row_and_no_reason() -> None:
    assert "secret" not in emf.line(busy().snapshot(2.0), outbox="evtrig", at=0)


def test_a_relay_that_never_led_has_no_age_and_no_durations() -> None:
    document = read(emf.line(Snapshot(0.0), outbox="evtrig", at=0))
    assert document["Published"] == 0
    absent = {"OldestEventAge", "EventsWaiting", "PublishLatency", "DeliveryLatency"}
    assert absent.isdisjoint(document)


def test_an_outbox_where_nothing_waits_has_an_age_of_zero() -> None:
    """Or an alarm could not tell it from a relay that does not run."""
    metrics = Metrics()
    metrics.measured(Backlog(0, 0.0, 1e9), 1.0, 1.1)
    document = read(emf.line(metrics.snapshot(2.0), outbox="evtrig", at=0))
    assert (document["OldestEventAge"], document["EventsWaiting"]) == (0, 0)


def test_lines_add_up_to_what_was_done() -> None:
    metrics = busy()
    first = metrics.snapshot(2.0)
    metrics.answered("sink", [Event(1, 1, "k", "{}")], [ACKNOWLEDGED], 3.0)
    second = metrics.snapshot(3.0)
    lines = [
        read(emf.line(first, outbox="evtrig", at=0)),
        read(emf.line(second, outbox="evtrig", at=60, since=first)),
        read(emf.line(second, outbox="evtrig", at=61, since=second)),
    ]
    assert [line["Published"] for line in lines] == [150, 1, 0]
    assert [line["SinkCallsAcknowledged"] for line in lines] == [0, 1, 0]
    assert ["OldestEventAge" in line for line in lines] == [True, False, False]


def test_every_metric_is_documented() -> None:
    text = DOCUMENT.read_text()
    document = read(emf.line(busy().snapshot(2.0), outbox="evtrig", at=0))
    names = [name.replace("SinkCalls", "…") for name in document if name != "_aws"]
    missing = [
        name
        for name in names
        if f"`{name}`" not in text and f"`{name.replace('…', 'SinkCalls')}`" not in text
    ]
    assert missing == []


@pytest.mark.parametrize("outbox", ["evtrig", "événements", "発"])
def test_the_name_of_the_outbox_is_ascii_whatever_it_is(outbox: str) -> None:
    name = read(emf.line(Snapshot(0.0), outbox=outbox, at=0))["Relay"]
    assert name.isascii()
    assert name.isprintable()
