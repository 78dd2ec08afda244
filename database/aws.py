"""boto3, where AWS keeps or signs what a connection needs. Imported only then."""

from __future__ import annotations

import os
import re

import boto3
import botocore.exceptions
from botocore.config import Config

from ..errors import ConnectionLost, CredentialsError, EvtrigError

__all__ = ["CONFIG", "error_code", "reason_of", "region_of", "session", "unavailable"]

#: Seconds, and tries. A relay that connects again has no lease left to keep; it must
#: only not hang.
CONFIG = Config(
    connect_timeout=2,
    read_timeout=4,
    retries={"mode": "standard", "total_max_attempts": 2},
)

#: Of the URL of an endpoint; a slash in it may not be written as %2F.
USER_AND_PASSWORD = re.compile(r"""(?<=://)[^\s"']*@""")
#: CR_CONN_HOST_ERROR of the client library: what a server that is not there gives.
CANNOT_CONNECT = 2003

CREDENTIALS_HINT = (
    "Set AWS_PROFILE, or give this machine, container or function a role; see"
    ' "Credentials" in boto3\'s documentation.'
)
NO_CREDENTIALS = (
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.PartialCredentialsError,
    botocore.exceptions.CredentialRetrievalError,
    botocore.exceptions.ProfileNotFound,
    botocore.exceptions.SSOError,
    botocore.exceptions.TokenRetrievalError,
)
#: No answer from AWS: trying again may help.
NO_ANSWER = (
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ConnectionError,
)


def session() -> boto3.session.Session:
    """Raises CredentialsError for a profile that is not there."""
    try:
        return boto3.session.Session()
    except botocore.exceptions.BotoCoreError as error:
        raise unavailable(error, "use AWS") from None


def region_of(session: boto3.session.Session) -> str | None:
    """The region of the environment or the profile."""
    # boto3 itself reads AWS_DEFAULT_REGION and the profile only.
    return os.environ.get("AWS_REGION") or session.region_name


def unavailable(error: botocore.exceptions.BotoCoreError, doing: str) -> EvtrigError:
    """What to raise where AWS could not even be asked to do it."""
    message = f"cannot {doing}: {reason_of(error)}"
    if isinstance(error, NO_CREDENTIALS):
        return CredentialsError(message, hint=CREDENTIALS_HINT)
    if isinstance(error, NO_ANSWER):
        return ConnectionLost(
            message,
            number=CANNOT_CONNECT,
            hint="Check the network (a VPC without a NAT gateway needs an endpoint for"
            " the service) and AWS_ENDPOINT_URL.",
        )
    return CredentialsError(
        message,
        hint="Check AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL and the AWS"
        " configuration files.",
    )


def reason_of(error: Exception) -> str:
    """What botocore says, without the password of an endpoint that it names."""
    return USER_AND_PASSWORD.sub("", str(error))


def error_code(error: botocore.exceptions.ClientError) -> str:
    """``Error.Code`` of a call that AWS refused."""
    return str(error.response.get("Error", {}).get("Code", "unknown"))
