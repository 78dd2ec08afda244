"""`evtrig check`: the outbox, who may write to it, and what waits in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.checked import Checked

T = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))"


@pytest.fixture
def captured(checked: Checked) -> Checked:
    """With a table whose changes are captured."""
    checked.capture(T, t={})
    return checked


def events(checked: Checked) -> str:
    return f"`{checked.outbox}`.`events`"


# What somebody has altered


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("outbox-engine", "ENGINE = MyISAM"),
        ("outbox-character-set", "CONVERT TO CHARACTER SET latin1"),
        ("outbox-column", "MODIFY `source` VARCHAR(20) NOT NULL"),
        ("outbox-column", "MODIFY `after` TEXT"),
        ("outbox-column", "MODIFY `before` LONGTEXT NOT NULL"),
        ("outbox-column", "MODIFY id INT NOT NULL AUTO_INCREMENT"),
        ("outbox-column", "DROP COLUMN context"),
        ("outbox-column", "ADD COLUMN more INT NOT NULL"),
        ("outbox-index", "ADD INDEX slow (captured_at)"),
    ],
)
def test_an_outbox_that_was_altered(captured: Checked, code: str, change: str) -> None:
    found = captured.comes_and_goes(
        code, lambda: captured.run(f"ALTER TABLE {events(captured)} {change}")
    )
    assert [mend.by for mend in found.mend] == ["sql"]
    captured.run("INSERT INTO t VALUES (1, 'ä🍣')", "UPDATE t SET v = 'b'")
    assert captured.run(f"SELECT COUNT(*) FROM {events(captured)}") == ((2,),)


def test_a_wider_outbox_is_no_finding(captured: Checked) -> None:
    captured.run(
        f"ALTER TABLE {events(captured)} MODIFY `source` VARCHAR(512) NOT NULL,"
        " ADD COLUMN mine INT, ADD COLUMN mine_too INT NOT NULL DEFAULT 0"
    )
    assert captured.faults() == []


def test_a_table_that_is_not_evtrig_s(checked: Checked) -> None:
    checked.put(t={})
    checked.run(T)
    other = f"{checked.schema}_other"

    def in_the_way() -> None:
        checked.run(
            f"CREATE DATABASE {checked.outbox}",
            f"CREATE TABLE {events(checked)} (id INT, name TEXT)",
        )

    def choose_another() -> None:
        checked.outbox = other

    try:
        checked.comes_and_goes("outbox-foreign", in_the_way, choose_another)
        assert checked.faults() == []
    finally:
        checked.run(
            f"DROP DATABASE IF EXISTS {other}",
            f"DROP DATABASE IF EXISTS {checked.schema}_outbox",
        )


def test_a_trigger_on_the_outbox(captured: Checked) -> None:
    captured.comes_and_goes(
        "outbox-trigger",
        lambda: captured.run(
            f"CREATE TRIGGER {captured.outbox}.x BEFORE INSERT ON {events(captured)}"
            " FOR EACH ROW SET @x = 1"
        ),
    )


def test_ids_that_are_nearly_used_up(captured: Checked) -> None:
    captured.comes_and_goes(
        "outbox-id",
        lambda: captured.run(
            f"ALTER TABLE {events(captured)} AUTO_INCREMENT = 18000000000000000000"
        ),
    )


# Who may write to it


@pytest.mark.parametrize(
    ("grant", "on"),
    [
        ("INSERT", "{}.events"),
        ("INSERT", "{}.*"),
        ("ALL", "{}.*"),
        ("UPDATE", "{}.events"),
        ("INSERT (`key`)", "{}.events"),
        ("DELETE", "{}.event_polling_state"),
        ("UPDATE", "{}.dead_letters"),
    ],
)
def test_an_application_that_may_write_to_the_outbox(
    captured: Checked, account: str, grant: str, on: str
) -> None:
    on = on.format(captured.outbox)
    captured.run(f"GRANT INSERT, UPDATE ON t TO {account}")
    found = captured.comes_and_goes(
        "outbox-writable", lambda: captured.run(f"GRANT {grant} ON {on} TO {account}")
    )
    assert found.object == account
    if grant == "ALL":
        (temporary,) = captured.of("outbox-temporary-tables")
        captured.mend(temporary)
    assert captured.faults() == []


def test_an_application_that_may_make_temporary_tables_there(
    captured: Checked, account: str
) -> None:
    grant = f"GRANT CREATE TEMPORARY TABLES ON `{captured.outbox}`.* TO {account}"
    captured.comes_and_goes("outbox-temporary-tables", lambda: captured.run(grant))


def test_a_role_that_may_write_and_who_has_it(captured: Checked, account: str) -> None:
    role, above = (f"{n}_{captured.schema.removeprefix('test_')}" for n in ("r", "up"))

    def give() -> None:
        captured.run(
            f"CREATE ROLE {role}",
            f"CREATE ROLE {above}",
            f"GRANT DELETE ON `{captured.outbox}`.* TO {role}",
            f"GRANT {role} TO {above}",
            f"GRANT {above} TO {account}",
        )

    try:
        found = captured.comes_and_goes("outbox-writable", give)
        assert role in found.object
        assert account in found.problem
    finally:
        captured.run(f"DROP ROLE {role}", f"DROP ROLE {above}")


def test_what_a_relay_and_a_reader_are_granted_is_no_finding(
    captured: Checked, account: str
) -> None:
    box = captured.outbox
    captured.run(
        f"GRANT SELECT, DELETE ON {box}.events TO {account}",
        f"GRANT SELECT, UPDATE ON {box}.event_polling_state TO {account}",
        f"GRANT SELECT, INSERT ON {box}.dead_letters TO {account}",
        f"GRANT SELECT, EXECUTE ON `{box}`.* TO {account}",
        f"GRANT INSERT ON `{captured.schema}`.* TO {account}",
    )
    assert captured.faults() == []


def test_what_an_operator_is_granted_is_no_finding(
    captured: Checked, account: str
) -> None:
    captured.run(
        f"GRANT SELECT, DELETE ON {captured.outbox}.dead_letters TO {account}",
        f"GRANT INSERT, SELECT (`id`, `uid`) ON {events(captured)} TO {account}",
    )
    assert captured.faults() == []


def test_what_a_snapshot_is_granted_is_no_finding(
    captured: Checked, account: str
) -> None:
    captured.run(
        f"GRANT SELECT ON t TO {account}",
        f"GRANT INSERT ON {events(captured)} TO {account}",
    )
    assert captured.faults() == []
    # But of an application it is, also if it writes to the table by a role.
    role = f"role_{captured.schema.removeprefix('test_')}"
    captured.run(
        f"CREATE ROLE {role}",
        f"GRANT UPDATE ON t TO {role}",
        f"GRANT {role} TO {account}",
    )
    try:
        assert captured.faults() == ["outbox-writable"]
    finally:
        captured.run(f"DROP ROLE {role}")


def test_who_may_pass_it_on_is_an_administrator(
    captured: Checked, account: str
) -> None:
    captured.run(
        f"GRANT INSERT ON `{captured.outbox}`.* TO {account} WITH GRANT OPTION"
    )
    assert captured.faults() == []
    (found,) = captured.of("outbox-administrators")
    assert account in found.problem
    assert "root@" in found.problem


def test_a_grant_with_wildcards_is_not_to_be_revoked_as_it_is(
    captured: Checked, account: str
) -> None:
    pattern = captured.schema.replace("_", "\\_") + "%"
    captured.run(f"GRANT INSERT ON `{pattern}`.* TO {account}")

    def by_name() -> None:
        captured.run(
            f"GRANT INSERT ON `{captured.schema}`.* TO {account}",
            f"REVOKE INSERT ON `{pattern}`.* FROM {account}",
        )

    (found,) = captured.of("outbox-writable")
    assert [mend.by for mend in found.mend] == ["advice"]
    captured.mend(found, by_name)
    assert captured.of("outbox-writable") == []


@pytest.fixture
def account(checked: Checked) -> Iterator[str]:
    """An account that nothing is granted to, as GRANT takes it."""
    name = f"app_{checked.schema.removeprefix('test_')}@localhost"
    checked.run(f"CREATE USER {name}")
    yield name
    checked.run(f"DROP USER {name}")


# The owner of the triggers


def quoted(name: str) -> str:
    user, _, host = name.partition("@")
    return f"`{user}`@`{host}`"


def test_an_owner_that_is_gone_makes_writes_fail_now(captured: Checked) -> None:
    def drop() -> None:
        captured.run(f"DROP USER {quoted(captured.definer)}")
        with pytest.raises(Exception, match="1449"):
            captured.run("INSERT INTO t VALUES (1, 'a')")

    found = captured.comes_and_goes("definer-missing", drop)
    assert "(1449)" in found.consequence
    captured.run("INSERT INTO t VALUES (1, 'a')")


def test_an_owner_that_is_somebody_else_is_put_back_by_sql(checked: Checked) -> None:
    """Of `definer: current_user` any account will do, so install changes nothing."""
    owner = f"me_{checked.schema.removeprefix('test_')}@localhost"
    user, _, host = owner.partition("@")
    checked.head["definer"] = "current_user"
    checked.capture(T, t={})

    def to(create: str) -> str:
        return create.replace("`root`@`127.0.0.1`", quoted(owner)).replace(
            "`root`@`localhost`", quoted(owner)
        )

    def lose() -> None:
        for operation in ("insert", "update", "delete"):
            checked.recreate(operation, change=to)
        checked.run(f"DROP USER IF EXISTS {quoted(owner)}")

    try:
        found = checked.comes_and_goes("definer-missing", lose)
        assert found.object == f"{user}@{host}"
        checked.run("INSERT INTO t VALUES (1, 'a')")
        assert checked.of("definer-under-granted") == []
    finally:
        checked.run(f"DROP USER IF EXISTS {quoted(owner)}")


def test_an_owner_that_may_not_do_what_its_triggers_do(captured: Checked) -> None:
    revoke = f"REVOKE INSERT ON {events(captured)} FROM {quoted(captured.definer)}"

    def take() -> None:
        captured.run(revoke)
        with pytest.raises(Exception, match="1142"):
            captured.run("INSERT INTO t VALUES (1, 'a')")

    found = captured.comes_and_goes("definer-under-granted", take)
    assert f"insert on {captured.outbox}.events" in found.problem
    captured.run("INSERT INTO t VALUES (1, 'a')")


def test_what_an_owner_has_by_a_role_counts_on_mysql(checked: Checked) -> None:
    """On MariaDB a trigger does not have its owner's roles."""
    name = checked.schema.removeprefix("test_")
    owner, role = quoted(f"me_{name}@localhost"), f"role_{name}"
    checked.head["definer"] = "current_user"
    checked.capture(T, t={})
    checked.run(
        f"CREATE USER {owner}",
        f"CREATE ROLE {role}",
        f"GRANT INSERT ON {events(checked)} TO {role}",
        f"GRANT SELECT, TRIGGER ON t TO {role}",
        f"GRANT {role} TO {owner}",
        f"SET DEFAULT ROLE {role} {'FOR' if checked.is_mariadb else 'TO'} {owner}",
    )
    try:
        checked.recreate(
            change=lambda create: create.replace("`root`@`localhost`", owner).replace(
                "`root`@`127.0.0.1`", owner
            )
        )
        write = "INSERT INTO t VALUES (1, 'a') ON DUPLICATE KEY UPDATE v = 'b'"
        checked.run(write)
        if checked.is_mariadb:
            assert len(checked.of("definer-under-granted")) == 1
            with pytest.raises(Exception, match="1142"):
                checked.run(write)
        else:
            checked.run(write)
            assert checked.of("definer-under-granted") == []
    finally:
        checked.run(f"DROP USER {owner}", f"DROP ROLE {role}")


