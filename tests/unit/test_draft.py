"""What `evtrig init` writes can be read again, and means the tables it came from."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtrig.database.server import Server
from evtrig.errors import EvtrigError
from evtrig.triggers.capture import resolve
from evtrig.triggers.draft import choose, draft
from evtrig.triggers.installed import Installed
from evtrig.triggers.plan import plan
from evtrig.triggers.script import script
from evtrig.triggers.spec import parse
from evtrig.triggers.table import Column, Table

MYSQL = Server("mysql", (9, 7, 4))

#: Names that YAML takes for something else, or that end a scalar, a comment, a quote.
ODD = (
    "no", "on", "Yes", "null", "~", "true", "12:30", "1e3", "0x1f", "2026-11-23",
    ".inf", "a: b", "a #b", "a,b", "[a]", "{a}", "- a", "?", "&a", "*a", "!a", "|",
    "%a", "@a", "`a`", "it's", 'say "a"', "back\\slash", "注文", "é", " lead", "a\tb",
    "a\nb", "=", "<<", "a:", ":a", "\x85", "\u2028", "\x7f", "{{ a }}", "{% a %}", "'",
)  # fmt: skip

# What a server stores: no U+0000, nothing beyond U+FFFF, no space at the end.
NAMES = st.one_of(
    st.sampled_from(ODD),
    st.text(
        st.characters(exclude_categories=["Cs"], max_codepoint=0xFFFF, min_codepoint=1),
        min_size=1,
        max_size=20,
    ).filter(lambda name: name[-1] not in " \t\n\v\f\r"),
)
TYPES = st.sampled_from(
    [
        "int(11)",
        "bigint unsigned",
        "decimal(10,2)",
        "varchar(19) character set latin1",
        "json",
        "datetime(6)",
        "enum('a','it''s','x: y','#',',','{}','[','(')",
        "set('注文','\"','\\\\','\n')",
        "point",
    ]
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Table, ...]:
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique_by=str.lower))
    return tuple(draw(table_called(name)) for name in names)


@st.composite
def table_called(draw: st.DrawFn, name: str) -> Table:
    columns = draw(st.lists(NAMES, min_size=1, max_size=5, unique_by=str.lower))
    return Table(
        schema="shop",
        name=name,
        kind="BASE TABLE",
        engine="InnoDB",
        columns=tuple(Column(column, draw(TYPES)) for column in columns),
        primary_key=tuple(columns[: draw(st.integers(1, len(columns)))]),
    )


def table(name: str = "orders", **facts: object) -> Table:
    whole = {
        "schema": "shop",
        "name": name,
        "kind": "BASE TABLE",
        "engine": "InnoDB",
        "columns": (Column("id", "int"), Column("note", "varchar(20)")),
        "primary_key": ("id",),
    }
    return Table(**{**whole, **facts})


def uncommented(text: str, *, key: str = "id") -> str:
    """The draft as somebody mends it who removes the comment marks below ``tables``."""
    head, tables, body = text.partition("\ntables:")
    lines = []
    for line in body.removeprefix(" {}").splitlines():
        line = re.sub(r"^  # (?=\S+:$|  )", "  ", line)
        lines.append(line.replace("key: []", f"key: [{key}]"))
    return f"{head}{tables}" + "\n".join(lines) + "\n"


@given(tables=tables(), schema=NAMES)
def test_a_draft_says_what_the_tables_are(
    tables: tuple[Table, ...], schema: str
) -> None:
    if schema.lower() == "evtrig":
        return
    spec = parse(draft(tables, schema, MYSQL), path="evtrig.yml")
    assert spec.server == "mysql"
    assert [(t.schema, t.name, t.columns, t.key) for t in spec.tables] == [
        (schema, t.name, t.columns, t.primary_key) for t in tables
    ]


@given(tables=tables())
def test_a_draft_generates_the_same_with_and_without_the_database(
    tables: tuple[Table, ...],
) -> None:
    spec = parse(draft(tables, "shop", MYSQL), path="evtrig.yml")
    captures = resolve(spec, None, MYSQL)
    assert captures == resolve(spec, tables, MYSQL)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_name_comes_back(name: str) -> None:
    odd = table(name, columns=(Column(name, "int"),), primary_key=(name,))
    (found,) = parse(draft([odd], "shop", MYSQL), path="evtrig.yml").tables
    assert (found.name, found.key) == (name, (name,))
    assert found.columns == (Column(name, "int"),)


def test_a_plain_name_is_not_quoted() -> None:
    text = draft([table()], "shop", MYSQL)
    assert '"' not in text
    assert "  orders:\n    key: [id]\n    columns:\n      id: int\n" in text


@pytest.mark.parametrize("family", ["mysql", "mariadb"])
def test_a_draft_names_its_server(family: str) -> None:
    text = draft([table()], "shop", Server(family))
    assert parse(text, path="evtrig.yml").server == family


def test_every_default_is_there_as_a_comment() -> None:
    text = draft([table()], "shop", MYSQL)
    plain = parse(text, path="evtrig.yml")
    for key in ("outbox", "definer"):
        assert f"\n# {key}: " in text
    spelled = parse(re.sub(r"(?m)^# (outbox|definer): ", r"\1: ", text), path="x.yml")
    assert (spelled.outbox, spelled.definer) == (plain.outbox, plain.definer)
    for key in ("operations", "images", "exclude"):
        line = re.search(rf"(?m)^#     {key}: (.*?)(?:  +#.*)?$", text)
        assert line
        added = text + f"    {key}: {line[1]}\n"
        assert parse(added, path="x.yml").tables == plain.tables


UNFIT = {
    "no primary key": (table(primary_key=()), "primary key"),
    "MyISAM": (table(engine="MyISAM"), "MyISAM"),
    "MEMORY": (table(engine="MEMORY"), "MEMORY"),
    "unknown type": (
        table(columns=(Column("id", "int"), Column("note", "xmltype"))),
        "xmltype",
    ),
}


@pytest.mark.parametrize(("unfit", "word"), UNFIT.values(), ids=UNFIT.keys())
def test_an_unfit_table_is_a_comment_with_the_reason(unfit: Table, word: str) -> None:
    text = draft([table("customers"), unfit], "shop", MYSQL)
    spec = parse(text, path="evtrig.yml")
    assert [t.name for t in spec.tables] == ["customers"]
    (why,) = re.findall(r"(?m)^  # (orders\b.*)\n  # orders:$", text)
    assert word in why


@pytest.mark.parametrize("engine", ["InnoDB", "MyISAM"])
def test_an_unfit_table_is_valid_without_its_comment_marks(engine: str) -> None:
    unfit = table(engine=engine, primary_key=())
    spec = parse(uncommented(draft([unfit], "shop", MYSQL)), path="evtrig.yml")
    assert [(t.name, t.key, t.columns) for t in spec.tables] == [
        ("orders", ("id",), unfit.columns)
    ]
    mended = table(primary_key=())
    assert resolve(spec, [mended], MYSQL) == resolve(spec, None, MYSQL)


def test_only_unfit_tables_make_a_spec_that_says_it_names_none() -> None:
    text = draft([table(primary_key=())], "shop", MYSQL)
    with pytest.raises(EvtrigError, match="names no table"):
        parse(text, path="evtrig.yml")


@pytest.mark.parametrize("name", ["a\nb", "a\r\nb", "a\u2028b", "a\x85b"])
def test_a_line_break_in_a_name_does_not_end_a_comment(name: str) -> None:
    unfit = table(name, engine="MyISAM")
    text = draft([table("customers"), unfit], "shop", MYSQL)
    assert [t.name for t in parse(text, path="x.yml").tables] == ["customers"]


def test_a_draft_is_generated_without_a_database() -> None:
    spec = parse(draft([table()], "shop", MYSQL), path="evtrig.yml")
    captures = resolve(spec, None, MYSQL)
    steps = plan(captures, Installed(), MYSQL, outbox=spec.outbox, definer=spec.definer)
    assert "AFTER UPDATE ON `shop`.`orders`" in script(steps, MYSQL)


def test_every_table_that_is_no_view_is_chosen() -> None:
    orders, view = table(), table("totals", kind="VIEW", engine=None)
    assert choose([orders, view], (), "shop") == [orders]


def test_named_tables_are_chosen_in_the_order_named() -> None:
    orders, people = table(), table("people")
    assert choose([orders, people], ("people", "orders"), "shop") == [people, orders]


@pytest.mark.parametrize(
    ("names", "message", "hint"),
    [
        (("order",), "no table order in shop", "Did you mean orders?"),
        (("xyz",), "no table xyz in shop", "There are orders, totals."),
        (("totals",), "is a view", "tables it selects from"),
    ],
)
def test_a_wrong_name_is_answered(
    names: tuple[str, ...], message: str, hint: str
) -> None:
    there = [table(), table("totals", kind="VIEW", engine=None)]
    with pytest.raises(EvtrigError) as caught:
        choose(there, names, "shop")
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_table_named_twice_is_chosen_once() -> None:
    assert len(choose([table()], ("orders", "orders"), "shop")) == 1


def test_an_empty_schema_is_an_error() -> None:
    with pytest.raises(EvtrigError, match="has no tables"):
        choose([], (), "shop")
