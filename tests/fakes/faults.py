"""What can be made to go wrong, and when.

::

    aws.faults.add(Answer(sqs.throttled()), calls=3)         # the next three calls
    aws.faults.add(LoseAcknowledgement(), rate=0.05)     # one call in twenty
    aws.faults.add(FailEntries(rate=0.2), action="SendMessageBatch")
    aws.faults.add(FailEntries("InvalidParameterValue", sender_fault=True,
                               where=lambda entry: "poison" in entry["MessageBody"]))
    aws.faults.clear()

Chances come from a hash of the seed, not from a shared generator: the n-th call a
rule looks at, and the n-th attempt at an entry, fare the same in every run. An
entry is known by its body, so its fate does not depend on how threads interleave.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from .service import AwsError, Call, EntryFailure

__all__ = [
    "Answer",
    "Delay",
    "FailEntries",
    "Fault",
    "Faults",
    "Hang",
    "Intercept",
    "LoseAcknowledgement",
    "Reset",
    "Rule",
    "access_denied",
    "body_of",
    "internal_failure",
    "script",
    "service_unavailable",
]


@dataclasses.dataclass(frozen=True)
class Answer:
    """Nothing is taken; the call is answered with an error."""

    error: AwsError


@dataclasses.dataclass(frozen=True)
class Intercept:
    """Nothing is taken; what answers is not the service but something before it."""

    status: int
    body: bytes


@dataclasses.dataclass(frozen=True)
class Delay:
    """The answer comes late."""

    seconds: float
    #: Wait after the call was carried out instead of before.
    accepted: bool = False


@dataclasses.dataclass(frozen=True)
class Reset:
    """Nothing is taken; the TCP connection is reset."""


@dataclasses.dataclass(frozen=True)
class LoseAcknowledgement:
    """The call is carried out and logged; then the TCP connection is reset."""


@dataclasses.dataclass(frozen=True)
class Hang:
    """The connection stays open and silent until the fake is closed."""

    #: Carry the call out first.
    accepted: bool = False


@dataclasses.dataclass(frozen=True)
class FailEntries:
    """Some entries of a batch fail, the others are taken.

    On an action that is not a batch the call is refused with ``code``.
    """

    #: None: what the service itself gives when it is to blame.
    code: str | None = None
    #: True: refused, for ever. False: may be taken when it is sent again.
    sender_fault: bool = False
    message: str = "by the fault script"
    #: Which entries, as they were sent (``entry["MessageBody"]``, …); ``body_of``
    #: finds the body of every service's. Kinesis' ``Data`` is decoded to text.
    where: Callable[[Mapping[str, Any]], bool] = lambda entry: True
    #: Chance of an entry that ``where`` picks.
    rate: float = 1.0


#: What the body is called by SQS, SNS, Kinesis and EventBridge.
_BODIES = ("MessageBody", "Message", "Data", "Detail")

Fault: TypeAlias = (
    Answer | Intercept | Delay | Reset | LoseAcknowledgement | Hang | FailEntries
)


def script(
    text: str, errors: Mapping[str, AwsError]
) -> list[tuple[Fault, dict[str, Any]]]:
    """The faults of a JSON list, each with what ``Faults.add`` takes besides.

    ``[{"fault": "Delay", "seconds": 0.2, "calls": 3}, {"fault": "Answer", "error":
    "throttled", "action": "SendMessageBatch"}, {"fault": "FailEntries", "chance":
    0.02}]``: the names of the classes and of their fields, ``errors`` by name.
    ``chance`` is the ``rate`` of a FailEntries; ``rate`` is always that of the calls.
    """
    kinds = {
        kind.__name__: kind
        for kind in (Answer, Delay, FailEntries, Hang, LoseAcknowledgement, Reset)
    }
    found: list[tuple[Fault, dict[str, Any]]] = []
    for entry in json.loads(text):
        kind = kinds[entry.pop("fault")]
        chance = {k: entry.pop(k) for k in ("calls", "rate", "action") if k in entry}
        if "error" in entry:
            entry["error"] = errors[entry["error"]]
        if "chance" in entry:
            entry["rate"] = entry.pop("chance")
        found.append((kind(**entry), chance))
    return found


def body_of(entry: Mapping[str, Any]) -> str:
    """The body of an entry of any service, or its id where it has none."""
    for name in _BODIES:
        if name in entry:
            return str(entry[name])
    return str(entry.get("Id", ""))


def access_denied(action: str = "sqs:sendmessage") -> AwsError:
    """As SQS says it; ``sns``, ``kinesis`` and ``eventbridge`` have their own."""
    return AwsError(
        "AccessDeniedException",
        f"User: arn:aws:iam::123456789012:user/fake is not authorized to perform: "
        f"{action}",
        code="AccessDenied",
        status=403,
    )


def internal_failure() -> AwsError:
    """HTTP 500 (docs.aws.amazon.com, SQS API reference, "Common Errors")."""
    return AwsError("InternalFailure", "We encountered an internal error.", status=500)


def service_unavailable() -> AwsError:
    """HTTP 503 (the same page)."""
    return AwsError("ServiceUnavailable", "Service is unavailable.", status=503)


class Rule:
    """A fault and the calls it is meant for."""

    def __init__(
        self,
        number: int,
        seed: int,
        fault: Fault,
        *,
        calls: int | None,
        rate: float,
        action: str | None,
    ) -> None:
        self.fault = fault
        #: How many calls it has struck.
        self.hits = 0
        self._calls, self._rate, self._action = calls, rate, action
        self._salt = f"{seed}/{number}"
        self._looks = 0
        self._attempts: collections.Counter[bytes] = collections.Counter()

    def strikes(self, call: Call) -> bool:
        if self._action is not None and self._action != call.action:
            return False
        if self._calls is not None and self.hits >= self._calls:
            return False
        self._looks += 1
        if self._rate < 1 and self._chance(str(self._looks)) >= self._rate:
            return False
        self.hits += 1
        return True

    def fail(self, entry: Mapping[str, Any], code: str) -> EntryFailure | None:
        """How ``entry`` fails, by default with ``code``; None where it does not."""
        fault = self.fault
        assert isinstance(fault, FailEntries)
        if not fault.where(entry):
            return None
        if fault.rate < 1:
            known_by = hashlib.blake2b(
                body_of(entry).encode("utf-8", "surrogatepass"), digest_size=12
            ).digest()
            self._attempts[known_by] += 1
            attempt = self._attempts[known_by]
            if self._chance(f"{known_by.hex()}/{attempt}") >= fault.rate:
                return None
        return EntryFailure(fault.code or code, fault.message, fault.sender_fault)

    def _chance(self, what: str) -> float:
        digest = hashlib.blake2b(f"{self._salt}/{what}".encode(), digest_size=8)
        return int.from_bytes(digest.digest(), "big") / 2**64


class Faults:
    """The fault script of a fake. Rules are looked at in the order of adding."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._rules: tuple[Rule, ...] = ()
        self._added = 0

    def add(
        self,
        fault: Fault,
        *,
        calls: int | None = None,
        rate: float = 1.0,
        action: str | None = None,
    ) -> Rule:
        """Let ``fault`` strike until ``clear``.

        ``calls``: only so many calls. ``rate``: each with this chance.
        ``action``: only this one, ``SendMessageBatch`` for example.
        """
        self._added += 1
        rule = Rule(
            self._added, self.seed, fault, calls=calls, rate=rate, action=action
        )
        self._rules = (*self._rules, rule)
        return rule

    def clear(self) -> None:
        self._rules = ()

    def strike(self, call: Call) -> list[Fault]:
        """The faults for this call; failing entries are put into ``call.fail``.

        Of faults that end a call only the first counts.
        """
        struck: list[Fault] = []
        entries: list[Rule] = []
        ended = False
        for rule in self._rules:
            ends = not isinstance(rule.fault, Delay | FailEntries)
            if (ends and ended) or not rule.strikes(call):
                continue
            ended = ended or ends
            if isinstance(rule.fault, FailEntries):
                entries.append(rule)
            else:
                struck.append(rule.fault)
        if entries:
            call.fail = lambda entry: next(
                filter(None, (rule.fail(entry, call.internal) for rule in entries)),
                None,
            )
        return struck
