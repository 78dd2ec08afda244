"""What stands behind the ``?`` of a destination: attributes, fair queues, mistakes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from fakes.aws import FakeAws
from integration.destination import Destination, always, event, outcomes

from evtrig.cli import main
from evtrig.relay.event import Event
from evtrig.relay.sinks.message import group_id
from evtrig.relay.sinks.sink import Outcome

pytestmark = pytest.mark.usefixtures("aws_account")


@pytest.fixture(params=["sqs", "sqs-fifo", "sqs-fair", "sns", "sns-fifo"])
def destination(aws: FakeAws, request: pytest.FixtureRequest) -> Iterator[Destination]:
    made = Destination(aws, request.param)
    yield made
    made.close()


def strings(**values: str) -> dict[str, dict[str, str]]:
    """Message attributes as both services have them."""
    return {
        name: {"DataType": "String", "StringValue": value}
        for name, value in values.items()
    }


class TestAttributes:
    def test_they_arrive_as_attributes_of_the_message(
        self, destination: Destination
    ) -> None:
        sink = destination.open(attributes="type,source,operation")
        assert outcomes(sink.publish(destination.events(3), always)) == "AAA"
        expected = strings(
            type="orders.insert", source="shop.orders", operation="insert"
        )
        for arrival in destination.target.delivered:
            assert arrival.attributes == expected

    def test_only_those_that_are_asked_for_arrive(
        self, destination: Destination
    ) -> None:
        sink = destination.open(attributes="operation")
        sink.publish([event(1)], always)
        (arrival,) = destination.target.delivered
        assert arrival.attributes == strings(operation="insert")

    def test_none_arrive_unless_they_are_asked_for(
        self, destination: Destination
    ) -> None:
        destination.open().publish([event(1)], always)
        (arrival,) = destination.target.delivered
        assert arrival.attributes == {}

    def test_names_types_and_values_count_in_the_size(
        self, destination: Destination
    ) -> None:
        """SendMessage and Publish in their API references: attributes count."""
        sink = destination.open(attributes="type", message_bytes=1024)
        room = 1024 - len("type" + "String" + "orders.insert")
        fits, large = (
            destination.event_of(room),
            destination.event_of(room + 1, id_=2),
        )
        assert outcomes(sink.publish([fits, large], always)) == "AL"

    def test_they_count_in_the_size_of_a_call_too(
        self, destination: Destination
    ) -> None:
        sink = destination.open(attributes="type", bytes=2048)
        events = [destination.event_of(1024, id_=n) for n in (1, 2)]
        assert outcomes(sink.publish(events, always)) == "AA"
        assert [call.entries for call in destination.sent] == [1, 1]

    def test_an_event_that_has_no_such_member_is_sent_without_the_attribute(
        self, destination: Destination
    ) -> None:
        sink = destination.open(attributes="type,source")
        bare = Event(1, 1, "k", '{"id": "1", "type": "t"}')
        assert outcomes(sink.publish([bare], always)) == "A"
        (arrival,) = destination.target.delivered
        assert arrival.attributes == strings(type="t")

    def test_characters_that_no_message_takes_are_written_otherwise(
        self, destination: Destination
    ) -> None:
        sink = destination.open(attributes="type")
        odd = Event(1, 1, "k", '{"id": "1", "type": "a\\uffffb"}')
        assert outcomes(sink.publish([odd], always)) == "A"
        (arrival,) = destination.target.delivered
        assert arrival.attributes == strings(type="a%FFFFb")


class TestFair:
    """Messages of a standard queue with a group: fair queues ("Amazon SQS fair queues"
    in its developer guide)."""

    def test_it_is_fair_between_keys(self, aws: FakeAws) -> None:
        destination = Destination(aws, "sqs")
        events = [event(n, key=f'shop.orders:{{"id": {n % 3}}}') for n in range(9)]
        sink = destination.open(fair="key")
        assert outcomes(sink.publish(events, always)) == "A" * 9
        groups = [arrival.group for arrival in destination.target.arrivals]
        assert groups == [f'shop.orders:{{"id":{n % 3}}}' for n in range(9)]
        assert {a.deduplication_id for a in destination.target.arrivals} == {None}
        destination.close()

    def test_it_is_fair_between_sources(self, aws: FakeAws) -> None:
        destination = Destination(aws, "sqs")
        bodies = [event(n).body for n in range(1, 5)]
        bodies[2:] = [b.replace("shop.orders", "shop.stock") for b in bodies[2:]]
        events = [Event(n, n, f"key {n}", body) for n, body in enumerate(bodies, 1)]
        sink = destination.open(fair="source")
        assert outcomes(sink.publish(events, always)) == "AAAA"
        groups = [arrival.group for arrival in destination.target.arrivals]
        orders, stock = group_id("shop.orders:"), group_id("shop.stock:")
        assert groups == [orders, orders, stock, stock]
        assert orders != stock
        destination.close()

    def test_it_needs_no_option_to_be_unfair(self, aws: FakeAws) -> None:
        """A group has its price."""
        destination = Destination(aws, "sqs")
        destination.open().publish(destination.events(), always)
        assert {a.group for a in destination.target.arrivals} == {None}
        destination.close()


class TestIds:
    @pytest.mark.parametrize("kind", ["sqs-fifo", "sns-fifo"])
    def test_fifo_has_the_key_as_group_and_the_name_against_duplicates(
        self, aws: FakeAws, kind: str
    ) -> None:
        destination = Destination(aws, kind)
        events = destination.events(3)
        destination.open().publish(events, always)
        arrivals = destination.target.arrivals
        groups = [f'shop.orders:{{"id":{n}}}' for n in (1, 2, 3)]
        assert [a.group for a in arrivals] == groups
        assert [a.deduplication_id for a in arrivals] == [e.name for e in events]
        destination.close()

    def test_an_event_bus_is_told_the_source_and_the_type(self, aws: FakeAws) -> None:
        destination = Destination(aws, "eventbridge")
        destination.open().publish([event(1)], always)
        (arrival,) = destination.target.arrivals
        assert arrival.attributes == {
            "Source": "shop.orders",
            "DetailType": "orders.insert",
            "EventBusName": "orders",
        }
        destination.close()

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ('{"id": "1"}', "an event without a type or a source"),
            ('{"type": "t"}', "an event without a type or a source"),
            ('{"type": "%s", "source": "s"}' % ("t" * 129), "129 characters"),
        ],
    )
    def test_what_an_event_bus_would_lose_is_refused(
        self, aws: FakeAws, body: str, reason: str
    ) -> None:
        """Of a detail-type that is too long EventBridge says that it has taken it."""
        destination = Destination(aws, "eventbridge")
        sink = destination.open()
        (result,) = sink.publish([Event(1, 1, "k", body)], always)
        assert result.outcome is Outcome.REFUSED
        assert reason in result.reason
        assert aws.eventbridge.lost == []
        assert destination.sent == []
        destination.close()

    def test_a_whole_number_that_an_event_bus_cannot_hold_is_refused(
        self, aws: FakeAws
    ) -> None:
        """A key of BIGINT UNSIGNED may be above 2**63 - 1; PutEvents in the API
        reference takes none of those."""
        destination = Destination(aws, "eventbridge")
        sink = destination.open()
        results = sink.publish([event(1, 2**63), event(2, 2**63 - 1)], always)
        assert outcomes(results) == "XA"
        assert results[0].reason == "MalformedDetail"
        destination.close()


QUEUE = "sqs:https://sqs.eu-west-1.amazonaws.com/123456789012/orders"
TOPIC = "sns:arn:aws:sns:eu-west-1:123456789012:orders"

#: A URI that cannot be right, what is said of it, and what to do.
MISTAKES = (
    (f"{QUEUE}?atributes=type", "an option", "Did you mean attributes?"),
    (f"{TOPIC}?attribute=type", "an option", "Did you mean attributes?"),
    (f"{TOPIC}?fair=key", "an option", "Its options are"),
    ("kinesis:orders?entires=5", "an option", "Did you mean entries?"),
    ("eventbridge:orders?byte=5", "an option", "Did you mean bytes?"),
    (f"{QUEUE}?fair=keys", "one of key, source", "Did you mean key?"),
    (f"{QUEUE}?attributes=typ", "some of type, source", "Did you mean type?"),
    (f"{TOPIC}?attributes=type,type", "some of type, source", "?attributes="),
    (f"{QUEUE}?attributes=", "attributes", "?attributes="),
    (f"{QUEUE}?fair=key&fair=key", "needs one value", "?fair="),
    (f"{QUEUE}.fifo?fair=key", "FIFO", "Leave it out"),
    ("kinesis:orders?entries=0", "a number above 0", "?entries="),
    ("kinesis:orders?calls=many", "a number above 0", "?calls="),
    ("eventbridge:orders?message_bytes=-1", "a number above 0", "?message_bytes="),
    ("eventbridge:orders?bytes=9999999999", "a number above 0", "?bytes="),
    ("sqs:orders", "the URL of a queue", "sqs:https://"),
    ("sqs:https://[/1/orders", "the URL of a queue", "sqs:https://"),
    ("sns:orders", "the ARN of a topic", "sns:arn:aws:sns:"),
    (f"{TOPIC}:0a1b", "the ARN of a topic", "sns:arn:aws:sns:"),
    ("kinesis:", "a stream", "kinesis:orders"),
    ("kinesis:or ders", "a stream", "kinesis:orders"),
    ("eventbridge:", "a bus", "eventbridge:default"),
    ("kinesi:orders", "unknown scheme", "Did you mean kinesis:?"),
)


@pytest.mark.parametrize(("uri", "what", "todo"), MISTAKES, ids=str)
def test_a_mistake_is_a_usage_error_that_says_what_is_possible(
    uri: str, what: str, todo: str
) -> None:
    said = refused(uri)
    assert what in said
    assert todo in said


@pytest.mark.parametrize(
    "uri",
    [
        "sqs:https://me:hunter2@sqs.eu-west-1.amazonaws.com/123456789012/orders",
        "sqs:me:hunter2@orders",
        f"{QUEUE}?hunter2=1",
        f"{QUEUE}?password=hunter2",
        f"{QUEUE}?fair=hunter2",
        f"{QUEUE}?attributes=hunter2",
        f"{TOPIC}?calls=hunter2",
        "sns:me:hunter2@orders",
        "kinesis:me:hunter2@orders",
        "kinesis:orders?secret_access_key=hunter2",
        "eventbridge:me:hunter2@orders",
        "eventbridge:orders?token=hunter2",
        "kafka:me:hunter2@orders",
    ],
)
def test_credentials_in_a_uri_are_not_repeated(uri: str) -> None:
    assert "hunter2" not in refused(uri)


def refused(uri: str) -> str:
    """What ``evtrig relay`` says of a sink that cannot be; nobody is called."""
    arguments = ["relay", "--dsn", "mysql://nobody@127.0.0.1:1/none", "--sink", uri]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit), "no traceback"
    assert result.stdout == ""
    return result.stderr
