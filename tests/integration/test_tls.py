"""TLS on real servers: who is believed in which mode, and what is said otherwise."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from fakes.certificates import Authority
from fakes.mysql import Impostor, stripping_proxy

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.database.tls import Tls
from evtrig.demo.mysqld import Mysqld, Program
from evtrig.errors import ConnectionLost, DatabaseError, UsageError

TLS_FAILED = 2026
PASSWORD = "hunter2xyzzy"


class Certificates(NamedTuple):
    ours: Authority
    other: Authority
    #: By what is wrong with them: certificate and key.
    pairs: dict[str, tuple[Path, Path]]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    ours, other = Authority(folder, "ours"), Authority(folder, "other")
    names = ("localhost", "127.0.0.1", "0.0.0.0")
    pairs = {
        "good": ours.issue(*names),
        "another name": ours.issue("db.example.com"),
        "expired": ours.issue(*names, days=-1),
        "another CA": other.issue(*names),
    }
    return Certificates(ours, other, pairs)


class TlsServers:
    """Servers by what is wrong with their certificates, started when first asked for.

    One each: MySQL takes a bad certificate when it starts, but not ALTER INSTANCE
    RELOAD TLS (error 3888).
    """

    def __init__(self, program: Program, certificates: Certificates) -> None:
        self._program, self._certificates = program, certificates
        self._running: dict[str, Mysqld] = {}

    def port(self, kind: str = "good") -> int:
        if kind not in self._running:
            certificate, key = self._certificates.pairs[kind]
            options = (f"--ssl-cert={certificate}", f"--ssl-key={key}")
            ca = f"--ssl-ca={self._certificates.ours.ca}"
            self._running[kind] = Mysqld(self._program, (*options, ca))
        return self._running[kind].port

    def close(self) -> None:
        for server in self._running.values():
            server.remove()


@pytest.fixture(scope="module")
def tls_servers(program: Program, certificates: Certificates) -> Iterator[TlsServers]:
    servers = TlsServers(program, certificates)
    yield servers
    servers.close()


def cipher(dsn: Dsn) -> str:
    """Of a new connection; empty without TLS."""
    with Connection(dsn, connect_timeout=5, read_timeout=5) as connection:
        row = connection.row("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
        assert row is not None
        return str(row[1])


def refused(dsn: Dsn) -> DatabaseError:
    with pytest.raises(DatabaseError) as caught:
        cipher(dsn)
    # Another attempt would end like this one: a relay must not try for ever.
    assert not isinstance(caught.value, ConnectionLost)
    assert caught.value.hint
    assert PASSWORD not in f"{caught.value} {caught.value.hint} {caught.value!r}"
    return caught.value


#: What is said in each mode; "" where the server is believed.
MATRIX = {
    "good": {"verify": "", "ca": ""},
    "another name": {"verify": "--tls ca", "ca": ""},
    "expired": {"verify": "Renew the certificate", "ca": "Renew the certificate"},
    "another CA": {"verify": "does not hold the CA", "ca": "does not hold the CA"},
}


@pytest.mark.parametrize("kind", MATRIX)
def test_a_server_is_believed_in_exactly_the_modes_that_its_certificate_earns(
    tls_servers: TlsServers, certificates: Certificates, kind: str
) -> None:
    port = tls_servers.port(kind)
    place = f"mysql://root@127.0.0.1:{port}/?ssl_ca={certificates.ours.ca}"
    for mode, hint in MATRIX[kind].items():
        dsn = Dsn.parse(f"{place}&tls={mode}")
        if not hint:
            assert cipher(dsn), mode
            continue
        error = refused(dsn)
        assert error.number == TLS_FAILED
        assert hint in str(error.hint), mode
    anybody = Dsn.parse(f"mysql://root@127.0.0.1:{port}/?tls=required")
    assert cipher(anybody)
    assert cipher(Dsn.parse(f"mysql://root@127.0.0.1:{port}/?tls=off")) == ""


def test_the_default_is_in_clear_here_and_verified_elsewhere(
    tls_servers: TlsServers,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = tls_servers.port()
    assert cipher(Dsn("127.0.0.1", port)) == ""
    assert cipher(Dsn("127.0.0.1", port, ssl_ca=str(certificates.ours.ca)))
    # Not a loopback address, yet it leads to this machine (Linux).
    elsewhere = Dsn("0.0.0.0", port)
    assert "--tls-ca FILE" in str(refused(elsewhere).hint)
    # OpenSSL's way to name the CAs of the system.
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ours.ca))
    assert cipher(elsewhere)


def test_a_file_with_another_ca_is_refused(
    tls_servers: TlsServers, certificates: Certificates
) -> None:
    other = str(certificates.other.ca)
    error = refused(Dsn("127.0.0.1", tls_servers.port(), ssl_ca=other))
    assert other in str(error.hint)


def test_an_account_that_requires_tls_is_refused_with_a_word_of_it(
    tls_servers: TlsServers,
) -> None:
    user = f"tls_{secrets.token_hex(4)}"
    with Connection(Dsn("127.0.0.1", tls_servers.port())) as root:
        root.execute(
            f"CREATE USER {user}@'%%' IDENTIFIED BY %s REQUIRE SSL", (PASSWORD,)
        )
    dsn = Dsn("127.0.0.1", tls_servers.port(), user, PASSWORD)
    error = refused(dsn)
    assert error.number == 1045
    assert "--tls" in str(error.hint)
    assert cipher(Dsn("127.0.0.1", tls_servers.port(), user, PASSWORD, tls="required"))


@pytest.fixture(scope="module")
def without_tls(program: Program) -> Iterator[Mysqld]:
    option = "--skip-ssl" if program.server.is_mariadb else "--tls-version="
    server = Mysqld(program, (option,))
    yield server
    server.remove()


@pytest.mark.parametrize("mode", ["verify", "ca", "required"])
def test_a_server_without_tls_is_refused(without_tls: Mysqld, mode: str) -> None:
    place = f"mysql://root:{PASSWORD}@127.0.0.1:{without_tls.port}/?tls={mode}"
    error = refused(Dsn.parse(place))
    assert error.number == TLS_FAILED
    assert "no TLS" in str(error.hint)


def test_a_server_without_tls_is_used_where_that_is_said(without_tls: Mysqld) -> None:
    assert cipher(Dsn("0.0.0.0", without_tls.port, tls="off")) == ""


@pytest.mark.parametrize("mode", ["verify", "ca", "required"])
def test_nothing_is_sent_when_somebody_hides_that_the_server_has_tls(
    tls_servers: TlsServers, certificates: Certificates, mode: str
) -> None:
    ca = "" if mode == "required" else f"&ssl_ca={certificates.ours.ca}"
    with stripping_proxy(tls_servers.port()) as heard:
        error = refused(
            Dsn.parse(f"mysql://root:{PASSWORD}@127.0.0.1:{heard.port}/?tls={mode}{ca}")
        )
    assert error.number == TLS_FAILED
    assert heard.bytes == b""


def test_the_proxy_hears_all_where_tls_is_off(tls_servers: TlsServers) -> None:
    """Else the test above would show nothing."""
    with stripping_proxy(tls_servers.port()) as heard:
        assert cipher(Dsn("127.0.0.1", heard.port, tls="off")) == ""
    assert b"root\0" in heard.bytes


def test_a_server_that_goes_away_in_the_handshake_is_a_lost_connection(
    certificates: Certificates,
) -> None:
    """It may be restarting: a relay has to try again."""
    with (
        Impostor(certificates.pairs["good"], hangs_up=True) as server,
        pytest.raises(ConnectionLost),
    ):
        Connection(Dsn("127.0.0.1", server.port, tls="required"))


@pytest.mark.parametrize("mode", ["off", "required"])
def test_an_impostor_who_asks_for_the_password_does_not_get_it(
    certificates: Certificates, mode: str
) -> None:
    certificate = certificates.pairs["good"] if mode == "required" else None
    with Impostor(certificate) as impostor:
        place = f"mysql://app:{PASSWORD}@127.0.0.1:{impostor.port}/?tls={mode}"
        error = refused(Dsn.parse(place))
    assert "in clear" in error.message
    assert "--tls verify" in str(error.hint)
    assert impostor.password == b""


@pytest.mark.parametrize("mode", ["verify", "ca"])
def test_the_right_server_may_ask_for_the_password(
    certificates: Certificates, mode: str
) -> None:
    """PAM, LDAP and IAM accounts need it."""
    with Impostor(certificates.pairs["good"]) as server:
        place = f"mysql://app:{PASSWORD}@127.0.0.1:{server.port}/?tls={mode}"
        error = refused(Dsn.parse(f"{place}&ssl_ca={certificates.ours.ca}"))
    assert error.number == 1045
    assert server.password == PASSWORD.encode()


def test_the_certificates_that_mysql_makes_itself_do_for_the_mode_ca(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Mysqld(program)
    try:
        ca = server.folder / "data/ca.pem"
        if program.server.is_mariadb:
            # 10.11 makes none, and has no TLS then.
            assert not ca.exists()
            assert refused(Dsn("127.0.0.1", server.port, tls="ca")).number == TLS_FAILED
            return
        dsn = Dsn("127.0.0.1", server.port, ssl_ca=str(ca), tls="ca")
        assert cipher(dsn)
        by_name = refused(Dsn("127.0.0.1", server.port, ssl_ca=str(ca)))
        assert "--tls ca" in str(by_name.hint)
        # What evtrig leaves out.
        strict = dsn.policy.context()
        assert strict is not None
        strict.verify_flags |= ssl.VERIFY_X509_STRICT
        monkeypatch.setattr(Tls, "context", lambda self: strict)
        assert "Authority Key Identifier" in refused(dsn).message
    finally:
        server.remove()


def test_a_ca_file_that_cannot_be_used_is_wrong_usage(tmp_path: Path) -> None:
    text = tmp_path / "text.pem"
    text.write_text("no certificate\n")
    for path, problem in (
        (tmp_path / "none.pem", "No such file"),
        (tmp_path, "directory"),
        (text, "no PEM certificate"),
    ):
        with pytest.raises(UsageError, match=problem) as caught:
            Connection(Dsn("127.0.0.1", 1, ssl_ca=str(path)))
        assert str(path) in caught.value.message


@pytest.mark.parametrize("mode", ["verify", "ca"])
def test_what_python_3_13_made_the_default_is_the_same_everywhere(
    certificates: Certificates, mode: str
) -> None:
    context = Tls(mode, str(certificates.ours.ca)).context()
    assert context is not None
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN
