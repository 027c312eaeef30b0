"""airra.samples.v1 and airra.series.v1: columnar sample batches (Arrow IPC), and what each series id means, told once.

A record of the samples topic is one of four, told apart by the header `airra.type`:
- `samples`: an Arrow IPC batch of rows of one source partition or several, one after the other; header `airra.batch` holds the
  coordinates of the one, or a list of those of each, with how many rows are its.
- `series`: definitions of series ids that this partition is about to see, and from time to time again while it sees them (a JSON list).
- `heartbeat`: how far a source partition has come that has no rows for this partition.
- `tick`: time, written by the partition's owner.
The key of samples and series is the service: all series of one service share a partition.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.base import LAST_MS, unambiguous
from schemas.kinds import Direction, Kind, MetricType

LARGEST = 1e30  # a value or a bucket's bound beyond it counts as this: sums and spans of such numbers would leave the range of floats
STALE_BITS = 0x7FF0_0000_0000_0002  # of the value that ends a series: Prometheus' own NaN (model/value/value.go, StaleNaN)
TYPE_HEADER = "airra.type"
SOURCE_HEADER = "airra.source"  # of a raw record of airra.write.v1: who wrote it, as the API has seen by its token
BATCH_HEADER = "airra.batch"

_OWN = -1  # in place of a group that is the id
_TWICE = ("service", "instance", "metric")  # are values of labels, most often

_COLUMNS: dict[str, pa.DataType] = {"series": pa.uint64(), "time": pa.int64(), "value": pa.float64(), "offset": pa.int64()}
_SCHEMA = pa.schema(_COLUMNS)
_BEGIN = _SCHEMA.serialize().to_pybytes()
_END = b"\xff\xff\xff\xff\0\0\0\0"  # of an Arrow IPC stream


class SeriesDef(msgspec.Struct, frozen=True, gc=False):
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
    delta: bool = False  # of a counter or a histogram: each value counts from the one before it, not from the beginning
    source: str = ""  # who sends it: a topic, or who wrote it to the API, as the API has seen by its token
    mapped: bool = True  # false: no rule of the mapping matches; defined on airra.series.v1 for the doctor, its samples are counted


class _Lean(SeriesDef, frozen=True, gc=False):
    """A definition as it is kept by the hundred thousand; one that is kept in full reads the same."""

    group: int = _OWN
    labels: dict[str, str | int] = {}  # type: ignore[assignment]  # a number: the value stands in the definition, at this place of _TWICE


class BatchSource(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which records of which source partition the rows of a batch came from."""

    topic: str
    partition: int
    first: int
    last: int
    rows: int = 0  # where a batch has several sources: how many of its rows are of this one; 0: all are


class Heartbeat(msgspec.Struct, frozen=True):
    """A source partition goes on, though none of its records up to this offset has a row here that was not sent before."""

    topic: str
    partition: int
    offset: int
    at: int  # newest event time, ms


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """Rows in source order; `time` in milliseconds UTC, `offset` is each row's source offset. Columns have one length."""

    series: NDArray[np.uint64]
    time: NDArray[np.int64]
    value: NDArray[np.float64]
    offset: NDArray[np.int64]

    def cut(self, begin: int, end: int) -> SampleBatch:
        return SampleBatch(self.series[begin:end], self.time[begin:end], self.value[begin:end], self.offset[begin:end])


class Batches(NamedTuple):
    """What one record holds: rows of one source or several, each source's own together, in its order."""

    rows: SampleBatch
    sources: tuple[BatchSource, ...]
    ends: NDArray[np.int64]  # where the rows of each source end

    def parts(self) -> Iterator[tuple[BatchSource, SampleBatch]]:
        for source, begin, end in zip(self.sources, [0, *self.ends[:-1].tolist()], self.ends.tolist(), strict=True):
            yield source, self.rows.cut(begin, end)

    def apart(self) -> Iterator[Batches]:
        """Yield each source by itself."""
        for source, rows in self.parts():
            yield Batches(rows, (source,), np.array([len(rows.offset)], np.int64))


