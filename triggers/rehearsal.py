"""Scratch copies of tables with their triggers, on which a migration is tried.

A copy is made of what SHOW CREATE TABLE says, so that keys, checks and foreign keys
have their names; it holds no row. The triggers are those that are installed, turned to
the scratch schemas. Nothing is written to a copy, whose constraints could refuse it:
what a write would do is seen on a twin, a table with its columns and nothing else.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..database.connection import Connection
from ..errors import ConnectionLost, DatabaseError
from .actor import Actor
from .foreign_key import ForeignKey, foreign_keys
from .render import SESSION, render_events, render_salts
from .scratch import BYTES, CHARACTERS, COLUMNS, INVENTED, NOT_THE_EXPRESSION
from .scratch_name import HELPERS, OWN, TWIN, Name, Names
from .sql import Sql, ident, literal, qualified
from .statement import Statement, Token, tokens, turned
from .table import Table, introspect
from .trigger import CASCADE

__all__ = ["TWINLESS", "Failed", "Rehearsal", "State", "opened"]

#: Instead of an operation: no twin could be made, so nothing is known of any.
TWINLESS = "none"
#: Modes that do not change what a token is.
PLAIN_MODES = frozenset(
    {"STRICT_TRANS_TABLES", "STRICT_ALL_TABLES", "NO_ZERO_DATE", "NO_ZERO_IN_DATE"}
    | {"NO_ENGINE_SUBSTITUTION", "ALLOW_INVALID_DATES", "ERROR_FOR_DIVISION_BY_ZERO"}
    | {"NO_AUTO_VALUE_ON_ZERO", "NO_UNSIGNED_SUBTRACTION", "TRADITIONAL"}
)

TRIGGERS = """\
SELECT trigger_name, event_object_schema, event_object_table
  FROM information_schema.triggers
 WHERE trigger_schema IN ({places})
