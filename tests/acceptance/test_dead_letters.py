"""Events that no sink takes, and somebody who looks after them."""

from __future__ import annotations

import json
import subprocess

import pytest
from acceptance.user import EVTRIG, User


def put_aside(user: User, reason: str = "refused") -> None:
    """Every event, as a relay does that parks what its sink refuses."""
    user.execute(
        f"INSERT INTO {user.outbox}.dead_letters SELECT e.*, TRUE, '{reason}', 1,"
        " 'InvalidMessageContents', 'InvalidMessageContents', UTC_TIMESTAMP(6),"
        f" UTC_TIMESTAMP(6) FROM {user.outbox}.events AS e"
    )
    user.execute(f"DELETE FROM {user.outbox}.events")


@pytest.fixture
def parked(user: User) -> User:
    """Three changes of one row, one of another, all of them dead letters."""
    user.install()
    user.write(1, 2)
    user.execute("UPDATE orders SET status = 'paid' WHERE id = 1")
    user.execute("DELETE FROM orders WHERE id = 1")
    put_aside(user)
    return user


def test_from_the_warning_to_events_in_order(parked: User) -> None:
    assert "4 events are dead letters" in parked.run("check", code=3).stdout
    listed = parked.run("dead-letters", "list").stdout.splitlines()
    assert listed[-1] == "4 dead letters: 4 refused"
    names = [line.split()[0] for line in listed[:-1]]
    exported = parked.run("dead-letters", "export").stdout.splitlines()
    assert [json.loads(line)["id"] for line in exported] == names
    # Of the row with three, named by its last.
    said = parked.run("dead-letters", "retry", names[-1])
    assert "3 events of 1 row put back" in said.stdout
    assert "whole rows" in said.stderr
    parked.run("relay", "--drain", "--sink", "file:events.ndjson")
    assert [(e["key"]["id"], e["operation"]) for e in parked.published()] == [
        (1, "insert"),
        (1, "update"),
        (1, "delete"),
    ]
    kept = parked.run("uninstall", "--yes")
    assert "1 events are dead letters" in kept.stderr
    assert "evtrig dead-letters" in kept.stderr
    assert parked.execute(f"SELECT id FROM {parked.outbox}.dead_letters") != ()
    said = parked.run("dead-letters", "discard", "--all", "--yes")
    assert said.stdout == "1 event discarded\n"
    parked.run("uninstall", "--yes")
    assert parked.execute(f"SHOW DATABASES LIKE '{parked.outbox}'") == ()


def test_without_an_answer_nothing_is_discarded(parked: User) -> None:
    said = parked.run("dead-letters", "discard", "--all", code=1).stderr
    assert "Discard 4 events of" in said
    assert "nothing was changed" in said
    assert parked.run("dead-letters", "list").stdout.endswith("4 refused\n")


def test_an_outbox_of_an_older_version_is_one_step_away(user: User) -> None:
    user.install()
    user.execute(f"DROP TABLE {user.outbox}.dead_letters")
    said = user.run("dead-letters", "list", code=1).stderr
    assert "Run evtrig install" in said
    planned = json.loads(user.run("plan", "--json").stdout)
    assert [step["title"] for step in planned["steps"]] == [
        f"create table {user.outbox}.dead_letters"
    ]
    user.run("install", "--yes")
    assert "no dead letters" in user.run("dead-letters", "list").stdout


def test_a_reader_that_goes_ends_an_export_without_a_traceback(user: User) -> None:
    user.install()
    values = ", ".join(f"({n}, 'new')" for n in range(3000))
    user.execute(f"INSERT INTO orders VALUES {values}")
    put_aside(user)
    process = subprocess.Popen(
        [EVTRIG, "dead-letters", "export"],
        env=user.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert json.loads(process.stdout.readline())["operation"] == "insert"
    process.stdout.close()
    assert process.wait(timeout=20) == 1
    assert process.stderr
    assert process.stderr.read() == ""
    process.stderr.close()
