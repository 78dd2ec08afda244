"""Servers for the tests: a test that asks for ``server`` runs once on each.

Fixtures: ``server`` (dsn, name, dsn_of(schema)), ``schema`` and ``outbox`` (names
of a test's own), ``connect(**options)`` (a PyMySQL connection), ``account(*grants)``
(evtrig's connection as an account of the test's own), and for tests that
kill or configure a server of their own ``local_server`` and ``program``.
"""

from __future__ import annotations

import functools
import os
import secrets
import signal
from collections.abc import Callable, Iterator

import botocore.session
import pymysql
import pytest
from botocore.loaders import create_loader

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.mysqld import Mysqld, Program, programs
from evtrig.demo.server import Candidate, LocalServer, Survey, ThrowawayServer
from evtrig.demo.server import survey as look_around
from evtrig.errors import EvtrigError

FAMILIES = ("mysql", "mariadb")

INSTALL = "as root on Debian or Ubuntu, make servers installs it"

# Started when the first test needs them; an error is kept too, so that a server
# that does not start is waited for once.
running: dict[str, ThrowawayServer | EvtrigError] = {}


def pytest_configure(config: pytest.Config) -> None:
    # They would set, lock and look for things under each other's feet.
    if (config.getoption("numprocesses", None) or 0) > 1 and any(
        candidate.family is None for candidate in survey().candidates
    ):
        raise pytest.UsageError(
            "EVTRIG_TEST_DSN names servers, which several processes would share:"
            " run pytest with -n 0"
        )
    # A shell starts background jobs with SIGINT ignored, and programs inherit that: the
    # tests that press Ctrl-C would wait for ever.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _models_are_read_once() -> Iterator[None]:
    """What botocore has read of AWS's service models serves all sessions of a process.

    Reading is four fifths of what it takes to make a client, and tests make thousands.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", functools.cache(create_loader))
        yield


def pytest_report_header() -> list[str]:
    found = survey()
    lines = [f"server: {candidate.description}" for candidate in found.candidates]
    lines += [f"no server: {reason}" for reason in found.missing]
    return lines + [
        f"NOT RUN: tests on {family} ({INSTALL})" for family in absent_families()
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server" in metafunc.fixturenames:
        found = {candidate.name: candidate for candidate in survey().candidates}
        parametrize(metafunc, "server", found, absent_families())
    if "program" in metafunc.fixturenames:
        local = {program.server.family: program for program in programs()[0]}
        absent = tuple(family for family in FAMILIES if family not in local)
        parametrize(metafunc, "program", local, absent)


def pytest_unconfigure() -> None:
    while running:
        _, server = running.popitem()
        if isinstance(server, ThrowawayServer):
            server.stop()


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> ThrowawayServer:
    """One of the servers, shared by all tests: leave nothing in it."""
    if isinstance(request.param, str):
        not_here(request.param)
    return start(request.param)


@pytest.fixture(scope="session")
def program(request: pytest.FixtureRequest) -> Program:
    """A server program on this machine, for ``Mysqld(program, options)``."""
    if isinstance(request.param, str):
        not_here(request.param)
    return request.param


@pytest.fixture
def local_server(program: Program) -> Iterator[LocalServer]:
    """A server of the test's own, to kill, freeze and restart."""
    with LocalServer(Mysqld(program)) as server:
        yield server


@pytest.fixture
def schema(server: ThrowawayServer) -> Iterator[str]:
    """An empty schema for one test; it and ``outbox`` are dropped after it."""
    name = f"test_{secrets.token_hex(4)}"
    with driver(server) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    yield name
    with driver(server) as connection, connection.cursor() as cursor:
        # An open transaction that a test has left fails here, and not in a year.
        cursor.execute("SET SESSION lock_wait_timeout = 10")
        for database in (name, f"{name}_outbox"):
            cursor.execute(f"DROP DATABASE IF EXISTS {database}")


@pytest.fixture
def outbox(schema: str) -> str:
    """A name for the outbox schema of one test; it does not exist yet."""
    return f"{schema}_outbox"


