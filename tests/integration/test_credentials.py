"""User and password are looked up at each connect: rotation, tokens, defaults files."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.aws import FakeAws
from fakes.certificates import Authority
from fakes.faults import Answer, Reset
from fakes.service import AwsError
from tables import outbox_tables

from evtrig.database import option_file, rds_iam
from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.database.option_file import OptionFile
from evtrig.demo.mysqld import Mysqld, Program
from evtrig.demo.server import ThrowawayServer
from evtrig.errors import ConnectionLost, DatabaseError
from evtrig.relay.outbox import Outbox
from evtrig.relay.relay import Relay
from evtrig.relay.sinks.ndjson import FileSink

EVTRIG = Path(sys.executable).with_name("evtrig")
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/relay-a1B2c3"
#: In no message, whatever goes wrong.
FIRST, SECOND = "hunter2xyzzy-1", "hunter2xyzzy-2"
#: What KILL says of a session that is no more.
NO_SUCH_THREAD = 1094

AWS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "hunter2xyzzy-aws",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
NOT_SET = (
    "AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
)  # fmt: skip


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    with FakeAws() as aws:
        for name in NOT_SET:
            monkeypatch.delenv(name, raising=False)
        for name, value in AWS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", aws.endpoint_url)
        yield aws


@pytest.fixture
def user(server: ThrowawayServer) -> Iterator[str]:
    """An account with the password FIRST, and all privileges."""
    name = f"test_{secrets.token_hex(4)}"
    with Connection(Dsn.parse(server.dsn)) as root:
        root.execute(f"CREATE USER {name}@'%%' IDENTIFIED BY %s", (FIRST,))
        root.execute(f"GRANT ALL ON *.* TO {name}@'%'")
        yield name
        root.execute(f"DROP USER {name}@'%'")


def secret_of(server: ThrowawayServer, user: str, password: str, **more: object) -> str:
    place = Dsn.parse(server.dsn)
    known = {"engine": server.name, "host": place.host, "port": place.port}
    return json.dumps({**known, "username": user, "password": password, **more})


def set_password(server: ThrowawayServer, user: str, password: str) -> None:
    with Connection(Dsn.parse(server.dsn)) as root:
        root.execute(f"ALTER USER {user}@'%%' IDENTIFIED BY %s", (password,))


def who(dsn: Dsn) -> str:
    with Connection(dsn) as connection:
        return str(connection.value("SELECT USER()")).partition("@")[0]


def reads(aws: FakeAws) -> list[str]:
    return [call.parameters["VersionStage"] for call in aws.calls]


def test_a_secret_says_who_connects_and_where(
    server: ThrowawayServer, user: str, aws: FakeAws, schema: str
) -> None:
    aws.secrets.put(ARN, secret_of(server, user, FIRST, dbname=schema))
    with Connection(Dsn.parse(ARN)) as connection:
        assert connection.value("SELECT DATABASE()") == schema
        place = Dsn.parse(server.dsn)
        assert str(connection.dsn) == f"{user}@{place.host}:{place.port}"
        assert FIRST not in f"{connection.dsn!r} {connection!r}"


def test_what_the_secret_lacks_is_in_the_query(
    server: ThrowawayServer, user: str, aws: FakeAws, schema: str
) -> None:
    aws.secrets.put(ARN, json.dumps({"username": user, "password": FIRST}))
    place = Dsn.parse(server.dsn)
    query = f"host={place.host}&port={place.port}&schema={schema}"
    with Connection(Dsn.parse(f"{ARN}?{query}")) as connection:
        assert connection.value("SELECT DATABASE()") == schema


def test_the_query_wins_over_the_secret(
    server: ThrowawayServer, user: str, aws: FakeAws
) -> None:
    aws.secrets.put(ARN, secret_of(server, user, FIRST, host="no.such.host.invalid"))
    place = Dsn.parse(server.dsn)
    assert who(Dsn.parse(f"{ARN}?host={place.host}")) == user


def test_a_connection_made_anew_from_another_reads_the_secret_again(
    server: ThrowawayServer, user: str, aws: FakeAws
) -> None:
    aws.secrets.put(ARN, secret_of(server, user, FIRST))
    with Connection(Dsn.parse(ARN)) as first:
        set_password(server, user, SECOND)
        aws.secrets.put(ARN, secret_of(server, user, SECOND))
        assert who(first.dsn) == user


def test_in_the_middle_of_a_rotation_the_pending_version_is_tried(
    server: ThrowawayServer, user: str, aws: FakeAws
) -> None:
    """The password at the server changes before the secret's current version does."""
    aws.secrets.put(ARN, secret_of(server, user, FIRST))
    aws.secrets.put(ARN, secret_of(server, user, SECOND), stage="AWSPENDING")
    set_password(server, user, SECOND)
    assert who(Dsn.parse(ARN)) == user
    assert reads(aws) == ["AWSCURRENT", "AWSCURRENT", "AWSPENDING"]


