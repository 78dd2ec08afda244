"""A database server of one's own: a private folder, a free port, loopback only.

Measured on two cores, MySQL 9.7 and MariaDB 10.11: preparing a data folder takes
2.1 s and 0.6 s, starting on one 0.7 s and 0.2 s. So a prepared folder is kept in the
cache (120 MB and 115 MB, one a version), and a start copies it in 0.1 s.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..database.connection import Connection
from ..database.dsn import Dsn
from ..database.server import Server
from ..errors import DatabaseError, EvtrigError, ServerNotFound

__all__ = [
    "MARIADB_OPTIONS",
    "Mysqld",
    "Program",
    "cache_folder",
    "programs",
    "wait_for",
]

#: MySQL has its binlog on by default, MariaDB has not; production has.
MARIADB_OPTIONS = ("--log-bin=binlog", "--binlog-format=ROW", "--server-id=1")

#: How long a server may take to answer, in seconds, crash recovery included.
START_SECONDS = 120
#: How long it may take to shut down in order before it is killed, in seconds.
STOP_SECONDS = 60

# Below Linux's range for outgoing connections (32768 and up): a port from that
# range may be lent to somebody else while the server restarts.
PORTS = range(20000, 32000)

# Where packages put servers although an ordinary user's PATH lacks it.
PROGRAM_FOLDERS = "/usr/sbin:/usr/local/sbin:/usr/libexec:/usr/local/mysql/bin"

PREFIX = "evtrig-server-"
LOCK = "owner.lock"

# Runs in the new process: dies with its parent, then becomes the server. Not a
# preexec_fn, which may deadlock when the parent has threads. The parent may have
# ended before the request was made, hence the look at getppid(). The request
# survives exec because the server keeps its user; prctl(2), PR_SET_PDEATHSIG = 1.
# Linux counts the starting *thread* as the parent: it must outlive the server.
LAUNCH = f"""
import os, sys
if sys.platform.startswith("linux"):
    try:
        import ctypes
        ctypes.CDLL(None).prctl(1, {int(signal.SIGKILL)}, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass
if os.getppid() != int(sys.argv[1]):
    sys.exit("the process that started this server is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


def cache_folder() -> Path:
    """Where evtrig keeps what takes long to make and may be removed at any time."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "evtrig"


@dataclass(frozen=True)
class Program:
    """A server program on this machine."""

    server: Server
    #: How to start it, options left out.
    command: tuple[str, ...]
    #: How to prepare a data folder, --datadir left out.
    prepare: tuple[str, ...]
    #: The path to show.
    path: str

    @property
    def options(self) -> tuple[str, ...]:
        """What each product needs beyond the private paths.

        Durability is left as it is: what the demo and the tests show holds for
        a server in production.
        """
        if self.server.is_mariadb:
            return MARIADB_OPTIONS
        # The compiled-in folder does not exist in a private tree, and MySQL
        # refuses to start without it.
        return ("--secure-file-priv=", "--mysqlx=OFF")


def programs() -> tuple[tuple[Program, ...], tuple[str, ...]]:
    """The servers that can be started here, MySQL first, one of a product.

    And why what was found cannot be used.
    """
    found: dict[str, Program] = {}
    problems = []
    for look in (_installed_mysql, _cached_mysql, _installed_mariadb):
        try:
            program = look()
        except EvtrigError as error:
            problems.append(error.message)
        except (OSError, subprocess.SubprocessError) as error:
            problems.append(f"looking for a server on this machine: {error}")
        else:
            if program:
                found.setdefault(program.server.family, program)
    return tuple(found.values()), tuple(problems)


class Mysqld:
    """A running server, on a data folder that nobody else has.

    ``options`` are further options of the server program. It runs in a session of
    its own, so that Ctrl-C in the terminal does not end it before those that use
    it, and is killed when the thread that made it ends, however that ends (Linux).

    Raises ServerNotFound, with the end of the server's log, if it does not start;
    nothing is left behind then, nor after KeyboardInterrupt.
    """

    def __init__(self, program: Program, options: tuple[str, ...] = ()) -> None:
        _remove_abandoned()
        self.program = program
        self.port = _free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        # Its name is known before it is there, so that an interruption at any moment
        # finds it.
        name = f"{PREFIX}{secrets.token_hex(6)}"
        self.folder = Path(tempfile.gettempdir()).resolve() / name
        self._lock: IO[bytes] | None = None
        try:
            self.folder.mkdir(0o700)
            # Locked before it has its name: _remove_abandoned may look just now.
            self._lock = (self.folder / "new.lock").open("wb")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            Path(self._lock.name).rename(self.folder / LOCK)
            self._prepare()
            self._start()
        except BaseException:
            self.remove()
            raise

    @property
    def dsn(self) -> Dsn:
        return Dsn("127.0.0.1", self.port)

    @property
    def pid(self) -> int:
        """The server's process id; of the last one when it is down."""
        assert self._process
        return self._process.pid

    def kill(self) -> None:
        """End the server as a crash does (SIGKILL); its data stays."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """Start the server again, on the same port and data.

        One that is still up is shut down in order first. Raises ServerNotFound.
        """
        if self._process and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self._start()

    def remove(self) -> None:
        """End the server and remove its data; a second time does nothing."""
        # Killed, not shut down: nobody will read the data, and MySQL takes 1.5 s
        # for it.
        self.kill()
        _remove(self.folder)
        if self._lock:
            self._lock.close()

    def _prepare(self) -> None:
        data = self.folder / "data"
        template = cache_folder() / "data" / _template_name(self.program)
        with contextlib.suppress(OSError):
            shutil.copytree(template, data)
            return
        shutil.rmtree(data, ignore_errors=True)
        process = self._run((*self.program.prepare, f"--datadir={data}"))
        try:
            code = process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            # mariadb-install-db is a script; its children are in its session.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if code != 0:
            raise self._failed("could not prepare a data folder")
        # Two servers made from one template must not share the identity that
        # replication knows them by; MySQL makes a new one.
        (data / "auto.cnf").unlink(missing_ok=True)
        # Without a cache the next start takes longer, that is all.
        with contextlib.suppress(OSError):
            _keep(data, template)

    def _start(self) -> None:
        folder = self.folder
        self._process = self._run(
            (
                *self.program.command,
                *self.program.options,
                f"--datadir={folder / 'data'}",
                f"--port={self.port}",
                "--bind-address=127.0.0.1",
                f"--socket={folder / 'socket'}",
                f"--pid-file={folder / 'pid'}",
                f"--tmpdir={folder}",
                *self._options,
            )
        )

        def wait(seconds: float) -> bool:
            assert self._process
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
            return self._process.returncode is None

        if not wait_for(self.dsn, wait, pid_file=str(folder / "pid")):
            self.kill()
            raise self._failed("did not start")

    def _run(self, command: tuple[str, ...]) -> subprocess.Popen[bytes]:
        launch = (sys.executable, "-I", "-S", "-c", LAUNCH, str(os.getpid()))
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603  no shell, and our own words
                (*launch, *command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )

    def _failed(self, what: str) -> ServerNotFound:
        text = (self.folder / "log").read_text(errors="replace")
        lines = text.strip().splitlines()[-15:] or ["(its log is empty)"]
        tail = "\n".join(f"    {line}" for line in lines)
        return ServerNotFound(f"{self.program.path} {what}; its log ends in\n{tail}")


def wait_for(
    dsn: Dsn, wait: Callable[[float], bool], *, pid_file: str | None = None
) -> Server | None:
    """Wait until the server at ``dsn`` answers; None if it does not.

    ``wait`` waits so many seconds and says whether there is still hope. With
    ``pid_file``, an answer counts only from the server that has this file: another
    one may have taken the port.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with Connection(dsn, connect_timeout=5, read_timeout=5) as connection:
                if pid_file in (None, connection.value("SELECT @@pid_file")):
                    return connection.server
        except DatabaseError:
            # Not yet: it is starting.
            pass
        if not wait(0.02):
            return None
    return None


def _installed_mysql() -> Program | None:
    path = shutil.which("mysqld", path=_search_path())
    # Debian's mariadb-server-core has a mysqld too, a link to mariadbd.
    if path is None or "mariadb" in os.path.realpath(path):
        return None
    return _mysql((path,), path)


def _cached_mysql() -> Program | None:
    tree = cache_folder() / "mysql"
    path = tree / "usr/sbin/mysqld"
    # Run by the tree's own loader and not in a chroot: that takes no root, the
    # data may be in the ordinary temporary folder, and /proc and /dev are there.
    for loader in sorted(tree.glob("usr/lib/*-linux-gnu/ld-linux*.so.*")):
        if path.exists():
            libraries = ("--library-path", str(loader.parent))
            command = (str(loader), *libraries, "--argv0", str(path), str(path))
            return _mysql(command, str(path), f"--basedir={tree / 'usr'}")
    return None


def _mysql(command: tuple[str, ...], path: str, *options: str) -> Program:
    server = _version(command)
    command = (*command, "--no-defaults", *options, *_user())
    # A redo log of 32 MB is enough to prepare, makes the copy smaller, and grows to
    # the server's default when it starts.
    # The option came with 8.0.30.
    small = ("--innodb-redo-log-capacity=32M",) if server.version >= (8, 0, 30) else ()
    prepare = (*command, "--initialize-insecure", *small)
    return Program(server, command, prepare, path)


def _installed_mariadb() -> Program | None:
    path = shutil.which("mariadbd", path=_search_path())
    if path is None:
        return None
    install = shutil.which("mariadb-install-db", path=_search_path())
    if install is None:
        raise ServerNotFound(f"{path} is here, but mariadb-install-db is not")
    options = ("--no-defaults", *_user())
    normal = "--auth-root-authentication-method=normal"
    # --force: also where the machine's own name cannot be resolved.
    prepare = (install, *options, normal, "--skip-test-db", "--force")
    return Program(_version((path,)), (path, *options), prepare, path)


def _version(command: tuple[str, ...]) -> Server:
    run = subprocess.run(  # noqa: S603  no shell, and a path that was looked up
        (*command, "--version"), capture_output=True, text=True, timeout=30
    )
    match = re.search(r"Ver (\d\S*)", run.stdout)
    if run.returncode or match is None:
        reason = (run.stderr or run.stdout).strip() or f"exit code {run.returncode}"
        raise ServerNotFound(f"{command[-1]} --version failed: {reason}")
    return Server.parse(match[1])


def _user() -> tuple[str, ...]:
    # Both refuse to run as root unless told to.
    return ("--user=root",) if os.geteuid() == 0 else ()


def _search_path() -> str:
    return f"{os.environ.get('PATH', os.defpath)}:{PROGRAM_FOLDERS}"


def _free_port() -> int:
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ServerNotFound(
        f"no free port between {PORTS.start} and {PORTS.stop} on 127.0.0.1"
    )


def _template_name(program: Program) -> str:
    # A package may be rebuilt without a new version; the program's size tells.
    facts = (program.prepare, os.stat(program.path).st_size)
    digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:8]
    return f"{str(program.server).replace(' ', '-').lower()}-{digest}"


def _keep(data: Path, template: Path) -> None:
    """Put a copy of a prepared data folder in the cache, in one step."""
    template.parent.mkdir(parents=True, exist_ok=True)
    product = template.name.partition("-")[0]
    with (template.parent / "lock").open("wb") as lock:
        # One at a time: each removes what it takes for left over, and would keep
        # the half that another has let stand.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if template.exists():
            return
        for old in template.parent.glob(f"{product}-*"):
            shutil.rmtree(old, ignore_errors=True)
        copy = Path(tempfile.mkdtemp(prefix=f"{product}-new-", dir=template.parent))
        try:
            shutil.copytree(data, copy, dirs_exist_ok=True)
            copy.rename(template)
        finally:
            shutil.rmtree(copy, ignore_errors=True)


def _remove_abandoned() -> None:
    """Remove folders whose owner was killed and could not do it."""
    for lock in _locks():
        try:
            with lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(lock.parent)
        except OSError:
            # In use, or another user's, or just removed by somebody else.
            continue


def _remove(folder: Path) -> None:
    # The data first, the lock with the rest: if this is interrupted, the next one
    # still recognises the folder.
    shutil.rmtree(folder / "data", ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def _locks() -> Iterator[Path]:
    return Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}")
