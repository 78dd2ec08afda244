"""What would stop an install half way, looked for before anything is changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..database.connection import Connection
from ..errors import PreflightError
from .account import Account
from .capture import Capture, Problem
from .cascade import Cascade
from .emit import Emit
from .grant import missing_needs
from .installed import Installed
from .need import Need, distinct
from .outbox import OUTBOX_TABLES
from .plan import Plan
from .privilege import Privileges, own_privileges
from .role import SET_DEFINER, Wanted, Work, installer_needs
from .sql import qualified
from .trigger import TriggerName

__all__ = ["lacking", "preexisting_problems", "preflight", "unkept_names"]


def preflight(
    connection: Connection,
    plan: Plan,
    captures: Sequence[Capture],
    installed: Installed,
    *,
    outbox: str,
    definer: Account | None,
    emit: Emit | None = None,
    cascades: Sequence[Cascade] = (),
) -> None:
    """Look for whatever would stop the plan half way.

    Raises PreflightError with every problem found.
    """
    problems = preexisting_problems(connection, captures, installed, outbox)
    if plan.steps:
        wanted = Wanted(captures, connection.server, outbox, definer, emit, cascades)
        problems += _privilege_problems(connection, plan, wanted, installed)
    if problems:
        raise PreflightError(tuple(problems))


def preexisting_problems(
    connection: Connection,
    captures: Sequence[Capture],
    installed: Installed,
    outbox: str,
) -> list[Problem]:
    """What is in the way whatever there is to do."""
    return [
        *_server_problems(connection),
        *_outbox_problems(installed, outbox),
        *unkept_names(connection, captures, outbox),
        *_name_problems(captures, installed, outbox),
    ]


def _server_problems(connection: Connection) -> Iterable[Problem]:
    if connection.is_read_only:
        yield (
            f"{connection.dsn} is read-only",
            "Connect to the primary (on Aurora: the cluster endpoint).",
        )
    elif connection.is_replica:
        # Its own triggers would also be in the way of those that replication brings.
        yield (
            f"{connection.dsn} is a replica: what its source sends fires no trigger",
            "Install on the source; triggers and events come here by replication. In a"
            " ring, STOP REPLICA here, install, and start it again.",
        )
    log_bin, binlog_format = _binlog(connection)
    if log_bin and binlog_format == "STATEMENT":
        yield (
            "binlog_format is STATEMENT: replicas would give events other ids",
            "SET GLOBAL binlog_format = 'ROW', and reconnect the applications.",
        )


def _binlog(connection: Connection) -> tuple[bool, str]:
    row = connection.row("SELECT @@GLOBAL.log_bin, @@GLOBAL.binlog_format")
    assert row is not None
    return bool(row[0]), str(row[1])


def _outbox_problems(installed: Installed, outbox: str) -> Iterable[Problem]:
    """A table in the way: triggers that write to it would make every write fail."""
    for table, columns in OUTBOX_TABLES.items():
        missing = columns - installed.outbox_tables.get(table, columns)
        if missing:
            yield (
                f"{outbox}.{table} is not evtrig's, it has no column"
                f" {', '.join(sorted(missing))}",
                "Choose another schema with `outbox:` in the spec.",
            )


def unkept_names(
    connection: Connection, captures: Sequence[Capture], outbox: str
) -> Iterable[Problem]:
    """Names that MySQL 9.7 cannot keep in a trigger's body (3507).

    It cuts a byte off the end of a name for each back-tick in it. What is left may end
    in the middle of a character, and is not stored.
    """
    if connection.server.is_mariadb:
        return
    named = [(f"schema {outbox}", outbox)]
    for capture in captures:
        for column in (*capture.columns, *capture.excluded):
            named.append((f"column {column.name} of {capture.source}", column.name))
    for what, name in named:
        written = name.encode()
        try:
            written[: len(written) - name.count("`")].decode()
        except UnicodeDecodeError:
            yield (
                f"{what}: MySQL cannot keep a trigger with this name in it, which has a"
                " back-tick and ends with a character of several bytes (3507)",
                "Rename it, or take a column out of `columns:`.",
            )


def _name_problems(
    captures: Sequence[Capture], installed: Installed, outbox: str
) -> Iterable[Problem]:
    """Triggers that have a name of evtrig's and are not where they belong."""
    by_digest = {
        TriggerName.of(capture.schema, capture.table, "insert").table: capture.source
        for capture in captures
    }
    captured = set(by_digest.values())
    for trigger in installed.triggers:
        source = trigger.source
        made_for = by_digest.get(trigger.name.table, "another table")
        if made_for != source and (
            trigger.name.table in by_digest or source in captured
        ):
            yield (
                f"trigger {trigger.name} on {source} was made for {made_for}: the"
                " table has been renamed",
                f"DROP TRIGGER {qualified(trigger.schema, str(trigger.name))},"
                " then run evtrig install again.",
            )
    for trigger in installed.others:
        # A parent may have one for each outbox: they do not disturb each other.
        if trigger.is_cascade:
            continue
        if by_digest.get(trigger.name.table, "").startswith(f"{trigger.schema}."):
            yield (
                f"trigger {trigger.name} on {trigger.source} does not"
                f" write to {outbox}.events",
                "Run evtrig uninstall with the `outbox:` it was installed with, or drop"
                " it if it is not evtrig's.",
            )


