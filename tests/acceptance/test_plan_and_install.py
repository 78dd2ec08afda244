"""`evtrig plan` shows what `evtrig install` does, and install does that or nothing."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest
from acceptance.user import EVTRIG, User, wait_for
from golden.test_execution import statements

from evtrig.database.dsn import Dsn
from evtrig.triggers.trigger import TriggerName


@pytest.fixture
def shop(user: User) -> User:
    user.init()
    return user


def exclude_status(user: User) -> None:
    text = user.spec.read_text()
    user.spec.write_text(
        text.replace("  orders:\n", "  orders:\n    exclude: [status]\n")
    )


def triggers(user: User) -> list[str]:
    rows = user.execute(
        "SELECT CONCAT(event_object_table, ' ', RIGHT(trigger_name, 3)) FROM"
        " information_schema.triggers"
        f" WHERE trigger_schema = '{user.schema}' ORDER BY 1"
    )
    return [name for (name,) in rows]


def recorded(user: User) -> list[str]:
    rows = user.execute(f"SELECT type FROM {user.outbox}.events ORDER BY id")
    return [name for (name,) in rows]


def plan_id(user: User, *arguments: str) -> str:
    return str(json.loads(user.run("plan", "--json", *arguments).stdout)["id"])


# What plan prints


def test_a_plan_lists_what_is_missing_and_changes_nothing(shop: User) -> None:
    before = shop.execute("SHOW DATABASES")
    lines = shop.run("plan").stdout.splitlines()
    assert f"  + schema {shop.outbox}" in lines
    assert f"{shop.schema}.orders" in lines
    assert lines.count("  + trigger after update") == 2
    assert re.fullmatch(r"plan [0-9a-f]{12}: \d+ steps \(\d+ to add\)", lines[-1])
    assert shop.execute("SHOW DATABASES") == before
    assert triggers(shop) == []


def test_after_an_install_there_is_nothing_to_change(shop: User) -> None:
    shop.run("install", "--yes")
    assert shop.run("plan", "--exit-code").stdout == (
        "nothing to change (11 as they should be)\n"
    )


def test_a_difference_is_shown_as_a_diff_and_is_exit_code_3_if_asked(
    shop: User,
) -> None:
    shop.run("install", "--yes")
    exclude_status(shop)
    assert shop.run("plan").stdout == shop.run("plan", "--exit-code", code=3).stdout
    text = shop.run("plan").stdout
    assert "  ~ trigger after insert: the spec has changed, or evtrig\n" in text
    removed = [line for line in text.splitlines() if line.strip().startswith("-")]
    # Of insert and delete the row, of update both of them, and MariaDB looks again.
    assert len(removed) == (4 if shop.server.name == "mysql" else 5)
    assert all("'status'," in line for line in removed)
    assert "people" not in text


def test_a_trigger_that_was_changed_by_hand_is_said_to_be(shop: User) -> None:
    shop.run("install", "--yes")
    edit(shop, "insert", "'orders.insert'", "'orders.added'")
    text = shop.run("plan").stdout
    assert "  ~ trigger after insert: its body was changed by hand\n" in text
    assert re.search(r"^ +-.*orders\.added", text, re.MULTILINE)
    shop.run("install", "--yes")
    shop.write(1)
    assert recorded(shop) == ["orders.insert"]


def edit(user: User, operation: str, old: str, new: str) -> None:
    """Change a trigger as somebody would who does not know evtrig."""
    name = TriggerName.of(user.schema, "orders", operation)
    ((_, _, create, *_),) = user.execute(f"SHOW CREATE TRIGGER {name}")
    assert old in create
    user.execute(f"DROP TRIGGER {name}")
    user.execute("SET sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'")
    user.execute("SET NAMES utf8mb4 COLLATE utf8mb4_bin")
    user.execute(create.replace(old, new))


def test_the_json_of_a_plan_has_states_and_statements(shop: User) -> None:
    data = json.loads(shop.run("plan", "--json").stdout)
    assert {item["state"] for item in data["items"]} == {"missing"}
    assert {step["kind"] for step in data["steps"]} == {"outbox", "trigger"}
    created = [s["table"] for s in data["steps"] if s["kind"] == "trigger"]
    assert created == [
        f"{shop.schema}.{t}" for t in ("orders", "people") for _ in "iud"
    ]
    shop.run("install", "--yes")
    data = json.loads(shop.run("plan", "--json").stdout)
    assert {item["state"] for item in data["items"]} == {"installed"}
    assert (data["steps"], data["id"]) == ([], "")


def test_the_sql_of_a_plan_is_what_install_would_run(shop: User) -> None:
    shop.run("install", "--yes")
    exclude_status(shop)
    script = shop.run("plan", "--sql").stdout
    assert "for that database" in " ".join(script.replace("\n--", "").split())
    for statement in statements(script):
        shop.execute(statement)
    assert shop.run("plan", "--exit-code").stdout.startswith("nothing to change")
    assert shop.run("plan", "--sql").stdout == ""
    shop.write(1)
    assert recorded(shop) == ["orders.insert"]


def test_sql_and_json_exclude_each_other(shop: User) -> None:
    assert "exclude each other" in shop.run("plan", "--sql", "--json", code=2).stderr


# Asking, and carrying out that very plan


def test_without_an_answer_nothing_is_changed(shop: User) -> None:
    ended = shop.run("install", code=1)
    assert "+ trigger after insert" in ended.stdout
    assert "nothing was changed" in ended.stderr
    assert "--yes" in ended.stderr
    assert triggers(shop) == []


def test_what_was_shown_is_done_if_the_answer_is_yes(shop: User) -> None:
    answered = answer(shop, "y")
    assert answered.returncode == 0
    assert len(triggers(shop)) == 6
    # With nothing to do there is nothing to ask.
    assert shop.run("install").stdout.startswith("nothing to change")


def answer(user: User, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [EVTRIG, "install"],
        cwd=user.folder,
        env=user.environment,
        input=f"{text}\n",
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_database_that_changes_while_we_wait_for_the_answer_is_left_alone(
    shop: User,
) -> None:
    with subprocess.Popen(
        [EVTRIG, "install"],
        cwd=shop.folder,
        env=shop.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        while "steps (" not in process.stdout.readline():
            assert process.poll() is None
        shop.execute(f"CREATE DATABASE {shop.outbox}")
        _, said = process.communicate("y\n", timeout=30)
    assert process.returncode == 1
    assert "has changed since plan" in said
    assert "nothing was done" in said
    assert "Traceback" not in said
    assert triggers(shop) == []


def test_install_takes_the_id_of_a_plan_and_carries_out_that_one_only(
    shop: User,
) -> None:
    seen = plan_id(shop)
    shop.execute(f"CREATE DATABASE {shop.outbox}")
    ended = shop.run("install", "--yes", "--plan", seen, code=1)
    assert seen in ended.stderr
    assert "evtrig plan" in ended.stderr
    assert triggers(shop) == []
    assert plan_id(shop) != seen
    shop.run("install", "--yes", "--plan", plan_id(shop))
    assert len(triggers(shop)) == 6
    assert (
        "nothing to change now"
        in shop.run("install", "--yes", "--plan", seen, code=1).stderr
    )


# Some tables only, and tables that are not there any more


def test_only_the_tables_that_are_named_are_changed(shop: User) -> None:
    shop.run("install", "--yes", "--only", "orders")
    assert {name.split()[0] for name in triggers(shop)} == {"orders"}
    assert "people" in shop.run("plan").stdout
    # The rest of the spec is not taken for what the spec has not.
    assert shop.run("plan", "--only", "orders", "--exit-code").stderr == ""
    shop.run("install", "--yes", "--only", f"{shop.schema}.people")
    assert shop.run("plan", "--exit-code").stderr == ""


def test_a_table_that_cannot_be_captured_does_not_keep_another_one_waiting(
    shop: User,
) -> None:
    shop.spec.write_text(f"{shop.spec.read_text()}\n  bare:\n")
    assert "bare has no primary key" in shop.run("install", "--yes", code=1).stderr
    shop.run("install", "--yes", "--only", "orders", "--only", "people")
    assert len(triggers(shop)) == 6


def test_a_misspelt_table_is_answered_with_the_nearest_one(shop: User) -> None:
    ended = shop.run("install", "--yes", "--only", "order", code=2)
    assert "has no table order" in ended.stderr
    assert "Did you mean orders?" in ended.stderr


def test_triggers_of_a_table_that_left_the_spec_stay_until_they_are_pruned(
    shop: User,
) -> None:
    shop.run("install", "--yes")
    text = shop.spec.read_text()
    shop.spec.write_text(text[: text.index("  people:")])
    kept = shop.run("install", "--yes")
    assert "people has triggers of evtrig but is not in the spec" in kept.stderr
    assert "its table is not in the spec; it stays" in shop.run("plan").stdout
    assert len(triggers(shop)) == 6
    shown = shop.run("plan", "--prune").stdout
    assert shown.count("its table is not in the spec\n") == 3
    # Somebody who names one table does not mean the others.
    ended = shop.run("install", "--yes", "--prune", "--only", "orders", code=2)
    assert "exclude each other" in ended.stderr
    shop.run("install", "--yes", "--prune")
    assert {name.split()[0] for name in triggers(shop)} == {"orders"}


def test_what_belongs_to_no_table_stays_if_only_some_are_named(shop: User) -> None:
    text = shop.spec.read_text()
    shop.spec.write_text(text.replace("# emit: false ", "emit: true  "))
    shop.run("install", "--yes")
    shop.spec.write_text(text)
    shop.run("install", "--yes", "--only", "orders")
    shop.execute(f"CALL {shop.outbox}.emit('Happened', '{{}}', '1')")
    shop.run("install", "--yes")
    assert "procedure" not in shop.run("plan").stdout


# Somebody in the way


def connected(shop: User) -> pymysql.connections.Connection:
    dsn = Dsn.parse(shop.server.dsn_of(shop.schema))
    return pymysql.connect(
        host=dsn.host,
        port=dsn.port,
        user=dsn.user,
        password=dsn.password,
        database=dsn.schema,
        ssl_disabled=True,
    )


@pytest.fixture
def holder(shop: User) -> Iterator[pymysql.connections.Connection]:
    """An open transaction that has read `orders`, with a value nobody may see."""
    with connected(shop) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM orders WHERE status = 'hunter2xyzzy'")
        yield connection


def test_the_transaction_in_the_way_is_named_without_its_values(
    shop: User, holder: pymysql.connections.Connection
) -> None:
    ended = shop.run("install", "--yes", "--lock-timeout", "1", code=1)
    number = holder.thread_id()
    assert f"connection {number} of root@localhost" in ended.stderr
    assert re.search(r"for \d+ s", ended.stderr)
    assert "hunter2xyzzy" not in ended.stderr
    assert "Then run evtrig install again" in ended.stderr
    if shop.server.name == "mysql":
        # MariaDB does not tell who has a table, nor what was done last.
        assert "SELECT * FROM `orders` WHERE STATUS = ?" in ended.stderr
        assert f"KILL {number}" in ended.stderr
    assert triggers(shop) == []
    holder.rollback()
    shop.run("install", "--yes")
    assert len(triggers(shop)) == 6


def test_a_transaction_that_ends_in_time_is_waited_for(
    shop: User, holder: pymysql.connections.Connection
) -> None:
    process = shop.start("install", "--yes")
    wait_for(lambda: "waits: " in shop.log(process))
    holder.rollback()
    assert process.wait(30) == 0
    assert len(triggers(shop)) == 6


def test_writers_do_not_queue_behind_an_install_that_waits(
    shop: User, holder: pymysql.connections.Connection
) -> None:
    """Only its first try makes them wait, for three seconds, where the server tells
    who is in the way; otherwise its tries are short and far between."""
    process = shop.start("install", "--yes", "--lock-timeout", "8")
    wait_for(lambda: "waits: " in shop.log(process))
    stalls = []
    while process.poll() is None:
        begun = time.monotonic()
        shop.execute("DELETE FROM orders WHERE id = 0")
        stalls.append(time.monotonic() - begun)
    assert process.wait(30) == 1
    allowed = 0.5 if shop.server.name == "mysql" else 1.5
    assert max(stalls) < allowed
    assert sum(stall for stall in stalls if stall > 0.2) < 6


def test_of_two_installers_one_waits(
    shop: User, holder: pymysql.connections.Connection
) -> None:
    first = shop.start("install", "--yes")
    wait_for(lambda: "waits: " in shop.log(first))
    second = shop.start("install", "--yes")
    wait_for(lambda: "waiting for another evtrig" in shop.log(second))
    holder.rollback()
    assert first.wait(30) == second.wait(30) == 0
    assert "nothing to change" in shop.log(second)
    assert len(triggers(shop)) == 6


def test_an_installer_that_is_killed_locks_nobody_out(
    shop: User, holder: pymysql.connections.Connection
) -> None:
    first = shop.start("install", "--yes")
    wait_for(lambda: "waits: " in shop.log(first))
    first.kill()
    holder.rollback()
    shop.run("install", "--yes")
    assert len(triggers(shop)) == 6


def test_a_connection_that_is_killed_half_way_ends_in_one_message(
    shop: User, holder: pymysql.connections.Connection
) -> None:
    process = shop.start("install", "--yes")
    wait_for(lambda: "waits: " in shop.log(process))
    ((lock,),) = shop.execute(
        "SELECT id FROM information_schema.processlist WHERE user = 'root' AND id <>"
        f" CONNECTION_ID() AND id <> {holder.thread_id()} AND db = '{shop.schema}'"
        " ORDER BY id DESC LIMIT 1"
    )
    shop.execute(f"KILL {lock}")
    assert process.wait(30) == 1
    said = shop.log(process)
    assert "Traceback" not in said
    assert "Then run evtrig install again" in said
    holder.rollback()
    shop.run("install", "--yes")
    assert len(triggers(shop)) == 6


def test_on_a_busy_table_the_transaction_that_was_in_the_way_is_waited_for(
    shop: User, holder: pymysql.connections.Connection
) -> None:
    """Pooled connections have a transaction open at any moment, and are not meant."""
    stop = threading.Event()

    def write() -> None:
        with connected(shop) as connection, connection.cursor() as cursor:
            while not stop.is_set():
                cursor.execute("UPDATE orders SET status = 'x' WHERE id = 0")
                # It has the table for a moment, as an application does.
                stop.wait(0.03)
                connection.commit()

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    try:
        process = shop.start("install", "--yes", "--lock-timeout", "25")
        wait_for(lambda: "waits: " in shop.log(process))
        holder.rollback()
        assert process.wait(30) == 0, shop.log(process)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    if shop.server.name == "mysql":
        assert f"is in use: connection {holder.thread_id()} of" in shop.log(process)
    assert len(triggers(shop)) == 6


def test_what_the_server_does_not_name_is_not_taken_for_a_missing_privilege(
    shop: User,
) -> None:
    with connected(shop) as backup, backup.cursor() as cursor:
        cursor.execute("FLUSH TABLES WITH READ LOCK")
        ended = shop.run("install", "--yes", "--lock-timeout", "1", code=1)
        cursor.execute("UNLOCK TABLES")
    assert "PROCESS" not in ended.stderr
    assert triggers(shop) == []


def test_the_age_of_a_transaction_does_not_depend_on_the_time_zone(
    shop: User, holder: pymysql.connections.Connection
) -> None:
    ((before,),) = shop.execute("SELECT @@GLOBAL.time_zone")
    shop.execute("SET GLOBAL time_zone = '+05:30'")
    try:
        ended = shop.run("install", "--yes", "--lock-timeout", "1", code=1)
    finally:
        shop.execute(f"SET GLOBAL time_zone = '{before}'")
    (age,) = set(
        re.findall(rf"connection {holder.thread_id()} .* for (-?\d)+ s", ended.stderr)
    )
    assert 0 <= int(age) < 60


def test_the_hint_of_a_plan_that_was_stopped_names_no_id_that_is_gone(
    shop: User, holder: pymysql.connections.Connection
) -> None:
    arguments = ("--yes", "--plan", plan_id(shop), "--lock-timeout", "1")
    assert "has another id" in shop.run("install", *arguments, code=1).stderr


# An output that ends


def test_a_reader_who_leaves_stops_nothing_half_way(shop: User) -> None:
    with subprocess.Popen(
        [EVTRIG, "install", "--yes"],
        cwd=shop.folder,
        env=shop.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 1
    assert "Traceback" not in said
    assert len(triggers(shop)) == 6


def test_an_output_without_room_stops_nothing_half_way(shop: User) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [EVTRIG, "install", "--yes"],
            cwd=shop.folder,
            env=shop.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith("evtrig: the output cannot be written: No space")
    assert len(triggers(shop)) == 6


def test_an_output_in_another_encoding_stops_nothing_half_way(shop: User) -> None:
    shop.execute("CREATE TABLE `名前` (id INT PRIMARY KEY)")
    text = shop.spec.read_text(encoding="utf-8")
    shop.spec.write_text(f"{text}\n  名前:\n", encoding="utf-8")
    latin = {"PYTHONIOENCODING": "latin-1"}
    shop.run("install", "--yes", **latin)
    assert len(triggers(shop)) == 9
    shop.spec.write_text(text.replace("orders:", "orders:\n    exclude: [status]"))
    ended = shop.run("plan", code=1, **latin)
    assert "PYTHONIOENCODING=utf-8" in ended.stderr


def test_ctrl_c_says_what_may_be_left(
    shop: User, holder: pymysql.connections.Connection
) -> None:
    said = interrupted(shop)
    assert "interrupted while it was to create trigger" in said
    assert "may be captured in part" in said
    assert "run evtrig install again" in said
    holder.rollback()
    shop.run("install", "--yes")
    assert len(triggers(shop)) == 6


def test_ctrl_c_says_that_a_table_keeps_the_triggers_that_it_had(
    shop: User, holder: pymysql.connections.Connection
) -> None:
    holder.rollback()
    shop.run("install", "--yes")
    exclude_status(shop)
    holder.cursor().execute("SELECT * FROM orders")
    said = interrupted(shop)
    assert "interrupted while it was to create trigger" in said
    assert f"{shop.schema}.orders is captured all the same" in said
    assert "in part" not in said
    shop.execute("INSERT INTO orders (id, status) VALUES (1, 'new')")
    assert recorded(shop) == ["orders.insert"]
    holder.rollback()
    shop.run("install", "--yes")
    assert len(triggers(shop)) == 6


def test_ctrl_c_while_a_trigger_is_added_to_others_says_what_may_be_left(
    shop: User, holder: pymysql.connections.Connection
) -> None:
    holder.rollback()
    shop.run("install", "--yes")
    exclude_status(shop)
    name = TriggerName.of(shop.schema, "orders", "delete")
    shop.execute(f"DROP TRIGGER `{name}`")
    holder.cursor().execute("SELECT * FROM orders")
    assert f"{shop.schema}.orders may be captured in part" in interrupted(shop)


def interrupted(shop: User) -> str:
    """What an install says that gets Ctrl-C while it waits for a table."""
    process = shop.start("install", "--yes")
    wait_for(lambda: "waits: " in shop.log(process))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 1
    return shop.log(process)


# Many steps


def test_many_steps_are_a_bar_on_a_terminal_and_lines_elsewhere(shop: User) -> None:
    entries = []
    for n in range(14):
        shop.execute(f"CREATE TABLE many_{n} (id INT PRIMARY KEY)")
        entries.append(f"  many_{n}:\n")
    shop.spec.write_text(f"{shop.spec.read_text()}\n{''.join(entries)}")
    leader, follower = pty.openpty()
    said: list[bytes] = []

    def read() -> None:
        try:
            while chunk := os.read(leader, 4096):
                said.append(chunk)
        except OSError:
            # Linux ends a terminal so.
            return

    reader = threading.Thread(target=read)
    reader.start()
    ended = subprocess.run(
        [EVTRIG, "install", "--yes"],
        cwd=shop.folder,
        env={**shop.environment, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=follower,
        text=True,
        timeout=60,
    )
    os.close(follower)
    reader.join(10)
    os.close(leader)
    assert ended.returncode == 0
    assert b"100%" in b"".join(said)
    assert len(ended.stdout.splitlines()) == 1
    assert len(triggers(shop)) == 48
    shop.run("uninstall", "--yes")
    assert len(shop.run("install", "--yes").stdout.splitlines()) > 48


def test_a_plan_needs_the_spec(user: User, tmp_path: Path) -> None:
    assert "no such file" in user.run("plan", code=2).stderr
