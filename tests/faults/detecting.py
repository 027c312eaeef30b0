"""The real detect stage as a worker process, samples for it, and its linear replay."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Producer

from schemas.kinds import Direction, Kind, MetricType
from schemas.samples import (
    BATCH_HEADER,
    BatchSource,
    SampleBatch,
    SeriesDef,
    encode_batch,
    encode_series,
    encode_source,
    headers,
    series_id,
)
from schemas.settings import Settings
from schemas.topics import RAW_METRICS, SAMPLES
from streams.harness.kafka import KafkaSettings
from streams.harness.stage import Output, Record, Stage
from tests.faults.counting import stop_here

SERVICES = 40
BATCHES_PER_SECOND = 10  # a partition
ILL = 10  # of the services one in so many has a fault, half of the time
ILL_S = 20


def detecting(settings: Settings) -> Stage[Any]:
    """Return the stage as the role `detect` runs it."""
    from cli.wiring import detect
    from streams.harness.readiness import Readiness

    (stage,) = detect(settings, KafkaSettings(settings.kafka_bootstrap), Readiness()).stages
    return stage


def definitions(service: str) -> list[SeriesDef]:
    """Return three series of one service: two gauges and a counter."""
    told = []
    for kind, kind_type, unit in (
        (Kind.POOL, MetricType.GAUGE, "ratio"),
        (Kind.MEMORY, MetricType.GAUGE, "bytes"),
        (Kind.REQUESTS, MetricType.COUNTER, ""),
    ):
        own = series_id({"__name__": kind.value, "service": service})
        told.append(SeriesDef(own, service, "i:1", f"{kind.value}_metric", kind, kind_type, unit, Direction.UP, own))
    return told


class Feed:
    """Writes airra.samples.v1 as normalise would: one source partition a partition, definitions first, then batches in wall time."""

    def __init__(self, bootstrap: str, partitions: int, seed: int, meanwhile: Callable[[], None]) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "enable.idempotence": True, "log_level": 0})
        self._chance = random.Random(seed)
        self._meanwhile = meanwhile
        self._defs = [[one for n in range(p, SERVICES, partitions) for one in definitions(f"s{n}")] for p in range(partitions)]
        self._offsets = [0] * partitions
        self._totals: dict[int, float] = {}
        self.sent = 0
        self.define()

    def define(self) -> None:
        """Say what the series ids mean."""
        for partition, defs in enumerate(self._defs):
            self._producer.produce(SAMPLES.name, encode_series(defs), partition=partition, headers=list(headers("series")))

    def during(self, seconds: float, per_second: float = BATCHES_PER_SECOND) -> None:
        ending = time.monotonic() + seconds
        while time.monotonic() < ending:
            for partition in range(len(self._defs)):
                self._batch(partition, int(time.time() * 1000))
            self._producer.poll(0)
            self._meanwhile()
            time.sleep(1 / per_second)

    def flush(self) -> None:
        if self._producer.flush(60):
            raise RuntimeError("the campaign's own samples were not acknowledged")

    def _batch(self, partition: int, at: int) -> None:
        defs, first = self._defs[partition], self._offsets[partition]
        count = len(defs)
        self._offsets[partition] += count
        columns = SampleBatch(
            np.array([one.id for one in defs], np.uint64),
            np.full(count, at, np.int64),
            np.array([self._value(one, at) for one in defs], np.float64),
            np.arange(first, first + count, dtype=np.int64),
        )
        source = BatchSource(RAW_METRICS.name, partition, first, first + count - 1)
        head = [*headers("samples"), (BATCH_HEADER, encode_source(source))]
        self._producer.produce(SAMPLES.name, encode_batch(columns), partition=partition, headers=head)
        self.sent += 1

    def _value(self, one: SeriesDef, at: int) -> float:
        ill = int(one.service[1:]) % ILL == 0 and at // 1000 // ILL_S % 2 == 1
        if one.type is MetricType.COUNTER:
            self._totals[one.id] = total = self._totals.get(one.id, 0.0) + self._chance.randrange(1, 20)
            return total
        return (0.9 if ill else 0.1) * (1.0 if one.unit == "ratio" else 5e8) + self._chance.random() * 0.01


def folded(stage: Stage[Any], records: Iterable[Record]) -> tuple[dict[int, bytes], dict[str, Output]]:
    """Fold linearly; return the state of each partition as a snapshot, and the outputs by id."""
    states: dict[int, Any] = {}
    outputs: dict[str, Output] = {}
    for record in records:
        state = states.setdefault(record.partition, stage.restore(None))
        for output in stage.apply(state, record, record.timestamp):
            outputs[json.loads(output.value)["id"]] = output
    return {partition: stage.snapshot(state) for partition, state in states.items()}, outputs


def main() -> None:
    from streams.harness.readiness import Readiness
    from streams.harness.runner import serve

    cli = argparse.ArgumentParser()
    cli.add_argument("--bootstrap", required=True)
    cli.add_argument("--instance", required=True)
    cli.add_argument("--data", type=Path, required=True)
    cli.add_argument("--stopped", action="store_true")
    args = cli.parse_args()
    stage = detecting(Settings(kafka_bootstrap=args.bootstrap, data_dir=args.data))
    if args.stopped:
        stop_here()
    asyncio.run(serve([stage], (), (), KafkaSettings(args.bootstrap), args.instance, args.data, Readiness(), snapshot_every_s=5.0))


if __name__ == "__main__":
    main()
