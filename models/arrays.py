"""Arrays that grow."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value", bound=np.generic)


def longer(array: NDArray[Value], room: int) -> NDArray[Value]:
    """Return an array with zeros behind it, which take no memory until something is written there."""
    found = np.zeros((room, *array.shape[1:]), array.dtype)
    found[: len(array)] = array
    return found
