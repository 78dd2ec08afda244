"""What is around the function: role, schedule, alarms, logs, as a template for SAM or
Terraform. Pure: the same choices give the same bytes."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import jinja2

from ..relay.permission import NETWORK, Here, Permission, for_secret, for_token
from .archive import ROUTES

__all__ = ["AUTHS", "FORMATS", "Auth", "Choices", "Format", "here", "render"]

Format = Literal["sam", "terraform"]
FORMATS: tuple[Format, ...] = get_args(Format)

#: Where the password is: in a secret, or in a token that the role signs.
Auth = Literal["secret", "rds-iam"]
AUTHS: tuple[Auth, ...] = get_args(Auth)

FILES: Mapping[Format, str] = {
    "sam": "lambda.sam.yml.j2",
    "terraform": "lambda.tf.j2",
}
#: Of those that Lambda supports the newest that the tests run evtrig on ("Lambda
#: runtimes").
RUNTIME = "python3.13"

#: What the templates call a parameter, by what it is called here.
NAMES: Mapping[Format, Mapping[str, str]] = {
    "sam": {
        "partition": "AWS::Partition",
        "region": "AWS::Region",
        "account": "AWS::AccountId",
        "secret": "SecretArn",
        "resource": "DatabaseResourceId",
        "user": "DatabaseUser",
    },
    "terraform": {
        "partition": "local.partition",
        "region": "local.region",
        "account": "local.account",
        "secret": "var.secret_arn",
        "resource": "var.database_resource_id",
        "user": "var.database_user",
    },
}


@dataclass(frozen=True)
class Choices:
    """What cannot be a parameter of the template, and the defaults of some that are."""

    #: Of the only destination; None where routes are in the archive.
    uri: str | None
    #: For destinations, large events and keys, with names that are ``here``.
    permissions: Sequence[Permission]
    has_keys: bool
    #: ``park`` or ``s3://BUCKET/PREFIX``.
    on_oversize: str
    auth: Auth
    outbox: str
    #: Path of the archive, as the template has it.
    archive: str


def here(format_: Format) -> Here:
    """Where the template will be deployed, in its own words."""
    names = NAMES[format_]
    return Here(
        partition=f"${{{names['partition']}}}",
        region=f"${{{names['region']}}}",
        account=f"${{{names['account']}}}",
    )


def render(format_: Format, choices: Choices) -> str:
    """The template."""
    found = (*choices.permissions, database(format_, choices.auth))
    template = environment(format_).get_template(FILES[format_])
    return template.render(
        archive=choices.archive,
        auth=choices.auth,
        has_keys=choices.has_keys,
        has_routes=choices.uri is None,
        network=NETWORK,
        on_oversize=choices.on_oversize,
        outbox=choices.outbox,
        permissions=found,
        routes=Text(ROUTES),
        runtime=Text(RUNTIME),
        uri=choices.uri,
    )


def database(format_: Format, auth: Auth) -> Permission:
    names = {name: f"${{{word}}}" for name, word in NAMES[format_].items()}
    if auth == "secret":
        return for_secret(names["secret"])
    return for_token(here(format_), names["resource"], names["user"])


class Text(str):
    """Text that may stand in a template as it is."""

    __slots__ = ()

    def __html__(self) -> Text:
        """Jinja's protocol for text that needs no more quoting."""
        return self


@functools.cache
def environment(format_: Format) -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("evtrig"),
        # Text passes the escaping by; anything else does not get past `finalize`.
        autoescape=True,
        finalize=only_text,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= FILTERS[format_]
    return made


def only_text(value: object) -> object:
    if isinstance(value, jinja2.Undefined):
        str(value)  # raises the error that names it
    if not isinstance(value, Text):
        raise TypeError(f"{type(value).__name__} reached the template without quotes")
    return value


def comment(text: str) -> Text:
    # A line break would end the comment.
    return Text(re.sub(r"[\r\n\u0085\u2028\u2029]", " ", text))


def plain(text: str) -> Text:
    """An action, which needs no quotes in YAML."""
    if not re.fullmatch(r"[a-z0-9-]+:[A-Za-z0-9]+", text):
        raise TypeError(f"{text} is no action of IAM")
    return Text(text)


def yaml_text(text: str) -> Text:
    """In double quotes, where YAML 1.2 takes whatever JSON does (its section 1.3)."""
    return Text(json.dumps(text))


def yaml_sub(text: str) -> Text:
    """For CloudFormation, with values of parameters put in: Fn::Sub, where ``${!`` is a
    ``${`` that means itself."""
    escaped = expressions(text.replace("${", "${!"), "${!", NAMES["sam"])
    return Text(f"!Sub {yaml_text(escaped)}") if "${" in text else yaml_text(text)


def hcl_text(text: str) -> Text:
    """In double quotes for Terraform ("Strings and Templates"), in which ``$${`` and
    ``%%{`` mean themselves."""
    return Text(json.dumps(text.replace("${", "$${").replace("%{", "%%{")))


def hcl_sub(text: str) -> Text:
    return Text(expressions(hcl_text(text), "$${", NAMES["terraform"]))


def expressions(text: str, escaped: str, names: Mapping[str, str]) -> str:
    """The text with the parameters' expressions in it, which had been escaped too."""
    for name in names.values():
        text = text.replace(f"{escaped}{name}}}", f"${{{name}}}")
    return text


FILTERS: Mapping[Format, Mapping[str, Callable[[str], Any]]] = {
    "sam": {"comment": comment, "plain": plain, "quoted": yaml_text, "sub": yaml_sub},
    "terraform": {"comment": comment, "quoted": hcl_text, "sub": hcl_sub},
}
