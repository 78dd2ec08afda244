"""Whether the sink is down. Pure.

One event that fails is that event's trouble. Where most do, it is the sink's: then
nobody's events are to blame, and hammering helps nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

__all__ = ["FEWEST", "RECENT", "Health"]

#: Of how many events the fate is looked at, and the fewest that tell anything.
RECENT = 10
FEWEST = 3


class Health:
    """What became of the last events that were sent for the first time.

    Repetitions do not count: an event that is refused every five seconds says nothing
    new about the sink.
    """

    def __init__(self) -> None:
        self.is_down = False
        #: Failed attempts since the sink went down.
        self.failures = 0
        self._recent: deque[bool] = deque(maxlen=RECENT)

    def judge(self, firsts: Iterable[bool], *, has_taken: bool) -> None:
        """Take in a call: for each event of it that was sent for the first time whether
        the sink took it, and whether it took any at all."""
        if has_taken:
            if self.is_down:
                self._recent.clear()
            self.is_down, self.failures = False, 0
        firsts = tuple(firsts)
        self._recent.extend(firsts)
        failed = self._recent.count(False)
        is_most = len(self._recent) >= FEWEST and 2 * failed > len(self._recent)
        if is_most and False in firsts:
            self.is_down = True
        if self.is_down:
            self.failures += 1
