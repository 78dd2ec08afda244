"""STS, as far as GetCallerIdentity goes (botocore, ``sts/2011-06-15``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .query import QueryService
from .service import Call

__all__ = ["Sts"]

ACCOUNT = "123456789012"


class Sts(QueryService):
    name = "sts"
    version = "2011-06-15"
    namespace = "https://sts.amazonaws.com/doc/2011-06-15/"

    def do_GetCallerIdentity(self, call: Call) -> Mapping[str, Any]:  # noqa: N802
        return {
            "UserId": "AIDAFAKE",
            "Account": ACCOUNT,
            "Arn": f"arn:aws:iam::{ACCOUNT}:user/fake",
        }
