"""What a command says besides its results, on stderr."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import TypeVar

import click

from ..relay.facts import Facts

__all__ = ["log_to_stderr", "regardless", "say"]

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


def log_to_stderr(level: int = logging.INFO) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(Facts())
    logger = logging.getLogger("evtrig")
    logger.addHandler(handler)
    logger.setLevel(level)
