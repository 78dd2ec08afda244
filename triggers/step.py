"""What a plan is made of: what is there or should be, and the statements between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .sql import Sql

__all__ = ["Item", "ItemKind", "State", "Step", "StepKind"]

StepKind = Literal["outbox", "account", "grant", "trigger", "procedure", "drop"]
ItemKind = Literal["schema", "table", "row", "account", "grant", "procedure", "trigger"]

#: ``installed``: there, and as it should be. ``missing``: not there. ``outdated``:
#: there, and different. ``orphaned``: there, and the spec does not ask for it.
State = Literal["installed", "missing", "outdated", "orphaned"]


@dataclass(frozen=True)
class Step:
    """One statement, and what it is for."""

    kind: StepKind
    #: Such as ``create trigger shop.evtrig_…``.
    title: str
    sql: Sql
    #: The captured table it belongs to, as ``schema.table``.
    source: str | None = None
    #: Takes the step back if a later step of the same table fails.
    undo: Sql | None = None
    #: Schema and name of the table whose transactions it waits for.
    table: tuple[str, str] | None = None
    #: What is drawn anew each time a plan is made, and stands in ``sql``.
    token: str = ""

    @property
    def is_compound(self) -> bool:
        """Whether the statement holds semicolons."""
        return self.kind in ("trigger", "procedure")

    @property
    def constant(self) -> str:
        """The statement without what is drawn anew each time."""
        return self.sql.replace(self.token, "") if self.token else self.sql


@dataclass(frozen=True)
class Item:
    """One thing in the database, as it is and as the spec asks for it."""

    kind: ItemKind
    #: Such as ``shop.orders after update``.
    name: str
    state: State
    #: The captured table it belongs to, as ``schema.table``.
    source: str | None = None
    #: Why it is outdated, or what will become of it.
    reasons: tuple[str, ...] = ()
    #: Lines of a unified diff, from what is installed to what is wanted.
    difference: tuple[str, ...] = ()
