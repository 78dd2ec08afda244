"""What a scrape finds, as Prometheus' own parser reads it."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_strictly,
)
from prometheus_client.parser import text_string_to_metric_families

from evtrig.relay.backlog import Backlog
from evtrig.relay.event import Event
from evtrig.relay.metrics import CALLS, Metrics
from evtrig.relay.prometheus import registry
from evtrig.relay.sinks.sink import ACKNOWLEDGED, Outcome, Result

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT, ALERTS = ROOT / "docs/metrics.md", ROOT / "examples/prometheus-alerts.yml"

UNKNOWN = Result(Outcome.UNKNOWN, "secret reason")
REFUSED = Result(Outcome.REFUSED, "secret reason")

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def busy() -> Metrics:
    metrics = Metrics(["orders", "audit"])
    metrics.turned(1.0, 9.0, is_connected=True)
    metrics.led()
    metrics.measured(Backlog(7, 12.5, 1e9), 1.0, 1.1)
    number = metrics.begins("orders", 0.0)
    metrics.begins("audit", 1.5)
    metrics.ends("orders", number, 0.03)
    body = '{"": "", "time": "2001-09-09T01:46:39.000000Z", "secret row": 1}'
    events = [Event(n, n, f"secret key {n}", body) for n in range(3)]
    metrics.answered("orders", events, [ACKNOWLEDGED, UNKNOWN, REFUSED], 2.0)
    metrics.down(["audit"])
    return metrics


def scraped(metrics: Metrics, now: float = 2.0) -> Samples:
    found = registry(metrics, outbox="evtrig", clock=lambda: now)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(generate_latest(found).decode())
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"evtrig_{name}", frozenset(labels.items())]


def test_a_scrape_tells_what_was_counted() -> None:
    found = scraped(busy())
    for name, labels, expected in (
        ("events_published_total", {"sink": "orders"}, 1),
        ("events_published_total", {"sink": "audit"}, 0),
        ("events_retried_total", {"sink": "orders", "answer": "unknown"}, 1),
        ("events_retried_total", {"sink": "orders", "answer": "retry"}, 0),
        ("events_refused_total", {"sink": "orders", "answer": "refused"}, 1),
        ("events_waiting", {}, 7),
        ("oldest_event_age_seconds", {}, 12.5),
        ("keys_blocked", {}, 1),
        ("lease_held", {}, 1),
        ("role", {"role": "leader"}, 1),
        ("role", {"role": "standby"}, 0),
        ("lease_changes_total", {"change": "gained"}, 1),
        ("loop_idle_seconds", {}, 1),
        ("sink_down", {"sink": "audit"}, 1),
        ("sink_down", {"sink": "orders"}, 0),
        ("sink_calls_in_flight", {"sink": "audit"}, 1),
        ("sink_oldest_call_age_seconds", {"sink": "audit"}, 0.5),
        ("sink_call_duration_seconds_count", {"sink": "orders"}, 1),
        ("sink_call_duration_seconds_bucket", {"sink": "orders", "le": "0.025"}, 0),
        ("sink_call_duration_seconds_bucket", {"sink": "orders", "le": "0.05"}, 1),
        ("sink_call_duration_seconds_bucket", {"sink": "orders", "le": "+Inf"}, 1),
        ("delivery_duration_seconds_sum", {"sink": "orders"}, 2),
        ("relay_info", {"outbox": "evtrig", "version": "0.1.0"}, 1),
    ):
        assert value(found, name, **labels) == expected, name
    for outcome in CALLS:
        calls = value(found, "sink_calls_total", sink="orders", outcome=outcome)
        assert calls == (outcome == "partly")


def test_only_the_relay_that_publishes_tells_what_waits() -> None:
    names = {name for name, _ in scraped(busy(), now=10.0)}
    assert "evtrig_lease_held" in names
    assert "evtrig_events_waiting" not in names
    assert "evtrig_oldest_event_age_seconds" not in names


def test_a_scrape_holds_nothing_of_a_row_and_no_reason() -> None:
    found = registry(busy(), outbox="evtrig", clock=lambda: 2.0)
    assert b"secret" not in generate_latest(found)


def test_the_stricter_format_can_be_read_too() -> None:
    found = registry(busy(), outbox="evtrig", clock=lambda: 2.0)
    families = list(parse_strictly(open_metrics(found).decode()))
    assert {"evtrig_events_published", "evtrig_role"} <= {f.name for f in families}
    assert all(family.documentation for family in families)


def test_the_process_and_the_platform_are_told_too() -> None:
    names = {name for name, _ in scraped(Metrics())}
    assert {"process_cpu_seconds_total", "python_info"} <= names


def test_every_alert_is_on_metrics_that_there_are() -> None:
    names = {name for name, _ in scraped(busy())}
    text = ALERTS.read_text()
    used = set(re.findall(r"\bevtrig_\w+", text))
    assert len(used) > 5
    assert used <= names
    assert text.strip() in DOCUMENT.read_text()


def test_every_metric_is_documented_and_no_other() -> None:
    names = {
        re.sub(r"_(bucket|count|sum)$", "", name)
        for name, _ in scraped(busy())
        if name.startswith("evtrig_")
    }
    rows = re.findall(r"^\| `(evtrig_\w+)", DOCUMENT.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(names)
