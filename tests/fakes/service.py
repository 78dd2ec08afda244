"""What every faked AWS service shares: requests, errors, a clock and the log.

A service is a subclass of ``Service`` with a method an action. ``JsonService``
speaks AWS JSON (SQS, Kinesis, EventBridge), ``fakes.query.QueryService`` forms and
XML (SNS, STS); a service of another protocol overrides ``action``, ``parse`` and
``render``.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

__all__ = [
    "Arrival",
    "AwsError",
    "Call",
    "Clock",
    "EntryFailure",
    "JsonService",
    "Log",
    "Request",
    "Response",
    "Service",
    "never",
    "shuffled",
]


class Clock:
    """The machine's clock, which a test may push forward."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


class AwsError(Exception):
    """A call refused as a whole.

    ``shape`` is the name in the service's model (what ``client.exceptions`` is
    looked up by). ``code`` is what boto3 gives as ``Error.Code``: the name from
    the time of the query protocol, where the service still sends one in
    ``x-amzn-query-error``.
    """

    def __init__(
        self,
        shape: str,
        message: str,
        *,
        code: str | None = None,
        status: int = 400,
        namespace: str = "com.amazon.coral.service",
    ) -> None:
        super().__init__(f"{shape}: {message}")
        self.shape = shape
        self.message = message
        self.code = code or shape
        self.status = status
        self.namespace = namespace

    @property
    def sender(self) -> bool:
        """Whether the caller is to blame."""
        return self.status < 500


@dataclasses.dataclass(frozen=True)
class EntryFailure:
    """One entry of a batch that the service did not take."""

    code: str
    message: str
    #: True: the same entry will never be taken. False: trying again may help.
    sender_fault: bool


@dataclasses.dataclass(frozen=True)
class Arrival:
    """Something a service took, whether or not the sender was ever told."""

    #: Counts from 1 in the order of acceptance, over all services.
    number: int
    #: ``time.monotonic()``; on Linux the same for every process of a machine.
    at: float
    service: str
    #: Name of the queue, topic, stream or event bus.
    queue: str
    #: Text; bytes of a Kinesis record that are not UTF-8 are surrogates in it.
    body: str
    #: The message group, or the partition key of a Kinesis record.
    group: str | None
    deduplication_id: str | None
    #: Accepted, but never delivered: the same id came within the interval.
    duplicate: bool
    message_id: str
    sequence_number: str | None
    #: Message attributes as sent, or what an event has besides its detail.
    attributes: Mapping[str, Any]
    #: ``Call.number`` of the call it came with.
    call: int


def never(entry: Mapping[str, Any]) -> EntryFailure | None:
    """No entry fails: what a call without failing entries has for ``fail``."""
    return None


@dataclasses.dataclass
class Call:
    """A call that reached the fake, whatever came of it."""

    number: int
    #: ``time.monotonic()``, before any delay.
    at: float
    service: str
    action: str
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    #: How many entries it carried; 1 for an action that is not a batch.
    entries: int = 0
    accepted: int = 0
    failed: int = 0
    #: ``answered``, ``refused``, ``intercepted``, ``reset``, ``hung`` or
    #: ``acknowledgement lost``.
    outcome: str = "answered"
    #: ``Error.Code`` where the call was refused.
    code: str | None = None
    #: Access key id that it was signed with; empty where it was not signed.
    access_key: str = ""
    #: Asked about every entry before it is taken; set by the fault script, else
    #: ``never``.
    fail: Callable[[Mapping[str, Any]], EntryFailure | None] = never
    #: ``Service.internal`` of the service.
    internal: str = "InternalError"


