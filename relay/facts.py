"""How a line of the log looks: a constant message, and its facts behind it."""

from __future__ import annotations

import logging

__all__ = ["Facts"]


class Facts(logging.Formatter):
    """A constant message, then the facts of its ``extra`` as name=value.

    Behind the time, or behind ``head``: a format of the time for `logging`.
    """

    def __init__(self, head: str = "%(asctime)s") -> None:
        super().__init__(f"{head} %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        plain = vars(logging.makeLogRecord({}))
        facts = {k: v for k, v in vars(record).items() if k not in plain}
        for name in NOT_FACTS:
            facts.pop(name, None)
        line = super().format(record)
        return " ".join([line, *(f"{name}={value}" for name, value in facts.items())])


#: What formatters and Lambda's runtime put on a record.
NOT_FACTS = ("message", "asctime", "aws_request_id", "tenant_id")
