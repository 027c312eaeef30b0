"""The harness in one process: stages in a chain, ticks, poison, large and odd records, restarts, errors that end the process."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cli.processes import ROOT
from schemas.approvals import Arming
from schemas.base import canonical
from schemas.signals import Tick
from schemas.topics import APPROVALS, DLQ
from streams.harness.app import changelog_of, group_of
from streams.harness.errors import Fatal, Poison
from streams.harness.exits import EXIT_FATAL
from streams.harness.fold import BACKFILL_HEADER
from streams.harness.kafka import KafkaSettings, admin_client, check
from streams.harness.producer import KafkaAppender
from streams.harness.readiness import Readiness
from streams.harness.runner import serve
from streams.harness.stage import Output, Record, Stage
from streams.harness.standby import orphans
from streams.harness.topics import NewLog, compare_topics, create_topics
from streams.harness.view import LogView, ViewUnreadable
from streams.harness.worker import StageWorker
from tests.faults.acting import Recording
from tests.faults.counting import counting
from tests.faults.serving import WITHIN_S, collecting, serving, until
from tests.kafka.broker import KafkaBroker

REPO = Path(__file__).parent.parent.parent


async def test_a_chain_counts_restarts_where_it_ended_and_repeats_nothing(bed: Any, append: KafkaAppender, tmp_path: Path) -> None:
    first, second, third = (bed.unique(name, 1) for name in ("first", "second", "third"))
    stages = [counting(f"one-{first}", first, second, together=1), counting(f"two-{second}", second, third, together=1)]
    async with collecting(bed.kafka, third) as seen:
        async with serving(bed.kafka, tmp_path, stages):
            await append([Output(first, b"k", b"v")] * 50)
            await until(lambda: len(seen) == 2)
        async with serving(bed.kafka, tmp_path, stages) as readiness:
            await append([Output(first, b"k", b"v")] * 25)
            await until(lambda: len(seen) == 3)
            assert readiness.report()[0]
    counts = [json.loads(record.value)["count"] for record in seen]
    assert counts == [5, 10, 15]


async def test_a_backlog_of_many_buffers_is_worked_off(bed: Any, append: KafkaAppender, tmp_path: Path) -> None:
    source, target = bed.unique("backlog", 2), bed.unique("counted", 1)
    for _ in range(10):
        await append([Output(source, b"k%d" % (index % 7), b"v" * 100) for index in range(1000)])
    async with collecting(bed.kafka, target) as seen, serving(bed.kafka, tmp_path, [counting(f"many-{source}", source, target)]):
        await until(lambda: len(seen) >= 1990)
    assert len({record.value for record in seen}) == len(seen) >= 1990


async def test_poison_goes_to_the_dead_letters_and_blocks_nothing(bed: Any, append: KafkaAppender, tmp_path: Path) -> None:
    source, target = (bed.unique(name, 1, max_message_bytes="11000000") for name in ("odd", "even"))

    def apply(state: list[int], record: Record, now: int) -> list[Output]:
        if record.value != b"good":
            raise Poison("not_good", f"{len(record.value)} bytes")
        return [Output(target, record.key, b"seen")]

    stage: Stage[list[int]] = Stage(f"picky-{source}", source, lambda _: [], apply, lambda _: b"")
    large = b"x" * 10_485_760
    async with collecting(bed.kafka, DLQ.name) as dead, collecting(bed.kafka, target) as seen, serving(bed.kafka, tmp_path, [stage]):
        await append([Output(source, None, b"bad"), Output(source, None, large), Output(source, None, b""), Output(source, b"k", b"good")])
        await until(lambda: len(seen) == 1)
        mine = lambda: [record for record in dead if record.header("airra.error.topic") == source.encode()]  # noqa: E731
        await until(lambda: len(mine()) == 3)
    assert [record.value for record in mine()] == [b"bad", large, b""]
    assert {record.header("airra.error.reason") for record in mine()} == {b"not_good"}


async def test_the_owner_writes_ticks_on_its_own_input_but_none_while_history_passes(
    bed: Any, append: KafkaAppender, tmp_path: Path
) -> None:
    source, target = bed.unique("clock", 1), bed.unique("hand", 1)
    stage = counting(f"ticking-{source}", source, target, tick_every_s=0.1)
    async with collecting(bed.kafka, source) as seen, serving(bed.kafka, tmp_path, [stage]):
        await until(lambda: len(seen) >= 3)
        ticks = [Tick.model_validate_json(record.value) for record in seen if record.header("airra.type") == b"tick"]
        assert [tick.at for tick in ticks] == sorted(tick.at for tick in ticks)
        (position,) = await append([Output(source, b"k", b"old", ((BACKFILL_HEADER, b"1"),))])
        await until(lambda: seen[-1].offset >= position.offset)
        await asyncio.sleep(0.5)  # five ticks' time: absence has no condition to wait for
        assert len([record for record in seen if record.offset > position.offset]) <= 1
        await append([Output(source, b"k", b"new")])
        await until(lambda: len([record for record in seen if record.offset > position.offset]) >= 4)


async def test_a_view_reaches_the_end_before_it_answers_and_says_when_it_cannot(fresh_embedded: Any, topics: Any) -> None:
    kafka = fresh_embedded.kafka
    topic = topics(kafka.bootstrap).unique("read", 2)
    appender = await KafkaAppender(kafka).start()
    folded: list[Record] = []
    view = LogView(kafka, topic, folded.append)
    await view.start()
    await view.wait_ready()
    appended = 0
    for count in (1, 700, 3):
        positions = await appender([Output(topic, b"k%d" % index, b"v") for index in range(count)])
        appended += count
        await view.barrier()
        assert len(folded) == appended
        await view.wait_for(positions[-1].partition, positions[-1].offset)
    await appender.stop()
    fresh_embedded.stop()
    with pytest.raises(ViewUnreadable):
        await view.barrier(timeout_s=0.5)
    await view.stop()


async def test_a_view_whose_fold_fails_is_broken_not_quiet(bed: Any, append: KafkaAppender) -> None:
    topic = bed.unique("broken", 1)

    def fold(record: Record) -> None:
        raise ZeroDivisionError

    view = LogView(bed.kafka, topic, fold)
    await view.start()
    await append([Output(topic, b"k", b"v")])
    with pytest.raises(Fatal, match="broken"):
        await view.wait_for(0, 0)
    await view.stop()


async def test_an_effector_that_asks_for_arming_starts_at_the_end_that_it_noticed(fresh_embedded: Any, topics: Any, tmp_path: Path) -> None:
    """Given intents of yesterday and an arming of yesterday, when an operator arms, then only what came after the start is performed."""
    kafka, made = fresh_embedded.kafka, topics(fresh_embedded.bootstrap)
    made.create(APPROVALS, DLQ)
    topic = made.unique("acts", 1)
    appender = await KafkaAppender(kafka).start()

    def intent(name: str) -> Output:
        return Output(topic, name.encode(), json.dumps({"id": name}).encode(), (("airra.type", b"intent"),))

    def arming(name: str) -> Output:
        body = Arming(id=name, armed=True, by="op", at=1, until=2, cluster="c")
        return Output(APPROVALS.name, b"arming", canonical(body), (("airra.type", b"arming"),))

    effector = Recording("armed", topic, str(tmp_path / "target"))
    effector.armed_start = True
    await appender([intent("old"), arming("yesterday")])
    async with serving(kafka, tmp_path, effectors=[effector]) as readiness:
        await until(lambda: "waits for arming" in readiness.report()[1]["armed"])
        await appender([intent("between")])
        assert effector.target.requests() == []
        # Armed again and again: when exactly the watch begins is not seen from here.
        deadline = time.monotonic() + WITHIN_S
        while not effector.target.requests():
            assert time.monotonic() < deadline
            await appender([arming("now")])
            await asyncio.sleep(0.1)
        await until(lambda: not effector.pending())
    assert effector.target.requests() == [("act", "between")]
    await appender.stop()


async def test_every_partition_of_a_running_group_is_held(kafka: KafkaBroker, topics: Any, tmp_path: Path) -> None:
    made = topics(kafka.bootstrap)
    made.create(DLQ)
    source, target = made.unique("held", 3), made.unique("out", 1)
    stage = counting(f"held-{source}", source, target)
    async with serving(made.kafka, tmp_path, [stage]) as readiness:
        await until(lambda: readiness.report()[0])
        admin = admin_client(made.kafka)
        assert orphans(admin, group_of(stage.name), source, 3) == frozenset()
        assert orphans(admin, group_of(stage.name), source, 4) == frozenset({3})


async def test_a_static_member_that_gives_up_really_leaves_its_group(kafka: KafkaBroker, topics: Any, tmp_path: Path) -> None:
    """Given a member whose assignment is of no use, when it leaves, then the group does not keep the assignment for its return."""
    made = topics(kafka.bootstrap)
    made.create(DLQ)
    source, target = made.unique("left", 1), made.unique("out", 1)
    stage, readiness = counting(f"left-{source}", source, target), Readiness()
    create_topics(made.kafka, [NewLog(changelog_of(stage.name), 1, {})])
    appender = await KafkaAppender(made.kafka).start()
    worker = StageWorker(
        stage, made.kafka, appender, instance="0", data_dir=tmp_path, partitions=1, readiness=readiness, snapshot_every_s=1.0
    )
    await worker.start()
    await until(lambda: readiness.report()[0])
    admin = admin_client(made.kafka)

    def members() -> list[str]:
        group = admin.describe_consumer_groups([group_of(stage.name)])[group_of(stage.name)].result(10)
        return [member.member_id for member in group.members]

    (member,) = members()
    await worker.app.consumer.leave_group()
    assert member not in members()
    await worker.stop()
    await appender.stop()


def _exit_code(bootstrap: str, source: str, folder: Path, body: str) -> tuple[int, str]:
    """Run a stage whose apply has this body in a process of its own."""
    program = f"""
