"""The runner of effectors: reads to the end before it acts, commits below what is unfinished, stops when the partition goes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from schemas.approvals import Arming
from schemas.base import canonical
from streams.harness import arming, beginning, effector_runner
from streams.harness.effector_runner import EffectorRunner
from streams.harness.errors import Retryable
from streams.harness.readiness import Readiness
from streams.harness.stage import Append, Intent, Output, Record
from tests.unit.harness_parts import NOWHERE, TP, Appender, Log, message, turns


class Doing:
    """An effector that performs until it is let go, and remembers what it was asked."""

    name, topic, concurrency = "doing", "log", 2

    def __init__(self, *, armed_start: bool = False) -> None:
        self.armed_start = armed_start
        self.open: dict[str, Intent] = {}
        self.said: list[str] = []
        self.go = asyncio.Event()
        self.cancelled = 0

    def fold(self, record: Record) -> None:
        told = json.loads(record.value)
        self.said.append(f"fold {record.offset}")
        if told["type"] == "intent":
            self.open[told["id"]] = Intent(told["id"], record.offset, None)
        else:
            self.open.pop(told["id"], None)

    def pending(self) -> Sequence[Intent]:
        return list(self.open.values())

    async def begin(self, append: Append) -> None:
        self.said.append("begin")

    async def end(self) -> None: ...

    async def perform(self, intent: Intent, append: Append) -> None:
        self.said.append(f"perform {intent.id}")
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        await append([Output("log", None, b"")])


def said(offset: int, kind: str, name: str) -> SimpleNamespace:
    return message(offset, json.dumps({"type": kind, "id": name}).encode())


def runner_of(effector: Doing, appender: Appender | None = None) -> EffectorRunner:
    return EffectorRunner(effector, NOWHERE, appender or Appender(), instance="0", readiness=Readiness())


async def running(runner: EffectorRunner, log: Log) -> asyncio.Task[None]:
    runner.resume([TP])
    task = asyncio.create_task(runner._own(log))  # type: ignore[arg-type]
    await turns(60)
    return task


async def test_the_log_is_read_to_its_end_before_anything_is_performed() -> None:
    """Given an intent whose result stands further down the log, when an effector starts, then it is not performed."""
    effector = Doing()
    task = await running(runner_of(effector), Log([said(0, "intent", "a"), said(1, "intent", "b"), said(2, "result", "a")], committed=0))
    task.cancel()
    assert effector.said == ["fold 0", "fold 1", "fold 2", "begin", "perform b"]


async def test_nothing_at_or_above_the_earliest_unfinished_intent_is_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effector_runner, "COMMIT_EVERY_S", 0.0)
    effector = Doing()
    log = Log([said(0, "intent", "a"), said(1, "result", "a"), said(2, "intent", "b"), said(3, "intent", "c")], committed=0)
    task = await running(runner_of(effector), log)
    task.cancel()
    assert log.stored == 2


async def test_what_is_being_performed_is_cut_off_when_the_partition_goes_and_appends_nothing_more() -> None:
    effector, appender = Doing(), Appender()
    runner = runner_of(effector, appender)
    task = await running(runner, Log([said(0, "intent", "a")], committed=0))
    await runner.pause()
    assert effector.cancelled == 1
    with pytest.raises(Retryable, match="not assigned"):
        await runner.append([Output("log", None, b"")])
    assert appender.outputs == []
    task.cancel()


async def test_what_an_earlier_turn_still_has_on_its_way_is_on_the_log_before_anything_is_done_again() -> None:
    """Given an append that no broker has answered, when the partition goes and comes back, then it is waited for and its result read."""
    effector, appender, log = Doing(), Appender(at_once=False), Log([said(0, "intent", "a")], committed=0)
    effector.go.set()
    runner = runner_of(effector, appender)
    first = await running(runner, log)
    assert len(appender.futures) == 1
    await runner.pause()
    first.cancel()
    second = await running(runner, log)
    assert effector.said.count("perform a") == 1
    log.records.append(said(1, "result", "a"))
    appender.futures[0].set_result(SimpleNamespace(topic="log", partition=0, offset=1))
    await turns(60)
    second.cancel()
    assert effector.said == ["fold 0", "begin", "perform a", "fold 1", "begin"]


async def test_a_partition_that_goes_and_comes_back_within_one_fetch_begins_a_new_turn() -> None:
    effector, appender, log = Doing(), Appender(at_once=False), Log([said(0, "intent", "a")], committed=0)
    effector.go.set()
    runner = runner_of(effector, appender)
    runner.resume([TP])
    turning = asyncio.create_task(runner._run(log))  # type: ignore[arg-type]
    await turns(60)
    fetching, fetch = asyncio.Event(), log.getmany

    async def late(*tps: Any, **named: Any) -> Any:
        await fetching.wait()
        return await fetch(*tps, **named)

    log.getmany = late  # type: ignore[method-assign]
    await turns(60)
    await runner.pause()
    runner.resume([TP])
    fetching.set()
    await turns(60)
    assert effector.said.count("perform a") == 1, "what it appends is still on its way"
    log.records.append(said(1, "result", "a"))
    appender.futures[0].set_result(SimpleNamespace(topic="log", partition=0, offset=1))
    await turns(60)
    turning.cancel()
    assert effector.said == ["fold 0", "begin", "perform a", "fold 1", "begin"]


async def test_an_effector_whose_partition_goes_while_it_begins_is_not_called_ready() -> None:
    effector, readiness = Doing(), Readiness()
    runner = EffectorRunner(effector, NOWHERE, Appender(), instance="0", readiness=readiness)

    async def begin(_: Append) -> None:
        await runner.pause()

    effector.begin = begin  # type: ignore[method-assign]
    task = await running(runner, Log([said(0, "intent", "a")], committed=0))
    assert task.done()
    assert readiness.report() == (False, {"doing": "not assigned"})
    assert "perform a" not in effector.said


async def test_an_effector_that_acts_waits_for_an_operator_where_no_offset_is_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asyncio.Event()

    async def never(_: Any) -> None:
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(beginning, "armed_after", never)
    effector, log = Doing(armed_start=True), Log([said(0, "intent", "a")], committed=None)
    task = await running(runner_of(effector), log)
    task.cancel()
    assert effector.said == []
    assert log.stored is None
    assert asked.is_set()


async def test_what_stood_on_the_log_before_the_arming_is_history(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(_: Any) -> Arming:
        return Arming(id="arm-1", armed=True, by="ann", at=1, until=9, cluster="c")

    monkeypatch.setattr(beginning, "armed_after", at_once)
    effector, log = Doing(armed_start=True), Log([said(0, "intent", "a"), said(1, "intent", "b")], committed=None)
    task = await running(runner_of(effector), log)
    task.cancel()
    assert effector.said == ["begin"]
    assert log.stored == 2


async def test_another_effector_starts_at_the_beginning() -> None:
    effector = Doing()
    task = await running(runner_of(effector), Log([said(0, "intent", "a")], committed=None))
    task.cancel()
    assert effector.said == ["fold 0", "begin", "perform a"]


async def test_effectors_do_not_read_what_was_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    monkeypatch.setattr(effector_runner, "AIOKafkaConsumer", log)
    runner = runner_of(Doing())
    await runner.start()
    await runner.stop()
    assert log.settings["isolation_level"] == "read_committed"
    assert log.settings["enable_auto_commit"] is False


def arms(offset: int, *, armed: bool) -> SimpleNamespace:
    value = canonical(Arming(id=f"arm-{offset}", armed=armed, by="ann", at=1, until=9, cluster="c"))
    return SimpleNamespace(**{**vars(message(offset, value)), "headers": (("airra.type", b"arming"),)})


class Growing(Log):
    """A log that gets the rest of its records once it is read."""

    def __init__(self, before: Sequence[SimpleNamespace], later: Sequence[SimpleNamespace]) -> None:
        super().__init__(before)
        self.later = later

    async def __aiter__(self) -> Any:
        for record in [*self.records, *self.later][self.at :]:
            yield record


async def test_only_an_arming_from_now_on_arms_and_a_disarming_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Growing([arms(0, armed=True)], [message(1), arms(2, armed=False), arms(3, armed=True)])

    async def end(_: Any) -> dict[Any, int]:
        return {arming.TopicPartition("airra.approvals.v1", 0): len(log.records)}

    log.end_offsets = end  # type: ignore[method-assign]
    monkeypatch.setattr(arming, "AIOKafkaConsumer", log)
    monkeypatch.setattr(arming, "check", lambda *_: None)
    assert (await arming.armed_after(NOWHERE)).id == "arm-3"
    assert log.settings["isolation_level"] == "read_committed"


class Elsewhere(Log):
    """A partition that goes and comes back within one fetch, read on from what another owner committed meanwhile."""

    def __init__(self, runner: EffectorRunner, records: Sequence[SimpleNamespace], known: int) -> None:
        super().__init__(records, committed=0)
        self.runner, self.known, self.moved = runner, known, False

    async def end_offsets(self, _: Any) -> dict[Any, int]:
        return {TP: len(self.records) if self.moved else self.known}

    async def getmany(self, *tps: Any, timeout_ms: int = 0) -> dict[Any, list[SimpleNamespace]]:
        if self.at < self.known or self.moved:
            return await super().getmany(*tps, timeout_ms=timeout_ms)
        if not self.moved and cast("Doing", self.runner.effector).said[-1] == "perform a":
            self.moved = True
            await self.runner.pause()
            self.runner.resume([TP])
            self.at = self.known + 1
            return await super().getmany(*tps, timeout_ms=timeout_ms)
        await asyncio.sleep(0)
        return {}


async def test_what_another_owner_wrote_within_one_fetch_is_not_passed_over() -> None:
    """Given that another ended `a` and committed beyond it, when the partition is back within one fetch, then `a` is not done again."""
    effector = Doing()
    runner = runner_of(effector)
    log = Elsewhere(runner, [said(0, "intent", "a"), said(1, "result", "a"), said(2, "intent", "b")], known=1)
    runner.resume([TP])
    task = asyncio.create_task(runner._run(log))  # type: ignore[arg-type]
    await turns(200)
    task.cancel()
    assert effector.said == ["fold 0", "begin", "perform a", "fold 1", "fold 2", "begin", "perform b"]


async def test_what_another_began_until_this_one_took_over_is_known_before_anything_is_done() -> None:
    """Given that the owner before ends `a` while this one takes over, when that stands on the log, then `a` is not done again."""

    class Taking(Doing):
        async def begin(self, append: Append) -> None:
            await super().begin(append)
            log.records += [said(1, "intent", "b"), said(2, "result", "a")]

    effector = Taking()
    log = Log([said(0, "intent", "a")], committed=0)
    task = await running(runner_of(effector), log)
    task.cancel()
    assert effector.said == ["fold 0", "begin", "fold 1", "fold 2", "perform b"]
