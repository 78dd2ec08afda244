"""Others say that the templates of `evtrig lambda template` are right: cfn-lint of
SAM's, and Terraform, where there is one, of its own.

Terraform can only read it, and say how it would write it. For more it takes the schema
of its provider, which comes over the network; tests/unit/test_lambda_template.py
compares its resources with those of SAM.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from evtrig.cli import main
from evtrig.function import template

QUEUE = "sqs:https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/0d1a"
ROUTED = """version: 1
destinations: {audit: 'kinesis:audit', bus: 'eventbridge:default'}
routes: [{to: [audit, bus]}]
"""
CHOICES = [
    list(itertools.chain(*choice))
    for choice in itertools.product(
        (("--auth", "secret"), ("--auth", "rds-iam")),
        (("--sink", QUEUE), ("--routes", "routes.yml")),
        ((), ("--on-oversize", "s3://orders-large")),
        ((), ("--kms-key", KEY)),
    )
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("routes.yml").write_text(ROUTED)


def test_cfn_lint_has_nothing_to_say_about_any_choice() -> None:
    texts = [printed("sam", *choice) for choice in CHOICES]
    assert len(set(texts)) == 16
    assert linted(texts) == [[]] * 16


def test_cfn_lint_finds_what_is_wrong() -> None:
    """Or it would not say much about what is right."""
    text = printed("sam", "--sink", QUEUE)
    wrong = []
    for old, new in (
        ("MemorySize: !Ref", "MemorySizes: !Ref"),
        ("MaximumRetryAttempts: 0", "MaximumRetryAttempts: many"),
        ("!GetAtt LogGroup.Arn", "!GetAtt LogGroups.Arn"),
        ("TreatMissingData: breaching", "TreatMissingData: bad"),
        ("!Ref SubnetIds", "!Ref Subnets"),
    ):
        assert old in text
        wrong.append(text.replace(old, new))
    assert [bool(found) for found in linted(wrong)] == [True] * len(wrong)


def test_lambda_has_the_runtime_and_will_have_it() -> None:
    """Asked of the resource that SAM makes of its own: of that one cfn-lint does not
    know the runtimes."""
    texts = [
        "Resources: {Relay: {Type: AWS::Lambda::Function, Properties: {Code: {ZipFile:"
        f" ''}}, Handler: a.b, Runtime: {runtime}, Role: !Sub 'arn:aws:iam::"
        "${AWS::AccountId}:role/relay'}}}"
        for runtime in (template.RUNTIME, "python3.99", "python3.8")
    ]
    right, unknown, old = linted(texts)
    assert right == []
    assert unknown
    assert old


@pytest.mark.skipif(not shutil.which("terraform"), reason="no terraform here")
def test_terraform_can_read_every_choice_and_would_write_it_the_same() -> None:
    for choice in CHOICES:
        run = subprocess.run(
            ["terraform", "fmt", "-check", "-diff", "-"],
            input=printed("terraform", *choice),
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (run.returncode, run.stdout) == (0, ""), choice


def printed(*arguments: str) -> str:
    found = CliRunner().invoke(
        main, ["lambda", "template", "--format", *arguments], env={}
    )
    assert found.exit_code == 0, f"{found.output}{found.exception!r}"
    return found.stdout


def linted(texts: Sequence[str]) -> list[list[str]]:
    """What cfn-lint says of each; nothing if the template is good."""
    paths = [Path(f"template-{number}.yml") for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    # CodeUri has to be there.
    Path("evtrig-lambda.zip").touch()
    found = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), "--format", "json", *paths],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stderr == ""
    matches = json.loads(found.stdout)
    assert bool(matches) == bool(found.returncode)
    return [
        [match["Message"] for match in matches if match["Filename"] == str(path)]
        for path in paths
    ]
