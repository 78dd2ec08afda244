"""What a database has of evtrig."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..database.connection import Connection
from ..errors import DatabaseError
from .account import Account
from .capture import Capture
from .emit import PROCEDURE
from .privilege import Privileges, privileges_of
from .seal import is_broken
from .sql import literal, qualified
from .trigger import CASCADE, Mark, TriggerName

__all__ = ["Installed", "InstalledProcedure", "InstalledTrigger", "inspect"]

#: The relay's row in event_polling_state.
RELAY = "default"

#: The row of salts that redaction by hash uses.
SALT = "default"

#: What a trigger must have kept of the session that created it (render.SESSION).
SQL_MODE = frozenset({"STRICT_TRANS_TABLES", "NO_ENGINE_SUBSTITUTION"})
CHARACTER_SET = "utf8mb4"
COLLATION = "utf8mb4_bin"


@dataclass(frozen=True)
class InstalledTrigger:
    """One of evtrig's triggers, as information_schema has it."""

    name: TriggerName
    schema: str
    table: str
    #: From the label or BEGIN to END.
    body: str
    #: ``user@host``
    definer: str
    sql_mode: frozenset[str] = SQL_MODE
    character_set: str = CHARACTER_SET
    collation: str = COLLATION

    @property
    def source(self) -> str:
        """The table it is on now, as ``schema.table``."""
        return f"{self.schema}.{self.table}"

    @property
    def expects(self) -> Mark | None:
        """The mark of its next generation; None if that was edited away.

        As the body has it: a tool that copies a table may have named the trigger anew.
        """
        return _mark(EXPECTED, self.body)

    @property
    def leaves(self) -> Mark | None:
        """The mark for the generation before; None if it was the first."""
        return _mark(LEFT, self.body)

    @property
    def is_edited(self) -> bool | None:
        """Whether its body is not as evtrig has written it; None if that is unknown."""
        if self.is_cascade:
            return None
        return is_broken(self.expects.token if self.expects else "", self.body)

    @property
    def is_cascade(self) -> bool:
        """Whether it belongs to a parent of captured tables, and records nothing."""
        return self.name.operation == CASCADE

    @property
    def cascades_to(self) -> frozenset[str]:
        """The captured tables that such a trigger is there for, as ``schema.table``."""
        match = CAPTURED.search(self.body)
        listed = match[1] if match else ""
        pairs = QUALIFIED.findall(listed.replace("''", "'").replace("\\\\", "\\"))
        return frozenset(".".join(pair).replace("``", "`") for pair in pairs)

    def writes_to(self, events: str) -> bool:
        """Whether its events go to this table, a quoted name."""
        return events in self.body or literal(events) in self.body


@dataclass(frozen=True)
class InstalledProcedure:
    """The procedure ``emit``, as information_schema has it."""

    #: From the label to END.
    body: str
    #: ``user@host``
    definer: str
    sql_mode: frozenset[str] = SQL_MODE


@dataclass(frozen=True)
class Installed:
    """What a database has of evtrig; by default nothing."""

    #: Those that write to the outbox in question.
    triggers: tuple[InstalledTrigger, ...] = ()
    #: Triggers with a name of evtrig's that write elsewhere.
    others: tuple[InstalledTrigger, ...] = ()
    has_outbox: bool = False
    #: Tables in the outbox schema, with the names of their columns.
    outbox_tables: Mapping[str, frozenset[str]] = field(default_factory=dict)
    #: Whether the relay's row is in event_polling_state.
    has_relay: bool = False
    #: Whether the salt is in salts.
    has_salt: bool = False
    emit: InstalledProcedure | None = None
    #: Of the definer's account; None if there is no such account.
    definer_privileges: Privileges | None = None
    #: Whether the connected account may not know about the definer's.
    is_definer_hidden: bool = False


#: The marks in the body of a trigger.
EXPECTED = re.compile(r"@(evtrig_\w+) AS BINARY\) = CONCAT\('(\w+)'")
LEFT = re.compile(r"SET @(evtrig_\w+) = CONCAT\('(\w+)'")
#: The captured tables that a trigger of a cascade is there for.
CAPTURED = re.compile(r"evtrig_tables [^']* DEFAULT '((?:[^'\\]|''|\\.)*)'")
QUALIFIED = re.compile(r"`((?:[^`]|``)*)`\.`((?:[^`]|``)*)`")

#: What makes information_schema.triggers unfaithful: MySQL 9.7 garbles a name with a
#: back-tick, MariaDB 10.11 writes literals anew. SHOW CREATE TRIGGER has what was sent.
ODD_NAME = re.compile(r"[`\\\r\n']")
#: The same of an expression, where names and literals are quoted already.
ODD_EXPRESSION = re.compile(r"""[\\\r\n"]|''|``""")

