"""A world with a clock: nothing may leave after the lease has run out.

The clock of the database is the relays' own, and stands still as long as it likes: a
statement and its answer take any number of ticks, and so does a call between the moment
in which the core asks for it and the one in which its bytes leave. There are as many
events as there are transactions, all there from the beginning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from model.cores import Core, Cores, no_jitter, set_window
from model.database import Database, Pair, Rows, Writer
from model.world import Following, Numbered, described

from evtrig.relay.action import Delete, Grant, Look, Read, Release, Renew, Statement
from evtrig.relay.event import Event
from evtrig.relay.floor import Floor
from evtrig.relay.lease import Holder, Lease
from evtrig.relay.outlet import Outlet
from evtrig.relay.scheduler import Scheduler
from evtrig.relay.sinks.sink import ACKNOWLEDGED, LEASE_RAN_OUT, Limits
from evtrig.relay.term import Options, Term

__all__ = ["Clocked", "ClockedSetup"]

#: Ticks that the lease lasts. The core's margin is one of them.
TTL = 3


@dataclass(frozen=True)
class ClockedSetup:
    #: Ticks until the world ends.
    ticks: int = 6
    relays: int = 1
    #: Whether the second relay takes over, instead of waiting.
    take_over: bool = False
    events: int = 1
    term: type[Term] = Term
    lease: type[Lease] = Lease
    #: As in world.Setup, for the search.
    claims: int = 0


class Relay(NamedTuple):
    core: int = -1
    statement: Statement | None = None
    is_done: bool = False
    answer: Any = None
    #: A call: its events, and whether it has left; None until that is decided.
    call: tuple[Pair, ...] = ()
    has_left: bool | None = None


class State(NamedTuple):
    now: int
    rows: int
    #: When the lease runs out, by the database.
    expires_at: int
    relays: tuple[int, ...]


class Clocked:
    def __init__(self, setup: ClockedSetup) -> None:
        self.setup = setup
        set_window(200)
        self.cores = Cores(has_clock=True, most_events=setup.events)
        self.database = Database([(key,) for key in "abcd"[: setup.events]])
        self.rows: Numbered[Rows] = Numbered()
        self.relays: Numbered[Relay] = Numbered()

    def start(self) -> State:
        count = self.setup.events
        rows = self.database.empty()._replace(
            writers=(Writer(state="committed"),) * count,
            events=tuple((number + 1, number) for number in range(count)),
        )
        relays = tuple(
            self.relays.number(Relay(self._fresh(number > 0 and self.setup.take_over)))
            for number in range(self.setup.relays)
        )
        state = State(0, self.rows.number(rows), 0, relays)
        # The first relay is granted the lease before anything else happens.
        while rows.holder == 0 and self.setup.relays > 1:
            state = next(f.state for f in self.next(state) if f.label[0] == 0)
            rows = self.rows.items[state.rows]
        return state

    def lost(self, state: State) -> bool:
        return False

    def is_drained(self, state: State) -> bool:
        return True

    def next(self, state: State) -> Iterator[Following]:
        if state.now < self.setup.ticks:
            label = (f"it is {state.now + 1}",)
            yield Following(label, state._replace(now=state.now + 1))
        for index, number in enumerate(state.relays):
            relay = self.relays.items[number]
            if relay.call and relay.has_left is None:
                yield self._leaves(state, index, relay)
            if self.cores.facts[relay.core].is_over:
                continue
            if relay.statement is None:
                yield from self._unhindered(state, index, relay)
            elif not relay.is_done:
                yield self._carried_out(state, index, relay)
            else:
                core, _ = self._step(state, relay, Core.answer, relay.answer)
                after = relay._replace(
                    core=core, statement=None, is_done=False, answer=None
                )
                name = type(relay.statement).__name__
                yield self._follow(state, index, (f"has the answer to {name}",), after)

    def _leaves(self, state: State, index: int, relay: Relay) -> Following:
        core = self.cores.core(relay.core)
        may_send = core.at(state.now, Core.may_send)
        after = relay._replace(has_left=may_send)
        if not may_send:
            return self._follow(state, index, ("'s call is held back",), after)
        rows = self.rows.items[state.rows]
        is_held = rows.holder == core.term.lease.epoch and state.now < state.expires_at
        wrong = "" if is_held else "late: a call leaves after the lease has run out"
        return self._follow(state, index, ("'s call leaves",), after, wrong=wrong)

    def _unhindered(
        self, state: State, index: int, relay: Relay
    ) -> Iterator[Following]:
        core, statement = self._step(state, relay, Core.ask, False)
        if statement is not None:
            after = relay._replace(core=core, statement=statement)
            label = ("asks for", described(statement, 1, 1, None)[0])
            yield self._follow(state, index, label, after)
        if relay.call and relay.has_left is not None:
            events = tuple(self.database.event(pair) for pair in relay.call)
            result = ACKNOWLEDGED if relay.has_left else LEASE_RAN_OUT
            core, _ = self._step(
                state, relay, Core.settle, events, (result,) * len(events)
            )
            after = relay._replace(core=core, call=(), has_left=None)
            yield self._follow(state, index, ("has the answer to its call",), after)
        if not relay.call:
            core, events = self._step(state, relay, Core.publish, False)
            if events is not None:
                pairs = tuple((event.id, event.uid) for event in events)
                after = relay._replace(core=core, call=pairs)
                yield self._follow(state, index, ("is going to send", *pairs), after)
        core, read = self._step(state, relay, Core.read, False)
        if isinstance(read, Read):
            found = self.database.read(self.rows.items[state.rows], read)
            seen: tuple[Event, ...] = tuple(map(self.database.event, found))
            core, _ = self._step(state, relay._replace(core=core), Core.see, seen)
            yield self._follow(
                state, index, ("reads", *found), relay._replace(core=core)
            )

    def _carried_out(self, state: State, index: int, relay: Relay) -> Following:
        """At the server, now."""
        statement = relay.statement
        assert statement is not None
        rows = self.rows.items[state.rows]
        rows = rows._replace(
            is_expired=state.expires_at <= state.now, expires_at=state.expires_at
        )
        after, answer = rows, None
        for step in range(self.database.steps(statement)):
            after, answer = self.database.step(after, statement, step, answer)
        until = state.expires_at
        if isinstance(statement, Grant | Renew) and answer:
            until = state.now + TTL
        if isinstance(statement, Look):
            left = float(until - state.now) if rows.holder else -1.0
            answer = Holder(rows.claim, rows.holder, "", str(until), left)
        return self._follow(
            state, index, (f"{described(statement, 1, 1, None)[0]} is carried out",)
            if isinstance(statement, Delete | Release)
            else (f"'s {type(statement).__name__} is carried out",),
            relay._replace(is_done=True, answer=answer),
            rows=self.rows.number(after._replace(is_expired=False, expires_at=0)),
            expires_at=until,
        )  # fmt: skip

    def _step(self, state: State, relay: Relay, *step: Any) -> tuple[int, Any]:
        return self.cores.step(relay.core, Core.at, state.now, *step)

    def _fresh(self, takes_over: bool) -> int:
        options = Options(ttl=TTL)
        scheduler = Scheduler([Outlet("", Limits(1, 9))], jitter=no_jitter)
        lease = self.setup.lease(ttl=TTL, take_over=takes_over)
        term = self.setup.term(lease, scheduler, Floor(is_on=False), options)
        return self.cores.number(Core(term))

    def _follow(
        self, state: State, index: int, label: tuple[Any, ...], relay: Relay,
        *, wrong: str = "", **changes: Any,
    ) -> Following:  # fmt: skip
        relays = list(state.relays)
        relays[index] = self.relays.number(relay)
        after = state._replace(relays=tuple(relays), **changes)
        return Following((index, *label), after, False, wrong)
