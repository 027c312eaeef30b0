"""The real detect stage while its workers become two, four and one again, under load."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from schemas.settings import Settings
from schemas.topics import DLQ, SAMPLES, SIGNALS
from streams.harness.app import changelog_of, group_of
from streams.harness.kafka import KafkaSettings
from streams.harness.snapshots import decode
from streams.harness.stage import Output
from streams.harness.topics import create_topics
from tests.faults.detecting import Feed, detecting, folded
from tests.faults.fleet import Fleet
from tests.faults.ledger import committed, difference, length, read_all
from tests.faults.points.groups import Groups, until
from tests.faults.reliability.case import Finding, Ground, Listed
from tests.faults.reliability.workers import held
from tests.kafka.broker import KafkaBroker

STEADY_S = 8.0  # at each number of workers
MOVED_WITHIN_S = 40.0
SETTLED_WITHIN_S = 90.0
STEPS = ((1,), (2, 3))  # who joins at each step; then all but the last leave
ITEMS = {f"leaving by {how}": how for how in ("SIGKILL", "SIGTERM")}


def _scale(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    """1 → 2 → 4 → 1 workers of detect; those that leave do so by either signal. A broker each: the topics are the catalogue's."""
    for item, how in ITEMS.items():
        if item not in done:
            with ground.own_kafka() as own:
                yield _find(own, ground.new_folder("scale"), item, how)


scale = Listed(tuple(ITEMS), _scale)


def _find(broker: KafkaBroker, folder: Path, item: str, how: str) -> Finding:
    create_topics(KafkaSettings(broker.bootstrap), [SAMPLES, SIGNALS, DLQ])
    stage = detecting(Settings(kafka_bootstrap=broker.bootstrap))
    fleet = Fleet(broker.bootstrap, folder, [], module="tests.faults.detecting")
    feed = Feed(broker.bootstrap, SAMPLES.partitions, 1, fleet.revive)
    groups = Groups(broker.bootstrap)

    def settled() -> bool:
        owners = groups.owners(group_of(stage.name))
        return owners is not None and set(owners) == {f"{stage.name}-{number}" for number in fleet.running()}

    moves = 0
    with contextlib.closing(fleet):
        for joining in ((0,), *STEPS):
            for number in joining:
                fleet.start(number)
            until(settled, MOVED_WITHIN_S, "the joiners have their share", lambda: feed.during(0.2))
            feed.during(STEADY_S)
            moves += 1
        for number in (0, 1, 2):
            (fleet.kill if how == "SIGKILL" else fleet.terminate)(number)
            moves += 1
        until(settled, MOVED_WITHIN_S, "the last one has everything", lambda: feed.during(0.2))
        feed.during(STEADY_S)
        feed.flush()
        lost, wrong, repeated = _settle(broker.bootstrap, fleet, lambda: folded(stage, read_all(broker.bootstrap, SAMPLES.name))[1])
        states, outputs = folded(stage, read_all(broker.bootstrap, SAMPLES.name))
        saved = _saved(broker.bootstrap, changelog_of(stage.name), states)
        notes = f"{feed.sent} batches, {len(outputs)} anomalies and healths"
        failed = (f"workers ended by themselves: {dict(fleet.exits)} (code: times)",) if fleet.exits else ()
        found = Finding(item, moves, lost=lost, wrong=wrong, equal=saved == states, notes=notes, failed=failed, repeated=repeated)
        return held(found, fleet)


def _settle(bootstrap: str, fleet: Fleet, wanted: Callable[[], dict[str, Output]]) -> tuple[int, int, int]:
    """Wait until every output stands and all is saved, end the workers in order, and compare what they wrote up to their end.

    Outputs may all stand while their worker has yet to fold again what moved to it: told to end then, it would save less.
    """
    deadline, end = time.monotonic() + SETTLED_WITHIN_S, length(bootstrap, SAMPLES.name)
    owed = lambda: committed(bootstrap, group_of("detect"), SAMPLES.name) < end or difference(bootstrap, SIGNALS.name, wanted())[0]  # noqa: E731
    while owed() and time.monotonic() < deadline:
        fleet.revive()
        time.sleep(0.5)
    fleet.stop()
    return difference(bootstrap, SIGNALS.name, wanted())


def _saved(bootstrap: str, changelog: str, partitions: dict[int, bytes]) -> dict[int, bytes]:
    """Return the last durable state of each partition, read as a recovery reads it."""
    table = {record.key: record.value for record in read_all(bootstrap, changelog) if record.key is not None}
    found = {partition: decode(table, partition) for partition in partitions}
    return {partition: snapshot.data for partition, snapshot in found.items() if snapshot is not None}
