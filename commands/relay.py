"""`evtrig relay`: publishes the outbox.

Imports neither jinja2 nor yaml, so that it starts fast.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ..errors import EvtrigError, UsageError
from ..relay.lease import LONGEST_TTL, TTL
from ..relay.policy import ON_REFUSED, OnRefused, Policy
from ..relay.settings import PARK
from .log import log_to_stderr, say
from .options import Seconds, dsn_option, option, outbox_option
from .permission import large_events_option
from .routes import routes_of, routes_option, sink_option

if TYPE_CHECKING:
    from ..database.dsn import Dsn

__all__ = ["relay"]


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """As any process is, and PID 1 of a container is not."""
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end(number: int, frame: object) -> None:
    """End at once by this signal."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    # Only PID 1 gets here: to it the kernel delivers no signal without a handler
    # (pid_namespaces(7)), and whoever sent it would wait, and then kill a relay that
    # publishes.
    os._exit(128 + number)


@click.command()
@dsn_option()
@sink_option
@routes_option
@outbox_option
@option("--once", is_flag=True, help="Publish one batch and stop.")
@option("--drain", is_flag=True, help="Stop when the outbox is empty.")
@option(
    "--max-seconds",
    type=Seconds(min=0, min_open=True),
    envvar="EVTRIG_MAX_SECONDS",
    help="Stop after this time.",
)
@option(
    "--take-over",
    is_flag=True,
    help="Take over from the relay that publishes now, instead of waiting.",
)
@option(
    "--ttl",
    type=click.IntRange(2, LONGEST_TTL),
    default=TTL,
    show_default=True,
    metavar="SECONDS",
    help="How long the lease lasts without being renewed: if this relay dies, another"
    " publishes so much later.",
)
@option(
    "--on-refused",
    type=click.Choice(ON_REFUSED),
    default="block",
    show_default=True,
    help="What becomes of an event that the sink will never take: its key waits for it;"
    " it is parked among the dead letters with the later ones of its key; or it alone,"
    " and the later ones go on without it. Other keys flow in any case.",
)
@large_events_option
@option(
    "--max-attempts",
    type=click.IntRange(min=1),
    metavar="N",
    help="Also take an event for refused that has failed N times while others were"
    " taken.  [default: never]",
)
@option(
    "--max-age",
    type=Seconds(min=0, min_open=True),
    metavar="SECONDS",
    help="Also take an event for refused that has failed for so long while others were"
    " taken.  [default: never]",
)
@option(
    "--metrics-port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Answer over HTTP at this port: /metrics for Prometheus, /healthz and /readyz."
    "  [default: none]",
)
@option(
    "--metrics-host",
    metavar="ADDRESS",
    help="At this address only; 127.0.0.1 keeps it to this machine. Whoever reaches it"
    " sees names of schemas and sinks, and nothing of a row.  [default: all of them]",
)
@ended_by_sigterm()
def relay(
    dsn: Dsn,
    uri: str | None,
    routes_path: str | None,
    outbox: str,
    once: bool,
    drain: bool,
    max_seconds: float | None,
    take_over: bool,
    ttl: int,
    on_refused: OnRefused,
    on_oversize: str,
    max_attempts: int | None,
    max_age: float | None,
    metrics_port: int | None,
    metrics_host: str | None,
) -> None:
    """Publish the events in order, and delete what was acknowledged.

    Runs until it is stopped; SIGTERM lets it finish what is in flight. While another
    relay publishes, it waits.
    """
    from ..relay.backlog import MEASURE_EVERY
    from ..relay.destinations import Destinations
    from ..relay.metrics import Metrics
    from ..relay.outbox import Outbox
    from ..relay.relay import Relay
    from ..relay.term import Options

    if once and drain:
        raise UsageError(
            "--once and --drain exclude each other",
            hint="--once is one batch, --drain is until the outbox is empty.",
        )
    if metrics_host is not None and metrics_port is None:
        raise UsageError(
            "--metrics-host is about --metrics-port",
            hint="Give --metrics-port PORT too, or nothing is answered.",
        )
    policy = Policy(
        on_refused, max_attempts, max_age, parks_oversized=on_oversize == PARK
    )
    if problem := policy.problem():
        raise UsageError(problem, hint="Add --on-refused park-key or park-event.")
    routes = routes_of(uri, routes_path)
    if routes is None:
        raise UsageError(
            "it is not said where the events go",
            hint="Give --sink URI, or --routes FILE; or set EVTRIG_SINK or"
            " EVTRIG_ROUTES.",
        )
    log_to_stderr()
    options = Options(
        once=once,
        drain=drain,
        max_seconds=max_seconds,
        take_over=take_over,
        ttl=ttl,
        policy=policy,
    )
    with contextlib.ExitStack() as stack:
        claim_check = None if on_oversize == PARK else on_oversize
        destinations = Destinations.make(routes, claim_check=claim_check)
        stack.callback(destinations.close)
        metrics = Metrics(destinations.sinks)
        if metrics_port is not None:
            # Not imported before: it costs a start a tenth of a second.
            from ..relay.monitor import HANG, Monitor

            monitor = Monitor(
                metrics,
                outbox=outbox,
                # Who scrapes and probes a container is on another machine.
                host=metrics_host or "0.0.0.0",  # noqa: S104
                port=metrics_port,
                hang=max(HANG, 3.0 * ttl),
            )
            stack.enter_context(monitor)
        destinations.check()
        stop = stack.enter_context(stopped_by_signals())
        relay = Relay(
            connect=lambda: Outbox.connect(dsn, outbox, ttl=ttl),
            sink=destinations,
            options=options,
            stop=stop,
            metrics=metrics,
            measure_every=None if metrics_port is None else MEASURE_EVERY,
        )
        begun = time.monotonic()
        summary = relay.run()
        seconds = time.monotonic() - begun
    say(f"{summary.published} events published in {seconds:.1f} s")
    if summary.parked:
        say(f"{summary.parked} events are dead letters now: evtrig dead-letters list")
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
    if drain and not summary.is_drained:
        why = f": {summary.last_reason}" if summary.last_reason else ""
        raise EvtrigError(
            f"the outbox is not empty, {summary.left} events or more are left{why}"
            if summary.left
            else f"the time was over before the outbox was seen to be empty{why}",
            hint="They stay until a relay publishes them."
            + " Those that hold the others up are named above: mend what is wrong with"
            " them, or put them aside with --on-refused park-key." * summary.is_stuck,
        )


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """An event that the first SIGTERM or SIGINT sets; a second one does what it did
    before."""
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
