"""What is not as it should be in a database that is captured, or cannot be captured.

Reads only, but for :func:`dry_run`, which works on scratch copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..database.connection import Connection
from ..errors import PreflightError
from .capture import Capture, notices, resolve
from .cascade import Path, paths
from .emit import Emit
from .foreign_key import Management, foreign_keys, management
from .install import cascades_of, server_of, tables_of
from .installed import inspect
from .plan import Plan, plan
from .preflight import preexisting_problems
from .scratch import dry_run
from .sight import Sight, look
from .spec import Spec
from .sql import qualified
from .step import Step
from .table import Table

__all__ = ["Finding", "check", "check_expressions"]

Severity = Literal["error", "warning", "notice"]

#: The tables that online schema changes make beside the one they change: gh-ost's
#: ghost, change log and old table, pt-online-schema-change's new and old one.
SHADOWS = ("_{}_gho", "_{}_ghc", "_{}_del", "_{}_new", "_{}_old")

PARTITIONED = """\
SELECT DISTINCT table_schema, table_name
  FROM information_schema.partitions
 WHERE partition_name IS NOT NULL AND table_schema IN ({places})
"""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or that somebody should know."""

    #: ``error``: events are lost or writes fail. ``warning``: they are, if somebody
    #: does a certain thing. ``notice``: nobody can help it.
    severity: Severity
    #: Such as ``shop.orders``.
    object: str
    #: What is so.
    problem: str
    #: What comes of it.
    consequence: str
    #: What to do, a command where one will do.
    mend: str

    @property
    def is_fault(self) -> bool:
        """Whether it is for somebody to mend, so that a cron job should fail."""
        return self.severity != "notice"


def check(connection: Connection, spec: Spec) -> tuple[Finding, ...]:
    """Compare a database with the spec, worst findings first.

    Raises UsageError for a spec that is for another kind of server.
    """
    server = server_of(connection, spec)
    tables = tables_of(connection, spec)
    sight = look(connection, spec)
    try:
        captures = resolve(spec, tables, server)
        cascades, cascade_notices = cascades_of(connection, spec, captures, server)
    except PreflightError as error:
        # Without knowing what is wanted there is nothing to compare with.
        known = tuple(unfit(spec, *problem) for problem in error.problems)
        return (*known, *blindness(sight))
    installed = inspect(connection, captures, outbox=spec.outbox, definer=spec.definer)
    wanted = plan(
        captures,
        installed,
        server,
        outbox=spec.outbox,
        definer=spec.definer,
        emit=Emit.of(spec),
        cascades=cascades,
    )
    findings = [
        Finding("error", spec.outbox, problem, "evtrig install refuses to run.", mend)
        for problem, mend in preexisting_problems(
            connection, captures, installed, spec.outbox
        )
    ]
    findings += drift(replace(wanted, steps=sight.known(wanted.steps)), spec)
    findings += blindness(sight)
    unpublished = "What it holds is not published."
    for notice in notices(spec, tables):
        mend = "Add it to `columns:`, or also to `exclude:`."
        findings.append(Finding("warning", spec.path, notice, unpublished, mend))
    for notice in wanted.notices:
        mend = "Put it back into the spec, or drop its triggers."
        findings.append(Finding("warning", spec.path, notice, "", mend))
    findings += [
        Finding("notice", spec.path, note, "", "docs/limits.md says more.")
        for note in cascade_notices
    ]
    findings += cascade_findings(connection, spec, captures)
    findings += blind_spots(connection, captures, tables)
    findings += isolation(connection)
    order = ("error", "warning", "notice")
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))


def check_expressions(
    connection: Connection, spec: Spec, rows: int
) -> tuple[Finding, ...]:
    """Try every expression of the spec on up to ``rows`` rows of each table.

    On scratch copies, which are dropped afterwards. Raises DatabaseError if this
    account may not make them.
    """
    server = server_of(connection, spec)
    captures = resolve(spec, tables_of(connection, spec), server)
    return tuple(
        Finding(
            "error",
            str(failure.place),
            f"{failure.what} fails for {failure.rows} of {failure.tried} rows on"
            f" {failure.operation}: {failure.message} ({failure.number})",
            "The application's write of such a row fails with it.",
            "Make the expression hold for every value of its columns.",
        )
        for failure in dry_run(connection, captures, outbox=spec.outbox, rows=rows)
    )


def blindness(sight: Sight) -> Iterator[Finding]:
    """What could not be looked at."""
    for need, grant in sight.missing:
        yield Finding(
            "warning",
            need.on,
            f"{sight.user} lacks the privilege {need.name} ({need.why})",
            "What it would show was not looked at.",
            grant,
        )


def unfit(spec: Spec, problem: str, mend: str) -> Finding:
    return Finding(
        "error",
        spec.path,
        problem,
        "The triggers that are there may fail, and with them every write.",
        mend,
    )


