"""What is said when a server's certificate is refused, and where Amazon's CA is."""

from __future__ import annotations

import re
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from evtrig.database import tls
from evtrig.database.connection import HINTS
from evtrig.database.credentials import hint_of
from evtrig.database.dsn import Dsn
from evtrig.database.tls import RDS_BUNDLE, Tls, find_bundle, is_rds
from evtrig.errors import UsageError

RDS_HOST = "shop.c1abc2def3.eu-west-1.rds.amazonaws.com"
PROXY = "shop.proxy-c1abc2def3.eu-west-1.rds.amazonaws.com"
CHINA = "shop.c1abc2def3.rds.cn-north-1.amazonaws.com.cn"


def refusal(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("refused")
    error.verify_code, error.verify_message = code, "words of OpenSSL"
    return error


def hint(code: int, host: str = "db.example.com", ca: str | None = None) -> str:
    text, hint = Tls("verify", ca).explain(refusal(code), host)
    assert "words of OpenSSL" in text
    return hint


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (9, "clock"),
        (10, "Renew"),
        (18, "--tls-ca FILE"),
        (19, "--tls-ca FILE"),
        (20, "--tls-ca FILE"),
        (62, "db.example.com is none"),
        (64, "db.example.com is none"),
        (26, "Mend"),
    ],
)
def test_each_refusal_has_its_own_advice(code: int, words: str) -> None:
    assert words in hint(code)


@pytest.mark.parametrize("host", [RDS_HOST, CHINA, RDS_HOST.upper(), f"{RDS_HOST}."])
def test_an_rds_host_is_told_where_its_ca_is_and_which_option_to_give(
    host: str,
) -> None:
    assert is_rds(host)
    assert RDS_BUNDLE in hint(20, host)
    assert "--tls-ca global-bundle.pem" in hint(20, host)
    assert RDS_BUNDLE in hint(20, host, ca="rds")


def test_an_rds_proxy_has_a_ca_of_the_system() -> None:
    advice = hint(20, PROXY, ca="rds")
    assert "Leave --tls-ca, or EVTRIG_TLS_CA, out" in advice


@pytest.mark.parametrize("host", ["db.example.com", "rds.amazonaws.com.evil.example"])
def test_another_host_is_told_nothing_of_rds(host: str) -> None:
    assert RDS_BUNDLE not in hint(20, host)


def usage(call: Callable[[], object]) -> str:
    with pytest.raises(UsageError) as caught:
        call()
    return str(caught.value.hint)


def test_a_hint_that_names_an_option_names_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Lambda has no options."""
    monkeypatch.delenv("EVTRIG_RDS_CA", raising=False)
    monkeypatch.setattr(tls, "BUNDLES", ())
    absent = str(tmp_path / "ca.pem")
    iam = "mysql://relay@db.example.com/?auth=rds-iam&tls=off"
    hints = [
        *(hint(code, host) for code in (18, 62) for host in ("db", RDS_HOST)),
        hint(20, PROXY, ca="rds"),
        *map(str, HINTS.values()),
        hint_of(Dsn("db", user="relay", tls="off")),
        usage(Tls("verify", absent).context),
        usage(find_bundle),
        usage(lambda: Dsn("db", tls="required", ssl_ca=absent)),
        usage(lambda: Dsn.parse(iam)),
    ]
    assert sum("--tls" in text for text in hints) > 9
    for text in hints:
        for option, variable in (
            (r"--tls\b(?!-)", r"EVTRIG_TLS\b"),
            (r"--tls-ca\b", r"EVTRIG_TLS_CA\b"),
        ):
            assert bool(re.search(option, text)) <= bool(re.search(variable, text)), (
                text
            )


def test_a_ca_that_was_not_packed_is_said_to_be_packed_by_build(tmp_path: Path) -> None:
    advice = usage(Tls("verify", str(tmp_path / "ca.pem")).context)
    assert "evtrig lambda build --tls-ca FILE" in advice


def test_a_failure_that_is_no_refusal_names_the_versions() -> None:
    error = ssl.SSLError("no shared cipher")
    _, advice = Tls("required").explain(error, "db")
    assert "TLS 1.2" in advice


def test_the_bundle_is_found_where_the_variable_or_a_known_place_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EVTRIG_RDS_CA", raising=False)
    place = tmp_path / "global-bundle.pem"
    monkeypatch.setattr(tls, "BUNDLES", (str(tmp_path / "none"), str(place)))
    with pytest.raises(UsageError) as caught:
        find_bundle()
    assert RDS_BUNDLE in str(caught.value.hint)
    assert str(place) in caught.value.message
    place.touch()
    assert find_bundle() == str(place)
    monkeypatch.setenv("EVTRIG_RDS_CA", "/elsewhere.pem")
    assert find_bundle() == "/elsewhere.pem"


@pytest.mark.parametrize("mode", ["required", "off"])
def test_a_mode_that_verifies_nothing_needs_no_ca(mode: tls.Mode) -> None:
    context = Tls(mode).context()
    assert (context is None) == (mode == "off")
    assert context is None or context.verify_mode is ssl.CERT_NONE


def test_what_connects_without_aws_does_not_load_boto3() -> None:
    """It takes longer to import than all the rest."""
    code = "import sys, evtrig.cli, evtrig.database.connection as _; "
    code += "print('boto3' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout == "False\n"
