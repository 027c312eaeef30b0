"""A snapshot is durable only when all that it follows from is, and only its owner writes one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from streams.harness import saver as module
from streams.harness.fold import Part
from streams.harness.snapshots import CHUNK_BYTES, Snapshot, decode, encode, superseded
from tests.unit.harness_parts import Appender, Table, echo, message, turns, worker_of

WITHIN_S = 10.0


def part(data: list[int], offset: int) -> Part:
    return Part(0, data, offset, -1)


async def test_nothing_is_saved_before_what_the_state_has_emitted_is_acknowledged(tmp_path: Path) -> None:
    appender, table = Appender(at_once=False), Table()
    worker = worker_of(echo(), tmp_path, appender, table)
    worker.parts[0] = part([], -1)
    await worker._take(message(0))
    saving = asyncio.create_task(worker._saver.save(worker.parts[0]))
    await turns()
    assert table.sent == []
    assert worker.ceiling(0) == 0
    appender.futures[0].set_result(None)
    await saving
    assert (decode(table.stands, 0) or part([], 0)).offset == 0
    assert worker.ceiling(0) == 1


@pytest.mark.parametrize(("cost_s", "parts", "wait_s"), [(0.0, 4, 1.0), (0.01, 4, 1.0), (0.1, 1, 2.0), (0.1, 4, 8.0), (1.0, 4, 30.0)])
def test_snapshots_of_all_parts_together_take_a_twentieth_of_the_time_unless_they_would_be_too_far_apart(
    cost_s: float, parts: int, wait_s: float
) -> None:
    assert module.interval_s(cost_s, parts, 30.0) == wait_s


async def test_a_part_is_due_again_only_when_its_share_of_the_workers_time_is_over(tmp_path: Path) -> None:
    worker = worker_of(echo(), tmp_path, every_s=30.0)
    worker.parts[0] = mine = part([], -1)
    await worker._take(message(0))
    await worker._saver.save(mine)
    await worker._take(message(1))
    worker._saver._cost_s[0] = 0.1
    saved_at = worker._saver._saved_at[0]
    assert [worker._saver.due(mine, saved_at + after, parts=4) for after in (7.9, 8.1)] == [False, True]
    mine.saved = mine.offset
    assert not worker._saver.due(mine, saved_at + 60, parts=4)  # nothing is new


async def test_the_manifest_is_sent_only_once_every_chunk_is_acknowledged(tmp_path: Path) -> None:
    table = Table(at_once=False)
    worker = worker_of(echo(), tmp_path, table=table)
    worker.parts[0] = part([7] * (2 * CHUNK_BYTES), 3)
    saving = asyncio.create_task(worker._saver.save(worker.parts[0]))
    await turns()
    assert [key.endswith(b"manifest") for key, _ in table.sent] == [False, False]
    table.futures[1].set_result(None)
    await turns()
    assert len(table.sent) == 2
    saving.cancel()


async def test_records_are_folded_while_a_snapshot_is_made_of_what_was_captured(tmp_path: Path) -> None:
    begun, go_on, table = threading.Event(), threading.Event(), Table()

    def capture(state: list[int]) -> Callable[[], bytes]:
        captured = bytes(state)

        def made() -> bytes:
            begun.set()
            assert go_on.wait(WITHIN_S)
            return captured

        return made

    worker = worker_of(replace(echo(), capture=capture), tmp_path, table=table)
    worker.parts[0] = part([], -1)
    await worker._take(message(0))
    before = bytes(worker.parts[0].state)
    saving = asyncio.create_task(worker._saver.save(worker.parts[0]))
    assert await asyncio.to_thread(begun.wait, WITHIN_S)
    await worker._take(message(1))
    go_on.set()
    await saving
    found = decode(table.stands, 0)
    assert found is not None
    assert (found.offset, found.data) == (0, before)
    assert worker.parts[0].offset == 1
    assert worker.ceiling(0) == 1


async def test_a_part_that_belongs_to_another_owner_by_now_is_not_saved(tmp_path: Path) -> None:
    table = Table()
    worker = worker_of(echo(), tmp_path, table=table)
    await worker._saver.save(part([1], 3))
    assert table.sent == []


async def test_what_is_committed_is_what_is_saved_and_never_what_is_folded(tmp_path: Path) -> None:
    worker = worker_of(echo(), tmp_path)
    worker.parts[0] = part([], -1)
    for offset in range(3):
        await worker._take(message(offset))
    assert worker.ceiling(0) == 0
    await worker._saver.save(worker.parts[0])
    await worker._take(message(3))
    assert worker.ceiling(0) == 3
    assert worker.ceiling(1) is None


async def test_the_snapshot_before_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    table = Table()
    worker = worker_of(echo(), tmp_path, table=table)
    worker.parts[0] = part([1], 3)
    await worker._saver.save(worker.parts[0])
    table.at_once = False
    worker.parts[0].state, worker.parts[0].offset = [1, 2], 4
    saving = asyncio.create_task(worker._saver.save(worker.parts[0]))
    await turns()
    found = decode(table.stands, 0)
    assert found is not None
    assert found.offset == 3
    saving.cancel()


async def test_bytes_of_a_snapshot_are_not_kept_once_it_stands_in_the_changelog(tmp_path: Path) -> None:
    """Given what was recovered, of an owner before too, when the next snapshot is acknowledged, then the log has it and memory has not."""
    neighbour = dict(encode(10, 1, Snapshot(9, 1, b"of another partition")))
    table = Table(data={**dict(encode(0, 0, Snapshot(2, 1, bytes([1])))), **neighbour})
    worker = worker_of(echo(), tmp_path, table=table)
    worker.parts[0] = part([1], 3)
    await worker._saver.save(worker.parts[0])
    assert table.data == neighbour
    assert {key[:4] for key in table.stands} == {b"0/1/"}
    found = decode(table.stands, 0)
    assert found is not None
    assert found.offset == 3


async def test_what_was_recovered_is_kept_until_the_next_snapshot_stands(tmp_path: Path) -> None:
    recovered = dict(encode(0, 1, Snapshot(2, 1, bytes([1]))))
    table = Table(at_once=False, data=dict(recovered))
    worker = worker_of(echo(), tmp_path, table=table)
    worker.parts[0] = part([1], 3)
    saving = asyncio.create_task(worker._saver.save(worker.parts[0]))
    await turns()
    table.futures[0].set_result(SimpleNamespace(offset=1))
    await turns()
    assert len(table.sent) == 2  # the manifest is not acknowledged yet
    assert table.data == recovered
    saving.cancel()


def test_an_owner_that_lost_its_partition_cannot_write_over_the_next_owners_snapshot() -> None:
    fresh, stale = Snapshot(100, 8, b"new"), Snapshot(60, 8, b"old")
    assert decode({**dict(encode(0, 5, fresh)), **dict(encode(0, 4, stale))}, 0) == fresh


def test_a_snapshot_whose_chunks_are_of_two_writes_is_not_read() -> None:
    """Given a write that was cut off in a slot that had been used before, when it is read, then the one before it stands."""
    size = CHUNK_BYTES + 1
    first, second, third = (Snapshot(10 * number, number, bytes([number]) * size) for number in (1, 2, 3))
    (cut, *_) = encode(0, 1, third)
    assert decode(dict([*encode(0, 1, first), *encode(0, 1, second), cut]), 0) == second
    assert decode(dict([*encode(0, 1, first), cut]), 0) is None


def test_a_snapshot_in_a_slot_of_a_later_release_is_read_and_tidied_up() -> None:
    """A static member that takes its predecessor's place has its generation, too: slots will tell processes apart, once this is read."""
    (chunk, manifest) = encode(0, 1, Snapshot(7, 1, b"later"))
    table = {key.replace(b"0/1/", b"0/1-9f3a/"): value for key, value in (chunk, manifest)}
    found = decode(table, 0)
    assert found is not None
    assert (found.offset, found.data) == (7, b"later")
    assert set(superseded(table, 0, 1)) == set(table)


