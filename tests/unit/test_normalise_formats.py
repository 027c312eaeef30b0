"""Records of metrics in every format, through the core of normalise: recognised, read, told apart, and each with one fate."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config.formats import FormatsMapping
from schemas.config.metrics import MetricsMapping
from schemas.kinds import MetricType
from schemas.samples import STALE_BITS, SampleBatch, decode_batch, encode_batch
from schemas.topics import SAMPLES
from streams.harness.errors import Unfit
from streams.harness.redelivery import REPLAY_SKIP, letter_of
from streams.harness.stage import Headers, Record
from streams.normalise import outputs
from streams.normalise.core import Core, Taken
from streams.normalise.fates import SampleFate
from streams.normalise.formats.catalogue import NAMES, choice_of
from streams.normalise.formats.harvest import MAX_ITEMS
from streams.normalise.formats.staleness import STALE
from streams.normalise.raw import by_index
from streams.normalise.times import Reach
from tests.unit.otlp_messages import as_json, export, gauge, point, resource
from tests.unit.prometheus_messages import V2, pack, request, request_2, series
from tests.unit.test_normalise_samples import NOW, batches, definitions, message

MAPPING = MetricsMapping.model_validate(
    {
        "service_labels": ["service", "service_name", "host", "instance"],
        "metrics": [
            {"match": "*_total", "kind": "requests", "type": "counter"},
            {"match": "*temperature*", "kind": "other"},
            {"match": "up", "kind": "up"},
        ],
    }
)
LABELS = {"__name__": "temperature", "service": "cart"}
OTLP = export(resource(gauge("temperature", point(21.5, time_unix_nano=NOW * 1_000_000)), labels={"service.name": "cart"}))
WRITE = pack(request(series(LABELS, (NOW, 21.5))))
WRITE_2 = pack(
    request_2(
        ["", "__name__", "temperature", "service", "cart"],
        V2["TimeSeries"](labels_refs=[1, 2, 3, 4], samples=[V2["Sample"](value=21.5, timestamp=NOW)]),
    )
)
RECORDS: dict[str, bytes] = {
    "prometheus-json": message("temperature", "21.5", service="cart"),
    "otlp-json": as_json(OTLP),
    "telegraf-json": json.dumps({"name": "temperature", "tags": {"host": "cart"}, "fields": {"now": 21.5}, "timestamp": NOW // 1000}).encode(),
    "collectd-rates": json.dumps(
        [
            {"values": [21.5], "dstypes": ["gauge"], "dsnames": ["value"], "time": NOW / 1000, "interval": 10, "host": "cart",
             "plugin": "sensors", "plugin_instance": "", "type": "temperature", "type_instance": ""}
        ]
    ).encode(),
    "otlp": OTLP,
    "remote-write-2": WRITE_2,
    "remote-write": WRITE,
    "influx": b"temperature,host=cart now=21.5 %d\n" % (NOW * 1_000_000),
}  # fmt: skip


def take(
    *records: bytes | None, core: Core | None = None, headers: Sequence[Headers] | None = None, topic: str = "metrics", stamp: int = NOW
) -> Taken:
    def record(index: int) -> Record:
        return Record(topic, 2, 100 + index, stamp, None, records[index] or b"", headers[index] if headers else ())

    core = core or Core(MAPPING, 4, 4)
    offsets = list(range(100, 100 + len(records)))
    return core.take_samples((topic, 2), records, offsets, [stamp] * len(records), record, Reach(NOW), by_index(headers or ()))


def rows(taken: Taken) -> list[tuple[int, int, float]]:
    """Return offset, time and value of each row that was appended."""
    columns = [decode_batch(output.value) for output in batches(taken)]
    return sorted(row for one in columns for row in zip(one.offset.tolist(), one.time.tolist(), one.value.tolist(), strict=True))


def letter(taken: Taken) -> tuple[str, str, str]:
    (found,) = [output for output in taken.outputs if output.topic == "airra.dlq.v1"]
    read = letter_of(Record(found.topic, 0, 0, NOW, found.key, found.value, found.headers))
    assert read is not None
    return read.reason, read.detail, read.forwarded


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_of_each_format_is_recognised(name: str) -> None:
    taken = take(RECORDS[name])
    assert taken.refused == []
    assert dict(taken.samples) == {(name, SampleFate.ACCEPTED): 1}
    assert rows(taken) == [(100, NOW, 21.5)]
    (found,) = definitions(taken)
    assert (found.service, found.kind.value, found.type) == ("cart", "other", MetricType.GAUGE)
    assert "temperature" in found.metric


@pytest.mark.parametrize("name", [name for name in NAMES if name in RECORDS])
def test_a_format_may_be_named_by_the_topic_or_by_the_record(name: str) -> None:
    named = Core(MAPPING, 4, 4, choice=choice_of(FormatsMapping.model_validate({"topics": {"metrics": {"format": name}}})))
    assert rows(take(RECORDS[name], core=named)) == [(100, NOW, 21.5)]
    others = [record for other, record in RECORDS.items() if other != name]
    for record in others:
        assert take(record, core=named).accepted == 0
    assert rows(take(RECORDS[name], headers=[(("airra.format", name.encode()),)])) == [(100, NOW, 21.5)]


def test_a_header_that_names_no_format_is_told() -> None:
    reason, detail, _ = letter(take(RECORDS["influx"], headers=[(("airra.format", b"influxdb"),)]))
    assert (reason, detail) == ("unknown_format", "airra.format 'influxdb' is no format")


def test_formats_may_be_mixed_and_rows_keep_the_order_of_their_records() -> None:
    records = [*RECORDS.values(), RECORDS["prometheus-json"], b"?", RECORDS["otlp"]]
    core = Core(MAPPING, 1, 1)
    taken = take(*records, core=core)
    (output,) = batches(taken)
    offsets = decode_batch(output.value).offset.tolist()
    assert offsets == [100 + index for index in range(len(records)) if records[index] != b"?"]
    assert (taken.accepted, len(taken.refused)) == (len(records) - 1, 1)


def test_what_is_of_no_format_says_what_was_tried() -> None:
    assert letter(take(b"\x07\x07"))[0] == "unknown_format"
    reason, detail, _ = letter(take(b'{"fields":{"a":1},"labels":{},"value":"1"}'))
    assert "prometheus-json: " in detail
    assert "telegraf-json: " in detail
    assert reason in {"missing_field", "wrong_type"}


def test_a_record_of_which_a_part_is_bad_is_a_letter_and_the_rest_is_passed_on() -> None:
    good = [point(float(value), {"n": value}, time_unix_nano=NOW * 1_000_000) for value in range(4)]
    late = [point(9.0, {"n": 9}, time_unix_nano=5_000_000)]
    record = export(
        resource(gauge("temperature", good[0], *late, *good[1:3], point(math.inf, {"n": 10}), good[3]), labels={"service.name": "cart"})
    )
    taken = take(record)
    assert sorted(value for _, _, value in rows(taken)) == [0.0, 1.0, 2.0, 3.0]
    reason, detail, forwarded = letter(taken)
    assert reason == "timestamp_out_of_range"
    assert detail.endswith("2 of its samples")
    assert forwarded == "0,2-3,5"
    assert dict(taken.samples) == {("otlp", SampleFate.ACCEPTED): 4, ("otlp", SampleFate.REFUSED): 2}
    assert (taken.accepted, len(taken.refused)) == (0, 1)

    again = take(record, headers=[((REPLAY_SKIP, forwarded.encode()),)])
    assert rows(again) == []
    assert letter(again)[2] == forwarded


def test_a_replayed_letter_brings_in_what_was_refused_and_nothing_else() -> None:
    points = [point(float(value), {"n": value}, time_unix_nano=NOW * 1_000_000) for value in range(4)]
    record = export(resource(gauge("temperature", *points), labels={"service.name": "cart"}))
    assert [value for *_, value in rows(take(record, headers=[((REPLAY_SKIP, b"0,2-3"),)]))] == [1.0]


def test_not_a_number_is_no_value_where_the_protocol_says_so_and_the_mark_of_an_end_is_kept() -> None:
    taken = take(pack(request(series(LABELS, (NOW, math.nan), (NOW + 1, STALE), (NOW + 2, 3.0)))))
    assert taken.refused == []
    (output,) = batches(taken)
    batch = decode_batch(output.value)
    assert batch.time.tolist() == [NOW + 1, NOW + 2]
    assert batch.value.view(np.uint64).tolist()[0] == STALE_BITS
    assert taken.samples["remote-write", SampleFate.NO_VALUE] == 1


@pytest.mark.parametrize("form", ["otlp", "otlp-json"])
def test_a_summary_that_nobody_fed_has_no_value_in_either_form_of_otlp(form: str) -> None:
    message = resource(gauge("temperature", point(math.nan, time_unix_nano=NOW * 1_000_000)), labels={"service.name": "cart"})
    taken = take(export(message) if form == "otlp" else as_json(export(message)))
    assert (taken.refused, dict(taken.samples)) == ([], {(form, SampleFate.NO_VALUE): 1})


@pytest.mark.parametrize("headers", [(), (("airra.format", b"prometheus-json"),)])
def test_of_prometheus_kafka_adapter_not_a_number_is_no_value_for_it_writes_summaries_that_nobody_fed(headers: Headers) -> None:
    taken = take(message(value="NaN"), RECORDS["prometheus-json"], message(value="+Inf"), headers=[headers, (), headers])
    assert [value for *_, value in rows(taken)] == [21.5]
    assert (taken.empty, taken.accepted, letter(taken)[0]) == (1, 1, "not_finite")
    assert dict(taken.samples) == {("prometheus-json", fate): 1 for fate in (SampleFate.NO_VALUE, SampleFate.ACCEPTED, SampleFate.REFUSED)}


def test_a_record_of_nothing_but_no_value_is_empty() -> None:
    taken = take(pack(request(series(LABELS, (NOW, math.nan)))), export(resource()), headers=[(), (("airra.format", b"otlp"),)])
    assert (taken.accepted, taken.unmapped, taken.empty, taken.refused, taken.outputs) == (0, 0, 2, [], [])


def test_a_sample_without_a_time_has_that_of_its_record() -> None:
    assert rows(take(b"temperature,host=cart now=1", stamp=NOW - 5)) == [(100, NOW - 5, 1.0)]
    assert letter(take(b"temperature,host=cart now=1", stamp=0))[0] == "missing_field"


def test_formats_of_one_key_are_not_mixed_up() -> None:
    core = Core(MAPPING, 4, 4)
    mapped = {"format": "json", "metrics": [{"name": "temperature", "value": "$.v"}], "labels": {"service": "$.s"}}
    other = {**mapped, "labels": {"host": "$.s"}}
    core = Core(MAPPING, 4, 4, choice=choice_of(FormatsMapping.model_validate({"topics": {"a": mapped, "b": other}})))
    record = b'{"v": 1, "s": "cart"}'
    first, second = take(record, core=core, topic="a"), take(record, core=core, topic="b")
    assert definitions(first)[0].labels == {"__name__": "temperature", "service": "cart"}
    assert definitions(second)[0].labels == {"__name__": "temperature", "host": "cart"}


@pytest.mark.parametrize(
    ("topics", "says"),
    [
        ({"t": {"format": "flux"}}, "topics.t.format: there is no format 'flux'; there are prometheus-json, "),
        ({"t": {"format": "confluent", "metrics": [{"name": "a", "value": "$.v"}]}}, "AIRRA_REGISTRY_URL must say"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_at_the_start(topics: dict[str, object], says: str) -> None:
    with pytest.raises(Unfit) as caught:
        choice_of(FormatsMapping.model_validate({"topics": topics}))
    assert says in str(caught.value)


def test_the_largest_record_fits_the_topic() -> None:
    """Given as many samples as a record may have, all for one partition, when they are written, then the broker takes them."""
    batch = SampleBatch(
        np.full(MAX_ITEMS, 2**64 - 1, np.uint64), np.full(MAX_ITEMS, NOW), np.full(MAX_ITEMS, 1e300), np.full(MAX_ITEMS, 2**62)
    )
    assert len(encode_batch(batch)) < SAMPLES.max_message_bytes - 4096  # key, headers, the record's own
    assert outputs.BATCH_ROWS == MAX_ITEMS


def test_what_one_record_gave_stays_in_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "BATCH_ROWS", 5)
    lengths = [3, 1, 4, 5, 2, 2, 1, 5]
    records = [b"\n".join(b"temperature,host=cart,n=%d now=%d" % (n, n) for n in range(count)) for count in lengths]
    found = [decode_batch(output.value) for output in batches(take(*records, core=Core(MAPPING, 1, 1)))]
    assert all(len(one.offset) <= 5 for one in found)
    assert [offset for one in found for offset in dict.fromkeys(one.offset.tolist())] == list(range(100, 108))
    assert sum(len(one.offset) for one in found) == sum(lengths)


def test_delta_and_unit_come_with_the_definition() -> None:
    record = {"values": [5], "dstypes": ["absolute"], "dsnames": ["value"], "time": NOW / 1000, "host": "cart", "plugin": "a", "type": "x"}
    named = choice_of(FormatsMapping.model_validate({"topics": {"metrics": {"format": "collectd"}}}))
    mapping = MetricsMapping.model_validate(
        {"service_labels": ["instance"], "metrics": [{"match": "collectd_*", "kind": "requests", "type": "gauge"}]}
    )
    (found,) = definitions(take(json.dumps([record]).encode(), core=Core(mapping, 1, 1, choice=named)))
    assert (found.delta, found.type) == (True, MetricType.COUNTER)


ANY = st.one_of(
    st.binary(max_size=64),
    st.sampled_from([*RECORDS.values(), b"", message(value="NaN"), message("nobody_knows_it")]),
    st.tuples(st.sampled_from(list(RECORDS.values())), st.integers(0, 200), st.binary(max_size=3)).map(
        lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1] :]
    ),
    st.none(),
)
TOLD = st.lists(
    st.sampled_from([("content-type", b"application/x-protobuf"), ("airra.format", b"otlp"), (REPLAY_SKIP, b"0"), ("x", b"y")]), max_size=2
)


@given(st.lists(st.tuples(ANY, TOLD.map(tuple)), max_size=6))
def test_whatever_comes_each_record_has_one_fate(given: list[tuple[bytes | None, Headers]]) -> None:
    taken = take(*(value for value, _ in given), headers=[of for _, of in given])
    assert taken.accepted + taken.unmapped + taken.empty + len(taken.refused) == len(given)
    assert sum(output.topic == "airra.dlq.v1" for output in taken.outputs) == len(taken.refused)
    assert sum(taken.samples[key] for key in taken.samples if key[1] is SampleFate.ACCEPTED) == len(rows(taken))


@given(st.lists(st.sampled_from(list(RECORDS.values())), max_size=8), st.integers(0, 8))
def test_where_a_batch_is_cut_changes_no_row(records: list[bytes], cut: int) -> None:
    whole = take(*records, core=Core(MAPPING, 1, 1))
    core = Core(MAPPING, 1, 1, capacity=2)  # and forgets all the time
    first = take(*records[:cut], core=core)
    rest = take(*records[cut:], core=core)
    shifted = [(offset + len(records[:cut]), at, value) for offset, at, value in rows(rest)]
    assert sorted([*rows(first), *shifted]) == rows(whole)
