"""An outbox with nothing in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chaos.box import Box

from evtrig.demo.server import ThrowawayServer


@pytest.fixture
def box(server: ThrowawayServer, schema: str) -> Iterator[Box]:
    box = Box(server, schema)
    yield box
    box.close()
