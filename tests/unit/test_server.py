"""Choosing a server: no server is started here."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from evtrig.database.server import Server
from evtrig.demo import server as module
from evtrig.demo.mysqld import Program, _keep
from evtrig.demo.server import candidates, start_any, survey
from evtrig.errors import ServerNotFound, UsageError

MARIADB = Program(Server("mariadb", (10, 11, 4)), ("false",), ("false",), "/x/mariadbd")


class Engine:
    """What the package docker looks like when an engine answers, or does not."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.closed = False
        self.errors = types.SimpleNamespace(DockerException=RuntimeError)

    def from_env(self, *, timeout: int) -> Engine:
        assert timeout <= 5
        return self

    def ping(self) -> None:
        if self.error:
            raise self.error

    def close(self) -> None:
        self.closed = True


class Container:
    """testcontainers' DockerContainer, of an image whose server ends at once."""

    made: list[Container]
    status = "exited"

    def __init__(self, image: str) -> None:
        self.done: list[str] = []
        self.environment: dict[str, str] = {}
        self.made.append(self)

    def with_exposed_ports(self, port: int) -> Container:
        return self

    def with_env(self, name: str, value: str) -> None:
        self.environment[name] = value

    def with_command(self, command: list[str]) -> None:
        self.command = command

    def start(self) -> None:
        self.done.append("start")

    def fail(self) -> None:
        raise RuntimeError("no such image")

    def stop(self) -> None:
        self.done.append("stop")

    def get_container_host_ip(self) -> str:
        return "127.0.0.1"

    def get_exposed_port(self, port: int) -> str:
        return "1"

    def get_wrapped_container(self) -> Container:
        return self

    def reload(self) -> None:
        pass

    def get_logs(self) -> tuple[bytes, bytes]:
        return b"", b"unknown variable"


@pytest.fixture
def containers(monkeypatch: pytest.MonkeyPatch) -> list[Container]:
    Container.made = []
    module = types.SimpleNamespace(DockerContainer=Container)
    monkeypatch.setitem(sys.modules, "testcontainers.core.container", module)
    return Container.made


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    pretended = Engine()
    monkeypatch.setitem(sys.modules, "docker", pretended)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    return pretended


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EVTRIG_TEST_DSN", raising=False)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(module, "DOCKER_SOCKET", str(tmp_path / "docker.sock"))
    monkeypatch.setattr(module, "programs", lambda: ((), ()))


