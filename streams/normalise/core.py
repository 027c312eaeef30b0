"""What becomes of raw records, without Kafka: records in; outputs, and one fate for each record, out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from schemas.config.metrics import MetricsMapping
from streams.harness.dlq import dead_letter
from streams.harness.errors import Poison
from streams.harness.redelivery import FORWARDED
from streams.harness.stage import Output, Record
from streams.normalise.alertmanager import decode_webhook
from streams.normalise.cache import CAPACITY, SeriesCache
from streams.normalise.changes import decode_change
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.outputs import Heartbeats, UnknownMetrics, alert_outputs, change_output, sample_outputs
from streams.normalise.prometheus_kafka_adapter import Decoder
from streams.normalise.series import Resolver
from streams.normalise.times import Reach

STAGE = "normalise"


@dataclass(slots=True)
class Taken:
    """accepted + unmapped + refused = the records taken."""

    outputs: list[Output] = field(default_factory=list)
    accepted: int = 0
    unmapped: int = 0
    refused: list[Reason] = field(default_factory=list)

    def refuse(self, record: Record, rejection: Rejection, forwarded: str = "") -> None:
        """Dead-letter a record; `forwarded` are those of its parts that were taken all the same, for a replay to leave out."""
        self.refused.append(rejection.reason)
        letter = dead_letter(record, STAGE, Poison(rejection.reason, rejection.detail))
        if forwarded:
            letter = replace(letter, headers=(*letter.headers, (FORWARDED, forwarded.encode())))
        self.outputs.append(letter)


class Core:
    """Holds caches only: it may be thrown away between any two calls, and only definitions are told again."""

    def __init__(self, mapping: MetricsMapping, samples_partitions: int, alerts_partitions: int, capacity: int = CAPACITY) -> None:
        self.resolver = Resolver(mapping)
        self._alerts_partitions = alerts_partitions
        self.cache = SeriesCache(self.resolver, samples_partitions, capacity)
        self.samples = Decoder(self.cache)
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
    ) -> Taken:
        """Take messages of one source partition, offsets rising; `record_at` gives the whole record of a refused one."""
        decoded = self.samples.decode(values, offsets, stamps, reach)
        taken = Taken(accepted=len(decoded.slots), unmapped=decoded.unmapped)
        taken.outputs.extend(sample_outputs(*source, decoded, self.cache, reach.now))
        if reach == Reach(reach.now):  # history tells nobody what goes on now
            taken.outputs.extend(self._heartbeats.outputs(*source, decoded, self.cache))
        taken.outputs.extend(self.unknown.outputs(decoded.unknown))
        for index, rejection in decoded.rejected:
            taken.refuse(record_at(index), rejection)
        return taken

    def take_alerts(self, records: Sequence[Record], reach: Reach) -> Taken:
        taken = Taken()
        for record in records:
            webhook = decode_webhook(record, self.resolver, reach)
            taken.outputs.extend(alert_outputs(webhook.events, self._alerts_partitions))
            if webhook.rejection is None:
                taken.accepted += 1
            else:
                taken.refuse(record, webhook.rejection, webhook.taken)
        return taken

    def take_changes(self, records: Sequence[Record], reach: Reach) -> Taken:
        taken = Taken()
        for record in records:
            try:
                taken.outputs.append(change_output(decode_change(record, reach)))
                taken.accepted += 1
            except Rejected as refused:
                taken.refuse(record, refused.rejection)
        return taken
