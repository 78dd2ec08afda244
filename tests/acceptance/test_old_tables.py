"""A relay that meets the tables of another version says so, and what to do."""

from __future__ import annotations

import re

import pytest
from acceptance.user import User

RELAY = ("relay", "--sink", "file:events.ndjson", "--drain")


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("events", ("context",)),
        ("event_polling_state", ("holder_id", "holder_connection")),
        ("dead_letters", ("failed_at",)),
        ("dead_letters", ("holds_key",)),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_table_without_a_column_is_told_with_what_adds_it(
    user: User, table: str, columns: tuple[str, ...]
) -> None:
    user.install()
    user.write(1, 2, 3)
    drops = ", ".join(f"DROP COLUMN {column}" for column in columns)
    user.execute(f"ALTER TABLE {user.outbox}.{table} {drops}")

    said = user.run(*RELAY, code=1).stderr
    assert said.count("evtrig:") == said.count("→") == 1
    assert f"{user.outbox}.{table} has no column {', '.join(columns)}" in said
    assert "evtrig check" in said
    assert user.published() == []
    assert user.waiting() == 3

    # What the hint leads to is what mends it.
    found = user.run("check", code=3)
    mends = re.findall(r"→ (ALTER TABLE .*;)", found.stdout + found.stderr)
    assert mends
    for mend in mends:
        user.execute(mend)
    user.run(*RELAY)
    assert [event["after"]["id"] for event in user.published()] == [1, 2, 3]


def test_an_outbox_without_dead_letters_is_mended_by_install(user: User) -> None:
    user.install()
    user.write(1)
    user.execute(f"DROP TABLE {user.outbox}.dead_letters")

    said = user.run(*RELAY, code=1).stderr
    assert "dead_letters" in said
    assert "→ Run evtrig install" in said
    assert user.published() == []

    user.run("install", "--yes")
    user.run(*RELAY)
    assert len(user.published()) == 1


def test_no_outbox_at_all(user: User) -> None:
    said = user.run(*RELAY, code=1).stderr
    assert user.outbox in said
    assert re.search("→ .*evtrig install", said)
