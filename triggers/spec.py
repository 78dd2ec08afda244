"""What the user asks for: ``evtrig.yml``, read strictly and without a database.

To add a key: a name in ``_KEYS`` or ``_TABLE_KEYS``, a field with its default, and
a line in :func:`parse` or ``_table``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ..errors import SpecError, UsageError
from . import document
from .document import Node, Place, Scalar, did_you_mean, shown
from .table import Column
from .trigger import OPERATIONS

__all__ = [
    "DEFAULT_DEFINER",
    "DEFAULT_OUTBOX",
    "IMAGES",
    "SERVERS",
    "Account",
    "Spec",
    "TableSpec",
    "load",
    "parse",
]

T = TypeVar("T")

#: Which row images an event carries: before and after, after only, or none.
IMAGES = ("both", "after", "key")

#: The product families that SQL is written for.
SERVERS = ("mysql", "mariadb")

DEFAULT_OUTBOX = "evtrig"
DEFAULT_DEFINER = "evtrig_definer@localhost"

_KEYS = ("version", "schema", "outbox", "definer", "server", "tables")
_TABLE_KEYS = ("schema", "key", "columns", "operations", "images", "exclude")

# dev.mysql.com/doc, "Identifier Length Limits".
_NAME_LENGTH = 64

# Error 1470 on MySQL 9.7 and MariaDB 10.11. MariaDB's manual says 80 for the user;
# 10.11 takes 128.
_HOST_LENGTH = 255
_USER_LENGTH = {"mysql": 32, "mariadb": 128}

_ACCOUNT = re.compile(
    r"""(?P<user>{part})(?:@(?P<host>{part}))?""".format(
        part=r"""'(?:[^']|'')*'|`(?:[^`]|``)*`|"(?:[^"]|"")*"|[^\s@'"`]+"""
    )
)
_QUOTED = re.compile(r"'(?:[^'\\]|''|\\.)*'", re.DOTALL)


@dataclass(frozen=True)
class Account:
    """A MySQL account. ``str()`` gives ``name@host``, as servers report a definer."""

    user: str
    #: A name, an address, or a pattern of them such as ``10.0.%``.
    host: str

    @classmethod
    def parse(cls, text: str) -> Account:
        """An account as SQL or a shell writes it: ``app``, ``app@%``, ``'app'@'%'``.

        Without a host it is ``%``, as in MySQL. Raises UsageError.
        """
        match = _ACCOUNT.fullmatch(text)
        if match is None:
            raise UsageError(
                f"`{shown(text)}` is not an account",
                hint="Write name@host; a name with spaces or @ goes in quotes: "
                "'my name'@'localhost'.",
            )
        account = cls(_unquoted(match["user"]), _unquoted(match["host"] or "%"))
        for what, part, limit in (
            ("user", account.user, max(_USER_LENGTH.values())),
            ("host", account.host, _HOST_LENGTH),
        ):
            problem = _unstorable(part)
            if not part:
                problem = "is empty"
            elif len(part) > limit:
                problem = f"is longer than {limit} characters"
            if problem:
                raise UsageError(
                    f"the {what} of account `{shown(text)}` {problem}",
                    hint="Write name@host, as in CREATE USER.",
                )
        return account

    def __str__(self) -> str:
        return f"{self.user}@{self.host}"


@dataclass(frozen=True)
class TableSpec:
    """What is asked for one table."""

    schema: str
    name: str
    #: None: the primary key.
    key: tuple[str, ...] | None
    #: In the order of the file. None: as the database has them.
    columns: tuple[Column, ...] | None
    #: Those asked for, in the order of OPERATIONS.
    operations: tuple[str, ...]
    #: One of IMAGES.
    images: str
    exclude: tuple[str, ...]
    #: Where the table stands, for errors that only the database can show.
    place: Place = field(compare=False)
    #: Where a key stands, and each name under it: see place_of.
    places: Mapping[tuple[str, ...], Place] = field(
        default_factory=dict, compare=False, repr=False
    )

    def place_of(self, key: str, name: str | None = None) -> Place:
        """Where ``name`` stands under ``key``: ``place_of("columns", "status")``.

        Of what the spec does not mention, the place of the next thing around it.
        """
        around = self.places.get((key,), self.place)
        return around if name is None else self.places.get((key, name), around)


@dataclass(frozen=True)
class Spec:
    """A whole spec."""

    #: The file, for messages.
    path: str
    #: The schema of the events table.
    outbox: str
    #: Who owns the triggers. None: whoever installs them.
    definer: Account | None
    #: One of SERVERS. None: not pinned, so generating needs a database.
    server: str | None
    #: In the order of the file.
    tables: tuple[TableSpec, ...]


