"""Where the relay sends what: from ``--sink``, or from a file given with ``--routes``.

The file is the spec, with a section ``relay:``, or one of its own with what would
stand in that section. Reading it imports yaml, which a relay with ``--sink`` does not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..relay.route import NAME, Route, Routes, is_like
from .options import option

if TYPE_CHECKING:
    from ..triggers.document import Node
    from ..triggers.spec import Spec

__all__ = [
    "parse_routes",
    "read_routes",
    "routes_of",
    "routes_option",
    "sink_option",
]

#: As help shows them, for `relay` and `check`.
SINKS = (
    "stdout:, file:PATH, sqs:QUEUE_URL, sns:TOPIC_ARN, kinesis:STREAM, eventbridge:BUS"
)

sink_option = option(
    "--sink",
    "uri",
    envvar="EVTRIG_SINK",
    metavar="URI",
    help=f"Where to: {SINKS}.",
)

routes_option = option(
    "--routes",
    "routes_path",
    envvar="EVTRIG_ROUTES",
    metavar="FILE",
    help="Instead of --sink, a file that says which events go where: the spec with a"
    " section relay:, or a file of its own.",
)

HINT = "docs/routing.md has examples."


def routes_of(uri: str | None, path: str | None) -> Routes | None:
    """Those of the two options; None if neither is given. Raises UsageError."""
    if uri is not None and path is not None:
        raise UsageError(
            "--sink and --routes exclude each other",
            hint="--sink is for one destination; EVTRIG_SINK and EVTRIG_ROUTES count"
            " too.",
        )
    if path is not None:
        return read_routes(path)
    return None if uri is None else Routes.single(uri)


def read_routes(path: str) -> Routes:
    """The routes in a file. Raises SpecError with the place."""
    from ..triggers import document

    content = document.content(path, missing="Name the file with --routes.")
    return parse_routes(content, path=path)


def parse_routes(text: str, *, path: str) -> Routes:
    """The routes of a spec, or of a text that holds nothing else. Raises SpecError."""
    from ..triggers import document, spec

    root = document.read(text, path=path, empty=HINT)
    keys = {key.text: value for key, value in document.entries(root, "the file")}
    if "tables" not in keys:
        fields = document.fields(
            root, ("version", "destinations", "routes"), "the file"
        )
        check_version(fields, root)
        return parse(fields, root, None)
    whole = spec.parse(text, path=path)
    if whole.relay is None:
        raise root.place.error("the spec has no section `relay`", hint=HINT)
    fields = document.fields(whole.relay, ("destinations", "routes"), "`relay`")
    return parse(fields, whole.relay, whole)


def check_version(fields: Mapping[str, Node], root: Node) -> None:
    from ..triggers import document

    if "version" not in fields:
        raise root.place.error("the file has no `version`", hint="Add `version: 1`.")
    document.one_of(fields["version"], ("1",), "`version`")


def parse(fields: Mapping[str, Node], root: Node, spec: Spec | None) -> Routes:
    from ..triggers import document

    for name in ("destinations", "routes"):
        if name not in fields:
            raise root.place.error(f"there are no `{name}`", hint=HINT)
    destinations = {}
    for key, value in document.entries(fields["destinations"], "`destinations`"):
        if not NAME.fullmatch(key.text):
            raise key.place.error(
                f"`{document.shown(key.text)}` cannot be the name of a destination",
                hint="A name has up to 64 letters, digits, - and _.",
            )
        what = f"the destination `{key.text}`"
        destinations[key.text] = document.text(value, what)
    made = Routes(destinations, ())
    nodes = document.items(fields["routes"], "`routes`")
    found = [route(node, number, made, spec) for number, node in enumerate(nodes, 1)]
    if not found:
        raise fields["routes"].place.error("`routes` is empty", hint=HINT)
    whole = Routes(destinations, tuple(found))
    problem = whole.problem()
    if problem:
        raise nodes[-1].place.error(problem, hint=HINT)
    return whole


def route(node: Node, number: int, known: Routes, spec: Spec | None) -> Route:
    from ..triggers import document

    what = f"route {number}"
    fields = document.fields(node, ("source", "type", "to"), what)
    if "to" not in fields:
        raise node.place.error(f"{what} does not say where `to`", hint=HINT)
    to = fields["to"]
    names = [to] if isinstance(to, document.Scalar) else document.items(to, "`to`")
    texts = {
        name: document.text(fields[name], f"`{name}` of {what}")
        for name in ("source", "type")
        if name in fields
    }
    made = Route(
        tuple(document.text(name, f"a destination of {what}") for name in names),
        **texts,
    )
    problem = known.problem_of(made)
    if problem:
        raise to.place.error(f"{what}: {problem}", hint=HINT)
    if spec is not None:
        source = fields.get("source")
        check_known(source, sources(spec), sources(spec), f"`source` of {what}")
        # What the application emits has the type that it likes.
        if not spec.emit:
            meant = usual_types(spec)
            check_known(fields.get("type"), types(spec), meant, f"`type` of {what}")
    return made


def check_known(
    node: Node | None, names: Collection[str], meant: Collection[str], what: str
) -> None:
    """A route that no event can ever take is a slip of the pen; ``meant`` are those of
    the names that the user may have had in mind."""
    from ..triggers import document

    if node is None:
        return
    pattern = document.text(node, what)
    if not any(is_like(name, pattern) for name in names):
        raise node.place.error(
            f"{what}: the spec has nothing like `{document.shown(pattern)}`"
            + document.did_you_mean(pattern, meant),
            hint="Routes of events that the spec does not know belong into a file of"
            " their own.",
        )


def sources(spec: Spec) -> set[str]:
    found = {table.source for table in spec.tables}
    return found | {"evtrig.emit"} if spec.emit else found


def types(spec: Spec) -> set[str]:
    """Of every event that there may be: a "read" is written by a backfill in SQL of the
    user's own, and a "gap" may wait from when the spec had `bypass`."""
    besides = {f"{table.name}.{o}" for table in spec.tables for o in ("gap", "read")}
    return usual_types(spec) | besides


def usual_types(spec: Spec) -> set[str]:
    """Of the events that docs/spec.md says there are with this spec."""
    from ..triggers.trigger import OPERATIONS

    found = set()
    for table in spec.tables:
        gap = () if table.bypass is None else ("gap",)
        found |= {f"{table.name}.{o}" for o in (*OPERATIONS, *gap)}
        found |= {event.type for event in table.events}
    return found
