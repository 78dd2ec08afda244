"""A MySQL option file such as ``~/.my.cnf``: ``--defaults-file``.

Read as MySQL's own programs do (mysys/my_default.cc; docs/connection.md has what was
compared): quotes, escapes, and a # that begins a comment in the middle of a line.
configparser has none of these, and would give another password.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .tls import Mode

__all__ = ["OptionFile"]

#: The later one wins, wherever they stand in the file.
GROUPS = ("client", "evtrig")

#: What is taken, and what it is called in a Dsn.
FIELDS = {
    "host": "host",
    "port": "port",
    "user": "user",
    "password": "password",
    "socket": "unix_socket",
    "database": "schema",
    "ssl-ca": "ssl_ca",
    "ssl-mode": "tls",
    "ssl-verify-server-cert": "tls",
}

#: --ssl-mode of MySQL's programs; the names of an enumeration are matched in any case.
SSL_MODES: dict[str, Mode] = {
    "DISABLED": "off",
    "REQUIRED": "required",
    "VERIFY_CA": "ca",
    "VERIFY_IDENTITY": "verify",
}

#: What MySQL takes for blank; str.strip() would take a no-break space off a password.
BLANK = " \t\r\n\v\f"

ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "s": " "} | {
    character: character for character in "\"'\\"
}


@dataclass(frozen=True)
class OptionFile:
    """What an option file says about a connection. Its text form has no value."""

    path: str
    #: Of a Dsn; only what the file says.
    fields: dict[str, Any] = field(repr=False)
    #: Whether everybody on this machine can read or change it.
    is_open: bool = False

    @classmethod
    def read(cls, path: str) -> OptionFile:
        """Raises UsageError for a file that cannot be read or understood. The message
        names the line, and repeats nothing of it: it may be a password."""
        place = Path(path).expanduser()
        try:
            with place.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                data = file.read()
        except (OSError, ValueError) as error:
            raise UsageError(
                f"the defaults file {path} cannot be read:"
                f" {getattr(error, 'strerror', None) or error}",
                hint="Check --defaults-file, EVTRIG_DEFAULTS_FILE and its permissions.",
            ) from None
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise UsageError(
                f"the defaults file {path} is no text in UTF-8",
                hint="Name a plain option file; what mysql_config_editor writes"
                " (.mylogin.cnf) is encoded, and not read.",
            ) from None
        fields = _fields(path, text)
        is_open = bool(mode & (stat.S_IROTH | stat.S_IWOTH))
        return cls(path, fields, is_open)

    @property
    def warning(self) -> str | None:
        """What is not as it should be, None if all is well."""
        if self.is_open and self.fields.get("password"):
            return (
                f"every user of this machine can read or change {self.path}, which"
                f" holds a password; chmod 600 {self.path}"
            )
        return None


def _fields(path: str, text: str) -> dict[str, Any]:
    groups: dict[str, dict[str, tuple[int, str | None]]] = {}
    for number, group, name, value in _options(path, text):
        groups.setdefault(group, {})[name] = (number, value)
    merged: dict[str, tuple[int, str | None]] = {}
    for group in GROUPS:
        merged |= groups.get(group, {})
    fields: dict[str, Any] = {}
    for name, (number, value) in merged.items():
        if name in FIELDS:
            said = _value(f"{path}:{number}", name, value)
            if said is not None:
                fields.setdefault(FIELDS[name], said)
    if fields.get("host", "localhost") != "localhost":
        # As for MySQL's programs: the socket is for the server on this machine.
        fields.pop("unix_socket", None)
    return fields


def _value(place: str, name: str, value: str | None) -> Any:
    """None where the option says nothing that evtrig goes by."""
    if name == "ssl-mode":
        word = (value or "").upper()
        if word in SSL_MODES:
            return SSL_MODES[word]
        if word == "PREFERRED":
            raise UsageError(
                f"{place}: evtrig has no ssl-mode=PREFERRED, which sends everything in"
                " clear when the server, or somebody in between, offers no TLS",
                hint="Write REQUIRED, VERIFY_CA or VERIFY_IDENTITY there, or DISABLED.",
            )
        raise UsageError(
            f"{place}: unknown ssl-mode",
            hint=f"It is one of {', '.join(SSL_MODES)}.",
        )
    if name == "ssl-verify-server-cert":
        # MariaDB's; a switch that is on when it stands alone.
        is_on = value is None or value.upper() in ("1", "ON", "TRUE")
        return "verify" if is_on else None
    if name == "port" and value is not None:
        if not value.isdecimal() or not 0 < int(value) < 65536:
            raise UsageError(
                f"{place}: the port is no number from 1 to 65535",
                hint="Write port = 3306.",
            )
        return int(value)
    # An option without a value, such as a password to be asked for, says nothing.
    return value or None


def _options(path: str, text: str) -> Iterator[tuple[int, str, str, str | None]]:
    """Line, group, name with dashes, and value, None where there is no ``=``."""
    group = None
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip(BLANK)
        if not line or line[0] in "#;":
            continue
        if line[0] == "!":
            raise UsageError(
                f"{path}:{number}: {line.split()[0]} is not supported",
                hint="Name the file that holds the [client] group itself.",
            )
        if line[0] == "[":
            name, bracket, _ = line[1:].partition("]")
            if not bracket:
                raise UsageError(
                    f"{path}:{number}: a group without its closing bracket",
                    hint="Write [client] or [evtrig].",
                )
            group = name.strip(BLANK)
            continue
        if group is None:
            raise UsageError(
                f"{path}:{number}: an option in front of the first group",
                hint="Write [client] or [evtrig] above it.",
            )
        name, equals, value = _without_comment(line).partition("=")
        name = name.strip(BLANK).lower().replace("_", "-")
        yield number, group, name, _unquoted(value.strip(BLANK)) if equals else None


def _without_comment(line: str) -> str:
    quote = ""
    is_escaped = False
    for position, character in enumerate(line):
        if character in "'\"" and not is_escaped:
            if not quote:
                quote = character
            elif quote == character:
                quote = ""
        if not quote and character == "#":
            return line[:position]
        is_escaped = bool(quote) and character == "\\" and not is_escaped
    return line


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    parts: list[str] = []
    characters = iter(value)
    for character in characters:
        if character != "\\":
            parts.append(character)
            continue
        following = next(characters, "")
        parts.append(ESCAPES.get(following, "\\" + following))
    return "".join(parts)
