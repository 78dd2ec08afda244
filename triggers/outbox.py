"""The outbox's own schema: what has to be in it, and how it comes and goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ..database.server import Server
from .capture import Capture
from .installed import RELAY, SALT, Installed
from .render import (
    render_dead_letters,
    render_events,
    render_polling_state,
    render_salts,
)
from .sql import Sql, ident, literal, qualified
from .step import Item, Step

__all__ = ["OUTBOX_TABLES", "outbox_parts", "outbox_removal"]

#: Of an event.
EVENT = frozenset(
    {"id", "uid", "type", "source", "operation", "captured_at"}
    | {"key", "before", "after", "context", "transaction"}
)

#: With the columns that evtrig uses.
OUTBOX_TABLES = {
    "events": EVENT,
    "event_polling_state": frozenset(
        {"name", "claim", "holder", "holder_id", "holder_connection", "expires_at"}
    ),
    "dead_letters": EVENT
    | {"holds_key", "reason", "attempts", "first_error", "last_error"}
    | {"failed_at", "parked_at"},
}

#: Only there if the spec asks for what needs it.
SALTS = {"salts": frozenset({"name", "value"})}


def outbox_parts(
    captures: Sequence[Capture], installed: Installed, server: Server, outbox: str
) -> list[tuple[Item, Step | None]]:
    """What the outbox consists of, each with the step that adds it if it is missing."""
    create = f"CREATE SCHEMA IF NOT EXISTS {ident(outbox)}"
    create += " DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    state = qualified(outbox, "event_polling_state")
    parts = [
        _part(
            "schema",
            f"schema {outbox}",
            installed.has_outbox,
            f"create schema {outbox}",
            Sql(create),
        ),
        _table(outbox, "events", installed, render_events(outbox, server)),
        _table(
            outbox,
            "event_polling_state",
            installed,
            render_polling_state(outbox, server),
        ),
        _part(
            "row",
            f"row {RELAY} of {outbox}.event_polling_state",
            installed.has_relay,
            f"add the relay to {outbox}.event_polling_state",
            Sql(f"INSERT IGNORE INTO {state} (`name`) VALUES ({literal(RELAY)})"),
        ),
        _table(outbox, "dead_letters", installed, render_dead_letters(outbox, server)),
    ]
    if any(capture.needs_salt for capture in captures):
        parts.append(_table(outbox, "salts", installed, render_salts(outbox, server)))
        # Drawn by the server: what `generate` prints has no secret in it.
        salt = f"INSERT IGNORE INTO {qualified(outbox, 'salts')} (`name`, `value`)"
        salt += f" VALUES ({literal(SALT)}, HEX(RANDOM_BYTES(32)))"
        parts.append(
            _part(
                "row",
                f"row {SALT} of {outbox}.salts",
                installed.has_salt,
                f"draw the salt of {outbox}.salts",
                Sql(salt),
            )
        )
    return parts


def outbox_removal(installed: Installed, outbox: str) -> tuple[Step, ...]:
    """The steps that drop the outbox, and its schema if nothing else is in it."""
    known = {**OUTBOX_TABLES, **SALTS}
    ours = [name for name in known if name in installed.outbox_tables]
    steps = [
        Step(
            "drop",
            f"drop table {outbox}.{name}",
            Sql(f"DROP TABLE IF EXISTS {qualified(outbox, name)}"),
            table=(outbox, name),
        )
        for name in ours
    ]
    if installed.has_outbox and not installed.outbox_tables.keys() - set(known):
        drop = Sql(f"DROP SCHEMA IF EXISTS {ident(outbox)}")
        steps.append(Step("drop", f"drop schema {outbox}", drop))
    return tuple(steps)


def _table(
    outbox: str, name: str, installed: Installed, create: Sql
) -> tuple[Item, Step | None]:
    is_there = name in installed.outbox_tables
    title = f"create table {outbox}.{name}"
    return _part("table", f"table {outbox}.{name}", is_there, title, create)


def _part(
    kind: Literal["schema", "table", "row"],
    name: str,
    is_there: bool,
    title: str,
    sql: Sql,
) -> tuple[Item, Step | None]:
    if is_there:
        return Item(kind, name, "installed"), None
    return Item(kind, name, "missing"), Step("outbox", title, sql)
