"""What the sinks at AWS have in common: a batch goes out in one call, and the answer
says of each entry how it fared.

A sink says how an event becomes an entry and what one call does; which events are too
large, what a call that failed means, and what nobody but a person can mend, is here.
"""

from __future__ import annotations

import contextlib
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import boto3
import botocore.exceptions
import botocore.parsers
from botocore.config import Config

from ...database.aws import error_code, reason_of, region_of
from ...errors import SinkError, SinkUnavailable
from ..event import Event
from .config import READ_TIMEOUT, client_config, preflight_config
from .error_code import HINTS, hint_of, plain
from .fence import Fence, LeaseRanOut
from .sink import ACKNOWLEDGED, LEASE_RAN_OUT, Limits, Outcome, Result
from .uri import Uri

__all__ = [
    "UNMENTIONED",
    "AwsSink",
    "Unreadable",
    "is_arn",
    "make_client",
    "member",
    "reading",
    "region_of_arn",
    "session",
    "size_of",
    "unusable",
]

Entry = TypeVar("Entry")

#: Of an entry of which the answer to its call does not say how it fared.
UNMENTIONED = Result(Outcome.UNKNOWN, "not mentioned in the answer")
NO_CREDENTIALS = (
    "Set AWS_PROFILE, or give this machine, container or function a role; see"
    ' "Credentials" in boto3\'s documentation.'
)


