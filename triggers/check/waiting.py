"""What waits in the outbox: how large, how old, and whether somebody publishes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..column import GEOMETRIES, TEXTS, ColumnType, UnknownType
from ..sql import qualified
from .finding import Finding, Mend, advice, edit, install, shell, sql
from .inspection import Inspection

__all__ = ["dead_letters", "payloads", "publishing", "unbounded"]

#: How many of the oldest and of the newest events are looked at.
SAMPLE = 100
#: What of max_allowed_packet an event may take.
ENOUGH = 0.5
#: The largest that max_allowed_packet can be, in bytes.
LARGEST_PACKET = 1 << 30

# The relay reads an event as one text, in pieces if it is too large.
LARGEST = """\
SELECT MAX(`bytes`)
  FROM (
    (SELECT {bytes} AS `bytes` FROM {events} ORDER BY `id` LIMIT {sample})
    UNION ALL
    (SELECT {bytes} FROM {events} ORDER BY `id` DESC LIMIT {sample})
  ) AS `sample`
"""
BYTES_OF = " + ".join(
    f"COALESCE(OCTET_LENGTH(`{name}`), 0)"
    for name in ("key", "before", "after", "context")
)
PACKET = "SELECT @@GLOBAL.max_allowed_packet"

# By the clock of the database.
RELAY = """\
SELECT `claim`, `holder_id`, `holder` <> 0 AND `expires_at` > UTC_TIMESTAMP(6)
  FROM {state}
 WHERE `name` = 'default'
"""
OLDEST = """\
SELECT TIMESTAMPDIFF(SECOND, `captured_at`, UTC_TIMESTAMP(6))
  FROM {events}
 ORDER BY `id`
 LIMIT 1
"""

DEAD_LETTERS = """\
SELECT COUNT(`id`), COUNT(IF(`holds_key`, 1, NULL)),
       TIMESTAMPDIFF(SECOND, MIN(`parked_at`), UTC_TIMESTAMP(6))
  FROM {dead_letters}
