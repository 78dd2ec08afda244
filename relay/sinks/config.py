"""How every sink at AWS calls: soon given up, and repeated by the relay only."""

from __future__ import annotations

from botocore.config import Config

__all__ = ["CONNECT_TIMEOUT", "READ_TIMEOUT", "client_config", "preflight_config"]

#: Seconds; both well under the lease.
CONNECT_TIMEOUT = 2
READ_TIMEOUT = 4


def client_config(calls: int) -> Config:
    """For a client of which so many calls run at the same time."""
    return Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        # The relay repeats by itself: a hidden repetition could outlast the lease. So
        # could the pauses that the mode "adaptive" makes before it sends anything,
        # which AWS_RETRY_MODE would choose (botocore 1.44, retries/adaptive.py).
        retries={"mode": "standard", "total_max_attempts": 1},
        max_pool_connections=calls + 2,
        tcp_keepalive=True,
        # A tenth of a call's time, for what the type checker has looked at.
        parameter_validation=False,
    )


def preflight_config() -> Config:
    """For the one call before anything is sent, when no lease is held yet: a service
    that throttles it is asked again."""
    return Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": 4},
    )
