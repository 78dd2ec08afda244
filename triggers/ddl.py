"""`evtrig check --ddl`: what a pending migration would do to capture.

Its statements run on scratch copies. Whatever could reach beyond them is not run, and
said: see :func:`statement.refusal`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ..database.connection import Connection
from ..errors import UsageError
from .foreseen import Foreseen
from .ground import Ground, Task
from .spec import Spec
from .statement import split
from .trial import Trial

__all__ = ["MAX_SIZE", "foresee", "read"]

#: Bytes; of statements that change tables it is far more than anybody reviews.
MAX_SIZE = 1024 * 1024


def read(path: str) -> str:
    """The text of a file, of standard input for ``-``. Raises UsageError."""
    name = "standard input" if path == "-" else path
    try:
        if path == "-":
            content = sys.stdin.buffer.read(MAX_SIZE + 1)
        else:
            with Path(path).open("rb") as file:
                content = file.read(MAX_SIZE + 1)
    except (OSError, ValueError) as error:
        # ValueError: the path itself holds a NUL.
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"{name} cannot be read: {reason}",
            hint="Name the file with the statements of the migration, or - for"
            " standard input.",
        ) from None
    if len(content) > MAX_SIZE:
        raise UsageError(
            f"{name} is larger than {MAX_SIZE >> 20} MB",
            hint="Give the statements that change tables, without the data.",
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{name}:{line}: not UTF-8: the byte 0x{content[error.start]:02X}",
            hint="Save the file as UTF-8.",
        ) from None
    return text


def foresee(
    connection: Connection, spec: Spec, text: str, path: str
) -> tuple[Foreseen, ...]:
    """Try the statements of a migration on scratch copies; what would come of them.

    Raises UsageError for a text that cannot be split, PreflightError if the account
    lacks a privilege or somebody's table is in the way. Leaves nothing behind.
    """
    path = "standard input" if path == "-" else path
    statements = split(text, path=path)
    if not statements:
        raise UsageError(
            f"{path} holds no statement",
            hint="Give the statements of the migration, each ended by a semicolon.",
        )
    ground = Ground.survey(connection, spec)
    findings: list[Foreseen] = []
    tasks: list[Task] = []
    for found in ground.sort(statements, path):
        if isinstance(found, Foreseen):
            findings.append(found)
        else:
            tasks.append(found)
    if tasks:
        findings += Trial(connection, ground, tasks, path).findings()
    if not any(finding.is_fault for finding in findings):
        findings.append(
            Foreseen(
                "notice",
                path,
                "nothing in it disturbs capture",
                "It was tried on empty copies: what depends on rows, such as a"
                " duplicate key or a value that does not fit, only the real run shows.",
                "",
            )
        )
    severities = ("error", "warning", "notice")
    # In the order of the file, and the order of steps last.
    return tuple(sorted(findings, key=lambda f: severities.index(f.severity)))
