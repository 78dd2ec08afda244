"""Events of the application: what is sent to any driver, and what is refused before."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtrig.application.emit import emit
from evtrig.errors import UsageError

SECRET = "4111-1111-1111-1111"


class Cursor:
    """Of a driver that does what PEP 249 asks for, and no more."""

    __module__ = "dummydb.cursors"

    description: object = None

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.executed: list[tuple[str, object]] = []

    def execute(self, sql: str, parameters: object) -> None:
        self.calls.append("execute")
        self.executed.append((sql, parameters))

    def fetchall(self) -> list[object]:
        self.calls.append("fetchall")
        return []

    def close(self) -> None:
        self.calls.append("close")


class Connection:
    __module__ = "dummydb.connections"

    def __init__(self, cursor: Any = None) -> None:
        self._cursor = cursor or Cursor()

    def cursor(self) -> Any:
        return self._cursor

    @property
    def sent(self) -> tuple[str, Any]:
        (call,) = self._cursor.executed
        return call


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """``driver(style)``: the driver is there, and says this of itself."""

    def make(style: str) -> None:
        module = ModuleType("dummydb")
        module.paramstyle = style
        monkeypatch.setitem(sys.modules, "dummydb", module)

    make("pyformat")
    return make


# What is sent


@pytest.mark.parametrize(
    ("style", "placeholders", "by_name"),
    [
        ("qmark", "?, ?, ?", False),
        ("numeric", ":1, :2, :3", False),
        ("format", "%s, %s, %s", False),
        ("named", ":type, :key, :data", True),
        ("pyformat", "%(type)s, %(key)s, %(data)s", True),
    ],
)
def test_parameters_are_passed_as_the_driver_wants_them(
    driver: Callable[[str], None], style: str, placeholders: str, by_name: bool
) -> None:
    driver(style)
    connection = Connection()
    emit(connection, "OrderShipped", {"id": 7}, ["post"])
    values = {"type": "OrderShipped", "key": '{"id":7}', "data": '["post"]'}
    assert connection.sent == (
        f"CALL `evtrig`.`emit`({placeholders})",
        values if by_name else tuple(values.values()),
    )


@pytest.mark.parametrize(
    ("style", "quoted"),
    [("qmark", "`a``b%c`"), ("format", "`a``b%%c`"), ("pyformat", "`a``b%%c`")],
)
def test_the_name_of_the_outbox_is_quoted(
    driver: Callable[[str], None], style: str, quoted: str
) -> None:
    driver(style)
    connection = Connection()
    emit(connection, "OrderShipped", {}, outbox="a`b%c")
    assert connection.sent[0].startswith(f"CALL {quoted}.`emit`(")


@pytest.mark.usefixtures("driver")
def test_no_data_is_null_and_not_the_json_of_it() -> None:
    connection = Connection()
    emit(connection, "OrderShipped", {"id": 7})
    assert connection.sent[1]["data"] is None


@pytest.mark.usefixtures("driver")
def test_the_same_key_is_the_same_text_whatever_its_order() -> None:
    one, other = Connection(), Connection()
    emit(one, "Counted", {"line": 1, "order": 2})
    emit(other, "Counted", {"order": 2, "line": 1})
    assert one.sent == other.sent


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)  # fmt: skip


@given(data=JSON, key=st.dictionaries(st.text(), JSON, max_size=3))
def test_whatever_json_can_say_is_sent_as_it_is(data: Any, key: dict[str, Any]) -> None:
    module = ModuleType("dummydb")
    module.paramstyle = "qmark"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "dummydb", module)
        connection = Connection()
        emit(connection, "Counted", key, data)
    _, sent_key, sent_data = connection.sent[1]
    assert json.loads(sent_key) == key
    assert sent_data is None if data is None else json.loads(sent_data) == data


# The driver


@pytest.mark.usefixtures("driver")
def test_results_are_read_to_the_end_and_the_cursor_is_closed() -> None:
    class Leaves(Cursor):
        description = ("a", "column")
        left = 2

        def nextset(self) -> bool | None:
            self.calls.append("nextset")
            self.left -= 1
            return True if self.left else None

    cursor = Leaves()
    emit(Connection(cursor), "OrderShipped", {})
    read = ["fetchall", "nextset"]
    assert cursor.calls == ["execute", *read, *read, "close"]


@pytest.mark.usefixtures("driver")
def test_an_error_of_the_driver_comes_as_it_is_and_the_cursor_is_closed() -> None:
    error = RuntimeError("gone away")

    class Fails(Cursor):
        def execute(self, sql: str, parameters: object) -> None:
            raise error

    cursor = Fails()
    with pytest.raises(RuntimeError) as caught:
        emit(Connection(cursor), "OrderShipped", {})
    assert caught.value is error
    assert cursor.calls == ["close"]


@pytest.mark.usefixtures("driver")
def test_a_class_of_the_applications_own_is_still_of_its_driver() -> None:
    class Mine(Connection):
        __module__ = "shop.database"

    class Rows(Cursor):
        __module__ = "shop.database"

    connection = Mine(Rows())
    emit(connection, "OrderShipped", {})
    assert connection.sent


@pytest.mark.usefixtures("driver")
def test_the_connection_of_a_pool_tells_by_its_cursor_or_by_what_it_wraps() -> None:
    class Proxy:
        """Like that of SQLAlchemy's pool, or Django's."""

        def __init__(self, cursor: Any) -> None:
            self._cursor = cursor

        def cursor(self) -> Any:
            return self._cursor

    class Wrapped(Cursor):
        __module__ = "framework"

    by_cursor = Proxy(Cursor())
    emit(by_cursor, "OrderShipped", {})
    by_driver = Proxy(Wrapped())
    by_driver.driver_connection = Connection()
    emit(by_driver, "OrderShipped", {})
    wrapped = Wrapped()
    wrapped.connection = Connection()
    emit(Proxy(wrapped), "OrderShipped", {})
    assert len(wrapped.executed) == 1


def test_a_driver_that_nobody_knows_is_named() -> None:
    cursor = Cursor()
    with pytest.raises(UsageError, match=r"known for dummydb\.connections\.Connection"):
        emit(Connection(cursor), "OrderShipped", {})
    assert cursor.calls == ["close"]


@pytest.mark.parametrize("style", ["", "dollar", None, 7])
@pytest.mark.usefixtures("driver")
def test_a_style_that_nobody_knows_is_none(
    driver: Callable[[Any], None], style: object
) -> None:
    driver(style)
    with pytest.raises(UsageError, match="no driver with a `paramstyle`"):
        emit(Connection(), "OrderShipped", {})


@pytest.mark.parametrize("connection", [None, object(), "mysql://localhost/shop"])
def test_what_is_no_connection_is_said_to_be_none(connection: Any) -> None:
    with pytest.raises(UsageError, match=r"is no DB-API connection: pass the driver's"):
        emit(connection, "OrderShipped", {})


def test_an_asynchronous_driver_is_refused_and_its_coroutine_closed() -> None:
    class Asynchronous:
        async def cursor(self) -> Cursor:
            return Cursor()

    # That nobody has awaited it would be a warning, and warnings are errors here.
    with pytest.raises(UsageError, match="asynchronous, CALL the procedure by SQL"):
        emit(Asynchronous(), "OrderShipped", {})


# What is refused before anything is sent

LOOP: list[object] = [SECRET]
LOOP.append(LOOP)
DEEP: list[object] = []
for _ in range(100_000):
    DEEP = [DEEP]

REFUSED: dict[str, tuple[object, object, object, str]] = {
    "type not text": (7, {}, None, "must be a str such as 'OrderShipped', not int"),
    "type bytes": (b"A", {}, None, "not bytes"),
    "type empty": ("", {}, None, "is empty, too long or not printable"),
    "type blank": (" ", {}, None, "is empty, too long or not printable"),
    "type long": ("A" * 256, {}, None, "at most 255 characters"),
    "type of two lines": ("A\nB", {}, None, "not printable"),
    "type of half a character": ("\ud800", {}, None, "not printable"),
    "key a number": ("A", 7, None, "the key of A must be a mapping such as {'id': 7}"),
    "key text": ("A", SECRET, None, "such as {'id': 7}, not str"),
    "key a list": ("A", [SECRET], None, "not list"),
    "key nothing": ("A", None, None, "not NoneType"),
    "key of numbers": ("A", {7: SECRET}, None, "in the key of A must be str, not int"),
    "key a decimal": ("A", {"id": Decimal(1)}, None, "the key of A cannot be written"),
    "key a NaN": ("A", {"id": float("nan")}, None, "the key of A cannot be written"),
    "data bytes": ("A", {}, [SECRET, b"x"], "Object of type bytes is not JSON"),
    "data an object": ("A", {}, {SECRET: object()}, "Object of type object is not"),
    "data by a tuple": ("A", {}, {(SECRET,): 1}, "keys must be str, int, float, bool"),
    "data NaN": ("A", {}, [SECRET, float("nan")], "it holds NaN or an infinity"),
    "data infinite": ("A", {}, float("-inf"), "it holds NaN or an infinity"),
    "data in a loop": ("A", {}, LOOP, "contains itself"),
    "data too deep": ("A", {}, DEEP, "the data of A cannot be written as JSON: it"),
    "half a character": ("A", {}, SECRET + "\udfff", "half of a surrogate pair"),
}


@pytest.mark.parametrize(
    ("type_", "key", "data", "message"), REFUSED.values(), ids=REFUSED.keys()
)
@pytest.mark.usefixtures("driver")
def test_what_cannot_be_sent_is_refused_without_its_contents(
    type_: Any, key: Any, data: object, message: str
) -> None:
    connection = Connection()
    with pytest.raises(UsageError) as caught:
        emit(connection, type_, key, data)
    assert message in str(caught.value)
    assert str(caught.value).startswith("emit: ")
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert connection._cursor.calls == []


@pytest.mark.parametrize("outbox", ["", "o" * 65, None, b"evtrig"])
@pytest.mark.usefixtures("driver")
def test_an_outbox_that_no_server_can_have_is_refused(outbox: Any) -> None:
    connection = Connection()
    with pytest.raises(UsageError, match="`outbox` must be the name of a schema"):
        emit(connection, "A", {}, outbox=outbox)
    assert connection._cursor.calls == []
