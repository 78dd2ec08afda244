"""Throwaway servers: what can be had here, and starting one.

The first of these that works: the servers named by ``EVTRIG_TEST_DSN`` (comma
separated), Docker, a MySQL or MariaDB program on this machine. The latter may be
installed, or be the MySQL that ``.ci/servers`` puts in the cache folder.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from ..database.connection import Connection
from ..database.dsn import Dsn
from ..database.server import Server
from ..errors import EvtrigError, ServerNotFound
from .mysqld import (
    MARIADB_OPTIONS,
    Mysqld,
    Program,
    cache_folder,
    programs,
    wait_for,
)

__all__ = [
    "Candidate",
    "LocalServer",
    "Survey",
    "ThrowawayServer",
    "candidates",
    "start_any",
    "survey",
]

VARIABLE = "EVTRIG_TEST_DSN"

IMAGES = ("mysql:8.0", "mysql:8.4", "mysql:9", "mariadb:10.11", "mariadb:11")
DOCKER_SOCKET = "/var/run/docker.sock"
#: Seconds in which a Docker engine must answer to count as there.
DOCKER_SECONDS = 2

HINT = (
    "On Debian or Ubuntu run"
    " apt-get install mariadb-server-core mariadb-client-core (it starts no"
    " service). Elsewhere start Docker and run pip install 'evtrig[docker]'. Or"
    f" name a server that may be written to: {VARIABLE}=mysql://root@127.0.0.1:3306"
)

T = TypeVar("T", bound="ThrowawayServer")


class ThrowawayServer:
    """A server to write to as one likes; ``with`` stops it at the end.

    ``stop`` is called once.
    """

    def __init__(
        self, dsn: str, server: Server, description: str, stop: Callable[[], None]
    ) -> None:
        #: A URL without schema, with the password if there is one.
        self.dsn = dsn
        #: Product and version.
        self.server = server
        #: For a person, without the password.
        self.description = description
        self._stop: Callable[[], None] | None = stop

    @property
    def name(self) -> str:
        """The product: ``mysql`` or ``mariadb``."""
        return self.server.family

    def dsn_of(self, schema: str) -> str:
        """The DSN with a default schema."""
        path = f"/{quote(schema, safe='')}"
        return urlsplit(self.dsn)._replace(path=path).geturl()

    def stop(self) -> None:
        """Stop the server and remove its data; a second time does nothing."""
        stop, self._stop = self._stop, None
        if stop:
            stop()

    def __enter__(self: T) -> T:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class LocalServer(ThrowawayServer):
    """A server program started here, which a test may crash."""

    def __init__(self, mysqld: Mysqld) -> None:
        program = mysqld.program
        super().__init__(
            f"mysql://root@127.0.0.1:{mysqld.port}",
            program.server,
            f"{program.server}, a throwaway {Path(program.path).name}"
            f" on port {mysqld.port}",
            mysqld.remove,
        )
        self._mysqld = mysqld

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._mysqld.pid

    @property
    def folder(self) -> Path:
        """What stop() removes: data, socket and ``log``, the server's log."""
        return self._mysqld.folder

    def kill(self) -> None:
        """End the server as a crash does (SIGKILL); its data stays."""
        self._mysqld.kill()

    def restart(self) -> None:
        """Start it again, on the same port and data.

        One that is still up is shut down in order first. Raises ServerNotFound.
        """
        self._mysqld.restart()


@dataclass(frozen=True)
class Candidate:
    """A server that could be started."""

    #: ``mysql``, ``mariadb:11`` or ``host:port``; tests have it in their id.
    name: str
    #: The product, None if that shows only on connecting.
    family: str | None
    #: For a person.
    description: str
    _start: Callable[[tuple[str, ...]], ThrowawayServer]

    def start(self, *options: str) -> ThrowawayServer:
        """Start it and wait until it answers.

        ``options`` are further options of the server program, such as
        ``--performance-schema=OFF``. Raises ServerNotFound.
        """
        return self._start(options)


@dataclass(frozen=True)
class Survey:
    """What can be had here, and what cannot."""

    candidates: tuple[Candidate, ...]
    #: What was looked for in vain, and why, a sentence each.
    missing: tuple[str, ...]


def survey() -> Survey:
    """Look around without starting anything.

    The candidates are all of one kind: Docker makes local programs unnecessary.
    Raises UsageError for an ``EVTRIG_TEST_DSN`` that cannot be read.
    """
    missing: tuple[str, ...] = ()
    for kind in _kinds():
        missing += kind.missing
        if kind.candidates:
            return Survey(kind.candidates, missing)
    return Survey((), missing)


def candidates() -> tuple[Candidate, ...]:
    """The servers that could be started here."""
    return survey().candidates


def start_any() -> ThrowawayServer:
    """Start the first server that works.

    Raises ServerNotFound, which says what was tried; UsageError for an
    ``EVTRIG_TEST_DSN`` that cannot be read.
    """
    tried: list[str] = []
    for kind in _kinds():
        tried += kind.missing
        for candidate in kind.candidates:
            try:
                return candidate.start()
            except ServerNotFound as error:
                tried.append(error.message)
    reasons = "\n".join(f"  - {reason}" for reason in tried)
    raise ServerNotFound(f"no database server to run on:\n{reasons}", hint=HINT)


