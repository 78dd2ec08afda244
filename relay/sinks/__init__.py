"""Where events go, chosen by the scheme of a URI."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.metadata import entry_points

from ...errors import UsageError, nearest
from .sink import Sink

__all__ = ["SCHEMES", "checked", "make_sink", "open_sink", "with_claim_check"]

log = logging.getLogger(__name__)


def _stdout(rest: str) -> Sink:
    from .ndjson import StdoutSink

    if rest:
        raise UsageError(
            f"the sink stdout: takes nothing behind the colon, not {rest!r}",
            hint="Write stdout:, or file:PATH for a file.",
        )
    return StdoutSink()


def _file(rest: str) -> Sink:
    from .ndjson import FileSink

    return FileSink(rest)


# boto3 takes a tenth of a second to import; only who uses it shall wait.


def _sqs(rest: str) -> Sink:
    from .sqs import SqsSink

    return SqsSink(rest)


def _sns(rest: str) -> Sink:
    from .sns import SnsSink

    return SnsSink(rest)


def _kinesis(rest: str) -> Sink:
    from .kinesis import KinesisSink

    return KinesisSink(rest)


def _eventbridge(rest: str) -> Sink:
    from .eventbridge import EventBridgeSink

    return EventBridgeSink(rest)


#: The schemes that evtrig brings, with what follows the colon.
SCHEMES: dict[str, tuple[str, Callable[[str], Sink]]] = {
    "stdout": ("", _stdout),
    "file": ("PATH", _file),
    "sqs": ("QUEUE_URL", _sqs),
    "sns": ("TOPIC_ARN", _sns),
    "kinesis": ("STREAM", _kinesis),
    "eventbridge": ("BUS", _eventbridge),
}
#: Third parties add a scheme as an entry point of this group: a callable that takes
#: what follows the colon and returns a Sink.
GROUP = "evtrig.sinks"


def open_sink(uri: str) -> Sink:
    """The sink that a URI such as ``file:events.ndjson`` names, checked and open.

    Raises UsageError for a URI that cannot be right, SinkError for a sink that
    cannot be used.
    """
    return checked(make_sink(uri))


def checked(sink: Sink) -> Sink:
    """The sink, after it was asked whether it can be used; closed if it cannot."""
    try:
        notices = sink.check()
    except BaseException:
        sink.close()
        raise
    for notice in notices:
        log.info(notice, extra={"action": "check", "sink": sink.name})
    return sink


def make_sink(uri: str) -> Sink:
    """The sink that a URI names, which has not called anybody yet.

    Raises UsageError for a URI that cannot be right, SinkError where there is nobody to
    call.
    """
    scheme, colon, rest = uri.partition(":")
    others = {point.name: point for point in entry_points(group=GROUP)}
    if colon and scheme in SCHEMES:
        return SCHEMES[scheme][1](rest)
    if colon and scheme in others:
        opener: Callable[[str], Sink] = others[scheme].load()
        return opener(rest)
    known = [f"{name}:{what}" for name, (what, _) in SCHEMES.items()]
    known += [f"{name}:…" for name in others]
    near = nearest(scheme, [*SCHEMES, *others])
    hint = f"Did you mean {near}:? " if near else ""
    # What follows the colon is not repeated: it may hold credentials.
    what = f"unknown scheme {scheme!r} in the sink URI" if colon else "no sink URI"
    raise UsageError(what, hint=f"{hint}Sinks are {', '.join(known)}.")


def with_claim_check(sink: Sink, uri: str) -> Sink:
    """The sink, for events of any size: those too large for it go to S3, and a
    pointer to the sink.

    ``uri`` is ``s3://BUCKET/PREFIX``. Closing the new sink closes the one given; if
    there is none because of an error, that is still open. Raises UsageError for a URI
    that cannot be right, SinkError where AWS cannot be called.
    """
    from .claim_check import ClaimCheck

    return ClaimCheck(sink, uri)
