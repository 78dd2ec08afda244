"""What a table may say of meaning: conditions, defaults of the top, what fits."""

from __future__ import annotations

import pytest

from evtrig.errors import SpecError
from evtrig.triggers.spec import Spec, parse
from evtrig.triggers.table_spec import TableSpec


def spec_of(*lines: str, head: str = "") -> Spec:
    body = "".join(f"    {line}\n" for line in lines)
    text = f"version: 1\nschema: shop\n{head}tables:\n  orders:\n{body}"
    return parse(text, path="evtrig.yml")


def table_of(*lines: str, head: str = "") -> TableSpec:
    return spec_of(*lines, head=head).tables[0]


def refused(*lines: str, head: str = "") -> SpecError:
    with pytest.raises(SpecError) as caught:
        spec_of(*lines, head=head)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value


def test_a_table_that_says_nothing_has_no_meaning_of_its_own() -> None:
    table = table_of()
    assert (table.redact, table.when, table.events) == ({}, {}, ())
    assert (table.change_rows, table.transaction, table.db_user) == (True, False, False)
    assert (table.bypass, table.cascades) == (None, "ignore")


# Defaults at the top


@pytest.mark.parametrize("key", ["transaction", "db_user"])
@pytest.mark.parametrize("top", [None, "true", "false"])
@pytest.mark.parametrize("own", [None, "true", "false"])
def test_a_table_says_it_itself_or_the_top_does(
    key: str, top: str | None, own: str | None
) -> None:
    head = f"{key}: {top}\n" if top else ""
    table = table_of(*([f"{key}: {own}"] if own else []), head=head)
    assert getattr(table, key) == ((own or top or "false") == "true")


def test_the_token_of_a_table_comes_before_that_of_the_top() -> None:
    head = "bypass: nightly-import\n"
    assert table_of(head=head).bypass == "nightly-import"
    assert table_of("bypass: yearly-import", head=head).bypass == "yearly-import"


def test_what_the_top_says_is_for_events_of_the_application_too() -> None:
    spec = spec_of(head="emit: true\ntransaction: true\ndb_user: true\n")
    assert (spec.emit, spec.transaction, spec.db_user) == (True, True, True)
    spec = spec_of()
    assert (spec.emit, spec.transaction, spec.db_user) == (False, False, False)


@pytest.mark.parametrize("key", ["emit", "transaction", "db_user"])
@pytest.mark.parametrize("value", ["yes", "1", "on", "", "[true]", "'maybe'"])
def test_a_flag_is_true_or_false(key: str, value: str) -> None:
    error = refused(head=f"{key}: {value}\n")
    assert f"`{key}`" in error.message
    assert error.line == 3
    if key != "emit":
        assert refused(f"{key}: {value}").line == 5


# Tokens


@pytest.mark.parametrize("token", ["a" * 8, "a" * 64, "Nightly_import-2", '"12345678"'])
def test_a_token_is_something_that_nobody_sets_by_accident(token: str) -> None:
    assert table_of(f"bypass: {token}").bypass == token.strip('"')


@pytest.mark.parametrize(
    "token",
    ["on", "a" * 7, "a" * 65, "nightly import", "it''s-nightly", "näktlich", ""],
)
def test_a_token_that_is_short_long_or_odd_is_refused(token: str) -> None:
    error = refused(f"bypass: '{token}'")
    assert error.message == (
        "evtrig.yml:5:13: `bypass` of table orders must be 8 to 64 letters, digits,"
        " - or _"
    )
    assert "`bypass` must be 8 to 64" in refused(head=f"bypass: '{token}'\n").message


# Conditions


def test_conditions_are_by_operation_in_the_order_of_triggers() -> None:
    table = table_of("when: {delete: OLD.a, insert: NEW.a, update: NEW.a <> OLD.a}")
    assert list(table.when) == ["insert", "update", "delete"]
    assert table.when["update"].sql == "NEW.`a` <> OLD.`a`"


