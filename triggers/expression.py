"""An SQL expression over NEW and OLD, as a spec writes it.

What can be seen without a server is refused here, with the place in the spec: what is
no single expression, a row that an operation does not have, a sub-select. The rest
only a server can tell; scratch.py asks one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from ..errors import SpecError
from . import document
from .document import Node, Place, did_you_mean, shown
from .sql import Sql, ident, normalize

__all__ = ["ROWS", "Expression", "Reference", "expression"]

#: The rows that a trigger of each operation has (MySQL manual, "Trigger Syntax").
ROWS = {"insert": ("NEW",), "update": ("NEW", "OLD"), "delete": ("OLD",)}

TOKEN = re.compile(
    r"""
      (?P<reference>
          (?<![\w$@.`]) (?P<row>NEW|OLD) \s* \. \s*
          (?P<column> `(?:[^`]|``)+` | [\w$]+ ) )
    | (?P<function>
          (?<![\w$@.`]) (?P<schema> `(?:[^`]|``)+` | [\w$]+ ) \s* \. \s*
          (?P<name> `(?:[^`]|``)+` | [\w$]+ ) (?= \s* \( ) )
    | (?P<quoted> '(?:[^'\\]|''|\\.)*' | "(?:[^"\\]|""|\\.)*" | `(?:[^`]|``)*` )
    | (?P<word> @*[\w$]+ )
    | (?P<comment> --(?=\s|$) | \# | /\* )
    | (?P<open> \( ) | (?P<close> \) )
    | (?P<unclosed> ['"`] )
    | (?P<end> ; )
    | .
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)

ALONE = "Write one SQL expression, such as NEW.status <> 'draft'."


@dataclass(frozen=True)
class Reference:
    """A column of one of the two rows, as an expression names it."""

    #: ``NEW`` or ``OLD``.
    row: str
    #: As it is written, which need not be the case of the table.
    column: str


@dataclass(frozen=True)
class Expression:
    """SQL that a trigger evaluates for each row; to be set in parentheses."""

    #: On one line, with names of columns quoted.
    sql: Sql
    references: tuple[Reference, ...]
    place: Place = field(compare=False)
    #: Stored functions that it calls, as schema and name.
    functions: tuple[tuple[str, str], ...] = ()

    @property
    def column(self) -> Reference | None:
        """The column, if the expression is one and nothing else."""
        if len(self.references) == 1 and self.sql == referred(self.references[0]):
            return self.references[0]
        return None

    def check_rows(self, operations: Iterable[str], what: str) -> None:
        """Raise SpecError if one of the operations has no such row."""
        for operation in operations:
            for reference in self.references:
                if reference.row not in ROWS[operation]:
                    there = ROWS[operation][0]
                    raise self.place.error(
                        f"{what} reads {reference.row}.{shown(reference.column)}, but"
                        f" {operation} has no {reference.row} row",
                        hint=f"Write {there} instead of {reference.row}, or take"
                        f" {operation} out of the operations.",
                    )

    def check_columns(self, columns: Collection[str], what: str) -> None:
        """Raise SpecError if a column is not among these."""
        if error := self.unknown_column(columns, what):
            raise error

    def unknown_column(self, columns: Collection[str], what: str) -> SpecError | None:
        """The error about a column that is not among these, None if all are."""
        known = {column.lower() for column in columns}
        for reference in self.references:
            if reference.column.lower() not in known:
                return self.place.error(
                    f"{what} reads {reference.row}.{shown(reference.column)}, which is"
                    f" not in `columns`{did_you_mean(reference.column, columns)}",
                    hint="Correct the name, or add the column and its type.",
                )
        return None

    def names(self, columns: Collection[str]) -> str | None:
        """The first of these columns that the expression reads."""
        by_name = {column.lower(): column for column in columns}
        for reference in self.references:
            if found := by_name.get(reference.column.lower()):
                return found
        return None


def expression(node: Node, what: str) -> Expression:
    """Read an expression. Raises SpecError."""
    text = document.text(node, what)
    references: list[Reference] = []
    functions: list[tuple[str, str]] = []
    depth = 0
    parts = []
    for token in TOKEN.finditer(text):
        part = token[0]
        if token["reference"]:
            reference = Reference(token["row"].upper(), unquoted(token["column"]))
            references.append(reference)
            part = referred(reference)
        elif token["end"]:
            raise node.place.error(f"{what} holds a semicolon", hint=ALONE)
        elif token["comment"]:
            raise node.place.error(
                f"{what} holds a comment, which would hide what follows it",
                hint="Write the comment in the spec, after a #.",
            )
        elif token["unclosed"]:
            raise node.place.error(
                f"{what} has a quote {token['unclosed']} that is not closed", hint=ALONE
            )
        elif token["word"] and token["word"].upper() in ("SELECT", "TABLE"):
            raise node.place.error(
                f"{what} reads a table: `{shown(text)}`",
                hint="A trigger sees the row that changes, NEW and OLD. Another table"
                " would be read, and could be locked or missing, in every write.",
            )
        elif token["function"]:
            functions.append((unquoted(token["schema"]), unquoted(token["name"])))
        depth += bool(token["open"]) - bool(token["close"])
        if depth < 0:
            break
        parts.append(part)
    if depth:
        raise node.place.error(
            f"{what} has a parenthesis too many or too few: `{shown(text)}`", hint=ALONE
        )
    sql = Sql(normalize("".join(parts)))
    if not sql:
        raise node.place.error(f"{what} is empty", hint=ALONE)
    return Expression(sql, tuple(references), node.place, tuple(functions))


def referred(reference: Reference) -> Sql:
    return Sql(f"{reference.row}.{ident(reference.column)}")


def unquoted(name: str) -> str:
    return name[1:-1].replace("``", "`") if name.startswith("`") else name
