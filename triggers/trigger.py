"""The names by which evtrig knows its triggers again, and they each other."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace

__all__ = ["CASCADE", "OPERATIONS", "Mark", "TriggerName"]

#: In the order in which they are created.
OPERATIONS = ("insert", "update", "delete")

#: The trigger of a parent table that does what its foreign keys would.
CASCADE = "cascade"

NAME = re.compile(r"evtrig_(?P<table>[0-9a-f]{12})_(?P<letter>[iudc])_(?P<n>[1-9]\d*)")
LETTERS = {operation[0]: operation for operation in (*OPERATIONS, CASCADE)}


@dataclass(frozen=True)
class TriggerName:
    """``evtrig_9f2c51ab77e0_u_1``: of which table, which operation, which generation.

    The table's part is a digest, so that the name fits whatever the table is
    called: 64 characters are allowed, and tools for online schema changes need some
    of them for a suffix.
    """

    table: str
    #: One of OPERATIONS, or CASCADE.
    operation: str
    #: Counts up each time the trigger is replaced, and from 1 again once none is there.
    generation: int

    @classmethod
    def of(
        cls, schema: str, table: str, operation: str, generation: int = 1
    ) -> TriggerName:
        digest = hashlib.sha256(f"{schema}.{table}".encode()).hexdigest()[:12]
        return cls(digest, operation, generation)

    @classmethod
    def parse(cls, text: str) -> TriggerName | None:
        """None if this is somebody else's trigger."""
        match = NAME.fullmatch(text)
        if match is None:
            return None
        return cls(match["table"], LETTERS[match["letter"]], int(match["n"]))

    @property
    def next(self) -> TriggerName:
        return replace(self, generation=self.generation + 1)

    def __str__(self) -> str:
        return f"evtrig_{self.table}_{self.operation[0]}_{self.generation}"


@dataclass(frozen=True)
class Mark:
    """What one generation of a trigger leaves for the one before it.

    A session variable that holds a token nobody else knows, so that an application
    cannot suppress an event by setting the variable, and the time of the statement,
    so that a mark nobody has consumed is worth nothing later.
    """

    #: Of the variable, without the @: the next generation's, when the one before was
    #: made.
    name: str
    token: str
