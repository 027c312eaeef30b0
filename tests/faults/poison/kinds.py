"""Every kind of poison that producers send, with the reason that its dead letter must give; and the good records round it.

The key of a record says its kind, so the raw log itself is the truth: nothing that AIRRA says is needed to know what should happen.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

YEAR_S = 365 * 86_400
GOOD = b"good"
MB10 = 10_400_000
SERVICES = 20
INSTANCES = 1_000

Headers = tuple[tuple[str, bytes], ...]


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
    Kind("bytes", "not_json", lambda number: b"\xff\xfe\x00" + number.to_bytes(8, "big")),
    Kind("empty", "not_json", lambda _: b""),
    Kind("tombstone", "not_json", lambda _: None),
    Kind("forged headers", "not_json", lambda _: b"{", headers=FORGED),
    Kind("wrong type", "wrong_type", lambda _: b"[1, 2]"),
)
# A topic of metrics may hold any format: what is JSON of no shape, or no text at all, is of none.
OF_NO_FORMAT = {"bytes", "wrong type"}
METRICS = (
    *(replace(kind, reason="unknown_format") if kind.name in OF_NO_FORMAT else kind for kind in ANYWHERE),
    Kind("nested", "not_json", lambda _: b'{"labels":' + b"[" * 30_000 + b"]" * 30_000 + b',"timestamp":"x","value":"1"}', at_most=500),
    Kind("value a number", "wrong_type", lambda number: sample(number, value=number)),
    Kind("value a word", "wrong_type", lambda number: sample(number, value="many")),
    Kind("time a word", "wrong_type", lambda number: sample(number, timestamp="yesterday")),
    Kind("no value", "missing_field", lambda number: sample(number, value=None)),
    Kind("no service", "no_service", unnamed),
    Kind("NaN", "not_finite", lambda number: sample(number, value="NaN")),
    Kind("infinite", "not_finite", lambda number: sample(number, value="+Inf")),
    Kind("a year ahead", "timestamp_out_of_range", lambda number: sample(number, timestamp=stamp(YEAR_S))),
    Kind("a year behind", "timestamp_out_of_range", lambda number: sample(number, timestamp=stamp(-YEAR_S))),
    # Ahead, Apache Kafka itself refuses the record's stamp (message.timestamp.after.max.ms), and all that is in one batch with it.
    Kind("a producer a year behind", "timestamp_out_of_range", lambda n: sample(n, timestamp=stamp(-YEAR_S)), stamp_s=-YEAR_S),
    Kind("10 MB", "unknown_format", lambda _: b"x" * MB10, at_most=20),
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
MENDED = frozenset({("metrics", "no service"), ("alerts", "no service"), ("alerts", "half of it")})
