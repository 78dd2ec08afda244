"""What a migration could touch, and which of its statements are tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..database.connection import Connection
from ..database.server import Server
from ..errors import UsageError
from .foreign_key import ForeignKey, foreign_keys
from .foreseen import Foreseen
from .install import server_of, tables_of
from .scratch_name import OWN
from .spec import Spec
from .statement import Statement, chains, refusal
from .table import Table

__all__ = ["Ground", "Task"]

#: Statements that change no table's shape, and need no word about what they name.
HARMLESS = frozenset(
    {"SET", "SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "START", "BEGIN"}
    | {"COMMIT", "ROLLBACK", "SHOW", "USE", "ANALYZE", "DO", "UNLOCK", "LOCK"}
    | {"EXPLAIN", "WITH", "VALUES", "GRANT", "REVOKE", "FLUSH", "CHECK"}
)
#: What these do is not in the file.
OPAQUE = frozenset({"CALL", "EXECUTE", "PREPARE", "SOURCE"})

#: With one of these on, the server takes quotes for something else.
QUOTING_MODES = ("ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ORACLE", "MSSQL", "DB2")


@dataclass(frozen=True)
class Task:
    """A statement that is tried, and the schema of its bare names."""

    statement: Statement
    schema: str


@dataclass(frozen=True)
class Ground:
    """What a migration could touch, as the database has it."""

    spec: Spec
    server: Server
    #: Of the schemas that the spec captures from.
    tables: tuple[Table, ...]
    keys: tuple[ForeignKey, ...]
    #: Whether the server does not tell `Shop` from `shop`.
    is_folded: bool
    #: A mode of the server in which quotes are something else; None if there is none.
    quoting: str | None
    #: Of bare names; None if it cannot be told.
    default: str | None

    @classmethod
    def survey(cls, connection: Connection, spec: Spec) -> Ground:
        server = server_of(connection, spec)
        tables = tables_of(connection, spec)
        schemas = sorted({table.schema for table in spec.tables})
        row = connection.row("SELECT @@lower_case_table_names, @@GLOBAL.sql_mode")
        assert row is not None
        modes = str(row[1]).split(",")
        named = connection.dsn.schema
        default = schemas[0] if len(schemas) == 1 else None
        return cls(
            spec=spec,
            server=server,
            tables=tables,
            keys=foreign_keys(connection, schemas),
            is_folded=bool(row[0]),
            quoting=next((mode for mode in QUOTING_MODES if mode in modes), None),
            default=named if named in schemas else default,
        )

    @property
    def schemas(self) -> frozenset[str]:
        """Those for which a scratch schema can stand."""
        found = {table.schema for table in self.spec.tables}
        return frozenset(
            found.union(*({key.schema, key.parent_schema} for key in self.keys))
        )

    def fold(self, name: str) -> str:
        return name.lower() if self.is_folded else name

    def schema(self, name: str) -> str | None:
        """The one of ``schemas`` that is called so."""
        by_name = {self.fold(schema): schema for schema in self.schemas}
        return by_name.get(self.fold(name))

    def sort(
        self, statements: Sequence[Statement], path: str
    ) -> Iterator[Task | Foreseen]:
        """What is tried, and what has to be said of the rest."""
        schema: str | None = self.default
        is_elsewhere = False
        passed: dict[str, list[int]] = {}
        for statement in statements:
            verb = statement.verb.partition(" ")[0]
            if verb == "USE":
                name = statement.tokens[-1].name
                schema = None if name is None else self.schema(name)
                is_elsewhere = schema is None
                continue
            if statement.shape is None:
                if verb in HARMLESS and "STATEMENT" not in statement.verb.split():
                    passed.setdefault(verb, []).append(statement.line)
                else:
                    why = "it is not a statement that changes the shape of tables"
                    yield self.not_tried(statement, why, path)
                continue
            reason = refusal(statement, lambda name: self.schema(name) is not None, OWN)
            if reason is None and is_elsewhere:
                reason = "its schema, which USE names, is not one that is captured from"
            if (
                reason is None
                and self.quoting
                and any(
                    token.text[:1] == '"' or "\\" in token.text
                    for token in statement.tokens
                )
            ):
                reason = (
                    f"the server has {self.quoting}, and it has quotes or backslashes"
                )
            of = schema
            for chain in chains(statement.tokens):
                # Without a schema of its own, a session has to write it.
                of = of or self.schema(statement.tokens[chain[0]].name or "")
            if reason is not None:
                yield self.not_tried(statement, reason, path)
            elif of is None:
                raise UsageError(
                    f"{path}:{statement.line}: its schema is not known: the spec has"
                    f" {', '.join(sorted(t.schema for t in self.spec.tables))}",
                    hint="Name the schema in the DSN, or write USE before it.",
                )
            else:
                yield Task(statement, of)
        for verb, lines in passed.items():
            listed = ", ".join(map(str, lines[:5])) + (", …" if lines[5:] else "")
            at = f"line{'s' if len(lines) > 1 else ''} {listed}"
            yield Foreseen(
                "notice",
                path,
                f"{verb} on {at} is passed over",
                "It changes no table's shape.",
                "",
            )

    def not_tried(self, statement: Statement, why: str, path: str) -> Foreseen:
        """About a statement that is passed over, and could matter."""
        names = {self.fold(name) for name in statement.names}
        captured = {self.fold(table.name) for table in self.spec.tables}
        captured |= {self.fold(table.schema) for table in self.spec.tables}
        first = statement.verb.partition(" ")[0]
        may_matter = bool(names & captured) or first in OPAQUE
        may_matter |= any(name.startswith("evtrig_") for name in names)
        return Foreseen(
            "warning" if may_matter else "notice",
            f"{path}:{statement.line}",
            f"{statement.title} was not tried: {why}",
            "What it does to captured tables is not foreseen." if may_matter else "",
            "Run evtrig check after it." if may_matter else "",
        )
