"""Wait for an operator: the role that acts never starts from a missing offset by itself."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import TypeAdapter

from schemas.approvals import Arming
from schemas.samples import TYPE_HEADER
from schemas.topics import APPROVALS
from streams.harness.closing import close
from streams.harness.emit import parse
from streams.harness.errors import Poison
from streams.harness.kafka import FETCH_WAIT_MS, KafkaSettings, check
from streams.harness.stage import Record
from streams.harness.view import to_record

_ARMING = TypeAdapter(Arming)


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
            arming = _arming(to_record(message))
            if arming is not None and arming.armed:
                return arming
        raise asyncio.CancelledError  # the consumer was stopped under us
    finally:
        await close(consumer)


def _arming(record: Record) -> Arming | None:
    if record.header(TYPE_HEADER) != b"arming":
        return None
    try:
        return parse(_ARMING, record)
    except Poison:
        return None
