"""A batch of samples is an Arrow IPC stream, to the byte."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from schemas.samples import BatchSource, SampleBatch, decode_batch, decode_batches, encode_batch, encode_batches


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 64, 1_000])
def test_a_batch_is_what_the_stream_writer_writes(rows: int) -> None:
    numbers = np.arange(2 * rows)
    batch = SampleBatch(numbers.astype(np.uint64)[::2], numbers[::2], np.where(numbers % 3, numbers / 7, np.nan)[::2], numbers[rows:])
    columns = {"series": batch.series, "time": batch.time, "value": batch.value, "offset": batch.offset}
    whole = pa.record_batch(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, whole.schema) as writer:
        writer.write_batch(whole)

    assert encode_batch(batch) == sink.getvalue().to_pybytes()
    assert decode_batch(encode_batch(batch)).offset.tolist() == batch.offset.tolist()


@pytest.mark.parametrize("batches", [0, 1, 2, 3])
def test_a_stream_of_another_writer_may_hold_any_number_of_batches(batches: int) -> None:
    columns = {"series": np.array([7], np.uint64), "time": np.array([1]), "value": np.array([0.5]), "offset": np.array([2])}
    whole = pa.record_batch(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, whole.schema) as writer:
        for _ in range(batches):
            writer.write_batch(whole)

    found = decode_batch(sink.getvalue().to_pybytes())
    assert (found.series.tolist(), found.offset.tolist()) == ([7] * batches, [2] * batches)


def part(partition: int, first: int, rows: int) -> tuple[BatchSource, SampleBatch]:
    offsets = np.arange(first, first + rows)
    batch = SampleBatch(offsets.astype(np.uint64), offsets + 1_000, offsets / 2, offsets)
    return BatchSource("metrics", partition, first, first + rows - 1), batch


def test_a_record_of_several_sources_gives_each_its_own_rows() -> None:
    sent = [part(3, 10, 2), part(0, 500, 1), part(3, 12, 4)]
    value, header = encode_batches(sent)
    found = list(decode_batches(value, header).parts())
    assert [(source.topic, source.partition, source.first, source.last) for source, _ in found] == [
        *(("metrics", 3, 10, 11), ("metrics", 0, 500, 500), ("metrics", 3, 12, 15)),
    ]
    for (_, was), (_, batch) in zip(sent, found, strict=True):
        for name in ("series", "time", "value", "offset"):
            assert getattr(batch, name).tolist() == getattr(was, name).tolist()


def test_a_record_of_one_source_is_written_as_the_release_before_reads_it() -> None:
    value, header = encode_batches([part(3, 10, 2)])
    assert header == b'{"topic":"metrics","partition":3,"first":10,"last":11}'
    assert value == encode_batch(part(3, 10, 2)[1])


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b'[{"topic":"metrics","partition":3,"first":10,"last":11,"rows":2}]',
        b'[{"topic":"metrics","partition":3,"first":10,"last":11},{"topic":"metrics","partition":0,"first":500,"last":500}]',
        b'[{"topic":"metrics","partition":3,"first":10,"last":11,"rows":1},{"topic":"metrics","partition":0,"first":500,"last":500,"rows":1}]',
        b'[{"topic":"metrics","partition":3,"first":10,"last":11,"rows":3},{"topic":"metrics","partition":0,"first":500,"last":500,"rows":0}]',
        b'[{"topic":"metrics","partition":3,"first":10,"last":11,"rows":1},{"topic":"metrics","partition":0,"first":11,"last":499,"rows":2}]',
        b'[{"topic":"metrics","partition":3,"first":10,"last":11,"rows":-1},{"topic":"metrics","partition":0,"first":11,"last":500,"rows":4}]',
    ],
)
def test_a_header_that_does_not_span_the_rows_is_refused(header: bytes) -> None:
    value, right = encode_batches([part(3, 10, 2), part(0, 500, 1)])
    decode_batches(value, right)
    with pytest.raises(ValueError, match=r"source|rows|offsets|coordinates"):
        decode_batches(value, header)
