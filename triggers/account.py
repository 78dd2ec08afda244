"""A database account, as SQL writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import UsageError
from .document import shown

__all__ = ["USER_LENGTH", "Account", "unstorable"]

# Error 1470 on MySQL 9.7 and MariaDB 10.11. MariaDB's manual says 80 for the user;
# 10.11 takes 128.
HOST_LENGTH = 255
USER_LENGTH = {"mysql": 32, "mariadb": 128}

ACCOUNT = re.compile(
    r"""(?P<user>{part})(?:@(?P<host>{part}))?""".format(
        part=r"""'(?:[^']|'')*'|`(?:[^`]|``)*`|"(?:[^"]|"")*"|[^\s@'"`]+"""
    )
)


@dataclass(frozen=True)
class Account:
    """A MySQL account. ``str()`` gives ``name@host``, as servers report a definer."""

    user: str
    #: A name, an address, or a pattern of them such as ``10.0.%``.
    host: str

    @classmethod
    def parse(cls, text: str) -> Account:
        """An account as SQL or a shell writes it: ``app``, ``app@%``, ``'app'@'%'``.

        Without a host it is ``%``, as in MySQL. Raises UsageError.
        """
        match = ACCOUNT.fullmatch(text)
        if match is None:
            raise UsageError(
                f"`{shown(text)}` is not an account",
                hint="Write name@host; a name with spaces or @ goes in quotes: "
                "'my name'@'localhost'.",
            )
        account = cls(unquoted(match["user"]), unquoted(match["host"] or "%"))
        for what, part, limit in (
            ("user", account.user, max(USER_LENGTH.values())),
            ("host", account.host, HOST_LENGTH),
        ):
            problem = unstorable(part)
            if not part:
                problem = "is empty"
            elif len(part) > limit:
                problem = f"is longer than {limit} characters"
            if problem:
                raise UsageError(
                    f"the {what} of account `{shown(text)}` {problem}",
                    hint="Write name@host, as in CREATE USER.",
                )
        return account

    def __str__(self) -> str:
        return f"{self.user}@{self.host}"


def unstorable(name: str) -> str | None:
    # MySQL 9.7 stores a ? instead, with a warning; MariaDB 10.11 fails (1300).
    if any(character > "\uffff" for character in name):
        return "holds a character beyond U+FFFF"
    return "holds U+0000" if "\0" in name else None


def unquoted(part: str) -> str:
    if part[:1] in ("'", "`", '"'):
        return part[1:-1].replace(part[0] * 2, part[0])
    return part
