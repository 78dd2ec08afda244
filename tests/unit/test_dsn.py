"""Reading a DSN, and keeping its password to oneself."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtrig.database.dsn import DefaultsFile, Dsn, RdsIam, Secret
from evtrig.database.tls import MODES
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
    "unknown TLS mode": f"mysql://app:{SECRET}@db/shop?tls=on",
    "CA that is not looked at": f"mysql://app:{SECRET}@db/shop?tls=required&ssl_ca=/a",
    "IAM with a password": f"mysql://app:{SECRET}@db/shop?auth=rds-iam",
    "unknown auth": f"mysql://app:{SECRET}@db/shop?auth=pam",
    "region without IAM": f"mysql://app:{SECRET}@db/shop?region=eu-west-1",
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


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_no_hint_puts_a_password_on_the_command_line(text: str) -> None:
    assert "user:" not in str(refused(text).hint)


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("mysql://db.example.com", "verify"),
        ("mysql://10.0.0.7", "verify"),
        ("mysql://localhost", "off"),
        ("mysql://127.0.0.1", "off"),
        ("mysql://127.8.8.8", "off"),
        ("mysql://[::1]", "off"),
        ("mysql://localhost.example.com", "verify"),
        ("mysql://?unix_socket=/run/mysqld.sock", "off"),
        ("mysql://localhost?ssl_ca=/ca.pem", "verify"),
        ("mysql://app@localhost?auth=rds-iam", "verify"),
        *((f"mysql://db?tls={mode}", mode) for mode in MODES),
        *((f"mysql://localhost?tls={mode}", mode) for mode in MODES),
    ],
)
def test_tls_is_verified_wherever_the_traffic_leaves_this_machine(
    text: str, mode: str
) -> None:
    assert Dsn.parse(text).policy.mode == mode


def test_a_misspelt_mode_is_answered_with_the_nearest_one() -> None:
    assert refused("mysql://db?tls=verfy").hint == "Did you mean verify?"


@pytest.mark.parametrize("mode", ["ca", "required", "off"])
def test_a_token_goes_only_to_a_server_whose_name_is_verified(mode: str) -> None:
    """Every customer of RDS has a certificate of the same CA."""
    assert "rds-iam" in refused(f"mysql://app@db?auth=rds-iam&tls={mode}").message


def test_iam_needs_a_user() -> None:
    assert "user" in refused("mysql://db?auth=rds-iam").message
    dsn = Dsn.parse("mysql://app@db?auth=rds-iam&region=eu-west-1")
    assert dsn.source == RdsIam("eu-west-1")


ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:rds!db-7f3a-AbCdEf"


def test_the_arn_of_a_secret_is_a_dsn() -> None:
    dsn = Dsn.parse(ARN)
    assert dsn.source == Secret(ARN)
    assert dsn.pending == {"user", "password", "host", "port", "schema"}
    assert Secret(ARN).region == "eu-west-1"
    assert ARN in str(dsn)


def test_what_is_beside_the_arn_is_not_looked_up() -> None:
    dsn = Dsn.parse(f"{ARN}?host=db&port=3307&schema=shop&tls=ca&ssl_ca=rds")
    assert (dsn.host, dsn.port, dsn.schema) == ("db", 3307, "shop")
    assert (dsn.policy.mode, dsn.policy.ca) == ("ca", "rds")
    assert dsn.pending == {"user", "password"}
    found = dsn.filled({"user": "app", "password": "pw", "host": "other"})
    assert (found.host, found.user, found.password) == ("db", "app", "pw")
    assert str(found) == "app@db:3307"


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:secretsmanager:eu-west-1:123456789012",
        "arn:aws:ssm:eu-west-1:123456789012:parameter/shop",
        "arn:aws:secretsmanager:eu-west-1:1234:secret:shop",
        f"{ARN}?password={SECRET}",
        f"{ARN}?user=app",
        f"{ARN}?port=none",
        f"{ARN}?port=65536",
    ],
)
def test_another_arn_or_option_is_refused(text: str) -> None:
    error = refused(text)
    assert SECRET not in f"{error} {error.hint}"


FILE = {"host": "file", "port": 3307, "user": "f", "password": "pw", "schema": "s"}


def test_the_defaults_file_fills_what_the_dsn_leaves_out() -> None:
    dsn = Dsn.combine("mysql://app@db", defaults=FILE, path="my.cnf")
    assert (dsn.host, dsn.port, dsn.user) == ("db", 3307, "app")
    assert (dsn.password, dsn.schema) == ("pw", "s")
    assert dsn.source == DefaultsFile("my.cnf")
    # Read again at each connect; the user is the DSN's.
    assert dsn.pending == {"password"}
    assert Dsn.combine(None, defaults=FILE, path="my.cnf").host == "file"
    assert Dsn.combine("mysql:///shop", defaults=FILE, path="my.cnf").host == "file"


def test_a_password_in_the_dsn_wins_over_the_defaults_file() -> None:
    dsn = Dsn.combine("mysql://app:mine@db", defaults=FILE, path="my.cnf")
    assert (dsn.password, dsn.source) == ("mine", None)


def test_a_secret_and_a_token_win_over_the_defaults_file() -> None:
    secret = Dsn.combine(ARN, defaults=FILE, path="my.cnf")
    assert (secret.source, secret.host) == (Secret(ARN), "file")
    assert {"user", "password"} <= secret.pending
    iam = Dsn.combine("mysql://db?auth=rds-iam", defaults=FILE, path="my.cnf")
    assert (iam.source, iam.user, iam.password) == (RdsIam(), "f", "")


def test_the_socket_of_another_server_is_not_taken_from_the_defaults_file() -> None:
    file = {"unix_socket": "/run/mysqld.sock"}
    assert Dsn.combine(None, defaults=file, path="x").unix_socket == "/run/mysqld.sock"
    assert Dsn.combine("mysql://db", defaults=file, path="x").unix_socket is None


def test_an_option_wins_over_the_dsn_and_the_dsn_over_the_file() -> None:
    def mode(text: str, **options: str) -> str:
        dsn = Dsn.combine(text, defaults={"tls": "ca"}, path="x", options=options)
        return dsn.policy.mode

    assert mode("mysql://db") == "ca"
    assert mode("mysql://db?tls=required") == "required"
    assert mode("mysql://db?tls=required", tls="off") == "off"
