"""A changelog is kept short, and what the group's offset needs stands in it, whoever wakes when."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from streams.harness import saver as module
from streams.harness.fold import Part
from streams.harness.snapshots import decode
from tests.unit.harness_parts import Table, echo, message, turns, worker_of


def part(data: list[int], offset: int) -> Part:
    return Part(0, data, offset, -1)


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
