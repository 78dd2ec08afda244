"""Which JSON expression belongs to which column type.

What the expressions give on a server is in tests/integration/test_types.py.
"""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtrig.database.server import Server
from evtrig.triggers.column import ColumnType, UnknownType
from evtrig.triggers.sql import Sql

MYSQL, MARIADB = Server("mysql"), Server("mariadb")

BASE64 = "REPLACE(TO_BASE64(c), CHAR(10 USING utf8mb4), '')"
UTC = "CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL UNIX_TIMESTAMP(c) SECOND AS CHAR)"
UTF8 = "CONVERT(c USING utf8mb4)"
TEXT = "CAST(c AS CHAR)"


def expression(text: str, server: Server) -> str:
    return ColumnType.parse(text).json(Sql("c"), server)


@pytest.mark.parametrize("product", [MYSQL, MARIADB], ids=str)
@pytest.mark.parametrize(
    ("types", "wanted"),
    [
        ("tinyint | tinyint(1) | smallint | mediumint | int | integer | bigint", "c"),
        ("int(11) | bigint unsigned | bigint(20) unsigned | bool | boolean", "c"),
        ("int zerofill | bigint(20) unsigned zerofill", "c + 0"),
        ("bit | bit(64) | year | year(4)", "c + 0"),
        ("decimal | decimal(65,30) | numeric(10,2) unsigned | dec | fixed", TEXT),
        ("decimal(10,2) unsigned zerofill", "CAST(c + 0 AS CHAR)"),
        ("float | float(7,3) | double | double precision | real", "CAST(c AS DOUBLE)"),
        ("float unsigned zerofill | double zerofill", "CAST(c + 0 AS DOUBLE)"),
        ("char(3) | varchar(255) | tinytext | text | mediumtext | longtext", "c"),
        ("enum('a','b') | set('a','b')", "c"),
        ("text character set utf8mb4 | text charset utf8mb3", "c"),
        ("text character set utf8 | varchar(9) character set ascii", "c"),
        ("varchar(9) character set latin1 | text charset utf16", UTF8),
        ("enum('a') character set ucs2 | CHAR(3) CHARACTER SET SJIS", UTF8),
        ("varchar(9) character set binary", BASE64),
        ("binary(16) | varbinary(9) | tinyblob | blob | mediumblob | longblob", BASE64),
        ("geometry | point | linestring | polygon | multipoint", BASE64),
        ("multilinestring | multipolygon | geometrycollection", BASE64),
        ("geomcollection | vector(3)", BASE64),
        ("date | time | time(6) | datetime | datetime(6)", TEXT),
        ("uuid | inet4 | inet6", "c"),
    ],
)
def test_each_type_has_its_expression(types: str, wanted: str, product: Server) -> None:
    found = {text: expression(text, product) for text in types.split(" | ")}
    assert found == dict.fromkeys(found, wanted)


def test_a_timestamp_is_in_utc_and_on_mariadb_also_the_zero_date() -> None:
    for text in ("timestamp", "timestamp(6)", "TIMESTAMP(3)"):
        assert expression(text, MYSQL) == UTC
        zero = "IF(c = 0, 0, UNIX_TIMESTAMP(c))"
        assert expression(text, MARIADB) == UTC.replace("UNIX_TIMESTAMP(c)", zero)


def test_json_nests_and_on_mysql_only_as_deep_as_it_can() -> None:
    assert expression("json", MARIADB) == "c"
    assert expression("json", MYSQL) == (
        "IF(JSON_DEPTH(c) <= 99, c, CAST(JSON_QUOTE(CAST(c AS CHAR)) AS JSON))"
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("  VARCHAR( 19 )  ", ColumnType("varchar")),
        ("enum('zerofill')", ColumnType("enum")),
        ("enum('a) character set latin1')", ColumnType("enum")),
        (r"enum('it''s','\'',')') zerofill", ColumnType("enum", zerofill=True)),
        ("set('(','ä') charset latin1", ColumnType("set", character_set="latin1")),
        (
            "text character set sjis collate sjis_bin",
            ColumnType("text", character_set="sjis"),
        ),
    ],
)
def test_a_type_is_read_as_show_create_table_writes_it(
    text: str, wanted: ColumnType
) -> None:
    assert ColumnType.parse(text) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("varchr(20)", "unknown column type 'varchr(20)'"),
        ("jsonb", "unknown column type 'jsonb'"),
        ("", "unknown column type ''"),
        ("(10)", "unknown column type '(10)'"),
    ],
)
def test_an_unknown_type_is_named(text: str, message: str) -> None:
    with pytest.raises(UnknownType, match=r"^unknown") as caught:
        ColumnType.parse(text)
    assert str(caught.value).startswith(message)


def test_the_nearest_type_is_offered() -> None:
    with pytest.raises(UnknownType, match="varchar"):
        ColumnType.parse("varchr(20)")


@given(st.text())
def test_any_text_is_a_type_or_unknown(text: str) -> None:
    try:
        ColumnType.parse(text)
    except UnknownType:
        return


@pytest.mark.parametrize(
    "text",
    [
        # A pattern with two readings of a doubled quote takes 2 to the power of these.
        "enum(" + "'a'" * 26,
        "enum((" + "''" * 26 + "))",
        "set(" + "'" * 4001 + ")",
        "enum('" + "\\" * 4001,
        "double" + " " * 10_000 + "x",
    ],
)
def test_an_odd_type_is_read_in_no_time(text: str) -> None:
    begun = time.perf_counter()
    with contextlib.suppress(UnknownType):
        ColumnType.parse(text)
    assert time.perf_counter() - begun < 1
