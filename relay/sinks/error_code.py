"""Error codes of AWS, of a call or of an entry. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["BUSY", "HINTS", "hint_of", "is_untaken", "plain"]

OF_KMS = re.compile(r"(?:kms\.?)+", re.IGNORECASE)

#: `plain` codes of what AWS has not taken, for it was asked too often; whoever is to
#: blame for that, it passes. From `_THROTTLED_ERROR_CODES` in botocore 1.44
#: (retries/standard.py), and KMS' as SQS and SNS say it.
BUSY = frozenset(
    {"Throttling", "Throttled", "RequestThrottled", "TooManyRequests", "SlowDown"}
    | {"ProvisionedThroughputExceeded", "RequestLimitExceeded", "LimitExceeded"}
    | {"BandwidthLimitExceeded", "KmsThrottled", "KmsThrottling"}
)

CREDENTIALS = "Check the AWS credentials: their key is unknown, disabled or of another"
CREDENTIALS += " partition."
CLOCK = "Check the AWS credentials, the region and this machine's clock."
EXPIRED = (
    "Renew the credentials: they have expired. Those of a role are renewed by"
    " themselves; a session token in the environment is not."
)
GONE = "Check the {kind}'s name, the account and the region ({region} was asked)."
KMS = "The KMS key that encrypts {where}"
#: Error codes that no repetition mends, with what does. A code stands here without what
#: services put around it: see `plain`. From "Common Errors" in the API references of
#: SQS, SNS, Kinesis and EventBridge, and their service models in botocore 1.44.
HINTS: Mapping[str, str] = {
    "AccessDenied": "Allow {action} on {where}.",
    "AuthorizationError": "Allow {action} on {where}.",
    "NotAuthorized": "Allow {action} on {where}.",
    "UnauthorizedOperation": "Allow {action} on {where}.",
    "InvalidClientTokenId": CREDENTIALS,
    "UnrecognizedClient": CREDENTIALS,
    "InvalidSecurity": CREDENTIALS,
    "InvalidAccessKeyId": CREDENTIALS,
    "MissingAuthenticationToken": CREDENTIALS,
    "SignatureDoesNotMatch": CLOCK,
    "InvalidSignature": CLOCK,
    "IncompleteSignature": CLOCK,
    "RequestExpired": CLOCK,
    "RequestTimeTooSkewed": CLOCK,
    "ExpiredToken": EXPIRED,
    "OptInRequired": "Sign the account up for the service.",
    "QueueDoesNotExist": GONE,
    "NonExistentQueue": GONE,
    "InvalidAddress": GONE,
    "NotFound": GONE,
    "ResourceNotFound": GONE,
    "TooManyEntriesInBatchRequest": "Lower the option entries of the destination: AWS"
    " takes fewer in a call.",
    "KmsAccessDenied": "Allow kms:GenerateDataKey and kms:Decrypt on the KMS key that"
    " encrypts {where}, in the key's own policy too.",
    "KmsDisabled": f"{KMS} is disabled: enable it.",
    "KmsNotFound": f"{KMS} is gone: choose another.",
    "KmsInvalidState": f"{KMS} is not ready for use: look at its state.",
    "KmsInvalidKeyUsage": f"{KMS} is not one for encrypting: choose another.",
    "KmsOptInRequired": "Sign the account up for KMS.",
}


def plain(code: str) -> str:
    """An error code without what surrounds it: ``KmsAccessDenied`` also for
    ``KMS.AccessDeniedException`` and ``KMSAccessDenied``, ``NonExistentQueue`` for
    ``AWS.SimpleQueueService.NonExistentQueue``."""
    code = code.removesuffix("Exception")
    # S3 says it twice: KMS.KMSInvalidStateException.
    is_of_kms = OF_KMS.match(code)
    if is_of_kms:
        return f"Kms{code[is_of_kms.end() :]}"
    return code.rpartition(".")[2]


def hint_of(
    code: str, *, action: str, kind: str, where: str, region: str
) -> str | None:
    """What a person can do about an error that no repetition mends; None for others.

    ``kind`` is what the destination is, ``where`` the one it is.
    """
    hint = HINTS.get(plain(code))
    if hint is None:
        return None
    return hint.format(action=action, kind=kind, where=where, region=region)


def is_untaken(code: str) -> bool:
    """Whether AWS has taken nothing of what it answered with this code."""
    return plain(code) in BUSY or plain(code) in HINTS
