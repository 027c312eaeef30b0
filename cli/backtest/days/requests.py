"""remote_write requests of one second each, filled in by place: the labels of a series do not change, its value and time do."""

from __future__ import annotations

from collections.abc import Sequence

import cramjam
import numpy as np
from numpy.typing import NDArray

from schemas.samples import SeriesDef

TIME_BYTES = 6  # of a varint: of milliseconds between 1971 and 2109 as many
_VALUE_BYTES = 8


class Requests:
    """Field numbers of prometheus/prompb: timeseries 1 { labels 1 { name 1, value 2 }, samples 2 { value 1, timestamp 2 } }."""

    def __init__(self, series: Sequence[SeriesDef]) -> None:
        blank = bytearray()
        values, times, self._ends = [], [], [0]
        for one in series:
            labels = b"".join(_field(1, _text(1, name) + _text(2, value)) for name, value in sorted(one.labels.items()))
            sample = _field(2, b"\x09" + bytes(_VALUE_BYTES) + b"\x10" + bytes(TIME_BYTES))
            blank += _field(1, labels + sample)
            times.append(len(blank) - TIME_BYTES)
            values.append(len(blank) - TIME_BYTES - 1 - _VALUE_BYTES)
            self._ends.append(len(blank))
        self._blank = np.frombuffer(bytes(blank), np.uint8)
        self._values = np.array(values)[:, None] + np.arange(_VALUE_BYTES)
        self._times = np.array(times)[:, None] + np.arange(TIME_BYTES)

    def of(self, at_ms: int, values: NDArray[np.float64], there: NDArray[np.bool_]) -> bytes:
        """Return the request of those that are there, packed. Args: values and there (series,)."""
        text = self._blank.copy()
        text[self._values] = np.ascontiguousarray(values, "<f8").view(np.uint8).reshape(-1, _VALUE_BYTES)
        text[self._times] = [(at_ms >> 7 * place & 0x7F) | (0x80 if place < TIME_BYTES - 1 else 0) for place in range(TIME_BYTES)]
        whole = text.tobytes()
        if not there.all():
            whole = b"".join(whole[self._ends[one] : self._ends[one + 1]] for one in np.flatnonzero(there).tolist())
        return bytes(cramjam.snappy.compress_raw(whole))


def _field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode())


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
