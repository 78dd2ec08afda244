"""AWS Secrets Manager, as far as GetSecretValue goes.

Errors are those of the Secrets Manager API reference, GetSecretValue, November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .service import AwsError, Call, JsonService

__all__ = ["SecretsManager"]


class SecretsManager(JsonService):
    name = "secretsmanager"
    target = "secretsmanager"
    version = "1.1"

    def __init__(self, aws: Any) -> None:
        super().__init__(aws)
        #: Text, or bytes, by ARN and stage.
        self.values: dict[tuple[str, str], str | bytes] = {}

    def put(self, arn: str, value: str | bytes, *, stage: str = "AWSCURRENT") -> None:
        with self.aws.changed:
            self.values[arn, stage] = value

    def do_GetSecretValue(self, call: Call) -> Mapping[str, Any]:  # noqa: N802
        arn = call.parameters["SecretId"]
        stage = call.parameters.get("VersionStage", "AWSCURRENT")
        value = self.values.get((arn, stage))
        if value is None:
            missing = f"Secrets Manager can't find the specified secret value: {stage}"
            raise AwsError("ResourceNotFoundException", missing)
        key = "SecretString" if isinstance(value, str) else "SecretBinary"
        text = value if isinstance(value, str) else value.hex()
        return {"ARN": arn, "VersionStages": [stage], key: text}
