"""What several commands take."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from ..database.tls import MODES, Mode
from ..errors import EvtrigError, UsageError
from .log import say

if TYPE_CHECKING:
    from ..database.dsn import Dsn

    # Imported by the commands that need it: `relay` starts without jinja2 and yaml.
    from ..triggers.spec import Spec

__all__ = [
    "Seconds",
    "confirm",
    "dsn_option",
    "json_option",
    "load_spec",
    "lock_timeout_option",
    "no_database",
    "only_option",
    "option",
    "outbox_option",
    "prune_option",
    "spec_option",
    "yes_option",
]

Command = TypeVar("Command", bound=Callable[..., Any])


class Seconds(click.FloatRange):
    """A number of seconds; ``nan``, which Python takes for one, would never be over."""

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        context: click.Context | None,
    ) -> float:
        seconds = float(super().convert(value, param, context))
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds.", param, context)
        return seconds


#: Every option can be given as a variable: EVTRIG_DSN, or EVTRIG_RELAY_ONCE for a flag.
option = functools.partial(click.option, show_envvar=True)

spec_option = option(
    "-s",
    "--spec",
    "path",
    envvar="EVTRIG_SPEC",
    default="evtrig.yml",
    show_default=True,
    metavar="FILE",
    help="The spec.",
)

outbox_option = option(
    "--outbox",
    envvar="EVTRIG_OUTBOX",
    default="evtrig",
    show_default=True,
    metavar="SCHEMA",
    help="Schema of the outbox.",
)

json_option = option("--json", "as_json", is_flag=True, help="Print JSON.")

only_option = option(
    "--only",
    multiple=True,
    metavar="TABLE",
    help="This table of the spec and no other; may be given more than once.",
)

prune_option = option(
    "--prune",
    is_flag=True,
    help="Also drop the triggers of tables that the spec does not have.",
)

lock_timeout_option = option(
    "--lock-timeout",
    type=Seconds(min=1, max=86_400),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait, at each step, for transactions that use the table.",
)

yes_option = option("--yes", is_flag=True, help="Do not ask.")


def dsn_option(*, required: bool = True) -> Callable[[Command], Command]:
    """--dsn and what completes it, as the one parameter ``dsn`` of a command.

    None if nothing is given and it is not ``required``.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_dsn(
            *arguments: Any,
            dsn: str | None,
            defaults_file: str | None,
            tls: Mode | None,
            tls_ca: str | None,
            **others: Any,
        ) -> Any:
            target = read_dsn(dsn, defaults_file, tls, tls_ca, required=required)
            return command(*arguments, dsn=target, **others)

        for add in reversed(DSN_OPTIONS):
            add(with_dsn)
        return cast(Command, with_dsn)

    return decorate


DSN_OPTIONS = (
    option(
        "--dsn",
        envvar="EVTRIG_DSN",
        metavar="DSN",
        help="mysql://user@host:3306/schema, or the ARN of a secret in AWS Secrets"
        " Manager. A password is best kept in the variable, or in the defaults file.",
    ),
    option(
        "--defaults-file",
        envvar="EVTRIG_DEFAULTS_FILE",
        metavar="FILE",
        help="A MySQL option file, [client] and [evtrig], for what the DSN leaves out.",
    ),
    option(
        "--tls",
        type=click.Choice(MODES),
        envvar="EVTRIG_TLS",
        help="Verify certificate and host name, the certificate only (ca), or only"
        " encrypt (required).  [default: verify; off on this machine]",
    ),
    option(
        "--tls-ca",
        envvar="EVTRIG_TLS_CA",
        metavar="FILE",
        help="PEM file of the CA to trust instead of the system's; rds for Amazon's"
        " bundle, where it is on this machine.",
    ),
)


def read_dsn(
    text: str | None,
    path: str | None,
    tls: Mode | None,
    tls_ca: str | None,
    *,
    required: bool,
) -> Dsn | None:
    from ..database.dsn import Dsn
    from ..database.option_file import OptionFile

    if text is None and path is None:
        if not required:
            return None
        raise no_database()
    file = OptionFile.read(path) if path is not None else None
    given = {"tls": tls, "ssl_ca": tls_ca}
    dsn = Dsn.combine(
        text,
        defaults=file.fields if file else {},
        path=path,
        options={name: value for name, value in given.items() if value},
    )
    source = click.get_current_context().get_parameter_source("dsn")
    # One from the defaults file has a source.
    is_typed = source is click.core.ParameterSource.COMMANDLINE and dsn.source is None
    if dsn.password and is_typed:
        say(
            "a password on the command line is visible to every user of this"
            " machine; EVTRIG_DSN or --defaults-file keeps it private"
        )
    if file and file.warning:
        say(file.warning)
    return dsn


def no_database() -> UsageError:
    return UsageError(
        "no database is named",
        hint="Give --dsn mysql://user@host/schema, or --defaults-file FILE; or set"
        " EVTRIG_DSN or EVTRIG_DEFAULTS_FILE.",
    )


def confirm(question: str) -> None:
    """Go on if the answer is yes; EvtrigError if it is not, or nobody answers."""
    try:
        click.confirm(question, abort=True, err=True)
    except click.Abort:
        raise EvtrigError(
            "nothing was changed", hint="Answer y, or give --yes."
        ) from None


def load_spec(path: str) -> Spec:
    from ..triggers.spec import load

    return load(path)
