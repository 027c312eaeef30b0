"""The marker by which Prometheus ends a series: a NaN of its own, told from others by its bits alone.

https://github.com/prometheus/prometheus/blob/main/model/value/value.go : StaleNaN = 0x7ff0000000000002
"""

from __future__ import annotations

import struct

from schemas.samples import STALE_BITS

_FLOAT = struct.Struct("<d")
_BITS = struct.Struct("<Q")

STALE: float = _FLOAT.unpack(_BITS.pack(STALE_BITS))[0]


def is_stale(value: float) -> bool:
    """Tell the marker from every other NaN, which only means that the value is not a number."""
    return value != value and _BITS.unpack(_FLOAT.pack(value))[0] == STALE_BITS  # noqa: PLR0124 - only a NaN differs from itself
