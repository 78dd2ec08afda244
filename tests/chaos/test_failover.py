"""The database moves to another server, planned or not, behind the same name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.fleet import AwsProcess, Fleet, read_arrivals
from chaos.proxy import Proxy
from chaos.replicas import Replicas, replicas, until
from chaos.workload import MarkedShop, Writers
from click.testing import CliRunner

from evtrig.cli import main
from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.checker import Report, check
from evtrig.demo.mysqld import Program
from evtrig.demo.server import LocalServer

#: Events that are published before something happens, and again after it.
SOME = 200


class Site:
    """A shop on two servers, the name that leads to one of them, and relays."""

    def __init__(self, pair: Replicas, way: Proxy, aws: AwsProcess, path: Path) -> None:
        self.pair, self.way, self.aws, self.path = pair, way, aws, path
        self.shop = MarkedShop()
        # Without the privileges of root, which may write to a read-only server.
        self.dsn = f"mysql://app@127.0.0.1:{way.port}?tls=off"
        self.fleet = Fleet(self.dsn, self.shop.outbox, aws.sink, path)
        self.moved_from = self.moved_to = 0.0
        self._install()

    def move(self) -> None:
        """The replica is the primary, and the name leads to it."""
        self.pair.promote()
        self.way.point_at(self.pair.ports[1])
        self.way.cut()
        self.moved_to = time.monotonic()

    def write(self, server: LocalServer, name: str, count: int) -> set[str]:
        """Changes of customers, past the name; how their events are called."""
        outbox = f"{self.shop.outbox}.events"
        with Connection(Dsn.parse(server.dsn)) as connection:
            before = connection.value(f"SELECT COALESCE(MAX(id), 0) FROM {outbox}")
            for number in range(count):
                connection.execute(
                    f"UPDATE {self.shop.schema}.customers SET name = %s WHERE id = %s",
                    (f"{name} {number}", number % 8 + 1),
                )
            rows = connection.rows(
                f"SELECT id, LPAD(LOWER(HEX(uid)), 16, '0') FROM {outbox}"
                " WHERE id > %s",
                (before,),
            )
        return {f"{id_}-{uid}" for id_, uid in rows}

    def waiting(self, server: LocalServer) -> int:
        with Connection(Dsn.parse(server.dsn)) as connection:
            return len(self.shop.waiting(connection))

    def said(self, what: str) -> bool:
        return any(what in relay.log.read_text() for relay in self.fleet.relays)

    def report(self, writers: Writers, start: dict) -> Report:
        """Of all that was written, when the relays have published the rest."""
        replica = self.pair.replica
        until(lambda: self.waiting(replica) == 0)
        self.end()
        with Connection(Dsn.parse(replica.dsn)) as connection:
            end = self.shop.rows(connection)
        return check(
            writers.transactions(end),
            read_arrivals(self.aws.log),
            start=start,
            end=end,
            faults=[(self.moved_from, self.moved_to)],
            is_fifo=True,
        )

    def end(self) -> None:
        for relay in self.fleet.relays:
            relay.terminate()
        for relay in self.fleet.relays:
            assert relay.process.wait(20) == 0, relay.log.read_text()

    def rows(self) -> dict:
        with Connection(Dsn.parse(self.pair.primary.dsn)) as connection:
            return self.shop.rows(connection)

    def writers(self) -> Writers:
        return Writers(self.shop, lambda: Dsn.parse(self.dsn), self.path)

    def _install(self) -> None:
        primary, shop = self.pair.primary, self.shop
        with Connection(Dsn.parse(primary.dsn)) as connection:
            shop.create(connection)
        spec = self.path / "evtrig.yml"
        spec.write_text(shop.spec, encoding="utf-8")
        dsn = primary.dsn_of(shop.schema)
        done = CliRunner().invoke(
            main, ["install", "--yes", "-s", str(spec), "--dsn", dsn]
        )
        assert done.exit_code == 0, done.output
        self.pair.run(
            primary,
            "CREATE USER app@'%'",
            f"GRANT ALL ON {shop.schema}.* TO app@'%'",
            f"GRANT ALL ON {shop.outbox}.* TO app@'%'",
        )
        self.pair.catch_up()


@pytest.fixture
def site(program: Program, tmp_path: Path) -> Iterator[Site]:
    aws = AwsProcess(tmp_path / "sqs.ndjson")
    try:
        with replicas(program) as pair, Proxy(pair.ports[0]) as way:
            site = Site(pair, way, aws, tmp_path)
            try:
                yield site
            finally:
                site.fleet.close()
    finally:
        aws.close()


def test_a_planned_switch_under_load_loses_nothing(site: Site) -> None:
    start = site.rows()
    for _ in range(2):
        site.fleet.start()
    with site.writers() as writers:
        until(lambda: site.aws.arrived > SOME)
        site.moved_from = time.monotonic()
        site.pair.freeze_writes()
        # Its next renewal fails, with 1290 or 1836; then it connects again and waits.
        until(lambda: site.said("read-only"))
        site.pair.catch_up()
        site.move()
        arrived = site.aws.arrived
        until(lambda: site.aws.arrived > arrived + SOME)
    report = site.report(writers, start)

    assert report.is_clean, report.summary()
    assert writers.outcomes["lost the connection"] > 0


def test_a_primary_that_dies_under_load_is_replaced_without_loss(site: Site) -> None:
    start = site.rows()
    for _ in range(2):
        site.fleet.start()
    with site.writers() as writers:
        until(lambda: site.aws.arrived > SOME)
        with writers.paused():
            site.pair.catch_up()
            site.moved_from = time.monotonic()
            site.pair.primary.kill()
        # Writers and relays run against a wall meanwhile.
        until(lambda: writers.outcomes["lost the connection"])
        site.move()
        arrived = site.aws.arrived
        until(lambda: site.aws.arrived > arrived + SOME)
    report = site.report(writers, start)

    assert report.is_clean, report.summary()


@pytest.mark.parametrize("broken", [None, "DeletesById"])
def test_ids_that_are_issued_again_are_other_events(
    site: Site, broken: str | None
) -> None:
    """Events that the replica never got, and new ones with the same ids.

    A relay that takes the one for the other is caught.
    """
    site.fleet.broken = broken
    relay = site.fleet.start()
    until(lambda: relay.has_begun)
    site.pair.fall_behind()
    # The queue has them, and the relay does not know that yet.
    late = {"seconds": 2, "accepted": True}
    site.aws.script({"fault": "Delay", "action": "SendMessageBatch", **late})
    old = site.write(site.pair.primary, "old", 8)
    until(lambda: site.aws.arrived >= 8)
    site.pair.primary.kill()
    site.pair.promote()
    new = site.write(site.pair.replica, "new", 8)
    assert {name.partition("-")[0] for name in old} == {
        name.partition("-")[0] for name in new
    }
    assert not old & new
    site.aws.script()
    site.way.point_at(site.pair.ports[1])
    until(lambda: site.waiting(site.pair.replica) == 0)
    site.end()

    arrivals = read_arrivals(site.aws.log)
    delivered = [item.event["id"] for item in arrivals if item.is_delivered]
    assert set(delivered) >= old
    if broken:
        assert not set(delivered) & new
    else:
        assert sorted(delivered) == sorted(old | new)
