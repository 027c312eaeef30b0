"""OTLP in protobuf by the batch: what a metric's points have in common is looked up once a metric, each point by its attributes."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import cache, partial

import numpy as np

from streams.normalise.columnar import CAPACITY, Batch, Slots
from streams.normalise.fates import Rejected, Rejection
from streams.normalise.formats import otlp_kernel as kernel
from streams.normalise.formats import otlp_layout as layout
from streams.normalise.formats.harvest import MAX_ITEMS, Harvest
from streams.normalise.formats.key_table import SEED_BITS, UNKNOWN, Bytes, Ints, KeyTable
from streams.normalise.formats.otlp import read_metric
from streams.normalise.formats.otlp_keys import Kind, Metric, put_point
from streams.normalise.formats.port import Sample
from streams.normalise.formats.wire import text
from streams.normalise.rows import Rows

_BEGINS = [layout.RESOURCE, layout.SCOPE, layout.NAME, layout.UNIT]
_ENDS = [layout.RESOURCE_END, layout.SCOPE_END, layout.NAME_END, layout.UNIT_END]
_PIECE_HEAD = 12  # bytes before each piece: its tag and its length


class OtlpColumns:
    def __init__(self, slots: Slots, capacity: int = CAPACITY) -> None:
        self.slots = slots
        self._capacity = capacity
        self._forget()

    def _forget(self) -> None:
        self._heads = KeyTable(secrets.randbits(SEED_BITS))
        self._sound = np.zeros(0, np.bool_)  # of the heads: their names are texts

    def read(self, prefix: bytes, records: Sequence[int], bodies: Sequence[bytes]) -> Batch:
        if len(self._heads) >= self._capacity:
            self._forget()
            self.slots.restart()  # its names hold the numbers of heads
        found = kernel.walk(bodies)
        heads = self._known(found)
        foreign = heads == UNKNOWN
        beside = [(head, self._beside(bodies, found, head)) for head in np.flatnonzero(foreign).tolist()]
        counts = np.where(foreign, 0, found.heads[layout.POINTS])
        for head, items in beside:
            counts[head] = len(items)
        record_of = found.heads[layout.RECORD]
        before = np.cumsum(counts) - counts
        begins = before[np.searchsorted(record_of, record_of)] if len(before) else before
        parts = before - begins  # the number of each head's first sample within its record
        left = found.left | self._too_many(record_of, counts, len(bodies))
        of = found.points[layout.P_HEAD]
        good = ~(foreign[of] | left[found.points[layout.P_RECORD]])
        of, points, value = of[good], found.points[:, good], found.value[good]
        numbers = np.array(records, np.int64)
        slots = self._slots(prefix, found, heads[of], points)
        part = parts[of] + np.flatnonzero(good) - found.heads[layout.FIRST][of]
        rows = Rows(numbers[points[layout.P_RECORD]], part, slots, points[layout.P_AT].copy(), value)
        kept = [(int(numbers[record_of[head]]), int(parts[head]), items) for head, items in beside if not left[record_of[head]]]
        return Batch(rows, numbers[left].tolist(), kept)

    def _known(self, found: kernel.Walked) -> Ints:
        """Return the number of each head, in this process; UNKNOWN for what the reference must read."""
        heads = np.full(found.heads.shape[1], UNKNOWN, np.int64)
        own = np.flatnonzero(found.heads[layout.KIND] != layout.FOREIGN)
        begins, ends = (found.heads[places][:, own] for places in (_BEGINS, _ENDS))
        data, starts, stops = _packed(found.data, begins, ends, np.broadcast_to(found.heads[layout.KIND, own], begins.shape))
        numbers = self._heads.find(data, starts, stops)
        new = np.flatnonzero(numbers == UNKNOWN)
        if len(new):
            numbers[new] = self._heads.add_all(data, starts[new], stops[new])
            _, firsts = np.unique(numbers[new], return_index=True)
            sound = [_key(found, head) is not None for head in own[new[firsts]].tolist()]
            self._sound = np.concatenate([self._sound, np.array(sound, np.bool_)])
        heads[own] = np.where(self._sound[numbers], numbers, UNKNOWN)
        return heads

    def _slots(self, prefix: bytes, found: kernel.Walked, heads: Ints, points: Ints) -> Ints:
        data, begins, ends = found.data, points[layout.P_ATTRIBUTES], points[layout.P_ATTRIBUTES_END]
        names, starts, stops = _packed(data, begins[np.newaxis], ends[np.newaxis], heads[np.newaxis])
        key_of = cache(partial(_key, found))  # of a head, for as long as its record is here

        def key(row: int) -> bytes:
            return (key_of(int(points[layout.P_HEAD, row])) or b"") + put_point(data[begins[row] : ends[row]].tobytes())

        return self.slots.find(prefix, names, starts, stops, key)

    @staticmethod
    def _beside(bodies: Sequence[bytes], found: kernel.Walked, head: int) -> list[Sample | Rejection]:
        """Let the reference read one metric."""
        column = found.heads[:, head].tolist()
        resource, scope = (_piece(found, head, *place) for place in zip(_BEGINS[:2], _ENDS[:2], strict=True))
        harvest = Harvest()
        try:
            record = column[layout.RECORD]
            base = int(found.offsets[record])
            place = column[layout.BEGIN] - base, column[layout.END] - base
            read_metric(harvest, bodies[record], place, Metric(resource, scope, "", ""), column[layout.NUMBER])
        except Rejected as refused:
            return [refused.rejection]
        return harvest.items

    @staticmethod
    def _too_many(record_of: Ints, counts: Ints, records: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Tell which records have more samples than any may: the reference says so."""
        return np.bincount(record_of, counts, records) > MAX_ITEMS


def _packed(data: Bytes, begins: Ints, ends: Ints, tags: Ints) -> tuple[Bytes, Ints, Ints]:
    sizes = (ends - begins + _PIECE_HEAD).sum(axis=0)
    stops = np.cumsum(sizes)
    out = np.empty(int(stops[-1]) if len(stops) else 0, np.uint8)
    starts = stops - sizes
    kernel.pack(data, np.ascontiguousarray(begins), np.ascontiguousarray(ends), np.ascontiguousarray(tags), out, starts)
    return out, starts, stops


def _piece(found: kernel.Walked, head: int, begin: int, end: int) -> bytes:
    return found.data[found.heads[begin, head] : found.heads[end, head]].tobytes()


def _key(found: kernel.Walked, head: int) -> bytes | None:
    """Return how the keys of this head's points begin; None where a name is no text, which is for the reference to say."""
    resource, scope, name, unit = (_piece(found, head, *place) for place in zip(_BEGINS, _ENDS, strict=True))
    kind = Kind(int(found.heads[layout.KIND, head]))
    try:
        return Metric(resource, scope, text(name, 0, len(name)), text(unit, 0, len(unit)), kind).key
    except Rejected:
        return None
