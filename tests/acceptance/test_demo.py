"""``evtrig demo`` as a user runs it, and that nothing of it stays."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pymysql
import pytest

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.arrivals import Arrivals
from evtrig.demo.demo import play, run
from evtrig.demo.screen import WIDTH, Screen
from evtrig.demo.server import VARIABLE, ThrowawayServer, candidates
from evtrig.demo.shop import Shop
from evtrig.errors import EvtrigError, SinkError
from evtrig.relay.event import Event
from evtrig.relay.sinks.sink import ACKNOWLEDGED, Result

EVTRIG = str(Path(sys.executable).with_name("evtrig"))

COUNTS = re.compile(
    r"changes: (\d+) committed, (\d+) rolled back; events: (\d+) published,"
    r" (\d+) lost, (\d+) phantom, (\d+) out of order"
)

# The command line on a machine without any server, whatever this one has.
BARE = """
from evtrig.demo import mysqld
mysqld.PROGRAM_FOLDERS = ""
from evtrig.cli import main
main(["demo"], prog_name="evtrig")
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder with nobody else's servers in it, and no server named."""
    monkeypatch.delenv(VARIABLE, raising=False)
    if not candidates():
        if os.environ.get("CI"):
            pytest.fail("no server for the demo; under CI there must be one")
        pytest.skip("no server here that the demo could start")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_it_tells_its_story_and_leaves_nothing(home: Path) -> None:
    done = demo()
    assert (done.returncode, done.stderr) == (0, "")
    text = done.stdout
    lines = text.splitlines()
    assert re.search(r"MySQL|MariaDB", lines[2])
    assert "4 tables captured, 12 triggers" in text
    assert max(map(len, lines)) <= WIDTH
    assert "\x1b" not in text
    committed, rolled_back, published, *wrong = figures(text)
    assert committed == published > 50
    assert rolled_back > 5
    assert wrong == [0, 0, 0]
    assert "Replayed, the events give all 4 tables back" in text
    assert len(re.findall(r"^ +evtrig \w+", text, re.MULTILINE)) == 2
    assert "never leaves the database" not in text
    assert_nothing_left(home)


def test_its_story_names_everything_that_goes_wrong(home: Path) -> None:
    done = demo("--changes", "1")
    outcomes = re.findall(r"^   [AB]  (COMMIT|ROLLBACK)", done.stdout, re.MULTILINE)
    assert outcomes.count("ROLLBACK") == 3
    for what in (
        "changes his mind",
        "CHECK (stock >= 0) violated",
        "UNIQUE, error 1062",
        "the optimistic lock is lost",
    ):
        assert what in done.stdout
    # A transaction that was rolled back had written to the outbox, and no event
    # stands between it and the next action.
    rolled_back = done.stdout.split("  ROLLBACK ")[1:]
    for part in rolled_back:
        _, note, following, *_ = part.splitlines()
        assert re.fullmatch(r" +× no event: the outbox had [1-9] .* and 0 after", note)
        assert "→" not in following


def test_quiet_prints_the_counts_only(home: Path) -> None:
    done = demo("--quiet", "--changes", "20")
    assert (done.returncode, done.stderr) == (0, "")
    assert COUNTS.fullmatch(done.stdout.strip())


def test_it_cleans_up_on_a_server_that_stays(
    server: ThrowawayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = databases_and_accounts(server)
    monkeypatch.setenv(VARIABLE, server.dsn)
    done = demo()
    assert (done.returncode, done.stderr) == (0, "")
    assert server.description.partition(",")[0] in done.stdout
    assert figures(done.stdout)[3:] == (0, 0, 0)
    assert databases_and_accounts(server) == before


def test_ctrl_c_cleans_up_on_a_server_that_stays(
    server: ThrowawayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = databases_and_accounts(server)
    monkeypatch.setenv(VARIABLE, server.dsn)
    interrupt("3. ", signal.SIGINT)
    assert databases_and_accounts(server) == before


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("Looking for", signal.SIGINT),
        ("Nothing of the demo", signal.SIGINT),
        ("A  COMMIT", signal.SIGINT),
        ("A  COMMIT", signal.SIGTERM),
        ("B  ROLLBACK", signal.SIGHUP),
        ("3. ", signal.SIGINT),
    ],
)
def test_being_interrupted_leaves_nothing(
    home: Path, moment: str, number: signal.Signals
) -> None:
    interrupt(moment, number)
    assert_nothing_left(home)


def test_ctrl_c_at_the_end_does_not_cut_the_cleaning_up_short(home: Path) -> None:
    with started() as process:
        assert process.stdout
        for line in process.stdout:
            if "evtrig generate  " in line:
                process.send_signal(signal.SIGINT)
        assert process.stderr
        assert "Traceback" not in process.stderr.read()
    assert_nothing_left(home)


def test_a_reader_that_goes_away_leaves_nothing(home: Path) -> None:
    with started() as process:
        assert process.stdout
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 1
        assert process.stderr
        assert "Traceback" not in process.stderr.read()
    assert_nothing_left(home)


