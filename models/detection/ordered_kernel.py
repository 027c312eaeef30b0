"""Looking for one of many numbers that stand in rising order, as compiled code: numpy's own search counts references."""

from __future__ import annotations

from typing import Any

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
