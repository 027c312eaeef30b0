"""Every kind of poison that producers send, in every format, with the reason that its dead letter must give; and the good records round it.

The key of a record says its kind, so the raw log itself is the truth: nothing that AIRRA says is needed to know what should happen.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.faults.poison import formats
from tests.faults.poison.formats import AVRO, SERVICES, Headers, told

YEAR_S = 365 * 86_400
GOOD = b"good"
MB10 = 10_400_000
INSTANCES = 1_000


@dataclass(frozen=True)
class Kind:
    """One way to be wrong: `make(number)` gives the value; `stamp_s` is how far off the record's own time stamp is."""

    name: str
    reason: str
    make: Callable[[int], bytes | None]
    headers: Headers = ()
    stamp_s: int = 0
    at_most: int = field(default=2**31)  # of it, for the huge ones


def stamp(off_s: float = 0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + off_s))


def sample(number: int, /, **changes: Any) -> bytes:
    """Write one sample of prometheus-kafka-adapter; a change to None leaves the field out."""
    labels = {"__name__": "requests_total", "service": f"s{number % SERVICES}", "instance": f"i{number % INSTANCES}"}
    found = {"labels": labels, "name": "requests_total", "timestamp": stamp(), "value": str(number)} | changes
    return json.dumps({name: value for name, value in found.items() if value is not None}).encode()


def unnamed(number: int) -> bytes:
    """Name the service by a label that the first mapping does not know: what a fix brings in."""
    return sample(number, labels={"__name__": "requests_total", "app": f"a{number % SERVICES}", "instance": f"i{number % INSTANCES}"})


def alert(**changes: Any) -> dict[str, Any]:
    return {"status": "firing", "labels": {"alertname": "Slow", "service": "s1"}, "startsAt": stamp(-60)} | changes


def webhook(*alerts: object) -> bytes:
    return json.dumps({"alerts": alerts}).encode()


def change(**changes: Any) -> bytes:
    found = {"type": "deploy", "service": "s1", "at": int(time.time() * 1000), "before": "v1", "after": "v2"} | changes
    return json.dumps(found).encode()


FORGED: Headers = (("airra.error.id", b"dlq-forged"), ("airra.error.reason", b"none"), ("airra.replay.letter", b"x"), ("\u00fc", b"\xff"))

