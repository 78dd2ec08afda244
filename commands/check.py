"""`evtrig check`: what is not captured as the spec says, and what cannot be."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING

import click

from ..errors import EvtrigError, UsageError
from .options import (
    dsn_option,
    json_option,
    load_spec,
    no_database,
    option,
    spec_option,
)
from .routes import read_routes, routes_of, routes_option, sink_option

if TYPE_CHECKING:
    from ..database.dsn import Dsn
    from ..relay.route import Routes
    from ..triggers.check import Finding
    from ..triggers.foreseen import Foreseen

__all__ = ["check"]


@click.command()
@spec_option
@dsn_option(required=False)
@sink_option
@routes_option
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
@option(
    "--max-age",
    type=click.IntRange(min=0),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="How long an event may wait, by the clock of the database.",
)
@option(
    "--ignore",
    multiple=True,
    metavar="CODE[:OBJECT]",
    help="Leave out findings of this kind, or those about this object; may be repeated."
    " docs/check.md lists the codes.",
)
@json_option
def check(
    path: str,
    dsn: Dsn | None,
    uri: str | None,
    routes_path: str | None,
    rows: int | None,
    ddl: str | None,
    max_age: int,
    ignore: tuple[str, ...],
    as_json: bool,
) -> None:
    """Look for what is not captured as the spec says, and for what cannot be.

    With --sink or --routes also whether the relay can publish there, with the AWS
    credentials of whoever asks; without a DSN only that.

    Changes nothing; with --dry-run-rows and --ddl it makes copies of the tables in a
    schema of its own and drops them again. Exits with 3 if there is something to mend;
    notices do not count.
    """
    from ..database.connection import Connection
    from ..triggers.check import check, check_expressions, check_patterns, ignored
    from ..triggers.ddl import foresee, read

    check_patterns(ignore)
    routes = routes_of(uri, routes_path)
    if dsn is None and routes is not None:
        if rows is not None or ddl is not None:
            raise UsageError(
                "--dry-run-rows and --ddl need a database", hint="Give --dsn."
            )
        findings = check_destinations(routes, uri)
        kept = tuple(finding for finding in findings if not ignored(finding, ignore))
        report(kept, as_json=as_json)
        return
    if dsn is None:
        raise no_database()
    spec = load_spec(path)
    if spec.relay is not None:
        # A table that has another name leaves its routes behind: say so here, in CI,
        # rather than when a relay starts.
        read_routes(path)
    if ddl is not None:
        for given, name in ((rows, "--dry-run-rows"), (ignore, "--ignore")):
            if given:
                raise UsageError(
                    f"--ddl and {name} do not go together",
                    hint="Give one after the other: --ddl looks at the migration"
                    " alone.",
                )
        statements = read(ddl)
        with Connection(dsn) as connection:
            report(foresee(connection, spec, statements, ddl), as_json=as_json)
        return
    with Connection(dsn) as connection:
        findings = check(connection, spec, max_age=max_age)
        if rows is not None:
            findings = (*check_expressions(connection, spec, rows), *findings)
    if routes is not None:
        findings = (*findings, *check_destinations(routes, uri))
    kept = tuple(finding for finding in findings if not ignored(finding, ignore))
    report(kept, as_json=as_json)


def check_destinations(routes: Routes, only: str | None) -> tuple[Finding, ...]:
    """Whether each of them can be published to, and what is worth knowing of it.

    ``only`` is the URI where --sink has given it, and no name.
    """
    from ..relay.sinks import make_sink
    from ..triggers.check import Finding
    from ..triggers.check.finding import advice

    found = []
    for name, uri in routes.used.items():
        # Not the whole URI: it may hold credentials where it is wrong, and for --ignore
        # there would be too many colons in it.
        about = name if only is None else uri.partition(":")[0]
        try:
            with contextlib.closing(make_sink(uri)) as sink:
                for notice in sink.check(thoroughly=True):
                    found.append(Finding("sink-notice", about, notice, "", ()))
        except EvtrigError as error:
            finding = Finding(
                "sink-unusable",
                about,
                error.message,
                "evtrig relay ends at once; events stay in the outbox.",
                advice(error.hint or ""),
            )
            found.append(finding)
    return tuple(found)


def report(
    findings: tuple[Finding, ...] | tuple[Foreseen, ...], *, as_json: bool
) -> None:
    """Print them, and exit with 3 if one is for somebody to mend."""
    from ..triggers.check import Finding, summary

    if as_json:
        click.echo(json.dumps([f.as_dict() for f in findings], indent=2))
    else:
        for finding in findings:
            line = f"{finding.severity}: {finding.object}: {finding.problem}"
            if isinstance(finding, Finding):
                show(f"{line} [{finding.code}]", finding.consequence, *finding.mend)
            else:
                show(line, finding.consequence, *filter(None, [finding.mend]))
        click.echo(summary(finding.severity for finding in findings))
    if any(finding.is_fault for finding in findings):
        sys.exit(3)


def show(line: str, consequence: str, *mends: object) -> None:
    """One finding for people; a line of what mends it can be run as it is."""
    click.echo(line)
    if consequence:
        click.echo(f"    {consequence}")
    for mend in mends:
        text = str(mend).replace("\n", "\n    ")
        click.echo(f"  → {text}")
