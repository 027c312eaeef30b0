"""What the doctor's account leaves open: that outputs stand in the order a fold says them in, and that every stage has come to its end.

A crash repeats outputs, so what counts is where each stands first: a repeat comes after what it repeats, and moves nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cli.conserve.folded import Told, told
from cli.conserve.logs import Logs, Place
from schemas import topics
from schemas.samples import BATCH_HEADER, TYPE_HEADER, decode_batches
from streams.harness.fold import fold, restore
from streams.harness.stage import Record, Stage

CLOCKS = {b"tick", b"heartbeat"}  # they never cease
TAIL = 500  # records at the end of a log among which one is no tick
Source = tuple[str, int]  # a raw topic and its partition


def ends(logs: Logs, groups: Mapping[str, Sequence[str]]) -> dict[Place, int]:
    """Return of every partition that a group reads the offset after its last record now, those of clocks aside."""
    return {
        (topic, number): _end(logs, topic, number)
        for topic in sorted({one for of in groups.values() for one in of})
        for number in logs.bounds(topic)
    }


def _end(logs: Logs, topic: str, number: int) -> int:
    bounds = logs.bounds(topic)[number]
    begin = max(bounds.first, bounds.following - TAIL)
    told_of = [record.offset + 1 for record in logs.records(topic, number, begin=begin) if record.header(TYPE_HEADER) not in CLOCKS]
    return max(told_of, default=begin)


def behind(logs: Logs, groups: Mapping[str, Sequence[str]], wanted: Mapping[Place, int]) -> list[str]:
    """Name what a group has not taken up to these ends."""
    found = []
    for group, of in groups.items():
        taken = logs.taken(group, of)
        for (topic, number), end in wanted.items():
            if topic in of and end > logs.bounds(topic)[number].first and taken.get((topic, number), 0) < end:
                found.append(f"{group} has taken {topic}/{number} to {taken.get((topic, number), 0)} of {end}")
    return found


def out_of_order(logs: Logs, stages: Iterable[Stage[Any]]) -> list[str]:
    """Name the stages whose outputs stand in another order than a fold of their log says, partition by partition."""
    kept: dict[Place, list[Told]] = {}
    found = []
    for stage in stages:
        for number in logs.bounds(stage.topic):
            for topic, said in _said(logs, stage, number).items():
                for place in ((topic, other) for other in logs.bounds(topic)):
                    if place not in kept:
                        kept[place] = list(dict.fromkeys(told(record) for record in logs.records(*place)))
                    if (at := _differs(said, kept[place])) is not None:
                        found.append(
                            f"{stage.name} of {stage.topic}/{number}: {topic}/{place[1]} is in another order from its record {at} on"
                        )
    return found


def _said(logs: Logs, stage: Stage[Any], number: int) -> dict[str, list[Told]]:
    """Fold a partition from its beginning; return what the stage says of it, by topic, in order."""
    part = restore(stage, number, None, 0)
    said: dict[str, dict[Told, None]] = {}
    for record in logs.records(stage.topic, number):
        if record.offset > part.offset + 1:
            part.gaps[part.offset + 1] = record.offset  # the marker of a transaction
        for output in fold(stage, part, record):
            said.setdefault(output.topic, {})[told(output)] = None
    return {topic: list(each) for topic, each in said.items()}


def _differs(said: Sequence[Told], stands: Sequence[Told]) -> int | None:
    """Return the first of the outputs that stand here which stands elsewhere in what is said. What is missing is the account's."""
    both = set(said) & set(stands)
    pairs = zip((one for one in said if one in both), (one for one in stands if one in both), strict=True)
    return next((index for index, (first, second) in enumerate(pairs) if first != second), None)


def unordered_sources(logs: Logs) -> list[str]:
    """Name what normalise has passed on in another order than it stands on the raw topic: offsets first seen below one seen before."""
    found = []
    for topic in (topics.SAMPLES.name, topics.ALERTS.name, topics.SIGNALS.name):
        for number in logs.bounds(topic):
            seen: dict[Source, set[int]] = {}
            for record in logs.records(topic, number):
                for source, offsets in _sources(record):
                    before = seen.setdefault(source, set())
                    new = set(offsets) - before
                    if new and before and min(new) < max(before):
                        found.append(f"{topic}/{number}@{record.offset}: {source[0]}/{source[1]}@{min(new)} after {max(before)}")
                    before |= new
    return found


def _sources(record: Record) -> Iterator[tuple[Source, list[int]]]:
    match record.header(TYPE_HEADER):
        case b"samples":
            for source, batch in decode_batches(record.value, record.header(BATCH_HEADER)).parts():
                yield (source.topic, source.partition), batch.offset.tolist()
        case b"alert_event" | b"change":
            at = json.loads(record.value)["source"]
            yield (at["topic"], at["partition"]), [at["offset"]]
