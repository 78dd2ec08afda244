"""A relay is cut off from the database by the network, and comes back.

Its sink still takes what it sends: that is what makes the case dangerous.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from chaos.fleet import Fleet
from chaos.namespace import Namespace, NotPermitted, namespace
from chaos.replicas import until
from chaos.workload import MarkedShop
from click.testing import CliRunner

from evtrig.cli import main
from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.mysqld import Mysqld, Program
from evtrig.demo.server import LocalServer

TTL = 3
FAULTS = {"link down": Namespace.link_down, "blackhole": Namespace.blackhole}


@pytest.fixture
def net() -> Iterator[Namespace]:
    try:
        with namespace() as net:
            yield net
    except NotPermitted as reason:
        pytest.skip(f"NOT RUN: {reason}")


@pytest.fixture
def near(program: Program, net: Namespace) -> Iterator[LocalServer]:
    """Reachable from inside as well, and from nowhere else."""
    address = f"--bind-address=127.0.0.1,{net.outside}"
    with LocalServer(Mysqld(program, (address,))) as server:
        yield server


class Shop:
    """A captured shop, with a customer who changes the name again and again."""

    def __init__(self, server: LocalServer, folder: Path) -> None:
        self.shop = MarkedShop()
        self.connection = Connection(Dsn.parse(server.dsn))
        self.shop.create(self.connection)
        spec = folder / "evtrig.yml"
        spec.write_text(self.shop.spec, encoding="utf-8")
        dsn = server.dsn_of(self.shop.schema)
        done = CliRunner().invoke(
            main, ["install", "--yes", "-s", str(spec), "--dsn", dsn]
        )
        assert done.exit_code == 0, done.output
        for statement in (
            "CREATE USER relay@'%'",
            f"GRANT ALL ON {self.shop.outbox}.* TO relay@'%'",
        ):
            self.connection.execute(statement)
        self.written = 0

    def write(self) -> None:
        self.written += 1
        customers = f"{self.shop.schema}.customers"
        self.connection.execute(
            f"UPDATE {customers} SET name = %s WHERE id = %s",
            (f"name {self.written}", self.written % 8 + 1),
        )

    @property
    def waiting(self) -> int:
        return len(self.shop.waiting(self.connection))

    @property
    def leader(self) -> int:
        state = f"{self.shop.outbox}.event_polling_state"
        query = f"SELECT IF(holder > 0, holder_id, ':0') FROM {state}"
        return int(self.connection.value(query).rpartition(":")[2])


@pytest.fixture
def shop(near: LocalServer, tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(near, tmp_path)
    yield shop
    shop.connection.close()


@pytest.fixture
def fleet(shop: Shop, near: LocalServer, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(near.dsn, shop.shop.outbox, "", tmp_path, TTL)
    yield fleet
    fleet.close()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_relay_that_the_network_cuts_off_is_replaced_and_stands_by(
    net: Namespace,
    near: LocalServer,
    shop: Shop,
    fleet: Fleet,
    tmp_path: Path,
    fault: str,
) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    dsn = f"mysql://relay@{net.outside}:{Dsn.parse(near.dsn).port}?tls=off"
    cut_off = fleet.start(prefix=net.command, dsn=dsn, sink=f"file:{inside}")
    until(lambda: shop.leader == cut_off.process.pid)
    other = fleet.start(sink=f"file:{outside}")
    until(lambda: other.has_begun)
    until(lambda: writes(shop) and size(inside) > 5000)
    out: AbstractContextManager[None] = FAULTS[fault](net)
    with out:
        begun = time.monotonic()
        until(lambda: writes(shop) and shop.leader == other.process.pid)
        took_over = time.monotonic() - begun
        before = size(inside)
        until(lambda: writes(shop) and size(outside) > 5000)
    # The old one reaches the database again, and finds that it is not the leader.
    until(lambda: writes(shop) and standby(cut_off.log))
    shop.write()
    until(lambda: shop.waiting == 0)

    assert took_over <= TTL + 1
    assert size(inside) == before
    assert shop.leader == other.process.pid
    one, two = names(inside), names(outside)
    assert len(one | two) == shop.written
    # What was sent last inside could not be deleted from there.
    assert len(one) == len(read(inside))
    assert len(two) == len(read(outside))
    for relay in (cut_off, other):
        relay.terminate()
        assert relay.process.wait(10) == 0, relay.log.read_text()


def writes(shop: Shop) -> bool:
    shop.write()
    return True


def standby(log: Path) -> bool:
    return "action=standby" in log.read_text()


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def names(path: Path) -> set[str]:
    return {event["id"] for event in read(path)}
