"""What a relay is told by its environment, where there is no command line. Pure.

The variables are those of the options of `evtrig relay`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from ..database.dsn import Dsn
from ..database.tls import MODES
from ..errors import UsageError
from .lease import LONGEST_TTL, TTL
from .policy import ON_REFUSED, Policy

__all__ = ["PARK", "Settings"]

T = TypeVar("T")

#: What becomes of an event that is too large, if it names no place.
PARK = "park"


@dataclass(frozen=True)
class Settings:
    """Of a relay that is no command."""

    dsn: Dsn
    #: Schema of the outbox.
    outbox: str
    #: A sink's URI; None if there are routes instead.
    sink: str | None
    #: A file that holds routes as JSON; None if there is one sink.
    routes: str | None
    ttl: int
    policy: Policy
    #: Where events go that are too large, ``s3://BUCKET/PREFIX``; None: to the dead
    #: letters.
    claim_check: str | None

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """Raises UsageError that names the variable and says what to do."""
        given = {name: value for name, value in environment.items() if value}
        dsn = given.get("EVTRIG_DSN")
        if dsn is None:
            raise UsageError(
                "EVTRIG_DSN is not set",
                hint="Set it to mysql://user@host:3306/schema?auth=rds-iam, or to the"
                " ARN of a secret in AWS Secrets Manager.",
            )
        sink, routes = given.get("EVTRIG_SINK"), given.get("EVTRIG_ROUTES")
        if (sink is None) == (routes is None):
            raise UsageError(
                "EVTRIG_SINK and EVTRIG_ROUTES exclude each other"
                if sink
                else "neither EVTRIG_SINK nor EVTRIG_ROUTES is set",
                hint="Set EVTRIG_SINK to a URI such as sqs:QUEUE_URL; or EVTRIG_ROUTES"
                " to the file that `evtrig lambda build --routes` has packed.",
            )
        place = given.get("EVTRIG_RELAY_ON_OVERSIZE", PARK)
        if place != PARK and not place.startswith("s3://"):
            raise UsageError(
                "EVTRIG_RELAY_ON_OVERSIZE is neither park nor s3://BUCKET/PREFIX",
                hint="Set it to one of them.",
            )
        policy = Policy(
            one_of(given, "EVTRIG_RELAY_ON_REFUSED", ON_REFUSED, "block"),
            number(given, "EVTRIG_RELAY_MAX_ATTEMPTS", int, 1, 10**9),
            number(given, "EVTRIG_RELAY_MAX_AGE", float, 0.001, 10**9),
            parks_oversized=place == PARK,
        )
        problem = policy.problem()
        if problem:
            raise UsageError(
                problem, hint="Set EVTRIG_RELAY_ON_REFUSED to park-key or park-event."
            )
        tls = {
            "tls": one_of(given, "EVTRIG_TLS", MODES, None),
            "ssl_ca": given.get("EVTRIG_TLS_CA"),
        }
        return cls(
            dsn=Dsn.combine(
                dsn, options={name: value for name, value in tls.items() if value}
            ),
            outbox=given.get("EVTRIG_OUTBOX", "evtrig"),
            sink=sink,
            routes=routes,
            ttl=number(given, "EVTRIG_RELAY_TTL", int, 2, LONGEST_TTL) or TTL,
            policy=policy,
            claim_check=None if place == PARK else place,
        )


def one_of(
    given: Mapping[str, str], name: str, choices: Collection[T], default: T
) -> T:
    value = given.get(name)
    if value is None:
        return default
    found = [choice for choice in choices if choice == value]
    if not found:
        names = ", ".join(map(str, choices))
        raise UsageError(f"{name} is none of its values", hint=f"Set it to {names}.")
    return found[0]


def number(
    given: Mapping[str, str],
    name: str,
    kind: Callable[[str], T],
    least: float,
    most: float,
) -> T | None:
    value = given.get(name)
    if value is None:
        return None
    hint = f"Set it to a number from {least:g} to {most:g}."
    try:
        found = kind(value)
    except ValueError:
        raise UsageError(f"{name} is not a number", hint=hint) from None
    if not (isinstance(found, int | float) and least <= found <= most):
        raise UsageError(f"{name} is too small or too large", hint=hint)
    return found
