"""Create the topics of the catalogue, and compare what is there with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import ConfigResource, NewTopic, ResourceType

from schemas.topics import CATALOGUE, MIN_INSYNC, TopicSpec, min_insync
from streams.harness.errors import Fatal
from streams.harness.kafka import CHECK_WITHIN_S, KafkaSettings, admin_client, check, explain

KAFKA_MAX_MESSAGE_BYTES = 1_048_588  # the broker's own default


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a topic is not as the catalogue says."""

    topic: str
    what: str  # "missing", "partitions", or the name of a configuration entry
    expected: str
    found: str | None

    def __str__(self) -> str:
        return f"{self.topic}: {self.what} is {self.found}, expected {self.expected}"


@dataclass(frozen=True, slots=True)
class NewLog:
    """A topic to create that stands in no catalogue: a stage's changelog, a test's log."""

    name: str
    partitions: int
    config: Mapping[str, str]


def create_topics(kafka: KafkaSettings, specs: Sequence[TopicSpec | NewLog], replication: int = 1) -> list[str]:
    """Create what is missing and return its names; what exists stays as it is (`compare_topics` tells how it differs).

    With three replicas and more, two of them must have a record before it counts as acknowledged.
    """
    check(kafka)
    admin = admin_client(kafka)
    wanted = [
        NewTopic(
            spec.name,
            num_partitions=spec.partitions,
            replication_factor=replication,
            config=_config(spec, replication),
        )
        for spec in specs
    ]
    if not wanted:
        return []
    created = []
    futures: dict[str, Future[None]] = admin.create_topics(wanted, operation_timeout=CHECK_WITHIN_S, request_timeout=CHECK_WITHIN_S)
    for name, future in futures.items():
        try:
            future.result(CHECK_WITHIN_S)
            created.append(name)
        except KafkaException as error:
            cause = error.args[0]
            if cause.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise Fatal(f"topic {name} cannot be created: {explain(kafka, [cause])}") from error
        except TimeoutError as error:
            raise Fatal(f"topic {name} cannot be created: Kafka at {kafka.bootstrap} does not answer") from error
    return created


def _config(spec: TopicSpec | NewLog, replication: int) -> dict[str, str]:
    if isinstance(spec, TopicSpec):
        return spec.config(replication)
    return {MIN_INSYNC: str(min_insync(replication)), **spec.config}


def compare_topics(kafka: KafkaSettings, specs: Sequence[TopicSpec], replication: int | None = None) -> list[Difference]:
    """Tell how the topics differ from the catalogue. A broker that does not report an entry (the embedded one) is not blamed.

    `replication` is what AIRRA_KAFKA_REPLICATION asks for at least; None leaves replicas uncompared.
    """
    check(kafka)
    admin = admin_client(kafka)
    there = admin.list_topics(timeout=CHECK_WITHIN_S).topics
    differences: list[Difference] = []
    present = []
    for spec in specs:
        if spec.name not in there:
            differences.append(Difference(spec.name, "missing", f"{spec.partitions} partitions", None))
            continue
        present.append(spec)
        partitions = there[spec.name].partitions
        if len(partitions) != spec.partitions:
            differences.append(Difference(spec.name, "partitions", str(spec.partitions), str(len(partitions))))
        replicas = min((len(partition.replicas) for partition in partitions.values()), default=0)
        if replication is not None and replicas < replication:
            differences.append(Difference(spec.name, "replication", f"at least {replication}", str(replicas)))
    resources = {spec.name: ConfigResource(ResourceType.TOPIC, spec.name) for spec in present}
    if not resources:
        return differences
    answers = admin.describe_configs(list(resources.values()), request_timeout=CHECK_WITHIN_S)
    entries = {resource.name: future.result(CHECK_WITHIN_S) for resource, future in answers.items()}
    for spec in present:
        found = {name: entry.value for name, entry in entries[spec.name].items()}
        differences += config_differences(spec, found, replication)
    return differences


def config_differences(spec: TopicSpec, found: Mapping[str, str | None], replication: int | None) -> list[Difference]:
    """Compare one topic's entries as the broker reports them."""
    wanted = spec.config(1 if replication is None else replication)
    if replication is None:
        del wanted[MIN_INSYNC]
    return [
        Difference(spec.name, name, expected, value)
        for name, expected in wanted.items()
        if (value := found.get(name)) is not None and value != expected
    ]


def max_message_bytes(kafka: KafkaSettings, topic: str) -> int:
    """Return the largest record that a topic takes; what the catalogue says, or Kafka's default, where the broker does not tell."""
    known = next((spec.max_message_bytes for spec in CATALOGUE if spec.name == topic), KAFKA_MAX_MESSAGE_BYTES)
    admin = admin_client(kafka)
    resource = ConfigResource(ResourceType.TOPIC, topic)
    try:
        entries = admin.describe_configs([resource], request_timeout=CHECK_WITHIN_S)[resource].result(CHECK_WITHIN_S)
    except (KafkaException, TimeoutError):
        return known
    entry = entries.get("max.message.bytes")
    return int(entry.value) if entry is not None and entry.value else known
