"""What foreign keys do to captured tables by themselves, and how to record it.

InnoDB deletes and changes the rows of a child table without firing its triggers.
``cascades: capture`` has a trigger of the parent do the same by statements, before the
foreign key would. Pure: from the foreign keys to what to create, or why not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import PreflightError
from .account import Account
from .capture import Capture, Problem
from .document import Place
from .foreign_key import ForeignKey, ForeignTrigger, Management, Name
from .spec import Spec

__all__ = [
    "Cascade",
    "Path",
    "Restriction",
    "Surroundings",
    "cascades",
    "paths",
    "refuse_cascades",
]


@dataclass(frozen=True)
class Path:
    """One way in which a statement on one table changes the rows of another."""

    #: From the table of the statement down to the one that is changed; at least one.
    keys: tuple[ForeignKey, ...]
    #: What each key does, such as ``ON DELETE CASCADE``.
    rules: tuple[str, ...]

    @property
    def table(self) -> str:
        """The table that is changed, as ``schema.table``."""
        return ".".join(self.keys[-1].child)

    @property
    def is_delete(self) -> bool:
        """Whether ``cascades: capture`` records it: it begins with a DELETE, and only
        the last key may set its columns to NULL."""
        *above, last = self.rules
        return last.startswith("ON DELETE") and set(above) <= {"ON DELETE CASCADE"}

    def __str__(self) -> str:
        tables = [self.keys[0].parent, *(key.child for key in self.keys)]
        return f"{' → '.join(map('.'.join, tables))} ({self.rules[-1]})"


def paths(captured: Collection[str], keys: Sequence[ForeignKey]) -> tuple[Path, ...]:
    """Every way in which foreign keys change these tables, ``schema.table`` each.

    Each goes as far up as it can, but no table comes twice except at its two ends; what
    is only the lower part of another is not listed.
    """
    found: list[Path] = []
    for key in _sorted(key for key in keys if ".".join(key.child) in captured):
        for rule in _rules(key):
            found += _upwards(Path((key,), (rule,)), keys)
    return tuple(found)


def _rules(key: ForeignKey) -> Iterator[str]:
    for event, action in (("DELETE", key.on_delete), ("UPDATE", key.on_update)):
        if action in ("CASCADE", "SET NULL"):
            yield f"ON {event} {action}"


def _upwards(path: Path, keys: Sequence[ForeignKey]) -> Iterator[Path]:
    top = path.keys[0]
    tables = {top.parent, *(key.child for key in path.keys)}
    is_closed = top.parent in {key.child for key in path.keys}
    is_longer = False
    for key in _sorted(keys):
        if is_closed or key.child != top.parent:
            continue
        # Back at the end of the path is where it closes; elsewhere it would go round.
        if key.parent in tables and key.parent != path.keys[-1].child:
            continue
        for rule in _rules(key):
            if _continues(rule, key, path):
                is_longer = True
                yield from _upwards(Path((key, *path.keys), (rule, *path.rules)), keys)
    if not is_longer:
        yield path


def _continues(rule: str, key: ForeignKey, path: Path) -> bool:
    """Whether what ``key`` does to its table is what the path begins with."""
    if path.rules[0].startswith("ON DELETE"):
        return rule == "ON DELETE CASCADE"
    # The path begins with a change of the columns that its first key refers to.
    changed = set(key.columns) & set(path.keys[0].parent_columns)
    return bool(changed) and rule != "ON DELETE CASCADE"


@dataclass(frozen=True)
class Restriction:
    """Rows that keep a parent row from being deleted."""

    #: Has neither ON DELETE CASCADE nor SET NULL.
    key: ForeignKey
    #: The cascades from the parent down to the table that ``key`` refers to.
    through: tuple[ForeignKey, ...] = ()


@dataclass(frozen=True)
class Cascade:
    """Everything the BEFORE DELETE trigger of one parent table depends on."""

    schema: str
    table: str
    #: Foreign keys whose rows are deleted, in the order in which to do it.
    deletes: tuple[ForeignKey, ...]
    #: Foreign keys that are set to NULL, after that.
    nulls: tuple[ForeignKey, ...]
    #: What makes the server keep the row after all.
    restrictions: tuple[Restriction, ...]
    #: The captured tables it is there for, as schema and name.
    captured: tuple[Name, ...]
    #: Schema of the events table that these write to.
    outbox: str
    #: Owner of the trigger; None for whoever creates it.
    definer: Account | None
    #: By table, the columns that an UPDATE would set to the time.
    stamped: Mapping[Name, tuple[str, ...]] = field(default_factory=dict, hash=False)
    #: Whether the server may one day be started so that a trigger would be wrong.
    is_switchable: bool = False

    @property
    def source(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def grants(self) -> tuple[tuple[str, str, str], ...]:
        """What its owner needs: privilege, schema and table, none of them twice."""
        found = [("SELECT", self.schema, self.table)]
        found.append(("TRIGGER", self.schema, self.table))
        for key in self.deletes:
            found += [("SELECT", *key.child), ("DELETE", *key.child)]
        for key in self.nulls:
            found += [("SELECT", *key.child), ("UPDATE", *key.child)]
        for restriction in self.restrictions:
            for key in (restriction.key, *restriction.through):
                found.append(("SELECT", *key.child))
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class Surroundings:
    """What the database has around the captured tables."""

    keys: tuple[ForeignKey, ...]
    #: By table, the columns with ON UPDATE CURRENT_TIMESTAMP.
    stamped: Mapping[Name, tuple[str, ...]] = field(default_factory=dict, hash=False)
    #: Of child tables, those that are not evtrig's.
    triggers: tuple[ForeignTrigger, ...] = ()
    management: Management = field(default_factory=Management)


def refuse_cascades(spec: Spec) -> None:
    """Raise SpecError if the spec cannot be turned into SQL without a database."""
    for table in spec.tables:
        if table.cascades == "capture":
            raise table.place_of("cascades").error(
                f"`cascades: capture` of table {table.name} depends on the foreign keys"
                " of the database",
                hint="Give --dsn.",
            )


def cascades(
    wanted: Sequence[tuple[Capture, Place]],
    around: Surroundings,
    *,
    captured: Collection[str] = (),
) -> tuple[tuple[Cascade, ...], tuple[str, ...]]:
    """The triggers that record every cascade into these tables, and what to know.

    Each table comes with the place of its ``cascades:``; ``captured`` are all tables of
    the spec. Raises PreflightError where a trigger would be wrong.
    """
    reached = {capture.source: _reach(capture, around.keys) for capture, _ in wanted}
    notes = [
        f"{place}: no foreign key changes {capture.source} in a way that its"
        " `operations` record; `cascades: capture` does nothing"
        for capture, place in wanted
        if not reached[capture.source]
    ]
    asked = [(capture, place) for capture, place in wanted if reached[capture.source]]
    if not asked:
        return (), tuple(notes)
    if around.management.fires_triggers:
        notes += [
            f"{place}: the server itself fires the triggers of {capture.source} in a"
            " cascade (enable_cascade_triggers is ON), unless a session has switched"
            " that off for itself"
            for capture, place in asked
        ]
        return (), tuple(notes)
    problems: dict[str, str] = {}
    for capture, place in asked:
        if around.management.is_by_server:
            refusals = iter([_by_server(capture, place, around.management)])
        else:
            refusals = _refusals(reached[capture.source], around, place)
        for problem, hint in refusals:
            # What stands in the way of several tables is said once.
            problems.setdefault(problem, hint)
    if problems:
        raise PreflightError(tuple(problems.items()))
    keys = _sorted({key for keys in reached.values() for key in keys})
    notes += _notices(keys, captured, {capture.source for capture, _ in wanted})
    parents = sorted({key.parent for key in keys})
    made = [_cascade(parent, asked, reached, keys, around) for parent in parents]
    return tuple(made), tuple(notes)


def _cascade(
    parent: Name,
    asked: Sequence[tuple[Capture, Place]],
    reached: Mapping[str, Collection[ForeignKey]],
    keys: Sequence[ForeignKey],
    around: Surroundings,
) -> Cascade:
    own = [key for key in keys if key.parent == parent]
    # What lies below another child goes first: deleted is deleted, whereas its other
    # parent might set it to NULL before, which is an event too many.
    deletes = [key for key in own if key.on_delete == "CASCADE"]
    deletes.sort(key=lambda key: -_depth(key.child, parent, keys))
    nulls = [key for key in own if key.on_delete == "SET NULL"]
    restrictions, _ = _restrictions(parent, around.keys)
    children = {key.child for key in nulls}
    # Any of them: a spec has one outbox and one definer.
    capture = asked[0][0]
    return Cascade(
        schema=parent[0],
        table=parent[1],
        deletes=tuple(deletes),
        nulls=tuple(nulls),
        restrictions=tuple(restrictions),
        captured=tuple(
            sorted(
                (c.schema, c.table)
                for c, _ in asked
                if any(key.parent == parent for key in reached[c.source])
            )
        ),
        outbox=capture.outbox,
        definer=capture.definer,
        stamped={t: c for t, c in sorted(around.stamped.items()) if t in children},
        is_switchable=around.management.innodb_native_foreign_keys is not None,
    )


def _sorted(keys: Iterable[ForeignKey]) -> list[ForeignKey]:
    return sorted(keys, key=lambda key: (key.schema, key.table, key.name))


def _reach(capture: Capture, keys: Sequence[ForeignKey]) -> frozenset[ForeignKey]:
    """The foreign keys that change its rows when a parent's row is deleted."""
    actions = {
        action
        for operation, action in (("delete", "CASCADE"), ("update", "SET NULL"))
        if operation in capture.triggers
    }
    table = capture.schema, capture.table
    found = {key for key in keys if key.child == table and key.on_delete in actions}
    while (
        more := {
            key
            for key in keys
            if key.on_delete == "CASCADE" and key.child in {k.parent for k in found}
        }
        - found
    ):
        found |= more
    return frozenset(found)