class Unreadable(Exception):
    """What was answered is no answer of the service, but a proxy's perhaps. How that
    showed, without anything of it."""


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Raises Unreadable where botocore cannot read what was answered.

    For what is no XML it has a ResponseParserError, which is no BotoCoreError; of other
    text it raises whatever its parsers come upon: a KeyError, an AttributeError, a
    UnicodeDecodeError (botocore 1.44, parsers.py). Anywhere else they are mistakes.
    """
    try:
        yield
    except Exception as error:
        frames = traceback.walk_tb(error.__traceback__)
        modules = {frame.f_globals.get("__name__") for frame, _ in frames}
        if botocore.parsers.__name__ not in modules:
            raise
        # Not its text, which may be all that was answered.
        raise Unreadable(type(error).__name__) from None


def member(answer: Any, name: str) -> Any:
    """A member that every answer of a call has. Raises Unreadable."""
    if name not in answer:
        raise Unreadable(f"no {name}")
    return answer[name]


class AwsSink(ABC, Generic[Entry]):
    """A destination that takes batches. Raises UsageError for a URI that cannot be
    right, SinkError where AWS cannot be called; `check` makes the first call."""

    in_order = False

    #: boto3's name of the service, and how it is called in messages.
    service: str
    title: str
    #: What the destination is: a queue, a topic, a stream or a bus.
    kind: str
    #: What the code calls, as IAM names it.
    describe: str
    send: str
    #: Codes by which the service refuses a whole call because of one entry.
    bad_entry: frozenset[str] = frozenset()
    #: What a call may carry, unless the URI says otherwise.
    defaults: Limits
    #: The largest entry, unless the destination or the URI says otherwise.
    largest: int

    def __init__(self, uri: Uri, aws: boto3.session.Session, client: Any) -> None:
        # Any: boto3 makes its clients' classes while it runs.
        self.name = str(uri)
        self.limits = uri.limits(self.defaults)
        self._uri = uri
        self._largest = uri.message_bytes(self.largest)
        # A second one would read the service's model again, for a tenth of a second.
        self._session = aws
        self._client = client
        self._fence = Fence(client.meta.events)
        #: Whether the destination is known to be one that can be used.
        self._is_checked = False

    # What a sink says

    @abstractmethod
    def _entry(self, event: Event) -> tuple[Entry, int] | Result:
        """The entry of an event, and its size as the service counts it; or the outcome
        if it can be none."""

    @abstractmethod
    def _call(self, entries: Sequence[Entry]) -> Sequence[Result]:
        """One call. An entry's reason is its error code; of one that the answer does
        not tell of it is UNMENTIONED."""

    @abstractmethod
    def _look(self, client: Any) -> Sequence[str]:
        """Ask for the destination and take over its limits; what is worth knowing.

        Raises SinkError for a destination that cannot be used as it is, Unreadable for
        an answer that lacks what it must have.
        """

    # What all of them do

    def check(self, *, thoroughly: bool = False, once: bool = False) -> Sequence[str]:
        notices = self._ask(client_config(1) if once else preflight_config())
        if thoroughly:
            self._try_to_send()
        return notices

    def _ask(self, config: Config) -> Sequence[str]:
        # What is found now counts, whatever it was before.
        self._is_checked = False
        client = self._made(config)
        try:
            with reading():
                notices = self._look(client)
        except botocore.exceptions.ClientError as error:
            raise self._unusable(error_code(error), self.describe) from None
        except (botocore.exceptions.BotoCoreError, Unreadable) as error:
            raise unusable(self.name, error) from None
        finally:
            client.close()
        self._is_checked = True
        return notices

    def _try_to_send(self) -> None:
        """Call for no entries at all. That is always refused; where the reason is a
        missing permission, it is told.

        Nothing else tells whether sending is allowed, short of sending something. AWS
        does not say whether it looks at the permission or at the entries first, so this
        finds some faults and no certainty.
        """
        try:
            with reading():
                self._call([])
        except botocore.exceptions.ClientError as error:
            if plain(error_code(error)) in HINTS:
                raise self._unusable(error_code(error), self.send) from None
        except (botocore.exceptions.BotoCoreError, Unreadable) as error:
            raise unusable(self.name, error) from None

    def publish(
        self, events: Sequence[Event], may_send: Callable[[], bool]
    ) -> Sequence[Result]:
        unknown = Result(Outcome.UNKNOWN, "not sent")
        results = [unknown] * len(events)
        if not self._is_checked:
            # It did not answer when the relay began. Once, for here a lease is held.
            try:
                self._ask(client_config(1))
            except SinkUnavailable as error:
                return [Result(Outcome.UNKNOWN, error.message)] * len(events)
        try:
            with self._fence.asking(may_send):
                # What is not sent by then waits: a relay that stops awaits this call.
                until = time.monotonic() + READ_TIMEOUT
                for numbers, entries in self._calls(events, results):
                    if time.monotonic() > until:
                        break
                    answers = self._send(entries, may_send)
                    for number, answer in zip(numbers, answers, strict=True):
                        results[number] = answer
        except SinkError as error:
            if ACKNOWLEDGED not in results:
                raise
            # What was acknowledged must be known to be; the next call says the rest.
            reason = Result(Outcome.UNKNOWN, error.message)
            results = [reason if found is unknown else found for found in results]
        return results

    def close(self) -> None:
        self._client.close()

    def _calls(
        self, events: Sequence[Event], results: list[Result]
    ) -> Iterator[tuple[list[int], list[Entry]]]:
        """The events in calls, with their numbers; mostly it is one, but an entry may
        be larger than its event. The results of those in none are put in place."""
        numbers: list[int] = []
        entries: list[Entry] = []
        total = 0
        most, limit = self.limits.entries, self.limits.bytes
        for number, event in enumerate(events):
            found = self._entry(event)
            if isinstance(found, Result):
                results[number] = found
                continue
            entry, size = found
            if size > self._largest or size > limit:
                takes = min(self._largest, limit)
                reason = f"{size} bytes, the {self.kind} takes {takes}"
                results[number] = Result(Outcome.OVERSIZED, reason)
                continue
            if entries and (len(entries) == most or total + size > limit):
                yield numbers, entries
                numbers, entries, total = [], [], 0
            numbers.append(number)
            entries.append(entry)
            total += size
        if entries:
            yield numbers, entries

    def _send(
        self, entries: Sequence[Entry], may_send: Callable[[], bool]
    ) -> Sequence[Result]:
        try:
            with reading():
                answers = self._call(entries)
        except LeaseRanOut:
            return [LEASE_RAN_OUT] * len(entries)
        except botocore.exceptions.ClientError as error:
            code = error_code(error)
            if code in self.bad_entry:
                return self._send_alone(entries, code, may_send)
            if plain(code) in HINTS:
                raise self._unusable(code, self.send) from None
            return [Result(Outcome.UNKNOWN, code)] * len(entries)
        except botocore.exceptions.NoCredentialsError as error:
            raise unusable(self.name, error) from None
        except botocore.exceptions.BotoCoreError as error:
            # Timed out or cut off: they may have been taken, or not.
            return [Result(Outcome.UNKNOWN, type(error).__name__)] * len(entries)
        except Unreadable as error:
            # Whoever answered it may have passed it on.
            return [Result(Outcome.UNKNOWN, str(error))] * len(entries)
        for answer in answers:
            # Of an entry alone, and true of all: nobody's events are to blame.
            if answer.outcome is Outcome.REFUSED and plain(answer.reason) in HINTS:
                return self._denied(answers, answer.reason)
        return answers

    def _denied(self, answers: Sequence[Result], code: str) -> Sequence[Result]:
        if ACKNOWLEDGED not in answers:
            raise self._unusable(code, self.send)
        unknown = Result(Outcome.UNKNOWN, code)
        return [a if a is ACKNOWLEDGED else unknown for a in answers]

    def _send_alone(
        self, entries: Sequence[Entry], code: str, may_send: Callable[[], bool]
    ) -> Sequence[Result]:
        """Find the entry that made the call fail; the others are innocent."""
        if len(entries) == 1:
            return [Result(Outcome.REFUSED, code)]
        results = [Result(Outcome.UNKNOWN, code)] * len(entries)
        until = time.monotonic() + READ_TIMEOUT
        for number, entry in enumerate(entries):
            if not may_send():
                results[number] = LEASE_RAN_OUT
            elif time.monotonic() < until:
                try:
                    results[number] = self._send([entry], may_send)[0]
                except SinkError as error:
                    if ACKNOWLEDGED not in results:
                        raise
                    # What was acknowledged must be known to be; the next call says it.
                    rest = Result(Outcome.UNKNOWN, error.message)
                    return [*results[:number], *[rest] * (len(entries) - number)]
        return results

    def _unusable(self, code: str, action: str) -> SinkError:
        region = self._client.meta.region_name
        where = self._uri.target
        hint = hint_of(code, action=action, kind=self.kind, where=where, region=region)
        if hint:
            return SinkError(f"cannot use {self.name}: {code}", hint=hint)
        return SinkUnavailable(
            f"cannot use {self.name}: {code}",
            hint="It may pass: start again. If it does not, look the code up in the API"
            f" reference of {self.title}.",
        )

    def _made(self, config: Config) -> Any:
        """A client like the one of this sink, with another configuration."""
        meta = self._client.meta
        # Any: the stubs know a client by its literal name only.
        aws: Any = self._session
        return aws.client(
            self.service,
            region_name=meta.region_name,
            endpoint_url=meta.endpoint_url,
            config=config,
        )


def session(name: str) -> boto3.session.Session:
    try:
        return boto3.session.Session()
    except botocore.exceptions.BotoCoreError as error:
        raise unusable(name, error) from None


def make_client(
    uri: Uri,
    session: boto3.session.Session,
    service: str,
    region: str | None,
    calls: int,
) -> Any:
    """A client of which so many calls run at the same time.

    ``region`` is that of an ARN; None for that of the environment or the profile.
    Raises SinkError.
    """
    # Any: the stubs know a client by its literal name only.
    aws: Any = session
    try:
        return aws.client(
            service,
            region_name=region or region_of(session),
            config=client_config(calls),
        )
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        raise unusable(str(uri), error) from None


def unusable(name: str, error: Exception) -> SinkError:
    """AWS could not even be asked."""
    if isinstance(error, Unreadable):
        return SinkUnavailable(
            f"cannot use {name}: what answers is not AWS: {error}",
            hint="Look at what is in between, a proxy (HTTPS_PROXY) or a load balancer,"
            " and at AWS_ENDPOINT_URL.",
        )
    if isinstance(error, botocore.exceptions.NoRegionError):
        return SinkError(
            f"no AWS region for {name}",
            hint="Set AWS_REGION or AWS_DEFAULT_REGION, or the region of the profile.",
        )
    hint = (
        "Check AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL and the AWS configuration"
        " files."
    )
    if isinstance(error, botocore.exceptions.NoCredentialsError):
        hint = NO_CREDENTIALS
    elif isinstance(
        error,
        botocore.exceptions.HTTPClientError | botocore.exceptions.ConnectionError,
    ):
        return SinkUnavailable(
            f"cannot use {name}: {reason_of(error)}",
            hint="Check the destination, the region, the network (a VPC without a NAT"
            " gateway needs an endpoint for the service) and AWS_ENDPOINT_URL.",
        )
    return SinkError(f"cannot use {name}: {reason_of(error)}", hint=hint)


def size_of(text: str) -> int:
    """Bytes in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def is_arn(text: str, service: str, resource: str = "") -> bool:
    """Whether this is an ARN of the service: ``arn:aws:kinesis:REGION:ACCOUNT:…``."""
    parts = text.split(":", 5)
    return (
        len(parts) == 6
        and parts[0] == "arn"
        and parts[2] == service
        and all(parts)
        and parts[5].startswith(resource)
    )


def region_of_arn(arn: str) -> str:
    return arn.split(":", 5)[3]
