"""What a command says besides its results, on stderr."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import TypeVar

import click

__all__ = ["Facts", "log_to_stderr", "regardless", "say"]

T = TypeVar("T")


def say(what: str) -> None:
    """One line for whoever watches."""
    click.echo(f"evtrig: {what}", err=True)


def regardless(tell: Callable[[T], None]) -> Callable[[T], None]:
    """``tell``, but whoever cannot be told stops nothing half way."""

    def told(what: T) -> None:
        with contextlib.suppress(OSError, UnicodeError):
            tell(what)

    return told


class Facts(logging.Formatter):
    """A constant message, then the facts of its ``extra`` as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        plain = vars(logging.makeLogRecord({}))
        facts = {k: v for k, v in vars(record).items() if k not in plain}
        facts.pop("message", None)
        facts.pop("asctime", None)
        line = f"{self.formatTime(record, '%H:%M:%S')} {record.getMessage()}"
        return " ".join([line, *(f"{name}={value}" for name, value in facts.items())])


def log_to_stderr(level: int = logging.INFO) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(Facts())
    logger = logging.getLogger("evtrig")
    logger.addHandler(handler)
    logger.setLevel(level)
