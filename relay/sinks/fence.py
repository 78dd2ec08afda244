"""Keeps a client of AWS from sending what was signed while the lease still held."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

__all__ = ["Fence", "LeaseRanOut"]


class LeaseRanOut(Exception):
    """A call was about to leave and may not; nothing of it was sent."""


class Events(Protocol):
    def register_last(self, event_name: str, handler: Callable[..., Any]) -> None: ...


class Fence:
    """Asks between the signature and the first byte of every call of a client.

    ``events`` are the client's (``client.meta.events``). botocore signs before
    ``before-send`` and lets an exception of its handlers through: nothing is sent and
    nothing is tried again (botocore 1.44, ``Endpoint._do_get_response``). So a
    process that is frozen in between, and a signature is good for minutes, sends
    nothing when it goes on. What it cannot see is the time that a new connection
    takes to be made, at most the connect time-out.
    """

    def __init__(self, events: Events) -> None:
        # Several threads share a client, each with a question of its own.
        self._thread = threading.local()
        # Behind all others: a handler of somebody else may take its time.
        events.register_last("before-send", self._ask)

    @contextmanager
    def asking(self, may_send: Callable[[], bool]) -> Iterator[None]:
        """Calls of this thread raise LeaseRanOut once ``may_send`` says no."""
        self._thread.may_send = may_send
        try:
            yield
        finally:
            del self._thread.may_send

    def _ask(self, **_: object) -> None:
        may_send = getattr(self._thread, "may_send", None)
        if may_send is not None and not may_send():
            raise LeaseRanOut
