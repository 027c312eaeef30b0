"""What is told of derived series in health: their values in short, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.detection.evidence_kernel import LONGEST_NUMBER, LONGEST_POINT, NOT_PLAIN, PIECES, Text, write
from models.detection.packed import Floats, Ints, Numbers
from models.detection.series.registry import Meta
from schemas.health_record import EvidenceRecord

LEAST_KEPT = 1_000  # texts; and as many as are told at once: which these are changes little from one moment to the next
_LONGEST_PIECE = 65_535
_NUMBERS = 6
_MARK = "\x00"  # in place of a number, while the text around it is made


class Texts:
    """The text of derived series that were told of lately, in pieces between its numbers."""

    def __init__(self) -> None:
        self._begin_anew()

    def __len__(self) -> int:
        return len(self._places)

    def written(
        self, metas: Mapping[int, Meta], named: Numbers, values: Floats, times: Ints, rows: Ints, kept: Ints
    ) -> tuple[bytes, list[int]]:
        """Return the JSON of these series, each with a comma behind it, and where each ends: NOT_PLAIN where it is not there.

        Args: metas, what each is called; named, by slot, which naming that was; the others as of evidence_kernel.write.
        """
        places = self._placed(metas, named, rows)
        size = int(self._sizes[places].sum(dtype=np.int64)) + len(rows) * (_NUMBERS * LONGEST_NUMBER + 1)
        out, ends = np.empty(size + int(kept.sum()) * LONGEST_POINT, np.uint8), np.empty(len(rows), np.int64)
        count = write(values, times, places, kept, self._text, self._begins, self._sizes, out, ends)
        return out[:count].tobytes(), ends.tolist()

    def _placed(self, metas: Mapping[int, Meta], named: Numbers, rows: Ints) -> Ints:
        """Return the place of each series' text here."""
        slots = list(zip(rows.tolist(), named[rows].tolist(), strict=True))
        wanted = sorted(set(slots) - self._places.keys())  # series of a page are looked up together
        if wanted and len(self._places) + len(wanted) > max(LEAST_KEPT, 2 * len(slots)):
            self._begin_anew()
            wanted = sorted(set(slots))
        if wanted:
            self._take([(slot, pieces(metas[slot[0]])) for slot in wanted])
        return np.array([self._places[slot] for slot in slots], np.int64)

    def _begin_anew(self) -> None:
        self._places: dict[tuple[int, int], int] = {}  # by slot and naming: its place in the arrays
        self._text: Text = np.zeros(0, np.uint8)
        self._begins: Ints = np.zeros(0, np.int64)  # of each text; NOT_PLAIN: there is none
        self._sizes: NDArray[np.uint16] = np.zeros((0, PIECES), np.uint16)

    def _take(self, found: list[tuple[tuple[int, int], list[bytes]]]) -> None:
        sizes, begins, text = np.zeros((len(found), PIECES), np.uint16), [], bytearray()
        for place, (slot, cut) in enumerate(found):
            self._places[slot] = len(self._begins) + place
            if len(cut) == PIECES and max(map(len, cut)) <= _LONGEST_PIECE:
                begins.append(len(self._text) + len(text))
                sizes[place] = list(map(len, cut))
                text += b"".join(cut)
            else:
                begins.append(NOT_PLAIN)
        self._begins = np.concatenate([self._begins, np.array(begins, np.int64)])
        self._sizes = np.concatenate([self._sizes, sizes])
        self._text = np.concatenate([self._text, np.frombuffer(bytes(text), np.uint8)])


def pieces(meta: Meta) -> list[bytes]:
    """Cut the JSON of a series' evidence where its numbers stand; more than PIECES where a name is the mark itself."""
    mark: Any = _MARK
    blank = EvidenceRecord(
        mark, meta.direction, mark, meta.instance, meta.kind, mark, meta.metric, mark, [mark],
        meta.series, meta.service, meta.unit, None, mark, mark,
    )  # fmt: skip
    return msgspec.json.encode(blank).split(msgspec.json.encode(_MARK))
