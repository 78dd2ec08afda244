"""Foreign keys as the database has them, and what is beside them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ..database.connection import NO_SUCH_TABLE, Connection
from ..errors import DatabaseError
from .sql import qualified
from .trigger import TriggerName

__all__ = [
    "ForeignKey",
    "ForeignTrigger",
    "Management",
    "foreign_keys",
    "foreign_triggers",
    "management",
    "stamped_columns",
]

#: Schema and name of a table.
Name = tuple[str, str]


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key of the table ``schema.table``."""

    #: Of the constraint; only with the schema does it say which one.
    name: str
    schema: str
    table: str
    columns: tuple[str, ...]
    parent_schema: str
    parent_table: str
    #: In the order of ``columns``.
    parent_columns: tuple[str, ...]
    #: ``CASCADE``, ``SET NULL``, ``NO ACTION``, ``RESTRICT`` or ``SET DEFAULT``.
    on_delete: str
    on_update: str

    @property
    def child(self) -> Name:
        return self.schema, self.table

    @property
    def parent(self) -> Name:
        return self.parent_schema, self.parent_table

    @property
    def restricts(self) -> bool:
        """Whether a row that is referred to cannot be deleted.

        InnoDB checks NO ACTION at once, and takes SET DEFAULT for it.
        """
        return self.on_delete not in ("CASCADE", "SET NULL")

    def __str__(self) -> str:
        return f"{self.name} of {self.schema}.{self.table}"


@dataclass(frozen=True)
class ForeignTrigger:
    """A trigger that is not evtrig's."""

    name: str
    schema: str
    table: str
    #: ``insert``, ``update`` or ``delete``.
    operation: str


@dataclass(frozen=True)
class Management:
    """Who carries foreign keys out: the engine or, from MySQL 9.6 on, the server."""

    #: None where there is no choice: it is the engine.
    innodb_native_foreign_keys: bool | None = None
    #: Whether new sessions fire the triggers of child tables; None where none can.
    enable_cascade_triggers: bool | None = None

    @property
    def is_by_server(self) -> bool:
        """Measured on MySQL 9.7, where it is the default: REPLACE of a parent row
        keeps its children, and DELETE IGNORE deletes those of a row that it keeps."""
        return self.innodb_native_foreign_keys is False

    @property
    def fires_triggers(self) -> bool:
        """The switch alone does nothing while the engine does it (MySQL 9.7)."""
        return self.is_by_server and bool(self.enable_cascade_triggers)


# Joined here: MariaDB has no indexes on information_schema.
COLUMNS = """\
SELECT table_schema, constraint_name, table_name, column_name,
       referenced_table_schema, referenced_table_name, referenced_column_name
  FROM information_schema.key_column_usage
 WHERE referenced_table_name IS NOT NULL
 ORDER BY table_schema, table_name, constraint_name, ordinal_position
"""
RULES = """\
SELECT constraint_schema, constraint_name, table_name, delete_rule, update_rule
  FROM information_schema.referential_constraints
"""
STAMPED = """\
SELECT table_schema, table_name, column_name
  FROM information_schema.columns
 WHERE table_schema IN ({places}) AND extra LIKE '%%on update%%'
 ORDER BY table_schema, table_name, ordinal_position
"""
TRIGGERS = """\
SELECT trigger_name, event_object_schema, event_object_table, event_manipulation
  FROM information_schema.triggers
 WHERE event_object_schema IN ({places})
 ORDER BY event_object_schema, event_object_table, trigger_name
"""
VARIABLES = """\
SHOW GLOBAL VARIABLES
WHERE variable_name IN ('innodb_native_foreign_keys', 'enable_cascade_triggers')
"""

QUOTED = r"`(?:[^`]|``)*`"
ACTION = r"CASCADE|SET NULL|SET DEFAULT|RESTRICT|NO ACTION"
CONSTRAINT = re.compile(
    rf"""
    CONSTRAINT \ `(?P<name>(?:[^`]|``)*)` \ FOREIGN \ KEY
    \ \( {QUOTED} (?:,\ {QUOTED})* \) \ REFERENCES \ {QUOTED} (?:\.{QUOTED})?
    \ \( {QUOTED} (?:,\ {QUOTED})* \)
    (?:\ ON\ DELETE\ (?P<delete>{ACTION.replace(" ", "[ ]")}))?
    (?:\ ON\ UPDATE\ (?P<update>{ACTION.replace(" ", "[ ]")}))?
    """,
    re.VERBOSE,
)


