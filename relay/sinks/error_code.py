"""Error codes of AWS, of a call or of an entry. Pure."""

from __future__ import annotations

__all__ = ["BUSY", "plain"]

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
    if code[:3].lower() == "kms":
        return f"Kms{code[3:].removeprefix('.')}"
    return code.rpartition(".")[2]
