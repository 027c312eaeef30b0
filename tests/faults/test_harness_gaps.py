"""Logs with holes that are no loss: transactions' markers, aborted records, what retention deleted; and members with nothing to poll."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from faust.transport.consumer import Fetcher

from schemas.topics import DLQ
from streams.harness import effector_runner, standby
from streams.harness.effector_runner import EffectorRunner
from streams.harness.errors import Retryable
from streams.harness.exits import EXIT_STUCK
from streams.harness.kafka import admin_client
from streams.harness.producer import KafkaAppender
from streams.harness.readiness import Readiness
from streams.harness.stage import Output, Record, Stage
from streams.harness.topics import NewLog, create_topics
from tests.faults.acting import Recording
from tests.faults.serving import collecting, serving, until
from tests.kafka.broker import KafkaBroker


class Transactions:
    """Commits and aborts in turn, a marker after each."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._topic = topic
        self._producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": f"t-{topic}", "log_level": 0})
        self._producer.init_transactions(30)

    def send(self, values: list[bytes], *, commit: bool, kind: bytes = b"") -> None:
        self._producer.begin_transaction()
        for value in values:
            self._producer.produce(self._topic, value, b"k", headers=[("airra.type", kind)])
        self._producer.flush(30)
        (self._producer.commit_transaction if commit else self._producer.abort_transaction)(30)


@pytest.fixture
def made(kafka: KafkaBroker, topics: Any) -> Any:
    bed = topics(kafka.bootstrap)
    bed.create(DLQ)
    return bed


async def test_every_committed_record_between_the_markers_of_transactions_is_folded_and_no_aborted_one(
    made: Any, kafka: KafkaBroker, tmp_path: Path
) -> None:
    """Given a fold that stands still while records are delivered ahead of it, when markers stand among them, then none is passed over."""
    source, target = made.unique("marked", 1), made.unique("seen", 1)
    transactions = Transactions(kafka.bootstrap, source)
    wanted = []
    for turn in range(6):
        values = [b"%d-%d" % (turn, index) for index in range(300)]
        transactions.send(values, commit=turn % 3 != 2)
        wanted += values if turn % 3 != 2 else []

    pauses = iter(range(4))  # 1.8 s: the markers are met, and asked about, meanwhile

    def apply(state: list[int], record: Record, now: int) -> list[Output]:
        if record.value == b"0-5" and next(pauses, None) is not None:
            raise Retryable("not yet")
        return [Output(target, None, record.value)]

    stage: Stage[list[int]] = Stage(f"marked-{source}", source, lambda _: [], apply, lambda _: b"")
    async with collecting(made.kafka, target) as seen, serving(made.kafka, tmp_path, [stage]):
        await until(lambda: len(seen) >= len(wanted))
    assert [record.value for record in seen] == wanted


async def test_an_effector_begins_behind_the_marker_that_ends_its_log(made: Any, kafka: KafkaBroker, tmp_path: Path) -> None:
    topic = made.unique("acts", 1)
    Transactions(kafka.bootstrap, topic).send([json.dumps({"id": "one"}).encode()], commit=True, kind=b"intent")
    effector = Recording(f"acts-{topic}", topic, str(tmp_path / "target"))
    async with serving(made.kafka, tmp_path, effectors=[effector]):
        await until(lambda: effector.target.requests() == [("act", "one")])


