"""Corrupt records of the samples topic: each is poison before anything changes, none stops the stage."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest

from models.detection.state import snapshot
from schemas.kinds import Kind
from schemas.samples import BATCH_HEADER, TYPE_HEADER, BatchSource, SampleBatch, encode_batch, encode_source
from streams.detect import stage
from streams.harness.errors import Poison
from streams.harness.stage import Record
from tests.unit.detect_feed import CONFIG, T0, each_second, fold, series

A = series("a", Kind.POOL)
SOURCE = (BATCH_HEADER, encode_source(BatchSource("metrics", 0, 3, 2**60)))
SAMPLES = ((TYPE_HEADER, b"samples"), SOURCE)
SERIES = ((TYPE_HEADER, b"series"),)
GOOD = encode_batch(
    SampleBatch(np.array([A.id, 2] * 20, np.uint64), np.full(40, T0 + 3000), np.ones(40), np.arange(50, 90, dtype=np.int64))
)
DEEP = b'{"x":' + b"[" * 200_000


def arrow(series_id: int | None = A.id, time: int | None = T0 + 3000, offset: int | None = 99) -> bytes:
    schema = pa.schema({"series": pa.uint64(), "time": pa.int64(), "value": pa.float64(), "offset": pa.int64()})
    columns = [pa.array([value], kind) for value, kind in zip((series_id, time, 1.0, offset), schema.types, strict=True)]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch(columns, schema=schema))
    return sink.getvalue().to_pybytes()


def definition(series_id: int, group: int = 1) -> bytes:
    good = '{"id":2,"service":"s","instance":"","metric":"m","kind":"pool","type":"gauge","unit":"","direction":"up","group":2}'
    bad = good.replace('"id":2', f'"id":{series_id}').replace('"group":2', f'"group":{group}')
    return f"[{good},{bad}]".encode()


def apply(value: bytes, head: tuple[tuple[str, bytes], ...]) -> str:
    """Fold three seconds and then this record: its fate, and whether the state is as it was where it is poison."""
    state = fold(each_second(3, lambda _: [(A, 1.0)], A))
    before = snapshot(state)
    try:
        stage(CONFIG).apply(state, Record("airra.samples.v1", 0, 99, T0, None, value, head), T0)
    except Poison:
        assert snapshot(state) == before
        return "poison"
    snapshot(state)
    return "folded"


@pytest.mark.parametrize("kept", [1, 8, 50, len(GOOD) // 2, len(GOOD) - 300, len(GOOD) - 50, len(GOOD) - 9])
def test_a_batch_cut_short_is_poison(kept: int) -> None:
    assert apply(GOOD[:kept], SAMPLES) == "poison"


def test_no_garbled_batch_stops_the_stage() -> None:
    rng = random.Random(0)
    fates = set()
    for _ in range(150):
        data = bytearray(GOOD)
        for _ in range(3):
            data[rng.randrange(len(data))] = rng.randrange(256)
        fates.add(apply(bytes(data), SAMPLES))
    assert fates == {"poison", "folded"}


@pytest.mark.parametrize(
    ("value", "head"),
    [
        (arrow(series_id=None), SAMPLES),
        (arrow(time=None), SAMPLES),
        (arrow(offset=None), SAMPLES),
        (arrow(time=-1), SAMPLES),
        (arrow(time=-(2**63)), SAMPLES),
        (arrow(time=2**63 - 1), SAMPLES),
        (arrow(offset=2), SAMPLES),  # below what its header spans
        (arrow(offset=2**61), SAMPLES),
        (GOOD, (SAMPLES[0], (BATCH_HEADER, DEEP))),
        (GOOD, (SAMPLES[0], (BATCH_HEADER, b'{"topic":"m","partition":0,"first":0,"last":%d}' % 2**70))),
        (GOOD, SAMPLES[:1]),
        (b"[" + DEEP, SERIES),
        (b'[{"id":1,"service":"\xff"}]', SERIES),
        (definition(-1), SERIES),
        (definition(2**64), SERIES),
        (definition(2**70), SERIES),
        (definition(3, group=-1), SERIES),
        (b'{"type":"tick","at":%d}' % 10**25, ((TYPE_HEADER, b"tick"),)),
        (b'{"type":"tick","at":%d}' % 2**63, ((TYPE_HEADER, b"tick"),)),
        (b'{"topic":"m","partition":0,"offset":%d,"at":1}' % 2**64, ((TYPE_HEADER, b"heartbeat"),)),
        (b'{"topic":"m","partition":0,"offset":1,"at":%d}' % 2**62, ((TYPE_HEADER, b"heartbeat"),)),
        (DEEP, ((TYPE_HEADER, b"heartbeat"),)),
    ],
)
def test_what_no_column_holds_is_poison(value: bytes, head: tuple[tuple[str, bytes], ...]) -> None:
    assert apply(value, head) == "poison"


def test_the_largest_id_is_an_id() -> None:
    assert apply(definition(2**64 - 1), SERIES) == "folded"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ((), b"{}"),
        ((("airra.type", b"samples"),), b"no arrow"),
        ((("airra.type", b"series"),), b"{}"),
        ((("airra.type", b"tick"),), b'{"type":"tick"}'),
    ],
)
def test_what_is_none_of_the_four_types_is_poison(header: tuple[tuple[str, bytes], ...], value: bytes) -> None:
    one = stage(CONFIG)
    with pytest.raises(Poison):
        one.apply(one.restore(None), Record("airra.samples.v1", 0, 0, T0, None, value, header), T0)
