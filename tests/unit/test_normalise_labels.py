"""One label set is one series, whatever format tells it: an empty label is none, and a label that stands twice means nothing."""

from __future__ import annotations

import json

import pytest

from schemas.samples import SeriesDef, series_id
from streams.harness.redelivery import letter_of
from streams.harness.stage import Headers, Record
from streams.normalise.cache import SeriesCache
from streams.normalise.core import Core
from streams.normalise.fates import Reason, Rejected
from streams.normalise.formats.port import Described
from streams.normalise.formats.telegraf_json import TelegrafJson
from streams.normalise.prometheus_kafka_adapter import AdapterJson, Decoder
from streams.normalise.rows import Refusals
from streams.normalise.series import Resolver
from tests.unit.otlp_messages import as_json, export, gauge, point, resource
from tests.unit.prometheus_messages import V2, pack, request, request_2, series
from tests.unit.test_normalise_formats import MAPPING, take
from tests.unit.test_normalise_samples import NOW, definitions

OTLP = export(resource(gauge("up", point(1.0, {"x": ""}, time_unix_nano=NOW * 1_000_000)), labels={"service": "a"}))
SERIES_2 = V2["TimeSeries"](labels_refs=[1, 2, 3, 4, 5, 0], samples=[V2["Sample"](value=1.0, timestamp=NOW)])
TELEGRAF = {"name": "prometheus", "tags": {"service": "a", "x": ""}, "fields": {"up": 1}, "timestamp": NOW // 1000}
HERE: Headers = (("airra.format", b"prometheus-json"),)


def adapter(labels: str) -> bytes:
    return b'{"labels":%b,"name":"up","timestamp":"2026-11-24T03:00:00Z","value":"1"}' % labels.encode()


RECORDS: dict[str, tuple[bytes, Headers]] = {
    "prometheus-json": (adapter('{"__name__":"up","service":"a","x":""}'), ()),
    "prometheus-json, one by one": (adapter('{ "x":"", "service":"a"}'), ()),
    "prometheus-json, by its header": (adapter('{"__name__":"up","service":"a","x":""}'), HERE),
    "remote-write": (pack(request(series({"__name__": "up", "service": "a", "x": ""}, (NOW, 1.0)))), ()),
    "remote-write-2": (pack(request_2(["", "__name__", "up", "service", "a", "x"], SERIES_2)), ()),
    "otlp": (OTLP, ()),
    "otlp-json": (as_json(OTLP), ()),
    "telegraf-json": (json.dumps(TELEGRAF).encode(), ()),
    "influx, which has none": (b"prometheus,service=a up=1 %d" % (NOW * 1_000_000), ()),
}


@pytest.mark.parametrize("of", RECORDS)
def test_a_label_without_a_value_is_no_part_of_the_series_in_any_format(of: str) -> None:
    record, headers = RECORDS[of]
    (found,) = definitions(take(record, headers=[headers]))

    assert found.labels == {"__name__": "up", "service": "a"}
    assert found.id == found.group == series_id(found.labels)


TWICE = [
    ('{"__name__":"up","service":"a","service":"b"}', "service"),
    ('{"__name__":"up","service":"a","service":"a"}', "service"),
    ('{"__name__":"up","service":"a","\\u0073ervice":"b"}', "service"),
    ('{"__name__":"up","service":"a","x":"","x":"1"}', "x"),
    ('{"service":"a","x":"\\ud83d\\ude00","y":"1","y":"2"}', "y"),
    ('{"__name__":"up","service":"a","__name__":"down"}', "__name__"),
    ('{"__name__":"up","service":"a\\"","service":"b"}', "service"),
    ('{"__name__":"up","service":"a","\\"":"1","\\u0022":"2"}', '"'),
]


@pytest.mark.parametrize("value", ['\\"', '\\"\\"\\"\\"', "\\u0022", "\\\\"])
def test_quotes_within_a_label_are_no_other_label(value: str) -> None:
    text = f'{{"__name__":"up","service":"a","x":"{value}"}}'
    (found,) = definitions(take(adapter(text)))

    assert found.labels == json.loads(text)


@pytest.mark.parametrize("headers", [(), HERE])
@pytest.mark.parametrize(("labels", "twice"), TWICE)
def test_a_record_of_the_adapter_with_one_label_twice_is_a_dead_letter_that_names_it(labels: str, twice: str, headers: Headers) -> None:
    core = Core(MAPPING, 4, 4)
    for _ in range(2):  # the second time from the cache
        taken = take(adapter(labels), headers=[headers], core=core)
        (output,) = taken.others
        letter = letter_of(Record(output.topic, 0, 0, NOW, output.key, output.value, output.headers))

        assert (taken.accepted, taken.rows) == (0, [])
        assert letter is not None
        assert (letter.reason, letter.detail) == (Reason.WRONG_TYPE, f"two labels {twice!r}")


@pytest.mark.parametrize(("labels", "twice"), TWICE)
def test_the_readers_of_one_record_say_the_same_of_it(labels: str, twice: str) -> None:
    value = adapter(labels)
    cache = SeriesCache(Resolver(MAPPING), 4)
    rows = Decoder(cache).one_by_one([value], [0], Refusals()).rows
    with pytest.raises(Rejected) as caught:
        AdapterJson().describe(AdapterJson().read(value)[0][0])  # type: ignore[arg-type, index]

    assert cache.meaning(int(rows.slot[0])) == caught.value.rejection
    assert caught.value.rejection.detail == f"two labels {twice!r}"


def test_no_name_makes_one_key_of_two() -> None:
    """Keys of a format and source stand apart from the adapter's, whatever is put into a name."""
    core = Core(MAPPING, 4, 4)
    labels, name = adapter('{"service":"a"}'), b'"name":"up"'
    for number in range(3):
        assert take(labels.replace(name, b'"name":"\\u0000%d\\u0000up"' % number), core=core).unmapped == 1
    taken = take(labels, headers=[HERE], core=core)

    assert [found.metric for found in definitions(taken)] == ["up"]


def test_a_name_may_hold_what_stands_between_it_and_the_labels() -> None:
    value = adapter('{"service":"a","__name__":"up"}').replace(b'"name":"up"', b'"name":"u\\u0000p"')
    told = AdapterJson().describe(AdapterJson().read(value)[0][0])  # type: ignore[arg-type, index]

    assert told.labels == {"__name__": "up", "service": "a"}


def test_telegrafs_reader_names_the_label_too() -> None:
    with pytest.raises(Rejected, match="two labels 'host'"):
        TelegrafJson().describe(b'["cpu","idle",{"host":"a","cpu":"0","host":"b"}]')
    with pytest.raises(Rejected, match="two labels '__name__'"):
        TelegrafJson().describe(b'["cpu","idle",{"__name__":"n"}]')


@pytest.mark.parametrize(
    ("labels", "reason", "detail"),
    [
        ('{"__name__":"up","service":1}', Reason.WRONG_TYPE, "Expected `str`, got `int` - at `$[...]`"),
        ('{"__name__":"up","service":{"service":"a","service":"b"}}', Reason.WRONG_TYPE, "Expected `str`, got `object` - at `$[...]`"),
        ('["up"]', Reason.WRONG_TYPE, "Expected `object`, got `array`"),
    ],
)
def test_labels_that_are_no_texts_have_their_own_reason(labels: str, reason: Reason, detail: str) -> None:
    (output,) = take(adapter(labels)).others
    letter = letter_of(Record(output.topic, 0, 0, NOW, output.key, output.value, output.headers))

    assert letter is not None
    assert (letter.reason, letter.detail) == (reason, detail)


def test_two_labels_that_are_one_with_underscores_name_the_same_service_in_either_order() -> None:
    told = {"__name__": "up", "service.name": "a", "service_name": "b"}
    found = [Resolver(MAPPING).resolve(Described(dict(order))) for order in (told.items(), reversed(told.items()))]
    assert found[0] == found[1]
    assert isinstance(found[0], SeriesDef)
    assert found[0].service == "b"
