"""Releases side by side, and numbers of partitions that change: what a release reads it reads right, what it does not it refuses."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewPartitions

from streams.harness.app import changelog_of, group_of
from streams.harness.exits import EXIT_UNFIT
from streams.harness.kafka import KafkaSettings
from streams.harness.topics import NewLog, create_topics
from tests.faults.bench import BEYOND_S, Bench, Result
from tests.faults.fleet import Fleet
from tests.faults.ledger import Pump, expected, length, read_all
from tests.faults.points.groups import until
from tests.faults.reliability import previous_release, record_versions, worker_partitions
from tests.faults.reliability.case import Case, Chapter, Finding, Ground, single
from tests.faults.reliability.harness import finding
from tests.kafka.broker import KafkaBroker

PER_SECOND = 1000.0
REFUSED_WITHIN_S = 60.0
MORE = 6  # partitions, of four
NOT_READ = "was saved in format 2, and this release reads 1"
OTHER_NUMBER = f"has {MORE} partitions, and"


class Releases(Fleet):
    """Workers of several releases: `of` says which each is started as. One that refuses is not started again: no supervisor does it."""

    def __init__(self, bootstrap: str, folder: Path, arguments: list[str]) -> None:
        super().__init__(bootstrap, folder, arguments)
        self.of: dict[int, int] = {}

    def start(self, number: int, strike: Mapping[str, str] | None = None, *more: str) -> None:
        super().start(number, strike, "--release", str(self.of.get(number, 0)), *more)

    def revive(self) -> None:
        for number in self.running():
            if self.ended(number) and self._processes[number].returncode == EXIT_UNFIT:
                self.exits[EXIT_UNFIT] += 1
                del self._processes[number]
        super().revive()

    def refused(self, number: int) -> bool:
        self.revive()
        return number not in self.running()


def bench_of(broker: KafkaBroker, folder: Path, seed: int) -> tuple[Bench, Releases]:
    bench = Bench(broker, folder, seed, make_fleet=Releases)
    assert isinstance(bench.fleet, Releases)
    return bench, bench.fleet


def swap(bench: Bench, fleet: Releases, number: int, release: int) -> None:
    """End a worker in order, under load, and start it as another release."""
    bench.at_work(PER_SECOND)
    until(lambda: fleet.heeds_its_end(number), REFUSED_WITHIN_S, "a worker catches SIGTERM", fleet.revive)
    fleet.terminate(number)
    fleet.of[number] = release
    fleet.start(number)


def moved(bench: Bench, fleet: Releases, number: int) -> None:
    """Kill a worker and leave it away until the other has its partitions."""
    bench.at_work(PER_SECOND)
    fleet.kill(number)
    bench.pump.during(BEYOND_S, PER_SECOND)
    fleet.start(number)


def rolling(ground: Ground) -> Finding:
    """Upgrade one worker of two, let partitions move both ways between the formats, and roll back; the long form does it thrice."""
    bench, fleet = bench_of(ground.kafka(), ground.new_folder("rolling"), 1)
    moves = 0
    with contextlib.closing(fleet):
        fleet.of = {0: 1, 1: 1}
        for number in (0, 1):
            fleet.start(number)
        for _ in range(1 if ground.sample else 3):
            swap(bench, fleet, 1, 2)
            moved(bench, fleet, 0)  # all partitions go to the new release, which reads the format before; some come back
            if not ground.sample:
                moved(bench, fleet, 1)  # and all to the old one, which reads the format after
            swap(bench, fleet, 1, 1)  # rolled back
            bench.at_work(PER_SECOND)
            moves += 3 if ground.sample else 4
        result = bench.settle(Result("rolling"))
    return finding("formats 1 and 2 in one group, rolled back", moves, result)


def not_read(ground: Ground) -> Finding:
    """Let a worker that does not know the format join one that writes it: it must refuse and leave, and the other go on."""
    bench, fleet = bench_of(ground.kafka(), ground.new_folder("not-read"), 2)
    failed: list[str] = []
    with contextlib.closing(fleet):
        fleet.of = {0: 0, 1: 2}
        fleet.start(1)
        bench.at_work(PER_SECOND)
        bench.pump.during(3, PER_SECOND)  # a snapshot of each partition is there
        begun = time.monotonic()
        fleet.start(0)
        while not fleet.refused(0) and time.monotonic() < begun + REFUSED_WITHIN_S:
            bench.pump.during(0.5, PER_SECOND)
        refused_s = time.monotonic() - begun
        bench.at_work(PER_SECOND)
        if fleet.exits[EXIT_UNFIT] != 1:
            failed.append(f"it did not refuse within {REFUSED_WITHIN_S:.0f} s")
            fleet.kill(0)
        if NOT_READ not in fleet.said(0):
            failed.append("it did not say why")
        result = bench.settle(Result("not read", notes=f"refused after {refused_s:.1f} s"))
    found = finding("a format that the older release does not read", 1, result)
    return Finding(**{**vars(found), "failed": (*found.failed, *failed)})


def more_partitions(bootstrap: str, topic: str, count: int) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_partitions([NewPartitions(topic, count)]).values():
        future.result(10)


def ended(fleet: Releases, number: int) -> bool:
    deadline = time.monotonic() + REFUSED_WITHIN_S
    while not fleet.refused(number) and time.monotonic() < deadline:
        time.sleep(0.1)
    return number not in fleet.running()


def partitions(ground: Ground) -> Finding:
    """Add partitions while the stage is away: it must refuse with the steps, and go on once they were taken."""
    bench, fleet = bench_of(ground.kafka(), ground.new_folder("partitions"), 3)
    kafka, name, source = KafkaSettings(bench.broker.bootstrap), bench.stages[0], bench.logs[0]
    with contextlib.closing(fleet):
        fleet.start(0)
        bench.at_work(PER_SECOND)
        first = bench.settle(Result("before"))
        before = length(kafka.bootstrap, bench.logs[1])
        more_partitions(kafka.bootstrap, source, MORE)
        fleet.start(0)
        failed = [] if ended(fleet, 0) else ["it runs on another number of partitions"]
        failed += [f"it did not say {words!r}" for words in (OTHER_NUMBER, "1. Stop", "4. Start") if words not in fleet.said(0)]
        if length(kafka.bootstrap, bench.logs[1]) != before:
            failed.append("it wrote before it refused")
        if not failed:
            failed += _procedure(bench, fleet, kafka, name, source)
    held = [f"before: {first.line()}"] if not first.passed else []
    return Finding("4 partitions become 6", 1, notes=f"{bench.pump.sent} records", failed=(*held, *failed))


def _procedure(bench: Bench, fleet: Releases, kafka: KafkaSettings, name: str, source: str) -> list[str]:
    """Take the printed steps; then what the log of six partitions gives must come out, beside what the one of four gave."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    _, old = expected(kafka.bootstrap, name, source, bench.logs[1])
    until(lambda: not _members(admin, group_of(name)), REFUSED_WITHIN_S, "the sessions of its static members are over")
    for future in [
        *admin.delete_topics([source, changelog_of(name)]).values(),
        *admin.delete_consumer_groups([group_of(name)]).values(),
    ]:
        future.result(10)
    until(lambda: not {source, changelog_of(name)} & set(admin.list_topics(timeout=10).topics), REFUSED_WITHIN_S, "both topics are gone")
    create_topics(kafka, [NewLog(source, MORE, {})])
    fleet.start(0)
    pump = Pump(kafka.bootstrap, source, 4, fleet.revive)  # the other counts its records on a log that is gone
    pump.during(2, PER_SECOND)
    pump.flush()
    _, new = expected(kafka.bootstrap, name, source, bench.logs[1])
    wanted = {output.value for output in (*old.values(), *new.values())}  # ids come again, for offsets do: the bytes tell them apart

    def seen() -> set[bytes]:
        return {record.value for record in read_all(kafka.bootstrap, bench.logs[1]) if record.header("airra.type") is None}

    with contextlib.suppress(RuntimeError):  # what is missing then is counted below
        until(lambda: wanted <= seen(), REFUSED_WITHIN_S, "all is there")
    lost, wrong = len(wanted - seen()), len(seen() - wanted)
    fleet.stop()
    return [f"after the steps {lost} outputs are lost, {wrong} wrong"] if lost or wrong else []


def _members(admin: AdminClient, group: str) -> int:
    return len(admin.describe_consumer_groups([group])[group].result(10).members)


CHAPTER = Chapter(
    "versions",
    "Releases side by side",
    (
        Case(
            "formats",
            "a worker that writes a new format of state beside one that only reads it; killed and moved both ways, then rolled back",
            single("formats 1 and 2 in one group, rolled back", rolling),
            minutes=3,
            in_sample=True,
        ),
        Case(
            "unread-format",
            "a worker that does not know the format of the state joins: it refuses with exit code 2 and leaves; the other goes on",
            single("a format that the older release does not read", not_read),
            minutes=1,
        ),
        Case(
            "partitions",
            "partitions are added under a stage's state: refused with exit code 2 and the steps; then the steps are taken",
            single("4 partitions become 6", partitions),
            minutes=1,
        ),
        worker_partitions.CASE,
        record_versions.CASE,
        previous_release.CASE,
    ),
)
