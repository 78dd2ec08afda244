"""A plan as a script for the ``mysql`` client."""

from __future__ import annotations

from ..database.server import Server
from .plan import Plan
from .render import SESSION, render
from .sql import Sql

__all__ = ["script"]


def script(plan: Plan, server: Server, *, place: str = "") -> Sql:
    """Every statement of the plan, with delimiters and the session settings.

    ``place`` says which database it was made for, if it is for one alone.
    """
    return render(
        "script.sql.j2", server, steps=plan.steps, session=SESSION, place=place
    )
