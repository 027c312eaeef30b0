"""An effector whose log goes, comes again, or cannot be taken over yet: nothing else ends, nothing is done twice, and it says how it is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError

from schemas.approvals import Arming
from streams.harness import beginning, effector_runner
from streams.harness.effector_runner import EffectorRunner
from streams.harness.errors import Retryable
from streams.harness.exits import EXIT_FATAL
from streams.harness.readiness import Readiness
from streams.harness.stage import Append, Intent, Output
from tests.unit.harness_parts import NOWHERE, TP, Appender, Ended, Log, end_as_exception, turns
from tests.unit.test_harness_effector import Doing, runner_of, said

LATER_MS = 253_402_300_799_999  # the end of the year 9999


@pytest.fixture(autouse=True)
def _ends(monkeypatch: pytest.MonkeyPatch) -> None:
    end_as_exception(monkeypatch)
    monkeypatch.setattr(effector_runner, "AGAIN_S", 0.0)


def going(runner: EffectorRunner, log: Log) -> asyncio.Task[None]:
    runner.resume([TP])
    return asyncio.create_task(runner._run(log))  # type: ignore[arg-type]


async def never(_: Any) -> Arming:
    await asyncio.Event().wait()
    raise AssertionError


async def test_an_effector_that_cannot_begin_yet_begins_later_and_ends_nothing_else() -> None:
    class Later(Doing):
        async def begin(self, append: Append) -> None:
            await super().begin(append)
            if self.said.count("begin") < 3:
                raise Retryable("a view was not read to its end")

    effector = Later()
    task = going(runner_of(effector), Log([said(0, "intent", "a")], committed=0))
    await turns(200)
    task.cancel()
    assert effector.said == ["fold 0", "begin", "begin", "begin", "perform a"]


async def test_a_log_that_goes_while_it_is_taken_over_is_taken_over_when_it_comes_again() -> None:
    class Epoch(Doing):
        async def begin(self, append: Append) -> None:
            if "gone" not in self.said:
                self.said.append("gone")
                await runner.pause()
            await append([Output("log", None, b"epoch")])
            self.said.append("begun")

    effector = Epoch()
    runner = runner_of(effector)
    task = going(runner, Log([said(0, "intent", "a")], committed=0))
    await turns(100)
    assert effector.said == ["fold 0", "gone"]
    runner.resume([TP])
    await turns(100)
    task.cancel()
    assert effector.said == ["fold 0", "gone", "begun", "perform a"]


async def test_who_waits_for_an_operator_says_so_again_when_the_log_went_and_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beginning, "armed_after", never)
    readiness = Readiness()
    runner = EffectorRunner(Doing(armed_start=True), NOWHERE, Appender(), instance="0", readiness=readiness)
    task = going(runner, Log([said(0, "intent", "a")], committed=None))
    await turns(60)
    await runner.pause()
    assert readiness.report() == (False, {"doing": "not assigned"})
    runner._standing_by()
    runner.resume([TP])
    await turns(60)
    task.cancel()
    assert readiness.report() == (False, {"doing": "waits for arming: airra act arm"})


async def test_an_arming_that_a_rebalance_came_across_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    async def once(_: Any) -> Arming:
        nonlocal asked
        asked += 1
        return Arming(id="arm-1", armed=True, by="ann", at=1, until=LATER_MS, cluster="c") if asked == 1 else await never(_)

    class Moving(Log):
        async def commit(self, offsets: dict[Any, int]) -> None:
            self.calls["commit"] += 1
            if self.calls["commit"] == 1:
                raise CommitFailedError("the group is rebalancing")
            await super().commit(offsets)

    monkeypatch.setattr(beginning, "armed_after", once)
    effector, log = Doing(armed_start=True), Moving([said(0, "intent", "a")], committed=None)
    task = going(runner_of(effector), log)
    await turns(100)
    task.cancel()
    assert (effector.said, log.stored) == (["begin"], 1)


async def test_where_another_was_armed_meanwhile_its_place_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given that the log went while one waited and another began it, when it comes again, then the older place is not committed."""
    heard = asyncio.Event()

    async def late(_: Any) -> Arming:
        await heard.wait()
        return Arming(id="arm-1", armed=True, by="ann", at=1, until=LATER_MS, cluster="c")

    monkeypatch.setattr(beginning, "armed_after", late)
    effector, log = Doing(armed_start=True), Log([said(0, "intent", "a")], committed=None)
    runner = runner_of(effector)
    task = going(runner, log)
    await turns(60)
    await runner.pause()
    log.records += [said(1, "intent", "b"), said(2, "result", "b"), said(3, "intent", "c")]
    log.stored = 3
    runner.resume([TP])
    heard.set()
    await turns(100)
    task.cancel()
    assert (effector.said, log.stored) == (["fold 3", "begin", "perform c"], 3)


