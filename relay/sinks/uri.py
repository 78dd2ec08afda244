"""What follows the scheme of a sink's URI: where to, and options as a query.

``sqs:https://sqs.eu-west-1.amazonaws.com/123456789012/orders?attributes=type&calls=8``
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from ...errors import UsageError, nearest
from .sink import Limits

__all__ = ["LIMITS", "Uri"]

T = TypeVar("T")

#: Options of every sink at AWS: AWS moves its limits, and an account may have others.
LIMITS = ("entries", "bytes", "message_bytes", "calls")


@dataclass(frozen=True)
class Uri:
    """One destination."""

    scheme: str
    #: A queue's URL, an ARN, a name.
    target: str
    options: Mapping[str, str]

    @classmethod
    def parse(cls, scheme: str, rest: str, known: Collection[str]) -> Uri:
        """Raises UsageError for an option that is not ``known``, or stands twice."""
        target, _, query = rest.partition("?")
        options: dict[str, str] = {}
        for pair in query.split("&") if query else ():
            name, equals, value = pair.partition("=")
            if name not in known:
                near = nearest(name, known)
                hint = f"Did you mean {near}? " if near else ""
                raise UsageError(
                    # What was written is not repeated: it may hold credentials.
                    f"the sink {scheme}: has an option that it does not know",
                    hint=f"{hint}Its options are {', '.join(known)}.",
                )
            if name in options or not (equals and value):
                raise UsageError(
                    f"the option {name} of the sink {scheme}: needs one value",
                    hint=f"Write ?{name}=VALUE, and further options behind a &.",
                )
            options[name] = value
        return cls(scheme, target, options)

    def __str__(self) -> str:
        query = "&".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.scheme}:{self.target}" + (f"?{query}" if query else "")

    def limits(self, defaults: Limits) -> Limits:
        """The limits of a call, with what the options say otherwise."""
        return Limits(
            entries=self._number("entries", defaults.entries),
            bytes=self._number("bytes", defaults.bytes),
            calls=self._number("calls", defaults.calls),
        )

    def message_bytes(self, default: int) -> int:
        """The largest message, in bytes as the service counts them."""
        return self._number("message_bytes", default)

    def choice(self, name: str, choices: Mapping[str, T], default: T) -> T:
        if name not in self.options:
            return default
        value = self.options[name]
        if value not in choices:
            raise self._bad(name, f"one of {', '.join(choices)}", [value], choices)
        return choices[value]

    def several(self, name: str, choices: Collection[str]) -> tuple[str, ...]:
        """Names with commas between them, each at most once; none by default."""
        if name not in self.options:
            return ()
        values = tuple(self.options[name].split(","))
        if not set(values) <= set(choices) or len(set(values)) < len(values):
            what = f"some of {', '.join(choices)}, with commas between"
            raise self._bad(name, what, values, choices)
        return values

    def _number(self, name: str, default: int) -> int:
        value = self.options.get(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdecimal() and 0 < int(value[:12]) < 10**9):
            raise self._bad(name, "a number above 0")
        return int(value)

    def _bad(
        self,
        name: str,
        what: str,
        values: Collection[str] = (),
        choices: Collection[str] = (),
    ) -> UsageError:
        unknown = [value for value in values if value not in choices]
        near = nearest(unknown[0], choices) if unknown else None
        hint = f"Did you mean {near}? " if near else ""
        return UsageError(
            f"the option {name} of the sink {self.scheme}: is not {what}",
            hint=f"{hint}Write ?{name}=VALUE behind the destination.",
        )