async def test_what_a_snapshot_took_is_given_back_once_it_is_written_and_not_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, while_saving = [100.0], list[bool]()
    monkeypatch.setattr("streams.harness.memory.time.monotonic", lambda: now[0])
    stage = echo()
    large = replace(stage, capture=lambda state: partial(stage.snapshot, state))
    worker = worker_of(large, tmp_path)
    saver = worker._saver
    worker.parts[0] = mine = part([], -1)
    monkeypatch.setattr(saver._freed, "_trim", lambda _: while_saving.append(saver._saving.locked()))

    async def given_back() -> None:
        saver.give_back()
        if saver._giving is not None:
            await saver._giving

    await given_back()
    assert while_saving == [], "nothing was saved"
    for offset in range(3):
        await worker._take(message(offset))
        await saver.save(mine)
        await given_back()
    assert while_saving == [False], "not often"
    now[0] += 11.0
    await given_back()
    await given_back()
    assert while_saving == [False, False], "what the last one took, too; and once"


async def test_while_a_worker_runs_what_its_snapshots_took_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.harness.worker.SNAPSHOT_LOOK_S", 0.0)
    stage, given = echo(), asyncio.Event()
    worker = worker_of(replace(stage, capture=lambda state: partial(stage.snapshot, state)), tmp_path)
    worker.parts[0] = part([], -1)
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(worker._saver._freed, "_trim", lambda _: loop.call_soon_threadsafe(given.set))
    await worker._take(message(0))
    saving = asyncio.create_task(worker._save_loop())
    await asyncio.wait_for(given.wait(), WITHIN_S)
    saving.cancel()
    assert worker.parts[0].saved == 0
