"""What `evtrig lambda build` makes publishes, in a Python that has nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner
from fakes.aws import FakeAws
from tables import outbox_tables

from evtrig.cli import main
from evtrig.demo.server import ThrowawayServer
from evtrig.function.archive import ROUTES
from evtrig.function.template import Choices, render

#: What Lambda's runtime for Python brings.
SDK = ("boto3", "botocore", "s3transfer", "jmespath", "urllib3", "dateutil", "six.py")
SITE = Path(sysconfig.get_path("purelib"))

#: As the runtime does: the handler is looked up by its name, and called.
INVOKE = """
import importlib, json, sys, time
sys.path[:0] = sys.argv[1:3]
module, _, name = sys.argv[3].rpartition(".")
handler = getattr(importlib.import_module(module), name)
until = time.monotonic() + 8
class Context:
    def get_remaining_time_in_millis(self):
        return int((until - time.monotonic()) * 1000)
print(json.dumps(handler({}, Context())))
"""


def test_the_archive_publishes_along_the_routes_that_are_in_it(
    server: ThrowawayServer,
    outbox: str,
    connect: Callable[..., object],
    tmp_path: Path,
) -> None:
    cursor = connect().cursor()
    for statement in outbox_tables(outbox, server.server):
        cursor.execute(statement)
    for table in ("orders", "people"):
        cursor.execute(
            f"INSERT INTO {outbox}.events (uid, type, source, operation, captured_at,"
            f" `key`, `after`) VALUES (UUID_SHORT(), '{table}.insert',"
            f" 'shop.{table}', 'insert', UTC_TIMESTAMP(6), '{{\"id\": 1}}', '{{}}')"
        )
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    for name in SDK:
        (runtime / name).symlink_to(SITE / name)
    with FakeAws(seed=1) as aws:
        orders = aws.sqs.create_queue("orders.fifo")
        others = aws.sqs.create_queue("others.fifo")
        task = unpacked(
            tmp_path,
            "version: 1\n"
            "destinations:\n"
            f"  orders: sqs:{orders.url}\n"
            f"  others: sqs:{others.url}\n"
            "routes: [{source: shop.orders, to: orders}, {to: others}]\n",
        )
        run = subprocess.run(
            [
                *(sys.executable, "-I", "-S", "-c", INVOKE),
                *(str(task), str(runtime), handler()),
            ],
            env={
                "AWS_ACCESS_KEY_ID": "fake",
                "AWS_SECRET_ACCESS_KEY": "fake",
                "AWS_REGION": "us-east-1",
                "EVTRIG_DSN": server.dsn_of(outbox),
                "EVTRIG_OUTBOX": outbox,
                "EVTRIG_ROUTES": str(task / ROUTES),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1])["published"] == 2
    assert [json.loads(a.body)["source"] for a in orders.arrivals] == ["shop.orders"]
    assert [json.loads(a.body)["source"] for a in others.arrivals] == ["shop.people"]


def unpacked(folder: Path, routes: str) -> Path:
    """The archive as it is at /var/task."""
    (folder / "routes.yml").write_text(routes)
    path = folder / "evtrig-lambda.zip"
    arguments = ["-o", str(path), "--routes", str(folder / "routes.yml")]
    made = CliRunner().invoke(main, ["lambda", "build", *arguments], env={})
    assert made.exit_code == 0, made.output
    zipfile.ZipFile(path).extractall(folder / "task")
    return folder / "task"


def handler() -> str:
    """As the template names it."""
    choices = Choices(
        uri=None,
        permissions=(),
        has_keys=False,
        on_oversize="park",
        auth="secret",
        outbox="evtrig",
        archive="evtrig-lambda.zip",
    )
    text = render("sam", choices)
    (name,) = [line for line in text.splitlines() if "Handler:" in line]
    return name.partition(":")[2].strip()
