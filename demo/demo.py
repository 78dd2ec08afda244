"""``evtrig demo``: the whole path on a throwaway server, told and then checked."""

from __future__ import annotations

import contextlib
import os
import secrets
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import click

from ..database.connection import Connection
from ..database.dsn import Dsn
from ..errors import EvtrigError
from ..relay.lease import TTL
from ..relay.outbox import Outbox
from ..relay.relay import Options, Relay, Summary
from ..triggers.install import apply, prepare
from ..triggers.plan import Plan
from ..triggers.spec import parse
from .arrivals import Arrivals
from .checker import Report, check, fold
from .interrupt import interruptible, undisturbed_end
from .journal import Journal, Row, read_journal
from .load import Load
from .screen import Screen
from .server import VARIABLE, ThrowawayServer, start_any
from .shop import TABLES, Shop
from .story import Story
from .writer import Writer

__all__ = ["run"]

WRITERS = "ABCD"
NEXT = """\
evtrig init --dsn mysql://user@host/schema    writes the spec, evtrig.yml
evtrig generate                               prints the SQL, for a review
"""
#: Seconds; the servers' default is 50.
IMPATIENCE = {"innodb_lock_wait_timeout": 5}
#: Seconds in which the relay must have published what is left at the end.
DRAIN_SECONDS = 30


def run(*, transactions: int, quiet: bool) -> None:
    """Show evtrig at work, and check that it has kept its promise.

    After the story, ``transactions`` more are made by several writers at once.
    Raises ServerNotFound, and EvtrigError if an event was lost, invented or out of
    order. Nothing stays behind, whatever ends it.
    """
    screen = Screen(quiet)
    try:
        with (
            interruptible(),
            start(screen) as server,
            tempfile.TemporaryDirectory(prefix="evtrig-demo-") as folder,
            shop_on(server) as shop,
            undisturbed_end(),
        ):
            screen.text(f"{server.description}. Nothing of the demo will stay.")
            journal = Path(folder, "journal")
            report, is_same = play(server, shop, screen, journal, transactions)
    except KeyboardInterrupt:
        click.echo("evtrig: stopped, and nothing of the demo is left", err=True)
        raise
    if not (report.is_clean and is_same):
        raise EvtrigError(
            "what was published is not what was committed",
            hint="That is a defect of evtrig: report it with the output above, please.",
        )


def start(screen: Screen) -> ThrowawayServer:
    screen.heading("evtrig demo")
    screen.text("Looking for a database server …")
    return start_any()


def play(
    server: ThrowawayServer,
    shop: Shop,
    screen: Screen,
    journal: Path,
    transactions: int,
) -> tuple[Report, bool]:
    """Everything but the server: what the checker found, and whether the events give
    the tables back."""
    dsn = Dsn.parse(server.dsn)
    arrivals = Arrivals()
    with contextlib.ExitStack() as stack:
        observer = stack.enter_context(Connection(dsn))
        install(observer, shop, screen)
        book = stack.enter_context(Journal(journal))
        writers = []
        for name in WRITERS:
            connection = Connection(dsn, found_rows=True, settings=IMPATIENCE)
            writers.append(Writer(name, shop, stack.enter_context(connection), book))
        # As a user's DSN, it names the schema of the application.
        own = Dsn.parse(server.dsn_of(shop.schema))
        relay = partial(
            Relay, lambda: Outbox.connect(own, shop.outbox, ttl=TTL), arrivals
        )
        with running(relay()) as publishing:
            publishing.add_done_callback(lambda _: arrivals.close())
            screen.gap()
            screen.heading("2. Two writers, A and B, and the relay")
            screen.text(
                "→ is an event with its sequence number, printed when the relay"
                " publishes it. evtrig relay does the same into SQS, a file or standard"
                " output."
            )
            screen.gap()
            Story(screen, writers[0], writers[1], observer, arrivals).tell()
            before = len(arrivals.events)
            screen.gap()
            screen.heading(
                f"3. {len(writers)} writers at once, {transactions} transactions, as"
                " fast as they can"
            )
            outcomes = Load(writers, transactions).run()
        # What the relay above had not read when it was stopped.
        relay(options=Options(drain=True, max_seconds=DRAIN_SECONDS)).run()
        describe(screen, outcomes, arrivals, before, writers)
        report = check(read_journal([journal]), arrivals.events, start={})
        is_same = rebuilt(arrivals) == without_empty(shop.rows(observer))
    conclude(screen, report, is_same)
    return report, is_same


def install(connection: Connection, shop: Shop, screen: Screen) -> None:
    """Create the shop and capture it, as ``evtrig install`` does."""
    screen.gap()
    screen.heading("1. A small shop, and evtrig install with this spec")
    screen.verbatim(shop.spec)
    shop.create(connection)
    begun = time.monotonic()
    plan = prepare(connection, parse(shop.spec, path="evtrig.yml"))
    apply(connection, plan)
    screen.text(summary(plan, time.monotonic() - begun, shop))


