"""One sample of `requests_total` in each format besides prometheus-kafka-adapter's, as its producers write it: what kinds.py breaks.

Protobuf is written here byte by byte: a library writes nothing that is wrong.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Mapping
from typing import Any

import cramjam

Headers = tuple[tuple[str, bytes], ...]

SERVICES = 20
NAME = "requests_total"
AVRO = b"\x06abc\x02"  # the payload of a frame: what its fields are, only its schema says

REQUEST: Headers = (("Content-Type", b"application/x-protobuf"), ("Content-Encoding", b"snappy"))
OTLP: Headers = REQUEST[:1]
EVENT: Headers = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
EVENTS: Headers = (("content-type", b"application/cloudevents-batch+json"),)
ATTRIBUTES: Headers = (("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/poison"), ("ce_type", b"sample"))


def now_ms() -> int:
    return int(time.time() * 1000)


def told(name: str) -> Headers:
    """Name the format in a header of its own."""
    return (("airra.format", name.encode()),)


def service(number: int) -> str:
    return f"s{number % SERVICES}"


def varint(value: int) -> bytes:
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + varint(value >> 7)


def put(number: int, payload: bytes | str) -> bytes:
    """Write a field of protobuf that says how long it is."""
    written = payload.encode() if isinstance(payload, str) else payload
    return bytes([number << 3 | 2]) + varint(len(written)) + written


def eight(number: int, kind: str, value: float) -> bytes:
    """Write a field of eight bytes: of the struct's kind `d` or `Q`."""
    return bytes([number << 3 | 1]) + struct.pack(f"<{kind}", value)


def pack(body: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(body))


def unpack(body: bytes) -> bytes:
    return bytes(cramjam.snappy.decompress_raw(body))


def remote_write(number: int, labels: Mapping[str, str] | None = None, value: float = 1.0, at_ms: int | None = None) -> bytes:
    """Write a request of 1.0; `labels` in place of the service's, in their order."""
    of = {"__name__": NAME, **(labels or {"service": service(number)})}
    pairs = b"".join(put(1, (put(1, name) if name else b"") + put(2, text)) for name, text in of.items())
    return pack(put(1, pairs + put(2, eight(1, "d", value) + b"\x10" + varint(now_ms() if at_ms is None else at_ms))))


def remote_write_2(number: int, *refs: int) -> bytes:
    """Write a request of 2.0; `refs` in place of what its labels are among its symbols."""
    symbols = b"".join(put(4, text) for text in ("", "__name__", NAME, "service", service(number)))
    return pack(symbols + put(5, put(1, bytes(refs or (1, 2, 3, 4))) + put(2, eight(1, "d", 1.0) + b"\x10" + varint(now_ms()))))


def otlp(number: int, attributes: Mapping[str, str] | None = None, value: float = 1.0, name: str = NAME, at_ms: int | None = None) -> bytes:
    """Write a sum that only rises; `attributes` of the resource in place of the service's."""
    of = attributes or {"service": service(number)}
    resource = b"".join(put(1, put(1, key) + put(2, put(1, text))) for key, text in of.items())
    point = eight(3, "Q", (now_ms() if at_ms is None else at_ms) * 1_000_000) + eight(4, "d", value)
    metric = (put(1, name) if name else b"") + put(7, put(1, point) + b"\x10\x02\x18\x01")
    return put(1, put(1, resource) + put(2, put(2, metric)))


def otlp_json(number: int, **changes: Any) -> bytes:
    """Write the same as JSON; `changes` of the metric."""
    resource = {"attributes": [{"key": "service", "value": {"stringValue": service(number)}}]}
    point = {"timeUnixNano": str(now_ms() * 1_000_000), "asDouble": 1.0}
    metric = {"name": NAME, "sum": {"dataPoints": [point], "aggregationTemporality": 2, "isMonotonic": True}} | changes
    return json.dumps({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [metric]}]}]}).encode()


def influx(number: int, fields: str = "total=1", at: str = "") -> bytes:
    return f"requests,service={service(number)} {fields} {at or now_ms() * 1_000_000}\n".encode()


def telegraf(number: int, **changes: Any) -> bytes:
    """Write one metric; a change to None leaves the member out."""
    found = {"name": "requests", "tags": {"service": service(number)}, "fields": {"total": 1}, "timestamp": int(time.time())} | changes
    return json.dumps({name: value for name, value in found.items() if value is not None}).encode()


def collectd(number: int, **changes: Any) -> bytes:
    """Write a list of one value, by a plugin called `service`: a label is called as its plugin is, and a metric begins with collectd."""
    found = {"values": [1], "dstypes": ["gauge"], "dsnames": ["value"], "time": time.time(), "interval": 10, "host": "h1"}
    name = {"plugin": "service", "plugin_instance": service(number), "type": "requests", "type_instance": ""}
    return json.dumps([found | name | changes]).encode()


def event(**changes: Any) -> bytes:
    """Write a CloudEvent with its attributes within; a change to None leaves one out."""
    found = {"specversion": "1.0", "id": "1", "source": "/poison", "type": "sample"} | changes
    return json.dumps({name: value for name, value in found.items() if value is not None}).encode()
