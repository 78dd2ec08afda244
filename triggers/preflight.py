"""What would stop an install half way, looked for before anything is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..database.connection import Connection
from ..errors import PreflightError
from .account import Account
from .capture import Capture, Problem
from .cascade import Cascade
from .emit import Emit
from .installed import Installed
from .outbox import OUTBOX_TABLES
from .plan import Plan, further_reads
from .privilege import Privileges, own_privileges
from .scratch import lacking, to_try
from .sql import account, ident, qualified
from .trigger import TriggerName

__all__ = ["preexisting_problems", "preflight"]

#: Makes the message about one privilege, of the privilege, the object and the reason.
Lack = Callable[[str, str, str], Problem]


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
        problems += _privilege_problems(
            connection,
            plan,
            captures,
            installed,
            outbox=outbox,
            definer=definer,
            emit=emit,
            cascades=cascades,
        )
        problems += lacking(connection, to_try(captures, plan), outbox=outbox)
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
        *_name_problems(captures, installed, outbox),
    ]


def _server_problems(connection: Connection) -> Iterable[Problem]:
    if connection.is_read_only:
        yield (
            f"{connection.dsn} is read-only",
            "Connect to the primary (on Aurora: the cluster endpoint).",
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
    connection: Connection,
    plan: Plan,
    captures: Sequence[Capture],
    installed: Installed,
    *,
    outbox: str,
    definer: Account | None,
    emit: Emit | None,
    cascades: Sequence[Cascade],
) -> Iterable[Problem]:
    own = own_privileges(connection)
    user = str(connection.value("SELECT CURRENT_USER()"))
    me = account(*user.rsplit("@", 1))

    def lack(privilege: str, on: str, why: str) -> Problem:
        return (
            f"{user} lacks the privilege {privilege} on {on} ({why})",
            f"GRANT {privilege} ON {on} TO {me}",
        )

    # Of the whole schema: a grant on a table that is not there yet is refused.
    everything = f"{ident(outbox)}.*"
    if not installed.has_outbox or OUTBOX_TABLES.keys() - installed.outbox_tables:
        if not own.allow("CREATE", outbox):
            yield lack("CREATE", everything, "to create the outbox")
    if not installed.has_relay:
        for privilege in ("SELECT", "INSERT"):
            if not own.allow(privilege, outbox, "event_polling_state"):
                yield lack(privilege, everything, "to add the relay")
    is_granting = any(step.kind == "grant" for step in plan.steps)
    if definer is None or is_granting:
        # An account can pass on only what it has, and a trigger do what its owner may.
        if installed.has_relay and not own.allow("INSERT", outbox, "events"):
            yield lack("INSERT", everything, "for the owner of the triggers")
        for capture in captures:
            # A part of the columns would be captured as if it were all of them.
            if not own.allow("SELECT", capture.schema, capture.table):
                on = qualified(capture.schema, capture.table)
                yield lack("SELECT", on, "to see all of its columns")
        for schema, table in further_reads(captures, connection.server, outbox, emit):
            # Of tables that are not there yet, CREATE on the schema was asked for.
            is_there = schema != outbox or table in installed.outbox_tables
            if is_there and not own.allow("SELECT", schema, table):
                yield lack(
                    "SELECT", qualified(schema, table), "to read it in a trigger"
                )
    if "salts" not in installed.outbox_tables and any(c.needs_salt for c in captures):
        for privilege in ("CREATE", "INSERT", "SELECT"):
            if installed.has_relay and not own.allow(privilege, outbox, "salts"):
                yield lack(privilege, everything, "for the salt of `hash`")
    if any(step.kind == "procedure" for step in plan.steps):
        if definer and not own.allow("EXECUTE", outbox):
            yield lack("EXECUTE", everything, "for the owner of the procedure emit")
        if not own.allow("CREATE ROUTINE", outbox):
            yield lack("CREATE ROUTINE", everything, "to create the procedure emit")
        if installed.emit and not own.allow("ALTER ROUTINE", outbox):
            yield lack("ALTER ROUTINE", everything, "to replace the procedure emit")
    if any(step.kind == "account" for step in plan.steps):
        if not own.allow("CREATE USER"):
            yield lack("CREATE USER", "*.*", f"to create {definer}")
    if is_granting:
        yield from _grant_option_problems(own, captures, outbox, lack)
        for schema, table in further_reads(captures, connection.server, outbox, emit):
            on = qualified(schema, table)
            grants = (s for s in plan.steps if s.kind == "grant" and schema != outbox)
            is_granted = any(f" {on} " in step.sql for step in grants)
            if is_granted and not own.allow("GRANT OPTION", schema, table):
                yield lack("GRANT OPTION", on, "to grant it to the definer")
    yield from _cascade_problems(own, plan, captures, cascades, is_granting, lack)
    triggers = [step for step in plan.steps if step.kind == "trigger"]
    for capture in captures:
        if own.allow("TRIGGER", capture.schema, capture.table):
            continue
        if any(step.source == capture.source for step in triggers):
            table = qualified(capture.schema, capture.table)
            yield lack("TRIGGER", table, "to create its triggers")
    if triggers:
        yield from _creator_problems(connection, own, user, definer, lack)


def _grant_option_problems(
    own: Privileges,
    captures: Sequence[Capture],
    outbox: str,
    lack: Lack,
) -> Iterable[Problem]:
    objects = [(outbox, "events", f"{ident(outbox)}.*")]
    objects += [(c.schema, c.table, qualified(c.schema, c.table)) for c in captures]
    for schema, table, on in objects:
        if not own.allow("GRANT OPTION", schema, table):
            yield lack("GRANT OPTION", on, "to grant it to the definer")


def _cascade_problems(
    own: Privileges,
    plan: Plan,
    captures: Sequence[Capture],
    cascades: Sequence[Cascade],
    is_granting: bool,
    lack: Lack,
) -> Iterable[Problem]:
    """What it takes to create the triggers of parents, or to have them created."""
    captured = {(capture.schema, capture.table) for capture in captures}
    created = {step.source for step in plan.steps if step.kind == "trigger"}
    wanted: list[tuple[str, str, str]] = []
    for cascade in cascades:
        if is_granting or cascade.definer is None:
            wanted += cascade.grants
        elif cascade.source in created:
            wanted.append(("TRIGGER", cascade.schema, cascade.table))
    if is_granting:
        tables = dict.fromkeys((schema, table) for _, schema, table in wanted)
        wanted += [("GRANT OPTION", *table) for table in tables]
    for privilege, schema, table in dict.fromkeys(wanted):
        # Of a captured table, these have been asked for already.
        is_asked = privilege in ("SELECT", "TRIGGER", "GRANT OPTION")
        if is_asked and (schema, table) in captured:
            continue
        if not own.allow(privilege, schema, table):
            yield lack(privilege, qualified(schema, table), "to record its cascades")


def _creator_problems(
    connection: Connection,
    own: Privileges,
    user: str,
    definer: Account | None,
    lack: Lack,
) -> Iterable[Problem]:
    server = connection.server
    is_super = own.allow("SUPER")
    log_bin, _ = _binlog(connection)
    trusted = connection.value("SELECT @@GLOBAL.log_bin_trust_function_creators")
    if log_bin and not trusted and not is_super:
        yield (
            "the binary log is on, and only an account with SUPER may create"
            " triggers (1419)",
            "SET GLOBAL log_bin_trust_function_creators = 1 (on RDS and Aurora in the"
            " parameter group), or install as an account with SUPER.",
        )
    if definer is None or str(definer) == user or is_super:
        return
    # MySQL 8.2 split SET_USER_ID in two; MariaDB 10.5 took SET USER out of SUPER.
    privilege = "SET USER" if server.is_mariadb else "SET_ANY_DEFINER"
    if not server.is_mariadb and server.version < (8, 2):
        privilege = "SET_USER_ID"
    if not own.allow(privilege):
        problem, grant = lack(privilege, "*.*", f"to make {definer} the owner")
        yield problem, f"{grant}; or write `definer: current_user` in the spec."