def summary(plan: Plan, seconds: float, shop: Shop) -> str:
    kinds = Counter(step.kind for step in plan.steps)
    tables = {step.source for step in plan.steps if step.source}
    account = ", a locked account that owns the triggers, its grants"
    return (
        f"{len(tables)} tables captured, {kinds['trigger']} triggers:"
        f" {len(plan.steps)} statements in {seconds:.1f} s. They made the outbox"
        f" {shop.outbox}.events{account * bool(kinds['account'])} and a trigger for"
        " every table and operation. The writers below know nothing of it."
        " evtrig generate prints every statement."
    )


def describe(
    screen: Screen,
    outcomes: Counter[str],
    arrivals: Arrivals,
    before: int,
    writers: list[Writer],
) -> None:
    """What came of the second part."""
    committed = outcomes["committed"]
    failed = [
        f"{count} {reason}"
        for reason, count in outcomes.most_common()
        if reason != "committed"
    ]
    why = f": {', '.join(failed)}" if failed else ""
    rolled_back = outcomes.total() - committed
    screen.text(f"{committed} committed, {rolled_back} rolled back{why}.")
    events = arrivals.events[before:]
    types = Counter(event["type"] for event in events)
    screen.text(
        f"{len(events)} events: "
        + ", ".join(f"{count} {name}" for name, count in types.most_common())
        + "."
    )
    delays = latencies(arrivals, before, writers)
    if delays:
        screen.text(
            f"From sending COMMIT to the event at the sink: median"
            f" {1000 * statistics.median(delays):.0f} ms, slowest"
            f" {1000 * max(delays):.0f} ms."
        )


def latencies(arrivals: Arrivals, before: int, writers: list[Writer]) -> list[float]:
    """Seconds from COMMIT to the sink, for every event that carries a version."""
    sent = {key: at for writer in writers for key, at in writer.sent.items()}
    events = zip(arrivals.events[before:], arrivals.times[before:], strict=True)
    delays = []
    for event, at in events:
        row = event["after"]
        if row and "version" in row:
            begun = sent.get((row["id"], row["version"]))
            if begun is not None:
                delays.append(at - begun)
    return delays


def rebuilt(arrivals: Arrivals) -> dict[str, dict[str, Row]]:
    """The tables as a consumer of the events has them."""
    return without_empty(
        {
            source: {key: row for key, row in rows.items() if row is not None}
            for source, rows in fold(arrivals.events).items()
        }
    )


def without_empty(tables: dict[str, dict[str, Row]]) -> dict[str, dict[str, Row]]:
    return {source: rows for source, rows in tables.items() if rows}


def conclude(screen: Screen, report: Report, is_same: bool) -> None:
    screen.gap()
    screen.heading("4. What the writers wrote down, against what arrived")
    screen.counts(counts(report), is_good=report.is_clean)
    if is_same:
        screen.text(
            f"Replayed, the events give all {len(TABLES)} tables back, value for value."
        )
    else:
        screen.counts("replayed, the events do not give the tables", is_good=False)
    screen.gap()
    screen.heading("Next, with a database of your own; neither changes it")
    screen.verbatim(NEXT)


def counts(report: Report) -> str:
    found = [
        (len(report.lost), "lost"),
        (len(report.phantom), "phantom"),
        (len(report.order), "out of order"),
    ]
    if report.content:
        found.append((len(report.content), "with wrong content"))
    return (
        f"changes: {report.committed} committed, {report.rolled_back} rolled back;"
        f" events: {report.published} published, "
        + ", ".join(f"{count} {name}" for count, name in found)
    )


@contextlib.contextmanager
def shop_on(server: ThrowawayServer) -> Iterator[Shop]:
    """The shop, with names of its own on a server that is not thrown away."""
    if not os.environ.get(VARIABLE, "").strip():
        yield Shop()
        return
    shop = Shop(f"_{secrets.token_hex(4)}")
    try:
        yield shop
    finally:
        # A writer that was interrupted may hold locks until the server notices.
        patience = {"lock_wait_timeout": 10}
        with Connection(Dsn.parse(server.dsn), settings=patience) as connection:
            shop.drop(connection)


@contextlib.contextmanager
def running(relay: Relay) -> Iterator[Future[Summary]]:
    """The relay in a thread; at the end it is stopped. Raises what it raised."""
    with ThreadPoolExecutor(1, "relay") as threads:
        publishing = threads.submit(relay.run)
        try:
            yield publishing
        finally:
            relay.stop.set()
    publishing.result()