def series_id(labels: dict[str, str]) -> int:
    """Hash the sorted label set (with `__name__`) to 64 bits."""
    parts = unambiguous(*chain.from_iterable(sorted(labels.items())))
    return int.from_bytes(hashlib.blake2b(parts, digest_size=8).digest(), "big")


def encode_batch(batch: SampleBatch) -> bytes:
    """Return what pyarrow's stream writer writes, without a writer for each batch, which costs more than a small batch."""
    columns = [_column(getattr(batch, name), kind) for name, kind in _COLUMNS.items()]
    return b"".join((_BEGIN, pa.RecordBatch.from_arrays(columns, schema=_SCHEMA).serialize(), _END))


def _column(values: Any, kind: pa.DataType) -> pa.Array[Any]:
    plain: Any = np.ascontiguousarray(values, kind.to_pandas_dtype())  # a buffer, which the types do not say
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(plain)])


def decode_batch(data: bytes) -> SampleBatch:
    """Raise ValueError for what is not a batch of this schema, or holds what no column may.

    There is no checksum: Kafka's own CRC covers a record on the wire and on disk. What is checked is what would break a reader.
    """
    try:
        found = _batch(data)
        found.validate(full=True)
    except (pa.ArrowException, OSError) as error:  # a stream that is cut short, or garbled, is an OSError
        raise ValueError(str(error)) from error
    columns = found.columns  # made at each look
    if any(column.null_count for column in columns):
        raise ValueError("a batch has no nulls")
    batch = SampleBatch(*map(_values, columns))
    if len(batch.time) and not (0 <= batch.time.min() <= batch.time.max() <= LAST_MS):
        raise ValueError(f"times from {batch.time.min()} to {batch.time.max()}")
    return batch


def _values(column: Any) -> NDArray[Any]:
    """Return what is in a column where it stands; `to_numpy` would import pandas, in the midst of a recovery."""
    return np.from_dlpack(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)


def _batch(data: bytes) -> pa.RecordBatch | pa.Table:
    """Read a stream, which need not be of this release; what is, holds one batch and is read without a reader."""
    if data.startswith(_BEGIN) and data.endswith(_END):
        one: Any = pa.BufferReader(pa.py_buffer(data).slice(len(_BEGIN), len(data) - len(_BEGIN) - len(_END)))
        batch = pa.ipc.read_record_batch(one, _SCHEMA) if one.size() else None  # a stream may hold none
        if batch is not None and one.tell() == one.size():
            return batch
    with pa.ipc.open_stream(data) as reader:
        if reader.schema != _SCHEMA:
            raise ValueError(f"columns {reader.schema.names}, expected {_SCHEMA.names}")
        return reader.read_all()


def encode_batches(parts: Sequence[tuple[BatchSource, SampleBatch]]) -> tuple[bytes, bytes]:
    """Return a record's value and its header `airra.batch`."""
    if len(parts) == 1:
        ((source, batch),) = parts
        return encode_batch(batch), encode_source(source)
    columns = (np.concatenate([getattr(batch, name) for _, batch in parts]) for name in _COLUMNS)
    told = [msgspec.structs.replace(source, rows=len(batch.offset)) for source, batch in parts]
    return encode_batch(SampleBatch(*columns)), msgspec.json.encode(told)


