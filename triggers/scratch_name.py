"""What the tables of a migration are called in the scratch schemas."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .scratch_schema import MARK

__all__ = ["HELPERS", "OWN", "TWIN", "Name", "Names"]

#: Schema and name of a table.
Name = tuple[str, str]

#: The outbox's tables, by what they are called in the scratch schema.
HELPERS = {"events": "evtrig_trial_events", "salts": "evtrig_trial_salts"}
TWIN = "evtrig_trial_twin"
OWN = frozenset({MARK, TWIN, *HELPERS.values()})


@dataclass(frozen=True)
class Names:
    """What is called how in the scratch schemas."""

    #: By schema, the scratch schema that stands for it.
    schemas: Mapping[str, str]
    outbox: str
    #: Whether the server does not tell `Shop` from `shop`.
    is_folded: bool

    def fold(self, name: str) -> str:
        return name.lower() if self.is_folded else name

    def schema(self, name: str) -> str | None:
        """The scratch schema for a schema; None if there is none."""
        by_name = {self.fold(real): scratch for real, scratch in self.schemas.items()}
        return by_name.get(self.fold(name))

    def table(self, schema: str, table: str) -> Name | None:
        """Where a table is in the scratch schemas; None if it is in none."""
        if self.fold(schema) == self.fold(self.outbox) and table in HELPERS:
            return next(iter(self.schemas.values())), HELPERS[table]
        found = self.schema(schema)
        return None if found is None else (found, table)

    def real(self, scratch: str) -> str:
        return next(real for real, name in self.schemas.items() if name == scratch)

    def told(self, text: str) -> str:
        """What the server says, about the real tables."""
        for table, name in HELPERS.items():
            text = text.replace(name, table)
        for real, scratch in self.schemas.items():
            whole = rf"(?<![\w$]){re.escape(scratch)}(?![\w$])"
            text = real.join(re.split(whole, text))
        return text
