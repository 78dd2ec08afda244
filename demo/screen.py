"""What the demo shows, on standard output, at most 100 columns wide."""

from __future__ import annotations

import json
import sys
import textwrap
from dataclasses import dataclass

import click

from .checker import Envelope
from .journal import Row
from .shop import TABLES, ShopTable

__all__ = ["Screen", "event_line", "wrapped"]

WIDTH = 100
#: Columns in front of an action: writer and outcome.
MARGIN = 15


@dataclass
class Screen:
    """``is_quiet`` leaves the counts only."""

    is_quiet: bool = False

    def heading(self, text: str) -> None:
        self._say(text, bold=True)

    def gap(self) -> None:
        self._say("")

    def text(self, text: str) -> None:
        """A paragraph."""
        self._say(paragraph(text))

    def verbatim(self, text: str) -> None:
        self._say("")
        self._say(textwrap.indent(text.rstrip(), " " * 7), fg="cyan")
        self._say("")

    def action(self, writer: str, outcome: str, text: str) -> None:
        """What a writer did: ``COMMIT``, ``ROLLBACK`` or that it goes on."""
        color = {"COMMIT": "green", "ROLLBACK": "red"}.get(outcome, "yellow")
        first, *rest = textwrap.wrap(text, WIDTH - MARGIN)
        head = click.style(f"{outcome:<8}", fg=color, bold=True)
        self._say(f"   {writer}  {head} {first}")
        for line in rest:
            self._say(" " * MARGIN + line)

    def event(self, event: Envelope) -> None:
        self._say(event_line(event), fg="cyan")

    def no_event(self, why: str) -> None:
        self._say(f"      × no event: {why}", dim=True)

    def counts(self, text: str, *, is_good: bool) -> None:
        """Shown also when quiet."""
        if self.is_quiet:
            self._echo(text)
        else:
            color = "green" if is_good else "red"
            self._echo(click.style(paragraph(text), fg=color, bold=True))

    def _say(
        self, text: str, *, fg: str | None = None, bold: bool = False, dim: bool = False
    ) -> None:
        if not self.is_quiet:
            # False would write a code that switches it off.
            self._echo(click.style(text, fg=fg, bold=bold or None, dim=dim or None))

    @staticmethod
    def _echo(text: str) -> None:
        # A terminal in Latin-1 has no arrow: that is no reason to fail.
        encoding = sys.stdout.encoding or "utf-8"
        click.echo(text.encode(encoding, "replace").decode(encoding))


def paragraph(text: str) -> str:
    indent = " " * 3
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )


def event_line(event: Envelope) -> str:
    """An event in one line: what it is about, then what has changed."""
    table = TABLES[event["source"].partition(".")[2]]
    key = _value({column: event["key"][column] for column in table.key})
    head = f"      → {event['sequence']:>3}  {event['type']:<18}  {key:<15}"
    line = f"{head}  {_change(event, table)}"
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"


def _change(event: Envelope, table: ShopTable) -> str:
    before: Row = event["before"] or {}
    after: Row = event["after"] or {}
    columns = [column for column in table.columns if column not in event["key"]]
    if before and after:
        return ", ".join(
            f"{column} {before[column]} → {after[column]}"
            for column in columns
            if before[column] != after[column]
        )
    row = before or after
    return ", ".join(f"{column} {row[column]}" for column in columns)


def _value(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def wrapped(event: Envelope, width: int = WIDTH - 7) -> str:
    """An envelope as JSON, with line breaks between its members only."""
    members = [f"{_value(name)}: {_value(value)}" for name, value in event.items()]
    lines = ["{" + members[0]]
    for member in members[1:]:
        if len(lines[-1]) + len(member) + 3 > width:
            lines[-1] += ","
            lines.append(f" {member}")
        else:
            lines[-1] += f", {member}"
    return "\n".join(lines) + "}"