async def test_a_standby_that_had_nothing_to_poll_for_long_takes_over(made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a client library that gives up members which poll nothing, when the active effector goes, then the standby performs."""
    consumers: list[Any] = []
    original = effector_runner.AIOKafkaConsumer

    def impatient(**settings: Any) -> Any:
        consumers.append(original(**{"max_poll_interval_ms": 1000, **settings}))
        return consumers[-1]

    monkeypatch.setattr(effector_runner, "AIOKafkaConsumer", impatient)
    topic = made.unique("acts", 1)
    name, target = f"stand-{topic}", str(tmp_path / "target")
    first, second = Recording(name, topic, target), Recording(name, topic, target)
    appender = await KafkaAppender(made.kafka).start()
    async with serving(made.kafka, tmp_path / "a", effectors=[first], instance="a") as active:
        await until(lambda: active.report()[0])
        standby = serving(made.kafka, tmp_path / "b", effectors=[second], instance="b")
        ready = await standby.__aenter__()
        await until(lambda: "standby" in (active.report()[1] | ready.report()[1]).values() or len(consumers) == 2)
        await until(lambda: any(one._subscription.fetcher_idle_time > 2.5 for one in consumers))
    await appender([Output(topic, b"late", json.dumps({"id": "late"}).encode(), (("airra.type", b"intent"),))])
    await until(lambda: second.target.requests() == [("act", "late")])
    await standby.__aexit__(None, None, None)
    await appender.stop()


async def test_an_effector_whose_log_belongs_to_nobody_leaves_its_group_and_gets_it_at_its_next_start(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an assignment computed while the log was missing, when the static member comes back, then it is not without one for ever."""
    died: list[int] = []
    monkeypatch.setattr(effector_runner, "die", lambda _, code: died.append(code))
    topic = made.unique("acts", 1)
    effector = Recording(f"acts-{topic}", topic, str(tmp_path / "target"))
    appender, admin = await KafkaAppender(made.kafka).start(), admin_client(made.kafka)

    def held(number: int) -> bool:
        return standby.orphans(admin, f"airra-{effector.name}", topic, 1) == frozenset(range(number))

    async def begun() -> EffectorRunner:
        runner = EffectorRunner(effector, made.kafka, appender, instance="0", readiness=Readiness())
        await runner.start()
        return runner

    runner = await begun()
    await until(lambda: held(0))
    admin.delete_topics([topic])[topic].result(10)
    await until(lambda: held(1))
    await runner.stop()
    await until(lambda: topic not in admin.list_topics(timeout=10).topics)
    create_topics(made.kafka, [NewLog(topic, 1, {})])

    monkeypatch.setattr(standby, "LOOK_EVERY_S", 0.2)
    monkeypatch.setattr(standby, "UNASSIGNED_S", 2.0)
    runner = await begun()
    await until(lambda: died == [EXIT_STUCK])
    await runner.stop()
    runner = await begun()
    await appender([Output(topic, b"new", json.dumps({"id": "new"}).encode(), (("airra.type", b"intent"),))])
    await until(lambda: effector.target.requests() == [("act", "new")])
    await runner.stop()
    await appender.stop()
    assert died == [EXIT_STUCK]


async def test_a_recovery_that_is_over_before_it_is_waited_for_is_over(made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a snapshot read back before the task that recovers has begun to wait for it, when it does, then its partition is opened."""
    source, target = made.unique("quick", 1), made.unique("seen", 1)
    stage: Stage[list[bytes]] = Stage(
        f"quick-{source}",
        source,
        lambda saved: [] if saved is None else saved.split(b","),
        lambda state, record, _: state.append(record.value) or [Output(target, None, b",".join(state))],
        b",".join,
    )
    appender = await KafkaAppender(made.kafka).start()
    async with collecting(made.kafka, target) as seen:
        async with serving(made.kafka, tmp_path, [stage]):
            await appender([Output(source, None, b"one")])
            await until(lambda: bool(seen))

        late: list[bool] = []
        begin = Fetcher.maybe_start

        async def slow(fetcher: Fetcher) -> bool:
            begun, recovery = await begin(fetcher), fetcher.app.tables.recovery
            while recovery.in_recovery:
                late.append(True)
                await asyncio.sleep(0.01)
            return begun

        monkeypatch.setattr(Fetcher, "maybe_start", slow)
        async with serving(made.kafka, tmp_path, [stage]):
            await appender([Output(source, None, b"two")])
            await until(lambda: len(seen) > 1)
    await appender.stop()
    assert late
    assert [record.value for record in seen] == [b"one", b"one,two"]


def test_what_was_delivered_before_a_gap_is_folded_before_it_is_passed() -> None:
    """Given records in hand up to a gap that the log itself has, when they are folded, then none of them counts as a repeat."""
    from streams.harness.fold import HoleError, fold, restore

    folded: list[int] = []

    def apply(state: list[int], record: Record, now: int) -> list[Output]:
        folded.append(record.offset)
        return []

    stage: Stage[list[int]] = Stage("gap", "log", lambda _: [], apply, lambda _: b"")
    part = restore(stage, 0, None, 0)
    part.gaps[5] = 7
    for offset in (0, 1, 2, 3, 4, 7, 8):
        fold(stage, part, Record("log", 0, offset, 0, None, b""))
    assert folded == [0, 1, 2, 3, 4, 7, 8]
    with pytest.raises(HoleError):
        fold(stage, part, Record("log", 0, 10, 0, None, b""))


def test_what_follows_from_history_is_marked_as_history() -> None:
    from streams.harness.fold import BACKFILL_HEADER, fold, restore

    stage: Stage[list[int]] = Stage(
        "old", "log", lambda _: [], lambda s, r, now: [Output("out", None, b"v", (("a", b"b"),))], lambda _: b""
    )
    part = restore(stage, 0, None, 0)
    (old,) = fold(stage, part, Record("log", 0, 0, 0, None, b"", ((BACKFILL_HEADER, b"1"),)))
    (new,) = fold(stage, part, Record("log", 0, 1, 0, None, b""))
    assert old.headers == (("a", b"b"), (BACKFILL_HEADER, b"1"))
    assert new.headers == (("a", b"b"),)
