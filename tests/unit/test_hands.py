"""What a relay waits for when it waits for its threads."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from evtrig.relay.destinations import Destinations
from evtrig.relay.hands import Hands
from evtrig.relay.metrics import Metrics
from evtrig.relay.sinks.ndjson import StdoutSink


@pytest.fixture
def slow_signal() -> Iterator[None]:
    """One comes in a moment, and it takes longer to handle than anybody waits."""
    before = signal.signal(signal.SIGALRM, lambda *_: time.sleep(0.05))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_a_signal_in_the_middle_of_waiting_does_not_make_it_endless(
    slow_signal: None,
) -> None:
    """As a SIGTERM does that comes within the millisecond between two looks."""
    hands = Hands(None, Destinations({"": StdoutSink()}), time.monotonic, Metrics())
    # Only so that a relay that waits for ever does not do so here.
    rescue = threading.Timer(5, hands._done.put, [None])
    rescue.start()
    try:
        begun = time.monotonic()
        assert list(hands.done(0.03)) == []
        assert time.monotonic() - begun < 4
    finally:
        rescue.cancel()
        rescue.join()
        hands.join()
