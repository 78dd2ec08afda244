"""`evtrig generate`: the SQL, without a database, printed or as a folder."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import UsageError
from .options import dsn_option, load_spec, option, spec_option

if TYPE_CHECKING:
    from ..database.dsn import Dsn
    from ..triggers.cascade import Cascade

__all__ = ["generate"]


@click.command()
@spec_option
@dsn_option(required=False)
@option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write one file a table into this folder, instead of printing.",
)
@option(
    "--check",
    "is_check",
    is_flag=True,
    help="With -o: write nothing, but exit with 3 if a file differs from the spec.",
)
@option(
    "--force",
    is_flag=True,
    help="With -o: also overwrite files that evtrig has not made.",
)
def generate(
    path: str, dsn: Dsn | None, output: Path | None, is_check: bool, force: bool
) -> None:
    """Print the SQL that captures what the spec says.

    The same spec gives the same bytes. With --dsn, columns and keys that the spec
    leaves out are looked up; with all of them in the spec no database is needed, unless
    it says `cascades: capture`.

    With -o it is kept in a folder for review, one file a table. Files that are as they
    should be are not touched, those of tables that the spec has no more are removed.
    """
    from ..database.connection import Connection
    from ..database.server import Server
    from ..triggers.capture import resolve
    from ..triggers.cascade import refuse_cascades
    from ..triggers.emit import Emit
    from ..triggers.folder import folder
    from ..triggers.install import cascades_of, server_of, tables_of
    from ..triggers.installed import Installed
    from ..triggers.plan import plan
    from ..triggers.script import script

    if output is None and (is_check or force):
        raise UsageError(
            f"{'--check' if is_check else '--force'} is about a folder",
            hint="Name it with -o DIR.",
        )
    if is_check and force:
        raise UsageError(
            "--check writes nothing, so there is nothing to --force",
            hint="Leave one of the two out.",
        )
    spec = load_spec(path)
    if dsn is None:
        server = Server("mariadb" if spec.server == "mariadb" else "mysql")
        captures = resolve(spec, None, server)
        refuse_cascades(spec)
        cascades: tuple[Cascade, ...] = ()
    else:
        with Connection(dsn) as connection:
            server = server_of(connection, spec)
            captures = resolve(spec, tables_of(connection, spec), server)
            cascades, _ = cascades_of(connection, spec, captures, server)
    whole = plan(
        captures,
        Installed(),
        server,
        outbox=spec.outbox,
        definer=spec.definer,
        emit=Emit.of(spec),
        cascades=cascades,
    )
    if output is None:
        click.echo(script(whole, server), nl=False)
        return
    files = folder(whole, server, captures, cascades)
    if is_check:
        compare(output, files, path)
    else:
        save(output, files, force=force)


def save(folder: Path, files: Mapping[str, str], *, force: bool) -> None:
    from .output import write

    changes = write(folder, files, force=force)
    for change in changes:
        done = "removed" if change.kind == "left over" else "wrote"
        click.echo(f"{done} {folder / change.path}")
    click.echo(f"{folder}: {len(files)} files, {len(changes) or 'nothing'} changed")


def compare(folder: Path, files: Mapping[str, str], spec: str) -> None:
    from .output import differences

    found = differences(folder, files)
    for difference in found:
        click.echo(f"{difference.kind}: {folder / difference.path}")
    if not found:
        click.echo(f"{folder}: {len(files)} files, as {spec} says")
        return
    count = f"{len(found)} file{'s' if len(found) > 1 else ''}"
    verb = "differ" if len(found) > 1 else "differs"
    click.echo(f"{folder}: {count} {verb} from {spec}")
    command = shlex.join(["evtrig", "generate", "-s", spec, "-o", str(folder)])
    if any(difference.kind == "not evtrig's" for difference in found):
        command += " --force, if those that are not evtrig's may go"
    click.echo(f"  → {command}")
    sys.exit(3)
