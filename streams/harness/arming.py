"""Wait for an operator: the role that acts never starts from a missing offset by itself."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import ValidationError

from schemas.approvals import Arming
from schemas.samples import TYPE_HEADER
from schemas.topics import APPROVALS
from streams.harness.closing import close
from streams.harness.kafka import FETCH_WAIT_MS, KafkaSettings, check


async def armed_after(kafka: KafkaSettings) -> Arming:
    """Return the first arming record that is appended from now on; what stood there before is history."""
    await asyncio.to_thread(check, kafka, [APPROVALS.name])
    consumer = AIOKafkaConsumer(
        **kafka.aiokafka(),
        enable_auto_commit=False,
        auto_offset_reset="latest",
        isolation_level="read_committed",
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
    await consumer.start()
    try:
        tp = TopicPartition(APPROVALS.name, 0)
        consumer.assign([tp])
        consumer.seek(tp, (await consumer.end_offsets([tp]))[tp])
        async for message in consumer:
            arming = _arming(dict(message.headers).get(TYPE_HEADER), message.value)
            if arming is not None and arming.armed:
                return arming
        raise asyncio.CancelledError  # the consumer was stopped under us
    finally:
        await close(consumer)


def _arming(kind: bytes | None, value: bytes | None) -> Arming | None:
    if kind != b"arming" or value is None:
        return None
    try:
        return Arming.model_validate_json(value)
    except ValidationError:
        return None
