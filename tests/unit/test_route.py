"""Routes: which destination an event has, and what is no set of routes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from evtrig.cli import main
from evtrig.commands.routes import read_routes, routes_of
from evtrig.errors import SpecError, UsageError
from evtrig.relay.destinations import Destinations
from evtrig.relay.route import Route, Routes, is_like

ROUTES = Routes(
    {"orders": "sqs:https://x/1/orders.fifo", "audit": "kinesis:audit"},
    (
        Route(("orders", "audit"), source="shop.orders", type="Order*"),
        Route(("orders",), source="shop.*"),
        Route(("audit",)),
    ),
)


@pytest.mark.parametrize(
    ("source", "type_", "to"),
    [
        ("shop.orders", "OrderShipped", ("orders", "audit")),
        ("shop.orders", "orders.update", ("orders",)),
        ("shop.customers", "OrderShipped", ("orders",)),
        ("shopping.orders", "orders.update", ("audit",)),
        ("xshop.orders", "orders.update", ("audit",)),
        ("", "", ("audit",)),
        ("shop.a\nb", "orders.update", ("orders",)),
    ],
)
def test_the_first_route_that_matches_is_taken(
    source: str, type_: str, to: tuple[str, ...]
) -> None:
    assert ROUTES.of(source, type_).to == to


@pytest.mark.parametrize("pattern", ["a.b", "a+", "[ab]", "a?"])
def test_only_an_asterisk_stands_for_something_else(pattern: str) -> None:
    route = Route(("x",), source=pattern)
    assert route.matches(pattern, "t")
    assert not route.matches("axb", "t")
    assert not route.matches("aa", "t")


@given(st.text("ab*", max_size=8), st.text("ab", max_size=12))
def test_an_asterisk_stands_for_any_characters(pattern: str, text: str) -> None:
    expected = re.fullmatch(pattern.replace("*", ".*"), text) is not None
    assert is_like(text, pattern) is expected


def test_many_asterisks_take_no_longer() -> None:
    """As a regular expression these would take for ever, in the relay's loop."""
    assert not is_like("a" * 255, "*a" * 20 + "b")


def test_json_gives_the_same_routes_again() -> None:
    assert Routes.from_json(ROUTES.to_json(), path="r.json") == ROUTES


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"destinations": [], "routes": []}',
        '{"destinations": {}, "routes": [{}]}',
        '{"destinations": {"a": "stdout:"}, "routes": [1]}',
    ],
)
def test_what_is_no_routes_is_refused_with_the_file(text: str) -> None:
    with pytest.raises(UsageError, match=r"r\.json") as raised:
        Routes.from_json(text, path="r.json")
    assert raised.value.hint


@pytest.mark.parametrize(
    ("routes", "what"),
    [
        ([], "has to take every event"),
        ([{"to": ["a"], "source": "s"}], "has to take every event"),
        ([{"to": ["a"]}, {"to": ["a"], "source": "s"}], "stand behind one"),
        ([{"to": ["ab"]}], "did you mean a"),
        ([{"to": []}], "names no destination"),
        ([{"to": ["a", "a"]}], "twice"),
    ],
)
def test_routes_that_cannot_work_are_refused(routes: object, what: str) -> None:
    text = json.dumps({"destinations": {"a": "stdout:"}, "routes": routes})
    with pytest.raises(UsageError, match=what):
        Routes.from_json(text, path="r.json")


# Files

FILE = """\
version: 1
destinations:
  orders: sqs:https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo
  audit: "kinesis:audit?calls=2"
routes:
  - {source: shop.orders, to: [orders, audit]}
  - to: audit
"""
SPEC = """\
version: 1
schema: shop
tables:
  orders:
    events:
      - {type: OrderShipped, on: update, data: {id: NEW.id}}
relay:
  destinations: {orders: "sqs:https://x/1/orders", audit: "kinesis:audit"}
  routes:
    - {type: OrderShipped, to: orders}
    - {source: shop.orders, to: [orders, audit]}
    - {to: audit}
"""


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "relay.yml"
    path.write_text(text)
    return str(path)


def test_a_file_of_their_own(tmp_path: Path) -> None:
    assert read_routes(written(tmp_path, FILE)) == Routes(
        {
            "orders": "sqs:https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo",
            "audit": "kinesis:audit?calls=2",
        },
        (Route(("orders", "audit"), source="shop.orders"), Route(("audit",))),
    )


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_an_empty_file_is_not_taken_for_a_spec(tmp_path: Path, text: str) -> None:
    with pytest.raises(SpecError, match="the file is empty") as raised:
        read_routes(written(tmp_path, text))
    assert "docs/routing.md" in str(raised.value.hint)


def test_json_is_such_a_file_too(tmp_path: Path) -> None:
    text = json.dumps({"version": 1, **json.loads(ROUTES.to_json())})
    assert read_routes(written(tmp_path, text)) == ROUTES


def test_the_section_of_a_spec(tmp_path: Path) -> None:
    routes = read_routes(written(tmp_path, SPEC))
    assert routes.of("shop.orders", "OrderShipped").to == ("orders",)
    assert routes.of("shop.orders", "orders.update").to == ("orders", "audit")