"""

#: The most bytes that a value has; base64 makes a third more of them.
LONGEST = {
    "mediumtext": 2**24 - 1,
    "mediumblob": 2**24 - 1,
    "longtext": 2**32 - 1,
    "longblob": 2**32 - 1,
    "json": 2**30,
    **dict.fromkeys(GEOMETRIES, 2**32 - 1),
}


def payloads(inspection: Inspection) -> Iterator[Finding]:
    """A look at some of the events that wait, never at all of them."""
    if not inspection.has("events"):
        return
    query = LARGEST.format(bytes=BYTES_OF, events=inspection.events, sample=SAMPLE)
    largest = int(inspection.connection.value(query) or 0)
    packet = int(inspection.connection.value(PACKET))
    if largest <= ENOUGH * packet:
        return
    enough = min(LARGEST_PACKET, 1 << (int(largest / ENOUGH)).bit_length())
    keep = "GLOBAL" if inspection.server.is_mariadb else "PERSIST"
    yield Finding(
        "payload-large",
        f"{inspection.outbox}.events",
        f"an event of {largest} bytes waits, and max_allowed_packet is {packet}",
        "A somewhat larger row makes the application's write fail (1301).",
        sql(f"SET {keep} max_allowed_packet = {enough}")
        if enough > packet
        else advice("Put the largest column under `exclude:`."),
    )


def unbounded(inspection: Inspection) -> Iterator[Finding]:
    """Columns whose values may be larger than max_allowed_packet."""
    packet = int(inspection.connection.value(PACKET))
    for capture in inspection.captures:
        if capture.images == "key":
            continue
        large = [
            f"{column.name} {column.type}"
            for column in capture.columns
            if column.name not in capture.redactions and longest(column.type) > packet
        ]
        if not large:
            continue
        table = next(t for t in inspection.spec.tables if t.source == capture.source)
        names = ", ".join(part.split()[0] for part in large)
        yield Finding(
            "payload-unbounded",
            capture.source,
            f"{', '.join(large)} can hold more than max_allowed_packet, {packet} bytes",
            "A write of such a value fails (1301).",
            (
                *edit(
                    f"{table.place}: where that can be, put {names} under `exclude:` or"
                    " `redact:`"
                ),
                *install(inspection.spec),
            ),
        )


def longest(kind: str) -> int:
    """The most bytes that a value of this type has in an event."""
    try:
        name = ColumnType.parse(kind).name
    except UnknownType:
        return 0
    size = LONGEST.get(name, 0)
    return size if name in TEXTS | {"json"} else size * 4 // 3


@dataclass(frozen=True)
class State:
    """Of the relay and the outbox, as the database says."""

    #: 0 if no relay has ever run.
    claim: int
    #: Host and process of the last one.
    holder: str
    is_running: bool
    #: Seconds since the oldest event that waits; None if none does.
    age: int | None


def publishing(inspection: Inspection, max_age: int) -> Iterator[Finding]:
    """Whether a relay runs, and whether an event is older than ``max_age`` seconds."""
    if not (inspection.has("events") and inspection.has("event_polling_state")):
        return
    connection, outbox = inspection.connection, inspection.outbox
    state = qualified(outbox, "event_polling_state")
    row = connection.row(RELAY.format(state=state))
    if row is None:
        return
    age = connection.value(OLDEST.format(events=inspection.events))
    found = State(row[0], row[1], bool(row[2]), None if age is None else max(0, age))
    yield from not_running(inspection, found)
    if found.age is not None and found.age > max_age:
        last = advice(
            f"Look at the log of the relay, {found.holder}: its sink refuses the event,"
            " or is too slow."
        )
        yield Finding(
            "event-age",
            f"{outbox}.events",
            f"the oldest event has waited for {found.age} seconds",
            "Consumers are that far behind.",
            last if found.is_running else relay(inspection),
        )


def not_running(inspection: Inspection, state: State) -> Iterator[Finding]:
    if state.is_running:
        return
    never = f"the last was {state.holder}" if state.claim else "none ever has"
    is_idle = state.age is None
    yield Finding(
        "relay-idle" if is_idle else "relay-not-running",
        inspection.outbox,
        f"no relay runs now; {never}",
        "Nothing waits: one that is started now and then is enough."
        if is_idle
        else "The events that wait are not published.",
        relay(inspection),
    )


def relay(inspection: Inspection) -> tuple[Mend, ...]:
    """The sink comes from EVTRIG_SINK; which it is, no database says."""
    return shell("evtrig", "relay", *at_outbox(inspection))


def at_outbox(inspection: Inspection) -> tuple[str, ...]:
    """The option of a command that takes no spec."""
    is_default = inspection.outbox == "evtrig"
    return () if is_default else ("--outbox", inspection.outbox)


def dead_letters(inspection: Inspection) -> Iterator[Finding]:
    """Events that the relay has put aside, and nobody has looked after."""
    if not inspection.has("dead_letters"):
        return
    outbox = inspection.outbox
    query = DEAD_LETTERS.format(dead_letters=qualified(outbox, "dead_letters"))
    row = inspection.connection.row(query)
    if row is None or not row[0]:
        return
    count, holding, age = (int(value) for value in row)
    are = "event is a dead letter" if count == 1 else "events are dead letters"
    yield Finding(
        "dead-letters",
        f"{outbox}.dead_letters",
        f"{count} {are}, the oldest for {max(0, age)} seconds",
        "Consumers have not heard of them"
        + (", and later changes of the same rows wait behind." if holding else "."),
        (
            *shell("evtrig", "dead-letters", "list", *at_outbox(inspection)),
            *advice(
                "Mend what the sink refuses, then put them back with evtrig"
                " dead-letters retry, or discard them."
            ),
        ),
    )
