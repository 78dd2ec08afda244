"""The outbox's own tables: whether somebody has altered them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ...database.server import Server
from ...errors import DatabaseError
from ..outbox import OUTBOX_TABLES
from ..render import render_dead_letters, render_events, render_polling_state
from ..sql import ident, qualified
from .finding import Finding, advice, edit, install, sql
from .inspection import Inspection, blind

__all__ = ["altered"]

TABLES = """\
SELECT table_name, engine, auto_increment
  FROM information_schema.tables
 WHERE table_schema = %s
"""
COLUMNS = """\
SELECT table_name, column_name, column_type, is_nullable, character_set_name,
       column_default IS NOT NULL OR extra LIKE '%%auto_increment%%'
           OR extra LIKE '%%GENERATED%%'
  FROM information_schema.columns
 WHERE table_schema = %s
"""
INDEXES = """\
SELECT DISTINCT table_name, index_name
  FROM information_schema.statistics
 WHERE table_schema = %s AND index_name <> 'PRIMARY'
"""
TRIGGERS = """\
SELECT trigger_name, event_object_table
  FROM information_schema.triggers
 WHERE event_object_schema = %s
"""

#: A column in the templates, with all that comes after its name.
COLUMN = re.compile(r"^ +`(?P<name>\w+)` +(?P<rest>[A-Z].*?),?$", re.MULTILINE)
TYPE = re.compile(r"(?P<name>[a-z]+)(?:\((?P<length>\d+)\))?(?P<unsigned> unsigned)?")
#: What CREATE TABLE takes, and the servers turn into something else.
SYNONYMS = {"boolean": "tinyint(1)"}
#: Largest values of an unsigned integer, by type; signed ones go half as far.
LARGEST = {
    "tinyint": 2**8,
    "smallint": 2**16,
    "mediumint": 2**24,
    "int": 2**32,
    "bigint": 2**64,
}
#: How much of the ids may be used.
ENOUGH = 0.75


@dataclass(frozen=True)
class Definition:
    """A column as evtrig creates it."""

    #: As CREATE TABLE takes it, without the name.
    sql: str
    #: In lower case, as information_schema has it.
    type: str
    is_nullable: bool


def definitions(outbox: str, server: Server) -> Mapping[str, Mapping[str, Definition]]:
    """The columns of each table of the outbox."""
    creates = {
        "events": render_events(outbox, server),
        "event_polling_state": render_polling_state(outbox, server),
        "dead_letters": render_dead_letters(outbox, server),
    }
    found: dict[str, dict[str, Definition]] = {}
    for table, create in creates.items():
        for match in COLUMN.finditer(create):
            rest = " ".join(match["rest"].split())
            kind = re.split(r" (?:NOT )?NULL\b", rest)[0]
            kind = SYNONYMS.get(kind.lower(), kind.lower())
            found.setdefault(table, {})[match["name"]] = Definition(
                rest, kind, "NOT NULL" not in rest
            )
    return found


def altered(inspection: Inspection) -> Iterator[Finding]:
    """What differs from the tables that evtrig creates."""
    connection, outbox = inspection.connection, inspection.outbox
    if not connection.server.is_mariadb:
        # Otherwise the next id is up to a day old.
        connection.execute("SET SESSION information_schema_stats_expiry = 0")
    known = set(OUTBOX_TABLES)
    engines = {}
    next_id = None
    for table, engine, auto_increment in connection.rows(TABLES, (outbox,)):
        if table in known:
            engines[table] = str(engine)
        if table == "events":
            next_id = auto_increment
    for table, engine in sorted(engines.items()):
        if engine.lower() != "innodb":
            yield Finding(
                "outbox-engine",
                f"{outbox}.{table}",
                f"uses the engine {engine}, which cannot roll back",
                "The event of a change that is rolled back stays, or writes fail"
                " (1785).",
                sql(f"ALTER TABLE {qualified(outbox, table)} ENGINE = InnoDB"),
            )
    columns: dict[str, dict[str, tuple[str, bool, str | None, bool]]] = {}
    for table, column, kind, nullable, character_set, has_default in connection.rows(
        COLUMNS, (outbox,)
    ):
        kind = kind.decode() if isinstance(kind, bytes) else kind
        columns.setdefault(table, {})[column] = (
            kind,
            nullable == "YES",
            character_set,
            bool(has_default),
        )
    for table, wanted in definitions(outbox, inspection.server).items():
        is_shown = inspection.sight.shows_columns(table)
        if table in columns and table in engines and is_shown:
            yield from columns_of(inspection, table, wanted, columns[table])
    yield from additions(inspection)
    yield from ids(inspection, columns.get("events", {}), next_id)


def columns_of(
    inspection: Inspection,
    table: str,
    wanted: Mapping[str, Definition],
    actual: Mapping[str, tuple[str, bool, str | None, bool]],
) -> Iterator[Finding]:
    outbox = inspection.outbox
    at, name = qualified(outbox, table), f"{outbox}.{table}"
    missing = [column for column in wanted if column not in actual]
    if len(missing) > len(wanted) / 2:
        yield Finding(
            "outbox-foreign",
            name,
            f"is not evtrig's, it has no column {', '.join(missing)}",
            "Every write to a captured table would fail, and evtrig install refuses to"
            " run.",
            (
                *edit(f"{inspection.spec.path}: choose another schema with `outbox:`"),
                *install(inspection.spec),
            ),
        )
        return
    changes = [f"ADD COLUMN {ident(c)} {wanted[c].sql}" for c in missing]
    problems = [f"has no column {column}" for column in missing]
    other_text = []
    for column, definition in wanted.items():
        if column not in actual:
            continue
        kind, is_nullable, character_set, _ = actual[column]
        is_narrowed = not holds(kind, definition.type)
        if is_narrowed or (definition.is_nullable and not is_nullable):
            changes.append(f"MODIFY COLUMN {ident(column)} {definition.sql}")
            null = "" if is_nullable else " NOT NULL"
            problems.append(f"{column} is {kind}{null} instead of {definition.type}")
        if character_set not in (None, "utf8mb4"):
            other_text.append(f"{column} is {character_set}")
    for column, (kind, is_nullable, _, has_default) in actual.items():
        if column not in wanted and not is_nullable and not has_default:
            changes.append(f"MODIFY COLUMN {ident(column)} {kind} NULL")
            problems.append(f"{column}, which nobody fills in, has no default")
    if problems:
        yield Finding(
            "outbox-column",
            name,
            "; ".join(problems),
            "Writes that do not fit fail, and the application's change with them.",
            sql(f"ALTER TABLE {at} {', '.join(changes)}"),
        )
    if other_text:
        yield Finding(
            "outbox-character-set",
            name,
            f"is not utf8mb4: {', '.join(other_text)}",
            "A write with a character that is not in it fails (1366).",
            sql(
                f"ALTER TABLE {at} CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
            ),
        )


def holds(actual: str, wanted: str) -> bool:
    """Whether a column of one type holds all that one of another does."""
    one, other = TYPE.match(actual), TYPE.match(wanted)
    if not one or not other or one["name"] != other["name"]:
        return False
    if one["name"] in LARGEST:
        # The number in bigint(20) is no length; MySQL does not have it any more.
        return one["unsigned"] == other["unsigned"]
    return int(one["length"] or 0) >= int(other["length"] or 0)


def additions(inspection: Inspection) -> Iterator[Finding]:
    connection, outbox = inspection.connection, inspection.outbox
    for table, index in connection.rows(INDEXES, (outbox,)):
        if table == "events":
            yield Finding(
                "outbox-index",
                f"{outbox}.events",
                f"has a secondary index, {index}",
                "It slows every captured write, and the relay's reads and deletes.",
                sql(f"DROP INDEX {ident(index)} ON {inspection.events}"),
            )
    for trigger, table in connection.rows(TRIGGERS, (outbox,)):
        if table in OUTBOX_TABLES:
            yield Finding(
                "outbox-trigger",
                f"{outbox}.{table}",
                f"has a trigger, {trigger}",
                "If it fails, so does every captured write; it may change events.",
                sql(f"DROP TRIGGER {qualified(outbox, trigger)}"),
            )


def ids(
    inspection: Inspection,
    columns: Mapping[str, tuple[str, bool, str | None, bool]],
    next_id: int | None,
) -> Iterator[Finding]:
    match = TYPE.match(columns["id"][0]) if "id" in columns else None
    if not match or match["name"] not in LARGEST:
        return
    largest = LARGEST[match["name"]] // (1 if match["unsigned"] else 2)
    try:
        last = inspection.connection.value(f"SELECT MAX(`id`) FROM {inspection.events}")
    except DatabaseError as error:
        yield from blind(inspection.sight, error)
        last = None
    used = max(int(next_id or 0), int(last or 0))
    if used < ENOUGH * largest:
        return
    yield Finding(
        "outbox-id",
        f"{inspection.outbox}.events",
        f"the next id is {used}, and the last that there can be is {largest - 1}",
        "After that every write fails (1467 or 1062).",
        (
            *advice(
                "Let the relay empty the outbox; the sequence starts again, and"
                " consumers must forget theirs."
            ),
            *sql(f"ALTER TABLE {inspection.events} AUTO_INCREMENT = 1"),
        ),
    )
