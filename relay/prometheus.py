"""The metrics of a relay in the words of Prometheus.

Imported only where they are asked for: prometheus_client costs a start 0.1 s, and a
Lambda has none.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from .. import __version__
from .histogram import Histogram
from .metrics import CALLS, Metrics, Snapshot

__all__ = ["RelayCollector", "registry"]

ROLES = ("leader", "standby", "disconnected")


def registry(
    metrics: Metrics, *, outbox: str, clock: Callable[[], float]
) -> CollectorRegistry:
    """A registry of the relay's own, with what it uses of the machine."""
    found = CollectorRegistry()
    found.register(RelayCollector(metrics, outbox, clock))
    ProcessCollector(registry=found)
    PlatformCollector(registry=found)
    return found


class RelayCollector(Collector):
    """Takes a snapshot each time that it is asked; ``clock`` is the relay's."""

    def __init__(
        self, metrics: Metrics, outbox: str, clock: Callable[[], float]
    ) -> None:
        self._metrics, self._outbox, self._clock = metrics, outbox, clock

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked of the relay to register."""
        return ()

    def collect(self) -> Iterable[Metric]:
        snapshot = self._metrics.snapshot(self._clock())
        yield InfoMetricFamily(
            "evtrig_relay",
            "Which relay this is: the schema of its outbox, and its version.",
            {"outbox": self._outbox, "version": __version__},
        )
        yield from _state(snapshot)
        yield from _backlog(snapshot)
        yield from _events(snapshot)
        yield from _sinks(snapshot)


def _gauge(name: str, help_: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_, value)


def _counter(
    name: str,
    help_: str,
    labels: Sequence[str],
    samples: Iterable[tuple[Sequence[str], int]],
) -> Metric:
    family = CounterMetricFamily(name, help_, labels=labels)
    for values, count in samples:
        family.add_metric(values, count)
    return family


def _state(snapshot: Snapshot) -> Iterator[Metric]:
    yield _gauge(
        "evtrig_lease_held",
        "1 while the lease lets this relay publish, else 0.",
        snapshot.is_held,
    )
    role = GaugeMetricFamily(
        "evtrig_role",
        "1 for what the relay is: leader, standby, or disconnected from its database.",
        labels=["role"],
    )
    for name in ROLES:
        role.add_metric([name], name == snapshot.role)
    yield role
    yield _counter(
        "evtrig_lease_changes",
        "How often the lease was gained, and lost to another relay or with the"
        " connection.",
        ["change"],
        [(["gained"], snapshot.gained), (["lost"], snapshot.lost)],
    )
    yield _gauge(
        "evtrig_loop_idle_seconds",
        "Seconds since the relay's loop last turned.",
        snapshot.idle,
    )


def _backlog(snapshot: Snapshot) -> Iterator[Metric]:
    """Only of the relay that publishes: of the others none has asked lately."""
    backlog = snapshot.backlog
    if backlog is None or not snapshot.is_held:
        return
    yield _gauge(
        "evtrig_events_waiting",
        "Events in the outbox, counted up to 100,000; 100,001 if there are more.",
        backlog.waiting,
    )
    yield _gauge(
        "evtrig_oldest_event_age_seconds",
        "Seconds since the change was made whose event is the first in the outbox; 0"
        " if there is none.",
        backlog.age,
    )


def _events(snapshot: Snapshot) -> Iterator[Metric]:
    sinks = snapshot.sinks

    def by_answer(*answers: str) -> Iterator[tuple[Sequence[str], int]]:
        for (name, sink), answer in itertools.product(sinks.items(), answers):
            yield [name, answer], sink.events[answer]

    yield _counter(
        "evtrig_events_published",
        "Events that a sink has acknowledged.",
        ["sink"],
        (([name], sink.events["acknowledged"]) for name, sink in sinks.items()),
    )
    yield _counter(
        "evtrig_events_retried",
        "Events to be sent again: the sink was busy (retry), their fate is unknown"
        " (unknown: they may arrive twice), or the lease ran out before (unsent).",
        ["sink", "answer"],
        by_answer("retry", "unknown", "unsent"),
    )
    yield _counter(
        "evtrig_events_refused",
        "Answers that the sink will never take an event, or finds it too large.",
        ["sink", "answer"],
        by_answer("refused", "oversized"),
    )
    yield _counter(
        "evtrig_events_unreadable",
        "Rows of the outbox that cannot be sent, each time that one was read.",
        [],
        [([], snapshot.unreadable)],
    )
    yield _counter(
        "evtrig_events_parked",
        "Events moved to the dead letters.",
        [],
        [([], snapshot.parked)],
    )
    yield _gauge(
        "evtrig_keys_blocked",
        "Keys that wait behind an event that was refused or cannot be sent.",
        snapshot.blocked,
    )


def _sinks(snapshot: Snapshot) -> Iterator[Metric]:
    sinks = snapshot.sinks
    down = GaugeMetricFamily(
        "evtrig_sink_down", "1 while the sink takes next to nothing.", labels=["sink"]
    )
    in_flight = GaugeMetricFamily(
        "evtrig_sink_calls_in_flight",
        "Calls to the sink that have not ended.",
        labels=["sink"],
    )
    oldest = GaugeMetricFamily(
        "evtrig_sink_oldest_call_age_seconds",
        "Seconds since the oldest of these calls was begun; 0 without one.",
        labels=["sink"],
    )
    latency = HistogramMetricFamily(
        "evtrig_sink_call_duration_seconds",
        "Seconds that a call to the sink took.",
        labels=["sink"],
    )
    delivery = HistogramMetricFamily(
        "evtrig_delivery_duration_seconds",
        "Seconds from a change to its acknowledgement, of the first event of each"
        " call.",
        labels=["sink"],
    )
    for name, sink in sinks.items():
        down.add_metric([name], sink.is_down)
        in_flight.add_metric([name], len(sink.begun))
        oldest.add_metric([name], snapshot.oldest_call(name))
        latency.add_metric([name], _buckets(sink.latency), sink.latency.sum)
        delivery.add_metric([name], _buckets(sink.delivery), sink.delivery.sum)
    yield _counter(
        "evtrig_sink_calls",
        "Calls to the sink: all events acknowledged, some (partly), or none and why.",
        ["sink", "outcome"],
        (
            ([name, outcome], sink.calls[outcome])
            for (name, sink), outcome in itertools.product(sinks.items(), CALLS)
        ),
    )
    yield from (down, in_flight, oldest, latency, delivery)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """The counts, each with those below it."""
    bounds = [*(str(float(bound)) for bound in histogram.bounds), "+Inf"]
    return list(zip(bounds, itertools.accumulate(histogram.counts), strict=True))
