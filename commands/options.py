"""What several commands take."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import EvtrigError

if TYPE_CHECKING:
    # Imported by the commands that need it: `relay` starts without jinja2 and yaml.
    from ..triggers.spec import Spec

__all__ = [
    "confirm",
    "dsn_option",
    "json_option",
    "load_spec",
    "lock_timeout_option",
    "only_option",
    "option",
    "prune_option",
    "spec_option",
    "yes_option",
]

Command = TypeVar("Command", bound=Callable[..., Any])

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
    type=click.FloatRange(min=1, max=86_400),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait, at each step, for transactions that use the table.",
)

yes_option = option("--yes", is_flag=True, help="Do not ask.")


def dsn_option(*, required: bool = True) -> Callable[[Command], Command]:
    return option(
        "--dsn",
        envvar="EVTRIG_DSN",
        required=required,
        callback=read_dsn,
        metavar="DSN",
        help="mysql://user:password@host:3306/schema",
    )


def read_dsn(context: click.Context, option: click.Parameter, text: str | None) -> Any:
    from ..database.dsn import Dsn

    if text is None:
        return None
    dsn = Dsn.parse(text)
    source = context.get_parameter_source("dsn")
    if dsn.password and source is click.core.ParameterSource.COMMANDLINE:
        click.echo(
            "evtrig: a password on the command line is visible to every user of this"
            " machine; EVTRIG_DSN keeps it private",
            err=True,
        )
    return dsn


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
