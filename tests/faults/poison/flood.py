"""Produce poison among good records, evenly spread, as fast as the broker takes it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

from confluent_kafka import Producer

from tests.faults.poison.kinds import FORGED, GOOD, RAW, SOUND, Kind

READY_MADE = 10_000  # good values, produced again and again: making each anew would take longer than everything else
ODD = 1_000  # of the good records one in so many carries forged headers, which are nobody's business


def quotas(kinds: Sequence[Kind], poison: int) -> list[Kind]:
    """Return so many kinds in turn, the huge ones no more often than they say."""
    left = {kind.name: kind.at_most for kind in kinds}
    found: list[Kind] = []
    for kind in itertools.cycle(kinds):
        if len(found) >= poison:
            return found
        if left[kind.name] > 0:
            left[kind.name] -= 1
            found.append(kind)
    return found


def flood(bootstrap: str, topic: str, good: int, poison: int) -> None:
    """Append `good` and `poison` records to a raw topic; raises where the broker did not take one."""
    refused: set[str] = set()
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 20,
            "batch.num.messages": 50_000,
            "message.max.bytes": 12_000_000,
            "queue.buffering.max.messages": 500_000,
            "queue.buffering.max.kbytes": 400_000,
            "enable.idempotence": True,
            "log_level": 0,
            "on_delivery": lambda error, _: refused.add(error.str()) if error else None,
        }
    )
    now = int(time.time() * 1000)
    ready = [SOUND[topic](number) for number in range(min(READY_MADE, good))]
    evil = enumerate(quotas(RAW[topic], poison))
    every = max(1, (good + poison) // max(1, poison))
    left = [good, poison]
    for number in range(good + poison):
        if left[1] and (number % every == 0 or not left[0]):
            left[1] -= 1
            index, kind = next(evil)
            stamped = now + kind.stamp_s * 1000
            _produce(producer, topic, value=kind.make(index), key=kind.name.encode(), headers=list(kind.headers), timestamp=stamped)
        else:
            left[0] -= 1
            headers = list(FORGED) if number % ODD == 0 else []
            _produce(
                producer,
                topic,
                value=ready[left[0] % len(ready)],
                key=GOOD,
                headers=headers,
                partition=number % 4 if topic == "metrics" else 0,
            )
    if producer.flush(120) or refused:
        raise RuntimeError(f"the campaign's own records were not acknowledged: {refused}")


def _produce(producer: Producer, topic: str, **record: object) -> None:
    while True:
        try:
            producer.produce(topic, **record)
        except BufferError:
            producer.poll(0.05)
        else:
            producer.poll(0)
            return
