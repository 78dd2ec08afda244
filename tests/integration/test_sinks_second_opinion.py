"""The sinks against MiniStack, which others have written from AWS's documents: what it
takes and hands out again is what was sent."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.aws import FakeAws
from integration.box import Box
from integration.destination import always, event, outcomes
from integration.stand_in import Theirs

from evtrig.errors import SinkError
from evtrig.relay.event import Event
from evtrig.relay.sinks import open_sink
from evtrig.relay.sinks.sink import Sink

pytestmark = pytest.mark.usefixtures("aws_account")

AWKWARD = ("plain", "\ufffe\uffff", "é 🍣 \U0010ffff", "a\tb\nc<&>+%20 'x'", "")

Open = Callable[[str], Sink]


@pytest.fixture
def open_(
    second_opinion: str, aws_account: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Open]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", second_opinion)
    sinks: list[Sink] = []

    def open_(uri: str) -> Sink:
        sinks.append(open_sink(uri))
        return sinks[-1]

    yield open_
    for sink in sinks:
        sink.close()


def awkward() -> list[Event]:
    return [event(n, text) for n, text in enumerate(AWKWARD, 1)]


def meanings(bodies: list[str]) -> list[Any]:
    return sorted((json.loads(b) for b in bodies), key=lambda e: e["sequence"])


def received(theirs: Theirs, url: str) -> list[dict[str, Any]]:
    """Messages of a queue with all that they have besides a body."""
    found: list[dict[str, Any]] = []
    while messages := theirs.sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=10,
        MessageSystemAttributeNames=["All"],
        MessageAttributeNames=["All"],
    ).get("Messages"):
        found += messages
        for message in messages:
            handle = message["ReceiptHandle"]
            theirs.sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)
    return found


class TestMeaning:
    @pytest.mark.parametrize("suffix", ["", ".fifo"])
    def test_of_a_queue(self, theirs: Theirs, open_: Open, suffix: str) -> None:
        url = theirs.queue(suffix)
        sink = open_(f"sqs:{url}?attributes=type,operation")
        # The second time a FIFO queue takes them for what they are: duplicates.
        for _ in range(2 if suffix else 1):
            assert outcomes(sink.publish(awkward(), always)) == "AAAAA"
        found = received(theirs, url)
        expected = meanings([sent.body for sent in awkward()])
        assert meanings([message["Body"] for message in found]) == expected
        for message in found:
            attributes = message["MessageAttributes"]
            values = {name: a["StringValue"] for name, a in attributes.items()}
            assert values == {"type": "orders.insert", "operation": "insert"}
        if suffix:
            groups = {message["Attributes"]["MessageGroupId"] for message in found}
            assert groups == {f'shop.orders:{{"id":{n}}}' for n in range(1, 6)}

    @pytest.mark.parametrize("suffix", ["", ".fifo"])
    def test_of_a_topic(self, theirs: Theirs, open_: Open, suffix: str) -> None:
        """By way of a queue with raw delivery."""
        topic = theirs.topic(suffix)
        sink = open_(f"sns:{topic}?attributes=type,source")
        for _ in range(2 if suffix else 1):
            assert outcomes(sink.publish(awkward(), always)) == "AAAAA"
        expected = meanings([sent.body for sent in awkward()])
        assert meanings(theirs.delivered(topic)) == expected

    def test_of_a_stream(self, theirs: Theirs, open_: Open) -> None:
        stream = theirs.stream()
        sink = open_(f"kinesis:{stream}")
        assert outcomes(sink.publish(awkward(), always)) == "AAAAA"
        bodies = [body for _, body in theirs.stored(stream)]
        assert sorted(bodies) == sorted(sent.body for sent in awkward())


class TestOrder:
    def test_a_key_has_one_shard_the_same_as_in_the_fake(
        self, theirs: Theirs, open_: Open, aws: FakeAws
    ) -> None:
        stream = theirs.stream()
        sink = open_(f"kinesis:{stream}")
        keys = [f'shop.orders:{{"id": {n}}}' for n in range(6)]
        for n in range(24):
            sent = event(n + 1, key=keys[n % 6])
            assert outcomes(sink.publish([sent], always)) == "A"
        fake = aws.kinesis.create_stream("orders", 4)
        by_shard: dict[str, list[int]] = {}
        for shard, body in theirs.stored(stream):
            sequence = json.loads(body)["sequence"]
            by_shard.setdefault(shard, []).append(sequence)
            assert shard[-4:] == fake.shard_of(keys[(sequence - 1) % 6])[-4:]
        assert sum(map(len, by_shard.values())) == 24
        for sequences in by_shard.values():
            assert sequences == sorted(sequences)

    @pytest.mark.parametrize("service", ["sqs", "sns"])
    def test_fifo_hands_out_the_events_of_a_key_in_order(
        self, theirs: Theirs, open_: Open, service: str
    ) -> None:
        if service == "sqs":
            place = url = theirs.queue(".fifo")
        else:
            place = theirs.topic(".fifo")
            url = theirs.subscribed[place]
        sink = open_(f"{service}:{place}")
        for n in range(1, 13):
            sent = event(n, key=f'shop.orders:{{"id": {n % 3}}}')
            assert outcomes(sink.publish([sent], always)) == "A"
        by_group: dict[str, list[int]] = {}
        for message in received(theirs, url):
            group = message["Attributes"]["MessageGroupId"]
            sequence = json.loads(message["Body"])["sequence"]
            by_group.setdefault(group, []).append(sequence)
        assert by_group == {
            f'shop.orders:{{"id":{n % 3}}}': [n, n + 3, n + 6, n + 9] for n in (1, 2, 3)
        }


class TestLimits:
    def test_the_sink_learns_them_and_keeps_to_them(
        self, theirs: Theirs, open_: Open
    ) -> None:
        url = theirs.queue(MaximumMessageSize="2048")
        sink = open_(f"sqs:{url}")
        events = [event(1), event(2, "x" * 2048), event(3)]
        assert outcomes(sink.publish(events, always)) == "ALA"
        assert len(received(theirs, url)) == 2

    @pytest.mark.parametrize("service", ["sqs", "sns", "kinesis"])
    def test_a_call_that_is_as_full_as_it_may_be_is_taken(
        self, theirs: Theirs, open_: Open, service: str
    ) -> None:
        made = {"sqs": theirs.queue, "sns": theirs.topic, "kinesis": theirs.stream}
        sink = open_(f"{service}:{made[service]()}")
        count = sink.limits.entries
        room = min(sink.limits.bytes // count, 4000) - 300
        events = [event(n, "x" * room) for n in range(1, count + 1)]
        assert outcomes(sink.publish(events, always)) == "A" * count


class TestRefusals:
    def test_one_that_is_not_there_is_found_before_anything_is_sent(
        self, theirs: Theirs, open_: Open
    ) -> None:
        url = theirs.queue()
        for uri in (
            f"sqs:{url}-not",
            "sns:arn:aws:sns:us-east-1:123456789012:not",
            "kinesis:not",
        ):
            with pytest.raises(SinkError, match="not") as raised:
                open_(uri)
            assert "account and the region" in (raised.value.hint or "")


def test_what_the_documentation_says_of_trying_it_without_aws(
    box: Box, second_opinion: str, tmp_path: Path
) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs/sinks.md").read_text()
    _, commands = re.findall(
        r"^```sh\n(.*?)^```", text.partition("## Without AWS\n")[2], re.M | re.S
    )[:2]
    printed = "AWS_ENDPOINT_URL=http://127.0.0.1:4566"
    assert printed in commands
    box.insert(3, keys=1)
    ended = subprocess.run(
        [
            "bash",
            "-e",
            "-c",
            commands.replace(printed, f"AWS_ENDPOINT_URL={second_opinion}"),
        ],
        cwd=tmp_path,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "EVTRIG_DSN": box.dsn,
            "EVTRIG_OUTBOX": box.schema,
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [event["after"]["n"] for event in events] == [0, 1, 2]
    assert len(box) == 0
