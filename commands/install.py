"""`evtrig install`: carries out what `evtrig plan` shows."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from ..errors import EvtrigError
from .log import regardless, say
from .options import (
    confirm,
    dsn_option,
    load_spec,
    lock_timeout_option,
    only_option,
    option,
    prune_option,
    spec_option,
    yes_option,
)
from .plan import outline

if TYPE_CHECKING:
    from ..database.dsn import Dsn
    from ..triggers.plan import Plan
    from ..triggers.step import Step

__all__ = ["install"]

#: With more steps than these, a terminal gets a bar instead of a line for each.
LINES = 40


#: What to do when something has stopped the plan of an id.
OTHER_PLAN = "Then look at evtrig plan again: what is left to do has another id."


@click.command()
@spec_option
@dsn_option()
@only_option
@prune_option
@option(
    "--plan",
    "expected",
    metavar="ID",
    help="Carry out the plan that `evtrig plan` has shown under this ID, or nothing.",
)
@lock_timeout_option
@yes_option
def install(
    path: str,
    dsn: Dsn,
    only: tuple[str, ...],
    prune: bool,
    expected: str | None,
    lock_timeout: float,
    yes: bool,
) -> None:
    """Put outbox, account, grants and triggers in place.

    Everything that could fail is looked for first, and nothing is changed if
    something is found. Shows what it is going to do and asks, unless --yes is given.
    Running it again completes or updates what is there; capture goes on meanwhile.
    """
    from ..database.connection import Connection
    from ..triggers.install import AGAIN, apply, prepare
    from ..triggers.mutex import sole_installer
    from ..triggers.patience import Patience

    spec = load_spec(path)
    with (
        Connection(dsn) as connection,
        sole_installer(connection, spec.outbox, on_wait=say),
    ):
        plan = prepare(connection, spec, only=only, prune=prune)
        if expected is not None and plan.id != expected:
            refuse(plan, expected)
        for notice in plan.notices:
            say(notice)
        if plan.steps and not yes:
            for line in outline(plan):
                click.echo(line)
            confirm(f"Carry out {len(plan.steps)} steps at {connection.dsn}?")
            # Somebody may have changed a table while we waited for the answer.
            now = prepare(connection, spec, only=only, prune=prune)
            if now.id != plan.id:
                refuse(now, plan.id)
        with reporting(plan) as on_step:
            apply(
                connection,
                plan,
                again=OTHER_PLAN if expected else AGAIN.format(command="install"),
                on_step=regardless(on_step),
                patience=Patience(lock_timeout, on_wait=regardless(say)),
            )
    number = len(spec.only(only).tables if only else spec.tables)
    tables = f"{number} table{'s' if number != 1 else ''}"
    done = f"{len(plan.steps)} steps done" if plan.steps else "nothing to change"
    click.echo(f"{done}: {tables} captured into {spec.outbox}.events")


def refuse(plan: Plan, expected: str) -> None:
    now = f"it would be {plan.id} now" if plan.id else "there is nothing to change now"
    raise EvtrigError(
        f"the database or the spec has changed since plan {expected} was made: {now};"
        " nothing was done",
        hint="Look at evtrig plan again.",
    )


@contextlib.contextmanager
def reporting(plan: Plan) -> Iterator[Callable[[Step], None]]:
    """Says each step when it is done: a line, or a bar where there are many."""
    if len(plan.steps) <= LINES or not sys.stderr.isatty():
        yield lambda step: click.echo(step.title)
        return
    with click.progressbar(
        length=len(plan.steps),
        file=sys.stderr,
        item_show_func=lambda title: title,
    ) as bar:
        yield lambda step: bar.update(1, step.title)
