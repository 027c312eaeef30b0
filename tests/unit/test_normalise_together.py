"""What several source partitions bring at once stands in one record for each partition that it goes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME

from schemas.config.metrics import MetricsMapping
from schemas.samples import BATCH_HEADER, TYPE_HEADER, BatchSource, SampleBatch, decode_batches, decode_sources
from schemas.topics import SAMPLES
from streams.harness.fold import BACKFILL_HEADER
from streams.harness.kafka import KafkaSettings
from streams.normalise import consumer, outputs
from streams.normalise.consumer import Normaliser
from streams.normalise.core import Core
from streams.normalise.outputs import Part, together
from streams.normalise.sources import Sources

MAPPING = MetricsMapping.model_validate({"metrics": [{"match": "up", "kind": "up"}]})
NOW = 1_795_489_200_000
PARTITIONS = 3


@dataclass
class Sample:
    of: int
    at: int
    historical: bool = False

    def error(self) -> None: ...

    def key(self) -> None: ...

    def topic(self) -> str:
        return "metrics"

    def partition(self) -> int:
        return self.of

    def offset(self) -> int:
        return self.at

    def value(self) -> bytes:
        return b'{"labels":{"__name__":"up","service":"a"},"timestamp":"2026-11-24T03:00:00Z","value":"%d"}' % self.at

    def headers(self) -> list[tuple[str, bytes]] | None:
        return [(BACKFILL_HEADER, b"1")] if self.historical else None

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_CREATE_TIME, NOW


@dataclass
class Taking:
    """A producer that takes everything."""

    records: list[tuple[str, Any]] = field(default_factory=list)

    def produce(self, topic: str, *, value: bytes, headers: Any, **_: object) -> None:
        self.records.append((topic, (value, dict(headers))))

    def poll(self, _timeout: float) -> int:
        return 0

    def batches(self) -> list[tuple[list[tuple[int, int, int]], bool]]:
        """Return of each record of samples the partition and offsets of its sources, and whether it is history."""
        sampled = [(value, of) for topic, (value, of) in self.records if topic == SAMPLES.name and of[TYPE_HEADER] == b"samples"]
        return [
            ([(one.partition, one.first, one.last) for one in decode_batches(value, of[BATCH_HEADER]).sources], BACKFILL_HEADER in of)
            for value, of in sampled
        ]


def sent(*messages: Sample) -> Taking:
    shell: Any = Normaliser(KafkaSettings("127.0.0.1:1"), MAPPING, ["metrics"], wall=lambda: NOW / 1000)
    shell._core, shell._producer = Core(MAPPING, 1, 1), Taking()
    shell._sources = Sources(["metrics"], [], [])
    shell._assigned = {("metrics", number) for number in range(PARTITIONS)}
    flight = shell._take(messages)
    assert flight.positions == {("metrics", one.of): one.at + 1 for one in messages}
    return shell._producer


def test_what_is_read_at_once_goes_in_one_record_behind_its_definition() -> None:
    found = sent(Sample(0, 5), Sample(2, 9), Sample(0, 6), Sample(1, 1))
    assert [of[TYPE_HEADER] for topic, (_, of) in found.records if topic == SAMPLES.name] == [b"series", b"samples"]
    assert found.batches() == [([(0, 5, 6), (2, 9, 9), (1, 1, 1)], False)]


def test_history_stands_between_what_was_before_it_and_after_it() -> None:
    found = sent(Sample(0, 1), Sample(0, 2, historical=True), Sample(0, 3), Sample(1, 7))
    assert found.batches() == [([(0, 1, 1)], False), ([(0, 2, 2)], True), ([(0, 3, 3), (1, 7, 7)], False)]


def test_records_of_batching_agents_are_not_gathered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "GATHERED_ROWS", 1)
    assert sent(Sample(0, 1), Sample(1, 7), Sample(2, 3)).batches() == [([(0, 1, 1)], False), ([(1, 7, 7)], False), ([(2, 3, 3)], False)]


def part(source: int, rows: int, destination: int = 0) -> Part:
    offsets = np.arange(rows)
    return destination, BatchSource("metrics", source, 0, rows - 1), SampleBatch(offsets.astype(np.uint64), offsets, offsets / 2, offsets)


@pytest.mark.parametrize(("bound", "limit"), [("BATCH_ROWS", 7), ("BATCH_SOURCES", 2)])
def test_a_record_has_so_many_rows_and_sources_at_most(bound: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, bound, limit)
    made = list(together([part(0, 3), part(1, 4), part(9, 2, destination=1), part(2, 1)]))
    found = [(one.partition, [source.partition for source in decode_sources(dict(one.headers)[BATCH_HEADER])]) for one in made]
    assert found == [(0, [0, 1]), (0, [2]), (1, [9])]
