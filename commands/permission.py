"""What a relay may do at AWS, from options: for `grants` and `lambda template`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..errors import SinkError
from ..relay.settings import PARK
from .options import option

if TYPE_CHECKING:
    # Imports boto3, which not every command has to wait for.
    from ..relay.permission import Here, Permission

__all__ = ["keys_option", "large_events_option", "permissions"]


def place_or_park(context: click.Context, param: click.Parameter, value: str) -> str:
    """``park``, or a place in S3; whether that can be one is for the sink to say."""
    if value != PARK and not value.startswith("s3://"):
        raise click.BadParameter(
            f"{value!r} is neither park nor s3://BUCKET/PREFIX.", context, param
        )
    return value


large_events_option = option(
    "--on-oversize",
    callback=place_or_park,
    envvar="EVTRIG_RELAY_ON_OVERSIZE",
    default=PARK,
    show_default=True,
    metavar="park|s3://BUCKET/PREFIX",
    help="What becomes of an event that is larger than the sink takes: it is parked,"
    " and the later ones of its key wait behind it; or it is put into S3 and the sink"
    " gets a pointer to it.",
)

keys_option = option(
    "--kms-key",
    "keys",
    multiple=True,
    metavar="ARN",
    help="A KMS key of your own that encrypts a destination, the bucket or the secret;"
    " may be repeated.",
)


def permissions(
    uris: Sequence[str], on_oversize: str, keys: Sequence[str], here: Here
) -> list[Permission]:
    """For the destinations, large events and keys. Raises UsageError."""
    from ..relay.permission import for_destinations, for_keys, for_large_events
    from ..relay.sinks import make_sink

    found = for_destinations(uris, here)
    for uri in uris:
        # For its checks of the URI; without a region there is nobody to call, and
        # nobody is to be called.
        with contextlib.suppress(SinkError):
            make_sink(uri).close()
    if on_oversize != PARK:
        # The bucket is where everything else is.
        resources = [resource for one in found for resource in one.resources]
        partition = here.partition or (resources or ["arn:aws"])[0].split(":")[1]
        found += for_large_events(on_oversize, partition)
    return found + for_keys(keys)
