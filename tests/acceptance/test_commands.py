"""The commands as a user runs them, one after the other, in processes of their own."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from acceptance.user import EVTRIG, Ended, User, wait_for

from evtrig.cli import main

# The whole path


def test_from_a_database_to_events_and_back(user: User) -> None:
    assert "2 tables" in user.run("init", "orders", "people").stdout
    user.spec.unlink()
    user.init()
    assert "AFTER UPDATE ON" in user.run("generate").stdout
    installed = user.run("install", "--yes")
    assert installed.stdout.splitlines()[-1].endswith(
        f"2 tables captured into {user.outbox}.events"
    )
    assert user.run("install", "--yes").stdout.startswith("nothing to change: 2 tables")

    user.execute("INSERT INTO orders VALUES (7, 'new')")
    user.execute("START TRANSACTION")
    user.execute("UPDATE orders SET status = 'lost'")
    user.execute("ROLLBACK")
    user.execute("UPDATE orders SET status = 'paid'")
    user.execute("DELETE FROM orders")
    user.execute("INSERT INTO people VALUES (1, '2026-11-23', 'x')")

    relayed = user.run("relay", "--drain", "--sink", "file:events.ndjson")
    assert relayed.stdout == ""
    assert "4 events published" in relayed.stderr
    events = user.published()
    new, paid = {"id": 7, "status": "new"}, {"id": 7, "status": "paid"}
    assert [
        (e["type"], e["operation"], e["key"], e["before"], e["after"]) for e in events
    ] == [
        ("orders.insert", "insert", {"id": 7}, None, new),
        ("orders.update", "update", {"id": 7}, new, paid),
        ("orders.delete", "delete", {"id": 7}, paid, None),
        (
            "people.insert",
            "insert",
            {"no": 1},
            None,
            {"no": 1, "on": "2026-11-23", "a: b": "x"},
        ),
    ]
    assert {e["source"] for e in events} == {
        f"{user.schema}.orders",
        f"{user.schema}.people",
    }
    assert list(events[0]) == [
        *("id", "sequence", "type", "source", "operation", "time", "key"),
        *("before", "after", "transaction", "context"),
    ]

    removed = user.run("uninstall", "--yes")
    assert removed.stdout.splitlines()[-1] == "6 triggers dropped"
    assert user.execute(f"SHOW DATABASES LIKE '{user.outbox}'") == ()
    assert user.execute("SHOW TRIGGERS") == ()


def test_the_default_definer_is_made_and_said_to_stay(user: User) -> None:
    user.init()
    name = f"d_{user.schema[-8:]}@localhost"
    text = user.spec.read_text().replace("current_user ", f"{name} ", 1)
    user.spec.write_text(text)
    try:
        assert f"create account {name}" in user.run("install", "--yes").stdout
        user.write(1)
        user.run("relay", "--drain", "--sink", "file:events.ndjson")
        assert f"{name} stays" in user.run("uninstall", "--yes").stderr
    finally:
        user.execute(f"DROP USER IF EXISTS {name}")


# init


def test_init_takes_every_table_and_comments_what_cannot_be_captured(
    user: User,
) -> None:
    ended = user.run("init")
    assert "4 tables" in ended.stdout
    assert "2 of them as a comment" in ended.stdout
    text = user.spec.read_text()
    assert "  # bare has no primary key" in text
    assert "  # old uses the engine MyISAM" in text
    assert "totals" not in text
    assert '"no": int' in text
    assert '"a: b": text' in text


def test_init_does_not_overwrite_a_file_unless_forced(user: User) -> None:
    user.spec.write_text("mine\n")
    ended = user.run("init", code=1)
    assert "evtrig.yml" in ended.stderr
    assert "--force" in ended.stderr
    assert user.spec.read_text() == "mine\n"
    user.run("init", "--force")
    assert user.spec.read_text().startswith("# What evtrig captures.")
    assert [path.name for path in user.folder.iterdir()] == ["evtrig.yml"]


def test_init_writes_elsewhere_or_to_standard_output(user: User) -> None:
    user.run("init", "-o", "shop.yml")
    printed = user.run("init", "-o", "-").stdout
    assert printed == (user.folder / "shop.yml").read_text()
    assert not user.spec.exists()


# generate


def test_generate_prints_the_same_bytes_twice_and_needs_no_database(
    user: User,
) -> None:
    user.init()
    first = user.run("generate").stdout
    assert user.run("generate", PYTHONHASHSEED="7").stdout == first
    assert user.run("generate", EVTRIG_DSN="").stdout == first


def client(user: User) -> list[str]:
    """The command that takes a script, for this test's server."""
    program = shutil.which("mysql") or shutil.which("mariadb")
    if program is None:
        pytest.skip("no mysql client here; on Debian: apt-get install mariadb-client")
    host, _, port = user.server.dsn.rpartition("@")[2].rpartition(":")
    return [program, "--no-defaults", f"-h{host}", f"-P{port}", "-uroot"]


