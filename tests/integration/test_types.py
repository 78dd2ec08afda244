"""Every column type: what is written is what the event says, whatever the session.

Expected values are computed here, from the manuals and from Python, and never asked
of the server.
"""

from __future__ import annotations

import base64
import datetime
import json
import os
import struct
import uuid
from collections.abc import Callable, Sequence

import pymysql
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.server import ThrowawayServer
from evtrig.triggers.install import apply, prepare
from evtrig.triggers.spec import parse

#: Pairs of a value, as SQL, and what the event has for it.
Values = Sequence[tuple[str, object]]
#: ``roundtrip({type: values})``: the same with what the events have.
Roundtrip = Callable[[dict[str, Values]], dict[str, list[tuple[str, object]]]]

BOUNDED = settings(
    max_examples=20,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=list(HealthCheck),
    # Making a failing batch smaller would take minutes, and a diff shows its value.
    phases=[Phase.reuse, Phase.generate],
)
UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
def capture(server: ThrowawayServer, schema: str, outbox: str) -> Callable[..., None]:
    """``capture(*tables)``: captures them with all their columns."""

    def capture(*tables: str) -> None:
        text = f"version: 1\nschema: {schema}\noutbox: {outbox}\n"
        text += "definer: current_user\ntables:\n"
        text += "".join(f"  {table}:\n" for table in tables)
        with Connection(Dsn.parse(server.dsn)) as connection:
            apply(connection, prepare(connection, parse(text, path="evtrig.yml")))

    return capture


@pytest.fixture
def roundtrip(
    server: ThrowawayServer, outbox: str, connect, capture: Callable[..., None]
) -> Roundtrip:
    """A row for each value, all other columns NULL, then deleted again."""

    def roundtrip(types: dict[str, Values]) -> dict[str, list[tuple[str, object]]]:
        columns = {f"c{number}": kind for number, kind in enumerate(types)}
        nullable = ", ".join(f"{name} {kind} NULL" for name, kind in columns.items())
        cursor = connect().cursor()
        # Zero dates are what old tables hold.
        cursor.execute("SET SESSION sql_mode = 'STRICT_TRANS_TABLES'")
        cursor.execute("SET SESSION time_zone = '+00:00'")
        cursor.execute(f"CREATE TABLE t (id INT PRIMARY KEY, {nullable})")
        capture("t")
        rows = [
            (name, sql)
            for name, kind in columns.items()
            for sql, _ in [*types[kind], ("NULL", None)]
        ]
        for number, (name, sql) in enumerate(rows):
            cursor.execute(f"INSERT INTO t (id, {name}) VALUES ({number}, {sql})")
        cursor.execute("DELETE FROM t ORDER BY id")
        cursor.execute(f"SELECT `before`, `after` FROM {outbox}.events ORDER BY id")
        documents = cursor.fetchall()
        afters = [json.loads(after) for before, after in documents if before is None]
        befores = [json.loads(before) for before, after in documents if after is None]
        assert befores == afters
        found: dict[str, list[tuple[str, object]]] = {kind: [] for kind in types}
        for (number, (name, sql)), after in zip(enumerate(rows), afters, strict=True):
            value = after[name]
            empty = dict.fromkeys(columns)
            assert after == {"id": number, **empty, name: value}
            found[columns[name]].append((sql, value))
        return found

    return roundtrip


def expected(types: dict[str, Values]) -> dict[str, list[tuple[str, object]]]:
    return {kind: [*values, ("NULL", None)] for kind, values in types.items()}


def same(numbers: Sequence[object]) -> Values:
    return [(str(number), number) for number in numbers]


def text(values: Sequence[str]) -> Values:
    return [(f"'{value}'", value) for value in values]


def encoded(data: bytes) -> tuple[str, str]:
    return f"x'{data.hex()}'", base64.b64encode(data).decode()


# One value at a time


