"""One installer at a time for each outbox."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator

from ..database.connection import Connection
from ..errors import ConnectionLost, EvtrigError

__all__ = ["sole_installer"]


@contextlib.contextmanager
def sole_installer(
    connection: Connection,
    outbox: str,
    *,
    seconds: float = 30,
    on_wait: Callable[[str], None] = lambda what: None,
) -> Iterator[None]:
    """Keep other installers out, waiting for one that is at work.

    With GET_LOCK, which the server lets go with the connection: an installer that dies
    locks nobody out. ``on_wait`` is told what it waits for. Raises EvtrigError if that
    one has not finished after ``seconds``.
    """
    name = f"evtrig_install_{hashlib.sha256(outbox.lower().encode()).hexdigest()[:12]}"
    if not connection.value("SELECT GET_LOCK(%s, 0)", (name,)):
        who = f"connection {connection.value('SELECT IS_USED_LOCK(%s)', (name,))}"
        on_wait(f"waiting for another evtrig that is changing triggers ({who})")
        if not connection.value("SELECT GET_LOCK(%s, %s)", (name, seconds)):
            raise EvtrigError(
                f"another evtrig is changing the triggers of {outbox} ({who});"
                " nothing was changed",
                hint="Wait until it has finished, and run the command again.",
            )
    try:
        yield
    finally:
        # A connection that is gone has taken the lock along.
        with contextlib.suppress(ConnectionLost):
            connection.execute("SELECT RELEASE_LOCK(%s)", (name,))
