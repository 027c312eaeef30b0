"""The fast path of prometheus-kafka-adapter's JSON: the bytes of many messages to columns, without a Python object a sample.

It follows only what the adapter writes: an object of its four members, each at most once, labels that name their metric, all texts in
ASCII and without escapes. A message that is anything else is left alone and told of: the reference reader has it then. So both agree on
whatever is read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled_bare
from streams.normalise.formats.key_table import UNKNOWN, Arrays, KeyTable, hash_of, slot_of
from streams.normalise.formats.text_kernel import INEXACT, NO_NUMERAL, NO_TIME, instant, number
from streams.normalise.formats.wire_kernel import Int, joined, word_at

_QUOTE, _BACKSLASH, _COLON, _COMMA, _OPEN, _CLOSE = (ord(one) for one in '"\\:,{}')
_SPACE, _TAB, _LINE_FEED, _RETURN = (ord(one) for one in " \t\n\r")
_LABELS, _NAME, _TIMESTAMP, _VALUE = 1, 2, 4, 8  # members, as bits
_NEEDED = _LABELS | _TIMESTAMP | _VALUE

# Eight bytes at once, the first being the lowest. A name stands in the highest bytes of its word.
_PADDING = bytes(16)
_ONE, _SEVEN, _LAST_BYTE = np.uint64(1), np.uint64(7), np.uint64(56)
_ONES, _HIGHEST = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_PLACES = np.uint64(0x0001020304050607)  # times the lowest bit of byte n: n, in the last byte
_QUOTES, _BACKSLASHES, _SPACES, _CLOSINGS = (_ONES * np.uint64(sign) for sign in (_QUOTE, _BACKSLASH, _SPACE, _CLOSE))
_LABELS_WORD, _NAME_WORD, _VALUE_WORD, _TIMESTAMP_WORD, _METRIC_WORD = (
    np.uint64(int.from_bytes(name.rjust(8, b"\0"), "little")) for name in (b'labels"', b'name"', b'value"', b"timestam", b"__name__")
)
_TIMESTAMP_LAST = ord("p")

# Columns of the places that the kernel fills.
_RECORD, _START, _END, _OWN, _AT, _NUMBER, _NUMBER_END = range(7)


@dataclass(frozen=True, slots=True)
class Columns:
    """Samples, at most one a message, in their order; the labels of each are `data[start:end]`. `left` is of messages."""

    data: NDArray[np.uint8]
    record: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    own: NDArray[np.int64]  # slot of the labels in the table, UNKNOWN where they are new there
    at: NDArray[np.int64]
    value: NDArray[np.float64]
    left: NDArray[np.bool_]  # to the reference reader

    def labels(self, row: Int) -> bytes:
        return self.data[self.start[row] : self.end[row]].tobytes()


def read_columns(values: Sequence[bytes], known: KeyTable, longest: int) -> Columns:
    """Read messages of at most so many bytes. `known` holds texts of labels that some reader has had before: they need no second look."""
    data, offsets = joined([*values, _PADDING])
    places = np.empty((7, len(values)), np.int64)
    value = np.empty(len(values), np.float64)
    inexact = np.empty(len(values), np.bool_)
    left = np.empty(len(values), np.bool_)
    rows = _walk(data, offsets[:-1], known.arrays, longest, places, value, inexact, left)
    record, start, end, own, at, begin, stop = places[:, :rows]
    for row in np.flatnonzero(inexact[:rows]).tolist():
        value[row] = float(data[begin[row] : stop[row]].tobytes())
    return Columns(data, record, start, end, own, at, value[:rows], left)


@compiled_bare
def _walk(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    known: Arrays,
    longest: Int,
    places: NDArray[np.int64],
    value: NDArray[np.float64],
    inexact: NDArray[np.bool_],
    left: NDArray[np.bool_],
) -> Int:
    """Fill the columns; return how many rows there are."""
    rows: Int = 0
    for record in range(len(offsets) - 1):
        at, end = offsets[record], offsets[record + 1]
        good = end - at <= longest and _message(data, at, end, known, places, value, inexact, rows)
        left[record] = not good
        if good:
            places[_RECORD, rows] = record
            rows += 1
    return rows


@compiled_bare
def _message(
    data: NDArray[np.uint8],
    at: Int,
    end: Int,
    known: Arrays,
    places: NDArray[np.int64],
    value: NDArray[np.float64],
    inexact: NDArray[np.bool_],
    row: Int,
) -> bool:
    """Read one message into its row; tell whether it is one of those that are read here."""
    found = 0
    at = _sign(data, at, end, _OPEN)
    while at >= 0:
        member, at = _member(data, _sign(data, at, end, _QUOTE))
        if member == 0 or found & member:
            return False
        found |= member
        at = _sign(data, at, end, _COLON)
        begin = _sign(data, at, end, _OPEN if member == _LABELS else _QUOTE)
        if begin < 0:
            return False
        if member == _LABELS:
            own, stop = _known(data, begin, end, known)
            if own == UNKNOWN:
                stop = _labels(data, begin, end)
            if stop < 0:
                return False
            places[_START, row], places[_END, row], places[_OWN, row] = begin - 1, stop + 1, own
        else:
            stop = _text(data, begin, end)
            if stop < 0:
                return False
            if member == _TIMESTAMP:
                time = instant(data, begin, stop)
                places[_AT, row] = time
                if time == NO_TIME:
                    return False
            elif member == _VALUE:
                value[row], kind = number(data, begin, stop)
                if kind == NO_NUMERAL:
                    return False
                inexact[row] = kind == INEXACT
                places[_NUMBER, row], places[_NUMBER_END, row] = begin, stop
        at = _space(data, stop + 1, end)
        if at < end and data[at] == _CLOSE:
            return found & _NEEDED == _NEEDED and _space(data, at + 1, end) == end
        at = _sign(data, at, end, _COMMA)
    return False


@compiled_bare
def _known(data: NDArray[np.uint8], at: Int, end: Int, known: Arrays) -> tuple[np.int64, Int]:
    """Return the slot of the labels that begin before this place and their end, UNKNOWN where those up to the first } are not known.

    What is known is a whole JSON text: so the } ends this one too, and stands in no text within it.
    """
    start = at - 1
    while at < end:
        closing = word_at(data, at) ^ _CLOSINGS
        closing = (closing - _ONES) & ~closing & _HIGHEST
        if closing:
            at += _first(closing)
            if at >= end:
                break
            return slot_of(hash_of(data, start, at + 1, known.seed), known), at
        at += 8
    return np.int64(UNKNOWN), -1


@compiled_bare
def _labels(data: NDArray[np.uint8], at: Int, end: Int) -> Int:
    """Return where the object of texts has its } whose first member is here; -1 where it is none, or does not name its metric."""
    named = False
    while at >= 0:
        name = _sign(data, at, end, _QUOTE)
        stop = _text(data, name, end)
        if stop < 0:
            return -1
        begin = _sign(data, _sign(data, stop + 1, end, _COLON), end, _QUOTE)
        past = _text(data, begin, end)
        if past < 0:
            return -1
        if stop - name == 8 and word_at(data, name) == _METRIC_WORD:
            named = bool(past > begin)  # of several the last is meant
        at = _space(data, past + 1, end)
        if at < end and data[at] == _CLOSE:
            return at if named else -1
        at = _sign(data, at, end, _COMMA)
    return -1


@compiled_bare
def _text(data: NDArray[np.uint8], at: Int, end: Int) -> Int:
    """Return where the plain text that begins here has its closing quote; -1 where it is no such text."""
    if at < 0:
        return -1
    while at < end:
        word = word_at(data, at)
        quotes, slashes = word ^ _QUOTES, word ^ _BACKSLASHES
        # The first byte that is a quote, a backslash, below a space or beyond ASCII: the highest bit of it is the lowest that is set.
        other = word | ((quotes - _ONES) & ~quotes) | ((slashes - _ONES) & ~slashes) | ((word - _SPACES) & ~word)
        other &= _HIGHEST
        if other:
            at += _first(other)
            return at if at < end and data[at] == _QUOTE else -1
        at += 8
    return -1


@compiled_bare
def _sign(data: NDArray[np.uint8], at: Int, end: Int, sign: Int) -> Int:
    """Return the place behind this sign, which may stand behind spaces; -1 where another does."""
    if at < 0:
        return -1
    at = _space(data, at, end)
    return at + 1 if at < end and data[np.uint64(at)] == sign else -1


@compiled_bare
def _space(data: NDArray[np.uint8], at: Int, end: Int) -> Int:
    while at < end:
        byte = data[np.uint64(at)]
        if byte > _SPACE or byte not in (_SPACE, _LINE_FEED, _RETURN, _TAB):
            break
        at += 1
    return at


@compiled_bare
def _first(highest: np.uint64) -> np.int64:
    """Return which byte is the first whose highest bit is set, given none but highest bits."""
    return np.int64((((highest & (~highest + _ONE)) >> _SEVEN) * _PLACES) >> _LAST_BYTE)


@compiled_bare
def _member(data: NDArray[np.uint8], at: Int) -> tuple[int, Int]:
    """Return which member's name is here, 0 for none, and the place behind its closing quote."""
    if at < 0:
        return 0, -1
    word = word_at(data, at)
    if word << np.uint64(8) == _LABELS_WORD:
        return _LABELS, at + 7
    if word << np.uint64(24) == _NAME_WORD:
        return _NAME, at + 5
    if word << np.uint64(16) == _VALUE_WORD:
        return _VALUE, at + 6
    if word == _TIMESTAMP_WORD and data[at + 8] == _TIMESTAMP_LAST and data[at + 9] == _QUOTE:
        return _TIMESTAMP, at + 10
    return 0, -1
