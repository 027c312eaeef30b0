"""How every client of this project reaches Kafka, and what is wrong when it cannot, said in words."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ClusterMetadata

from schemas.settings import Settings
from streams.harness.errors import Fatal

CHECK_WITHIN_S = 10.0
FETCH_WAIT_MS = 100  # the embedded broker answers a waiting fetch only after half of it; Apache Kafka at once
NEVER_POLLED_MS = 2**31 - 1  # a standby has nothing to poll: after aiokafka's five minutes it would leave its group for good
# A member that is silent for so long loses its partitions: the shortest that brokers allow by default, so that a standby acts soon after.
# The embedded broker holds every join back for half of it, or all of it.
SESSION_TIMEOUT_MS = 6_000
HEARTBEAT_MS = 1_500
MAX_REQUEST_BYTES = 12 * 1024 * 1024  # the largest raw record, 10 MB, and the DLQ record about it


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where Kafka is and who we are to it. The password is never in repr."""

    bootstrap: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    sasl_username: str = ""
    sasl_password: str = field(default="", repr=False)
    ssl_cafile: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> KafkaSettings:
        return cls(
            bootstrap=settings.kafka_bootstrap,
            security_protocol=settings.kafka_security_protocol,
            sasl_mechanism=settings.kafka_sasl_mechanism,
            sasl_username=settings.kafka_sasl_username,
            sasl_password=settings.kafka_sasl_password.get_secret_value(),
            ssl_cafile=settings.kafka_ssl_cafile,
        )

    @property
    def sasl(self) -> bool:
        return self.security_protocol.startswith("SASL")

    @property
    def tls(self) -> bool:
        return self.security_protocol.endswith("SSL")

    def ssl_context(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=str(self.ssl_cafile) if self.ssl_cafile else None) if self.tls else None

    def confluent(self) -> dict[str, Any]:
        """Return librdkafka's configuration of the connection."""
        config: dict[str, Any] = {"bootstrap.servers": self.bootstrap, "security.protocol": self.security_protocol}
        if self.sasl:
            config |= {"sasl.mechanism": self.sasl_mechanism, "sasl.username": self.sasl_username, "sasl.password": self.sasl_password}
        if self.tls and self.ssl_cafile:
            config["ssl.ca.location"] = str(self.ssl_cafile)
        return config

    def aiokafka(self) -> dict[str, Any]:
        """Return aiokafka's keyword arguments of the connection."""
        config: dict[str, Any] = {"bootstrap_servers": self.bootstrap, "security_protocol": self.security_protocol}
        if self.sasl:
            config |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password,
            }
        if self.tls:
            config["ssl_context"] = self.ssl_context()
        return config

    def faust(self) -> dict[str, Any]:
        """Return faust.App's arguments of the connection."""
        import faust  # noqa: PLC0415 - seconds of import that only the stages need

        config: dict[str, Any] = {"broker": ";".join(f"kafka://{host.strip()}" for host in self.bootstrap.split(","))}
        if self.sasl:
            config["broker_credentials"] = faust.SASLCredentials(
                username=self.sasl_username, password=self.sasl_password, mechanism=self.sasl_mechanism, ssl_context=self.ssl_context()
            )
        elif self.tls:
            config["broker_credentials"] = faust.SSLCredentials(self.ssl_context())
        return config


def check(kafka: KafkaSettings, topics: Sequence[str] = (), within_s: float = CHECK_WITHIN_S) -> dict[str, int]:
    """Return the partitions of each topic, or raise Fatal that says what is wrong, where, and what to do."""
    partitions = partition_counts(kafka, topics, within_s)
    absent = sorted(topic for topic, count in partitions.items() if count == 0)
    if absent:
        raise Fatal(
            f"Kafka at {kafka.bootstrap} has no topic {', '.join(absent)}: run `airra topics create`, or correct the setting that names it"
        )
    return partitions


