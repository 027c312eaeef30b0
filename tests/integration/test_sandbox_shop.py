"""The shop as it is shipped, live: what it costs, and who suffers most from somebody else's fault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from sandbox.budget import LIMIT
from sandbox.check import load
from sandbox.control.target import Target
from sandbox.symptoms import Table, callers_of, loudest
from sandbox.system import Sandbox
from sandbox.trial import Watcher

SHOP = Path(__file__).resolve().parents[2] / "sandbox" / "scenarios" / "shop.yaml"
LOUD = 20.0  # times the ordinary: no busy machine does that to a service that is well


class Shop:
    """A system with users in it, and what its scrapes showed."""

    def __init__(self, work: Path) -> None:
        self.watcher = Watcher()
        self.sandbox = Sandbox(load(SHOP), seed=1, work=work, token="t", publisher=self.watcher, seen=self.watcher.scrapes.append)
        self.base: Table = {}

    async def seen(self, scrapes: int, enough: Callable[[Table], bool] = lambda _: True, within_s: float = 60.0) -> Table:
        """Wait for so many scrapes that show enough, and return what they show."""
        first = len(self.watcher.scrapes)
        async with asyncio.timeout(within_s):
            while len(self.watcher.scrapes) < first + scrapes or not enough(self.watcher.over(scrapes)):
                await asyncio.sleep(0.1)
        return self.watcher.over(scrapes)


def cpu_by_process() -> dict[int, float]:
    ours = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return {process.pid: sum(process.cpu_times()[:2]) for process in ours}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    running = Shop(tmp_path_factory.mktemp("shop"))
    await running.sandbox.start()
    await running.sandbox.open_doors()
    await running.seen(3, lambda seen: seen["gateway", "requests"] > 0)
    running.base = await running.seen(6)
    yield running
    await running.sandbox.stop()


CURES: dict[str, Callable[[Target], Awaitable[None]]] = {
    "slow-release": lambda inventory: inventory.deploy("3.1.0"),
    "pool": lambda inventory: inventory.set_flag("live_stock", enabled=False),
    "crash": lambda payments: payments.worsen(),
}


@pytest.mark.parametrize("fault", list(CURES))
async def test_the_loudest_symptom_is_at_a_caller_of_the_guilty_service(shop: Shop, fault: str) -> None:
    scenario = shop.sandbox.plan.scenario
    guilty = await shop.sandbox.inject(scenario.fault(fault))
    await shop.seen(5)  # none of the time before the fault, nor its first seconds
    loud = await shop.seen(4, lambda seen: (loudest(shop.base, seen) or ("", "", 0.0))[2] > LOUD)
    await CURES[fault](shop.sandbox.targets[guilty])
    found = loudest(shop.base, loud)
    assert found is not None
    assert found[0] in callers_of(scenario, guilty), found
    await shop.seen(4, lambda seen: (loudest(shop.base, seen) or ("", "", 0.0))[2] < LOUD / 2)


async def test_the_shop_with_a_surge_stays_under_the_contracts_cores(shop: Shop) -> None:
    await shop.sandbox.inject(shop.sandbox.plan.scenario.fault("surge"))
    await shop.sandbox.targets["gateway"].scale(8)  # cured: from here on all of the load is really served
    await shop.seen(3, lambda seen: seen["gateway", "requests"] > 2.5 * 40)
    before, began = cpu_by_process(), time.monotonic()
    await shop.seen(8)
    used = sum(after - before.get(pid, 0.0) for pid, after in cpu_by_process().items()) / (time.monotonic() - began)
    assert 0.2 < used < LIMIT
