"""normalise, record for record: what it would make of each raw record now, against what stands in its outputs.

When it decided is no part of a record, but some decisions depend on it (is this time stamp in the future?): so each raw record is
decoded as of the time stamp that its output carries, and what left no output as of its neighbour's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from cli.conserve.account import Account
from cli.conserve.logs import Logs, Place
from cli.wiring import choice
from schemas import topics
from schemas.config.metrics import MetricsMapping
from schemas.samples import BATCH_HEADER, TYPE_HEADER, decode_batches
from schemas.settings import Settings
from streams.harness.fold import BACKFILL_HEADER
from streams.harness.redelivery import letter_of
from streams.harness.stage import Output, Record
from streams.normalise.core import STAGE, Core
from streams.normalise.fates import Fate
from streams.normalise.raw import by_index
from streams.normalise.times import Reach, of_history

At = tuple[str, int, int]  # topic, partition, offset of a raw record
SLACK_MS = 60_000  # outputs are written after their inputs, but the clocks of hosts differ
HEAD = 101  # of a partition's records: when the first of them were written
CHUNK = 5_000


@dataclass(slots=True)
class Outputs:
    """What came of raw records, by their place: the contents of each, and when it was written."""

    passed: dict[At, list[object]] = field(default_factory=dict)
    letters: dict[At, list[str]] = field(default_factory=dict)  # reasons
    written: dict[At, int] = field(default_factory=dict)

    def put(self, at: At, content: object, stamp: int) -> None:
        self.passed.setdefault(at, []).append(content)
        self.written.setdefault(at, stamp)


def normalise(
    logs: Logs, settings: Settings, mapping: MetricsMapping, groups: Mapping[str, Sequence[str]], newest: int | None
) -> list[Account]:
    """Account for each raw topic; of each partition only the `newest` records that were taken, all of them where None."""
    forms = {"metrics": settings.sample_topics, "alerts": settings.alerts_topics, "changes": settings.changes_topics}
    inputs: dict[str, list[Record]] = {}
    accounts = {}
    for named in forms.values():
        for topic in named:
            accounts[topic] = account = Account(f"{STAGE} {topic}")
            inputs[topic] = list(_inputs(logs, topic, groups, newest, account))
    found = outputs(logs, *_window(inputs)) if newest is not None else outputs(logs, None, None)
    sizes = {spec.name: len(logs.bounds(spec.name)) or spec.partitions for spec in (topics.SAMPLES, topics.ALERTS)}
    core = Core(mapping, sizes[topics.SAMPLES.name], sizes[topics.ALERTS.name], choice=choice(settings))
    for form, named in forms.items():
        for topic in named:
            _compare(core, form, inputs[topic], found, accounts[topic])
            _strays(topic, inputs[topic], found, accounts[topic], whole=newest is None)
    return [account.settle() for account in accounts.values()]


def _window(inputs: Mapping[str, list[Record]]) -> tuple[int | None, Mapping[Place, int]]:
    """Return since when outputs of these records may have been written, and the first offset of each partition.

    Time stamps are the producers': of the first records the middle one is believed, for one of them may be a year old.
    """
    heads: dict[Place, list[Record]] = {}
    for records in inputs.values():
        for record in records:
            head = heads.setdefault((record.topic, record.partition), [])
            if len(head) < HEAD:
                head.append(record)
    first = [sorted(one.timestamp for one in head)[len(head) // 2 if len(head) == HEAD else 0] for head in heads.values()]
    return (min(first) - SLACK_MS if first else None), {place: head[0].offset for place, head in heads.items()}


def outputs(logs: Logs, since: int | None, begins: Mapping[Place, int] | None) -> Outputs:
    """Read what normalise has written since a time (ms), about records from these offsets on; all of it where None."""
    found = Outputs()
    for record in _all(logs, topics.SAMPLES.name, since):
        for at, row in _rows(record, begins):
            found.put(at, row, record.timestamp)
    for topic in (topics.ALERTS.name, topics.SIGNALS.name):
        for record in _all(logs, topic, since):
            if record.header(TYPE_HEADER) in {b"alert_event", b"change"}:
                source = json.loads(record.value)["source"]
                found.put((source["topic"], source["partition"], source["offset"]), record.value, record.timestamp)
    for record in _all(logs, topics.DLQ.name, since):
        letter = letter_of(record)
        if letter is not None and letter.stage == STAGE:
            at = letter.topic, letter.partition, letter.offset
            found.letters.setdefault(at, []).append(letter.reason)
            found.written.setdefault(at, record.timestamp)
    return found


def _rows(record: Record, begins: Mapping[Place, int] | None) -> Iterator[tuple[At, object]]:
    """Yield the rows of a record, of the sources that do not stand before what is looked at; a stranger's record is detect's poison."""
    if record.header(TYPE_HEADER) != b"samples":
        return
    try:
        found = decode_batches(record.value, record.header(BATCH_HEADER))
    except ValueError:
        return
    for source, batch in found.parts():
        if begins is not None and source.last < begins.get((source.topic, source.partition), 0):
            continue
        bits = batch.value.view(np.uint64)  # the mark of a series that has ended is a NaN, which equals nothing
        for offset, *row in zip(batch.offset.tolist(), batch.series.tolist(), batch.time.tolist(), bits.tolist(), strict=True):
            yield (source.topic, source.partition, offset), (record.partition, *row)


def _all(logs: Logs, topic: str, since: int | None) -> Iterator[Record]:
    for number in logs.bounds(topic):
        yield from logs.records(topic, number, since=since)


def _inputs(logs: Logs, topic: str, groups: Mapping[str, Sequence[str]], newest: int | None, account: Account) -> Iterator[Record]:
    taken: dict[Place, int] = {}
    for group, of in groups.items():
        if topic in of and group.startswith(f"airra-{STAGE}"):
            for place, offset in logs.taken(group, [topic]).items():
                taken[place] = max(offset, taken.get(place, 0))
    for number, bounds in logs.bounds(topic).items():
        end = taken.get((topic, number), bounds.first)
        account.lag += max(0, bounds.following - end)
        begin = bounds.first if newest is None else max(bounds.first, end - newest)
        if begin < end:
            yield from _until(end, logs.records(topic, number, begin=begin))


def _until(end: int, records: Iterator[Record]) -> Iterator[Record]:
    for record in records:
        if record.offset >= end:
            return
        yield record


def _compare(core: Core, form: str, records: list[Record], found: Outputs, account: Account) -> None:
    """Decode again, as of when it was decoded, and compare."""
    account.taken = len(records)
    now = next((found.written[at] for record in records if (at := _at(record)) in found.written), 0)
    timed = []
    for record in records:
        now = found.written.get(_at(record), now)
        timed.append((record.partition, now, record.header(BACKFILL_HEADER) is not None, record))
    for (partition, at, historical), run in groupby(timed, key=lambda one: one[:3]):
        part = [one[3] for one in run]
        reach = of_history(at) if historical else Reach(at)
        for begin in range(0, len(part), CHUNK):
            _fates(core, form, partition, part[begin : begin + CHUNK], reach, found, account)


def _fates(core: Core, form: str, partition: int, part: list[Record], reach: Reach, found: Outputs, account: Account) -> None:
    if form == "metrics":
        source = part[0].topic, partition
        values: list[bytes | None] = [record.value for record in part]
        offsets, stamps = [record.offset for record in part], [max(record.timestamp, 0) for record in part]
        headers = by_index(record.headers for record in part)
        taken = core.take_samples(source, values, offsets, stamps, part.__getitem__, reach, headers)
    elif form == "alerts":
        taken = core.take_alerts(part, reach)
    else:
        taken = core.take_changes(part, reach)
    told = {Fate.ACCEPTED: taken.accepted, Fate.UNMAPPED: taken.unmapped, Fate.EMPTY: taken.empty, Fate.DEAD_LETTER: len(taken.refused)}
    account.fates.update({fate: count for fate, count in told.items() if count})
    expected = _predicted(taken.outputs)
    for record in part:
        at = _at(record)
        wanted, letters = expected.passed.get(at, []), expected.letters.get(at, [])
        _hold(at, wanted, found.passed.get(at, []), account)
        _hold(at, letters, found.letters.get(at, []), account)


def _hold(at: At, wanted: Sequence[object], there: Sequence[object], account: Account) -> None:
    missing, strange = set(wanted) - set(there), set(there) - set(wanted)
    if missing:
        account.fault("records lost" if not strange else "records otherwise than they should be", f"{at[0]}/{at[1]}@{at[2]}")
    elif strange:
        account.fault("records otherwise than they should be", f"{at[0]}/{at[1]}@{at[2]}")
    account.repeated += len(there) - len(set(there))


def _predicted(made: Sequence[Output]) -> Outputs:
    found = Outputs()
    for output in made:
        record = Record(output.topic, output.partition or 0, 0, 0, output.key, output.value, output.headers)
        if output.topic == topics.SAMPLES.name:
            for at, row in _rows(record, None):
                found.put(at, row, 0)
        elif output.topic in {topics.ALERTS.name, topics.SIGNALS.name}:
            source_of = json.loads(output.value)["source"]
            found.put((source_of["topic"], source_of["partition"], source_of["offset"]), output.value, 0)
        elif output.topic == topics.DLQ.name and (letter := letter_of(record)) is not None:
            found.letters.setdefault((letter.topic, letter.partition, letter.offset), []).append(letter.reason)
    return found


def _strays(topic: str, records: list[Record], found: Outputs, account: Account, *, whole: bool) -> None:
    """Find outputs about records that are not there: within what was looked at, and below it only where all of it was."""
    known = {_at(record) for record in records}
    lowest = {number: min(at[2] for at in known if at[1] == number) for number in {at[1] for at in known}}
    highest = {number: max(at[2] for at in known if at[1] == number) for number in lowest}
    for at in {*found.passed, *found.letters}:
        if at[0] == topic and at not in known and at[1] in lowest and at[2] <= highest[at[1]] and (whole or at[2] >= lowest[at[1]]):
            account.fault("outputs from nowhere", f"{at[0]}/{at[1]}@{at[2]}")


def _at(record: Record) -> At:
    return record.topic, record.partition, record.offset
