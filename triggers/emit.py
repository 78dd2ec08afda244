"""The procedure by which an application writes events of its own into the outbox."""

from __future__ import annotations

from dataclasses import dataclass

from .account import Account
from .spec import Spec

__all__ = ["PROCEDURE", "Emit"]

#: In the outbox schema.
PROCEDURE = "emit"


@dataclass(frozen=True)
class Emit:
    """Everything the procedure depends on."""

    #: Schema of the events table, and of the procedure.
    outbox: str
    #: Its owner; None for whoever creates it.
    definer: Account | None
    #: Whether events carry the id of their transaction.
    transaction: bool
    #: Whether the context says which account wrote.
    db_user: bool

    @classmethod
    def of(cls, spec: Spec) -> Emit | None:
        """What the spec asks for; None if it does not."""
        if not spec.emit:
            return None
        return cls(spec.outbox, spec.definer, spec.transaction, spec.db_user)

    @property
    def source(self) -> str:
        """What the events name as their source."""
        return f"{self.outbox}.{PROCEDURE}"
