"""What is free between blocks that are in use goes back to the system, and not for every snapshot."""

from __future__ import annotations

import ctypes

import psutil
import pytest

from streams.harness import memory
from streams.harness.memory import Freed

pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="not glibc")

BLOCK, BLOCKS, ONE_KEPT_OF = 100_000, 2_000, 50


def hold_a_few_of_many() -> list[bytes]:
    blocks = [bytes(BLOCK) for _ in range(BLOCKS)]
    return blocks[::ONE_KEPT_OF]


def given_back(freed: Freed) -> int:
    process, held = psutil.Process(), hold_a_few_of_many()
    before = process.memory_info().rss
    freed.give_back()
    given = before - process.memory_info().rss
    assert len(held) == BLOCKS // ONE_KEPT_OF
    return given


def test_what_is_free_goes_back_at_most_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100.0, 100.0 + memory.EVERY_S, 100.0 + 1.5 * memory.EVERY_S])
    monkeypatch.setattr(memory.time, "monotonic", lambda: next(times))
    freed = Freed()
    assert given_back(freed) > BLOCK * BLOCKS / 2
    assert given_back(freed) > BLOCK * BLOCKS / 2
    assert given_back(freed) < BLOCK * BLOCKS / 10