def test_an_owner_that_is_not_locked(captured: Checked) -> None:
    unlock = f"ALTER USER {quoted(captured.definer)} ACCOUNT UNLOCK"
    captured.comes_and_goes("definer-unlocked", lambda: captured.run(unlock))


def test_an_owner_whose_password_has_expired_is_no_finding(captured: Checked) -> None:
    captured.run(
        f"ALTER USER {quoted(captured.definer)} PASSWORD EXPIRE",
        "INSERT INTO t VALUES (1, 'a')",
    )
    assert captured.run(f"SELECT COUNT(*) FROM {events(captured)}") == ((1,),)
    assert captured.faults() == ["relay-not-running"]


# What waits


def test_no_relay_while_nothing_waits_is_a_notice_and_then_a_warning(
    captured: Checked, tmp_path: Path
) -> None:
    (idle,) = captured.of("relay-idle")
    assert "none ever has" in idle.problem
    captured.environment = {
        "EVTRIG_SINK": f"file:{tmp_path / 'events.ndjson'}",
        "EVTRIG_RELAY_DRAIN": "1",
    }
    found = captured.comes_and_goes(
        "relay-not-running", lambda: captured.run("INSERT INTO t VALUES (1, 'secret')")
    )
    assert found.severity == "warning"
    assert "secret" not in json.dumps(found.as_dict())
    (line,) = (tmp_path / "events.ndjson").read_text().splitlines()
    assert json.loads(line)["operation"] == "insert"
    (idle,) = captured.of("relay-idle")
    assert "the last was" in idle.problem


