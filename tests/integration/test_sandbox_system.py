"""The running system in this process: processes are replaced, die and come back, and faults are truly there and truly gone."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sandbox.check import parse
from sandbox.system import Sandbox
from sandbox.trial import Watcher

SMALL: dict[str, Any] = {
    "name": "small",
    "load": {"rps": 40, "amplitude": 0.0},
    "services": [
        {"name": "front", "entry": True, "calls": [{"to": "back"}]},
        {"name": "back", "database": {"pool": 4}, "cache": {}},
    ],
    "faults": [
        *(
            {"kind": kind, "service": "back"}
            for kind in ("memory_leak", "cpu_burn", "latency", "pool_exhausted", "cache_poisoned", "deploy")
        ),
        {"kind": "traffic_surge", "service": "back", "params": {"factor": 1.5}},
    ],
}


class Live:
    """A system with users in it, and what its scrapes showed."""

    def __init__(self, work: Path) -> None:
        self.watcher = Watcher()
        self.sandbox = Sandbox(parse(SMALL), seed=1, work=work, token="t", publisher=self.watcher, seen=self.watcher.scrapes.append)
        self.back = self.sandbox.targets["back"]

    async def until(self, what: Callable[[], bool], within_s: float = 15.0) -> None:
        async with asyncio.timeout(within_s):
            while not what():
                await asyncio.sleep(0.05)

    async def scrapes(self, count: int) -> None:
        there = len(self.watcher.scrapes)
        await self.until(lambda: len(self.watcher.scrapes) >= there + count)

    def now(self, service: str, what: str, last: int = 2) -> float:
        return self.watcher.over(last)[service, what]


# One system for all of them: each leaves it well.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Live]:
    running = Live(tmp_path_factory.mktemp("system"))
    await running.sandbox.start()
    await running.sandbox.open_doors()
    await running.scrapes(3)
    yield running
    await running.sandbox.stop()


async def test_a_new_process_takes_over_without_a_failed_request(live: Live) -> None:
    pid, incarnation = live.back.pid, live.back.incarnation
    await live.back.restart()
    await live.sandbox.inject(live.sandbox.plan.scenario.fault("deploy"))
    await live.scrapes(2)
    assert live.back.pid != pid
    assert (live.back.incarnation, live.back.release, live.back.previous_release) == (incarnation + 2, "1.0.1", "1.0.0")
    assert live.now("front", "errors", last=5) == 0
    assert live.now("back", "up", last=5) == 1
    assert live.now("front", "requests") > 10


async def test_a_process_that_dies_comes_back_and_its_callers_fail_meanwhile(live: Live) -> None:
    assert live.back.pid is not None
    incarnation = live.back.incarnation
    os.kill(live.back.pid, signal.SIGKILL)
    await live.until(lambda: not live.back.up)
    await live.until(lambda: live.back.up and live.back.incarnation == incarnation + 1)
    await live.scrapes(2)
    assert live.now("front", "errors", last=6) > 0.1
    assert min(scrape.up for scrapes in live.watcher.scrapes for scrape in scrapes if scrape.target.service == "back") is False
    assert live.now("back", "up", last=1) == 1


async def test_more_workers_cure_a_burn(live: Live) -> None:
    await live.sandbox.inject(live.sandbox.plan.scenario.fault("cpu_burn"))
    await live.until(lambda: live.now("back", "errors") > 0.1)
    await live.back.scale(8)
    await live.until(lambda: live.now("back", "errors") == 0 and live.now("back", "latency") < 0.2)
    await live.back.worsen()
    await live.back.scale(2)


async def test_a_flag_runs_the_pool_dry_and_its_toggle_fills_it(live: Live) -> None:
    await live.sandbox.inject(live.sandbox.plan.scenario.fault("pool_exhausted"))
    assert live.back.flags == {"live_reads": True}
    await live.until(lambda: live.now("back", "pool") > 0.95)
    await live.back.set_flag("live_reads", enabled=False)
    await live.until(lambda: live.now("back", "pool") < 0.1)


async def test_a_poisoned_cache_misses_until_it_is_cleared_or_the_process_is_another(live: Live) -> None:
    await live.sandbox.inject(live.sandbox.plan.scenario.fault("cache_poisoned"))
    await live.until(lambda: live.now("back", "cache") < 0.05)
    await live.back.clear_cache()
    await live.until(lambda: live.now("back", "cache") > 0.7)


async def test_a_leak_holds_real_memory_until_the_process_is_another(live: Live) -> None:
    before = live.now("back", "memory")
    await live.back.spoil("leak", mb_per_s=40)
    await live.until(lambda: live.now("back", "memory") > before + 100)
    await live.back.restart()
    await live.until(lambda: live.now("back", "memory") < before + 20)


async def test_a_slow_release_is_slow_until_it_is_rolled_back(live: Live) -> None:
    await live.sandbox.inject(live.sandbox.plan.scenario.fault("latency"))
    await live.until(lambda: live.now("front", "latency") > 0.3)
    await live.back.deploy("1.0.0")
    await live.until(lambda: live.now("front", "latency") < 0.2)


async def test_a_mild_surge_is_beyond_the_workers_until_there_are_more(live: Live) -> None:
    await live.sandbox.inject(live.sandbox.plan.scenario.fault("traffic_surge"))
    await live.until(lambda: live.now("back", "latency") > 0.3)
    await live.back.scale(4)
    await live.until(lambda: live.now("back", "errors") == 0 and live.now("back", "latency") < 0.2)
