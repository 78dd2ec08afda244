"""Error codes of AWS, of a call or of an entry. Pure."""

from __future__ import annotations

import re

__all__ = ["BUSY", "plain"]

OF_KMS = re.compile(r"(?:kms\.?)+", re.IGNORECASE)

#: `plain` codes of what AWS has not taken, for it was asked too often; whoever is to
#: blame for that, it passes. From `_THROTTLED_ERROR_CODES` in botocore 1.44
#: (retries/standard.py), and KMS' as SQS and SNS say it.
BUSY = frozenset(
    {"Throttling", "Throttled", "RequestThrottled", "TooManyRequests", "SlowDown"}
    | {"ProvisionedThroughputExceeded", "RequestLimitExceeded", "LimitExceeded"}
    | {"BandwidthLimitExceeded", "KmsThrottled", "KmsThrottling"}
)


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
