"""A batch of samples is an Arrow IPC stream, to the byte."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from schemas.samples import SampleBatch, decode_batch, encode_batch


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
