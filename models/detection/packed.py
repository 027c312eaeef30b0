"""Tables of packed records: a row per thing, room that grows by doubling, rows that are given back and used again.

A row's values lie together, so that what happens to one thing touches little memory, and compiled code takes the table as one array
(`rows`). A column is a view: `table.value[chosen]` reads and writes as an array does.
"""

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
    return field(init=False, repr=False, compare=False, metadata={"dtype": dtype, "shape": shape, "fill": fill})


@dataclass
class Packed:
    """Rows 0 … `used` - 1 were handed out at some time; those in `free` are not in use."""

    used: int = 0
    free: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lay({})

    def _lay(self, widths: dict[str, int]) -> None:
        """Lay out the records; `widths` are those of columns that configuration decides."""
        declared = [one for one in fields(self) if "fill" in one.metadata]
        layout = [
            (one.name, one.metadata["dtype"], (widths[one.name],) if one.name in widths else one.metadata["shape"]) for one in declared
        ]
        self._dtype = np.dtype(layout, align=True)
        blank = np.zeros(1, self._dtype)
        for one in declared:
            blank[one.name] = one.metadata["fill"]
        self._blank = blank[0]
        self.rows: Any = np.zeros(0, self._dtype)  # the records

    def __getattr__(self, name: str) -> Any:
        """Return a column; only those are looked for here."""
        try:
            return self.__dict__["rows"][name]
        except (KeyError, ValueError):
            raise AttributeError(f"{type(self).__name__} has no column {name}") from None

    @property
    def count(self) -> int:
        return self.used - len(self.free)

    def take(self) -> int:
        """Return a row in its initial state."""
        if self.free:
            row = self.free.pop()
            self.rows[row] = self._blank
            return row
        self.used += 1
        if self.used > len(self.rows):
            old = self.rows
            self.rows = np.full(max(_FIRST_ROWS, 2 * self.used), self._blank)
            self.rows[: len(old)] = old
        return self.used - 1

    def give(self, row: int) -> None:
        """Take a row back; its columns hold the initial values until it is used again."""
        self.rows[row] = self._blank
        self.free.append(row)

    def dump(self) -> dict[str, Any]:
        """Return the table as plain values and bytes, by column: the same table gives the same."""
        packed: dict[str, Any] = {"used": self.used, "free": self.free}
        for name in self._names():
            array = np.ascontiguousarray(self.rows[name][: self.used])
            packed[name] = (array.dtype.str, list(array.shape), array.tobytes())
        return packed

    def load(self, packed: dict[str, Any]) -> None:
        """Take what `dump` gave; a column that the release before did not have holds its initial value."""
        self.used, self.free = packed["used"], list(packed["free"])
        self.rows = np.full(self.used, self._blank)
        for name in self._names():
            if name in packed:
                dtype, shape, data = packed[name]
                self.rows[name] = np.frombuffer(data, dtype).reshape(shape)

    def _names(self) -> tuple[str, ...]:
        return self._dtype.names or ()


T = TypeVar("T", bound=Packed)


def widened(table: T, **widths: int) -> T:
    """Set the widths of columns that configuration decides, on a table without rows; return it."""
    table._lay(widths)  # noqa: SLF001 - its own module
    return table
