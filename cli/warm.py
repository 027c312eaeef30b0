"""Compile what is compiled at its first use, so that no role does it as it begins: a step of the set-up, about a minute the first time.

`python -m cli.warm`. What is compiled is kept beside its sources, or where NUMBA_CACHE_DIR says, or in the user's cache.
"""

from __future__ import annotations

import struct
import time
from datetime import UTC, datetime

import cramjam
import numpy as np

from cli.settings import read_settings
from cli.wiring import choice, configuration
from models.detection.univariate import Univariate
from models.surprise.univariate import judge
from schemas.config.detect import DetectConfig
from schemas.config.metrics import MetricsMapping
from schemas.topics import RAW_METRICS, SAMPLES
from streams.detect import stage
from streams.harness.stage import Headers, Record
from streams.normalise.core import Core
from streams.normalise.formats.catalogue import ADAPTER
from streams.normalise.raw import by_index
from streams.normalise.times import Reach

LONG_MS = 60_000  # between two samples: windows close, and health is due


def main() -> None:
    """Take a record of each format that compiled code reads, and judge what is in it, with the configuration as it is."""
    settings, now = read_settings(), int(time.time() * 1000)
    mapping, detect = configuration(settings, "metrics"), configuration(settings, "detect")
    if not (isinstance(mapping, MetricsMapping) and isinstance(detect, DetectConfig)):
        raise TypeError("the names of configurations have changed")
    core, folded = Core(mapping, 1, 1, choice=choice(settings)), stage(detect)
    state = folded.restore(None)
    texts = ((ADAPTER, adapter(now - LONG_MS)), (ADAPTER, adapter(now)), ("remote-write", remote_write(now)), ("otlp", otlp(now)))
    for place, (form, value) in enumerate(texts):
        headers: Headers = () if form == ADAPTER else (("airra.format", form.encode()),)  # by the batch where no header says what it is
        record = Record(RAW_METRICS.name, 0, place, now, None, value, headers)
        taken = core.take_samples((RAW_METRICS.name, 0), [value], [place], [now], lambda _, it=record: it, Reach(now), by_index([headers]))  # type: ignore[misc]
        if taken.refused:
            raise RuntimeError(f"{form}: {', '.join(taken.refused)}")
        for output in (output for output in taken.outputs if output.topic == SAMPLES.name):
            folded.apply(state, Record(SAMPLES.name, 0, place, now, output.key, output.value, output.headers), now)
    Univariate(detect).update(now, 1.0)
    judge(np.array([now], np.int64), np.ones(1), detect.score.of(""))


def adapter(now: int) -> bytes:
    """Return a sample as prometheus-kafka-adapter writes it."""
    at = datetime.fromtimestamp(now // 1000, UTC).isoformat().replace("+00:00", "Z")
    return f'{{"labels":{{"__name__":"up","service":"airra"}},"name":"up","timestamp":"{at}","value":"1"}}'.encode()


def remote_write(now: int) -> bytes:
    """Return a request of remote_write 1.0 with one sample (prometheus/prompb/remote.proto)."""
    labels = b"".join(_field(1, _field(1, name) + _field(2, value)) for name, value in ((b"__name__", b"up"), (b"service", b"airra")))
    sample = b"\x09" + struct.pack("<d", 1.0) + b"\x10" + _varint(now)
    return bytes(cramjam.snappy.compress_raw(_field(1, labels + _field(2, sample))))


def otlp(now: int) -> bytes:
    """Return an export request of OTLP with one gauge (opentelemetry/proto/metrics/v1/metrics.proto)."""
    point = b"\x19" + struct.pack("<Q", now * 1_000_000) + b"\x21" + struct.pack("<d", 1.0)
    metric = _field(1, b"up") + _field(5, _field(1, point))
    service = _field(1, _field(1, b"service.name") + _field(2, _field(1, b"airra")))
    return _field(1, _field(1, service) + _field(2, _field(2, metric)))


def _field(number: int, payload: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(payload)) + payload


def _varint(number: int) -> bytes:
    rest, low = divmod(number, 128)
    return bytes([low | 128]) + _varint(rest) if rest else bytes([low])


if __name__ == "__main__":
    main()
