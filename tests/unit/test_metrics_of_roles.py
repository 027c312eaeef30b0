"""What /metrics of normalise and detect say: received, fates by source, lag, batch sizes, rows of the state."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from prometheus_client import REGISTRY

from schemas.config.metrics import MetricsMapping
from schemas.kinds import Kind
from streams.detect import stage
from streams.harness import metrics as harness
from streams.harness.kafka import KafkaSettings
from streams.normalise.consumer import Normaliser
from streams.normalise.core import Core
from streams.normalise.lag import lags
from streams.normalise.sources import Sources
from tests.unit.detect_feed import CONFIG, T0, Log, series
from tests.unit.test_normalise_consumer import SOURCE, Broker, Poisoned

UNKNOWN_PARTITION = KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


class Ends:
    """A consumer that knows where logs end."""

    def __init__(self, ends: dict[tuple[str, int], int | None]) -> None:
        self._ends = ends

    def get_watermark_offsets(self, partition: TopicPartition, *, cached: bool) -> tuple[int, int] | None:
        assert cached, "the broker must not be asked"
        if (partition.topic, partition.partition) not in self._ends:
            raise UNKNOWN_PARTITION
        end = self._ends[partition.topic, partition.partition]
        return None if end is None else (0, end)


def test_lag_is_what_was_appended_and_not_read_by_topic() -> None:
    ends = Ends({("a", 0): 100, ("a", 1): 50, ("b", 0): -1001, ("b", 1): None})
    following = {("a", 0): 90, ("a", 1): 45, ("b", 0): 7, ("b", 1): 7, ("b", 2): 7}
    assert lags(ends, ["a", "b", "c"], following) == {"a": 15, "b": 0, "c": 0}


@pytest.fixture
def normaliser() -> Any:
    mapping = MetricsMapping.model_validate({"metrics": [{"match": "up", "kind": "up"}]})
    made: Any = Normaliser(KafkaSettings("127.0.0.1:1"), mapping, [SOURCE[0]])
    made._core, made._producer, made._consumer = Core(mapping, 1, 1), Broker(), Ends({SOURCE: 20})
    made._sources = Sources([SOURCE[0]], [], [])
    made._sources.see({SOURCE[0]})
    made._assigned = {SOURCE}
    return made


def test_what_normalise_reads_is_counted_by_its_topic_and_told_behind(normaliser: Any) -> None:
    counted = [
        ("airra_normalise_received_records_total", {"topic": SOURCE[0]}, 3),
        ("airra_normalise_source_records_total", {"topic": SOURCE[0], "fate": "dead_letter"}, 2),
        ("airra_normalise_batch_records_count", {}, 1),
        ("airra_normalise_batch_records_sum", {}, 2),
    ]
    before = [value(name, **labels) for name, labels, _ in counted]
    normaliser._take([Poisoned(7), Poisoned(8), Poisoned(8)])  # the last one was read before: received, and no fate again
    assert [value(name, **labels) - was for (name, labels, _), was in zip(counted, before, strict=True)] == [n for _, _, n in counted]
    normaliser._tell_lag()
    assert value("airra_normalise_lag_records", topic=SOURCE[0]) == 11
    normaliser._lose(None, [TopicPartition(*SOURCE)])
    normaliser._tell_lag()
    assert value("airra_normalise_lag_records", topic=SOURCE[0]) == 0


@pytest.mark.parametrize(("named", "label"), [(["metrics"], "metrics"), (["another"], "other"), ([], "other")])
def test_detect_names_the_sources_of_the_settings_and_no_others(named: list[str], label: str) -> None:
    one, cpu = stage(CONFIG, named), series("cart", Kind.CPU)
    state = one.restore(None)
    before, batches = value("airra_detect_received_rows_total", topic=label), value("airra_detect_batch_rows_count")
    for record in Log().define(cpu).rows([(cpu, T0, 1.0), (cpu, T0 + 1000, 1.0)]).records:
        one.apply(state, record, record.timestamp)
    assert value("airra_detect_received_rows_total", topic=label) - before == 2
    assert value("airra_detect_batch_rows_count") - batches == 1


def test_detect_tells_how_many_rows_each_table_of_its_state_has() -> None:
    one, known = stage(CONFIG), [series("cart", Kind.CPU), series("cart", Kind.MEMORY), series("till", Kind.CPU)]
    state = one.restore(None)
    for record in Log().define(*known).rows([(known[0], T0, 1.0)]).records:
        one.apply(state, record, record.timestamp)
    tables = {name: value("airra_detect_state_rows", partition="0", table=name) for name in ("series", "units", "instances", "sources")}
    assert tables == {"series": 3, "units": 3, "instances": 2, "sources": 1}
    assert value("airra_detect_state_rows", partition="0", table="slots") == state.registry.slots.count > 0
    assert value("airra_detect_state_rows", partition="0", table="pending") == 1


def test_a_partition_that_has_gone_has_no_lag_any_more() -> None:
    harness.tell_lag("some stage", {0: 5, 1: 6})
    harness.tell_lag("another", {0: 7})
    harness.tell_lag("some stage", {1: 4})
    labels = {"stage": "some stage"}
    assert REGISTRY.get_sample_value("airra_harness_lag_records", {**labels, "partition": "0"}) is None
    assert REGISTRY.get_sample_value("airra_harness_lag_records", {**labels, "partition": "1"}) == 4
    assert REGISTRY.get_sample_value("airra_harness_lag_records", {"stage": "another", "partition": "0"}) == 7
