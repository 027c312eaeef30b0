"""Recorded messages as AIRRA reads them: their format by its own choice, one by one and by the batch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.config.formats import FormatsMapping
from schemas.config.metrics import MetricsMapping
from schemas.kinds import MetricType
from streams.normalise.core import Core
from streams.normalise.fates import Rejection
from streams.normalise.formats.catalogue import choice_of
from streams.normalise.formats.port import Described
from streams.normalise.formats.staleness import is_stale
from streams.normalise.raw import Found, Raw, by_index
from streams.normalise.reader import Reader
from tests.golden.messages import Message

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Seen:
    """A sample, told as its producer tells it."""

    labels: Labels
    at: int
    value: float
    type: MetricType | None
    delta: bool
    unit: str

    @property
    def name(self) -> str:
        return self.of("__name__")

    def of(self, label: str) -> str:
        return dict(self.labels).get(label, "")

    @property
    def ended(self) -> bool:
        return is_stale(self.value)

    @property
    def idle(self) -> bool:
        return math.isnan(self.value) and not self.ended


def labelled(**labels: str) -> Labels:
    return frozenset(labels.items())


def choose(**topics: str) -> FormatsMapping:
    """Return a configuration that names the formats of these topics."""
    return FormatsMapping.model_validate({"topics": {topic: {"format": name} for topic, name in topics.items()}})


def read(messages: Sequence[Message], topic: str = "metrics", formats: FormatsMapping | None = None) -> tuple[Counter[str], list[Seen]]:
    """Return how many records were found to be of which format, and the samples. A sample that is refused fails the test."""
    choice = choice_of(formats or FormatsMapping())
    records: Counter[str] = Counter()
    seen: list[Seen] = []
    for message in messages:
        (one,) = choice.read(topic, message.value, message.headers)
        assert not isinstance(one, Rejection), one
        records[one.format.name] += 1
        known: dict[bytes, Described] = {}
        for sample in one.found:
            assert not isinstance(sample, Rejection), sample
            assert sample.at is not None, "none of these producers leaves the time to Kafka"
            if (means := known.get(sample.key)) is None:
                means = known[sample.key] = one.format.describe(sample.key)
            labels = frozenset(means.labels.items())
            seen.append(Seen(labels, sample.at, sample.value, means.type, means.delta, means.unit))
    return records, seen


def bare(messages: Sequence[Message]) -> list[Message]:
    """Return messages as a relay hands them on that drops their headers: only their looks tell of what format they are."""
    return [Message(message.value, message.key, stamp=message.stamp) for message in messages]


def by_stage(messages: Sequence[Message], topic: str = "metrics") -> tuple[Found, Core]:
    """Let normalise read all as one batch of Kafka."""
    core = Core(MetricsMapping.model_validate({"metrics": [{"match": "*", "kind": "other"}]}), 1, 1)
    headers = by_index(message.headers for message in messages)
    raw = Raw(topic, [message.value for message in messages], [message.stamp for message in messages], headers)
    return Reader(core.cache, choice_of(FormatsMapping()), core.samples).read(raw), core
