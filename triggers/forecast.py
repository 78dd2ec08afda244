"""What a migration would do to capture, from how things are after each statement.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..database.server import Server
from .column import ColumnType, UnknownType
from .foreseen import Foreseen
from .order import Change, Fate, mentions
from .probe import REASONS
from .rehearsal import TWINLESS, Failed, State
from .scratch_name import Name
from .sql import Sql
from .statement import Statement
from .subject import Subject
from .table import Column, Table
from .trigger import OPERATIONS

__all__ = ["Stage", "change", "foreseen", "retyped"]

SHADOWS = (
    "gh-ost takes them along with --include-triggers --trigger-suffix=0,"
    " pt-online-schema-change with --preserve-triggers; run evtrig install afterwards."
)


@dataclass(frozen=True)
class Stage:
    """One statement, and what came of it."""

    statement: Statement
    #: What the server said; None if it ran.
    failed: Failed | None
    before: State
    after: State

    @property
    def title(self) -> str:
        return f"line {self.statement.line}, {self.statement.title}"


def foreseen(
    stage: Stage, subjects: Sequence[Subject], server: Server
) -> Iterator[Foreseen]:
    """What comes of one statement for each captured table."""
    for subject in subjects:
        before = stage.before.table_of(subject.source)
        if before is None:
            continue
        after = stage.after.table_of(subject.source)
        fate = _fate(subject.source, stage.before, stage.after)
        if fate != "kept":
            yield _moved(subject, stage, fate)
        yield from _failing(subject, stage, fate)
        if subject.captures and subject.source[1] in stage.statement.names:
            yield from _partitions(subject, stage)
        if after is not None:
            yield from _columns(subject, stage, before, after, server)


def change(
    subject: Subject,
    first: State,
    last: State,
    stages: Sequence[Stage],
    server: Server,
) -> Change | None:
    """What all statements together do to a captured table; None if it is not there."""
    before = first.table_of(subject.source)
    if before is None:
        return None
    after = last.table_of(subject.source)
    place = last.places.get(subject.source)
    renames: dict[str, str] = {}
    for stage in stages:
        one, other = (s.table_of(subject.source) for s in (stage.before, stage.after))
        if one is not None and other is not None:
            for old, new in _renamed(stage.statement, one, other):
                origin = next((o for o, n in renames.items() if n == old), old)
                renames[origin] = new
    return Change(
        source=subject.source,
        spec=subject.spec,
        before=before,
        after=after,
        fate=_fate(subject.source, first, last),
        moved_to=place if place != subject.source else None,
        reads=subject.reads,
        renames=renames,
        retyped=retyped(before, after, subject, server) if after else (),
        fails=bool(_new_failures(subject.source, first, last)),
        triggers=tuple(str(a.name) for a in subject.actors if subject.is_installed),
    )


def retyped(
    before: Table, after: Table, subject: Subject, server: Server
) -> tuple[Column, ...]:
    """The recorded columns that want another expression, as they are afterwards."""
    old = {column.name: column for column in before.columns}
    return tuple(
        column
        for column in after.columns
        if column.name in old
        and column.name.lower() in subject.recorded
        and _expression(column, server) != _expression(old[column.name], server)
    )


def _expression(column: Column, server: Server) -> str | None:
    try:
        return ColumnType.parse(column.type).json(Sql("c"), server)
    except UnknownType:
        return None


def _fate(source: Name, before: State, after: State) -> Fate:
    if before.places.get(source) not in (source, None):
        return "kept"
    if before.places.get(source) is None and source in before.tables:
        # It has no triggers, so there is only the table itself to look for.
        return "kept" if source in after.tables else "dropped"
    place = after.places.get(source)
    if place == source:
        return "kept"
    if source in after.tables:
        return "anew" if place is None else "swapped"
    return "dropped" if place is None else "renamed"


def _moved(subject: Subject, stage: Stage, fate: Fate) -> Foreseen:
    source = str(subject)
    if not subject.captures:
        problem = f"{fate} by {stage.title}"
        consequence = "What its foreign keys do to captured tables makes no event then."
        return Foreseen("error", source, problem, consequence, "evtrig install")
    place = stage.after.places.get(subject.source)
    to = ".".join(place) if place else ""
    if fate == "swapped":
        return Foreseen(
            "error",
            source,
            f"capture stops without an error after {stage.title}",
            f"Its triggers stay with the old table, which is called {to} then.",
            SHADOWS,
        )
    if fate == "renamed":
        consequence = (
            f"Its triggers go along and call it {subject.source[1]} still, or fail"
            " (1142) where their owner may not fire them."
        )
        if place and (lacks := subject.owner_lacks(place)):
            consequence = (
                f"Every write to {to} fails (1142): {subject.owner}, who owns the"
                f" triggers, has no {' and no '.join(lacks)} on it."
            )
        return Foreseen(
            "error",
            source,
            f"is not captured under its new name after {stage.title}",
            consequence,
            "Stop the writes to it until its triggers have been replaced.",
        )
    if fate == "anew":
        return Foreseen(
            "error",
            source,
            f"capture stops without an error after {stage.title}",
            "Its triggers went with the table, and the new one has none.",
            "evtrig install, before anybody writes to it.",
        )
    return Foreseen(
        "warning",
        source,
        f"dropped by {stage.title}",
        "Its rows are gone without an event, and its triggers with them.",
        "DELETE FROM it first, if consumers must know; take it out of the spec.",
    )


def _partitions(subject: Subject, stage: Stage) -> Iterator[Foreseen]:
    for verb in ("DROP", "TRUNCATE", "EXCHANGE", "CONVERT"):
        if stage.failed is None and stage.statement.has_words(verb, "PARTITION"):
            yield Foreseen(
                "warning",
                str(subject),
                f"rows come or go without an event by {stage.title}",
                "No trigger sees what is done to a partition.",
                "DELETE the rows first, where consumers must know.",
            )


def _new_failures(source: Name, before: State, after: State) -> dict[str, Failed]:
    old = before.failures.get(source, {})
    return {
        operation: failed
        for operation, failed in after.failures.get(source, {}).items()
        if old.get(operation) != failed
    }


def _failing(subject: Subject, stage: Stage, fate: Fate) -> Iterator[Foreseen]:
    place = stage.after.places.get(subject.source)
    if place is None or (
        place != subject.source and subject.source in stage.after.tables
    ):
        # Nobody writes to the old table of a swap.
        return
    found = _new_failures(subject.source, stage.before, stage.after)
    if failed := found.pop(TWINLESS, None):
        yield Foreseen(
            "warning",
            ".".join(place),
            f"writes after {stage.title} could not be tried: {failed}",
            "",
            "Try the migration where nobody minds, and run evtrig check after it.",
        )
    by_number: dict[int, list[str]] = {}
    for operation, failed in found.items():
        by_number.setdefault(failed.number, []).append(operation)
    for number, operations in by_number.items():
        listed = ", ".join(o.upper() for o in OPERATIONS if o in operations)
        is_every = number not in REASONS
        some = (
            f"every {listed} fails" if is_every else f"{listed} fails for some values"
        )
        yield Foreseen(
            "error",
            ".".join(place),
            f"{some} after {stage.title}: {found[operations[0]]}",
            "The application cannot write so until its triggers have been replaced.",
            "Run evtrig install before it: see the order at the end.",
        )


def _renamed(
    statement: Statement, before: Table, after: Table
) -> Iterator[tuple[str, str]]:
    old = {column.name.lower() for column in before.columns}
    new = {column.name.lower() for column in after.columns}
    for column in before.columns:
        for other in after.columns:
            if column.name.lower() not in new and other.name.lower() not in old:
                if statement.renames(column.name, other.name):
                    yield column.name, other.name


def _columns(
    subject: Subject, stage: Stage, before: Table, after: Table, server: Server
) -> Iterator[Foreseen]:
    source, spec = str(subject), subject.spec
    if not subject.captures:
        return
    renames = dict(_renamed(stage.statement, before, after))
    old = {column.name.lower() for column in before.columns}
    new = {column.name.lower() for column in after.columns}
    is_swap = stage.after.places.get(subject.source) != subject.source
    for column in before.columns:
        if column.name.lower() in new:
            continue
        where = mentions(spec, column.name) if spec else ()
        if column.name.lower() in subject.reads and not is_swap:
            # That writes fail says it all, unless they failed before.
            continue
        if where:
            is_recorded = column.name.lower() in subject.recorded
            yield Foreseen(
                "warning" if is_recorded else "notice",
                source,
                f"has no column {column.name} after {stage.title}",
                "No event has it then, and evtrig install refuses the spec."
                if is_recorded
                else "No event has it; evtrig install refuses a spec that names it.",
                f"Take {column.name} out of {_listed(where)}.",
            )
    for column in after.columns:
        if column.name.lower() in old:
            continue
        where = mentions(spec, column.name) if spec else ()
        if where == ("exclude",) or (spec and "exclude" in where):
            continue
        is_new_name = column.name in renames.values()
        what = "is in no event until the triggers have been replaced"
        if spec is not None and spec.columns is not None and not where:
            what = "is in no event: `columns:` does not name it"
            mend = f"Add `{column.name}: {column.type}` to `columns:` of {spec.name}"
            mend += ", and run evtrig install."
        else:
            mend = "evtrig install, right afterwards."
        yield Foreseen(
            "warning",
            source,
            f"{column.name} {column.type} {what}, after {stage.title}",
            "To evtrig it is another column."
            if is_new_name
            else "Changes of it alone make no event.",
            mend,
        )
    for column in retyped(before, after, subject, server):
        if _expression(column, server) is None:
            problem = f"{column.name} has a type that evtrig does not know"
            mend = f"Take {column.name} into `exclude:` first, and run evtrig install."
        else:
            problem = f"{column.name} is recorded as before, but is {column.type} now"
            mend = f"Write {column.type} in `columns:`, and run evtrig install."
            if spec is None or spec.columns is None:
                mend = "evtrig install, right afterwards."
        yield Foreseen(
            "warning",
            source,
            f"{problem}, after {stage.title}",
            "Until the triggers have been replaced its values are wrong or rounded in"
            " events, or a write of some value fails.",
            mend,
        )
    if before.primary_key != after.primary_key and spec and spec.key is None:
        columns = {c.name.lower() for c in after.columns}
        if set(map(str.lower, before.primary_key)) <= columns and after.primary_key:
            yield Foreseen(
                "warning",
                source,
                f"its key is {', '.join(after.primary_key)} after {stage.title}",
                "Until the triggers have been replaced events have the old one,"
                f" {', '.join(before.primary_key)}.",
                "evtrig install, right afterwards.",
            )


def _listed(where: Sequence[str]) -> str:
    return " and ".join(f"`{key}:`" for key in where)