def _depth(table: Name, parent: Name, keys: Sequence[ForeignKey]) -> int:
    """How many keys lie between, on the longest way; there is no cycle."""
    if table == parent:
        return 0
    above = {key.parent for key in keys if key.child == table}
    # Of a table that is not below the parent at all, less than nothing.
    return max((_depth(t, parent, keys) for t in above), default=-len(keys) - 1) + 1


def _below(table: Name, keys: Collection[ForeignKey]) -> set[Name]:
    """The tables that ``keys`` lead to from this one."""
    found: set[Name] = set()
    while (
        more := {
            key.child for key in keys if key.parent == table or key.parent in found
        }
        - found
    ):
        found |= more
    return found


def _restrictions(
    parent: Name, keys: Sequence[ForeignKey]
) -> tuple[list[Restriction], list[ForeignKey]]:
    """What keeps a row of ``parent``, directly or through the tables below it; and keys
    of which no condition can tell whether they do."""
    deleting = [key for key in keys if key.on_delete == "CASCADE"]
    below = _below(parent, deleting)
    unclear: list[ForeignKey] = []
    round_about: set[Name] = set()
    for table in below:
        if table in _below(table, deleting):
            round_about |= {table, *_below(table, deleting)}
    found: list[Restriction] = []

    def descend(table: Name, through: tuple[ForeignKey, ...]) -> None:
        for key in _sorted(key for key in keys if key.parent == table):
            if key.restricts and key not in unclear:
                found.append(Restriction(key, through))
            elif key.on_delete == "CASCADE" and key.child not in round_about:
                descend(key.child, (*through, key))

    deleted = {parent, *below}
    for key in _sorted(key for key in keys if key.restricts and key.parent in deleted):
        # The cascade may have deleted some of its rows by then; and the length of a
        # chain that goes round is not known.
        if key.child in deleted or key.parent in round_about:
            unclear.append(key)
    descend(parent, ())
    return found, unclear


