"""Taking everything out again, without losing an event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..database.connection import Connection
from .install import apply
from .installed import inspect
from .plan import Step, outbox_removal, removal
from .sql import qualified

__all__ = ["Removal", "uninstall"]


@dataclass(frozen=True)
class Removal:
    """What an uninstall did."""

    triggers: int
    #: Events that are in the outbox still, which is why it was kept.
    waiting: int
    outbox_dropped: bool


def uninstall(
    connection: Connection,
    *,
    outbox: str,
    keep_outbox: bool = False,
    on_step: Callable[[Step], None] = lambda step: None,
) -> Removal:
    """Drop every trigger that writes to this outbox, then the outbox if it is empty.

    DROP TRIGGER waits for the transactions that use it, so once all are gone no
    further event can come.
    """
    installed = inspect(connection, (), outbox=outbox, definer=None)
    apply(connection, removal(installed), on_step=on_step)
    waiting = 0
    if "events" in installed.outbox_tables:
        events = qualified(outbox, "events")
        waiting = int(connection.value(f"SELECT COUNT(*) FROM {events}"))
    drop = installed.has_outbox and not waiting and not keep_outbox
    if drop:
        apply(connection, outbox_removal(installed, outbox), on_step=on_step)
    return Removal(len(installed.triggers), waiting, drop)
