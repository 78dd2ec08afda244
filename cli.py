"""The command line: options in, results on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from . import __version__
from .errors import EvtrigError, UsageError

if TYPE_CHECKING:
    # Imported by the commands that need them: `relay` starts without jinja2 and yaml.
    from .database.dsn import Dsn
    from .triggers.cascade import Cascade
    from .triggers.spec import Spec

__all__ = ["main"]

Command = TypeVar("Command", bound=Callable[..., Any])


class Commands(click.Group):
    """Prints every error that a user can cause in one form, and sets the exit code."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except EvtrigError as error:
            fail(error)
        except BrokenPipeError:
            # Whoever read our output has gone. Python would complain at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)


def fail(error: EvtrigError) -> NoReturn:
    click.echo(f"evtrig: {error.message}", err=True)
    if error.hint:
        click.echo(f"  → {error.hint}", err=True)
    sys.exit(error.exit_code)


#: Every option can be given as a variable: EVTRIG_DSN, or EVTRIG_RELAY_ONCE for a flag.
option = functools.partial(click.option, show_envvar=True)


@click.group(
    cls=Commands,
    context_settings={
        "auto_envvar_prefix": "EVTRIG",
        "help_option_names": ["-h", "--help"],
    },
)
@click.version_option(__version__, prog_name="evtrig")
def main() -> None:
    """Change events from MySQL and MariaDB.

    Triggers write every committed change into an outbox table, in the writer's own
    transaction; a relay publishes them in order.

    \b
    Exit codes: 0 done, 1 failed, 2 wrong usage or a spec that cannot be understood,
    3 findings (check).
    """


def dsn_option(*, required: bool = True) -> Callable[[Command], Command]:
    return option(
        "--dsn",
        envvar="EVTRIG_DSN",
        required=required,
        callback=read_dsn,
        metavar="DSN",
        help="mysql://user:password@host:3306/schema",
    )


def read_dsn(context: click.Context, option: click.Parameter, text: str | None) -> Any:
    from .database.dsn import Dsn

    if text is None:
        return None
    try:
        dsn = Dsn.parse(text)
    except EvtrigError as error:
        fail(error)
    source = context.get_parameter_source("dsn")
    if dsn.password and source is click.core.ParameterSource.COMMANDLINE:
        click.echo(
            "evtrig: a password on the command line is visible to every user of this"
            " machine; EVTRIG_DSN keeps it private",
            err=True,
        )
    return dsn


spec_option = option(
    "-s",
    "--spec",
    "path",
    envvar="EVTRIG_SPEC",
    default="evtrig.yml",
    show_default=True,
    metavar="FILE",
    help="The spec.",
)


@main.command()
@dsn_option()
@click.argument("tables", nargs=-1, metavar="[TABLE]...")
@option(
    "-o",
    "--output",
    default="evtrig.yml",
    show_default=True,
    metavar="FILE",
    help="Where to write; - for standard output.",
)
@option("--force", is_flag=True, help="Overwrite the file.")
def init(dsn: Dsn, tables: tuple[str, ...], output: str, force: bool) -> None:
    """Write a spec from the tables of a database.

    Of the schema in the DSN: the tables named, or all of them. A table that cannot
    be captured as it is stands in the file as a comment, with the reason.
    """
    from .database.connection import Connection
    from .triggers.draft import choose, draft, reason
    from .triggers.table import introspect

    if dsn.schema is None:
        raise UsageError(
            "the DSN names no schema",
            hint="Add it: mysql://user:password@host:3306/schema",
        )
    with Connection(dsn) as connection:
        found = choose(introspect(connection, [dsn.schema]), tables, dsn.schema)
        text = draft(found, dsn.schema, connection.server)
    if output == "-":
        click.echo(text, nl=False)
        return
    write_new(Path(output), text, force=force)
    commented = sum(bool(reason(table)) for table in found)
    note = f", {commented} of them as a comment: look why" if commented else ""
    click.echo(f"{output}: {len(found)} tables of {dsn.schema}{note}")