def _kinds() -> Iterator[Survey]:
    named = os.environ.get(VARIABLE, "")
    if named.strip():
        # Nothing else then: who names a server wants that one.
        texts = (text.strip() for text in named.split(","))
        yield Survey(tuple(_named(text) for text in texts if text), ())
        return
    yield _docker()
    yield _local()


def _named(text: str) -> Candidate:
    dsn = Dsn.parse(text)

    def start(options: tuple[str, ...]) -> ThrowawayServer:
        if options:
            raise ServerNotFound(
                f"{dsn} ({VARIABLE}) cannot be started with {' '.join(options)}"
            )
        try:
            with Connection(dsn, connect_timeout=5) as connection:
                server = connection.server
        except EvtrigError as error:
            raise ServerNotFound(
                f"{VARIABLE}: {error.message}", hint=error.hint
            ) from None
        url = urlsplit(text)._replace(path="").geturl()
        description = f"{server} at {dsn}, named by {VARIABLE}"
        return ThrowawayServer(url, server, description, lambda: None)

    name = dsn.unix_socket or f"{dsn.host}:{dsn.port}"
    return Candidate(name, None, f"{dsn}, named by {VARIABLE}", start)


def _docker() -> Survey:
    problem = _docker_problem()
    if problem:
        return Survey((), (f"Docker: {problem}",))
    found = tuple(
        Candidate(
            image, image.partition(":")[0], f"{image} in Docker", partial(_run, image)
        )
        for image in IMAGES
    )
    return Survey(found, ())


def _docker_problem() -> str | None:
    for package in ("testcontainers", "docker"):
        if importlib.util.find_spec(package) is None:
            return f"the Python package {package} is not installed"
    host = os.environ.get("DOCKER_HOST")
    # Without the import, which takes 0.1 s, where the answer is plain.
    if not host and not Path(DOCKER_SOCKET).exists():
        return f"no engine, {DOCKER_SOCKET} does not exist"
    # Imported by name: they have no types, and most never need them.
    docker: Any = importlib.import_module("docker")
    try:
        client = docker.from_env(timeout=DOCKER_SECONDS)
        try:
            client.ping()
        finally:
            client.close()
    # What requests raises is an OSError.
    except (docker.errors.DockerException, OSError) as error:
        return f"the engine at {host or DOCKER_SOCKET} does not answer: {error}"
    return None


def _run(image: str, options: tuple[str, ...]) -> ThrowawayServer:
    try:
        return _start_container(image, options)
    except EvtrigError:
        raise
    # testcontainers passes on whatever docker, requests and urllib3 raise.
    except Exception as error:
        raise ServerNotFound(f"{image} in Docker: {error}") from error


def _start_container(image: str, options: tuple[str, ...]) -> ThrowawayServer:
    module: Any = importlib.import_module("testcontainers.core.container")
    container = module.DockerContainer(image).with_exposed_ports(3306)
    if image.startswith("mariadb"):
        container.with_env("MARIADB_ALLOW_EMPTY_ROOT_PASSWORD", "yes")
        options = (*MARIADB_OPTIONS, *options)
    else:
        container.with_env("MYSQL_ALLOW_EMPTY_PASSWORD", "yes")
    if options:
        container.with_command(list(options))

    def wait(seconds: float) -> bool:
        time.sleep(seconds)
        wrapped = container.get_wrapped_container()
        wrapped.reload()
        return bool(wrapped.status == "running")

    with contextlib.ExitStack() as undo:
        undo.callback(container.stop)
        container.start()
        port = int(container.get_exposed_port(3306))
        # Where Docker runs elsewhere, the host is not this machine; nothing private is
        # in a throwaway server, and its certificate would verify nowhere.
        dsn = Dsn(container.get_container_host_ip(), port, tls="off")
        server = wait_for(dsn, wait)
        if server is None:
            log = b"".join(container.get_logs()).decode(errors="replace")
            tail = "\n".join(f"    {line}" for line in log.splitlines()[-15:])
            raise ServerNotFound(f"{image} did not start; its log ends in\n{tail}")
        undo.pop_all()
    return ThrowawayServer(
        f"mysql://root@{dsn.host}:{port}?tls=off",
        server,
        f"{server}, a throwaway container of {image} on port {port}",
        container.stop,
    )


def _local() -> Survey:
    found, problems = programs()
    missing = list(problems)
    families = {program.server.family for program in found}
    if "mysql" not in families:
        missing.append(
            "MySQL: no mysqld on this machine, nor in"
            f" {cache_folder() / 'mysql'} (make servers puts one there)"
        )
    if "mariadb" not in families:
        missing.append("MariaDB: no mariadbd on this machine")
    return Survey(tuple(_candidate(program) for program in found), tuple(missing))


def _candidate(program: Program) -> Candidate:
    def start(options: tuple[str, ...]) -> ThrowawayServer:
        return LocalServer(Mysqld(program, options))

    family = program.server.family
    return Candidate(family, family, f"{program.server}, {program.path}", start)
