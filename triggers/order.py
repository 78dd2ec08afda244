"""The order in which a migration and installs lose nothing, for one spec. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .scratch_name import Name
from .sql import qualified
from .table import Column, Table
from .table_spec import TableSpec

__all__ = ["Change", "Fate", "Order", "mentions", "order"]

#: What becomes of a table with its triggers. ``swapped``: another table has its name
#: now. ``anew``: it was dropped and created.
Fate = Literal["kept", "swapped", "renamed", "dropped", "anew"]

INSTALL = "evtrig install"


@dataclass(frozen=True)
class Change:
    """What a migration does to one captured table, from its first to its last line."""

    source: Name
    #: None: it has triggers and is not in the spec.
    spec: TableSpec | None
    before: Table
    #: None: there is no such table any more.
    after: Table | None
    fate: Fate = "kept"
    #: Where the triggers are, if not on the table.
    moved_to: Name | None = None
    #: What the triggers read, in lower case.
    reads: frozenset[str] = frozenset()
    #: New names of columns by the old ones.
    renames: Mapping[str, str] = field(default_factory=dict, hash=False)
    #: Columns that are recorded in another way now.
    retyped: tuple[Column, ...] = ()
    #: Whether a write fails until the triggers have been replaced.
    fails: bool = False
    #: The names of its triggers, where they are installed.
    triggers: tuple[str, ...] = ()

    @property
    def gone(self) -> tuple[Column, ...]:
        """Columns that there are no longer."""
        return () if self.after is None else _beyond(self.before, self.after)

    @property
    def come(self) -> tuple[Column, ...]:
        """Columns that there were not."""
        return () if self.after is None else _beyond(self.after, self.before)

    @property
    def is_explained(self) -> bool:
        """Whether it is for its columns that a write fails."""
        return bool(self.retyped) or any(
            c.name.lower() in self.reads for c in self.gone
        )

    @property
    def loses_key(self) -> bool:
        has_key = self.spec is None or self.spec.key is not None
        return self.after is not None and not has_key and not self.after.primary_key

    @property
    def changes_key(self) -> bool:
        """Whether the spec leaves the key to the table, which has another one then."""
        if self.after is None or self.spec is None or self.spec.key is not None:
            return False
        return self.before.primary_key != self.after.primary_key


@dataclass
class Order:
    """What is to be done before the migration, and what after it."""

    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    #: After all of it.
    last: list[str] = field(default_factory=list)
    #: Names of the spec that are not there before; install would refuse them.
    early: list[tuple[str, str]] = field(default_factory=list)
    installs_before: bool = False
    installs_after: bool = False

    def steps(self, path: str) -> tuple[str, ...]:
        """All of it; empty if nothing is to be done."""
        first, then = list(self.before), list(self.after)
        if self.installs_before:
            first += [
                f"Leave {name} out of {table} for now." for name, table in self.early
            ]
            then += [f"Put {name} back into {table}." for name, table in self.early]
        first += [INSTALL] if self.installs_before else []
        then += [INSTALL] if self.installs_after else []
        parts = (first, [f"Run {path}."], then, self.last)
        # One after the other: `evtrig install` may come twice.
        steps = tuple(step for part in parts for step in dict.fromkeys(part))
        return steps if len(steps) > 1 else ()


def mentions(spec: TableSpec, column: str) -> tuple[str, ...]:
    """The keys of a table's spec that name a column."""
    names = {
        "columns": [c.name for c in spec.columns or ()],
        "key": spec.key or (),
        "exclude": spec.exclude,
        "redact": tuple(spec.redact),
    }
    found = [
        key
        for key, listed in names.items()
        if column.lower() in {name.lower() for name in listed}
    ]
    conditions, values = spec.conditions(), spec.values()
    if any(e.names([column]) for what, e in conditions if "event " not in what):
        found.append("when")
    events = [e for what, e in (*conditions, *values) if "event " in what]
    if any(e.names([column]) for e in events):
        found.append("events")
    return tuple(found)


def order(changes: Sequence[Change], arrivals: Sequence[TableSpec] = ()) -> Order:
    """What a whole migration needs, tables one after the other.

    ``arrivals`` are tables of the spec that there are only afterwards.
    """
    made = Order()
    for table in arrivals:
        made.early.append((table.name, "the spec"))
        made.installs_after = True
    for change in changes:
        if change.fate in ("renamed", "dropped"):
            _move(change, made)
            continue
        renamed = set(change.renames.values())
        for column in change.gone:
            _leave(change, column, made)
        for column in change.come:
            if column.name not in renamed:
                _join(change, column, made)
        _retype(change, made)
        if change.loses_key:
            listed = ", ".join(change.before.primary_key)
            made.before.append(
                f"Write `key: [{listed}]` under {_of(change)}, or other columns that"
                " identify a row."
            )
        elif change.changes_key:
            made.installs_after = True
        if change.fate != "kept":
            _swap(change, made)
        elif change.fails and not change.is_explained:
            made.before.append(
                f"Leave that out which makes the writes to {'.'.join(change.source)}"
                f" fail; or take {_of(change)} out of the spec and drop its triggers."
            )
    return made