def test_integers_are_exact(roundtrip: Roundtrip) -> None:
    types: dict[str, Values] = {
        "TINYINT(1)": same([0, 1, 2, -128, 127]),
        "TINYINT UNSIGNED": same([0, 255]),
        "SMALLINT": same([-32768, 32767]),
        "MEDIUMINT": same([-8388608, 8388607]),
        "INT": same([-2147483648, 2147483647]),
        "INT(10) UNSIGNED ZEROFILL": same([0, 7, 4294967295]),
        "BIGINT": same([-(2**63), -(2**53) - 1, 2**63 - 1]),
        "BIGINT UNSIGNED": same([0, 2**53 + 1, 2**64 - 1]),
        "BIGINT(20) UNSIGNED ZEROFILL": same([7, 2**64 - 1]),
        "BIT(1)": same([0, 1]),
        "BIT(7)": same([0, 34, 39, 92, 127]),
        "BIT(64)": same([0, 10, 2**63, 2**64 - 1]),
        "YEAR": same([0, 1901, 2155]),
    }
    assert roundtrip(types) == expected(types)


def test_decimals_are_text_with_every_digit(roundtrip: Roundtrip) -> None:
    nines = "9" * 35 + "." + "9" * 30
    least = "0." + "0" * 29 + "1"
    types: dict[str, Values] = {
        "DECIMAL(65,30)": [(n, n) for n in (nines, f"-{nines}", least)],
        "DECIMAL(10,2)": [("0", "0.00"), ("-0.5", "-0.50"), ("1e3", "1000.00")],
        "DECIMAL(20,0)": [("9007199254740993", "9007199254740993")],
        "DECIMAL(8,2) UNSIGNED ZEROFILL": [("0", "0.00"), ("3.5", "3.50")],
    }
    assert roundtrip(types) == expected(types)


def test_floats_keep_their_last_bit(roundtrip: Roundtrip) -> None:
    doubles = [0.0, 0.1, 1 / 3, 5e-324, 2.2250738585072014e-308, -1.5, 1e22]
    doubles += [1.7976931348623157e308, 123456789.12345679, 9007199254740993.0]
    floats = [single(x) for x in (0.1, 1 / 3, 16777217.0, 3.4028234e38, -1.5, 1e-45)]
    types: dict[str, Values] = {
        "DOUBLE": [(f"{x!r}e0" if "e" not in repr(x) else repr(x), x) for x in doubles],
        "FLOAT": [(repr(x), x) for x in floats],
        "FLOAT UNSIGNED ZEROFILL": [("0.1", single(0.1)), ("7", 7.0)],
        "DOUBLE UNSIGNED ZEROFILL": [("0.1e0", 0.1), ("7", 7.0)],
    }
    assert roundtrip(types) == expected(types)


def single(number: float) -> float:
    return struct.unpack("f", struct.pack("f", number))[0]


def test_text_arrives_in_any_character_set(roundtrip: Roundtrip) -> None:
    plain = ["", " ", "a ", "NULL", "{}", 'say "hi"', "percent % and /* */"]
    wide = ["é", "鍵", "🍣", "👩‍👩‍👧", "\u200b\ufeff\uffff", "\U0010ffff"]
    types: dict[str, Values] = {
        "VARCHAR(99)": text([*plain, *wide]),
        "LONGTEXT": text([*plain, *wide]),
        "CHAR(9)": text(["", "a", "🍣"]),
        "VARCHAR(98) CHARACTER SET utf8mb3": text(["é", "鍵"]),
        "VARCHAR(98) CHARACTER SET ascii": text(plain),
        "VARCHAR(98) CHARACTER SET latin1": text([*plain, "é", "€"]),
        "VARCHAR(98) CHARACTER SET ucs2": text([*plain, "é", "鍵"]),
        "VARCHAR(98) CHARACTER SET utf16": text([*plain, *wide]),
        "VARCHAR(98) CHARACTER SET utf32": text([*plain, *wide]),
        "VARCHAR(98) CHARACTER SET sjis": text([*plain, "表示", "ソ"]),
        "VARCHAR(98) CHARACTER SET binary": [encoded(b"a\x00\xff")],
        "TEXT CHARACTER SET utf16": text(wide),
    }
    assert roundtrip(types) == expected(types)


