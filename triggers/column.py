"""One column type, one JSON expression.

Left to itself JSON_OBJECT rounds decimals, breaks on binary values, and on some
types makes the application's own write fail. The expressions below were measured
on MySQL 9.7 and MariaDB 10.11, type by type; docs/types.md shows what each gives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..database.server import Server
from ..errors import nearest
from .sql import Sql

__all__ = ["ColumnType", "UnknownType"]

INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "integer", "bigint"})
NUMBERS_AS_BYTES = frozenset({"bit", "year"})
DECIMALS = frozenset({"decimal", "numeric", "dec", "fixed"})
FLOATS = frozenset({"float", "double", "real", "double precision"})
TEXTS = frozenset(
    {"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"}
)
BYTES = frozenset(
    {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector"}
)
GEOMETRIES = frozenset(
    {"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring"}
    | {"multipolygon", "geometrycollection", "geomcollection"}
)
TIMES = frozenset({"date", "time", "datetime"})
#: MariaDB's own, text to JSON_OBJECT.
ADDRESSES = frozenset({"uuid", "inet4", "inet6"})
BOOLEANS = frozenset({"bool", "boolean"})

KNOWN = (
    INTEGERS | NUMBERS_AS_BYTES | DECIMALS | FLOATS | TEXTS | BYTES | GEOMETRIES
    | TIMES | ADDRESSES | BOOLEANS | {"timestamp", "json"}
)  # fmt: skip

#: Character sets that JSON functions take as they are.
JSON_CHARACTER_SETS = frozenset({"utf8mb4", "utf8mb3", "utf8", "ascii"})

#: The deepest JSON document that MySQL can nest in another one (its limit is 100).
DEEPEST = 99

TYPE = re.compile(
    r"""
    (?P<name> double\ precision | [a-z0-9]+ ) \s*
    (?P<arguments> \( (?: '(?:[^'\\]|\\.)*' | [^()'] )* \) )?
    (?P<attributes> .* )
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
CHARACTER_SET = re.compile(r"\b(?:character set|charset)\s+([a-z0-9_]+)", re.IGNORECASE)


class UnknownType(ValueError):
    """A column type that has no expression; ``str()`` says which."""


@dataclass(frozen=True)
class ColumnType:
    """What decides how a column's value becomes JSON."""

    #: In lower case, without length: ``bigint``, ``varchar``.
    name: str
    zerofill: bool = False
    #: None for utf8mb4, utf8mb3 and ascii, which need no conversion.
    character_set: str | None = None

    @classmethod
    def parse(cls, text: str) -> ColumnType:
        """Read a type as CREATE TABLE and information_schema write it.

        ``varchar(19) character set latin1``, ``bigint unsigned``, ``enum('a','b')``.
        Raises UnknownType.
        """
        match = TYPE.fullmatch(text.strip())
        name = match["name"].lower() if match else text
        if not match or name not in KNOWN:
            near = nearest(name, sorted(KNOWN))
            also = f", did you mean {near}?" if near else ""
            raise UnknownType(f"unknown column type {text!r}{also}")
        attributes = match["attributes"].lower()
        found = CHARACTER_SET.search(attributes)
        character_set = found[1] if found else None
        if character_set in JSON_CHARACTER_SETS:
            character_set = None
        return cls(name, "zerofill" in attributes.split(), character_set)

    def json(self, value: Sql, server: Server) -> Sql:
        """The expression whose result JSON_OBJECT writes faithfully.

        ``value`` is a column reference such as ``NEW.`price```.
        """
        name = self.name
        if name in INTEGERS | BOOLEANS:
            return self._number(value)
        if name in NUMBERS_AS_BYTES:
            return Sql(f"{value} + 0")
        if name in DECIMALS:
            # As text: most JSON readers would make a binary float of it.
            return Sql(f"CAST({self._number(value)} AS CHAR)")
        if name in FLOATS:
            # Its exact value in double precision: MariaDB prints 6 digits of a FLOAT.
            return Sql(f"CAST({self._number(value)} AS DOUBLE)")
        if name in TEXTS:
            if self.character_set == "binary":
                return base64(value)
            if self.character_set:
                return Sql(f"CONVERT({value} USING utf8mb4)")
            return value
        if name in BYTES | GEOMETRIES:
            return base64(value)
        if name in TIMES:
            return Sql(f"CAST({value} AS CHAR)")
        if name == "timestamp":
            # In UTC whatever the session's time zone is. CONVERT_TZ would make the
            # two hours of a clock change one.
            seconds = f"UNIX_TIMESTAMP({value})"
            if server.is_mariadb:
                # In a trigger it is NULL for the zero date, elsewhere 0 (10.11).
                seconds = f"IF({value} = 0, 0, {seconds})"
            return Sql(
                "CAST(TIMESTAMP'1970-01-01 00:00:00'"
                f" + INTERVAL {seconds} SECOND AS CHAR)"
            )
        if name == "json" and not server.is_mariadb:
            # MySQL refuses a document nested deeper than 100, and with it the
            # application's write; a deeper one becomes a string.
            return Sql(
                f"IF(JSON_DEPTH({value}) <= {DEEPEST}, {value},"
                f" CAST(JSON_QUOTE(CAST({value} AS CHAR)) AS JSON))"
            )
        return value

    def _number(self, value: Sql) -> Sql:
        # MariaDB writes the zeros, which is not JSON.
        return Sql(f"{value} + 0") if self.zerofill else value


def base64(value: Sql) -> Sql:
    """RFC 4648 without the line breaks that TO_BASE64 adds after 76 characters."""
    return Sql(f"REPLACE(TO_BASE64({value}), CHAR(10 USING utf8mb4), '')")
