"""A low-level change under a name that means something: ``events:`` of a table."""

from __future__ import annotations

from dataclasses import dataclass, field

from . import document
from .document import Node, Place, Sequence, shown
from .expression import ROWS, Expression, expression
from .name import distinct

__all__ = ["DomainEvent", "domain_events", "operations"]

_KEYS = ("type", "on", "when", "data")

#: Of the column `type`.
TYPE_LENGTH = 255


@dataclass(frozen=True)
class DomainEvent:
    """An event that is recorded for the changes that a condition picks."""

    type: str
    #: In the order of trigger.OPERATIONS.
    operations: tuple[str, ...]
    #: None: every change.
    when: Expression | None
    #: Names and values, for the event's ``after``.
    data: tuple[tuple[str, Expression], ...]
    #: Where its type stands.
    place: Place = field(compare=False)


def domain_events(node: Node, what: str) -> tuple[DomainEvent, ...]:
    """Read the list. Raises SpecError."""
    events = [event(item, what) for item in document.items(node, what)]
    if not events:
        raise node.place.error(
            f"{what} is empty", hint="Write one, or leave the key out."
        )
    return tuple(events)


def event(node: Node, what: str) -> DomainEvent:
    keys = document.fields(node, _KEYS, f"an event in {what}")
    for key in ("type", "on"):
        if key not in keys:
            raise node.place.error(
                f"an event in {what} has no `{key}`",
                hint="For example: {type: OrderShipped, on: update, data: {}}",
            )
    type_ = document.text(keys["type"], f"the type of an event in {what}")
    of = f"event {shown(type_)}"
    if not type_.strip() or not type_.isprintable() or len(type_) > TYPE_LENGTH:
        raise keys["type"].place.error(
            f"the type of {of} is empty, too long or not printable",
            hint=f"At most {TYPE_LENGTH} characters, such as OrderShipped.",
        )
    on = operations(keys["on"], f"`on` of {of}")
    when = None
    if "when" in keys:
        when = expression(keys["when"], f"`when` of {of}")
        when.check_rows(on, f"`when` of {of}")
    data = []
    if "data" in keys:
        for name, value in document.entries(keys["data"], f"`data` of {of}"):
            found = expression(value, f"`{shown(name.text)}` of {of}")
            found.check_rows(on, f"`{shown(name.text)}` of {of}")
            data.append((name.text, found))
    return DomainEvent(type_, on, when, tuple(data), keys["type"].place)


def operations(node: Node, what: str) -> tuple[str, ...]:
    """One operation or a list, in the order of trigger.OPERATIONS."""
    nodes = node.items if isinstance(node, Sequence) else (node,)
    asked = [
        (document.one_of(item, tuple(ROWS), f"an operation in {what}"), item.place)
        for item in nodes
    ]
    if not asked:
        raise node.place.error(
            f"{what} is empty", hint="Name at least one of insert, update, delete."
        )
    names = distinct(asked, what)
    return tuple(operation for operation in ROWS if operation in names)
