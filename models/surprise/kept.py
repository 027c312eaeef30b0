"""What is kept of a slow leak between two hours: its numbers in one block of bytes, for as objects they take twice as many.

A snapshot holds them in full, as a `Leak`.
"""

from __future__ import annotations

from array import array
from math import isnan, nan
from struct import Struct
from typing import Any

import cramjam
import msgspec

from models.surprise.drift import Differences, Leak, Means, Sums

# hour; scale and judged by day, by week; the test's sums; since, rises, calm, day, week
_NUMBERS = Struct("<qdididdddddq?idd")
_NONE = -1  # of a time; of a mean it is NaN
_WIDTH = 4  # bytes of a mean


class Kept:
    """A leak as it is kept. Nobody changes it: what `open` gave is changed, and kept anew."""

    __slots__ = ("_packed",)

    def __init__(self, leak: Leak | None = None) -> None:
        self._packed = b"" if leak is None else _packed(leak)

    def open(self) -> Leak:
        return _opened(self._packed) if self._packed else Leak()


def plain(value: Any) -> Leak | list[float]:
    """Return what a snapshot holds of what is kept here in a form of its own. Raises NotImplementedError for another."""
    if isinstance(value, Kept):
        return value.open()
    if isinstance(value, array):
        return value.tolist()
    raise NotImplementedError(type(value))


def kept(form: type, value: Any) -> Kept | Means:
    """Return what `plain` gave as it is kept; means in four bytes a number: a list takes eight times as much."""
    if form is Kept:
        return Kept(msgspec.convert(value, Leak, dec_hook=kept))
    if form is array:
        return array("f", value)
    raise NotImplementedError(form)


def _packed(leak: Leak) -> bytes:
    hour, since = (_NONE if one is None else one for one in (leak.hour, leak.since))
    day, week = (nan if one is None else one for one in (leak.day, leak.week))
    by_day, by_week, sums = leak.by_day, leak.by_week, leak.sums
    numbers = _NUMBERS.pack(
        hour, by_day.scale, by_day.judged, by_week.scale, by_week.judged,
        sums.count, sums.mean, sums.rise, sums.fall, sums.least, sums.most,
        since, leak.rises, leak.calm, day, week,
    )  # fmt: skip
    means = leak.means.tobytes()
    planes = b"".join(means[first::_WIDTH] for first in range(_WIDTH))  # signs and exponents together: they are much alike
    return bytes(cramjam.lz4.compress_block(numbers + planes))


def _opened(packed: bytes) -> Leak:
    data = bytes(cramjam.lz4.decompress_block(packed))
    hour, by_day, days, by_week, weeks, *sums, since, rises, calm, day, week = _NUMBERS.unpack_from(data)
    planes = data[_NUMBERS.size :]
    means = bytearray(len(planes))
    for first in range(_WIDTH):
        means[first::_WIDTH] = planes[first * len(planes) // _WIDTH : (first + 1) * len(planes) // _WIDTH]
    return Leak(
        hour=None if hour == _NONE else hour,
        means=array("f", bytes(means)),
        by_day=Differences(by_day, days),
        by_week=Differences(by_week, weeks),
        sums=Sums(*sums),
        since=None if since == _NONE else since,
        rises=rises,
        calm=calm,
        day=None if isnan(day) else day,
        week=None if isnan(week) else week,
    )
