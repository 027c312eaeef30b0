"""Run stages and effectors in this process, collect what stands on a log, wait for conditions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from streams.harness.kafka import KafkaSettings
from streams.harness.readiness import Readiness
from streams.harness.runner import serve
from streams.harness.stage import Effector, Record, Stage
from streams.harness.view import LogView

WITHIN_S = 30.0


async def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not reached():
        assert time.monotonic() < deadline, "not reached in time"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def serving(
    kafka: KafkaSettings, folder: Path, stages: Sequence[Stage[Any]] = (), effectors: Sequence[Effector] = (), instance: str = "0"
) -> AsyncIterator[Readiness]:
    readiness, stop = Readiness(), asyncio.Event()
    task = asyncio.create_task(serve(stages, effectors, (), kafka, instance, folder, readiness, stop=stop))
    try:
        await until(lambda: task.done() or len(readiness.report()[1]) == len(stages) + len(effectors))
        if task.done():
            await task
        yield readiness
    finally:
        stop.set()
        await task


@asynccontextmanager
async def collecting(kafka: KafkaSettings, topic: str) -> AsyncIterator[list[Record]]:
    records: list[Record] = []
    view = LogView(kafka, topic, records.append)
    await view.start()
    try:
        yield records
    finally:
        await view.stop()
