"""What several commands take."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    # Imported by the commands that need it: `relay` starts without jinja2 and yaml.
    from ..triggers.spec import Spec

__all__ = ["dsn_option", "json_option", "load_spec", "option", "spec_option"]

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


def load_spec(path: str) -> Spec:
    from ..triggers.spec import load

    return load(path)
