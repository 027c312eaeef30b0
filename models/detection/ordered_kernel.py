"""Looking for one of many numbers that stand in rising order, as compiled code: numpy's own search counts references."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled_bare
from models.detection.series.tables import NONE


@compiled_bare
def place_of(ordered: Any, one: Any) -> int:
    """Return the place of a number among those in rising order (n,), NONE where it is not there."""
    low, high = 0, len(ordered)
    while low < high:
        middle = (low + high) // 2
        if ordered[middle] < one:
            low = middle + 1
        else:
            high = middle
    return low if low < len(ordered) and ordered[low] == one else NONE


def begins_of(ordered: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Return where the numbers with the same leading bits begin, (2^bits + 1,), among those in rising order (n,); n to 2n of them.

    Of hashes about one begins with each, so that one is found at once.
    """
    bits = max(1, len(ordered).bit_length())
    leading = (ordered >> np.uint64(64 - bits)).astype(np.int64)
    begins = np.zeros(2**bits + 1, np.int32)
    np.cumsum(np.bincount(leading, minlength=2**bits), out=begins[1:])
    return begins


@compiled_bare
def shift_of(begins: Any) -> Any:
    """Return by how much a 64-bit number is shifted to be one of its leading bits."""
    shift, size = 64, len(begins) - 1
    while size > 1:
        shift, size = shift - 1, size // 2
    return np.uint64(shift)


@compiled_bare
def place_among(ordered: Any, begins: Any, shift: Any, one: Any) -> int:
    """Return what `place_of` does; `begins` (begins_of) and its shift (shift_of) say where to look."""
    leading = one >> shift
    low, high = begins[leading], begins[leading + np.uint64(1)]
    place = place_of(ordered[low:high], one)
    return NONE if place == NONE else low + place
