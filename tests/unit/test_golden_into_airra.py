"""What Prometheus has and what AIRRA has are told alike, and what differs is said (tests/golden/told.py, into_airra.py)."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
import yaml

from bench.bed import ROOT
from schemas.kinds import Direction, Kind, MetricType
from schemas.samples import BatchSource, SampleBatch, SeriesDef, encode_batches, encode_series, headers
from schemas.topics import SAMPLES, WRITE
from streams.harness.stage import Record
from streams.normalise.formats.staleness import STALE
from tests.golden.messages import messages, says
from tests.golden.told import ENDED, NO_VALUE, Told, differing, has, of_value, stanza, stored, written
from tests.unit.golden_reading import labelled

CLUSTER = {"cluster": "golden"}
NODE = {"job": "node", "instance": "a"}
LOAD = labelled(__name__="load", **NODE, **CLUSTER)


def said(name: str, values: dict[float, str]) -> dict[str, Any]:
    """Return a series as Prometheus' API has it, by second."""
    return {"metric": {"__name__": name, **NODE}, "values": [[at, value] for at, value in values.items()]}


def record(kind: str, value: bytes, **more: bytes) -> Record:
    return Record(SAMPLES.name, 0, 0, 0, None, value, headers(kind, **more))


def rows(*told: tuple[int, int, float]) -> Record:
    series, at, values = zip(*told, strict=True)
    offset = np.zeros(len(told), np.int64)
    batch = SampleBatch(np.array(series, np.uint64), np.array(at, np.int64), np.array(values, np.float64), offset)
    value, header = encode_batches([(BatchSource(WRITE.name, 0, 0, 0), batch)])
    return record("samples", value, airra_batch=header)


def defined(one: int) -> Record:
    labels = {"__name__": "load", **NODE, **CLUSTER}
    meant = SeriesDef(one, "node", "a", "load", Kind.OTHER, MetricType.GAUGE, "", Direction.NONE, one, labels=labels)
    return record("series", encode_series([meant]))


@pytest.mark.parametrize(("producer", "recording"), [("prometheus-2", "remote-write"), ("prometheus-3-types", "remote-write-2")])
def test_of_a_recording_prometheus_and_its_requests_say_the_same(producer: str, recording: str) -> None:
    told = has(json.loads(says(producer, "api.json")), CLUSTER)
    until = max(at for _, at, _ in told)  # later samples its API could not know
    sent = [Record(WRITE.name, 0, number, 0, one.key, one.value, one.headers) for number, one in enumerate(messages(producer, recording))]
    found = Counter({one: count for one, count in written(sent).items() if one[1] <= until})

    assert [*differing("the requests", told, found)] == []
    assert {dict(labels)["job"] for labels, _, _ in of_value(told, ENDED)} == {"node", "peer"}


def test_a_series_ends_at_the_first_scrape_that_lacks_it_and_may_come_again() -> None:
    up = said("up", {1: "1", 2: "1", 3: "0", 4: "1", 5: "1"})
    told = has([up, said("load", {1: "0.5", 2: "NaN", 4: "0.25"})], CLUSTER)

    assert Counter({one: count for one, count in told.items() if one[0] == LOAD}) == {
        (LOAD, 1000, 0.5): 1,
        (LOAD, 2000, NO_VALUE): 1,
        (LOAD, 3000, ENDED): 1,
        (LOAD, 4000, 0.25): 1,
        (LOAD, 5000, ENDED): 1,
    }
    assert told.total() == 5 + 5  # `up` goes on


def test_seconds_are_milliseconds_to_the_last() -> None:
    told = has([said("up", {1.001: "1"})], CLUSTER)  # 1.001 * 1000 is a little less than 1001

    assert [at for _, at, _ in told] == [1001]


def test_a_request_that_stands_twice_is_told_twice() -> None:
    sent = next(one for one in messages("prometheus-2", "remote-write") if len(one.value) > 1000)
    one = Record(WRITE.name, 0, 0, 0, sent.key, sent.value, sent.headers)

    assert set(written([one, one]).values()) == {2}


def test_rows_have_the_labels_of_their_definition_and_each_counts() -> None:
    twice = rows((7, 1000, 0.5), (7, 2000, STALE)), rows((7, 1000, 0.5))
    found, definitions = stored([defined(7), *twice, rows((8, 1000, 1.0)), record("tick", b"")])

    assert found == {(LOAD, 1000, 0.5): 2, (LOAD, 2000, ENDED): 1, (labelled(undefined=f"{8:016x}"), 1000, 1.0): 1}
    assert set(definitions) == {7}


@pytest.mark.parametrize(
    ("found", "says_"),
    [
        ([(LOAD, 1000, 0.5)], ["lacks 1"]),
        ([(LOAD, 1000, 0.5), (LOAD, 2000, ENDED), (LOAD, 2000, ENDED)], ["has beyond 1"]),
        ([(LOAD, 1001, 0.5), (LOAD, 2000, ENDED)], ["lacks 1", "has beyond 1"]),
        ([(LOAD, 1000, 0.5), (LOAD, 2000, NO_VALUE)], ["lacks 1", "has beyond 1"]),
        ([(labelled(__name__="load"), 1000, 0.5), (LOAD, 2000, ENDED)], ["lacks 1", "has beyond 1"]),
        ([(LOAD, 1000, 0.5), (LOAD, 2000, ENDED)], []),
    ],
)
def test_what_is_lost_or_stands_twice_or_is_another_is_said(found: list[Told], says_: list[str]) -> None:
    expected: Counter[Told] = Counter([(LOAD, 1000, 0.5), (LOAD, 2000, ENDED)])

    assert [text.partition(":")[0] for text in differing("it", expected, Counter(found))] == [f"it {text}" for text in says_]


@pytest.mark.parametrize(("version", "more"), [("1.0", {}), ("2.0", {"protobuf_message": "io.prometheus.write.v2.Request"})])
def test_the_stanza_that_is_proven_is_the_one_of_the_docs(version: str, more: dict[str, str]) -> None:
    text = stanza((ROOT / "docs" / "ingest.md").read_text(), "http://127.0.0.1:1", "secret", version)

    url, given = "http://127.0.0.1:1/api/v1/write", {"credentials": "secret"}
    assert yaml.safe_load(text) == {"remote_write": [{"url": url, "authorization": given, **more}]}
    with pytest.raises(LookupError):
        stanza("remote_write:", "", "", version)
