"""EventBridge, as far as PutEvents goes.

Sources: the service model in botocore (``events/2015-10-07/service-2.json``), cited as
[model]; docs.aws.amazon.com/eventbridge/latest/userguide, "Calculating PutEvents event
entry size" [size]; answers recorded from AWS in the tests of LocalStack
(``tests/aws/services/events/test_events.snapshot.json``) [recorded];
github.com/aws/aws-cli/issues/9186 [unknown bus];
github.com/segmentio/action-destinations/pull/2828 [long type].

EventBridge promises no order; the events of every call arrive in another one than they
were sent in, the same one in every run with the fake's seed.

It also says yes and throws away: what is sent to a bus that does not exist [unknown
bus] or has a DetailType of more than 128 characters [long type] gets an EventId. Such
events are under ``EventBridge.lost`` and nowhere else.

Where the sources leave it open, the harsher reading holds: "less than 1MB" ([model]
PutEvents) is less than 1,000,000 bytes, and for all entries of a call together
([recorded] test_put_event_with_too_big_detail).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .service import (
    Arrival,
    AwsError,
    Call,
    EntryFailure,
    JsonService,
    Surroundings,
    shuffled,
)

__all__ = [
    "EventBridge",
    "EventBus",
    "access_denied",
    "internal_exception",
    "not_found",
    "throttled",
]

ACCOUNT = "123456789012"
REGION = "us-east-1"

#: [model] PutEventsRequestEntryList.
ENTRIES = 10

#: [model] PutEvents: "the total entry size must be less than 1MB".
REQUEST_BYTES = 1_000_000

#: [size] Whatever time it is.
TIME_BYTES = 14

#: [model] PutEventsRequestEntry.
DETAIL_TYPE_CHARACTERS = 128

#: [model] PutEvents: levels of JSON, and the least and greatest whole number.
LEVELS = 1000
NUMBERS = (-(1 << 63), (1 << 63) - 1)

#: [model] EventBusName, of which the bus called ``default`` is always there.
_BUS_NAME = re.compile(r"[/.\-_A-Za-z0-9]{1,256}")


def throttled() -> AwsError:
    """[model] PutEventsResultEntry has the code for entries; a call has it too."""
    return AwsError("ThrottlingException", "Rate exceeded")


def access_denied(action: str = "events:PutEvents") -> AwsError:
    return AwsError(
        "AccessDeniedException",
        "User: arn:aws:iam::123456789012:user/fake is not authorized to perform: "
        f"{action}",
    )


def internal_exception() -> AwsError:
    """[model] The only error that PutEvents lists; it has no status there."""
    return AwsError("InternalException", "Internal exception", status=500)


def not_found(name: str = "fake") -> AwsError:
    """[recorded] test_describe_delete_not_existing_event_bus."""
    return AwsError("ResourceNotFoundException", f"Event bus {name} does not exist.")


class EventBus:
    """An event bus, as Python sees it."""

    def __init__(self, events: EventBridge, name: str) -> None:
        if not _BUS_NAME.fullmatch(name):
            raise ValueError(f"not the name of an event bus: {name!r}")
        self.name = name
        self.arn = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{name}"
        #: ``len(arrivals)``, at no cost: for ``FakeAws.wait_for``.
        self.arrived = 0
        self._events = events
        self._arrivals: list[Arrival] = []

    @property
    def arrivals(self) -> tuple[Arrival, ...]:
        """What was taken, in the order in which targets may see it.

        The body is the Detail; ``attributes`` are the other members as sent.
        """
        with self._events.aws.changed:
            return tuple(self._arrivals)

    @property
    def delivered(self) -> tuple[Arrival, ...]:
        """``arrivals``: EventBridge knows no duplicates."""
        return self.arrivals

    def take(self, entry: Mapping[str, Any], call: Call) -> Arrival:
        log = self._events.aws.log
        arrival = log.arrive(
            service="eventbridge",
            queue=self.name,
            body=entry["Detail"],
            group=None,
            deduplication_id=None,
            duplicate=False,
            message_id=_event_id(log.arrived + 1),
            sequence_number=None,
            attributes={k: v for k, v in entry.items() if k != "Detail"},
            call=call.number,
        )
        self.arrived += 1
        if log.remember:
            self._arrivals.append(arrival)
        return arrival


class EventBridge(JsonService):
    """The service. Event buses are made from Python, not over HTTP."""

    # In a signature it is called by its old name.
    name = "events"
    target = "AWSEvents"
    version = "1.1"
    out_of_date = ("InvalidSignatureException", "InvalidSignatureException")
    #: [model] PutEventsResultEntry.
    internal = "InternalFailure"

    def __init__(self, aws: Surroundings) -> None:
        super().__init__(aws)
        self.default = EventBus(self, "default")
        self.buses: dict[str, EventBus] = {"default": self.default}
        #: Entries that were answered with an EventId and thrown away.
        self.lost: list[Mapping[str, Any]] = []
        self._calls = 0

    def create_bus(self, name: str) -> EventBus:
        bus = EventBus(self, name)
        with self.aws.changed:
            self.buses[name] = bus
        return bus

    def delete_bus(self, name: str) -> None:
        with self.aws.changed:
            del self.buses[name]

    def do_DescribeEventBus(self, call: Call) -> Mapping[str, Any]:  # noqa: N802
        name = call.parameters.get("Name", "default")
        bus = self._bus(name)
        if bus is None:
            raise not_found(name)
        return {"Name": bus.name, "Arn": bus.arn}

    def do_PutEvents(self, call: Call) -> Mapping[str, Any]:  # noqa: N802
        entries = _entries(call)
        results: list[dict[str, str]] = [{}] * len(entries)
        self._calls += 1
        seed = f"{self.aws.seed}/events/{self._calls}"
        for place in shuffled(len(entries), seed):
            results[place] = self._put(entries[place], call)
        call.failed = sum("ErrorCode" in result for result in results)
        call.accepted = len(entries) - call.failed
        return {"FailedEntryCount": call.failed, "Entries": results}

    def _put(self, entry: Mapping[str, Any], call: Call) -> dict[str, str]:
        failure = _check(entry) or call.fail(entry)
        if failure is not None:
            return {"ErrorCode": failure.code, "ErrorMessage": failure.message}
        bus = self._bus(entry.get("EventBusName", "default"))
        if bus is None or len(entry["DetailType"]) > DETAIL_TYPE_CHARACTERS:
            self.lost.append(entry)
            return {"EventId": _event_id(len(self.lost) << 40)}
        return {"EventId": bus.take(entry, call).message_id}

    def _bus(self, name_or_arn: str) -> EventBus | None:
        if not name_or_arn.startswith("arn:"):
            return self.buses.get(name_or_arn)
        bus = self.buses.get(name_or_arn.partition(":event-bus/")[2])
        return bus if bus is not None and bus.arn == name_or_arn else None


def _entries(call: Call) -> Sequence[Mapping[str, Any]]:
    """The entries of a call, of which number and size are good."""
    entries = call.parameters.get("Entries")
    call.entries = len(entries) if isinstance(entries, list) else 0
    if not isinstance(entries, list) or not 1 <= len(entries) <= ENTRIES:
        # [recorded] test_put_events_exceed_limit_ten_entries
        bound = "less than or equal to 10" if entries else "greater than or equal to 1"
        raise AwsError(
            "ValidationException",
            "1 validation error detected: Value at 'entries' failed to satisfy "
            f"constraint: Member must have length {bound}",
        )
    if sum(map(_size, entries)) >= REQUEST_BYTES:
        raise AwsError(
            "ValidationException",
            "Total size of the entries in the request is over the limit.",
        )
    return entries


def _size(entry: Mapping[str, Any]) -> int:
    """[size] Time, Source, DetailType, Detail and Resources; not the bus."""
    texts = [entry.get(name) or "" for name in ("Source", "DetailType", "Detail")]
    texts += entry.get("Resources") or ()
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    return size + (TIME_BYTES if entry.get("Time") is not None else 0)


def _check(entry: Mapping[str, Any]) -> EntryFailure | None:
    """Why an entry is refused; None where it is good."""
    for name in ("Source", "DetailType", "Detail"):
        if not entry.get(name):  # [recorded] test_put_events_without_source, …
            message = (
                f"Parameter {name} is not valid. Reason: {name} is a required argument."
            )
            return EntryFailure("InvalidArgument", message, True)
    if entry["Source"].startswith("aws."):
        return EntryFailure(
            "NotAuthorizedForSourceException", "Not authorized for the source.", True
        )
    if not _is_object(entry["Detail"]):  # [recorded] test_put_event_malformed_detail
        return EntryFailure("MalformedDetail", "Detail is malformed.", True)
    return None


def _is_object(text: str) -> bool:
    """A JSON object, no deeper and with no greater whole numbers than allowed."""
    if text.count("{") + text.count("[") > LEVELS and _depth(text) > LEVELS:
        return False
    try:
        found = json.loads(text, parse_int=_whole, parse_constant=_whole)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict)


def _whole(text: str) -> int:
    number = int(text)
    if not NUMBERS[0] <= number <= NUMBERS[1]:
        raise ValueError(text)
    return number


def _depth(text: str) -> int:
    """Levels of JSON; brackets inside texts do not count."""
    depth = deepest = 0
    for found in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', text):
        if found.group() in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif found.group() in "]}":
            depth -= 1
    return deepest


def _event_id(number: int) -> str:
    return f"00000000-0000-4000-9000-{number:012x}"
