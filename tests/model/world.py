"""Everything around the core: the database, the sink, one or two relays, their faults.

A state of the world is a tuple of numbers, see `State`. `World.next` gives every state
that may follow one. Relays do what relay/relay.py does: while a statement is under way
nothing else of the core happens, reads and calls are under way meanwhile, and after a
lost connection calls are waited for before a new term begins. Reads, calls and answers
take as long as they like.

There is no clock. A relay's step is taken now, or after a leap that makes every time of
the core come; but the lease never runs out by the relay's own clock, which is the worst
that can happen: nothing here is safe because somebody stopped in time. clock.py has the
clock.

What may be put together is put together, so that there is less to search: to ask for a
statement and to carry it out, since nothing of the core happens in between. That the
statement is carried out after the relay has died is a step of its own (`strays`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from model.cores import Core, Cores, no_jitter, set_window
from model.database import Database, Pair, Rows

from evtrig.relay.action import (
    Claim,
    Delete,
    Grant,
    Look,
    Park,
    Read,
    Release,
    Statement,
)
from evtrig.relay.event import Event
from evtrig.relay.floor import Floor
from evtrig.relay.lease import Holder, Lease
from evtrig.relay.outlet import Outlet
from evtrig.relay.policy import Policy
from evtrig.relay.scheduler import Scheduler
from evtrig.relay.sinks.sink import ACKNOWLEDGED, Limits, Outcome, Result
from evtrig.relay.term import Options, Term

__all__ = ["FAULTS", "Following", "Setup", "State", "World"]

#: What may go wrong, or be done by an operator; a setup says how often.
FAULTS = (
    "crash",  # of a relay, which is started again
    "cut",  # of a relay's connections
    "unknown",  # a call that fails as a whole, and may arrive at any time
    "retry",  # an event that the sink does not take now
    "expiry",  # of the lease of a relay that lives
    "lock",  # that is in the way of a delete
    "put back",  # the dead letters of a key, by an operator
    "mend",  # of the sink, which takes from then on what it has refused
    "truncate",  # of the outbox, by an operator
    "failover",  # to a replica that lacks a transaction, and issues its ids again
    "stop",  # of a relay, in good order
)
INDEX = {name: index for index, name in enumerate(FAULTS)}

#: No lease runs out by a relay's own clock.
FOR_EVER = 10**15

RETRY = Result(Outcome.RETRY, "later")
UNKNOWN = Result(Outcome.UNKNOWN, "no answer")
REFUSED = Result(Outcome.REFUSED, "never")

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True)
class Setup:
    """A bounded world to be searched."""

    #: The keys that each transaction changes.
    script: tuple[tuple[str, ...], ...]
    faults: dict[str, int] = field(default_factory=dict)
    relays: int = 1
    #: What the application has done when it all begins.
    begun: tuple[str, ...] = ()
    #: Whether the first relay holds the lease then.
    leads: bool = True
    #: Whether the second relay takes over as soon as it starts.
    take_over: bool = False
    policy: Policy = field(default_factory=Policy)
    #: Changes whose events the sink refuses.
    refused: frozenset[int] = frozenset()
    #: Changes whose rows no envelope can be made of.
    unreadable: frozenset[int] = frozenset()
    #: Events a call holds, and calls at the same time.
    entries: int = 2
    calls: int = 1
    #: Whether a call may hold several events of a key, and whether it fails as a whole.
    in_order: bool = False
    fails_whole: bool = False
    floor: bool = False
    guard: bool = True
    rolls_back: bool = False
    #: Whether time passes between asking for a read and the read.
    slow_reads: bool = False
    #: Whether a relay that was superseded returns, as a Lambda does, instead of waiting
    #: for its turn.
    returns: bool = False
    #: How often the lease is claimed at most; None for as often as anybody likes. Two
    #: relays that wait may outbid each other for ever where no time passes.
    claims: int | None = None
    #: How many events the core holds at most.
    window: int = 200
    #: The classes, which broken.py replaces.
    database: type[Database] = Database
    term: type[Term] = Term
    lease: type[Lease] = Lease
    scheduler: type[Scheduler] = Scheduler
    floor_type: type[Floor] = Floor


class Relay(NamedTuple):
    """One relay as the world sees it."""

    #: "off": not running yet · "on" · "cut": waits for its calls before it connects
    #: again · "out": has returned.
    mode: str = "off"
    core: int = -1
    takes_over: bool = False
    #: Of the last lease that was granted.
    epoch: int = 0
    statement: Statement | None = None
    #: How many transactions of the statement are done, and what they have found.
    step: int = 0
    found: Any = None
    #: The read under way, or what it has found.
    reading: Any = None
    #: The events of each call in flight, and what the sink has answered.
    calls: tuple[tuple[tuple[Pair, ...], tuple[Result, ...] | None], ...] = ()


class Strays(NamedTuple):
    """What relays have left under way that have gone."""

    calls: tuple[tuple[Pair, ...], ...] = ()
    #: Statements: the step that may yet be carried out, and what was found before.
    statements: tuple[tuple[Statement, int, Any], ...] = ()


class State(NamedTuple):
    """Numbers of `Numbered`, but for ``arrived``, a bit for each change."""

    rows: int
    arrived: int
    strays: int
    #: How often each fault may happen still.
    left: tuple[int, ...]
    relays: tuple[int, ...]


class Following(NamedTuple):
    """A state that may come next."""

    #: What happens: a text, or parts of one.
    label: tuple[Any, ...]
    state: State
    #: Whether it is a fault or an operator's doing, which need not happen.
    is_fault: bool = False
    #: What is wrong about it; empty if nothing is.
    wrong: str = ""


class Numbered(Generic[T]):
    def __init__(self) -> None:
        self.items: list[T] = []
        self._numbers: dict[T, int] = {}

    def number(self, item: T) -> int:
        number = self._numbers.setdefault(item, len(self.items))
        if number == len(self.items):
            self.items.append(item)
        return number


class World:
    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        events = sum(map(len, setup.script))
        failures = sum(setup.faults.get(name, 0) for name in ("unknown", "retry"))
        self.cores = Cores(
            most_attempts=setup.policy.max_attempts or 0,
            most_failures=failures + len(setup.refused | setup.unreadable),
            most_events=events if setup.window > 4 * events else None,
        )
        self.rows: Numbered[Rows] = Numbered()
        self.strays: Numbered[Strays] = Numbered()
        self.relays: Numbered[Relay] = Numbered()
        self.database = setup.database(
            setup.script,
            guard=setup.guard,
            rolls_back=setup.rolls_back,
            fails_over="failover" in setup.faults,
        )
        set_window(setup.window)
        self._events: dict[Pair, Event] = {}
        #: What is remembered of steps that depend on little.
        self._writes: dict[int, list[tuple[str, int]]] = {}
        self._own: dict[int, list[Any]] = {}
        self._asked: dict[tuple[int, int], list[Any]] = {}
        self._owed: dict[int, int] = {}

    def start(self) -> State:
        relays = [Relay()] * self.setup.relays
        if self.setup.take_over:
            relays[-1] = Relay(takes_over=True)
        state = State(
            self.rows.number(self.database.empty()),
            0,
            self.strays.number(Strays()),
            tuple(self.setup.faults.get(name, 0) for name in FAULTS),
            tuple(self.relays.number(relay) for relay in relays),
        )
        for label in self.setup.begun:
            state = {f.label: f.state for f in self._application(state)}[(label,)]
        if not self.setup.leads:
            return state
        # Nobody else is there: a single way.
        while not self._is_recovered(state):
            state = next(
                following.state
                for following in self.next(state)
                if following.label[0] == 0 and following.label[1] != "thinks"
            )
        return state

    def _is_recovered(self, state: State) -> bool:
        relay = self.relays.items[state.relays[0]]
        return (
            relay.mode == "on"
            and relay.statement is None
            and (self.cores.core(relay.core).term._has_recovered)
        )

    def next(self, state: State) -> Iterator[Following]:
        yield from self._application(state)
        for index, number in enumerate(state.relays):
            relay = self.relays.items[number]
            if relay.mode == "on":
                yield from self._on(state, index, relay)
            elif relay.mode == "off":
                fresh = self._fresh(relay.takes_over, own=0, seen=0)
                yield self._follow(state, index, ("starts",), relay._replace(
                    mode="on", core=fresh, takes_over=relay.takes_over))  # fmt: skip
            elif relay.mode == "cut" and not relay.calls:
                yield self._follow(
                    state, index, ("connects again",), self._again(relay)
                )
            if relay.calls:
                yield from self._calls(state, index, relay)
        yield from self._strays(state)
        yield from self._lease(state)
        yield from self._operator(state)

    # What is right

    def lost(self, state: State) -> bool:
        """Whether an event has gone that did not arrive."""
        owed = self._owed.get(state.rows)
        if owed is None:
            rows = self.rows.items[state.rows]
            there = {uid for _, uid in rows.events} | {dead.uid for dead in rows.dead}
            gone = self.database.committed(rows) - there - rows.dropped
            owed = self._owed[state.rows] = sum(1 << uid for uid in gone)
        return bool(owed & ~state.arrived)

    def is_drained(self, state: State) -> bool:
        """Whether the application is done, and the outbox as empty as it may be."""
        rows = self.rows.items[state.rows]
        if any(writer.state == "open" for writer in rows.writers):
            return False
        setup = self.setup
        if not rows.events:
            return True
        is_blocked = setup.policy.on_refused == "block"
        stuck = set(setup.refused | setup.unreadable) if is_blocked else set()
        if self._is_mended(state):
            stuck -= setup.refused
        key_of = self.database.key_of
        first = {key_of[uid]: uid for _, uid in reversed(rows.events)}
        return all(uid in stuck for uid in first.values())

    def _accept(self, state: State, pairs: tuple[Pair, ...]) -> tuple[int, str]:
        """The sink takes events; what it has then, and what is wrong about that."""
        rows = self.rows.items[state.rows]
        arrived = state.arrived
        excused = rows.skipped | rows.dropped
        wrong = ""
        for id_, uid in pairs:
            if arrived & 1 << uid:
                continue
            key = self.database.key_of[uid]
            log = self.database.log_of(rows, key)
            if uid in rows.dropped:
                pass
            elif uid not in log:
                wrong = wrong or f"phantom: event {id_} was never committed"
            else:
                for before in log[: log.index(uid)]:
                    if not arrived & 1 << before and before not in excused:
                        wrong = wrong or (
                            f"order: event {id_} arrives, an earlier one of its key"
                            " has not"
                        )
            arrived |= 1 << uid
        return arrived, wrong

    def _is_parked(self, state: State, relay: Relay, pairs: tuple[Pair, ...]) -> str:
        """What is wrong about sending these, for the relay that holds the lease."""
        rows = self.rows.items[state.rows]
        if rows.holder == self.cores.facts[relay.core].epoch:
            for id_, uid in pairs:
                if any(dead.uid == uid for dead in rows.dead):
                    return f"parked and sent: event {id_}"
        return ""

    # The application and the operator

    def _application(self, state: State) -> Iterator[Following]:
        found = self._writes.get(state.rows)
        if found is None:
            rows = self.rows.items[state.rows]
            found = self._writes[state.rows] = [
                (label, self.rows.number(rows_))
                for label, rows_ in self.database.writes(rows)
            ]
        for label, number in found:
            yield Following((label,), state._replace(rows=number))

    def _operator(self, state: State) -> Iterator[Following]:
        rows = self.rows.items[state.rows]
        if self._may(state, "put back"):
            for key in sorted({self.database.key_of[d.uid] for d in rows.dead}):
                number = self.rows.number(self.database.put_back(rows, key))
                yield self._fault(
                    state, "put back", f"the operator puts dead letters of {key} back",
                    rows=number)  # fmt: skip
        if self._may(state, "mend"):
            yield self._fault(state, "mend", "the sink is mended")
        if self._may(state, "truncate"):
            truncated = self.database.truncate(rows)
            if truncated:
                yield self._fault(
                    state, "truncate", "the operator truncates the outbox",
                    rows=self.rows.number(truncated))  # fmt: skip
        if self._may(state, "failover"):
            yield from self._failover(state, rows)

    def _failover(self, state: State, rows: Rows) -> Iterator[Following]:
        strays = self.strays.items[state.strays]._replace(statements=())
        relays = []
        for number in state.relays:
            relay = self.relays.items[number]
            if relay.mode == "on":
                relay = self._cut(relay)
            relays.append(self.relays.number(relay))
        for lost, after in self.database.fail_over(rows):
            yield self._fault(
                state, "failover", f"fail-over to a replica without T{lost + 1}",
                rows=self.rows.number(after), relays=tuple(relays),
                strays=self.strays.number(strays))  # fmt: skip

    def _lease(self, state: State) -> Iterator[Following]:
        rows = self.rows.items[state.rows]
        if not rows.holder or rows.is_expired:
            return
        relays = [self.relays.items[number] for number in state.relays]
        is_alive = any(
            self.cores.facts[relay.core].epoch == rows.holder
            if relay.mode == "on"
            else relay.mode == "cut" and relay.epoch == rows.holder
            for relay in relays
        )
        number = self.rows.number(rows._replace(is_expired=True))
        if not is_alive:
            yield Following(("the lease runs out",), state._replace(rows=number))
        elif self._may(state, "expiry"):
            yield self._fault(state, "expiry", "the lease runs out", rows=number)

    # A relay

    def _on(self, state: State, index: int, relay: Relay) -> Iterator[Following]:
        number = state.relays[index]
        if relay.statement is None:
            yield from self._unhindered(state, index, relay, number)
        else:
            yield from self._proceed(state, index, relay, number)
        if isinstance(relay.reading, Read):
            rows = self.rows.items[state.rows]
            found = self.database.read(rows, relay.reading)
            yield self._follow(
                state, index, ("reads", *found), relay._replace(reading=found)
            )
        if self._may(state, "crash"):
            yield from self._ends(state, index, relay, "crash")
        if self._may(state, "cut"):
            yield from self._ends(state, index, relay, "cut")

    def _unhindered(
        self, state: State, index: int, relay: Relay, number: int
    ) -> Iterator[Following]:
        own = self._own.get(number)
        if own is None:
            own = self._own[number] = list(self._thinks(relay))
        for label, core, change, read in own:
            if read is None:
                wrong = ""
                if label[0] == "sends":
                    wrong = self._is_parked(state, relay, label[1:])
                yield self._move(state, index, label, change, wrong=wrong)
                continue
            # The read is carried out at once.
            rows = self.rows.items[state.rows]
            found = self.database.read(rows, read)
            after = relay._replace(core=core, reading=found)
            yield self._follow(state, index, ("reads", *found), after)
        asked = self._asked.get((number, state.rows))
        if asked is None:
            asked = self._asked[number, state.rows] = list(self._asks(relay, state))
        for label, change, rows_ in asked:
            yield self._move(state, index, label, change, rows=rows_)
        if self._may(state, "lock"):
            yield from self._hindered(state, index, relay)
        if self._may(state, "stop"):
            core, _ = self.cores.step(relay.core, Core.finish)
            after = self._over(relay._replace(core=core))
            yield self._follow(state, index, ("is to stop",), after, fault="stop")

    def _thinks(self, relay: Relay) -> Iterator[Any]:
        """Steps of the core that nothing else has to do with."""
        core = relay.core
        for leaps in (False, True):
            after, events = self.cores.step(core, Core.publish, leaps)
            if events is not None:
                pairs = tuple((event.id, event.uid) for event in events)
                calls = (*relay.calls, (pairs, None))
                yield (
                    ("sends", *pairs), after,
                    self.relays.number(relay._replace(core=after, calls=calls)), None,
                )  # fmt: skip
            elif after != core and not leaps:
                change = self.relays.number(relay._replace(core=after))
                yield ("thinks",), after, change, None
            if relay.reading is not None:
                continue
            after, read = self.cores.step(core, Core.read, leaps)
            if read is None:
                if after != core and not leaps:
                    change = self.relays.number(relay._replace(core=after))
                    yield ("thinks",), after, change, None
            elif self.setup.slow_reads:
                change = relay._replace(core=after, reading=read)
                yield ("is going to read",), after, self.relays.number(change), None
            else:
                yield ("reads",), after, 0, read
        if isinstance(relay.reading, tuple):
            events = tuple(self._event(pair) for pair in relay.reading)
            after, _ = self.cores.step(core, Core.see, events)
            change = relay._replace(core=after, reading=None)
            yield ("has", *relay.reading), after, self.relays.number(change), None
        for call in relay.calls:
            pairs, results = call
            if results is not None:
                yield (
                    ("is answered", *map(said, results)), 0,
                    self.relays.number(self._settled(relay, call, results)), None,
                )  # fmt: skip

    def _settled(self, relay: Relay, call: Any, results: tuple[Result, ...]) -> Relay:
        pairs, _ = call
        calls = tuple(other for other in relay.calls if other is not call)
        if relay.mode != "on":
            return relay._replace(calls=calls)
        events = tuple(self._event(pair) for pair in pairs)
        core, _ = self.cores.step(relay.core, Core.settle, events, results)
        return relay._replace(core=core, calls=calls)

    def _asks(self, relay: Relay, state: State) -> Iterator[Any]:
        """The statement that a relay asks for, and its first transaction."""
        rows = self.rows.items[state.rows]
        for after, statement in self._statements(relay):
            if isinstance(statement, Claim) and rows.claim == self.setup.claims:
                continue
            if statement is None:
                change = relay._replace(core=after)
                yield ("thinks",), self.relays.number(self._over(change)), state.rows
                continue
            rows_, found = self.database.step(rows, statement, 0, None)
            change = relay._replace(
                core=after, statement=statement, step=1, found=found,
                takes_over=relay.takes_over and not isinstance(statement, Claim),
            )  # fmt: skip
            label = described(statement, self.database.steps(statement), 1, found)
            yield label, self.relays.number(change), self.rows.number(rows_)

    def _statements(self, relay: Relay) -> Iterator[tuple[int, Statement | None]]:
        for leaps in (False, True):
            after, statement = self.cores.step(relay.core, Core.ask, leaps)
            if statement is not None:
                yield after, bare(statement)
            elif after != relay.core and not leaps:
                yield after, None

    def _proceed(
        self, state: State, index: int, relay: Relay, number: int
    ) -> Iterator[Following]:
        statement = relay.statement
        assert statement is not None
        steps = self.database.steps(statement)
        if relay.step < steps:
            rows = self.rows.items[state.rows]
            step = relay.step + 1
            rows, found = self.database.step(rows, statement, relay.step, relay.found)
            label = described(statement, steps, step, found)
            yield self._follow(
                state, index, label, relay._replace(step=step, found=found),
                rows=self.rows.number(rows),
            )  # fmt: skip
            return
        own = self._own.get(number)
        if own is None:
            change = self.relays.number(self._answered(relay))
            own = self._own[number] = [change]
        name = type(statement).__name__
        yield self._move(state, index, (f"has the answer to {name}",), own[0])

    def _answered(self, relay: Relay) -> Relay:
        statement, answer = relay.statement, relay.found
        if isinstance(statement, Look):
            claim, epoch, is_free = answer
            # Renewed since it was last looked at: else it would be given up, which is
            # what happens when a lease runs out.
            watched = self.cores.core(relay.core).term.lease._watched
            until = "b" if watched and watched[1] == "a" else "a"
            answer = Holder(claim, epoch, "", until, -1.0 if is_free else 10.0)
        core, _ = self.cores.step(relay.core, Core.answer, answer)
        epoch = relay.epoch
        if isinstance(statement, Grant) and answer:
            epoch = statement.epoch
        return self._over(
            relay._replace(core=core, epoch=epoch, statement=None, step=0, found=None)
        )

    def _over(self, relay: Relay) -> Relay:
        """What becomes of a relay whose term may have ended."""
        facts = self.cores.facts[relay.core]
        if not facts.is_over:
            return relay
        if self.setup.returns:
            return Relay("out")
        if facts.end == "superseded":
            core = self._fresh(relay.takes_over, own=0, seen=relay.epoch)
            # A read of the term before is of no interest any more.
            return Relay("on", core, relay.takes_over, relay.epoch)
        return Relay()

    def _hindered(self, state: State, index: int, relay: Relay) -> Iterator[Following]:
        for after, statement in self._statements(relay):
            if isinstance(statement, Delete | Park):
                core, _ = self.cores.step(after, Core.hinder)
                label = f"finds a lock in the way of {type(statement).__name__}"
                yield self._follow(
                    state, index, (label,), relay._replace(core=core), fault="lock"
                )

    # How it ends

    def _ends(
        self, state: State, index: int, relay: Relay, fault: str
    ) -> Iterator[Following]:
        strays = self.strays.items[state.strays]
        after, label = (
            (Relay(), "crashes")
            if fault == "crash"
            else (self._cut(relay), "loses its connections")
        )
        if fault == "crash":
            calls = [pairs for pairs, results in relay.calls if results is None]
            strays = strays._replace(calls=tuple(sorted((*strays.calls, *calls))))
        number = self._strays_of(strays, state)
        yield self._follow(state, index, (label,), after, fault=fault, strays=number)
        # The same, and the server may yet carry out what it was asked for last.
        for statement, step, found in self._unfinished(relay):
            takes_over = after.takes_over and not isinstance(statement, Claim)
            left = (*strays.statements, (statement, step, found))
            number = self._strays_of(strays._replace(statements=left), state)
            yield self._follow(
                state, index, (label, f"during {described(statement, 1, 1, None)[0]}"),
                after._replace(takes_over=takes_over),
                fault=fault, strays=number,
            )  # fmt: skip

    def _unfinished(self, relay: Relay) -> Iterator[tuple[Statement, int, Any]]:
        if relay.statement is None:
            for _, statement in self._statements(relay):
                if isinstance(statement, Claim | Grant | Delete | Park | Release):
                    yield statement, 0, None
        elif isinstance(relay.statement, Park):
            if relay.step == 3:
                yield relay.statement, relay.step, relay.found

    def _cut(self, relay: Relay) -> Relay:
        calls = tuple((pairs, None) for pairs, answer in relay.calls if answer is None)
        return Relay("cut", -1, relay.takes_over, relay.epoch, calls=calls)

    def _again(self, relay: Relay) -> Relay:
        core = self._fresh(relay.takes_over, own=relay.epoch, seen=relay.epoch)
        return relay._replace(mode="on", core=core)

    def _fresh(self, takes_over: bool, *, own: int, seen: int) -> int:
        return self.cores.number(Core(self.term(takes_over, own=own, seen=seen)))

    def term(self, takes_over: bool, *, own: int, seen: int) -> Term:
        """As in relay.Relay._term."""
        setup = self.setup
        limits = Limits(setup.entries, 1000, setup.calls)
        return setup.term(
            setup.lease(ttl=FOR_EVER, take_over=takes_over, own=own, seen=seen),
            setup.scheduler(
                [Outlet("", limits, in_order=setup.in_order)],
                jitter=no_jitter,
                policy=setup.policy,
            ),
            setup.floor_type(is_on=setup.floor),
            Options(policy=setup.policy, ttl=FOR_EVER),
        )

    # The sink

    def _calls(self, state: State, index: int, relay: Relay) -> Iterator[Following]:
        for call in relay.calls:
            pairs, results = call
            others = tuple(other for other in relay.calls if other is not call)
            if results is None:
                for after, answer, wrong in self._arrives(state, pairs):
                    kept = ((pairs, answer),) if relay.mode == "on" else ()
                    calls = (*others, *kept)
                    yield self._follow(
                        after, index, ("'s call arrives", *pairs, *map(said, answer)),
                        relay._replace(calls=calls), wrong=wrong,
                        is_fault=after.left != state.left,
                    )  # fmt: skip
            if relay.mode == "on" and relay.statement is not None:
                continue
            if self._may(state, "unknown"):
                unknown = self._settled(relay, call, (UNKNOWN,) * len(pairs))
                strays = self.strays.items[state.strays]
                if results is None:
                    calls = tuple(sorted((*strays.calls, pairs)))
                    strays = strays._replace(calls=calls)
                yield self._follow(
                    state, index, ("gets no answer to its call", *pairs), unknown,
                    fault="unknown", strays=self._strays_of(strays, state),
                )  # fmt: skip
            elif relay.mode == "cut" and results is None:
                # It fails without arriving, and nobody asks.
                yield self._follow(
                    state, index, ("'s call fails", *pairs),
                    relay._replace(calls=others),
                )  # fmt: skip

    def _arrives(
        self, state: State, pairs: tuple[Pair, ...]
    ) -> Iterator[tuple[State, tuple[Result, ...], str]]:
        """Every way in which the sink may take a call."""
        refuses = frozenset() if self._is_mended(state) else self.setup.refused
        mays = range(1 << len(pairs)) if self._may(state, "retry") else (0,)
        if self.setup.fails_whole and len(mays) > 1:
            mays = (0, (1 << len(pairs)) - 1)
        for failing in mays:
            cost = 1 if self.setup.fails_whole and failing else failing.bit_count()
            if cost > state.left[INDEX["retry"]]:
                continue
            results = tuple(
                RETRY if failing & 1 << place
                else REFUSED if uid in refuses
                else ACKNOWLEDGED
                for place, (_, uid) in enumerate(pairs)
            )  # fmt: skip
            taken = tuple(
                pair
                for pair, result in zip(pairs, results, strict=True)
                if result is ACKNOWLEDGED
            )
            arrived, wrong = self._accept(state, taken)
            after = state._replace(
                arrived=arrived, left=self._spent(state, "retry", cost)
            )
            strays = self.strays.items[state.strays]
            if strays.calls and arrived != state.arrived:
                after = after._replace(strays=self._strays_of(strays, after))
            yield after, results, wrong

    def _strays(self, state: State) -> Iterator[Following]:
        strays = self.strays.items[state.strays]
        for place, pairs in enumerate(strays.calls):
            calls = strays.calls[:place] + strays.calls[place + 1 :]
            for after, answer, wrong in self._arrives(state, pairs):
                if after.left != state.left:
                    # Nobody hears of it: as if it did not arrive.
                    continue
                number = self._strays_of(strays._replace(calls=calls), after)
                yield Following(
                    ("a lost call arrives", *pairs, *map(said, answer)),
                    after._replace(strays=number), False, wrong,
                )  # fmt: skip
        rows = self.rows.items[state.rows]
        for place, (statement, step, found) in enumerate(strays.statements):
            left = strays.statements[:place] + strays.statements[place + 1 :]
            rows_, _ = self.database.step(rows, statement, step, found)
            after = state._replace(rows=self.rows.number(rows_))
            number = self._strays_of(strays._replace(statements=left), after)
            name = described(statement, 1, 1, None)[0]
            yield Following(
                (f"a lost {name} is carried out",), after._replace(strays=number)
            )

    def _strays_of(self, strays: Strays, state: State) -> int:
        """Without what cannot make a difference any more."""
        if strays.calls:
            strays = strays._replace(
                calls=tuple(
                    pairs
                    for pairs in strays.calls
                    if any(not state.arrived & 1 << uid for _, uid in pairs)
                )
            )
        return self.strays.number(strays)

    # Bits

    def _event(self, pair: Pair) -> Event:
        event = self._events.get(pair)
        if event is None:
            event = self.database.event(pair)
            if pair[1] in self.setup.unreadable:
                event = dataclasses.replace(event, body="", problem="is not JSON")
            self._events[pair] = event
        return event

    def _is_mended(self, state: State) -> bool:
        index = INDEX["mend"]
        return state.left[index] < self.setup.faults.get("mend", 0)

    def _may(self, state: State, fault: str) -> bool:
        return state.left[INDEX[fault]] > 0

    def _spent(self, state: State, fault: str, count: int = 1) -> tuple[int, ...]:
        if not count:
            return state.left
        index = INDEX[fault]
        left = state.left
        return (*left[:index], left[index] - count, *left[index + 1 :])

    def _fault(self, state: State, fault: str, label: str, **changes: Any) -> Following:
        state = state._replace(left=self._spent(state, fault), **changes)
        return Following((label,), state, True)

    def _follow(
        self, state: State, index: int, label: tuple[Any, ...], relay: Relay,
        *, fault: str = "", is_fault: bool = False, wrong: str = "", **changes: Any,
    ) -> Following:  # fmt: skip
        number = self.relays.number(relay)
        if fault:
            changes["left"] = self._spent(state, fault)
        return self._move(
            state, index, label, number, is_fault=is_fault or bool(fault), wrong=wrong,
            **changes,
        )  # fmt: skip

    def _move(
        self, state: State, index: int, label: tuple[Any, ...], number: int,
        *, is_fault: bool = False, wrong: str = "", **changes: Any,
    ) -> Following:  # fmt: skip
        relays = state.relays
        relays = (*relays[:index], number, *relays[index + 1 :])
        state = state._replace(relays=relays, **changes)
        return Following((index, *label), state, is_fault, wrong)


def bare(statement: Statement) -> Statement:
    """Without what only the text of a dead letter shows."""
    if not isinstance(statement, Park):
        return statement
    letters = tuple(
        dataclasses.replace(letter, attempts=0, first_error="", last_error="", age=None)
        for letter in statement.letters
    )
    return dataclasses.replace(statement, letters=letters)


def said(result: Result) -> str:
    return result.outcome.value


def described(
    statement: Statement, steps: int, step: int, found: Any
) -> tuple[Any, ...]:
    """A step of a statement, for a trace."""
    name = type(statement).__name__
    if isinstance(statement, Delete):
        ids = ", ".join(str(event.id) for event in statement.events)
        name = f"Delete({ids})"
    elif isinstance(statement, Park):
        ids = ", ".join(
            f"{letter.event.id} {letter.reason}" for letter in statement.letters
        )
        name = f"Park({ids})"
    if steps > 1:
        name = f"{name} step {step} of {steps}"
    return (name,) if found is None else (name, "gives", str(found))