ANYWHERE = (
    Kind("malformed", "not_json", lambda number: b'{"labels":{"a":%d' % number),
    Kind("bytes", "not_json", lambda number: b"\xff\xfe\x00%d" % number),  # digits: of a number's own bytes some look like a line of Influx
    Kind("empty", "not_json", lambda _: b""),
    Kind("tombstone", "not_json", lambda _: None),
    Kind("forged headers", "not_json", lambda _: b"{", headers=FORGED),
    Kind("wrong type", "wrong_type", lambda _: b"[1, 2]"),
)
# A topic of metrics may hold any format: what is JSON of no shape, or no text at all, is of none.
OF_NO_FORMAT = {"bytes", "wrong type"}
OF_PROTOBUF = (
    Kind("remote_write torn", "not_json", lambda number: formats.remote_write(number)[:-3], told("remote-write")),
    Kind("remote_write torn, by its content-type", "not_json", lambda number: formats.remote_write(number)[:-3], formats.REQUEST),
    # What nobody named, and looks like no format, is not read to find out why.
    Kind("remote_write torn, unnamed", "unknown_format", lambda number: formats.remote_write(number)[:-3]),
    Kind("remote_write not packed", "not_json", lambda number: formats.unpack(formats.remote_write(number)), formats.REQUEST),
    Kind("remote_write no message", "not_json", lambda _: formats.pack(b"\x0a\x7fno message"), told("remote-write")),
    Kind(
        "remote_write in gzip",
        "wrong_type",
        lambda n: gzip.compress(formats.remote_write(n)),
        (*told("remote-write"), ("Content-Encoding", b"gzip")),
    ),
    Kind("remote_write of 4 GB", "too_large", lambda n: formats.varint(2**32 - 1) + formats.remote_write(n)[1:], told("remote-write")),
    Kind("remote_write label unnamed", "missing_field", lambda _: formats.remote_write(0, {"service": "s1", "": "x"}), formats.REQUEST),
    Kind("remote_write labels unsorted", "wrong_type", lambda _: formats.remote_write(0, {"service": "s1", "app": "a1"})),
    Kind("remote_write infinite", "not_finite", lambda number: formats.remote_write(number, value=float("inf")), formats.REQUEST),
    Kind("remote_write a year ahead", "timestamp_out_of_range", lambda n: formats.remote_write(n, at_ms=formats.now_ms() + YEAR_S * 1000)),
    Kind(
        "remote_write no service",
        "no_service",
        lambda number: formats.remote_write(number, {"app": f"a{number % SERVICES}"}),
        formats.REQUEST,
    ),
    Kind("remote_write 2 no such symbol", "missing_field", lambda number: formats.remote_write_2(number, 1, 2, 3, 9), formats.REQUEST),
    Kind("remote_write 2 half a label", "wrong_type", lambda number: formats.remote_write_2(number, 1, 2, 3), formats.REQUEST),
    Kind("remote_write 2 torn", "not_json", lambda number: formats.remote_write_2(number)[:-3], told("remote-write-2")),
    Kind("OTLP torn", "not_json", lambda number: formats.otlp(number)[:-3], told("otlp")),
    Kind("OTLP torn, by its content-type", "not_json", lambda number: formats.otlp(number)[:-3], formats.OTLP),
    Kind("OTLP torn, unnamed", "unknown_format", lambda number: formats.otlp(number)[:-3]),
    Kind("OTLP no name", "missing_field", lambda number: formats.otlp(number, name=""), told("otlp")),
    Kind("OTLP attribute unnamed", "missing_field", lambda _: formats.otlp(0, {"service": "s1", "": "x"}), formats.OTLP),
    Kind("OTLP infinite", "not_finite", lambda number: formats.otlp(number, value=float("-inf")), formats.OTLP),
    Kind("OTLP a year behind", "timestamp_out_of_range", lambda number: formats.otlp(number, at_ms=formats.now_ms() - YEAR_S * 1000)),
    Kind("OTLP no service", "no_service", lambda number: formats.otlp(number, {"app": f"a{number % SERVICES}"}), formats.OTLP),
)
# No registry is configured, and no mapping says what a field means: a schema's id is nobody's to know, and nothing to wait for.
OF_A_REGISTRY = (
    Kind("frame of Avro", "unknown_format", lambda number: b"\x00" + number.to_bytes(4, "big") + AVRO),
    Kind("frame of Protobuf", "unknown_format", lambda number: b"\x00" + number.to_bytes(4, "big") + b"\x00" + formats.put(1, "s1")),
    Kind("frame of JSON", "unknown_format", lambda number: b"\x00" + number.to_bytes(4, "big") + sample(number)),
    Kind("frame with a GUID", "unknown_format", lambda number: b"\x01" + number.to_bytes(16, "big") + AVRO),
    Kind("frame torn", "unknown_format", lambda _: b"\x00\x00\x00", told("confluent")),
    Kind("frame's id in a header", "unknown_format", lambda _: AVRO, (("__value_schema_id", b"\x00\x00\x00\x00\x07"),)),
)
OF_AGENTS = (
    Kind("OTLP JSON a text", "wrong_type", lambda _: b'{"resourceMetrics":"none"}'),
    Kind("OTLP JSON torn", "not_json", lambda number: formats.otlp_json(number)[:-4]),
    Kind("OTLP JSON without it", "missing_field", lambda _: b"{}", told("otlp-json")),
    Kind("OTLP JSON no data", "missing_field", lambda number: formats.otlp_json(number, sum=None)),
    Kind("Influx no value", "wrong_type", lambda number: formats.influx(number, "total=")),
    Kind("Influx value a word", "wrong_type", lambda number: formats.influx(number, "total=many"), (("content-type", b"text/plain"),)),
    Kind("Influx open quote", "wrong_type", lambda number: formats.influx(number, 'total="open')),
    Kind("Influx no fields", "missing_field", lambda _: b"requests,service=s1\n", told("influx")),
    Kind("Influx time a word", "wrong_type", lambda number: formats.influx(number, at="yesterday")),
    Kind("Influx all lines broken", "wrong_type", lambda number: formats.influx(number, "total=") * 3),
    Kind("Influx no UTF-8", "wrong_type", lambda _: b"requests,service=\xff total=1\n"),
    Kind("Telegraf no fields", "missing_field", lambda number: formats.telegraf(number, fields=None), told("telegraf-json")),
    # Its fields are all that it is known by.
    Kind("Telegraf no fields, unnamed", "unknown_format", lambda number: formats.telegraf(number, fields=None)),
    Kind("Telegraf fields a list", "wrong_type", lambda number: formats.telegraf(number, fields=[1])),
    Kind("Telegraf no time", "missing_field", lambda number: b'{"metrics":[' + formats.telegraf(number, timestamp=None) + b"]}"),
    Kind("Telegraf no unit of time", "timestamp_out_of_range", lambda number: formats.telegraf(number, timestamp=10**22)),
    Kind("collectd values no list", "wrong_type", lambda number: formats.collectd(number, values=1)),
    Kind("collectd a value too many", "wrong_type", lambda number: formats.collectd(number, values=[1, 2])),
    Kind("collectd an unknown type", "wrong_type", lambda number: formats.collectd(number, dstypes=["miracle"])),
    Kind("collectd a rate", "wrong_type", lambda number: formats.collectd(number, values=[0.5], dstypes=["counter"]), told("collectd")),
    Kind("collectd beyond time", "timestamp_out_of_range", lambda number: formats.collectd(number, time=1e15)),
)
OF_AN_ENVELOPE = (
    Kind("event no data", "missing_field", lambda _: formats.event(), formats.EVENT),
    Kind("event no id", "missing_field", lambda _: formats.event(id=None, data={}), formats.EVENT),
    Kind("event of old", "wrong_type", lambda _: formats.event(specversion="0.3", data={}), formats.EVENT),
    Kind("event no base64", "wrong_type", lambda _: formats.event(data_base64="?"), formats.EVENT),
    Kind("event torn", "not_json", lambda _: formats.event(data={})[:-3], formats.EVENT),
    Kind("event of no format", "unknown_format", lambda _: formats.event(data={"a": 1}), formats.EVENT),
    Kind("event as Avro", "wrong_type", lambda _: AVRO, (("content-type", b"application/cloudevents+avro"),)),
    Kind("events no data", "missing_field", lambda _: b"[" + formats.event() + b"," + formats.event() + b"]", formats.EVENTS),
    Kind("event an image", "unknown_format", lambda _: b"\x89PNG\r\n\x1a\n", (*formats.ATTRIBUTES, ("content-type", b"image/png"))),
    Kind("event no value", "not_json", lambda _: None, formats.ATTRIBUTES),
    Kind("event no service", "no_service", unnamed, formats.ATTRIBUTES),
)
MISNAMED = (
    Kind("format unknown", "unknown_format", sample, told("parquet")),
    Kind("format without a mapping", "unknown_format", sample, told("json")),
    Kind("format no text", "wrong_type", sample, (("airra.format", b"\xff"),)),
    Kind("format another", "not_json", sample, told("remote-write")),
    Kind("content-type no text", "wrong_type", sample, (("content-type", b"\xff"),)),
    Kind("content-type of another", "not_json", sample, formats.REQUEST),
)
METRICS = (
    *(replace(kind, reason="unknown_format") if kind.name in OF_NO_FORMAT else kind for kind in ANYWHERE),
    Kind("nested", "not_json", lambda _: b'{"labels":' + b"[" * 30_000 + b"]" * 30_000 + b',"timestamp":"x","value":"1"}', at_most=500),
    Kind("value a number", "wrong_type", lambda number: sample(number, value=number)),
    Kind("value a word", "wrong_type", lambda number: sample(number, value="many")),
    Kind("time a word", "wrong_type", lambda number: sample(number, timestamp="yesterday")),
    Kind("no value", "missing_field", lambda number: sample(number, value=None)),
    Kind("no service", "no_service", unnamed),
    Kind("infinite", "not_finite", lambda number: sample(number, value="+Inf")),
    Kind("a year ahead", "timestamp_out_of_range", lambda number: sample(number, timestamp=stamp(YEAR_S))),
    Kind("a year behind", "timestamp_out_of_range", lambda number: sample(number, timestamp=stamp(-YEAR_S))),
    # Ahead, Apache Kafka itself refuses the record's stamp (message.timestamp.after.max.ms), and all that is in one batch with it.
    Kind("a producer a year behind", "timestamp_out_of_range", lambda n: sample(n, timestamp=stamp(-YEAR_S)), stamp_s=-YEAR_S),
    Kind("10 MB", "unknown_format", lambda _: b"x" * MB10, at_most=20),
    *OF_PROTOBUF,
    *OF_A_REGISTRY,
    *OF_AGENTS,
    *OF_AN_ENVELOPE,
    *MISNAMED,
)
ALERTS = (
    *ANYWHERE,
    Kind("no alerts", "missing_field", lambda _: b'{"status":"firing"}'),
    Kind("labels a list", "wrong_type", lambda _: webhook(alert(labels=["a"]))),
    Kind("no name", "missing_field", lambda _: webhook(alert(labels={"service": "s1"}))),
    Kind("no service", "no_service", lambda _: webhook(alert(labels={"alertname": "Slow", "app": "a1"}))),
    Kind("half of it", "no_service", lambda _: webhook(alert(), alert(labels={"alertname": "Slow", "app": "a2"}))),
    Kind("status a word", "wrong_type", lambda _: webhook(alert(status="perhaps"))),
    Kind("a year ahead", "timestamp_out_of_range", lambda _: webhook(alert(startsAt=stamp(YEAR_S)))),
    Kind("10 MB", "too_large", lambda _: b"x" * MB10, at_most=5),
)
CHANGES = (
    *ANYWHERE,
    Kind("an unknown type", "wrong_type", lambda _: change(type="miracle")),
    Kind("no service", "no_service", lambda _: change(service="")),
    Kind("time a word", "wrong_type", lambda _: change(at="now")),
    Kind("a year behind", "timestamp_out_of_range", lambda _: change(at=int((time.time() - YEAR_S) * 1000))),
    Kind("100 kB", "too_large", lambda _: b"x" * 100_000, at_most=100),
)
RAW: Mapping[str, tuple[Kind, ...]] = {"metrics": METRICS, "alerts": ALERTS, "changes": CHANGES}
SOUND: Mapping[str, Callable[[int], bytes]] = {"metrics": sample, "alerts": lambda _: webhook(alert()), "changes": lambda _: change()}
# Topics and kinds that the second mapping, with the label `app`, can read.
MENDED = frozenset({(topic, kind.name) for topic in ("metrics", "alerts") for kind in RAW[topic] if kind.reason == "no_service"})