def decode_batches(value: bytes, header: bytes | None) -> Batches:
    """Raise ValueError for what is no batch, and for rows that its header does not span.

    An offset far too high would make every later row of its source a repeat.
    """
    rows, sources = decode_batch(value), decode_sources(header)
    count = len(rows.offset)
    told = [source.rows for source in sources] if len(sources) > 1 else [count]
    if len(sources) > 1 and (sum(told) != count or not all(told)):
        raise ValueError(f"{count} rows, its header tells of {told}")
    ends = np.array(list(accumulate(told)), np.int64)
    if count:
        begins = ends - told
        lowest, highest = np.minimum.reduceat(rows.offset, begins), np.maximum.reduceat(rows.offset, begins)
        for source, low, high in zip(sources, lowest.tolist(), highest.tolist(), strict=True):
            if not source.first <= low <= high <= source.last:
                raise ValueError(
                    f"offsets {low} to {high} of {source.topic}/{source.partition}, its header says {source.first} to {source.last}"
                )
    return Batches(rows, sources, ends)


_series_decoder = msgspec.json.Decoder(list[SeriesDef])
_series_packer, _series_unpacker = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(_Lean)
_source_decoder = msgspec.json.Decoder(BatchSource | list[BatchSource])
_heartbeat_decoder = msgspec.json.Decoder(Heartbeat)

T = TypeVar("T")


def encode_series(definitions: list[SeriesDef]) -> bytes:
    return msgspec.json.encode(definitions)


def decode_series(data: bytes) -> list[SeriesDef]:
    """Raise ValueError for anything else, and for ids that are no 64 bits."""
    definitions = _decode(_series_decoder, data)
    for found in definitions:
        if not (0 <= found.id < 2**64 and 0 <= found.group < 2**64):
            raise ValueError(f"series id {found.id}, group {found.group}: not of 64 bits")
    return definitions


def pack_series(found: SeriesDef) -> bytes:
    """Return a definition as it is kept by the hundred thousand: what it says twice once."""
    places = {getattr(found, name): place for place, name in enumerate(_TWICE)}
    labels = {name: places.get(value, value) for name, value in found.labels.items()}
    lean = msgspec.structs.asdict(found) | {"labels": labels, "group": _OWN if found.group == found.id else found.group}
    return _series_packer.encode(lean)


def unpack_series(data: bytes) -> SeriesDef:
    lean = _series_unpacker.decode(data)
    labels = {name: value if isinstance(value, str) else getattr(lean, _TWICE[value]) for name, value in lean.labels.items()}
    return SeriesDef(**msgspec.structs.asdict(lean) | {"labels": labels, "group": lean.id if lean.group == _OWN else lean.group})


def encode_source(source: BatchSource) -> bytes:
    return msgspec.json.encode(source)


def decode_sources(data: bytes | None) -> tuple[BatchSource, ...]:
    if data is None:
        raise ValueError(f"a sample batch without its {BATCH_HEADER} header")
    found = _decode(_source_decoder, data)
    sources = tuple(found) if isinstance(found, list) else (found,)
    if not sources:
        raise ValueError("a sample batch of no source")
    for source in sources:
        _bounded(source.partition, source.first, source.last, source.rows)
    return sources


def encode_heartbeat(heartbeat: Heartbeat) -> bytes:
    return msgspec.json.encode(heartbeat)


def decode_heartbeat(data: bytes) -> Heartbeat:
    """Raise ValueError for anything else."""
    heartbeat = _decode(_heartbeat_decoder, data)
    _bounded(heartbeat.partition, heartbeat.offset)
    if not 0 <= heartbeat.at <= LAST_MS:
        raise ValueError(f"a heartbeat of {heartbeat.at} ms")
    return heartbeat


def _decode(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    try:
        return decoder.decode(data)  # raises kinds of ValueError
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _bounded(*values: int) -> None:
    """Refuse what no column holds."""
    if not all(0 <= value < 2**63 for value in values):
        raise ValueError(f"coordinates {values}")


def headers(kind: str, **extra: bytes) -> tuple[tuple[str, bytes], ...]:
    """Build the headers of a record of the samples topic."""
    named: dict[str, Any] = {TYPE_HEADER: kind.encode(), **{name.replace("_", "."): value for name, value in extra.items()}}
    return tuple(named.items())
