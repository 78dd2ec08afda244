"""A strict AWS on 127.0.0.1, for tests of reliability and throughput.

::

    with FakeAws(seed=1) as aws:
        queue = aws.sqs.create_queue("orders.fifo")
        client = boto3.client("sqs", endpoint_url=aws.endpoint_url, …)
        aws.faults.add(LoseAcknowledgement(), calls=1)
        …
        aws.wait_for(lambda: queue.arrived == 10)
        assert [arrival.body for arrival in queue.arrivals] == …

It enforces what AWS documents, also where AWS is known to be more lenient: a test
that passes here must not fail there. It keeps everything in memory, answers one
call at a time, and delivers what it took in the order in which it took it, except where
AWS promises none inside a call (Kinesis, EventBridge): there it shuffles, by its seed.

As a process: ``python tests/fakes/aws.py --port 0 --queue orders.fifo --log
arrivals.ndjson`` prints its endpoint and serves until it is interrupted. A line of JSON
on standard input replaces the fault script, see ``fakes.faults.script``; each is
answered by a line.
"""

from __future__ import annotations

import argparse
import calendar
import contextlib
import functools
import http
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

if __name__ == "__main__" and not __package__:
    # Run by path, with the folder of this file in front instead of its parent.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    __package__ = "fakes"

from . import eventbridge, kinesis, sns, sqs
from .eventbridge import EventBridge
from .faults import (
    Answer,
    Delay,
    Faults,
    Hang,
    Intercept,
    LoseAcknowledgement,
    Reset,
    access_denied,
    internal_failure,
    script,
    service_unavailable,
)
from .kinesis import Kinesis
from .s3 import S3
from .secretsmanager import SecretsManager
from .service import Arrival, AwsError, Call, Clock, Log, Request, Response, Service
from .sns import Sns
from .sqs import Sqs
from .sts import Sts

__all__ = ["FakeAws", "main"]

#: Bytes of a request; every service but S3 refuses well below this.
REQUEST_LIMIT = 32 * 1024 * 1024

#: What a fault script may answer with.
ERRORS = {
    "access_denied": access_denied(),
    "throttled": sqs.throttled(),
    "sns.throttled": sns.throttled(),
    "kinesis.throttled": kinesis.throttled(),
    "eventbridge.throttled": eventbridge.throttled(),
    "internal_failure": internal_failure(),
    "service_unavailable": service_unavailable(),
}

_ALGORITHM = "AWS4-HMAC-SHA256"


