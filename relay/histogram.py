"""How long something took, counted in buckets."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

__all__ = ["Histogram"]


class Histogram:
    """Counts of seconds, by the first of ``bounds`` that they do not exceed.

    ``bounds`` ascend; what exceeds the last has a bucket of its own.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        #: One for each bound, and the last for what exceeds them all.
        self.counts = [0] * (len(bounds) + 1)
        #: Of all that was observed.
        self.sum = 0.0

    @property
    def count(self) -> int:
        return sum(self.counts)

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    def copy(self) -> Histogram:
        return self._of(self.counts, self.sum)

    def plus(self, other: Histogram) -> Histogram:
        """Both together; of the same bounds."""
        pairs = zip(self.counts, other.counts, strict=True)
        return self._of([one + two for one, two in pairs], self.sum + other.sum)

    def since(self, earlier: Histogram) -> Histogram:
        """What was observed after ``earlier``, a copy of this one."""
        pairs = zip(self.counts, earlier.counts, strict=True)
        return self._of([now - then for now, then in pairs], self.sum - earlier.sum)

    def values(self, most: int) -> list[float]:
        """At most so many seconds that are spread as what was observed is.

        As many as were observed, or ``most`` at equal distances in rank; each is
        placed within its bucket as if that were filled evenly. What exceeds the last
        bound is told as that bound.
        """
        total = self.count
        wanted = min(most, total)
        edges = (0.0, *self.bounds, self.bounds[-1])
        found: list[float] = []
        below = 0
        for number, count in enumerate(self.counts):
            low, high = edges[number], edges[number + 1]
            while len(found) < wanted:
                rank = (len(found) + 0.5) * total / wanted
                if rank > below + count:
                    break
                found.append(low + (high - low) * (rank - below) / count)
            below += count
        return found

    def _of(self, counts: Sequence[int], total: float) -> Histogram:
        made = Histogram(self.bounds)
        made.counts, made.sum = list(counts), total
        return made
