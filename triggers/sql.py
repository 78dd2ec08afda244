"""SQL text that is safe to put into a statement: quoted names and literals."""

from __future__ import annotations

import re

__all__ = [
    "Sql",
    "account",
    "every_table",
    "ident",
    "literal",
    "normalize",
    "qualified",
]


class Sql(str):
    """Text that is SQL already; templates refuse to print anything else."""

    __slots__ = ()

    def __html__(self) -> Sql:
        """Jinja's protocol for text that needs no more quoting."""
        return self


def ident(name: str) -> Sql:
    """A quoted identifier; back-ticks inside are doubled (MySQL manual, 11.2)."""
    return Sql("`" + name.replace("`", "``") + "`")


def qualified(schema: str, name: str) -> Sql:
    """A table or trigger with its schema."""
    return Sql(f"{ident(schema)}.{ident(name)}")


def every_table(schema: str) -> Sql:
    """All of a schema, in a GRANT, where ``_`` and ``%`` are wildcards."""
    name = schema.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%")
    return Sql(f"{ident(name)}.*")


def literal(text: str) -> Sql:
    """A string literal, for any sql_mode without NO_BACKSLASH_ESCAPES."""
    return Sql("'" + text.replace("\\", "\\\\").replace("'", "''") + "'")


def account(user: str, host: str) -> Sql:
    """An account as CREATE USER, GRANT and DEFINER take it."""
    return Sql(f"{ident(user)}@{ident(host)}")


TOKEN = re.compile(
    r"""
      (?P<quoted> '(?:[^'\\]|''|\\.)*' | `(?:[^`]|``)*` | "(?:[^"\\]|""|\\.)*" )
    | (?P<gap> (?: \s+ | --(?=\s)[^\n]* | \#[^\n]* | /\*.*?\*/ )+ )
    """,
    re.VERBOSE | re.DOTALL,
)


def normalize(statement: str) -> str:
    """The statement without comments, each run of white space one blank.

    For comparing with what a server has stored: the ``mysql`` client drops
    comments before it sends a statement.
    """
    return TOKEN.sub(lambda match: match["quoted"] or " ", statement).strip()
