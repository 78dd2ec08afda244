"""Whether the sink is down. Pure.

One event that fails is that event's trouble. Where most do, it is the sink's: then
nobody's events are to blame, and hammering helps nobody.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["FEWEST", "RECENT", "Health"]

#: Of how many events the fate is looked at, and the fewest that tell anything.
RECENT = 10
FEWEST = 3


class Health:
    """What became of the last events that were sent for the first time.

    Repetitions do not count: an event that is refused every five seconds says nothing
    new about the sink. Nor does one that was put back from the dead letters.
    """

    def __init__(self) -> None:
        self.is_down = False
        #: Failed attempts since the sink went down.
        self.failures = 0
        #: By the event's id, the latest last.
        self._recent: dict[int, bool] = {}

    def judge(self, firsts: Iterable[tuple[int, bool]], *, has_taken: bool) -> None:
        """Take in a call: for each event of it that was sent for the first time its id
        and whether the sink took it; and whether it took any at all."""
        if has_taken:
            if self.is_down:
                self._recent.clear()
            self.is_down, self.failures = False, 0
        has_failed = False
        for id_, is_taken in firsts:
            self._recent.pop(id_, None)
            self._recent[id_] = is_taken
            has_failed = has_failed or not is_taken
        while len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]
        failed = sum(not is_taken for is_taken in self._recent.values())
        is_most = len(self._recent) >= FEWEST and 2 * failed > len(self._recent)
        if is_most and has_failed:
            self.is_down = True
        if self.is_down:
            self.failures += 1
