"""What becomes of raw records, without Kafka: records in; outputs, and one fate for each record, out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from schemas.config.formats import FormatsMapping
from schemas.config.metrics import MetricsMapping
from schemas.topics import RAW_METRICS
from streams.harness.dlq import dead_letter
from streams.harness.errors import Poison
from streams.harness.redelivery import FORWARDED
from streams.harness.stage import Headers, Output, Record
from streams.normalise.alertmanager import decode_webhook
from streams.normalise.cache import CAPACITY, SeriesCache
from streams.normalise.changes import decode_change
from streams.normalise.fates import Reason, Rejected, Rejection, SampleFate
from streams.normalise.formats.catalogue import ADAPTER, choice_of
from streams.normalise.formats.choice import Choice
from streams.normalise.outputs import Heartbeats, Part, UnknownMetrics, alert_outputs, announcements, change_output, parts, together
from streams.normalise.prometheus_kafka_adapter import Decoder
from streams.normalise.raw import Found, Raw
from streams.normalise.reader import Reader
from streams.normalise.rows import Decoded, settle
from streams.normalise.series import Resolver
from streams.normalise.times import Reach

STAGE = "normalise"

# A sample as prometheus-kafka-adapter writes it, and its time.
_SAMPLE = b'{"labels":{"__name__":"up","service":"airra"},"name":"up","timestamp":"2026-11-24T03:00:00Z","value":"1"}'
_AT = 1_795_489_200_000


@dataclass(slots=True)
class Taken:
    """accepted + unmapped + empty + refused = the records taken."""

    definitions: list[Output] = field(default_factory=list)  # to be appended before the rows
    rows: list[Part] = field(default_factory=list)
    others: list[Output] = field(default_factory=list)  # to be appended after them
    accepted: int = 0
    unmapped: int = 0
    empty: int = 0
    refused: list[Reason] = field(default_factory=list)
    samples: Counter[tuple[str, SampleFate]] = field(default_factory=Counter)  # of records of metrics, by format

    def refuse(self, record: Record, rejection: Rejection, forwarded: str = "") -> None:
        """Dead-letter a record; `forwarded` are those of its parts that were taken all the same, for a replay to leave out."""
        self.refused.append(rejection.reason)
        letter = dead_letter(record, STAGE, Poison(rejection.reason, rejection.detail))
        if forwarded:
            letter = replace(letter, headers=(*letter.headers, (FORWARDED, forwarded.encode())))
        self.others.append(letter)

    def add(self, other: Taken) -> None:
        """Take over what is to be appended of another, which comes after it."""
        self.definitions += other.definitions
        self.rows += other.rows
        self.others += other.others

    @property
    def held(self) -> int:
        return sum(len(batch.offset) for _, _, batch in self.rows)

    @property
    def outputs(self) -> list[Output]:
        """All records of what was taken, in the order in which they are to be appended."""
        return [*self.definitions, *together(self.rows), *self.others]


class Core:
    """Holds caches only: it may be thrown away between any two calls, and only definitions are told again."""

    def __init__(
        self,
        mapping: MetricsMapping,
        samples_partitions: int,
        alerts_partitions: int,
        capacity: int = CAPACITY,
        choice: Choice | None = None,
    ) -> None:
        """`choice` says of what format a record of metrics is; without one each is recognised."""
        self.resolver = Resolver(mapping)
        self._alerts_partitions = alerts_partitions
        self.cache = SeriesCache(self.resolver, samples_partitions, capacity)
        self.samples = Decoder(self.cache)
        self._reader = Reader(self.cache, choice or choice_of(FormatsMapping()), self.samples)
        self.unknown = UnknownMetrics()
        self._heartbeats = Heartbeats(samples_partitions)
        self.counted: dict[str, int] = {}  # evictions already in the metrics

    def take_samples(
        self,
        source: tuple[str, int],
        values: Sequence[bytes | None],
        offsets: Sequence[int],
        stamps: Sequence[int],
        record_at: Callable[[int], Record],
        reach: Reach,
        headers: Mapping[int, Headers] | None = None,
    ) -> Taken:
        """Take messages of one source partition, offsets rising; `record_at` gives the whole record of a refused one.

        `headers` are those of the messages that have any, by index. Raises Waits where a schema cannot be fetched now: then nothing
        was taken.
        """
        found = self._reader.read(Raw(source[0], values, stamps, headers or {}))
        decoded = settle(found.rows, offsets, stamps, found.refusals, self.cache, reach, found.before)
        taken = Taken()
        self._count(taken, found, decoded, len(values))
        taken.definitions.extend(announcements(decoded, self.cache, reach.now))
        taken.rows.extend(parts(*source, decoded, self.cache))
        if reach == Reach(reach.now):  # history tells nobody what goes on now
            taken.others.extend(self._heartbeats.outputs(*source, decoded, self.cache))
        taken.others.extend(self.unknown.outputs(decoded.unknown))
        for refused in decoded.refused:
            taken.refuse(record_at(refused.record), refused.rejection, refused.forwarded)
        return taken

    @staticmethod
    def _count(taken: Taken, found: Found, decoded: Decoded, records: int) -> None:
        """Give each record its one fate, and each sample its own."""
        accepted, unmapped = np.zeros(records, np.bool_), np.zeros(records, np.bool_)
        accepted[decoded.record] = True
        unmapped[decoded.unmapped] = True
        refused = np.zeros(records, np.bool_)
        refused[[one.record for one in decoded.refused]] = True
        taken.accepted = int((accepted & ~refused).sum())
        taken.unmapped = int((unmapped & ~accepted & ~refused).sum())
        taken.empty = records - taken.accepted - taken.unmapped - int(refused.sum())
        names = np.zeros(records, np.int64)
        kinds = [ADAPTER, *dict.fromkeys(found.formats.values())]
        for record, name in found.formats.items():
            names[record] = kinds.index(name)
        for fate, of in (
            (SampleFate.ACCEPTED, decoded.record),
            (SampleFate.UNMAPPED, decoded.unmapped),
            (SampleFate.NO_VALUE, np.fromiter(found.no_value.elements(), np.int64)),
            (SampleFate.REFUSED, np.fromiter((record for record, count in found.refusals.count.items() for _ in range(count)), np.int64)),
        ):
            if not len(of):
                continue
            for kind, count in enumerate(np.bincount(names[of], minlength=len(kinds)).tolist()):
                if count:
                    taken.samples[kinds[kind], fate] += count

    def take_alerts(self, records: Sequence[Record], reach: Reach) -> Taken:
        taken = Taken()
        for record in records:
            webhook = decode_webhook(record, self.resolver, reach)
            taken.others.extend(alert_outputs(webhook.events, self._alerts_partitions))
            if webhook.rejection is None:
                taken.accepted += 1
            else:
                taken.refuse(record, webhook.rejection, webhook.taken)
        return taken

    def take_changes(self, records: Sequence[Record], reach: Reach) -> Taken:
        taken = Taken()
        for record in records:
            try:
                taken.others.append(change_output(decode_change(record, reach)))
                taken.accepted += 1
            except Rejected as refused:
                taken.refuse(record, refused.rejection)
        return taken


def load(mapping: MetricsMapping) -> None:
    """Load what the first sample of prometheus-kafka-adapter would: what is compiled. Batches load theirs with the first of them.

    It stays for good. While messages are fetched at the same time it would stand between them, and pages that hold both are not given back.
    """
    source = RAW_METRICS.name, 0
    record = Record(*source, 0, _AT, None, _SAMPLE)
    _ = Core(mapping, 1, 1).take_samples(source, [_SAMPLE], [0], [_AT], lambda _: record, Reach(_AT)).outputs
