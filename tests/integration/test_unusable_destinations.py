"""Destinations at AWS that cannot be used: what the relay says, and that it ends.

The command asks the destination before it connects to the database, so these need none.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from botocore.loaders import Loader
from botocore.retries.standard import ExponentialBackoff
from click.testing import CliRunner
from fakes import sqs as fake_sqs
from fakes.aws import FakeAws
from fakes.faults import Answer, Hang, Intercept
from fakes.service import AwsError
from fakes.sns import Topic
from fakes.sqs import Queue
from integration.destination import Destination, always, outcomes

from evtrig.cli import main
from evtrig.errors import SinkError, SinkUnavailable
from evtrig.relay.sinks import make_sink
from evtrig.relay.sinks.kinesis import STRATEGY

pytestmark = pytest.mark.usefixtures("aws_account")

#: Where no database is: it is not even asked.
DSN = "mysql://nobody@127.0.0.1:1/none"


@pytest.fixture(params=["sqs-fifo", "sns", "kinesis", "eventbridge"])
def destination(aws: FakeAws, request: pytest.FixtureRequest) -> Iterator[Destination]:
    made = Destination(aws, request.param)
    yield made
    made.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore asks again as often as ever, and at once."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.0)


@pytest.fixture
def old_boto3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One whose model of Kinesis does not know how a stream distributes records."""
    name = ("kinesis", "2013-12-02", "service-2")
    model = Loader().load_data("/".join(name))
    del model["shapes"]["StreamDescriptionSummary"]["members"][STRATEGY]
    folder = tmp_path.joinpath("models", *name[:2])
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text(json.dumps(model))
    # What is found there goes before what botocore has.
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path / "models"))


def said(uri: str, *, exit_code: int = 1) -> str:
    """What ``evtrig relay`` says that cannot begin: what, where and what to do."""
    arguments = ["relay", "--dsn", DSN, "--drain", "--sink", uri]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == exit_code, result.output
    assert isinstance(result.exception, SystemExit), "no traceback"
    assert result.stdout == ""
    what, todo = result.stderr.splitlines()
    assert what.startswith("evtrig: ")
    assert todo.startswith("  \N{RIGHTWARDS ARROW} ")
    assert "127.0.0.1:1/" not in result.stderr, "the database was asked"
    return result.stderr


def delete(destination: Destination) -> None:
    aws, name = destination.aws, destination.target.name
    match destination.scheme:
        case "sqs":
            aws.sqs.delete_queue(name)
        case "sns":
            aws.sns.delete_topic(name)
        case "kinesis":
            aws.kinesis.delete_stream(name)
        case _:
            aws.eventbridge.delete_bus(name)


