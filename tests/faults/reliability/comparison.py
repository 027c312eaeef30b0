"""What stages wrote beside linear replays of their logs, with each of the releases that wrote it, while they go on.

A record has a name: its topic, its type, its id. Where the releases agree on what stands under a name, that must stand there; where they do
not, for the later one does something else, it is not judged. What all of them write must be there, and nothing that none of them writes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import astuple, dataclass
from pathlib import Path

import msgspec

from schemas.samples import TYPE_HEADER
from schemas.topics import CATALOGUE, SAMPLES
from streams.harness.stage import Record
from tests.faults.ledger import read_all
from tests.faults.points.groups import plain_environment
from tests.faults.reliability.case import Finding

SCRIPT = Path(__file__).with_name("replays.py")
TOPICS = tuple(topic.name for topic in CATALOGUE if topic.plane != "raw")
Sort = tuple[str, str]  # of a record: its topic and its type
Name = tuple[str, str, str]  # and its id, or all of it where it has none


@dataclass(frozen=True)
class Written:
    """Records by their names, and how many there are of each."""

    counts: Mapping[Name, Counter[bytes]]

    @classmethod
    def of(cls, records: Iterable[tuple[Sort, bytes]]) -> Written:
        counts: dict[Name, Counter[bytes]] = defaultdict(Counter)
        for (topic, kind), value in records:
            counts[topic, kind, str(json.loads(value).get("id", value))][value] += 1
        return cls(counts)

    def said(self, name: Name) -> frozenset[bytes]:
        return frozenset(self.counts.get(name, ()))


@dataclass(frozen=True)
class Comparison:
    lost: frozenset[Name]
    wrong: frozenset[Name]
    repeated: int
    unjudged: int

    @classmethod
    def between(cls, replays: Sequence[Written], before: Written, after: Written) -> Comparison:
        """Judge what was there before the inputs of the replays were read, for rightness, and after it, for completeness."""
        names = [frozenset(each.counts) for each in replays]
        ours, all_write = {name[:2] for each in names for name in each}, frozenset.intersection(*names)
        agreed = {name for name in all_write if len({each.said(name) for each in replays}) == 1}
        there = {name for name in before.counts if name[:2] in ours}
        wrong = there - frozenset.union(*names) | {name for name in there & agreed if not before.said(name) <= replays[0].said(name)}
        lost = {name for name in all_write if not after.said(name)}
        lost |= {name for name in agreed if not replays[0].said(name) <= after.said(name)}
        repeated = sum(counts.total() - len(counts) for name, counts in after.counts.items() if name[:2] in ours)
        return cls(frozenset(lost), frozenset(wrong), repeated, len(frozenset.union(*names) - agreed))

    def found(self, item: str, failed: Sequence[str], notes: Sequence[str]) -> Finding:
        differ = [f"{word}: {_counted(names)}" for word, names in (("lost", self.lost), ("wrong", self.wrong)) if names]
        told = [*notes, *([f"under {self.unjudged} names the releases write different things"] if self.unjudged else [])]
        lost, wrong = len(self.lost), len(self.wrong)
        return Finding(item, 5, lost, wrong=wrong, repeated=self.repeated, notes="; ".join(told), failed=(*differ, *failed))


def compare(bootstrap: str, codes: Sequence[Path], folder: Path, asked: AbstractSet[bytes]) -> tuple[Comparison, dict[str, list[bytes]]]:
    """Compare what is on the logs with the replays of these codes; return also what each stage writes with the last of them.

    `asked` are records that no stage wrote. The stages go on meanwhile.
    """
    before, inputs, after = (_read(bootstrap) for _ in range(3))
    logs = folder / "logs"
    logs.write_bytes(msgspec.msgpack.encode([astuple(record) for record in inputs]))
    outputs = [_outputs(code, logs) for code in codes]
    by_stage: dict[str, list[bytes]] = defaultdict(list)
    for stage, _, value in outputs[-1]:
        by_stage[stage].append(value)
    replays = [Written.of((sort, value) for _, sort, value in each) for each in outputs]
    return Comparison.between(replays, _written(before, asked), _written(after, asked)), by_stage


def _outputs(code: Path, logs: Path) -> list[tuple[str, Sort, bytes]]:
    """Return stage, sort and value of what the stages write with this code, run by itself."""
    told = logs.with_name("replayed")
    env = {**plain_environment(), "PYTHONPATH": str(code), "PYTHONSAFEPATH": "1", "AIRRA_CONFIG_DIR": str(code / "config")}
    subprocess.run([sys.executable, "-P", str(SCRIPT), str(logs), str(told)], env=env, cwd=logs.parent, check=True)
    outputs = msgspec.msgpack.decode(told.read_bytes(), type=list[tuple[str, str, str, bytes]])
    return [(stage, (topic, kind), value) for stage, topic, kind, value in outputs]


def _read(bootstrap: str) -> list[Record]:
    return [record for topic in TOPICS for record in read_all(bootstrap, topic)]


def _written(records: Sequence[Record], asked: AbstractSet[bytes]) -> Written:
    """Return what may be a stage's: samples are none, and no JSON."""
    sorts = ((record, (record.topic, (record.header(TYPE_HEADER) or b"").decode())) for record in records)
    return Written.of((sort, record.value) for record, sort in sorts if record.value not in asked and record.topic != SAMPLES.name)


def _counted(names: AbstractSet[Name]) -> str:
    return ", ".join(f"{count} {kind} on {topic}" for (topic, kind), count in Counter(name[:2] for name in names).items())
