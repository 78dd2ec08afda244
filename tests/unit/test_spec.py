"""What a spec may say, and what its reader answers to everything else."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evtrig.errors import SpecError, UsageError
from evtrig.triggers import document
from evtrig.triggers.account import Account
from evtrig.triggers.document import Place
from evtrig.triggers.spec import SERVERS, Spec, load, parse
from evtrig.triggers.table import Column
from evtrig.triggers.table_spec import IMAGES, TableSpec
from evtrig.triggers.trigger import OPERATIONS

WHOLE = """\
version: 1
schema: shop                       # where the tables are
outbox: outbox
definer: app@10.0.%
server: mariadb
tables:
  orders:
    key: [id]
    columns:
      id: bigint unsigned
      status: enum('new','paid','shipped')
      note: varchar(255)
    operations: [delete, insert]
    images: after
    exclude: [note]
  customers:
    schema: crm
"""


def spec_of(*lines: str) -> Spec:
    """A spec with one table, `orders`, that has these lines."""
    return parse(text_of(*lines), path="evtrig.yml")


def text_of(*lines: str) -> str:
    body = "".join(f"    {line}\n" for line in lines)
    return f"version: 1\nschema: shop\ntables:\n  orders:\n{body}"


def refused(text: str) -> SpecError:
    with pytest.raises(SpecError) as caught:
        parse(text, path="evtrig.yml")
    assert caught.value.message.startswith("evtrig.yml")
    assert "\n" not in caught.value.message
    assert caught.value.hint
    return caught.value


# What a spec says


def test_a_spec_says_what_it_is_written_to_say() -> None:
    spec = parse(WHOLE, path="evtrig.yml")
    orders = TableSpec(
        schema="shop",
        name="orders",
        key=("id",),
        columns=(
            Column("id", "bigint unsigned"),
            Column("status", "enum('new','paid','shipped')"),
            Column("note", "varchar(255)"),
        ),
        operations=("insert", "delete"),
        images="after",
        exclude=("note",),
        place=Place("", 0, 0),
    )
    assert spec.tables[0] == orders
    assert (spec.outbox, spec.definer, spec.server) == (
        "outbox",
        Account("app", "10.0.%"),
        "mariadb",
    )
    assert [(table.schema, table.name) for table in spec.tables] == [
        ("shop", "orders"),
        ("crm", "customers"),
    ]


def test_a_table_that_says_nothing_is_captured_whole() -> None:
    spec = spec_of()
    table = spec.tables[0]
    assert (table.key, table.columns, table.exclude) == (None, None, ())
    assert (table.operations, table.images) == (OPERATIONS, "both")
    assert (spec.outbox, spec.server) == ("evtrig", None)
    assert spec.definer == Account("evtrig_definer", "localhost")


def test_the_places_of_a_table_and_of_its_names_are_known() -> None:
    orders = parse(WHOLE, path="evtrig.yml").tables[0]
    assert str(orders.place) == "evtrig.yml:7:3"
    assert str(orders.place_of("columns", "status")) == "evtrig.yml:11:7"
    assert str(orders.place_of("exclude", "note")) == "evtrig.yml:15:15"
    assert str(orders.place_of("columns", "other")) == "evtrig.yml:9:5"
    assert orders.place_of("redact", "card") == orders.place


def test_places_do_not_make_two_specs_different() -> None:
    one, other = spec_of(), parse("\n\n" + text_of(), path="evtrig.yml")
    assert one == other
    assert hash(one) == hash(other)


def test_flow_style_and_quoted_keys_mean_the_same() -> None:
    flow = '{"version": 1, schema: shop, tables: {orders: {key: [id]}}}'
    assert parse(flow, path="evtrig.yml") == spec_of("key: [id]")


def test_a_byte_order_mark_is_not_a_character_of_the_spec() -> None:
    assert parse("\ufeff" + text_of(), path="evtrig.yml") == spec_of()


# Keys


def test_an_unknown_key_names_the_nearest_valid_one() -> None:
    error = refused(text_of("operatons: [insert]"))
    assert error.message == (
        "evtrig.yml:5:5: unknown key `operatons` in table orders"
        " — did you mean `operations`?"
    )
    assert error.hint is not None
    assert "images" in error.hint


def test_a_key_in_capitals_is_near_to_the_valid_one() -> None:
    assert "did you mean `key`?" in refused(text_of("KEY: [id]")).message


@pytest.mark.parametrize("key", ["on", "type", "data"])
def test_a_key_of_a_domain_event_is_unknown_to_a_table(key: str) -> None:
    assert f"unknown key `{key}`" in refused(text_of(f"{key}: {{}}")).message


def test_a_misspelt_key_is_named_before_a_missing_one() -> None:
    message = refused("vesion: 1\nschema: shop\ntables: {a: }\n").message
    assert "did you mean `version`?" in message
    message = refused("version: 1\nshema: shop\ntables: {a: }\n").message
    assert "did you mean `schema`?" in message


def test_known_keys_are_compared_as_they_are_written() -> None:
    root = document.read("on: update", path="evtrig.yml", empty="")
    assert list(document.fields(root, ("on", "type"), "an event")) == ["on"]


def test_a_key_that_stands_twice_is_refused_with_both_places() -> None:
    error = refused(text_of("key: [id]", "images: key", "key: [no]"))
    assert error.line == 7
    assert "the first is in line 5, column 5" in error.message


def test_a_table_that_stands_twice_is_refused() -> None:
    assert (
        "`orders` stands here a second time"
        in refused(text_of() + '  "orders":\n    schema: crm\n').message
    )


# Versions, and the parts that must be there


@pytest.mark.parametrize("version", ["2", '"1"', "1.0", "", "[1]", "0x1"])
def test_only_version_1_is_read(version: str) -> None:
    text = f"new_key: of a later version\nversion: {version}\n"
    assert "`version` must be 1" in refused(text).message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema: shop\ntables: {a: }\n", "has no `version`"),
        ("version: 1\nschema: shop\n", "has no `tables`"),
        ("version: 1\nschema: shop\ntables: {}\n", "names no table"),
        ("version: 1\nschema: shop\ntables:\n", "must be a mapping, not nothing"),
        ("version: 1\ntables: {a: }\n", "table a has no schema"),
    ],
)
def test_what_a_spec_needs_must_be_there(text: str, message: str) -> None:
    assert message in refused(text).message


def test_the_schema_may_be_missing_if_every_table_has_one() -> None:
    spec = parse("version: 1\ntables: {a: {schema: crm}}\n", path="evtrig.yml")
    assert spec.tables[0].schema == "crm"


# Values


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["key: id"], "`key` of table orders must be a list, not `id`"),
        (["key: []"], "`key` of table orders is empty"),
        (["key: [[id]]"], "must be text, not a list"),
        (["key: [id, ID]"], "`ID` comes twice in `key` of table orders"),
        (["columns:"], "must be a mapping, not nothing"),
        (["columns: {}"], "`columns` of table orders is empty"),
        (["columns: [id]"], "must be a mapping, not a list"),
        (["columns: {id: }"], "the type of column id in `columns` of table orders is"),
        (["columns: {id: ' '}"], "is empty"),
        (["columns: {id: int, ID: int}"], "`ID` comes twice"),
        (["columns: {[id]: int}"], "a key must be text, not a list"),
        (["operations: insert"], "must be a list"),
        (["operations: []"], "`operations` of table orders is empty"),
        (["operations: [updat]"], "did you mean `update`?"),
        (["operations: [update, update]"], "`update` comes twice"),
        (["images: none"], "`images` of table orders cannot be `none`"),
        (["images: [both]"], "must be text, not a list"),
        (["exclude:"], "must be a list, not nothing"),
        (["exclude: [a, a]"], "`a` comes twice in `exclude`"),
        (["schema:"], "YAML reads nothing here"),
    ],
)
def test_a_value_of_the_wrong_form_is_refused(lines: list[str], message: str) -> None:
    assert message in refused(text_of(*lines)).message


def test_a_server_is_one_of_two() -> None:
    error = refused("server: mysq\n" + text_of())
    assert "`server` cannot be `mysq` — did you mean `mysql`?" in error.message
    assert error.hint == "One of: mysql, mariadb"


def test_one_name_where_a_list_belongs_shows_the_list() -> None:
    assert refused(text_of("key: id")).hint == "Write it as a list: [id]"


@pytest.mark.parametrize(
    "line",
    ["columns: {price: decimal(10,2)}", "columns: {s: enum('a #1', 'b')}"],
)
def test_a_type_that_yaml_cuts_in_two_is_noticed(line: str) -> None:
    text = text_of(line.replace("{", "\n      ").replace("}", ""))
    if "#" not in line:
        assert parse(text, path="evtrig.yml")
        text = text_of(line)
    error = refused(text)
    assert "a parenthesis too many or too few" in error.message
    assert "double quotes" in (error.hint or "")


def test_parentheses_within_the_members_of_an_enum_are_not_counted() -> None:
    table = spec_of("columns: {face: \"enum(':(','it''s ((','\\\\\\\\')\"}").tables[0]
    assert table.columns is not None


# Names


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "is empty"),
        ("n" * 65, "is longer than 64 characters"),
        ("id ", "ends with a space"),
        ("id\t", "ends with a space"),
        ("id\n", "ends with a space"),
        ("i\0d", "U+0000 cannot stand in a spec"),
        ("🍣", "holds a character beyond U+FFFF"),
        ("\ud800", "U+D800 cannot stand in a spec"),
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nschema: {}\ntables: {{a: }}\n",
        "version: 1\nschema: shop\noutbox: {}\ntables: {{a: }}\n",
        "version: 1\nschema: shop\ntables: {{{}: }}\n",
        text_of("key: [{}]"),
        text_of("exclude: [{}]"),
        text_of("columns: {{ {}: int }}"),
    ],
)
def test_a_name_that_no_server_can_have_is_refused(
    text: str, name: str, problem: str
) -> None:
    error = refused(text.format(quoted(name)))
    assert problem in error.message
    assert error.line is not None


@pytest.mark.parametrize(
    "name", ["n" * 64, "id\xa0", " id", "注文", "a`b", "a.b", "\uffff"]
)
def test_a_name_that_servers_take_is_taken(name: str) -> None:
    assert spec_of(f"key: [{quoted(name)}]").tables[0].key == (name,)


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("no", "false"),
        ("on", "true"),
        ("Yes", "true"),
        ("12:30", "the number 750"),
        ("0123", "the number 83"),
        ("1_000", "the number 1000"),
        ("1.5", "the number 1.5"),
        (".inf", "the number inf"),
        ("2026-11-23", "a date"),
        ("2026-11-23 05:20:49", "a time"),
        ("2026-99-99", "something else"),
        ("=", "something else"),
        ("9" * 5000, "a number"),
    ],
)
def test_a_word_that_yaml_takes_for_something_else_needs_quotes(
    word: str, meaning: str
) -> None:
    error = refused(text_of("key:", f"- {word}"))
    assert error.message.endswith(f"as {meaning}")
    assert error.hint is not None
    assert error.hint.startswith('Put it in quotes: "')
    if len(word) <= 64:
        assert spec_of("key:", f'- "{word}"').tables[0].key == (word,)


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nschema: no\ntables: {a: }\n",
        "version: 1\nschema: shop\noutbox: 12:30\ntables: {a: }\n",
        "version: 1\nschema: shop\ndefiner: off\ntables: {a: }\n",
        "version: 1\nschema: shop\ntables:\n  on:\n",
        text_of("columns:", "  no: int"),
        text_of("columns:", "  id: 12"),
        text_of("exclude: [yes]"),
    ],
)
def test_every_text_is_safe_from_the_surprises_of_yaml(text: str) -> None:
    assert "but YAML reads" in refused(text).message


@pytest.mark.parametrize("word", ["null", "~", "NULL"])
def test_a_column_called_null_needs_quotes(word: str) -> None:
    error = refused(text_of("columns:", f"  {word}: int"))
    assert f"YAML reads `{word}` as nothing" in error.message
    assert "quotes" in (error.hint or "")


# What a database is not needed for


def test_a_key_column_must_be_pinned_if_columns_are() -> None:
    error = refused(text_of("key: [order_ids]", "columns: {order_id: int}"))
    assert (error.line, error.column) == (5, 11)
    assert "did you mean `order_id`?" in error.message


def test_an_excluded_column_must_be_pinned_if_columns_are() -> None:
    error = refused(text_of("columns: {id: int, note: text}", "exclude: [nota]"))
    assert error.line == 6
    assert "did you mean `note`?" in error.message


def test_a_key_column_cannot_be_excluded() -> None:
    error = refused(text_of("key: [id]", "exclude: [note, id]"))
    assert "leaves out `id`, which is in its key" in error.message
    assert (error.line, error.column) == (6, 21)


def test_a_table_cannot_lose_every_column() -> None:
    error = refused(text_of("columns: {a: int, b: int}", "exclude: [b, a]"))
    assert "leaves out every column" in error.message


@pytest.mark.parametrize("schema", ["evtrig", "EvTrig"])
def test_a_captured_table_cannot_be_in_the_outbox_schema(schema: str) -> None:
    error = refused(text_of(f"schema: {schema}"))
    assert "table orders is in the outbox's own schema" in error.message
    assert "would swallow" in (error.hint or "")


# Accounts


@pytest.mark.parametrize(
    ("text", "user", "host"),
    [
        ("app", "app", "%"),
        ("app@localhost", "app", "localhost"),
        ("'app'@'10.0.%'", "app", "10.0.%"),
        ("`my app`@`%`", "my app", "%"),
        ('"app"@::1', "app", "::1"),
        ("'o''hara'@'%'", "o'hara", "%"),
        ("'a@b'@c", "a@b", "c"),
        ("u" * 128, "u" * 128, "%"),
    ],
)
def test_an_account_is_read_as_sql_writes_it(text: str, user: str, host: str) -> None:
    assert Account.parse(text) == Account(user, host)


@pytest.mark.parametrize(
    "text",
    [
        *["", "@", "a@", "a@b@c", "a b", "'a", "''@b", "a@''", "'a'b", "a\0", "🍣"],
        *["u" * 129, "u@" + "h" * 256],
    ],
)
def test_what_is_not_an_account_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Account.parse(text)


def test_an_account_is_shown_as_servers_report_a_definer() -> None:
    assert str(Account.parse("'app'@'%'")) == "app@%"


@pytest.mark.parametrize("word", ["current_user", "CURRENT_USER"])
def test_the_definer_can_be_whoever_installs(word: str) -> None:
    assert parse(f"definer: {word}\n" + text_of(), path="evtrig.yml").definer is None


def test_a_definer_that_is_no_account_is_refused_where_it_stands() -> None:
    error = refused("definer: a b\n" + text_of())
    assert error.message == "evtrig.yml:1:10: `definer`: `a b` is not an account"


def test_only_mariadb_takes_a_long_definer() -> None:
    definer = f"definer: {'u' * 33}\n"
    for server in ("", "server: mysql\n"):
        error = refused(definer + server + text_of())
        assert "longer than 32 characters" in error.message
    assert parse(definer + "server: mariadb\n" + text_of(), path="evtrig.yml")


# What is refused of YAML


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (text_of("key: &k [id]"), "5:10: an anchor (`&k`)"),
        (text_of("key: *k"), "5:10: an alias (`*k`)"),
        (text_of("key: [&k id, *k]"), "5:11: an anchor (`&k`)"),
        (text_of("<<: {key: [id]}"), "5:5: a merge key (`<<`)"),
        (text_of("key: !!python/object:os.system [id]"), "5:10: a tag"),
        (text_of("key: [!!str id]"), "5:11: a tag"),
        (text_of("key: [! id]"), "5:11: a tag"),
        ("!!map {}", "1:1: a tag"),
        (text_of() + "---\n" + text_of(), "5:1: a second document begins here"),
        (text_of() + "...\n---\n", "6:1: a second document begins here"),
        (text_of("key:", "\t- id"), "6:5: a tab"),
        (text_of("key:\t[id]"), "5:9: a tab"),
        (text_of("key: 'a\tb'"), "5:12: a tab"),
        (text_of("key: [id"), "not YAML: expected ',' or ']'"),
        (text_of("key: `id`"), "5:10: not YAML: found character '`'"),
        (text_of("\x07"), "5:5: the character U+0007"),
        (text_of('key: ["\\uD83D\\uDE00"]'), "5:11: the character U+D83D"),
        (text_of('key: ["\\UFFFFFFFF"]'), "not YAML"),
        ("%YAML 2.0\n---\n" + text_of(), "not YAML"),
        ("", "the file is empty"),
        ("# nothing yet\n", "the file is empty"),
        ("---\n", "the file is empty"),
        ("- version: 1\n", "1:1: a spec must be a mapping, not a list"),
        ("version\n", "1:1: a spec must be a mapping, not `version`"),
    ],
)
def test_a_part_of_yaml_that_misleads_is_refused(text: str, message: str) -> None:
    assert message in refused(text).message


def test_a_tab_in_a_comment_line_hurts_nobody() -> None:
    assert parse("#\tshop\n  #\tx\n" + text_of(), path="evtrig.yml") == spec_of()


def test_an_alias_bomb_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert "an anchor" in refused("\n".join(lines)).message


@pytest.mark.parametrize("unit", ["[", "{a: ", "- ", "? ", "!a [", "{? "])
def test_deep_nesting_is_refused_quickly(unit: str) -> None:
    start = time.perf_counter()
    refused(unit * 100_000)
    assert time.perf_counter() - start < 5


def test_deep_indentation_is_refused() -> None:
    text = "".join(f"{' ' * depth}a:\n" for depth in range(200))
    assert "nested deeper than 32 levels" in refused(text).message


# Files


def test_a_file_is_read_as_its_text_is(tmp_path: Path) -> None:
    path = tmp_path / "evtrig.yml"
    path.write_text(WHOLE, encoding="utf-8")
    assert load(path) == load(str(path)) == parse(WHOLE, path=str(path))


def test_a_file_that_is_missing_says_so(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="there is no such file") as caught:
        load(tmp_path / "evtrig.yml")
    assert "evtrig init" in (caught.value.hint or "")


def test_a_directory_is_not_a_spec(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="this is a directory"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["evtrig.yml/evtrig.yml", "a\0b", "n" * 5000])
def test_a_path_that_cannot_be_opened_says_why(tmp_path: Path, name: str) -> None:
    (tmp_path / "evtrig.yml").touch()
    with pytest.raises(SpecError, match="cannot be read: "):
        load(f"{tmp_path}/{name}")


def test_a_file_that_is_not_utf_8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "evtrig.yml"
    path.write_bytes(b"version: 1\nschema: caf\xe9\n")
    with pytest.raises(SpecError, match="not UTF-8: the byte 0xE9") as caught:
        load(path)
    assert caught.value.line == 2


def test_a_file_of_more_than_16_mb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evtrig.yml"
    path.write_bytes(b"#" * (document.MAX_SIZE + 1))
    with pytest.raises(SpecError, match="larger than 16 MB"):
        load(path)
    refused("#" * (document.MAX_SIZE + 1))


# Every text


def quoted(text: str) -> str:
    """``text`` as YAML in double quotes."""
    # JSON is YAML, except for its surrogate pairs and for DEL.
    escapes = {ord("\x7f"): "\\x7f", 0x85: "\\x85", 0x2028: "\\L", 0x2029: "\\P"}
    escapes |= {0xFFFE: "\\uFFFE", 0xFFFF: "\\uFFFF", 0xFEFF: "\\uFEFF"}
    escapes |= {code: f"\\x{code:02x}" for code in range(0x80, 0xA0)}
    escapes |= {code: f"\\u{code:04x}" for code in range(0xD800, 0xE000)}
    return json.dumps(text, ensure_ascii=False).translate(escapes)


def dump(spec: Spec) -> str:
    """A spec as a file that says the same."""
    definer = str(quoted_account(spec.definer)) if spec.definer else "current_user"
    lines = ["version: 1", f"outbox: {quoted(spec.outbox)}"]
    lines += [f"definer: {quoted(definer)}"]
    lines += [f"server: {spec.server}"] if spec.server else []
    lines += ["tables:"]
    for table in spec.tables:
        lines += [f"  ? {quoted(table.name)}", f"  : schema: {quoted(table.schema)}"]
        if table.key is not None:
            lines += ["    key:", *(f"    - {quoted(name)}" for name in table.key)]
        if table.columns is not None:
            lines += ["    columns:"]
            for column in table.columns:
                lines += [f"      ? {quoted(column.name)}"]
                lines += [f"      : {quoted(column.type)}"]
        lines += [f"    operations: [{', '.join(reversed(table.operations))}]"]
        lines += [f"    images: {table.images}"]
        lines += [f"    exclude: [{', '.join(map(quoted, table.exclude))}]"]
    return "\n".join(lines) + "\n"


def quoted_account(account: Account) -> str:
    user, host = (part.replace("'", "''") for part in (account.user, account.host))
    return f"'{user}'@'{host}'"


BMP = st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]).filter(
    lambda character: character != "\0"
)
NAMES = st.text(BMP, min_size=1, max_size=64).filter(
    lambda name: name[-1] not in " \t\n\v\f\r"
)
TYPES = st.sampled_from(["bigint unsigned", "enum('a, #:','ü')", "decimal(10,2)", "no"])
PLACE = Place("evtrig.yml", 1, 1)


@st.composite
def tables(draw: st.DrawFn, schemas: st.SearchStrategy[str]) -> TableSpec:
    columns, key = None, None
    exclude: tuple[str, ...] = ()
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique_by=str.lower))
    split = draw(st.integers(1, len(names)))
    if draw(st.booleans()):
        columns = tuple(Column(name, draw(TYPES)) for name in names)
    if draw(st.booleans()):
        key = tuple(draw(st.permutations(names[:split])))
    if draw(st.booleans()):
        exclude = tuple(names[split:])
    operations = draw(st.sets(st.sampled_from(OPERATIONS), min_size=1))
    return TableSpec(
        schema=draw(schemas),
        name=draw(NAMES),
        key=key,
        columns=columns,
        operations=tuple(name for name in OPERATIONS if name in operations),
        images=draw(st.sampled_from(IMAGES)),
        exclude=exclude,
        place=PLACE,
    )


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    outbox = draw(NAMES)
    schemas = NAMES.filter(lambda schema: schema.lower() != outbox.lower())
    part = st.text(BMP, min_size=1, max_size=32)
    account = st.builds(Account, user=part, host=part)
    return Spec(
        path="evtrig.yml",
        outbox=outbox,
        definer=draw(st.none() | account),
        server=draw(st.none() | st.sampled_from(SERVERS)),
        tables=tuple(
            draw(
                st.lists(
                    tables(schemas), min_size=1, max_size=3, unique_by=lambda t: t.name
                )
            )
        ),
    )


@given(specs())
def test_a_spec_that_is_written_down_reads_back_the_same(spec: Spec) -> None:
    assert parse(dump(spec), path="evtrig.yml") == spec


def is_spec_or_spec_error(text: str) -> None:
    try:
        parse(text, path="evtrig.yml")
    except SpecError:
        refused(text)


TOKENS = (
    *["version", "schema", "outbox", "definer", "server", "tables", "key", "columns"],
    *["operations", "images", "exclude", "orders", "id", "insert", "both", "mysql"],
    *["1", "0x", "0b_", "1:60", "1e9", ".", "._", "=", "<<", "~", "no", "2026-11-23"],
    *[
        ": ",
        ":",
        "- ",
        "? ",
        ", ",
        "[",
        "]",
        "{",
        "}",
        "#",
        " #",
        "\n",
        "\n  ",
        "\n    ",
    ],
    *[
        "&a ",
        "*a",
        "!",
        "!!int ",
        "!<",
        "%YAML 1.1",
        "%TAG ! !\n",
        "---",
        "...",
        "|",
        ">",
    ],
    *["'", '"', "\\", "\\x", "\\U00110000", "\\ud800", "`", "@", "\t", "\0", "\ufeff"],
    *["\x85", "\u2028", "\r", "🍣", "version: 1\nschema: a\ntables:\n  b:\n    "],
)


@given(st.text())
@example("%YAML " + "9" * 5000 + ".1\n---\n")
@example('"\\UFFFFFFFF"')
@example("!<%ff> a")
def test_any_text_is_a_spec_or_a_spec_error(text: str) -> None:
    is_spec_or_spec_error(text)


@given(st.lists(st.sampled_from(TOKENS), max_size=30))
def test_any_yaml_is_a_spec_or_a_spec_error(tokens: list[str]) -> None:
    is_spec_or_spec_error("".join(tokens))


@given(st.data())
def test_a_damaged_spec_is_a_spec_or_a_spec_error(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(WHOLE)))
    end = data.draw(st.integers(start, min(start + 40, len(WHOLE))))
    patch = data.draw(st.sampled_from(TOKENS) | st.text(max_size=5))
    is_spec_or_spec_error(WHOLE[:start] + patch + WHOLE[end:])


def test_two_tables_whose_events_could_not_be_told_apart_are_refused() -> None:
    text = (
        "version: 1\ntables:\n  c: {schema: a.b}\n  b.c: {schema: a}\n"
        "  d: {schema: a.b}\n"
    )
    with pytest.raises(SpecError) as caught:
        parse(text, path="evtrig.yml")
    assert caught.value.line == 4
    assert "a.b.c" in caught.value.message
    assert "line 3" in caught.value.message


def test_some_tables_of_a_spec_are_a_spec() -> None:
    spec = parse("version: 1\nschema: s\ntables: {a: {}, b: {}}\n", path="evtrig.yml")
    assert [table.name for table in spec.only(["b"]).tables] == ["b"]
    assert spec.only(["s.b", "a"]).tables == spec.tables
    with pytest.raises(UsageError):
        spec.only(["s.c"])


def test_tables_whose_cascades_share_triggers_are_chosen_together() -> None:
    text = (
        "version: 1\nschema: s\ntables:\n  a: {cascades: capture}\n"
        "  b: {cascades: capture}\n  c: {}\n"
    )
    spec = parse(text, path="evtrig.yml")
    assert len(spec.only(["a", "b"]).tables) == 2
    assert len(spec.only(["c"]).tables) == 1
    with pytest.raises(UsageError, match=r"s\.b") as caught:
        spec.only(["a", "c"])
    assert caught.value.hint
