"""Where outlets have a destination in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from evtrig.errors import SinkError
from evtrig.relay.destinations import Destinations
from evtrig.relay.event import Event
from evtrig.relay.route import Route, Routes
from evtrig.relay.scheduler import Scheduler
from evtrig.relay.sinks.sink import ACKNOWLEDGED


def test_outlets_tell_the_places_that_they_come_to(tmp_path: Path) -> None:
    uris = {name: f"file:{tmp_path}/{name}" for name in ("orders", "audit")}
    routes = Routes(
        uris, (Route(("orders", "audit"), "shop.orders"), Route(("audit",)))
    )
    destinations = Destinations.make(routes)
    try:
        found = {outlet.name: outlet.reaches for outlet in destinations.outlets()}
    finally:
        destinations.close()
    assert found == {
        "orders+audit": set(uris.values()),
        "audit": {uris["audit"]},
    }


def test_events_of_a_row_for_a_file_of_two_routes_go_one_at_a_time(
    tmp_path: Path,
) -> None:
    """A file keeps its own order, but not that of two outlets which write to it."""
    uris = {name: f"file:{tmp_path}/{name}" for name in ("orders", "audit")}
    routes = Routes(
        uris, (Route(("orders", "audit"), type="orders.insert"), Route(("audit",)))
    )
    events = [
        Event(
            n,
            n,
            "k",
            f'{{"id": "{n}-0", "sequence": {n}, "type": "orders.{operation}",'
            f' "source": "shop.orders", "operation": "{operation}", "key": {{}}}}',
        )
        for n, operation in enumerate(("update", "insert", "delete"), 1)
    ]
    destinations = Destinations.make(routes)
    try:
        destinations.check()
        window = Scheduler(
            destinations.outlets(), route=destinations.route, jitter=lambda: 1.0
        )
        window.admit(events)
        for event in events:
            batch = window.next_batch(0.0)
            assert batch == (event,)
            assert window.next_batch(0.0) == ()
            sink = destinations.sinks[window.outlet(event).name]
            window.settle(batch, sink.publish(batch, lambda: True), 0.0)
    finally:
        destinations.close()


def test_a_destination_gets_nothing_twice_while_another_cannot_be_used(
    tmp_path: Path,
) -> None:
    """An invocation of a Lambda ends there, and the next one begins with it again."""
    uris = {name: f"file:{tmp_path}/{name}" for name in ("orders", "audit")}
    destinations = Destinations.make(Routes(uris, (Route(("orders", "audit")),)))
    event = Event(1, 1, "k", '{"id": "1-0"}')
    orders, audit = (tmp_path / name for name in uris)
    try:
        destinations.check()
        (sink,) = destinations.sinks.values()
        audit.write_text("what is no event")
        for _ in range(2):
            with pytest.raises(SinkError, match="its last line"):
                sink.publish([event], lambda: True)
        audit.write_text("")
        assert sink.publish([event], lambda: True) == [ACKNOWLEDGED]
    finally:
        destinations.close()
    assert orders.read_text() == audit.read_text() == event.body + "\n"
