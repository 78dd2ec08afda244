"""What a relay in a container answers over HTTP: metrics, and whether it is well.

::

    /metrics   for Prometheus
    /healthz   200 while the relay's loop turns, else 503: start it again
    /readyz    200 while it publishes or stands by, else 503: look at what it says
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import ThreadingHTTPServer

from prometheus_client import CollectorRegistry, MetricsHandler

from ..errors import EvtrigError
from .metrics import Metrics, Snapshot
from .prometheus import registry

__all__ = ["HANG", "Monitor", "not_ready", "not_well"]

log = logging.getLogger(__name__)

#: Seconds without a turn of the loop after which a relay hangs, and of a call to a sink
#: that does. Statements, connects and calls to AWS end long before; of the lease it
#: should be three times as much.
HANG = 30.0
#: Seconds that a client may take to ask.
PATIENCE = 10

#: Seconds that an answer waits for what is measured now; else it has what was before.
MEASURED = 1.0

#: Why a relay is not as it should be; empty if it is.
Probe = Callable[[Snapshot], str]


def not_well(snapshot: Snapshot, *, hang: float = HANG) -> str:
    """Why a relay should be started again; empty if it should not.

    A sink that is slow, or a database that is away, is no reason: the loop turns, and
    a new relay would find the same. It does not turn while it waits for a call to end
    that never does, after the connection was lost.
    """
    if snapshot.idle <= hang:
        return ""
    return f"the loop has not turned for {snapshot.idle:.0f} s"


def not_ready(snapshot: Snapshot, *, hang: float = HANG) -> str:
    """Why a relay neither publishes nor could at once; empty if it does."""
    if snapshot.role == "disconnected":
        return "not connected to the database"
    reasons = [f"{name} takes next to nothing" for name in snapshot.down]
    for name in snapshot.sinks:
        seconds = snapshot.oldest_call(name)
        if seconds > hang:
            reasons.append(f"a call to {name} has not ended for {seconds:.0f} s")
    return "; ".join(reasons) or not_well(snapshot, hang=hang)


class Monitor:
    """Serves while it is entered, from a thread of its own.

    Raises EvtrigError if it cannot have the address. ``clock`` is the relay's; a
    ``port`` of 0 is any that is free. ``hang`` as HANG.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        outbox: str,
        host: str,
        port: int,
        hang: float = HANG,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        def say(probe: Callable[..., str]) -> str:
            return probe(metrics.snapshot(clock()), hang=hang)

        probes = {"/healthz": lambda: say(not_well), "/readyz": lambda: say(not_ready)}
        found = registry(metrics, outbox=outbox, clock=clock)

        def ask() -> None:
            metrics.ask(clock(), MEASURED)

        self._server = listening(host, port, handler(found, ask, probes))
        #: What it is to be had at.
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            args=(0.2,),
            name="monitor",
            daemon=True,
        )

    def __enter__(self) -> Monitor:
        self._thread.start()
        log.info("serving metrics", extra={"action": "monitor", "port": self.port})
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Server(ThreadingHTTPServer):
    # A client that goes away, or says nothing, is its own affair.
    def handle_error(self, request: object, client_address: object) -> None:
        log.debug("a request failed", extra={"action": "monitor"}, exc_info=True)


class ServerV6(Server):
    address_family = socket.AF_INET6


def listening(host: str, port: int, handler: type[MetricsHandler]) -> Server:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        (family, *_), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        kind = ServerV6 if family == socket.AF_INET6 else Server
        return kind((host, port), handler)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise EvtrigError(
            f"cannot serve metrics at {where}: {reason}",
            hint="Choose another --metrics-port, or a --metrics-host of this machine;"
            " nothing was published.",
        ) from None


def handler(
    found: CollectorRegistry,
    ask: Callable[[], None],
    probes: Mapping[str, Callable[[], str]],
) -> type[MetricsHandler]:
    class Handler(MetricsHandler):
        registry = found
        timeout = PATIENCE
        server_version, sys_version = "evtrig", ""

        def do_GET(self) -> None:  # noqa: N802  http.server's name
            path = self.path.partition("?")[0]
            if path == "/metrics":
                ask()
                super().do_GET()
            elif path in probes:
                reason = probes[path]()
                status = HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK
                self._say(status, reason or "ok")
            else:
                self._say(HTTPStatus.NOT_FOUND, "/metrics, /healthz or /readyz")

        def _say(self, status: HTTPStatus, text: str) -> None:
            body = f"{text}\n".encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

    return Handler
