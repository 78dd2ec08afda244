"""From the outbox to a sink.

``evtrig.relay.lambda_handler`` is the handler of an AWS Lambda function
(invocation.py). It is imported when it is asked for: its import makes clients of AWS.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "lambda_handler":
        from .invocation import lambda_handler

        return lambda_handler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