def write_new(path: Path, text: str, *, force: bool) -> None:
    """Write a file in one go; an existing one stays unless ``force`` is given."""
    try:
        if path.exists() and not force:
            raise EvtrigError(
                f"{path} is there already",
                hint="Write elsewhere with -o, or overwrite it with --force.",
            )
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise EvtrigError(
            f"cannot write {path}: {error.strerror}",
            hint="Choose another file with -o.",
        ) from None


@main.command()
@spec_option
@dsn_option(required=False)
def generate(path: str, dsn: Dsn | None) -> None:
    """Print the SQL that captures what the spec says.

    The same spec gives the same bytes. With --dsn, columns and keys that the spec
    leaves out are looked up; with all of them in the spec no database is needed, unless
    it says `cascades: capture`.
    """
    from .database.connection import Connection
    from .database.server import Server
    from .triggers.capture import resolve
    from .triggers.cascade import refuse_cascades
    from .triggers.emit import Emit
    from .triggers.install import cascades_of, server_of, tables_of
    from .triggers.installed import Installed
    from .triggers.plan import plan
    from .triggers.script import script

    spec = load_spec(path)
    if dsn is None:
        server = Server("mariadb" if spec.server == "mariadb" else "mysql")
        captures = resolve(spec, None, server)
        refuse_cascades(spec)
        cascades: tuple[Cascade, ...] = ()
    else:
        with Connection(dsn) as connection:
            server = server_of(connection, spec)
            captures = resolve(spec, tables_of(connection, spec), server)
            cascades, _ = cascades_of(connection, spec, captures, server)
    whole = plan(
        captures,
        Installed(),
        server,
        outbox=spec.outbox,
        definer=spec.definer,
        emit=Emit.of(spec),
        cascades=cascades,
    )
    click.echo(script(whole, server), nl=False)


@main.command()
@spec_option
@dsn_option()
def install(path: str, dsn: Dsn) -> None:
    """Put outbox, account, grants and triggers in place.

    Everything that could fail is looked for first, and nothing is changed if
    something is found. Running it again completes or updates what is there; capture
    goes on meanwhile.
    """
    from .database.connection import Connection
    from .triggers.install import apply, prepare

    spec = load_spec(path)
    with Connection(dsn) as connection:
        plan = prepare(connection, spec)
        for notice in plan.notices:
            click.echo(f"evtrig: {notice}", err=True)
        apply(connection, plan, on_step=lambda step: click.echo(step.title))
    tables = f"{len(spec.tables)} table{'s' if len(spec.tables) != 1 else ''}"
    done = f"{len(plan.steps)} steps done" if plan.steps else "nothing to change"
    click.echo(f"{done}: {tables} captured into {spec.outbox}.events")


def load_spec(path: str) -> Spec:
    from .triggers.spec import load

    return load(path)


@main.command()
@spec_option
@dsn_option()
@option(
    "--dry-run-rows",
    "rows",
    type=click.IntRange(min=1, max=1_000_000),
    metavar="N",
    help="Also try every expression of the spec on N rows of each table, on a copy.",
)
@option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def check(path: str, dsn: Dsn, rows: int | None, as_json: bool) -> None:
    """Look for what is not captured as the spec says, and for what cannot be.

    Changes nothing; with --dry-run-rows it makes copies of the tables in a schema of
    its own and drops them again. Exits with 3 if there is something to mend; notices
    do not count.
    """
    from .database.connection import Connection
    from .triggers.check import check, check_expressions, summary

    spec = load_spec(path)
    with Connection(dsn) as connection:
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
            click.echo(f"  → {finding.mend}")
        click.echo(summary(findings))
    if any(finding.is_fault for finding in findings):
        sys.exit(3)


@main.command()
@spec_option
@dsn_option()
@option("--keep-outbox", is_flag=True, help="Drop the triggers only.")
@option("--yes", is_flag=True, help="Do not ask.")
def uninstall(path: str, dsn: Dsn, keep_outbox: bool, yes: bool) -> None:
    """Drop the triggers, then the outbox if it is empty.

    Events that are not published yet keep the outbox: drain it with evtrig relay
    --drain and run this again. The definer's account stays.
    """
    from .database.connection import Connection
    from .triggers.uninstall import uninstall

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


