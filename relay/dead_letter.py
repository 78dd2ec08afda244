"""An event that is to be parked, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .event import Event

__all__ = ["DeadLetter", "Parked", "Reason"]

#: The sink will never take it · it is larger than the sink takes · it failed too often,
#: or for too long · an event of its key was parked before it.
Reason: TypeAlias = Literal["refused", "oversized", "attempts", "age", "behind"]


@dataclass(frozen=True)
class DeadLetter:
    """What becomes a row of ``dead_letters``."""

    event: Event
    reason: Reason
    #: Whether later events of its key are to wait behind it.
    holds_key: bool
    #: How often it was sent and answered.
    attempts: int = 0
    #: What the sink said; never the event's contents.
    first_error: str = ""
    last_error: str = ""
    #: Seconds since it failed for the first time; None if it was never sent.
    age: float | None = None


@dataclass(frozen=True)
class Parked:
    """What has become of dead letters that were to be parked."""

    #: Ids of those that are parked now.
    ids: frozenset[int]
    #: Those of their keys whose later events have to wait.
    keys: frozenset[str]
