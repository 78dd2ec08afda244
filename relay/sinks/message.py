"""What messages of SQS and SNS have in common: characters, groups and attributes."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..event import Event

__all__ = ["ATTRIBUTES", "attributes", "attributes_size", "escaped", "group_id"]

#: What an attribute may be: members of the envelope that a consumer filters by.
ATTRIBUTES = ("type", "source", "operation")

#: Of a message group id and a deduplication id.
LONGEST_ID = 128
NOT_ID = re.compile(r"[^!-~]")
#: A key whose source needs no quotes, with integers and texts only: what JSON readers
#: and writers agree on, so that two keys never become one.
PLAIN_KEY = re.compile(
    r"""([\w.$-]+):(\{(?:"[^"\\]*":\s?(?:-?\d+|"[^"\\]*")(?:,\s?)?)+\})""", re.ASCII
)
#: What nine keys in ten are like.
ONE_NUMBER = re.compile(
    r"""([\w.$-]{1,80}):\{"(\w{1,20})":\s?(0|-?[1-9]\d{0,19})\}""", re.ASCII
)

#: Messages are what XML 1.0 can hold. The rest is written as JSON escapes, which every
#: JSON reader turns back. Control characters are escaped in JSON already.
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def escaped(body: str) -> str:
    """The JSON text with nothing in it that XML 1.0 has no place for."""
    # Nothing is in valid JSON of ASCII only that XML does not take.
    return body if body.isascii() else NOT_XML.sub(_escape, body)


def group_id(key: str) -> str:
    """The message group of a key: ``shop.orders:{"id":7}`` where that can be an id,
    else a digest.

    Ids are 1 to 128 characters of printable ASCII without the blank.
    """
    one = ONE_NUMBER.fullmatch(key)
    if one:
        return f'{one[1]}:{{"{one[2]}":{one[3]}}}'
    parts = PLAIN_KEY.fullmatch(key)
    if parts:
        # An application may have written the event itself, and anything for its key.
        with contextlib.suppress(ValueError):
            compact = json.dumps(json.loads(parts[2]), separators=(",", ":"))
            plain = f"{parts[1]}:{compact}"
            if len(plain) <= LONGEST_ID and not NOT_ID.search(plain):
                return plain
    data = key.encode("utf-8", "surrogatepass")
    digest = base64.b32encode(hashlib.sha256(data).digest())
    return "h-" + digest.decode().rstrip("=")


def attributes(event: Event, names: Iterable[str]) -> dict[str, Any]:
    """Message attributes of these names, as both services take them; without those
    that the event has no text for."""
    header = event.header
    found = {name: getattr(header, name) for name in names}
    return {
        name: {"DataType": "String", "StringValue": NOT_XML.sub(_percent, value)}
        for name, value in found.items()
        if value
    }


def attributes_size(attributes: Mapping[str, Any]) -> int:
    """Bytes that count against the size of a message: names, types and values."""
    return sum(
        len(name) + len(value["DataType"]) + len(value["StringValue"].encode())
        for name, value in attributes.items()
    )


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _percent(match: re.Match[str]) -> str:
    # An attribute is no JSON, and its reader no JSON reader.
    return f"%{ord(match[0]):02X}"
