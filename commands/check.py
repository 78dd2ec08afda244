"""`evtrig check`: what is not captured as the spec says, and what cannot be."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING

import click

from .options import dsn_option, json_option, load_spec, option, spec_option

if TYPE_CHECKING:
    from ..database.dsn import Dsn

__all__ = ["check"]


@click.command()
@spec_option
@dsn_option()
@option(
    "--dry-run-rows",
    "rows",
    type=click.IntRange(min=1, max=1_000_000),
    metavar="N",
    help="Also try every expression of the spec on N rows of each table, on a copy.",
)
@option(
    "--ddl",
    metavar="FILE",
    help="Only say what the statements of a pending migration would do to capture;"
    " - reads standard input. They are tried on empty copies of the tables.",
)
@json_option
def check(
    path: str, dsn: Dsn, rows: int | None, ddl: str | None, as_json: bool
) -> None:
    """Look for what is not captured as the spec says, and for what cannot be.

    Changes nothing; with --dry-run-rows and --ddl it makes copies of the tables in a
    schema of its own and drops them again. Exits with 3 if there is something to mend;
    notices do not count.
    """
    from ..database.connection import Connection
    from ..errors import UsageError
    from ..triggers.check import check, check_expressions, summary
    from ..triggers.ddl import foresee, read

    spec = load_spec(path)
    if ddl is not None and rows is not None:
        raise UsageError(
            "--ddl and --dry-run-rows do not go together",
            hint="Give one after the other: --ddl looks at the migration alone.",
        )
    statements = None if ddl is None else read(ddl)
    with Connection(dsn) as connection:
        if ddl is not None and statements is not None:
            findings = foresee(connection, spec, statements, ddl)
        else:
            findings = check(connection, spec)
        if rows is not None:
            findings = (*check_expressions(connection, spec, rows), *findings)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(f) for f in findings], indent=2))
    else:
        for finding in findings:
            click.echo(f"{finding.severity}: {finding.object}: {finding.problem}")
            if finding.consequence:
                click.echo(f"    {finding.consequence}")
            if finding.mend:
                mend = finding.mend.replace("\n", "\n    ")
                click.echo(f"  → {mend}")
        click.echo(summary(findings))
    if any(finding.is_fault for finding in findings):
        sys.exit(3)
