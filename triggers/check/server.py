"""Settings of the server that bear on capture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..sight import needs_transaction
from .finding import Finding, advice, sql
from .inspection import Inspection, attempt

__all__ = ["settings"]

VARIABLES = """\
SHOW GLOBAL VARIABLES
WHERE variable_name IN (
    'auto_increment_increment', 'binlog_format', 'innodb_read_only', 'log_bin',
    'performance_schema', 'read_only', 'transaction_isolation'
)
"""
INSTRUMENT = """\
SELECT enabled = 'YES' AND timed = 'YES'
  FROM performance_schema.setup_instruments
 WHERE name = 'transaction'
"""
CONSUMERS = """\
SELECT name
  FROM performance_schema.setup_consumers
 WHERE enabled = 'NO'
   AND name IN (
       'events_transactions_current', 'global_instrumentation', 'thread_instrumentation'
   )
 ORDER BY name
"""


def settings(inspection: Inspection) -> Iterator[Finding]:
    at = str(inspection.connection.dsn)
    rows = inspection.connection.rows(VARIABLES)
    found: dict[str, str] = dict(rows)
    if any(found.get(name) == "ON" for name in ("read_only", "innodb_read_only")):
        yield Finding(
            "read-only",
            at,
            "is read-only",
            "evtrig install and the relay refuse to run.",
            advice(
                "Connect to the primary (on Aurora: the cluster endpoint). Where this"
                " is the primary: SET GLOBAL read_only = OFF."
            ),
        )
    elif inspection.connection.is_replica:
        yield Finding(
            "replica",
            at,
            "is a replica",
            "What its source sends fires no trigger; evtrig install refuses to run.",
            advice(
                "Connect to the source; triggers and events come here by replication."
            ),
        )
    if found.get("log_bin") == "ON" and found.get("binlog_format") == "STATEMENT":
        yield Finding(
            "binlog-statement",
            at,
            "binlog_format is STATEMENT",
            "Replicas give events other ids, and evtrig install refuses to run.",
            (
                *sql("SET GLOBAL binlog_format = 'ROW'"),
                *advice("Reconnect the applications."),
            ),
        )
    if found.get("auto_increment_increment", "1") != "1":
        yield Finding(
            "auto-increment-increment",
            at,
            f"auto_increment_increment is {found['auto_increment_increment']}",
            "Ids of events have gaps. If more than one server is written to, they are"
            " not in the order of the commits, nor are the changes of one row.",
            (
                *sql("SET GLOBAL auto_increment_increment = 1"),
                *advice("Let only one server be written to."),
            ),
        )
    if needs_transaction(inspection.spec):
        yield from transaction_ids(inspection, at, found)
    # Measured on MySQL 9.7; MariaDB 10.11 does not wait (docs/limits.md).
    level = found.get("transaction_isolation", "")
    if not inspection.server.is_mariadb and level not in (
        "READ-COMMITTED",
        "READ-UNCOMMITTED",
    ):
        yield Finding(
            "isolation",
            at,
            f"transaction_isolation is {level}",
            "A transaction that goes on after a statement has failed half way holds up"
            " all captured writes of all sessions until it ends.",
            (
                *sql("SET PERSIST transaction_isolation = 'READ-COMMITTED'"),
                *advice(
                    "Only where the applications bear it; or let them roll back when a"
                    " statement fails."
                ),
            ),
        )


def transaction_ids(
    inspection: Inspection, at: str, found: Mapping[str, str]
) -> Iterator[Finding]:
    """What keeps the server from telling transactions apart."""
    is_mariadb = inspection.server.is_mariadb
    switch = "log_bin" if is_mariadb else "performance_schema"
    if found.get(switch) != "ON":
        yield Finding(
            "transaction-ids",
            at,
            f"{switch} is OFF, and the spec asks for the ids of transactions",
            "They are NULL in the events.",
            advice(f"Write {switch} = ON into its configuration, and restart it."),
        )
    elif not is_mariadb:
        yield from attempt(inspection, instruments)


def instruments(inspection: Inspection) -> Iterator[Finding]:
    """Measured on MySQL 9.7: without TIMED the start is NULL, and so is the id."""
    off = [
        f"UPDATE performance_schema.setup_consumers SET enabled = 'YES' WHERE name ="
        f" '{name}'"
        for (name,) in inspection.connection.rows(CONSUMERS)
    ]
    if not inspection.connection.value(INSTRUMENT):
        off.append(
            "UPDATE performance_schema.setup_instruments SET enabled = 'YES',"
            " timed = 'YES' WHERE name = 'transaction'"
        )
    if off:
        yield Finding(
            "transaction-ids",
            str(inspection.connection.dsn),
            "performance_schema does not watch transactions, and the spec asks for"
            " their ids",
            "They are NULL in the events.",
            sql(*off),
        )