def load(path: str | Path) -> Spec:
    """The spec in a file. Raises SpecError, also if the file cannot be read."""
    name = str(path)
    try:
        with open(path, "rb") as file:
            content = file.read(document.MAX_SIZE + 1)
    except FileNotFoundError:
        raise SpecError(
            "there is no such file",
            path=name,
            hint="Name the spec with --spec, or write one with "
            "`evtrig init --dsn mysql://…`.",
        ) from None
    except IsADirectoryError:
        raise SpecError(
            "this is a directory", path=name, hint="Name the file in it."
        ) from None
    except (OSError, ValueError) as exc:
        # ValueError: the path itself holds a NUL.
        reason = getattr(exc, "strerror", None) or str(exc)
        raise SpecError(
            f"cannot be read: {reason}",
            path=name,
            hint="Check the path and who may read it.",
        ) from None
    if len(content) > document.MAX_SIZE:
        raise document.too_large(name)
    try:
        text = content.decode()
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise SpecError(
            f"not UTF-8: the byte 0x{content[exc.start]:02X}",
            path=name,
            line=line,
            hint="Save the file as UTF-8.",
        ) from None
    return parse(text, path=name)


def parse(text: str, *, path: str) -> Spec:
    """The spec that is written in ``text``. Raises SpecError with the place."""
    root = document.read(text, path=path)
    _check_version(root)
    keys = document.fields(root, _KEYS, "the spec")
    server = _optional(keys, "server", _server, None)
    outbox = _optional(keys, "outbox", _name, DEFAULT_OUTBOX)
    definer: Account | None = Account.parse(DEFAULT_DEFINER)
    definer = _optional(keys, "definer", _definer, definer)
    if definer and len(definer.user) > _USER_LENGTH[server or "mysql"]:
        hint = "A longer one is possible on MariaDB only: write `server: mariadb` too."
        raise keys["definer"].place.error(
            f"the user of `definer` is longer than {_USER_LENGTH['mysql']} characters",
            hint="Choose a shorter name." if server else hint,
        )
    schema = _optional(keys, "schema", _name, None)
    if "tables" not in keys:
        raise root.place.error(
            "the spec has no `tables`", hint="Add them, or let `evtrig init` write it."
        )
    tables = tuple(
        _table(name, node, schema, outbox)
        for name, node in document.entries(keys["tables"], "`tables`")
    )
    if not tables:
        raise keys["tables"].place.error(
            "`tables` names no table",
            hint="Add one; `evtrig uninstall` removes what was installed.",
        )
    return Spec(path, outbox, definer, server, tables)


def _check_version(root: Node) -> None:
    """Comes first: a later version may have keys that are unknown to this one."""
    keys = {key.text: value for key, value in document.entries(root, "a spec")}
    if "version" not in keys:
        # A misspelt key says more than a missing one.
        document.fields(root, _KEYS, "the spec")
        raise root.place.error("the spec has no `version`", hint="Add `version: 1`.")
    version = keys["version"]
    if not (isinstance(version, Scalar) and version.plain and version.text == "1"):
        raise version.place.error(
            "`version` must be 1",
            hint="Write `version: 1`; a spec of a later version needs a later evtrig.",
        )


def _table(
    name: Scalar, node: Node, default_schema: str | None, outbox: str
) -> TableSpec:
    table = _name(name, "a table's name")
    of = f"table {shown(table)}"
    keys: dict[str, Node] = {}
    if not (isinstance(node, Scalar) and node.is_null):
        keys = document.fields(node, _TABLE_KEYS, of)
    schema = _optional(keys, "schema", _name, default_schema, of)
    if schema is None:
        raise name.place.error(
            f"{of} has no schema",
            hint="Write `schema:` at the top of the spec, or under the table.",
        )
    # Servers that store names in lower case do not tell `Shop` from `shop`.
    if schema.lower() == outbox.lower():
        raise name.place.error(
            f"{of} is in the outbox's own schema, `{shown(outbox)}`",
            hint="Choose another `outbox:`. In the schema of an application, its "
            "temporary table named events would swallow the events.",
        )
    spec = TableSpec(
        schema=schema,
        name=table,
        key=_optional(keys, "key", _key, None, of),
        columns=_optional(keys, "columns", _columns, None, of),
        operations=_optional(keys, "operations", _operations, OPERATIONS, of),
        images=_optional(keys, "images", _images, "both", of),
        exclude=_optional(keys, "exclude", _names, (), of),
        place=name.place,
        places=_places(node),
    )
    _check_names(spec, of)
    return spec


def _check_names(spec: TableSpec, of: str) -> None:
    excluded = set(spec.exclude)
    for column in spec.key or ():
        if column in excluded:
            raise spec.place_of("exclude", column).error(
                f"`exclude` of {of} leaves out `{shown(column)}`, which is in its key",
                hint="An event needs its key: remove it from `exclude:`.",
            )
    if spec.columns is None:
        return
    columns = {column.name: column for column in spec.columns}
    for where, names in (("key", spec.key or ()), ("exclude", spec.exclude)):
        for column in names:
            if column not in columns:
                raise spec.place_of(where, column).error(
                    f"`{where}` of {of} names `{shown(column)}`, which is not in its "
                    f"`columns`{did_you_mean(column, columns)}",
                    hint="Correct the name, or add the column and its type.",
                )
    if excluded.issuperset(columns):
        raise spec.place_of("exclude").error(
            f"`exclude` of {of} leaves out every column",
            hint="Leave one in, or remove the table.",
        )


