"""What an event shows of a private column. Done in the trigger: clear text is stored
nowhere but in the table itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..database.server import Server
from . import document
from .column import TEXTS, ColumnType
from .document import Mapping, Node, Place, Scalar
from .sql import Sql

__all__ = ["KINDS", "SALT", "Redaction", "redaction"]

KINDS = ("omit", "null", "last4", "hash", "truncate")

#: The trigger's local variable that holds the salt.
SALT = Sql("salt")

#: A shorter value would be given away by its last four characters.
LAST4_LENGTH = 8


@dataclass(frozen=True)
class Redaction:
    """How one column is shown."""

    #: One of KINDS.
    kind: str
    #: Characters that ``truncate`` keeps.
    length: int = 0
    place: Place = field(kw_only=True, compare=False)

    def misfit(self, column: ColumnType) -> str | None:
        """Why this cannot be done to a column of that type; None if it can."""
        is_text = column.name in TEXTS - {"enum", "set"}
        if self.kind not in ("last4", "truncate"):
            return None
        if is_text and column.character_set != "binary":
            return None
        return f"`{self.kind}` is for text, and the column is {column.name}"

    def json(self, column: ColumnType, value: Sql, server: Server) -> Sql:
        """The expression whose result JSON_OBJECT writes instead of the value.

        Not for ``omit``, which leaves the member out.
        """
        clear = column.json(value, server)
        if self.kind == "null":
            return Sql("NULL")
        if self.kind == "truncate":
            return Sql(f"LEFT({clear}, {self.length})")
        if self.kind == "last4":
            kept = f"IF(CHAR_LENGTH({value}) >= {LAST4_LENGTH}, 4, 0)"
            return Sql(f"CONCAT('****', RIGHT({clear}, {kept}))")
        if column.name == "json":
            clear = Sql(f"CAST({value} AS CHAR)")
        return Sql(f"SHA2(CONCAT({SALT}, {clear}), 256)")


def redaction(node: Node, what: str) -> Redaction:
    """Read ``last4``, ``hash``, ``{truncate: 20}``, … Raises SpecError."""
    if isinstance(node, Mapping):
        value = document.fields(node, ("truncate",), what).get("truncate")
        text = value.text if isinstance(value, Scalar) else ""
        if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 65535:
            raise node.place.error(
                f"`truncate` of {what} must say how many characters to keep",
                hint="For example: {truncate: 20}",
            )
        return Redaction("truncate", int(text), place=node.place)
    kind = document.one_of(node, KINDS, what)
    if kind == "truncate":
        raise node.place.error(
            f"{what} does not say how many characters to keep",
            hint="Write {truncate: 20}.",
        )
    return Redaction(kind, place=node.place)
