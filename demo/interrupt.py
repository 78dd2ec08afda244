"""Ctrl-C at any moment, without leaving a server behind."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

__all__ = ["check", "interruptible", "undisturbed_end"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: Whether somebody wants it to end.
asked = threading.Event()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal raise KeyboardInterrupt inside.

    Only the first of them does. The others are ignored from then on, because
    impatience would leave the server behind and the program is about to end.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    interrupted = False
    asked.clear()

    def interrupt(number: int, frame: object) -> None:
        nonlocal interrupted
        interrupted = True
        asked.set()
        ignore()
        raise KeyboardInterrupt

    for number in SIGNALS:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        if not interrupted:
            for number in SIGNALS:
                signal.signal(number, before[number])


def check() -> None:
    """Raise KeyboardInterrupt if that was to be, for who waits long.

    Python drops what is raised in a finalizer or a weak reference's callback, and a
    signal may come in the middle of one.
    """
    if asked.is_set():
        raise KeyboardInterrupt


@contextlib.contextmanager
def undisturbed_end() -> Iterator[None]:
    """The innermost of what is cleaned up: once it has ended, signals are ignored."""
    try:
        yield
    finally:
        ignore()


def ignore() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
