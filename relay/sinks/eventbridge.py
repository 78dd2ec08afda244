"""``eventbridge:BUS``: Amazon EventBridge, by name or ARN of a bus.

``source`` is the event's source, ``detail-type`` its type, ``detail`` the envelope; a
rule may match any of them. EventBridge keeps no order and knows no duplicates: its
targets drop an event whose ``sequence`` is not above the last one of its key.

Limits are those of PutEvents in the EventBridge API reference and "Calculating
PutEvents event entry size" in its user guide, November 2026.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import UsageError
from ..event import Event
from .aws import (
    UNMENTIONED,
    AwsSink,
    is_arn,
    make_client,
    member,
    region_of_arn,
    session,
    size_of,
)
from .error_code import BUSY, plain
from .message import escaped
from .sink import ACKNOWLEDGED, Limits, Outcome, Result
from .uri import LIMITS, Uri

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

__all__ = ["EventBridgeSink"]

#: Of an entry, and of all entries of a call together: "less than 1MB".
BYTES = 1_000_000 - 1
CALLS = 16
#: Characters of a detail-type.
LONGEST_TYPE = 128
NAME = re.compile(r"[/.\-_A-Za-z0-9]{1,256}")
#: `plain` ErrorCode of an entry that may be taken later (PutEventsResultEntry).
RETRYABLE = BUSY | {"InternalFailure", "Internal"}

UNORDERED = (
    "EventBridge keeps no order: its targets drop an event whose sequence is not above"
    " the last one they saw of its key"
)


class EventBridgeSink(AwsSink["PutEventsRequestEntryTypeDef"]):
    """One bus."""

    service = "events"
    title = "EventBridge"
    kind = "bus"
    describe = "events:DescribeEventBus"
    send = "events:PutEvents"
    bad_entry = frozenset({
        "ValidationException", "InvalidArgument", "RequestEntityTooLarge",
        "RequestEntityTooLargeException",
    })  # fmt: skip
    defaults = Limits(entries=10, bytes=BYTES, calls=CALLS)
    largest = BYTES

    _client: EventBridgeClient

    def __init__(self, rest: str) -> None:
        uri = Uri.parse("eventbridge", rest, LIMITS)
        has_arn = is_arn(uri.target, "events", "event-bus/")
        if not has_arn and not NAME.fullmatch(uri.target):
            raise UsageError(
                "the sink eventbridge: needs the name or the ARN of a bus",
                hint="Write eventbridge:default, or"
                " eventbridge:arn:aws:events:eu-west-1:123456789012:event-bus/orders",
            )
        self._bus = uri.target
        calls = uri.limits(self.defaults).calls
        region = region_of_arn(self._bus) if has_arn else None
        aws = session(str(uri))
        client = make_client(uri, aws, self.service, region, calls)
        super().__init__(uri, aws, client)

    def _look(self, client: EventBridgeClient) -> Sequence[str]:
        member(client.describe_event_bus(Name=self._bus), "Arn")
        return [UNORDERED]

    def _entry(self, event: Event) -> tuple[PutEventsRequestEntryTypeDef, int] | Result:
        type_, source, _ = event.header
        if not (type_ and source):
            return Result(Outcome.REFUSED, "an event without a type or a source")
        if len(type_) > LONGEST_TYPE:
            reason = f"its type has {len(type_)} characters, EventBridge takes"
            return Result(Outcome.REFUSED, f"{reason} {LONGEST_TYPE}")
        detail = escaped(event.body)
        entry: PutEventsRequestEntryTypeDef = {
            "Source": source,
            "DetailType": type_,
            "Detail": detail,
            "EventBusName": self._bus,
        }
        return entry, size_of(detail) + size_of(source) + size_of(type_)

    def _call(
        self, entries: Sequence[PutEventsRequestEntryTypeDef]
    ) -> Sequence[Result]:
        found = self._client.put_events(Entries=entries).get("Entries", ())
        if len(found) != len(entries):
            # Which they are is known by their places only.
            return [UNMENTIONED] * len(entries)
        return [
            ACKNOWLEDGED
            if "EventId" in entry
            else Result(
                Outcome.RETRY
                if plain(entry.get("ErrorCode", "")) in RETRYABLE
                else Outcome.REFUSED,
                str(entry.get("ErrorCode", "no code")),
            )
            for entry in found
        ]
