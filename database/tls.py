"""How a connection is encrypted and whom it trusts: ``--tls`` and ``--tls-ca``."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ..errors import UsageError, nearest

__all__ = ["MODES", "RDS", "RDS_BUNDLE", "Mode", "Tls", "find_bundle", "is_rds"]

#: ``verify``: the certificate and the host name in it. ``ca``: the certificate only.
#: ``required``: encrypted, to whoever answers. ``off``: in clear.
Mode = Literal["verify", "ca", "required", "off"]
MODES: tuple[Mode, ...] = get_args(Mode)

#: As a CA file: Amazon's bundle, looked for in BUNDLES.
RDS = "rds"
#: docs.aws.amazon.com, "Using SSL/TLS to encrypt a connection to a DB instance". In no
#: operating system's store.
RDS_BUNDLE = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
#: Names the bundle where it is in none of the places below.
BUNDLE_VARIABLE = "EVTRIG_RDS_CA"
#: Where images and machines tend to have it; /opt is where a Lambda layer is put. Not
#: the current folder: whoever may write there could choose the server.
BUNDLES = (
    "/etc/evtrig/global-bundle.pem",
    "/etc/ssl/certs/global-bundle.pem",
    "/etc/pki/tls/certs/global-bundle.pem",
    "/certs/global-bundle.pem",
    "/opt/global-bundle.pem",
)

# X509_V_ERR_* of OpenSSL, include/openssl/x509_vfy.h.
NOT_YET_VALID = 9
EXPIRED = 10
#: The issuer is not among the CAs: self-signed, self-signed in the chain, not found.
UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})
#: Host name, IP address.
OTHER_NAME = frozenset({62, 64})


@dataclass(frozen=True)
class Tls:
    """What a connection must be like before anything secret is sent over it."""

    mode: Mode
    #: A PEM file, ``rds``, or None for the CAs of the system.
    ca: str | None = None

    @staticmethod
    def mode_of(text: str, where: str) -> Mode:
        """Raises UsageError for a word that is no mode."""
        for mode in MODES:
            if text == mode:
                return mode
        near = nearest(text, MODES)
        raise UsageError(
            f"{text!r} is no TLS mode ({where})",
            hint=f"Did you mean {near}?"
            if near
            else f"It is one of {', '.join(MODES)}.",
        )

    @property
    def is_verified(self) -> bool:
        """Whether the server has to show that it is the one."""
        return self.mode in ("verify", "ca")

    def context(self) -> ssl.SSLContext | None:
        """What PyMySQL takes, None for ``off``. With a context it sends nothing but
        the request for TLS to a server that has none (1.2.0 and later).

        Raises UsageError for a CA file that cannot be used.
        """
        if self.mode == "off":
            return None
        context = self._trusting() if self.is_verified else ssl.create_default_context()
        context.check_hostname = self.mode == "verify"
        context.verify_mode = ssl.CERT_REQUIRED if self.is_verified else ssl.CERT_NONE
        # The default since Python 3.13, which the CA that MySQL makes for itself does
        # not meet (no Authority Key Identifier), nor do many companies' own. The same
        # on every Python, and as PyMySQL does it.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        # The other default since 3.13: what is in the file is trusted, also a
        # certificate that is not a CA's.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    def _trusting(self) -> ssl.SSLContext:
        if self.ca is None:
            return ssl.create_default_context()
        path = find_bundle() if self.ca == RDS else str(Path(self.ca).expanduser())
        try:
            return ssl.create_default_context(cafile=path)
        except ssl.SSLError:
            problem = "holds no PEM certificate"
        except (OSError, ValueError) as error:
            problem = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        raise UsageError(
            f"the CA file {path} {problem}",
            hint="Name a PEM file (-----BEGIN CERTIFICATE-----) with --tls-ca, or"
            " EVTRIG_TLS_CA, or leave it out to trust the CAs of the system. For a"
            " Lambda evtrig lambda build --tls-ca FILE packs it, as /var/task/ca.pem.",
        )

    def explain(self, error: ssl.SSLError, host: str) -> tuple[str, str]:
        """What went wrong with the server at ``host``, and what to do now."""
        if not isinstance(error, ssl.SSLCertVerificationError):
            return f"TLS failed: {error}", (
                "Server and client share no TLS version or cipher, or something else"
                " listens there; evtrig takes TLS 1.2 and later."
            )
        code = error.verify_code
        text = f"the server's certificate was refused: {error.verify_message}"
        if code == EXPIRED:
            hint = "Renew the certificate of the server (or of its CA); if it is good,"
            return text, f"{hint} set this machine's clock."
        if code == NOT_YET_VALID:
            return text, "Set this machine's clock, or the server's certificate anew."
        if code in OTHER_NAME:
            return text, (
                f"Connect under a name that the certificate has; {host} is none. --tls"
                " ca, or EVTRIG_TLS, checks only who has signed it: enough for a CA"
                " that signs nothing but your databases."
            )
        if code in UNKNOWN_ISSUER:
            return text, self._unknown_issuer(host)
        return text, "Mend the certificate of the server, or its chain."

    def _unknown_issuer(self, host: str) -> str:
        if is_rds(host):
            if ".proxy-" in host:
                return (
                    "Leave --tls-ca, or EVTRIG_TLS_CA, out: RDS Proxy has certificates"
                    " of Amazon Trust Services, which is among the CAs of the system."
                )
            if self.ca is None:
                return (
                    f"The CA of Amazon RDS is none of the system's. Get {RDS_BUNDLE}"
                    " (in China and GovCloud the bundle of your partition) and name"
                    " it: --tls-ca global-bundle.pem, or EVTRIG_TLS_CA."
                )
            return f"Get the present bundle: {RDS_BUNDLE}"
        if self.ca is None:
            return (
                "Name the file of the CA that has signed it: --tls-ca FILE, or"
                " EVTRIG_TLS_CA. Where MySQL has made its certificates itself, that is"
                " ca.pem in its data folder, with --tls ca, or EVTRIG_TLS: they name no"
                " host."
            )
        return f"{self.ca} does not hold the CA that has signed it; name the right one."


def is_rds(host: str) -> bool:
    """Whether Amazon RDS or Aurora answers under this name."""
    name = host.rstrip(".").lower()
    # id.REGION.rds.amazonaws.com, in China id.rds.REGION.amazonaws.com.cn
    return ".rds." in name and name.endswith((".amazonaws.com", ".amazonaws.com.cn"))


def find_bundle() -> str:
    """Amazon's bundle on this machine. Raises UsageError if it is nowhere."""
    named = os.environ.get(BUNDLE_VARIABLE)
    if named:
        return named
    for place in BUNDLES:
        if Path(place).exists():
            return place
    raise UsageError(
        f"the CA bundle of Amazon RDS is not here ({BUNDLE_VARIABLE} is not set, and"
        f" none of {', '.join(BUNDLES)} is there)",
        hint=f"Get {RDS_BUNDLE} and put it there, or name it: --tls-ca FILE, or"
        " EVTRIG_TLS_CA.",
    )