class Log:
    """Arrivals and calls in order, also as NDJSON for other processes.

    A line has ``"log": "arrival"`` or ``"log": "call"`` and the fields of the
    dataclass. The lines of a call are appended in one write before the answer
    goes out, so a reader sees whole lines and what was acknowledged is there.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, remember: bool = True
    ) -> None:
        self.remember = remember
        self.arrivals: list[Arrival] = []
        self.calls: list[Call] = []
        #: How many there were, remembered or not.
        self.arrived = 0
        self._lines: list[str] = []
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = None if path is None else os.open(path, flags, 0o644)

    def arrive(self, **fields: Any) -> Arrival:
        self.arrived += 1
        arrival = Arrival(number=self.arrived, at=time.monotonic(), **fields)
        if self.remember:
            self.arrivals.append(arrival)
        if self._file is not None:
            self._lines.append(json.dumps({"log": "arrival", **vars(arrival)}))
        return arrival

    def finish(self, call: Call) -> None:
        if self.remember:
            self.calls.append(call)
        if self._file is not None:
            fields = {**vars(call)}
            del fields["fail"], fields["internal"], fields["parameters"]
            self._lines.append(json.dumps({"log": "call", **fields}))
            os.write(self._file, ("\n".join(self._lines) + "\n").encode())
            self._lines.clear()

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def shuffled(count: int, seed: str) -> list[int]:
    """The numbers below ``count`` in an order that only ``seed`` decides.

    For services that promise no order inside a call.
    """
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return order


@dataclasses.dataclass(frozen=True)
class Request:
    method: str
    path: str
    #: Names in lower case.
    headers: Mapping[str, str]
    body: bytes


@dataclasses.dataclass(frozen=True)
class Response:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Surroundings(Protocol):
    """What a service needs to know of the server it is part of."""

    clock: Clock
    log: Log
    #: Held while an action runs; notified after every call and on closing.
    changed: threading.Condition
    endpoint_url: str
    closing: threading.Event
    #: Of everything that happens by chance.
    seed: int


class Service:
    """One AWS service. Actions are methods ``do_<Action>(call)``."""

    #: Name in the credential scope of a signature.
    name: str
    #: Seconds a signature is good for, either way, and what one out of date gives:
    #: shape and code.
    #: Five minutes is what AWS gives (docs.aws.amazon.com, IAM User Guide,
    #: "Signature Version 4 request elements"); SQS has been seen to give
    #: fifteen (github.com/aws/aws-sdk-js/issues/401).
    signature_window = 300
    out_of_date = ("InvalidSignatureException", "SignatureDoesNotMatch")
    #: Code of an entry that failed for a reason of the service's own.
    internal = "InternalError"

    def __init__(self, aws: Surroundings) -> None:
        self.aws = aws

    def action(self, request: Request) -> str | None:
        """The action the request asks for; None where it is not for us."""
        raise NotImplementedError

    def parse(self, request: Request) -> Mapping[str, Any]:
        raise NotImplementedError

    def render(self, request: Request, result: Mapping[str, Any]) -> Response:
        raise NotImplementedError

    def render_error(self, request: Request, error: AwsError) -> Response:
        raise NotImplementedError

    def perform(self, call: Call) -> Mapping[str, Any]:
        """Run an action, with ``aws.changed`` held."""
        method = getattr(self, f"do_{call.action}", None)
        if method is None:
            raise AwsError(
                "UnknownOperationException",
                f"the fake {self.name} does not know {call.action}",
                code="InvalidAction",
            )
        result: Mapping[str, Any] = method(call)
        return result


class JsonService(Service):
    """AWS JSON 1.0 and 1.1 (smithy.io, "AWS JSON 1.0 protocol")."""

    #: What stands before the dot in ``X-Amz-Target``.
    target: str
    version = "1.0"

    def action(self, request: Request) -> str | None:
        prefix, _, action = request.headers.get("x-amz-target", "").partition(".")
        return action if prefix == self.target else None

    def parse(self, request: Request) -> Mapping[str, Any]:
        try:
            parameters = json.loads(request.body)
        except ValueError as error:
            raise AwsError("SerializationException", str(error)) from None
        if not isinstance(parameters, dict):
            raise AwsError("SerializationException", "not an object")
        return parameters

    def render(self, request: Request, result: Mapping[str, Any]) -> Response:
        return self._response(200, {}, result)

    def render_error(self, request: Request, error: AwsError) -> Response:
        headers = {}
        # Only for clients that ask for it: smithy.io, "awsQueryCompatible".
        if request.headers.get("x-amzn-query-mode") == "true":
            fault = "Sender" if error.sender else "Receiver"
            headers["x-amzn-query-error"] = f"{error.code};{fault}"
        body = {
            "__type": f"{error.namespace}#{error.shape}",
            "message": error.message,
        }
        return self._response(error.status, headers, body)

    def _response(
        self, status: int, headers: Mapping[str, str], body: Mapping[str, Any]
    ) -> Response:
        headers = {"Content-Type": f"application/x-amz-json-{self.version}", **headers}
        return Response(status, headers, json.dumps(body).encode())
