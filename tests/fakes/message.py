"""What the messages of SQS and SNS have in common."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["ENTRY_ID", "TOKEN", "forbidden", "size"]

#: The id of an entry of a batch: botocore, PublishBatchRequestEntry, and the SQS
#: Developer Guide, "Amazon SQS message quotas".
ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")

#: MessageGroupId and MessageDeduplicationId: 128 of ASCII's letters, digits and
#: punctuation, which is everything printable but the space (the same places).
TOKEN = re.compile(r"[!-~]{1,128}")

#: What is *not* a character of XML 1.0.
_FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def forbidden(body: str, attributes: Mapping[str, Any]) -> str | None:
    """The first character that XML 1.0 does not have, in the body or a value."""
    for text in _texts(body, attributes):
        found = _FORBIDDEN.search(text)
        if found is not None:
            return found.group()
    return None


def size(body: str, attributes: Mapping[str, Any]) -> int:
    """Bytes of body and attributes: names, types and values."""
    total = len(body.encode("utf-8", "surrogatepass"))
    for name, value in attributes.items():
        total += len(name.encode()) + len(value.get("DataType", "").encode())
        total += len(value.get("StringValue", "").encode("utf-8", "surrogatepass"))
        total += len(base64.b64decode(value.get("BinaryValue", "")))
    return total


def _texts(body: str, attributes: Mapping[str, Any]) -> Iterator[str]:
    yield body
    for value in attributes.values():
        yield value.get("StringValue", "")
