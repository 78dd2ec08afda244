"""What `check` has to say: its kinds, and what mends each."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ...errors import UsageError, nearest
from ..spec import Spec

__all__ = [
    "SEVERITIES",
    "By",
    "Finding",
    "Mend",
    "Severity",
    "advice",
    "check_patterns",
    "edit",
    "ignored",
    "install",
    "shell",
    "some",
    "sql",
    "summary",
]

Severity = Literal["error", "warning", "notice"]
By = Literal["sql", "shell", "edit", "advice"]

#: By code, in the order of docs/check.md. ``error``: events are lost or writes fail.
#: ``warning``: they are, if somebody does a certain thing. ``notice``: worth knowing.
SEVERITIES: Mapping[str, Severity] = {
    # The spec and what is installed
    "outbox-missing": "error",
    "trigger-missing": "error",
    "trigger-edited": "error",
    "trigger-outdated": "error",
    "trigger-sql-mode": "error",
    "trigger-character-set": "error",
    "trigger-definer": "warning",
    "trigger-orphaned": "warning",
    "trigger-elsewhere": "error",
    "replacement-interrupted": "warning",
    "procedure-missing": "error",
    "procedure-outdated": "error",
    "procedure-orphaned": "warning",
    "spec-unfit": "error",
    "expression-fails": "error",
    # The account that owns the triggers
    "definer-missing": "error",
    "definer-unlocked": "warning",
    "definer-under-granted": "error",
    # The tables
    "table-missing": "error",
    "table-unfit": "error",
    "table-engine": "error",
    "table-renamed": "error",
    "table-swapped": "error",
    "online-schema-change": "warning",
    "column-lost": "error",
    "column-unknown": "error",
    "column-type": "error",
    "column-not-captured": "warning",
    "key-missing": "error",
    "key-changed": "error",
    "key-not-unique": "warning",
    "partitioned": "notice",
    "truncate": "notice",
    # Foreign keys and other triggers
    "cascade": "warning",
    "cascade-refused": "error",
    "cascade-switch": "notice",
    "cascade-note": "notice",
    "other-trigger": "notice",
    "trigger-order": "notice",
    "trigger-on-outbox": "warning",
    # The outbox
    "outbox-foreign": "error",
    "outbox-engine": "error",
    "outbox-character-set": "error",
    "outbox-column": "error",
    "outbox-index": "warning",
    "outbox-trigger": "error",
    "outbox-id": "warning",
    "outbox-writable": "warning",
    "outbox-temporary-tables": "warning",
    "outbox-administrators": "notice",
    # The server
    "read-only": "error",
    "replica": "error",
    "binlog-statement": "error",
    "auto-increment-increment": "warning",
    "isolation": "notice",
    "transaction-ids": "warning",
    # What is on its way
    "payload-large": "warning",
    "payload-unbounded": "notice",
    "relay-idle": "notice",
    "relay-not-running": "warning",
    "event-age": "warning",
    "dead-letters": "warning",
    # Where the relay sends them
    "sink-unusable": "error",
    "sink-notice": "notice",
    # What was not looked at
    "not-looked-at": "notice",
}


@dataclass(frozen=True)
class Mend:
    """One thing to do; those of a finding are done in their order."""

    #: ``sql``: one statement, without the semicolon. ``shell``: a command line.
    #: ``edit``: a change of a file. ``advice``: what no single command does.
    by: By
    text: str

    def __str__(self) -> str:
        return f"{self.text};" if self.by == "sql" else self.text


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or that somebody should know."""

    #: One of SEVERITIES.
    code: str
    #: Such as ``shop.orders``.
    object: str
    #: What is so.
    problem: str
    #: What comes of it; may be empty.
    consequence: str
    #: All of it is done, in this order.
    mend: tuple[Mend, ...]

    @property
    def severity(self) -> Severity:
        return SEVERITIES[self.code]

    @property
    def is_fault(self) -> bool:
        """Whether it is for somebody to mend, so that a cron job should fail."""
        return self.severity != "notice"

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the names are those of the fields."""
        return {
            "severity": self.severity,
            "code": self.code,
            "object": self.object,
            "problem": self.problem,
            "consequence": self.consequence,
            "mend": [{"by": mend.by, "text": mend.text} for mend in self.mend],
        }


def sql(*statements: str) -> tuple[Mend, ...]:
    return tuple(Mend("sql", statement) for statement in statements)


def shell(*arguments: str) -> tuple[Mend, ...]:
    return (Mend("shell", shlex.join(arguments)),)


def edit(*changes: str) -> tuple[Mend, ...]:
    """``changes`` begin with the place: ``evtrig.yml:5:7: remove v``."""
    return tuple(Mend("edit", change) for change in changes)


def advice(text: str) -> tuple[Mend, ...]:
    return (Mend("advice", text),)


def install(spec: Spec, *options: str) -> tuple[Mend, ...]:
    """`evtrig install`; the DSN comes from EVTRIG_DSN, it may hold a password."""
    # The default of --spec.
    at = () if spec.path == "evtrig.yml" else ("--spec", spec.path)
    return shell("evtrig", "install", *at, *options)


def ignored(finding: Finding, patterns: Collection[str]) -> bool:
    """Whether one of these, ``CODE`` or ``CODE:OBJECT``, is about the finding."""
    return finding.code in patterns or f"{finding.code}:{finding.object}" in patterns


def check_patterns(patterns: Sequence[str]) -> None:
    """Raise UsageError for one that is about no kind of finding."""
    for pattern in patterns:
        code = pattern.partition(":")[0]
        if code not in SEVERITIES:
            near = nearest(code, SEVERITIES)
            raise UsageError(
                f"there is no kind of finding {code!r}",
                hint=f"Did you mean {near}?" if near else "docs/check.md lists them.",
            )


def summary(severities: Iterable[Severity]) -> str:
    """``2 errors, 1 warning``, or that there is nothing."""
    counts: dict[str, int] = {}
    for severity in severities:
        counts[severity] = counts.get(severity, 0) + 1
    parts = [f"{n} {name}{'s' if n != 1 else ''}" for name, n in counts.items()]
    return ", ".join(parts) or "nothing found"


def some(names: list[str], most: int = 10) -> str:
    """A list that stays readable with 500 tables."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
