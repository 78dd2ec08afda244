"""What a FIFO queue or topic remembers so as to deliver nothing twice."""

from __future__ import annotations

from .service import Arrival

__all__ = ["SECONDS", "Deduplication"]

#: botocore, SendMessage and PublishBatch: "5-minute deduplication interval".
SECONDS = 300


class Deduplication:
    """The ids that came within the interval, by scope.

    A scope is the group where ids count within a group, else the empty text.
    """

    def __init__(self) -> None:
        #: (scope, id) -> when it came and as what, oldest first.
        self._seen: dict[tuple[str, str], tuple[float, Arrival]] = {}

    def find(self, scope: str, name: str, now: float) -> Arrival | None:
        """What came with this id less than five minutes ago, deleted or not."""
        while self._seen:
            oldest = next(iter(self._seen))
            if now - self._seen[oldest][0] < SECONDS:
                break
            del self._seen[oldest]
        _, original = self._seen.get((scope, name), (0.0, None))
        return original

    def remember(self, scope: str, name: str, now: float, arrival: Arrival) -> None:
        self._seen[scope, name] = now, arrival