PINNED = "columns: {id: int, status: text, card: text}"


@pytest.mark.parametrize(
    ("lines", "message", "place"),
    [
        (["when: NEW.a"], "`when` of table orders does not say for which", (5, 11)),
        (["when:"], "`when` of table orders must be a mapping", (5, 10)),
        (["when: {updat: NEW.a}"], "did you mean `update`?", (5, 12)),
        (["when: {insert: OLD.a}"], "but insert has no OLD row", (5, 20)),
        (["when: {delete: NEW.a}"], "but delete has no NEW row", (5, 20)),
        (["when: {insert: ''}"], "`insert` in `when` of table orders is", (5, 20)),
        (
            ["operations: [insert]", "when: {update: NEW.a}"],
            "but `operations` leaves update out",
            (6, 12),
        ),
        (
            ["change_rows: false", "events: [{type: A, on: insert}]",
             "when: {insert: NEW.a}"],
            "but `change_rows` is false: no change is recorded anyway",
            (7, 12),
        ),
        (
            ["change_rows: false"],
            "is false and it has no `events`, so nothing is recorded",
            (5, 5),
        ),
        (["cascades: all"], "`cascades` of table orders cannot be `all`", (5, 15)),
        (
            [PINNED, "when: {update: NEW.statsu = 1}"],
            "reads NEW.statsu, which is not in `columns` — did you mean `status`?",
            (6, 20),
        ),
        (
            [PINNED, "events: [{type: A, on: insert, when: NEW.x}]"],
            "`when` of event A reads NEW.x, which is not in `columns`",
            (6, 42),
        ),
        (
            [PINNED, "events: [{type: A, on: insert, data: {n: NEW.x}}]"],
            "`n` of event A reads NEW.x, which is not in `columns`",
            (6, 46),
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_where_it_stands(
    lines: list[str], message: str, place: tuple[int, int]
) -> None:
    error = refused(*lines)
    assert message in error.message
    assert (error.line, error.column) == place


# Data of an event and private columns


def event(data: str) -> str:
    return f"events: [{{type: A, on: update, data: {{x: {data}}}}}]"


@pytest.mark.parametrize("data", ["NEW.card", "CONCAT(old.CARD, 'x')"])
def test_an_event_does_not_show_what_is_left_out(data: str) -> None:
    error = refused("exclude: [card]", event(f'"{data}"'))
    assert (
        "`x` of event A shows `card`, which `exclude` of table orders" in error.message
    )
    assert (error.line, error.column) == (6, 46)


def test_an_event_does_not_show_what_is_omitted() -> None:
    error = refused("redact: {card: omit}", event("NEW.card"))
    assert "shows `card`, which `redact` of table orders omits" in error.message
    assert (error.line, error.column) == (6, 46)


@pytest.mark.parametrize("kind", ["omit", "hash", "last4", '"null"', "{truncate: 3}"])
def test_an_event_does_not_compute_with_what_is_redacted(kind: str) -> None:
    error = refused(f"redact: {{card: {kind}}}", event('"CONCAT(NEW.card, 1)"'))
    assert "computes with `card`, which is redacted" in error.message
    assert "Write NEW.card alone" in (error.hint or "")
    assert (error.line, error.column) == (6, 46)


def test_an_event_may_show_what_redaction_leaves_and_decide_with_all_of_it() -> None:
    table = table_of(
        "redact: {card: last4}",
        "exclude: [note]",
        "when: {update: NEW.card <> OLD.card OR NEW.note IS NULL}",
        "events: [{type: A, on: update, when: NEW.card > OLD.note,"
        " data: {x: NEW.card}}]",
    )
    assert [what for what, _ in table.conditions()] == [
        "`when` of orders",
        "`when` of event A",
    ]
    assert [what for what, _ in table.values()] == ["`x` of event A"]
