"""What is asked for one table: an entry under ``tables:``.

To add a key: a name in ``_KEYS``, a field, and a line in :func:`table_spec`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from . import document
from .document import Node, Place, Scalar, did_you_mean, shown
from .domain_event import DomainEvent, domain_events, operations
from .expression import ROWS, Expression, expression
from .name import distinct, name, names
from .redaction import Redaction, redaction
from .table import Column
from .trigger import OPERATIONS

__all__ = ["CASCADES", "IMAGES", "Defaults", "TableSpec", "optional", "table_spec"]

T = TypeVar("T")

#: Which row images an event carries: before and after, after only, or none.
IMAGES = ("both", "after", "key")

#: What to do about rows that foreign keys change by themselves.
CASCADES = ("ignore", "capture")

_KEYS = (
    *("schema", "key", "columns", "operations", "images", "exclude", "redact"),
    *("when", "events", "change_rows", "transaction", "db_user", "bypass"),
    "cascades",
)

_QUOTED = re.compile(r"'(?:[^'\\]|''|\\.)*'", re.DOTALL)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{8,64}")


@dataclass(frozen=True)
class Defaults:
    """What the top of a spec says for every table that says nothing else."""

    schema: str | None
    outbox: str
    transaction: bool
    db_user: bool
    bypass: str | None


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
    #: By column.
    redact: Mapping[str, Redaction] = field(default_factory=dict, hash=False)
    #: By operation: which changes are recorded. Every one of an operation without.
    when: Mapping[str, Expression] = field(default_factory=dict, hash=False)
    events: tuple[DomainEvent, ...] = ()
    #: Whether the changes themselves are recorded, besides ``events``.
    change_rows: bool = True
    #: Whether events carry the id of their transaction.
    transaction: bool = False
    #: Whether the context says which account wrote.
    db_user: bool = False
    #: What @evtrig_off has to be to record nothing. None: nothing does that.
    bypass: str | None = None
    #: One of CASCADES.
    cascades: str = "ignore"
    #: Where a key stands, and each name under it: see place_of.
    places: Mapping[tuple[str, ...], Place] = field(
        default_factory=dict, compare=False, repr=False
    )

    @property
    def source(self) -> str:
        return f"{self.schema}.{self.name}"

    def place_of(self, key: str, name: str | None = None) -> Place:
        """Where ``name`` stands under ``key``: ``place_of("columns", "status")``.

        Of what the spec does not mention, the place of the next thing around it.
        """
        around = self.places.get((key,), self.place)
        return around if name is None else self.places.get((key, name), around)

    def conditions(self) -> list[tuple[str, Expression]]:
        """Every expression that decides whether something is recorded."""
        found = [(f"`when` of {self.name}", when) for when in self.when.values()]
        for event in self.events:
            if event.when is not None:
                found.append((f"`when` of event {event.type}", event.when))
        return found

    def values(self) -> list[tuple[str, Expression]]:
        """Every expression whose value is recorded."""
        return [
            (f"`{name}` of event {event.type}", value)
            for event in self.events
            for name, value in event.data
        ]


def table_spec(key: Scalar, node: Node, defaults: Defaults) -> TableSpec:
    """Read a table. Raises SpecError."""
    table = name(key, "a table's name")
    of = f"table {shown(table)}"
    keys: dict[str, Node] = {}
    if not (isinstance(node, Scalar) and node.is_null):
        keys = document.fields(node, _KEYS, of)
    schema = optional(keys, "schema", name, defaults.schema, of)
    if schema is None:
        raise key.place.error(
            f"{of} has no schema",
            hint="Write `schema:` at the top of the spec, or under the table.",
        )
    # Servers that store names in lower case do not tell `Shop` from `shop`.
    if schema.lower() == defaults.outbox.lower():
        raise key.place.error(
            f"{of} is in the outbox's own schema, `{shown(defaults.outbox)}`",
            hint="Choose another `outbox:`. In the schema of an application, its "
            "temporary table named events would swallow the events.",
        )
    spec = TableSpec(
        schema=schema,
        name=table,
        key=optional(keys, "key", _key, None, of),
        columns=optional(keys, "columns", _columns, None, of),
        operations=optional(keys, "operations", _operations, OPERATIONS, of),
        images=optional(keys, "images", _images, "both", of),
        exclude=optional(keys, "exclude", names, (), of),
        redact=optional(keys, "redact", _redact, {}, of),
        when=optional(keys, "when", _when, {}, of),
        events=optional(keys, "events", domain_events, (), of),
        change_rows=optional(keys, "change_rows", flag, True, of),
        transaction=optional(keys, "transaction", flag, defaults.transaction, of),
        db_user=optional(keys, "db_user", flag, defaults.db_user, of),
        bypass=optional(keys, "bypass", token, defaults.bypass, of),
        cascades=optional(keys, "cascades", _cascades, "ignore", of),
        place=key.place,
        places=_places(node),
    )
    _check_events(spec, of)
    _check_names(spec, of)
    _check_expressions(spec, of)
    return spec


def _check_events(spec: TableSpec, of: str) -> None:
    if not spec.change_rows and not spec.events:
        raise spec.place_of("change_rows").error(
            f"`change_rows` of {of} is false and it has no `events`, so nothing is"
            " recorded",
            hint="Add `events:`, or remove the table.",
        )
    for operation in spec.when:
        if not spec.change_rows:
            problem = "`change_rows` is false: no change is recorded anyway"
        elif operation not in spec.operations:
            problem = f"`operations` leaves {operation} out"
        else:
            continue
        raise spec.place_of("when", operation).error(
            f"`when` of {of} has a condition for {operation}, but {problem}",
            hint="Remove the condition. A domain event has a `when` of its own.",
        )


def _check_names(spec: TableSpec, of: str) -> None:
    excluded = set(spec.exclude)
    for column in spec.key or ():
        if column in excluded:
            raise spec.place_of("exclude", column).error(
                f"`exclude` of {of} leaves out `{shown(column)}`, which is in its key",
                hint="An event needs its key: remove it from `exclude:`.",
            )
    for column in spec.redact:
        if column in excluded:
            raise spec.place_of("redact", column).error(
                f"`redact` of {of} names `{shown(column)}`, which `exclude` leaves out",
                hint="Remove one of the two. A change of an excluded column is no"
                " event; one of a redacted column is.",
            )
    if spec.columns is None:
        return
    columns = {column.name: column for column in spec.columns}
    for where, listed in (
        ("key", spec.key or ()),
        ("exclude", spec.exclude),
        ("redact", tuple(spec.redact)),
    ):
        for column in listed:
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


def _check_expressions(spec: TableSpec, of: str) -> None:
    if spec.columns is not None:
        columns = [column.name for column in spec.columns]
        for what, found in (*spec.conditions(), *spec.values()):
            found.check_columns(columns, what)
    for what, value in spec.values():
        if column := value.names(spec.exclude):
            raise value.place.error(
                f"{what} shows `{shown(column)}`, which `exclude` of {of} leaves out",
                hint="Take it out of `exclude:`, or out of the event.",
            )
        column = value.names(spec.redact)
        if column is None:
            continue
        if value.column is None:
            raise value.place.error(
                f"{what} computes with `{shown(column)}`, which is redacted: the result"
                " would give it away",
                hint=f"Write {value.references[0].row}.{column} alone, which shows what"
                " `redact:` leaves, or decide with it in a `when:`.",
            )
        if spec.redact[column].kind == "omit":
            raise value.place.error(
                f"{what} shows `{shown(column)}`, which `redact` of {of} omits",
                hint="Take it out of the event, or redact it in another way.",
            )


def _places(node: Node) -> dict[tuple[str, ...], Place]:
    places: dict[tuple[str, ...], Place] = {}
    for key, value in node.entries if isinstance(node, document.Mapping) else ():
        places[key.text,] = key.place
        found: list[Node] = []
        if isinstance(value, document.Sequence):
            found = list(value.items)
        elif isinstance(value, document.Mapping):
            found = [name for name, _ in value.entries]
        for item in found:
            if isinstance(item, Scalar):
                places[key.text, item.text] = item.place
    return places


def optional(
    keys: Mapping[str, Node],
    key: str,
    reader: Callable[[Node, str], T],
    default: T,
    of: str | None = None,
) -> T:
    """What ``reader`` makes of the value, the default if there is none."""
    if key not in keys:
        return default
    return reader(keys[key], f"`{key}` of {of}" if of else f"`{key}`")


# Readers: a node and its name in messages -> a value.


def flag(node: Node, what: str) -> bool:
    """``true`` or ``false``."""
    return document.one_of(node, ("true", "false"), what) == "true"


def token(node: Node, what: str) -> str:
    """What the session variable @evtrig_off has to be."""
    text = document.text(node, what)
    if not _TOKEN.fullmatch(text):
        raise node.place.error(
            f"{what} must be 8 to 64 letters, digits, - or _",
            hint="Something that no session sets by accident, such as nightly-import.",
        )
    return text


def _key(node: Node, what: str) -> tuple[str, ...]:
    found = names(node, what)
    if not found:
        raise node.place.error(
            f"{what} is empty",
            hint="Name the columns that identify a row, or leave `key:` out to use "
            "the primary key.",
        )
    return found


def _columns(node: Node, what: str) -> tuple[Column, ...]:
    columns = []
    pairs = document.entries(node, what)
    for key, value in pairs:
        column = name(key, f"a column's name in {what}")
        of = f"the type of column {shown(column)} in {what}"
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
        columns.append(Column(column, kind))
    if not columns:
        raise node.place.error(
            f"{what} is empty",
            hint="Name the columns, or leave `columns:` out and give --dsn.",
        )
    distinct([(key.text, key.place) for key, _ in pairs], what)
    return tuple(columns)


def _operations(node: Node, what: str) -> tuple[str, ...]:
    if not document.items(node, what):
        raise node.place.error(
            f"{what} is empty",
            hint="Name at least one of insert, update, delete, or remove the table.",
        )
    return operations(node, what)


def _images(node: Node, what: str) -> str:
    return document.one_of(node, IMAGES, what)


def _cascades(node: Node, what: str) -> str:
    return document.one_of(node, CASCADES, what)


def _redact(node: Node, what: str) -> dict[str, Redaction]:
    pairs = document.entries(node, what)
    distinct([(key.text, key.place) for key, _ in pairs], what)
    found = {}
    for key, value in pairs:
        column = name(key, f"a column's name in {what}")
        found[column] = redaction(value, f"`{shown(column)}` in {what}")
    return found


def _when(node: Node, what: str) -> dict[str, Expression]:
    if isinstance(node, Scalar) and not node.is_null:
        raise node.place.error(
            f"{what} does not say for which operation",
            hint="Write {update: \"NEW.status <> 'draft'\"}.",
        )
    found = {}
    for key, value in document.entries(node, what):
        operation = document.one_of(key, tuple(ROWS), f"an operation in {what}")
        condition = expression(value, f"`{operation}` in {what}")
        condition.check_rows([operation], f"`{operation}` in {what}")
        found[operation] = condition
    return {operation: found[operation] for operation in ROWS if operation in found}
