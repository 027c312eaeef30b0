"""remote_write by the batch gives what reading it record by record gives, whatever the cache forgets meanwhile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.samples import SOURCE_HEADER, decode_batch, decode_series
from schemas.topics import WRITE
from streams.harness.stage import Headers, Record
from streams.normalise import by_batch
from streams.normalise.columnar import Slots
from streams.normalise.core import Core, Taken
from streams.normalise.fates import SampleFate
from streams.normalise.formats.port import Described
from streams.normalise.formats.staleness import STALE
from streams.normalise.raw import by_index
from streams.normalise.times import Reach
from tests.unit.prometheus_messages import V1, pack, request, series
from tests.unit.test_normalise_formats import MAPPING, NOW

TOLD: Headers = (("airra.format", b"remote-write"),)
SOURCED: Headers = (*TOLD, (SOURCE_HEADER, b"prometheus-a"))

names = st.sampled_from(["temperature", "up", "nobody_knows", "a_total"])
values = st.one_of(st.floats(allow_nan=False), st.just(math.nan), st.just(STALE))
times = st.one_of(st.integers(NOW - 5000, NOW + 1000), st.sampled_from([0, -1, 2**62, NOW + 10**9]))
one_series = st.builds(
    lambda name, service, samples: series({"__name__": name, "service": service}, *samples),
    names,
    st.sampled_from(["cart", "shop", "", "x" * 600]),
    st.lists(st.tuples(times, values), max_size=4),
)
odd = st.sampled_from(
    [series({"service": "cart"}, (NOW, 1.0)), series({"__name__": "up"}, histograms=(V1["Histogram"](count_int=1, timestamp=NOW),))]
)
requests = st.lists(st.one_of(one_series, odd), max_size=5).map(lambda found: pack(request(*found)))
records = st.lists(st.one_of(requests, st.binary(max_size=8)), max_size=5)


def take(core: Core, values: Sequence[bytes], headers: Headers = TOLD, topic: str = "metrics", stamp: int = NOW) -> Taken:
    def record(index: int) -> Record:
        return Record(topic, 0, index, stamp, None, values[index], headers)

    return core.take_samples(
        (topic, 0), values, list(range(len(values))), [stamp] * len(values), record, Reach(NOW), by_index([headers] * len(values))
    )


def told(taken: Taken) -> dict[str, Any]:
    rows, letters, series = [], [], set()
    for output in taken.outputs:
        kind = dict(output.headers).get("airra.type")
        if output.topic == "airra.samples.v1" and kind == b"samples":
            batch = decode_batch(output.value)
            columns = (batch.offset, batch.series, batch.time, batch.value.view(np.uint64))
            rows += zip(*(column.tolist() for column in columns), strict=True)
        elif output.topic == "airra.dlq.v1":
            found = dict(output.headers)
            letters.append(
                (found["airra.error.reason"], found["airra.error.detail"], found["airra.error.offset"], found.get("airra.error.forwarded"))
            )
        elif output.topic == "airra.series.v1":
            series |= {one.id for one in decode_series(output.value)}
    fates = (taken.accepted, taken.unmapped, taken.empty, sorted(taken.refused))
    return {"rows": sorted(rows), "letters": sorted(letters), "series": series, "fates": fates, "samples": dict(taken.samples)}


@given(records, st.sampled_from([2, 400_000]))
def test_the_batch_reads_what_the_reference_reads(values: list[bytes], capacity: int) -> None:
    fast = [told(take(core, part)) for core in [Core(MAPPING, 2, 1, capacity)] for part in (values, values)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_batch, "FORMATS", {})
        slow = [told(take(core, part)) for core in [Core(MAPPING, 2, 1, capacity)] for part in (values, values)]
    if capacity == 2:  # what is forgotten at another moment is told again at another moment
        for one in (*fast, *slow):
            one["series"] = None
    assert fast == slow


def test_a_series_that_goes_on_is_found_again_after_each_turn_of_the_cache() -> None:
    core = Core(MAPPING, 1, 1, capacity=4)
    for step in range(6):
        found = told(take(core, [pack(request(series({"__name__": "temperature", "service": "cart"}, (NOW + step, 1.0)),
                                              series({"__name__": "temperature", "service": f"s{step}"}, (NOW, 2.0))))]))  # fmt: skip
        assert len(found["rows"]) == 2
    assert core.cache.turns >= 2
    assert core.cache.evicted > 0


def test_a_table_that_is_full_begins_anew() -> None:
    core = Core(MAPPING, 1, 1)
    slots = Slots(core.cache, lambda key: Described({"__name__": "temperature", "service": key.decode()}), capacity=3)
    for step in range(10):
        name = np.frombuffer(b"%d" % step, np.uint8)
        found = slots.find(b"x", name, np.zeros(1, np.int64), np.ones(1, np.int64), lambda _, step=step: b"s%d" % step)  # type: ignore[misc]
        assert core.cache.meaning(int(found[0])).service == f"s{step}"
    assert len(slots.table) <= 3


def test_a_series_carries_who_wrote_it_and_only_the_doors_topic_is_believed() -> None:
    body = pack(request(series({"__name__": "temperature", "service": "cart"}, (NOW, 1.0))))

    def source(topic: str, headers: Headers) -> str:
        outputs = take(Core(MAPPING, 1, 1), [body], headers, topic).outputs
        return next(decode_series(output.value)[0].source for output in outputs if output.topic == "airra.series.v1")

    assert source(WRITE.name, SOURCED) == "prometheus-a"
    assert source("metrics", SOURCED) == "metrics"
    assert source("metrics", ()) == "metrics"


def test_two_sources_with_the_same_labels_are_kept_apart() -> None:
    body = pack(request(series({"__name__": "temperature", "service": "cart"}, (NOW, 1.0))))
    core = Core(MAPPING, 1, 1)
    first = take(core, [body], SOURCED, WRITE.name)
    second = take(core, [body], (*TOLD, (SOURCE_HEADER, b"prometheus-b")), WRITE.name)
    found = [decode_series(output.value)[0] for taken in (first, second) for output in taken.outputs if output.topic == "airra.series.v1"]
    assert [one.source for one in found] == ["prometheus-a", "prometheus-b"]
    assert len({one.id for one in found}) == 1  # one label set is one series
    assert first.samples == second.samples == {("remote-write", SampleFate.ACCEPTED): 1}