def partition_counts(kafka: KafkaSettings, topics: Sequence[str], within_s: float = CHECK_WITHIN_S) -> dict[str, int]:
    """Return the partitions of each topic, 0 where there is none of that name; raise Fatal where Kafka cannot be used."""
    found = _metadata(kafka, within_s).topics
    return {topic: len(found[topic].partitions) if topic in found else 0 for topic in topics}


def explain(kafka: KafkaSettings, errors: Sequence[KafkaError]) -> str:
    """Say in one sentence why Kafka cannot be used: the most telling of the errors that librdkafka reported."""
    by_code = {error.code(): error for error in errors}
    if error := by_code.get(KafkaError._INVALID_ARG):  # noqa: SLF001
        return f"the settings of the Kafka connection do not go together ({error.str()}): check the AIRRA_KAFKA_* settings"
    if error := by_code.get(KafkaError._AUTHENTICATION):  # noqa: SLF001 - librdkafka's constants are spelt so
        return (
            f"Kafka at {kafka.bootstrap} refuses the login of {kafka.sasl_username!r} ({error.str()}): "
            "check AIRRA_KAFKA_SASL_USERNAME and AIRRA_KAFKA_SASL_PASSWORD"
        )
    if error := by_code.get(KafkaError._SSL):  # noqa: SLF001
        return f"no TLS with Kafka at {kafka.bootstrap} ({error.str()}): check AIRRA_KAFKA_SECURITY_PROTOCOL and AIRRA_KAFKA_SSL_CAFILE"
    for code in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED):
        if error := by_code.get(code):
            told = error.str()
            return f"Kafka at {kafka.bootstrap} does not allow {kafka.sasl_username!r} this ({told}): grant it with kafka-acls.sh"
    told = "; ".join(dict.fromkeys(error.str() for error in errors))
    return (
        f"no Kafka at {kafka.bootstrap} ({told}): check AIRRA_KAFKA_BOOTSTRAP and AIRRA_KAFKA_SECURITY_PROTOCOL "
        f"(now {kafka.security_protocol}), and that the broker runs"
    )


def admin_client(kafka: KafkaSettings) -> AdminClient:
    """Return a client for all but producing and consuming. Keep it where it is used again: each has threads and connections of its own."""
    return AdminClient({**kafka.confluent(), "log_level": 0})


def cluster_id(kafka: KafkaSettings, within_s: float = CHECK_WITHIN_S) -> str:
    """Return the id of the Kafka cluster: an arming record counts on this one only."""
    return str(_metadata(kafka, within_s).cluster_id)


def _metadata(kafka: KafkaSettings, within_s: float) -> ClusterMetadata:
    heard: list[KafkaError] = []
    try:
        admin = AdminClient({**kafka.confluent(), "error_cb": heard.append, "log_level": 0})
    except KafkaException as error:
        raise Fatal(explain(kafka, [error.args[0]])) from error
    try:
        return admin.list_topics(timeout=within_s)
    except KafkaException as error:
        admin.poll(0)  # hands over what the connections met: the time-out alone says little
        raise Fatal(explain(kafka, [*heard, error.args[0]])) from error


def first_at(kafka: KafkaSettings, topic: str, partition: int, offset: int, within_s: float = CHECK_WITHIN_S) -> int | None:
    """Return the offset of the first record at or after this one, read from the log itself; None where there is none.

    End offsets alone do not tell: the embedded broker's stop at the first record of the last batch.
    """
    consumer = Consumer(
        {**kafka.confluent(), "group.id": "airra-look", "enable.auto.commit": False, "auto.offset.reset": "error", "log_level": 0}
    )
    try:
        consumer.assign([TopicPartition(topic, partition, offset)])
        message = consumer.poll(within_s)
        return None if message is None or message.error() else message.offset()
    finally:
        consumer.close()


def present(kafka: KafkaSettings, topic: str, within_s: float = CHECK_WITHIN_S) -> int:
    """Return how many partitions a topic has, 0 where it is not there; Fatal as `check`."""
    found = _metadata(kafka, within_s).topics.get(topic)
    return 0 if found is None or found.error is not None else len(found.partitions)
