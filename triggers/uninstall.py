"""Taking everything out again, without losing an event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..database.connection import Connection
from ..errors import PreflightError
from .install import AGAIN, apply
from .installed import Installed, inspect
from .outbox import outbox_removal
from .patience import Patience
from .plan import Plan, removal
from .preflight import lacking
from .privilege import own_privileges
from .role import uninstaller_needs
from .sql import Sql, qualified
from .step import Step

__all__ = ["Removal", "uninstall"]


#: Not "evtrig install": whoever follows that would get the triggers back.
AGAIN_UNINSTALL = AGAIN.format(command="uninstall")


@dataclass(frozen=True)
class Removal:
    """What an uninstall did."""

    triggers: int
    #: Events that are in the outbox still, which is why it was kept.
    waiting: int
    #: Events that no sink takes and nobody has discarded; they keep it too.
    dead_letters: int
    outbox_dropped: bool


def uninstall(
    connection: Connection,
    *,
    outbox: str,
    schemas: Sequence[str] = (),
    has_emit: bool = False,
    keep_outbox: bool = False,
    on_step: Callable[[Step], None] = lambda step: None,
    patience: Patience | None = None,
) -> Removal:
    """Drop every trigger that writes to this outbox, then the outbox if it is empty.

    DROP TRIGGER waits for the transactions that use it, so once all are gone no
    further event can come. ``schemas`` are those of the captured tables,
    ``has_emit`` says that there should be a procedure emit, seen or not.
    Raises PreflightError if there may be triggers that this account cannot see: under
    them the outbox must stay, or every write would fail. So it does for whatever else
    the account may not do, before anything is dropped.
    """
    if not keep_outbox:
        _check(connection, outbox, schemas, has_emit)
    installed = inspect(connection, (), outbox=outbox, definer=None)
    if installed.emit and not keep_outbox:
        _check(connection, outbox, schemas, True)
    # A procedure that is left would write into an outbox that is counted as empty.
    end = removal(installed, outbox, keep_emit=keep_outbox)
    apply(connection, end, again=AGAIN_UNINSTALL, on_step=on_step, patience=patience)
    if "events" in installed.outbox_tables and not keep_outbox:
        _settle(connection, outbox, patience)
    waiting, dead = _left(connection, installed, outbox)
    is_empty = not waiting and not dead
    drop = installed.has_outbox and is_empty and not keep_outbox
    if drop:
        rest = Plan(outbox_removal(installed, outbox))
        apply(
            connection, rest, again=AGAIN_UNINSTALL, on_step=on_step, patience=patience
        )
    return Removal(len(installed.triggers), waiting, dead, drop)


def _left(connection: Connection, installed: Installed, outbox: str) -> tuple[int, int]:
    """How many events and dead letters there are.

    In one statement: between two, a relay may put an event aside, or somebody may put
    it back, and neither count would have it.
    """
    counts = [
        f"(SELECT COUNT(*) FROM {qualified(outbox, table)})"
        if table in installed.outbox_tables
        else "0"
        for table in ("events", "dead_letters")
    ]
    waiting, dead = connection.rows(f"SELECT {', '.join(counts)}")[0]
    return int(waiting), int(dead)


def _settle(connection: Connection, outbox: str, patience: Patience | None) -> None:
    """Wait for the events of open transactions, so that they are counted.

    MariaDB drops the procedure emit under a transaction that has called it. Its event
    nobody would see, and DROP TABLE would wait for it and take it along.
    """
    connection.execute("SET SESSION innodb_lock_wait_timeout = 3")
    events = qualified(outbox, "events")
    step = Step(
        "drop",
        f"count the events in {outbox}.events",
        Sql(f"SELECT COUNT(*) FROM {events} LOCK IN SHARE MODE"),
        table=(outbox, "events"),
    )
    apply(connection, Plan((step,)), again=AGAIN_UNINSTALL, patience=patience)


def _check(
    connection: Connection, outbox: str, schemas: Sequence[str], has_emit: bool
) -> None:
    own = own_privileges(connection)
    needs = uninstaller_needs(schemas, outbox, has_emit=has_emit)
    missing = [need for need in needs if not need.is_met_by(own)]
    if missing:
        user = str(connection.value("SELECT CURRENT_USER()"))
        raise PreflightError(
            tuple(
                (problem, f"{grant}; or leave the outbox with --keep-outbox.")
                for problem, grant in lacking(missing, user)
            )
        )
