"""collectd's JSON, as its plugin write_kafka writes it: an array of value lists, in practice of one.

[{"values":[1901474177],"dstypes":["counter"],"dsnames":["value"],"time":1280959128.25,"interval":10.0,"host":"web-1",
  "plugin":"cpu","plugin_instance":"0","type":"cpu","type_instance":"idle"}]

Series are named as collectd's own write_prometheus names them (src/write_prometheus.c): collectd_cpu_total{cpu="0",type="idle",
instance="web-1"}. A value that is null is no sample, and no error: a gauge that is not a number, or a rate before its second reading.

write_kafka's StoreRates, on unless it is turned off (src/write_kafka.c; its manual has it otherwise), sends the rate of a counter and
still calls it `counter` or `derive` (src/utils/format_json/format_json.c), and most rates are a plain 0. So no record tells which it
is, and there are two formats: CollectdJson for StoreRates false, CollectdRates for StoreRates true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from schemas.kinds import MetricType
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.keys import check_keys
from streams.normalise.formats.port import Described, Sample
from streams.normalise.jsons import decode
from streams.normalise.series import NAME
from streams.normalise.times import LATEST_MS

_Name = Annotated[str, msgspec.Meta(min_length=1)]


class _ValueList(msgspec.Struct, gc=False):
    values: list[int | float | None]
    dstypes: list[str]
    dsnames: list[str]
    time: float
    host: str
    plugin: _Name
    type: _Name
    plugin_instance: str = ""
    type_instance: str = ""


class _Series(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A key: what a series is called, of what source of the data."""

    host: str
    plugin: _Name
    plugin_instance: str
    type: _Name
    type_instance: str
    dsname: str
    dstype: str


@dataclass(frozen=True, slots=True)
class _Source:
    """What a dstype means."""

    type: MetricType
    suffix: str = ""
    delta: bool = False
    whole: bool = False  # a counter is a whole number; what has a fraction is the rate of one


_COUNTER = _Source(MetricType.COUNTER, "total", whole=True)
_GAUGE = _Source(MetricType.GAUGE)
_AS_READ = {
    "gauge": _GAUGE,
    "counter": _COUNTER,
    "derive": _COUNTER,
    "absolute": _Source(MetricType.COUNTER, delta=True, whole=True),  # set to zero by being read; write_prometheus adds no suffix
}
_AS_RATES = dict.fromkeys(_AS_READ, _GAUGE)

_RECORD = msgspec.json.Decoder(list[msgspec.Raw])
_LIST = msgspec.json.Decoder(_ValueList)
_KEY = msgspec.json.Decoder(_Series)
_encode = msgspec.json.Encoder().encode


class CollectdJson:
    """Counters as they stand: StoreRates false."""

    name = "collectd"
    _sources: Mapping[str, _Source] = _AS_READ

    def read(self, value: bytes) -> Iterable[Sample | Rejection]:
        """Return the samples list by list; a value list that cannot be read is one Rejection."""
        lists = decode(_RECORD, value, len(value))
        found: list[Sample | Rejection] = []
        for number, raw in enumerate(lists, 1):
            try:
                found += self._samples(decode(_LIST, raw, len(raw)))
            except Rejected as refused:
                found.append(Rejection(refused.rejection.reason, f"value list {number}: {refused.rejection.detail}"))
        return found

    def describe(self, key: bytes) -> Described:
        series = decode(_KEY, key, len(key))
        source = self._source(series.dstype)
        pairs = [(NAME, _metric_name(series, source.suffix)), *_instances(series), ("instance", series.host)]
        labels = dict(pairs)
        if len(labels) != len(pairs):  # a plugin that is called `type` or `instance`
            raise Rejected(Reason.WRONG_TYPE, f"two labels of one name, by the plugin {series.plugin[:64]!r}")
        return Described(labels, source.type, source.delta)

    def _samples(self, found: _ValueList) -> list[Sample]:
        count = len(found.values)
        if not count == len(found.dstypes) == len(found.dsnames):
            raise Rejected(Reason.WRONG_TYPE, f"{count} values, {len(found.dstypes)} dstypes, {len(found.dsnames)} dsnames")
        at = _milliseconds(found.time)
        check_keys(sum(map(len, (found.host, found.plugin, found.plugin_instance, found.type, found.type_instance))), count)
        return [
            Sample(
                _encode(_Series(found.host, found.plugin, found.plugin_instance, found.type, found.type_instance, dsname, dstype)),
                at,
                self._number(value, dstype),
            )
            for value, dstype, dsname in zip(found.values, found.dstypes, found.dsnames, strict=True)
            if value is not None
        ]

    def _number(self, value: float, dstype: str) -> float:
        if self._source(dstype).whole and isinstance(value, float):
            raise Rejected(Reason.WRONG_TYPE, f"a {dstype} of {value} is a rate: StoreRates is true, which is another format")
        try:
            return float(value)
        except OverflowError:
            raise Rejected(Reason.WRONG_TYPE, "a whole number of more than 308 digits") from None

    def _source(self, dstype: str) -> _Source:
        source = self._sources.get(dstype)
        if source is None:
            raise Rejected(Reason.WRONG_TYPE, f"dstype {dstype[:64]!r}")
        return source


class CollectdRates(CollectdJson):
    """Rates in place of counters: StoreRates true. Each is a gauge, and its name has no `_total`."""

    name = "collectd-rates"
    _sources = _AS_RATES


def _metric_name(series: _Series, suffix: str) -> str:
    parts = [
        "collectd",
        series.plugin if series.plugin != series.type else "",
        series.type,
        series.dsname if series.dsname != "value" else "",
        suffix,
    ]
    return "_".join(part for part in parts if part)


def _instances(series: _Series) -> Iterable[tuple[str, str]]:
    if series.plugin_instance:
        yield series.plugin, series.plugin_instance
    if series.type_instance:
        yield ("type" if series.plugin_instance else series.plugin), series.type_instance


def _milliseconds(seconds: float) -> int:
    if abs(seconds) * 1000 >= LATEST_MS:
        raise Rejected(Reason.TIMESTAMP_OUT_OF_RANGE, f"time {seconds}")
    return round(seconds * 1000)