def _leave(change: Change, column: Column, made: Order) -> None:
    """A column that is dropped, or called something else afterwards."""
    spec, name = change.spec, column.name
    is_read = name.lower() in change.reads and change.fate == "kept"
    if spec is None:
        if is_read:
            made.before.append(f"Put {change.source[1]} into the spec without {name}.")
            made.installs_before = True
        return
    of = _of(change)
    where = mentions(spec, name)
    listed = _quoted(where)
    key = spec.key or change.before.primary_key
    if is_read and name in key:
        made.before.append(f"Name another `key:` for {of}: {name} goes.")
    if is_read and spec.columns is None and name not in spec.exclude:
        others = f", and out of {listed}" if where else ""
        made.before.append(f"Take {name} of {of} into `exclude:`{others}.")
        made.after.append(f"Take {name} of {of} out of `exclude:`.")
    elif is_read and spec.columns is None:
        out = _quoted(key for key in where if key != "exclude")
        if out:
            made.before.append(f"Take {name} of {of} out of {out}.")
        made.after.append(f"Take {name} of {of} out of `exclude:`.")
    elif where:
        step = f"Take {name} out of {listed} of {of} ({_place(spec, where, name)})."
        (made.before if is_read else made.after).append(step)
    made.installs_before |= is_read
    new = change.renames.get(name)
    if new is not None:
        _rename(change, name, new, where, made)


def _rename(
    change: Change, old: str, new: str, where: Sequence[str], made: Order
) -> None:
    spec = change.spec
    assert spec is not None
    made.installs_after = True
    if mentions(spec, new):
        made.early.append((new, _of(change)))
        return
    keys = [key for key in where if key != "columns"]
    if spec.columns is not None and "columns" in where:
        made.after.append(
            f"Add `{new}: {_type(change, new)}` to `columns:`{_at(spec)}."
        )
    for key in keys:
        made.after.append(f"Name {new} in `{key}:` of {_of(change)}, as {old} was.")


def _join(change: Change, column: Column, made: Order) -> None:
    """A column that is added."""
    spec, of = change.spec, _of(change)
    if spec is None:
        return
    where = mentions(spec, column.name)
    if "exclude" in where and len(where) == 1:
        return
    made.installs_after = True
    if where:
        made.early.append((column.name, of))
    elif spec.columns is not None:
        made.after.append(
            f"Add `{column.name}: {column.type}` to `columns:`{_at(spec)}; also to"
            " `exclude:` if no event shall have it."
        )


def _retype(change: Change, made: Order) -> None:
    spec = change.spec
    if spec is None:
        return
    pinned = {column.name: column for column in spec.columns or ()}
    for column in change.retyped:
        of = f"{column.name} of {_of(change)}"
        made.installs_after = True
        if change.fails and change.fate == "kept":
            key = "out of `columns:`" if pinned else "into `exclude:`"
            back = "into `columns:`" if pinned else "out of `exclude:`"
            made.before.append(f"Take {of} {key}, until it has its new type.")
            made.installs_before = True
            made.after.append(f"Take {of} {back} again, as {column.type}.")
        elif column.name in pinned and pinned[column.name].type != column.type:
            at = spec.place_of("columns", column.name)
            made.after.append(f"Write {column.type} for {of} ({at}).")


def _move(change: Change, made: Order) -> None:
    """A table that is dropped, or called something else."""
    of = ".".join(change.source)
    if change.fate == "dropped":
        if change.spec is not None:
            made.after.append(f"Take {_of(change)} out of the spec.")
        return
    assert change.moved_to is not None
    new = change.moved_to[1]
    made.before.append(
        f"Stop the writes to {of} until the last install: no trigger records them under"
        " the new name."
    )
    if change.spec is not None:
        made.after.append(f"Write {new} for {_of(change)} under `tables:`.")
    made.after += _drops(change)
    made.last.append(f"Let the writes go on, to {new}.")
    made.installs_after = True


def _swap(change: Change, made: Order) -> None:
    of = ".".join(change.source)
    made.before.append(
        "With gh-ost give --include-triggers --trigger-suffix=0, with"
        " pt-online-schema-change --preserve-triggers; otherwise stop the writes to"
        f" {of} until the last install."
    )
    made.after += _drops(change)
    made.installs_after = True


def _drops(change: Change) -> Iterator[str]:
    """Install takes the triggers of a table that was renamed for a mistake."""
    if change.moved_to is not None and change.triggers:
        schema = change.moved_to[0]
        for name in change.triggers:
            yield f"DROP TRIGGER {qualified(schema, name)};"


def _beyond(table: Table, other: Table) -> tuple[Column, ...]:
    names = {column.name.lower() for column in other.columns}
    return tuple(c for c in table.columns if c.name.lower() not in names)


def _type(change: Change, name: str) -> str:
    columns = change.after.columns if change.after else ()
    return next((c.type for c in columns if c.name == name), "")


def _of(change: Change) -> str:
    return change.source[1]


def _at(spec: TableSpec) -> str:
    return f" of {spec.name} ({spec.place_of('columns')})"


def _place(spec: TableSpec, where: Sequence[str], name: str) -> str:
    key = where[0]
    is_listed = key in ("columns", "key", "exclude", "redact")
    return str(spec.place_of(key, name if is_listed else None))


def _quoted(keys: Iterator[str] | Sequence[str]) -> str:
    return " and ".join(f"`{key}:`" for key in keys)
