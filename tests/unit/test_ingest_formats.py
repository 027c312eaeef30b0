"""`airra ingest check` of a record that is not of its topic's format: of each format that formats.yaml may name, the reason is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.config.formats import Encoding
from streams.normalise.formats.catalogue import NAMES
from tests.unit.test_ingest import look, name_formats

UNREADABLE = {  # a record that is nearly of it, the reason, and a piece of what is said with it
    "prometheus-json": (
        b'{"labels":{"__name__":"up","job":"a"},"timestamp":"yesterday","value":"1"}',
        "wrong_type",
        "timestamp 'yesterday' is not RFC 3339",
    ),
    "otlp-json": (b'{"resourceMetrics":{}}', "wrong_type", "Expected `array | null`, got `object` - at `$.resourceMetrics`"),
    "telegraf-json": (b'{"fields":{"a":1},"name":"up","tags":{},"timestamp":"now"}', "wrong_type", "got `str` - at `$.timestamp`"),
    "collectd-rates": (
        b'[{"values":[1],"dstypes":["gauge","gauge"],"dsnames":["value"],"time":1795929864,"host":"a","plugin":"load","type":"load"}]',
        "wrong_type",
        "value list 1: 1 values, 2 dstypes, 1 dsnames",
    ),
    "collectd": (b'{"values":[1]}', "wrong_type", "Expected `array`, got `object`"),
    "otlp": (b"\x0a\x05abc", "not_json", "byte 0: a field of 5 bytes where 3 are left"),
    "remote-write": (b"\x0a\x05abc", "not_json", "not in snappy's block format"),
    "remote-write-2": (b"\x05\x10abcde", "not_json", "byte 0: a field of 8 bytes where 4 are left"),
    "influx": (b"up,service=cart value=one", "wrong_type", "line 1: value b'one' is not a number"),
    "json": (b'{"load":1}', "missing_field", "value $.value: nothing stands there"),
    "confluent": (b"\x02\x00\x00\x00\x07{}", "wrong_type", "no 00 and schema id, no 01 and GUID"),
}


@pytest.mark.parametrize("name", sorted({*NAMES, *Encoding}))
def test_why_a_record_is_not_of_its_topics_format_is_shown(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record, reason, detail = UNREADABLE[name]
    monkeypatch.setenv("AIRRA_REGISTRY_URL", "http://127.0.0.1:9")  # nobody: it is not asked for what is no frame
    mapping = {"metrics": [{"name": "load", "value": "$.value"}]} if name in list(Encoding) else {}
    name_formats(tmp_path, monkeypatch, metrics={"format": name, **mapping})

    code, told = look(tmp_path, record)
    (refused,) = told["refused"]
    assert (code, told["fates"], refused["reason"]) == (1, {"dead_letter": 1}, reason)
    assert detail in refused["detail"]
    assert (reason in told["shown"], detail in told["shown"]) == (True, True)
