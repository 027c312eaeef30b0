"""How a role begins: with what it needs, and with a collector that leaves it alone."""

from __future__ import annotations

import gc
import json
import subprocess
import sys

from cli.run import YOUNG, spare_the_collector

HEAVY = ("river", "scipy", "numba", "faust", "chdb", "fastapi", "anthropic", "openai")


def test_a_role_loads_nothing_of_other_commands() -> None:
    code = f"import cli.main, json, sys; cli.main.program(['worker']); print(json.dumps([one for one in {HEAVY} if one in sys.modules]))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(found.stdout) == []


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
