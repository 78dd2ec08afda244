"""Statements of a migration: split, and refused if they could reach too far."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evtrig.errors import UsageError
from evtrig.triggers.statement import Statement, chains, refusal, split, tokens, turned


def one(text: str) -> Statement:
    (statement,) = split(text, path="m.sql")
    return statement


def why(text: str) -> str | None:
    return refusal(one(text), lambda schema: schema == "shop", {"evtrig_mark"})


def scratch(text: str) -> str:
    return turned(
        one(text).tokens, lambda s, t: ("scratch", t) if s == "shop" else None
    )


@pytest.mark.parametrize(
    ("text", "verbs"),
    [
        ("", []),
        (" ;;\n ; -- nothing\n", []),
        ("ALTER TABLE a ADD b INT", ["ALTER TABLE a ADD b INT"]),
        ("DROP TABLE a;DROP TABLE b;", ["DROP TABLE a", "DROP TABLE b"]),
        ("DROP TABLE `a;b`; DROP TABLE c", ["DROP TABLE", "DROP TABLE c"]),
        ("DROP TABLE a -- ; it's\n; DROP TABLE b", ["DROP TABLE a", "DROP TABLE b"]),
        ("DROP TABLE a # ; it's\n; DROP TABLE b", ["DROP TABLE a", "DROP TABLE b"]),
        ("DROP/* ; ' */TABLE a", ["DROP TABLE a"]),
        ("USE shop\nALTER TABLE a ADD b INT", ["USE shop", "ALTER TABLE a ADD b INT"]),
        ("USE shop;\r\nDROP TABLE a;\r\n", ["USE shop", "DROP TABLE a"]),
        ("DROP TABLE a --x", ["DROP TABLE a"]),
        ("DROP TABLE a --", ["DROP TABLE a"]),
    ],
)
def test_a_file_is_split_at_its_semicolons(text: str, verbs: list[str]) -> None:
    found = [statement.verb for statement in split(text, path="m.sql")]
    assert found == [verb.upper() for verb in verbs]


@pytest.mark.parametrize(
    "string",
    [
        "'a;b'",
        "'it''s; '",
        r"'it\'s; '",
        '"a;b"',
        '"a"";"',
        r'"\";"',
        "'\\\\'",
        "'\n;'",
    ],
)
def test_a_semicolon_in_a_string_ends_nothing(string: str) -> None:
    text = f"ALTER TABLE a COMMENT = {string};\nDROP TABLE b"
    first, second = split(text, path="m.sql")
    assert first.tokens[-1].text == string
    assert second.line == text[: text.index("DROP")].count("\n") + 1


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("DROP TABLE a;\nALTER TABLE b COMMENT 'x;\n\n", 2, "a string"),
        ('ALTER TABLE b COMMENT "x', 1, "a string"),
        ("\n\nDROP TABLE `a;", 3, "a name"),
        ("DROP TABLE a; /* x", 1, "a comment"),
        ("DROP TABLE a; /*! x", 1, "a comment"),
        ("DROP TABLE a;\nDELIMITER $$\n", 2, "DELIMITER"),
    ],
)
def test_what_is_not_closed_is_told_with_its_line(
    text: str, line: int, what: str
) -> None:
    with pytest.raises(UsageError) as caught:
        split(text, path="m.sql")
    assert caught.value.message.startswith(f"m.sql:{line}: {what}")
    assert caught.value.hint


def test_a_long_string_that_is_not_closed_takes_no_long_time() -> None:
    with pytest.raises(UsageError):
        split("ALTER TABLE a COMMENT 'x" + "''" * 200_000, path="m.sql")


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE orders DROP COLUMN note",
        "alter table shop.orders drop note",
        "ALTER ONLINE IGNORE TABLE orders ADD x DECIMAL(10,2) DEFAULT 1.5",
        "ALTER TABLE orders ADD x DOUBLE DEFAULT (.5) COMMENT 'other.t; /*! x */'",
        "CREATE UNIQUE INDEX i ON orders (a)",
        "DROP INDEX i ON `shop`.`orders`",
        "RENAME TABLE orders TO _orders_del, shop._orders_gho TO shop . orders",
        "CREATE TABLE _orders_gho LIKE orders",
        "CREATE OR REPLACE TABLE x (id INT) ENGINE=InnoDB",
        "DROP TABLE IF EXISTS x, y",
        "ALTER TABLE orders ENGINE MyISAM",
        "ALTER TABLE orders ADD engine VARCHAR(10), DROP COLUMN directory",
        "ALTER TABLE orders ADD `select` INT, ADD type INT, ADD connection TEXT",
        "ALTER TABLE orders ADD x INT /* other.t */ -- other.t\n",
        "ALTER TABLE 注文 ADD `a.b` INT",
    ],
)
def test_a_statement_about_tables_that_are_captured_is_tried(text: str) -> None:
    assert one(text).shape
    assert why(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE other.t ADD x INT",
        "ALTER TABLE SHOP.t ADD x INT",
        "ALTER TABLE `other`.`t` ADD x INT",
        "ALTER TABLE other . t ADD x INT",
        "ALTER TABLE other/**/./**/t ADD x INT",
        "ALTER TABLE other.\nt ADD x INT",
        "ALTER TABLE .t ADD x INT",
        "ALTER TABLE t RENAME TO other.t",
        "RENAME TABLE t TO other.t",
        "RENAME TABLE other.t TO t",
        "DROP TABLE t, other.t",
        "CREATE TABLE t LIKE other.t",
        "CREATE TABLE t SELECT * FROM u",
        "CREATE TABLE t AS (SELECT SLEEP(9))",
        "ALTER TABLE t ADD x INT AS ((select 1))",
        "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE other.u",
        "ALTER TABLE t UNION = (u, other.v)",
        "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES other.u (id)",
        "CREATE TABLE t (id INT) DATA DIRECTORY = '/tmp'",
        "CREATE TABLE t (id INT) INDEX DIRECTORY '/tmp'",
        "ALTER TABLE t TABLESPACE x",
        "ALTER TABLE t DISCARD TABLESPACE",
        "ALTER TABLE t IMPORT TABLESPACE",
        "ALTER TABLE t SECONDARY_LOAD",
        "CREATE TABLE t (id INT) ENGINE=FEDERATED",
        "CREATE TABLE t (id INT) ENGINE FEDERATED",
        "CREATE TABLE t (id INT) ENGINE='CONNECT'",
        "CREATE TABLE t (id INT) engine=`spider`",
        "CREATE TABLE t (id INT) CONNECTION='mysql://u:secret@h/d/t'",
        "CREATE TABLE t (id INT) CONNECTION 'x'",
        "/*! DROP TABLE other.t */",
        "ALTER TABLE t /*!50000 RENAME TO other.t */",
        "ALTER TABLE t /*M! RENAME TO other.t */",
        "ALTER TABLE t /*M!100000 RENAME TO other.t */",
        "ALTER TABLE t ADD x INT DEFAULT (@a)",
        "ALTER TABLE t ADD x INT DEFAULT (@@global.server_id)",
        "ALTER TABLE t COMMENT $$x$$",
        "DROP TABLE evtrig_mark",
        "DROP TABLE `EVTRIG_MARK`",
        # Numbers and dots: to the server these are names.
        "ALTER TABLE 1e5.t ADD x INT",
        "ALTER TABLE 1.5other.5t ADD x INT",
        "ALTER TABLE 1.other.t ADD x INT",
        "ALTER TABLE t ADD x DOUBLE DEFAULT 1.5other.t",
        "ALTER TABLE other.1 ADD x INT",
        "ALTER TABLE 'other'.t ADD x INT",
    ],
)
def test_a_statement_that_could_reach_beyond_is_refused(text: str) -> None:
    reason = one(text).shape is None or why(text)
    assert reason
    assert "secret" not in one(text).title
    assert "secret" not in str(reason)


@pytest.mark.parametrize(
    "text",
    [
        "DROP DATABASE shop",
        "DROP TEMPORARY TABLE t",
        "CREATE TEMPORARY TABLE t (id INT)",
        "ALTER DATABASE shop CHARACTER SET latin1",
        "TRUNCATE TABLE t",
        "CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW SET @a = 1",
        "SET STATEMENT lock_wait_timeout=1 FOR ALTER TABLE t ADD x INT",
        "`ALTER` TABLE t ADD x INT",
        "DROP TABLESPACE x",
        "EXPLAIN ALTER TABLE t ADD x INT",
        "RENAME USER a TO b",
        "INSERT INTO t VALUES (1)",
        "ALTER TABLEs t ADD x INT",
    ],
)
def test_only_statements_that_change_the_shape_of_tables_are_tried(text: str) -> None:
    assert one(text).shape is None


def test_names_of_a_schema_are_turned_and_strings_are_not() -> None:
    assert scratch(
        "ALTER TABLE shop.a ADD CHECK (`shop` . `a`.x > 'shop.a'), RENAME TO shop.b"
    ) == (
        "ALTER TABLE `scratch`.`a` ADD CHECK (`scratch` . `a`.x > 'shop.a'),"
        " RENAME TO `scratch`.`b`"
    )


def test_functions_of_a_schema_can_be_left_out() -> None:
    found = tuple(tokens("IF shop.f(NEW.a, g(1)) > shop.h() THEN", path="x"))
    assert (
        turned(found, lambda s, t: None, without_functions=True)
        == "IF ELT(0, '', NEW.a, g(1)) > ELT(0, '') THEN"
    )


def test_executable_comments_of_the_server_s_own_text_count() -> None:
    text = "CREATE TABLE `t` (`a` int /*!80023 INVISIBLE */) /*!50100 PARTITION BY x */"
    found = tuple(tokens(text, path="x", is_opened=True))
    assert (
        turned(found, lambda s, t: None)
        == "CREATE TABLE `t` (`a` int INVISIBLE ) PARTITION BY x"
    )


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        ("ALTER TABLE t RENAME COLUMN a TO b", True),
        ("ALTER TABLE t CHANGE a b INT", True),
        ("ALTER TABLE t CHANGE COLUMN `A` `b` INT", True),
        ("ALTER TABLE t DROP a, ADD b INT", False),
        ("ALTER TABLE t RENAME COLUMN b TO a", False),
        ("ALTER TABLE t DROP a", False),
    ],
)
def test_a_column_that_is_renamed_is_known(text: str, is_so: bool) -> None:
    assert one(text).renames("a", "b") is is_so


def test_a_title_is_one_line_without_the_contents_of_strings() -> None:
    title = one("ALTER TABLE t\n  COMMENT\t'hunter2', ALGORITHM=INPLACE").title
    assert title == "`ALTER TABLE t COMMENT '…', ALGORITHM=INPLACE`"


PIECES = st.sampled_from(
    [
        *("other", "`other`", "shop", "t", "`a``b`", "1", "1e5", "5t", "1.5", "$", "é"),
        *(".", ".", ".", " ", "\n", "/**/", "/* . */", "-- .\n", "# x\n", "--", "#"),
        *("'other.t'", '"other.t"', "'it''s'", "\\", ",", "(", ")", "/*!", "*/", "@"),
    ]
)


@given(st.lists(PIECES, max_size=12).map("".join))
@example("1.5other.5t")
@example("other.5")
@example("--other.t")
def test_no_name_of_another_schema_is_let_through(text: str) -> None:
    """Looked for in another way: what the server would see without gaps."""
    try:
        (statement,) = split(f"ALTER TABLE {text}", path="m.sql") or [None]
    except UsageError:
        return
    if refusal(statement, lambda schema: schema == "shop", set()) is not None:
        return
    sent = turned(
        statement.tokens, lambda s, t: ("scratch", t) if s == "shop" else None
    )
    assert "/*" not in re.sub(r"'[^']*'|\"[^\"]*\"|`[^`]*`", "''", sent)
    bare = re.sub(r"\s+", "", re.sub(r"'(?:[^']|'')*'|\"[^\"]*\"", "''", sent))
    assert not re.search(
        r"(?:other|`other`|[a-z`é]\.|5t)\.", bare.replace("`scratch`.", "")
    )
    assert not re.search(r"other`?\.", bare)
    assert all(
        statement.tokens[chain[0]].name == "shop" for chain in chains(statement.tokens)
    )