def test_a_relay_that_holds_the_lease_is_no_finding(captured: Checked) -> None:
    captured.run(
        f"UPDATE {captured.outbox}.event_polling_state SET claim = 1, holder = 1,"
        " holder_id = 'me', expires_at = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR",
        "INSERT INTO t VALUES (1, 'a')",
    )
    assert captured.faults() == []
    assert captured.of("relay-idle") == []


def test_an_event_that_waits_too_long(captured: Checked, tmp_path: Path) -> None:
    captured.environment = {
        "EVTRIG_SINK": f"file:{tmp_path / 'events.ndjson'}",
        "EVTRIG_RELAY_DRAIN": "1",
    }

    def wait() -> None:
        captured.run(
            "INSERT INTO t VALUES (1, 'a')",
            # By the clock of the database, whatever the session's time zone is.
            f"UPDATE {events(captured)} SET captured_at ="
            " UTC_TIMESTAMP(6) - INTERVAL 301 SECOND",
        )
        assert captured.of("event-age", max_age=1000) == []

    found = captured.comes_and_goes("event-age", wait)
    assert any(f"{n} seconds" in found.problem for n in range(301, 320))


def put_aside(checked: Checked, holds_key: bool) -> None:
    """Every event, as a relay does."""
    checked.run(
        f"INSERT INTO {checked.outbox}.dead_letters SELECT e.*, {holds_key}, 'refused',"
        " 1, NULL, NULL, NULL, UTC_TIMESTAMP(6) - INTERVAL 301 SECOND"
        f" FROM {events(checked)} AS e",
        f"DELETE FROM {events(checked)}",
    )