def test_what_generate_prints_can_be_applied_with_the_client(user: User) -> None:
    user.init()
    script = user.run("generate").stdout
    ended = subprocess.run(
        client(user),
        input=script,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert user.run("install", "--yes").stdout.startswith("nothing to change")
    user.write(1)
    assert user.waiting() == 1


def run_index(user: User, folder: Path) -> Ended:
    """The command that an index names, in its folder."""
    lines = (folder / "index.txt").read_text().splitlines()
    (command,) = (line for line in lines if line.endswith("| mysql"))
    command = command.removeprefix("#").removesuffix("mysql") + shlex.join(client(user))
    return subprocess.run(
        ["sh", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60
    )


def test_a_folder_can_be_applied_with_the_command_in_its_index(user: User) -> None:
    user.init()
    said = user.run("generate", "-o", "db/triggers").stdout
    folder = user.folder / "db/triggers"
    assert f"wrote db/triggers/{user.schema}/orders.sql\n" in said
    ended = run_index(user, folder)
    assert ended.returncode == 0, ended.stderr
    assert user.run("install", "--yes").stdout.startswith("nothing to change")
    user.write(1)
    assert user.waiting() == 1


def test_after_an_error_in_a_folder_no_trigger_is_made(user: User) -> None:
    """Each would make the writes to its table fail."""
    user.init()
    user.run("generate", "-o", "db")
    shared = user.folder / "db/outbox.sql"
    shared.write_text(shared.read_text().replace("CREATE TABLE", "CREATE TABEL"))
    ended = run_index(user, user.folder / "db")
    assert ended.returncode != 0
    assert "TABEL" in ended.stderr
    assert user.execute("SHOW TRIGGERS") == ()
    user.write(1)


def test_a_folder_that_was_forgotten_is_found_and_mended(user: User) -> None:
    user.init()
    user.run("generate", "-o", "db")
    assert "as evtrig.yml says" in user.run("generate", "-o", "db", "--check").stdout
    assert user.run("generate", "-o", "db").stdout.endswith("nothing changed\n")
    user.run("init", "orders", "--force")
    user.spec.write_text(user.spec.read_text() + "    images: key\n")
    found = user.run("generate", "-o", "db", "--check", code=3).stdout
    schema = user.schema
    assert f"differs: db/{schema}/orders.sql\n" in found
    assert f"left over: db/{schema}/people.sql\n" in found
    (mend,) = (line for line in found.splitlines() if line.startswith("  → evtrig "))
    user.run(*shlex.split(mend.removeprefix("  → evtrig ")))
    user.run("generate", "-o", "db", "--check")
    assert not (user.folder / f"db/{schema}/people.sql").exists()


def test_somebody_elses_file_is_in_the_way_of_a_folder(user: User) -> None:
    user.init()
    (user.folder / "db").mkdir()
    (user.folder / "db/outbox.sql").write_text("CREATE TABLE mine (id INT);\n")
    ended = user.run("generate", "-o", "db", code=1)
    assert "db/outbox.sql: in the way" in ended.stderr
    assert "--force" in ended.stderr
    assert os.listdir(user.folder / "db") == ["outbox.sql"]
    user.run("generate", "-o", "db", "--force")
    user.run("generate", "-o", "db", "--check")


# relay


def test_events_go_to_standard_output_and_nothing_else_does(user: User) -> None:
    user.install()
    user.write(1, 2)
    ended = user.run("relay", "--drain", "--sink", "stdout:")
    keys = [json.loads(line)["key"] for line in ended.stdout.splitlines()]
    assert keys == [{"id": 1}, {"id": 2}]
    assert user.waiting() == 0


def test_draining_an_empty_outbox_is_done_at_once(user: User) -> None:
    user.install()
    assert user.run("relay", "--drain", "--sink", "stdout:").stdout == ""


def test_once_is_one_batch(user: User) -> None:
    user.install()
    user.write(*range(300))
    user.run("relay", "--once", "--sink", "file:events.ndjson")
    first = len(user.published())
    assert 0 < first < 300
    assert user.waiting() == 300 - first
    user.run("relay", "--drain", "--sink", "file:events.ndjson")
    assert [e["key"]["id"] for e in user.published()] == list(range(300))


def test_a_relay_ends_after_max_seconds(user: User) -> None:
    user.install()
    user.write(1)
    begun = time.monotonic()
    user.run("relay", "--max-seconds", "0.5", "--sink", "file:events.ndjson")
    assert time.monotonic() - begun < 5
    assert len(user.published()) == 1
    assert user.holder() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_relay_which_lets_the_lease_go(
    user: User, number: signal.Signals
) -> None:
    user.install()
    relay = user.start("relay", "--sink", "file:events.ndjson")
    wait_for(user.holder)
    user.write(1, 2, 3)
    wait_for(lambda: len(user.published()) == 3)
    relay.send_signal(number)
    assert relay.wait(10) == 0
    assert user.holder() == 0
    assert user.waiting() == 0
    assert "3 events published" in user.log(relay)


def test_a_signal_under_load_loses_and_repeats_nothing(user: User) -> None:
    user.install()
    user.write(*range(500))
    relay = user.start("relay", "--sink", "file:events.ndjson")
    wait_for(user.published)
    relay.send_signal(signal.SIGTERM)
    assert relay.wait(10) == 0
    done = [e["key"]["id"] for e in user.published()]
    assert done == list(range(len(done)))
    assert user.waiting() == 500 - len(done)


def test_a_second_relay_waits_and_takes_over_when_the_first_ends(user: User) -> None:
    user.install()
    first = user.start("relay", "--sink", "file:first")
    wait_for(user.holder)
    epoch = user.holder()
    second = user.start("relay", "--sink", "file:second")
    wait_for(lambda: "waiting" in user.log(second))
    user.write(1)
    wait_for(lambda: user.published("first"))
    assert user.holder() == epoch
    first.terminate()
    assert first.wait(10) == 0
    wait_for(lambda: user.holder() not in (0, epoch))
    user.write(2)
    wait_for(lambda: user.published("second"))
    assert [e["key"]["id"] for e in user.published("first")] == [1]
    assert [e["key"]["id"] for e in user.published("second")] == [2]


def test_a_relay_that_takes_over_makes_the_other_one_wait(user: User) -> None:
    user.install()
    first = user.start("relay", "--sink", "file:first")
    wait_for(user.holder)
    epoch = user.holder()
    second = user.start("relay", "--take-over", "--sink", "file:second")
    wait_for(lambda: user.holder() not in (0, epoch))
    wait_for(lambda: "takes over" in user.log(first))
    assert first.poll() is None
    user.write(1)
    wait_for(lambda: user.published("second"))
    # And back, when the new one ends.
    second.terminate()
    assert second.wait(10) == 0
    user.write(2)
    wait_for(lambda: user.published("first"))
    assert [e["key"]["id"] for e in user.published("second")] == [1]


def test_draining_behind_another_relay_gives_up_in_time(user: User) -> None:
    user.install()
    user.start("relay", "--sink", "file:first")
    wait_for(user.holder)
    ended = user.run(
        *("relay", "--drain", "--max-seconds", "0.5", "--sink", "file:second"), code=1
    )
    assert "--take-over" in ended.stderr
    assert not user.published("second")


def test_a_reader_that_goes_away_ends_the_relay_without_a_loss(user: User) -> None:
    """As in `evtrig relay --sink stdout: | head -1`."""
    user.install()
    user.write(*range(50))
    with subprocess.Popen(
        [EVTRIG, "relay", "--sink", "stdout:"],
        env=user.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as relay:
        assert relay.stdout
        assert relay.stderr
        relay.stdout.readline()
        relay.stdout.close()
        wait_for(lambda: user.waiting() == 0)
        user.write(100)
        assert relay.wait(10) == 1
        said = relay.stderr.read()
    leads, what, todo = said.splitlines()
    assert "publishing" in leads
    assert what == "evtrig: cannot write to standard output: Broken pipe"
    assert "Whoever read it has gone." in todo
    assert user.waiting() == 1


def test_a_full_disk_is_not_taken_for_a_reader_that_has_gone(user: User) -> None:
    user.install()
    user.write(1)
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [EVTRIG, "relay", "--sink", "stdout:", "--drain"],
            env=user.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=20,
        )
    assert ended.returncode == 1
    *_, what, todo = ended.stderr.splitlines()
    assert "No space left on device" in what
    assert "gone" not in todo
    assert user.waiting() == 1


# uninstall


def test_uninstall_asks_first(user: User) -> None:
    user.install()
    ended = user.run("uninstall", code=1)
    assert user.outbox in ended.stderr
    assert len(user.execute("SHOW TRIGGERS")) == 6


def test_uninstall_keeps_what_is_not_published_and_says_what_to_do(
    user: User,
) -> None:
    user.install()
    user.write(1, 2)
    ended = user.run("uninstall", "--yes")
    assert "2 events are not published" in ended.stderr
    assert f"  → Run evtrig relay --outbox {user.outbox} --drain" in ended.stderr
    assert user.execute("SHOW TRIGGERS") == ()
    user.run("relay", "--drain", "--sink", "file:events.ndjson")
    user.run("uninstall", "--yes")
    assert user.execute(f"SHOW DATABASES LIKE '{user.outbox}'") == ()


# help


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_has_a_help(command: str) -> None:
    ended = subprocess.run([EVTRIG, command, "--help"], capture_output=True, text=True)
    assert ended.returncode == 0
    assert ended.stdout.startswith(f"Usage: evtrig {command} [OPTIONS]")
    # A group has no options of its own.
    assert "EVTRIG_" in ended.stdout or "Commands:" in ended.stdout
