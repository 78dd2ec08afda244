"""From the model to SQL text, through the templates. Pure: same input, same bytes."""

from __future__ import annotations

import functools
import hashlib
import re

import jinja2

from ..database.server import Server
from .account import Account
from .capture import Capture
from .cascade import Cascade
from .emit import Emit
from .sql import Sql, account, ident, literal, qualified
from .table import Column
from .trigger import Mark, TriggerName
from .view import (
    CascadeView,
    EmitView,
    MarkView,
    Member,
    TriggerView,
    column_of,
    definer,
)

__all__ = [
    "SESSION",
    "default_mark",
    "render",
    "render_cascade",
    "render_dead_letters",
    "render_definer",
    "render_emit",
    "render_events",
    "render_polling_state",
    "render_salts",
    "render_trigger",
]

#: Width of a member's name in JSON_OBJECT; a longer one moves only its own line.
NAME_WIDTH = 20

#: The longest @evtrig_context that is recorded, in characters.
CONTEXT_LENGTH = 4096

#: Of what MariaDB 10.11 takes for JSON, that which is: every string has only the
#: escapes of RFC 8259, every number is whole. In PCRE, ``~`` being a backslash: with
#: one in it, information_schema would not give back what was sent.
STRICT_JSON = (
    '^(?:"(?:[^"~~]++|~~["~~/bfnrtu])*+"',
    "|-?[0-9]++(?:[.][0-9]++)?(?:[eE][-+]?[0-9]++)?(?![0-9.eE+-])",
    '|[^"0-9.+~~-])*+$',
)

#: What a session needs before it creates a trigger, because the trigger keeps it:
#: names and literals are utf8mb4, and a value that does not fit is an error instead
#: of a silent NULL. The lock time-out is a year by default on MySQL.
SESSION = (
    Sql("SET NAMES utf8mb4 COLLATE utf8mb4_bin"),
    Sql("SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'"),
    Sql("SET SESSION lock_wait_timeout = 3"),
)


def default_mark(name: TriggerName) -> Mark:
    """What a trigger expects that is printed and not installed.

    `install` draws tokens at random; what `generate` prints has to be the same twice.
    """
    token = hashlib.sha256(f"token of {name}".encode()).hexdigest()[:16]
    return Mark(str(name.next), token)


def render_trigger(
    capture: Capture,
    name: TriggerName,
    server: Server,
    *,
    expects: Mark,
    previous: TriggerName | None = None,
    leaves: Mark | None = None,
) -> Sql:
    """One CREATE TRIGGER statement, without a delimiter.

    ``expects`` is the mark of its next generation. ``previous`` is the generation that
    is there now, ``leaves`` the mark that this one expects; None if somebody has edited
    it away.
    """
    order = Sql("")
    if previous is not None:
        order = Sql(f" PRECEDES {ident(str(previous))}")
    view = TriggerView(
        capture=capture,
        operation=name.operation,
        server=server,
        name=qualified(capture.schema, str(name)),
        definer=definer(capture.definer),
        order=order,
        mark=MarkView.of(leaves) if leaves else None,
        next_mark=MarkView.of(expects),
    )
    return render(f"{name.operation}.sql.j2", server, trigger=view)


def render_cascade(cascade: Cascade, name: TriggerName, server: Server) -> Sql:
    """CREATE TRIGGER for the parent of foreign keys that cascade."""
    view = CascadeView(cascade, qualified(cascade.schema, str(name)))
    return render("cascade.sql.j2", server, cascade=view)


def render_events(outbox: str, server: Server) -> Sql:
    """CREATE TABLE for the outbox itself."""
    return render("events.sql.j2", server, events=qualified(outbox, "events"))


def render_polling_state(outbox: str, server: Server) -> Sql:
    """CREATE TABLE for the row that says which relay publishes."""
    return render(
        "event_polling_state.sql.j2",
        server,
        state=qualified(outbox, "event_polling_state"),
    )


def render_dead_letters(outbox: str, server: Server) -> Sql:
    """CREATE TABLE for the events that no sink takes."""
    return render(
        "dead_letters.sql.j2",
        server,
        dead_letters=qualified(outbox, "dead_letters"),
    )


def render_salts(outbox: str, server: Server) -> Sql:
    """CREATE TABLE for the salt of redaction by hash."""
    return render("salts.sql.j2", server, salts=qualified(outbox, "salts"))


def render_emit(emit: Emit, server: Server) -> Sql:
    """CREATE PROCEDURE for events that the application writes itself."""
    return render("emit.sql.j2", server, emit=EmitView(emit))


def render_definer(definer: Account, server: Server) -> Sql:
    """CREATE USER for the locked account that owns the triggers."""
    name = account(definer.user, definer.host)
    if server.is_mariadb:
        # It cannot draw a password; the lock alone keeps everybody out.
        return Sql(f"CREATE USER IF NOT EXISTS {name} ACCOUNT LOCK")
    # Where a password policy is in force, no password is refused (1819).
    return Sql(
        "-- The password that this prints is of no use: the account is locked.\n"
        f"CREATE USER IF NOT EXISTS {name} IDENTIFIED BY RANDOM PASSWORD ACCOUNT LOCK"
    )


def render(template: str, server: Server, **model: object) -> Sql:
    """Fill in a template; TypeError for a value that is not quoted."""
    text = _environment().get_template(template).render(server=server, **model)
    return Sql(GAP.sub(_filled, text.strip()))


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("evtrig"),
        # Sql passes the escaping by; anything else does not get past `finalize`.
        autoescape=True,
        finalize=_only_sql,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.globals |= {
        "blank_line": Sql("\n"),
        "context_length": Sql(str(CONTEXT_LENGTH)),
        "null": Sql("NULL"),
        "strict_json": STRICT_JSON,
        "text": Sql("LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
    }
    environment.filters |= {
        "comment": _comment,
        "indent": _indent,
        "literal": literal,
        "member": _member,
        "of": _of,
        "sql": Sql,
    }
    return environment


def _only_sql(value: object) -> object:
    if isinstance(value, jinja2.Undefined):
        str(value)  # raises the error that names it
    if not hasattr(value, "__html__"):
        raise TypeError(f"{type(value).__name__} reached SQL without quotes")
    return value


#: A line break to indent after; those in names, literals and comments stay as they are.
WHOLE = r"'(?:[^'\\]|''|\\.)*' | `(?:[^`]|``)*` | --[ ][^\n]*"
LINE_BREAK = re.compile(rf"(?P<whole>{WHOLE}) | \n (?=[^\n])", re.VERBOSE | re.DOTALL)


#: Blank lines that macros leave: one is enough, and none before END.
GAP = re.compile(
    rf"(?P<whole>{WHOLE}) | \n (?:[ ]*\n)+ (?P<end>(?=[ ]*END\b))?",
    re.VERBOSE | re.DOTALL,
)


def _filled(gap: re.Match[str]) -> str:
    return gap["whole"] or ("\n\n" if gap["end"] is None else "\n")


def _indent(text: str, width: int = 4) -> Sql:
    return Sql(LINE_BREAK.sub(lambda m: m["whole"] or "\n" + " " * width, str(text)))


def _comment(text: str) -> Sql:
    # A name may hold a line break, which would end the comment.
    return Sql(text.replace("\r", " ").replace("\n", " "))


def _of(column: Column, row: str) -> Sql:
    return column_of(row, column)


def _member(member: Member) -> Sql:
    name = f"{literal(member.name)},".ljust(NAME_WIDTH)
    return Sql(f"{name} {member.value}")
