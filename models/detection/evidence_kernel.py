"""The evidence of health as JSON, in compiled code: to the byte what the encoder of EvidenceRecord writes.

In a backlog health is most of what detect writes, and of that the evidence. What is text of a series stands ready, in pieces between its
numbers (evidence.py); numbers in short have so few digits that to print them is to print an integer with a point in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled_bare
from models.detection.health_kernel import BASE, DIGITS, HIGH, LOW, PEAK, POINTS, VALUE, Z, leading
from models.detection.packed import Floats, Ints
from schemas.config.detect import MAX_POINTS

Text = NDArray[np.uint8]

PIECES = 8  # of text that a series has: one before each of its six numbers, the points among them, and the end
NOT_PLAIN = -1
LEAST, MOST = 1e-3, 1e15  # between them the encoder writes no exponent
LONGEST_NUMBER, LONGEST_POINT = 24, 24 + 24  # characters
_TENS = 10 ** np.arange(16)
_POWERS = 10.0 ** np.arange(16)  # exact
_NUMBERS = np.array([BASE, HIGH, LOW, PEAK, NOT_PLAIN, VALUE, Z])  # in the order of their names, which is that of the pieces
_OF_POINTS = 4
_PAIRS = np.frombuffer("".join(f"{number:02}" for number in range(100)).encode(), np.uint8)  # two digits a step
_COMMA, _POINT, _MINUS, _ZERO, _OPEN, _CLOSE = b",.-0[]"


@compiled_bare
def write(values: Floats, times: Ints, rows: Ints, kept: Ints, text: Text, begins: Ints, sizes: Any, out: Text, ends: Ints) -> int:
    """Write the evidence of these series one after the other, each with a comma behind it; return the number of bytes.

    Args: values (n, COLUMNS) and times (n, MAX_POINTS) as health_kernel.describe gives them; rows (n,), the slot of each; kept (n,), how
    many of its newest points are told; text, all pieces, those of slot s from begins[s] on, NOT_PLAIN where it has none, and sizes[s]
    (PIECES,) long; out, with room for all.
    Changes ends (n,): where each ends; NOT_PLAIN where a number is one that is not printed here, and then nothing of it is written.
    """
    at = 0
    for i in range(len(rows)):
        begin, own = begins[rows[i]], sizes[rows[i]]
        end = _write(values[i], times[i], kept[i], text, begin, own, out, at) if begin != NOT_PLAIN else NOT_PLAIN
        ends[i] = end
        if end != NOT_PLAIN:
            at = end
    return at


@compiled_bare
def _write(value: Floats, times: Ints, kept: int, text: Text, begin: int, sizes: Any, out: Text, at: int) -> int:
    for piece in range(PIECES):
        size = sizes[piece]
        for i in range(size):
            out[np.uintp(at + i)] = text[np.uintp(begin + i)]  # an index that may be below 0 is looked at each time
        begin, at = begin + size, at + size
        if piece == _OF_POINTS:
            at = _put_points(value, times, kept, out, at)
        elif piece < len(_NUMBERS):
            at = put_number(out, at, value[_NUMBERS[piece]])
        if at == NOT_PLAIN:
            return NOT_PLAIN
    out[at] = _COMMA
    return at + 1


@compiled_bare
def _put_points(value: Floats, times: Ints, kept: int, out: Text, at: int) -> int:
    for k in range(MAX_POINTS - kept, MAX_POINTS):
        out[at] = _OPEN
        at = put_integer(out, at + 1, times[k])
        out[at] = _COMMA
        at = put_number(out, at + 1, value[POINTS + k])
        if at == NOT_PLAIN:
            return NOT_PLAIN
        out[at], out[at + 1] = _CLOSE, _COMMA
        at += 2
    return at - (kept > 0)


@compiled_bare
def put_number(out: Text, at: int, value: float) -> int:
    """Write a number of at most DIGITS significant digits as a float of JSON; return the place behind it, or NOT_PLAIN."""
    size = abs(value)
    if np.signbit(value):  # also of a 0: what is rounded to one from below keeps its sign
        out[at] = _MINUS
        at += 1
    if size == 0.0:
        out[at], out[at + 1], out[at + 2] = _ZERO, _POINT, _ZERO
        return at + 3
    if not LEAST <= size < MOST:
        return NOT_PLAIN
    shift = DIGITS - 1 - leading(size)
    digits = int(np.rint(size * _POWERS[shift] if shift >= 0 else size / _POWERS[-shift]))
    if size != (digits / _POWERS[shift] if shift >= 0 else digits * _POWERS[-shift]):
        return NOT_PLAIN
    if shift < 0:
        digits, shift = digits * _TENS[-shift], 0
    while shift > 2 and digits % 1000 == 0:
        digits, shift = digits // 1000, shift - 3
    while shift > 0 and digits % 10 == 0:
        digits, shift = digits // 10, shift - 1
    whole = digits // _TENS[shift]
    at = put_integer(out, at, whole)
    out[at] = _POINT
    _put_digits(out, at + 1, digits - whole * _TENS[shift], max(shift, 1))
    return at + 1 + max(shift, 1)


@compiled_bare
def put_integer(out: Text, at: int, number: int) -> int:
    """Write an integer that is not negative; return the place behind it."""
    width = 1
    while width < len(_TENS) and number >= _TENS[width]:
        width += 1
    _put_digits(out, at, number, width)
    return at + width


@compiled_bare
def _put_digits(out: Text, at: int, number: int, width: int) -> None:
    """Write the last so many digits of a number, the last first."""
    place = at + width
    while place - at >= 2:
        place -= 2
        pair = number % 100 * 2
        out[place], out[place + 1] = _PAIRS[pair], _PAIRS[pair + 1]
        number //= 100
    if place > at:
        out[at] = _ZERO + number % 10