def foreign_keys(
    connection: Connection, schemas: Collection[str]
) -> tuple[ForeignKey, ...]:
    """Every foreign key of these schemas, and of those they lead to or come from.

    Two queries, and on MariaDB another for each table in whose schema this account has
    no more than SELECT. Those of tables that it has no privilege on are missing: no
    server shows them.
    """
    rules = {
        (schema, table, name): (on_delete, on_update)
        for schema, name, table, on_delete, on_update in connection.rows(RULES)
    }
    columns: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    parents: dict[tuple[str, str, str], Name] = {}
    for schema, name, table, column, *parent, referenced in connection.rows(COLUMNS):
        columns.setdefault((schema, table, name), []).append((column, referenced))
        parents[schema, table, name] = (parent[0], parent[1])
    for schema, table in {key[:2] for key in columns.keys() - rules.keys()}:
        rules |= _rules_shown(connection, schema, table)
    found = [
        ForeignKey(
            name=name,
            schema=schema,
            table=table,
            columns=tuple(column for column, _ in pairs),
            parent_schema=parents[schema, table, name][0],
            parent_table=parents[schema, table, name][1],
            parent_columns=tuple(referenced for _, referenced in pairs),
            on_delete=rules[schema, table, name][0],
            on_update=rules[schema, table, name][1],
        )
        for (schema, table, name), pairs in columns.items()
        # Dropped between the two queries, it is of no more interest.
        if (schema, table, name) in rules
    ]
    return _connected(found, schemas)


def _rules_shown(
    connection: Connection, schema: str, table: str
) -> dict[tuple[str, str, str], tuple[str, str]]:
    """The rules that information_schema hides: MariaDB 10.11 wants a privilege other
    than SELECT on the whole schema."""
    try:
        row = connection.row(f"SHOW CREATE TABLE {qualified(schema, table)}")
    except DatabaseError as error:
        if error.number == NO_SUCH_TABLE:
            return {}
        raise
    return {
        (schema, table, match["name"].replace("``", "`")): (
            match["delete"] or "RESTRICT",
            match["update"] or "RESTRICT",
        )
        for match in CONSTRAINT.finditer(str(row[1]) if row else "")
    }


def _connected(
    keys: Sequence[ForeignKey], schemas: Collection[str]
) -> tuple[ForeignKey, ...]:
    reached: set[str] = set()
    added = set(schemas)
    while added - reached:
        reached |= added
        added = {
            schema
            for key in keys
            if key.schema in reached or key.parent_schema in reached
            for schema in (key.schema, key.parent_schema)
        }
    return tuple(key for key in keys if key.schema in reached)


def stamped_columns(
    connection: Connection, tables: Collection[Name]
) -> dict[Name, tuple[str, ...]]:
    """By table, the columns that every UPDATE sets to the time (ON UPDATE …)."""
    found: dict[Name, tuple[str, ...]] = {}
    for schema, table, column in _of_tables(connection, STAMPED, tables):
        found[schema, table] = (*found.get((schema, table), ()), column)
    return {name: columns for name, columns in found.items() if name in tables}


def foreign_triggers(
    connection: Connection, tables: Collection[Name]
) -> tuple[ForeignTrigger, ...]:
    """The triggers of these tables that are not evtrig's."""
    return tuple(
        ForeignTrigger(name, schema, table, operation.lower())
        for name, schema, table, operation in _of_tables(connection, TRIGGERS, tables)
        if (schema, table) in tables and TriggerName.parse(name) is None
    )


def management(connection: Connection) -> Management:
    """Who carries foreign keys out on this server."""
    found = {name: value == "ON" for name, value in connection.rows(VARIABLES)}
    return Management(
        found.get("innodb_native_foreign_keys"), found.get("enable_cascade_triggers")
    )


def _of_tables(
    connection: Connection, query: str, tables: Collection[Name]
) -> Sequence[tuple[str, ...]]:
    schemas = sorted({schema for schema, _ in tables})
    if not schemas:
        return ()
    places = ", ".join(["%s"] * len(schemas))
    return connection.rows(query.format(places=places), schemas)
