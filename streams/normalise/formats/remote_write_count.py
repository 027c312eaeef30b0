"""What a remote_write request holds, counted for the answer to its sender, and what of it normalise is going to refuse.

A sample is refused for its time, or for its labels, of which `describe` judges; that takes some 12 µs a series, so labels that were found
sound are remembered. What only the mapping or the clock can judge (no service, too old) is not asked here: that may change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.port import Sample
from streams.normalise.formats.remote_write import RemoteWrite, RemoteWrite2
from streams.normalise.formats.remote_write_kernel import Columns, read_columns
from streams.normalise.formats.remote_write_keys import describe
from streams.normalise.formats.wire import LEN, fields, put, tag
from streams.normalise.raw import untimely
from streams.normalise.series import NAME, NAME_CHARS
from streams.normalise.times import LATEST_MS

KNOWN_KEYS = 1_000_000  # sound ones that are remembered; then it begins anew
SHOWN_FIELDS = 8

_PART = tag(4, LEN)  # of a key: which series of a native histogram it is; see remote_write_keys.py
_BUCKET, _COUNT, _SUM = b"_bucket", b"_count", b"_sum"
_MAY_BE_PARTS = tuple(put(4, part) for part in (_BUCKET, _COUNT, _SUM))

# By their hashes, which Python keys with a secret of the process: 70 to 100 bytes each, however long the labels are. That a bad key has
# the hash of a sound one is a chance of one in 10**13; then normalise refuses what was told as taken, as it does for want of a service.
_sound: set[int] = set()


@dataclass(frozen=True, slots=True)
class Written:
    """What is taken of a request, and how many samples are not."""

    samples: int
    histograms: int = 0
    exemplars: int = 0  # passed over: nothing downstream has a use for them
    refused: int = 0  # samples

    @property
    def headers(self) -> dict[str, str]:
        """Say what was taken, as 2.0 wants it said."""
        begin = "X-Prometheus-Remote-Write"
        return {
            f"{begin}-Samples-Written": str(self.samples),
            f"{begin}-Histograms-Written": str(self.histograms),
            f"{begin}-Exemplars-Written": "0",
        }


class _Version(NamedTuple):
    message: str  # as a content-type names it
    read: Callable[[bytes], list[Sample | Rejection]]
    known: frozenset[int]  # the tags of its fields
    series: int  # of them, that of a time series
    parts: tuple[int, int, int]  # the tags in a time series of samples, histograms and exemplars


_ONE = _Version(
    "prometheus.WriteRequest",
    RemoteWrite().read,
    frozenset({tag(1, LEN), tag(3, LEN)}),
    tag(1, LEN),
    (tag(2, LEN), tag(4, LEN), tag(3, LEN)),
)
_TWO = _Version(
    "io.prometheus.write.v2.Request",
    RemoteWrite2().read,
    frozenset({tag(4, LEN), tag(5, LEN)}),
    tag(5, LEN),
    (tag(2, LEN), tag(3, LEN), tag(4, LEN)),
)


def count(body: bytes) -> tuple[Written, Rejection | None]:
    """Count a request of 1.0; raises Rejected for one that cannot be read at all, and returns why a part of it is not taken."""
    found = read_columns([body])
    return _one_by_one(body, _ONE, _TWO) if found.left[0] else _columns(body, found)


def count_2(body: bytes) -> tuple[Written, Rejection | None]:
    """Count a request of 2.0, as `count`."""
    return _one_by_one(body, _TWO, _ONE)


def _columns(body: bytes, found: Columns) -> tuple[Written, Rejection | None]:
    firsts = np.flatnonzero(np.diff(found.key_start, prepend=-1))  # samples of one series follow each other
    places = zip(found.key_start[firsts].tolist(), found.key_end[firsts].tolist(), strict=True)
    keys = [body[start:end] for start, end in places]
    wild = (found.at < 0) | (found.at >= LATEST_MS)
    faults = _faults(keys)
    bad = wild
    if faults:
        lengths = np.diff(firsts, append=len(found.at))
        bad = wild | np.repeat(np.array([key in faults for key in keys], np.bool_), lengths)
    refused = int(np.count_nonzero(bad))
    why = next(iter(faults.values()), None)
    if why is None and refused:
        why = untimely(int(found.at[wild][0]))
    return Written(len(found.at) - refused, refused=refused), why


def _one_by_one(body: bytes, version: _Version, other: _Version) -> tuple[Written, Rejection | None]:
    came = _tally(body, version, other)
    items = version.read(body)
    faults = _faults({one.key for one in items if isinstance(one, Sample)})
    why: Rejection | None = None
    samples = histograms = 0
    whole = True  # the histogram whose series are being looked at: it is taken with all of them
    for one in items:
        fault = one if isinstance(one, Rejection) else faults.get(one.key) or _wild(one.at or 0)
        why = why or fault
        if isinstance(one, Rejection):  # how many samples it stands for, the tally knows
            continue
        part = _part(one.key) if came.histograms else b""
        if not part:
            samples += fault is None
            continue
        whole = whole and fault is None
        if part == _SUM:  # the last of a histogram
            histograms += whole
            whole = True
    return Written(samples, histograms, came.exemplars, came.samples - samples), why


def _tally(body: bytes, version: _Version, other: _Version) -> Written:
    """Count what came; raise Rejected for a body that is not of this version: protobuf itself would read nothing out of it."""
    tags: set[int] = set()
    found: list[int] = []
    for outer, _, start, end, _ in fields(body):
        tags.add(outer)
        if outer == version.series:
            found += [field for field, *_ in fields(body, start, end)]
    if tags and not tags & version.known:
        numbers = ", ".join(str(one >> 3) for one in sorted(tags)[:SHOWN_FIELDS])
        hint = f"; it looks like {other.message}, which its content-type is to say" if tags <= other.known else ""
        raise Rejected(Reason.WRONG_TYPE, f"nothing of {version.message} is in it, but fields of number {numbers}{hint}")
    return Written(*(found.count(one) for one in version.parts))


def _faults(keys: Collection[bytes]) -> dict[bytes, Rejection]:
    """Return what is wrong with those that normalise will not take."""
    faults: dict[bytes, Rejection] = {}
    if _sound.issuperset(map(hash, keys)):  # so it is with nearly every request
        return faults
    for key in [key for key in keys if hash(key) not in _sound]:
        fault = _fault(key)
        if fault is not None:
            faults[key] = fault
            continue
        if len(_sound) >= KNOWN_KEYS:
            _sound.clear()
        _sound.add(hash(key))
    return faults


def _fault(key: bytes) -> Rejection | None:
    try:
        name = describe(key).labels[NAME]
    except Rejected as refused:
        return refused.rejection
    if len(name) > NAME_CHARS:
        return Rejection(Reason.TOO_LARGE, f"a metric name of {len(name)} characters, at most {NAME_CHARS}: {name[:64]!r}")
    return None


def _wild(at: int) -> Rejection | None:
    return None if 0 <= at < LATEST_MS else untimely(at)


def _part(key: bytes) -> bytes:
    """Return which series of a native histogram this is, nothing for any other series."""
    if not any(one in key for one in _MAY_BE_PARTS):  # most are none, which is soon seen; a label's value may hold these bytes
        return b""
    return next((key[start:end] for found, _, start, end, _ in fields(key) if found == _PART), b"")
