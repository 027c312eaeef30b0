"""detect: samples in, anomalies and health out. Decisions are in models/detection; here are records and the snapshot.

The evidence that a signal cites is the raw record whose arrival closed the window, not the batch it came in: batches are cut anew
when normalise repeats itself, raw records are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pydantic import TypeAdapter

from models.detection.close import Told
from models.detection.fold import Detector
from models.detection.state import FORMAT, DetectState, capture, restore, snapshot
from schemas.config.detect import DetectConfig
from schemas.samples import (
    BATCH_HEADER,
    TYPE_HEADER,
    decode_batches,
    decode_heartbeat,
    decode_series,
)
from schemas.signals import Anomaly, Tick
from schemas.topics import NOTICES, SAMPLES, SIGNALS
from streams.detect_metrics import measure
from streams.harness.emit import emit, position, refuse_unknown
from streams.harness.errors import Poison
from streams.harness.fold import BACKFILL_HEADER, as_history
from streams.harness.stage import AnotherLog, Output, Record, Stage

NAME = "detect"
TICK_EVERY_S = 5.0

_TICK = TypeAdapter(Tick)


def stage(config: DetectConfig, sources: Iterable[str] = ()) -> Stage[DetectState]:
    """Build the stage: its state is one partition's series. `sources`, topics and writers, are what its metrics tell apart."""
    named = frozenset(sources)

    def apply(state: DetectState, record: Record, now: int) -> list[Output]:
        told = _read(record, now)(Detector(state, config))
        measure(state, record.partition, told, named)
        signals = [emit(SIGNALS, one.evidence.service if isinstance(one, Anomaly) else one.service, one) for one in told.signals]
        found = [*signals, *(emit(NOTICES, one.incident, one) for one in told.notices)]
        return [as_history(one) for one in found] if told.historical else found

    return Stage(
        name=NAME,
        topic=SAMPLES.name,
        restore=lambda data: restore(data, config),
        apply=apply,
        snapshot=snapshot,
        capture=capture,
        tick_every_s=TICK_EVERY_S,
        format=FORMAT,
        another_log=AnotherLog.GO_ON,  # marks, baselines and windows are about the sources
        reads=dict.fromkeys(range(1, FORMAT), lambda data: data),  # the image itself says how its columns are, and whether it is packed
    )


def _read(record: Record, now: int) -> Callable[[Detector], Told]:
    """Decode a record, before anything changes; what is none of the topic's four types is poison."""
    refuse_unknown(record)
    kind = record.header(TYPE_HEADER)
    try:
        if kind == b"samples":
            found = decode_batches(record.value, record.header(BATCH_HEADER))
            if record.header(BACKFILL_HEADER) is not None:
                return lambda detector: detector.recall(found, now)
            return lambda detector: detector.take(found, now)
        if kind == b"heartbeat":
            heartbeat = decode_heartbeat(record.value)
            if record.header(BACKFILL_HEADER) is not None:
                return lambda _: Told()  # that history goes on says nothing of any other source
            return lambda detector: detector.hear(heartbeat, now)
        if kind == b"series":
            definitions = decode_series(record.value)
            return lambda detector: detector.define(definitions, position(record))
        if kind == b"tick":
            tick = _TICK.validate_json(record.value)
            return lambda detector: detector.tick(tick.at, position(record))
    except ValueError as error:  # pydantic's and msgspec's are such
        raise Poison("invalid_record", str(error)) from error
    raise Poison("unknown_type", repr(kind))
