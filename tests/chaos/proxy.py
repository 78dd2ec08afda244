"""A TCP proxy on 127.0.0.1 in front of a database server, that fails when told to.

::

    with Proxy(server_port) as proxy:
        connect("127.0.0.1", proxy.port)
        proxy.delay = 0.2                         # every answer comes late
        proxy.cut()                               # connections end with a RST
        proxy.cut(one=True)
        lost = proxy.swallow(b"COMMIT")           # carried out, never answered
        lost.wait(5)
        with proxy.hanging():                     # open and silent, either way
            …
        proxy.point_at(other_port)                # as a DNS name after a fail-over

It sees bytes and not statements: ``swallow`` looks for its pattern in what was received
at once, which holds a whole statement as long as that is short and not encrypted.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Literal, TypeVar

__all__ = ["Proxy"]

T = TypeVar("T")

#: Zero seconds of linger: closing the socket sends a RST and no FIN.
RESET = struct.pack("ii", 1, 0)
#: Seconds in which the proxy's own thread must have answered; it never waits itself.
OWN_SECONDS = 10


class Swallow:
    """An answer that is to be lost."""

    def __init__(self, pattern: bytes, then: Literal["cut", "hang"]) -> None:
        self.pattern = pattern
        self.then = then
        #: Set when the server has answered and the client was not told.
        self.happened = threading.Event()


class Link:
    """A client's connection and the one to the server that was made for it."""

    def __init__(
        self, client: asyncio.StreamWriter, server: asyncio.StreamWriter
    ) -> None:
        self.ends = (client, server)
        #: Whose answer is lost, and every one after it.
        self.swallow: Swallow | None = None

    def cut(self) -> None:
        for end in self.ends:
            reset(end)

    def close(self) -> None:
        for end in self.ends:
            end.close()


class Proxy:
    """Entering it starts it; leaving it closes every socket and ends its thread.

    The methods may be called from any thread, and have taken effect when they return.
    """

    def __init__(self, target: int, *, seed: int = 0) -> None:
        #: Seconds by which every answer comes late.
        self.delay = 0.0
        self.port = 0
        self._target = target
        self._dice = random.Random(seed)
        self._links: set[Link] = set()
        self._armed: list[Swallow] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._flowing: asyncio.Event
        self._closing: asyncio.Event
        self._is_up = threading.Event()

    def __enter__(self) -> Proxy:
        self._thread.start()
        assert self._is_up.wait(OWN_SECONDS), "the proxy does not start"
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(lambda: self._closing.set())
        self._thread.join(OWN_SECONDS)
        assert not self._thread.is_alive(), "the proxy does not end"
        self._loop.close()

    def __len__(self) -> int:
        """How many connections there are."""
        return self._do(lambda: len(self._links))

    def cut(self, *, one: bool = False) -> int:
        """Reset all connections, or one of them; how many."""
        return self._do(lambda: self._cut(one))

    def swallow(
        self, pattern: bytes = b"", *, then: Literal["cut", "hang"] = "cut"
    ) -> threading.Event:
        """Lose the answer to the next request with these bytes in it.

        The connection is reset then, or stays open and silent. The event is set when
        the server has answered.
        """
        swallow = Swallow(pattern, then)
        self._do(lambda: self._armed.append(swallow))
        return swallow.happened

    def disarm(self) -> None:
        """Take back every ``swallow`` that has not met its request."""
        self._do(self._armed.clear)

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """Nothing gets through either way; new connections open and are silent."""
        self.hang()
        try:
            yield
        finally:
            self.resume()

    def hang(self) -> None:
        self._do(lambda: self._flowing.clear())

    def resume(self) -> None:
        """What was held back is delivered."""
        self._do(lambda: self._flowing.set())

    def point_at(self, target: int) -> None:
        """Let new connections go to this port of 127.0.0.1; the others stay."""

        def change() -> None:
            self._target = target

        self._do(change)

    # In the proxy's thread

    def _do(self, action: Callable[[], T]) -> T:
        async def act() -> T:
            return action()

        return asyncio.run_coroutine_threadsafe(act(), self._loop).result(OWN_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        asyncio.set_event_loop(None)

    async def _serve(self) -> None:
        self._flowing, self._closing = asyncio.Event(), asyncio.Event()
        self._flowing.set()
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._converse(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._is_up.set()
        await self._closing.wait()
        server.close()
        self._cut(one=False)
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Sockets are closed by the loop's next round.
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def _cut(self, one: bool) -> int:
        links = sorted(self._links, key=id)
        if one and links:
            links = [self._dice.choice(links)]
        for link in links:
            link.cut()
        return len(links)

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            answers, server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            reset(writer)
            return
        except BaseException:
            reset(writer)
            raise
        link = Link(writer, server)
        self._links.add(link)
        pumps = (
            asyncio.ensure_future(self._requests(reader, server, link)),
            asyncio.ensure_future(self._answers(answers, writer, link)),
        )
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._links.discard(link)
            link.close()

    async def _requests(
        self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, link: Link
    ) -> None:
        while data := await reader.read(65536):
            for swallow in self._armed:
                if link.swallow is None and swallow.pattern in data:
                    self._armed.remove(swallow)
                    link.swallow = swallow
                    break
            await self._flowing.wait()
            server.write(data)
            await server.drain()

    async def _answers(
        self, reader: asyncio.StreamReader, client: asyncio.StreamWriter, link: Link
    ) -> None:
        while data := await reader.read(65536):
            if link.swallow is not None:
                link.swallow.happened.set()
                if link.swallow.then == "cut":
                    link.cut()
                continue
            if self.delay:
                await asyncio.sleep(self.delay)
            await self._flowing.wait()
            client.write(data)
            await client.drain()


def reset(end: asyncio.StreamWriter) -> None:
    connection: socket.socket | None = end.get_extra_info("socket")
    # What the other side has closed already has no options any more.
    with contextlib.suppress(OSError):
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    end.transport.abort()
