"""Trying the expressions of a spec on scratch copies, before anything is installed.

Many mistakes show only when a trigger fires, and then the application's write fails:
an aggregate, an unknown function, a comparison that strict mode refuses. So every
expression gets a probe, a trigger on a copy of its table in a schema of its own, which
is dropped afterwards. The probes fire in three stages, each rolled back:

``resolve``
    Names and functions are looked up. What fails here fails always.
``invented``
    A few harmless rows. What fails for all of them is no matter of a value.
``rows``
    Copies of existing rows. Nothing of their contents reaches a message.

The copy has the columns and nothing else: no constraint, generated column or partition
that could keep a row out. It is made with CREATE TABLE … SELECT of an outer join, whose
columns may be NULL, and with a key of its own (sql_require_primary_key).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..database.connection import Connection
from ..errors import ConnectionLost, DatabaseError, PreflightError
from .capture import Capture, Problem
from .document import Place
from .plan import Plan
from .privilege import own_privileges
from .probe import Error, Probe, probes, problems, render_probe, told
from .render import SESSION
from .scratch_schema import COMMENT, held, scratch_schema
from .sql import Sql, account, every_table, ident, literal, qualified

__all__ = [
    "Failure",
    "dry_run",
    "lacking",
    "lacking_of",
    "scratch_schema",
    "to_try",
    "try_expressions",
]

#: All of them are needed, and no other (MySQL 9.7, MariaDB 10.11).
PRIVILEGES = ("CREATE", "DROP", "SELECT", "INSERT", "UPDATE", "DELETE", "TRIGGER")
#: What a copied row holds was once accepted, if not by strict mode.
FIRING_MODE = "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION,ALLOW_INVALID_DATES"

COLUMNS = """\
SELECT column_name, data_type, character_maximum_length
  FROM information_schema.columns
 WHERE table_schema = %s AND table_name = %s
 ORDER BY ordinal_position
