"""What the relay's core asks of the world. relay.py carries it out, and answers.

Each of them but Publish and Read is one statement on the connection that holds the
lease, one after the other. Read has a connection of its own, Publish a thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .dead_letter import DeadLetter
from .event import Event

__all__ = [
    "Claim",
    "Delete",
    "Grant",
    "Look",
    "Park",
    "Publish",
    "Read",
    "Recover",
    "Release",
    "Renew",
    "Statement",
    "Transactions",
    "Watch",
]


@dataclass(frozen=True)
class Look:
    """Who holds the lease? Answered with a Holder."""


@dataclass(frozen=True)
class Claim:
    """Ask for the lease. Answered with the new epoch."""


@dataclass(frozen=True)
class Grant:
    """Take the lease, if it is to be had. Answered with whether it was."""

    epoch: int
    #: Epoch and ``expires_at`` of a holder that has gone, whatever the database's clock
    #: says; None if there is none.
    gone: tuple[int, str] | None = None


@dataclass(frozen=True)
class Renew:
    """Answered with whether the lease is held still, and nobody newer waits."""

    epoch: int


@dataclass(frozen=True)
class Release:
    """Let the lease go, if it is still ours. Answered with None."""

    epoch: int


@dataclass(frozen=True)
class Watch:
    """Answered with whether the lease is ours and nobody newer waits, and whether there
    are events from ``floor`` on."""

    epoch: int
    floor: int


@dataclass(frozen=True)
class Recover:
    """Finish what a relay that died while parking has left. Answered with the keys
    whose events have to be parked."""

    epoch: int


@dataclass(frozen=True)
class Transactions:
    """Answered with the open transactions that may have written."""


@dataclass(frozen=True)
class Delete:
    """Delete these events, which were acknowledged. Answered with how many went."""

    epoch: int
    events: tuple[Event, ...]


@dataclass(frozen=True)
class Park:
    """Move events to the dead letters. Answered with Parked.

    One that is to wait ``behind`` another is parked only while that one is.
    """

    epoch: int
    letters: tuple[DeadLetter, ...]


@dataclass(frozen=True)
class Read:
    """Answered with up to ``limit`` committed events in id order."""

    limit: int
    #: Ids below are not looked at; 0 is the head.
    floor: int
    #: Ids that are known already.
    besides: frozenset[int] = frozenset()
    #: Keys whose events are not wanted now.
    besides_keys: frozenset[str] = frozenset()
    #: Outlets whose events are not.
    besides_outlets: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Measure:
    """Answered with the Backlog from ``floor`` on."""

    floor: int


@dataclass(frozen=True)
class Publish:
    """Answered with one Result for each event."""

    number: int
    events: tuple[Event, ...]
    #: Name of the outlet that all of them go to.
    outlet: str = ""


Statement: TypeAlias = (
    Look
    | Claim
    | Grant
    | Renew
    | Release
    | Watch
    | Recover
    | Transactions
    | Delete
    | Park
)
