"""The specs whose SQL is kept here: `NAME.yml` for both servers, `FAMILY/NAME.yml`
for one; the SQL of each is in `FAMILY/NAME.sql`. `folder` is what `generate -o` makes
of `shop.yml` for MySQL."""

from __future__ import annotations

import tempfile
from pathlib import Path

from click.testing import CliRunner

from evtrig.cli import main

FOLDER = Path(__file__).parent
FAMILIES = ("mysql", "mariadb")


def names(family: str) -> list[str]:
    """The specs for this family of servers, sorted."""
    paths = (*FOLDER.glob("*.yml"), *(FOLDER / family).glob("*.yml"))
    return sorted(path.stem for path in paths)


def spec_text(family: str, name: str) -> str:
    """The spec, with its `server:`."""
    both = FOLDER / f"{name}.yml"
    if both.exists():
        return f"{both.read_text()}server: {family}\n"
    return (FOLDER / family / f"{name}.yml").read_text()


def golden(family: str, name: str) -> Path:
    """The SQL that the spec must give."""
    return FOLDER / family / f"{name}.sql"


def generate(text: str, *options: str) -> str:
    """What `evtrig generate` prints for a spec, without a database."""
    return printed(text, "generate", *options)


def printed(text: str, command: str, *arguments: str, dsn: str | None = None) -> str:
    """What a command prints for a spec, which it takes with --spec."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "evtrig.yml")
        path.write_text(text)
        result = CliRunner().invoke(
            main, [command, "--spec", str(path), *arguments], env={"EVTRIG_DSN": dsn}
        )
    assert result.exit_code == 0, f"{result.output}{result.exception!r}"
    return result.stdout
