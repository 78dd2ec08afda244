"""A YAML document whose every node knows its line and column.

Only the part of YAML that says to a program what it says to a reader: one document
of mappings, sequences and scalars. Anchors, aliases, merge keys, tags, tabs and a
key that stands twice are refused, and :func:`text` refuses a word that YAML 1.1
takes for something else (``no``, ``12:30``).

Built from PyYAML's events and not from its composed nodes: those have forgotten
their anchors, and composing is recursive. Nothing is ever constructed from a tag.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.resolver import Resolver

from ..errors import SpecError, nearest

__all__ = [
    "MAX_SIZE",
    "Mapping",
    "Node",
    "Place",
    "Scalar",
    "Sequence",
    "content",
    "did_you_mean",
    "entries",
    "fields",
    "items",
    "one_of",
    "read",
    "shown",
    "text",
    "too_large",
]

#: The largest file that is read, in bytes.
MAX_SIZE = 16 * 1024 * 1024

#: A spec needs fewer than ten levels.
MAX_DEPTH = 32

_STR_TAG = "tag:yaml.org,2002:str"

# Any: the stubs of PyYAML leave out its methods.
_RESOLVER: Any = Resolver()

# What PyYAML counts as the end of a line.
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")

# NUL and halves of a surrogate pair can only come from an escape such as "\0".
_NOT_IN_SQL = re.compile("[\0\ud800-\udfff]")

# With nothing behind it that could be its value.
_LAST_COLON = re.compile(r": *(?:$|[\n\r,}\]]| #)")

# A tab in a line that is only a comment hurts nobody.
_TAB = re.compile(r"^(?! *#)[^\t\n]*\t", re.MULTILINE)


@dataclass(frozen=True)
class Place:
    """Where something stands; both numbers count from 1."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"

    def error(self, message: str, *, hint: str | None = None) -> SpecError:
        """An error about what stands here, to be raised by the caller."""
        return SpecError(
            message, path=self.path, line=self.line, column=self.column, hint=hint
        )


@dataclass(frozen=True)
class Scalar:
    """One value, as it is written."""

    text: str
    #: Written without quotes, so YAML may take it for something else than text.
    plain: bool
    place: Place

    @property
    def is_null(self) -> bool:
        """Whether nothing is written here, or a word that means nothing."""
        return self.plain and self.text in ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True)
class Sequence:
    """A list of nodes."""

    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True)
class Mapping:
    """Pairs in the order of the file; no two keys have the same text."""

    entries: tuple[tuple[Scalar, Node], ...]
    place: Place


Node = Scalar | Sequence | Mapping


def content(path: str | Path, *, missing: str) -> str:
    """The text of a file. Raises SpecError if it cannot be had; ``missing`` says what
    to do where there is none."""
    name = str(path)
    try:
        with open(path, "rb") as file:
            found = file.read(MAX_SIZE + 1)
    except FileNotFoundError:
        raise SpecError("there is no such file", path=name, hint=missing) from None
    except IsADirectoryError:
        raise SpecError(
            "this is a directory", path=name, hint="Name the file in it."
        ) from None
    except (OSError, ValueError) as exc:
        # ValueError: the path itself holds a NUL.
        reason = getattr(exc, "strerror", None) or str(exc)
        raise SpecError(
            f"cannot be read: {reason}",
            path=name,
            hint="Check the path and who may read it.",
        ) from None
    if len(found) > MAX_SIZE:
        raise too_large(name)
    try:
        return found.decode()
    except UnicodeDecodeError as exc:
        line = found.count(b"\n", 0, exc.start) + 1
        raise SpecError(
            f"not UTF-8: the byte 0x{found[exc.start]:02X}",
            path=name,
            line=line,
            hint="Save the file as UTF-8.",
        ) from None


def read(text: str, *, path: str, empty: str) -> Node:
    """The document that is written in ``text``. ``empty`` is the hint where there is
    nothing in it.

    Raises SpecError with the place for everything that is not YAML, and for the
    parts of YAML that are refused.
    """
    if len(text) > MAX_SIZE:
        raise too_large(path)
    if tab := _TAB.search(text):
        raise _place(text, tab.end() - 1, path).error(
            "a tab, where YAML wants spaces",
            hint=r"Use spaces; within double quotes a tab is written \t.",
        )
    builder = _Builder(path)
    for event in _events(text, path):
        builder.add(event)
    if builder.root is None or (
        isinstance(builder.root, Scalar) and builder.root.is_null
    ):
        raise SpecError(
            "the file is empty",
            path=path,
            hint=empty,
        )
    return builder.root


def too_large(path: str) -> SpecError:
    """The error about a file over MAX_SIZE, to be raised by the caller."""
    return SpecError(
        f"larger than {MAX_SIZE >> 20} MB: no spec is",
        path=path,
        hint="Check that --spec names the right file.",
    )


