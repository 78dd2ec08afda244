"""A trigger that a migration meets, and what it names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .scratch_name import Name
from .statement import Token, chains, tokens
from .trigger import TriggerName

__all__ = ["Actor"]


@dataclass(frozen=True)
class Actor:
    """A trigger of a captured table, or of the parent of one."""

    name: TriggerName
    #: Where it is before the migration.
    source: Name
    #: From its label to END, about the real tables.
    body: str

    @property
    def operation(self) -> str:
        return self.name.operation

    @property
    def tokens(self) -> tuple[Token, ...]:
        return tuple(tokens(self.body, path=str(self.name)))

    @property
    def reads(self) -> frozenset[str]:
        """The columns of its row that it names, in lower case."""
        found = self.tokens
        return frozenset(
            (found[chain[1]].name or "").lower()
            for chain in chains(found)
            if found[chain[0]].is_word("NEW", "OLD")
        )

    def tables(self) -> Iterable[Name]:
        """What could be tables with their schema, in its body."""
        found = self.tokens
        for chain in chains(found):
            schema, table = (found[index].name for index in chain[:2])
            if schema is not None and table is not None:
                yield schema, table
