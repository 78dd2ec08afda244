"""Wrong usage is answered by click or by evtrig, before anything is opened."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from evtrig import __version__
from evtrig.cli import main
from evtrig.commands.log import Facts

#: As they are typed; those of a group by themselves too.
COMMANDS = sorted(
    [
        *main.commands,
        *(
            f"{name} {below}"
            for name, group in main.commands.items()
            if isinstance(group, click.Group)
            for below in group.commands
        ),
    ]
)


def run(*arguments: str, **environment: str) -> Result:
    clean = {
        f"EVTRIG_{name}": None
        for name in ("DSN", "SPEC", "SINK", "DEFAULTS_FILE", "TLS", "TLS_CA", "RDS_CA")
    }
    return CliRunner().invoke(
        main, arguments, env={**clean, **environment}, prog_name="evtrig"
    )


def options(command: str) -> list[click.Option]:
    return [p for p in found(command).params if isinstance(p, click.Option)]


def found(command: str) -> click.Command:
    name, _, below = command.partition(" ")
    outer = main.commands[name]
    if not below:
        return outer
    assert isinstance(outer, click.Group)
    return outer.commands[below]


def test_the_version_is_the_package_s() -> None:
    assert run("--version").output == f"evtrig, version {__version__}\n"


def test_python_m_evtrig_is_evtrig() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "evtrig", "--version"], capture_output=True, text=True
    )
    assert ended.stdout == f"evtrig, version {__version__}\n"


@pytest.mark.parametrize("short", ["-h", "--help"])
def test_help_lists_every_command(short: str) -> None:
    ended = run(short)
    assert ended.exit_code == 0
    assert all(f"\n  {command} " in ended.output for command in main.commands)
    assert "Exit codes" in ended.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_help_and_a_variable(command: str) -> None:
    help_ = run(*command.split(), "--help").output
    flat = " ".join(help_.split())
    for option in options(command):
        assert option.opts[0] in help_
        assert option.help
        own = f"EVTRIG_{command}_{option.name}".upper()
        variable = option.envvar or own.replace(" ", "_").replace("-", "_")
        assert f"env var: {variable}" in flat, option.opts


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_in_one_line_what_it_does(command: str) -> None:
    assert found(command).help
    short = found(command).get_short_help_str(limit=80)
    assert short
    assert not short.endswith("...")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("install", "--nonsense"),
        ("install", "more"),
        ("install",),
        ("relay", "--dsn", "mysql://db"),
        ("relay", "--dsn", "mysql://db", "--sink", "stdout:", "--max-seconds", "-1"),
        ("relay", "--dsn", "mysql://db", "--sink", "stdout:", "--once", "--drain"),
        ("relay", "--dsn", "mysql://db", "--sink", "stdout:", "--metrics-host", "::1"),
        ("relay", "--dsn", "mysql://db", "--sink", "pigeon:x"),
        ("demo", "--changes", "0"),
        ("init", "--dsn", "mysql://db"),
        ("init", "--defaults-file", "/no/such/my.cnf"),
        ("init", "--dsn", "mysql://db/shop", "--tls", "on"),
        ("init", "--dsn", "mysql://db/shop", "--tls-ca", "/no/such/ca.pem"),
        ("init", "--dsn", "mysql://a@db/shop?auth=rds-iam", "--tls", "ca"),
        ("generate", "--spec", "/no/such/evtrig.yml"),
        ("generate", "--check"),
        ("generate", "--force"),
        ("generate", "-o", "db", "--check", "--force"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2(arguments: tuple[str, ...]) -> None:
    ended = run(*arguments)
    assert ended.exit_code == 2
    assert ended.stdout == ""
    assert ended.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_no_variable_has_a_name_that_python_made(command: str) -> None:
    """A keyword or builtin gets a ``_`` behind it, which is none of the user's."""
    shown = "".join(run(*command.split(), "--help").stdout.split())
    assert not re.search(r"EVTRIG_[A-Z_]*_(?![A-Z])", shown)


def test_a_misspelt_command_is_answered_with_the_nearest_one() -> None:
    assert "install" in run("instal").stderr


def test_a_password_on_the_command_line_works_and_warns() -> None:
    dsn = "mysql://app:hunter2xyzzy@db"
    ended = run("init", "--dsn", dsn)
    assert "EVTRIG_DSN" in ended.stderr
    assert "hunter2xyzzy" not in ended.output
    assert "EVTRIG_DSN" not in run("init", EVTRIG_DSN=dsn).stderr
    assert "EVTRIG_DSN" not in run("init", "--dsn", "mysql://app@db").stderr


def test_a_variable_stands_for_its_option(tmp_path: Path) -> None:
    spec = tmp_path / "shop.yml"
    spec.write_text(
        "version: 1\nschema: shop\nserver: mysql\ntables:\n"
        "  orders: {key: [id], columns: {id: int}}\n"
    )
    ended = run("generate", EVTRIG_SPEC=str(spec))
    assert ended.exit_code == 0
    assert "ON `shop`.`orders`" in ended.stdout
    assert run("generate", "-s", str(spec)).stdout == ended.stdout


def test_a_log_line_is_its_message_and_facts() -> None:
    record = logging.makeLogRecord({"msg": "publishing", "action": "lead", "epoch": 7})
    line = Facts().format(record)
    assert line.endswith(" publishing action=lead epoch=7")


def test_a_password_in_the_defaults_file_is_not_on_the_command_line(
    tmp_path: Path,
) -> None:
    file = tmp_path / "my.cnf"
    file.write_text("[client]\npassword=hunter2xyzzy\n")
    for mode, is_warned in ((0o600, False), (0o644, True)):
        file.chmod(mode)
        ended = run("init", "--dsn", "mysql://db", "--defaults-file", str(file))
        assert ("chmod 600" in ended.stderr) is is_warned
        assert "command line" not in ended.stderr
        assert "hunter2xyzzy" not in ended.output


def test_the_tls_options_can_be_variables() -> None:
    # The CA is looked at before anything is connected to.
    ended = run("init", EVTRIG_DSN="mysql://db/shop", EVTRIG_TLS_CA="/no/such/ca.pem")
    assert "/no/such/ca.pem" in ended.stderr
    ended = run("init", EVTRIG_DSN="mysql://db/shop", EVTRIG_TLS="on")
    assert "verify" in ended.stderr


def test_no_advice_puts_a_password_on_the_command_line() -> None:
    for command in COMMANDS:
        assert "user:password" not in run(*command.split(), "--help").output
    assert "password" not in run("init", "--dsn", "mysql://db").stderr
    assert "password" not in run("install").stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_takes_a_dsn_takes_what_belongs_to_it(command: str) -> None:
    names = {option.name for option in options(command)}
    whole = {"dsn", "defaults_file", "tls", "tls_ca"}
    assert names & whole in (set(), whole)
