"""A database to break and to mend, and AWS as somebody else understands it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pymysql
import pytest
from fakes.ministack import ministack, program
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


@pytest.fixture(scope="session")
def second_opinion() -> Iterator[str]:
    """Endpoint of a MiniStack, which knows nothing of our fake AWS."""
    python = program()
    if python is None:
        reason = "no MiniStack here; python tests/fakes/ministack.py installs it"
        if os.environ.get("CI"):
            pytest.fail(f"{reason}; under CI it is required", pytrace=False)
        pytest.skip(reason)
    with ministack(python) as endpoint_url:
        yield endpoint_url