class TestAtStart:
    def test_one_that_is_not_there(self, destination: Destination) -> None:
        """EventBridge would say yes to every event for it."""
        delete(destination)
        found = said(destination.uri)
        assert f"cannot use {destination.uri}: " in found
        kinds = {"sqs": "queue", "sns": "topic", "kinesis": "stream"}
        kind = kinds.get(destination.scheme, "bus")
        assert f"Check the {kind}'s name, the account and the region (us-eas" in found
        assert [c.action for c in destination.aws.calls] == [destination.service.look]

    @pytest.mark.parametrize("kind", ["kinesis", "eventbridge"])
    def test_one_of_another_region_says_which_was_asked(
        self, aws: FakeAws, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        destination = Destination(aws, kind)
        delete(destination)
        monkeypatch.setenv("AWS_REGION", "eu-west-1")
        assert "(eu-west-1 was asked)" in said(destination.uri)

    def test_no_region(
        self, destination: Destination, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        if destination.scheme == "sns":
            # An ARN names its own.
            destination.open()
            return
        found = said(destination.uri)
        assert f"no AWS region for {destination.uri}" in found
        assert "AWS_REGION or AWS_DEFAULT_REGION" in found

    def test_no_permission_names_the_action_that_was_asked_for(
        self, destination: Destination
    ) -> None:
        service = destination.service
        denied = service.denied(service.may_look)
        destination.aws.faults.add(Answer(denied), action=service.look)
        found = said(destination.uri)
        assert f"Allow {service.may_look} on {destination.place}." in found
        assert service.may_send not in found

    def test_credentials_that_do_not_do(self, destination: Destination) -> None:
        for error, hint in (
            (AwsError("ExpiredTokenException", "", code="ExpiredToken"), "Renew"),
            (AwsError("UnrecognizedClientException", "", status=403), "credentials"),
            (AwsError("InvalidClientTokenId", "", status=403), "credentials"),
            (AwsError("OptInRequired", "", status=403), "Sign the account up"),
        ):
            destination.aws.faults.add(Answer(error), action=destination.service.look)
            found = said(destination.uri)
            assert f"cannot use {destination.uri}: {error.code}" in found
            assert hint in found
            destination.aws.faults.clear()

    def test_no_credentials(
        self, destination: Destination, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        found = said(destination.uri)
        assert f"cannot use {destination.uri}: Unable to locate credentials" in found
        assert "AWS_PROFILE" in found
        assert destination.aws.calls == ()

    def test_a_profile_that_does_not_exist(
        self, destination: Destination, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_PROFILE", "nobodys")
        found = said(destination.uri)
        assert destination.uri in found
        assert "nobodys" in found
        assert "AWS_PROFILE" in found

    def test_a_clock_that_is_wrong(self, destination: Destination) -> None:
        destination.aws.signing_clock.advance(3600)
        found = said(destination.uri)
        assert f"cannot use {destination.uri}: " in found
        assert "this machine's clock" in found

    def test_a_host_that_has_no_address(
        self,
        destination: Destination,
        monkeypatch: pytest.MonkeyPatch,
        impatient: None,
    ) -> None:
        uri, host = destination.uri, "http://nothing.invalid"
        monkeypatch.setenv("AWS_ENDPOINT_URL", host)
        found = said(uri)
        assert f"cannot use {uri}: " in found
        assert host in found
        assert "the network" in found
        assert "AWS_ENDPOINT_URL" in found

    def test_nobody_there(self, destination: Destination, impatient: None) -> None:
        with destination.aws.unreachable():
            found = said(destination.uri)
        assert f"cannot use {destination.uri}: " in found
        assert "the network" in found

    @pytest.mark.parametrize("status", [200, 503])
    def test_somebody_else_who_answers(
        self, destination: Destination, impatient: None, status: int
    ) -> None:
        """A proxy or a load balancer, say: its page is not repeated."""
        for body in (b"upstream \xe9", b"<html>upstream</html>", b"[]", b"{}"):
            intercept = Intercept(status, body)
            destination.aws.faults.add(intercept, action=destination.service.look)
            found = said(destination.uri)
            assert f"cannot use {destination.uri}: " in found
            assert "upstream" not in found
            if status == 200:
                assert "answers is not AWS" in found
                assert "AWS_ENDPOINT_URL" in found
            destination.aws.faults.clear()

    def test_somebody_else_who_answers_while_it_is_looked_at_thoroughly(
        self, destination: Destination
    ) -> None:
        sink = destination.open()
        intercept = Intercept(200, b"[]")
        destination.aws.faults.add(intercept, action=destination.service.send)
        with pytest.raises(SinkUnavailable, match="answers is not AWS"):
            sink.check(thoroughly=True)

    def test_a_password_in_the_endpoint_is_not_repeated(
        self,
        destination: Destination,
        monkeypatch: pytest.MonkeyPatch,
        impatient: None,
    ) -> None:
        uri = destination.uri
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://me:secret@nothing.invalid")
        found = said(uri)
        assert "nothing.invalid" in found
        assert "secret" not in found

    def test_one_that_is_throttled_is_asked_again(
        self, destination: Destination, impatient: None
    ) -> None:
        service = destination.service
        answer = Answer(service.throttled)
        destination.aws.faults.add(answer, calls=2, action=service.look)
        destination.open()
        assert len(destination.aws.calls) == 3

    def test_one_that_stays_throttled_says_that_it_may_pass(
        self, destination: Destination, impatient: None
    ) -> None:
        service = destination.service
        destination.aws.faults.add(Answer(service.throttled), action=service.look)
        found = said(destination.uri)
        assert f"{destination.uri}: {service.throttled.code}" in found
        assert "start again" in found

    @pytest.mark.parametrize("kind", ["sqs", "sqs-fifo", "sns", "sns-fifo"])
    def test_one_that_is_fifo_by_its_name_only_or_not_by_its_name(
        self, aws: FakeAws, kind: str
    ) -> None:
        destination = Destination(aws, kind)
        assert isinstance(destination.target, Queue | Topic)
        attributes = destination.target.attributes
        name = "FifoQueue" if destination.scheme == "sqs" else "FifoTopic"
        attributes.pop(name, None)
        if not destination.is_fifo:
            attributes[name] = "true"
        found = said(destination.uri)
        a = "no" if destination.is_fifo else "a"
        assert f"cannot use {destination.uri}: it is {a} FIFO" in found
        assert "its name says otherwise" in found
        assert "AWS_ENDPOINT_URL" in found

    def test_a_stream_that_ignores_partition_keys(self, aws: FakeAws) -> None:
        destination = Destination(aws, "kinesis", mode="ON_DEMAND", distribution="AUTO")
        found = said("kinesis:orders")
        assert "cannot use kinesis:orders: its record distribution strategy" in found
        assert "update-stream-record-distribution-strategy" in found
        assert destination.sent == []

    @pytest.mark.parametrize("distribution", ["AUTO", "USER_PARTITION_KEY"])
    def test_a_stream_of_which_boto3_is_too_old_to_tell_that(
        self, aws: FakeAws, old_boto3: None, distribution: str
    ) -> None:
        Destination(aws, "kinesis", mode="ON_DEMAND", distribution=distribution)
        sink = make_sink("kinesis:orders")
        *_, notice = sink.check()
        sink.close()
        assert notice.startswith(f"boto3 {boto3.__version__} is too old to tell")
        assert "--with-boto3" in notice

    def test_a_stream_of_which_an_old_boto3_need_not_tell_it(
        self, aws: FakeAws, old_boto3: None
    ) -> None:
        """Only streams on demand can ignore partition keys."""
        Destination(aws, "kinesis")
        sink = make_sink("kinesis:orders")
        assert "too old" not in " ".join(sink.check())
        sink.close()

    def test_a_boto3_that_can_tell_says_nothing_of_it(self, aws: FakeAws) -> None:
        Destination(aws, "kinesis", mode="ON_DEMAND")
        sink = make_sink("kinesis:orders")
        assert "too old" not in " ".join(sink.check())
        sink.close()

    @pytest.mark.parametrize("status", ["CREATING", "DELETING"])
    def test_a_stream_that_is_not_there_yet_or_no_longer(
        self, aws: FakeAws, status: str
    ) -> None:
        Destination(aws, "kinesis", status=status)
        found = said("kinesis:orders")
        assert f"cannot use kinesis:orders: the stream is {status}" in found
        assert "ACTIVE" in found

    def test_a_stream_whose_shards_are_split_is_used(self, aws: FakeAws) -> None:
        destination = Destination(aws, "kinesis", status="UPDATING")
        sink = destination.open()
        assert outcomes(sink.publish(destination.events(), always)) == "A" * 10
        destination.close()


class TestSignal:
    """While it waits for the answer of a destination."""

    def test_sigterm_ends_it_at_once(self, hanging: Queue, aws: FakeAws) -> None:
        with relaying(hanging) as relay:
            aws.wait_for(lambda: aws.calls)
            relay.terminate()
            assert relay.wait(5) == -signal.SIGTERM

    @pytest.mark.skipif(os.geteuid() != 0, reason="PID namespaces need root")
    def test_also_pid_1_of_a_container(self, hanging: Queue, aws: FakeAws) -> None:
        """To it the kernel delivers no signal that has no handler."""
        unshare = ("unshare", "--pid", "--fork", "--kill-child")
        with relaying(hanging, *unshare) as outer:
            aws.wait_for(lambda: aws.calls)
            children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
            os.kill(int(children.read_text()), signal.SIGTERM)
            assert outer.wait(5) == 128 + signal.SIGTERM


@pytest.fixture
def hanging(aws: FakeAws) -> Queue:
    aws.faults.add(Hang(), action="GetQueueAttributes")
    return aws.sqs.create_queue("orders")


@contextmanager
def relaying(queue: Queue, *prefix: str) -> Iterator[subprocess.Popen[bytes]]:
    command = (*prefix, sys.executable, "-m", "evtrig", "relay", "--dsn", DSN)
    with subprocess.Popen((*command, "--sink", f"sqs:{queue.url}")) as process:
        try:
            yield process
        finally:
            process.kill()


class TestMeanwhile:
    """After it was looked at: what becomes of events is test_relay_at_aws.py's."""

    def test_no_permission_names_the_action_that_was_asked_for(
        self, destination: Destination
    ) -> None:
        service = destination.service
        error = raised(destination, service.denied(service.may_send))
        hint = f"Allow {service.may_send} on {destination.place}."
        assert error.hint == hint

    def test_a_kms_key_that_is_disabled(self, destination: Destination) -> None:
        disabled = destination.service.kms_disabled
        if disabled is None:
            assert destination.scheme == "eventbridge"
            return
        error = raised(destination, disabled)
        hint = f"The KMS key that encrypts {destination.place} is disabled: enable it."
        assert error.hint == hint

    @pytest.mark.parametrize("kind", ["sqs", "sns", "kinesis"])
    def test_a_kms_key_that_may_not_be_used(self, aws: FakeAws, kind: str) -> None:
        errors = {
            "sqs": fake_sqs.kms_error("KmsAccessDenied"),
            "sns": AwsError("KMSAccessDenied", ""),
            "kinesis": AwsError("KMSAccessDeniedException", ""),
        }
        destination = Destination(aws, kind)
        error = raised(destination, errors[kind])
        assert error.hint
        assert "kms:GenerateDataKey" in error.hint
        assert destination.place in error.hint
        destination.close()

    @pytest.mark.parametrize("kind", ["sqs", "sqs-fifo", "sns", "sns-fifo"])
    def test_more_entries_than_it_takes_in_a_call(
        self, aws: FakeAws, kind: str
    ) -> None:
        """Whoever sets the option believes that AWS has raised its limit."""
        destination = Destination(aws, kind)
        sink = destination.open(entries=11)
        with pytest.raises(SinkError, match="TooManyEntriesInBatchRequest") as caught:
            sink.publish(destination.events(11), always)
        assert "the option entries" in (caught.value.hint or "")
        assert destination.target.arrived == 0
        destination.close()

    def test_credentials_that_expire(self, destination: Destination) -> None:
        expired = AwsError("ExpiredTokenException", "", code="ExpiredToken")
        error = raised(destination, expired)
        assert error.hint
        assert error.hint.startswith("Renew the credentials")

    @pytest.mark.parametrize("kind", ["sqs-fifo", "sns", "kinesis"])
    def test_one_that_is_deleted(self, aws: FakeAws, kind: str) -> None:
        destination = Destination(aws, kind)
        sink = destination.open()
        delete(destination)
        with pytest.raises(SinkError) as caught:
            sink.publish(destination.events(), always)
        assert destination.uri in caught.value.message
        assert "account and the region" in (caught.value.hint or "")
        destination.close()

    def test_a_bus_that_is_deleted_goes_on_saying_yes(self, aws: FakeAws) -> None:
        """Of EventBridge itself (github.com/aws/aws-cli/issues/9186), and why a bus is
        looked at when the relay starts; docs/guarantee.md says so."""
        destination = Destination(aws, "eventbridge")
        sink = destination.open()
        delete(destination)
        assert outcomes(sink.publish(destination.events(), always)) == "A" * 10
        assert len(aws.eventbridge.lost) == 10
        destination.close()

    def test_what_was_acknowledged_before_it_is_known_to_be(self, aws: FakeAws) -> None:
        """Two calls, of which the second is denied: the first counts."""
        destination = Destination(aws, "sqs-fifo")
        sink = destination.open(entries=5)
        asked = iter([True, True])

        def may_send() -> bool:
            if len(destination.sent) == 1:
                service = destination.service
                denied = Answer(service.denied(service.may_send))
                aws.faults.add(denied, action=service.send)
            return next(asked)

        results = sink.publish(destination.events(), may_send)
        assert outcomes(results) == "A" * 5 + "U" * 5
        with pytest.raises(SinkError, match="AccessDenied"):
            sink.publish(destination.events()[5:], always)
        destination.close()

    def test_what_was_acknowledged_alone_before_it_is_known_to_be(
        self, destination: Destination
    ) -> None:
        """The call fails because of an entry; of those sent by themselves then, the
        fourth is denied."""
        sink, service = destination.open(), destination.service
        faults = destination.aws.faults
        bad = AwsError(max(type(sink).bad_entry), "one of the entries is bad")
        faults.add(Answer(bad), action=service.send, calls=1)

        def may_send() -> bool:
            if destination.target.arrived == 3:
                faults.add(Answer(service.denied(service.may_send)))
            return True

        results = sink.publish(destination.events(), may_send)
        assert outcomes(results) == "AAA" + "U" * 7
        assert destination.uri in results[9].reason
        with pytest.raises(SinkError) as caught:
            sink.publish(destination.events()[3:], always)
        assert caught.value.message == results[9].reason
        assert destination.target.arrived == 3


def raised(destination: Destination, error: AwsError) -> SinkError:
    """What a sink raises whose calls are answered like this, of all and of the next."""
    sink = destination.open()
    destination.aws.faults.add(Answer(error), action=destination.service.send)
    with pytest.raises(SinkError) as caught:
        sink.publish(destination.events(), always)
    # Services of JSON only call an error by the name of its shape.
    code = caught.value.message.removeprefix(f"cannot use {destination.uri}: ")
    assert code in (error.code, error.shape)
    assert destination.target.arrived == 0
    return caught.value
