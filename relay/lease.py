"""How long a relay may publish. Pure: no clock, no database.

The database's row decides who holds the lease; this is what the holder may still
assume about it between two round trips.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["MARGIN", "TTL", "Lease"]

#: Seconds after which a holder that does not renew has lost its lease.
TTL = 10
#: Seconds before that at which it stops sending: a send takes time to arrive.
MARGIN = 1.0


@dataclass(frozen=True)
class Lease:
    """A granted lease. Times are seconds of one monotonic clock."""

    epoch: int
    #: When the statement that granted or renewed it was *begun*. Counted from its
    #: end, a slow answer would make the lease seem longer than it is.
    since: float
    ttl: int = TTL

    @property
    def deadline(self) -> float:
        """Nothing is sent from here on."""
        return self.since + self.ttl - MARGIN

    @property
    def renew_at(self) -> float:
        return self.since + self.ttl / 3

    def renewed(self, asked_at: float) -> Lease:
        return replace(self, since=asked_at)
