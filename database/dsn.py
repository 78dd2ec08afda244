"""Where a database is and who connects: ``mysql://user@host:3306/schema``."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from ..errors import UsageError, nearest
from .tls import Mode, Tls

__all__ = ["DefaultsFile", "Dsn", "RdsIam", "Secret", "Source"]

#: Without a password: what a hint shows is typed on a command line.
EXAMPLE = "mysql://user@host:3306/schema"
SCHEMES = ("mysql", "mariadb")
OPTIONS = ("ssl_ca", "unix_socket", "tls", "auth", "region")
#: Of a DSN that is the ARN of a secret: what the secret may not say.
SECRET_OPTIONS = ("host", "port", "schema", "ssl_ca", "unix_socket", "tls")
#: docs.aws.amazon.com, Service Authorization Reference, "AWS Secrets Manager".
SECRET_ARN = re.compile(r"arn:aws[\w-]*:secretsmanager:([a-z0-9-]+):\d{12}:secret:\S+")
IAM = "rds-iam"


@dataclass(frozen=True)
class Secret:
    """A secret in AWS Secrets Manager, which says user, password and more."""

    arn: str

    @property
    def region(self) -> str:
        return self.arn.split(":")[3]


@dataclass(frozen=True)
class RdsIam:
    """A token that AWS credentials sign, good for 15 minutes, as the password."""

    #: Where the host name does not say it.
    region: str | None = None


@dataclass(frozen=True)
class DefaultsFile:
    """A MySQL option file, read again at each connect."""

    path: str


Source: TypeAlias = Secret | RdsIam | DefaultsFile

#: Fields of a Dsn by name: only those that were said.
Given: TypeAlias = Mapping[str, Any]
NOTHING: Given = {}


@dataclass(frozen=True)
class Dsn:
    """A parsed DSN. Its text form never shows the password."""

    host: str
    port: int = 3306
    user: str = "root"
    password: str = field(default="", repr=False)
    #: The default schema, None if the DSN has no path.
    schema: str | None = None
    #: A PEM file, or ``rds``; with it TLS is verified unless ``tls`` says otherwise.
    ssl_ca: str | None = None
    unix_socket: str | None = None
    #: None: ``policy`` decides.
    tls: Mode | None = None
    #: Where the fields ``pending`` come from, looked up at each connect.
    source: Source | None = None
    pending: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if isinstance(self.source, RdsIam) and self.tls not in (None, "verify"):
            raise UsageError(
                f"auth={IAM} and TLS mode {self.tls} exclude each other",
                hint="The token goes to the server in clear inside TLS, so the server"
                " has to be the right one: leave --tls, or EVTRIG_TLS, out, and give"
                " --tls-ca rds, or EVTRIG_TLS_CA.",
            )
        if self.tls == "required" and self.ssl_ca:
            raise UsageError(
                "TLS mode required checks no certificate, and would ignore the CA file",
                hint="--tls ca, or EVTRIG_TLS, checks the certificate, verify the host"
                " name too.",
            )

    @classmethod
    def parse(cls, text: str) -> Dsn:
        """Read a DSN; user, password and schema may be percent-encoded.

        Raises UsageError, whose message does not repeat ``text``: it may hold a
        password in an unexpected place.
        """
        return cls.combine(text)

    @classmethod
    def combine(
        cls,
        text: str | None,
        *,
        defaults: Given = NOTHING,
        path: str | None = None,
        options: Given = NOTHING,
    ) -> Dsn:
        """A DSN, above it what ``options`` say, below it the ``defaults`` of the
        option file at ``path``. Raises UsageError."""
        said = {} if text is None else _read(text)
        if "host" in said or "unix_socket" in said:
            # A server is named: the socket of another one is of no use.
            defaults = {k: v for k, v in defaults.items() if k != "unix_socket"}
        source = said.get("source")
        if source is not None or "password" in said:
            # They come with the password, or the account has none.
            hidden = {"password"} | ({"user"} if isinstance(source, Secret) else set())
            defaults = {k: v for k, v in defaults.items() if k not in hidden}
        elif "password" in defaults:
            assert path is not None
            taken = frozenset(defaults) - said.keys()
            said |= {
                "source": DefaultsFile(path),
                "pending": taken & {"user", "password"},
            }
        fields = {**defaults, **said, **options}
        if isinstance(source, Secret):
            known = frozenset(fields) | ({"host"} if "unix_socket" in fields else set())
            pending = {"user", "password", "host", "port", "schema"} - known
            fields["pending"] = frozenset(pending)
        elif "host" not in fields and "unix_socket" not in fields:
            if text is not None:
                raise UsageError("the DSN names no host", hint=f"Write it as {EXAMPLE}")
        if isinstance(source, RdsIam) and "user" not in fields:
            raise UsageError(
                f"auth={IAM} needs the user in the DSN",
                hint="Name the account that is IDENTIFIED WITH AWSAuthenticationPlugin:"
                f" mysql://user@host/schema?auth={IAM}",
            )
        fields.setdefault("host", "localhost")
        return cls(**fields)

    def filled(self, found: Given) -> Dsn:
        """With those of the ``pending`` fields that the source gave."""
        new = {name: value for name, value in found.items() if name in self.pending}
        return dataclasses.replace(self, **new)

    def __str__(self) -> str:
        """``user@host:port``, for messages."""
        if isinstance(self.source, Secret) and not self.password:
            return f"the database of {self.source.arn}"
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

    @property
    def policy(self) -> Tls:
        """Verified off this machine and wherever a CA or IAM asks for it; else off."""
        is_plain = self.is_local and not self.ssl_ca
        is_plain = is_plain and not isinstance(self.source, RdsIam)
        return Tls(self.tls or ("off" if is_plain else "verify"), self.ssl_ca)


def _read(text: str) -> dict[str, Any]:
    """The fields that a DSN names."""
    if text.lower().startswith("arn:"):
        return _read_secret(text)
    scheme, separator, _ = text.partition("://")
    if not separator or scheme.lower() not in SCHEMES:
        raise UsageError(
            "the DSN does not start with mysql://",
            hint=f"Write it as {EXAMPLE}, or as the ARN of a secret.",
        )
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        raise UsageError(
            "the DSN's host or port cannot be read",
            hint=f"Write it as {EXAMPLE}; percent-encode special characters"
            " in user and password (@ is %40, / is %2F, # is %23).",
        ) from None
    if "@" in url.path + url.query + url.fragment:
        raise UsageError(
            "the DSN has a / ? or # in front of its last @",
            hint="Percent-encode special characters in the password: / is %2F,"
            " ? is %3F, # is %23.",
        )
    options = _options(url.query, OPTIONS)
    if url.fragment:
        raise UsageError(
            "the DSN has a # in it",
            hint="Percent-encode it: # is %23.",
        )
    said = {
        "host": host,
        "port": port,
        "user": unquote(url.username or "") or None,
        "password": unquote(url.password or "") or None,
        "schema": unquote(url.path.removeprefix("/")) or None,
        "source": _iam(options, has_password=bool(url.password)),
        **options,
    }
    return {name: value for name, value in said.items() if value is not None}


def _read_secret(text: str) -> dict[str, Any]:
    arn, _, query = text.partition("?")
    if not SECRET_ARN.fullmatch(arn):
        raise UsageError(
            f"{arn} is not the ARN of a secret",
            hint="Write arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME, with"
            " ?host=… and &schema=… for what the secret does not hold.",
        )
    said = _options(query, SECRET_OPTIONS)
    if "port" in said:
        port = said["port"]
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise UsageError("the port in the DSN is no port", hint="Write port=3306.")
        said["port"] = int(port)
    return {**said, "source": Secret(arn)}


def _options(query: str, known: tuple[str, ...]) -> dict[str, Any]:
    options: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in known:
            near = nearest(name, known)
            raise UsageError(
                f"unknown option {name!r} in the DSN",
                hint=f"Did you mean {near}?"
                if near
                else f"It takes {', '.join(known)}.",
            )
    if "tls" in options:
        options["tls"] = Tls.mode_of(options["tls"], "tls= in the DSN")
    return {name: value for name, value in options.items() if value}


def _iam(options: dict[str, Any], *, has_password: bool) -> RdsIam | None:
    auth, region = options.pop("auth", None), options.pop("region", None)
    if auth is None:
        if region:
            raise UsageError(
                "region= in the DSN is for auth=rds-iam only",
                hint=f"Add &auth={IAM}, or leave region= out.",
            )
        return None
    if auth != IAM:
        raise UsageError(f"unknown auth={auth} in the DSN", hint=f"It takes {IAM}.")
    if has_password:
        raise UsageError(
            f"auth={IAM} takes no password", hint="Leave the password out of the DSN."
        )
    return RdsIam(region)