import asyncio, pathlib
from streams.harness.errors import Retryable
from streams.harness.kafka import KafkaSettings
from streams.harness.readiness import Readiness
from streams.harness.runner import serve
from streams.harness.stage import Stage
def apply(state, record, now):
    {body}
stage = Stage("failing-{source}", "{source}", lambda _: [], apply, lambda _: b"")
asyncio.run(serve([stage], [], [], KafkaSettings("{bootstrap}"), "0", pathlib.Path("{folder}"), Readiness()))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('unforeseen')", "ValueError: unforeseen"),
        ("raise Retryable('the target is away')", "gave up: the target is away"),
    ],
)
async def test_an_error_that_nothing_handles_ends_the_process_uncommitted(
    bed: Any, append: KafkaAppender, tmp_path: Path, body: str, said: str
) -> None:
    source = bed.unique("doomed", 1)
    await append([Output(source, b"k", b"v")])
    code, log = await asyncio.to_thread(_exit_code, bed.kafka.bootstrap, source, tmp_path, body)
    assert code == EXIT_FATAL
    assert said in log
    from aiokafka import AIOKafkaConsumer, TopicPartition

    consumer = AIOKafkaConsumer(**bed.kafka.aiokafka(), group_id=f"airra-failing-{source}", enable_auto_commit=False)
    await consumer.start()
    consumer.assign([TopicPartition(source, 0)])
    assert await consumer.committed(TopicPartition(source, 0)) in (None, 0)
    await consumer.stop()


