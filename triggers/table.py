"""Tables as the database has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..database.connection import Connection
from .column import JSON_CHARACTER_SETS

__all__ = ["Column", "Table", "introspect"]


@dataclass(frozen=True)
class Column:
    """A column's name and its type, as a spec writes them."""

    name: str
    #: Such as ``varchar(19) character set latin1``; utf8mb4 is not mentioned.
    type: str


@dataclass(frozen=True)
class Table:
    """A table or view of the database."""

    schema: str
    name: str
    #: ``BASE TABLE``, ``VIEW``, ``SYSTEM VERSIONED``, …
    kind: str
    #: None for a view.
    engine: str | None
    columns: tuple[Column, ...]
    #: Empty if there is none.
    primary_key: tuple[str, ...]

    @property
    def is_view(self) -> bool:
        return self.kind.endswith("VIEW")


TABLES = """\
SELECT table_name, table_type, engine
  FROM information_schema.tables
 WHERE table_schema = %s
 ORDER BY table_name
"""
COLUMNS = """\
SELECT table_name, column_name, column_type, character_set_name
  FROM information_schema.columns
 WHERE table_schema = %s
 ORDER BY table_name, ordinal_position
"""
PRIMARY_KEYS = """\
SELECT table_name, column_name
  FROM information_schema.statistics
 WHERE table_schema = %s AND index_name = 'PRIMARY'
 ORDER BY table_name, seq_in_index
"""
# MariaDB's JSON is LONGTEXT with this check; without it the text does not nest.
JSON_CHECKS = """\
SELECT table_name, check_clause
  FROM information_schema.check_constraints
 WHERE constraint_schema = %s AND check_clause LIKE 'json\\_valid(%%'
"""


def introspect(connection: Connection, schemas: Sequence[str]) -> tuple[Table, ...]:
    """Every table and view of these schemas, sorted by name.

    Four queries a schema, whatever the number of tables.
    """
    return tuple(
        table for schema in schemas for table in _introspect(connection, schema)
    )


def _introspect(connection: Connection, schema: str) -> list[Table]:
    json_columns: set[tuple[str, str]] = set()
    if connection.server.is_mariadb:
        for table, clause in connection.rows(JSON_CHECKS, (schema,)):
            quoted = clause[len("json_valid(") : -1]
            json_columns.add((table, quoted.strip("`").replace("``", "`")))
    columns: dict[str, list[Column]] = {}
    for table, column, kind, character_set in connection.rows(COLUMNS, (schema,)):
        # MySQL gives some of these as bytes.
        kind = kind.decode() if isinstance(kind, bytes) else kind
        if (table, column) in json_columns and kind == "longtext":
            kind = "json"
        elif character_set and character_set not in JSON_CHARACTER_SETS:
            kind += f" character set {character_set}"
        columns.setdefault(table, []).append(Column(column, kind))
    keys: dict[str, list[str]] = {}
    for table, column in connection.rows(PRIMARY_KEYS, (schema,)):
        keys.setdefault(table, []).append(column)
    return [
        Table(
            schema=schema,
            name=table,
            kind=kind,
            engine=engine,
            columns=tuple(columns.get(table, ())),
            primary_key=tuple(keys.get(table, ())),
        )
        for table, kind, engine in connection.rows(TABLES, (schema,))
    ]
