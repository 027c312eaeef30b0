"""What the fast path of remote_write reads, beside what the reference reads."""

from __future__ import annotations

import struct

import numpy as np

from streams.normalise.fates import Rejected
from streams.normalise.formats.port import Sample
from streams.normalise.formats.remote_write import RemoteWrite
from streams.normalise.formats.remote_write_kernel import Columns, read_columns


def rows(columns: Columns, record: int) -> list[tuple[bytes, int, bytes]]:
    return [
        (columns.key(row), int(columns.at[row]), struct.pack("<d", columns.value[row]))
        for row in np.flatnonzero(columns.record == record).tolist()
    ]


def reference(record: bytes) -> list[tuple[bytes, int, bytes]] | None:
    """Return what the reference reads, None where anything is wrong with it."""
    try:
        items = RemoteWrite().read(record)
    except Rejected:
        return None
    found = [item for item in items if isinstance(item, Sample)]
    return [(item.key, item.at or 0, struct.pack("<d", item.value)) for item in found] if len(found) == len(items) else None


def agrees(*records: bytes) -> list[bool]:
    """Compare every record that was read with the reference; return which were left to it."""
    columns = read_columns(records)
    for number, record in enumerate(records):
        assert rows(columns, number) == ([] if columns.left[number] else reference(record))
    return columns.left.tolist()
