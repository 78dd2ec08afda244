"""A machine whose clock is wrong: AWS refuses its signatures."""

from __future__ import annotations

import json

import pytest
from chaos.box import Box, failed_clearly, until
from fakes.aws import FakeAws

HOUR = 3600


@pytest.mark.parametrize("off", [HOUR, -HOUR], ids=["behind", "ahead"])
@pytest.mark.parametrize("name", ["orders", "orders.fifo"])
def test_a_relay_with_a_wrong_clock_says_so_and_loses_nothing(
    box: Box, aws: FakeAws, name: str, off: int
) -> None:
    queue = aws.sqs.create_queue(name)
    sink = f"sqs:{queue.url}"
    relay = box.relay(sink)
    box.insert(5)
    until(lambda: len(box) == 0)

    # It is the relay's clock that is off, seen from here. First while it runs …
    aws.signing_clock.advance(off)
    box.insert(20)
    failed_clearly(relay, "SignatureDoesNotMatch")
    assert (len(box), box.holder) == (20, 0)
    # … then from the start.
    failed_clearly(box.relay(sink), "clock")
    assert (len(box), box.holder) == (20, 0)
    assert queue.arrived == 5

    aws.signing_clock.advance(-off)
    assert box.relay(sink, "--drain").wait(20) == 0
    assert len(box) == 0
    sequences = [json.loads(arrival.body)["sequence"] for arrival in queue.arrivals]
    assert sorted(sequences) == list(range(1, 26))
