"""Whatever bytes arrive, each record has exactly one fate, and what the good ones become does not depend on the others."""

from __future__ import annotations

import json

import hypothesis.strategies as st
from hypothesis import given, settings

from schemas.config.metrics import MetricsMapping
from schemas.samples import decode_batch
from schemas.topics import DLQ
from streams.harness.stage import Record
from streams.normalise.core import Core, Taken
from streams.normalise.times import Reach, parse_time

NOW = 1_795_489_200_000
RULES = [
    {"match": "up", "kind": "up"},
    {"match": "h_count", "labels": {"code": "5.."}, "kind": "errors", "type": "counter"},
    {"match": "h", "kind": "latency", "type": "histogram"},
]
MAPPING = MetricsMapping.model_validate({"metrics": RULES})

texts = st.one_of(
    st.text(max_size=8), st.sampled_from(["1", "NaN", "+Inf", "-1e999", "1_0", " 1 ", "2026-11-24T03:00:00Z", "up", "h_bucket", "firing"])
)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts)
labels = st.dictionaries(
    st.one_of(st.sampled_from(["__name__", "service", "le", "alertname", "code"]), texts), st.one_of(texts, texts, scalars)
)
fields = st.sampled_from(
    ["timestamp", "value", "name", "labels", "alerts", "status", "startsAt", "endsAt", "type", "service", "at", "before"]
)
objects = st.recursive(
    st.one_of(scalars, labels), lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(fields, inner)), max_leaves=12
)
sound = st.builds(
    lambda name, service, value, second: json.dumps(
        {
            "labels": {"__name__": name, "service": service, "le": "1"},
            "name": name,
            "timestamp": f"2026-11-24T03:00:{second:02}Z",
            "value": value,
        }
    ).encode(),
    st.sampled_from(["up", "h_bucket", "h_sum", "unknown"]),
    st.sampled_from(["a", "b", "c"]),
    st.floats(allow_nan=False, allow_infinity=False).map(str),
    st.integers(0, 59),
)
raw = st.one_of(st.binary(max_size=40), objects.map(lambda value: json.dumps(value).encode()), sound)


def take(values: list[bytes | None], core: Core, first: int = 0) -> Taken:
    def record(index: int) -> Record:
        return Record("metrics", 0, first + index, NOW, None, values[index] or b"")

    return core.take_samples(("metrics", 0), values, list(range(first, first + len(values))), [NOW] * len(values), record, Reach(NOW))


def rows(taken: Taken) -> dict[int, tuple[int, int, float, int | None]]:
    found = {}
    for output in taken.outputs:
        if output.topic == "airra.samples.v1" and dict(output.headers)["airra.type"] == b"samples":
            batch = decode_batch(output.value)
            for series, at, value, offset in zip(
                batch.series.tolist(), batch.time.tolist(), batch.value.tolist(), batch.offset.tolist(), strict=True
            ):
                found[offset] = (series, at, value, output.partition)
    return found


@given(st.lists(st.one_of(st.none(), raw), max_size=12))
def test_every_sample_message_has_exactly_one_fate(values: list[bytes | None]) -> None:
    taken = take(values, Core(MAPPING, 4, 4))

    letters = [output for output in taken.outputs if output.topic == DLQ.name]
    assert taken.accepted + taken.unmapped + len(taken.refused) == len(values)
    assert len(rows(taken)) == taken.accepted
    assert len(letters) == len(taken.refused)


@given(st.lists(raw, max_size=12), st.integers(0, 12))
def test_what_a_message_becomes_does_not_depend_on_batches_or_the_cache(values: list[bytes], cut: int) -> None:
    whole = take(list(values), Core(MAPPING, 4, 4))
    core = Core(MAPPING, 4, 4, capacity=2)
    parts = [take(list(values[:cut]), core), take(list(values[cut:]), core, first=min(cut, len(values)))]

    assert rows(parts[0]) | rows(parts[1]) == rows(whole)
    assert parts[0].refused + parts[1].refused == whole.refused


@settings(max_examples=200)
@given(st.lists(raw, max_size=5))
def test_every_webhook_and_change_has_exactly_one_fate(values: list[bytes]) -> None:
    core = Core(MAPPING, 4, 4)
    records = [Record("x", 0, offset, NOW, None, value) for offset, value in enumerate(values)]
    for taken in (core.take_alerts(records, Reach(NOW)), core.take_changes(records, Reach(NOW))):
        assert taken.accepted + len(taken.refused) == len(values)
        assert sum(output.topic == DLQ.name for output in taken.outputs) == len(taken.refused)


@given(st.datetimes().map(lambda at: at.isoformat(timespec="milliseconds")), st.integers(-23, 23), st.integers(0, 59))
def test_a_time_is_the_same_instant_in_every_zone(text: str, hours: int, minutes: int) -> None:
    utc = parse_time(text + "Z")
    assert utc is not None
    shifted = parse_time(f"{text}{'-' if hours < 0 else '+'}{abs(hours):02}:{minutes:02}")
    assert shifted == utc - (1 if hours >= 0 else -1) * (abs(hours) * 60 + minutes) * 60_000
