"""`evtrig demo`: all of it on a throwaway server."""

from __future__ import annotations

import logging

import click

from .log import log_to_stderr
from .options import option

__all__ = ["demo"]


@click.command()
@option(
    "--changes",
    type=click.IntRange(min=1, max=100_000),
    default=60,
    show_default=True,
    help="Transactions of the demo's workload.",
)
@option("--quiet", is_flag=True, help="Print the counts only, not the events.")
def demo(changes: int, quiet: bool) -> None:
    """See all of it work on a throwaway server of this machine.

    A small shop writes, rolls back, violates a constraint and loses an optimistic
    lock, while the relay prints the events as they come. Nothing stays behind.
    """
    from ..demo.demo import run

    log_to_stderr(logging.WARNING)
    run(transactions=changes, quiet=quiet)