def test_control_characters_and_quotes_arrive(roundtrip: Roundtrip) -> None:
    control = "".join(map(chr, range(32))) + "\x7f\x80\x9f\u2028\u2029"
    values = [control, "it's", "back\\slash", "`", "\\u0041", "\r\n"]
    pairs = [(f"CONVERT(x'{v.encode().hex()}' USING utf8mb4)", v) for v in values]
    types: dict[str, Values] = {
        "VARCHAR(99)": pairs,
        "TEXT": pairs,
        "VARCHAR(98) CHARACTER SET utf16": pairs,
    }
    assert roundtrip(types) == expected(types)


def test_enums_and_sets_are_their_text(roundtrip: Roundtrip) -> None:
    types: dict[str, Values] = {
        "ENUM('','a','it''s','(','🍣')": [
            ("''", ""),
            ("'a'", "a"),
            ("3", "it's"),
            ("'('", "("),
            ("'🍣'", "🍣"),
        ],
        "SET('a','b','c d')": [("''", ""), ("'c d,a'", "a,c d"), ("7", "a,b,c d")],
        "ENUM('ä') CHARACTER SET latin1": text(["ä"]),
        "SET('ä','b') CHARACTER SET ucs2": text(["ä,b"]),
    }
    assert roundtrip(types) == expected(types)


def test_bytes_are_base64_without_line_breaks(roundtrip: Roundtrip) -> None:
    every = bytes(range(256))
    values = [encoded(data) for data in (b"", b"\0", b"'\"\\", every[:57], every[:58])]
    types: dict[str, Values] = {
        "VARBINARY(300)": [*values, encoded(every)],
        "TINYBLOB": [encoded(every[:255])],
        "BLOB": [*values, encoded(every * 40)],
        "MEDIUMBLOB": [encoded(every * 40)],
        "LONGBLOB": [encoded(every * 40)],
        # Padded with zero bytes to its length.
        "BINARY(4)": [encoded(b"abcd"), ("'a'", base64.b64encode(b"a\0\0\0").decode())],
    }
    assert roundtrip(types) == expected(types)


def test_geometries_are_base64_of_srid_and_wkb(roundtrip: Roundtrip) -> None:
    point = struct.pack("<Idd", 1, 1.5, -2.0)
    line = struct.pack("<II4d", 2, 2, 0, 0, 1, 1)
    ring = struct.pack("<III8d", 3, 1, 4, 0, 0, 1, 0, 1, 1, 0, 0)
    shapes = {
        "POINT": ("POINT(1.5 -2)", point),
        "LINESTRING": ("LINESTRING(0 0,1 1)", line),
        "POLYGON": ("POLYGON((0 0,1 0,1 1,0 0))", ring),
        "MULTIPOINT": ("MULTIPOINT(1.5 -2)", many(4, point)),
        "MULTILINESTRING": ("MULTILINESTRING((0 0,1 1))", many(5, line)),
        "MULTIPOLYGON": ("MULTIPOLYGON(((0 0,1 0,1 1,0 0)))", many(6, ring)),
        "GEOMETRYCOLLECTION": ("GEOMETRYCOLLECTION(POINT(1.5 -2))", many(7, point)),
        "GEOMETRY": ("POINT(1.5 -2)", point),
    }
    types: dict[str, Values] = {
        kind: [geometry(wkt, wkb, 0)] for kind, (wkt, wkb) in shapes.items()
    }
    # Latitude and longitude alike: MySQL reads them the other way round than MariaDB.
    square = struct.pack("<Idd", 1, 2, 2)
    types["POINT "] = [geometry("POINT(2 2)", square, 4326)]
    assert roundtrip(types) == expected(types)


def geometry(wkt: str, wkb: bytes, srid: int) -> tuple[str, str]:
    data = struct.pack("<IB", srid, 1) + wkb
    return f"ST_GeomFromText('{wkt}', {srid})", base64.b64encode(data).decode()


def many(kind: int, *parts: bytes) -> bytes:
    return struct.pack("<II", kind, len(parts)) + b"".join(b"\1" + p for p in parts)


