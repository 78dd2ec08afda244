"""The schemas in which something is tried, and dropped afterwards whatever happens."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from ..database.connection import Connection
from ..errors import ConnectionLost, DatabaseError, PreflightError
from .render import SESSION
from .sql import Sql, ident, literal, qualified

__all__ = ["COMMENT", "MARK", "held", "scratch_schema"]

SUFFIX = "_scratch"
#: dev.mysql.com/doc, "Identifier Length Limits"; of a GET_LOCK's name too.
NAME_LENGTH = 64
#: Every table has it, so that nobody else's is ever dropped.
COMMENT = "Made by evtrig to try expressions; may be dropped"
#: A table of this name and comment says the same of the whole schema.
MARK = "evtrig_scratch_mark"
#: Seconds to wait until another installer has finished.
LOCK_TIMEOUT = 10

TABLES = """\
SELECT table_name, table_comment
  FROM information_schema.tables
 WHERE table_schema = %s
"""
ROUTINES = """\
SELECT routine_name
  FROM information_schema.routines
 WHERE routine_schema = %s
"""
SCHEMA = "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s"


def scratch_schema(outbox: str, number: int = 1) -> str:
    """The name of a schema in which something is tried; one is enough for most."""
    suffix = SUFFIX if number == 1 else f"{SUFFIX}_{number}"
    return outbox[: NAME_LENGTH - len(suffix)] + suffix


@contextlib.contextmanager
def held(
    connection: Connection,
    schemas: Sequence[str],
    *,
    defaults: Mapping[str, Sql] | None = None,
) -> Iterator[None]:
    """Empty schemas, which this session alone works in, as one that makes triggers.

    ``defaults`` has the character set of a schema, as CREATE SCHEMA takes it. Raises
    PreflightError if another evtrig or somebody else's table is in the way.
    """
    lock = schemas[0]
    if not connection.value("SELECT GET_LOCK(%s, %s)", (lock, LOCK_TIMEOUT)):
        problem = f"another evtrig is trying expressions in {lock}"
        hint = "Wait until it has finished, and run the command again."
        raise PreflightError(((problem, hint),))
    session = connection.value("SELECT CONNECTION_ID()")
    before = connection.row("SELECT @@SESSION.sql_mode, @@SESSION.lock_wait_timeout")
    made: list[str] = []
    try:
        for statement in SESSION:
            connection.execute(statement)
        for schema in schemas:
            _remove(connection, schema)
        try:
            for schema in schemas:
                made.append(schema)
                default = (defaults or {}).get(schema, Sql(""))
                connection.execute(f"CREATE SCHEMA {ident(schema)}{default}")
                connection.execute(
                    f"CREATE TABLE {qualified(schema, MARK)} (`id` INT PRIMARY KEY)"
                    f" ENGINE = InnoDB COMMENT = {literal(COMMENT)}"
                )
            yield
        finally:
            _clean_up(connection, made, session, lock)
    finally:
        # A connection that is gone has taken the lock along.
        with contextlib.suppress(ConnectionLost):
            connection.execute("SELECT RELEASE_LOCK(%s)", (lock,))
            connection.execute(
                "SET SESSION sql_mode = %s, SESSION lock_wait_timeout = %s", before
            )


def _clean_up(
    connection: Connection, schemas: Sequence[str], session: int, lock: str
) -> None:
    try:
        for schema in schemas:
            _remove(connection, schema)
    except ConnectionLost:
        # Ctrl-C in the middle of a statement closes the connection, and the server goes
        # on with it. What cannot be dropped now is dropped by the next install.
        with contextlib.suppress(DatabaseError), Connection(connection.dsn) as other:
            with contextlib.suppress(DatabaseError):
                other.execute(f"KILL {session:d}")
            if other.value("SELECT GET_LOCK(%s, %s)", (lock, LOCK_TIMEOUT)):
                for schema in schemas:
                    _remove(other, schema)


def _remove(connection: Connection, schema: str) -> None:
    """Drop the schema, if nothing is in it but evtrig's own."""
    if connection.row(SCHEMA, (schema,)) is None:
        return
    tables = connection.rows(TABLES, (schema,))
    others = [name for name, comment in tables if comment != COMMENT]
    others += [name for (name,) in connection.rows(ROUTINES, (schema,))]
    if others and (MARK, COMMENT) not in tables:
        problem = (
            f"there is a schema {schema}, in which evtrig tries the expressions of the"
            f" spec, and it holds {others[0]}"
        )
        hint = "Drop it if it is of no use, or choose another `outbox:`."
        raise PreflightError(((problem, hint),))
    connection.execute(f"DROP SCHEMA IF EXISTS {ident(schema)}")
