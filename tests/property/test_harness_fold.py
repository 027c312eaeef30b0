"""The fold of one partition: repeats change nothing, a restart at any point gives the same outputs, a hole is never folded over."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.harness.errors import Poison
from streams.harness.fold import BACKFILL_HEADER, HoleError, fold, restore
from streams.harness.snapshots import Snapshot
from streams.harness.stage import Output, Record, Stage


def _apply(state: dict[str, int], record: Record, now: int) -> list[Output]:
    if record.value == b"poison":
        raise Poison("no_number", "the value is poison")
    key = record.value.decode()
    state[key] = state.get(key, 0) + 1
    return [Output("out", None, f"{key}:{state[key]}:{now}".encode())]


STAGE: Stage[dict[str, int]] = Stage(
    "one", "log", lambda data: json.loads(data) if data else {}, _apply, lambda state: json.dumps(state).encode()
)
values = st.lists(st.sampled_from([b"a", b"b", b"poison"]), max_size=30)


def log_of(bodies: list[bytes], first: int = 0) -> list[Record]:
    return [Record("log", 0, first + index, 1000 + index, None, body) for index, body in enumerate(bodies)]


def run(records: list[Record]) -> list[Output]:
    part = restore(STAGE, 0, None, records[0].offset if records else 0)
    return [output for record in records for output in fold(STAGE, part, record)]


@given(values, st.data())
def test_repeats_change_nothing(bodies: list[bytes], draw: st.DataObject) -> None:
    records = log_of(bodies)
    part = restore(STAGE, 0, None, 0)
    outputs: list[Output] = []
    for record in records:
        outputs += fold(STAGE, part, record)
        for again in draw.draw(st.lists(st.sampled_from(records[: record.offset + 1]), max_size=2)):
            assert fold(STAGE, part, again) == ()
    assert outputs == run(records)


@given(values, st.data())
def test_a_restart_from_a_snapshot_gives_the_same_outputs(bodies: list[bytes], draw: st.DataObject) -> None:
    """Given a snapshot at one record and a crash at a later one, when the log is read again, then the rest comes out the same."""
    records = log_of(bodies, first=40)
    saved = draw.draw(st.integers(0, len(records)))
    crashed = draw.draw(st.integers(saved, len(records)))
    part = restore(STAGE, 0, None, 40)
    outputs: dict[int, list[Output]] = {record.offset: list(fold(STAGE, part, record)) for record in records[:saved]}
    snapshot = Snapshot(part.offset, 1, STAGE.snapshot(part.state))
    for record in records[saved:crashed]:
        outputs[record.offset] = list(fold(STAGE, part, record))
    again = restore(STAGE, 0, snapshot, 0)
    for record in records[saved:]:
        repeated = list(fold(STAGE, again, record))
        assert outputs.setdefault(record.offset, repeated) == repeated
    assert [output for offset in sorted(outputs) for output in outputs[offset]] == run(records)


def test_a_hole_raises_and_leaves_the_state() -> None:
    part = restore(STAGE, 0, None, 0)
    fold(STAGE, part, log_of([b"a"])[0])
    with pytest.raises(HoleError, match="ends at 0, the record in hand is 2"):
        fold(STAGE, part, Record("log", 0, 2, 0, None, b"a"))
    assert (part.offset, part.state) == (0, {"a": 1})


def test_poison_becomes_a_dead_letter_and_the_fold_goes_on() -> None:
    outputs = run(log_of([b"a", b"poison", b"a"]))
    assert [output.topic for output in outputs] == ["out", "airra.dlq.v1", "out"]
    assert outputs[1].value == b"poison"
    assert ("airra.error.reason", b"no_number") in outputs[1].headers
    assert outputs[2].value == b"a:2:1002"


def test_historical_records_are_noticed_so_that_no_ticks_are_written() -> None:
    part = restore(STAGE, 0, None, 0)
    fold(STAGE, part, Record("log", 0, 0, 0, None, b"a", ((BACKFILL_HEADER, b"1"),)))
    assert part.backfill
    fold(STAGE, part, Record("log", 0, 1, 0, None, b"a"))
    assert not part.backfill
