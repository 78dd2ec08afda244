"""What an event shows of a private column, and which redaction fits which type."""

from __future__ import annotations

import pytest

from evtrig.database.server import Server
from evtrig.errors import PreflightError, SpecError
from evtrig.triggers.capture import resolve
from evtrig.triggers.column import ColumnType
from evtrig.triggers.document import Place
from evtrig.triggers.redaction import KINDS, Redaction
from evtrig.triggers.spec import parse
from evtrig.triggers.sql import Sql
from evtrig.triggers.table import Column, Table

MYSQL, MARIADB = Server("mysql", (9, 7, 4)), Server("mariadb", (10, 11, 19))
PLACE = Place("evtrig.yml", 1, 1)


def text_of(redact: str, type_: str = "varchar(20)", *lines: str) -> str:
    body = "".join(f"    {line}\n" for line in lines)
    return (
        "version: 1\nschema: shop\ntables:\n  people:\n    key: [id]\n"
        f'    columns: {{id: int, card: "{type_}"}}\n    redact: {redact}\n{body}'
    )


def refused(text: str) -> SpecError:
    with pytest.raises(SpecError) as caught:
        resolve(parse(text, path="evtrig.yml"), None, MYSQL)
    assert caught.value.hint
    return caught.value


def json(kind: str, type_: str, length: int = 0, server: Server = MYSQL) -> Sql:
    redaction = Redaction(kind, length, place=PLACE)
    return redaction.json(ColumnType.parse(type_), Sql("NEW.`c`"), server)


# What is read


@pytest.mark.parametrize("kind", ["omit", '"null"', "last4", "hash"])
def test_a_redaction_is_a_word(kind: str) -> None:
    spec = parse(text_of(f"{{card: {kind}}}"), path="evtrig.yml")
    assert spec.tables[0].redact["card"].kind == kind.strip('"')


@pytest.mark.parametrize("length", [1, 20, 65535])
def test_truncate_says_how_many_characters(length: int) -> None:
    spec = parse(text_of(f"{{card: {{truncate: {length}}}}}"), path="evtrig.yml")
    found = spec.tables[0].redact["card"]
    assert (found.kind, found.length) == ("truncate", length)


@pytest.mark.parametrize(
    ("redact", "message", "column"),
    [
        ("{card: truncate}", "does not say how many characters to keep", 20),
        ("{card: {truncate: 0}}", "must say how many characters to keep", 20),
        ("{card: {truncate: -1}}", "must say how many characters to keep", 20),
        ("{card: {truncate: 65536}}", "must say how many characters to keep", 20),
        ("{card: {truncate: x}}", "must say how many characters to keep", 20),
        ("{card: {truncate: ٣}}", "must say how many characters to keep", 20),
        ("{card: {truncate: [1]}}", "must say how many characters to keep", 20),
        ("{card: {}}", "must say how many characters to keep", 20),
        ("{card: {trunc: 1}}", "did you mean `truncate`?", 21),
        ("{card: hsah}", "cannot be `hsah` — did you mean `hash`?", 20),
        ("{card: }", "`card` in `redact` of table people cannot be", 19),
        ("[card]", "`redact` of table people must be a mapping, not a list", 13),
        ("{card: hash, CARD: omit}", "`CARD` comes twice in `redact`", 26),
        ("{crad: hash}", "names `crad`, which is not in its `columns`", 14),
    ],
)  # fmt: skip
def test_what_is_no_redaction_is_refused_where_it_stands(
    redact: str, message: str, column: int
) -> None:
    error = refused(text_of(redact))
    assert message in error.message
    assert (error.line, error.column) == (7, column)


def test_a_column_that_is_left_out_cannot_be_redacted_too() -> None:
    error = refused(text_of("{card: hash}", "text", "exclude: [card]"))
    assert "names `card`, which `exclude` leaves out" in error.message
    assert (error.line, error.column) == (7, 14)


# What fits


