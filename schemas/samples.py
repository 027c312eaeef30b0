"""airra.samples.v1 and airra.series.v1: columnar sample batches (Arrow IPC), and what each series id means, told once.

A record of the samples topic is one of three, told apart by the header `airra.type`:
- `samples`: an Arrow IPC batch of rows that come from ONE source partition; header `airra.batch` holds its coordinates.
- `series`: definitions of series ids that this partition is about to see (a JSON list).
- `tick`: time, written by the partition's owner.
The key of samples and series is the service: all series of one service share a partition.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.kinds import Direction, Kind, MetricType

TYPE_HEADER = "airra.type"
BATCH_HEADER = "airra.batch"

_COLUMNS: dict[str, pa.DataType] = {"series": pa.uint64(), "time": pa.int64(), "value": pa.float64(), "offset": pa.int64()}
_SCHEMA = pa.schema(_COLUMNS)


class SeriesDef(msgspec.Struct, frozen=True):
    """What a 64-bit series id stands for."""

    id: int
    service: str
    instance: str
    metric: str  # the name as the producer wrote it, a histogram's without _bucket, _count, _sum
    kind: Kind
    type: MetricType
    unit: str
    direction: Direction
    group: int  # of a histogram: the id shared by its buckets, count and sum; otherwise the id itself
    part: str = ""  # of a histogram: bucket, count or sum
    le: float | None = None  # of a bucket: its upper bound; None stands for +Inf too, told apart by `part`
    labels: dict[str, str] = {}
    mapped: bool = True  # false: no rule of the mapping matches; defined on airra.series.v1 for the doctor, its samples are counted


class BatchSource(msgspec.Struct, frozen=True):
    """Which records of which source partition the rows of a batch came from."""

    topic: str
    partition: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """Rows in source order; `time` in milliseconds UTC, `offset` is each row's source offset. Columns have one length."""

    series: NDArray[np.uint64]
    time: NDArray[np.int64]
    value: NDArray[np.float64]
    offset: NDArray[np.int64]


def series_id(labels: dict[str, str]) -> int:
    """Hash the sorted label set (with `__name__`) to 64 bits."""
    text = "\x1f".join(f"{name}\x1e{labels[name]}" for name in sorted(labels))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def encode_batch(batch: SampleBatch) -> bytes:
    columns = [pa.array(getattr(batch, name), type=_SCHEMA.field(name).type) for name in _SCHEMA.names]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, _SCHEMA) as writer:
        writer.write_batch(pa.record_batch(columns, schema=_SCHEMA))
    return sink.getvalue().to_pybytes()


def decode_batch(data: bytes) -> SampleBatch:
    """Raise ValueError for what is not a batch of this schema."""
    try:
        with pa.ipc.open_stream(data) as reader:
            if reader.schema != _SCHEMA:
                raise ValueError(f"columns {reader.schema.names}, expected {_SCHEMA.names}")
            table = reader.read_all()
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
    return SampleBatch(*(table.column(name).to_numpy() for name in _SCHEMA.names))


_series_decoder = msgspec.json.Decoder(list[SeriesDef])
_source_decoder = msgspec.json.Decoder(BatchSource)


def encode_series(definitions: list[SeriesDef]) -> bytes:
    return msgspec.json.encode(definitions)


def decode_series(data: bytes) -> list[SeriesDef]:
    """Raise ValueError (msgspec's is one) for anything else."""
    return _series_decoder.decode(data)


def encode_source(source: BatchSource) -> bytes:
    return msgspec.json.encode(source)


def decode_source(data: bytes | None) -> BatchSource:
    if data is None:
        raise ValueError(f"a sample batch without its {BATCH_HEADER} header")
    return _source_decoder.decode(data)


def headers(kind: str, **extra: bytes) -> tuple[tuple[str, bytes], ...]:
    """Build the headers of a record of the samples topic."""
    named: dict[str, Any] = {TYPE_HEADER: kind.encode(), **{name.replace("_", "."): value for name, value in extra.items()}}
    return tuple(named.items())
