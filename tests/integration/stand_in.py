"""Who answers for AWS: our fake, and MiniStack, asked in the same way."""

from __future__ import annotations

import itertools
from typing import Any, Protocol

import boto3
from botocore.config import Config
from fakes.aws import FakeAws

_names = (f"asked-{number}" for number in itertools.count(1))


class Aws(Protocol):
    """Somebody who answers for AWS."""

    sqs: Any
    sns: Any
    kinesis: Any

    def queue(self, suffix: str = "", **attributes: str) -> str:
        """URL of a new queue."""

    def topic(self, suffix: str = "", **attributes: str) -> str:
        """ARN of a new topic."""

    def stream(self, **settings: int) -> str:
        """Name of a new stream with four shards."""

    def delivered(self, topic: str) -> list[str]:
        """What a queue with raw delivery gets from a topic."""

    def stored(self, stream: str) -> list[tuple[str, str]]:
        """Shard and data of every record, in the order of its shard."""


def drained(aws: Aws, url: str) -> list[str]:
    """The bodies of everything in a queue, in the order in which it is handed out."""
    bodies = []
    while messages := aws.sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0
    ).get("Messages"):
        for message in messages:
            bodies.append(message["Body"])
            aws.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return bodies


def connect(endpoint_url: str, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="fake",
        aws_secret_access_key="fake",
        config=Config(connect_timeout=5, retries={"total_max_attempts": 1}),
    )


class Clients:
    def __init__(self, endpoint_url: str) -> None:
        self.sqs = connect(endpoint_url, "sqs")
        self.sns = connect(endpoint_url, "sns")
        self.kinesis = connect(endpoint_url, "kinesis")

    def close(self) -> None:
        for client in (self.sqs, self.sns, self.kinesis):
            client.close()


class Ours(Clients):
    def __init__(self, aws: FakeAws) -> None:
        super().__init__(aws.endpoint_url)
        self._aws = aws

    def queue(self, suffix: str = "", **attributes: str) -> str:
        return self._aws.sqs.create_queue(next(_names) + suffix, **attributes).url

    def topic(self, suffix: str = "", **attributes: str) -> str:
        return self._aws.sns.create_topic(next(_names) + suffix, **attributes).arn

    def stream(self, **settings: int) -> str:
        return self._aws.kinesis.create_stream(next(_names), **settings).name

    def delivered(self, topic: str) -> list[str]:
        return [arrival.body for arrival in self._aws.sns.topics[topic].delivered]

    def stored(self, stream: str) -> list[tuple[str, str]]:
        arrivals = self._aws.kinesis.streams[stream].arrivals
        found = [(arrival.attributes["ShardId"], arrival.body) for arrival in arrivals]
        return sorted(found, key=lambda record: record[0])


class Theirs(Clients):
    def __init__(self, endpoint_url: str) -> None:
        super().__init__(endpoint_url)
        self.subscribed: dict[str, str] = {}

    def queue(self, suffix: str = "", **attributes: str) -> str:
        if suffix:
            attributes["FifoQueue"] = "true"
        made = self.sqs.create_queue(
            QueueName=next(_names) + suffix, Attributes=attributes
        )
        return str(made["QueueUrl"])

    def topic(self, suffix: str = "", **attributes: str) -> str:
        if suffix:
            attributes["FifoTopic"] = "true"
        made = self.sns.create_topic(Name=next(_names) + suffix, Attributes=attributes)
        topic = str(made["TopicArn"])
        url = self.queue(suffix)
        arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        self.sns.subscribe(
            TopicArn=topic,
            Protocol="sqs",
            Endpoint=arn["Attributes"]["QueueArn"],
            Attributes={"RawMessageDelivery": "true"},
        )
        self.subscribed[topic] = url
        return topic

    def stream(self, **settings: int) -> str:
        name = next(_names)
        size = settings.get("max_record_kib")
        more = {} if size is None else {"MaxRecordSizeInKiB": size}
        self.kinesis.create_stream(StreamName=name, ShardCount=4, **more)
        self.kinesis.get_waiter("stream_exists").wait(
            StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )
        return name

    def delivered(self, topic: str) -> list[str]:
        return drained(self, self.subscribed[topic])

    def stored(self, stream: str) -> list[tuple[str, str]]:
        found = []
        for shard in self.kinesis.list_shards(StreamName=stream)["Shards"]:
            start = self.kinesis.get_shard_iterator(
                StreamName=stream,
                ShardId=shard["ShardId"],
                ShardIteratorType="TRIM_HORIZON",
            )
            read = self.kinesis.get_records(ShardIterator=start["ShardIterator"])
            found += [(shard["ShardId"], r["Data"].decode()) for r in read["Records"]]
        return found