@pytest.mark.parametrize(
    "type_",
    ["char(9)", "varchar(9)", "tinytext", "text", "mediumtext", "longtext",
     "varchar(9) character set latin1"],
)  # fmt: skip
@pytest.mark.parametrize("kind", KINDS)
def test_everything_fits_text(kind: str, type_: str) -> None:
    assert Redaction(kind, 5, place=PLACE).misfit(ColumnType.parse(type_)) is None


@pytest.mark.parametrize(
    "type_",
    ["int", "decimal(9,2)", "date", "timestamp", "json", "blob", "varbinary(9)",
     "bit(3)", "enum('a')", "set('a')", "uuid", "point",
     "varchar(9) character set binary"],
)  # fmt: skip
@pytest.mark.parametrize("kind", KINDS)
def test_only_text_has_a_beginning_and_an_end(kind: str, type_: str) -> None:
    misfit = Redaction(kind, 5, place=PLACE).misfit(ColumnType.parse(type_))
    name = type_.partition("(")[0].partition(" ")[0]
    if kind in ("last4", "truncate"):
        assert misfit == f"`{kind}` is for text, and the column is {name}"
    else:
        assert misfit is None


@pytest.mark.parametrize("redact", ["last4", "{truncate: 9}"])
def test_a_misfit_is_an_error_of_the_spec_where_it_stands(redact: str) -> None:
    error = refused(text_of(f"{{card: {redact}}}", "decimal(9,2)"))
    assert "`redact` of shop.people cannot be done to card" in error.message
    assert "is for text, and the column is decimal" in error.message
    assert (error.line, error.column) == (7, 14)


def test_a_misfit_that_only_the_database_shows_is_one_of_its_problems() -> None:
    columns = (Column("id", "int"), Column("card", "int"))
    table = Table("shop", "people", "BASE TABLE", "InnoDB", columns, ("id",))
    text = "version: 1\nschema: shop\ntables: {people: {redact: {card: last4}}}"
    with pytest.raises(PreflightError) as caught:
        resolve(parse(text, path="evtrig.yml"), [table], MYSQL)
    assert "`last4` is for text, and the column is int" in caught.value.message


@pytest.mark.parametrize("kind", ["omit", '"null"', "last4", "{truncate: 3}"])
def test_a_column_of_the_key_can_only_be_hashed(kind: str) -> None:
    text = text_of(f"{{card: {kind}}}").replace("key: [id]", "key: [card]")
    error = refused(text)
    assert "it is in the key, by which events are put in order" in error.message
    assert (error.line, error.column) == (7, 14)
    hashed = parse(text.replace(kind, "hash"), path="evtrig.yml")
    assert resolve(hashed, None, MYSQL)[0].needs_salt


# What it does


def test_the_sql_of_each_kind() -> None:
    assert json("null", "varchar(9)") == "NULL"
    assert json("truncate", "varchar(9)", 5) == "LEFT(NEW.`c`, 5)"
    assert json("hash", "varchar(9)") == "SHA2(CONCAT(salt, NEW.`c`), 256)"
    assert json("hash", "date") == "SHA2(CONCAT(salt, CAST(NEW.`c` AS CHAR)), 256)"
    assert json("last4", "varchar(9)") == (
        "CONCAT('****', RIGHT(NEW.`c`, IF(CHAR_LENGTH(NEW.`c`) >= 8, 4, 0)))"
    )


def test_text_of_another_character_set_is_converted_first() -> None:
    latin = "varchar(9) character set latin1"
    converted = "CONVERT(NEW.`c` USING utf8mb4)"
    assert json("truncate", latin, 5) == f"LEFT({converted}, 5)"
    assert json("hash", latin) == f"SHA2(CONCAT(salt, {converted}), 256)"
    assert json("last4", latin).startswith(f"CONCAT('****', RIGHT({converted}, ")


def test_the_hash_of_json_is_that_of_its_text() -> None:
    expected = "SHA2(CONCAT(salt, CAST(NEW.`c` AS CHAR)), 256)"
    assert json("hash", "json") == expected
    assert json("hash", "json", server=MARIADB) == expected
