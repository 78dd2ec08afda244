"""`evtrig generate`: the SQL, without a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .options import dsn_option, load_spec, spec_option

if TYPE_CHECKING:
    from ..database.dsn import Dsn
    from ..triggers.cascade import Cascade

__all__ = ["generate"]


@click.command()
@spec_option
@dsn_option(required=False)
def generate(path: str, dsn: Dsn | None) -> None:
    """Print the SQL that captures what the spec says.

    The same spec gives the same bytes. With --dsn, columns and keys that the spec
    leaves out are looked up; with all of them in the spec no database is needed, unless
    it says `cascades: capture`.
    """
    from ..database.connection import Connection
    from ..database.server import Server
    from ..triggers.capture import resolve
    from ..triggers.cascade import refuse_cascades
    from ..triggers.emit import Emit
    from ..triggers.install import cascades_of, server_of, tables_of
    from ..triggers.installed import Installed
    from ..triggers.plan import plan
    from ..triggers.script import script

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
    click.echo(script(whole, server), nl=False)
