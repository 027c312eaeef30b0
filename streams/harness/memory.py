"""Memory that is free is given back to the system now and then: between blocks that are in use it would stay with the process for good."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h
LARGE = 8_388_608  # bytes of a block that is given back as it is freed: a snapshot has such, a batch has none
EVERY_S = 10.0  # to look for it takes some ms, and so does asking for it anew
KEPT = 16_777_216  # bytes at the heap's end that stay when others are freed: as much as a batch takes and frees


def share_one_heap() -> None:
    """Have all threads take memory from one heap. Called before there are any: glibc decides once, when the second asks for memory.

    It would give each thread a heap of its own, and what is free at the end of such a one nobody can give back but its thread, by
    freeing a block in it: each of librdkafka's kept up to KEPT of a backlog for good.
    """
    if (mallopt := _mallopt()) is not None:
        mallopt(M_ARENA_MAX, 1)


def give_back_what_is_large() -> None:
    """Have large blocks returned to the system as soon as they are freed. glibc learns to keep what is freed often: a snapshot's worth.

    Once it is told the one bound it learns the other no more: it would give back, and ask for anew, what every batch takes.
    """
    if (mallopt := _mallopt()) is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE)
        mallopt(M_TRIM_THRESHOLD, KEPT)


def _mallopt() -> Callable[[int, int], object] | None:
    """Return how to tell glibc; another libc has its own way."""
    return getattr(ctypes.CDLL(None), "mallopt", None)


class Freed:
    """What glibc holds free; another libc has its own way."""

    def __init__(self) -> None:
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._at = -EVERY_S

    def due(self) -> bool:
        """Tell whether it was not done just before."""
        return time.monotonic() - self._at >= EVERY_S

    def give_back(self) -> None:
        """Give back what is free now, unless that was done just before."""
        now = time.monotonic()
        if self._trim is not None and now - self._at >= EVERY_S:
            self._at = now
            self._trim(ctypes.c_size_t(0))
