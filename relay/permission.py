"""What a relay has to be allowed at AWS: the actions that its code calls, each on the
one thing it calls them for. Pure.

The actions of a destination are those that its sink names (``send``, ``describe``). How
ARNs look, and which action a call takes, is from the Service Authorization Reference
(docs.aws.amazon.com/service-authorization/latest/reference), November 2026.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from ..database.dsn import Dsn, RdsIam, Secret
from ..database.rds_iam import region_in
from ..errors import UsageError
from .sinks.aws import is_arn
from .sinks.claim_check import read_place
from .sinks.eventbridge import EventBridgeSink
from .sinks.kinesis import KinesisSink
from .sinks.sns import SnsSink
from .sinks.sqs import REGION, SqsSink

__all__ = [
    "NETWORK",
    "Here",
    "Permission",
    "for_database",
    "for_destinations",
    "for_keys",
    "for_large_events",
    "for_secret",
    "for_token",
    "partition_of",
    "policy",
]

#: For a Lambda in a VPC, which is connected to it in the name of its own role: "Giving
#: Lambda functions access to resources in an Amazon VPC", and the managed policy
#: AWSLambdaVPCAccessExecutionRole (version 3), without the logs. They are allowed on
#: everything: describing knows no single resource, and what is created is new.
NETWORK = (
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)
#: Partitions by the beginning of a region's name (partitions.json of botocore 1.44).
PARTITIONS = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "eu-isoe-": "aws-iso-e",
    "us-isof-": "aws-iso-f",
    "eusc-": "aws-eusc",
}
AWS = "aws"
#: Behind a secret's name, in an ARN as Secrets Manager gives it ("What's in a Secrets
#: Manager secret?").
RANDOM = re.compile(r"-[A-Za-z0-9]{6}$")
ACCOUNT = re.compile(r"\d{12}")
#: What a region can be called; AWS adds some every year.
A_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}")
#: Of a cluster, an instance, a proxy: what rds-db:connect is allowed on ("Creating and
#: using an IAM policy for IAM database access", Amazon RDS User Guide).
RESOURCE = re.compile(r"(cluster|db|prx)-[A-Za-z0-9]+")
#: Without a call, nothing has to be allowed.
NOT_AWS = ("stdout", "file")


@dataclass(frozen=True)
class Permission:
    """One statement of a policy."""

    #: Why, in words.
    why: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]


@dataclass(frozen=True)
class Here:
    """Where the relay will run: what a name without an ARN is taken to be in.

    A template has expressions there. None is not known, and an error where it matters.
    """

    partition: str | None = None
    region: str | None = None
    account: str | None = None

    def arn(self, service: str, resource: str, what: str) -> str:
        """The ARN of something here. ``what`` names it in the error: UsageError."""
        if self.region is None or self.account is None:
            missing = "account" if self.region else "region"
            raise UsageError(
                f"{what} is a name, which does not say its {missing}",
                hint="Give --aws-region and --aws-account, or the ARN of a stream or a"
                " bus instead of its name.",
            )
        partition = self.partition or partition_of(self.region)
        return f"arn:{partition}:{service}:{self.region}:{self.account}:{resource}"


NOWHERE = Here()


def partition_of(region: str) -> str:
    """Of AWS, the partition that a region is in."""
    return next((p for start, p in PARTITIONS.items() if region.startswith(start)), AWS)


def for_destinations(uris: Sequence[str], here: Here = NOWHERE) -> list[Permission]:
    """To ask for each destination and to publish to it.

    Raises UsageError for a sink URI whose destination is not known from it.
    """
    found: dict[tuple[str, ...], list[str]] = {}
    for uri in uris:
        scheme, _, rest = uri.partition(":")
        if scheme in NOT_AWS:
            continue
        if scheme not in DESTINATIONS:
            raise UsageError(
                f"what a sink of the scheme {scheme!r} calls is not known",
                hint=f"Known are {', '.join(f'{name}:' for name in DESTINATIONS)}; of"
                " another one, whoever has made it can say which actions it needs.",
            )
        sink, arn = DESTINATIONS[scheme]
        target = rest.partition("?")[0]
        resources = found.setdefault((scheme, sink.send, sink.describe), [])
        resource = arn(target, here)
        if resource not in resources:
            resources.append(resource)
    return [
        Permission(
            f"{DESTINATIONS[scheme][0].title}: publish, and ask for its limits first",
            tuple(actions),
            tuple(resources),
        )
        for (scheme, *actions), resources in found.items()
    ]


def for_large_events(destination: str, partition: str = AWS) -> list[Permission]:
    """For ``--on-oversize s3://BUCKET/PREFIX``; a bucket's ARN has neither region nor
    account. Raises UsageError."""
    bucket, prefix = read_place(destination)
    return [
        Permission(
            "S3: events larger than the destination takes",
            ("s3:PutObject",),
            (f"arn:{partition}:s3:::{bucket}/{prefix}*",),
        )
    ]


def for_database(
    dsn: Dsn, here: Here = NOWHERE, *, resource: str | None = None
) -> list[Permission]:
    """For what the DSN says of credentials: a secret, a token of RDS IAM, or nothing.

    ``resource`` is the resource id of the cluster or instance, which its host name does
    not say. Raises UsageError.
    """
    if isinstance(dsn.source, Secret):
        arn = dsn.source.arn
        return [for_secret(arn if RANDOM.search(arn) else f"{arn}-??????")]
    if not isinstance(dsn.source, RdsIam):
        return []
    if resource is None:
        raise UsageError(
            "a token of RDS IAM is allowed by the resource id of the cluster, which"
            " its host name does not say",
            hint="Give --rds-resource cluster-…: aws rds describe-db-clusters --query"
            " 'DBClusters[].DbClusterResourceId' (of an instance DbiResourceId, of RDS"
            " Proxy the prx-… of its ARN).",
        )
    if not RESOURCE.fullmatch(resource):
        raise UsageError(
            f"{resource!r} is no resource id of RDS",
            hint="It begins with cluster-, db- or prx-; the name of the cluster does"
            " not do: aws rds describe-db-clusters --query"
            " 'DBClusters[].DbClusterResourceId'",
        )
    region = dsn.source.region or region_in(dsn.host) or here.region
    return [for_token(replace(here, region=region), resource, dsn.user)]


def for_secret(arn: str) -> Permission:
    """``arn`` with the six characters that Secrets Manager has put behind the name."""
    return Permission(
        "Secrets Manager: user and password, anew at each connect",
        ("secretsmanager:GetSecretValue",),
        (arn,),
    )


def for_token(here: Here, resource: str, user: str) -> Permission:
    """Raises UsageError where it is not known ``here``."""
    if here.region is None or here.account is None:
        raise UsageError(
            "a token of RDS IAM is allowed in an account and a region, and the DSN"
            f" does not say which {'account' if here.region else 'region'}",
            hint="Give --aws-account"
            + ("." if here.region else " and --aws-region, or region= in the DSN."),
        )
    arn = here.arn("rds-db", f"dbuser:{resource}/{user}", f"the database user {user!r}")
    return Permission("RDS: a token instead of a password", ("rds-db:connect",), (arn,))


def for_keys(arns: Sequence[str]) -> list[Permission]:
    """For KMS keys of one's own: queue, topic, stream and bucket are encrypted with one
    by kms:GenerateDataKey and kms:Decrypt, a secret is decrypted. Raises UsageError."""
    if not arns:
        return []
    for arn in arns:
        if not is_arn(arn, "kms", "key/"):
            raise UsageError(
                f"{arn} is not the ARN of a KMS key",
                hint="Write arn:aws:kms:REGION:ACCOUNT:key/ID; an alias does not do in"
                " a policy.",
            )
    return [
        Permission(
            "KMS: what the keys encrypt",
            ("kms:GenerateDataKey", "kms:Decrypt"),
            tuple(dict.fromkeys(arns)),
        )
    ]


def policy(permissions: Collection[Permission]) -> dict[str, Any]:
    """As IAM takes it ("IAM JSON policy reference"); the reason is in the Sid, which
    has letters and digits only."""
    return {
        "Version": "2012-10-17",
        "Statement": list(statements(permissions)),
    }


def statements(permissions: Collection[Permission]) -> Iterator[dict[str, Any]]:
    for permission in permissions:
        words = re.findall(r"[A-Za-z0-9]+", permission.why)
        yield {
            "Sid": "".join(word[:1].upper() + word[1:] for word in words),
            "Effect": "Allow",
            "Action": list(permission.actions),
            "Resource": list(permission.resources),
        }


def queue(url: str, here: Here) -> str:
    parts = urlsplit(url)
    region = REGION.search(parts.netloc)
    account, _, name = parts.path.strip("/").partition("/")
    if region is None or not ACCOUNT.fullmatch(account) or not name or "/" in name:
        raise UsageError(
            "the URL of the queue does not say its region, account and name",
            hint="A policy is for a queue at AWS:"
            " sqs:https://sqs.eu-west-1.amazonaws.com/123456789012/orders",
        )
    return f"arn:{partition_of(region[1])}:sqs:{region[1]}:{account}:{name}"


def topic(arn: str, here: Here) -> str:
    if not is_arn(arn, "sns"):
        raise UsageError(
            "the sink sns: needs the ARN of a topic",
            hint="Write sns:arn:aws:sns:eu-west-1:123456789012:orders",
        )
    return arn


def stream(target: str, here: Here) -> str:
    if is_arn(target, "kinesis", "stream/"):
        return target
    return here.arn("kinesis", f"stream/{target}", f"the stream {target!r}")


def bus(target: str, here: Here) -> str:
    if is_arn(target, "events", "event-bus/"):
        return target
    return here.arn("events", f"event-bus/{target}", f"the bus {target!r}")


#: By scheme, who calls, and what is called.
DESTINATIONS: Mapping[
    str,
    tuple[
        type[SqsSink | SnsSink | KinesisSink | EventBridgeSink],
        Callable[[str, Here], str],
    ],
] = {
    "sqs": (SqsSink, queue),
    "sns": (SnsSink, topic),
    "kinesis": (KinesisSink, stream),
    "eventbridge": (EventBridgeSink, bus),
}
