"""The relay as an AWS Lambda function that a schedule starts every minute.

Each invocation takes the lease from the one before and publishes until its time is
over, or until a newer one takes over. The newest wins: whatever has become of an older
invocation, at most a minute later events flow again. One that was killed at its limit,
or hangs, keeps its lease until it runs out; its successor has to wait for that, at most
the ttl. So the ttl is to be shorter than the interval of the schedule, and ten seconds
in a minute are.

Nothing is done at import but making the clients of AWS. Lambda freezes a process
between invocations: whatever an invocation has opened it closes, no thread outlives it,
and it lets its lease go.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any, Protocol

from ..errors import EvtrigError, SinkUnavailable, UsageError
from .backlog import MEASURE_EVERY
from .destinations import Destinations
from .facts import Facts
from .metrics import Metrics
from .outbox import Outbox
from .relay import Relay, Summary
from .reporter import Reporter
from .route import Routes
from .settings import Settings
from .term import Options

__all__ = ["Context", "Function", "lambda_handler"]

log = logging.getLogger(__name__)

#: Seconds that an invocation keeps for ending: to await the calls in flight, to delete
#: what they acknowledged, and to let the lease go.
RESERVE = 5.0
#: Seconds of publishing that are worth an invocation.
LEAST = 1.0


class Context(Protocol):
    """What Lambda says of an invocation (AWS Lambda Developer Guide, "Using the Lambda
    context object to retrieve Python function information")."""

    def get_remaining_time_in_millis(self) -> int: ...


class InvocationError(EvtrigError):
    """What is wrong, and what to do about it, in one line: all that Lambda shows."""


class Function:
    """What a process keeps between invocations: its settings, and clients of AWS.

    Raises EvtrigError for settings that cannot be right.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self.settings = Settings.read(environment)
        routes = read_routes(self.settings)
        routes.refuse_local()
        self._destinations = Destinations.make(
            routes, claim_check=self.settings.claim_check
        )

    def run(self, until: float) -> Summary:
        """Publish until then, by the monotonic clock, or until somebody newer takes
        over."""
        settings = self.settings
        # Each time: a process may serve invocations for hours, and EventBridge says yes
        # to events for a bus that somebody has deleted.
        errors = self._destinations.check_again()
        options = Options(
            # What the destinations took to answer is gone.
            max_seconds=max(0.0, until - time.monotonic()),
            take_over=True,
            ends_superseded=True,
            ttl=settings.ttl,
            policy=settings.policy,
        )
        relay = Relay(
            lambda: Outbox.connect(settings.dsn, settings.outbox, ttl=settings.ttl),
            self._destinations,
            options,
            metrics=Metrics(self._destinations.sinks),
            measure_every=MEASURE_EVERY,
        )
        with Reporter(relay.metrics, outbox=settings.outbox):
            summary = relay.run()
        for error in summary.unusable.values():
            raise error
        for error in errors:
            # One that did not answer may have taken everything since.
            if not (summary.published and isinstance(error, SinkUnavailable)):
                raise error
        return summary

    def close(self) -> None:
        self._destinations.close()


def read_routes(settings: Settings) -> Routes:
    if settings.sink is not None:
        return Routes.single(settings.sink)
    path = str(settings.routes)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise UsageError(
            f"the routes in {path} cannot be read: {reason}",
            hint="Pack them with `evtrig lambda build --routes FILE`, and set"
            " EVTRIG_ROUTES to evtrig-relay.json.",
        ) from None
    return Routes.from_json(text, path=path)


def lambda_handler(event: object, context: Context) -> dict[str, Any]:
    """One invocation; what it did, for whoever reads Lambda's log or asks for it.

    Raises InvocationError where somebody has to do something.
    """
    begun = time.monotonic()
    remaining = context.get_remaining_time_in_millis() / 1000
    try:
        if remaining - RESERVE < LEAST:
            raise UsageError(
                f"{remaining:.1f} s are too few for an invocation",
                hint=f"Set the function's timeout to 120 s: {RESERVE:.0f} s of it are"
                " kept for ending.",
            )
        summary = function().run(until=begun + remaining - RESERVE)
    except EvtrigError as error:
        raise InvocationError(in_one_line(error)) from None
    told = report(summary, time.monotonic() - begun)
    log.info("invocation ended", extra={"action": "end", **told})
    return told


def in_one_line(error: EvtrigError) -> str:
    return f"{error.message} → {error.hint}" if error.hint else error.message


def report(summary: Summary, seconds: float) -> dict[str, Any]:
    return {
        "published": summary.published,
        "retried": summary.retried,
        "refused": summary.refused,
        "parked": summary.parked,
        "left": summary.left,
        "end": summary.end or "stopped",
        "epoch": summary.epoch,
        "seconds": round(seconds, 3),
    }


#: The function of this process, or why there is none yet.
made: Function | EvtrigError | None = None


def make() -> Function | EvtrigError:
    try:
        return Function(dict(os.environ))
    except EvtrigError as error:
        # An import that fails says less than an invocation that does.
        return error


def function() -> Function:
    global made
    if not isinstance(made, Function):
        made = make()
    if isinstance(made, EvtrigError):
        raise made
    return made


def log_as_lambda_does() -> None:
    """Say what relays say, with their facts.

    The runtime has put a handler in place. In its JSON format it shows the facts of
    ``extra`` by itself, in its text format it leaves them out.
    """
    logging.getLogger("evtrig").setLevel(logging.INFO)
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() != "JSON":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(Facts("[%(levelname)s]"))


# In the phase in which Lambda starts a process, with all of its processor.
made = make()
log_as_lambda_does()