def test_dates_and_times_are_text_as_they_are_shown(roundtrip: Roundtrip) -> None:
    stamp = "2026-11-23 05:20:49.123456"
    types: dict[str, Values] = {
        "DATE": text(["0000-00-00", "2026-00-00", "1000-01-01", "9999-12-31"]),
        "TIME": text(["-838:59:59", "00:00:00", "838:59:59"]),
        "DATETIME": text(["0000-00-00 00:00:00", "9999-12-31 23:59:59"]),
        "TIME(6)": text(["-838:59:59.000000", "00:00:00.000001"]),
        "DATETIME(6)": text(["0000-00-00 00:00:00.000000", stamp]),
    }
    for digits in range(1, 7):
        cut = stamp[: 20 + digits]
        types[f"DATETIME({digits}) "] = text([cut])
        types[f"TIME({digits}) "] = text([cut[11:]])
        types[f"TIMESTAMP({digits}) "] = text([cut])
    assert roundtrip(types) == expected(types)


def test_a_timestamp_is_text_in_utc(roundtrip: Roundtrip) -> None:
    first, last = "1970-01-01 00:00:01", "2038-01-19 03:14:07"
    types: dict[str, Values] = {
        "TIMESTAMP": text([first, "2026-03-29 01:30:00", last]),
        "TIMESTAMP(6)": text([f"{first}.000000", f"{last}.999999"]),
    }
    assert roundtrip(types) == expected(types)


def test_a_zero_timestamp_reads_as_the_epoch(roundtrip: Roundtrip) -> None:
    """UNIX_TIMESTAMP gives 0 for it; no row can hold the epoch itself."""
    types: dict[str, Values] = {
        "TIMESTAMP": [("'0000-00-00 00:00:00'", "1970-01-01 00:00:00")],
    }
    assert roundtrip(types) == expected(types)


def test_json_nests(roundtrip: Roundtrip) -> None:
    values = [
        {"b": [1, 2.5, None, True, {"ä": "🍣"}], "a": ""},
        [],
        {},
        "text",
        'say "hi"\n\t\\',
        0,
        -1.5,
        False,
        2**64 - 1,
    ]
    types: dict[str, Values] = {
        "JSON": [(literal(json.dumps(value)), value) for value in values]
        + [("'null'", None)]
    }
    assert roundtrip(types) == expected(types)


def literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def nested(depth: int) -> str:
    """An array of arrays; a scalar has depth 1."""
    return "[" * (depth - 1) + "1" + "]" * (depth - 1)


def test_json_that_is_too_deep_to_nest_is_text_on_mysql(
    server: ThrowawayServer, roundtrip: Roundtrip
) -> None:
    # MariaDB takes no text that is deeper.
    deepest = {"mysql": 99, "mariadb": 32}[server.name]
    pairs = [(literal(nested(n)), json.loads(nested(n))) for n in (1, 2, deepest)]
    if server.name == "mysql":
        pairs.append((literal(nested(100)), nested(100)))
    types: dict[str, Values] = {"JSON": pairs}
    assert roundtrip(types) == expected(types)


def test_json_with_line_breaks_nests(roundtrip: Roundtrip) -> None:
    """MariaDB keeps the white space of the text, MySQL does not."""
    written = '{\n\t"a" :\r\n [1 ,\n 2]\n}\n'
    types: dict[str, Values] = {"JSON": [(literal(written), {"a": [1, 2]})]}
    assert roundtrip(types) == expected(types)


def test_what_only_mariadb_has_is_text(
    server: ThrowawayServer, roundtrip: Roundtrip
) -> None:
    if server.name == "mysql":
        types: dict[str, Values] = {"BINARY(16)": [encoded(uuid.UUID(int=7).bytes)]}
    else:
        types = {
            "UUID": text(["00000000-0000-0000-0000-000000000007"]),
            "INET6": text(["::", "2001:db8::ff00:42:8329", "::ffff:1.2.3.4"]),
        }
        if server.server.version >= (10, 10):
            types["INET4"] = text(["0.0.0.0", "255.255.255.255"])
    assert roundtrip(types) == expected(types)


