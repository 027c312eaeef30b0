"""collectd's JSON means what its own write_prometheus says of the same values.

tests/data/collectd was recorded from collectd 5.12.0 of Debian: what write_http posted with StoreRates false (raw.json) and true
(rates.json), by the code that write_kafka calls, and what its write_prometheus showed after it (prometheus.txt).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from schemas.kinds import MetricType
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.collectd_json import CollectdJson, CollectdRates
from streams.normalise.formats.keys import KEYS_BYTES
from streams.normalise.formats.port import Described, Format, Sample

RECORDED = Path(__file__).parents[1] / "data" / "collectd"
COUNTERS: Format = CollectdJson()
RATES: Format = CollectdRates()

# of the manual of write_http
DISK: dict[str, Any] = {
    "values": [197141504, 175136768],
    "dstypes": ["counter", "counter"],
    "dsnames": ["read", "write"],
    "time": 1251533299,
    "interval": 10,
    "host": "leeloo.lan.home.verplant.org",
    "plugin": "disk",
    "plugin_instance": "sda",
    "type": "disk_octets",
    "type_instance": "",
}


def record(*lists: Any) -> bytes:
    return json.dumps(lists).encode()


def of(**changes: Any) -> bytes:
    """One value list of one gauge, but for these changes; what changes to ... is left out."""
    fields = {**DISK, "values": [1], "dstypes": ["gauge"], "dsnames": ["value"], **changes}
    return record({name: value for name, value in fields.items() if value is not ...})


def samples(value: bytes, form: Format = COUNTERS) -> list[Sample]:
    found = list(form.read(value))
    assert all(isinstance(one, Sample) for one in found), found
    return [one for one in found if isinstance(one, Sample)]


def described(value: bytes, form: Format = COUNTERS) -> Described:
    return form.describe(samples(value, form)[0].key)


def refused(value: bytes) -> Rejection:
    (found,) = COUNTERS.read(value)
    assert isinstance(found, Rejection)
    return found


def shown() -> set[tuple[tuple[tuple[str, str], ...], int | None, float]]:
    """Return label set, time and value of each line of write_prometheus; a nan is left away, which JSON writes as null."""
    found: set[tuple[tuple[tuple[str, str], ...], int | None, float]] = set()
    text = (RECORDED / "prometheus.txt").read_text()
    for name, labels, value, time in re.findall(r"^(\w+)\{(.*)\} ([^n]\S*) (\d+)$", text, re.MULTILINE):
        pairs = [(label, json.loads(f'"{quoted}"')) for label, quoted in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)]
        found.add((tuple(sorted([("__name__", name), *pairs])), int(time), float(value)))
    return found


def test_recorded_counters_are_named_dated_and_valued_as_write_prometheus_shows_them() -> None:
    value = (RECORDED / "raw.json").read_bytes().replace(b"db-??", "db-ü".encode())  # collectd's JSON writes ? for what is not ASCII

    read = {(tuple(sorted(COUNTERS.describe(one.key).labels.items())), one.at, one.value) for one in samples(value)}

    assert len(shown()) == 26
    assert shown() <= read  # it was asked between two readings, and write_http heard of both
    assert {series for series, _, _ in shown()} == {series for series, _, _ in read}


def test_recorded_rates_are_gauges_of_the_same_names_without_total() -> None:
    found = [RATES.describe(one.key) for one in samples((RECORDED / "rates.json").read_bytes(), RATES)]

    assert {one.type for one in found} == {MetricType.GAUGE}
    assert {one.labels["__name__"] for one in found} == {dict(series)["__name__"].removesuffix("_total") for series, _, _ in shown()}


def test_recorded_rates_give_nothing_before_the_second_reading() -> None:
    first, second = [one for one in json.loads((RECORDED / "rates.json").read_bytes()) if one["plugin"] == "cpu"]

    assert first["values"] == [None]
    assert [one.value for one in samples(record(first, second), RATES)] == second["values"]


def test_recorded_rates_are_refused_where_counters_are_expected() -> None:
    found = list(COUNTERS.read((RECORDED / "rates.json").read_bytes()))

    rejections = [one for one in found if isinstance(one, Rejection)]
    assert any("StoreRates" in one.detail for one in rejections)
    assert {one.reason for one in rejections} == {Reason.WRONG_TYPE}


def test_the_value_list_of_the_manual_is_read_in_order() -> None:
    found = samples(record(DISK))

    assert [(one.at, one.value) for one in found] == [(1251533299000, 197141504.0), (1251533299000, 175136768.0)]
    assert [COUNTERS.describe(one.key) for one in found] == [
        Described(
            {"__name__": f"collectd_disk_disk_octets_{name}_total", "disk": "sda", "instance": "leeloo.lan.home.verplant.org"},
            MetricType.COUNTER,
        )
        for name in ("read", "write")
    ]


@pytest.mark.parametrize(
    ("dstype", "form", "name", "type_", "delta"),
    [
        ("gauge", COUNTERS, "collectd_disk_disk_octets", MetricType.GAUGE, False),
        ("counter", COUNTERS, "collectd_disk_disk_octets_total", MetricType.COUNTER, False),
        ("derive", COUNTERS, "collectd_disk_disk_octets_total", MetricType.COUNTER, False),
        ("absolute", COUNTERS, "collectd_disk_disk_octets", MetricType.COUNTER, True),
        ("gauge", RATES, "collectd_disk_disk_octets", MetricType.GAUGE, False),
        ("counter", RATES, "collectd_disk_disk_octets", MetricType.GAUGE, False),
        ("derive", RATES, "collectd_disk_disk_octets", MetricType.GAUGE, False),
        ("absolute", RATES, "collectd_disk_disk_octets", MetricType.GAUGE, False),
    ],
)
def test_a_dstype_tells_the_type(dstype: str, form: Format, name: str, type_: MetricType, delta: bool) -> None:
    found = described(of(dstypes=[dstype]), form)

    assert (found.labels["__name__"], found.type, found.delta) == (name, type_, delta)


def test_a_plugin_and_a_type_of_one_name_are_named_once() -> None:
    assert described(of(plugin="cpu", type="cpu", dsnames=["user"])).labels["__name__"] == "collectd_cpu_user"


@pytest.mark.parametrize(
    ("plugin_instance", "type_instance", "labels"),
    [
        ("", "", {}),
        ("sda", "", {"disk": "sda"}),
        ("", "read", {"disk": "read"}),
        ("sda", "read", {"disk": "sda", "type": "read"}),
        (..., ..., {}),
    ],
)
def test_instances_are_labels_and_the_host_is_the_instance(plugin_instance: str, type_instance: str, labels: dict[str, str]) -> None:
    found = described(of(host="h", plugin_instance=plugin_instance, type_instance=type_instance))
    assert found.labels == {"__name__": "collectd_disk_disk_octets", "instance": "h", **labels}


def test_a_value_that_is_null_is_left_away() -> None:
    assert [one.value for one in samples(of(values=[None, 2], dstypes=["derive"] * 2, dsnames=["rx", "tx"]))] == [2.0]


def test_fields_that_nobody_asked_for_are_ignored() -> None:
    assert samples(of(meta={"network:received": True}, interval="x", more=[[]])) == samples(of())


def test_seconds_are_rounded_to_milliseconds() -> None:
    at_2038 = 2150000000.002  # times 1000 it is 2150000000001.9998

    assert [one.at for one in samples(of(time=1795873931.543)) + samples(of(time=at_2038))] == [1795873931543, 2150000000002]


@pytest.mark.parametrize("time", [1e300, -1e300, 253_402_300_800.0])
def test_a_time_beyond_the_calendar_is_refused(time: float) -> None:
    assert refused(of(time=time)).reason is Reason.TIMESTAMP_OUT_OF_RANGE


@pytest.mark.parametrize("name", ["values", "dstypes", "dsnames", "time", "host", "plugin", "type"])
def test_a_value_list_that_lacks_a_field_says_so(name: str) -> None:
    assert refused(of(**{name: ...})).reason is Reason.MISSING_FIELD


@pytest.mark.parametrize(
    "changes",
    [
        {"values": [1, 2]},
        {"dstypes": []},
        {"dsnames": ["a", "b"]},
        {"dstypes": ["unknown"]},
        {"dstypes": ["derive"], "values": [1.5]},
        {"dstypes": ["absolute"], "values": [1e3]},
        {"values": ["1"]},
        {"values": [True]},
        {"values": [10**400]},
        {"time": "2026-11-28T14:00:00Z"},
        {"plugin": ""},
        {"type": ""},
        {"host": None},
    ],
)
def test_a_value_list_of_wrong_types_is_refused(changes: dict[str, Any]) -> None:
    assert refused(of(**changes)).reason is Reason.WRONG_TYPE


def test_a_bad_value_list_is_one_rejection_and_the_others_are_read() -> None:
    found = list(COUNTERS.read(record(DISK, {**DISK, "time": None}, 3, DISK)))

    told = [one.detail.split(":")[0] if isinstance(one, Rejection) else one.value for one in found]
    assert told == [197141504.0, 175136768.0, "value list 2", "value list 3", 197141504.0, 175136768.0]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", Reason.NOT_JSON),
        (b'PUTVAL "web-1/load/load" 1:2', Reason.NOT_JSON),
        (b"{}", Reason.WRONG_TYPE),
        (b"[" * 100_000, Reason.NOT_JSON),
    ],
)
def test_what_is_no_array_is_refused_whole(value: bytes, reason: Reason) -> None:
    with pytest.raises(Rejected) as caught:
        COUNTERS.read(value)
    assert caught.value.rejection.reason is reason


@pytest.mark.parametrize("plugin", ["type", "instance", "__name__"])
def test_a_plugin_that_is_called_as_another_label_means_nothing(plugin: str) -> None:
    with pytest.raises(Rejected, match="two labels"):
        described(of(plugin=plugin, type_instance="read"))


KEY = b'["h","p","","t","","value"'


@pytest.mark.parametrize("key", [b"", b"[]", KEY + b"]", KEY + b',"x"]', KEY + b',"gauge",1]', b"\xff", b"{}"])
def test_what_is_no_key_means_nothing(key: bytes) -> None:
    with pytest.raises(Rejected):
        COUNTERS.describe(key)


def test_many_values_of_a_long_host_are_refused_before_their_keys_are_made() -> None:
    many = {"values": [1] * 1000, "dstypes": ["gauge"] * 1000, "dsnames": ["x"] * 1000}

    assert len(samples(of(**many, host="h" * 1000))) == 1000
    assert refused(of(**many, host="h" * (KEYS_BYTES // 1000))).reason is Reason.TOO_LARGE
