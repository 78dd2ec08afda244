"""How a relay comes to its lease, keeps it and loses it. Pure: no clock, no database.

The row of event_polling_state decides who holds the lease; this is what a relay may
conclude from it, and does next. Times are seconds of one monotonic clock.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from .action import Claim, Grant, Look, Release, Renew, Statement

__all__ = ["LONGEST_TTL", "MARGIN", "TTL", "Holder", "Lease", "Phase"]

#: Seconds after which a holder that does not renew has lost its lease.
TTL = 10
#: What a user may ask for.
LONGEST_TTL = 300
#: Seconds before that at which it stops sending: a send takes time to arrive.
MARGIN = 1.0

#: Seconds between two looks at a lease that somebody else holds, or has to let go yet.
STANDBY_POLL = 0.2
GRANT_POLL = 0.03
#: Seconds in which whoever has claimed a free lease is granted it: a few GRANT_POLLs.
CLAIM_PAUSE = 0.1


@dataclass(frozen=True)
class Holder:
    """Who publishes now, as the database says."""

    #: The newest epoch that was asked for.
    claim: int
    #: The epoch that was granted; 0 for none.
    epoch: int
    #: Host and process.
    name: str
    #: Until when, as the database writes it.
    expires_at: str
    #: Seconds until then by the clock of the database; negative if it is over.
    remaining: float

    @property
    def is_free(self) -> bool:
        return self.epoch == 0 or self.remaining <= 0


class Phase(enum.Enum):
    STANDBY = "standby"
    CLAIMING = "claiming"
    HELD = "held"
    LOST = "lost"


class Lease:
    """One relay's way to the lease.

    ``take_over`` claims at once; else a relay waits while somebody holds the lease, so
    that two of them do not throw each other out for ever. ``own`` is the epoch that
    this very relay held on a connection that it has lost: it is let go first, or it
    would have to run out. ``seen`` is the newest claim that is known to be over.
    """

    def __init__(
        self, *, ttl: int = TTL, take_over: bool = False, own: int = 0, seen: int = 0
    ) -> None:
        self.ttl = ttl
        self.phase = Phase.STANDBY
        #: Of the claim, or of the lease that was granted.
        self.epoch = 0
        #: Whoever holds it instead, as last seen.
        self.holder: Holder | None = None
        #: When the statement that granted or renewed it was *begun*. Counted from its
        #: end, a slow answer would make the lease seem longer than it is.
        self._since = 0.0
        self._take_over = take_over
        self._own = own
        self._seen = max(own, seen)
        self._must_claim = False
        self._must_look = True
        self._wait_until = 0.0
        #: Epoch and expires_at of the holder that is being watched, and when it is gone
        #: if it has not renewed by then. Lets a lease end that a clock which was set
        #: back has made an hour long.
        self._watched: tuple[int, str] | None = None
        self._gone_at = 0.0
        self._gone: tuple[int, str] | None = None

    @property
    def is_held(self) -> bool:
        return self.phase is Phase.HELD

    @property
    def is_lost(self) -> bool:
        return self.phase is Phase.LOST

    @property
    def deadline(self) -> float:
        """Nothing is sent from here on."""
        return self._since + self.ttl - MARGIN

    @property
    def renew_at(self) -> float:
        return self._since + self.ttl / 3

    @property
    def wakes_at(self) -> float:
        """When `next` has something to do, as long as no answer is owed."""
        return self.renew_at if self.is_held else self._wait_until

    def next(self, now: float) -> Statement | None:
        """What to ask the database now; None before `wakes_at`, or if it is lost."""
        if self.phase is Phase.HELD:
            return Renew(self.epoch) if now >= self.renew_at else None
        if self.phase is Phase.LOST or now < self._wait_until:
            return None
        if self._own:
            return Release(self._own)
        if self.phase is Phase.STANDBY:
            return Claim() if self._must_claim else Look()
        return Look() if self._must_look else Grant(self.epoch, self._gone)

    def released(self) -> None:
        if self._own:
            self._own = 0
        else:
            self.phase = Phase.LOST

    def looked(self, holder: Holder, now: float) -> bool:
        """Take in who holds the lease; whether somebody has asked for it since this
        relay did."""
        self.holder = holder
        is_free = holder.is_free or self._has_gone(holder, now)
        if self.phase is Phase.CLAIMING:
            self._must_look = False
            self._wait_until = now + GRANT_POLL
            if holder.claim == self.epoch:
                return False
            self.phase = Phase.STANDBY
            self._seen = -1
            return True
        # A claim that has moved: somebody is about to be granted the lease, and to
        # claim as well would throw them out.
        is_awaited = holder.claim != self._seen
        is_newer = 0 < self._seen < holder.claim
        if (is_awaited or not is_free) and not self._take_over:
            self._seen = holder.claim
            self._wait_until = now + (CLAIM_PAUSE if is_free else STANDBY_POLL)
        else:
            self._must_claim = True
        return is_newer

    def claimed(self, epoch: int) -> None:
        # Two relays that take over from each other would do so for ever.
        self._take_over = self._must_claim = self._must_look = False
        self.phase, self.epoch = Phase.CLAIMING, epoch

    def granted(self, is_granted: bool, asked_at: float) -> None:
        if is_granted:
            self.phase, self._since = Phase.HELD, asked_at
        else:
            self._must_look = True

    def renewed(self, is_renewed: bool, asked_at: float) -> None:
        if is_renewed:
            self._since = asked_at
        else:
            self.phase = Phase.LOST

    def lost(self) -> None:
        """The row says that it is somebody else's, or is going to be."""
        self.phase = Phase.LOST

    def _has_gone(self, holder: Holder, now: float) -> bool:
        watched = (holder.epoch, holder.expires_at)
        if watched != self._watched:
            self._watched, self._gone = watched, None
            self._gone_at = now + min(holder.remaining, LONGEST_TTL) + MARGIN
        elif now >= self._gone_at:
            self._gone = watched
        return self._gone is not None
