"""The command line: the commands, and the one place that prints errors."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any, NoReturn

import click

from . import __version__
from .commands.check import check
from .commands.dead_letters import dead_letters
from .commands.demo import demo
from .commands.function import function
from .commands.generate import generate
from .commands.grants import grants
from .commands.init import init
from .commands.install import install
from .commands.plan import plan
from .commands.relay import relay
from .commands.uninstall import uninstall
from .errors import EvtrigError

__all__ = ["main"]


class Commands(click.Group):
    """Prints every error that a user can cause in one form, and sets the exit code."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except EvtrigError as error:
            fail(error)
        except BrokenPipeError:
            # Whoever read our output has gone.
            close_output()
            sys.exit(1)
        except UnicodeEncodeError as error:
            fail(
                EvtrigError(
                    f"the output cannot be written in {error.encoding}",
                    hint="Set PYTHONIOENCODING=utf-8, or a locale with UTF-8.",
                )
            )
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EIO, errno.EFBIG):
                raise
            close_output()
            fail(
                EvtrigError(
                    f"the output cannot be written: {error.strerror}",
                    hint="Write elsewhere, or make room.",
                )
            )


def close_output() -> None:
    """Python would complain at exit about what it cannot write any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(error: EvtrigError) -> NoReturn:
    click.echo(f"evtrig: {error.message}", err=True)
    if error.hint:
        click.echo(f"  → {error.hint}", err=True)
    sys.exit(error.exit_code)


@click.group(
    cls=Commands,
    context_settings={
        "auto_envvar_prefix": "EVTRIG",
        "help_option_names": ["-h", "--help"],
    },
)
@click.version_option(__version__, prog_name="evtrig")
def main() -> None:
    """Change events from MySQL and MariaDB.

    Triggers write every committed change into an outbox table, in the writer's own
    transaction; a relay publishes them in order.

    \b
    Exit codes: 0 done, 1 failed, 2 wrong usage or a spec that cannot be understood,
    3 findings (check) or differences (plan --exit-code, generate --check).
    """


for command in (
    *(check, dead_letters, demo, function, generate, grants, init, install, plan),
    *(relay, uninstall),
):
    main.add_command(command)
