"""The sinks of a relay, and which events each of them gets."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from ..errors import EvtrigError, SinkError, SinkUnavailable, UsageError
from .event import Event
from .outlet import Outlet
from .route import Route, Routes
from .sinks import make_sink, with_claim_check
from .sinks.fan_out import FanOut, Shared
from .sinks.sink import Sink

__all__ = ["Destinations"]

log = logging.getLogger(__name__)

#: Pairs of source and type whose outlet is remembered.
MEMORY = 4096


class Destinations:
    """Sinks by the name of their outlet; ``route`` says to which one an event goes,
    where there are several.

    An outlet is a destination, or several that the same events go to.
    """

    def __init__(self, sinks: Mapping[str, Sink], routes: Routes | None = None) -> None:
        self.sinks = sinks
        self.route = router(routes) if routes else None
        self._routes = routes
        self._places = places(routes) if routes else {}
        self._members: Sequence[Sink] = tuple(sinks.values())
        #: What was said of sinks, by their names.
        self._noted: set[tuple[str, str]] = set()

    @classmethod
    def make(cls, routes: Routes, *, claim_check: str | None = None) -> Destinations:
        """Of sinks that have not called anybody yet: `check` does. ``claim_check`` is
        where events go that are too large, ``s3://BUCKET/PREFIX``.

        Raises UsageError for a URI that cannot be right, SinkError where a sink cannot
        be had.
        """
        outlets = {outlet_of(route): route.to for route in routes.routes}
        used = Counter(name for to in outlets.values() for name in to)
        made: dict[str, Sink] = {}
        with contextlib.ExitStack() as stack:
            for name, count in used.items():
                sink = make(routes, name, claim_check)
                stack.callback(sink.close)
                made[name] = Shared(sink) if count > 1 else sink
            stack.pop_all()
        sinks = {
            outlet: made[to[0]]
            if len(to) == 1
            else FanOut({name: made[name] for name in to})
            for outlet, to in outlets.items()
        }
        destinations = cls(sinks, routes if len(sinks) > 1 else None)
        destinations._members = tuple(made.values())
        return destinations

    def check(self) -> None:
        """Ask each sink whether it can be used, and learn its limits; say in the log
        what is worth knowing of it.

        One of several that does not answer now is asked again when it is to get its
        first event: that is no reason to keep the others waiting. Raises SinkError.
        """
        for sink in self._members:
            try:
                notices = sink.check()
            except SinkUnavailable as error:
                if len(self._members) == 1:
                    raise
                log.warning(
                    "a destination does not answer, the others begin without it",
                    extra={"action": "check", "reason": error.message},
                )
                continue
            self._note(sink, notices)

    def check_again(self) -> list[SinkError]:
        """As `check`, for somebody who has little time and starts over and over: all
        are asked at the same time, and once; what is known already is not said again.

        Raises SinkError if none of them can be used. Returns what is wrong with the
        others: each is asked again when it is to get its first event.
        """
        errors: list[SinkError] = []
        with ThreadPoolExecutor(len(self._members), "check") as pool:
            for sink, answer in zip(
                self._members, pool.map(ask_once, self._members), strict=True
            ):
                if isinstance(answer, SinkError):
                    errors.append(answer)
                else:
                    self._note(sink, answer)
        if len(errors) == len(self._members):
            for error in errors:
                if not isinstance(error, SinkUnavailable):
                    raise error
        for error in errors:
            log.warning(
                "a destination does not answer, or cannot be used",
                extra={
                    "action": "check",
                    "reason": error.message,
                    "mend": error.hint,
                },
            )
        return errors

    def _note(self, sink: Sink, notices: Sequence[str]) -> None:
        for notice in notices:
            if (sink.name, notice) not in self._noted:
                self._noted.add((sink.name, notice))
                log.info(notice, extra={"action": "check", "sink": sink.name})

    def wanted(self, besides: Collection[str]) -> list[tuple[Route, bool]]:
        """Each route, and whether its events are wanted by others than these outlets.
        Empty if there is nothing to leave out."""
        if not (besides and self._routes):
            return []
        routes = self._routes.routes
        return [(route, outlet_of(route) not in besides) for route in routes]

    def outlets(self) -> list[Outlet]:
        """Fresh ones, for a scheduler."""
        return [
            Outlet(
                name,
                sink.limits,
                in_order=sink.in_order,
                reaches=self._places.get(name, ()),
            )
            for name, sink in self.sinks.items()
        ]

    @property
    def calls(self) -> int:
        """How many calls may run at the same time."""
        return sum(sink.limits.calls for sink in self.sinks.values())

    def close(self) -> None:
        for sink in self._members:
            sink.close()


def ask_once(sink: Sink) -> Sequence[str] | SinkError:
    try:
        return sink.check(once=True)
    except SinkError as error:
        return error


def make(routes: Routes, name: str, claim_check: str | None) -> Sink:
    """The sink of this name. Its errors say the name, where there are several."""
    try:
        sink = make_sink(routes.destinations[name])
    except EvtrigError as error:
        if len(routes.destinations) == 1:
            raise
        kind = UsageError if isinstance(error, UsageError) else SinkError
        message = f"destination {name}: {error.message}"
        raise kind(message, hint=error.hint) from None
    if claim_check is None:
        return sink
    try:
        return with_claim_check(sink, claim_check)
    except BaseException:
        sink.close()
        raise


def outlet_of(route: Route) -> str:
    return "+".join(route.to)


def places(routes: Routes) -> dict[str, list[str]]:
    """By the name of an outlet where its events come to. Two destinations may be one
    place, with other options."""
    return {
        outlet_of(route): [routes.destinations[n].partition("?")[0] for n in route.to]
        for route in routes.routes
    }


def router(routes: Routes) -> Callable[[Event], str]:
    @lru_cache(MEMORY)
    def outlet(source: str, type_: str) -> str:
        return outlet_of(routes.of(source, type_))

    def route(event: Event) -> str:
        return outlet(event.header.source, event.header.type)

    return route
