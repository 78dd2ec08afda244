"""`evtrig init`: a spec from the tables of a database."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import EvtrigError, UsageError
from .options import dsn_option, option

if TYPE_CHECKING:
    from ..database.dsn import Dsn

__all__ = ["init"]


@click.command()
@dsn_option()
@click.argument("tables", nargs=-1, metavar="[TABLE]...")
@option(
    "-o",
    "--output",
    default="evtrig.yml",
    show_default=True,
    metavar="FILE",
    help="Where to write; - for standard output.",
)
@option("--force", is_flag=True, help="Overwrite the file.")
def init(dsn: Dsn, tables: tuple[str, ...], output: str, force: bool) -> None:
    """Write a spec from the tables of a database.

    Of the schema in the DSN: the tables named, or all of them. A table that cannot
    be captured as it is stands in the file as a comment, with the reason.
    """
    from ..database.connection import Connection
    from ..triggers.draft import choose, draft, reason
    from ..triggers.table import introspect

    if dsn.source is None:
        schema_of(dsn)
    with Connection(dsn) as connection:
        # A secret may name it.
        schema = schema_of(connection.dsn)
        found = choose(introspect(connection, [schema]), tables, schema)
        text = draft(found, schema, connection.server)
    if output == "-":
        click.echo(text, nl=False)
        return
    write_new(Path(output), text, force=force)
    commented = sum(bool(reason(table)) for table in found)
    note = f", {commented} of them as a comment: look why" if commented else ""
    what = "1 table" if len(found) == 1 else f"{len(found)} tables"
    click.echo(f"{output}: {what} of {schema}{note}")


def schema_of(dsn: Dsn) -> str:
    if dsn.schema is None:
        raise UsageError(
            "the DSN names no schema",
            hint="Add it: mysql://user@host:3306/schema (for a secret ?schema=shop, in"
            " a defaults file database=shop)",
        )
    return dsn.schema


def write_new(path: Path, text: str, *, force: bool) -> None:
    """Write a file in one go; an existing one stays unless ``force`` is given."""
    try:
        if path.exists() and not force:
            raise EvtrigError(
                f"{path} is there already",
                hint="Write elsewhere with -o, or overwrite it with --force.",
            )
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise EvtrigError(
            f"cannot write {path}: {error.strerror}",
            hint="Choose another file with -o.",
        ) from None
