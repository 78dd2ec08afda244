"""The proxy does to a connection what its name says, and no more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pymysql
import pytest
from chaos.proxy import Proxy

from evtrig.database.dsn import Dsn
from evtrig.demo.server import ThrowawayServer

Connect = Callable[..., pymysql.Connection]

#: Of the driver: connection refused or reset, time-out.
LOST = (2006, 2013)


@pytest.fixture
def proxy(server: ThrowawayServer) -> Iterator[Proxy]:
    with Proxy(Dsn.parse(server.dsn).port) as proxy:
        yield proxy


@pytest.fixture
def through(proxy: Proxy, connect: Connect) -> Connect:
    """A connection over the proxy; TLS would hide the statements from it."""

    def open_(**options: object) -> pymysql.Connection:
        way = {"port": proxy.port, "unix_socket": None, "ssl": None}
        return connect(**way, ssl_disabled=True, **options)

    return open_


def run(connection: pymysql.Connection, sql: str) -> tuple:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return tuple(cursor.fetchall())


def fails(connection: pymysql.Connection, sql: str) -> float:
    """After how many seconds the connection is lost."""
    begun = time.monotonic()
    with pytest.raises(pymysql.OperationalError) as raised:
        run(connection, sql)
    assert raised.value.args[0] in LOST
    return time.monotonic() - begun


@pytest.fixture
def table(connect: Connect) -> pymysql.Connection:
    """A connection past the proxy, to a schema with the table ``t``."""
    direct = connect()
    run(direct, "CREATE TABLE t (id INT PRIMARY KEY)")
    return direct


def test_what_is_not_disturbed_gets_through(
    through: Connect, table: pymysql.Connection
) -> None:
    text = "x" * 1_000_000

    assert run(through(), f"SELECT '{text}'") == ((text,),)


def test_an_answer_comes_as_late_as_it_is_told_to(
    proxy: Proxy, through: Connect
) -> None:
    connection = through()
    proxy.delay = 0.3
    begun = time.monotonic()

    run(connection, "SELECT 1")

    assert time.monotonic() - begun >= 0.3


def test_one_connection_is_cut_and_the_others_go_on(
    proxy: Proxy, through: Connect
) -> None:
    connections = [through() for _ in range(4)]

    assert proxy.cut(one=True) == 1

    lost = []
    for connection in connections:
        try:
            run(connection, "SELECT 1")
        except pymysql.OperationalError:
            lost.append(connection)
    assert len(lost) == 1


def test_all_connections_are_cut_and_new_ones_can_be_made(
    proxy: Proxy, through: Connect
) -> None:
    connections = [through() for _ in range(3)]

    assert proxy.cut() == 3

    for connection in connections:
        assert fails(connection, "SELECT 1") < 1
    assert run(through(), "SELECT 1") == ((1,),)


@pytest.mark.parametrize("then", ["cut", "hang"])
def test_a_statement_whose_answer_is_swallowed_was_carried_out(
    proxy: Proxy, through: Connect, table: pymysql.Connection, then: str
) -> None:
    other, connection = through(), through(read_timeout=1)
    happened = proxy.swallow(b"INSERT INTO t", then=then)
    run(connection, "SELECT 1")
    assert not happened.is_set()

    seconds = fails(connection, "INSERT INTO t VALUES (1)")

    assert happened.is_set()
    assert seconds < 0.9 if then == "cut" else seconds >= 0.9
    assert run(table, "SELECT id FROM t") == ((1,),)
    # Once, and of one connection.
    run(other, "INSERT INTO t VALUES (2)")


def test_what_is_disarmed_swallows_nothing(
    proxy: Proxy, through: Connect, table: pymysql.Connection
) -> None:
    happened = proxy.swallow(b"INSERT")
    proxy.disarm()

    run(through(), "INSERT INTO t VALUES (1)")

    assert not happened.is_set()


def test_while_it_hangs_nothing_gets_through_and_then_all_of_it(
    proxy: Proxy, through: Connect, table: pymysql.Connection
) -> None:
    connection = through()
    done = threading.Event()

    def write() -> None:
        run(connection, "INSERT INTO t VALUES (1)")
        done.set()

    writer = threading.Thread(target=write)
    with proxy.hanging():
        writer.start()
        assert not done.wait(0.3)
        assert run(table, "SELECT id FROM t") == ()
        with pytest.raises(pymysql.OperationalError):
            through(read_timeout=1)
    writer.join()

    assert done.is_set()
    assert run(table, "SELECT id FROM t") == ((1,),)


def test_new_connections_go_where_it_is_pointed_to(
    server: ThrowawayServer, proxy: Proxy, through: Connect
) -> None:
    before = through()
    port = Dsn.parse(server.dsn).port
    with Proxy(port) as further:
        proxy.point_at(further.port)
        run(through(), "SELECT 1")
        assert len(further) == 1
        run(before, "SELECT 1")
        assert len(further) == 1
    # Nobody listens there any more.
    with pytest.raises(pymysql.OperationalError):
        through()
    proxy.point_at(port)
    run(through(), "SELECT 1")