def test_a_vector_is_base64_of_its_floats(
    server: ThrowawayServer, roundtrip: Roundtrip
) -> None:
    since = {"mysql": (9, 0), "mariadb": (11, 7)}[server.name]
    types: dict[str, Values] = {}
    if server.server.version >= since:
        parse = {"mysql": "STRING_TO_VECTOR", "mariadb": "VEC_FromText"}[server.name]
        data = struct.pack("<3f", 1.0, -0.5, 0.1)
        value = base64.b64encode(data).decode()
        types = {"VECTOR(3)": [(f"{parse}('[1,-0.5,0.1]')", value)]}
    assert roundtrip({"INT": [], **types}) == expected({"INT": [], **types})


# Many values at once


@pytest.fixture
def send(
    outbox: str, connect, capture: Callable[..., None]
) -> Callable[..., list[dict[str, object]]]:
    """``send(types, rows, time_zone=…)``: the images of rows written at once."""
    connection = connect(client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS)
    cursor = connection.cursor()

    def send(
        types: Sequence[str],
        rows: Sequence[Sequence[object]],
        time_zone: str = "+00:00",
    ) -> list[list[object]]:
        if not cursor.execute("SHOW TABLES LIKE 't'"):
            columns = ", ".join(f"c{i} {kind} NULL" for i, kind in enumerate(types))
            cursor.execute(
                f"CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, {columns})"
            )
            capture("t")
        cursor.execute("SET SESSION time_zone = %s", (time_zone,))
        names = ", ".join(f"c{i}" for i in range(len(types)))
        places = ", ".join(["%s"] * len(types))
        cursor.executemany(f"INSERT INTO t ({names}) VALUES ({places})", rows)
        cursor.execute(f"SELECT `after` FROM {outbox}.events ORDER BY id")
        images = [json.loads(after) for (after,) in cursor.fetchall()]
        cursor.execute(f"DELETE FROM t; DELETE FROM {outbox}.events")
        cursor.nextset()
        return [[image[f"c{i}"] for i in range(len(types))] for image in images]

    return send


