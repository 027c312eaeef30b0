"""What the raw logs hold and what came of it, both read from the topics; compared record by record."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from confluent_kafka import Consumer, Message, TopicPartition
from numpy.typing import NDArray

from schemas.samples import BATCH_HEADER, decode_batches
from schemas.topics import ALERTS, DLQ, SAMPLES, SIGNALS
from tests.faults.ledger import ends
from tests.faults.poison.kinds import GOOD, RAW

Place = tuple[str, int, int]
ANSWER_S = 10.0
REPLAY_OF = "airra.replay.of"
REASONS = {topic: {kind.name: kind.reason for kind in kinds} for topic, kinds in RAW.items()}


@dataclass
class Truth:
    """What the raw topics hold: good records by topic and partition, poison by place, replayed letters by the place they tell of."""

    good: dict[tuple[str, int], list[int]] = field(default_factory=lambda: defaultdict(list))
    poison: dict[Place, str] = field(default_factory=dict)
    replayed: dict[str, list[Place]] = field(default_factory=lambda: defaultdict(list))


@dataclass
class Outcome:
    """What came of them: how often each sample, alert and change was passed on, and the letters with their reasons."""

    rows: dict[tuple[str, int], NDArray[np.int64]] = field(default_factory=dict)
    events: Counter[tuple[str, int, int, int]] = field(default_factory=Counter)
    letters: dict[Place, list[str]] = field(default_factory=lambda: defaultdict(list))
    first_ms: int = 2**62
    last_ms: int = 0

    def times(self, place: Place) -> int:
        """Return how often the record at this place was passed on, in whole or in part."""
        counts = self.rows.get(place[:2])
        if counts is not None:
            return int(counts[place[2]]) if place[2] < len(counts) else 0
        return sum(self.events[(*place, index)] for index in range(2))


def truth(bootstrap: str) -> Truth:
    found = Truth()
    for topic in RAW:
        for message in messages(bootstrap, topic):
            place = topic, message.partition(), message.offset()
            headers = message.headers()
            if headers is not None and (of := dict(headers).get(REPLAY_OF)) is not None:
                found.replayed[of.decode()].append(place)
            elif message.key() == GOOD:
                found.good[place[:2]].append(place[2])
            else:
                found.poison[place] = message.key().decode()
    return found


def outcome(bootstrap: str) -> Outcome:
    found = Outcome()
    with contextlib.closing(_consumer(bootstrap)) as consumer:
        for partition, (_, following) in ends(consumer, "metrics").items():
            found.rows["metrics", partition] = np.zeros(following, np.int64)
    for message in messages(bootstrap, SAMPLES.name):
        headers = dict(message.headers() or ())
        if headers.get("airra.type") == b"samples":
            for source, batch in decode_batches(message.value(), headers[BATCH_HEADER]).parts():
                np.add.at(found.rows[source.topic, source.partition], batch.offset, 1)
            _clock(found, message)
    for topic in (ALERTS.name, SIGNALS.name):
        for message in messages(bootstrap, topic):
            told = json.loads(message.value())
            if (source := told.get("source")) and source["topic"] in RAW:
                found.events[source["topic"], source["partition"], source["offset"], told.get("index", 0)] += 1
    for message in messages(bootstrap, DLQ.name):
        headers = {name: value for name, value in message.headers() or ()}  # noqa: C416 - the last of a name counts
        if "airra.error.stage" in headers:
            place = headers["airra.error.topic"].decode(), int(headers["airra.error.partition"]), int(headers["airra.error.offset"])
            found.letters[place].append(headers["airra.error.reason"].decode())
            _clock(found, message)
    return found


@dataclass(frozen=True)
class Verdict:
    lost: int
    doubled: int
    wrong: int
    failed: tuple[str, ...] = ()


def judged(raw: Truth, came: Outcome) -> Verdict:
    """Compare: each good record passed on once and no letter; each poison one in one letter with the reason of its kind."""
    lost = doubled = 0
    wrong: Counter[str] = Counter()
    for (topic, partition), offsets in raw.good.items():
        for_all = [came.times((topic, partition, offset)) for offset in offsets] if topic != "metrics" else None
        counts = came.rows[topic, partition][np.array(offsets)] if for_all is None else np.array(for_all)
        lost += int((counts == 0).sum())
        doubled += int((counts[counts > 1] - 1).sum())
    for place, kind in raw.poison.items():
        reasons = came.letters.get(place, [])
        lost += not reasons
        doubled += max(0, len(reasons) - 1)
        if set(reasons) - {REASONS[place[0]][kind]}:
            wrong[f"{kind} on {place[0]}: {sorted(set(reasons))}"] += 1
        if came.times(place) != (1 if kind == "half of it" else 0):
            wrong[f"{kind} on {place[0]} was passed on"] += 1
    known = set(raw.poison)
    again = {place for places in raw.replayed.values() for place in places}
    if strays := [place for place in came.letters if place not in known and place not in again]:
        wrong[f"letters about sound records, such as {strays[0]}"] += len(strays)
    return Verdict(lost, doubled, wrong.total(), tuple(f"{count} × {text}" for text, count in wrong.most_common(5)))


def brought_in(raw: Truth, came: Outcome, kinds: frozenset[tuple[str, str]]) -> Verdict:
    """Compare after a replay of these kinds: each came in by one record that was passed on once, whole or the rest of it; no letter."""
    lost = doubled = 0
    wrong: Counter[str] = Counter()
    for place, kind in raw.poison.items():
        again = raw.replayed.get(f"{place[0]}/{place[1]}@{place[2]}", [])
        if (place[0], kind) not in kinds:
            wrong[f"{kind} was replayed"] += len(again)
            continue
        times = sum(came.times(each) for each in again)
        lost += times == 0
        doubled += max(0, times - 1) + max(0, len(again) - 1)
        wrong[f"{kind} has a letter again"] += sum(len(came.letters.get(each, [])) for each in again)
    return Verdict(lost, doubled, wrong.total(), tuple(f"{count} × {text}" for text, count in wrong.most_common(5) if count))


def _clock(found: Outcome, message: Message) -> None:
    at = message.timestamp()[1]
    found.first_ms, found.last_ms = min(found.first_ms, at), max(found.last_ms, at)


def _consumer(bootstrap: str) -> Consumer:
    return Consumer({"bootstrap.servers": bootstrap, "group.id": "tally", "enable.partition.eof": True, "enable.auto.commit": False})


def messages(bootstrap: str, topic: str, begin: Mapping[int, int] = MappingProxyType({})) -> Iterator[Message]:
    """Yield a topic's committed records from `begin`, by partition, or its beginning, up to its present end, though it may grow.

    A partition is read when a record reaches that end, or when the broker says that nothing follows: markers and aborted records are
    not handed out.
    """
    with contextlib.closing(_consumer(bootstrap)) as consumer:
        bounds = ends(consumer, topic)
        consumer.assign([TopicPartition(topic, partition, begin.get(partition, low)) for partition, (low, _) in bounds.items()])
        unread, heard = set(bounds), time.monotonic()
        while unread:
            messages = consumer.consume(10_000, 0.1)
            heard = time.monotonic() if messages else heard
            if time.monotonic() - heard > ANSWER_S:
                raise RuntimeError(f"{topic}: no answer within {ANSWER_S} s")
            for message in messages:
                partition, end = message.partition(), bounds[message.partition()][1]
                if message.error() is None and message.offset() < end:
                    yield message
                if message.error() is not None or message.offset() >= end - 1:
                    unread.discard(partition)
