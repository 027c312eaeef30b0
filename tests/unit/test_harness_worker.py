"""The stage's side of the consumer: where it reads on, what it refuses to read on from, and what it lets go of."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from schemas.topics import DLQ
from streams.harness import worker as module
from streams.harness.errors import Retryable
from streams.harness.exits import EXIT_FATAL, EXIT_HOLE
from streams.harness.fetched import Bounds
from streams.harness.fold import BACKFILL_HEADER, Part
from streams.harness.snapshots import Snapshot, encode
from streams.harness.stage import Output, Record, Stage
from streams.harness.worker import StageWorker
from tests.unit.harness_parts import Appender, Ended, Table, echo, end_as_exception, message, turns, worker_of


@pytest.fixture(autouse=True)
def _ends(monkeypatch: pytest.MonkeyPatch) -> None:
    end_as_exception(monkeypatch)


def saved_at(offset: int, folder: Path) -> StageWorker:
    return worker_of(echo(), folder, table=Table(data=dict(encode(0, 1, Snapshot(offset, 1, b"\x01\x02")))))


def log_of(monkeypatch: pytest.MonkeyPatch, first: int | None) -> None:
    """Let the log itself say which its first record at or after any offset is."""
    monkeypatch.setattr(module, "first_at", lambda *_: first)


async def test_reading_goes_on_behind_the_state_whatever_is_committed(tmp_path: Path) -> None:
    worker = saved_at(7, tmp_path)
    assert worker.opened(0, Bounds(committed=5, beginning=0, end=20)) == 8
    assert worker.parts[0].state == [1, 2]


async def test_without_a_snapshot_and_a_commit_reading_begins_with_the_log(tmp_path: Path) -> None:
    assert worker_of(echo(), tmp_path).opened(0, Bounds(committed=None, beginning=3, end=20)) == 3


@pytest.mark.parametrize("offset", [None, 4])
async def test_what_is_committed_and_not_in_the_state_is_never_passed_over(offset: int | None, tmp_path: Path) -> None:
    worker = worker_of(echo(), tmp_path) if offset is None else saved_at(offset, tmp_path)
    with pytest.raises(Ended) as ended:
        worker.opened(0, Bounds(committed=9, beginning=0, end=20))
    assert ended.value.code == EXIT_HOLE


async def test_a_state_beyond_the_end_of_its_log_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log_of(monkeypatch, None)
    with pytest.raises(Ended) as ended:
        saved_at(30, tmp_path).opened(0, Bounds(committed=None, beginning=0, end=20))
    assert ended.value.code == EXIT_FATAL


async def test_records_that_the_log_has_and_nobody_delivers_end_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = worker_of(echo(), tmp_path)
    worker.parts[0] = Part(0, [], 4, 4)
    log_of(monkeypatch, 6)
    assert [await worker.hole(0, 5, 9, times) for times in (1, 2)] == [5, 5]
    with pytest.raises(Ended) as ended:
        await worker.hole(0, 5, 9, 3)
    assert ended.value.code == EXIT_HOLE


async def test_a_gap_of_the_log_is_passed_only_once_what_was_delivered_before_it_is_folded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = worker_of(echo(), tmp_path)
    worker.parts[0] = Part(0, [], 2, 2)  # 3 and 4 are delivered and not folded yet
    log_of(monkeypatch, 9)
    assert await worker.hole(0, 5, 9, 3) == 9
    for offset in (3, 4, 9):
        await worker._take(message(offset))
    assert worker.parts[0].state == [3, 4, 9]


async def test_partitions_that_go_are_saved_and_forgotten(tmp_path: Path) -> None:
    worker = worker_of(echo(), tmp_path)
    worker.parts[0] = Part(0, [], -1, -1)
    await worker._take(message(0))
    part = worker.parts[0]
    await worker._revoked()
    assert part.saved == 0
    assert worker.ceiling(0) is None
    await worker._take(message(1))
    assert part.state == [0]


async def test_an_output_that_is_not_acknowledged_ends_the_process(tmp_path: Path) -> None:
    appender = Appender(at_once=False)
    worker = worker_of(echo(), tmp_path, appender)
    worker.parts[0] = Part(0, [], -1, -1)
    ends: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: ends.append(context.get("exception")))
    await worker._take(message(0))
    appender.futures[0].set_exception(OSError("the broker is gone"))
    with pytest.raises(Ended) as ended:
        worker._settled(appender.futures[0])
    assert ended.value.code == EXIT_FATAL


class Narrow(Appender):
    """Refuses what goes to `out`."""

    async def send(self, output: Output) -> asyncio.Future[Any]:
        if output.topic == "out":
            raise MessageSizeTooLargeError("too large")
        return await super().send(output)


async def test_an_output_that_its_topic_would_refuse_becomes_a_dead_letter(tmp_path: Path) -> None:
    appender = Narrow()
    worker = worker_of(echo(), tmp_path, appender)
    worker.parts[0] = Part(0, [], -1, -1)
    await worker._take(message(0))
    assert [output.topic for output in appender.outputs] == [DLQ.name]
    assert ("airra.error.reason", b"output_too_large") in appender.outputs[0].headers


async def test_outputs_of_one_record_that_are_refused_are_letters_of_their_own(tmp_path: Path) -> None:
    def apply(state: None, record: Record, now: int) -> list[Output]:
        return [Output("out", b"k", b"one"), Output("out", b"k", b"two"), Output("out", b"l", b"two"), Output("out", b"k", b"one")]

    appender = Narrow()
    worker = worker_of(Stage("echo", "log", lambda _: None, apply, lambda _: b""), tmp_path, appender)
    worker.parts[0] = Part(0, None, -1, -1)
    await worker._take(message(0))
    ids = [dict(output.headers)["airra.error.id"] for output in appender.outputs]
    assert len(set(ids)) == 3
    assert ids[0] == ids[3]


async def test_what_can_be_tried_again_is_and_what_never_succeeds_ends_the_process_uncommitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRIES_S", (0.0, 0.0))
    tried: list[int] = []

    def apply(state: None, record: Record, now: int) -> list[Output]:
        tried.append(record.offset)
        raise Retryable("not now")

    worker = worker_of(Stage("echo", "log", lambda _: None, apply, lambda _: b""), tmp_path)
    worker.parts[0] = Part(0, None, -1, -1)
    with pytest.raises(Ended) as ended:
        await worker._take(message(0))
    assert (ended.value.code, tried) == (EXIT_FATAL, [0, 0, 0])
    assert worker.ceiling(0) == 0


@pytest.mark.parametrize(("backfill", "tick", "written"), [(False, None, 1), (True, None, 0), (False, 3, 0)])
async def test_one_tick_at_a_time_is_on_its_way_and_none_while_history_passes(
    backfill: bool, tick: int | None, written: int, tmp_path: Path
) -> None:
    appender = Appender()
    worker = worker_of(echo(tick_every_s=0.0), tmp_path, appender)
    worker.parts[0] = Part(0, [], -1, -1, backfill=backfill, tick=tick)
    ticking = asyncio.create_task(worker._tick_loop(0.0))
    await turns(50)
    ticking.cancel()
    assert len(appender.outputs) == written


@pytest.mark.parametrize(("pause_s", "written"), [(3600.0, 0), (0.0, 1)])
async def test_time_goes_on_a_while_after_the_last_historical_record(
    pause_s: float, written: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given history and then silence, when it has passed for long enough, then what is live there expires and is told of again."""
    monkeypatch.setattr(module, "HISTORY_S", pause_s)
    appender = Appender()
    worker = worker_of(echo(tick_every_s=0.0), tmp_path, appender)
    worker.parts[0] = Part(0, [], -1, -1)
    historical = message(0)
    historical.headers = ((BACKFILL_HEADER, b"1"),)
    await worker._take(historical)
    ticking = asyncio.create_task(worker._tick_loop(0.0))
    await turns(50)
    ticking.cancel()
    assert sum(output.topic == "log" for output in appender.outputs) == written


async def test_a_fold_waits_where_too_much_is_not_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNACKED_OUTPUTS", 4)
    appender = Appender(at_once=False)
    worker = worker_of(echo(), tmp_path, appender)
    part = worker.parts[0] = Part(0, [], -1, -1)
    for offset in range(4):
        await worker._take(message(offset))
    waiting = asyncio.create_task(worker._take(message(4)))
    await turns()
    assert not waiting.done()
    for future in appender.futures[:2]:
        future.set_result(None)
    await waiting
    assert (part.state, len(part.unacked)) == ([0, 1, 2, 3, 4], 3)
