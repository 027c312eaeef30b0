"""Arrays on pages of their own: what was not written takes no memory, and what is let go is given back at once."""

from __future__ import annotations

import numpy as np
import psutil

from models.arrays import mapped

MB = 1_000_000


def resident() -> int:
    return int(psutil.Process().memory_info().rss)


def test_what_was_not_written_takes_no_memory_and_all_goes_back() -> None:
    large = np.ones(4_000_000)
    del large  # from now on glibc gives blocks of up to as much from its heap, and keeps what is free between others
    begun, found, others = resident(), [], []
    for _ in range(50):
        found.append(mapped((250_000,), np.float64))
        others.append(np.ones(25_000))
    used = begun + sum(one.nbytes for one in others)
    assert resident() - used < 10 * MB
    for one in found:
        one[:125_000] = 1.0
    assert 40 * MB < resident() - used < 60 * MB
    del one
    found.clear()
    assert resident() - used < 10 * MB


def test_it_is_an_array_as_any_other() -> None:
    kind = np.dtype([("a", np.int64), ("b", np.float32)], align=True)
    for rows in (0, 3, 100_000):
        found = mapped((rows,), kind)
        found["a"] = np.arange(rows)
        assert (found.shape, found.dtype, found.flags.writeable, found.flags.aligned) == ((rows,), kind, True, True)
        assert mapped((rows, 3), np.float32).shape == (rows, 3)
