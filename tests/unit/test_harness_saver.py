"""A snapshot is durable only when all that it follows from is, and only its owner writes one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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


async def test_a_broker_that_does_not_answer_to_the_tidying_of_the_changelog_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    class Unanswered:
        def result(self, _: float) -> None:
            raise TimeoutError

    def delete_records(places: list[Any]) -> dict[int, Unanswered]:
        asked.append(places[0].offset)
        return {0: Unanswered()}

    monkeypatch.setattr(module, "TRIM_AFTER_RECORDS", 1)
    table: Any = Table()
    table.changelog_topic = SimpleNamespace(get_topic_name=lambda: "changelog")
    worker: Any = worker_of(echo(), tmp_path, table=table)
    worker._saver._admin = SimpleNamespace(delete_records=delete_records)
    worker.parts[0] = part([], -1)
    for offset in range(3):
        await worker._take(message(offset))
        await worker._saver.save(worker.parts[0])
        worker.committed(0, offset + 1)
    assert len(asked) == 2
    assert worker.ceiling(0) == 3


async def test_what_lies_there_from_before_this_process_is_tidied_up_with_its_second_snapshot(tmp_path: Path) -> None:
    asked: list[int] = []

    class Answered:
        def result(self, _: float) -> None: ...

    def delete_records(places: list[Any]) -> dict[int, Answered]:
        asked.append(places[0].offset)
        return {0: Answered()}

    table: Any = Table()
    table.changelog_topic = SimpleNamespace(get_topic_name=lambda: "changelog")
    worker: Any = worker_of(echo(), tmp_path, table=table)
    worker._saver._admin = SimpleNamespace(delete_records=delete_records)
    worker.parts[0] = part([], -1)
    firsts = []
    for offset in range(4):
        await worker._take(message(offset))
        firsts.append(len(table.sent) + 1)  # the offset that its first record gets
        await worker._saver.save(worker.parts[0])
        worker.committed(0, offset + 1)
    assert asked == firsts[:1]


class Changelog(Table):
    """A changelog that two owners share: what is deleted of its beginning is gone; records stand at 1, 2 and so on."""

    def delete_below(self, _partition: int, offset: int) -> None:
        self.sent = [(b"", None)] * (offset - 1) + self.sent[offset - 1 :]


@pytest.mark.parametrize("late", [False, True])
async def test_an_owner_that_was_stopped_before_it_wrote_never_deletes_the_next_owners_snapshot(
    late: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an old state that is written behind the newest, when its writer saves once more, then what the group's offset needs stands."""
    monkeypatch.setattr(module, "TRIM_AFTER_RECORDS", 1)
    log, go_on = Changelog(), asyncio.Event()

    def owner(name: str, generation: int) -> Any:
        worker: Any = worker_of(echo(), tmp_path / name, table=log)
        worker._saver._app = SimpleNamespace(consumer_generation_id=generation)
        worker._saver._delete_below = log.delete_below
        worker.parts[0] = Part(0, [], -1, -1)
        return worker

    async def fold(worker: Any, offsets: range) -> None:
        for offset in offsets:
            await worker._take(message(offset))

    old = owner("old", 1)
    await fold(old, range(1))
    await old._saver.save(old.parts[0])
    old.committed(0, 1)
    await fold(old, range(1, 3))
    write = old._saver._write

    async def stopped(*found: Any) -> int:
        await go_on.wait()
        return int(await write(*found))

    monkeypatch.setattr(old._saver, "_write", stopped)
    saving = asyncio.create_task(old._saver.save(old.parts[0]))
    await turns()
    if not late:
        go_on.set()
        await saving
    new = owner("new", 2)
    await fold(new, range(9))
    await new._saver.save(new.parts[0])
    new.committed(0, 9)
    go_on.set()
    await saving
    await fold(old, range(3, 5))
    await old._revoked()
    found = decode(log.stands, 0)
    assert found is not None
    assert found.offset + 1 == new.ceiling(0) == 9


async def test_nothing_is_deleted_below_a_snapshot_after_which_no_commit_was_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(module, "TRIM_AFTER_RECORDS", 1)
    worker: Any = worker_of(echo(), tmp_path)
    worker._saver._delete_below = lambda _, offset: asked.append(offset)
    worker.parts[0] = part([], -1)
    for offset in range(4):
        await worker._take(message(offset))
        await worker._saver.save(worker.parts[0])
        worker.committed(0, offset)  # of the snapshot before: it may have been taken before this one stood
    assert asked == []
    worker.committed(0, 4)
    await worker._take(message(4))
    await worker._saver.save(worker.parts[0])
    assert len(asked) == 1


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