def test_without_a_server_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    monkeypatch.setenv("PATH", str(nothing))
    monkeypatch.setenv("XDG_CACHE_HOME", str(nothing))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    done = subprocess.run(
        [sys.executable, "-c", BARE], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.startswith("evtrig: no database server to run on:")
    assert "apt-get install mariadb-server" in done.stderr
    assert "Docker" in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == ["nothing"]


# That the demo can fail: each of these sinks does what none may.


class Loses(Arrivals):
    """Acknowledges every tenth event without taking it."""

    def publish(
        self, events: Sequence[Event], may_send: Callable[[], bool]
    ) -> Sequence[Result]:
        super().publish([event for event in events if event.id % 10], may_send)
        return [ACKNOWLEDGED] * len(events)


class Invents(Arrivals):
    """Takes one event as two."""

    def publish(
        self, events: Sequence[Event], may_send: Callable[[], bool]
    ) -> Sequence[Result]:
        results = super().publish(events, may_send)
        copy = {**self.events[-1], "id": f"again-{len(self.events)}"}
        self.events.append(copy)
        self.times.append(self.times[-1])
        return results


class Reorders(Arrivals):
    """Takes the first event of the lamps after the second."""

    held: Event | None = None
    is_done = False

    def publish(
        self, events: Sequence[Event], may_send: Callable[[], bool]
    ) -> Sequence[Result]:
        for event in events:
            is_lamp = "lamp" in event.key and not self.is_done
            if is_lamp and self.held is None:
                self.held = event
                continue
            super().publish([event], may_send)
            if is_lamp and self.held:
                super().publish([self.held], may_send)
                self.is_done = True
        return [ACKNOWLEDGED] * len(events)


class Breaks(Arrivals):
    def publish(
        self, events: Sequence[Event], may_send: Callable[[], bool]
    ) -> Sequence[Result]:
        raise SinkError("out of order", hint="Mend it.")


@pytest.mark.parametrize(
    ("sink", "fault"), [(Loses, "lost"), (Invents, "phantom"), (Reorders, "order")]
)
def test_it_notices_a_sink_that_breaks_the_promise(
    on: Callable[..., object], sink: type[Arrivals], fault: str
) -> None:
    report, _ = on(sink)
    assert getattr(report, fault)
    assert not report.is_clean


def test_it_fails_when_something_was_lost(
    server: ThrowawayServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(VARIABLE, server.dsn)
    monkeypatch.setattr("evtrig.demo.story.PATIENCE", 0.5)
    monkeypatch.setattr("evtrig.demo.demo.Arrivals", Loses)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(EvtrigError, match="not what was committed"):
        run(transactions=20, quiet=True)
    assert figures(capsys.readouterr().out)[3] > 0
    assert signal.getsignal(signal.SIGINT) is handler


def test_it_says_why_the_relay_has_stopped(on: Callable[..., object]) -> None:
    with pytest.raises(SinkError, match="out of order"):
        on(Breaks)


@pytest.fixture
def on(
    server: ThrowawayServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., object]]:
    """``on(sink)``: the demo in this process, with another sink."""
    shop = Shop(f"_{secrets.token_hex(4)}")
    monkeypatch.setattr("evtrig.demo.story.PATIENCE", 0.5)

    def on(sink: type[Arrivals]) -> object:
        monkeypatch.setattr("evtrig.demo.demo.Arrivals", sink)
        return play(server, shop, Screen(True), tmp_path / "journal", 60)

    yield on
    with Connection(Dsn.parse(server.dsn)) as connection:
        shop.drop(connection)


def demo(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [EVTRIG, "demo", *options], capture_output=True, text=True, timeout=120
    )


def started(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [EVTRIG, "demo", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupt(moment: str, number: signal.Signals) -> None:
    """Interrupt the demo, twice, when it has shown the line with ``moment``."""
    with started("--changes", "100000") as process:
        assert process.stdout
        assert process.stderr
        for line in process.stdout:
            if moment in line:
                process.send_signal(number)
                process.send_signal(number)
                break
        else:
            pytest.fail(f"it never came to {moment!r}: {process.stderr.read()}")
        process.stdout.read()
        assert process.wait(60) == 1
        assert process.stderr.read() == (
            "evtrig: stopped, and nothing of the demo is left\n\nAborted!\n"
        )


def figures(text: str) -> tuple[int, ...]:
    found = COUNTS.search(text)
    assert found, text
    return tuple(int(figure) for figure in found.groups())


def assert_nothing_left(folder: Path) -> None:
    assert os.listdir(folder) == []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        assert str(folder).encode() not in line


def databases_and_accounts(server: ThrowawayServer) -> set[str]:
    dsn = Dsn.parse(server.dsn)
    with (
        pymysql.connect(
            host=dsn.host, port=dsn.port, user=dsn.user, password=dsn.password
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SHOW DATABASES")
        found = {row[0] for row in cursor.fetchall()}
        cursor.execute("SELECT CONCAT(user, '@', host) FROM mysql.user")
        return found | {row[0] for row in cursor.fetchall()}