async def test_an_effector_that_ends_begins_nothing_more() -> None:
    class Slow(Doing):
        async def perform(self, intent: Intent, append: Append) -> None:
            self.said.append(f"perform {intent.id}")
            while "fold 1" not in self.said:
                await asyncio.sleep(0)
            await turns(60)

    effector, log = Slow(), Log([said(0, "intent", "a")], committed=0)
    runner = runner_of(effector)
    runner._consumer = log  # type: ignore[assignment]
    runner._tasks = [going(runner, log)]
    while "perform a" not in effector.said:
        await asyncio.sleep(0)
    stopping = asyncio.create_task(runner.stop())
    await turns(5)
    log.records.append(said(1, "intent", "b"))
    await stopping
    assert effector.said == ["fold 0", "begin", "perform a", "fold 1"]


async def test_what_is_done_of_a_place_that_was_lost_is_cut_off() -> None:
    effector, log = Doing(), Log([said(0, "intent", "a"), said(1, "intent", "b")], committed=0)
    task = going(runner_of(effector), log)
    await turns(100)
    log.at = 0
    await turns(100)
    task.cancel()
    assert effector.said == ["fold 0", "fold 1", "begin", "perform a", "perform b", "begin", "perform a", "perform b"]
    assert effector.cancelled == 2


async def test_whoever_cuts_off_waits_until_what_ran_is_over() -> None:
    class Cleaning(Doing):
        over = False

        async def perform(self, intent: Intent, append: Append) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await turns(50)
                self.over = True

    effector = Cleaning()
    runner = runner_of(effector)
    task = going(runner, Log([said(0, "intent", "a")], committed=0))
    await turns(40)
    first = asyncio.create_task(runner.pause())
    await turns(5)
    await runner.pause()
    assert effector.over
    await first
    task.cancel()


class Trimmed(Log):
    """A log of which the beginning is taken away; who reads on before it is put there, as aiokafka does."""

    low = 0

    async def beginning_offsets(self, _: Any) -> dict[TopicPartition, int]:
        return {TP: self.low}

    def seek(self, _: Any, offset: int) -> None:
        self.at = max(offset, self.low)


async def test_an_effector_whose_log_lacks_what_comes_next_ends() -> None:
    """Given results that were taken away while another had the log, when it comes again, then nothing is done on what is left."""
    effector, log = Doing(), Trimmed([said(0, "intent", "a")], committed=0)
    runner = runner_of(effector)
    task = going(runner, log)
    await turns(60)
    await runner.pause()
    log.records += [said(1, "result", "a"), said(2, "intent", "b"), said(3, "result", "b"), said(4, "intent", "c")]
    log.low = 4
    runner.resume([TP])
    with pytest.raises(Ended) as ended:
        await asyncio.wait_for(task, 10)
    assert ended.value.code == EXIT_FATAL
    assert performed(effector.said) == ["perform a"]


def performed(told: Sequence[str]) -> list[str]:
    return [word for word in told if word.startswith("perform")]
