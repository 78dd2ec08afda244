"""A plan as a folder of scripts, one a table: what a pull request shows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..database.server import Server
from .capture import Capture
from .cascade import Cascade
from .file_name import file_name, name_of
from .plan import Plan
from .render import SESSION, render
from .sql import Sql, account, ident, qualified
from .step import Step

__all__ = ["INDEX", "MARK", "folder", "is_made", "listed"]

#: Lists the other files, in the order in which they can be run.
#:
#: Not a script with SOURCE lines: after an error in a file the mysql client of MariaDB
#: 10.11 goes on with the next one, triggers without an outbox, and that of MySQL 9.7
#: takes no SOURCE unless it is started with --commands (both measured).
INDEX = "index.txt"

#: What all tables share.
OUTBOX = "outbox.sql"

SUFFIX = ".sql"

#: In the first line of every file; by it evtrig knows its own files again.
MARK = "Made by evtrig generate from the spec: change that, not this file."

#: schema, name
Table = tuple[str, str]


def folder(
    plan: Plan,
    server: Server,
    captures: Sequence[Capture],
    cascades: Sequence[Cascade] = (),
) -> dict[str, str]:
    """The contents of each file, by its path with ``/``; the index comes last.

    ``plan`` is that for an empty database, of these captures and cascades. Each file
    can be run by itself once ``outbox.sql`` has been.
    """
    needed = _tables(captures, cascades)
    granted, created, shared = _sorted_out(plan.steps, needed, captures)
    files = {OUTBOX: _script(server, shared, None)}
    for table, others in needed.items():
        grants = dict.fromkeys(step for t in others for step in granted.get(t, ()))
        steps = (*grants, *created.get(table, ()))
        schema, name = map(file_name, table)
        files[f"{schema}/{name}{SUFFIX}"] = _script(server, steps, ".".join(table))
    index = render("index.txt.j2", server, mark=MARK, index=INDEX, paths=tuple(files))
    return {**files, INDEX: f"{index}\n"}


def is_made(text: str) -> bool:
    """Whether it is the text of a file that evtrig has made."""
    first, _, _ = text.partition("\n")
    return first.rstrip("\r") in (f"-- {MARK}", f"# {MARK}")


def listed(index: str) -> tuple[str, ...]:
    """The paths in an index, of which some may be gone by now.

    Whatever somebody has made of the index, only paths that evtrig itself would write.
    """
    paths = dict.fromkeys(line.strip() for line in index.splitlines())
    return tuple(path for path in paths if path == OUTBOX or _is_of_a_table(path))


def _is_of_a_table(path: str) -> bool:
    schema, _, name = path.partition("/")
    return (
        name.endswith(SUFFIX)
        and bool(name_of(schema))
        and bool(name_of(name.removesuffix(SUFFIX)))
    )


def _tables(
    captures: Sequence[Capture], cascades: Sequence[Cascade]
) -> dict[Table, tuple[Table, ...]]:
    """Every table with a file, and the tables that its triggers need grants on.

    Those with a cascade come last: by then something records what they do.
    """
    parents = {
        (cascade.schema, cascade.table): tuple(
            dict.fromkeys((schema, name) for _, schema, name in cascade.grants)
        )
        for cascade in cascades
    }
    found = {
        table: (table,)
        for capture in captures
        if (table := (capture.schema, capture.table)) not in parents
    }
    return {**found, **parents}


def _sorted_out(
    steps: Sequence[Step],
    needed: Mapping[Table, tuple[Table, ...]],
    captures: Sequence[Capture],
) -> tuple[dict[Table, list[Step]], dict[Table, list[Step]], list[Step]]:
    """Grants by table, triggers by table, and what is of no table."""
    names = {qualified(*table): table for tables in needed.values() for table in tables}
    sources: dict[str, list[Table]] = {}
    for table in needed:
        sources.setdefault(".".join(table), []).append(table)
    granted: dict[Table, list[Step]] = {}
    created: dict[Table, list[Step]] = {}
    shared = []
    for step in steps:
        if step.source is not None:
            # `a.b`.`c` and `a`.`b.c` have one source.
            (table,) = (
                table
                for table in sources[step.source]
                if f"\nTRIGGER {ident(table[0])}.`evtrig_" in step.sql
            )
            created.setdefault(table, []).append(step)
        elif _object(step, captures) in names:
            granted.setdefault(names[_object(step, captures)], []).append(step)
        else:
            shared.append(step)
    return granted, created, shared


def _object(step: Step, captures: Sequence[Capture]) -> Sql:
    """What a grant is on; empty if the step is none."""
    if step.kind != "grant":
        return Sql("")
    # A spec has one definer; without one there are no grants.
    owner = captures[0].definer
    assert owner is not None
    _, _, rest = step.sql.partition(" ON ")
    return Sql(rest.removesuffix(f" TO {account(owner.user, owner.host)}"))


def _script(server: Server, steps: Sequence[Step], source: str | None) -> str:
    text = render(
        "file.sql.j2", server, mark=MARK, steps=steps, session=SESSION, source=source
    )
    return f"{text}\n"
