"""A network namespace with one cable to this machine, which can be pulled out."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import shutil
import subprocess
from collections.abc import Iterator

__all__ = ["Namespace", "NotPermitted", "namespace"]


class NotPermitted(Exception):
    """Namespaces cannot be made here; the text says why."""


class Namespace:
    """``outside`` is this machine's address on the cable, ``inside`` the other end's.

    ``command`` is what to put in front of a command to run it inside.
    """

    def __init__(self) -> None:
        self.name = f"evtrig-{secrets.token_hex(4)}"
        # A name of a network interface has 15 characters at most.
        self._ends = (f"ev{self.name[-8:]}o", f"ev{self.name[-8:]}i")
        # Set aside for tests of networks, RFC 2544: nobody else uses it.
        net = f"198.18.{random.randrange(256)}.{4 * random.randrange(64)}"
        start, _, last = net.rpartition(".")
        self.outside, self.inside = (f"{start}.{int(last) + n}" for n in (1, 2))
        self.command = ("ip", "netns", "exec", self.name)

    def make(self) -> None:
        if os.geteuid() != 0 or shutil.which("ip") is None:
            raise NotPermitted("network namespaces need root and the program ip")
        outside, inside = self._ends
        try:
            ip("netns", "add", self.name)
            ip("link", "add", outside, "type", "veth", "peer", inside)
            ip("link", "set", inside, "netns", self.name)
            ip("address", "add", f"{self.outside}/30", "dev", outside)
            ip("link", "set", outside, "up")
            self._inside("address", "add", f"{self.inside}/30", "dev", inside)
            self._inside("link", "set", inside, "up")
            self._inside("link", "set", "lo", "up")
        except subprocess.CalledProcessError as error:
            raise NotPermitted(f"no network namespaces: {error.stderr}") from None

    def remove(self) -> None:
        """What was made of it; the cable goes with the namespace."""
        for command in (("netns", "delete", self.name), ("link", "del", self._ends[0])):
            with contextlib.suppress(subprocess.CalledProcessError, FileNotFoundError):
                ip(*command)

    @contextlib.contextmanager
    def link_down(self) -> Iterator[None]:
        """The cable is out: packets go nowhere, and nobody is told."""
        self._inside("link", "set", self._ends[1], "down")
        try:
            yield
        finally:
            self._inside("link", "set", self._ends[1], "up")

    @contextlib.contextmanager
    def blackhole(self) -> Iterator[None]:
        """A router on the way back loses everything."""
        ip("route", "add", "blackhole", f"{self.inside}/32")
        try:
            yield
        finally:
            ip("route", "delete", "blackhole", f"{self.inside}/32")

    def _inside(self, *arguments: str) -> None:
        ip("-netns", self.name, *arguments)


@contextlib.contextmanager
def namespace() -> Iterator[Namespace]:
    """Raises NotPermitted. Whatever runs inside must have ended before it is left."""
    made = Namespace()
    try:
        made.make()
        yield made
    finally:
        made.remove()


def ip(*arguments: str) -> None:
    command = ("ip", *arguments)
    subprocess.run(command, check=True, capture_output=True, text=True)