@pytest.mark.parametrize(
    ("before", "after", "line", "what"),
    [
        ("to: audit", "to: audti", 7, "did you mean audit"),
        ("to: [orders, audit]", "to: []", 6, "names no destination"),
        ("source: shop", "sauce: shop", 6, "did you mean `source`"),
        ("  - to: audit\n", "", 6, "every event"),
        ("  audit: ", "  au dit: ", 4, "name of a destination"),
        ("version: 1\n", "", 1, "version"),
        ("version: 1", "version: 2", 1, "`version`"),
        ("routes:\n", "routs:\n", 5, "did you mean `routes`"),
        ("source: shop.orders", "source: no", 6, "must be text"),
    ],
)
def test_a_mistake_is_told_with_its_place(
    tmp_path: Path, before: str, after: str, line: int, what: str
) -> None:
    assert before in FILE
    with pytest.raises(SpecError) as raised:
        read_routes(written(tmp_path, FILE.replace(before, after)))
    assert what in raised.value.message
    assert raised.value.line == line
    assert raised.value.hint


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ("type: OrderShipped, to", "type: OrderShiped, to", "did you mean"),
        ("source: shop.orders", "source: shop.order", "did you mean `shop.orders`"),
    ],
)
def test_a_route_that_no_event_of_the_spec_takes_is_a_mistake(
    tmp_path: Path, before: str, after: str, what: str
) -> None:
    with pytest.raises(SpecError, match=what):
        read_routes(written(tmp_path, SPEC.replace(before, after)))


def test_no_type_is_suggested_that_no_page_mentions(tmp_path: Path) -> None:
    for lacking in ("OrderShipped", "orders.reat"):
        text = SPEC.replace("type: OrderShipped, on", "type: Paid, on")
        text = text.replace("type: OrderShipped, to", f"type: {lacking}, to")
        with pytest.raises(SpecError) as raised:
            read_routes(written(tmp_path, text))
        assert "the spec has nothing like" in raised.value.message
        assert ".read" not in raised.value.message


@pytest.mark.parametrize("lines", ["", "    bypass: for-the-nightly-import\n"])
def test_a_gap_is_suggested_where_there_can_be_one(tmp_path: Path, lines: str) -> None:
    text = SPEC.replace("type: OrderShipped, to", "type: orders.gaps, to")
    text = text.replace("    events:\n", f"{lines}    events:\n")
    with pytest.raises(SpecError) as raised:
        read_routes(written(tmp_path, text))
    assert ("did you mean `orders.gap`?" in raised.value.message) == bool(lines)


@pytest.mark.parametrize(
    "destinations",
    [
        "\n  a: stdout:",
        "\n  a: stdout: # for now",
        "\n  a: file:\n  b: kinesis:b",
        " {a: stdout:}",
        " {a: stdout:, b: file:x}",
    ],
)
def test_a_destination_that_ends_in_a_colon_goes_in_quotes(
    tmp_path: Path, destinations: str
) -> None:
    text = f"version: 1\ndestinations:{destinations}\nroutes: [{{to: a}}]\n"
    with pytest.raises(SpecError) as raised:
        read_routes(written(tmp_path, text))
    hint = raised.value.hint or ""
    assert 'A text that ends in a colon goes in double quotes: "stdout:"' in hint


def test_check_reads_the_routes_of_its_spec_before_it_connects(tmp_path: Path) -> None:
    path = written(tmp_path, SPEC.replace("source: shop.orders", "source: shop.order"))
    arguments = ["check", "--spec", path, "--dsn", "mysql://nobody@127.0.0.1:1/shop"]
    ended = CliRunner().invoke(main, arguments, env={"EVTRIG_SINK": None})
    assert ended.exit_code == 2
    assert "did you mean `shop.orders`?" in ended.stderr


def test_a_spec_without_the_section(tmp_path: Path) -> None:
    text = SPEC.partition("relay:")[0]
    with pytest.raises(SpecError, match="no section `relay`"):
        read_routes(written(tmp_path, text))


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(SpecError, match="no such file") as raised:
        read_routes("nowhere.yml")
    assert "--routes" in (raised.value.hint or "")


def test_a_sink_and_routes_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="exclude"):
        routes_of("stdout:", "relay.yml")
    assert routes_of(None, None) is None
    only = routes_of("stdout:", None)
    assert only is not None
    assert only.of("any.table", "at.all").to == ("sink",)


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("kinsis:audit", "unknown scheme 'kinsis'"),
        ("sns:arn:aws:sns:eu-west-1:123456789012:a?call=3", "an option that it does"),
    ],
)
def test_a_uri_that_cannot_be_right_is_named_where_there_are_several(
    uri: str, problem: str
) -> None:
    routes = Routes({"log": "stdout:", "audit": uri}, (Route(("log", "audit")),))
    with pytest.raises(UsageError, match=f"^destination audit: .*{problem}") as caught:
        Destinations.make(routes)
    assert caught.value.hint
    with pytest.raises(UsageError, match=f"^(?!destination).*{problem}"):
        Destinations.make(Routes.single(uri))
