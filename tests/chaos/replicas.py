"""A primary with a replica, and what an operator does when it takes over."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.mysqld import Mysqld, Program
from evtrig.demo.server import LocalServer

__all__ = ["Replicas", "replicas", "until"]

#: Seconds in which a replica must have caught up.
PATIENCE = 20


class Replicas:
    """``primary`` and ``replica`` are who they were at first."""

    def __init__(self, primary: LocalServer, replica: LocalServer) -> None:
        self.primary, self.replica = primary, replica
        self._is_mariadb = primary.server.is_mariadb

    @property
    def ports(self) -> tuple[int, int]:
        return Dsn.parse(self.primary.dsn).port, Dsn.parse(self.replica.dsn).port

    def run(self, server: LocalServer, *statements: str) -> None:
        with Connection(Dsn.parse(server.dsn)) as connection:
            for statement in statements:
                connection.execute(statement)

    def follow(self) -> None:
        """Replicate from here on, row by row, known by global transaction ids."""
        port, _ = self.ports
        if self._is_mariadb:
            change = (
                f"CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port},"
                " MASTER_USER = 'root', MASTER_USE_GTID = slave_pos,"
                " MASTER_CONNECT_RETRY = 1"
            )
        else:
            change = (
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1',"
                f" SOURCE_PORT = {port}, SOURCE_USER = 'root',"
                " SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1"
            )
        self.run(
            self.replica, "SET GLOBAL read_only = 1", change, f"START {self._word}"
        )

    def freeze_writes(self) -> None:
        """What a planned switch begins with."""
        name = "read_only" if self._is_mariadb else "super_read_only"
        self.run(self.primary, f"SET GLOBAL {name} = 1")

    def catch_up(self) -> None:
        """Wait until the replica has all that the primary has committed."""
        query = "@@GLOBAL." + (
            "gtid_binlog_pos" if self._is_mariadb else "gtid_executed"
        )
        with Connection(Dsn.parse(self.primary.dsn)) as connection:
            position = connection.value(f"SELECT {query}")
        wait = "MASTER_GTID_WAIT" if self._is_mariadb else "WAIT_FOR_EXECUTED_GTID_SET"
        with Connection(Dsn.parse(self.replica.dsn)) as connection:
            late = connection.value(f"SELECT {wait}(%s, {PATIENCE})", (position,))
        assert late == 0, "the replica does not catch up"

    def fall_behind(self) -> None:
        """The replica gets no more of what the primary commits."""
        self.run(self.replica, f"STOP {self._word}")

    def promote(self) -> None:
        """The replica is a primary from here on."""
        stop = f"STOP {self._word}"
        names = ("read_only",) if self._is_mariadb else ("super_read_only", "read_only")
        writable = (f"SET GLOBAL {name} = 0" for name in names)
        self.run(self.replica, stop, f"RESET {self._word} ALL", *writable)

    @property
    def _word(self) -> str:
        return "SLAVE" if self._is_mariadb else "REPLICA"


@contextlib.contextmanager
def replicas(program: Program) -> Iterator[Replicas]:
    """Two servers, of which the second follows the first."""
    options = ("--log-slave-updates=ON",)
    if not program.server.is_mariadb:
        options = ("--gtid-mode=ON", "--enforce-gtid-consistency=ON")
    with contextlib.ExitStack() as stack:
        one, two = (
            stack.enter_context(
                LocalServer(Mysqld(program, (*options, f"--server-id={number}")))
            )
            for number in (1, 2)
        )
        found = Replicas(one, two)
        found.follow()
        yield found


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Return as soon as the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)
