"""`evtrig install`: carries out what `evtrig plan` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .options import dsn_option, load_spec, spec_option

if TYPE_CHECKING:
    from ..database.dsn import Dsn

__all__ = ["install"]


@click.command()
@spec_option
@dsn_option()
def install(path: str, dsn: Dsn) -> None:
    """Put outbox, account, grants and triggers in place.

    Everything that could fail is looked for first, and nothing is changed if
    something is found. Running it again completes or updates what is there; capture
    goes on meanwhile.
    """
    from ..database.connection import Connection
    from ..triggers.install import apply, prepare

    spec = load_spec(path)
    with Connection(dsn) as connection:
        plan = prepare(connection, spec)
        for notice in plan.notices:
            click.echo(f"evtrig: {notice}", err=True)
        apply(connection, plan, on_step=lambda step: click.echo(step.title))
    tables = f"{len(spec.tables)} table{'s' if len(spec.tables) != 1 else ''}"
    done = f"{len(plan.steps)} steps done" if plan.steps else "nothing to change"
    click.echo(f"{done}: {tables} captured into {spec.outbox}.events")