def text(node: Node, what: str) -> str:
    """The text of a scalar, if a reader and YAML agree that it is text.

    ``what`` names the value in messages: "the schema of table orders".
    """
    scalar = _scalar(node, what)
    if scalar.is_null:
        raise scalar.place.error(
            f"{what} is missing: YAML reads "
            + ("nothing here" if not scalar.text else f"`{scalar.text}` as nothing"),
            hint="Write a value, or leave the key out; "
            "a name that YAML takes for nothing goes in quotes.",
        )
    if scalar.plain and (meaning := _meaning(scalar.text)):
        raise scalar.place.error(
            f"{what} must be text, but YAML reads `{shown(scalar.text)}` as {meaning}",
            hint=f'Put it in quotes: "{shown(scalar.text)}"',
        )
    return scalar.text


def one_of(node: Node, choices: Collection[str], what: str) -> str:
    """The scalar, if it is one of a few known words.

    Compared as it is written, whatever YAML takes it for.
    """
    word = _scalar(node, what).text
    if word not in choices:
        raise node.place.error(
            f"{what} cannot be `{shown(word)}`{did_you_mean(word, choices)}",
            hint=f"One of: {', '.join(choices)}",
        )
    return word


def items(node: Node, what: str) -> tuple[Node, ...]:
    """The members of a sequence."""
    if isinstance(node, Sequence):
        return node.items
    hint = "Write it as a list: [one, two]; or leave the key out."
    if isinstance(node, Scalar) and not node.is_null:
        hint = f"Write it as a list: [{shown(node.text)}]"
    raise node.place.error(f"{what} must be a list, not {_kind(node)}", hint=hint)


def entries(node: Node, what: str) -> tuple[tuple[Scalar, Node], ...]:
    """The pairs of a mapping."""
    if isinstance(node, Mapping):
        return node.entries
    raise node.place.error(
        f"{what} must be a mapping, not {_kind(node)}",
        hint="Write `name: value`, one a line, indented by the same spaces.",
    )


def fields(node: Node, known: Collection[str], what: str) -> dict[str, Node]:
    """The values of a mapping that may have only these keys.

    Keys are compared as they are written, so that ``on`` is a key like any other
    although YAML 1.1 reads it as true.
    """
    found = {}
    for key, value in entries(node, what):
        if key.text not in known:
            raise key.place.error(
                f"unknown key `{shown(key.text)}` in {what}"
                + did_you_mean(key.text, known),
                hint=f"Keys that can stand here: {', '.join(known)}",
            )
        found[key.text] = value
    return found


def did_you_mean(word: str, names: Collection[str]) -> str:
    """The end of a message that names the nearest of ``names``, or nothing."""
    near = nearest(word, names)
    return f" — did you mean `{near}`?" if near else ""


def shown(text: str) -> str:
    """``text`` as a message can quote it: on one line, not too long, printable."""
    printable = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:61])
    return printable if len(text) <= 60 else printable[:60] + "…"


class _Builder:
    """Puts nodes together from the inside out, with a stack of its own."""

    def __init__(self, path: str) -> None:
        self.root: Node | None = None
        self._path = path
        self._documents = 0
        self._open: list[_Collection] = []

    def add(self, event: yaml.Event) -> None:
        mark = event.start_mark
        assert isinstance(mark, yaml.Mark)
        place = _mark(mark, self._path)
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise place.error(
                    "a second document begins here",
                    hint="A spec is one document: remove the `---`.",
                )
        elif isinstance(event, yaml.AliasEvent):
            raise place.error(
                f"an alias (`*{shown(event.anchor or '')}`){_REFUSED}",
                hint=_NO_REFERENCES,
            )
        elif isinstance(event, yaml.NodeEvent):
            self._refuse_properties(event, place)
            if isinstance(event, yaml.ScalarEvent):
                self._put(_checked(Scalar(event.value, event.style is None, place)))
            else:
                if len(self._open) == MAX_DEPTH:
                    raise place.error(
                        f"nested deeper than {MAX_DEPTH} levels",
                        hint="No spec needs that: look for a bracket that is not "
                        "closed.",
                    )
                is_mapping = isinstance(event, yaml.MappingStartEvent)
                self._open.append(_Collection(is_mapping, place))
        elif isinstance(event, yaml.CollectionEndEvent):
            self._put(self._open.pop().close())

    def _put(self, node: Node) -> None:
        if self._open:
            self._open[-1].nodes.append(node)
        else:
            self.root = node

    def _refuse_properties(self, event: yaml.NodeEvent, place: Place) -> None:
        if event.anchor is not None:
            raise place.error(
                f"an anchor (`&{shown(event.anchor)}`){_REFUSED}", hint=_NO_REFERENCES
            )
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise place.error(
                f"a tag (`{shown(tag)}`){_REFUSED}",
                hint="A spec holds plain values only: remove it. "
                "A text that begins with `!` goes in quotes.",
            )