# Why not


def _refusals(
    keys: Collection[ForeignKey], around: Surroundings, place: Place
) -> Iterator[Problem]:
    ignore = f"write `cascades: ignore` ({place})"
    for key in _sorted(keys):
        if key.child == key.parent:
            yield (
                f"foreign key {key} refers to its own table, whose trigger may not"
                " change it: every cascade would fail (1442)",
                f"Delete the rows one by one, from below, and {ignore}.",
            )
        elif key.parent in _below(key.child, keys):
            yield (
                f"foreign key {key} leads in a circle back to"
                f" {'.'.join(key.parent)}: every cascade would fail (1442)",
                f"Delete the rows by statements, and {ignore}.",
            )
        operation = "delete" if key.on_delete == "CASCADE" else "update"
        for trigger in around.triggers:
            if (trigger.schema, trigger.table, trigger.operation) == (
                *key.child,
                operation,
            ):
                yield (
                    f"trigger {trigger.name} on {'.'.join(key.child)} is not evtrig's,"
                    f" and would fire when foreign key {key.name} {operation}s rows,"
                    " which it does not do now",
                    f"Remove it, or {ignore}.",
                )
    for parent in sorted({key.parent for key in keys}):
        _, unclear = _restrictions(parent, around.keys)
        for key in unclear:
            yield (
                f"foreign key {key} keeps rows of {'.'.join(key.parent)}, but whether"
                f" it still does when one of {'.'.join(parent)} is deleted cannot be"
                " known before: DELETE IGNORE could lose children of a row that stays",
                f"Give it ON DELETE CASCADE or SET NULL, or {ignore}.",
            )


def _by_server(capture: Capture, place: Place, management: Management) -> Problem:
    mend = "Start the server with innodb_native_foreign_keys=ON"
    if management.enable_cascade_triggers is not None:
        mend = (
            "SET PERSIST enable_cascade_triggers = ON: then the server fires the"
            " triggers itself in new sessions"
        )
    return (
        f"cascades into {capture.source} cannot be left to a trigger on this server"
        " (innodb_native_foreign_keys is OFF): REPLACE of a parent row keeps its"
        " children, and a trigger would delete them",
        f"{mend}; or write `cascades: ignore` ({place}).",
    )


def _notices(
    keys: Sequence[ForeignKey], captured: Collection[str], wanted: Collection[str]
) -> Iterator[str]:
    for key in keys:
        if key.on_update in ("CASCADE", "SET NULL"):
            yield (
                f"foreign key {key} also has ON UPDATE {key.on_update}, which makes no"
                " event"
            )
    children = {".".join(key.child) for key in keys}
    for source in sorted(children & set(captured) - set(wanted)):
        yield (
            f"{source} is between others with `cascades: capture`: deletes of its rows"
            " by a foreign key are recorded as well"
        )
