"""From the model to SQL text, through the templates. Pure: same input, same bytes."""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass

import jinja2

from ..database.server import Server
from .capture import Capture
from .column import ColumnType
from .spec import Account
from .sql import Sql, account, ident, literal, qualified
from .table import Column
from .trigger import TriggerName

__all__ = [
    "SESSION",
    "Mark",
    "default_token",
    "render",
    "render_definer",
    "render_events",
    "render_polling_state",
    "render_trigger",
]

#: Width of a member's name in JSON_OBJECT; a longer one moves only its own line.
NAME_WIDTH = 20

#: What a session needs before it creates a trigger, because the trigger keeps it:
#: names and literals are utf8mb4, and a value that does not fit is an error instead
#: of a silent NULL. The lock time-out is a year by default on MySQL.
SESSION = (
    Sql("SET NAMES utf8mb4 COLLATE utf8mb4_bin"),
    Sql("SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'"),
    Sql("SET SESSION lock_wait_timeout = 3"),
)


@dataclass(frozen=True)
class Mark:
    """What one generation of a trigger tells the one before it.

    A session variable that holds a token nobody else knows, so that an application
    cannot suppress an event by setting the variable, and the time of the statement,
    so that a mark nobody has consumed is worth nothing later.
    """

    variable: Sql
    token: Sql

    @classmethod
    def left_by(cls, name: TriggerName, token: str) -> Mark:
        return cls(Sql(f"@{name}"), literal(token))


@dataclass(frozen=True)
class TriggerView:
    """What the templates know of a trigger; everything quoted."""

    capture: Capture
    operation: str
    name: Sql
    definer: Sql
    #: `` PRECEDES …`` where an older generation is there.
    order: Sql
    #: For the generation before, None if there is none.
    mark: Mark | None
    #: Left by the generation after.
    next_mark: Mark

    @property
    def event(self) -> Sql:
        return Sql(self.operation.upper())

    @property
    def table(self) -> Sql:
        return qualified(self.capture.schema, self.capture.table)

    @property
    def events(self) -> Sql:
        return qualified(self.capture.outbox, "events")

    @property
    def source(self) -> Sql:
        return literal(self.capture.source)

    def type(self, operation: str) -> Sql:
        return literal(f"{self.capture.table}.{operation}")

    @property
    def key(self) -> tuple[Column, ...]:
        return self.capture.key

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.capture.columns

    @property
    def has_before(self) -> bool:
        return self.capture.images == "both"

    @property
    def has_after(self) -> bool:
        return self.capture.images in ("both", "after")


def default_token(name: TriggerName) -> str:
    """The token of a trigger that is printed and not installed.

    `install` draws it at random; what `generate` prints has to be the same twice.
    """
    return hashlib.sha256(f"token of {name}".encode()).hexdigest()[:16]


def render_trigger(
    capture: Capture,
    name: TriggerName,
    server: Server,
    *,
    token: str,
    previous: TriggerName | None = None,
    previous_token: str | None = None,
) -> Sql:
    """One CREATE TRIGGER statement, without a delimiter.

    ``token`` is what the trigger expects of its next generation. ``previous`` is
    the generation that is there now, ``previous_token`` what that one expects; empty if
    somebody has edited it away.
    """
    order, mark = Sql(""), None
    if previous is not None:
        order = Sql(f" PRECEDES {ident(str(previous))}")
    if previous_token:
        mark = Mark.left_by(name, previous_token)
    view = TriggerView(
        capture=capture,
        operation=name.operation,
        name=qualified(capture.schema, str(name)),
        definer=definer(capture.definer),
        order=order,
        mark=mark,
        next_mark=Mark.left_by(name.next, token),
    )
    return render(f"{name.operation}.sql.j2", server, trigger=view)


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


def definer(owner: Account | None) -> Sql:
    return account(owner.user, owner.host) if owner else Sql("CURRENT_USER")


def render(template: str, server: Server, **model: object) -> Sql:
    """Fill in a template; TypeError for a value that is not quoted."""
    text = _environment().get_template(template).render(server=server, **model)
    return Sql(text.strip())


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
    environment.filters |= {
        "comment": _comment,
        "indent": _indent,
        "json": _json,
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
LINE_BREAK = re.compile(
    r"""
      (?P<whole> '(?:[^'\\]|''|\\.)*' | `(?:[^`]|``)*` | --[ ][^\n]* )
    | \n (?=[^\n])
    """,
    re.VERBOSE | re.DOTALL,
)


def _indent(text: str, width: int = 4) -> Sql:
    return Sql(LINE_BREAK.sub(lambda m: m["whole"] or "\n" + " " * width, str(text)))


def _comment(text: str) -> Sql:
    # A name may hold a line break, which would end the comment.
    return Sql(text.replace("\r", " ").replace("\n", " "))


def _of(column: Column, row: str) -> Sql:
    return Sql(f"{row}.{ident(column.name)}")


@jinja2.pass_context
def _json(context: jinja2.runtime.Context, column: Column, row: str) -> Sql:
    server: Server = context["server"]
    return ColumnType.parse(column.type).json(_of(column, row), server)


def _member(column: Column) -> Sql:
    return Sql(f"{literal(column.name)},".ljust(NAME_WIDTH))
