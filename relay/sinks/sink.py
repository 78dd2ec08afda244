"""What every sink is: somewhere that takes batches of events and says how it went."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..event import Event

__all__ = ["ACKNOWLEDGED", "LEASE_RAN_OUT", "Limits", "Outcome", "Result", "Sink"]


class Outcome(enum.Enum):
    """How one event of a batch fared."""

    #: The sink has it for good; it may be deleted.
    ACKNOWLEDGED = "acknowledged"
    #: It was not taken now; the same bytes are sent again.
    RETRY = "retry"
    #: The call failed as a whole, and whether the sink has it nobody knows; the same
    #: bytes are sent again.
    UNKNOWN = "unknown"
    #: The sink will never take it as it is.
    REFUSED = "refused"
    #: It is larger than the sink takes, and nothing else is wrong with it.
    OVERSIZED = "oversized"


@dataclass(frozen=True)
class Result:
    """The outcome of one event; ``reason`` never holds the event's contents."""

    outcome: Outcome
    reason: str = ""


ACKNOWLEDGED = Result(Outcome.ACKNOWLEDGED)
#: Of every event that was not sent because ``may_send`` said no.
LEASE_RAN_OUT = Result(Outcome.UNKNOWN, "the lease ran out")


@dataclass(frozen=True)
class Limits:
    """What one call may carry."""

    entries: int
    #: Sum of the bodies, in UTF-8.
    bytes: int
    #: How many calls may run at the same time.
    calls: int = 1


class Sink(Protocol):
    """Implemented by every module of this package, and by third parties."""

    #: How the sink is called in messages.
    name: str
    #: Whether a batch is one ordered write, all of it or nothing: then several events
    #: of one key may share it.
    in_order: bool

    @property
    def limits(self) -> Limits:
        """Final once it was checked."""

    def check(self, *, thoroughly: bool = False, once: bool = False) -> Sequence[str]:
        """Ask whether the sink can be used, and learn its limits: before the first
        event is published. What a user has to know of it, a sentence each.

        ``thoroughly`` is for somebody who asks just that: also what shows at the first
        event anyway. ``once`` is for somebody with little time: whoever is too busy to
        answer is not asked again. May be called again, as long as nothing is published.
        Raises SinkError where it cannot be used, with what to mend. Sends nothing.
        """

    def publish(
        self, events: Sequence[Event], may_send: Callable[[], bool]
    ) -> Sequence[Result]:
        """Send a batch; one result for each event, in the same order.

        ``may_send`` is asked immediately before bytes leave, however often they do:
        a lock, a connection or a frozen process may have taken longer than the lease
        lasts. Once it says no nothing is sent, and what was not is LEASE_RAN_OUT.

        Called from several threads at once, up to ``limits.calls``. A call that
        failed as a whole is UNKNOWN for each. Raises SinkError where no event can be
        taken before somebody mends something: no such queue, no permission.
        """

    def close(self) -> None:
        """Free what the sink holds; nothing is in flight."""
