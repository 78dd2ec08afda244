"""What is installed, compared with what the spec asks for."""

from __future__ import annotations

from collections.abc import Iterator

from ..generation import CHANGED
from ..step import Item
from .finding import Finding, install
from .inspection import Inspection

__all__ = ["drift"]

#: By how the reason of an item begins.
REASONS = {
    "its sql_mode": "trigger-sql-mode",
    "its character set": "trigger-character-set",
    "its collation": "trigger-character-set",
    "its definer": "trigger-definer",
    "a replacement was interrupted": "replacement-interrupted",
}

CONSEQUENCES = {
    "trigger-missing": "Such changes make no event.",
    "trigger-edited": "What it records is not what the spec says.",
    "trigger-outdated": "What it records is not what the spec says now.",
    "trigger-sql-mode": "A value that does not fit may become NULL in the event, or"
    " make the application's write fail.",
    "trigger-character-set": "Text in the trigger may be read in another character set"
    " than it was written in.",
    "trigger-definer": "It may do what that account may do, and no more.",
    "trigger-orphaned": "It still records changes, and every write pays for it.",
    "replacement-interrupted": "Nothing is lost or recorded twice, but every write runs"
    " both.",
    "procedure-missing": "The application's CALL fails (1305).",
    "procedure-outdated": "Events of the application are not written as the spec says.",
    "procedure-orphaned": "Who may run it writes events.",
}


def drift(inspection: Inspection, mended: frozenset[str]) -> Iterator[Finding]:
    """One finding for each table and kind of difference.

    ``mended`` are tables of which something else says why their triggers differ.
    """
    if inspection.is_blind:
        return
    spec = inspection.spec
    lacking: list[str] = []
    found: dict[tuple[str, str], list[str]] = {}
    for item in inspection.plan.items:
        if item.state == "installed" or item.kind in ("account", "grant"):
            continue
        if not inspection.sight.shows(item):
            continue
        if item.kind in ("schema", "table", "row"):
            lacking.append(item.name)
            continue
        source = item.source or spec.outbox
        if is_swapped(inspection, source):
            continue
        for code, detail in details(item):
            if code == "trigger-outdated" and source in mended:
                continue
            found.setdefault((code, source), []).append(detail)
    if lacking:
        fails = "Every write to a table that has its triggers fails (1146)."
        dead_letters = f"table {spec.outbox}.dead_letters"
        # Triggers write neither to rows of evtrig's own nor to the dead letters.
        if all(name.startswith("row ") or name == dead_letters for name in lacking):
            fails = "What needs it, the relay or redaction by hash, does not work."
        yield Finding(
            "outbox-missing",
            spec.outbox,
            f"there is no {', no '.join(lacking)}",
            fails if inspection.installed.triggers else "Nothing is captured.",
            install(spec),
        )
    for (code, source), problems in found.items():
        is_of_spec = source in inspection.captured or source == spec.outbox
        yield Finding(
            code,
            source,
            "; ".join(dict.fromkeys(problems)),
            CONSEQUENCES[code],
            install(spec) if is_of_spec else install(spec, "--prune"),
        )


def details(item: Item) -> Iterator[tuple[str, str]]:
    """The codes of an item that is not as it should be, each with what is so."""
    if item.state == "outdated" and item.kind == "trigger":
        for reason in item.reasons:
            code = "trigger-outdated"
            if reason == CHANGED[True]:
                code = "trigger-edited"
            for beginning, special in REASONS.items():
                if reason.startswith(beginning):
                    code = special
            yield code, f"{item.name}: {reason}"
        return
    verb = {"missing": "there is no ", "orphaned": "nobody asks for "}
    why = f" ({'; '.join(item.reasons)})" if item.reasons else ""
    yield f"{item.kind}-{item.state}", f"{verb.get(item.state, '')}{item.name}{why}"


def is_swapped(inspection: Inspection, source: str) -> bool:
    """Whether the triggers there belong to another table (see table.py)."""
    return source not in inspection.captured and any(
        trigger.name.table in inspection.by_digest
        for trigger in inspection.installed.triggers
        if trigger.source == source and not trigger.is_cascade
    )
