"""A plan as a script for the ``mysql`` client."""

from __future__ import annotations

from ..database.server import Server
from .plan import Plan
from .render import SESSION, render
from .sql import Sql

__all__ = ["script"]


def script(plan: Plan, server: Server) -> Sql:
    """Every statement of the plan, with delimiters and the session settings."""
    return render("script.sql.j2", server, steps=plan.steps, session=SESSION)
