"""`evtrig uninstall`: the triggers, then the outbox if it is empty."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from .log import regardless, say
from .options import (
    confirm,
    dsn_option,
    load_spec,
    lock_timeout_option,
    option,
    spec_option,
    yes_option,
)

if TYPE_CHECKING:
    from ..database.dsn import Dsn

__all__ = ["uninstall"]


@click.command()
@spec_option
@dsn_option()
@option("--keep-outbox", is_flag=True, help="Drop the triggers only.")
@lock_timeout_option
@yes_option
def uninstall(
    path: str, dsn: Dsn, keep_outbox: bool, lock_timeout: float, yes: bool
) -> None:
    """Drop the triggers, then the outbox if it is empty.

    Events that are not published yet keep the outbox: drain it with evtrig relay
    --drain and run this again. So do dead letters, until they are put back or
    discarded. The definer's account stays.
    """
    from ..database.connection import Connection
    from ..triggers.mutex import sole_installer
    from ..triggers.patience import Patience
    from ..triggers.uninstall import uninstall

    spec = load_spec(path)
    with (
        Connection(dsn) as connection,
        sole_installer(connection, spec.outbox, on_wait=say),
    ):
        if not yes:
            confirm(f"Stop capturing into {spec.outbox} at {connection.dsn}?")
        removal = uninstall(
            connection,
            outbox=spec.outbox,
            schemas=sorted({table.schema for table in spec.tables}),
            has_emit=spec.emit,
            keep_outbox=keep_outbox,
            on_step=regardless(lambda step: click.echo(step.title)),
            patience=Patience(lock_timeout, on_wait=regardless(say)),
        )
    click.echo(f"{removal.triggers} triggers dropped")
    if removal.waiting:
        click.echo(
            f"evtrig: {spec.outbox} stays: {removal.waiting} events are not published\n"
            f"  → Run evtrig relay --outbox {shlex.quote(spec.outbox)} --drain with its"
            " --sink, then evtrig uninstall again.",
            err=True,
        )
    if removal.dead_letters:
        click.echo(
            f"evtrig: {spec.outbox} stays: {removal.dead_letters} events are dead"
            " letters, which no sink takes\n"
            "  → evtrig dead-letters shows them, puts them back and discards them; then"
            " run evtrig uninstall again.",
            err=True,
        )
    if removal.outbox_dropped and spec.definer:
        click.echo(
            f"evtrig: the locked account {spec.definer} stays, other triggers may be"
            " its own; drop it with DROP USER",
            err=True,
        )