def drift(wanted: Plan, spec: Spec) -> Iterator[Finding]:
    """What `evtrig install` would do, one finding for each table."""
    steps: dict[str, list[Step]] = {}
    for step in wanted.steps:
        steps.setdefault(step.source or spec.outbox, []).append(step)
    for source, todo in steps.items():
        # A trigger that is replaced is created before the old one is dropped.
        more = f", and {len(todo) - 1} steps more" if len(todo) > 1 else ""
        yield Finding(
            "warning" if all(step.kind == "drop" for step in todo) else "error",
            source,
            f"not as the spec says: install would {todo[0].title}{more}",
            "Changes are not recorded as the spec says, or not at all.",
            "evtrig install",
        )


def cascade_findings(
    connection: Connection, spec: Spec, captures: Sequence[Capture]
) -> Iterator[Finding]:
    """Every way in which a foreign key changes a captured table without an event."""
    captured = {capture.source for capture in captures}
    schemas = sorted({capture.schema for capture in captures})
    found = paths(captured, foreign_keys(connection, schemas))
    if not found:
        return
    management_ = management(connection)
    if management_.fires_triggers:
        yield Finding(
            "notice",
            ", ".join(sorted({path.table for path in found})),
            "foreign keys change rows by themselves, and enable_cascade_triggers is ON",
            "A session can switch it off for itself; its cascades then make no events.",
            "docs/limits.md names the statements that MySQL gets wrong with it.",
        )
        return
    covered = {t.source for t in spec.tables if t.cascades == "capture"}
    for path in found:
        if path.table not in covered or not path.is_delete:
            yield cascade_finding(path, management_)


def cascade_finding(path: Path, management: Management) -> Finding:
    name = path.table.partition(".")[2]
    mend = f"Write `cascades: capture` under {name}, or delete by statements."
    if management.enable_cascade_triggers is not None:
        # It needs the server, and not the engine, to carry foreign keys out.
        mend = "SET PERSIST enable_cascade_triggers = ON, and reconnect"
        if not management.is_by_server:
            mend = f"Start the server with innodb_native_foreign_keys=OFF, {mend}"
            mend += f"; or write `cascades: capture` under {name}"
        mend += "."
    elif not path.is_delete:
        mend = "Change the rows by a statement, or do not change the referenced key."
    return Finding(
        "warning",
        path.table,
        f"changed by a foreign key: {path}",
        "Such a change fires no trigger and makes no event.",
        mend,
    )


def blind_spots(
    connection: Connection, captures: Sequence[Capture], tables: Sequence[Table]
) -> Iterator[Finding]:
    """What removes or moves rows without firing a trigger."""
    captured = {(capture.schema, capture.table) for capture in captures}
    names = {(table.schema, table.name) for table in tables}
    schemas = sorted({capture.schema for capture in captures})
    for schema, table in sorted(captured):
        for shadow in SHADOWS:
            if (schema, shadow.format(table)) in names:
                yield Finding(
                    "warning",
                    f"{schema}.{table}",
                    f"{schema}.{shadow.format(table)} looks like an online schema"
                    " change, running or done",
                    "When the tables are swapped the triggers stay with the old one,"
                    " and capture stops without an error.",
                    "Give gh-ost --include-triggers --trigger-suffix, or"
                    " pt-online-schema-change --preserve-triggers; run evtrig install"
                    " afterwards.",
                )
    query = PARTITIONED.format(places=", ".join(["%s"] * len(schemas)))
    partitioned = {tuple(row) for row in connection.rows(query, schemas)} & captured
    for schema, table in sorted(partitioned):
        yield Finding(
            "notice",
            f"{schema}.{table}",
            "is partitioned",
            "ALTER TABLE … DROP, TRUNCATE or EXCHANGE PARTITION changes rows without an"
            " event.",
            f"DELETE FROM {qualified(schema, table)} first, where consumers must know.",
        )
    yield Finding(
        "notice",
        ", ".join(f"{schema}.{table}" for schema, table in sorted(captured)),
        "TRUNCATE TABLE fires no trigger, on any server",
        "Rows that are removed so make no event.",
        "DELETE FROM the table instead; only accounts with DROP on it can truncate.",
    )


def isolation(connection: Connection) -> Iterator[Finding]:
    """MySQL 9.7; MariaDB 10.11 does not wait (docs/measurements)."""
    if connection.server.is_mariadb:
        return
    level = connection.value("SELECT @@GLOBAL.transaction_isolation")
    if level in ("READ-COMMITTED", "READ-UNCOMMITTED"):
        return
    yield Finding(
        "notice",
        str(connection.dsn),
        f"transaction_isolation is {level}",
        "A transaction that goes on after a statement has failed half way holds up all"
        " captured writes of all sessions until it ends.",
        "SET PERSIST transaction_isolation = 'READ-COMMITTED' where the applications"
        " bear it, or let them roll back when a statement fails.",
    )


def summary(findings: Iterable[Finding]) -> str:
    """``2 errors, 1 warning``, or that there are none."""
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.severity] = counts.get(finding.severity, 0) + 1
    parts = [f"{n} {name}{'s' if n != 1 else ''}" for name, n in counts.items()]
    return ", ".join(parts)
