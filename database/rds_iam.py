"""The token that Amazon RDS takes as a password: ``auth=rds-iam``.

docs.aws.amazon.com, "IAM database authentication": signed here, without a call to AWS;
good for 15 minutes, which matters only while connecting.
"""

from __future__ import annotations

import re

import botocore.exceptions

from ..errors import CredentialsError
from .aws import region_of, session, unavailable
from .dsn import Dsn, RdsIam

__all__ = ["region_in", "token"]

#: id.REGION.rds.amazonaws.com, in China id.rds.REGION.amazonaws.com.cn
REGION = re.compile(
    r"\.(?:([a-z]{2}(?:-[a-z]+)+-\d+)\.rds|rds\.([a-z]{2}(?:-[a-z]+)+-\d+))"
    r"\.amazonaws\.com(?:\.cn)?\.?$"
)


def token(dsn: Dsn) -> str:
    """A new token for the account, host and port of ``dsn``.

    Raises CredentialsError; ConnectionLost where the credentials come over a network
    that does not answer.
    """
    assert isinstance(dsn.source, RdsIam)
    doing = f"sign a token for {dsn}"
    session_ = session()
    region = dsn.source.region or region_in(dsn.host) or region_of(session_)
    if region is None:
        raise CredentialsError(
            f"cannot {doing}: no AWS region",
            hint="Add &region=eu-west-1 to the DSN, or set AWS_REGION.",
        )
    try:
        client = session_.client("rds", region_name=region)
        try:
            made: str = client.generate_db_auth_token(
                DBHostname=dsn.host, Port=dsn.port, DBUsername=dsn.user, Region=region
            )
        finally:
            client.close()
    except botocore.exceptions.BotoCoreError as error:
        raise unavailable(error, doing) from None
    return made


def region_in(host: str) -> str | None:
    """The region in the name of an RDS endpoint."""
    found = REGION.search(host.lower())
    return (found[1] or found[2]) if found else None
