"""Events that the application writes itself, in its own transaction.

Through the connection that the application has already, whatever the driver: so no
driver is imported here, nor anything else of evtrig but its errors.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from ..errors import UsageError

__all__ = ["Connection", "emit"]

#: Of the column `type`.
TYPE_LENGTH = 255

#: Of a schema (dev.mysql.com/doc, "Identifier Length Limits").
NAME_LENGTH = 64

#: The parameters by what a driver calls its style (PEP 249), and whether by name.
PLACEHOLDERS = {
    "qmark": ("?, ?, ?", False),
    "numeric": (":1, :2, :3", False),
    "format": ("%s, %s, %s", False),
    "named": (":type, :key, :data", True),
    "pyformat": ("%(type)s, %(key)s, %(data)s", True),
}

#: Drivers that leave every ``%`` alone which is no parameter, and ``%%`` too.
TAKES_PERCENT = ("mysql.connector",)


class Connection(Protocol):
    """A connection of any driver that keeps to PEP 249."""

    def cursor(self) -> Any:
        """A new cursor on it."""


def emit(
    connection: Connection,
    type: str,  # noqa: A002 - the event's, as everywhere
    key: Mapping[str, object],
    data: object = None,
    *,
    outbox: str = "evtrig",
) -> None:
    """Write an event into the outbox, in the transaction that is open.

    It is published if that transaction commits, and was never there if it rolls back.
    ``key`` says what the event is about, such as ``{"id": 7}``; ``data`` is anything
    that JSON can say, None for nothing. ``outbox`` is the schema of the outbox, whose
    spec needs ``emit: true``.

    Raises UsageError before anything is sent; it names none of the values. What the
    driver raises comes as it is.
    """
    _check_type(type)
    key_text = _key(type, key)
    data_text = None if data is None else _json(type, "data", data)
    schema = _quoted(outbox)
    cursor = _cursor(connection)
    try:
        driver, style = _paramstyle(connection, cursor)
        placeholders, by_name = PLACEHOLDERS[style]
        if style in ("format", "pyformat") and driver not in TAKES_PERCENT:
            schema = schema.replace("%", "%%")
        values = {"type": type, "key": key_text, "data": data_text}
        cursor.execute(
            f"CALL {schema}.`emit`({placeholders})",
            values if by_name else tuple(values.values()),
        )
        _read_to_the_end(cursor)
    finally:
        cursor.close()


def _check_type(name: object) -> None:
    if not isinstance(name, str):
        raise UsageError(
            "emit: the type of an event must be a str such as 'OrderShipped', not"
            f" {_kind(name)}"
        )
    if not name.strip() or not name.isprintable() or len(name) > TYPE_LENGTH:
        raise UsageError(
            "emit: the type of an event is empty, too long or not printable: pass at"
            f" most {TYPE_LENGTH} characters, such as 'OrderShipped'"
        )


def _key(name: str, key: object) -> str:
    if not isinstance(key, Mapping):
        raise UsageError(
            f"emit: the key of {name} must be a mapping such as {{'id': 7}}, not"
            f" {_kind(key)}"
        )
    for member in key:
        if not isinstance(member, str):
            raise UsageError(
                f"emit: the names in the key of {name} must be str, not"
                f" {_kind(member)}: write {{'id': 7}}"
            )
    # Sorted, because MariaDB keeps the order of the members: two texts, two keys.
    return _json(name, "key", dict(key), sort_keys=True)


def _json(name: str, part: str, value: object, *, sort_keys: bool = False) -> str:
    try:
        text = json.dumps(
            value,
            allow_nan=False,
            ensure_ascii=False,
            separators=(",", ":"),
            sort_keys=sort_keys,
        )
        text.encode()
    except TypeError as error:
        # json names the type, never the value.
        problem = str(error).removesuffix(".")
    except UnicodeEncodeError:
        problem = "it holds half of a surrogate pair, which is no character"
    except ValueError:
        problem = "it holds NaN or an infinity, or contains itself"
    except RecursionError:
        problem = "it is nested too deep"
    else:
        return text
    raise UsageError(
        f"emit: the {part} of {name} cannot be written as JSON: {problem}; pass"
        " dict, list, str, int, float, bool and None only"
    )


def _quoted(outbox: object) -> str:
    if not isinstance(outbox, str) or not 0 < len(outbox) <= NAME_LENGTH:
        raise UsageError(
            "emit: `outbox` must be the name of a schema, the `outbox:` of the spec"
        )
    return "`" + outbox.replace("`", "``") + "`"


def _cursor(connection: object) -> Any:
    make = getattr(connection, "cursor", None)
    cursor = make() if callable(make) else None
    if callable(getattr(cursor, "execute", None)) and not hasattr(cursor, "__await__"):
        return cursor
    if callable(close := getattr(cursor, "close", None)):
        close()  # a coroutine would complain that nobody awaits it
    raise UsageError(
        f"emit: {_kind(connection)} is no DB-API connection: pass the driver's own, for"
        " SQLAlchemy session.connection().connection; where the driver is asynchronous,"
        " CALL the procedure by SQL"
    )


def _paramstyle(connection: object, cursor: object) -> tuple[str, str]:
    """The driver's module, and how it says that it wants its parameters (PEP 249)."""
    for name in _modules(connection, cursor):
        style = getattr(sys.modules.get(name), "paramstyle", None)
        if isinstance(style, str) and style in PLACEHOLDERS:
            return name, style
    raise UsageError(
        f"emit: no driver with a `paramstyle` is known for {_kind(connection)}: pass"
        " the connection that the driver's connect() has returned"
    )


def _modules(connection: object, cursor: object) -> Iterator[str]:
    """Where a driver may say it: the modules of the classes, and their packages."""
    # A pool's or framework's connection is a wrapper; what it wraps is the driver's.
    objects = (
        lambda: connection,
        lambda: cursor,
        lambda: getattr(connection, "driver_connection", None),
        lambda: getattr(cursor, "connection", None),
    )
    for get in objects:
        for cls in type(get()).__mro__:
            name = cls.__module__
            while name:
                yield name
                name = name.rpartition(".")[0]


def _read_to_the_end(cursor: Any) -> None:
    """What a CALL leaves unread would be in the way of the next statement."""
    while True:
        if cursor.description is not None:
            cursor.fetchall()
        # Optional in PEP 249.
        if not getattr(cursor, "nextset", bool)():
            return


def _kind(value: object) -> str:
    cls = type(value)
    module = "" if cls.__module__ == "builtins" else f"{cls.__module__}."
    return module + cls.__qualname__
