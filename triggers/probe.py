"""One expression of a spec under one operation, as a trigger that only tries it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..database.server import Server
from .capture import Capture, Problem
from .document import Place, shown
from .expression import Expression
from .render import render
from .sql import Sql, qualified

__all__ = ["REASONS", "Error", "Probe", "probes", "problems", "render_probe", "told"]

#: Error numbers of either server.
UNKNOWN_COLUMN, SYNTAX, UNDECLARED, NO_FUNCTION = 1054, 1064, 1327, 1305
AGGREGATE, WINDOW = 1111, (3593, 4015)

NAMES = "Columns are written NEW.name or OLD.name."
HINTS = {
    UNKNOWN_COLUMN: NAMES,
    UNDECLARED: NAMES,
    SYNTAX: "Write one SQL expression, such as NEW.status <> 'draft'.",
    NO_FUNCTION: "Check the name; a stored function is written with its schema.",
    **dict.fromkeys(
        (AGGREGATE, *WINDOW),
        "A trigger sees one row, NEW and OLD: add up where the events arrive.",
    ),
}
HINT = "Correct the expression: it would make the application's writes fail."
ROW_HINT = (
    "A write of such a row would fail too: make the expression hold for every value of"
    " its columns; evtrig check --dry-run-rows 1000 tries more rows."
)

#: What an error on a real row is about: the server's text may hold a value.
REASONS = {
    1264: "a number is out of range",
    1292: "a value is not of the type that it is compared with or converted to",
    1300: "a binary value is taken for text",
    1301: "a result is larger than max_allowed_packet",
    1366: "a value does not fit the type or character set that it is converted to",
    1406: "a text is too long",
    1411: "a text is not a date",
    1690: "a result is out of range",
    3140: "a text is not JSON",
    3141: "a text is not JSON",
    3143: "a text is not a JSON path",
    3144: "a binary value cannot become JSON",
    3146: "a value cannot become JSON",
    4037: "a text ends before its JSON does",
    4038: "a text is not JSON",
    4041: "a text ends before its JSON path does",
    4042: "a text is not a JSON path",
}
UNTOLD = "an error whose text could hold a value"

NEAR = re.compile(r"^.* near '(?P<rest>.*)' at line \d+$", re.DOTALL)


@dataclass(frozen=True)
class Probe:
    """One expression of one table, under one operation."""

    #: As messages call it: "`when` of update of orders".
    what: str
    expression: Expression
    operation: str
    #: Whether it is recorded; it is a condition otherwise.
    is_value: bool
    #: The condition under which the trigger evaluates it.
    guard: Expression | None = None

    @property
    def place(self) -> Place:
        return self.expression.place


@dataclass(frozen=True)
class Error:
    """What a probe ran into."""

    probe: Probe
    number: int
    #: How often; 0 if the probe could not even be created.
    rows: int
    #: The server's; None for an error on a real row.
    message: str | None

    @property
    def reason(self) -> str:
        """Without the contents of any row."""
        if self.message is None:
            return REASONS.get(self.number, UNTOLD)
        return self.message

    @property
    def hint(self) -> str:
        if self.message is None:
            return ROW_HINT
        return HINTS.get(self.number, HINT)


@dataclass(frozen=True)
class ProbeView:
    """What the template knows of a probe; everything quoted."""

    probe: Probe
    #: The scratch schema.
    schema: str
    index: int

    @property
    def name(self) -> Sql:
        return qualified(self.schema, f"probe_{self.index}")

    @property
    def number(self) -> Sql:
        return Sql(str(self.index))

    @property
    def event(self) -> Sql:
        return Sql(self.probe.operation.upper())

    def table(self, name: str) -> Sql:
        return qualified(self.schema, name)

    @property
    def is_value(self) -> bool:
        return self.probe.is_value

    @property
    def expression(self) -> Sql:
        return self.probe.expression.sql

    @property
    def guard(self) -> Sql | None:
        return self.probe.guard.sql if self.probe.guard else None


def probes(capture: Capture) -> list[Probe]:
    """Every expression that can fail, under each of its operations.

    Conditions come before what they guard. A value that is a column and nothing else
    goes through the column's type, and resolve() has looked for it.
    """
    of = shown(capture.table)
    found = [
        Probe(f"`when` of {operation} of {of}", when, operation, is_value=False)
        for operation, when in capture.when.items()
    ]
    for event in capture.events:
        of = f"event {shown(event.type)}"
        for operation in event.operations:
            if event.when:
                found.append(
                    Probe(f"`when` of {of}", event.when, operation, is_value=False)
                )
            found += [
                Probe(f"`{shown(name)}` of {of}", value, operation, True, event.when)
                for name, value in event.data
                if value.column is None
            ]
    return found


def render_probe(probe: Probe, schema: str, index: int, server: Server) -> Sql:
    """CREATE TRIGGER for a probe, on the table `subject` of the scratch schema."""
    return render("probe.sql.j2", server, probe=ProbeView(probe, schema, index))


def told(text: str, expression: Expression, schema: str) -> str:
    """What the server says, without the probe around the expression."""
    text = text.replace(f"`{schema}`.", "").replace(f"{schema}.", "")
    found = NEAR.match(text)
    if found is None:
        return text
    # The server quotes what comes next, up to 80 characters of the probe.
    sql = expression.sql
    for start in range(len(sql)):
        if (found["rest"] + ")").startswith(sql[start:] + ")"):
            return f"syntax error near {sql[start:]}"
        if sql[start:].startswith(found["rest"]):
            return f"syntax error near {found['rest']}"
    return "syntax error at its end"


def problems(errors: Iterable[Error]) -> list[Problem]:
    """One for each expression, whatever the number of its operations."""
    grouped: dict[tuple[Place, str], list[Error]] = {}
    for error in errors:
        grouped.setdefault((error.probe.place, error.probe.what), []).append(error)
    return [_problem(group) for group in grouped.values()]


def _problem(errors: Sequence[Error]) -> Problem:
    first = errors[0]
    row = " fails for an existing row" if first.message is None else ""
    return (
        f"{first.probe.place}: {first.probe.what}{row}: {first.reason}"
        f" ({first.number})",
        first.hint,
    )
