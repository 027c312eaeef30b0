"""The parts between core and Kafka: the cache's turns, reading, acknowledgements, topics, the partitioner."""

from __future__ import annotations

import gc
import json
import tracemalloc
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_NOT_AVAILABLE

from schemas.config.metrics import MetricsMapping
from schemas.samples import SeriesDef
from streams.harness.errors import Fatal
from streams.harness.stage import Output
from streams.normalise import reading
from streams.normalise.acks import Flight, send, wait
from streams.normalise.cache import NEEDS_NAME, SeriesCache
from streams.normalise.formats.port import Described
from streams.normalise.numerals import is_numeral
from streams.normalise.partitioner import murmur2, partition_of
from streams.normalise.prometheus_kafka_adapter import Decoder
from streams.normalise.reading import read
from streams.normalise.rows import Refusals
from streams.normalise.series import Resolver
from streams.normalise.sources import Sources

MAPPING = MetricsMapping.model_validate({"metrics": [{"match": "up", "kind": "up"}]})


def labels(number: int) -> bytes:
    return json.dumps({"__name__": "up", "service": f"s{number}"}).encode()


def test_the_cache_keeps_what_is_used_forgets_the_rest_and_counts_it() -> None:
    cache = SeriesCache(Resolver(MAPPING), 4, capacity=20)
    for turn in range(50):
        cache.turn()
        cache.find(labels(0), "up")
        for number in range(10):
            cache.find(labels(1 + turn * 10 + number), "up")

    assert len(cache) <= 33  # two generations of at most one batch above the half
    assert cache.evicted + len(cache) == 501
    assert len(cache.ids) <= 1024


def test_long_texts_are_forgotten_earlier_and_what_has_room_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.normalise.cache.CAPACITY_BYTES", 100_000)
    cache = SeriesCache(Resolver(MAPPING), 4)
    for number in [*range(30)] * 3:
        cache.turn()
        cache.find(labels(number), "up")
    assert (len(cache), cache.evicted) == (30, 0)
    for number in range(100):
        cache.turn()
        cache.find(json.dumps({"__name__": "up", "service": f"s{number}", "path": "x" * 10_000}).encode(), "up")
    assert len(cache) <= 40
    assert cache.evicted > 80


def test_all_series_in_use_stay_while_they_have_room_and_turns_are_few() -> None:
    cache = SeriesCache(Resolver(MAPPING), 4, capacity=20)
    for number in [*range(19)] * 5:
        cache.turn()
        cache.find(labels(number), "up")
    assert (len(cache), cache.turns, cache.evicted) == (19, 0, 0)


def test_the_partitions_of_so_many_services_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.normalise.cache.SERVICES", 3)
    cache = SeriesCache(Resolver(MAPPING), 4)
    for number in [*range(8)] * 2:
        slot = cache.find(labels(number), "up")
        assert cache.partition[slot] == partition_of(f"s{number}", 4)
    assert cache._partition_of.cache_info().currsize == 3


def test_a_slot_given_up_is_taken_by_another_series_that_is_announced_anew() -> None:
    cache = SeriesCache(Resolver(MAPPING), 4, capacity=2)
    slots = []
    for number in range(6):
        cache.turn()
        slots.append(cache.find(labels(number), "up"))
        assert not cache.announced[slots[-1]]
        cache.announced[slots[-1]] = True
        found = cache.meaning(slots[-1])
        assert isinstance(found, SeriesDef)
        assert (found.service, found.id) == (f"s{number}", int(cache.ids[slots[-1]]))

    assert len(set(slots)) < 6


def test_a_key_whose_description_failed_is_described_when_it_comes_again() -> None:
    cache = SeriesCache(Resolver(MAPPING), 4)
    keys = [b"a", b"b", b"c"]

    def describe(place: int, *, bad: bool) -> Described:
        if bad and keys[place] == b"b":
            raise MemoryError
        return Described({"__name__": "up", "service": keys[place].decode()})

    with pytest.raises(MemoryError):
        cache.slots_of(b"1", keys, partial(describe, bad=True))
    slots = cache.slots_of(b"1", keys, partial(describe, bad=False)).tolist()

    assert [cache.meaning(slot).service for slot in slots] == ["a", "b", "c"]  # type: ignore[union-attr]
    assert len(cache) == 3


def test_what_is_kept_of_a_series_is_little_however_it_came() -> None:
    """A text itself is some 100 bytes, and stood in two tables."""
    stamp = b'"name":"up","timestamp":"2026-11-24T03:00:00Z","value":"1"}'
    values = [
        b'{"labels":{"__name__":"up","instance":"i%d","job":"load","path":"/a/b/%d","service":"s%d"},' % (i, i, i % 50)
        for i in range(8_000)
    ]
    for by_the_batch in (True, False):
        decoder = Decoder(SeriesCache(Resolver(MAPPING), 4))
        decoder.decode([values[0] + stamp], (), Refusals())
        gc.collect()
        tracemalloc.start()
        for begin in range(0, len(values), 500):
            some = [value + stamp for value in values[begin : begin + 500]]
            if by_the_batch:
                decoder.decode(some, (), Refusals())
            else:
                decoder.one_by_one(some, range(len(some)), Refusals())
        del some
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert len(decoder.cache) == len(values)
        assert taken / len(values) < 200


