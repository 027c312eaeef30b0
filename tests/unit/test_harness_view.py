"""A view is behind its barrier or it is not readable; what is broken is never taken for a quiet log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import TopicPartition

from streams.harness import view as module
from streams.harness.errors import Fatal
from streams.harness.stage import Record
from streams.harness.view import LogView, ViewUnreadable
from tests.unit.harness_parts import NOWHERE, Log, message, turns

TP = TopicPartition("log", 0)


class Held(Log):
    """A log whose records are handed out only while `open`."""

    open = True

    async def getmany(self, *_: Any, timeout_ms: int = 0) -> Any:
        found = await super().getmany() if self.open else {}
        await turns(2)
        return found


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Held:
    made = Held([message(0), message(1)])
    monkeypatch.setattr(module, "AIOKafkaConsumer", made)
    monkeypatch.setattr(module, "check", lambda *_: {"log": 1})
    return made


@pytest.fixture
async def seen(log: Held) -> AsyncIterator[tuple[LogView, list[int]]]:
    offsets: list[int] = []

    def fold(record: Record) -> None:
        if record.value == b"broken":
            raise ZeroDivisionError
        offsets.append(record.offset)

    view = LogView(NOWHERE, "log", fold)
    await view.start()
    yield view, offsets
    await view.stop()


async def test_a_barrier_returns_only_once_all_that_stands_on_the_log_is_folded(seen: tuple[LogView, list[int]], log: Held) -> None:
    view, offsets = seen
    await view.wait_ready(5)
    log.open = False
    await turns()  # what is being handed out is
    log.records.append(message(2))
    with pytest.raises(ViewUnreadable, match="not read to its end"):
        await view.barrier(0.05)
    log.open = True
    assert await view.barrier(5) == {0: 3}
    assert offsets == [0, 1, 2]


async def test_a_view_is_not_ready_before_what_stood_at_its_start_is_folded(log: Held) -> None:
    log.open = False
    view = LogView(NOWHERE, "log", lambda _: None)
    await view.start()
    await turns()
    assert not view.ready
    with pytest.raises(ViewUnreadable):
        await view.wait_ready(0.05)
    await view.stop()


async def test_a_record_that_is_waited_for_is_folded_when_the_wait_ends(seen: tuple[LogView, list[int]], log: Held) -> None:
    view, offsets = seen
    log.open = False
    await turns()  # what is being handed out is
    log.records.append(message(2))
    with pytest.raises(ViewUnreadable):
        await view.wait_for(0, 2, 0.05)
    log.open = True
    await view.wait_for(0, 2, 5)
    assert offsets[-1] == 2


async def test_a_view_that_broke_says_so_to_whoever_asks(seen: tuple[LogView, list[int]], log: Held) -> None:
    view, _ = seen
    await view.wait_ready(5)
    log.records.append(message(2, b"broken"))
    with pytest.raises(Fatal, match="broken"):
        await view.barrier(5)
    assert not view.ready


async def test_views_do_not_read_what_was_aborted(seen: tuple[LogView, list[int]], log: Held) -> None:
    assert log.settings["isolation_level"] == "read_committed"
