"""What every sink must do, tested on each of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import pytest
from fakes.aws import FakeAws
from integration.destination import Destination, always, event, never

from evtrig.relay.event import Event
from evtrig.relay.sinks import SCHEMES, open_sink, with_claim_check
from evtrig.relay.sinks.sink import ACKNOWLEDGED, LEASE_RAN_OUT, Outcome, Result, Sink

#: What a row may hold, and a sink or its protocol may trip over.
AWKWARD = (
    "plain",
    "",
    "a\ttab, a\nline break, a\rcarriage return, a \x00 and a \x1f",
    'quotes " and \\ and \\" and \\n',
    "é ü ß 漢字 🍣 \U0010ffff",
    "\ufffe\uffff",
    "<tag>&amp;]]>",
    "\u2028\u2029\u0085\ufeff",
    "%s {} %(x)s",
)


def same(one: Iterable[str], other: Iterable[str]) -> bool:
    return sorted(one) == sorted(other)


@dataclass
class Kind:
    """A sink to test, and what came out of its other end."""

    uri: str
    arrived: Callable[[], list[str]]
    _sinks: list[Sink]
    #: Where events go that are too large, if anywhere.
    claim_check: str | None = None
    #: Whether the events of a call arrive in its order.
    keeps_order: bool = True

    def open(self) -> Sink:
        sink = open_sink(self.uri)
        if self.claim_check:
            sink = with_claim_check(sink, self.claim_check)
        self._sinks.append(sink)
        return self._sinks[-1]

    def close(self, sink: Sink) -> None:
        self._sinks.remove(sink)
        sink.close()

    def has(self, events: Iterable[Event]) -> bool:
        """Whether these have arrived, each once, and nothing else."""
        bodies, arrived = [sent.body for sent in events], self.arrived()
        return arrived == bodies if self.keeps_order else same(arrived, bodies)


KINDS = (
    *("stdout", "file", "file-s3"),
    *("sqs", "sqs-fifo", "sqs-fair", "sqs-s3", "sqs-fifo-s3"),
    *("sns", "sns-fifo", "sns-s3", "sns-fifo-s3"),
    *("kinesis", "kinesis-s3", "eventbridge", "eventbridge-s3"),
)


@pytest.fixture(params=KINDS)
def kind(
    request: pytest.FixtureRequest, tmp_path: Path, aws: FakeAws, aws_account: None
) -> Iterator[Kind]:
    sinks: list[Sink] = []
    if request.param == "stdout":
        capture: pytest.CaptureFixture[str] = request.getfixturevalue("capfd")
        text = []

        def read() -> list[str]:
            text.append(capture.readouterr().out)
            return "".join(text).split("\n")[:-1]

        yield Kind("stdout:", read, sinks)
    elif request.param.startswith("file"):
        path = tmp_path / "events.ndjson"

        def rows() -> list[str]:
            return path.read_text().split("\n")[:-1]

        claim_check = None
        if request.param.endswith("-s3"):
            claim_check = f"s3://{aws.s3.create_bucket('large').name}/events"
        yield Kind(f"file:{path}", rows, sinks, claim_check)
    else:
        made = Destination(aws, request.param)
        keeps_order = made.scheme in ("sqs", "sns")
        yield Kind(made.uri, lambda: made.bodies, sinks, made.claim_check, keeps_order)
    for sink in sinks:
        sink.close()


class TestEverySink:
    def test_it_says_what_it_is(self, kind: Kind) -> None:
        sink = kind.open()
        assert sink.name == kind.uri
        assert sink.limits.entries >= 1
        assert sink.limits.bytes >= 1024
        assert sink.limits.calls >= 1
        # One ordered write at a time.
        assert not sink.in_order or sink.limits.calls == 1

    def test_a_batch_is_acknowledged_and_arrives(self, kind: Kind) -> None:
        sink = kind.open()
        events = [event(n) for n in range(1, 11)]
        assert list(sink.publish(events, always)) == [ACKNOWLEDGED] * 10
        assert kind.has(events)

    def test_batches_arrive_one_after_the_other(self, kind: Kind) -> None:
        sink = kind.open()
        events = [event(n, key="one") for n in range(1, 6)]
        for sent in events:
            assert list(sink.publish([sent], always)) == [ACKNOWLEDGED]
        assert kind.arrived() == [sent.body for sent in events]

    @pytest.mark.parametrize("text", AWKWARD, ids=ascii)
    def test_whatever_a_row_holds_means_the_same_on_the_other_side(
        self, kind: Kind, text: str
    ) -> None:
        sink = kind.open()
        key = json.dumps({"name": text}, ensure_ascii=False)
        sent = event(1, {text: text}, key=f"shop.orders:{key}")
        assert list(sink.publish([sent], always)) == [ACKNOWLEDGED]
        (body,) = kind.arrived()
        assert json.loads(body) == json.loads(sent.body)

    def test_white_space_between_tokens_makes_no_second_event(self, kind: Kind) -> None:
        """MariaDB keeps the line breaks of a JSON column."""
        sink = kind.open()
        body = event(1, {"a": 1}).body.replace(": {", ":\r\n{").replace(": 1", ":\n1")
        sent = Event(1, 1, "k", body)
        assert list(sink.publish([sent], always)) == [ACKNOWLEDGED]
        (arrived,) = kind.arrived()
        assert json.loads(arrived) == json.loads(event(1, {"a": 1}).body)

    def test_as_many_events_as_it_says_fit_in_a_call(self, kind: Kind) -> None:
        sink = kind.open()
        events = [event(n) for n in range(1, sink.limits.entries + 1)]
        assert list(sink.publish(events, always)) == [ACKNOWLEDGED] * len(events)
        assert len(kind.arrived()) == len(events)

    def test_as_many_bytes_as_it_says_fit_in_a_call(self, kind: Kind) -> None:
        sink = kind.open()
        # Beside the body a sink may count a key, a type or attributes.
        limit = sink.limits.bytes
        count = max(4, -(-limit // 1_000_000))
        events = [event(n, "x" * (limit // count - 300)) for n in range(1, count + 1)]
        assert limit - 400 * count < sum(sent.size for sent in events) <= limit
        assert list(sink.publish(events, always)) == [ACKNOWLEDGED] * count
        assert kind.has(events)

    def test_an_event_above_the_limit_has_a_result_and_harms_no_other(
        self, kind: Kind
    ) -> None:
        sink = kind.open()
        large = event(1, "secret" * (sink.limits.bytes // 6 + 1))
        (result,) = sink.publish([large], always)
        assert result.outcome in (Outcome.ACKNOWLEDGED, Outcome.OVERSIZED)
        assert result is ACKNOWLEDGED or not kind.claim_check
        assert "secret" not in result.reason
        assert list(sink.publish([event(2)], always)) == [ACKNOWLEDGED]
        arrived = [json.loads(body)["id"] for body in kind.arrived()]
        expected = [large.name] * (result is ACKNOWLEDGED) + [event(2).name]
        assert arrived == expected

    def test_nothing_is_sent_when_it_may_not(self, kind: Kind) -> None:
        sink = kind.open()
        large = event(11, "x" * sink.limits.bytes)
        (result,) = sink.publish([large], never)
        assert result in (LEASE_RAN_OUT, Result(Outcome.OVERSIZED, result.reason))
        assert result is LEASE_RAN_OUT or not kind.claim_check
        events = [event(n) for n in range(1, 11)]
        assert list(sink.publish(events, never)) == [LEASE_RAN_OUT] * 10
        assert kind.arrived() == []
        # It was not the sink's fault, which goes on once it may.
        assert list(sink.publish(events, always)) == [ACKNOWLEDGED] * 10
        assert kind.has(events)

    def test_each_call_asks_a_question_of_its_own(self, kind: Kind) -> None:
        """Calls run at the same time, and one of them may be late."""
        sink = kind.open()
        batches = [[event(n)] for n in range(1, 41)]
        may_send = [always, never] * 20
        with ThreadPoolExecutor(sink.limits.calls) as pool:
            results = [r[0] for r in pool.map(sink.publish, batches, may_send)]
        assert results == [ACKNOWLEDGED, LEASE_RAN_OUT] * 20
        expected = [batch[0].body for batch in batches[::2]]
        assert sorted(kind.arrived()) == sorted(expected)

    def test_an_event_that_is_sent_again_has_the_same_bytes(self, kind: Kind) -> None:
        """Acknowledged once more; whether it shows twice is the sink's affair."""
        sink = kind.open()
        sent = event(1, "\ufffe")
        for _ in range(2):
            assert list(sink.publish([sent], always)) == [ACKNOWLEDGED]
        arrived = kind.arrived()
        assert 1 <= len(arrived) <= 2
        assert len(set(arrived)) == 1

    def test_it_takes_as_many_calls_at_once_as_it_says(self, kind: Kind) -> None:
        sink = kind.open()
        batches = [[event(10 * n + i) for i in range(5)] for n in range(1, 41)]
        with ThreadPoolExecutor(sink.limits.calls) as pool:
            for results in pool.map(sink.publish, batches, repeat(always)):
                assert list(results) == [ACKNOWLEDGED] * 5
        bodies = [sent.body for batch in batches for sent in batch]
        assert sorted(kind.arrived()) == sorted(bodies)

    def test_it_goes_on_where_another_has_ended(self, kind: Kind) -> None:
        for n in range(1, 4):
            sink = kind.open()
            sink.publish([event(n)], always)
            kind.close(sink)
        assert kind.arrived() == [event(n).body for n in range(1, 4)]

    def test_closing_it_frees_what_it_holds(self, kind: Kind) -> None:
        kind.close(kind.open())
        before = len(os.listdir("/proc/self/fd"))
        for n in range(1, 4):
            sink = kind.open()
            sink.publish([event(n)], always)
            kind.close(sink)
        # The fake's side of a connection may live a little longer.
        assert len(os.listdir("/proc/self/fd")) <= before + 3


def test_every_scheme_is_tested_here() -> None:
    assert set(SCHEMES) == {kind.partition("-")[0] for kind in KINDS}
