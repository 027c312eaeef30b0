"""What is free between blocks that are in use goes back to the system, and not for every snapshot."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import psutil
import pytest

from streams.harness import memory
from streams.harness.memory import Freed

pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="not glibc")

BLOCK, BLOCKS, ONE_KEPT_OF = 100_000, 2_000, 50
LARGE = 7_000_000  # but not so large that it is given back as it is freed


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


def test_what_another_thread_has_freed_goes_back_too() -> None:
    """At the end of a heap of its own up to KEPT would stay; a role's other threads are those of librdkafka, each with a backlog behind it."""
    code = f"""
import sys, threading, psutil
from streams.harness.memory import Freed, give_back_what_is_large, share_one_heap
if sys.argv[1] == "one":
    share_one_heap()
give_back_what_is_large()
freed, end = threading.Event(), threading.Event()
def backlog():
    block, beside = b"x" * {LARGE}, b"y" * {LARGE}
    del block, beside
    freed.set()
    end.wait()
before = psutil.Process().memory_info().rss
thread = threading.Thread(target=backlog)
thread.start()
freed.wait()
Freed().give_back()
print(psutil.Process().memory_info().rss - before)
end.set()
"""
    kept = {
        heaps: int(subprocess.run([sys.executable, "-c", code, heaps], capture_output=True, text=True, check=True, timeout=60).stdout)
        for heaps in ("one", "each")
    }
    assert kept["one"] < 2_000_000 < LARGE < kept["each"], kept
