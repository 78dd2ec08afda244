"""Taking everything out again, without losing an event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..database.connection import Connection
from ..errors import PreflightError
from .install import Patience, apply
from .installed import inspect
from .outbox import outbox_removal
from .plan import Plan, removal
from .privilege import own_privileges
from .sql import ident, qualified
from .step import Step

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
    schemas: Sequence[str] = (),
    keep_outbox: bool = False,
    on_step: Callable[[Step], None] = lambda step: None,
    patience: Patience | None = None,
) -> Removal:
    """Drop every trigger that writes to this outbox, then the outbox if it is empty.

    DROP TRIGGER waits for the transactions that use it, so once all are gone no
    further event can come. ``schemas`` are those of the captured tables.
    Raises PreflightError if there may be triggers that this account cannot see: under
    them the outbox must stay, or every write would fail.
    """
    if not keep_outbox:
        _check_sight(connection, outbox, schemas)
    installed = inspect(connection, (), outbox=outbox, definer=None)
    # A procedure that is left would write into an outbox that is counted as empty.
    end = removal(installed, outbox, keep_emit=keep_outbox)
    apply(connection, end, command="uninstall", on_step=on_step, patience=patience)
    waiting = 0
    if "events" in installed.outbox_tables:
        events = qualified(outbox, "events")
        waiting = int(connection.value(f"SELECT COUNT(*) FROM {events}"))
    drop = installed.has_outbox and not waiting and not keep_outbox
    if drop:
        rest = Plan(outbox_removal(installed, outbox))
        apply(connection, rest, command="uninstall", on_step=on_step, patience=patience)
    return Removal(len(installed.triggers), waiting, drop)


def _check_sight(connection: Connection, outbox: str, schemas: Sequence[str]) -> None:
    own = own_privileges(connection)
    # Of the schemas and not of the tables: one that has left the spec may have kept its
    # triggers.
    hidden = [schema for schema in schemas if not own.allow("TRIGGER", schema)]
    if own.allow("TRIGGER") or (schemas and not hidden):
        return
    on = f"{ident(hidden[0])}.*" if hidden else "*.*"
    raise PreflightError(
        (
            (
                f"this account may not see all triggers that write to {outbox}.events:"
                f" it lacks the privilege TRIGGER on {on}",
                f"GRANT TRIGGER ON {on} TO it, or leave the outbox with --keep-outbox.",
            ),
        )
    )
