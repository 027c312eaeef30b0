"""What the corrected consumer hands to the agent, and where it reads on."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP as FAUST_TP

from streams.harness import consumer as consumer_module
from streams.harness.consumer import CorrectedConsumer, CorrectedThread
from streams.harness.fetched import Bounds, Fetched
from streams.harness.recovery import RENEW_S
from tests.unit.harness_parts import echo, worker_of

TP = TopicPartition("log", 0)


class Thread:
    """Remembers seeks."""

    def __init__(self) -> None:
        self.sought: Counter[Any] = Counter()
        self.seeks: list[dict[Any, int]] = []
        self.given: list[dict[Any, int]] = []

    async def bounds(self, tps: list[Any]) -> dict[Any, Bounds]:
        return {tp: Bounds(None, 0, 9) for tp in tps}

    async def seek_all(self, offsets: dict[Any, int]) -> None:
        self.seeks.append(offsets)

    def seek_soon(self, offsets: dict[Any, int]) -> None:
        self.seeks.append(offsets)

    def give_back(self, fetched: Fetched, offsets: dict[Any, int]) -> None:
        self.given.append(offsets)

    def position_of(self, tp: Any) -> int | None:
        return 32


class Owner:
    """A stage whose state ends before `following`."""

    source = "log"

    def __init__(self, following: int = 0) -> None:
        self.following = following
        self.holes: list[tuple[int, int, int]] = []

    def opened(self, partition: int, bounds: Bounds) -> int:
        return self.following

    def ceiling(self, partition: int) -> int | None:
        return 4

    async def hole(self, partition: int, expected: int, found: int, times: int) -> int:
        self.holes.append((expected, found, times))
        return expected


@pytest.fixture
def consumer(tmp_path: Path) -> Any:
    made: Any = worker_of(echo(), tmp_path).app.consumer
    assert isinstance(made, CorrectedConsumer)
    made._owner, made._thread, made.delivered = Owner(), Thread(), []
    made.assignment = lambda: {TP}
    made._to_message = lambda _tp, record: record

    async def callback(record: Any) -> None:
        made.delivered.append(record.offset)

    async def first(*awaited: Any) -> None:  # Faust's own waits for the end of a service too, and none was started here
        _, pending = await asyncio.wait([asyncio.ensure_future(one) for one in awaited], return_when=asyncio.FIRST_COMPLETED)
        for one in pending:
            one.cancel()

    made.callback, made.wait_first = callback, first
    made.resume_flow()
    return made


def fetched(*offsets: int) -> Fetched:
    return Fetched({TP: [SimpleNamespace(offset=offset) for offset in offsets]}, Counter())


async def test_a_partition_is_sought_to_where_its_state_ends(consumer: Any) -> None:
    consumer._owner.following = 5
    await consumer.perform_seek()
    assert consumer._thread.seeks == [{TP: 5}]
    await consumer._deliver(fetched(3, 4, 5, 6))
    assert consumer.delivered == [5, 6]


async def test_nothing_is_delivered_of_a_partition_that_is_not_opened(consumer: Any) -> None:
    await consumer._deliver(fetched(0, 1))
    assert consumer.delivered == []


async def test_what_comes_twice_is_delivered_once(consumer: Any) -> None:
    await consumer.perform_seek()
    await consumer._deliver(fetched(0, 1, 1, 0, 2))
    assert consumer.delivered == [0, 1, 2]


async def test_nothing_beyond_a_hole_is_delivered_and_it_is_read_again(consumer: Any) -> None:
    await consumer.perform_seek()
    await consumer._deliver(fetched(0, 3, 4))
    assert consumer.delivered == [0]
    assert consumer._owner.holes == [(1, 3, 1)]
    assert consumer._thread.seeks[-1] == {TP: 1}
    await consumer._deliver(fetched(3, 4))
    assert consumer._owner.holes[-1] == (1, 3, 2)
    await consumer._deliver(fetched(1, 2, 3, 4))
    assert consumer.delivered == [0, 1, 2, 3, 4]


async def test_a_record_that_a_rebalance_drops_does_not_count_as_delivered(consumer: Any) -> None:
    """Given a rebalance while a record is handed over, when the flow goes on, then that record is the next one still."""
    await consumer.perform_seek()

    async def revoked(record: Any) -> None:
        consumer.stop_flow()

    consumer.callback = revoked
    await consumer._deliver(fetched(0, 1))
    assert consumer.run.expected(0) is None
    consumer.callback = None  # nothing is delivered before the seek
    await consumer._deliver(fetched(1, 2))
    consumer.resume_flow()
    await consumer.perform_seek()
    assert consumer._thread.seeks[-1] == {TP: 0}


async def test_a_record_in_hand_while_partitions_go_and_come_back_is_not_the_one_that_was_asked_for_then(consumer: Any) -> None:
    """Given a whole rebalance while a record is handed over and dropped, when reading goes on, then it begins where the seek says."""
    await consumer.perform_seek()

    async def moved(record: Any) -> None:
        consumer.stop_flow()
        consumer.resume_flow()
        await consumer.perform_seek()

    consumer.callback = moved
    await consumer._deliver(fetched(0))  # a second record would move it, too, and put right what the first had spoilt
    assert consumer.run.expected(0) == 0


async def test_a_record_of_a_changelog_that_a_rebalance_drops_does_not_count_as_read(consumer: Any) -> None:
    change = FAUST_TP("changelog", 0)
    consumer._set_active_tps({change}).add(change)

    async def moved(record: Any) -> None:
        consumer.stop_flow()
        consumer.resume_flow()

    consumer.callback = moved
    await consumer._deliver(Fetched({change: [SimpleNamespace(offset=0)]}, Counter()))
    assert consumer._read_offset[change] is None


async def test_what_was_fetched_before_a_seek_is_dropped_though_its_offset_would_fit(consumer: Any) -> None:
    await consumer.perform_seek()
    consumer._thread.sought[TP] += 1
    await consumer._deliver(fetched(0, 1))
    assert consumer.delivered == []


async def test_the_offset_to_commit_is_the_stages_word_and_no_count_of_acknowledgements(consumer: Any) -> None:
    consumer._acked[TP].extend(range(100))
    consumer._acked_index[TP].update(range(100))
    assert consumer._new_offset(TP) == 4
    assert not consumer._acked[TP]


async def test_a_recovery_that_a_second_rebalance_has_just_ended_does_not_crash_at_its_seek(consumer: Any) -> None:
    """Given offsets that the rebalance has taken away, when the recovery seeks, then it seeks what it still knows."""
    sought: list[tuple[Any, int]] = []

    async def position(_: Any) -> int:
        return 0

    client = SimpleNamespace(seek=lambda tp, offset: sought.append((tp, offset)), position=position)
    thread: Any = object.__new__(CorrectedThread)
    thread.sought, thread.consumer, thread.app, thread.log = Counter(), consumer, consumer.app, SimpleNamespace(dev=lambda *_: None)
    other = TopicPartition("changelog", 1)
    await thread._seek_wait(client, {TP: None, other: 3})
    assert sought == [(other, 3)]
    assert thread.sought == {other: 1}


def test_records_of_aborted_transactions_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    client = SimpleNamespace(_fetch_max_wait_ms=1500, _isolation_level="read_uncommitted")
    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_create_worker_consumer", lambda *_: client)
    assert CorrectedThread._create_worker_consumer(object.__new__(CorrectedThread), None)._isolation_level == "read_committed"


async def test_a_partition_is_not_fetched_before_it_is_opened(consumer: Any) -> None:
    """Given a fetch that may return what follows a seek before the seek is known here, then it is not asked for until it is."""
    changelog = TopicPartition("changelog", 0)
    consumer._get_active_partitions = lambda: {TP, changelog}
    consumer.run.close()
    assert consumer._wanted() == {changelog}
    await consumer.perform_seek()
    assert consumer._wanted() == {TP, changelog}
    consumer.stop_flow()
    assert consumer._wanted() == {changelog}


async def test_a_recovery_that_gets_nothing_for_long_reads_on_from_where_it_is(consumer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    changelog, recovery = TopicPartition("changelog", 0), consumer.app.tables.recovery
    now = [100.0]
    monkeypatch.setattr(consumer_module.time, "monotonic", lambda: now[0])

    def after(seconds: float) -> list[dict[Any, int]]:
        now[0] += seconds
        consumer._renew()
        return consumer._thread.seeks

    recovery.active_highwaters[changelog], recovery.active_offsets[changelog] = 31, -1
    assert after(0) == after(RENEW_S + 1) == [], "it does not recover"
    recovery._set_recovery_started()
    assert after(0) == after(RENEW_S - 1) == []
    recovery.active_offsets[changelog] = 7
    assert after(RENEW_S - 1) == [], "it got something"
    consumer._read_offset[changelog] = 20
    assert after(RENEW_S) == [{changelog: 7}]
    assert not consumer._read_offset[changelog], "what comes again is not passed over"
    assert len(after(RENEW_S - 1)) == 1
    assert len(after(1)) == 2
    recovery.active_offsets[changelog] = 31
    assert len(after(RENEW_S + 1)) == len(after(RENEW_S + 1)) == 2, "there is no more to read"


@pytest.mark.parametrize("flowing", [False, True])
async def test_what_comes_of_a_changelog_before_its_recovery_has_resumed_it_is_fetched_again(consumer: Any, flowing: bool) -> None:
    """Given a fetch of the recovery before, when it hands out what the next one has sought, then that is neither taken nor lost."""
    changelog = FAUST_TP("changelog", 0)
    early = Fetched({changelog: [SimpleNamespace(offset=3), SimpleNamespace(offset=4)]}, Counter())
    consumer._set_active_tps({changelog})
    if not flowing:
        consumer.stop_flow()
    await consumer._deliver(early)
    assert (consumer.delivered, consumer._thread.given) == ([], [{changelog: 3}])
    consumer.resume_partitions({changelog})
    consumer.resume_flow()
    await consumer._deliver(early)
    assert (consumer.delivered, consumer._thread.given) == ([3, 4], [{changelog: 3}])


async def test_what_is_assigned_is_not_fetched_before_the_recovery_resumes_it(consumer: Any) -> None:
    changelog = FAUST_TP("changelog", 0)
    consumer._set_active_tps({changelog})
    assert consumer._wanted() == set()
    consumer.resume_partitions({changelog})
    assert consumer._wanted() == {changelog}


async def test_what_was_sought_since_it_was_handed_out_is_not_given_back() -> None:
    thread: Any = object.__new__(CorrectedThread)
    soon: list[Any] = []
    thread.sought, thread.seeks = Counter({TP: 2}), []
    thread.thread_loop = SimpleNamespace(call_soon_threadsafe=soon.append)
    thread._seek = thread.seeks.append
    thread.give_back(Fetched({}, {TP: 2}), {TP: 7})
    thread.give_back(Fetched({}, {TP: 1}), {TP: 5})
    for each in soon:
        each()
    assert thread.seeks == [{TP: 7}, {}]
