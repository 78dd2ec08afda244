"""`evtrig grants`: SQL that gives each account the least that it needs, and with
``--aws`` the policy that gives a role at AWS the least."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from ..errors import UsageError
from .options import dsn_option, json_option, load_spec, option, spec_option
from .permission import keys_option, large_events_option, permissions
from .routes import SINKS, read_routes, routes_option

if TYPE_CHECKING:
    from ..database.dsn import Dsn
    from ..relay.permission import Here

__all__ = ["grants"]

#: Parameters that SQL has no use for.
ONLY_FOR_AWS = (
    *("uris", "routes_path", "on_oversize", "keys"),
    *("aws_region", "aws_account", "rds_resource"),
)


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
@option(
    "--aws",
    "for_aws",
    is_flag=True,
    help="Print, instead of SQL, the IAM policy of the role that evtrig relay runs as.",
)
@option(
    "--sink",
    "uris",
    envvar="EVTRIG_SINK",
    multiple=True,
    metavar="URI",
    help=f"With --aws, where the relay publishes to; may be repeated: {SINKS}.",
)
@routes_option
@large_events_option
@keys_option
@option(
    "--aws-region",
    metavar="REGION",
    help="With --aws, where a stream or a bus is that is named without its ARN.",
)
@option(
    "--aws-account",
    metavar="NUMBER",
    help="With --aws, whose it is: the account number, of twelve digits.",
)
@option(
    "--rds-resource",
    metavar="ID",
    help="With --aws and auth=rds-iam in the DSN, the resource id of the cluster or"
    " instance, cluster-… or db-…; prx-… of RDS Proxy.",
)
def grants(
    roles: tuple[str, ...],
    path: str,
    dsn: Dsn | None,
    accounts: tuple[str, ...],
    as_json: bool,
    for_aws: bool,
    uris: tuple[str, ...],
    routes_path: str | None,
    on_oversize: str,
    keys: tuple[str, ...],
    aws_region: str | None,
    aws_account: str | None,
    rds_resource: str | None,
) -> None:
    """Print SQL that gives each account the least that it needs.

    Roles are installer, definer, relay, snapshot (for a backfill through the outbox,
    by your own SQL), status (for evtrig check) and operator (for evtrig dead-letters);
    all of these if none is named. uninstaller is printed only if it is named.

    Changes nothing. The same spec gives the same bytes. With --dsn the version of the
    server counts, and columns, keys and foreign keys that the spec leaves out are
    looked up.

    With --aws nothing is looked up: the policy names what the relay calls at AWS for
    its destinations, for events too large for them and, if --dsn is the ARN of a secret
    or has auth=rds-iam, for the password.
    """
    if for_aws:
        print_policy(
            roles,
            (*uris, *destinations_of(routes_path)),
            on_oversize,
            keys,
            dsn,
            read_here(aws_region, aws_account),
            rds_resource,
        )
    else:
        refuse_options_for_aws()
        print_sql(roles, path, dsn, accounts, as_json)


def refuse_options_for_aws() -> None:
    """Those of the environment are for `relay`, and do not matter here."""
    context = click.get_current_context()
    for option_ in context.command.params:
        source = context.get_parameter_source(str(option_.name))
        typed = source is click.core.ParameterSource.COMMANDLINE
        if typed and option_.name in ONLY_FOR_AWS:
            raise UsageError(
                f"{option_.opts[-1]} is about the relay at AWS, of which SQL says"
                " nothing",
                hint=f"Add --aws, or leave {option_.opts[-1]} out.",
            )


def print_policy(
    roles: tuple[str, ...],
    uris: tuple[str, ...],
    on_oversize: str,
    keys: tuple[str, ...],
    dsn: Dsn | None,
    here: Here,
    rds_resource: str | None,
) -> None:
    from ..relay.permission import for_database, policy

    if roles:
        raise UsageError(
            "--aws is about the relay at AWS, and takes no role of the database",
            hint=f"Leave {' '.join(roles)} out, or --aws.",
        )
    if not uris:
        raise UsageError(
            "it is not said where the events go",
            hint="Give --sink URI, or --routes FILE.",
        )
    found = permissions(uris, on_oversize, keys, here)
    if dsn is not None:
        found += for_database(dsn, here, resource=rds_resource)
    if not found:
        raise UsageError(
            "these destinations are not at AWS: there is nothing to allow",
            hint="Give the --sink that the relay will have there.",
        )
    click.echo(json.dumps(policy(found), indent=2, ensure_ascii=False))


def destinations_of(routes_path: str | None) -> tuple[str, ...]:
    if routes_path is None:
        return ()
    return tuple(read_routes(routes_path).used.values())


def read_here(region: str | None, account: str | None) -> Here:
    from ..relay.permission import A_REGION, ACCOUNT, Here

    if region is not None and not A_REGION.fullmatch(region):
        raise UsageError(
            f"{region!r} cannot be a region of AWS",
            hint="Write its code, such as eu-west-1: aws configure get region",
        )
    if account is not None and not ACCOUNT.fullmatch(account):
        raise UsageError(
            f"{account!r} is no account number of AWS",
            hint="It has twelve digits: aws sts get-caller-identity --query Account",
        )
    return Here(region=region, account=account)


def print_sql(
    roles: tuple[str, ...],
    path: str,
    dsn: Dsn | None,
    accounts: tuple[str, ...],
    as_json: bool,
) -> None:
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
