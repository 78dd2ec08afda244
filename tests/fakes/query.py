"""The protocol of SNS and STS: a form goes in, XML comes out.

As botocore speaks it (``botocore.serialize.QuerySerializer``): lists are numbered
``Name.member.1``, maps ``Name.entry.1.Name`` and ``Name.entry.1.Value``. smithy.io,
"AWS Query protocol".
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from .service import AwsError, Request, Response, Service

__all__ = ["QueryService", "Table"]

_REQUEST_ID = "00000000-0000-4000-8000-000000000000"

#: What XML 1.0 has no way to write.
_UNWRITABLE = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Table(dict[str, str]):
    """A map in an answer, which is written as entries of key and value."""


class QueryService(Service):
    """A service known by the ``Version`` in its forms."""

    version: str
    namespace: str

    def action(self, request: Request) -> str | None:
        kind = request.headers.get("content-type", "")
        if not kind.startswith("application/x-www-form-urlencoded"):
            return None
        form = _form(request.body)
        return form.get("Action") if form.get("Version") == self.version else None

    def parse(self, request: Request) -> Mapping[str, Any]:
        tree: dict[str, Any] = {}
        for name, value in _form(request.body).items():
            if name in ("Action", "Version"):
                continue
            *folders, last = name.split(".")
            node = tree
            for folder in folders:
                node = node.setdefault(folder, {})
                if not isinstance(node, dict):
                    raise _malformed(f"{name} is a value and has members")
            node[last] = value
        folded = _fold(tree)
        assert isinstance(folded, dict)
        return folded

    def render(self, request: Request, result: Mapping[str, Any]) -> Response:
        action = self.action(request)
        text = "".join(_members(result))
        return self._response(
            200,
            f'<{action}Response xmlns="{self.namespace}">'
            f"<{action}Result>{text}</{action}Result>"
            f"<ResponseMetadata><RequestId>{_REQUEST_ID}</RequestId></ResponseMetadata>"
            f"</{action}Response>",
        )

    def render_error(self, request: Request, error: AwsError) -> Response:
        fault = "Sender" if error.sender else "Receiver"
        return self._response(
            error.status,
            f'<ErrorResponse xmlns="{self.namespace}"><Error><Type>{fault}</Type>'
            f"<Code>{_text(error.code)}</Code><Message>{_text(error.message)}</Message>"
            f"</Error><RequestId>{_REQUEST_ID}</RequestId></ErrorResponse>",
        )

    def _response(self, status: int, text: str) -> Response:
        return Response(status, {"Content-Type": "text/xml"}, text.encode())


# Asked for by every service of this protocol, and again to parse and to answer.
@functools.lru_cache(maxsize=8)
def _form(body: bytes) -> Mapping[str, str]:
    """A byte that is not UTF-8 becomes U+FFFD, as in a lenient server."""
    return dict(parse_qsl(body.decode("latin-1"), keep_blank_values=True))


def _fold(node: Any) -> Any:
    """Numbered members as lists, numbered entries as maps."""
    if not isinstance(node, dict):
        return node
    if node.keys() == {"member"}:
        return [_fold(member) for member in _numbered(node["member"])]
    if node.keys() == {"entry"}:
        entries = [_fold(entry) for entry in _numbered(node["entry"])]
        try:
            return {entry["Name"]: entry["Value"] for entry in entries}
        except (KeyError, TypeError):
            raise _malformed("an entry has no Name or no Value") from None
    return {name: _fold(member) for name, member in node.items()}


def _numbered(members: Any) -> list[Any]:
    if not isinstance(members, dict) or not all(map(str.isdecimal, members)):
        raise _malformed("members have no numbers")
    return [members[number] for number in sorted(members, key=int)]


def _members(found: Mapping[str, Any]) -> Iterator[str]:
    for name, value in found.items():
        yield f"<{name}>"
        if isinstance(value, Table):
            for key, text in value.items():
                key, text = _text(key), _text(text)
                yield f"<entry><key>{key}</key><value>{text}</value></entry>"
        elif isinstance(value, Mapping):
            yield from _members(value)
        elif isinstance(value, list):
            for member in value:
                yield from _members({"member": member})
        elif isinstance(value, bool):
            yield str(value).lower()
        else:
            yield _text(str(value))
        yield f"</{name}>"


def _text(value: str) -> str:
    return escape(_UNWRITABLE.sub("?", value))


def _malformed(message: str) -> AwsError:
    return AwsError("MalformedQueryString", message, status=404)
