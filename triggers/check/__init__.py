"""What is not as it should be in a database that is captured, or cannot be captured.

Reads only, but for :func:`check_expressions`, which works on scratch copies. A module
for each thing that is looked at; docs/check.md lists what they find. The number of
queries does not depend on the number of tables.
"""

from __future__ import annotations

from functools import partial

from ...database.connection import Connection
from ..capture import resolve
from ..install import server_of, tables_of
from ..scratch import dry_run
from ..spec import Spec
from .access import writers
from .account import definers
from .cascade import cascade_finding, cascade_findings
from .column import EXPLAINING
from .drift import drift
from .finding import (
    SEVERITIES,
    Finding,
    Mend,
    Severity,
    check_patterns,
    edit,
    ignored,
    summary,
)
from .inspection import attempt, blindness
from .other_trigger import other_triggers
from .outbox import altered
from .server import settings
from .survey import survey
from .table import blind_spots, moved, shadows
from .waiting import dead_letters, payloads, publishing, unbounded

__all__ = [
    "MAX_AGE",
    "SEVERITIES",
    "Finding",
    "Mend",
    "Severity",
    "cascade_finding",
    "check",
    "check_expressions",
    "check_patterns",
    "ignored",
    "summary",
]

#: Seconds after which an event that waits is too old.
MAX_AGE = 300


def check(
    connection: Connection, spec: Spec, *, max_age: int = MAX_AGE
) -> tuple[Finding, ...]:
    """Compare a database with the spec, worst findings first.

    An event that waits for more than ``max_age`` seconds is one. What this account may
    not see is said, and is no error. Raises UsageError for a spec that is for another
    kind of server.
    """
    inspection, findings = survey(connection, spec)
    explained = frozenset(f.object for f in findings if f.code in EXPLAINING)
    findings += drift(inspection, explained)
    findings += moved(inspection)
    for look in (
        definers,
        writers,
        cascade_findings,
        other_triggers,
        blind_spots,
        shadows,
        altered,
        settings,
        payloads,
        unbounded,
        partial(publishing, max_age=max_age),
        dead_letters,
    ):
        findings += attempt(inspection, look)
    findings += blindness(inspection.sight)
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
            "expression-fails",
            str(failure.place),
            f"{failure.what} fails for {failure.rows} of {failure.tried} rows on"
            f" {failure.operation}: {failure.message} ({failure.number})",
            "The application's write of such a row fails with it.",
            edit(
                f"{failure.place}: make the expression hold for every value of its"
                " columns"
            ),
        )
        for failure in dry_run(connection, captures, outbox=spec.outbox, rows=rows)
    )
