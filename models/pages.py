"""Values by row, kept compressed a page at a time: what hundreds of thousands of series are called is much alike.

By LZ4, for a page is opened for each row that is looked up out of order; pages that were used last stay open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from itertools import groupby
from typing import Generic, TypeVar

import cramjam
import msgspec

ROWS = 64  # a page: with more of them it takes little less, and longer to open
OPEN = 16  # pages at once

T = TypeVar("T")
_Page = list[bytes | None]
_packer, _unpacker = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(_Page)
_rows_of = msgspec.msgpack.Decoder(dict[int, msgspec.Raw]).decode


class Pages(MutableMapping[int, T], Generic[T]):
    """A mapping from rows, which are small numbers, most of them in use; in the order of its rows."""

    def __init__(self, pack: Callable[[T], bytes], unpack: Callable[[bytes], T]) -> None:
        self._pack, self._unpack = pack, unpack
        self._shut: list[bytes] = []  # all pages; of an open one that was changed, what it was before
        self._open: dict[int, _Page] = {}  # the one that was used last at the end
        self._changed: set[int] = set()  # of those that are open
        self._count = 0

    def __getitem__(self, row: int) -> T:
        return self._unpack(self._found(row))

    def __setitem__(self, row: int, value: T) -> None:
        page, place = divmod(row, ROWS)
        self._reach(page)
        texts, text = self._texts(page), self._pack(value)
        self._count += texts[place] is None
        texts[place] = text
        self._changed.add(page)

    def __delitem__(self, row: int) -> None:
        self._found(row)
        page, place = divmod(row, ROWS)
        self._texts(page)[place] = None
        self._changed.add(page)
        self._count -= 1

    def __contains__(self, row: object) -> bool:
        return isinstance(row, int) and 0 <= row < ROWS * len(self._shut) and self._texts(row // ROWS)[row % ROWS] is not None

    def __iter__(self) -> Iterator[int]:
        for row, _ in self.packed():
            yield row

    def __len__(self) -> int:
        return self._count

    def fill(self, image: bytes | msgspec.Raw) -> None:
        """Take what `image` gave, whatever the order of its rows; it holds nothing yet."""
        packed = _rows_of(image)
        for page, rows in groupby(sorted(packed), lambda row: row // ROWS):
            texts: _Page = [None] * ROWS
            for row in rows:
                texts[row % ROWS] = bytes(packed[row])  # copied: a Raw keeps all that it was decoded from
            self._reach(page)
            self._shut[page] = _shut(texts)
        self._count = len(packed)

    def keep_anew(self) -> None:
        """Keep all values as `pack` gives them now; what they were filled with may be of another release."""
        for row, value in self.pairs():
            self[row] = value

    def pairs(self) -> Iterator[tuple[int, T]]:
        """Return what `items` does; it opens each page once."""
        for row, text in self.packed():
            yield row, self._unpack(text)

    def packed(self) -> Iterator[tuple[int, bytes]]:
        """Return each row, in order, and its value as `pack` gave it."""
        for first, texts in self._all():
            for place, text in enumerate(texts):
                if text is not None:
                    yield first + place, text

    def image(self) -> msgspec.Raw:
        """Return the map from rows to values that a snapshot holds, as MessagePack, where `pack` gives that. A partition waits meanwhile.

        It is made a page at a time: an object for each row, be it for a moment, would leave holes where they were.
        """
        parts = [_map_of(self._count)]
        for first, texts in self._all():
            keys = map(_packer.encode, range(first, first + ROWS))
            parts.append(b"".join([part for key, text in zip(keys, texts, strict=True) if text is not None for part in (key, text)]))
        return msgspec.Raw(b"".join(parts))

    def _all(self) -> Iterator[tuple[int, _Page]]:
        """Return the first row of each page, and its texts."""
        for page, shut in enumerate(self._shut):
            texts = self._open.get(page)
            yield page * ROWS, _opened(shut) if texts is None else texts

    def _reach(self, page: int) -> None:
        self._shut.extend([b""] * (page + 1 - len(self._shut)))

    def _found(self, row: int) -> bytes:
        page, place = divmod(row, ROWS)
        text = self._texts(page)[place] if 0 <= page < len(self._shut) else None
        if text is None:
            raise KeyError(row)
        return text

    def _texts(self, page: int) -> _Page:
        texts = self._open.pop(page, None)
        if texts is None:
            if len(self._open) >= OPEN:
                self._close(next(iter(self._open)))
            texts = _opened(self._shut[page])
        self._open[page] = texts
        return texts

    def _close(self, page: int) -> None:
        texts = self._open.pop(page)
        if page in self._changed:
            self._changed.discard(page)
            self._shut[page] = _shut(texts)


def _shut(texts: _Page) -> bytes:
    return b"" if all(text is None for text in texts) else bytes(cramjam.lz4.compress_block(_packer.encode(texts)))


def _opened(page: bytes) -> _Page:
    return _unpacker.decode(bytes(cramjam.lz4.decompress_block(page))) if page else [None] * ROWS


def _map_of(count: int) -> bytes:
    """Return what begins a map of so many in MessagePack, as short as it may be."""
    if count < 2**4:
        return bytes([0x80 + count])
    return b"\xde" + count.to_bytes(2, "big") if count < 2**16 else b"\xdf" + count.to_bytes(4, "big")
