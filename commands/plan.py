"""`evtrig plan`: what `evtrig install` would do."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError
from .log import say
from .options import (
    dsn_option,
    json_option,
    load_spec,
    only_option,
    option,
    prune_option,
    spec_option,
)

if TYPE_CHECKING:
    from ..database.connection import Connection
    from ..database.dsn import Dsn
    from ..triggers.plan import Plan
    from ..triggers.step import Item

__all__ = ["outline", "plan"]

#: How an item is marked, and in which colour.
MARKS = {
    "missing": ("+", "green"),
    "outdated": ("~", "yellow"),
    "orphaned": ("-", "red"),
    "installed": (" ", None),
}
#: How they are counted.
COUNTED = {
    "missing": "to add",
    "outdated": "to replace",
    "orphaned": "not in the spec",
    "installed": "as they should be",
}


@click.command()
@spec_option
@dsn_option()
@only_option
@prune_option
@option("--sql", is_flag=True, help="Print the statements.")
@json_option
@option(
    "--exit-code", is_flag=True, help="Exit with 3 if install would change something."
)
def plan(
    path: str,
    dsn: Dsn,
    only: tuple[str, ...],
    prune: bool,
    sql: bool,
    as_json: bool,
    exit_code: bool,
) -> None:
    """Show what install would change, and change nothing.

    `evtrig install --plan ID` carries out the plan that is shown here, and refuses if
    the database or the spec has changed since.
    """
    from ..database.connection import Connection
    from ..triggers.install import prepare
    from ..triggers.script import script

    if sql and as_json:
        raise UsageError(
            "--sql and --json exclude each other",
            hint="With --json the statements are there too, under `steps`.",
        )
    spec = load_spec(path)
    with Connection(dsn) as connection:
        made = prepare(connection, spec, only=only, prune=prune)
        for notice in made.notices:
            say(notice)
        if as_json:
            click.echo(json.dumps(as_data(made, connection), indent=2))
        elif sql and not made.steps:
            say("nothing to change")
        elif sql:
            click.echo(
                script(made, connection.server, place=str(connection.dsn)), nl=False
            )
        else:
            for line in outline(made):
                click.echo(line)
    if exit_code and made.steps:
        sys.exit(3)


def outline(made: Plan) -> list[str]:
    """The plan for people: what differs, grouped by table, and how much does not."""
    lines: list[str] = []
    group: str | None = ""
    for item in made.items:
        if item.state == "installed":
            continue
        if item.source != group:
            group = item.source
            lines += ["", group] if group else [""]
        lines += _of(item)
    counts = Counter[str](item.state for item in made.items)
    counted = [f"{counts[k]} {what}" for k, what in COUNTED.items() if counts[k]]
    head = "nothing to change"
    if made.steps:
        head = f"plan {made.id}: {len(made.steps)} steps"
    return [*lines[1:], *([""] if lines else []), f"{head} ({', '.join(counted)})"]


def _of(item: Item) -> list[str]:
    mark, colour = MARKS[item.state]
    name = item.name.removesuffix(f" on {item.source}")
    why = f": {'; '.join(item.reasons)}" if item.reasons else ""
    lines = [click.style(f"  {mark} {name}{why}", fg=colour)]
    for line in item.difference:
        shade = {"+": "green", "-": "red"}.get(line[:1])
        lines.append(click.style(f"        {line}", fg=shade))
    return lines


def as_data(made: Plan, connection: Connection) -> dict[str, Any]:
    """The plan for programs."""
    return {
        "id": made.id,
        "server": str(connection.server),
        "items": [
            {
                "kind": item.kind,
                "name": item.name,
                "state": item.state,
                "table": item.source,
                "reasons": item.reasons,
                "difference": item.difference,
            }
            for item in made.items
        ],
        "steps": [
            {
                "kind": step.kind,
                "title": step.title,
                "table": step.source,
                "sql": step.sql,
            }
            for step in made.steps
        ],
        "notices": made.notices,
    }
