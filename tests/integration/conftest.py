"""A database to break and to mend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pymysql
import pytest
from integration.checked import Checked

from evtrig.demo.server import ThrowawayServer


@pytest.fixture
def checked(
    server: ThrowawayServer,
    schema: str,
    outbox: str,
    tmp_path: Path,
    connect: Callable[..., pymysql.Connection],
) -> Iterator[Checked]:
    """With nothing installed; its owner goes with it."""
    found = Checked(server, schema, outbox, tmp_path, connect())
    yield found
    user, _, host = found.definer.partition("@")
    found.run(f"DROP USER IF EXISTS `{user}`@`{host}`")
