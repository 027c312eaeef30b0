"""Run stages, effectors and plain consumers in one process and one loop, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from schemas.topics import DLQ
from streams.harness.effector_runner import EffectorRunner
from streams.harness.exits import boundary, die
from streams.harness.kafka import KafkaSettings, check, partition_counts
from streams.harness.lineage import topic_ids, watch
from streams.harness.partitions import ONE_LOG, one_each, same_as_before
from streams.harness.producer import KafkaAppender
from streams.harness.readiness import Readiness
from streams.harness.stage import SAVED_EVERY_S, Effector, Stage
from streams.harness.topics import NewLog, create_topics

log = structlog.get_logger()

STOP_WITHIN_S = 10.0
CHANGELOG_CONFIG = {
    "cleanup.policy": "compact,delete",  # `compact` alone refuses the deletion of records below the last snapshots
    "retention.ms": "-1",
    "segment.bytes": str(16 * 1024 * 1024),  # compaction leaves the active segment alone: 25 snapshots of 20 MB once held 477 MB
    "max.message.bytes": "1048588",
}

Plain = Callable[[asyncio.Event], Awaitable[None]]


async def serve(
    stages: Sequence[Stage[Any]],
    effectors: Sequence[Effector],
    plain: Sequence[Plain],
    kafka: KafkaSettings,
    instance: str,
    data_dir: Path,
    readiness: Readiness,
    *,
    snapshot_every_s: float = SAVED_EVERY_S,
    replication: int = 1,
    stop: asyncio.Event | None = None,
) -> None:
    """Run everything until SIGTERM, SIGINT or `stop`, then end in order within a few seconds.

    Raises Fatal when Kafka cannot be used at the start, Unfit when a log has not the partitions that its reader began with. Later
    errors end the process at once, uncommitted (exits.py): a supervisor starts it again. `instance` must be stable over restarts and
    unique among processes of the same stages.
    """
    from streams.harness.app import changelog_of, group_of  # noqa: PLC0415 - imports Faust, which takes a second
    from streams.harness.worker import StageWorker  # noqa: PLC0415

    names = [DLQ.name, *(stage.topic for stage in stages), *(effector.topic for effector in effectors)]
    partitions = await asyncio.to_thread(check, kafka, names)
    known = await asyncio.to_thread(partition_counts, kafka, [*ONE_LOG, *names, *(changelog_of(stage.name) for stage in stages)])
    one_each(known, [effector.topic for effector in effectors])
    for stage in stages:
        changelog = changelog_of(stage.name)
        same_as_before(stage.name, stage.topic, partitions[stage.topic], group_of(stage.name), changelog, known[changelog])
    changelogs = [NewLog(changelog_of(stage.name), partitions[stage.topic], CHANGELOG_CONFIG) for stage in stages]
    await asyncio.to_thread(create_topics, kafka, changelogs, replication)
    logs = await asyncio.to_thread(topic_ids, kafka, names[1:])  # of what is folded: the dead-letter topic is nobody's
    for noisy in ("faust", "mode", "aiokafka"):
        if logging.getLogger(noisy).level == logging.NOTSET:
            logging.getLogger(noisy).setLevel(logging.WARNING)

    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread: the caller stops us
            loop.add_signal_handler(number, stop.set)

    appender = await KafkaAppender(kafka, f"airra-{instance}").start()
    workers = [
        StageWorker(
            stage,
            kafka,
            appender,
            instance=instance,
            data_dir=data_dir,
            partitions=partitions[stage.topic],
            readiness=readiness,
            snapshot_every_s=snapshot_every_s,
            log_id=logs.get(stage.topic, ""),
        )
        for stage in stages
    ]
    runners = [EffectorRunner(effector, kafka, appender, instance=instance, readiness=readiness) for effector in effectors]
    for worker in workers:
        await worker.start()
    for runner in runners:
        await runner.start()
    tasks = [asyncio.create_task(_plain(work, stop)) for work in plain]
    lineage = asyncio.create_task(_watched(kafka, logs))
    log.info("serving", stages=[stage.name for stage in stages], effectors=[effector.name for effector in effectors])
    await stop.wait()
    lineage.cancel()
    log.info("stopping")
    try:
        async with asyncio.timeout(STOP_WITHIN_S):
            await asyncio.gather(*tasks, *(runner.stop() for runner in runners), *(worker.stop() for worker in workers))
            await appender.stop()
    except TimeoutError:
        die(f"not stopped within {STOP_WITHIN_S:.0f} s")
    log.info("stopped")


async def run(
    stages: Sequence[Stage[Any]],
    kafka: KafkaSettings,
    instance: str,
    data_dir: Path,
    readiness: Readiness,
    *,
    snapshot_every_s: float = SAVED_EVERY_S,
) -> None:
    """Run stages alone."""
    await serve(stages, (), (), kafka, instance, data_dir, readiness, snapshot_every_s=snapshot_every_s)


async def _watched(kafka: KafkaSettings, logs: Mapping[str, str]) -> None:
    with boundary("lineage"):
        await watch(kafka, logs)


async def _plain(work: Plain, stop: asyncio.Event) -> None:
    with boundary("consumer"):
        await work(stop)
    if not stop.is_set():
        die("a consumer ended before it was told to")
