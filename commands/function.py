"""`evtrig lambda`: the relay as a function of AWS Lambda."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from ..errors import EvtrigError, UsageError
from .log import say
from .options import option, outbox_option
from .permission import keys_option, large_events_option, permissions
from .routes import read_routes, routes_of, routes_option, sink_option

if TYPE_CHECKING:
    from ..function.template import Auth, Format

__all__ = ["function"]

ARCHIVE = "evtrig-lambda.zip"
#: How a zip begins (PKWARE's APPNOTE 4.3.7, the signature of a local file header).
ZIP = b"PK\x03\x04"


@click.group("lambda")
def function() -> None:
    """Run the relay as an AWS Lambda that is started every minute.

    build makes the archive, template what is around it: role, schedule, alarms.
    docs/lambda.md says how to deploy them.
    """


@function.command()
@option(
    "-o",
    "--output",
    default=ARCHIVE,
    show_default=True,
    metavar="FILE",
    help="The archive.",
)
@option(
    "--routes",
    "routes_path",
    envvar="EVTRIG_ROUTES",
    metavar="FILE",
    help="Put the routes of this file into it, as JSON: the spec with a section relay:,"
    " or a file of its own.",
)
@option(
    "--tls-ca",
    "ca_path",
    metavar="FILE",
    help="Put this PEM file of the database's CA into it; rds for Amazon's bundle,"
    " where that is on this machine.",
)
@option(
    "--with-boto3",
    is_flag=True,
    help="Put boto3 into it as it is installed here, instead of using the one that"
    " Lambda's runtime has.",
)
def build(
    output: str, routes_path: str | None, ca_path: str | None, with_boto3: bool
) -> None:
    """Build the archive: evtrig's relay and what it needs.

    The same input gives the same bytes, everywhere and on any day. Replaces the FILE
    if it is an archive, and nothing else.
    """
    from ..function.archive import CA, ROUTES, contents, pack

    if is_something_else(Path(output)):
        raise EvtrigError(
            f"{output} is there and is no archive",
            hint="Write elsewhere with -o; the archive is a .zip.",
        )
    files = contents(with_sdk=with_boto3)
    if routes_path is not None:
        files[ROUTES] = read_routes(routes_path).to_json().encode()
    if ca_path is not None:
        files[CA] = read_ca(ca_path)
    content = pack(files)
    write(Path(output), content)
    digest = hashlib.sha256(content).hexdigest()
    say(f"{output}: {len(files)} files, {len(content):,} bytes, sha256 {digest}")


@function.command()
@option(
    "--format",
    "format_",
    envvar="EVTRIG_LAMBDA_TEMPLATE_FORMAT",
    type=click.Choice(("sam", "terraform")),
    required=True,
    help="AWS SAM, or Terraform.",
)
@sink_option
@routes_option
@option(
    "--auth",
    type=click.Choice(("secret", "rds-iam")),
    default="secret",
    show_default=True,
    help="Where the database's password is: in a secret of Secrets Manager, or in a"
    " token of RDS IAM.",
)
@outbox_option
@large_events_option
@keys_option
@option(
    "--archive",
    default=ARCHIVE,
    show_default=True,
    metavar="FILE",
    help="What build has made, as seen from the template.",
)
@option("-o", "--output", metavar="FILE", help="Instead of standard output.")
@option("--force", is_flag=True, help="Overwrite a FILE that says something else.")
def template(
    format_: Format,
    uri: str | None,
    routes_path: str | None,
    auth: Auth,
    outbox: str,
    on_oversize: str,
    keys: tuple[str, ...],
    archive: str,
    output: str | None,
    force: bool,
) -> None:
    """Print what is around the function: role, schedule, alarms, log.

    Whatever is your own is a parameter of it, but for the destinations: the role may
    call these and no others.
    """
    from ..function.template import Choices, here, render

    routes = routes_of(uri, routes_path)
    if routes is None:
        raise UsageError(
            "it is not said where the events go",
            hint="Give --sink URI, or --routes FILE; or set EVTRIG_SINK or"
            " EVTRIG_ROUTES.",
        )
    routes.refuse_local()
    uris = tuple(routes.used.values())
    text = render(
        format_,
        Choices(
            uri=uri,
            permissions=permissions(uris, on_oversize, keys, here(format_)),
            has_keys=bool(keys),
            on_oversize=on_oversize,
            auth=auth,
            outbox=outbox,
            archive=archive,
        ),
    )
    if output is None:
        click.echo(text, nl=False)
        return
    path, content = Path(output), text.encode()
    if not force and path.is_file() and path.read_bytes() != content:
        raise EvtrigError(
            f"{path} is there and says something else",
            hint="--force overwrites it; -o writes elsewhere.",
        )
    write(path, content)
    say(f"{path}: {format_}, {len(content):,} bytes")


def is_something_else(path: Path) -> bool:
    """Whether a file is there that is no zip, such as the spec."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(ZIP)) not in (ZIP, b"")
    except OSError:
        # Writing it fails too, and says why.
        return False


def read_ca(path: str) -> bytes:
    """A PEM file that a connection can trust. Raises UsageError."""
    from ..database.tls import RDS, Tls, find_bundle

    # Found out here rather than by the first invocation.
    Tls("verify", path).context()
    file = find_bundle() if path == RDS else path
    return Path(file).expanduser().read_bytes()


def write(path: Path, content: bytes) -> None:
    """All of it, or what was there stays. Raises EvtrigError."""
    # Where a link leads to: it stays one.
    target = path.resolve()
    try:
        if target.exists() and not target.is_file():
            # Such as /dev/stdout, which nothing can take the place of.
            target.write_bytes(content)
            return
        # On the same file system.
        with TemporaryDirectory(prefix=".evtrig-", dir=target.parent) as folder:
            draft = Path(folder, "draft")
            draft.write_bytes(content)
            draft.replace(target)
    except OSError as error:
        raise EvtrigError(
            f"cannot write {path}: {error.strerror}",
            hint="See to its folder, its permissions and to room on the disk, or write"
            " elsewhere with -o.",
        ) from None