@pytest.mark.parametrize(
    ("holds_key", "consequence"), [(True, "wait behind"), (False, "not heard of them.")]
)
def test_dead_letters_are_found_until_somebody_looks_after_them(
    captured: Checked, holds_key: bool, consequence: str
) -> None:
    captured.environment = {"EVTRIG_DEAD_LETTERS_DISCARD_YES": "1"}

    def fail() -> None:
        captured.run("INSERT INTO t VALUES (1, 'secret'), (2, 'secret')")
        put_aside(captured, holds_key)

    discard = f"evtrig dead-letters discard --all --outbox {captured.outbox}"
    found = captured.comes_and_goes(
        "dead-letters", fail, lambda: captured.shell(discard)
    )
    assert found.severity == "warning"
    assert "2 events are dead letters" in found.problem
    assert any(f"for {n} seconds" in found.problem for n in range(301, 320))
    assert consequence in found.consequence
    assert "secret" not in json.dumps(found.as_dict())


def test_one_dead_letter_is_one(captured: Checked) -> None:
    captured.run("INSERT INTO t VALUES (1, 'a')")
    put_aside(captured, True)
    (found,) = captured.of("dead-letters")
    assert "1 event is a dead letter" in found.problem


def test_an_event_that_is_nearly_too_large(captured: Checked) -> None:
    packet = captured.run("SELECT @@GLOBAL.max_allowed_packet")[0][0]
    smaller = 1 << 20

    def write() -> None:
        captured.run(
            f"SET GLOBAL max_allowed_packet = {smaller}",
            f"INSERT INTO {events(captured)} SET uid = 1, type = 't', source = 's',"
            " operation = 'insert', captured_at = UTC_TIMESTAMP(6), `key` = '{}',"
            f" `after` = REPEAT('x', {smaller // 2})",
        )

    try:
        found = captured.comes_and_goes("payload-large", write)
        assert "xxx" not in json.dumps(found.as_dict())
    finally:
        if not captured.is_mariadb:
            captured.run("RESET PERSIST max_allowed_packet")
        captured.run(f"SET GLOBAL max_allowed_packet = {packet}")


def test_a_column_that_can_hold_more_than_a_packet(checked: Checked) -> None:
    create = "CREATE TABLE t (id INT PRIMARY KEY, v TEXT, a LONGTEXT, b LONGBLOB)"
    checked.capture(create, t={"exclude": ["a", "b"]})
    found = checked.comes_and_goes(
        "payload-unbounded",
        lambda: checked.put(t={}),
        lambda: checked.put(t={"exclude": ["b"], "redact": {"a": "hash"}}),
    )
    assert "a longtext, b longblob" in found.problem
