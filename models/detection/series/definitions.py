"""What raw rows stand for, packed: as an object with its texts and labels a definition takes much more memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping

import msgspec

from schemas.samples import SeriesDef, pack_series, unpack_series


class Definitions(MutableMapping[int, SeriesDef]):
    """By raw row. To look one up makes an object: it is for what is defined, forgotten or told, not for each row."""

    def __init__(self, image: Mapping[int, msgspec.Raw] | None = None) -> None:
        # Copied: a Raw keeps all that it was decoded from.
        self._packed = {row: bytes(one) for row, one in (image or {}).items()}

    def __getitem__(self, row: int) -> SeriesDef:
        return unpack_series(self._packed[row])

    def __setitem__(self, row: int, found: SeriesDef) -> None:
        self._packed[row] = pack_series(found)

    def __delitem__(self, row: int) -> None:
        del self._packed[row]

    def __iter__(self) -> Iterator[int]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)

    def image(self) -> dict[int, msgspec.Raw]:
        """Return what a snapshot holds of it: to encode that is to copy it."""
        return {row: msgspec.Raw(one) for row, one in self._packed.items()}
