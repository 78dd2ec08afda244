"""What `evtrig lambda template` prints, byte for byte, and that its parts fit together.

tests/acceptance/test_infrastructure.py asks whether it can be deployed.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import golden
import hcl2
import jinja2
import pytest
import yaml
from click.testing import CliRunner, Result

from evtrig.cli import main
from evtrig.commands.relay import relay
from evtrig.database.dsn import RdsIam, Secret
from evtrig.function import template
from evtrig.function.archive import CA, ROUTES
from evtrig.function.template import FORMATS, Format
from evtrig.relay.settings import Settings

FOLDER = golden.FOLDER / "lambda"
SUFFIX = {"sam": "yml", "terraform": "tf"}
QUEUE = "sqs:https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/0d1a"
ROUTED = """version: 1
destinations:
  orders: sqs:https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo
  shipped: sns:arn:aws:sns:eu-west-1:123456789012:shipped
  audit: kinesis:audit
  bus: eventbridge:default
routes:
  - {type: OrderShipped, to: [shipped, bus]}
  - {to: [orders, audit]}
"""

CASES = {
    "queue": ("--sink", QUEUE),
    "everything": (
        *("--routes", "routes.yml", "--auth", "rds-iam", "--kms-key", KEY),
        *("--on-oversize", "s3://orders-large/events", "--outbox", "shop_outbox"),
    ),
}
BOTH = [(format_, name) for format_ in FORMATS for name in CASES]


@pytest.fixture(autouse=True)
def routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("routes.yml").write_text(ROUTED)


@pytest.mark.parametrize(("format_", "name"), BOTH)
def test_the_templates_are_the_golden_ones(format_: Format, name: str) -> None:
    """EVTRIG_ACCEPT=1 rewrites them: then review the difference."""
    text = printed(format_, *CASES[name])
    kept = FOLDER / f"{name}.{SUFFIX[format_]}"
    if os.environ.get("EVTRIG_ACCEPT"):
        kept.write_text(text)
    assert text == kept.read_text()


def test_no_golden_template_is_left_over() -> None:
    names = {f"{name}.{SUFFIX[format_]}" for format_, name in BOTH}
    assert {path.name for path in FOLDER.iterdir()} == names


@pytest.mark.parametrize("name", CASES)
def test_every_reference_in_terraform_leads_somewhere(name: str) -> None:
    text = printed("terraform", *CASES[name])
    parsed = hcl2.loads(text)
    variables = {unquoted(key) for one in parsed["variable"] for key in one}
    local = {key for one in parsed["locals"] for key in one if key[0] != "_"}
    resources = {
        f"{prefix}{unquoted(kind)}.{unquoted(key)}"
        for prefix, found in (
            ("", parsed["resource"]),
            ("data.", parsed["data"]),
        )
        for one in found
        for kind, named in one.items()
        for key in named
    }
    code = re.sub(r"^\s*#.*$", "", text, flags=re.M)
    assert set(re.findall(r"\bvar\.(\w+)", code)) == variables
    assert set(re.findall(r"\blocal\.(\w+)", code)) == local
    used = set(re.findall(r"\b((?:data\.)?aws_\w+\.\w+)\.", code))
    used |= set(re.findall(r"depends_on = \[([\w.]+)\]", code))
    assert used <= resources


@pytest.mark.parametrize("name", CASES)
def test_sam_and_terraform_allow_the_same(name: str) -> None:
    assert allowed_by_sam(name) == allowed_by_terraform(name)


@pytest.mark.parametrize("name", CASES)
def test_sam_and_terraform_set_the_same(name: str) -> None:
    text = printed("terraform", *CASES[name])
    assert set(environment_of_sam(name)) == set(
        re.findall(r"\bEVTRIG_\w+(?= +=)", text)
    )


@pytest.mark.parametrize("name", CASES)
def test_the_relay_understands_what_is_set(name: str) -> None:
    deployed = {**DEPLOYED, **defaults(load_sam(name))}
    environment = {
        variable: value_of(value, deployed)
        for variable, value in environment_of_sam(name).items()
    }
    known = {
        option.envvar or f"EVTRIG_RELAY_{str(option.name).upper()}"
        for option in relay.params
    }
    assert set(environment) <= known
    settings = Settings.read(environment)
    assert settings.dsn.ssl_ca == "/var/task/ca.pem"
    if name == "queue":
        assert settings.dsn.source == Secret(DEPLOYED["SecretArn"])
        assert settings.dsn.schema == "shop"
        assert settings.sink == QUEUE
    else:
        assert settings.dsn.source == RdsIam()
        assert settings.dsn.user == "relay"
        assert settings.routes == "/var/task/evtrig-relay.json"
        assert settings.claim_check == "s3://orders-large/events"
        assert settings.outbox == "shop_outbox"


def test_paths_within_the_archive_are_those_that_build_writes() -> None:
    assert environment_of_sam("everything")["EVTRIG_ROUTES"] == f"/var/task/{ROUTES}"
    parameters = load_sam("queue")["Parameters"]
    assert parameters["TlsCa"]["Default"] == f"/var/task/{CA}"


@pytest.mark.parametrize("format_", FORMATS)
def test_the_newest_invocation_takes_over_and_none_is_repeated(format_: Format) -> None:
    text = printed(format_, "--sink", QUEUE).lower().replace("_", "")
    settings = dict(re.findall(r'^ *"?(\w+)"? *[:=] (.+)$', text, re.M))
    assert settings["reservedconcurrentexecutions"] == "2"
    assert settings["scheduleexpression"].strip('"') == "rate(1 minute)"
    assert re.findall(r"maximumretryattempts *[:=] (\d+)", text) == ["0", "0"]
    # Lambda repeats what it has throttled whatever the number of attempts.
    assert re.findall(r"maximumeventageinseconds *[:=] (\d+)", text) == ["60", "60"]


@pytest.mark.parametrize("format_", FORMATS)
def test_a_relay_of_which_nothing_is_heard_sets_off_the_alarm(format_: Format) -> None:
    text = printed(format_, "--sink", QUEUE)
    assert len(re.findall(r'[:=] "?breaching"?$', text, re.M)) == 1
    assert len(re.findall(r'[:=] "?notBreaching"?$', text, re.M)) == 1


@pytest.mark.parametrize("format_", FORMATS)
def test_what_stands_in_a_uri_stands_for_itself(format_: Format) -> None:
    """Neither format takes it for one of its own expressions."""
    topic = 'sns:arn:aws:sns:eu-west-1:123456789012:a${Role}${var.x}%{if}"b'
    text = printed(format_, "--sink", topic)
    if format_ == "sam":
        document = load(text)
        environment = document["Resources"]["Relay"]["Properties"]["Environment"]
        assert environment["Variables"]["EVTRIG_SINK"] == topic
        assert "a${!Role}${!var.x}%{if}" in text
    else:
        # "Strings and Templates" of the Terraform language.
        escaped = topic.replace("${", "$${").replace("%{", "%%{").replace('"', '\\"')
        assert f'EVTRIG_SINK              = "{escaped}"' in text


def test_nothing_reaches_a_template_without_quotes() -> None:
    made = template.environment("sam")
    with pytest.raises(TypeError, match="without quotes"):
        made.from_string("{{ uri }}").render(uri="sqs:x\nRole: admin")
    with pytest.raises(jinja2.UndefinedError):
        made.from_string("{{ urj }}").render(uri="x")
    shown = made.from_string("# {{ why | comment }}").render(why="a\nb\u2028c")
    assert shown == "# a b c"


def test_a_template_that_was_changed_is_not_overwritten() -> None:
    arguments = ("--format", "sam", "--sink", QUEUE, "-o", "evtrig.yml")
    assert run(*arguments).exit_code == 0
    again = run(*arguments)
    assert again.exit_code == 0
    assert again.stderr.startswith("evtrig: evtrig.yml: sam, ")
    path = Path("evtrig.yml")
    path.write_text(f"{path.read_text()}# ours\n")
    again = run(*arguments)
    assert again.exit_code == 1
    assert "--force" in again.stderr
    assert path.read_text().endswith("# ours\n")
    assert run(*arguments, "--force").exit_code == 0
    assert path.read_text() == printed("sam", "--sink", QUEUE)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "it is not said where the events go"),
        (("--sink", "stdout:"), "no destinations for a Lambda"),
        (("--sink", "file:a.ndjson"), "no destinations for a Lambda"),
        (("--sink", QUEUE, "--routes", "routes.yml"), "exclude each other"),
        (("--sink", "sqs:http://localhost:4566/1/q"), "region, account and name"),
        (("--sink", f"{QUEUE}?fare=key"), "an option that it does not know"),
        (("--sink", QUEUE, "--kms-key", "a"), "not the ARN of a KMS key"),
    ],
)
def test_what_cannot_be_deployed_is_one_message_with_a_hint(
    arguments: tuple[str, ...], problem: str
) -> None:
    found = run("--format", "sam", *arguments)
    assert found.exit_code == 2, found.output
    first, second = found.stderr.splitlines()
    assert problem in first
    assert second.startswith("  → ")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["lambda", "template", *arguments], env={})


def printed(format_: Format, *arguments: str) -> str:
    found = run("--format", format_, *arguments)
    assert found.exit_code == 0, f"{found.output}{found.exception!r}"
    return found.stdout


class Loader(yaml.SafeLoader):
    """YAML with the short forms of CloudFormation's functions."""


