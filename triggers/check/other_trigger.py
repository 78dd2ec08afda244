"""Triggers of somebody else on captured tables, and what their order means.

Measured on both servers. An AFTER trigger that runs before evtrig's and writes to
another captured table makes that change's event come first, and so does every BEFORE
trigger. One that runs after evtrig's comes after it, and if it fails, the event goes
with the change. None can change the captured row itself (1442).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..sql import qualified
from ..trigger import TriggerName
from .finding import Finding, advice, sql
from .inspection import Inspection

__all__ = ["other_triggers"]

# Without the bodies of evtrig's own, which were read before.
TRIGGERS = """\
SELECT trigger_name, event_object_table, action_timing, event_manipulation,
       action_order, IF(trigger_name LIKE 'evtrig\\_%%', '', action_statement)
  FROM information_schema.triggers
 WHERE event_object_schema = %s
 ORDER BY event_object_table, event_manipulation, action_timing DESC, action_order
"""
NAME = r"(?:`(?:[^`]|``)*`|[\w$]+)"
WRITTEN = re.compile(
    r"\b(?:INSERT|REPLACE|UPDATE|DELETE)\b(?:\s+(?:LOW_PRIORITY|DELAYED|HIGH_PRIORITY"
    rf"|QUICK|IGNORE|INTO|FROM))*\s+(?P<first>{NAME})(?:\s*\.\s*(?P<second>{NAME}))?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class OtherTrigger:
    """A trigger that is not evtrig's."""

    schema: str
    name: str
    table: str
    #: ``BEFORE`` or ``AFTER``.
    timing: str
    operation: str
    #: Whether it runs before evtrig's AFTER trigger of this operation.
    is_first: bool
    #: evtrig's trigger of this operation; None if there is none.
    own: str | None
    body: str

    @property
    def source(self) -> str:
        return f"{self.schema}.{self.table}"

    def __str__(self) -> str:
        order = "before" if self.is_first else "after"
        when = f"{self.timing.lower()} {self.operation.lower()}"
        return (
            f"{self.name} {when}, {order} evtrig's"
            if self.own
            else (f"{self.name} {when}")
        )

    def writes_to(self) -> set[str]:
        """Tables that it names as written to, ``schema.table`` each; not what a
        procedure does that it calls."""
        found = set()
        for match in WRITTEN.finditer(self.body):
            first, second = (unquoted(match[part]) for part in ("first", "second"))
            found.add(f"{first}.{second}" if second else f"{self.schema}.{first}")
        return found


def other_triggers(inspection: Inspection) -> Iterator[Finding]:
    by_table: dict[str, list[OtherTrigger]] = {}
    for schema in inspection.schemas:
        for trigger in triggers_of(inspection, schema):
            by_table.setdefault(trigger.source, []).append(trigger)
    for source, triggers in by_table.items():
        yield Finding(
            "other-trigger",
            source,
            f"has triggers of somebody else: {'; '.join(map(str, triggers))}",
            "What BEFORE triggers change is in the events. If one fails, the write"
            " fails, and its event goes with it.",
            advice("Nothing has to be done."),
        )
        for trigger in triggers:
            yield from effects(inspection, trigger)


def triggers_of(inspection: Inspection, schema: str) -> list[OtherTrigger]:
    rows = inspection.connection.rows(TRIGGERS, (schema,))
    own: dict[tuple[str, str], tuple[int, str]] = {}
    for name, table, timing, operation, order, _ in rows:
        if timing == "AFTER" and TriggerName.parse(name):
            own.setdefault((table, operation), (order, name))
    found = []
    for name, table, timing, operation, order, body in rows:
        if f"{schema}.{table}" in inspection.captured and not TriggerName.parse(name):
            at, evtrigs = own.get((table, operation), (0, None))
            is_first = timing == "BEFORE" or order < at
            found.append(
                OtherTrigger(
                    schema, name, table, timing, operation, is_first, evtrigs, body
                )
            )
    return found


def effects(inspection: Inspection, trigger: OtherTrigger) -> Iterator[Finding]:
    written = trigger.writes_to()
    captured = sorted((written & inspection.captured) - {trigger.source})
    if captured and trigger.is_first and trigger.own:
        again = f"FOLLOWS `{trigger.own}`"
        yield Finding(
            "trigger-order",
            trigger.source,
            f"trigger {trigger.name} writes to {', '.join(captured)} before evtrig's"
            f" runs, {trigger.timing.lower()} {trigger.operation.lower()}",
            f"Events of {', '.join(captured)} come before the event of the change that"
            " caused them.",
            advice(
                f"Where that matters, drop {qualified(trigger.schema, trigger.name)}"
                f" and create it again, AFTER {trigger.operation} … FOR EACH ROW"
                f" {again}."
            ),
        )
    if f"{inspection.outbox}.events" in written:
        yield Finding(
            "trigger-on-outbox",
            trigger.source,
            f"trigger {trigger.name} writes to {inspection.outbox}.events",
            "It can make up events, and delete or change those that wait.",
            sql(f"DROP TRIGGER {qualified(trigger.schema, trigger.name)}"),
        )


def unquoted(name: str | None) -> str:
    if not name:
        return ""
    return name[1:-1].replace("``", "`") if name.startswith("`") else name