_REFUSED = ", which a spec cannot have"

_NO_REFERENCES = (
    "A spec is read from top to bottom and says everything where it stands (a few "
    "aliases of aliases can fill the memory): write the value out. "
    "A text that begins with `&` or `*` goes in quotes."
)


@dataclass
class _Collection:
    """A mapping or a sequence whose end has not been read yet."""

    is_mapping: bool
    place: Place
    nodes: list[Node] = field(default_factory=list)

    def close(self) -> Mapping | Sequence:
        if not self.is_mapping:
            return Sequence(tuple(self.nodes), self.place)
        pairs = []
        first: dict[str, Place] = {}
        for key, value in zip(self.nodes[::2], self.nodes[1::2], strict=True):
            if not isinstance(key, Scalar):
                raise key.place.error(
                    f"a key must be text, not {_kind(key)}",
                    hint="Write `name: value`; a name that begins with a bracket "
                    "goes in quotes.",
                )
            if key.plain and key.text == "<<":
                raise key.place.error(
                    f"a merge key (`<<`){_REFUSED}", hint=_NO_REFERENCES
                )
            if key.text in first:
                before = first[key.text]
                raise key.place.error(
                    f"`{shown(key.text)}` stands here a second time; the first is "
                    f"in line {before.line}, column {before.column}",
                    hint="Remove one of the two.",
                )
            first[key.text] = key.place
            pairs.append((key, value))
        return Mapping(tuple(pairs), self.place)


def _checked(scalar: Scalar) -> Scalar:
    if character := _NOT_IN_SQL.search(scalar.text):
        raise scalar.place.error(
            f"the character U+{ord(character[0]):04X} cannot stand in a spec",
            hint="Write characters beyond U+FFFF as they are, "
            'or as "\\U0001F600", not as two halves.',
        )
    return scalar


def _scalar(node: Node, what: str) -> Scalar:
    if isinstance(node, Scalar):
        return node
    raise node.place.error(
        f"{what} must be text, not {_kind(node)}",
        hint="Write one value here; text that begins with a bracket goes in quotes.",
    )


def _kind(node: Node) -> str:
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Mapping):
        return "a mapping"
    return "nothing" if node.is_null else f"`{shown(node.text)}`"


def _meaning(plain: str) -> str | None:
    """What YAML 1.1 reads where ``plain`` is written, unless it is text."""
    if _RESOLVER.resolve(yaml.ScalarNode, plain, (True, False)) == _STR_TAG:
        return None
    if len(plain) > 40:
        return "a number"
    try:
        # Safe: a plain scalar that matched a pattern of null, bool, number or date.
        value = yaml.safe_load(plain)
    except (ValueError, yaml.YAMLError):
        return "something else"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime):
        return "a time"
    if isinstance(value, datetime.date):
        return "a date"
    return f"the number {value}"


def _events(text: str, path: str) -> Iterator[yaml.Event]:
    try:
        loader: Any = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as exc:
        raise _place(text, exc.position, path).error(
            f"the character U+{int(exc.character):04X} cannot stand in a YAML file",
            hint='Write it as an escape within double quotes, for example "\\x07".',
        ) from None
    try:
        while loader.check_event():
            yield loader.get_event()
    except yaml.MarkedYAMLError as exc:
        raise _not_yaml(exc, text, path) from None
    except (ValueError, OverflowError):
        # chr() of an escape such as "\UFFFFFFFF", int() of a very long %YAML 1.1…
        raise _mark(loader.get_mark(), path).error(
            "not YAML: a number that cannot be right",
            hint="Look for an escape such as \\U that names no character.",
        ) from None


def _not_yaml(exc: yaml.MarkedYAMLError, text: str, path: str) -> SpecError:
    problem = exc.problem or "cannot be read"
    if exc.context and exc.context_mark:
        line = exc.context_mark.line + 1
        problem += f" ({exc.context} that begins in line {line})"
    mark = exc.problem_mark or exc.context_mark
    error = SpecError(f"not YAML: {problem}", path=path)
    if mark:
        error = _mark(mark, path).error(f"not YAML: {problem}")
    if mark and _LAST_COLON.match(text, mark.index):
        error.hint = (
            'A text that ends in a colon goes in double quotes: "stdout:". A key of a '
            "mapping below another one begins a line of its own."
        )
    else:
        error.hint = (
            "Check the indentation and the quotes here; a text with a colon and a "
            "space, or one that begins with `, @, %, a quote or a bracket, goes in "
            "double quotes."
        )
    return error


def _mark(mark: yaml.Mark, path: str) -> Place:
    return Place(path, mark.line + 1, mark.column + 1)


def _place(text: str, offset: int, path: str) -> Place:
    line, start = 1, 0
    for line_break in _LINE_BREAK.finditer(text, 0, offset):
        line, start = line + 1, line_break.end()
    return Place(path, line, offset - start + 1)