def short_form(loader: Loader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    assert isinstance(node, yaml.SequenceNode)
    return {suffix: loader.construct_sequence(node, deep=True)}


Loader.add_multi_constructor("!", short_form)


def load(text: str) -> Any:
    return yaml.load(text, Loader)


def load_sam(name: str) -> Any:
    return load(printed("sam", *CASES[name]))


def environment_of_sam(name: str) -> dict[str, Any]:
    relay = load_sam(name)["Resources"]["Relay"]["Properties"]
    variables: dict[str, Any] = relay["Environment"]["Variables"]
    return variables


#: What somebody gives for the parameters without a default, and for one with.
DEPLOYED = {
    "SecretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-Ab12Cd",
    "DatabaseHost": "shop.cluster-c1a2.eu-west-1.rds.amazonaws.com",
    "DatabaseUser": "relay",
}


def defaults(document: Any) -> dict[str, str]:
    return {
        name: str(parameter["Default"])
        for name, parameter in document["Parameters"].items()
        if "Default" in parameter
    } | {"DatabaseOptions": "?schema=shop"}


def value_of(value: Any, parameters: dict[str, str]) -> str:
    """Of an environment variable, once it is deployed."""
    if isinstance(value, str):
        return value
    ((function, argument),) = value.items()
    if function == "Ref":
        return parameters[argument]
    if function == "Sub":
        return re.sub(r"\$\{(\w+)\}", lambda m: parameters[m[1]], argument)
    assert function == "If"
    return value_of(argument[1], parameters)


Allowed = list[tuple[str, tuple[str, ...], tuple[str, ...]]]


def allowed_by_sam(name: str) -> Allowed:
    (inline,) = load_sam(name)["Resources"]["Role"]["Properties"]["Policies"]
    return [
        (
            statement["Effect"],
            tuple(statement["Action"]),
            tuple(
                neutral(r.get("Sub", "LOGS")) if isinstance(r, dict) else r
                for r in statement["Resource"]
            ),
        )
        for statement in inline["PolicyDocument"]["Statement"]
    ]


def allowed_by_terraform(name: str) -> Allowed:
    text = printed("terraform", *CASES[name])
    start = text.index('resource "aws_iam_role_policy" "relay"')
    block = text[start : text.index("\n}\n", start)]
    block = re.sub(r"^\s*#.*$", "", block, flags=re.M)
    return [
        (effect, texts(actions), tuple(map(neutral, texts(resources))))
        for effect, actions, resources in re.findall(
            r'Effect += "(\w+)"\s+Action += (\[.*?\])\s+Resource += (\[.*?\])\n',
            block,
            re.DOTALL,
        )
    ]


def texts(listed: str) -> tuple[str, ...]:
    """Of a list in HCL."""
    return tuple(json.loads(re.sub(r",\s*\]", "]", listed)))


def neutral(resource: str) -> str:
    """The same whichever format it is from."""
    for words in template.NAMES.values():
        for ours, word in words.items():
            resource = resource.replace(f"${{{word}}}", f"<{ours}>")
    return "LOGS" if "aws_cloudwatch_log_group" in resource else resource


def unquoted(name: str) -> str:
    """python-hcl2 leaves the quotes of labels."""
    return name.strip('"')
