"""remote_write of both versions: labels, samples, markers of staleness, types."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest

from schemas.kinds import MetricType
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats import harvest
from streams.normalise.formats.port import Described, Sample
from streams.normalise.formats.remote_write import MAX_BYTES, RemoteWrite, RemoteWrite2, unpack
from streams.normalise.formats.staleness import STALE, is_stale
from tests.unit.prometheus_messages import V1, V2, pack, request, request_2, series

ONE, TWO = RemoteWrite(), RemoteWrite2()
UP = {"__name__": "up", "instance": "a:1", "job": "shop"}


def told(found: RemoteWrite | RemoteWrite2, record: bytes) -> list[tuple[dict[str, str], int | None, float]]:
    return [(found.describe(item.key).labels, item.at, item.value) for item in samples(found.read(record))]


def samples(items: list[Sample | Rejection]) -> list[Sample]:
    assert all(isinstance(item, Sample) for item in items), items
    return [item for item in items if isinstance(item, Sample)]


def rejection(items: list[Sample | Rejection]) -> Rejection:
    [found] = [item for item in items if isinstance(item, Rejection)]
    return found


def refused(labels: list[tuple[str, str]]) -> Rejection:
    found = V1["TimeSeries"](labels=[{"name": name, "value": value} for name, value in labels], samples=[{"value": 1, "timestamp": 2}])
    [sample] = samples(ONE.read(request(found)))
    with pytest.raises(Rejected) as why:
        ONE.describe(sample.key)
    return why.value.rejection


def refs(symbols: list[str], labels: dict[str, str]) -> list[int]:
    for text in (text for pair in labels.items() for text in pair):
        if text not in symbols:
            symbols.append(text)
    return [symbols.index(text) for pair in labels.items() for text in pair]


def second(labels: dict[str, str], kind: int = 0, unit: str = "", symbols: list[str] | None = None, **more: Any) -> bytes:
    table = ["", *(symbols or [])]
    found = refs(table, labels)
    if unit:
        table.append(unit)
    metadata = {"type": kind, "unit_ref": table.index(unit), "help_ref": 0}
    return request_2(table, V2["TimeSeries"](labels_refs=found, metadata=metadata, **(more or {"samples": [{"value": 1, "timestamp": 2}]})))


def test_each_sample_of_each_series_is_read_with_its_time_and_value() -> None:
    record = request(series(UP, (1000, 1.0), (2000, 0.0)), series({"__name__": "x"}, (-5, -1.5e300)))

    assert told(ONE, record) == [(UP, 1000, 1.0), (UP, 2000, 0.0), ({"__name__": "x"}, -5, -1.5e300)]


def test_a_key_is_the_labels_as_they_stand_in_the_record() -> None:
    record = request(series(UP, (1000, 1.0)))

    [sample] = samples(ONE.read(record))
    assert sample.key in record
    assert sample.key == V1["TimeSeries"](labels=series(UP).labels).SerializeToString()


def test_labels_that_do_not_stand_side_by_side_are_one_key() -> None:
    first, last = (V1["TimeSeries"](labels=[{"name": name, "value": "v"}]).SerializeToString() for name in ("__name__", "z"))
    sample = V1["TimeSeries"](samples=[{"value": 3, "timestamp": 4}]).SerializeToString()
    record = V1["WriteRequest"]().SerializeToString() + b"\x0a" + bytes([len(first + sample + last)]) + first + sample + last

    assert samples(ONE.read(record)) == [Sample(first + last, 4, 3.0)]


def test_a_marker_of_staleness_keeps_its_bits_and_other_values_that_are_not_finite_pass() -> None:
    items = samples(ONE.read(request(series(UP, (1, STALE), (2, math.nan), (3, math.inf)))))

    assert struct.pack("<d", items[0].value) == struct.pack("<Q", 0x7FF0000000000002)
    assert [is_stale(item.value) for item in items] == [True, False, False]
    assert [str(item.value) for item in items] == ["nan", "nan", "inf"]


def test_metadata_exemplars_and_unknown_fields_are_passed_over() -> None:
    found = series(UP, (1000, 1.0))
    found.exemplars.add(value=1, timestamp=2).labels.add(name="trace_id", value="abc")
    record = V1["WriteRequest"](timeseries=[found], metadata=[{"type": 1, "metric_family_name": "up"}]).SerializeToString()

    assert told(ONE, record + b"\x12\x01x\x78\x01") == [(UP, 1000, 1.0)]


def test_a_request_without_series_has_no_samples() -> None:
    assert ONE.read(b"") == TWO.read(b"") == []


def test_an_empty_value_means_that_the_label_is_absent() -> None:
    assert told(ONE, request(series({"__name__": "up", "a": "", "b": "1"}, (1, 1)))) == [({"__name__": "up", "b": "1"}, 1, 1.0)]


@pytest.mark.parametrize(
    ("labels", "detail"),
    [
        ([("__name__", "up"), ("b", "1"), ("a", "1")], "label 'a' comes after 'b'"),
        ([("__name__", "up"), ("a", "1"), ("a", "2")], "label 'a' is there twice"),
        ([("__name__", "up"), ("a", ""), ("a", "")], "label 'a' is there twice"),
        ([("", "1"), ("__name__", "up")], "a label without a name, its value '1'"),
        ([("a", "1")], "no __name__ among the labels"),
        ([("__name__", "")], "no __name__ among the labels"),
        ([], "no __name__ among the labels"),
    ],
)
def test_labels_that_the_specification_forbids_are_rejected_by_name(labels: list[tuple[str, str]], detail: str) -> None:
    assert detail in refused(labels).detail


def test_a_broken_series_is_one_rejection_with_its_place_and_the_others_are_read() -> None:
    good = V1["WriteRequest"](timeseries=[series(UP, (1, 1.0))]).SerializeToString()
    broken = b"\x0a\x03\x12\x01\x09"  # a sample whose value is cut short

    items = ONE.read(good + broken + good)

    assert [isinstance(item, Sample) for item in items] == [True, False, True]
    assert rejection(items).detail.startswith("time series 2: ")


def test_a_record_that_is_cut_short_is_rejected_whole() -> None:
    with pytest.raises(Rejected):
        ONE.read(request(series(UP, (1, 1.0)))[:-1])
    with pytest.raises(Rejected):
        TWO.read(second(UP)[:-1])


def test_the_symbols_of_the_second_version_become_the_labels() -> None:
    assert told(TWO, second(UP)) == [(UP, 2, 1.0)]


def test_keys_of_the_second_version_do_not_depend_on_the_order_of_symbols() -> None:
    [one] = samples(TWO.read(second(UP)))
    [two] = samples(TWO.read(second(UP, symbols=["job", "other", "shop", "up"])))

    assert one.key == two.key
    assert one.key == samples(ONE.read(request(series(UP, (2, 1.0)))))[0].key  # no type is told: nothing is added


def test_symbols_may_follow_the_series_that_use_them() -> None:
    record = second(UP)
    table = request_2(["", *[text for pair in UP.items() for text in pair]])

    assert told(TWO, record[len(table) :] + table) == [(UP, 2, 1.0)]


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        (0, "x", None),
        (1, "x", MetricType.COUNTER),
        (2, "x", MetricType.GAUGE),
        (3, "x_bucket", MetricType.HISTOGRAM),
        (4, "x_bucket", MetricType.GAUGE),
        (5, "x", MetricType.GAUGE),
        (5, "x_count", MetricType.COUNTER),
        (6, "x", MetricType.GAUGE),
        (7, "x", MetricType.GAUGE),
        (99, "x", None),
    ],
)
def test_the_metadata_of_the_second_version_tell_the_type(kind: int, name: str, expected: MetricType | None) -> None:
    [sample] = samples(TWO.read(second({"__name__": name}, kind)))

    assert TWO.describe(sample.key) == Described({"__name__": name}, expected)


def test_the_unit_of_the_second_version_is_told_and_part_of_the_key() -> None:
    [sample] = samples(TWO.read(second(UP, 1, "seconds")))

    assert TWO.describe(sample.key) == Described(UP, MetricType.COUNTER, unit="seconds")


def test_references_that_lead_nowhere_or_do_not_pair_are_one_rejection_each() -> None:
    record = request_2(
        ["", "__name__", "up"],
        V2["TimeSeries"](labels_refs=[1, 3], samples=[{"value": 1}]),
        V2["TimeSeries"](labels_refs=[1], samples=[{"value": 1}]),
        V2["TimeSeries"](labels_refs=[1, 2], samples=[{"value": 1}], metadata={"unit_ref": 9}),
        V2["TimeSeries"](labels_refs=[1, 2], samples=[{"value": 1}]),
    )

    items = TWO.read(record)
    assert [item.detail if isinstance(item, Rejection) else item.value for item in items] == [
        "time series 1: a reference to symbol 3 of 3",
        "time series 2: 1 label references, which come in pairs",
        "time series 3: a reference to symbol 9 of 3",
        1.0,
    ]


def test_few_references_to_a_long_symbol_do_not_become_long_labels() -> None:
    record = request_2(["", "x" * 60_000], V2["TimeSeries"](labels_refs=[1] * 1000, samples=[{"value": 1}]))

    assert rejection(TWO.read(record)) == Rejection(Reason.TOO_LARGE, "time series 1: labels of 60000000 bytes, at most 65536")


def test_many_series_of_long_labels_end_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harvest, "MAX_ALL_KEYS_BYTES", 10 * len("xx"))
    with pytest.raises(Rejected) as why:
        ONE.read(request(series(UP, *[(at, 1.0) for at in range(10)])))
    assert why.value.rejection.reason is Reason.TOO_LARGE


def test_more_samples_than_any_agent_sends_end_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harvest, "MAX_ITEMS", 3)
    with pytest.raises(Rejected):
        ONE.read(request(series(UP, *[(at, 1.0) for at in range(4)])))


def test_a_series_with_labels_beyond_any_is_rejected_alone() -> None:
    items = ONE.read(request(series({"__name__": "x" * 70_000}, (1, 1.0)), series(UP, (1, 1.0))))

    assert rejection(items).reason is Reason.TOO_LARGE
    assert len(items) == 2


def test_a_body_is_unpacked_from_snappys_blocks() -> None:
    record = request(series(UP, (1000, 1.0)))

    assert unpack(pack(record)) == record
    assert unpack(pack(b"")) == b""


@pytest.mark.parametrize("body", [b"", b"\x05", b"\x00\x00", b"\x05\x00", b"\xff" * 12, b"\x0a\x10__name__"])
def test_a_body_that_is_no_snappy_is_rejected(body: bytes) -> None:
    with pytest.raises(Rejected):
        unpack(body)


def test_a_body_that_claims_too_much_is_rejected_by_its_header_alone() -> None:
    with pytest.raises(Rejected) as large:
        unpack(b"\xff\xff\xff\xff\x0f" + bytes(10))
    with pytest.raises(Rejected) as denser:
        unpack(b"\x80\x80\x40" + bytes(10))  # a megabyte in ten bytes: less than the limit, more than snappy can
    assert large.value.rejection.reason is denser.value.rejection.reason is Reason.TOO_LARGE
    with pytest.raises(Rejected):
        unpack(pack(bytes(MAX_BYTES + 1)))
    assert len(unpack(pack(bytes(MAX_BYTES)))) == MAX_BYTES
