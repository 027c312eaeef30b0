"""An hour of what the sink reads, and what a store must show of it: a linear replay of the log into a store of its own."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Producer

from schemas.incidents import IncidentPhase
from schemas.signals import Tick
from schemas.topics import APPROVALS, INCIDENTS, OUTCOMES
from streams.harness.kafka import KafkaSettings
from streams.harness.stage import Record
from streams.harness.topics import create_topics
from streams.sink.batch import Batch
from streams.sink.rows import TOPICS
from streams.sink.store import Store
from tests.faults.ledger import read_all
from tests.network.clickhouse import ClickHouseServer
from tests.property.test_sink_replay import read
from tests.unit.sink_records import T0, incident, outcome, proposal, whole_loop

HOUR = 36_000  # records: ten a second, several times what one environment writes
View = dict[str, list[str]]


def hour(count: int, seed: int) -> list[Record]:
    """Write a loop, and then incidents that go on, proposals, outcomes, repeats, corrections, ticks and poison, `count` in all."""
    chance, log = random.Random(seed), whole_loop()
    while len(log.records) < count:
        number = chance.randrange(count // 20 + 1)
        kind = chance.random()
        if kind < 0.6:
            phase = chance.choice((IncidentPhase.OPENED, IncidentPhase.UPDATED, IncidentPhase.RESOLVED))
            log.append(INCIDENTS, incident(chance.randrange(1, 40), phase, f"inc-{number}"))
        elif kind < 0.7:
            log.append(APPROVALS, proposal(f"prp-{number}"))
        elif kind < 0.88:
            log.append(OUTCOMES, outcome(f"act-{number}", chance.randrange(1, 3), chance.random(), chance.randrange(2)))
        elif kind < 0.99:
            log.append(INCIDENTS, Tick(at=T0 + len(log.records)))
        else:
            log.append_bytes(chance.choice((INCIDENTS, OUTCOMES)), b'{"type":"incident","id":%d}' % number)
    return log.records


def prepare(bootstrap: str) -> None:
    create_topics(KafkaSettings(bootstrap), TOPICS)


def produce(bootstrap: str, records: Sequence[Record]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "enable.idempotence": True, "log_level": 0})
    for record in records:
        producer.produce(record.topic, record.value, record.key, headers=list(record.headers))
        producer.poll(0)
    if producer.flush(60):
        raise RuntimeError("the campaign's own records were not acknowledged")


def logs(bootstrap: str) -> list[Record]:
    """Read everything that a sink reads, dead letters included."""
    return [record for spec in TOPICS for record in read_all(bootstrap, spec.name)]


@contextmanager
def replayed(folder: Path, records: Sequence[Record], sizes: Iterator[int]) -> Iterator[View]:
    """Write the records in batches of these sizes to a store of its own; give what a reader sees there."""
    with ClickHouseServer(folder) as server:
        store = Store(f"{server.url}/default", "", None)
        store.migrate()
        at = 0
        while at < len(records):
            batch, size = Batch(), next(sizes)
            for record in records[at : at + size]:
                batch.add(record)
            batch.write(store)
            at += size
        yield read(store)
        store.close()


def linear(bootstrap: str, folder: Path) -> View:
    """Return what a store shows that saw every record once, in order."""
    records = logs(bootstrap)
    with replayed(folder, records, iter(lambda: 5_000, None)) as view:
        return view


def compared(truth: View, seen: View) -> tuple[int, int, int, list[str]]:
    """Return rows lost, doubled and wrong, and the names of tables and views that differ."""
    lost = doubled = wrong = 0
    differ = [name for name in truth if truth[name] != seen.get(name)]
    for name in differ:
        wanted, found = truth[name], seen.get(name, [])
        lost += max(0, len(wanted) - len(found))
        doubled += len(found) - len(set(found))
        wrong += len(set(found) - set(wanted))
    return lost, doubled, wrong, differ


def mixed(records: Sequence[Record], chance: random.Random) -> list[Record]:
    """Mix the topics, each in its own order, as a consumer of several partitions sees them."""
    queues: dict[str, list[Record]] = {}
    for record in reversed(records):
        queues.setdefault(record.topic, []).append(record)
    found: list[Record] = []
    while queues:
        name = chance.choice(sorted(queues))
        for _ in range(min(chance.randrange(1, 400), len(queues[name]))):
            found.append(queues[name].pop())
        if not queues[name]:
            del queues[name]
    return found
