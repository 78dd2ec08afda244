"""When an event is given up, and what that means for later ones of its key. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .dead_letter import Reason
from .sinks.sink import Outcome

__all__ = ["ON_REFUSED", "OnRefused", "Policy"]

#: What becomes of an event that the sink will never take: its key waits for it · it is
#: parked, and so are the later ones of its key · it is parked, and the later ones go on
#: without it.
OnRefused: TypeAlias = Literal["block", "park-key", "park-event"]
ON_REFUSED: tuple[OnRefused, ...] = ("block", "park-key", "park-event")


@dataclass(frozen=True)
class Policy:
    """What is given up goes to the dead letters."""

    on_refused: OnRefused = "block"
    #: How often an event is sent at most; None for ever. Only answers count that are
    #: about the event itself, and only while the sink takes others.
    max_attempts: int | None = None
    #: Seconds after its first failure; None for ever.
    max_age: float | None = None
    #: Whether one that is larger than the sink takes is parked, and not refused. The
    #: later ones of its key wait behind it, unless ``on_refused`` says otherwise.
    parks_oversized: bool = True

    def problem(self) -> str | None:
        """Why it makes no sense; None if it does."""
        if self.on_refused == "block" and (self.max_attempts or self.max_age):
            return (
                "--max-attempts and --max-age say when an event is parked, and"
                " --on-refused block parks none"
            )
        return None

    @property
    def skips(self) -> bool:
        """Whether later events of a key may overtake one that is parked."""
        return self.on_refused == "park-event"

    def verdict(
        self, outcome: Outcome, *, attempts: int, age: float, is_down: bool
    ) -> Reason | None:
        """Why an event that fared like this is parked; None if it is sent again."""
        if outcome is Outcome.OVERSIZED and self.parks_oversized:
            return "oversized"
        if self.on_refused == "block" or is_down:
            return None
        if outcome in (Outcome.REFUSED, Outcome.OVERSIZED):
            return "refused"
        if self.max_attempts is not None and attempts >= self.max_attempts:
            return "attempts"
        if self.max_age is not None and age >= self.max_age:
            return "age"
        return None
