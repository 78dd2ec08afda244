"""A migration tried on scratch copies of the tables that it concerns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ..database.connection import Connection
from ..errors import DatabaseError, PreflightError
from .cascade import paths
from .check import cascade_finding
from .document import shown
from .forecast import Stage, change, foreseen
from .foreign_key import ForeignKey, management
from .foreseen import Foreseen
from .ground import Ground, Task
from .order import order
from .rehearsal import TWINLESS, Rehearsal, State, opened
from .scratch import PRIVILEGES, lacking_of
from .scratch_name import Name, Names
from .scratch_schema import held, scratch_schema
from .sql import Sql, every_table, qualified
from .statement import Statement, chains
from .subject import Subject, fitting, subjects
from .table import Table, introspect

__all__ = ["FURTHER", "Trial"]

#: Besides those for trying expressions (MySQL 9.7, MariaDB 10.11).
FURTHER = ("ALTER", "INDEX", "REFERENCES")

#: What no trigger of evtrig's holds, and what would reach beyond the copies.
UNFIT = ("CALL", "OUTFILE", "DUMPFILE", "LOAD_FILE", "GET_LOCK")

DEFAULTS = """\
SELECT default_character_set_name, default_collation_name
  FROM information_schema.schemata
 WHERE schema_name = %s
"""
#: Tables of these are on the server alone.
LOCAL_ENGINES = frozenset({"innodb", "myisam", "aria", "memory", "archive"})


class Trial:
    """A migration on scratch copies."""

    def __init__(
        self, connection: Connection, ground: Ground, tasks: Sequence[Task], path: str
    ) -> None:
        self._connection = connection
        self._ground = ground
        self._tasks = tasks
        self._path = path
        self._tables = ground.tables
        extra = {s for k in ground.keys for s in (k.schema, k.parent_schema)}
        extra -= {table.schema for table in ground.spec.tables}
        self._tables += introspect(connection, sorted(extra))
        self._wanted = self._concerned()
        self._subjects = subjects(
            connection, ground.spec, ground.tables, ground.server, self._wanted
        )
        self._names = self._scratch_names()

    def _concerned(self) -> dict[Name, Table]:
        """The tables that the file names, and their neighbours by foreign keys."""
        fold = self._ground.fold
        named = {fold(name) for task in self._tasks for name in task.statement.names}
        found = {
            (table.schema, table.name)
            for table in self._tables
            if fold(table.name) in named
        }
        near = {
            name
            for key in self._ground.keys
            if found & {key.child, key.parent}
            for name in (key.child, key.parent)
        }
        return {
            (table.schema, table.name): table
            for table in self._tables
            if (table.schema, table.name) in found | near
        }

    def _scratch_names(self) -> Names:
        ground = self._ground
        wanted = [task.schema for task in self._tasks]
        wanted += [schema for schema, _ in self._wanted]
        for task in self._tasks:
            named = map(ground.schema, task.statement.names)
            wanted += [schema for schema in named if schema is not None]
        wanted += [s for subject in self._subjects for s in self._around(subject)]
        schemas = {
            schema: scratch_schema(ground.spec.outbox, number)
            for number, schema in enumerate(dict.fromkeys(wanted), start=1)
        }
        return Names(schemas, ground.spec.outbox, ground.is_folded)

    def _around(self, subject: Subject) -> Iterator[str]:
        for actor in subject.actors:
            for schema, _ in actor.tables():
                if found := self._ground.schema(schema):
                    yield found

    def _check_privileges(self) -> None:
        needed: list[tuple[str, str, str | None, Sql]] = [
            (privilege, schema, None, every_table(schema))
            for schema in self._names.schemas.values()
            for privilege in (*PRIVILEGES, *FURTHER)
        ]
        needed += [("SELECT", *name, qualified(*name)) for name in self._wanted]
        # Whoever lacks it does not see what triggers there are.
        needed += [
            ("TRIGGER", *subject.source, qualified(*subject.source))
            for subject in self._subjects
            if subject.source in self._wanted
        ]
        # The copies' triggers belong to whoever tries them, and read it as themselves.
        needed += dict.fromkeys(
            ("SELECT", *name, qualified(*name))
            for subject in self._subjects
            for actor in subject.actors
            for name in actor.tables()
            if name[0] == "performance_schema"
        )
        problems = lacking_of(self._connection, needed, "to try the migration")
        if problems:
            raise PreflightError(tuple(problems))

    def findings(self) -> list[Foreseen]:
        """Try every statement, in order; what is to be said of it."""
        if self._connection.is_read_only:
            # An account with SUPER could write there, and the replica part.
            problem = f"{self._connection.dsn} is read-only"
            hint = "Connect to the primary (on Aurora: the cluster endpoint)."
            raise PreflightError(((problem, hint),))
        self._check_privileges()
        schemas = tuple(self._names.schemas.values())
        # Its own connection: whatever a session may come to is over with it.
        dsn = replace(self._connection.dsn, schema=None)
        defaults = self._defaults()
        with Connection(dsn) as bench, held(bench, schemas, defaults=defaults):
            return list(self._try(bench))

    def _defaults(self) -> dict[str, Sql]:
        found = {}
        for schema, scratch in self._names.schemas.items():
            row = self._connection.row(DEFAULTS, (schema,))
            if row:
                character_set, collation = row
                found[scratch] = Sql(
                    f" CHARACTER SET {character_set} COLLATE {collation}"
                )
        return found

    def _try(self, bench: Connection) -> Iterator[Foreseen]:
        rehearsal = Rehearsal(bench, self._names)
        missing = self._copy(bench, rehearsal)
        kept = []
        for subject in self._subjects:
            if subject.source in missing or subject.source not in self._wanted:
                continue
            if unfit := self._unfit(subject):
                yield Foreseen(
                    "warning",
                    str(subject),
                    f"its triggers were not tried: {unfit}",
                    "Whether writes fail after the migration is not foreseen.",
                    "evtrig install, if somebody has changed them by hand.",
                )
                subject = replace(subject, actors=())
            rehearsal.put(subject.actors)
            kept.append(subject)
        state = first = rehearsal.look()
        for source, failures in first.failures.items():
            # What the migration adds to that cannot be seen.
            for operation, reason in failures.items():
                what = f"{operation.upper()} fails already on a copy"
                if operation == TWINLESS:
                    what = "its writes cannot be tried"
                yield Foreseen(
                    "warning",
                    ".".join(source),
                    f"{what}, before the migration: {reason}",
                    "",
                    "Run evtrig check, and mend what it finds first.",
                )
        keys = rehearsal.keys()
        stages: list[Stage] = []
        for task in self._tasks:
            statement = task.statement
            if uncopied := self._uncopied(statement, missing):
                yield self._ground.not_tried(statement, uncopied, self._path)
                continue
            failed = rehearsal.run(statement, task.schema)
            after = rehearsal.look(statement.names)
            stages.append(Stage(statement, failed, state, after))
            state = after
        for stage in stages:
            if stage.failed is not None:
                yield Foreseen(
                    "error",
                    f"{self._path}:{stage.statement.line}",
                    f"{stage.statement.title} fails by itself: {stage.failed}",
                    "The migration stops here. What comes after it was tried all the"
                    " same.",
                    "Correct the statement.",
                )
            yield from foreseen(stage, kept, self._ground.server)
        yield from self._misfits(kept, first, state)
        yield from self._cascades(kept, keys, rehearsal.keys())
        changes = [
            made
            for subject in kept
            if subject.captures
            if (made := change(subject, first, state, stages, self._ground.server))
        ]
        arrivals = [
            table
            for table in self._ground.spec.tables
            if (table.schema, table.name) in state.tables.keys() - first.tables.keys()
        ]
        for table in arrivals:
            yield Foreseen(
                "warning",
                table.source,
                f"is there after {self._path}, and not captured yet",
                "What is written to it until then makes no event.",
                "evtrig install, right afterwards.",
            )
        steps = order(changes, arrivals).steps(self._path)
        if steps:
            listed = "\n".join(f"{n}. {step}" for n, step in enumerate(steps, start=1))
            problem = "the order in which nothing is lost"
            yield Foreseen("notice", self._path, problem, "", listed)

    def _copy(self, bench: Connection, rehearsal: Rehearsal) -> dict[Name, str]:
        """Copy every table; by name, why one could not be."""
        missing: dict[Name, str] = {}
        by_name = {(table.schema, table.name): table for table in self._tables}
        waiting = dict.fromkeys(self._wanted)
        for subject in self._subjects:
            waiting |= dict.fromkeys(n for a in subject.actors for n in a.tables())
        done: set[Name] = set()
        while waiting:
            name = next(iter(waiting))
            del waiting[name]
            table = by_name.get(name)
            if name in done or table is None or table.is_view:
                continue
            done.add(name)
            if (table.engine or "").lower() not in LOCAL_ENGINES:
                missing[name] = f"{'.'.join(name)} uses the engine {table.engine}"
                continue
            try:
                row = bench.row(f"SHOW CREATE TABLE {qualified(*name)}")
            except DatabaseError as error:
                missing[name] = f"{'.'.join(name)} cannot be copied: {error.text}"
                continue
            definition = opened(str(row[1]) if row else "")
            for chain in chains(definition):
                schema, other = (definition[index].name or "" for index in chain[:2])
                if self._names.table(schema, other) is None:
                    missing[name] = f"{'.'.join(name)} refers to the schema {schema}"
                waiting[schema, other] = None
            if name not in missing and (failed := rehearsal.copy(name, definition)):
                missing[name] = f"{'.'.join(name)} cannot be copied: {failed}"
        return missing

    def _unfit(self, subject: Subject) -> str | None:
        """Why triggers are not put on copies: they could reach beyond them."""
        for actor in subject.actors:
            found = actor.tokens
            for token in found:
                if token.kind == "executable" or token.is_word(*UNFIT):
                    return f"{actor.name} holds {shown(token.text)}"
            for schema, table in actor.tables():
                is_turned = self._names.table(schema, table) is not None
                if not is_turned and self._is_schema(schema):
                    return f"{actor.name} uses {shown(schema)}.{shown(table)}"
        return None

    def _is_schema(self, name: str) -> bool:
        if name.lower() in ("performance_schema", "new", "old"):
            return False
        query = "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s"
        return self._connection.row(query, (name,)) is not None

    def _uncopied(
        self, statement: Statement, missing: Mapping[Name, str]
    ) -> str | None:
        names = {self._ground.fold(name) for name in statement.names}
        for (_, table), reason in missing.items():
            if self._ground.fold(table) in names:
                return reason
        return None

    def _misfits(
        self, found: Sequence[Subject], first: State, last: State
    ) -> Iterator[Foreseen]:
        """What keeps a table from being captured afterwards, whatever the spec says."""
        spec, server = self._ground.spec, self._ground.server
        for subject in found:
            old, new = (state.tables.get(subject.source) for state in (first, last))
            if subject.spec is None or old is None or new is None:
                continue
            # What it says of columns has been said of each.
            names = {column.name for column in new.columns}
            pinned = {column.name for column in subject.spec.columns or ()}
            bare = replace(
                subject.spec,
                columns=tuple(c for c in new.columns if c.name in pinned) or None,
                exclude=tuple(name for name in subject.spec.exclude if name in names),
                redact={},
                when={},
                events=(),
                change_rows=True,
            )
            only = replace(spec, tables=(bare,))
            _, before = fitting(only, (old,), server)
            _, problems = fitting(only, (new,), server)
            known = {problem for problem, _ in before.get(subject.source, ())}
            for problem, mend in problems.get(subject.source, ()):
                if problem not in known:
                    yield Foreseen(
                        "error",
                        str(subject),
                        f"cannot be captured after {self._path}: {problem}",
                        "evtrig install refuses it.",
                        mend,
                    )

    def _cascades(
        self,
        found: Sequence[Subject],
        before: Sequence[ForeignKey],
        after: Sequence[ForeignKey],
    ) -> Iterator[Foreseen]:
        """Foreign keys that come to change a captured table without an event."""
        management_ = management(self._connection)
        if management_.fires_triggers:
            return
        captured = {str(subject) for subject in found if subject.captures}
        old = {str(path) for path in paths(captured, before)}
        for path in paths(captured, after):
            if str(path) not in old:
                finding = cascade_finding(self._ground.spec, path, management_)
                yield Foreseen.after(self._path, finding)
