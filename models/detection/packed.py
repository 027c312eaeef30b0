"""Tables of packed records: a row per thing, room that grows by a quarter, rows that are given back and used again.

A row's values lie together, so that what happens to one thing touches little memory, and compiled code takes the table as one array
(`rows`). What is as wide as configuration says lies in an array of its own, so that code compiled for one width serves all. A column
is a view: `table.value[chosen]` reads and writes as an array does.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.arrays import mapped

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Singles = NDArray[np.float32] | Floats
Bools = NDArray[np.bool_]
Numbers = NDArray[np.integer[Any]]  # as narrow as what is in it allows
Places = NDArray[np.uint8] | NDArray[np.uint16]

_FIRST_ROWS = 64
_BYTES = 256  # values of a byte
_GROWTH = 4  # one part in so many is added when there is no room,
_READY = 1024  # and so many rows are given their initial state at once: what was never written to takes no memory


def column(dtype: Any, *shape: int, fill: float = 0, follows: bool = False) -> Any:
    """Declare a column: one value, or a fixed-width row of values, for each row of the table.

    `follows`: it is known from elsewhere, and not dumped.
    """
    return field(init=False, repr=False, compare=False, metadata={"dtype": dtype, "shape": shape, "fill": fill, "follows": follows})


def wide(dtype: Any, fill: float = 0) -> Any:
    """Declare a column of rows of values, as many as `widened` says."""
    return field(init=False, repr=False, compare=False, metadata={"dtype": dtype, "wide": True, "fill": fill})


def order_of(name: str) -> Any:
    """Declare a column that holds, for each row of another wide one, the places of its values by rising value; it is not dumped."""
    return field(init=False, repr=False, compare=False, metadata={"dtype": np.uint8, "wide": True, "fill": 0, "order_of": name})


@dataclass
class Packed:
    """Rows 0 … `used` - 1 were handed out at some time; those in `free` are not in use."""

    used: int = 0
    free: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        declared = [one for one in fields(self) if "fill" in one.metadata]
        own = [one for one in declared if "wide" not in one.metadata]
        blank = np.zeros(1, _record_of(type(self)))  # type: ignore[arg-type]  # the class has a hash, its tables have none
        for one in own:
            blank[one.name] = one.metadata["fill"]
        self._blank = {"rows": blank[0]} | {one.name: np.zeros(0, one.metadata["dtype"]) for one in declared if one not in own}
        self._fills = {one.name: one.metadata["fill"] for one in declared if one not in own}
        self._follow = {one.name for one in own if one.metadata["follows"]}
        self._orders = {one.name: one.metadata["order_of"] for one in declared if "order_of" in one.metadata}
        self.rows: Any = blank[:0]  # the records
        self._ready = 0  # rows; those behind them hold anything
        self._lay({})

    def _lay(self, widths: dict[str, int]) -> None:
        """Take the widths of columns that configuration decides."""
        for name, fill in self._fills.items():
            width = widths.get(self._orders.get(name, name), 0)
            self._blank[name] = _places(width) if name in self._orders else np.full(width, fill, self._blank[name].dtype)
            self.__dict__[name] = np.zeros((0, width), self._blank[name].dtype)

    def __getattr__(self, name: str) -> Any:
        """Return a column of the records; only those are looked for here, each once for as long as the records stand where they are."""
        try:
            found = self.__dict__[name] = self.__dict__["rows"][name]
        except (KeyError, ValueError):
            raise AttributeError(f"{type(self).__name__} has no column {name}") from None
        return found

    @property
    def count(self) -> int:
        return self.used - len(self.free)

    def take(self) -> int:
        """Return a row in its initial state."""
        if self.free:
            row = self.free.pop()
            self._clear(row)
            return row
        self.used += 1
        if self.used > len(self.rows):
            self._grow(max(_FIRST_ROWS, self.used + self.used // _GROWTH))
        if self.used > self._ready:
            self._make_ready(min(len(self.rows), self._ready + _READY))
        return self.used - 1

    def give(self, row: int) -> None:
        """Take a row back; its columns hold the initial values until it is used again."""
        self._clear(row)
        self.free.append(row)

    def dump(self) -> dict[str, Any]:
        """Return the table as plain values and bytes, by column: the same table gives the same, and shares memory with what it gives."""
        packed: dict[str, Any] = {"used": self.used, "free": self.free}
        for name in self._names():
            array = np.ascontiguousarray(getattr(self, name)[: self.used])
            packed[name] = (array.dtype.str, list(array.shape), array.reshape(-1).view(np.uint8).data)
        return packed

    def load(self, packed: dict[str, Any]) -> None:
        """Take what `dump` gave; a column that the release before did not have holds its initial value."""
        self.used, self.free = packed["used"], list(packed["free"])
        self._grow(self.used)
        self._make_ready(self.used)
        for name in self._names():
            if name in packed:
                dtype, shape, data = packed[name]
                column = getattr(self, name)
                column[:] = _within(np.frombuffer(data, dtype), column.dtype).reshape(shape)
        for name, of in self._orders.items():
            self.__dict__[name][:] = np.argsort(self.__dict__[of], axis=1, kind="stable")

    def _names(self) -> tuple[str, ...]:
        own = (name for name in self.rows.dtype.names or () if name not in self._follow)
        return (*own, *(name for name in self._fills if name not in self._orders))

    def _clear(self, row: int) -> None:
        for name, blank in self._blank.items():
            self.__dict__[name][row] = blank

    def _grow(self, rows: int) -> None:
        for name in self._blank:
            old = self.__dict__[name]
            grown = mapped((rows, *old.shape[1:]), old.dtype)
            grown[: self._ready] = old[: self._ready]
            self.__dict__[name] = grown
        for name in self.rows.dtype.names or ():
            self.__dict__.pop(name, None)

    def _make_ready(self, rows: int) -> None:
        for name, blank in self._blank.items():
            self.__dict__[name][self._ready : rows] = blank
        self._ready = rows


def _within(values: Any, dtype: Any) -> Any:
    """Return values that a narrower type can hold: a finite one stays finite, and what was infinite is."""
    if dtype.kind != "f" or values.dtype.itemsize <= dtype.itemsize:
        return values
    most = np.finfo(dtype).max
    return np.where(np.isfinite(values), np.clip(values, -most, most), values)


@cache
def _record_of(table: type[Packed]) -> np.dtype[Any]:
    """Return the type of a table's records, one object for all such tables: compiled code compares others field by field at each call."""
    own = [one for one in fields(table) if "fill" in one.metadata and "wide" not in one.metadata]
    own.sort(key=lambda one: -np.dtype(one.metadata["dtype"]).itemsize)  # no gaps between columns of unlike widths
    return np.dtype([(one.name, one.metadata["dtype"], one.metadata["shape"]) for one in own], align=True)


def _places(width: int) -> Places:
    """Return the numbers of so many places, in bytes where those do."""
    return np.arange(width, dtype=np.uint8) if width <= _BYTES else np.arange(width, dtype=np.uint16)


T = TypeVar("T", bound=Packed)


def widened(table: T, **widths: int) -> T:
    """Set the widths of columns that configuration decides, on a table without rows; return it."""
    table._lay(widths)  # noqa: SLF001 - its own module
    return table
