"""Which events go where, by their source and type. Pure.

Written in the section ``relay:`` of the spec or in a file of its own, which commands
read (commands/routes.py); a Lambda has it as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError, nearest

__all__ = ["NAME", "Route", "Routes", "is_like"]

#: What a destination in a Lambda cannot be: its disk goes with it, and what it prints
#: would put rows into the log.
LOCAL = ("stdout:", "file:")
#: Of a destination.
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
HINT = "See docs/routing.md."


@dataclass(frozen=True)
class Route:
    """Where events go whose source and type are like this; None is like any."""

    to: tuple[str, ...]
    #: ``shop.orders``; a ``*`` stands for any characters.
    source: str | None = None
    type: str | None = None

    def matches(self, source: str, type_: str) -> bool:
        return is_like(source, self.source) and is_like(type_, self.type)


@dataclass(frozen=True)
class Routes:
    """All of them; the first that matches is taken, and the last matches any event."""

    #: Sink URIs by name.
    destinations: Mapping[str, str]
    routes: tuple[Route, ...]

    @classmethod
    def single(cls, uri: str) -> Routes:
        """Everything to one sink."""
        return cls({"sink": uri}, (Route(("sink",)),))

    @property
    def used(self) -> Mapping[str, str]:
        """The destinations that a route names; a relay calls no other."""
        names = {name for route in self.routes for name in route.to}
        return {n: uri for n, uri in self.destinations.items() if n in names}

    def refuse_local(self) -> None:
        """Raises UsageError for a destination that a Lambda cannot have."""
        if any(uri.startswith(LOCAL) for uri in self.used.values()):
            raise UsageError(
                "stdout: and file: are no destinations for a Lambda",
                hint="Its disk goes with it, and its output is its log: name one at"
                " AWS.",
            )

    @classmethod
    def from_json(cls, text: str, *, path: str) -> Routes:
        """What `to_json` has written. Raises UsageError that names the ``path``."""
        try:
            found = json.loads(text)
            destinations = dict(found["destinations"])
            routes = [
                Route(tuple(r["to"]), r.get("source"), r.get("type"))
                for r in found["routes"]
            ]
        except (ValueError, TypeError, KeyError, AttributeError):
            raise UsageError(
                f"{path} holds no routes in JSON",
                hint="Let `evtrig lambda build --routes FILE` write it.",
            ) from None
        made = cls(destinations, tuple(routes))
        problem = made.problem()
        if problem:
            raise UsageError(f"{path}: {problem}", hint=HINT)
        return made

    def to_json(self) -> str:
        routes: list[dict[str, Any]] = []
        for route in self.routes:
            given = {"source": route.source, "type": route.type}
            routes.append(
                {name: value for name, value in given.items() if value is not None}
                | {"to": list(route.to)}
            )
        found = {"destinations": dict(self.destinations), "routes": routes}
        return json.dumps(found, indent=2, ensure_ascii=False) + "\n"

    def problem(self) -> str | None:
        """Why they cannot be used; None if they can."""
        for name in self.destinations:
            if not NAME.fullmatch(name):
                return f"{name!r} cannot be the name of a destination"
        for number, route in enumerate(self.routes, 1):
            found = self.problem_of(route)
            if found:
                return f"route {number}: {found}"
        return problem_of_last(self.routes)

    def problem_of(self, route: Route) -> str | None:
        if not route.to:
            return "it names no destination"
        if len(set(route.to)) < len(route.to):
            return "it names a destination twice"
        for name in route.to:
            if name not in self.destinations:
                near = nearest(name, self.destinations)
                meant = f", did you mean {near}?" if near else ""
                return f"there is no destination {name!r}{meant}"
        return None

    def of(self, source: str, type_: str) -> Route:
        """The one that an event takes."""
        # The last one matches.
        return next(r for r in self.routes if r.matches(source, type_))


def problem_of_last(routes: Sequence[Route]) -> str | None:
    """An event that no route takes would be held up for ever."""
    any_event = [r for r in routes if r.source is None and r.type is None]
    if not any_event or any_event[0] is not routes[-1]:
        if any_event:
            return "routes stand behind one that takes every event"
        return "the last route has to take every event: one with `to` alone"
    return None


def is_like(text: str, pattern: str | None) -> bool:
    """Whether a text is what a pattern says; a ``*`` in it stands for any characters,
    and None for any text."""
    if pattern is None or pattern == text:
        return True
    first, *between = pattern.split("*")
    if not between or not text.startswith(first):
        return False
    # No regular expression: with a few stars it could take minutes.
    at = len(first)
    last = between.pop()
    for part in between:
        at = text.find(part, at) + len(part)
        if at < len(part):
            return False
    return len(text) - at >= len(last) and text.endswith(last)
