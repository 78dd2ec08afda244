"""Where outlets have a destination in common."""

from __future__ import annotations

from pathlib import Path

from evtrig.relay.destinations import Destinations
from evtrig.relay.route import Route, Routes


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
