"""Tables: gone, of another kind, renamed, or swapped for another one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...errors import nearest
from ..foreign_key import Name
from ..installed import InstalledTrigger
from ..spec import Spec
from ..sql import qualified
from ..table import Table
from ..table_spec import TableSpec
from .finding import Finding, Mend, advice, edit, install, some, sql
from .inspection import Inspection

__all__ = ["blind_spots", "moved", "shadows", "unfit"]

#: The tables that online schema changes make beside the one they change: gh-ost's
#: ghost, change log and old table (with --timestamp-old-table it has the time);
#: pt-online-schema-change's new and old one, with more underscores if that name is
#: taken; spirit's checkpoint; those of Facebook's OnlineSchemaChange, and of LHM. What
#: an ALTER TABLE of the server makes itself (#sql-…) no server shows, and it keeps the
#: triggers.
SHADOW = re.compile(
    r"_(.+?)_(?:gho|ghc|new|old|old_\d{8}_\d{6}|chkpnt|(?:\d{14}_)?del)"
    r"|__osc_(?:new|chg|old|del)_(.+)"
    r"|lhm(?:n|a_[\d_]+)_(.+)"
)

PARTITIONED = """\
SELECT DISTINCT table_name
  FROM information_schema.partitions
 WHERE partition_name IS NOT NULL AND table_schema = %s
"""


def unfit(spec: TableSpec, table: Table | None, names: list[str]) -> Finding | None:
    """Why there is nothing to capture under this name; None if there may be.

    ``names`` are the other tables of its schema.
    """
    if table is None:
        near = nearest(spec.name, names)
        mend = f"write {near}" if near else "remove the table, or create it"
        return Finding(
            "table-missing",
            spec.source,
            "there is no such table that this account can see",
            "Nothing of it is captured.",
            edit(f"{spec.place}: {mend}"),
        )
    if table.is_view:
        return Finding(
            "table-unfit",
            spec.source,
            "is a view, and a view has no triggers",
            "Nothing of it is captured.",
            edit(f"{spec.place}: capture the tables it selects from instead"),
        )
    if (table.engine or "").lower() != "innodb":
        return Finding(
            "table-engine",
            spec.source,
            f"uses the engine {table.engine}, which cannot roll back",
            "Writes fail (1785), or a change that is rolled back stays and its event is"
            " gone.",
            sql(f"ALTER TABLE {qualified(spec.schema, spec.name)} ENGINE = InnoDB"),
        )
    return None


def moved(inspection: Inspection) -> Iterator[Finding]:
    """Triggers of evtrig's that are on another table than they were made for."""
    by_digest = inspection.by_digest
    captured = inspection.captured
    places: dict[tuple[str, str], list[InstalledTrigger]] = {}
    for trigger in inspection.installed.triggers:
        if trigger.is_cascade:
            continue
        made_for = by_digest.get(trigger.name.table, "")
        if made_for != trigger.source and (made_for or trigger.source in captured):
            places.setdefault((made_for, trigger.source), []).append(trigger)
    for (made_for, source), triggers in places.items():
        drops = [drop(trigger) for trigger in triggers]
        schema, _, name = made_for.partition(".")
        is_back = (schema, name) in inspection.tables
        if (
            is_back
            and triggers[0].schema == schema
            and name in originals(triggers[0].table)
        ):
            yield Finding(
                "table-swapped",
                made_for,
                f"was swapped for another table: its triggers are on {source} now",
                f"Capture of {made_for} has stopped without an error.",
                (*sql(*drops), *install(inspection.spec)),
            )
            continue
        rename: tuple[Mend, ...] = ()
        if not is_back and made_for:
            rename = edit(f"{place_of(inspection.spec, made_for)}: write {source}")
        yield Finding(
            "table-renamed",
            source,
            f"its triggers were made for {made_for or 'another table'}",
            "Every write to it may fail: the owner of the triggers has no privilege on"
            f" {source} (1142). Its events have the old name.",
            (*sql(*drops), *rename, *install(inspection.spec)),
        )
    for trigger in inspection.installed.others:
        # A parent may have one for each outbox: they do not disturb each other.
        if trigger.is_cascade or trigger.name.table not in by_digest:
            continue
        if by_digest[trigger.name.table].startswith(f"{trigger.schema}."):
            yield Finding(
                "trigger-elsewhere",
                trigger.source,
                f"trigger {trigger.name} does not write to {inspection.outbox}.events",
                "evtrig install refuses to run: its own has the same name.",
                (*sql(drop(trigger)), *install(inspection.spec)),
            )


def place_of(spec: Spec, source: str) -> str:
    return next(str(t.place) for t in spec.tables if t.source == source)


def drop(trigger: InstalledTrigger) -> str:
    return f"DROP TRIGGER {qualified(trigger.schema, str(trigger.name))}"


def originals(table: str) -> set[str]:
    """The tables that this one may be the shadow of."""
    match = SHADOW.fullmatch(table)
    name = next(filter(None, match.groups()), "") if match else ""
    underscores = len(name) - len(name.lstrip("_"))
    return {name[n:] for n in range(underscores + 1)} - {""}


def shadows(inspection: Inspection) -> Iterator[Finding]:
    """Online schema changes that are running, or have left something behind."""
    found: dict[Name, list[str]] = {}
    for schema, name in inspection.tables:
        for original in originals(name):
            if f"{schema}.{original}" in inspection.captured:
                found.setdefault((schema, original), []).append(name)
    for (schema, table), names in found.items():
        yield Finding(
            "online-schema-change",
            f"{schema}.{table}",
            f"{', '.join(names)} beside it looks like an online schema change, running"
            " or done",
            "When the tables are swapped the triggers stay with the old one, and"
            " capture stops without an error.",
            advice(
                "Give gh-ost --include-triggers --trigger-suffix, or"
                " pt-online-schema-change --preserve-triggers. When it is done, run"
                " evtrig install, and drop what it has left."
            ),
        )


def blind_spots(inspection: Inspection) -> Iterator[Finding]:
    """What removes rows without firing a trigger."""
    for schema in inspection.schemas:
        for (name,) in inspection.connection.rows(PARTITIONED, (schema,)):
            if f"{schema}.{name}" not in inspection.captured:
                continue
            yield Finding(
                "partitioned",
                f"{schema}.{name}",
                "is partitioned",
                "ALTER TABLE … DROP, TRUNCATE or EXCHANGE PARTITION changes rows"
                " without an event.",
                advice(
                    f"Run DELETE FROM {qualified(schema, name)} first, where consumers"
                    " must know."
                ),
            )
    yield Finding(
        "truncate",
        some(sorted(inspection.captured)),
        "TRUNCATE TABLE fires no trigger, on any server",
        "Rows that are removed so make no event.",
        advice("DELETE FROM the table instead; only who may DROP it can truncate it."),
    )
