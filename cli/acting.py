"""Arming: the positive, renewed record without which nothing is ever executed."""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import Producer

from cli.reading import ANSWER_S, read
from schemas import topics
from schemas.approvals import Arming
from schemas.base import derive_id
from schemas.samples import TYPE_HEADER
from streams.harness.emit import emit
from streams.harness.errors import Fatal
from streams.harness.kafka import KafkaSettings, cluster_id


def arm(kafka: KafkaSettings, by: str, seconds: float, *, armed: bool = True) -> Arming:
    """Append an arming (or a disarming) that ends by itself."""
    now = int(time.time() * 1000)
    cluster = cluster_id(kafka)
    record = Arming(
        id=derive_id("arm", cluster, by, now),
        armed=armed,
        by=by,
        at=now,
        until=now + int(seconds * 1000) if armed else now,
        cluster=cluster,
    )
    append(kafka, emit(topics.APPROVALS, record.id, record))
    return record


def append(kafka: KafkaSettings, output: Any) -> None:
    """Append one record and wait for the broker's acknowledgement."""
    producer = Producer({**kafka.confluent(), "acks": "all", "message.timeout.ms": int(ANSWER_S * 1000)})
    failed: list[str] = []
    producer.produce(
        output.topic,
        output.value,
        output.key,
        partition=0,
        headers=list(output.headers),
        on_delivery=lambda error, _: failed.append(str(error)) if error else None,
    )
    if producer.flush(ANSWER_S + 1) or failed:
        raise Fatal(
            f"{output.topic} on {kafka.bootstrap} did not take the record: {failed or 'no answer'}; check it with airra topics check"
        )


def of_type(kafka: KafkaSettings, topic: str, kind: str, since: int) -> list[bytes]:
    """Return the values of this type that the one partition of a control log got since then (ms), oldest first."""
    return [record.value for record in read(kafka, topic, since=since) if record.header(TYPE_HEADER) == kind.encode()]
