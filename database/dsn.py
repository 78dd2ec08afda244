"""Where a database is and who connects: ``mysql://user:password@host:3306/schema``."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from ..errors import UsageError, nearest

__all__ = ["Dsn"]

EXAMPLE = "mysql://user:password@host:3306/schema"
SCHEMES = ("mysql", "mariadb")
OPTIONS = ("ssl_ca", "unix_socket")


@dataclass(frozen=True)
class Dsn:
    """A parsed DSN. Its text form never shows the password."""

    host: str
    port: int = 3306
    user: str = "root"
    password: str = field(default="", repr=False)
    #: The default schema, None if the DSN has no path.
    schema: str | None = None
    #: A PEM file; with it the server's certificate and name are verified.
    ssl_ca: str | None = None
    unix_socket: str | None = None

    @classmethod
    def parse(cls, text: str) -> Dsn:
        """Read a DSN; user, password and schema may be percent-encoded.

        Raises UsageError, whose message does not repeat ``text``: it may hold a
        password in an unexpected place.
        """
        scheme, separator, _ = text.partition("://")
        if not separator or scheme.lower() not in SCHEMES:
            raise UsageError(
                "the DSN does not start with mysql://", hint=f"Write it as {EXAMPLE}"
            )
        try:
            url = urlsplit(text)
            host, port = url.hostname, url.port
        except ValueError:
            raise UsageError(
                "the DSN's host or port cannot be read",
                hint=f"Write it as {EXAMPLE}; percent-encode special characters"
                " in the password (@ is %40, / is %2F, # is %23).",
            ) from None
        if "@" in url.path + url.query + url.fragment:
            raise UsageError(
                "the DSN has a / ? or # in front of its last @",
                hint="Percent-encode special characters in the password: / is %2F,"
                " ? is %3F, # is %23.",
            )
        options = dict(parse_qsl(url.query, keep_blank_values=True))
        for name in options:
            if name not in OPTIONS:
                near = nearest(name, OPTIONS)
                raise UsageError(
                    f"unknown option {name!r} in the DSN",
                    hint=f"Did you mean {near}?"
                    if near
                    else f"It takes {' and '.join(OPTIONS)}.",
                )
        if not host and "unix_socket" not in options:
            raise UsageError("the DSN names no host", hint=f"Write it as {EXAMPLE}")
        if url.fragment:
            raise UsageError(
                "the DSN has a # in it",
                hint="Percent-encode it: # is %23.",
            )
        return cls(
            host=host or "localhost",
            port=port or 3306,
            user=unquote(url.username or "root"),
            password=unquote(url.password or ""),
            schema=unquote(url.path.removeprefix("/")) or None,
            ssl_ca=options.get("ssl_ca"),
            unix_socket=options.get("unix_socket"),
        )

    def __str__(self) -> str:
        """``user@host:port``, for messages."""
        place = self.unix_socket or f"{self.host}:{self.port}"
        return f"{self.user}@{place}"

    @property
    def is_local(self) -> bool:
        """Whether the traffic stays on this machine, so that TLS adds nothing."""
        if self.unix_socket or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