"""
NUMBERS = ("tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float")


@dataclass(frozen=True)
class Failed:
    """What the server said to a statement, about the real tables."""

    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.text} ({self.number})"


@dataclass(frozen=True)
class State:
    """How things are at one point of the migration, under the real names."""

    tables: Mapping[Name, Table]
    #: By captured table, where its triggers are now; None if they are gone.
    places: Mapping[Name, Name | None]
    #: By captured table and operation, or TWINLESS, what a write fails with.
    failures: Mapping[Name, Mapping[str, Failed]]

    def table_of(self, source: Name) -> Table | None:
        """The captured table: of its name, or else where its triggers have gone."""
        place = self.places.get(source)
        return self.tables.get(source) or (self.tables.get(place) if place else None)


class Rehearsal:
    """Works in scratch schemas that are there already, on a connection of its own."""

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names
        self._actors: dict[Name, list[Actor]] = {}
        #: Names of the triggers that could be put on the copies.
        self._there: set[str] = set()
        self._failures: dict[Name, Mapping[str, Failed]] = {}
        #: The key of a twin: a name that no trigger can mean.
        self._row = f"evtrig_row_{secrets.token_hex(8)}"
        modes = str(connection.value("SELECT @@GLOBAL.sql_mode")).split(",")
        self._mode = ",".join(mode for mode in modes if mode in PLAIN_MODES)
        server, first = connection.server, next(iter(names.schemas.values()))
        for render in (render_events, render_salts):
            text = render(names.outbox, server)
            connection.execute(turned(tuple(tokens(text, path="")), names.table))
        salts = qualified(first, HELPERS["salts"])
        connection.execute(f"INSERT INTO {salts} VALUES ('default', REPEAT('0', 64))")

    def copy(self, table: Name, definition: Sequence[Token]) -> Failed | None:
        """Make a copy; what the server says if it cannot be made."""
        statement = turned(_without_places(definition), self._names.table)
        self._connection.execute("SET SESSION foreign_key_checks = 0")
        failed = self._try(table[0], statement)
        self._connection.execute("SET SESSION foreign_key_checks = 1")
        return failed

    def put(self, actors: Iterable[Actor]) -> None:
        """Put triggers on the copies of their tables.

        Raises DatabaseError if this account may not create triggers.
        """
        for actor in actors:
            self._actors.setdefault(actor.source, []).append(actor)
            place = self._names.table(*actor.source)
            assert place is not None
            try:
                self._create(actor, place, qualified(place[0], str(actor.name)))
            except ConnectionLost:
                raise
            except DatabaseError as error:
                if error.number in NOT_THE_EXPRESSION:
                    raise
                # It is broken already: firing it on a twin will say how.
            else:
                self._there.add(str(actor.name))

    def run(self, statement: Statement, schema: str) -> Failed | None:
        """Try a statement of the migration; what the server says if it fails."""
        self._connection.execute("SET SESSION sql_mode = %s", (self._mode,))
        failed = self._try(schema, turned(statement.tokens, self._names.table))
        self._connection.execute(SESSION[1])
        return failed

    def keys(self) -> tuple[ForeignKey, ...]:
        """The foreign keys of the copies, under the real names."""
        scratch = set(self._names.schemas.values())
        real = self._names.real
        return tuple(
            replace(key, schema=real(key.schema), parent_schema=real(key.parent_schema))
            for key in foreign_keys(self._connection, scratch)
            if {key.schema, key.parent_schema} <= scratch
        )

    def look(self, names: Collection[str] | None = None) -> State:
        """How things are now.

        Writes are tried anew on the captured tables that ``names`` has, on all without.
        """
        real, schemas = self._names.real, tuple(self._names.schemas.values())
        tables = {
            (real(table.schema), table.name): replace(table, schema=real(table.schema))
            for table in introspect(self._connection, schemas)
            if table.name not in OWN
        }
        there = self._triggers(schemas)
        places: dict[Name, Name | None] = {}
        folded = None if names is None else {self._names.fold(name) for name in names}
        for source, actors in self._actors.items():
            found = [there[str(a.name)] for a in actors if str(a.name) in there]
            place = found[0] if found else None
            if not any(str(actor.name) in self._there for actor in actors):
                place = source if source in tables else None
            places[source] = place
            if folded is not None and not folded & {
                self._names.fold(name)
                for pair in (source, place or source, *self._tables_of(source))
                for name in pair[1:]
            }:
                continue
            self._failures[source] = self._fire(place, actors) if place else {}
        return State(tables, places, dict(self._failures))

    def _tables_of(self, source: Name) -> Iterable[Name]:
        for actor in self._actors[source]:
            yield from actor.tables()

    def _triggers(self, schemas: Sequence[str]) -> dict[str, Name]:
        query = TRIGGERS.format(places=", ".join(["%s"] * len(schemas)))
        return {
            name: (self._names.real(schema), table)
            for name, schema, table in self._connection.rows(query, schemas)
        }

    def _fire(self, place: Name, actors: Sequence[Actor]) -> Mapping[str, Failed]:
        """By operation, what a write to a table with these triggers fails with."""
        scratch = self._names.table(*place)
        assert scratch is not None
        columns = self._connection.rows(COLUMNS, scratch)
        twin, row = qualified(scratch[0], TWIN), ident(self._row)
        names = [ident(str(name)) for name, *_ in columns]
        listed = ", ".join(f"`source`.{name}" for name in names)
        execute = self._connection.execute
        execute(f"DROP TABLE IF EXISTS {twin}")
        values = ", ".join(_invented(str(t), length) for _, t, length in columns)
        rows = f"INSERT INTO {twin} ({', '.join(names)}) VALUES ({values})"
        nothing = ", NULL" * len(names)
        nulls = f"INSERT INTO {twin} ({', '.join([row, *names])})"
        nulls += f" VALUES (1{nothing}), (2{nothing})"
        failed: dict[str, Failed] = {}
        try:
            execute(
                f"CREATE TABLE {twin} ({row} BIGINT UNSIGNED NOT NULL AUTO_INCREMENT"
                f" PRIMARY KEY) ENGINE = InnoDB AS SELECT {listed}"
                " FROM (SELECT 1 AS `one`) AS `one`"
                f" LEFT JOIN {qualified(*scratch)} AS `source` ON FALSE LIMIT 0"
            )
            execute(nulls)
            engine = self._engine(scratch)
            if engine.lower() != "innodb":
                # Separately: with GTIDs another engine takes no CREATE … SELECT.
                execute(f"ALTER TABLE {twin} ENGINE = {engine}")
        except ConnectionLost:
            raise
        except DatabaseError as error:
            return {TWINLESS: Failed(error.number, self._names.told(error.text))}
        for number, actor in enumerate(actors):
            try:
                name = qualified(scratch[0], f"evtrig_trial_{number}")
                self._create(actor, (scratch[0], TWIN), name)
            except DatabaseError as error:
                self._note(failed, actor.operation, error)
        pairs = ", ".join(
            f"{name} = {_invented(str(t), length)}"
            for name, (_, t, length) in zip(names, columns, strict=True)
        )
        # Values that a type does not take are of no interest; triggers have a mode of
        # their own.
        execute("SET SESSION sql_mode = ''")
        for operation, statement in (
            ("update", f"UPDATE {twin} SET {pairs} WHERE {row} = 1"),
            ("delete", f"DELETE FROM {twin} WHERE {row} = 2"),
            ("insert", rows),
        ):
            try:
                execute(statement)
            except DatabaseError as error:
                self._note(failed, operation, error)
        execute(SESSION[1])
        execute(f"DROP TABLE IF EXISTS {twin}")
        return failed

    def _note(
        self, failed: dict[str, Failed], operation: str, error: DatabaseError
    ) -> None:
        if isinstance(error, ConnectionLost):
            raise error
        operation = "delete" if operation == CASCADE else operation
        text = self._names.told(error.text)
        failed.setdefault(operation, Failed(error.number, text))

    def _engine(self, table: Name) -> Sql:
        query = "SELECT engine FROM information_schema.tables"
        query += " WHERE table_schema = %s AND table_name = %s"
        engine = str(self._connection.value(query, table))
        return Sql(engine if engine.isalnum() else "InnoDB")

    def _create(self, actor: Actor, place: Name, name: Sql) -> None:
        event = f"AFTER {actor.operation.upper()}"
        if actor.operation == CASCADE:
            event = "BEFORE DELETE"
        body = turned(actor.tokens, self._names.table, without_functions=True)
        self._connection.execute(
            f"CREATE TRIGGER {name} {event} ON {qualified(*place)} FOR EACH ROW {body}"
        )

    def _try(self, schema: str, statement: Sql) -> Failed | None:
        scratch = self._names.schema(schema)
        assert scratch is not None
        try:
            self._connection.execute(f"USE {ident(scratch)}")
            self._connection.execute(statement)
        except ConnectionLost:
            raise
        except DatabaseError as error:
            return Failed(error.number, self._names.told(error.text))
        return None


def opened(create: str) -> tuple[Token, ...]:
    """The tokens of what SHOW CREATE TABLE gives."""
    return tuple(tokens(create, path="SHOW CREATE TABLE", is_opened=True))


def _without_places(found: Sequence[Token]) -> list[Token]:
    """Without what says where files are: a copy is where new tables go."""
    kept: list[Token] = []
    index = 0
    while index < len(found):
        token, after = found[index], found[index + 1 : index + 2]
        length = 0
        if token.is_word("DATA", "INDEX") and after and after[0].is_word("DIRECTORY"):
            length = 2
        elif token.is_word("TABLESPACE"):
            length = 1
        if not length:
            kept.append(token)
            index += 1
            continue
        index += length
        index += 2 if found[index].text == "=" else 1
    return kept


def _invented(type_: str, length: int | None) -> Sql:
    """A value of a column that was NULL."""
    kind = type_.lower()
    if kind in NUMBERS or kind in ("double", "bit"):
        return Sql("0")
    if kind in CHARACTERS:
        return literal("1"[: int(length or 0)])
    if kind in BYTES:
        # No text in any character set of JSON.
        return Sql("0xFF")
    return INVENTED.get(kind, Sql("NULL"))
