"""A secret in AWS Secrets Manager: JSON with username, password, host, port, dbname.

The form is that of "JSON structure of AWS Secrets Manager secrets" in its user guide;
a secret that RDS manages itself has username and password only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import botocore.exceptions

from ..errors import ConnectionLost, CredentialsError, EvtrigError
from .aws import (
    CANNOT_CONNECT,
    CONFIG,
    CREDENTIALS_HINT,
    error_code,
    session,
    unavailable,
)
from .dsn import Secret

__all__ = ["parse_secret", "versions"]

ENGINES = ("mysql", "mariadb", "aurora", "aurora-mysql")

#: Its place in a secret, and in a Dsn.
TEXTS = {"username": "user", "password": "password", "host": "host", "dbname": "schema"}

#: The version that holds now, and the one that a rotation is putting in its place.
CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"

NOT_THERE = "ResourceNotFoundException"

# Error codes of GetSecretValue in the Secrets Manager API reference.
HINTS = {
    NOT_THERE: "Check the ARN: its region, account and name.",
    "AccessDeniedException": "Allow secretsmanager:GetSecretValue on the secret to the"
    " role that evtrig runs as, and kms:Decrypt where a key of your own encrypts it.",
    "DecryptionFailure": "Allow kms:Decrypt on the key of the secret.",
    "InvalidRequestException": "The secret is marked for deletion or has no value:"
    " restore it, or name another.",
    "InvalidParameterException": "Check the ARN.",
    "ValidationException": "Check the ARN.",
}
REFUSED_CREDENTIALS = frozenset({
    "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException",
    "SignatureDoesNotMatch", "ExpiredTokenException", "ExpiredToken",
    "MissingAuthenticationToken", "MissingAuthenticationTokenException",
    "IncompleteSignature", "IncompleteSignatureException",
})  # fmt: skip
#: Nothing is wrong with the call: trying again may help.
AGAIN = frozenset({
    "InternalServiceError", "InternalServiceErrorException", "InternalFailure",
    "ServiceUnavailable", "Throttling", "ThrottlingException",
    "TooManyRequestsException", "RequestLimitExceeded",
})  # fmt: skip


def versions(secret: Secret) -> Iterator[dict[str, Any]]:
    """Fields of a Dsn as the secret has them, asked for one by one as they are needed.

    The second is for a server that refused the first. Rotation changes the password at
    the server before it makes the new version the current one ("How rotation works":
    setSecret, finishSecret), so it is the current version read again if that has
    changed meanwhile, else the pending one, if there is one.

    Raises CredentialsError, or ConnectionLost where trying again may help.
    """
    first = _read(secret, CURRENT)
    assert first is not None
    yield parse_secret(first, secret.arn)
    for stage in (CURRENT, PENDING):
        text = _read(secret, stage)
        if text is not None and text != first:
            yield parse_secret(text, secret.arn)
            return


def parse_secret(text: str, arn: str) -> dict[str, Any]:
    """Fields of a Dsn. Raises CredentialsError, which repeats nothing of the text."""
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise CredentialsError(
            f"the secret {arn} is no JSON object",
            hint='It has to be {"username": …, "password": …, "host": …, "port": …,'
            ' "dbname": …}, as the console of Secrets Manager makes it.',
        )
    engine = content.get("engine")
    if engine is not None and engine not in ENGINES:
        raise CredentialsError(
            f"the secret {arn} is not for a MySQL or MariaDB server",
            hint=f'Its "engine" has to be one of {", ".join(ENGINES)}; name another'
            " secret.",
        )
    fields: dict[str, Any] = {}
    for key, name in TEXTS.items():
        value = content.get(key)
        if value in (None, "") and key in ("host", "dbname"):
            continue
        if not isinstance(value, str) or not value:
            kind = "has no" if value is None else "needs a text as"
            raise CredentialsError(
                f'the secret {arn} {kind} "{key}"', hint="Add it to the secret's JSON."
            )
        fields[name] = value
    port = content.get("port")
    if port not in (None, ""):
        if isinstance(port, bool) or not str(port).isdecimal() or int(port) > 65535:
            raise CredentialsError(
                f'the secret {arn} has a "port" that is no port',
                hint="Correct it in the secret's JSON.",
            )
        fields["port"] = int(port)
    return fields


def _read(secret: Secret, stage: str) -> str | None:
    """The text of a version; None if it is the pending one and there is none."""
    doing = f"read the secret {secret.arn}"
    try:
        client: Any = session().client(
            "secretsmanager", region_name=secret.region, config=CONFIG
        )
        try:
            answer = client.get_secret_value(SecretId=secret.arn, VersionStage=stage)
        finally:
            client.close()
    except botocore.exceptions.ClientError as error:
        if stage == PENDING and error_code(error) == NOT_THERE:
            return None
        raise _refused(error, doing) from None
    except botocore.exceptions.BotoCoreError as error:
        raise unavailable(error, doing) from None
    text = answer.get("SecretString")
    if not isinstance(text, str):
        raise CredentialsError(
            f"the secret {secret.arn} is binary",
            hint="Store it as text: JSON with username and password.",
        )
    return text


def _refused(error: botocore.exceptions.ClientError, doing: str) -> EvtrigError:
    code = error_code(error)
    message = f"cannot {doing}: {code}"
    if code in AGAIN:
        hint = "Wait and try again."
        return ConnectionLost(message, number=CANNOT_CONNECT, hint=hint)
    if code in REFUSED_CREDENTIALS:
        hint = f"The AWS credentials are wrong or too old. {CREDENTIALS_HINT}"
        return CredentialsError(message, hint=hint)
    hint = HINTS.get(code, "Look the code up in the Secrets Manager API reference.")
    return CredentialsError(message, hint=hint)
