"""Who connects, and with what password: looked up anew at each connect.

A password that was rotated, or a token that has run out, is of no concern to a relay
that connects again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from ..errors import CredentialsError
from .dsn import DefaultsFile, Dsn, RdsIam, Secret
from .option_file import OptionFile

__all__ = ["hint_of", "logins"]


def logins(dsn: Dsn) -> Iterator[Dsn]:
    """``dsn`` with user, password and the rest in it, to be tried one after the other
    while the server says that the password is wrong. At least one.

    Raises CredentialsError, UsageError for a defaults file, ConnectionLost where trying
    again may help.
    """
    match dsn.source:
        case None:
            yield dsn
        case DefaultsFile(path):
            yield dsn.filled(OptionFile.read(path).fields)
        case RdsIam():
            # boto3 takes long to import, and most need it not.
            from .rds_iam import token

            yield dataclasses.replace(dsn, password=token(dsn))
        case Secret(arn) as secret:
            from .secret import versions

            for fields in versions(secret):
                if "host" in dsn.pending - fields.keys():
                    raise CredentialsError(
                        f'the secret {arn} has no "host"',
                        hint="Secrets that RDS manages have none. Add it to the DSN:"
                        " arn:…?host=db.example.com&schema=shop",
                    )
                yield dsn.filled(fields)


def hint_of(dsn: Dsn) -> str:
    """What to do when the server refuses the user or the password (error 1045)."""
    match dsn.source:
        case Secret(arn):
            hint = f"User and password are those of {arn}, read just now: set the"
            hint += " account's password to it, or rotate the secret."
        case RdsIam():
            hint = (
                "Allow rds-db:connect on the account (arn:aws:rds-db:REGION:ACCOUNT:"
                f"dbuser:RESOURCE/{dsn.user}) to the role that evtrig runs as; the"
                " account has to be IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'."
            )
        case DefaultsFile(path):
            hint = f"Check user and password in {path}; a # in a password needs quotes"
            hint += " around the whole."
        case None:
            hint = (
                "Check the user and the password in EVTRIG_DSN (special characters are"
                " percent-encoded, @ is %40), or keep them in a --defaults-file, in a"
                " Lambda in a secret."
            )
    if dsn.policy.mode == "off":
        hint += " An account that REQUIREs SSL is refused like this too: give --tls,"
        hint += " or EVTRIG_TLS."
    return hint
