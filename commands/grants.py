"""`evtrig grants`: SQL that gives each account the least that it needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from .options import dsn_option, json_option, load_spec, option, spec_option

if TYPE_CHECKING:
    from ..database.dsn import Dsn

__all__ = ["grants"]


@click.command()
@click.argument("roles", nargs=-1, metavar="[ROLE]...")
@spec_option
@dsn_option(required=False)
@option(
    "--account",
    "accounts",
    multiple=True,
    metavar="ROLE=NAME@HOST",
    help="Which account has the role, instead of evtrig_ROLE@%; may be repeated.",
)
@json_option
def grants(
    roles: tuple[str, ...],
    path: str,
    dsn: Dsn | None,
    accounts: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print SQL that gives each account the least that it needs.

    Roles are installer, definer, relay, snapshot (for a backfill through the outbox,
    by your own SQL), status (for evtrig check) and operator (for evtrig dead-letters);
    all of these if none is named. uninstaller is printed only if it is named.

    Changes nothing. The same spec gives the same bytes. With --dsn the version of the
    server counts, and columns, keys and foreign keys that the spec leaves out are
    looked up.
    """
    from ..database.connection import Connection
    from ..database.server import Server
    from ..triggers.assignment import as_data, assign, read_accounts, script
    from ..triggers.capture import resolve
    from ..triggers.cascade import refuse_cascades
    from ..triggers.emit import Emit
    from ..triggers.install import cascades_of, server_of, tables_of
    from ..triggers.role import Wanted

    spec = load_spec(path)
    emit = Emit.of(spec)
    if dsn is None:
        server = Server("mariadb" if spec.server == "mariadb" else "mysql")
        refuse_cascades(spec)
        captures = resolve(spec, None, server)
        wanted = Wanted(captures, server, spec.outbox, spec.definer, emit)
    else:
        with Connection(dsn) as connection:
            server = server_of(connection, spec)
            captures = resolve(spec, tables_of(connection, spec), server)
            cascades, _ = cascades_of(connection, spec, captures, server)
        wanted = Wanted(captures, server, spec.outbox, spec.definer, emit, cascades)
    assigned = assign(roles, wanted, read_accounts(accounts, server))
    if as_json:
        click.echo(json.dumps(as_data(assigned), indent=2, ensure_ascii=False))
    else:
        click.echo(script(assigned, wanted))
