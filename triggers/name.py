"""Names of schemas, tables and columns, as a spec may write them."""

from __future__ import annotations

from . import document
from .account import unstorable
from .document import Node, Place, shown

__all__ = ["distinct", "name", "names"]

# dev.mysql.com/doc, "Identifier Length Limits".
LENGTH = 64


def name(node: Node, what: str) -> str:
    """A name that both products store.

    dev.mysql.com/doc, "Schema Object Names" and "Identifier Length Limits".
    """
    name = document.text(node, what)
    problem = unstorable(name)
    if not name:
        problem = "is empty"
    elif len(name) > LENGTH:
        problem = f"is longer than {LENGTH} characters"
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


def names(node: Node, what: str) -> tuple[str, ...]:
    """A list of names, none of them twice."""
    return distinct(
        [
            (name(item, f"a name in {what}"), item.place)
            for item in document.items(node, what)
        ],
        what,
    )


def distinct(names: list[tuple[str, Place]], what: str) -> tuple[str, ...]:
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
