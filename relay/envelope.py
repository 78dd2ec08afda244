"""Whether an envelope can be read, and one taken apart without parsing what is in it.

The values of a row may be many megabytes, and numbers that Python would round: what
is kept of an envelope is kept to the letter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from datetime import datetime, timezone
from typing import NamedTuple

__all__ = ["Header", "abridged", "captured_at", "header", "is_json", "members"]


def _refuse(constant: str) -> None:
    raise ValueError(constant)


#: Numbers are not made numbers of: one of a million digits is none of our business.
DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse)

OBJECT = re.compile(r"\s*\{")
#: What a member begins or ends with; further inside only what opens and closes.
TOKEN = re.compile(r'["\[\]{},:]')
INNER_TOKEN = re.compile(r'["\[\]{}]')


#: How the relay's own envelopes begin (statements.py), and how their texts do.
TEXT = r'"((?:[^"\\]|\\.)*)"'
HEAD = re.compile(
    r'\{"id": "[\w-]+", "sequence": \d+,'
    rf' "type": {TEXT}, "source": {TEXT}, "operation": {TEXT},'
)


#: What stands before the time, and in no text: there a quote is escaped. What comes
#: before it is shorter than this.
TIME = '", "time": "'
BEFORE_TIME = 8192


class Header(NamedTuple):
    """What consumers and routes choose by; empty where the envelope has no text."""

    type: str = ""
    source: str = ""
    operation: str = ""


def header(body: str) -> Header:
    """Type, source and operation of an envelope; none of them for what is no object."""
    match = HEAD.match(body)
    if match and "\\" not in match[0]:
        return Header(*match.groups())
    try:
        found = members(body)
        values = {
            name: json.loads(body[slice(*found[name])], strict=False)
            for name in Header._fields
            if name in found
        }
    except ValueError:
        return Header()
    texts = {name: text for name, text in values.items() if isinstance(text, str)}
    return Header(**texts)


def captured_at(body: str) -> float | None:
    """When the statement was begun that made an event, in seconds since 1970; None
    where its envelope does not say."""
    begin = body.find(TIME, 0, BEFORE_TIME) + len(TIME)
    try:
        made = datetime.fromisoformat(body[begin : begin + 26])
    except ValueError:
        return None
    return made.replace(tzinfo=timezone.utc).timestamp()


def is_json(text: str) -> bool:
    """Whether a consumer can read this, whatever it holds.

    The servers' own JSON_VALID is of no use here: it fails on a text nested more than
    100 deep (MySQL 9.7, error 3157), and MariaDB 10.11 finds none valid that is nested
    more than 31 deep.
    """
    try:
        DECODER.decode(text)
    except RecursionError:
        # Nested a thousand deep and more, and well-formed so far.
        return True
    except ValueError:
        return False
    return True


def members(body: str) -> dict[str, tuple[int, int]]:
    """Where in a JSON object the value of each member begins and ends.

    Values are not looked into further than finding their end takes. Raises ValueError
    for what is no object.
    """
    if not OBJECT.match(body):
        raise ValueError("not a JSON object")
    found: dict[str, tuple[int, int]] = {}
    name: str | None = None
    start = depth = position = 0
    while True:
        match = (INNER_TOKEN if depth > 1 else TOKEN).search(body, position)
        if match is None:
            raise ValueError("a JSON object without an end")
        position = match.end()
        mark = match[0]
        if mark == '"':
            begin, position = match.start(), _end_of_text(body, position)
            if depth == 1 and name is None:
                name = json.loads(body[begin:position], strict=False)
        elif mark in "{[":
            depth += 1
        elif mark in "}]":
            depth -= 1
        elif mark == ":":
            start = position
        if name is not None and (depth == 0 or (depth == 1 and mark == ",")):
            found[name] = (start, match.start())
            name = None
        if depth == 0:
            if body[position:].strip():
                raise ValueError("more than one JSON object")
            return found


def abridged(body: str, without: Collection[str], **more: object) -> str:
    """The envelope with null for some of its members, and with further ones at its
    end. Everything else stays as it is written. Raises ValueError as `members`."""
    kept = []
    last = 0
    for name, (start, end) in members(body).items():
        if name in without:
            kept += [body[last:start], " null"]
            last = end
    kept.append(body[last : body.rindex("}")].rstrip())
    for name, value in more.items():
        text = json.dumps(value, ensure_ascii=False)
        kept.append(f", {json.dumps(name)}: {text}")
    return "".join(kept) + "}"


def _end_of_text(body: str, start: int) -> int:
    """Behind the quote that ends a text; ``start`` is behind the one that opens it."""
    while True:
        quote = body.find('"', start)
        if quote < 0:
            raise ValueError("a JSON text without an end")
        backslash = quote
        while backslash > start and body[backslash - 1] == "\\":
            backslash -= 1
        if (quote - backslash) % 2 == 0:
            return quote + 1
        start = quote + 1