def test_the_texts_of_a_format_stand_apart_from_those_of_another() -> None:
    cache = SeriesCache(Resolver(MAPPING), 4)
    told = {prefix: Described({"__name__": "up", "service": prefix.decode() or "none"}) for prefix in (b"", b"1", b"12")}
    slots = {prefix: int(cache.slots_of(prefix, [b"2k"], lambda _, one=one: one)[0]) for prefix, one in told.items()}  # type: ignore[misc]

    assert len(set(slots.values())) == 3
    assert slots == {prefix: int(cache.slots_of(prefix, [b"2k"], lambda _: None)[0]) for prefix in told}
    assert int(cache.slots_of(b"1", [b"22k"], lambda _: None)[0]) == NEEDS_NAME


@dataclass
class FakeMessage:
    at: int
    stamp: tuple[int, int] = (TIMESTAMP_CREATE_TIME, 1000)

    def offset(self) -> int:
        return self.at

    def value(self) -> bytes:
        return str(self.at).encode()

    def headers(self) -> None: ...

    def timestamp(self) -> tuple[int, int]:
        return self.stamp


def test_what_was_read_twice_is_left_out_and_counted() -> None:
    found = read([FakeMessage(at) for at in (4, 5, 6, 5, 6, 7)])  # type: ignore[list-item]

    assert (found.offsets, found.values, found.repeated) == ([4, 5, 6, 7], [b"4", b"5", b"6", b"7"], 2)


def test_holes_in_offsets_are_ordinary() -> None:
    found = read([FakeMessage(3), FakeMessage(9, (TIMESTAMP_NOT_AVAILABLE, -1))])  # type: ignore[list-item]

    assert (found.offsets, found.stamps, found.repeated) == ([3, 9], [1000, 0], 0)


@pytest.mark.parametrize(
    ("limit", "pieces"), [(100, [[10, 11, 12]]), (4, [[10, 11], [12]]), (2, [[10], [11], [12]]), (1, [[10], [11], [12]])]
)
def test_a_long_batch_is_cut_between_records(limit: int, pieces: list[list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PIECE_BYTES", limit)
    found = read([FakeMessage(at) for at in (10, 11, 12)])  # type: ignore[list-item]
    assert [piece.offsets for piece in found.pieces()] == pieces
    assert [value for piece in found.pieces() for value in piece.values] == found.values


@dataclass
class FakeProducer:
    room: int = 100
    error: Any = None
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    queued: list[Any] = field(default_factory=list)
    silent: bool = False

    def produce(self, topic: str, **record: Any) -> None:
        if len(self.queued) >= self.room:
            raise BufferError
        self.sent.append((topic, record))
        self.queued.append(record["on_delivery"])

    def poll(self, timeout: float) -> int:
        if not self.silent and timeout:
            for call in self.queued:
                call(self.error, None)
            self.queued.clear()
        return 0


class Refusal:
    def str(self) -> str:
        return "Broker: Not enough in-sync replicas"


OUTPUTS = [Output("t", None, str(number).encode(), (("h", b"1"),), partition=None if number else 3) for number in range(5)]


def test_a_full_queue_is_waited_for_and_order_is_kept() -> None:
    producer, flight = FakeProducer(room=2), Flight({("metrics", 0): 9})

    send(producer, OUTPUTS, flight)
    wait(producer, flight)

    assert [record["value"] for _, record in producer.sent] == [b"0", b"1", b"2", b"3", b"4"]
    assert [record.get("partition") for _, record in producer.sent] == [3, None, None, None, None]
    assert flight.waiting == 0


def test_one_record_that_is_not_acknowledged_is_fatal() -> None:
    producer, flight = FakeProducer(error=Refusal()), Flight({})
    send(producer, OUTPUTS, flight)

    with pytest.raises(Fatal, match="Not enough in-sync replicas"):
        wait(producer, flight)


def test_silence_is_fatal_after_a_time() -> None:
    producer, flight = FakeProducer(silent=True), Flight({})
    send(producer, OUTPUTS, flight)
    clock = iter(range(0, 1000, 10))

    with pytest.raises(Fatal, match="5 records were not acknowledged within 60 s"):
        wait(producer, flight, lambda: float(next(clock)))


def test_a_missing_topic_is_named_with_its_setting_and_the_others_are_read() -> None:
    sources = Sources(["metrics", "more"], ["alerts"], ["changes"])

    assert sources.see({"metrics", "alerts", "else"})
    assert not sources.see({"metrics", "alerts"})
    assert sources.present == ["alerts", "metrics"]
    assert "no raw topic changes, more" in sources.reason("host:9092")
    assert "AIRRA_CHANGES_TOPICS, AIRRA_METRICS_TOPICS" in sources.reason("host:9092")
    assert sources.see({"metrics", "more", "alerts", "changes"})
    assert sources.reason("host:9092") == ""


def test_one_topic_in_two_formats_is_refused() -> None:
    with pytest.raises(Fatal, match="topic raw is named in both AIRRA_METRICS_TOPICS and AIRRA_ALERTS_TOPICS"):
        Sources(["raw"], ["raw"], [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    ],
)
def test_murmur2_is_that_of_kafkas_own_test(text: str, expected: int) -> None:
    assert murmur2(text.encode()) == expected % 2**32


def test_a_partition_is_one_that_exists() -> None:
    assert {partition_of(f"service-{number}", 4) for number in range(100)} == {0, 1, 2, 3}


@pytest.mark.timeout(30)  # it took minutes: the length squared
@pytest.mark.parametrize("text", ["1" * 60_000 + "_1", "." + "1" * 60_000 + "_1", "1" * 30_000 + "." + "1" * 30_000 + "_1"])
def test_a_long_value_that_is_no_number_holds_nobody_up(text: str) -> None:
    assert not is_numeral(text)
