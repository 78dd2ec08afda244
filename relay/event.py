"""One change event, as the relay handles it."""

from __future__ import annotations

from dataclasses import dataclass

from .envelope import Header, header

__all__ = ["Event"]


@dataclass(frozen=True)
class Event:
    """A row of the outbox with its envelope, which the database has built.

    The relay passes ``body`` through without parsing it.
    """

    id: int
    uid: int
    #: Source and key of the row, in one text: what order is kept for.
    key: str
    #: The envelope, a JSON object; empty where there is a ``problem``.
    body: str
    #: Why there is no envelope to send, such as ``after is not JSON``; empty if there
    #: is one. Never holds the event's contents.
    problem: str = ""
    #: Whether the problem is the event's size.
    is_oversized: bool = False

    @property
    def name(self) -> str:
        """The envelope's ``id``: the same every time the event is sent."""
        return f"{self.id}-{self.uid:016x}"

    @property
    def size(self) -> int:
        """Bytes of the body in UTF-8."""
        body = self.body
        # Not kept: a cached_property takes a lock up to Python 3.11, and ASCII is told
        # at no cost.
        if body.isascii():
            return len(body)
        return len(body.encode("utf-8", "surrogatepass"))

    @property
    def header(self) -> Header:
        """Type, source and operation, as the envelope says."""
        return header(self.body)
