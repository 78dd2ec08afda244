"""The Dockerfile, and the examples of what runs its image.

No engine is needed: what is read here is compared with the package, with AWS's own
description of a task, and the health check is run.
"""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore.validate import ParamValidator

from evtrig.commands.relay import relay
from evtrig.relay.sinks.config import CONNECT_TIMEOUT, READ_TIMEOUT

ROOT = Path(__file__).resolve().parents[2]
PORT = 9464


def test_the_base_is_a_slim_python_of_one_version() -> None:
    (base,) = arguments("ARG")
    assert re.fullmatch(r"BASE=python:3\.\d+\.\d+-slim-\w+", base)
    assert [image.split()[0] for image in arguments("FROM")] == ["${BASE}"] * 2


def test_the_image_runs_as_nobody_and_without_a_shell() -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", arguments("USER")[-1])
    assert json.loads(arguments("ENTRYPOINT")[-1]) == ["evtrig"]
    assert json.loads(arguments("CMD")[-1]) == ["relay"]
    assert health_check()[0].startswith("/")


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (None, 1)])
def test_the_health_check_says_what_the_relay_says(
    status: int | None, code: int
) -> None:
    with answering(status) as (port, asked):
        command = [sys.executable, *health_check()[1:]]
        found = subprocess.run(
            [word.replace(str(PORT), str(port)) for word in command],
            capture_output=True,
            check=False,
        )
    assert found.returncode == code
    assert asked == ([] if status is None else ["/healthz"])


def test_the_context_holds_the_whole_package_and_nothing_else() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    packages = config["options"]["packages"].split()
    tops = {name.split(".")[1] for name in packages if "." in name}
    tops |= {"templates", "py.typed", "README.md", "LICENSE", "setup.cfg"}
    tops |= {"pyproject.toml", *(path.name for path in ROOT.glob("*.py"))}
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    back = [rule[1:] for rule in rules if rule.startswith("!")]
    taken = {
        path.name
        for path in ROOT.iterdir()
        if any(fnmatch(path.name, pattern) for pattern in back)
    }
    assert taken == tops


def test_ecs_takes_the_task_as_it_is() -> None:
    """By the service model of botocore, which is AWS's own."""
    model = botocore.session.get_session().get_service_model("ecs")
    shape = model.operation_model("RegisterTaskDefinition").input_shape
    report = ParamValidator().validate(task(), shape)
    assert not report.has_errors(), report.generate_report()
    wrong = {**task(), "containerDefinitions": [{"nmae": "relay"}]}
    assert ParamValidator().validate(wrong, shape).has_errors()


def test_ecs_asks_the_relay_as_the_image_does() -> None:
    (container,) = task()["containerDefinitions"]
    assert container["healthCheck"]["command"] == ["CMD", *health_check()]
    assert container["user"] == arguments("USER")[-1]
    assert container["readonlyRootFilesystem"] is True


def test_kubernetes_has_one_relay_that_publishes_and_one_that_stands_by() -> None:
    found = kubernetes()
    deployment, budget = found["Deployment"]["spec"], found["PodDisruptionBudget"]
    assert deployment["replicas"] == 2
    assert budget["spec"]["minAvailable"] == 1
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels
    assert budget["spec"]["selector"]["matchLabels"] == labels
    pod = deployment["template"]["spec"]
    assert pod["serviceAccountName"] == found["ServiceAccount"]["metadata"]["name"]
    user, group = map(int, arguments("USER")[-1].split(":"))
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == user
    assert pod["securityContext"]["runAsGroup"] == group
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    (port,) = container["ports"]
    assert port["containerPort"] == PORT
    for probe, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        asks = container[probe]["httpGet"]
        assert asks == {"path": path, "port": port["name"]}


def test_a_relay_has_the_time_to_end_its_calls_and_give_the_lease_back() -> None:
    pod = kubernetes()["Deployment"]["spec"]["template"]["spec"]
    (container,) = task()["containerDefinitions"]
    # A sink begins no call after READ_TIMEOUT; what it has sent is then acknowledged.
    needed = READ_TIMEOUT + CONNECT_TIMEOUT + READ_TIMEOUT
    assert pod["terminationGracePeriodSeconds"] > 2 * needed
    assert container["stopTimeout"] == pod["terminationGracePeriodSeconds"]


def test_every_setting_is_one_that_the_relay_has() -> None:
    known = {
        option.envvar or f"EVTRIG_RELAY_{str(option.name).upper()}"
        for option in relay.params
    }
    (container,) = task()["containerDefinitions"]
    (pod,) = kubernetes()["Deployment"]["spec"]["template"]["spec"]["containers"]
    named = {
        *re.findall(r"\b(EVTRIG_\w+)=", (ROOT / "Dockerfile").read_text()),
        *(one["name"] for one in container["environment"]),
        *(one["name"] for one in pod["env"]),
    }
    assert {name for name in named if name.startswith("EVTRIG_")} <= known
    assert {"EVTRIG_DSN", "EVTRIG_SINK", "EVTRIG_RELAY_METRICS_PORT"} <= named


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile, each with its arguments on one line."""
    text = (ROOT / "Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.M)
    text = re.sub(r"\\\n\s*", "", text)
    lines = [line for line in text.splitlines() if line]
    return [(line.split()[0], line.split(None, 1)[1]) for line in lines]


def arguments(name: str) -> list[str]:
    return [found for instruction, found in instructions() if instruction == name]


def health_check() -> list[str]:
    (found,) = arguments("HEALTHCHECK")
    command: list[str] = json.loads(found[found.index("CMD ") + 4 :])
    return command


def task() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (ROOT / "examples/ecs-task-definition.json").read_text()
    )
    return found


def kubernetes() -> dict[str, Any]:
    """The objects by kind."""
    text = (ROOT / "examples/kubernetes.yml").read_text()
    return {found["kind"]: found for found in yaml.safe_load_all(text)}


@contextmanager
def answering(status: int | None) -> Iterator[tuple[int, list[str]]]:
    """A server that says so, and the paths that it was asked for; None: there is none
    at the port."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status or 500)
            self.end_headers()

        def log_request(self, code: object = "-", size: object = "-") -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    port = server.server_port
    if status is None:
        server.server_close()
        yield port, asked
        return
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}
    )
    thread.start()
    try:
        yield port, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
