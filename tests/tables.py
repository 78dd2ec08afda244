"""The tables of an outbox, for tests that want no triggers."""

from __future__ import annotations

from evtrig.database.server import Server
from evtrig.triggers.render import (
    render_dead_letters,
    render_events,
    render_polling_state,
)
from evtrig.triggers.sql import ident

__all__ = ["outbox_tables"]


def outbox_tables(schema: str, server: Server) -> list[str]:
    """Statements that create the schema and all that a relay needs in it."""
    name = ident(schema)
    return [
        f"CREATE DATABASE {name}",
        str(render_events(schema, server)),
        str(render_polling_state(schema, server)),
        str(render_dead_letters(schema, server)),
        f"INSERT INTO {name}.`event_polling_state` (`name`) VALUES ('default')",
    ]
