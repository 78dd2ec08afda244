"""Domain events in a spec: what they may say, and the place of every mistake."""

from __future__ import annotations

import pytest

from evtrig.errors import SpecError
from evtrig.triggers.domain_event import DomainEvent
from evtrig.triggers.spec import parse

HEAD = "version: 1\nschema: shop\ntables:\n"


def text_of(*events: str, table: str = "orders", lines: str = "") -> str:
    listed = "".join(f"      - {event}\n" for event in events)
    return f"{HEAD}  {table}:\n{lines}    events:\n{listed}"


def events_of(*events: str, lines: str = "") -> tuple[DomainEvent, ...]:
    spec = parse(text_of(*events, lines=lines), path="evtrig.yml")
    return spec.tables[0].events


def refused(text: str) -> SpecError:
    with pytest.raises(SpecError) as caught:
        parse(text, path="evtrig.yml")
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value


def test_an_event_says_what_it_is_written_to_say() -> None:
    (event,) = events_of(
        "{type: OrderShipped, on: update, when: NEW.status = 'shipped',"
        " data: {order: NEW.id, was: OLD.status}}"
    )
    assert (event.type, event.operations) == ("OrderShipped", ("update",))
    assert event.when is not None
    assert event.when.sql == "NEW.`status` = 'shipped'"
    assert [(name, value.sql) for name, value in event.data] == [
        ("order", "NEW.`id`"),
        ("was", "OLD.`status`"),
    ]


def test_type_and_operation_are_enough() -> None:
    (event,) = events_of("{type: A, on: delete}")
    assert (event.when, event.data) == (None, ())


def test_operations_are_one_or_a_list_in_the_order_of_triggers() -> None:
    one, several = events_of("{type: A, on: update}", "{type: B, on: [update, insert]}")
    assert one.operations == ("update",)
    assert several.operations == ("insert", "update")


def test_events_stay_in_the_order_of_the_spec() -> None:
    found = events_of("{type: B, on: insert}", "{type: A, on: insert}")
    assert [event.type for event in found] == ["B", "A"]


# Mistakes: line 6 is that of the first event, whose brace is in column 9.


@pytest.mark.parametrize(
    ("event", "message", "column"),
    [
        ("{on: update}", "an event in `events` of table orders has no `type`", 9),
        ("{type: A}", "an event in `events` of table orders has no `on`", 9),
        ("{type: A, no: 1, on: update}", "unknown key `no`", 19),
        ("{type: A, on: update, dta: {}}", "did you mean `data`?", 31),
        ("A", "must be a mapping, not `A`", 9),
        ("{type: '', on: update}", "is empty, too long or not printable", 16),
        ("{type: '  ', on: update}", "is empty, too long or not printable", 16),
        ('{type: "A\\nB", on: update}', "is empty, too long or not printable", 16),
        (f"{{type: {'A' * 256}, on: update}}", "is empty, too long", 16),
        ("{type: no, on: update}", "but YAML reads", 16),
        ("{type: A, on: updat}", "did you mean `update`?", 23),
        ("{type: A, on: []}", "`on` of event A is empty", 23),
        ("{type: A, on: [update, update]}", "`update` comes twice in `on`", 32),
        ("{type: A, on: insert, when: OLD.a}", "`when` of event A reads OLD.a", 37),
        ("{type: A, on: delete, when: NEW.a}", "but delete has no NEW row", 37),
        ("{type: A, on: [insert, update], when: OLD.a}", "insert has no OLD row", 47),
        ("{type: A, on: insert, data: {x: OLD.a}}", "`x` of event A reads OLD.a", 41),
        ("{type: A, on: insert, data: {x: ''}}", "`x` of event A is empty", 41),
        ("{type: A, on: insert, data: [x]}", "must be a mapping, not a list", 37),
        ("{type: A, on: insert, data: {x: NEW.a, x: 1}}", "a second time", 48),
        ("{type: A, on: insert, when: 'a; b'}", "holds a semicolon", 37),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_where_it_stands(
    event: str, message: str, column: int
) -> None:
    error = refused(text_of(event))
    assert message in error.message
    assert (error.line, error.column) == (6, column)


@pytest.mark.parametrize("events", ["[]", "{}", "", "OrderShipped"])
def test_a_list_that_is_none_or_empty_is_refused(events: str) -> None:
    error = refused(f"{HEAD}  orders:\n    events: {events}\n")
    assert "`events` of table orders" in error.message


# Types that are taken


@pytest.mark.parametrize("operation", ["insert", "update", "delete", "gap", "read"])
@pytest.mark.parametrize("table", ["orders", "people"])
def test_the_type_of_a_change_is_taken(operation: str, table: str) -> None:
    text = text_of(f"{{type: {table}.{operation}, on: update}}") + "  people:\n"
    error = refused(text)
    line = {"orders": 4, "people": 7}[table]
    assert f"the type `{table}.{operation}` is taken: see line {line}" in error.message
    assert (error.line, error.column) == (6, 16)


def test_two_events_of_one_type_are_refused_within_and_across_tables() -> None:
    error = refused(text_of("{type: A, on: update}", "{type: A, on: insert}"))
    assert "the type `A` is taken: see line 6" in error.message
    assert error.line == 7
    other = "  people:\n    events: [{type: A, on: insert}]\n"
    assert refused(text_of("{type: A, on: update}") + other).line == 8


def test_a_type_like_that_of_a_table_which_is_not_there_is_free() -> None:
    assert events_of("{type: invoices.update, on: update}")
