"""What is told of derived series in health: their values in short, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.detection.evidence_kernel import LONGEST_NUMBER, LONGEST_POINT, NOT_PLAIN, PIECES, Text, write
from models.detection.packed import Floats, Ints
from models.detection.series.registry import Meta
from schemas.health_record import EvidenceRecord

MOST_TEXT = 65_535  # of one piece
_NUMBERS = 6
_MARK = "\x00"  # in place of a number, while the text around it is made


class Texts:
    """The text of each derived series, in pieces between its numbers: in one array, for there may be a million of them."""

    def __init__(self) -> None:
        self._metas: list[Meta | None] = []  # by slot: whose text it is
        self._text: Text = np.zeros(0, np.uint8)
        self._begins: Ints = np.zeros(0, np.int64)  # by slot, of its text; NOT_PLAIN: it has none
        self._sizes: NDArray[np.uint16] = np.zeros((0, PIECES), np.uint16)

    def renew(self, metas: Mapping[int, Meta]) -> None:
        """Take in what the derived series are called now; the text of those that are called the same is kept."""
        before, text = self._metas, self._text.tobytes()
        begins, ends = self._begins.tolist(), (self._begins + self._sizes.sum(axis=1, dtype=np.int64)).tolist()
        slots = max(metas, default=-1) + 1
        self._metas = [None] * slots
        self._begins, sizes = np.full(slots, NOT_PLAIN, np.int64), np.zeros((slots, PIECES), np.uint16)
        kept = min(slots, len(before))
        sizes[:kept] = self._sizes[:kept]
        found: list[bytes] = []
        end = 0
        for slot, meta in metas.items():
            self._metas[slot] = meta
            if slot < kept and before[slot] is meta:
                if begins[slot] == NOT_PLAIN:
                    continue
                own = text[begins[slot] : ends[slot]]
            else:
                cut = pieces(meta)
                if len(cut) != PIECES or max(map(len, cut)) > MOST_TEXT:
                    sizes[slot] = 0
                    continue
                sizes[slot] = list(map(len, cut))
                own = b"".join(cut)
            self._begins[slot] = end
            end += len(own)
            found.append(own)
        self._sizes, self._text = sizes, np.frombuffer(b"".join(found), np.uint8)

    def written(self, values: Floats, times: Ints, rows: Ints, kept: Ints) -> tuple[bytes, list[int]]:
        """Return the JSON of these series, each with a comma behind it, and where each ends: NOT_PLAIN where it is not there.

        Args as of evidence_kernel.write.
        """
        size = int(self._sizes[rows].sum(dtype=np.int64)) + len(rows) * (_NUMBERS * LONGEST_NUMBER + 1)
        out, ends = np.empty(size + int(kept.sum()) * LONGEST_POINT, np.uint8), np.empty(len(rows), np.int64)
        count = write(values, times, rows, kept, self._text, self._begins, self._sizes, out, ends)
        return out[:count].tobytes(), ends.tolist()


def pieces(meta: Meta) -> list[bytes]:
    """Cut the JSON of a series' evidence where its numbers stand; more than PIECES where a name is the mark itself."""
    mark: Any = _MARK
    blank = EvidenceRecord(
        mark, meta.direction, mark, meta.instance, meta.kind, mark, meta.metric, mark, [mark],
        meta.series, meta.service, meta.unit, None, mark, mark,
    )  # fmt: skip
    return msgspec.json.encode(blank).split(msgspec.json.encode(_MARK))
