"""How a role begins: with what it needs, and with a collector that leaves it alone."""

from __future__ import annotations

import gc
import json
import platform
import subprocess
import sys

import pytest

from cli.run import YOUNG, spare_the_collector

HEAVY = ("river", "scipy", "numba", "faust", "chdb", "fastapi", "anthropic", "openai")


def test_a_role_loads_nothing_of_other_commands() -> None:
    code = f"import cli.main, json, sys; cli.main.program(['worker']); print(json.dumps([one for one in {HEAVY} if one in sys.modules]))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(found.stdout) == []


def test_detect_judges_without_scipy_and_loads_it_when_it_has_caught_up() -> None:
    """River's tests of drift bring it: half of what is loaded at a start, and of what a recovery then waits for."""
    code = """
import asyncio, sys
from cli import wiring
from cli.settings import read_settings
from schemas.base import SCHEMA, canonical
from schemas.samples import TYPE_HEADER
from schemas.signals import Tick
from streams.harness.readiness import Readiness
from streams.harness.stage import Record

wiring.LATER_S, wiring.LOOK_S = float(sys.argv[1]), 0.01
readiness = Readiness()
parts = wiring.detect(read_settings(), None, readiness)
(stage,), (later,) = parts.stages, parts.plain
state = stage.restore(None)
stage.apply(state, Record(stage.topic, 0, 0, 1, None, canonical(Tick(at=1)), ((TYPE_HEADER, b"tick"), SCHEMA)), 1)
stage.snapshot(state)
before = "scipy.stats" in sys.modules

async def wait():
    stop = asyncio.Event()
    task = asyncio.create_task(later(stop))
    if sys.argv[2] == "ready":
        readiness.set("detect", True)
    else:
        asked, report = [], readiness.report
        readiness.report = lambda: asked.append(1) or report()
        while len(asked) < 3:
            await asyncio.sleep(0.01)
    if sys.argv[1:] == ["0", "ready"]:
        while "river.drift.page_hinkley" not in sys.modules and not task.done():
            await asyncio.sleep(0.01)
    stop.set()
    await task

asyncio.run(wait())
print(before, "scipy.stats" in sys.modules)
"""
    told = {
        (after, state): subprocess.run(
            [sys.executable, "-c", code, after, state], capture_output=True, text=True, check=True, timeout=60
        ).stdout
        for after, state in (("0", "ready"), ("0", "joining"), ("1000", "ready"))
    }
    assert told == {("0", "ready"): "False True\n", ("0", "joining"): "False False\n", ("1000", "ready"): "False False\n"}


def test_a_batch_of_samples_is_read_without_pandas() -> None:
    """Of pyarrow, `to_numpy` imports it, and what is imported with the first record is waited for in a recovery."""
    code = """
import sys
import numpy as np
from schemas.samples import SampleBatch, decode_batch, encode_batch
ints = np.array([1, 2])
assert decode_batch(encode_batch(SampleBatch(ints.astype(np.uint64), ints, ints / 2, ints))).offset.tolist() == [1, 2]
print("pandas" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == "False\n"


def test_what_a_role_begins_with_is_not_looked_through_for_garbage_and_what_follows_seldom() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    try:
        spare_the_collector()
        assert gc.get_freeze_count() > frozen
        assert gc.get_threshold() == (YOUNG, *before[1:])
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another libc has its own way")
def test_what_is_large_is_given_back_when_it_is_freed() -> None:
    code = """
import sys, psutil
from streams.harness.memory import give_back_what_is_large
if sys.argv[1] == "with": give_back_what_is_large()
def resident(): return psutil.Process().memory_info().rss
for _ in range(3): bytearray(30_000_000)  # glibc learns from what is freed
before, blocks, between = resident(), [], []
for _ in range(20):
    blocks.append(bytearray(10_000_000)); between.append(bytearray(100_000))
del blocks
print(resident() - before)
"""
    kept = {
        way: int(subprocess.run([sys.executable, "-c", code, way], capture_output=True, text=True, check=True, timeout=60).stdout)
        for way in ("with", "without")
    }
    assert kept["with"] < 10_000_000 < 30_000_000 < kept["without"], kept


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another libc has its own way")
def test_what_a_batch_takes_is_not_asked_for_anew_each_time() -> None:
    code = """
import resource
from streams.harness.memory import give_back_what_is_large
give_back_what_is_large()
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10): bytearray(3_000_000)
before = faults()
for _ in range(100): bytearray(3_000_000)
print(faults() - before)
"""
    asked = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout)
    assert asked < 5_000, "pages: three million bytes are 733, a hundred times over"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another libc has its own way")
def test_a_role_takes_memory_from_one_heap_however_many_threads_it_has() -> None:
    code = """
import asyncio, ctypes, threading
from cli import run
from cli.settings import read_settings

class Begun(Exception): pass

def begun(*_):
    import numpy
    threads = [threading.Thread(target=lambda: bytes(1_000_000)) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    raise Begun

run.preflight.role = lambda *_: None
run.BUILDERS = {"normalise": begun}
try:
    asyncio.run(run.serve_role("normalise", read_settings()))
except Begun:
    ctypes.CDLL(None).malloc_stats()
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stderr
    assert [line for line in told.splitlines() if line.startswith("Arena")] == ["Arena 0:"], told


def test_normalise_has_loaded_what_its_first_batch_needs() -> None:
    """What is loaded for good while messages are fetched would stand between them, and hold their memory."""
    code = """
import sys
from streams.normalise import core
from streams.normalise.times import Reach
from schemas.config.metrics import MetricsMapping
mapping = MetricsMapping.model_validate({"metrics": [{"match": "*", "kind": "up"}]})
core.load(mapping)
before = set(sys.modules)
sample = core._SAMPLE.replace(b"airra", b"checkout")
taken = core.Core(mapping, 4, 4).take_samples(("metrics", 0), [sample], [0], [core._AT], None, Reach(core._AT))
taken.outputs
print(taken.accepted, set(sys.modules) - before)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120).stdout
    assert told == "1 set()\n"
