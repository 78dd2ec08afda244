"""The columns that the relay asks for are those that install makes."""

from __future__ import annotations

import re

import pytest

from evtrig.database.server import Server
from evtrig.relay.column import COLUMNS
from evtrig.triggers.render import (
    render_dead_letters,
    render_events,
    render_polling_state,
)


@pytest.mark.parametrize("version", ["9.7.0", "10.11.19-MariaDB"])
def test_the_relay_needs_the_columns_that_install_makes(version: str) -> None:
    server = Server.parse(version)
    made = {
        "events": render_events("evtrig", server),
        "event_polling_state": render_polling_state("evtrig", server),
        "dead_letters": render_dead_letters("evtrig", server),
    }
    for table, sql in made.items():
        found = re.findall(r"^    `(\w+)`", str(sql), re.MULTILINE)
        assert tuple(found) == COLUMNS[table]
