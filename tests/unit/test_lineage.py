"""A log that was made anew, or restored elsewhere: nobody goes on in it with the offsets of the old one, and nobody passes over it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from streams.harness import beginning, lineage
from streams.harness import view as view_module
from streams.harness.errors import Fatal, Retryable, Unfit
from streams.harness.exits import EXIT_FATAL
from streams.harness.fetched import Bounds
from streams.harness.snapshots import Snapshot, decode, encode
from streams.harness.stage import AnotherLog
from streams.harness.view import LogView
from streams.harness.worker import StageWorker
from tests.unit.harness_parts import NOWHERE, Ended, Log, Table, echo, end_as_exception, message, worker_of
from tests.unit.test_harness_effector import Doing, runner_of, running, said


@pytest.fixture(autouse=True)
def _ends(monkeypatch: pytest.MonkeyPatch) -> None:
    end_as_exception(monkeypatch)


def saved_of(log: str, folder: Path, **named: Any) -> StageWorker:
    """Return a worker on the log `new` whose state was saved at offset 7 of another."""
    worker = worker_of(echo(**named), folder, table=Table(data=dict(encode(0, 1, Snapshot(7, 1, b"\x01\x02", log=log)))))
    worker._log_id = "new"
    return worker


def test_a_stage_whose_state_is_of_another_log_is_not_run_and_the_procedure_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unfit, match="airra-echo-state-changelog") as told:
        saved_of("old", tmp_path).opened(0, Bounds(committed=None, beginning=0, end=20))
    assert "airra act arm" in str(told.value)


def test_a_stage_whose_state_is_about_its_sources_keeps_it_and_reads_the_new_log_from_its_beginning(tmp_path: Path) -> None:
    worker = saved_of("old", tmp_path, another_log=AnotherLog.GO_ON)
    assert worker.opened(0, Bounds(committed=9, beginning=3, end=20)) == 3
    assert worker.parts[0].state == [1, 2]
    assert not worker.parts[0].dirty


@pytest.mark.parametrize("log", ["new", ""])
def test_a_state_of_this_log_or_of_a_release_that_did_not_say_goes_on_where_it_ends(log: str, tmp_path: Path) -> None:
    assert saved_of(log, tmp_path).opened(0, Bounds(committed=5, beginning=0, end=20)) == 8


def test_a_snapshot_of_this_log_counts_before_one_of_another_that_stands_higher() -> None:
    table = dict(encode(0, 1, Snapshot(900, 5, b"old", log="old"))) | dict(encode(0, 2, Snapshot(3, 6, b"new", log="new")))
    assert decode(table, 0, "new") == Snapshot(3, 6, b"new", log="new")
    assert decode(table, 0, "old") == Snapshot(900, 5, b"old", log="old")


async def test_what_is_saved_names_the_log_that_it_was_folded_from(tmp_path: Path) -> None:
    worker = saved_of("new", tmp_path)
    worker.opened(0, Bounds(committed=None, beginning=0, end=20))
    await worker._take(message(8))
    await worker._saver.save(worker.parts[0])
    found = decode(worker._saver._table.stands, 0)
    assert found is not None
    assert (found.offset, found.log) == (8, "new")


async def test_a_process_ends_when_one_of_its_topics_is_another_and_waits_where_the_broker_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter([Fatal("away"), {"a": "1"}, {"a": "1", "b": "2"}, {"a": "1", "b": "3"}])

    def ids(*_: Any) -> dict[str, str]:
        found = next(told)
        if isinstance(found, Fatal):
            raise found
        return found

    monkeypatch.setattr(lineage, "topic_ids", ids)
    with pytest.raises(Ended) as ended:
        await asyncio.wait_for(lineage.watch(NOWHERE, {"a": "1", "b": "2"}, every_s=0.0), 10)
    assert ended.value.code == EXIT_FATAL
    assert next(told, None) is None


async def test_an_effector_that_acts_does_not_start_from_an_offset_beyond_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given offsets of another log, when execute starts, then it waits for an operator as if it had none."""
    asked = asyncio.Event()

    async def never(_: Any) -> None:
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(beginning, "armed_after", never)
    monkeypatch.setattr(beginning, "first_at", lambda *_: None)
    effector = Doing(armed_start=True)
    task = await running(runner_of(effector), Log([said(0, "intent", "a")], committed=40))
    await asyncio.wait_for(asked.wait(), 10)
    task.cancel()
    assert effector.said == []


async def test_an_effector_whose_log_has_become_shorter_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beginning, "first_at", lambda *_: None)
    log = Log([said(0, "intent", "a"), said(1, "result", "a")], committed=0)
    runner = runner_of(Doing())
    task = await running(runner, log)
    log.records, log.at = [said(0, "intent", "b")], 0
    with pytest.raises(Retryable, match="its place in log was lost"):
        await asyncio.wait_for(task, 10)
    with pytest.raises(Fatal, match="is shorter now"):
        await runner._own(log)  # type: ignore[arg-type]


async def test_an_effector_that_lost_its_place_and_has_it_again_reads_on_where_it_was() -> None:
    effector = Doing()
    log = Log([said(0, "intent", "a"), said(1, "result", "a")], committed=0)
    runner = runner_of(effector)
    task = await running(runner, log)
    log.at = 0
    log.records.append(said(2, "intent", "b"))
    with pytest.raises(Retryable, match="its place in log was lost"):
        await asyncio.wait_for(task, 10)
    task = await running(runner, log)
    task.cancel()
    assert effector.said == ["fold 0", "fold 1", "begin", "fold 2", "begin", "perform b"]


async def test_a_view_of_a_log_that_has_become_shorter_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log([message(0), message(1)])
    monkeypatch.setattr(view_module, "AIOKafkaConsumer", log)
    monkeypatch.setattr(view_module, "check", lambda *_: {"log": 1})
    view = LogView(NOWHERE, "log", lambda _: None)
    await view.start()
    await view.wait_ready(5)
    log.records, log.at = [message(0)], 0
    with pytest.raises(Fatal, match="is shorter now"):
        await view.wait_for(0, 5)
    await view.stop()


class Future:
    def result(self, _: float) -> SimpleNamespace:
        return SimpleNamespace(topic_id="x")


class Idle:
    """A client without outstanding requests, as librdkafka's: its length is 0, and it is false."""

    def __len__(self) -> int:
        return 0

    def describe_topics(self, *_: Any, **__: Any) -> dict[str, Future]:
        return {"log": Future()}


def test_the_ids_of_topics_are_asked_of_the_client_that_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "admin_client", lambda _: pytest.fail("a new client every time"))
    admin: Any = Idle()
    assert lineage.topic_ids(NOWHERE, ["log"], admin) == {"log": "x"}