@main.command()
@dsn_option()
@option(
    "--sink",
    "uri",
    envvar="EVTRIG_SINK",
    required=True,
    metavar="URI",
    help="Where to: stdout:, file:PATH, sqs:QUEUE_URL.",
)
@option(
    "--outbox",
    envvar="EVTRIG_OUTBOX",
    default="evtrig",
    show_default=True,
    metavar="SCHEMA",
    help="Schema of the events table.",
)
@option("--once", is_flag=True, help="Publish one batch and stop.")
@option("--drain", is_flag=True, help="Stop when the outbox is empty.")
@option(
    "--max-seconds",
    type=click.FloatRange(min=0, min_open=True),
    envvar="EVTRIG_MAX_SECONDS",
    help="Stop after this time.",
)
@option(
    "--take-over",
    is_flag=True,
    help="Take over from the relay that publishes now, instead of waiting.",
)
def relay(
    dsn: Dsn,
    uri: str,
    outbox: str,
    once: bool,
    drain: bool,
    max_seconds: float | None,
    take_over: bool,
) -> None:
    """Publish the events in order, and delete what was acknowledged.

    Runs until it is stopped; SIGTERM lets it finish what is in flight. While another
    relay publishes, it waits.
    """
    from .relay.lease import TTL
    from .relay.outbox import Outbox
    from .relay.relay import Relay
    from .relay.sinks import open_sink
    from .relay.term import Options

    if once and drain:
        raise UsageError(
            "--once and --drain exclude each other",
            hint="--once is one batch, --drain is until the outbox is empty.",
        )
    log_to_stderr()
    options = Options(
        once=once, drain=drain, max_seconds=max_seconds, take_over=take_over
    )
    with contextlib.closing(open_sink(uri)) as sink, stopped_by_signals() as stop:
        relay = Relay(
            connect=lambda: Outbox.connect(dsn, outbox, ttl=TTL),
            sink=sink,
            options=options,
            stop=stop,
        )
        begun = time.monotonic()
        summary = relay.run()
        seconds = time.monotonic() - begun
    click.echo(
        f"evtrig: {summary.published} events published in {seconds:.1f} s", err=True
    )
    if stop.is_set():
        return
    if not summary.held and (once or drain):
        raise EvtrigError(
            "the lease could not be had in time",
            hint="Another relay holds it: stop that one, or take over from it with"
            " --take-over.",
        )
    if once and summary.left:
        raise EvtrigError(
            f"{summary.left} events of the batch were not acknowledged:"
            f" {summary.last_reason}",
            hint="They stay in the outbox and are sent again.",
        )
    if drain and summary.left:
        why = f": {summary.last_reason}" if summary.last_reason else ""
        raise EvtrigError(
            f"the outbox is not empty, {summary.left} events or more are left{why}",
            hint="They stay until a relay publishes them."
            + (" The sink refuses the oldest of each key." * summary.is_stuck),
        )


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """An event that the first SIGTERM or SIGINT sets; a second one kills."""
    stop = threading.Event()
    signals = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in signals}

    def set_stop(number: int, frame: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in signals:
        signal.signal(number, set_stop)
    try:
        yield stop
    finally:
        for number in signals:
            signal.signal(number, before[number])


@main.command()
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
    from .demo.demo import run

    log_to_stderr(logging.WARNING)
    run(transactions=changes, quiet=quiet)


class Facts(logging.Formatter):
    """A constant message, then the facts of its ``extra`` as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        plain = vars(logging.makeLogRecord({}))
        facts = {k: v for k, v in vars(record).items() if k not in plain}
        facts.pop("message", None)
        facts.pop("asctime", None)
        line = f"{self.formatTime(record, '%H:%M:%S')} {record.getMessage()}"
        return " ".join([line, *(f"{name}={value}" for name, value in facts.items())])


def log_to_stderr(level: int = logging.INFO) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(Facts())
    logger = logging.getLogger("evtrig")
    logger.addHandler(handler)
    logger.setLevel(level)
