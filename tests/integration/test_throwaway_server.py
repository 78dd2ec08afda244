"""The servers the tests and the demo run on, and that nothing of them stays."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pymysql
import pytest

from evtrig.demo.mysqld import Mysqld, Program
from evtrig.demo.server import LocalServer, ThrowawayServer
from evtrig.errors import ServerNotFound

# Starts a server, says so, and waits for its end.
OWNER = """
import sys, time
from evtrig.demo.mysqld import programs, Mysqld
program = next(p for p in programs()[0] if p.server.family == sys.argv[1])
try:
    print("starting", flush=True)
    server = Mysqld(program)
    print(server.pid, server.folder, flush=True)
    try:
        time.sleep(600)
    finally:
        server.remove()
except KeyboardInterrupt:
    sys.exit(3)
"""


def test_the_server_is_what_it_says(server: ThrowawayServer, connect) -> None:
    with connect().cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        (version,) = cursor.fetchone()
    assert (server.name == "mariadb") == ("MariaDB" in version)
    assert str(server.server) in server.description


def test_it_is_set_up_as_in_production(local_server: LocalServer) -> None:
    with connection(local_server) as own, own.cursor() as cursor:
        cursor.execute("SELECT @@log_bin, @@binlog_format")
        assert cursor.fetchone() == (1, "ROW")
        cursor.execute("SELECT @@innodb_flush_log_at_trx_commit, @@innodb_doublewrite")
        assert [str(value) for value in cursor.fetchone()] in (["1", "ON"], ["1", "1"])


def test_every_test_has_an_empty_schema(schema: str, outbox: str, connect) -> None:
    with connect().cursor() as cursor:
        cursor.execute("SELECT DATABASE()")
        assert cursor.fetchone() == (schema,)
        assert cursor.execute("SHOW TABLES") == 0
        assert cursor.execute("SHOW DATABASES LIKE %s", (outbox,)) == 0


def test_it_is_reached_from_this_machine_only(local_server: LocalServer) -> None:
    with connection(local_server) as own, own.cursor() as cursor:
        cursor.execute("SELECT @@bind_address")
        assert cursor.fetchone() == ("127.0.0.1",)


def test_what_was_committed_survives_a_crash(local_server: LocalServer) -> None:
    with connection(local_server) as own, own.cursor() as cursor:
        cursor.execute("CREATE DATABASE shop")
        cursor.execute("CREATE TABLE shop.t (id INT PRIMARY KEY)")
        cursor.execute("INSERT INTO shop.t VALUES (7)")
        before = local_server.pid
        local_server.kill()
    with pytest.raises(pymysql.OperationalError):
        connection(local_server)
    local_server.restart()
    assert local_server.pid != before
    with connection(local_server) as own, own.cursor() as cursor:
        cursor.execute("SELECT id FROM shop.t")
        assert cursor.fetchall() == ((7,),)


def test_stopping_leaves_nothing(local_server: LocalServer) -> None:
    pid, folder = local_server.pid, local_server.folder
    assert alive(pid)
    local_server.stop()
    assert not alive(pid)
    assert not folder.exists()
    local_server.stop()


def test_a_server_that_does_not_start_says_why_and_leaves_nothing(
    program: Program, private_tmp: Path
) -> None:
    with pytest.raises(ServerNotFound, match="no-such-option"):
        Mysqld(program, ("--no-such-option=1",))
    assert not list(private_tmp.glob("evtrig-*"))


def test_a_killed_owner_takes_its_server_along(
    program: Program, private_tmp: Path
) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux lets a process die with its parent")
    with owner(program, private_tmp) as process:
        process.stdout.readline()
        pid, folder = process.stdout.readline().split()
        process.kill()
        wait_until(lambda: not alive(int(pid)))
    # Its folder is removed by the next one to start a server.
    assert Path(folder).exists()
    Mysqld(program).remove()
    assert not list(private_tmp.glob("evtrig-*"))


@pytest.mark.parametrize("cached", [True, False], ids=["copy", "prepare"])
@pytest.mark.parametrize("delay", [0.0, 0.05, 0.1, 0.2, 0.4])
def test_ctrl_c_during_the_start_leaves_nothing(
    program: Program,
    private_tmp: Path,
    cached: bool,
    delay: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not cached:
        tree = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        cache = private_tmp / "cache"
        (cache / "evtrig").mkdir(parents=True)
        (cache / "evtrig/mysql").symlink_to(tree / "evtrig/mysql")
        monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    with owner(program, private_tmp) as process:
        assert process.stdout.readline() == "starting\n"
        # At different steps of the start: this one is not waiting for anything.
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 3
    assert not list(private_tmp.glob("evtrig-*"))
    assert not using(private_tmp)


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(
    local_server: LocalServer,
) -> None:
    assert os.getsid(local_server.pid) == local_server.pid != os.getsid(0)


@pytest.fixture
def private_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder, with nobody else's servers in it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


@contextlib.contextmanager
def owner(program: Program, tmp: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, program.server.family],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp)},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def connection(server: LocalServer) -> pymysql.Connection:
    port = int(server.dsn.rpartition(":")[2])
    return pymysql.connect(host="127.0.0.1", port=port, user="root", autocommit=True)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    # A killed process whose new parent has not looked yet is dead all the same.
    return state != "Z"


def using(folder: Path) -> list[str]:
    """The command lines of processes that name ``folder``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
