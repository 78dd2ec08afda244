"""The worlds in which the shipped core has to be right.

Each asks one question, and is as small as the question allows. The deep ones are for a
run of minutes: ``python tests/model/explore.py --deep``.
"""

from __future__ import annotations

from model.clock import Clocked, ClockedSetup
from model.world import Setup, World

from evtrig.relay.policy import Policy

__all__ = ["BASE", "DEEP", "made"]

A, B = ("a",), ("b",)
FIRST = frozenset({0})

PARK_KEY = Policy(on_refused="park-key")
PARK_EVENT = Policy(on_refused="park-event")

BASE: dict[str, Setup | ClockedSetup] = {
    "ids commit late": Setup((A, B, A), rolls_back=True),
    "ids commit late, with a floor": Setup((A, B), floor=True, rolls_back=True),
    "a transaction of two keys": Setup((("a", "b"), A)),
    "two calls at the same time": Setup((A, B), calls=2, entries=1),
    "reads that take their time": Setup((A, A), slow_reads=True),
    "a crash and a lost answer": Setup((A, A), {"crash": 1, "unknown": 1}, leads=False),
    "the sink fails one of two": Setup((A, B), {"retry": 2}),
    "lost connections": Setup((A, A), {"cut": 1, "unknown": 1}),
    "lost connections, with a floor": Setup((A, B), {"cut": 1}, floor=True),
    "a fail-over that issues ids again": Setup((A, A), {"failover": 1}, floor=True),
    "ids that are issued again": Setup((A, A), {"truncate": 1}),
    "a lock in the way": Setup((A, A), {"lock": 1, "crash": 1}),
    "a relay takes over": Setup(
        (A,), {"unknown": 1}, relays=2, take_over=True, returns=True
    ),
    "a relay takes over without a guard": Setup(
        (A,), {"unknown": 1}, relays=2, take_over=True, returns=True, guard=False
    ),
    "a relay is superseded and waits": Setup((A,), relays=2, take_over=True, claims=2),
    "a relay stops, another waits": Setup((A,), {"stop": 1}, relays=2, returns=True),
    "a lease that runs out": Setup((A,), {"expiry": 1}, relays=2, returns=True),
    "the sink refuses": Setup((A, A), {"crash": 1}, refused=FIRST),
    "the sink refuses: park-key": Setup(
        (A, A), {"crash": 1}, policy=PARK_KEY, refused=FIRST
    ),
    "the sink refuses: park-event": Setup(
        (A, A), {"crash": 1}, policy=PARK_EVENT, refused=FIRST
    ),
    "given up after two attempts": Setup(
        (A, A), {"retry": 2}, policy=Policy(on_refused="park-key", max_attempts=2)
    ),
    "dead letters are put back": Setup(
        (A, A), {"put back": 1, "mend": 1}, policy=PARK_KEY, refused=FIRST
    ),
    "dead letters are put back below a floor": Setup(
        (A, A), {"put back": 1}, policy=PARK_KEY, refused=FIRST, floor=True
    ),
    "dead letters are put back, and a crash": Setup(
        (A, A), {"put back": 1, "mend": 1, "crash": 1}, policy=PARK_KEY, refused=FIRST
    ),
    "dead letters are put back: park-event": Setup(
        (A, A), {"put back": 1, "mend": 1}, policy=PARK_EVENT, refused=FIRST
    ),
    "a row of which no envelope can be made": Setup(
        (A, A), unreadable=FIRST, floor=True
    ),
    "a window of two events": Setup((A, A, A), {"mend": 1}, refused=FIRST, window=2),
    "a sink that takes a batch as one write": Setup(
        (A, A), {"retry": 1, "crash": 1}, in_order=True, fails_whole=True
    ),
    "a batch as one write, and park-key": Setup(
        (("a", "b"), A), {"put back": 1}, policy=PARK_KEY, unreadable=FIRST,
        in_order=True, fails_whole=True,
    ),
    "a clock": ClockedSetup(ticks=4),
    "a clock, and a relay takes over": ClockedSetup(ticks=1, relays=2, take_over=True),
}  # fmt: skip

DEEP: dict[str, Setup | ClockedSetup] = {
    "three transactions, a crash, a lost answer": Setup(
        (A, B, A), {"crash": 1, "unknown": 1}, rolls_back=True
    ),
    "two transactions, two relays, a lost answer": Setup(
        (A, A), {"unknown": 1}, relays=2, take_over=True, returns=True
    ),
    "two transactions, two relays, no guard": Setup(
        (A, B), relays=2, take_over=True, returns=True, guard=False
    ),
    "two relays, a crash, a lost answer": Setup(
        (A,), {"crash": 1, "unknown": 1}, relays=2, take_over=True, claims=4
    ),
    "two relays, leases that run out": Setup((A,), {"expiry": 2}, relays=2, claims=4),
    "two relays park": Setup(
        (A, A), relays=2, take_over=True, returns=True, policy=PARK_KEY, refused=FIRST
    ),
    "three transactions and a floor": Setup((A, B, A), {"cut": 1}, floor=True),
    "a fail-over under three transactions": Setup(
        (A, A, A), {"failover": 1}, floor=True
    ),
    "four transactions and a window of two": Setup(
        (A, A, A, B), {"retry": 1}, window=2
    ),
    "a clock that goes on": ClockedSetup(ticks=6, events=2),
    "a clock, and a relay takes over": ClockedSetup(ticks=2, relays=2, take_over=True),
    "a clock, and a relay that waits": ClockedSetup(ticks=4, relays=2),
}  # fmt: skip


def made(setup: Setup | ClockedSetup) -> World | Clocked:
    return World(setup) if isinstance(setup, Setup) else Clocked(setup)