class FakeAws:
    """The server. Entering it starts it; leaving it closes every socket and thread.

    ``log``: file that arrivals and calls are appended to, see ``Log``.
    ``seed``: makes the fault script repeatable, see ``fakes.faults``.
    ``remember=False``: for runs of hours; arrivals and calls go to the log file only,
    and messages cannot be received.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        seed: int = 0,
        log: str | os.PathLike[str] | None = None,
        remember: bool = True,
    ) -> None:
        #: What the queues go by: deduplication and visibility.
        self.clock = Clock()
        #: What the date of a signature is compared with.
        self.signing_clock = Clock()
        self.faults = Faults(seed)
        self.log = Log(log, remember=remember)
        self.changed = threading.Condition()
        self.closing = threading.Event()
        self.endpoint_url = ""
        self.seed = seed
        self.sqs = Sqs(self)
        self.sns = Sns(self)
        self.kinesis = Kinesis(self)
        self.eventbridge = EventBridge(self)
        self.sts = Sts(self)
        self.secrets = SecretsManager(self)
        self.s3 = S3(self)
        self._services: tuple[Service, ...] = (
            self.sqs,
            self.kinesis,
            self.eventbridge,
            self.secrets,
            self.sns,
            self.sts,
            self.s3,
        )
        self._port = port
        self._listener: socket.socket | None = None
        self._accepting: threading.Thread | None = None
        self._connections: dict[socket.socket, threading.Thread] = {}
        #: Calls that have begun, and those that have ended or hang.
        self._numbers = self._finished = 0

    def __enter__(self) -> FakeAws:
        self._listen()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def arrivals(self) -> tuple[Arrival, ...]:
        """Everything that was taken, in order."""
        with self.changed:
            return tuple(self.log.arrivals)

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every call that reached us, in the order in which they ended."""
        with self.changed:
            return tuple(self.log.calls)

    @property
    def connections(self) -> int:
        """How many are open."""
        with self.changed:
            return len(self._connections)

    @property
    def is_idle(self) -> bool:
        """Whether nothing has been sent to us that we have not looked at."""
        with self.changed:
            # None of them is closed while we look.
            unread, _, _ = select.select(list(self._connections), [], [], 0)
            return not unread and self._numbers == self._finished

    def wait_for(self, condition: Callable[[], object], timeout: float = 10) -> None:
        """Return as soon as ``condition`` holds; it is tried after every call, and
        when a connection has ended.

        Raises TimeoutError after ``timeout`` seconds.
        """
        with self.changed:
            if not self.changed.wait_for(condition, timeout):
                raise TimeoutError(f"not within {timeout} s")

    @contextlib.contextmanager
    def unreachable(self) -> Iterator[None]:
        """Connections are refused, and those that are open are reset."""
        self._stop_listening()
        self._drop_connections()
        try:
            yield
        finally:
            self._listen()

    def close(self) -> None:
        self.closing.set()
        self._stop_listening()
        with self.changed:
            self.changed.notify_all()
        self._drop_connections()
        self.log.close()

    # The server

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self._port), backlog=128)
        self._port = self._listener.getsockname()[1]
        self.endpoint_url = f"http://127.0.0.1:{self._port}"
        self._accepting = threading.Thread(
            target=self._accept, args=(self._listener,), name="fake-aws", daemon=True
        )
        self._accepting.start()

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is None:
            return
        # Closing a socket does not wake a thread that waits in accept().
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        assert self._accepting is not None
        self._accepting.join()
        listener.close()

    def _drop_connections(self) -> None:
        with self.changed:
            connections = dict(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in connections.values():
            thread.join()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            if self._listener is not listener:
                connection.close()
                return
            thread = threading.Thread(
                target=self._converse, args=(connection,), name="fake-aws", daemon=True
            )
            with self.changed:
                self._connections[connection] = thread
            thread.start()

    def _converse(self, connection: socket.socket) -> None:
        """Answer the requests of one connection, one after the other."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        unread = bytearray()
        try:
            while (request := _read(connection, unread)) is not None:
                response = self._respond(request)
                if response is None:
                    # Zero seconds of linger: close() sends a RST.
                    linger = struct.pack("ii", 1, 0)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    return
                connection.sendall(_encode(response))
        except OSError:
            pass  # the client went away, which is its right
        finally:
            with self.changed:
                del self._connections[connection]
                self.changed.notify_all()
            connection.close()

    # One call

    def _respond(self, request: Request) -> Response | None:
        """The answer, or None where the connection is to be reset."""
        for service in self._services:
            action = service.action(request)
            if action is not None:
                return self._carry_out(request, service, action)
        return Response(404, {}, b"no such service\n")

    def _carry_out(
        self, request: Request, service: Service, action: str
    ) -> Response | None:
        with self.changed:
            self._numbers += 1
            call = Call(
                self._numbers,
                time.monotonic(),
                service.name,
                action,
                internal=service.internal,
                access_key=_access_key(request),
            )
            faults = self.faults.strike(call)
        hang: Hang | None = None
        lost = False
        late = 0.0
        for fault in faults:
            match fault:
                case Delay(seconds, accepted=True):
                    late += seconds
                case Delay(seconds):
                    self.closing.wait(seconds)
                case Answer(error):
                    return self._refuse(request, service, call, error)
                case Intercept(status, body):
                    self._finish(call, "intercepted")
                    return Response(status, {"Content-Type": "text/plain"}, body)
                case Reset():
                    self._finish(call, "reset")
                    return None
                case Hang():
                    hang = fault
                case LoseAcknowledgement():
                    lost = True
        if hang is not None and not hang.accepted:
            self._finish(call, "hung")
            self.closing.wait()
            return None
        try:
            self._check_signature(request, service)
            call.parameters = service.parse(request)
            with self.changed:
                result = service.perform(call)
                ending = "acknowledgement lost" if lost else "answered"
                self._finish(call, "hung" if hang is not None else ending)
        except AwsError as error:
            return self._refuse(request, service, call, error)
        if late:
            self.closing.wait(late)
        if hang is not None:
            self.closing.wait()
        if lost or hang is not None:
            return None
        return service.render(request, result)

    def _finish(self, call: Call, outcome: str) -> None:
        call.outcome = outcome
        with self.changed:
            self._finished += 1
            self.log.finish(call)
            self.changed.notify_all()

    def _refuse(
        self, request: Request, service: Service, call: Call, error: AwsError
    ) -> Response:
        call.code = error.code
        self._finish(call, "refused")
        return service.render_error(request, error)

    def _check_signature(self, request: Request, service: Service) -> None:
        """Refuse what has no signature, or one that is out of date.

        The signature itself is not computed: no relay can get it wrong, botocore
        makes it.
        """
        authorization = request.headers.get("authorization")
        if authorization is None:
            raise AwsError(
                "MissingAuthenticationTokenException",
                "Request is missing Authentication Token",
                code="MissingAuthenticationToken",
                status=403,
            )
        algorithm, _, rest = authorization.partition(" ")
        fields = dict(
            part.strip().partition("=")[::2] for part in rest.split(",") if part
        )
        date = request.headers.get("x-amz-date", "")
        signed = _seconds(date)
        scope = fields.get("Credential", "").split("/")
        if (
            algorithm != _ALGORITHM
            or signed is None
            or len(scope) < 5
            or not {"SignedHeaders", "Signature"} <= fields.keys()
        ):
            raise AwsError(
                "IncompleteSignatureException",
                f"Authorization header does not conform: {algorithm} {date}",
                code="IncompleteSignature",
            )
        if scope[-4] != date[:8] or scope[-2:] != [service.name, "aws4_request"]:
            raise _bad_signature(
                f"Credential should be scoped to {date[:8]} and {service.name}."
            )
        now, window = self.signing_clock.now(), service.signature_window
        if signed < now - window:
            raise _bad_signature(
                f"Signature expired: {date} is now earlier than "
                f"{_date(now - window)} ({_date(now)} - {window // 60} min.)",
                *service.out_of_date,
            )
        if signed > now + window:
            raise _bad_signature(
                f"Signature not yet current: {date} is still later than "
                f"{_date(now + window)} ({_date(now)} + {window // 60} min.)",
                *service.out_of_date,
            )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="A strict AWS on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument(
        "--queue", action="append", default=[], metavar="NAME[,ATTRIBUTE=VALUE…]"
    )
    parser.add_argument(
        "--topic", action="append", default=[], metavar="NAME[,ATTRIBUTE=VALUE…]"
    )
    parser.add_argument(
        "--stream", action="append", default=[], metavar="NAME[,SHARDS]"
    )
    parser.add_argument("--bus", action="append", default=[], metavar="NAME")
    parser.add_argument("--bucket", action="append", default=[], metavar="NAME")
    parser.add_argument("--log", metavar="FILE", help="append arrivals and calls to it")
    parser.add_argument(
        "--forget",
        dest="remember",
        action="store_false",
        help="keep nothing in memory: for runs of hours",
    )
    options = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with FakeAws(port=options.port, log=options.log, remember=options.remember) as aws:
        for queue in options.queue:
            name, *attributes = queue.split(",")
            aws.sqs.create_queue(name, **dict(a.split("=", 1) for a in attributes))
        for topic in options.topic:
            name, *attributes = topic.split(",")
            aws.sns.create_topic(name, **dict(a.split("=", 1) for a in attributes))
        for stream in options.stream:
            name, _, shards = stream.partition(",")
            aws.kinesis.create_stream(name, int(shards or 4))
        for bus in options.bus:
            aws.eventbridge.create_bus(bus)
        for bucket in options.bucket:
            aws.s3.create_bucket(bucket)
        print(aws.endpoint_url, flush=True)
        for line in sys.stdin:
            faults = script(line, ERRORS)
            aws.faults.clear()
            for fault, chance in faults:
                aws.faults.add(fault, **chance)
            print(len(faults), flush=True)
        threading.Event().wait()
    return 0


# HTTP/1.1, as much of it as botocore speaks: http.server needs four times as long.


def _read(connection: socket.socket, unread: bytearray) -> Request | None:
    """The next request; None where the client has closed the connection.

    ``unread`` holds what was received of the request after it.
    """
    while (end := unread.find(b"\r\n\r\n")) < 0:
        received = connection.recv(65536)
        if not received:
            return None
        unread += received
    first, *lines = unread[:end].decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    length = int(headers.get("content-length", 0))
    if length > REQUEST_LIMIT or "transfer-encoding" in headers:
        return None
    if headers.get("expect") == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    start = end + 4
    while len(unread) < start + length:
        received = connection.recv(262144)
        if not received:
            return None
        unread += received
    body = bytes(unread[start : start + length])
    del unread[: start + length]
    return Request(method, path, headers, body)


def _encode(response: Response) -> bytes:
    status = http.HTTPStatus(response.status)
    head = [f"HTTP/1.1 {status.value} {status.phrase}"]
    head += [f"{name}: {value}" for name, value in response.headers.items()]
    head += [
        "x-amzn-RequestId: 00000000-0000-4000-8000-000000000000",
        f"Content-Length: {len(response.body)}",
        "",
        "",
    ]
    return "\r\n".join(head).encode("latin-1") + response.body


def _bad_signature(
    message: str,
    shape: str = "InvalidSignatureException",
    code: str = "SignatureDoesNotMatch",
) -> AwsError:
    return AwsError(shape, message, code=code, status=403)


def _access_key(request: Request) -> str:
    """Who has signed it, as the header ``Authorization`` says."""
    _, _, rest = request.headers.get("authorization", "").partition("Credential=")
    return rest.partition("/")[0]


@functools.lru_cache(maxsize=16)
def _seconds(date: str) -> float | None:
    """Seconds since 1970 of an ``X-Amz-Date``; None where it is none."""
    try:
        return calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        return None


def _date(seconds: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


if __name__ == "__main__":
    sys.exit(main())
