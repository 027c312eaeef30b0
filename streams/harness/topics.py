"""Create the topics of the catalogue, and compare what is there with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from schemas.topics import TopicSpec
from streams.harness.errors import Fatal
from streams.harness.kafka import CHECK_WITHIN_S, KafkaSettings, check, explain


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
    """Create what is missing and return its names; what exists stays as it is (`compare_topics` tells how it differs)."""
    check(kafka)
    admin = AdminClient({**kafka.confluent(), "log_level": 0})
    wanted = [
        NewTopic(
            spec.name,
            num_partitions=spec.partitions,
            replication_factor=replication,
            config=dict(spec.config) if isinstance(spec, NewLog) else spec.config(),
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
    return created


def compare_topics(kafka: KafkaSettings, specs: Sequence[TopicSpec]) -> list[Difference]:
    """Tell how the topics differ from the catalogue. A broker that does not report an entry (the embedded one) is not blamed."""
    check(kafka)
    admin = AdminClient({**kafka.confluent(), "log_level": 0})
    there = admin.list_topics(timeout=CHECK_WITHIN_S).topics
    differences: list[Difference] = []
    present = []
    for spec in specs:
        if spec.name not in there:
            differences.append(Difference(spec.name, "missing", f"{spec.partitions} partitions", None))
            continue
        present.append(spec)
        count = len(there[spec.name].partitions)
        if count != spec.partitions:
            differences.append(Difference(spec.name, "partitions", str(spec.partitions), str(count)))
    resources = {spec.name: ConfigResource(ResourceType.TOPIC, spec.name) for spec in present}
    if not resources:
        return differences
    answers = admin.describe_configs(list(resources.values()), request_timeout=CHECK_WITHIN_S)
    entries = {resource.name: future.result(CHECK_WITHIN_S) for resource, future in answers.items()}
    for spec in present:
        found = {name: entry.value for name, entry in entries[spec.name].items()}
        for name, expected in spec.config().items():
            value = found.get(name)
            if value is not None and value != expected:
                differences.append(Difference(spec.name, name, expected, value))
    return differences
