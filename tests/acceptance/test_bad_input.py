"""Whatever a user gets wrong: one message, the right exit code, and nothing changed.

The installed `evtrig` in a process of its own. A case is one `Case(…)`.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fakes.aws import FakeAws

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.demo.server import ThrowawayServer
from evtrig.triggers.install import apply, prepare
from evtrig.triggers.spec import parse
from evtrig.triggers.uninstall import uninstall

EVTRIG = Path(sys.executable).with_name("evtrig")
#: Stands in every DSN and nowhere else.
PASSWORD = "hunter2xyzzy"

SPEC = """\
version: 1
schema: {schema}
outbox: {outbox}
definer: current_user
tables:
  orders:
"""


@dataclass(frozen=True)
class Case:
    """A command line, what it must say and how it must end."""

    #: ``{schema}``, ``{outbox}``, ``{folder}`` and ``{aws}`` are filled in.
    command: str
    #: Words that the message must hold.
    says: tuple[str, ...]
    code: int
    #: The spec in place of SPEC; None for none at all.
    spec: str | None = SPEC
    #: In place of the DSN of an account that may do everything: its name below.
    dsn: str = "{dsn}"
    #: What the database and the folder are before.
    setup: str = "outbox"
    environment: dict[str, str] = field(default_factory=dict)


def spec(*lines: str, table: str = "orders", head: str = "") -> str:
    body = "".join(f"    {line}\n" for line in lines)
    return f"{SPEC}{body}".replace("  orders:", f"  {table}:").replace(
        "tables:", f"{head}tables:"
    )


INSTALL = "install"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/none"
DRAIN = "relay --drain --outbox {outbox} --sink"

#: Answered before anything is connected to; no server is needed.
USAGE = {
    # The spec
    "no spec": Case(INSTALL, ("evtrig.yml", "no such file"), 2, spec=None),
    "spec is a folder": Case("install -s {folder}", ("directory",), 2),
    "spec is not YAML": Case(INSTALL, ("evtrig.yml:7",), 2, spec=SPEC + "  }: ["),
    "spec is empty": Case(INSTALL, ("evtrig.yml",), 2, spec=""),
    "spec is a list": Case(INSTALL, ("evtrig.yml:1:1",), 2, spec="- orders\n"),
    "no version": Case(INSTALL, ("version",), 2, spec=SPEC.partition("\n")[2]),
    "unknown key": Case(
        INSTALL, ("evtrig.yml:7:5", "operation", "operations"), 2,
        spec=spec("operation: [insert]"),
    ),
    "unknown key at the top": Case(
        INSTALL, ("evtrig.yml:5:1", "outbx", "outbox"), 2, spec=spec(head="outbx: x\n")
    ),
    "duplicate key": Case(
        INSTALL, ("evtrig.yml:8:5", "images", "line 7"), 2,
        spec=spec("images: key", "images: both"),
    ),
    "unknown operation": Case(
        INSTALL, ("evtrig.yml:7:18", "updat", "update"), 2,
        spec=spec("operations: [updat]"),
    ),
    "YAML makes it a boolean": Case(
        INSTALL, ("evtrig.yml:7:11",), 2, spec=spec("key: [no]", "exclude: [1]")
    ),
    "unknown type": Case(
        "generate", ("evtrig.yml:8:15", "itn", "did you mean int"), 2, dsn="",
        spec=spec("key: [id]", "columns: {id: itn}"),
    ),
    "generate without columns": Case(
        "generate", ("columns", "--dsn"), 2, dsn="", spec=SPEC
    ),
    "generate without a spec": Case("generate", ("no such file",), 2, spec=None),
    # The command line
    "no id of an event": Case(
        "dead-letters show 10x", ("'10x'", "1042-16f0c3a8e1b20001"), 2
    ),
    "discard what": Case("dead-letters discard", ("--source", "--all"), 2),
    "no DSN": Case(INSTALL, ("--dsn", "EVTRIG_DSN"), 2, dsn=""),
    "no such defaults file": Case(
        "install --defaults-file {folder}/my.cnf", ("{folder}/my.cnf",), 2, dsn=""
    ),
    "unknown TLS mode": Case("install --tls on", ("verify",), 2, dsn="mysql://db"),
    "IAM over TLS that is not verified": Case(
        "install --tls required", ("rds-iam",), 2, dsn="mysql://app@db?auth=rds-iam"
    ),
    "ARN of something else": Case(
        INSTALL, ("arn:aws:sqs",), 2, dsn="arn:aws:sqs:eu-west-1:123456789012:orders"
    ),
    "bad DSN": Case(INSTALL, ("mysql://",), 2, dsn="app:{password}@db/shop"),
    "another DSN": Case(INSTALL, ("mysql://",), 2, dsn="postgres://app:{password}@db"),
    "bad port": Case(INSTALL, ("port",), 2, dsn="mysql://app:{password}@db:none/shop"),
    "hash in the password": Case(INSTALL, ("%23",), 2,
                                 dsn="mysql://app:1#{password}@db/shop"),
    "slash in the password": Case(INSTALL, ("%2F",), 2,
                                  dsn="mysql://app:1/{password}@db/shop"),
    "unknown DSN option": Case(INSTALL, ("ssl-ca", "ssl_ca"), 2, dsn="{dsn}?ssl-ca=x"),
    "unknown option": Case("install --specs x", ("--specs", "--spec"), 2),
    "unknown command": Case("instal", ("instal", "install"), 2),
    "once and drain": Case(DRAIN + " stdout: --once", ("--once", "--drain"), 2),
    "bad number": Case(DRAIN + " stdout: --max-seconds x", ("--max-seconds",), 2),
    "zero seconds": Case(DRAIN + " stdout: --max-seconds 0", ("--max-seconds",), 2),
    # The sink
    "no sink": Case("relay --drain --outbox {outbox}", ("--sink", "EVTRIG_SINK"), 2),
    "unknown scheme": Case(DRAIN + " kafka:orders", ("kafka", "stdout:"), 2),
    "misspelt scheme": Case(DRAIN + " fil:events", ("Did you mean file:?",), 2),
    "no scheme": Case(DRAIN + " events.ndjson", ("sink", "file:"), 2),
    "something behind stdout": Case(DRAIN + " stdout:x", ("stdout:",), 2),
    "file without a name": Case(DRAIN + " file:", ("file:",), 2),
}  # fmt: skip

CASES = {
    # What the spec names
    "no such table": Case(
        INSTALL, ("no table", "{schema}.order", "Did you mean orders?"), 1,
        spec=spec(table="order"),
    ),
    "no such schema": Case(
        INSTALL, ("{schema}x", "schema"), 1,
        spec=SPEC.replace("{schema}", "{schema}x"),
    ),
    "no such column": Case(
        INSTALL, ("no column nite", "exclude", "Did you mean note?"), 1,
        spec=spec("exclude: [nite]"),
    ),
    "no such key column": Case(
        INSTALL, ("no column ident", "key"), 1, spec=spec("key: [ident]")
    ),
    "no primary key": Case(INSTALL, ("bare", "primary key", "key:"), 1,
                           spec=spec(table="bare")),
    "MyISAM": Case(INSTALL, ("old", "MyISAM", "InnoDB"), 1, spec=spec(table="old")),
    "a view": Case(INSTALL, ("totals", "view"), 1, spec=spec(table="totals")),
    "table in the outbox": Case(
        INSTALL, ("outbox", "events"), 2,
        spec=SPEC.replace("{schema}", "{outbox}").replace("orders", "events"),
    ),
    "for another server": Case(
        INSTALL, ("{other}",), 2, spec=spec(head="server: {other}\n")
    ),
    # The account
    "wrong password": Case(INSTALL, ("1045", "password"), 1, dsn="{wrong}"),
    "no privilege": Case(INSTALL, ("{schema}",), 1, dsn="{nobody}"),
    "may only read": Case(INSTALL, ("lacks the privilege",), 1, dsn="{reader}"),
    "1419": Case(
        INSTALL, ("1419", "log_bin_trust_function_creators"), 1, dsn="{untrusted}",
        setup="none",
    ),
    "relay without privilege": Case(
        DRAIN + " stdout:", ("SELECT", "event_polling_state"), 1, dsn="{nobody}"
    ),
    "init without privilege": Case(
        "init -o {folder}/new.yml", ("{schema}", "1044"), 1, dsn="{nobody}/{schema}"
    ),
    # The server
    "no such host": Case(INSTALL, ("no-such-host.invalid",), 1,
                         dsn="mysql://app:{password}@no-such-host.invalid/shop"),
    "nobody listens": Case(INSTALL, ("127.0.0.1:{free}",), 1,
                           dsn="mysql://app:{password}@127.0.0.1:{free}/shop"),
    "relay, nobody listens": Case(DRAIN + " stdout:", ("127.0.0.1:{free}",), 1,
                                  dsn="mysql://app:{password}@127.0.0.1:{free}/shop"),
    "no such default schema": Case(INSTALL, ("{schema}x", "1049"), 1, dsn="{dsn}x"),
    "no such CA": Case(INSTALL, ("ca.pem",), 2, dsn="{dsn}?ssl_ca={folder}/ca.pem"),
    "no such socket": Case(INSTALL, ("/no/socket",), 1,
                           dsn="mysql://app:{password}@/shop?unix_socket=/no/socket"),
    "no such secret": Case(
        INSTALL, (SECRET, "ResourceNotFoundException", "Check the ARN"), 1, dsn=SECRET,
        environment={"AWS_ENDPOINT_URL": "{aws}"},
    ),
    "secret, AWS is down": Case(
        INSTALL, (SECRET, "127.0.0.1:{free}"), 1, dsn=SECRET,
        environment={"AWS_ENDPOINT_URL": "http://127.0.0.1:{free}"},
    ),
    "secret, no AWS credentials": Case(
        INSTALL, (SECRET, "credentials", "AWS_PROFILE"), 1, dsn=SECRET,
        environment={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
    ),
    "no region": Case(
        INSTALL, ("region", "AWS_REGION"), 1,
        dsn="mysql://app@db.example.com/shop?auth=rds-iam",
        environment={"AWS_REGION": ""},
    ),
    # init
    "init, no schema in the DSN": Case("init -o {folder}/new.yml", ("schema",), 2,
                                       dsn="{bare}"),
    "init, no such table": Case("init -o {folder}/new.yml order",
                                ("no table order", "Did you mean orders?"), 1),
    "init of a view": Case("init -o {folder}/new.yml totals", ("view",), 1),
    "init over a file": Case("init", ("evtrig.yml", "--force"), 1),
    "init into no folder": Case("init -o {folder}/none/evtrig.yml", ("none",), 1),
    "init, empty schema": Case("init -o {folder}/new.yml", ("no tables",), 1,
                               dsn="{empty}"),
    # The sink
    "file in no folder": Case(DRAIN + " file:{folder}/none/events", ("none/events",),
                              1),
    "file is a folder": Case(DRAIN + " file:{folder}", ("{folder}",), 1),
    "file that holds something else": Case(DRAIN + " file:{folder}/evtrig.yml",
                                           ("evtrig.yml",), 1, spec="half a line"),
    "full disk": Case(DRAIN + " file:/dev/full", ("/dev/full",), 1),
    "no such queue": Case(DRAIN + " sqs:{aws}/000000000000/none",
                          ("000000000000/none", "queue"), 1),
    "no queue URL": Case(DRAIN + " sqs:orders", ("URL",), 2),
    "AWS is down": Case(DRAIN + " sqs:http://127.0.0.1:{free}/000000000000/orders",
                        ("127.0.0.1:{free}",), 1),
    "no AWS credentials": Case(
        DRAIN + " sqs:{aws}/000000000000/orders", ("credentials",), 1,
        environment={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
    ),
    "no such AWS profile": Case(
        DRAIN + " sqs:{aws}/000000000000/orders", ("nobodys",), 1,
        environment={"AWS_PROFILE": "nobodys"},
    ),
    # The outbox
    "outbox not installed": Case(
        "relay --drain --outbox {outbox} --sink stdout:", ("{outbox}", "install"), 1,
        setup="none",
    ),
    "dead letters, outbox not installed": Case(
        "dead-letters list --outbox {outbox}", ("{outbox}", "install"), 1, setup="none"
    ),
    "dead letters without privilege": Case(
        "dead-letters discard --all --yes --outbox {outbox}",
        ("lacks the privilege", "DELETE ON", "dead_letters", "nothing was changed"), 1,
        dsn="{nobody}",
    ),
    "dead letters, nobody listens": Case("dead-letters list", ("127.0.0.1:{free}",), 1,
                                         dsn="mysql://a:{password}@127.0.0.1:{free}/x"),
    "no such dead letter": Case(
        "dead-letters retry 1042 --outbox {outbox}", ("1042", "dead-letters list"), 1
    ),
    "relay without its row": Case(DRAIN + " stdout:", ("event_polling_state",
                                  "install"), 1, setup="no row"),
}  # fmt: skip


#: Lines of the table orders in the spec, the place and the words that the message must
#: hold, and the exit code. There is no outbox yet.
EXPRESSIONS = {
    "syntax error": (
        ('when: {update: "NEW.id = = 1"}',), "7:20",
        ("`when` of update of orders", "syntax error near = 1", "(1064)"), 1,
    ),
    "unknown column": (
        ('when: {update: "NEW.ident > 1"}',), "7:20", ("NEW.ident", "id, note"), 1,
    ),
    "unknown column, pinned": (
        ("key: [id]", "columns: {id: int, note: text}",
         'when: {update: "NEW.ident > 1"}'), "9:20", ("NEW.ident", "columns"), 2,
    ),
    "column without its row": (
        ("when: {update: id > 1}",), "7:20", ("`when` of update", "NEW.name"), 1,
    ),
    "sub-select on the table": (
        ('when: {insert: "NEW.id > (SELECT MAX(id) FROM orders)"}',), "7:20",
        ("reads a table", "NEW and OLD"), 2,
    ),
    "aggregate": (
        ("when: {delete: COUNT(OLD.id) > 1}",), "7:20",
        ("`when` of delete of orders", "Invalid use of group function (1111)"), 1,
    ),
    "aggregate in an event": (
        ("events:", "  - type: Counted", "    on: [insert, update]",
         "    data: {total: SUM(NEW.id)}"), "10:23",
        ("`total` of event Counted", "(1111)"), 1,
    ),
    "condition of an event": (
        ("events:", "  - {type: Odd, on: insert, when: no_such(NEW.id)}"), "8:39",
        ("`when` of event Odd", "FUNCTION no_such does not exist (1305)"), 1,
    ),
    "redaction of another type": (
        ("redact: {other: last4}",), "7:14", ("`last4` is for text", "int"), 1,
    ),
    "redaction of the key": (
        ("redact: {id: omit}",), "7:14", ("it is in the key",), 1,
    ),
    "name of an event taken": (
        ("events:", "  - {type: Twice, on: insert}", "  - {type: Twice, on: update}"),
        "9:16", ("`Twice` is taken", "line 8"), 2,
    ),
    "name of a change taken": (
        ("events:", "  - {type: orders.update, on: insert}"), "8:16",
        ("`orders.update` is taken",), 2,
    ),
    "OLD on insert": (
        ("when: {insert: OLD.id > 1}",), "7:20", ("insert has no OLD row",), 2,
    ),
    "NEW on delete": (
        ("events:", "  - {type: Gone, on: delete, data: {id: NEW.id}}"), "8:45",
        ("delete has no NEW row",), 2,
    ),
    "fails for the row that is there": (
        ("events:", "  - type: Read", "    on: insert",
         '    data: {x: "CONCAT(JSON_EXTRACT(NEW.note, \'$.a\'))"}'), "10:19",
        ("`x` of event Read fails for an existing row: a text is not JSON",
         "--dry-run-rows"), 1,
    ),
}  # fmt: skip


@dataclass
class Site:
    """A database, a folder with a spec, and the words that cases fill in."""

    words: dict[str, str]
    folder: Path
    execute: Callable[[str], tuple]

    @property
    def outbox(self) -> str:
        return self.words["outbox"]

    def state(self) -> tuple:
        schemas = (self.words["schema"], self.outbox, self.words["schema"] + "x")
        columns = "table_schema, table_name, column_name"
        events = ()
        if self.execute(
            "SELECT 1 FROM information_schema.tables"
            f" WHERE table_schema = '{self.outbox}' AND table_name = 'events'"
        ):
            events = self.execute(f"SELECT * FROM {self.outbox}.events ORDER BY id")
        return (
            events,
            self.execute("SHOW DATABASES"),
            self.execute(
                f"SELECT {columns} FROM information_schema.columns"
                f" WHERE table_schema IN {schemas} ORDER BY {columns}"
            ),
            self.execute(
                "SELECT trigger_name FROM information_schema.triggers"
                f" WHERE trigger_schema IN {schemas} ORDER BY 1"
            ),
            self.execute("SELECT user, host FROM mysql.user ORDER BY 1, 2"),
            files(self.folder),
        )


@pytest.fixture(scope="module")
def aws() -> Iterator[FakeAws]:
    with FakeAws() as aws:
        yield aws


@pytest.fixture
def site(
    server: ThrowawayServer,
    schema: str,
    outbox: str,
    connect,
    aws: FakeAws,
    tmp_path: Path,
) -> Iterator[Site]:
    cursor = connect().cursor()

    def execute(sql: str) -> tuple:
        cursor.execute(sql)
        return tuple(cursor.fetchall())

    tag = secrets.token_hex(3)
    accounts = {
        "owner": "ALL ON *.*",
        "nobody": "USAGE ON *.*",
        "reader": f"SELECT ON {schema}.*",
        "untrusted": (
            "SELECT, INSERT, UPDATE, DELETE, CREATE, TRIGGER, CREATE USER ON *.*"
        ),
    }
    for name, grant in accounts.items():
        execute(f"CREATE USER {name}_{tag}@'%' IDENTIFIED BY '{PASSWORD}'")
        execute(f"GRANT {grant} TO {name}_{tag}@'%'")
    execute(f"CREATE DATABASE {schema}_empty")
    execute("CREATE TABLE orders (id INT PRIMARY KEY, note TEXT)")
    execute("CREATE TABLE bare (id INT)")
    execute("CREATE TABLE old (id INT PRIMARY KEY) ENGINE = MyISAM")
    execute("CREATE VIEW totals AS SELECT COUNT(*) AS n FROM orders")
    place = urlsplit(server.dsn).netloc.rpartition("@")[2]

    def dsn(name: str, path: str, password: str = PASSWORD) -> str:
        return f"mysql://{name}_{tag}:{password}@{place}{path}"

    (tmp_path / "run").mkdir()
    words = {
        "schema": schema,
        "outbox": outbox,
        "password": PASSWORD,
        "folder": str(tmp_path / "run"),
        "aws": aws.endpoint_url,
        "free": str(free_port()),
        "other": "mysql" if server.name == "mariadb" else "mariadb",
        "dsn": dsn("owner", f"/{schema}"),
        "bare": dsn("owner", ""),
        "empty": dsn("owner", f"/{schema}_empty"),
        "nobody": dsn("nobody", ""),
        "reader": dsn("reader", f"/{schema}"),
        "untrusted": dsn("untrusted", f"/{schema}"),
        "wrong": dsn("owner", f"/{schema}", password=f"not-{PASSWORD}"),
    }
    yield Site(words, tmp_path / "run", execute)
    execute(f"DROP DATABASE {schema}_empty")
    for name in accounts:
        execute(f"DROP USER {name}_{tag}@'%'")


def run(
    folder: Path, words: dict[str, str], case: Case
) -> subprocess.CompletedProcess[str]:
    dsn = case.dsn.format(**words)
    return subprocess.run(
        [EVTRIG, *(word.format(**words) for word in case.command.split())],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "AWS_REGION": "eu-west-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            **({"EVTRIG_DSN": dsn} if dsn else {}),
            **{name: text.format(**words) for name, text in case.environment.items()},
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def write_spec(folder: Path, words: dict[str, str], case: Case) -> None:
    if case.spec is not None:
        text = case.spec
        for word in ("schema", "outbox", "other"):
            text = text.replace(f"{{{word}}}", words.get(word, ""))
        (folder / "evtrig.yml").write_text(text)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("case", USAGE.values(), ids=USAGE.keys())
def test_wrong_usage_is_answered_before_connecting(tmp_path: Path, case: Case) -> None:
    dsn = f"mysql://app:{PASSWORD}@127.0.0.1:{free_port()}/shop"
    words = {"schema": "shop", "outbox": "evtrig", "folder": str(tmp_path)}
    words |= {"dsn": dsn, "password": PASSWORD}
    write_spec(tmp_path, words, case)
    before = files(tmp_path)
    check(case, words, run(tmp_path, words, case))
    assert files(tmp_path) == before


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_bad_input_is_answered_and_changes_nothing(site: Site, case: Case) -> None:
    set_up(site, case)
    before = site.state()
    check(case, site.words, run(site.folder, site.words, case))
    assert site.state() == before


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_a_bad_expression_is_found_before_anything_is_installed(
    site: Site, name: str
) -> None:
    lines, place, says, code = EXPRESSIONS[name]
    site.execute("ALTER TABLE orders ADD COLUMN other INT")
    site.execute("INSERT INTO orders VALUES (1, 'the canary', 2)")
    case = Case(
        INSTALL, (f"evtrig.yml:{place}", *says), code, spec=spec(*lines), setup="bare"
    )
    set_up(site, case)
    before = site.state()
    ended = run(site.folder, site.words, case)
    check(case, site.words, ended)
    assert "canary" not in ended.stderr
    assert "\n  → " in ended.stderr
    # Neither the outbox nor the schema in which expressions are tried is there.
    assert site.state() == before
    assert site.outbox not in str(site.execute("SHOW DATABASES"))


def check(
    case: Case, words: dict[str, str], ended: subprocess.CompletedProcess[str]
) -> None:
    said = f"exit code {ended.returncode}\n{ended.stderr}"
    assert ended.returncode == case.code, said
    assert ended.stdout == "", said
    for word in case.says:
        assert word.format(**words) in ended.stderr, said
    assert PASSWORD not in ended.stderr
    assert "Traceback" not in ended.stderr, said
    assert is_one_message(ended.stderr), said


def set_up(site: Site, case: Case) -> None:
    """The outbox is there with an event in it, the triggers are not."""
    write_spec(site.folder, site.words, case)
    if case.setup == "bare":
        return
    site.execute(f"CREATE DATABASE {site.outbox}")
    if case.setup == "none":
        return
    spec = parse(SPEC.format(**site.words), path="evtrig.yml")
    with Connection(Dsn.parse(site.words["dsn"])) as connection:
        apply(connection, prepare(connection, spec))
        site.execute("INSERT INTO orders VALUES (1, 'kept')")
        uninstall(connection, outbox=site.outbox)
    if case.setup == "no row":
        site.execute(f"DELETE FROM {site.outbox}.event_polling_state")


def is_one_message(stderr: str) -> bool:
    """One `evtrig: …` and a hint; or click's own form for wrong options."""
    lines = stderr.splitlines()
    if lines and lines[0].startswith("Usage: evtrig"):
        return sum(line.startswith("Error: ") for line in lines) == 1
    # The relay's log comes besides.
    starts = [line for line in lines if line.startswith("evtrig: ")]
    starts = [line for line in starts if " events published in " not in line]
    return len(starts) == 1 and any("  → " in line for line in lines)
