"""Whoever answers in place of a MySQL server: an eavesdropper, an impostor."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator

__all__ = ["Impostor", "stripping_proxy"]

#: Capability flags of the protocol (dev.mysql.com, "Capabilities Flags"):
#: PROTOCOL_41, SSL, SECURE_CONNECTION, PLUGIN_AUTH.
SSL = 0x0800
CAPABILITIES = 0x0200 | SSL | 0x8000 | 0x80000


class Heard:
    """What a client has sent, in clear or after TLS was taken off."""

    def __init__(self) -> None:
        self.port = 0
        self.bytes = b""


@contextlib.contextmanager
def stripping_proxy(port: int) -> Iterator[Heard]:
    """Passes a connection on to ``port``, and hides that the server offers TLS."""
    heard = Heard()

    def serve(client: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as server:
            greeting = bytearray(_packet(server.makefile("rb", 0).read))
            # Header, protocol version, server version and NUL, thread id, 8 bytes of
            # salt, a filler: then the lower half of the flags.
            at = greeting.index(0, 5) + 1 + 4 + 8 + 1
            (flags,) = struct.unpack_from("<H", greeting, at)
            assert flags & SSL, "the server offers no TLS"
            struct.pack_into("<H", greeting, at, flags & ~SSL)
            client.sendall(greeting)
            back = threading.Thread(target=_copy, args=(server, client))
            back.start()
            while data := client.recv(65536):
                heard.bytes += data
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)
            back.join()

    with _listening(serve) as heard.port:
        yield heard


class Impostor:
    """Asks every client for its password in clear (mysql_clear_password), with TLS if
    ``certificate`` (and its key) is given. ``password``: what it was told, or b"".
    One that ``hangs_up`` does so when TLS was asked for."""

    def __init__(
        self,
        certificate: tuple[object, object] | None = None,
        *,
        hangs_up: bool = False,
    ) -> None:
        self.password = b""
        self._hangs_up = hangs_up
        self.port = 0
        self._context: ssl.SSLContext | None = None
        if certificate:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*map(str, certificate))
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Impostor:
        self.port = self._undo.enter_context(_listening(self._serve))
        return self

    def __exit__(self, *exception: object) -> None:
        self._undo.close()

    def _serve(self, client: socket.socket) -> None:
        flags = CAPABILITIES if self._context else CAPABILITIES & ~SSL
        greeting = (
            b"\x0a9.9.9\0" + struct.pack("<I", 7) + b"12345678\0"
            + struct.pack("<HBHHB", flags & 0xFFFF, 45, 2, flags >> 16, 21)
            + b"\0" * 10 + b"123456789012\0" + b"caching_sha2_password\0"
        )  # fmt: skip
        client.sendall(_framed(0, greeting))
        sequence = 1
        if self._context:
            # The request for TLS is a packet of its own.
            _packet(client.makefile("rb", 0).read)
            if self._hangs_up:
                return
            client = self._context.wrap_socket(client, server_side=True)
            sequence = 2
        with client:
            read = client.makefile("rb").read
            _packet(read)
            switch = b"\xfemysql_clear_password\0" + b"x" * 20 + b"\0"
            client.sendall(_framed(sequence + 1, switch))
            # Without an answer the client has closed, and this is an EOFError.
            self.password = _packet(read)[4:].rstrip(b"\0")
            denied = b"\xff" + struct.pack("<H", 1045) + b"#28000Access denied"
            client.sendall(_framed(sequence + 3, denied))


@contextlib.contextmanager
def _listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """One client after the other is served, in a thread; the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    is_over = threading.Event()

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            with client:
                if is_over.is_set():
                    return
                # The client goes away when it has seen enough.
                with contextlib.suppress(OSError, EOFError):
                    serve(client)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        is_over.set()
        # Closing the listener would not wake accept().
        socket.create_connection(listener.getsockname()).close()
        thread.join()
        listener.close()


def _packet(read: Callable[[int], bytes]) -> bytes:
    """A whole packet with its header. Raises EOFError."""
    data = b""
    length = 4
    while len(data) < length:
        got = read(length - len(data))
        if not got:
            raise EOFError
        data += got
        if len(data) == 4 and length == 4:
            length += int.from_bytes(data[:3], "little")
    return data


def _framed(sequence: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([sequence]) + payload


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
