"""Reading a DSN, and keeping its password to oneself."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtrig.database.dsn import Dsn
from evtrig.errors import UsageError

#: Nothing else in a DSN, an error or a hint looks like it.
SECRET = "hunter2xyzzy"

PASSWORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def refused(text: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        Dsn.parse(text)
    assert caught.value.exit_code == 2
    assert caught.value.hint
    return caught.value


def test_every_part_is_read() -> None:
    assert Dsn.parse("mysql://app:pw@db.example:3307/shop?ssl_ca=/ca.pem") == Dsn(
        host="db.example",
        port=3307,
        user="app",
        password="pw",
        schema="shop",
        ssl_ca="/ca.pem",
    )


def test_what_is_left_out_has_its_default() -> None:
    assert Dsn.parse("mysql://db") == Dsn("db", 3306, "root", "", None)
    assert Dsn.parse("mysql://db/").schema is None


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "MySQL", "MARIADB"])
def test_the_scheme_is_either_product(scheme: str) -> None:
    assert Dsn.parse(f"{scheme}://db").host == "db"


@given(user=PASSWORDS, password=PASSWORDS, schema=PASSWORDS)
def test_percent_encoding_carries_any_text(
    user: str, password: str, schema: str
) -> None:
    parts = (quote(part, safe="") for part in (user, password, schema))
    dsn = Dsn.parse("mysql://{}:{}@db/{}".format(*parts))
    assert (dsn.user, dsn.password, dsn.schema) == (user, password, schema)


def test_a_plus_in_a_password_is_a_plus() -> None:
    assert Dsn.parse("mysql://app:a+b@db").password == "a+b"


def test_an_at_sign_in_a_password_need_not_be_encoded() -> None:
    assert Dsn.parse("mysql://app:p@ss@db").password == "p@ss"


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("mysql://[::1]", "::1", 3306),
        ("mysql://app@[2001:db8::7]:3307/shop", "2001:db8::7", 3307),
    ],
)
def test_an_ipv6_address_stands_in_brackets(text: str, host: str, port: int) -> None:
    dsn = Dsn.parse(text)
    assert (dsn.host, dsn.port) == (host, port)


@pytest.mark.parametrize(
    ("dsn", "is_local"),
    [
        ("mysql://localhost", True),
        ("mysql://127.0.0.1", True),
        ("mysql://127.8.0.1", True),
        ("mysql://[::1]", True),
        ("mysql://?unix_socket=/run/mysqld.sock", True),
        ("mysql://10.0.0.1", False),
        ("mysql://db.example", False),
    ],
)
def test_only_traffic_that_stays_here_is_local(dsn: str, is_local: bool) -> None:
    assert Dsn.parse(dsn).is_local is is_local


def test_a_socket_needs_no_host() -> None:
    dsn = Dsn.parse("mysql://app@/shop?unix_socket=/run/mysqld.sock")
    assert dsn.unix_socket == "/run/mysqld.sock"
    assert str(dsn) == "app@/run/mysqld.sock"


BAD = {
    "no scheme": f"app:{SECRET}@db/shop",
    "another scheme": f"postgres://app:{SECRET}@db/shop",
    "nothing": "",
    "no host": f"mysql://app:{SECRET}@/shop",
    "port that is no number": f"mysql://app:{SECRET}@db:none/shop",
    "port too large": f"mysql://app:{SECRET}@db:65536/shop",
    "slash in the password": f"mysql://app:1/{SECRET}@db/shop",
    "hash in the password": f"mysql://app:1#{SECRET}@db/shop",
    "question mark in the password": f"mysql://app:1?{SECRET}@db/shop",
    "bracket in the password": f"mysql://app:[{SECRET}@db/shop",
    "unknown option": f"mysql://app:{SECRET}@db/shop?ssl-ca=/ca.pem",
    "fragment": f"mysql://app:{SECRET}@db/shop#there",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_a_refused_dsn_does_not_show_its_password(text: str) -> None:
    error = refused(text)
    assert SECRET not in f"{error} {error.hint} {error!r}"


def test_an_unknown_option_is_answered_with_the_nearest_one() -> None:
    error = refused("mysql://db/shop?ssl_cert=/ca.pem")
    assert "ssl_cert" in error.message
    assert error.hint == "Did you mean ssl_ca?"


@pytest.mark.parametrize("password", [SECRET, f"{SECRET}@é", f"p%{SECRET}"])
def test_the_text_of_a_dsn_does_not_show_its_password(password: str) -> None:
    dsn = Dsn.parse(f"mysql://app:{quote(password, safe='')}@db:3307/shop")
    assert dsn.password == password
    assert str(dsn) == f"{dsn}" == "app@db:3307"
    assert SECRET not in repr(dsn)
    assert SECRET not in f"{dsn!r:>5} {(dsn,)} {[dsn]}"
