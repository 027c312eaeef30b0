"""Tables of packed columns: a row per thing, arrays that grow by doubling, rows that are given back and used again."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_FIRST_ROWS = 64


def column(dtype: Any, *shape: int, fill: float = 0) -> Any:
    """Declare a column: one value, or a fixed-width row of values, for each row of the table."""
    return field(default_factory=lambda: np.full((0, *shape), fill, dtype), metadata={"fill": fill})


@dataclass
class Packed:
    """Rows 0 … `used` - 1 were handed out at some time; those in `free` are not in use."""

    used: int = 0
    free: list[int] = field(default_factory=list)

    @property
    def count(self) -> int:
        return self.used - len(self.free)

    def take(self) -> int:
        """Return a row in its initial state."""
        if self.free:
            row = self.free.pop()
            for name, fill in self._columns():
                getattr(self, name)[row] = fill
            return row
        self.used += 1
        if self.used > self._room():
            self._grow(max(_FIRST_ROWS, 2 * self.used))
        return self.used - 1

    def give(self, row: int) -> None:
        """Take a row back; its columns hold the initial values until it is used again."""
        for name, fill in self._columns():
            getattr(self, name)[row] = fill
        self.free.append(row)

    def dump(self) -> dict[str, Any]:
        """Return the table as plain values and bytes: the same table gives the same."""
        packed: dict[str, Any] = {"used": self.used, "free": self.free}
        for name, _ in self._columns():
            array = getattr(self, name)[: self.used]
            packed[name] = (array.dtype.str, list(array.shape), np.ascontiguousarray(array).tobytes())
        return packed

    def load(self, packed: dict[str, Any]) -> None:
        self.used, self.free = packed["used"], list(packed["free"])
        for name, fill in self._columns():
            if name not in packed:  # a column that the release before did not have
                setattr(self, name, np.full((self.used, *getattr(self, name).shape[1:]), fill, getattr(self, name).dtype))
                continue
            dtype, shape, data = packed[name]
            setattr(self, name, np.frombuffer(data, dtype).reshape(shape).copy())

    def _columns(self) -> list[tuple[str, float]]:
        return [(one.name, one.metadata["fill"]) for one in fields(self) if "fill" in one.metadata]

    def _room(self) -> int:
        return len(getattr(self, self._columns()[0][0]))

    def _grow(self, rows: int) -> None:
        for name, fill in self._columns():
            old = getattr(self, name)
            new = np.full((rows, *old.shape[1:]), fill, old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)


T = TypeVar("T", bound=Packed)


def widened(table: T, **widths: int) -> T:
    """Set the widths of columns that configuration decides, on a table without rows; return it."""
    for name, width in widths.items():
        old = getattr(table, name)
        setattr(table, name, np.full((0, width), 0, old.dtype))
    return table
