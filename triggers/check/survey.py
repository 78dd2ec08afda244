"""Reading the spec and the database, and what is found on the way there."""

from __future__ import annotations

from dataclasses import replace

from ...database.connection import Connection
from ...database.server import Server
from ...errors import DatabaseError, PreflightError
from ..capture import Capture, resolve
from ..cascade import Cascade
from ..emit import Emit
from ..foreign_key import Name
from ..install import cascades_of, server_of, tables_of
from ..installed import Installed, InstalledTrigger, inspect
from ..plan import Plan, plan
from ..preflight import unkept_names
from ..sight import Sight, look
from ..spec import Spec
from ..table import Table
from .column import column_findings, fitting, key_findings, unique_keys
from .finding import Finding, advice, edit
from .inspection import Inspection, blind
from .table import unfit

__all__ = ["survey"]


def survey(connection: Connection, spec: Spec) -> tuple[Inspection, list[Finding]]:
    """What all looks start from, with what is wrong with the spec.

    Raises UsageError for a spec that is for another kind of server.
    """
    server = server_of(connection, spec)
    sight = look(connection, spec)
    tables = {(t.schema, t.name): t for t in tables_of(connection, spec)}
    captures, unfits, findings = _captures(spec, tables, server, sight)
    installed, is_blind = Installed(), False
    try:
        installed = inspect(
            connection, captures, outbox=spec.outbox, definer=spec.definer
        )
    except DatabaseError as error:
        findings += blind(sight, error)
        is_blind = True
    by_source: dict[str, tuple[InstalledTrigger, ...]] = {}
    for trigger in installed.triggers:
        if not trigger.is_cascade:
            on = by_source.get(trigger.source, ())
            by_source[trigger.source] = (*on, trigger)
    unique = unique_keys(connection, sorted({table.schema for table in spec.tables}))
    for table_spec in spec.tables:
        name_ = (table_spec.schema, table_spec.name)
        if table_spec.source in unfits:
            continue
        table, triggers = tables[name_], by_source.get(table_spec.source, ())
        findings += column_findings(spec, table_spec, table, triggers, server)
        findings += key_findings(
            spec, table_spec, table, triggers, unique.get(name_, ())
        )
    for problem, mend in unkept_names(connection, captures, spec.outbox):
        findings.append(
            Finding(
                "spec-unfit",
                spec.path,
                problem,
                "evtrig install refuses to run.",
                edit(f"{spec.path}: {mend}"),
            )
        )
    cascades, notes = _cascades(connection, spec, captures, server)
    findings += notes
    wanted = Plan(())
    if not is_blind:
        wanted = plan(
            captures,
            installed,
            server,
            outbox=spec.outbox,
            definer=spec.definer,
            emit=Emit.of(spec),
            cascades=cascades,
            # What cannot be captured now is no orphan for that.
            besides={table.source for table in spec.tables},
        )
    inspection = Inspection(
        connection=connection,
        spec=spec,
        server=server,
        sight=sight,
        tables=tables,
        captures=captures,
        installed=installed,
        plan=wanted,
        is_blind=is_blind,
    )
    return inspection, findings


def _captures(
    spec: Spec, tables: dict[Name, Table], server: Server, sight: Sight
) -> tuple[tuple[Capture, ...], set[str], list[Finding]]:
    """What can be captured, the tables of which nothing can be, and why."""
    by_schema: dict[str, list[str]] = {}
    for schema, name in tables:
        by_schema.setdefault(schema, []).append(name)
    captures: list[Capture] = []
    unfits: set[str] = set()
    findings: list[Finding] = []
    for table_spec in spec.tables:
        source = table_spec.source
        table = tables.get((table_spec.schema, table_spec.name))
        names = by_schema.get(table_spec.schema, [])
        if sight.hides(table_spec.schema, table_spec.name, table):
            unfits.add(source)
            continue
        finding = unfit(table_spec, table, [n for n in names if n != table_spec.name])
        if table is None or finding is not None:
            unfits.add(source)
            findings += [finding] if finding else []
            continue
        fit = fitting(table_spec, table, server)
        if not (fit.key or table.primary_key):
            continue
        try:
            captures += resolve(replace(spec, tables=(fit,)), (table,), server)
        except PreflightError as error:
            findings += [
                Finding(
                    "spec-unfit",
                    source,
                    problem,
                    "evtrig install refuses to run.",
                    edit(f"{table_spec.place}: {mend}"),
                )
                for problem, mend in error.problems
            ]
    return tuple(captures), unfits, findings


def _cascades(
    connection: Connection, spec: Spec, captures: tuple[Capture, ...], server: Server
) -> tuple[tuple[Cascade, ...], list[Finding]]:
    try:
        cascades, notes = cascades_of(connection, spec, captures, server)
    except PreflightError as error:
        refused = [
            Finding(
                "cascade-refused",
                spec.path,
                problem,
                "evtrig install refuses to run, and what the foreign keys do makes no"
                " event.",
                edit(f"{spec.path}: {mend}"),
            )
            for problem, mend in error.problems
        ]
        return (), refused
    noted = (
        Finding(
            "cascade-note", spec.path, note, "", advice("docs/limits.md says more.")
        )
        for note in notes
    )
    return cascades, list(noted)