def test_importing_it_imports_neither_docker_nor_testcontainers() -> None:
    code = (
        "import sys, evtrig.demo.server;"
        "print({'docker', 'testcontainers'} & sys.modules.keys() or '')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.stdout.strip(), run.stderr) == ("", "")


def test_named_servers_are_the_only_candidates(
    monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    monkeypatch.setenv(
        "EVTRIG_TEST_DSN", "mysql://root:secret@db1:3307, mysql://root@db2,"
    )
    assert [candidate.name for candidate in candidates()] == ["db1:3307", "db2:3306"]
    assert "secret" not in repr(survey())


def test_a_named_server_that_cannot_be_read_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EVTRIG_TEST_DSN", "db1:3307")
    with pytest.raises(UsageError):
        survey()


def test_a_named_server_that_is_not_there_is_not_replaced_by_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EVTRIG_TEST_DSN", "mysql://root:secret@127.0.0.1:1")
    monkeypatch.setattr(module, "programs", lambda: ((MARIADB,), ()))
    with pytest.raises(ServerNotFound, match="EVTRIG_TEST_DSN") as raised:
        start_any()
    assert "secret" not in raised.value.message


def test_a_docker_engine_that_answers_gives_every_supported_version(
    engine: Engine,
) -> None:
    names = [candidate.name for candidate in candidates()]
    assert names == ["mysql:8.0", "mysql:8.4", "mysql:9", "mariadb:10.11", "mariadb:11"]
    assert {candidate.family for candidate in candidates()} == {"mysql", "mariadb"}
    assert engine.closed


@pytest.mark.parametrize("error", [RuntimeError("refused"), TimeoutError("timed out")])
def test_a_docker_engine_that_does_not_answer_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, engine: Engine, error: Exception
) -> None:
    engine.error = error
    monkeypatch.setattr(module, "programs", lambda: ((MARIADB,), ()))
    found = survey()
    assert [candidate.name for candidate in found.candidates] == ["mariadb"]
    assert f"does not answer: {error}" in found.missing[0]
    assert engine.closed


def test_a_container_that_ends_is_removed_and_its_log_is_shown(
    engine: Engine, containers: list[Container]
) -> None:
    mariadb = next(c for c in candidates() if c.name == "mariadb:11")
    with pytest.raises(ServerNotFound, match="unknown variable"):
        mariadb.start("--no-such-option")
    (container,) = containers
    assert container.done == ["start", "stop"]
    assert container.environment == {"MARIADB_ALLOW_EMPTY_ROOT_PASSWORD": "yes"}
    assert container.command[0] == "--log-bin=binlog"
    assert container.command[-1] == "--no-such-option"


def test_an_image_that_cannot_be_had_makes_way_for_the_next_server(
    monkeypatch: pytest.MonkeyPatch, engine: Engine, containers: list[Container]
) -> None:
    monkeypatch.setattr(Container, "start", Container.fail)
    with pytest.raises(ServerNotFound) as raised:
        start_any()
    assert "mysql:8.0 in Docker: no such image" in raised.value.message
    assert "MariaDB: no mariadbd" in raised.value.message
    assert [container.done for container in containers] == [["stop"]] * 5


def test_docker_is_not_imported_where_there_is_no_engine(
    monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setitem(sys.modules, "docker", None)
    assert "no engine" in survey().missing[0]


def test_without_any_server_the_error_says_what_was_tried_and_what_to_install() -> None:
    with pytest.raises(ServerNotFound) as raised:
        start_any()
    message, hint = raised.value.message, raised.value.hint
    for tried in ("Docker: ", "MySQL: ", "MariaDB: "):
        assert tried in message
    for remedy in ("apt-get install mariadb-server", "Docker", "EVTRIG_TEST_DSN="):
        assert remedy in hint


def test_a_server_that_ends_at_once_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = Program(MARIADB.server, ("/bin/false",), ("/bin/true",), sys.executable)
    monkeypatch.setattr(module, "programs", lambda: ((program,), ()))
    with pytest.raises(ServerNotFound, match="its log is empty"):
        start_any()


def test_a_schema_is_added_to_a_dsn_with_options() -> None:
    server = module.ThrowawayServer(
        "mysql://root@db:1?ssl_ca=/ca.pem", MARIADB.server, "a server", lambda: None
    )
    assert server.dsn_of("a b") == "mysql://root@db:1/a%20b?ssl_ca=/ca.pem"


def test_a_server_is_stopped_once() -> None:
    stops: list[int] = []
    server = module.ThrowawayServer(
        "mysql://root@db:1", MARIADB.server, "a server", lambda: stops.append(1)
    )
    with server:
        server.stop()
    assert stops == [1]


def test_of_several_that_prepare_a_data_folder_at_once_a_whole_one_is_kept(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    for number in range(400):
        path = data / str(number % 20) / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for round_ in range(5):
        template = tmp_path / f"cache {round_}" / "mysql-9.7.4-0badcafe"
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: keep(data, template), range(4)))  # noqa: B023
        kept = [path for path in template.rglob("*") if path.is_file()]
        assert len(kept) == 400
        assert sorted(path.name for path in template.parent.iterdir()) == [
            "lock",
            template.name,
        ]


def keep(data: Path, template: Path) -> None:
    """As a start does it, which goes on without a cache."""
    with contextlib.suppress(OSError):
        _keep(data, template)