async def test_what_is_wrong_with_kafka_is_said_before_anything_starts(bed: Any, tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="no topic nowhere: run `airra topics create`"):
        await serve([counting("lost", "nowhere", "x")], [], [], bed.kafka, "0", tmp_path, Readiness())
    with pytest.raises(Fatal, match=r"no Kafka at 127\.0\.0\.1:1 .*AIRRA_KAFKA_BOOTSTRAP"):
        check(KafkaSettings("127.0.0.1:1"), within_s=1.0)


def test_a_wrong_password_is_named_without_being_told(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("kafka")  # skips by name where Apache Kafka cannot run
    with KafkaBroker(tmp_path / "kafka", users={"airra": "right"}) as broker:
        right = KafkaSettings(broker.bootstrap, "SASL_PLAINTEXT", "PLAIN", "airra", "right")
        assert check(right) == {}
        assert create_topics(right, [NewLog("secured", 1, {})]) == ["secured"]
        asyncio.run(_round_trip(right, "secured"))
        with pytest.raises(Fatal, match="refuses the login of 'airra'") as caught:
            check(KafkaSettings(broker.bootstrap, "SASL_PLAINTEXT", "PLAIN", "airra", "wr0ng"), within_s=3.0)
        assert "wr0ng" not in str(caught.value)
        login = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_USERNAME": "airra", "KAFKA_SASL_PASSWORD": "wr0ng"}
        env = {**os.environ, "AIRRA_KAFKA_BOOTSTRAP": broker.bootstrap, **{f"AIRRA_{name}": value for name, value in login.items()}}
        command = [sys.executable, "-m", "cli.main", "worker", "detect"]
        answer = subprocess.run(
            command, cwd=ROOT, env={**env, "AIRRA_DATA_DIR": str(tmp_path)}, capture_output=True, text=True, timeout=60, check=False
        )
        assert answer.returncode == 1
        assert "refuses the login of 'airra'" in answer.stderr
        assert "wr0ng" not in answer.stderr
        assert "Traceback" not in answer.stderr


async def _round_trip(kafka: KafkaSettings, topic: str) -> None:
    appender = await KafkaAppender(kafka).start()
    await appender([Output(topic, b"k", b"v")])
    async with collecting(kafka, topic) as seen:
        await until(lambda: len(seen) == 1)
    await appender.stop()


def test_topics_that_differ_from_the_catalogue_are_told(fresh_kafka: KafkaBroker) -> None:
    kafka = KafkaSettings(fresh_kafka.bootstrap)
    create_topics(kafka, [NewLog(DLQ.name, 3, {"retention.ms": "1000"})])
    told = {
        (difference.topic, difference.what): (difference.expected, difference.found)
        for difference in compare_topics(kafka, [DLQ, APPROVALS])
    }
    assert told[DLQ.name, "partitions"] == ("1", "3")
    assert told[DLQ.name, "retention.ms"] == (str(DLQ.retention_ms), "1000")
    assert (APPROVALS.name, "missing") in told
