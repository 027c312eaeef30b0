"""Hand-written fakes round the harness: a broker that acknowledges when the test says so, a table, a log that grows."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from schemas.base import Position
from streams.harness import exits
from streams.harness.kafka import KafkaSettings
from streams.harness.producer import KafkaAppender
from streams.harness.readiness import Readiness
from streams.harness.stage import Output, Record, Stage
from streams.harness.worker import StageWorker

NOWHERE = KafkaSettings("127.0.0.1:1")
TP = TopicPartition("log", 0)


class Ended(BaseException):
    """Stands for the end of the process; nothing may catch it."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def end_as_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr(exits, "_end", end)


class Appender(KafkaAppender):
    """Keeps what is sent; acknowledges at once, or when the test resolves `futures`."""

    def __init__(self, *, at_once: bool = True) -> None:
        super().__init__(NOWHERE)
        self.outputs: list[Output] = []
        self.futures: list[asyncio.Future[Any]] = []
        self.at_once = at_once

    async def send(self, output: Output) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.outputs.append(output)
        self.futures.append(future)
        if self.at_once:
            future.set_result(SimpleNamespace(topic=output.topic, partition=output.partition or 0, offset=len(self.outputs) + 100))
        return future

    async def send_together(self, outputs: Sequence[Output]) -> list[asyncio.Future[Any]]:
        return [await self.send(output) for output in outputs]

    async def __call__(self, outputs: Sequence[Output]) -> Sequence[Position]:
        done = [await (await self.send(output)) for output in outputs]
        return [Position(topic=one.topic, partition=one.partition, offset=one.offset) for one in done]


@dataclass
class Table:
    """A Faust table: what is sent to its changelog is acknowledged at once, or when the test resolves `futures`."""

    at_once: bool = True
    data: dict[bytes, bytes] = field(default_factory=dict)
    sent: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    futures: list[asyncio.Future[Any]] = field(default_factory=list)

    @property
    def stands(self) -> dict[bytes, bytes]:
        """What a recovery from the changelog would find."""
        return {key: value for key, value in dict(self.sent).items() if value is not None}

    def send_changelog(self, partition: int, key: bytes, value: bytes | None) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.sent.append((key, value))
        self.futures.append(future)
        if self.at_once:
            future.set_result(SimpleNamespace(offset=len(self.sent)))
        return future


def echo(**named: Any) -> Stage[list[int]]:
    """Return a stage that keeps the offsets it folded and emits each record."""

    def apply(state: list[int], record: Record, now: int) -> list[Output]:
        state.append(record.offset)
        return [Output("out", record.key, record.value)]

    return Stage("echo", "log", lambda data: [*(data or b"")], apply, bytes, **named)


def worker_of(
    stage: Stage[Any], folder: Path, appender: KafkaAppender | None = None, table: Table | None = None, every_s: float = 1.0
) -> StageWorker:
    made = StageWorker(
        stage,
        NOWHERE,
        appender or Appender(),
        instance="0",
        data_dir=folder,
        partitions=1,
        readiness=Readiness(),
        snapshot_every_s=every_s,
    )
    made._saver._table = table or Table()
    made._saver._app = SimpleNamespace(consumer_generation_id=1)
    return made


def message(offset: int, value: bytes = b"x") -> SimpleNamespace:
    return SimpleNamespace(topic="log", partition=0, offset=offset, timestamp=offset / 1000, key=None, value=value, headers=())


class Log:
    """The client's side of one partition, as aiokafka's consumer shows it."""

    def __init__(self, records: Sequence[SimpleNamespace] = (), committed: int | None = None) -> None:
        self.records = list(records)
        self.stored = committed
        self.at = 0
        self.calls: Counter[str] = Counter()
        self.settings: dict[str, Any] = {}

    def __call__(self, **settings: Any) -> Log:
        """Stand in for the class: a test replaces AIOKafkaConsumer with this."""
        self.settings = settings
        return self

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def subscribe(self, topics: Sequence[str], listener: Any = None) -> None: ...

    def assign(self, partitions: Sequence[Any]) -> None: ...

    def assignment(self) -> set[TopicPartition]:
        return {TP}

    async def committed(self, _: Any) -> int | None:
        return self.stored

    async def commit(self, offsets: dict[Any, int]) -> None:
        (self.stored,) = offsets.values()

    async def beginning_offsets(self, _: Any) -> dict[TopicPartition, int]:
        return {TP: 0}

    async def end_offsets(self, _: Any) -> dict[TopicPartition, int]:
        return {TP: len(self.records)}

    def seek(self, _: Any, offset: int) -> None:
        self.at = offset

    async def position(self, _: Any) -> int:
        return self.at

    async def getmany(self, *_: Any, timeout_ms: int = 0) -> dict[TopicPartition, list[SimpleNamespace]]:
        await asyncio.sleep(0)
        found, self.at = self.records[self.at : self.at + 1], min(self.at + 1, len(self.records))
        return {TP: found} if found else {}


async def turns(number: int = 20) -> None:
    """Let every task run that can."""
    for _ in range(number):
        await asyncio.sleep(0)