def _privilege_problems(
    connection: Connection, plan: Plan, wanted: Wanted, installed: Installed
) -> Iterable[Problem]:
    own = own_privileges(connection)
    user = str(connection.value("SELECT CURRENT_USER()"))
    needs = installer_needs(wanted, _work(plan, wanted, installed))
    missing = [need for need in needs if not need.is_met_by(own)]
    definer = wanted.definer
    if definer is not None and str(definer) == user:
        missing = [need for need in missing if need.privilege not in SET_DEFINER]
    for problem, grant in lacking(missing, user):
        is_about_definer = any(f" {name} " in grant for name in SET_DEFINER)
        or_else = "; or write `definer: current_user` in the spec."
        yield problem, grant + or_else * is_about_definer
    if any(step.kind == "trigger" for step in plan.steps):
        yield from _creator_problems(connection, own)


def lacking(missing: Iterable[Need], user: str) -> list[Problem]:
    """What to say to the account ``user@host`` that lacks these."""
    to = Account(*user.rsplit("@", 1))
    return [
        (
            f"{user} lacks the privilege {need.name} on {need.on} ({need.why})",
            need.grant(to),
        )
        for need in distinct(missing)
    ]


def _work(plan: Plan, wanted: Wanted, installed: Installed) -> Work:
    tables = installed.outbox_tables
    kinds = {step.kind for step in plan.steps}
    definer = wanted.definer
    return Work(
        creates_outbox=not installed.has_outbox or bool(OUTBOX_TABLES.keys() - tables),
        adds_relay=not installed.has_relay,
        adds_salt="salts" not in tables,
        creates_account="account" in kinds,
        creates_procedure="procedure" in kinds,
        drops_procedure=installed.emit is not None,
        sources={
            step.source
            for step in plan.steps
            if step.kind in ("trigger", "drop") and step.source
        },
        granted=missing_needs(wanted.definer_needs, installed, definer)
        if definer
        else (),
    )


def _creator_problems(connection: Connection, own: Privileges) -> Iterable[Problem]:
    log_bin, _ = _binlog(connection)
    trusted = connection.value("SELECT @@GLOBAL.log_bin_trust_function_creators")
    if log_bin and not trusted and not own.allow("SUPER"):
        yield (
            "the binary log is on, and only an account with SUPER may create"
            " triggers (1419)",
            "SET GLOBAL log_bin_trust_function_creators = 1 (on RDS and Aurora in the"
            " parameter group), or install as an account with SUPER.",
        )
