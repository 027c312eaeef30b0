"""The logs that the sink reads, deleted and made anew: all that the new ones hold comes to the store, beside what it had."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.topics import DLQ
from streams.harness.kafka import KafkaSettings
from streams.harness.topics import create_topics
from streams.sink.rows import TOPICS
from tests.faults.reliability.case import Case, Finding, Ground, Listed
from tests.faults.reliability.lost_logs import delete_topics
from tests.faults.store.group import caught_up
from tests.faults.store.sinking import SinkProcess
from tests.faults.store.traffic import compared, hour, logs, prepare, produce, read, replayed

FIRST, THEN = 2_000, 6_000  # records: the new logs pass the old ones' ends
RUNNING, AWAY = "under the running sink", "while the sink is away"
LOGS = tuple(spec for spec in TOPICS if spec.name != DLQ.name)


def _run(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    """Delete and make anew every control log."""
    for item in (RUNNING, AWAY):
        if item not in done:
            yield _find(ground, item)


def _find(ground: Ground, item: str) -> Finding:
    folder = ground.new_folder("anew")
    with ground.own_kafka() as broker, SinkProcess(broker.bootstrap, folder / "sink") as sink:
        prepare(broker.bootstrap)
        sink.wait_ready()
        produce(broker.bootstrap, hour(FIRST, 11))
        caught_up(broker.bootstrap, sink)
        before = [record for record in logs(broker.bootstrap) if record.topic != DLQ.name]
        if item == AWAY:
            sink.terminate()
        delete_topics(broker.bootstrap, *(spec.name for spec in LOGS))
        create_topics(KafkaSettings(broker.bootstrap), LOGS)
        produce(broker.bootstrap, hour(THEN, 12))
        if item == AWAY:
            sink.start().wait_ready()
        recovery = caught_up(broker.bootstrap, sink)
        seen = read(sink.client())
        all_of_it = [*before, *logs(broker.bootstrap)]
        with replayed(ground.new_folder("truth"), all_of_it, iter(lambda: 5_000, None)) as truth:
            lost, doubled, wrong, differ = compared(truth, seen)
        failed = (f"differ: {', '.join(differ)}",) if differ else ()
        notes = f"{len(all_of_it)} records of the old logs and the new"
        return Finding(item, 1, lost, doubled, wrong, not differ, (recovery,), notes, failed)


CASES = (
    Case(
        "anew-sink",
        "every control log deleted and made anew, under the sink and while it is away: what the new ones hold is in every view",
        Listed((RUNNING, AWAY), _run),
        3,
    ),
)
