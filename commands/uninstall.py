"""`evtrig uninstall`: the triggers, then the outbox if it is empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..errors import EvtrigError
from .options import dsn_option, load_spec, option, spec_option

if TYPE_CHECKING:
    from ..database.dsn import Dsn

__all__ = ["uninstall"]


@click.command()
@spec_option
@dsn_option()
@option("--keep-outbox", is_flag=True, help="Drop the triggers only.")
@option("--yes", is_flag=True, help="Do not ask.")
def uninstall(path: str, dsn: Dsn, keep_outbox: bool, yes: bool) -> None:
    """Drop the triggers, then the outbox if it is empty.

    Events that are not published yet keep the outbox: drain it with evtrig relay
    --drain and run this again. The definer's account stays.
    """
    from ..database.connection import Connection
    from ..triggers.uninstall import uninstall

    spec = load_spec(path)
    with Connection(dsn) as connection:
        if not yes:
            question = f"Stop capturing into {spec.outbox} at {dsn}?"
            try:
                click.confirm(question, abort=True, err=True)
            except click.Abort:
                raise EvtrigError(
                    "nothing was changed", hint="Answer y, or give --yes."
                ) from None
        removal = uninstall(
            connection,
            outbox=spec.outbox,
            schemas=sorted({table.schema for table in spec.tables}),
            keep_outbox=keep_outbox,
            on_step=lambda step: click.echo(step.title),
        )
    click.echo(f"{removal.triggers} triggers dropped")
    if removal.waiting:
        click.echo(
            f"evtrig: {spec.outbox} stays: {removal.waiting} events are not published\n"
            "  → Run evtrig relay --drain, then evtrig uninstall again.",
            err=True,
        )
    if removal.outbox_dropped and spec.definer:
        click.echo(
            f"evtrig: the locked account {spec.definer} stays, other triggers may be"
            " its own; drop it with DROP USER",
            err=True,
        )