@pytest.fixture
def connect(
    server: ThrowawayServer, schema: str
) -> Iterator[Callable[..., pymysql.Connection]]:
    """``connect(**options)``: an autocommit connection to ``schema``.

    Options are those of ``pymysql.connect``. All are closed after the test.
    """
    connections: list[pymysql.Connection] = []

    def connect(**options: object) -> pymysql.Connection:
        connections.append(driver(server, **{"database": schema, **options}))
        return connections[-1]

    yield connect
    for connection in connections:
        if connection.open:
            connection.close()


@pytest.fixture
def trusting(server: ThrowawayServer) -> Iterator[None]:
    """Whoever may create triggers and functions may do so without SUPER."""
    trusted = "log_bin_trust_function_creators"
    with driver(server) as root, root.cursor() as cursor:
        cursor.execute(f"SELECT @@GLOBAL.{trusted}")
        before = cursor.fetchone()
        cursor.execute(f"SET GLOBAL {trusted} = 1")
    yield
    with driver(server) as root, root.cursor() as cursor:
        cursor.execute(f"SET GLOBAL {trusted} = %s", before)


@pytest.fixture
def account(
    server: ThrowawayServer, trusting: None
) -> Iterator[Callable[..., Connection]]:
    """``account(*grants)``: evtrig's connection as an account with exactly these.

    It may create triggers though it has no SUPER. Accounts are dropped after the test.
    """
    made: list[tuple[str, Connection]] = []
    with driver(server) as root, root.cursor() as cursor:

        def account(*grants: str) -> Connection:
            name = f"s_{secrets.token_hex(4)}"
            cursor.execute(f"CREATE USER {name}@'%' IDENTIFIED BY 'pw'")
            for grant in grants:
                cursor.execute(f"GRANT {grant} TO {name}@'%'")
            dsn = server.dsn.partition("://")[2].rpartition("@")[2]
            made.append((name, Connection(Dsn.parse(f"mysql://{name}:pw@{dsn}"))))
            return made[-1][1]

        yield account
        for name, connection in made:
            connection.close()
            cursor.execute(f"DROP USER {name}@'%'")


@functools.cache
def survey() -> Survey:
    try:
        return look_around()
    except EvtrigError as error:
        raise pytest.UsageError(f"{error.message}. {error.hint}") from None


@functools.cache
def absent_families() -> tuple[str, ...]:
    candidates = survey().candidates
    families = {candidate.family for candidate in candidates}
    if None in families:
        # EVTRIG_TEST_DSN: who names a server wants that one, except under CI.
        if not os.environ.get("CI"):
            return ()
        families = {start(candidate).name for candidate in candidates}
    return tuple(family for family in FAMILIES if family not in families)


def parametrize(
    metafunc: pytest.Metafunc,
    fixture: str,
    found: dict[str, object],
    absent: tuple[str, ...],
) -> None:
    metafunc.parametrize(
        fixture,
        [*found.values(), *absent],
        ids=[*found, *absent],
        indirect=True,
        # The tests are put in order by server: one is busy, the other idle.
        scope="session",
    )


def start(candidate: Candidate) -> ThrowawayServer:
    if candidate.name not in running:
        try:
            running[candidate.name] = candidate.start()
        except EvtrigError as error:
            running[candidate.name] = error
    server = running[candidate.name]
    if isinstance(server, EvtrigError):
        raise server
    return server


def not_here(family: str) -> None:
    reason = f"no {family} server here; {INSTALL}"
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; under CI both are required", pytrace=False)
    pytest.skip(reason)


def driver(server: ThrowawayServer, **options: object) -> pymysql.Connection:
    dsn = Dsn.parse(server.dsn)
    defaults = {
        "host": dsn.host,
        "port": dsn.port,
        "user": dsn.user,
        "password": dsn.password,
        "unix_socket": dsn.unix_socket,
        "ssl": dsn.policy.context(),
        "ssl_disabled": dsn.policy.mode == "off",
        "charset": "utf8mb4",
        "autocommit": True,
    }
    return pymysql.connect(**{**defaults, **options})
