"""What a relay is allowed at AWS is what its code calls, and on nothing else."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest
from click.testing import CliRunner, Result

from evtrig.cli import main
from evtrig.database.dsn import Dsn
from evtrig.errors import UsageError
from evtrig.relay.permission import (
    A_REGION,
    DESTINATIONS,
    Here,
    Permission,
    for_database,
    for_destinations,
    for_keys,
    for_large_events,
    partition_of,
    policy,
)

ROOT = Path(__file__).resolve().parents[2]
QUEUE = "sqs:https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo"
IRELAND = Here(region="eu-west-1", account="123456789012")
KEY = "arn:aws:kms:eu-west-1:123456789012:key/0d1a"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/relay"
IAM = "mysql://relay@shop.cluster-c1a2.eu-west-1.rds.amazonaws.com/?auth=rds-iam"

#: Where the relay calls AWS, by the service of boto3 whose client it has there.
CALLS = {
    "relay/sinks/sqs.py": "sqs",
    "relay/sinks/sns.py": "sns",
    "relay/sinks/kinesis.py": "kinesis",
    "relay/sinks/eventbridge.py": "events",
    "relay/sinks/claim_check.py": "s3",
    "database/secret.py": "secretsmanager",
}
#: "If you specify SendMessage, it also grants SendMessageBatch": "Amazon SQS API
#: permissions" in its developer guide, and "Actions defined by Amazon SNS" in the
#: Service Authorization Reference, which has no action PublishBatch.
ALLOWED_BY = {
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sns:PublishBatch": "sns:Publish",
}


@pytest.mark.parametrize(
    ("uri", "actions", "resource"),
    [
        (
            QUEUE,
            ("sqs:SendMessage", "sqs:GetQueueAttributes"),
            "arn:aws:sqs:eu-west-1:123456789012:orders.fifo",
        ),
        (
            "sqs:https://sqs-fips.us-gov-west-1.amazonaws.com/123456789012/q?calls=2",
            ("sqs:SendMessage", "sqs:GetQueueAttributes"),
            "arn:aws-us-gov:sqs:us-gov-west-1:123456789012:q",
        ),
        (
            "sqs:https://sqs.cn-north-1.amazonaws.com.cn/123456789012/orders",
            ("sqs:SendMessage", "sqs:GetQueueAttributes"),
            "arn:aws-cn:sqs:cn-north-1:123456789012:orders",
        ),
        (
            "sqs:https://sqs.eusc-de-east-1.amazonaws.eu/123456789012/orders",
            ("sqs:SendMessage", "sqs:GetQueueAttributes"),
            "arn:aws-eusc:sqs:eusc-de-east-1:123456789012:orders",
        ),
        (
            "sns:arn:aws:sns:us-east-1:210987654321:shipped?attributes=type",
            ("sns:Publish", "sns:GetTopicAttributes"),
            "arn:aws:sns:us-east-1:210987654321:shipped",
        ),
        (
            "kinesis:audit",
            ("kinesis:PutRecords", "kinesis:DescribeStreamSummary"),
            "arn:aws:kinesis:eu-west-1:123456789012:stream/audit",
        ),
        (
            "kinesis:arn:aws:kinesis:us-east-1:210987654321:stream/audit",
            ("kinesis:PutRecords", "kinesis:DescribeStreamSummary"),
            "arn:aws:kinesis:us-east-1:210987654321:stream/audit",
        ),
        (
            "eventbridge:default",
            ("events:PutEvents", "events:DescribeEventBus"),
            "arn:aws:events:eu-west-1:123456789012:event-bus/default",
        ),
    ],
)
def test_a_destination_may_be_asked_for_and_published_to_and_nothing_else(
    uri: str, actions: tuple[str, ...], resource: str
) -> None:
    (found,) = for_destinations([uri], IRELAND)
    assert (found.actions, found.resources) == (actions, (resource,))


def test_destinations_of_one_service_share_a_statement_and_none_stands_twice() -> None:
    other = QUEUE.replace("orders", "audit")
    (found,) = for_destinations([QUEUE, other, QUEUE])
    assert [arn.rpartition(":")[2] for arn in found.resources] == [
        "orders.fifo",
        "audit.fifo",
    ]


def test_what_is_not_at_aws_needs_nothing() -> None:
    assert for_destinations(["stdout:", "file:events.ndjson"]) == []
    assert for_database(Dsn.parse("mysql://relay:pw@db.example.com/shop")) == []


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("sqs:http://localhost:4566/000000000000/orders", "region, account and name"),
        ("sqs:https://sqs.eu-west-1.amazonaws.com/orders", "region, account and name"),
        ("sqs:https://vpce-1.example.com/123456789012/orders", "region, account"),
        ("sns:orders", "needs the ARN"),
        ("kinesis:audit", "'audit' is a name, which does not say its region"),
        ("eventbridge:default", "'default' is a name, which does not say its region"),
        ("kafka:orders", "'kafka'"),
        ("orders", "'orders'"),
    ],
)
def test_a_destination_that_does_not_say_what_it_is_is_refused(
    uri: str, problem: str
) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        for_destinations([uri])
    assert caught.value.hint


def test_large_events_are_put_below_the_prefix_and_not_read() -> None:
    (found,) = for_large_events("s3://orders-large/events")
    assert found.actions == ("s3:PutObject",)
    assert found.resources == ("arn:aws:s3:::orders-large/events/*",)
    (whole,) = for_large_events("s3://orders-large", "aws-cn")
    assert whole.resources == ("arn:aws-cn:s3:::orders-large/*",)


@pytest.mark.parametrize(
    ("dsn", "resource"),
    [
        (f"{SECRET}-Ab12Cd?host=db.example.com", f"{SECRET}-Ab12Cd"),
        # IAM would compare with the whole ARN, which has six characters more.
        (SECRET, f"{SECRET}-??????"),
    ],
)
def test_a_secret_is_read_and_no_other(dsn: str, resource: str) -> None:
    (found,) = for_database(Dsn.parse(dsn))
    assert found.actions == ("secretsmanager:GetSecretValue",)
    assert found.resources == (resource,)


def test_a_token_is_for_one_user_of_one_cluster() -> None:
    here = Here(region="us-east-1", account="123456789012")
    (found,) = for_database(Dsn.parse(IAM), here, resource="cluster-ABC")
    assert found.actions == ("rds-db:connect",)
    # The region of the database, not of the relay.
    assert found.resources == (
        "arn:aws:rds-db:eu-west-1:123456789012:dbuser:cluster-ABC/relay",
    )


def test_without_the_id_of_the_cluster_a_token_cannot_be_allowed() -> None:
    with pytest.raises(UsageError, match="resource id") as caught:
        for_database(Dsn.parse(IAM), IRELAND)
    assert "--rds-resource" in str(caught.value.hint)


def test_keys_may_encrypt_and_decrypt() -> None:
    (found,) = for_keys([KEY, KEY])
    assert found.actions == ("kms:GenerateDataKey", "kms:Decrypt")
    assert found.resources == (KEY,)
    assert for_keys([]) == []
    with pytest.raises(UsageError, match="not the ARN of a KMS key"):
        for_keys(["arn:aws:kms:eu-west-1:123456789012:alias/orders"])


def test_partitions_are_those_that_botocore_knows() -> None:
    loader = botocore.session.get_session().get_component("data_loader")
    partitions = loader.load_data("partitions")["partitions"]
    named = {
        region: partition["id"]
        for partition in partitions
        for region in partition["regions"]
        if re.match(partition["regionRegex"], region)
    }
    assert len(named) > 30
    assert {region: partition_of(region) for region in named} == named


@pytest.mark.parametrize("path", CALLS)
def test_every_call_in_the_code_is_allowed_by_the_policy(path: str) -> None:
    service = CALLS[path]
    client = botocore.session.get_session().create_client(
        service, region_name="eu-west-1"
    )
    operations = client.meta.method_to_api_mapping
    called = {
        f"{service}:{operations[method]}"
        for method in methods(ast.parse((ROOT / path).read_text()))
        if method in operations
    }
    assert called
    assert {ALLOWED_BY.get(action, action) for action in called} == allowed(service)


def test_nothing_else_in_the_relay_makes_a_client() -> None:
    """A new one would have to be in the policy."""
    makes = set()
    for folder in ("relay", "database"):
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text())
            names = {*methods(tree), *functions(tree)}
            if names & {"client", "make_client"}:
                makes.add(str(path.relative_to(ROOT)))
    # aws.py makes those of the sinks; a token of RDS IAM is signed without a call.
    assert makes == {*CALLS, "relay/sinks/aws.py", "database/rds_iam.py"}


def test_a_policy_is_what_iam_takes() -> None:
    made = policy([Permission("SQS: publish, and ask", ("sqs:SendMessage",), ("*",))])
    assert made == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "SQSPublishAndAsk",
                "Effect": "Allow",
                "Action": ["sqs:SendMessage"],
                "Resource": ["*"],
            }
        ],
    }


def test_grants_prints_the_policy_of_everything_that_is_given(tmp_path: Path) -> None:
    routes = tmp_path / "routes.yml"
    routes.write_text(
        "version: 1\n"
        "destinations: {audit: 'kinesis:audit', bus: 'eventbridge:default'}\n"
        "routes: [{to: [audit, bus]}]\n"
    )
    run = grants(
        *("--sink", QUEUE, "--routes", str(routes)),
        *("--on-oversize", "s3://orders-large/events", "--kms-key", KEY),
        *("--dsn", IAM, "--rds-resource", "cluster-ABC"),
        *("--aws-region", "eu-west-1", "--aws-account", "123456789012"),
    )
    assert run.exit_code == 0, run.output
    statements = json.loads(run.stdout)["Statement"]
    assert [s["Action"][0] for s in statements] == [
        "sqs:SendMessage",
        "kinesis:PutRecords",
        "events:PutEvents",
        "s3:PutObject",
        "kms:GenerateDataKey",
        "rds-db:connect",
    ]
    sids = [s["Sid"] for s in statements]
    assert len(set(sids)) == len(sids)
    assert all(re.fullmatch(r"[A-Za-z0-9]+", sid) for sid in sids)


def test_every_region_that_boto3_knows_can_be_one() -> None:
    session = botocore.session.get_session()
    regions = {
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("sqs", partition)
    }
    assert len(regions) > 30
    assert [region for region in regions if not A_REGION.fullmatch(region)] == []


@pytest.mark.parametrize(
    "command", [("grants", "--aws"), ("lambda", "template", "--format", "sam")]
)
def test_what_no_route_names_is_not_called_and_not_allowed(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    routes = tmp_path / "routes.yml"
    topic = "arn:aws:sns:eu-west-1:123456789012:shipped"
    routes.write_text(
        "version: 1\n"
        f"destinations: {{shipped: 'sns:{topic}', old: '{QUEUE}', here: 'stdout:'}}\n"
        "routes: [{to: shipped}]\n"
    )
    run = CliRunner().invoke(main, [*command, "--routes", str(routes)], env={})
    assert run.exit_code == 0, run.output
    assert topic in run.stdout
    assert "sqs:" not in run.stdout


def test_the_bucket_is_in_the_partition_of_the_destination() -> None:
    queue = "sqs:https://sqs.cn-north-1.amazonaws.com.cn/123456789012/orders"
    run = grants("--sink", queue, "--on-oversize", "s3://orders-large")
    assert "arn:aws-cn:s3:::orders-large/*" in run.stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "it is not said where the events go"),
        (("relay", "--sink", QUEUE), "takes no role"),
        (("--sink", "stdout:"), "nothing to allow"),
        (("--sink", f"{QUEUE}?atributes=type"), "an option that it does not know"),
        (("--sink", QUEUE, "--aws-account", "42"), "no account number"),
        (("--sink", "kinesis:a", "--aws-region", "Ireland"), "cannot be a region"),
        (("--sink", QUEUE, "--aws-region", "eu-west-1a"), "cannot be a region"),
        (("--sink", QUEUE, "--aws-region", ""), "cannot be a region"),
        (("--sink", QUEUE, "--kms-key", "orders"), "not the ARN of a KMS key"),
        (("--sink", QUEUE, "--on-oversize", "s3://A"), "--on-oversize names no"),
        (("--sink", "kinesis:audit"), "is a name"),
        (
            ("--sink", QUEUE, "--dsn", IAM, "--rds-resource", "cluster-ABC"),
            "does not say which account",
        ),
        (
            ("--sink", QUEUE, "--dsn", IAM, "--rds-resource", "shop"),
            "'shop' is no resource id",
        ),
    ],
)
def test_what_grants_cannot_print_a_policy_for_is_one_message_with_a_hint(
    arguments: tuple[str, ...], problem: str
) -> None:
    run = grants(*arguments)
    assert run.exit_code == 2, run.output
    first, second = run.stderr.splitlines()
    assert problem in first
    assert second.startswith("  → ")


def test_what_is_for_the_policy_only_is_refused_without_aws() -> None:
    spec = str(ROOT / "examples/shop.yml")
    for name in ("--sink", "--kms-key", "--aws-region"):
        run = CliRunner().invoke(main, ["grants", "-s", spec, name, "x"], env={})
        assert run.exit_code == 2
        assert f"{name} is about the relay at AWS" in run.stderr
    # What is set for `evtrig relay` is no mistake.
    run = CliRunner().invoke(main, ["grants", "-s", spec], env={"EVTRIG_SINK": QUEUE})
    assert run.exit_code == 0, run.output
    assert "GRANT" in run.stdout


def grants(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["grants", "--aws", *arguments], env={})


def allowed(service: str) -> set[str]:
    """Actions of a service in the policy of everything."""
    assert [uri.partition(":")[0] for uri in EXAMPLES] == [*DESTINATIONS]
    permissions = [
        *for_destinations(EXAMPLES, IRELAND),
        *for_large_events("s3://orders-large"),
        *for_database(Dsn.parse(SECRET)),
    ]
    actions = {action for one in permissions for action in one.actions}
    return {action for action in actions if action.startswith(f"{service}:")}


EXAMPLES = (
    QUEUE,
    "sns:arn:aws:sns:eu-west-1:123456789012:orders",
    "kinesis:audit",
    "eventbridge:default",
)


def methods(tree: ast.AST) -> Iterator[str]:
    """Names of what is called with a dot in front."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr


def functions(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id