def test_a_secret_that_changed_since_it_was_read_is_read_again(
    server: ThrowawayServer,
    user: str,
    aws: FakeAws,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_password(server, user, SECOND)
    answers = [secret_of(server, user, FIRST), secret_of(server, user, SECOND)]
    monkeypatch.setattr(
        aws.secrets,
        "do_GetSecretValue",
        lambda call: {"ARN": ARN, "SecretString": answers.pop(0)},
    )
    assert who(Dsn.parse(ARN)) == user
    assert answers == []


def test_a_wrong_secret_is_tried_once_and_named(
    server: ThrowawayServer, user: str, aws: FakeAws
) -> None:
    aws.secrets.put(ARN, secret_of(server, user, SECOND))
    with pytest.raises(DatabaseError) as caught:
        Connection(Dsn.parse(ARN))
    error = caught.value
    assert error.number == 1045
    assert ARN in str(error.hint)
    assert SECOND not in f"{error} {error.hint} {error!r}"
    assert reads(aws) == ["AWSCURRENT", "AWSCURRENT", "AWSPENDING"]


def test_a_secret_that_cannot_be_read_for_now_is_a_lost_connection(
    aws: FakeAws,
) -> None:
    """So that a relay goes on trying."""
    throttled = AwsError("ThrottlingException", "Rate exceeded")
    for fault in (Answer(throttled), Reset()):
        aws.faults.add(fault, calls=2)
        with pytest.raises(ConnectionLost) as caught:
            Connection(Dsn.parse(ARN))
        assert caught.value.hint


class Relaying:
    """A relay in a thread; what it raises is raised at the end."""

    def __init__(self, dsn: Dsn, box: Box, path: Path) -> None:
        self._sink = FileSink(str(path / "events.ndjson"))
        self._relay = Relay(lambda: Outbox.connect(dsn, box.schema, ttl=10), self._sink)
        self.box = box
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Relaying:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._relay.stop.set()
        self._thread.join()
        self._sink.close()
        self.box.root.close()
        if self._failure:
            raise self._failure

    def publishes(self) -> None:
        """A new event is published within 20 seconds."""
        self.box.insert()
        pause = threading.Event()
        until = time.monotonic() + 20
        while not self.box.is_empty():
            assert self._thread.is_alive(), "the relay has ended"
            assert time.monotonic() < until, "not in time"
            pause.wait(0.01)

    def _run(self) -> None:
        try:
            self._relay.run()
        except BaseException as error:
            self._failure = error


class Box:
    """An outbox, and the relay's session at it."""

    def __init__(self, dsn: Dsn, schema: str) -> None:
        self.schema = schema
        self.root = Connection(dsn)
        for statement in outbox_tables(schema, self.root.server):
            self.root.execute(statement)

    def insert(self) -> None:
        self.root.execute(
            f"INSERT INTO {self.schema}.events (uid, type, source, operation,"
            " captured_at, `key`, `after`) VALUES (UUID_SHORT(), 't.insert', 's.t',"
            " 'insert', UTC_TIMESTAMP(6), '{\"id\": 1}', '{}')"
        )

    def is_empty(self) -> bool:
        return self.root.value(f"SELECT COUNT(*) FROM {self.schema}.events") == 0

    def cut_off(self, user: str) -> None:
        sessions = self.root.rows(
            "SELECT id FROM information_schema.processlist WHERE user = %s", (user,)
        )
        assert sessions, "the relay is not connected"
        for (session,) in sessions:
            try:
                self.root.execute(f"KILL {session:d}")
            except DatabaseError as error:
                # A relay that has lost one closes the other.
                if error.number != NO_SUCH_THREAD:
                    raise


@pytest.fixture
def relay(
    server: ThrowawayServer, user: str, aws: FakeAws, outbox: str, tmp_path: Path
) -> Iterator[Relaying]:
    """Connected as the secret says, and publishing."""
    aws.secrets.put(ARN, secret_of(server, user, FIRST))
    box = Box(Dsn.parse(server.dsn), outbox)
    with Relaying(Dsn.parse(ARN), box, tmp_path) as relay:
        relay.publishes()
        yield relay


def test_a_relay_goes_on_after_the_secret_was_rotated(
    server: ThrowawayServer, user: str, aws: FakeAws, relay: Relaying
) -> None:
    set_password(server, user, SECOND)
    aws.secrets.put(ARN, secret_of(server, user, SECOND))
    relay.box.cut_off(user)
    relay.publishes()
    assert len(reads(aws)) > 1


def test_a_relay_waits_while_the_secret_cannot_be_read(
    user: str, aws: FakeAws, relay: Relaying
) -> None:
    throttled = AwsError("ThrottlingException", "Rate exceeded")
    aws.faults.add(Answer(throttled), calls=4)
    relay.box.cut_off(user)
    relay.publishes()
    assert [call.code for call in aws.calls].count("ThrottlingException") == 4


def test_the_installed_command_takes_a_secret(
    server: ThrowawayServer, user: str, aws: FakeAws, schema: str
) -> None:
    with Connection(Dsn.parse(server.dsn)) as root:
        root.execute(f"CREATE TABLE {schema}.orders (id INT PRIMARY KEY)")
    aws.secrets.put(ARN, secret_of(server, user, FIRST, dbname=schema))
    ended = subprocess.run(
        [EVTRIG, "init", "--dsn", ARN, "-o", "-"], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert "orders:" in ended.stdout
    assert ended.stderr == ""


# Tokens of RDS IAM


class Signer:
    """What signs in place of boto3: one token after the other."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.asked: list[dict[str, Any]] = []
        self.region_name = None

    def client(self, service: str, *, region_name: str) -> Signer:
        assert (service, region_name) == ("rds", "eu-west-1")
        return self

    def generate_db_auth_token(self, **asked: Any) -> str:
        self.asked.append(asked)
        return self.tokens.pop(0)

    def close(self) -> None:
        pass


@pytest.fixture
def iam_server(program: Program, tmp_path: Path) -> Iterator[tuple[Mysqld, Authority]]:
    """Whose certificate is good; RDS itself cannot be had here."""
    authority = Authority(tmp_path, "rds")
    certificate, key = authority.issue("127.0.0.1")
    server = Mysqld(program, (f"--ssl-cert={certificate}", f"--ssl-key={key}"))
    yield server, authority
    server.remove()


def test_a_relay_connects_again_with_a_new_token(
    iam_server: tuple[Mysqld, Authority],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, authority = iam_server
    # For each connection one: the relay's reads have their own.
    signer = Signer(FIRST, FIRST, SECOND, SECOND)
    monkeypatch.setattr(rds_iam, "session", lambda: signer)
    query = f"auth=rds-iam&region=eu-west-1&ssl_ca={authority.ca}"
    dsn = Dsn.parse(f"mysql://app@127.0.0.1:{server.port}/?{query}")
    box = Box(server.dsn, "outbox")
    box.root.execute("CREATE USER app@'%%' IDENTIFIED BY %s REQUIRE SSL", (FIRST,))
    box.root.execute("GRANT ALL ON *.* TO app@'%'")
    with Relaying(dsn, box, tmp_path) as relay:
        relay.publishes()
        box.root.execute("ALTER USER app@'%%' IDENTIFIED BY %s", (SECOND,))
        box.cut_off("app")
        relay.publishes()
    place = {"DBHostname": "127.0.0.1", "Port": server.port, "DBUsername": "app"}
    assert signer.asked == [{**place, "Region": "eu-west-1"}] * 4


def test_a_refused_token_says_what_iam_has_to_allow(
    iam_server: tuple[Mysqld, Authority], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, authority = iam_server
    monkeypatch.setattr(rds_iam, "session", lambda: Signer(FIRST))
    query = f"auth=rds-iam&region=eu-west-1&ssl_ca={authority.ca}"
    with pytest.raises(DatabaseError) as caught:
        Connection(Dsn.parse(f"mysql://nobody@127.0.0.1:{server.port}/?{query}"))
    assert "rds-db:connect" in str(caught.value.hint)
    assert "AWSAuthenticationPlugin" in str(caught.value.hint)
    assert FIRST not in f"{caught.value} {caught.value.hint}"


def test_a_token_is_not_sent_to_a_server_that_is_not_verified(
    iam_server: tuple[Mysqld, Authority], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, _ = iam_server
    monkeypatch.setattr(rds_iam, "session", lambda: Signer(FIRST))
    query = "auth=rds-iam&region=eu-west-1"
    with pytest.raises(DatabaseError) as caught:
        Connection(Dsn.parse(f"mysql://app@127.0.0.1:{server.port}/?{query}"))
    assert caught.value.number == 2026


# Defaults files


def test_a_defaults_file_alone_is_enough(
    server: ThrowawayServer, user: str, schema: str, tmp_path: Path
) -> None:
    with Connection(Dsn.parse(server.dsn)) as root:
        root.execute(f"CREATE TABLE {schema}.orders (id INT PRIMARY KEY)")
    place = Dsn.parse(server.dsn)
    file = tmp_path / "my.cnf"
    file.write_text(
        f"[client]\nhost={place.host}\nport={place.port}\nuser={user}\n"
        f"password='{FIRST}'\n[evtrig]\ndatabase={schema}\n"
    )
    file.chmod(0o600)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("EVTRIG_")}
    command = [EVTRIG, "init", "-o", "-"]
    for more, variables in (
        (["--defaults-file", str(file)], {}),
        ([], {"EVTRIG_DEFAULTS_FILE": str(file)}),
    ):
        ended = subprocess.run(
            [*command, *more],
            capture_output=True,
            text=True,
            env={**environment, **variables},
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        assert "orders:" in ended.stdout


def test_a_defaults_file_is_read_again_at_each_connect(
    server: ThrowawayServer, user: str, tmp_path: Path
) -> None:
    file = tmp_path / "my.cnf"
    file.write_text(f"[client]\nuser={user}\npassword={FIRST}\n")
    place = Dsn.parse(server.dsn)
    dsn = Dsn.combine(
        f"mysql://{place.host}:{place.port}",
        defaults=OptionFile.read(str(file)).fields,
        path=str(file),
    )
    assert who(dsn) == user
    set_password(server, user, SECOND)
    with pytest.raises(DatabaseError) as caught:
        who(dsn)
    assert str(file) in str(caught.value.hint)
    file.write_text(f"[client]\nuser={user}\npassword={SECOND}\n")
    assert who(dsn) == user


#: Each line as it may stand in a file.
LINES = r"""
plain=hunter2
spaces  =   in front and behind
inner = a b
comment = before # after
hash-in-quotes = "a#b"
half-quoted = a'#b'c#d
single = 'it is'
only-one = "
not-around = 'x' y
escapes = \n\t\s\\\"\'|\d\q
in-quotes = "say \"a#b\" \\"
backslash-hash = "a\#b"
at-the-end = a\
equals = a=b=c
empty =
Upper_Case = X
umlaut = ü☃
no-value
""".strip()


def test_a_defaults_file_is_read_as_the_server_s_own_programs_read_it(
    program: Program, tmp_path: Path
) -> None:
    file = tmp_path / "my.cnf"
    file.write_text(f"# first\n[client]\n{LINES}\n; semicolon\n[evtrig]\nlast = 1\n")
    said = subprocess.run(
        [*print_defaults(program), f"--defaults-file={file}", "client", "evtrig"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    ours = [
        f"--{name}" if value is None else f"--{name}={value}"
        for _, _, name, value in option_file._options("my.cnf", file.read_text())
    ]
    theirs = said.removesuffix("\n").replace("--Upper_Case", "--upper-case")
    assert "\n".join(ours) == theirs


def print_defaults(program: Program) -> list[str]:
    """my_print_defaults, which shows what the server's programs read."""
    name = "my_print_defaults"
    if program.server.is_mariadb:
        found = shutil.which(name)
        return [found] if found else pytest.skip(f"no {name}")
    path = Path(program.path).parent.parent / "bin" / name
    if not path.exists():
        pytest.skip(f"no {path}")
    # A server in a tree of its own is run by that tree's loader.
    command = program.command[: program.command.index(program.path)]
    loader = [part for part in command if part != "--argv0"]
    return [*loader, str(path), "--show"]
