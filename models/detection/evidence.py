"""What is told of derived series in health: their values in short, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import msgspec
import numpy as np

from models.detection.evidence_kernel import LONGEST_NUMBER, LONGEST_POINT, NOT_PLAIN, PIECES, Text, write
from models.detection.packed import Floats, Ints
from models.detection.series.registry import Meta
from schemas.health_record import EvidenceRecord

_NUMBERS = 6
_MARK = "\x00"  # in place of a number, while the text around it is made


class Texts:
    """The text of each derived series, in pieces between its numbers; what is known of one is kept while it is called the same."""

    def __init__(self) -> None:
        self._pieces: dict[int, tuple[Meta, list[bytes]]] = {}  # by slot
        self._text: Text = np.zeros(0, np.uint8)
        self._starts: Ints = np.zeros((0, PIECES + 1), np.int64)

    def renew(self, metas: Mapping[int, Meta]) -> None:
        """Take in what the derived series are called now."""
        known, self._pieces = self._pieces, {}
        self._starts = np.full((max(metas, default=-1) + 1, PIECES + 1), NOT_PLAIN, np.int64)
        found: list[bytes] = []
        end = 0
        for slot, meta in metas.items():
            same = known.get(slot)
            own = same[1] if same is not None and same[0] is meta else pieces(meta)
            self._pieces[slot] = meta, own
            if len(own) == PIECES:
                self._starts[slot] = list(accumulate(map(len, own), initial=end))
                end = int(self._starts[slot, PIECES])
                found += own
        self._text = np.frombuffer(b"".join(found), np.uint8)

    def written(self, values: Floats, times: Ints, rows: Ints, kept: Ints) -> tuple[bytes, list[int]]:
        """Return the JSON of these series, each with a comma behind it, and where each ends: NOT_PLAIN where it is not there.

        Args as of evidence_kernel.write.
        """
        size = int((self._starts[rows, PIECES] - self._starts[rows, 0]).sum()) + len(rows) * (_NUMBERS * LONGEST_NUMBER + 1)
        out, ends = np.empty(size + int(kept.sum()) * LONGEST_POINT, np.uint8), np.empty(len(rows), np.int64)
        count = write(values, times, rows, kept, self._text, self._starts, out, ends)
        return out[:count].tobytes(), ends.tolist()


def pieces(meta: Meta) -> list[bytes]:
    """Cut the JSON of a series' evidence where its numbers stand; more pieces than PIECES where a name is the mark itself."""
    mark: Any = _MARK
    blank = EvidenceRecord(
        mark, meta.direction, mark, meta.instance, meta.kind, mark, meta.metric, mark, [mark],
        meta.series, meta.service, meta.unit, mark, mark,
    )  # fmt: skip
    return msgspec.json.encode(blank).split(msgspec.json.encode(_MARK))
