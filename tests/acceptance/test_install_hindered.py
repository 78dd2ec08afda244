"""`evtrig install` where it cannot succeed, or where names are odd: one message, and
nothing half done that the next install would not complete."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from acceptance import user
from acceptance.user import EVTRIG, Ended, wait_for

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.mysqld import Mysqld, Program
from evtrig.demo.server import LocalServer
from evtrig.triggers.sql import ident, literal

SPEC = "version: 1\nschema: shop\ndefiner: current_user\ntables:\n  orders:\n"


def run(dsn: str, folder: Path, *arguments: str, code: int = 0) -> Ended:
    environment = {"PATH": os.environ["PATH"], "EVTRIG_DSN": dsn}
    return user.run(folder, environment, *arguments, code=code)


@pytest.fixture
def started(program: Program) -> Iterator[Callable[..., LocalServer]]:
    """Starts a server with options; it has a table shop.orders."""
    servers: list[LocalServer] = []

    def start(*options: str, has_shop: bool = True) -> LocalServer:
        servers.append(LocalServer(Mysqld(program, options)))
        if has_shop:
            execute(
                servers[-1],
                "CREATE DATABASE shop",
                "CREATE TABLE shop.orders (id INT PRIMARY KEY, note TEXT)",
            )
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def execute(server: LocalServer, *statements: str) -> None:
    with Connection(Dsn.parse(server.dsn)) as connection:
        for statement in statements:
            connection.execute(statement)


def count(server: LocalServer, what: str) -> int:
    with Connection(Dsn.parse(server.dsn)) as connection:
        return int(connection.value(f"SELECT COUNT(*) FROM {what}"))


# A disk without room


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file system of its own size, on which servers have their data; not tmp_path."""
    folder = Path(tempfile.mkdtemp(prefix="evtrig-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        folder.rmdir()
        pytest.skip("a file system of limited size takes root and mount")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    shutil.rmtree(folder, ignore_errors=True)


class Filler(threading.Thread):
    """Leaves no room on a disk, also what a server lets go of meanwhile."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._ending = threading.Event()

    def fill(self) -> None:
        self.start()
        wait_for(lambda: shutil.disk_usage(self._path.parent).free == 0)

    def run(self) -> None:
        with self._path.open("wb", buffering=0) as file:
            while not self._ending.is_set():
                for size in (65_536, 512):
                    with contextlib.suppress(OSError):
                        while file.write(bytes(size)):
                            pass

    def stop(self) -> None:
        self._ending.set()
        self.join()
        self._path.unlink()


@pytest.mark.parametrize("steps", [0, 1])
def test_a_full_disk_is_one_message_and_the_next_install_completes_it(
    steps: int, small_disk: Path, started: Callable[..., LocalServer], tmp_path: Path
) -> None:
    """Full from the beginning, or from the first step on."""
    server = started()
    (tmp_path / "evtrig.yml").write_text(SPEC)
    filler = Filler(small_disk / "filler")
    if steps == 0:
        filler.fill()
    with subprocess.Popen(
        [EVTRIG, "install", "--yes"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "EVTRIG_DSN": server.dsn},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        for _ in range(steps):
            assert process.stdout.readline()
        if steps:
            process.send_signal(signal.SIGSTOP)
            filler.fill()
            process.send_signal(signal.SIGCONT)
        _, said = process.communicate(timeout=60)
    filler.stop()
    assert process.returncode == 1
    assert re.search(r"full|No space left|No more room", said)
    assert "Traceback" not in said
    assert "  → " in said
    if steps:
        assert "Then run evtrig install again" in said
    # Without its triggers the table is as it was.
    left = "information_schema.triggers WHERE trigger_schema = 'shop'"
    assert count(server, left) == 0
    run(server.dsn, tmp_path, "install", "--yes")
    execute(server, "INSERT INTO shop.orders VALUES (1, 'x')")
    assert count(server, "evtrig.events") == 1


# A replica


def test_a_replica_is_refused_and_its_source_is_not(
    program: Program, started: Callable[..., LocalServer], tmp_path: Path
) -> None:
    """Also one that somebody may write to; what is installed on the source arrives."""
    replica = started("--server-id=12", has_shop=False)
    source = started("--server-id=11", has_shop=False)
    port = Dsn.parse(source.dsn).port
    if program.server.is_mariadb:
        follow = "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_USER = 'root',"
        execute(replica, f"{follow} MASTER_PORT = {port}", "START SLAVE")
    else:
        follow = "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1',"
        follow += f" SOURCE_USER = 'root', SOURCE_PORT = {port}"
        follow += ", GET_SOURCE_PUBLIC_KEY = 1"
        execute(replica, follow, "START REPLICA")
    execute(
        source,
        "CREATE DATABASE shop",
        "CREATE TABLE shop.orders (id INT PRIMARY KEY, note TEXT)",
    )
    (tmp_path / "evtrig.yml").write_text(SPEC)
    tables = "information_schema.tables WHERE table_schema IN ('shop', 'evtrig')"
    wait_for(lambda: count(replica, tables) == 1)
    for command in (("install", "--yes"), ("plan",)):
        ended = run(replica.dsn, tmp_path, *command, code=1)
        assert "is a replica" in ended.stderr
        assert "Install on the source" in ended.stderr
    assert count(replica, tables) == 1
    run(source.dsn, tmp_path, "install", "--yes")
    execute(source, "INSERT INTO shop.orders VALUES (1, 'x')")
    wait_for(lambda: count(replica, tables) == 4)
    wait_for(lambda: count(replica, "evtrig.events") == 1)
    execute(replica, "SET GLOBAL read_only = 1")
    assert "is read-only" in run(replica.dsn, tmp_path, "plan", code=1).stderr


# Odd names

NAMES = (
    "back`tick``s",
    'it\'s "quoted"',
    " spaces  inside",
    "100%s %(x)s %",
    "back\\slash\\",
    "semi;colon -- /* */ #",
    "ends with $$",
    "名前",
    "n" * 64,
    "é" * 64,
    "DELIMITER",
    "{{ 7 * 7 }}",
)


def test_odd_names_are_installed_replaced_checked_and_taken_out(
    started: Callable[..., LocalServer], tmp_path: Path
) -> None:
    """Schema, outbox, tables and columns, all of them."""
    schema, outbox = "sh`op's 100% \\ 名", "ev`trig's 100% \\"
    server = started(has_shop=False)
    execute(server, f"CREATE DATABASE {ident(schema)} CHARACTER SET utf8mb4")
    for name in NAMES:
        table = f"{ident(schema)}.{ident(name)}"
        execute(
            server,
            f"CREATE TABLE {table} ({ident(name)} INT PRIMARY KEY, `v` TEXT"
            f" DEFAULT ({literal(name)}))",
        )
    spec = {"version": 1, "schema": schema, "outbox": outbox, "definer": "current_user"}

    def write_spec(**table: object) -> None:
        tables = {"tables": dict.fromkeys(NAMES, table)}
        (tmp_path / "evtrig.yml").write_text(json.dumps({**spec, **tables}))

    def write_rows() -> None:
        for name in NAMES:
            table = f"{ident(schema)}.{ident(name)}"
            execute(
                server,
                f"INSERT INTO {table} ({ident(name)}) VALUES (7)",
                f"UPDATE {table} SET `v` = 'x'",
                f"DELETE FROM {table}",
            )

    write_spec()
    run(server.dsn, tmp_path, "install", "--yes")
    write_rows()
    events = f"{ident(outbox)}.`events`"
    assert count(server, events) == 3 * len(NAMES)
    assert "nothing to change" in run(server.dsn, tmp_path, "plan").stdout
    write_spec(exclude=["v"])
    shown = run(server.dsn, tmp_path, "plan").stdout
    assert shown.count("~ trigger after update") == len(NAMES)
    run(server.dsn, tmp_path, "install", "--yes")
    assert "nothing to change" in run(server.dsn, tmp_path, "plan").stdout
    write_rows()
    # An update of `v` alone is no change any more.
    assert count(server, events) == 5 * len(NAMES)
    ended = run(server.dsn, tmp_path, "check", "--json", code=3)
    faults = [f for f in json.loads(ended.stdout) if f["severity"] != "notice"]
    assert [f["code"] for f in faults] == ["relay-not-running"]
    with Connection(Dsn.parse(server.dsn)) as connection:
        sources = {row[0] for row in connection.rows(f"SELECT source FROM {events}")}
    assert sources == {f"{schema}.{name}" for name in NAMES}
    run(server.dsn, tmp_path, "uninstall", "--yes", "--keep-outbox")
    assert (
        count(server, "information_schema.triggers WHERE trigger_schema LIKE 'sh%'")
        == 0
    )


def test_a_name_that_mysql_cannot_keep_in_a_trigger_is_found_beforehand(
    started: Callable[..., LocalServer], tmp_path: Path
) -> None:
    server = started()
    execute(server, "CREATE TABLE shop.odd (id INT PRIMARY KEY, `a``名` INT)")
    spec = SPEC.replace("orders", "odd").replace("definer", "outbox: a`é\ndefiner")
    (tmp_path / "evtrig.yml").write_text(spec)
    if server.name == "mysql":
        ended = run(server.dsn, tmp_path, "install", "--yes", code=1)
        assert "schema a`é: MySQL cannot keep" in ended.stderr
        assert "column a`名 of shop.odd: MySQL cannot keep" in ended.stderr
        there = "information_schema.triggers WHERE trigger_schema = 'shop'"
        assert count(server, there) == 0
    else:
        run(server.dsn, tmp_path, "install", "--yes")
        execute(server, "INSERT INTO shop.odd VALUES (1, 2)")
        assert count(server, "`a``é`.events") == 1


@pytest.mark.parametrize("name", ["🍣", "n" * 65, "ends ", ""])
def test_a_name_that_no_server_has_is_refused_with_its_place(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "evtrig.yml").write_text(
        f'version: 1\nschema: shop\ntables:\n  "{name}": {{}}\n', encoding="utf-8"
    )
    ended = run("mysql://root@127.0.0.1:1/shop", tmp_path, "install", "--yes", code=2)
    assert "evtrig.yml:4:3" in ended.stderr
    assert "No server has such a name" in ended.stderr
