"""What normalise says beside the rows: definitions again while their series live, and heartbeats to partitions without rows."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime

from models.detection.state import DetectState
from schemas.samples import decode_heartbeat, decode_series
from schemas.signals import AnomalyReason, Phase
from schemas.topics import SAMPLES, SERIES
from streams.detect import stage
from streams.harness.stage import Output, Record
from streams.normalise.core import Core, Taken
from streams.normalise.partitioner import partition_of
from streams.normalise.times import Reach, of_history
from tests.unit.detect_feed import CONFIG, read
from tests.unit.test_normalise_samples import NOW, SHIPPED

OFFSETS = itertools.count(1000)


def take(core: Core, at: int, *services: str, reach: Reach | None = None, value: float = 1.0) -> Taken:
    """Take one sample of each service, at this time by every clock."""
    stamp = datetime.fromtimestamp(at / 1000, UTC).isoformat().replace("+00:00", "Z")
    values = [
        json.dumps({"labels": {"__name__": "up", "service": name}, "name": "up", "timestamp": stamp, "value": str(value)}).encode()
        for name in services
    ]
    offsets = [next(OFFSETS) for _ in values]
    return core.take_samples(("metrics", 0), list(values), offsets, [at] * len(values), _none, reach or Reach(at))


def _none(index: int) -> Record:
    raise AssertionError(f"record {index} was refused")


def of(taken: Taken, kind: bytes) -> list[Output]:
    return [one for one in taken.outputs if one.topic == SAMPLES.name and dict(one.headers)["airra.type"] == kind]


def test_a_definition_is_told_to_the_samples_topic_again_while_its_series_lives() -> None:
    core = Core(SHIPPED, 4, 4)
    told = [i for i in range(0, 1200, 10) if of(take(core, NOW + 1000 * i, "a"), b"series")]
    gaps = [after - before for before, after in itertools.pairwise(told)]
    assert told[0] == 0
    assert len(told) >= 4
    assert all(150 <= gap <= 310 for gap in gaps)


def test_definitions_of_many_series_are_not_told_again_all_at_once_nor_to_the_compacted_topic() -> None:
    core = Core(SHIPPED, 4, 4)
    names = [f"s{number}" for number in range(200)]
    take(core, NOW, *names)
    taken = [take(core, NOW + 1000 * i, *names) for i in range(1, 310)]
    counts = [sum(len(decode_series(one.value)) for one in of(found, b"series")) for found in taken]
    assert sum(counts) >= 200
    assert max(counts) < 20
    assert [one for found in taken for one in found.outputs if one.topic == SERIES.name] == []


def test_partitions_without_rows_hear_that_the_source_goes_on_every_two_seconds_of_its_time() -> None:
    core = Core(SHIPPED, 4, 4)
    here = partition_of("a", 4)
    beats = [
        (i, one.partition, decode_heartbeat(one.value)) for i in range(10) for one in of(take(core, NOW + 1000 * i, "a"), b"heartbeat")
    ]
    assert {partition for _, partition, _ in beats} == set(range(4)) - {here}
    assert [(i, found.at) for i, partition, found in beats if partition == (here + 1) % 4] == [(i, NOW + 1000 * i) for i in range(0, 10, 2)]
    assert all((found.topic, found.partition) == ("metrics", 0) for _, _, found in beats)


def test_a_heartbeat_has_the_offset_of_the_newest_record_and_follows_the_rows() -> None:
    taken = take(Core(SHIPPED, 4, 4), NOW, "a", "b", "a")
    kinds = [dict(one.headers)["airra.type"] for one in taken.outputs if one.topic == SAMPLES.name]
    assert kinds == sorted(kinds, key=lambda kind: kind == b"heartbeat")
    last = next(OFFSETS) - 1
    assert {decode_heartbeat(one.value).offset for one in of(taken, b"heartbeat")} == {last}


def test_one_wild_time_does_not_end_the_heartbeats() -> None:
    core = Core(SHIPPED, 4, 4)
    take(core, NOW + 240_000, "a", reach=Reach(NOW))
    assert len(of(take(core, NOW, "a"), b"heartbeat")) == 3


def test_nothing_and_history_tell_nobody_what_goes_on() -> None:
    core = Core(SHIPPED, 4, 4)
    assert of(take(core, NOW), b"heartbeat") == []
    assert of(take(core, NOW, "a", reach=of_history(NOW)), b"heartbeat") == []


class Partition:
    """One partition of detect behind normalise."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.stage = stage(CONFIG)
        self.state: DetectState = self.stage.restore(None)
        self.offset = 0
        self.found: list[Output] = []

    def fold(self, taken: Taken, now: int) -> None:
        for one in taken.outputs:
            if one.topic == SAMPLES.name and one.partition == self.number:
                record = Record(one.topic, self.number, self.offset, now, one.key, one.value, one.headers)
                self.found += self.stage.apply(self.state, record, now)
                self.offset += 1


def test_a_service_alone_in_its_partition_is_missed_while_others_report_elsewhere() -> None:
    lone = next(name for name in map(str, itertools.count()) if partition_of(name, 4) != partition_of("a", 4))
    core, partition = Core(SHIPPED, 4, 4), Partition(partition_of(lone, 4))
    for i in range(90):
        now = NOW + 1000 * i
        partition.fold(take(core, now, "a", *([lone] if i < 60 else [])), now)
    opened = [one for one in read(partition.found) if one.type == "anomaly" and one.phase is Phase.OPENED]
    assert [(one.reason, one.evidence.service) for one in opened] == [(AnomalyReason.SILENCE, lone)]
    assert (opened[0].at - NOW) // 1000 <= 70


def test_a_detector_that_never_read_the_definitions_knows_the_series_within_minutes() -> None:
    core = Core(SHIPPED, 4, 4)
    take(core, NOW, "a")  # read by nobody: retention deleted it
    partition = Partition(partition_of("a", 4))
    for i in range(1, 330):
        now = NOW + 1000 * i
        partition.fold(take(core, now, "a"), now)
    assert partition.state.registry.raws.count == 1
