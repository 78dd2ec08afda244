"""A MySQL option file: what is taken from it, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from evtrig.database.option_file import OptionFile
from evtrig.errors import UsageError

SECRET = "hunter2xyzzy"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "my.cnf"


def read(file: Path, text: str | bytes) -> OptionFile:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(0o600)
    return OptionFile.read(str(file))


def refused(file: Path, text: str | bytes) -> UsageError:
    with pytest.raises(UsageError) as caught:
        read(file, text)
    error = caught.value
    assert str(file) in error.message
    assert error.hint
    assert SECRET not in f"{error} {error.hint} {error!r}"
    return error


def test_the_fields_of_a_connection_are_taken_and_nothing_else(file: Path) -> None:
    text = (
        "[mysqld]\nport=1\n[client]\nhost=db\nport=3307\nuser=app\npassword=pw\n"
        "database=shop\nssl_ca=/ca.pem\nssl-mode=verify_ca\nprompt=x\nquick\n"
    )
    assert read(file, text).fields == {
        "host": "db",
        "port": 3307,
        "user": "app",
        "password": "pw",
        "schema": "shop",
        "ssl_ca": "/ca.pem",
        "tls": "ca",
    }


def test_evtrig_s_own_group_wins_wherever_it_stands(file: Path) -> None:
    fields = read(file, "[evtrig]\nuser=relay\n[client]\nuser=app\nhost=db\n").fields
    assert fields == {"user": "relay", "host": "db"}


def test_a_socket_is_for_the_server_on_this_machine(file: Path) -> None:
    assert "unix_socket" in read(file, "[client]\nsocket=/s\nhost=localhost\n").fields
    assert "unix_socket" not in read(file, "[client]\nsocket=/s\nhost=db\n").fields


def test_a_password_to_be_asked_for_is_none(file: Path) -> None:
    assert read(file, "[client]\npassword\n").fields == {}


@pytest.mark.parametrize(
    ("line", "mode"),
    [
        ("ssl-mode=DISABLED", "off"),
        ("ssl-mode=REQUIRED", "required"),
        ("ssl-mode=VERIFY_CA", "ca"),
        ("ssl_mode = 'verify_identity'", "verify"),
        ("ssl-verify-server-cert", "verify"),
        ("ssl-verify-server-cert=on", "verify"),
        ("ssl-verify-server-cert=0", None),
    ],
)
def test_the_tls_options_of_both_products_are_understood(
    file: Path, line: str, mode: str | None
) -> None:
    assert read(file, f"[client]\n{line}\n").fields.get("tls") == mode


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"password={SECRET}\n", ":1: an option in front of the first group"),
        (f"[client\npassword={SECRET}", ":1: a group without"),
        (f"[client]\npassword={SECRET}\n!include /etc/x", ":3: !include is not"),
        ("!includedir /etc/mysql/conf.d", ":1: !includedir is not supported"),
        ("[client]\nport=none", ":2: the port"),
        ("[client]\nport=65536", ":2: the port"),
        ("[client]\nssl-mode=PREFERRED", ":2: evtrig has no ssl-mode=PREFERRED"),
        (f"[client]\nssl-mode={SECRET}", ":2: unknown ssl-mode"),
        (b"[client]\npassword=\xff\xfe", "no text in UTF-8"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_line(
    file: Path, text: str | bytes, words: str
) -> None:
    assert words in refused(file, text).message


def test_a_file_that_cannot_be_read_is_refused(file: Path, tmp_path: Path) -> None:
    for path, problem in ((file, "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UsageError, match=problem):
            OptionFile.read(str(path))


def test_a_password_that_everybody_may_read_is_warned_of(file: Path) -> None:
    assert read(file, f"[client]\npassword={SECRET}\n").warning is None
    for mode, is_warned in ((0o640, False), (0o644, True), (0o602, True)):
        file.chmod(mode)
        found = OptionFile.read(str(file))
        assert bool(found.warning) is is_warned
        assert SECRET not in f"{found.warning} {found!r}"
    file.write_text("[client]\nuser=app\n")
    assert OptionFile.read(str(file)).warning is None


def test_a_no_break_space_is_part_of_a_password(file: Path) -> None:
    fields = read(file, "[client]\npassword = \u00a0pw\u00a0 \r\n").fields
    assert fields["password"] == "\u00a0pw\u00a0"
