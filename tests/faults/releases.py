"""The counting stage as three releases of it: 0 knows one format of its state, 1 reads the next one too, 2 writes that one.

The second format holds the counts with the other sign: whoever takes it for the first goes on without an error, and counts wrong.
"""

from __future__ import annotations

import json
from dataclasses import replace

from streams.harness.snapshots import Snapshot
from streams.harness.stage import Stage
from tests.faults.counting import Counts


def turned(data: bytes) -> bytes:
    """Make the second format of the first, and the first of the second."""
    kept = json.loads(data)
    return json.dumps({"counts": {key: -count for key, count in kept["counts"].items()}, "sum": kept["sum"]}, sort_keys=True).encode()


def released(stage: Stage[Counts], release: int) -> Stage[Counts]:
    if release == 0:
        return stage
    if release == 1:
        return replace(stage, reads={2: turned})
    return replace(
        stage,
        format=2,
        reads={1: turned},
        restore=lambda data: Counts(None if data is None else turned(data)),
        snapshot=lambda state: turned(state.dump()),
    )


def in_first_format(snapshot: Snapshot) -> bytes:
    return snapshot.data if snapshot.format == 1 else turned(snapshot.data)
