"""Every error that evtrig raises on purpose.

::

    EvtrigError                exit code 1
    ├── UsageError             exit code 2   a wrong option, DSN or sink URI
    │   └── SpecError          exit code 2   a spec that cannot be understood
    ├── DatabaseError          exit code 1   the server refused a statement
    │   └── ConnectionLost     exit code 1   … or went away: reconnecting may help
    ├── CredentialsError       exit code 1   no user and password could be had
    ├── PreflightError         exit code 1   install would fail: nothing was changed
    ├── SinkError              exit code 1   a sink that cannot be used at all
    │   └── SinkUnavailable    exit code 1   … for now: trying again may help
    └── ServerNotFound         exit code 1   no server to run a demo or a test on

The message says what is wrong and with which object; ``hint`` says what to do
now. Neither ever holds the contents of a row, or a password. ``cli.py`` prints
them, in one place.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection

__all__ = [
    "ConnectionLost",
    "CredentialsError",
    "DatabaseError",
    "EvtrigError",
    "PreflightError",
    "ServerNotFound",
    "SinkError",
    "SinkUnavailable",
    "SpecError",
    "UsageError",
    "nearest",
]


class EvtrigError(Exception):
    """Something a user can cause and mend."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        #: What to do now, as a sentence or a command.
        self.hint = hint


class UsageError(EvtrigError):
    """An option, a DSN or a sink URI that cannot be right."""

    exit_code = 2


class SpecError(UsageError):
    """A spec that cannot be understood, with the place in the file."""

    def __init__(
        self,
        message: str,
        *,
        path: str,
        line: int | None = None,
        column: int | None = None,
        hint: str | None = None,
    ) -> None:
        place = ":".join(str(part) for part in (path, line, column) if part is not None)
        super().__init__(f"{place}: {message}", hint=hint)
        self.path = path
        #: Both count from 1; None where the whole file is meant.
        self.line, self.column = line, column


class DatabaseError(EvtrigError):
    """The server refused a statement.

    ``number`` is the server's error number (dev.mysql.com/doc, "Server Error
    Message Reference"), or the client library's (2000-2999), ``text`` its own words.
    """

    def __init__(
        self, message: str, *, number: int, hint: str | None = None, text: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.number = number
        self.text = text


class ConnectionLost(DatabaseError):
    """The connection is gone; a new one may succeed."""


class CredentialsError(EvtrigError):
    """User and password, or a token, could not be had from where they are kept."""


class PreflightError(EvtrigError):
    """What an install would run into, found before anything was changed."""

    def __init__(self, problems: tuple[tuple[str, str], ...]) -> None:
        #: Pairs of a problem and what to do about it.
        self.problems = problems
        if len(problems) == 1:
            message, hint = problems[0]
            super().__init__(message, hint=hint)
        else:
            lines = [f"{len(problems)} problems, nothing was changed"]
            for problem, hint in problems:
                lines += [f"  - {problem}", f"    → {hint}"]
            super().__init__("\n".join(lines))


class SinkError(EvtrigError):
    """A sink that cannot take any event until somebody mends it."""


class SinkUnavailable(SinkError):
    """One that did not answer, or not now: trying again may help."""


class ServerNotFound(EvtrigError):
    """No database server could be had for a demo or a test."""


def nearest(word: str, names: Collection[str]) -> str | None:
    """The one of ``names`` that was probably meant, for a hint; None if none is."""
    folded = {name.casefold(): name for name in names}
    # Nothing that long is a slip of the pen, and difflib is quadratic.
    near = difflib.get_close_matches(word[:100].casefold(), folded, n=1)
    return folded[near[0]] if near else None
