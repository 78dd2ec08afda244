"""What `check --ddl` has to say of a pending migration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .check import Finding, Severity

__all__ = ["CODE", "Foreseen"]

#: Stands for all of them, where a finding of `check` has the code of its kind.
CODE = "ddl"


@dataclass(frozen=True)
class Foreseen:
    """Something that a migration would do to capture, or that somebody should know."""

    severity: Severity
    #: Such as ``shop.orders``.
    object: str
    #: What will be so.
    problem: str
    #: What comes of it.
    consequence: str
    #: What to do; may have several lines, or be empty.
    mend: str

    @classmethod
    def after(cls, migration: str, finding: Finding) -> Foreseen:
        """What `check` would find after the migration."""
        return cls(
            finding.severity,
            finding.object,
            f"{finding.problem}, after {migration}",
            finding.consequence,
            "\n".join(map(str, finding.mend)),
        )

    @property
    def is_fault(self) -> bool:
        """Whether it is for somebody to mend, so that a pipeline should fail."""
        return self.severity != "notice"

    def as_dict(self) -> dict[str, Any]:
        """For JSON, in the form of a finding."""
        mend = [{"by": "advice", "text": self.mend}] if self.mend else []
        return {
            "severity": self.severity,
            "code": CODE,
            "object": self.object,
            "problem": self.problem,
            "consequence": self.consequence,
            "mend": mend,
        }
