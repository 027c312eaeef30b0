"""What a release has saved, every later one that says so reads, and loses nothing of it."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from streams.harness.fold import restore
from streams.harness.snapshots import Snapshot
from streams.harness.stage import Stage
from tests.contract.saved_states import FOLDER, path, plain, saved, states

STAGES = ("admit", "approve", "correlate", "dedup", "detect", "reason", "report", "verify")
FILES = [(file.name.split(".")[0], int(file.name.split(".")[1])) for file in sorted(FOLDER.glob("*.z"))]


@cache
def stage_of(name: str) -> Stage[Any]:
    return states()[name][0]


def lost(before: Any, after: Any, where: str = "") -> list[str]:
    """Return the places where something of `before` is not in `after`; what was added does not matter."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            place
            for key, value in before.items()
            for place in ([f"{where}/{key}"] if key not in after else lost(value, after[key], f"{where}/{key}"))
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [place for number, (old, new) in enumerate(zip(before, after, strict=True)) for place in lost(old, new, f"{where}/{number}")]
    return [] if before == after else [where]


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_has_a_saved_state_of_its_format(name: str) -> None:
    assert path(name, stage_of(name).format).exists(), "a new format: run python -m tests.contract.saved_states"


@pytest.mark.parametrize(("name", "number"), FILES)
def test_a_saved_state_is_read_and_nothing_of_it_is_lost(name: str, number: int) -> None:
    """When this fails for the present format, the state has changed without a new one: docs/adr/0007-versions.md."""
    stage, data = stage_of(name), saved(path(name, number))
    part = restore(stage, 0, Snapshot(5, 1, data, number), 0)
    again = stage.snapshot(part.state)
    if number == stage.format:
        assert lost(plain(name, data), plain(name, again)) == []
    assert stage.snapshot(restore(stage, 0, Snapshot(5, 1, again, stage.format), 0).state) == again


def test_a_field_that_is_gone_or_has_another_value_is_seen_and_a_new_one_is_not() -> None:
    before = {"a": 1, "b": [{"c": 2}]}
    assert lost(before, {"a": 1, "b": [{"c": 2, "new": 3}], "new": 4}) == []
    assert lost(before, {"b": [{}]}) == ["/a", "/b/0/c"]
    assert lost(before, {"a": 2, "b": [{"c": 2}]}) == ["/a"]