def _places(node: Node) -> dict[tuple[str, ...], Place]:
    places: dict[tuple[str, ...], Place] = {}
    for key, value in node.entries if isinstance(node, document.Mapping) else ():
        places[key.text,] = key.place
        names: list[Node] = []
        if isinstance(value, document.Sequence):
            names = list(value.items)
        elif isinstance(value, document.Mapping):
            names = [name for name, _ in value.entries]
        for name in names:
            if isinstance(name, Scalar):
                places[key.text, name.text] = name.place
    return places


def _optional(
    keys: Mapping[str, Node],
    key: str,
    reader: Callable[[Node, str], T],
    default: T,
    of: str | None = None,
) -> T:
    if key not in keys:
        return default
    return reader(keys[key], f"`{key}` of {of}" if of else f"`{key}`")


# Readers: a node and its name in messages -> a value.


def _name(node: Node, what: str) -> str:
    """A name that both products store.

    dev.mysql.com/doc, "Schema Object Names" and "Identifier Length Limits".
    """
    name = document.text(node, what)
    problem = _unstorable(name)
    if not name:
        problem = "is empty"
    elif len(name) > _NAME_LENGTH:
        problem = f"is longer than {_NAME_LENGTH} characters"
    # The manual says "space characters"; these are what MySQL 9.7 and
    # MariaDB 10.11 refuse (1102, 1103, 1166).
    elif name[-1] in " \t\n\v\f\r":
        problem = "ends with a space"
    if problem:
        raise node.place.error(
            f"{what}, `{shown(name)}`, {problem}",
            hint="No server has such a name: write it as SHOW CREATE TABLE does.",
        )
    return name


def _names(node: Node, what: str) -> tuple[str, ...]:
    return _distinct(
        [
            (_name(item, f"a name in {what}"), item.place)
            for item in document.items(node, what)
        ],
        what,
    )


def _key(node: Node, what: str) -> tuple[str, ...]:
    names = _names(node, what)
    if not names:
        raise node.place.error(
            f"{what} is empty",
            hint="Name the columns that identify a row, or leave `key:` out to use "
            "the primary key.",
        )
    return names


def _columns(node: Node, what: str) -> tuple[Column, ...]:
    columns = []
    pairs = document.entries(node, what)
    for key, value in pairs:
        name = _name(key, f"a column's name in {what}")
        of = f"the type of column {shown(name)} in {what}"
        kind = document.text(value, of)
        if not kind.strip():
            raise value.place.error(f"{of} is empty", hint="For example: `bigint`.")
        # YAML cuts decimal(10,2) at the comma within {…}, and enum('a #1') at the #.
        bare = _QUOTED.sub("", kind)
        if bare.count("(") != bare.count(")"):
            raise value.place.error(
                f"{of}, `{shown(kind)}`, has a parenthesis too many or too few",
                hint="YAML may have cut it: put a type that holds `#` or `: `, or a "
                "comma within {…}, in double quotes.",
            )
        columns.append(Column(name, kind))
    if not columns:
        raise node.place.error(
            f"{what} is empty",
            hint="Name the columns, or leave `columns:` out and give --dsn.",
        )
    _distinct([(key.text, key.place) for key, _ in pairs], what)
    return tuple(columns)


def _operations(node: Node, what: str) -> tuple[str, ...]:
    asked = [
        (document.one_of(item, OPERATIONS, f"an operation in {what}"), item.place)
        for item in document.items(node, what)
    ]
    if not asked:
        raise node.place.error(
            f"{what} is empty",
            hint="Name at least one of insert, update, delete, or remove the table.",
        )
    names = _distinct(asked, what)
    return tuple(operation for operation in OPERATIONS if operation in names)


def _images(node: Node, what: str) -> str:
    return document.one_of(node, IMAGES, what)


def _server(node: Node, what: str) -> str | None:
    return document.one_of(node, SERVERS, what)


def _definer(node: Node, what: str) -> Account | None:
    account = document.text(node, what)
    if account.lower() == "current_user":
        return None
    try:
        return Account.parse(account)
    except UsageError as exc:
        raise node.place.error(f"{what}: {exc.message}", hint=exc.hint) from None


def _distinct(names: list[tuple[str, Place]], what: str) -> tuple[str, ...]:
    """The names, if none comes twice; columns differ by more than their case."""
    first: dict[str, Place] = {}
    for name, place in names:
        before = first.setdefault(name.lower(), place)
        if before is not place:
            raise place.error(
                f"`{shown(name)}` comes twice in {what}; the first is in line "
                f"{before.line}, column {before.column}",
                hint="Remove one of the two.",
            )
    return tuple(name for name, _ in names)


def _unstorable(name: str) -> str | None:
    # MySQL 9.7 stores a ? instead, with a warning; MariaDB 10.11 fails (1300).
    if any(character > "\uffff" for character in name):
        return "holds a character beyond U+FFFF"
    return "holds U+0000" if "\0" in name else None


def _unquoted(part: str) -> str:
    if part[:1] in ("'", "`", '"'):
        return part[1:-1].replace(part[0] * 2, part[0])
    return part
