"""A team's own JSON: the mapping of a topic says where name, value, time and labels stand."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import yaml

from schemas.config.formats import FormatsMapping, Mapping
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.mapped_json import MAX_KEY_BYTES, MAX_RECORD_BYTES, MAX_SAMPLES, MappedJson
from streams.normalise.formats.port import Described, Sample

FILE = """
topics:
  team.metrics:
    format: json
    each: $.items[*]
    metrics:
      - {name: latency_p95, value: $.p95, unit: milliseconds}
      - {name: $.metric, value: $.value}
    timestamp: $.ts
    labels: {service: $.svc, region: eu, pod: $.meta.pod, host: $$.host}
  other.metrics: {format: influx}
"""
AT = 1_764_298_800_123  # 2025-11-28T03:00:00.123Z


def mapping(**told: Any) -> Mapping:
    return Mapping(**{"format": "json", "metrics": [{"name": "up", "value": "$.v"}], **told})


def read(value: object, **told: Any) -> list[Sample | Rejection]:
    return list(MappedJson(mapping(**told)).read(json.dumps(value).encode()))


def values(found: list[Sample | Rejection]) -> list[float]:
    return [one.value for one in found if isinstance(one, Sample)]


def only_rejection(found: list[Sample | Rejection]) -> Rejection:
    (one,) = found
    assert isinstance(one, Rejection)
    return one


def labels(value: object, **told: Any) -> dict[str, str]:
    reader = MappedJson(mapping(**told))
    (one,) = reader.read(json.dumps(value).encode())
    assert isinstance(one, Sample)
    return reader.describe(one.key).labels


# samples


def test_a_record_of_several_items_gives_their_samples_in_order() -> None:
    told = FormatsMapping(**yaml.safe_load(FILE)).topics["team.metrics"]
    assert isinstance(told, Mapping)
    reader = MappedJson(told)
    items = [
        {"ts": "2025-11-28T03:00:00.123Z", "svc": "cart", "p95": n, "metric": "load", "value": str(n), "meta": {"pod": f"a-{n}"}}
        for n in (1, 2)
    ]
    found = list(reader.read(json.dumps({"host": "h1", "items": items}).encode()))
    shared = {"service": "cart", "region": "eu", "host": "h1"}
    assert [(one.at, one.value, reader.describe(one.key)) for one in found if isinstance(one, Sample)] == [
        (AT, float(n), Described({"__name__": name, **shared, "pod": f"a-{n}"}, unit=unit))
        for n in (1, 2)
        for name, unit in (("latency_p95", "milliseconds"), ("load", ""))
    ]


def test_one_label_set_has_one_key_wherever_its_members_stand_in_record_or_mapping() -> None:
    told = {"labels": {"b": "$.b", "a": "$.a"}}
    (one,) = read({"v": 1, "a": "1", "b": "2"}, **told)
    (same,) = read({"b": "2", "a": "1", "v": 5}, **told)
    (other,) = read({"v": 1, "a": "2", "b": "1"}, **told)
    (moved,) = read({"v": 1, "a": "1", "b": "2"}, labels={"a": "$.a", "b": "$.b"})
    assert isinstance(one, Sample)
    assert isinstance(same, Sample)
    assert isinstance(other, Sample)
    assert isinstance(moved, Sample)
    assert one.key == same.key == moved.key != other.key


@pytest.mark.parametrize(
    ("written", "number"),
    [(1, 1.0), (-2.5, -2.5), ("1e3", 1000.0), ("+7", 7.0), (True, 1.0), (False, 0.0), ("-Inf", -math.inf), (10**30, 1e30)],
)
def test_a_value_may_be_a_number_a_numeral_or_a_boolean(written: object, number: float) -> None:
    assert values(read({"v": written})) == [number]


def test_nan_as_text_is_handed_on_for_the_check_of_finiteness() -> None:
    assert math.isnan(values(read({"v": "NaN"}))[0])


def test_a_value_of_null_is_skipped_silently() -> None:
    assert read({"v": None}) == []
    assert read({"v": None}, metrics=[{"name": "$.missing", "value": "$.v"}]) == []


@pytest.mark.parametrize(
    ("record", "reason", "says"),
    [
        ({"w": 1}, Reason.MISSING_FIELD, "value $.v: nothing stands there; at its step 1 there is an object of 'w'"),
        ([1], Reason.MISSING_FIELD, "an array of 1"),
        ("text", Reason.MISSING_FIELD, "'text'"),
        ({"v": "fast"}, Reason.WRONG_TYPE, "value $.v: 'fast' is not a number"),
        ({"v": "1_000"}, Reason.WRONG_TYPE, "'1_000' is not a number"),
        ({"v": ""}, Reason.WRONG_TYPE, "'' is not a number"),
        ({"v": {"a": 1}}, Reason.WRONG_TYPE, "an object of 'a' is not a number"),
        ({"v": [1]}, Reason.WRONG_TYPE, "an array of 1 is not a number"),
        ({"v": 10**400}, Reason.NOT_FINITE, "beyond what a float holds"),
    ],
)
def test_a_value_that_is_none_is_rejected_with_its_path_and_what_stands_there(record: object, reason: Reason, says: str) -> None:
    rejection = only_rejection(read(record))
    assert rejection.reason is reason
    assert says in rejection.detail


def test_a_value_that_cannot_be_read_does_not_cost_its_neighbours() -> None:
    found = read([{"v": 1}, {"v": "x"}, {"v": 3}], each="$[*]")
    assert [type(one) for one in found] == [Sample, Rejection, Sample]


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"items": 5}, "each $.items[*]: 5 is no array"),
        ({"item": []}, "each $.items[*]: nothing stands there; at its step 1 there is an object of 'item'"),
        ("text", "each $.items[*]: nothing stands there; at its step 1 there is 'text'"),
    ],
)
def test_a_record_without_its_list_of_samples_is_rejected_as_a_whole(record: object, says: str) -> None:
    with pytest.raises(Rejected) as caught:
        read(record, each="$.items[*]")
    assert says in caught.value.rejection.detail


def test_lists_within_lists_are_one_list_and_a_broken_one_is_one_rejection() -> None:
    record = {"a": [{"b": [{"v": 1}, {"v": 2}]}, {"c": 1}, {"b": [{"v": 3}]}, {"b": None}]}
    found = read(record, each="$.a[*].b[*]")
    assert values(found) == [1.0, 2.0, 3.0]
    assert [type(one) for one in found] == [Sample, Sample, Rejection, Sample]


# labels, names, units


def test_a_missing_or_null_label_is_left_out() -> None:
    told = {"labels": {"pod": "$.meta.pod", "zone": "$.zone", "region": "eu"}}
    assert labels({"v": 1, "zone": None}, **told) == {"__name__": "up", "region": "eu"}


def test_a_label_may_be_a_number_or_a_boolean() -> None:
    told = {"labels": {"shard": "$.s[1]", "canary": "$.c"}}
    assert labels({"v": 1, "s": [0, 7], "c": True}, **told) == {"__name__": "up", "shard": "7", "canary": "true"}


def test_a_label_that_is_an_object_rejects_its_sample_for_two_series_would_be_one() -> None:
    rejection = only_rejection(read({"v": 1, "meta": {"pod": {"name": "a"}}}, labels={"pod": "$.meta.pod"}))
    assert rejection == Rejection(Reason.WRONG_TYPE, "label pod $.meta.pod: an object of 'name' is no text")


@pytest.mark.parametrize("record", [{"v": 1}, {"v": 1, "m": ""}, {"v": 1, "m": None}])
def test_a_sample_without_a_name_is_rejected(record: object) -> None:
    rejection = only_rejection(read(record, metrics=[{"name": "$.m", "value": "$.v"}]))
    assert rejection.reason is Reason.MISSING_FIELD
    assert rejection.detail.startswith("name $.m: ")


def test_a_unit_may_be_a_path_too() -> None:
    reader = MappedJson(mapping(metrics=[{"name": "up", "value": "$.v", "unit": "$.u"}]))
    (one,) = reader.read(b'{"v": 1, "u": "seconds"}')
    assert isinstance(one, Sample)
    assert reader.describe(one.key).unit == "seconds"


def test_a_key_outlives_a_change_of_the_mapping() -> None:
    (one,) = read({"v": 1, "p": "a"}, labels={"pod": "$.p"})
    assert isinstance(one, Sample)
    assert MappedJson(mapping(labels={"zone": "$.z"})).describe(one.key).labels == {"__name__": "up", "pod": "a"}


# time


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        ("2025-11-28T03:00:00.123Z", None),
        ("2025-11-28T04:00:00.123999+01:00", "rfc3339"),
        (1_764_298_800.123, None),
        (AT, None),
        (AT * 1000 + 999, None),
        (AT * 10**6 + 999_999, None),
        (str(AT), None),
        ("1764298800.123", "s"),
        (AT, "ms"),
        (AT * 1000, "us"),
        (float(AT * 1000), "us"),
        (AT * 10**6, "ns"),
    ],
)
def test_a_time_is_told_by_its_unit_or_else_by_its_magnitude(written: object, unit: str | None) -> None:
    (one,) = read({"v": 1, "t": written}, timestamp="$.t", timestamp_unit=unit)
    assert isinstance(one, Sample)
    assert one.at == AT


def test_a_told_unit_wins_over_the_magnitude() -> None:
    (one,) = read({"v": 1, "t": 1000}, timestamp="$.t", timestamp_unit="ms")
    assert isinstance(one, Sample)
    assert one.at == 1000


@pytest.mark.parametrize("told", [{}, {"timestamp": "$.t"}])
def test_a_record_without_a_time_or_with_null_has_none_of_its_own(told: dict[str, str]) -> None:
    (one,) = read({"v": 1, "t": None}, **told)
    assert isinstance(one, Sample)
    assert one.at is None


@pytest.mark.parametrize(
    ("record", "unit", "reason", "says"),
    [
        ({}, None, Reason.MISSING_FIELD, "timestamp $.t: nothing stands there"),
        ({"t": "yesterday"}, None, Reason.WRONG_TYPE, "'yesterday' is not a time"),
        ({"t": True}, None, Reason.WRONG_TYPE, "true is not a time"),
        ({"t": "2025-11-28T03:00:00Z"}, "ms", Reason.WRONG_TYPE, "is not a number of ms since 1970"),
        ({"t": AT}, "rfc3339", Reason.WRONG_TYPE, "is not RFC 3339"),
        ({"t": str(AT)}, "rfc3339", Reason.WRONG_TYPE, "is not RFC 3339"),
        ({"t": AT}, "s", Reason.TIMESTAMP_OUT_OF_RANGE, "beyond the year 9999, read as s"),
        ({"t": 10**40}, None, Reason.TIMESTAMP_OUT_OF_RANGE, "is no time"),
        ({"t": "nan"}, None, Reason.TIMESTAMP_OUT_OF_RANGE, "nan is no time"),
        ({"t": 1e308}, "s", Reason.TIMESTAMP_OUT_OF_RANGE, "1e+308 is no time"),  # times 1000 it is infinite
        ({"t": "-1e306"}, "s", Reason.TIMESTAMP_OUT_OF_RANGE, "-1e+306 is no time"),
    ],
)
def test_a_time_that_is_none_rejects_its_sample(record: dict[str, object], unit: str | None, reason: Reason, says: str) -> None:
    rejection = only_rejection(read({"v": 1, **record}, timestamp="$.t", timestamp_unit=unit))
    assert rejection.reason is reason
    assert says in rejection.detail


# bounds


@pytest.mark.parametrize(
    ("value", "reason"), [(b"{", Reason.NOT_JSON), (b"\xff", Reason.NOT_JSON), (b"[" * 100_000, Reason.NOT_JSON), (b"", Reason.NOT_JSON)]
)
def test_what_is_no_json_is_rejected_as_a_whole(value: bytes, reason: Reason) -> None:
    with pytest.raises(Rejected) as caught:
        MappedJson(mapping()).read(value)
    assert caught.value.rejection.reason is reason


def test_a_record_that_is_too_long_is_not_decoded() -> None:
    with pytest.raises(Rejected) as caught:
        MappedJson(mapping()).read(b" " * (MAX_RECORD_BYTES + 1))
    assert caught.value.rejection.reason is Reason.TOO_LARGE


def test_a_record_of_too_many_samples_is_rejected_as_a_whole() -> None:
    assert len(read([{"v": 1}] * MAX_SAMPLES, each="$[*]")) == MAX_SAMPLES
    with pytest.raises(Rejected, match="more than"):
        read([{"v": 1}] * (MAX_SAMPLES + 1), each="$[*]")
    with pytest.raises(Rejected, match="more than"):
        read([{"v": 1}] * MAX_SAMPLES, each="$[*]", metrics=[{"name": "a", "value": "$.v"}, {"name": "b", "value": "$.v"}])


def test_labels_that_are_too_long_reject_their_sample_for_every_item_may_repeat_them() -> None:
    found = read({"long": "x" * MAX_KEY_BYTES, "items": [{"v": 1}] * 2}, each="$.items[*]", labels={"l": "$$.long"})
    assert [type(one) for one in found] == [Rejection, Rejection]


def test_a_reason_is_short_however_long_the_record_is() -> None:
    rejection = only_rejection(read({"x" * 1_000 + str(n): n for n in range(1_000)}))
    assert len(rejection.detail) < 1_000


@pytest.mark.parametrize("key", [b"", b"[]", b"\xff", b'["a"]', b'["a","","l"]', b'["","","l","v"]', b'["a","","l","v","l","w"]'])
def test_bytes_that_are_no_key_are_rejected(key: bytes) -> None:
    with pytest.raises(Rejected):
        MappedJson(mapping()).describe(key)