def batch(*columns: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(st.tuples(*columns), min_size=20, max_size=60)


def test_any_number_arrives(send) -> None:
    types = ("BIGINT", "BIGINT UNSIGNED", "BIT(64)", "DOUBLE", "FLOAT")
    types += ("DECIMAL(65,30)", "INT UNSIGNED ZEROFILL")
    doubles = st.floats(allow_nan=False, allow_infinity=False)
    singles = st.floats(width=32, allow_nan=False, allow_infinity=False)
    # Both servers read the largest of them as too large, after rounding it.
    singles = singles.filter(lambda x: abs(x) < 3.4e38)
    decimals = st.integers(-(10**65) + 1, 10**65 - 1).map(thirty_places)

    @BOUNDED
    @given(
        batch(
            st.integers(-(2**63), 2**63 - 1),
            st.integers(0, 2**64 - 1),
            st.integers(0, 2**64 - 1),
            doubles.map(lambda x: x + 0.0),
            singles.map(lambda x: x + 0.0),
            decimals,
            st.integers(0, 2**32 - 1),
        )
    )
    def check(rows) -> None:
        found = send(types, rows)
        assert found == [list(row) for row in rows]

    check()


def thirty_places(number: int) -> str:
    whole, places = divmod(abs(number), 10**30)
    return f"{'-' * (number < 0)}{whole}.{places:030}"


def test_any_text_arrives(send) -> None:
    types = ("LONGTEXT", "LONGTEXT CHARACTER SET utf16", "TEXT CHARACTER SET utf32")
    types += ("TEXT CHARACTER SET latin1", "BLOB", "CHAR(20) CHARACTER SET ucs2")
    anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
    western = st.text(st.characters(codec="cp1252"), max_size=80)
    narrow = st.text(
        st.characters(exclude_categories=["Cs"], max_codepoint=0xFFFF), max_size=20
    )

    @BOUNDED
    @given(
        batch(anything, anything, anything, western, st.binary(max_size=200), narrow)
    )
    def check(rows) -> None:
        wanted = [
            [
                *row[:4],
                base64.b64encode(row[4]).decode(),
                # CHAR has no trailing blanks.
                row[5].rstrip(" "),
            ]
            for row in rows
        ]
        assert send(types, rows) == wanted

    check()


def test_any_time_arrives_from_any_time_zone(send) -> None:
    types = ("TIMESTAMP", "TIMESTAMP(6)", "DATETIME(6)", "DATE", "TIME(6)")
    # MariaDB before 11.5 and MySQL end in January 2038.
    seconds = st.integers(1, 2**31 - 1)
    micros = st.integers(10**6, (2**31 - 1) * 10**6 + 999_999)
    local = st.datetimes(datetime.datetime(1000, 1, 1))
    spans = st.timedeltas(-datetime.timedelta(hours=838), datetime.timedelta(hours=838))

    @BOUNDED
    @given(
        st.integers(-12 * 60, 13 * 60),
        batch(seconds, micros, local, st.dates(datetime.date(1000, 1, 1)), spans),
    )
    def check(offset: int, rows) -> None:
        zone = datetime.timezone(datetime.timedelta(minutes=offset))
        sign, minutes = "-" if offset < 0 else "+", abs(offset)
        name = f"{sign}{minutes // 60:02}:{minutes % 60:02}"
        instants = [(moment(s * 10**6), moment(us)) for s, us, *_ in rows]
        written = [
            (shown(one, zone), shown(other, zone), d, day, span)
            for (one, other), (_, _, d, day, span) in zip(instants, rows, strict=True)
        ]
        wanted = [
            [
                shown(one, UTC)[:19],
                shown(other, UTC),
                d.isoformat(" ", "microseconds"),
                day.isoformat(),
                clock(span),
            ]
            for (one, other), (_, _, d, day, span) in zip(instants, rows, strict=True)
        ]
        assert send(types, written, name) == wanted

    check()


def moment(microseconds: int) -> datetime.datetime:
    return EPOCH + datetime.timedelta(microseconds=microseconds)


def shown(instant: datetime.datetime, zone: datetime.timezone) -> str:
    local = instant.astimezone(zone).replace(tzinfo=None)
    return local.isoformat(" ", "microseconds")


def clock(span: datetime.timedelta) -> str:
    micros = span // datetime.timedelta(microseconds=1)
    sign, micros = "-" if micros < 0 else "", abs(micros)
    minutes, rest = divmod(micros, 60 * 10**6)
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours:02}:{minutes:02}:{rest // 10**6:02}.{rest % 10**6:06}"


# Sessions with settings of their own

ALL = {
    "i": ("BIGINT UNSIGNED", "18446744073709551615"),
    "z": ("INT(8) ZEROFILL", "7"),
    "b": ("BIT(9)", "b'100100111'"),
    "y": ("YEAR", "0"),
    "n": ("DECIMAL(20,10)", "1234567890.0123456789"),
    "f": ("FLOAT", "0.1"),
    "d": ("DOUBLE", "0.1e0 + 0.2e0"),
    "c": ("CHAR(9)", "x'c3a9'"),
    "v": ("VARCHAR(99)", r"x'2227605C0A25C3A9F09F8DA3'"),
    "l": ("VARCHAR(9) CHARACTER SET latin1", "x'e9'"),
    "u": ("VARCHAR(9) CHARACTER SET utf16", "x'00e9'"),
    "e": ("ENUM('ä','b')", "1"),
    "x": ("VARBINARY(99)", "REPEAT(x'00ff27', 33)"),
    "g": ("POINT", "ST_GeomFromText('POINT(1 2)')"),
    "da": ("DATE", "'2026-11-23'"),
    "ti": ("TIME(3)", "'-838:59:59'"),
    "dt": ("DATETIME(6)", "'2026-11-23 05:20:49.123456'"),
    "ts": ("TIMESTAMP(6)", "'2026-11-23 05:20:49.123456'"),
    "j": ("JSON", "'{}'"),
}

SETTINGS = [
    "time_zone = '+05:45'",
    "time_zone = '-12:00'",
    "sql_mode = ''",
    "sql_mode = 'ANSI_QUOTES'",
    "sql_mode = 'ANSI'",
    "sql_mode = 'TRADITIONAL'",
    "sql_mode = 'NO_BACKSLASH_ESCAPES'",
    "sql_mode = 'PAD_CHAR_TO_FULL_LENGTH'",
    "sql_mode = 'PIPES_AS_CONCAT,HIGH_NOT_PRECEDENCE,NO_UNSIGNED_SUBTRACTION'",
    "sql_mode = 'IGNORE_SPACE,REAL_AS_FLOAT'",
    "sql_mode = 'NO_ZERO_DATE,NO_ZERO_IN_DATE,STRICT_ALL_TABLES'",
    "NAMES latin1",
    "NAMES sjis",
    "NAMES utf8mb3",
    "NAMES binary",
    "NAMES utf8mb4 COLLATE utf8mb4_unicode_ci",
    "character_set_results = NULL",
    "collation_connection = utf16_general_ci",
    "character_set_database = latin1",
    "lc_time_names = 'ja_JP'",
    "div_precision_increment = 0",
    "group_concat_max_len = 4",
    "sql_select_limit = 0",
    "sql_safe_updates = 1",
    "max_join_size = 1, sql_big_selects = 0",
    "sql_auto_is_null = 1",
    "auto_increment_increment = 7, auto_increment_offset = 3",
    "timestamp = 86400",
    "autocommit = 0",
    "unique_checks = 0, foreign_key_checks = 0",
    "TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
]
ONLY = {
    "mysql": [
        "default_collation_for_utf8mb4 = utf8mb4_general_ci",
        "sql_require_primary_key = 1",
    ],
    "mariadb": [
        "sql_mode = 'ORACLE'",
        "sql_mode = 'MSSQL'",
        "old_mode = ''",
        "sql_if_exists = 1",
    ],
}


def test_the_settings_of_a_session_do_not_change_its_events(
    server: ThrowawayServer, outbox: str, connect, capture: Callable[..., None]
) -> None:
    plain = connect().cursor()
    names = ", ".join(ALL)
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in ALL.items())
    values = ", ".join(value for _, value in ALL.values())
    plain.execute("SET time_zone = '+00:00'")
    for table in ("source", "t"):
        plain.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY, {columns})")
    plain.execute(f"INSERT INTO source (id, {names}) VALUES (1, {values})")
    capture("t")

    def events(setting: str | None) -> list[tuple[str, ...]]:
        session = connect().cursor()
        session.execute("SET time_zone = '+00:00'")
        if setting:
            session.execute(f"SET SESSION {setting}".replace("SESSION NAMES", "NAMES"))
        session.execute("INSERT INTO t SELECT * FROM source WHERE id = 1")
        session.execute(
            "UPDATE t SET v = x'F09F8DBA', ts = ts + INTERVAL 1 SECOND WHERE id = 1"
        )
        session.execute("UPDATE t SET i = i WHERE id = 1")
        session.execute("DELETE FROM t WHERE id = 1")
        session.connection.commit()
        plain.execute(
            "SELECT `type`, source, operation, `key`, `before`, `after`"
            f" FROM {outbox}.events ORDER BY id"
        )
        found = list(plain.fetchall())
        plain.execute(f"DELETE FROM {outbox}.events")
        return found

    wanted = events(None)
    assert [row[2] for row in wanted] == ["insert", "update", "delete"]
    settings = SETTINGS + ONLY[server.name]
    assert {s: events(s) for s in settings} == dict.fromkeys(settings, wanted)


# What the documentation says


def test_an_image_larger_than_a_packet_fails_the_write_and_says_so(
    server: ThrowawayServer, outbox: str, connect, capture: Callable[..., None]
) -> None:
    """1301: better than an event that reads back empty."""
    cursor = connect(init_command="SET sql_mode = 'STRICT_TRANS_TABLES'").cursor()
    cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, a LONGTEXT, b LONGTEXT)")
    capture("t")
    cursor.execute("SELECT @@max_allowed_packet")
    (limit,) = cursor.fetchone()
    half = f"REPEAT('x', {limit * 2 // 3})"
    with pytest.raises(pymysql.MySQLError) as caught:
        cursor.execute(f"INSERT INTO t VALUES (1, {half}, {half})")
    assert caught.value.args[0] == 1301
    assert cursor.execute("SELECT * FROM t") == 0
    assert cursor.execute(f"SELECT * FROM {outbox}.events") == 0
