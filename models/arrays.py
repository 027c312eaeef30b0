"""Arrays that grow."""

from __future__ import annotations

import math
import mmap
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value", bound=np.generic)

_LEAST_MAPPED = 65_536  # bytes: 16 pages; what is smaller shares them


def longer(array: NDArray[Value], room: int) -> NDArray[Value]:
    """Return an array with zeros behind it, which take no memory until something is written there."""
    found = mapped((room, *array.shape[1:]), array.dtype)
    found[: len(array)] = array
    return found


def mapped(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return zeros on pages of their own: what was never written takes no memory, and all goes back with the array.

    An allocator would give it pages that were in use before, and keep those that it leaves between what is still in use.
    """
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    if size < _LEAST_MAPPED:
        return np.zeros(shape, kind)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(pages, kind).reshape(shape)


def room_for(count: int, room: int) -> int:
    """Return a room for so many, a quarter larger at least: to add stays cheap on the whole, and little is empty."""
    return max(count, room + room // 4)