"""

#: Of invented rows, one each: a number, a date, JSON.
TEXTS = ("1", "2000-01-01", "{}")
CHARACTERS = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext")
BYTES = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")
NUMBERS = (
    *("tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float"),
    *("double", "bit", "enum", "set"),
)
#: The value by type; NULL for types that are not here.
INVENTED = {
    **dict.fromkeys(NUMBERS, Sql("1")),
    **dict.fromkeys(("date", "datetime", "timestamp"), Sql("'2000-01-01'")),
    "time": Sql("'00:00:01'"),
    "year": Sql("2000"),
    "json": Sql("'{}'"),
}

#: Errors of CREATE TRIGGER that are not about the expression in it.
NOT_THE_EXPRESSION = frozenset({1044, 1142, 1143, 1205, 1213, 1227, 1419, 1317})


@dataclass(frozen=True)
class Failure:
    """An expression that failed under one operation, with one error."""

    #: Of the expression in the spec.
    place: Place
    #: As messages call it: "`when` of update of orders".
    what: str
    operation: str
    #: The server's.
    number: int
    #: Without the contents of any row.
    message: str
    #: How many rows it failed for; all of them if it can never work.
    rows: int
    #: How many rows it was tried on.
    tried: int


def to_try(captures: Sequence[Capture], plan: Plan) -> tuple[Capture, ...]:
    """The tables with expressions for which the plan creates a trigger."""
    created = {step.source for step in plan.steps if step.kind == "trigger"}
    return tuple(c for c in captures if c.source in created and probes(c))


def lacking(
    connection: Connection, captures: Sequence[Capture], *, outbox: str
) -> list[Problem]:
    """The privileges that the account lacks for trying these tables."""
    if not captures:
        return []
    schema = scratch_schema(outbox)
    needed = [
        (privilege, schema, None, every_table(schema)) for privilege in PRIVILEGES
    ] + [("SELECT", c.schema, c.table, qualified(c.schema, c.table)) for c in captures]
    return lacking_of(connection, needed, "to try the expressions of the spec")


def lacking_of(
    connection: Connection,
    needed: Iterable[tuple[str, str, str | None, Sql]],
    why: str,
) -> list[Problem]:
    """Of privileges on a schema or a table, those that the account lacks.

    Each with schema, table or None, and the object as GRANT takes it.
    """
    own = own_privileges(connection)
    user = str(connection.value("SELECT CURRENT_USER()"))
    return [
        (
            f"{user} lacks the privilege {privilege} on {on} ({why})",
            f"GRANT {privilege} ON {on} TO {account(*user.rsplit('@', 1))}",
        )
        for privilege, of, table, on in needed
        if not own.allow(privilege, of, table)
    ]


def try_expressions(
    connection: Connection, captures: Sequence[Capture], *, outbox: str, rows: int = 1
) -> None:
    """Try every expression, also on up to ``rows`` existing rows of each table.

    Raises PreflightError with every expression that fails, and leaves nothing behind.
    """
    captures = [capture for capture in captures if probes(capture)]
    if not captures:
        return
    errors: list[Error] = []
    with scratch(connection, outbox) as bench:
        for capture in captures:
            bench.lay_out(capture, probes(capture))
            bench.resolve()
            bench.invent()
            bench.copy(rows)
            errors += bench.errors
    if errors:
        raise PreflightError(tuple(problems(errors)))


def dry_run(
    connection: Connection, captures: Sequence[Capture], *, outbox: str, rows: int
) -> tuple[Failure, ...]:
    """Try every expression on up to ``rows`` existing rows of each table.

    An update changes nothing here, so a condition that compares NEW with OLD picks no
    row: what it guards is tried on every row. Raises PreflightError if the account
    lacks a privilege; leaves nothing behind.
    """
    captures = [capture for capture in captures if probes(capture)]
    if not captures:
        return ()
    if problems := lacking(connection, captures, outbox=outbox):
        raise PreflightError(tuple(problems))
    failures = []
    with scratch(connection, outbox) as bench:
        for capture in captures:
            bench.lay_out(capture, [_unguarded(probe) for probe in probes(capture)])
            bench.resolve()
            tried = bench.copy(rows)
            failures += [
                Failure(
                    place=error.probe.place,
                    what=error.probe.what,
                    operation=error.probe.operation,
                    number=error.number,
                    message=error.reason,
                    rows=error.rows if error.message is None else tried,
                    tried=tried,
                )
                for error in bench.errors
            ]
    return tuple(failures)


def _unguarded(probe: Probe) -> Probe:
    rows = {r.row for r in probe.guard.references} if probe.guard else set()
    return replace(probe, guard=None) if len(rows) > 1 else probe


class Bench:
    """The scratch schema, with the copy of one table at a time."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._schema = schema
        self._probes: list[Probe] = []
        #: Indexes of the probes that have not failed yet.
        self._sound: set[int] = set()
        self.errors: list[Error] = []
        self._create(
            "failures",
            "`probe` INT NOT NULL, `number` INT NOT NULL, `rows` BIGINT NOT NULL,"
            " `message` TEXT CHARACTER SET utf8mb4, PRIMARY KEY (`probe`, `number`)",
        )
        self._create(
            "recorded",
            "`evtrig_row` BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,"
            " `evtrig_value` LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        )

    def lay_out(self, capture: Capture, tried: Sequence[Probe]) -> None:
        """Copy the table without its rows, and put the probes on it."""
        self._probes, self._sound, self.errors = list(tried), set(), []
        self._columns = self._connection.rows(COLUMNS, (capture.schema, capture.table))
        names = [ident(str(name)) for name, *_ in self._columns]
        self._names = Sql(", ".join(names))
        self._source = qualified(capture.schema, capture.table)
        self._row = "evtrig_row"
        while self._row in {str(name).lower() for name, *_ in self._columns}:
            self._row += "_"
        drop = f"DROP TABLE IF EXISTS {self._table('subject')}"
        self._connection.execute(drop)
        listed = ", ".join(f"`source`.{name}" for name in names)
        self._create(
            "subject",
            f"{ident(self._row)} BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY",
            f" AS SELECT {listed} FROM (SELECT 1 AS `one`) AS `one`"
            f" LEFT JOIN {self._source} AS `source` ON FALSE LIMIT 0",
        )
        server = self._connection.server
        broken = set()
        for index, probe in enumerate(self._probes):
            is_guarded_well = probe.guard not in broken
            if not is_guarded_well:
                probe = replace(probe, guard=None)
            try:
                self._connection.execute(
                    render_probe(probe, self._schema, index, server)
                )
            except ConnectionLost:
                raise
            except DatabaseError as error:
                if error.number in NOT_THE_EXPRESSION:
                    raise
                broken.add(probe.expression)
                self._fail(index, error.number, 0, error.text)
            else:
                self._sound.add(index)

    def resolve(self) -> None:
        """Look up names and functions."""
        self._fire("resolve", self._insert(f"({', '.join(self._values(None))})"))

    def invent(self) -> None:
        """Fire for invented rows."""
        rows = ", ".join(f"({', '.join(self._values(text))})" for text in TEXTS)
        self._fire("invented", self._insert(rows), at_least=len(TEXTS))

    def copy(self, rows: int) -> int:
        """Fire for copies of existing rows; how many there were."""
        insert = f"INSERT INTO {self._table('subject')} ({self._names})"
        insert += f" SELECT {self._names} FROM {self._source} LIMIT {rows:d}"
        return self._fire("rows", Sql(insert))

    def _fire(self, stage: str, insert: Sql, at_least: int = 1) -> int:
        """Insert, update and delete; what fails for so many rows is an error."""
        execute = self._connection.execute
        subject, row = self._table("subject"), ident(self._row)
        execute("SET @evtrig_stage = %s", (stage,))
        execute(f"SET SESSION sql_mode = '{FIRING_MODE}'")
        execute("START TRANSACTION")
        try:
            tried = execute(insert)
            # An update that changes nothing fires on both servers. WHERE: see
            # sql_safe_updates.
            execute(f"UPDATE {subject} SET {row} = {row} WHERE {row} > 0")
            execute(f"DELETE FROM {subject} WHERE {row} > 0")
            found = self._connection.rows(
                "SELECT `probe`, `number`, `rows`, `message`"
                f" FROM {self._table('failures')} ORDER BY `probe`, `number`"
            )
        finally:
            # If the connection is gone, the error that is under way says more.
            with contextlib.suppress(ConnectionLost):
                execute("ROLLBACK")
                execute(SESSION[1])
        failed: dict[int, int] = {}
        for index, _, rows, _ in found:
            failed[index] = failed.get(index, 0) + int(rows)
        sound = set(self._sound)
        for index, number, rows, message in found:
            if index in sound and failed[index] >= at_least:
                self._fail(index, number, rows, message)
        return tried

    def _fail(self, index: int, number: int, rows: int, message: str | None) -> None:
        probe = self._probes[index]
        if message is not None:
            message = told(message, probe.expression, self._schema)
        self._sound.discard(index)
        self.errors.append(Error(probe, number, rows, message))

    def _insert(self, rows: str) -> Sql:
        return Sql(
            f"INSERT INTO {self._table('subject')} ({self._names}) VALUES {rows}"
        )

    def _values(self, text: str | None) -> list[Sql]:
        """One invented row; NULLs for None."""
        found = []
        for _, type_, length in self._columns:
            kind = str(type_).lower()
            value = INVENTED.get(kind, Sql("NULL"))
            if text is not None and kind in (*CHARACTERS, *BYTES):
                value = literal(text[: int(length)])
            found.append(Sql("NULL") if text is None else value)
        return found

    def _table(self, name: str) -> Sql:
        return qualified(self._schema, name)

    def _create(self, name: str, definition: str, select: str = "") -> None:
        self._connection.execute(
            f"CREATE TABLE {self._table(name)} ({definition}) ENGINE = InnoDB"
            f" COMMENT = {literal(COMMENT)}{select}"
        )


@contextlib.contextmanager
def scratch(connection: Connection, outbox: str) -> Iterator[Bench]:
    """An empty scratch schema, dropped afterwards whatever happens."""
    schema = scratch_schema(outbox)
    with held(connection, [schema]):
        yield Bench(connection, schema)