TRIGGERS = """\
SELECT trigger_name, trigger_schema, event_object_table, action_statement,
       definer, sql_mode, character_set_client, collation_connection
  FROM information_schema.triggers
 WHERE trigger_name LIKE 'evtrig\\_%%'
"""
OUTBOX_COLUMNS = """\
SELECT table_name, column_name
  FROM information_schema.columns
 WHERE table_schema = %s
"""
PROCEDURES = """\
SELECT routine_definition, definer, sql_mode
  FROM information_schema.routines
 WHERE routine_schema = %s AND routine_name = %s AND routine_type = 'PROCEDURE'
"""
OUTBOX = "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s"


def inspect(
    connection: Connection,
    captures: Sequence[Capture],
    *,
    outbox: str,
    definer: Account | None,
) -> Installed:
    """What this database has of evtrig with this outbox.

    A few queries, and one more for each trigger that names something odd, for which
    ``captures`` tells the columns.
    """
    odd = {
        capture.source
        for capture in captures
        if any(ODD_NAME.search(column.name) for column in capture.columns)
        or any(ODD_EXPRESSION.search(e.sql) for e in capture.expressions())
        or any(ODD_NAME.search(name) for e in capture.events for name, _ in e.data)
        or any(ODD_NAME.search(event.type) for event in capture.events)
    }
    has_outbox = connection.value(OUTBOX, (outbox,)) is not None
    tables: dict[str, frozenset[str]] = {}
    for table, column in connection.rows(OUTBOX_COLUMNS, (outbox,)):
        tables[table] = tables.get(table, frozenset()) | {column}
    has_relay = False
    if "event_polling_state" in tables:
        state = qualified(outbox, "event_polling_state")
        query = f"SELECT 1 FROM {state} WHERE name = {literal(RELAY)}"
        has_relay = connection.value(query) is not None
    has_salt = False
    if "salts" in tables:
        salts = qualified(outbox, "salts")
        query = f"SELECT 1 FROM {salts} WHERE name = {literal(SALT)}"
        has_salt = connection.value(query) is not None
    events = str(qualified(outbox, "events"))
    triggers = tuple(_triggers(connection, outbox, odd))
    privileges, is_hidden = _definer_privileges(connection, definer)
    return Installed(
        triggers=tuple(t for t in triggers if t.writes_to(events)),
        others=tuple(t for t in triggers if not t.writes_to(events)),
        has_outbox=has_outbox,
        outbox_tables=tables,
        has_relay=has_relay,
        has_salt=has_salt,
        emit=_emit(connection, outbox),
        definer_privileges=privileges,
        is_definer_hidden=is_hidden,
    )


def _emit(connection: Connection, outbox: str) -> InstalledProcedure | None:
    row = connection.row(PROCEDURES, (outbox, PROCEDURE))
    if row is None:
        return None
    body, owner, sql_mode = row
    if body is None or ODD_NAME.search(outbox + body):
        # NULL for whoever neither owns it nor may see all routines.
        create = connection.row(f"SHOW CREATE PROCEDURE {qualified(outbox, PROCEDURE)}")
        text = str(create[2]) if create else ""
        body = "emit: BEGIN" + text.partition("emit: BEGIN")[2]
    return InstalledProcedure(body, owner, modes(sql_mode))


def _mark(pattern: re.Pattern[str], body: str) -> Mark | None:
    match = pattern.search(body)
    return Mark(match[1], match[2]) if match else None


def modes(text: str) -> frozenset[str]:
    return frozenset(filter(None, text.split(",")))


def _triggers(
    connection: Connection, outbox: str, odd: Collection[str]
) -> Iterable[InstalledTrigger]:
    for name, schema, table, body, *rest in connection.rows(TRIGGERS, ()):
        parsed = TriggerName.parse(name)
        if parsed is None:
            continue
        owner, sql_mode, character_set, collation = rest
        source = f"{schema}.{table}"
        # One of a cascade has names of other tables too, and there are few.
        is_cascade = parsed.operation == CASCADE
        label = "cascades: BEGIN" if is_cascade else "capture: BEGIN"
        is_shown = is_cascade or source in odd or bool(ODD_NAME.search(source + outbox))
        if is_shown:
            body = _shown(connection, schema, name, label) or body
        trigger = InstalledTrigger(
            name=parsed,
            schema=schema,
            table=table,
            body=body,
            definer=owner,
            sql_mode=modes(sql_mode),
            character_set=character_set,
            collation=collation,
        )
        if trigger.is_edited and not is_shown:
            # Or the table had an odd name in it when the trigger was made.
            body = _shown(connection, schema, name, label) or body
            trigger = replace(trigger, body=body)
        yield trigger


def _shown(connection: Connection, schema: str, name: str, label: str) -> str | None:
    """The body from its label on, as it was sent."""
    row = connection.row(f"SHOW CREATE TRIGGER {qualified(schema, name)}")
    # What comes before is not compared, and neither is it in the view.
    return label + row[2].partition(label)[2] if row else None


def _definer_privileges(
    connection: Connection, definer: Account | None
) -> tuple[Privileges | None, bool]:
    """The definer's privileges, and whether they are hidden from this account."""
    if definer is None:
        return None, False
    try:
        return privileges_of(connection, definer), False
    except DatabaseError:
        # Only an account that may read the schema `mysql` is told.
        return None, True
