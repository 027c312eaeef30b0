"""Telegraf's JSON means what its serializer wrote, whichever unit its timestamps are of."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.keys import KEYS_BYTES
from streams.normalise.formats.port import Format, Sample
from streams.normalise.formats.telegraf_json import TelegrafJson
from streams.normalise.formats.telegraf_names import metric_name

FORMAT: Format = TelegrafJson()
SECOND = 1_525_478_795


def samples(record: bytes) -> list[Sample]:
    found = list(FORMAT.read(record))
    assert all(isinstance(one, Sample) for one in found), found
    return [one for one in found if isinstance(one, Sample)]


def read(record: bytes) -> list[tuple[dict[str, str], int | None, float]]:
    return [(FORMAT.describe(one.key).labels, one.at, one.value) for one in samples(record)]


def refused(record: bytes) -> Rejection:
    with pytest.raises(Rejected) as caught:
        FORMAT.read(record)
    return caught.value.rejection


def metric(fields: str = '{"x":1}', timestamp: str = str(SECOND), tags: str = "{}", name: str = '"m"') -> bytes:
    return f'{{"fields":{fields},"name":{name},"tags":{tags},"timestamp":{timestamp}}}\n'.encode()


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_the_standard_form_of_the_documentation_is_read_in_order() -> None:
    record = b"""{
    "fields": {
        "field_1": 30,
        "field_2": 4,
        "field_N": 59,
        "n_images": 660
    },
    "name": "docker",
    "tags": {
        "host": "raynor"
    },
    "timestamp": 1458229140
}"""

    assert read(record) == [
        ({"__name__": f"docker_{field}", "host": "raynor"}, 1458229140000, value)
        for field, value in [("field_1", 30.0), ("field_2", 4.0), ("field_N", 59.0), ("n_images", 660.0)]
    ]


def test_the_batch_format_of_the_documentation_is_read_in_order() -> None:
    record = (
        b'{"metrics":[' + metric('{"b":1,"a":2}', tags='{"host":"amaranth"}') + b"," + metric('{"n_images":0}', name='"storage"') + b"]}"
    )

    assert read(record) == [
        ({"__name__": "m_b", "host": "amaranth"}, SECOND * 1000, 1.0),
        ({"__name__": "m_a", "host": "amaranth"}, SECOND * 1000, 2.0),
        ({"__name__": "storage_n_images"}, SECOND * 1000, 0.0),
    ]


def test_a_bad_metric_of_a_batch_is_one_rejection_and_the_others_are_read() -> None:
    found = FORMAT.read(b'{"metrics":[' + metric() + b',{"name":"n"},3,' + metric('{"y":2}') + b"]}")

    assert [one.reason if isinstance(one, Rejection) else one.value for one in found] == [1.0, Reason.MISSING_FIELD, Reason.WRONG_TYPE, 2.0]


def test_a_rejection_names_the_metric() -> None:
    assert [one.detail[:9] for one in FORMAT.read(b'{"metrics":[3]}') if isinstance(one, Rejection)] == ["metric 1:"]


def test_an_empty_batch_is_read_and_gives_nothing() -> None:
    assert list(FORMAT.read(b'{"metrics":[]}')) == []


def test_names_with_what_json_escapes_are_what_the_producer_meant() -> None:
    record = metric('{"U,age=Idle":90}', name='"My \\"CPU\\"\\u0000"', tags='{"cpu tag":"\\u00fc\\n"}')

    assert read(record) == [({"__name__": 'My "CPU"\0_U,age=Idle', "cpu tag": "ü\n"}, SECOND * 1000, 90.0)]


def test_a_field_that_is_no_number_is_left_away() -> None:
    record = metric('{"s":"foobar","n":null,"o":{"a":1},"l":[1,2],"x":1}')

    assert [one.value for one in samples(record)] == [1.0]


def test_a_boolean_is_one_or_zero() -> None:
    assert [one.value for one in samples(metric('{"t":true,"f":false}'))] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("text", "value"), [("91.5", 91.5), ("18446744073709551615", 2.0**64), ("-1e-7", -1e-7), ("1" * 300, float("1" * 300))]
)
def test_a_number_is_read_to_a_double(text: str, value: float) -> None:
    assert [one.value for one in samples(metric(f'{{"x":{text}}}'))] == [value]


@pytest.mark.parametrize("text", ["1" * 400, "1" * 5000, "1e999"])
def test_a_number_beyond_doubles_refuses_its_metric(text: str) -> None:
    assert refused(metric(f'{{"x":{text}}}')).reason is Reason.WRONG_TYPE


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1_0", "٣", "+1", "01", "0x1", "True"])
def test_what_json_calls_no_number_refuses_the_record(text: str) -> None:
    assert refused(metric(f'{{"x":{text}}}')).reason is Reason.NOT_JSON


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        ("1525478795", 1525478795000),
        ("15254787951", 1525478795100),
        ("152547879512", 1525478795120),
        ("1525478795123", 1525478795123),
        ("1525478795123456", 1525478795123),
        ("1525478795123456789", 1525478795123),
        ("1525478795123999999", 1525478795123),
        ("1525478795.1234", 1525478795123),
        ("2150000000.002", 2150000000002),
        ("1525478795123.0", 1525478795123),
        ("1.525478795e9", 1525478795000),
    ],
)
def test_the_unit_is_told_by_the_magnitude(timestamp: str, expected: int) -> None:
    assert [one.at for one in samples(metric(timestamp=timestamp))] == [expected]


@pytest.mark.parametrize("digits", range(10))
@pytest.mark.parametrize("text", ["1990-01-01", "2026-11-28T14:00", "2099-12-31T23:59:59"])
def test_from_1990_to_2100_no_unit_is_mistaken_for_another(text: str, digits: int) -> None:
    milliseconds = at(text)

    assert [one.at for one in samples(metric(timestamp=str(milliseconds // 1000 * 10**digits)))] == [milliseconds]


@pytest.mark.parametrize(("timestamp", "expected"), [("0", 0), ("5", 5000), ("-1.5", -1500), ("631151999", 631151999000)])
def test_a_clock_that_was_never_set_counts_seconds(timestamp: str, expected: int) -> None:
    assert [one.at for one in samples(metric(timestamp=timestamp))] == [expected]


@pytest.mark.parametrize("timestamp", ["4102444800", "6311519999", "4102444800000000000", "1e300", "-1e300", "9" * 400, "-4102444800"])
def test_a_time_of_no_unit_is_refused(timestamp: str) -> None:
    assert refused(metric(timestamp=timestamp)).reason is Reason.TIMESTAMP_OUT_OF_RANGE


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"", Reason.NOT_JSON),
        (b"cpu value=42 0", Reason.NOT_JSON),
        (b"[]", Reason.WRONG_TYPE),
        (b"{}", Reason.MISSING_FIELD),
        (metric() * 2, Reason.NOT_JSON),
        (b'{"metrics":{}}', Reason.WRONG_TYPE),
        (b'{"metrics":' + b"[" * 100_000, Reason.NOT_JSON),
        (metric('{"x":' + "[" * 100_000), Reason.NOT_JSON),
        (metric("[]"), Reason.WRONG_TYPE),
        (metric('{"\xff":1}').decode().encode("latin-1"), Reason.NOT_JSON),
        (metric(name='""'), Reason.WRONG_TYPE),
        (metric(name="1"), Reason.WRONG_TYPE),
        (metric(timestamp='"2018-05-05T00:06:35Z"'), Reason.WRONG_TYPE),
        (metric(timestamp="true"), Reason.WRONG_TYPE),
        (metric(timestamp="null"), Reason.WRONG_TYPE),
        (b'{"fields":{"x":1},"name":"m"}', Reason.MISSING_FIELD),
    ],
)
def test_what_is_no_metric_of_telegraf_is_refused_with_its_reason(record: bytes, reason: Reason) -> None:
    assert refused(record).reason is reason


def test_a_metric_without_tags_is_read() -> None:
    assert read(b'{"fields":{"x":1},"name":"m","timestamp":0}') == [({"__name__": "m_x"}, 0, 1.0)]


def test_the_key_holds_the_tags_as_they_stand() -> None:
    assert samples(metric(tags='{ "b":"1" , "a":"\\u0032" }'))[0].key == b'["m","x",{ "b":"1" , "a":"\\u0032" }]'


@pytest.mark.parametrize("tags", ['{"a":"1","a":"2"}', '{"a":"1","\\u0061":"1"}', '{"__name__":"n"}'])
def test_two_labels_of_one_name_mean_nothing(tags: str) -> None:
    key = samples(metric(tags=tags))[0].key

    with pytest.raises(Rejected, match="two labels"):
        FORMAT.describe(key)


@pytest.mark.parametrize("tags", ["[]", "null", '{"a":1}', '{"a":"\xff"}'])
def test_tags_that_are_no_texts_mean_nothing(tags: str) -> None:
    key = samples(metric(tags=tags).decode().encode("latin-1"))[0].key

    with pytest.raises(Rejected):
        FORMAT.describe(key)


@pytest.mark.parametrize("key", [b"", b"[]", b'["m","x"]', b'["m","x",{},1]', b'["m",1,{}]', b"\xff", b'["prometheus","",{}]'])
def test_what_is_no_key_means_nothing(key: bytes) -> None:
    with pytest.raises(Rejected):
        FORMAT.describe(key)


def test_many_fields_with_long_tags_are_refused_before_their_keys_are_made() -> None:
    fields = json.dumps({f"f{number}": number for number in range(1000)})

    assert len(samples(metric(fields, tags=json.dumps({"k": "x" * 1000})))) == 1000
    assert refused(metric(fields, tags=json.dumps({"k": "x" * (KEYS_BYTES // 1000)}))).reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("measurement", "field", "name"),
    [
        ("cpu", "usage_idle", "cpu_usage_idle"),
        ("go_goroutines", "gauge", "go_goroutines"),
        ("http_requests_total", "counter", "http_requests_total"),
        ("statsd_x", "value", "statsd_x"),
        ("prometheus", "http_requests_total", "http_requests_total"),
        ("prometheus", "value", "value"),
        ("a b", "c-d", "a b_c-d"),
        ("cpu", "Value", "cpu_Value"),
    ],
)
def test_a_field_is_named_as_telegraf_names_it_for_prometheus(measurement: str, field: str, name: str) -> None:
    assert metric_name(measurement, field) == name
