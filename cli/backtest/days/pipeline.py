"""normalise, detect and correlate in one process, without a broker: records in as they would stand on the raw topic, incidents out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cli.config import load
from cli.wiring import folds
from schemas.base import SCHEMA, canonical, derive_id, digest
from schemas.config.metrics import MetricsMapping
from schemas.config.topology import TopologyFile
from schemas.incidents import INCIDENT_EVENTS, Incident, IncidentPhase
from schemas.kinds import Kind
from schemas.samples import TYPE_HEADER
from schemas.settings import Settings
from schemas.signals import SIGNALS, Anomaly, Phase, Tick, Topology
from schemas.topics import INCIDENTS, NOTICES, RAW_METRICS, SAMPLES
from schemas.topics import SIGNALS as SIGNALS_TOPIC
from streams.detect import TICK_EVERY_S
from streams.harness.emit import emit
from streams.harness.stage import Output, Record
from streams.normalise.core import Core
from streams.normalise.raw import by_index
from streams.normalise.times import Reach

_TICK = ((TYPE_HEADER, b"tick"), SCHEMA)


class Pipeline:
    def __init__(self, settings: Settings, begin_ms: int) -> None:
        mapping = load(MetricsMapping, settings.file("metrics"))
        stages = {stage.name: stage for stage in folds(settings)}
        self._core = Core(mapping, SAMPLES.partitions, SAMPLES.partitions)
        self._detect, self._correlate = stages["detect"], stages["correlate"]
        self._states = [self._detect.restore(None) for _ in range(SAMPLES.partitions)]
        self._incidents = self._correlate.restore(None)
        self._offsets: Counter[tuple[str, int]] = Counter()
        self._ticked = begin_ms
        self.samples = 0
        self.refused: Counter[str] = Counter()
        self.anomalies: Counter[Kind] = Counter()  # that opened
        self.opened: list[Incident] = []
        self._signal(emit(SIGNALS_TOPIC, "topology", _topology(settings, begin_ms)), begin_ms)

    def take(self, records: Sequence[bytes], headers: tuple[tuple[str, bytes], ...], now: int) -> None:
        """Take raw records that were written by this moment (ms), and let its ticks pass."""
        place = (RAW_METRICS.name, 0)
        first = self._offsets[place]
        self._offsets[place] += len(records)
        offsets = list(range(first, first + len(records)))
        stamps = [now] * len(records)

        def whole(index: int) -> Record:
            return Record(*place, offsets[index], now, None, records[index], headers)

        taken = self._core.take_samples(place, records, offsets, stamps, whole, Reach(now), by_index([headers] * len(records)))
        self.refused.update(map(str, taken.refused))
        self.samples += taken.held
        for output in taken.outputs:
            if output.topic == SAMPLES.name:
                self._sample(output, output.partition or 0, now)
        while self._ticked + 1000 <= now:
            self._ticked += 1000
            tick = canonical(Tick(at=self._ticked))
            if self._ticked % round(1000 * TICK_EVERY_S) == 0:
                for partition in range(len(self._states)):
                    self._sample(Output(SAMPLES.name, None, tick, _TICK), partition, self._ticked)
            self._signal(Output(SIGNALS_TOPIC.name, None, tick, _TICK), self._ticked)

    def _sample(self, output: Output, partition: int, now: int) -> None:
        record = self._record(output, partition, now)
        for said in self._detect.apply(self._states[partition], record, now):
            if said.topic == NOTICES.name:
                continue  # a slow leak: people are told, and correlate is not
            signal = SIGNALS.validate_json(said.value)
            if isinstance(signal, Anomaly) and signal.phase is Phase.OPENED:
                self.anomalies[signal.evidence.kind] += 1
            self._signal(said, now)

    def _signal(self, output: Output, now: int) -> None:
        for said in self._correlate.apply(self._incidents, self._record(output, 0, now), now):
            if said.topic == INCIDENTS.name:
                incident = INCIDENT_EVENTS.validate_json(said.value)
                if isinstance(incident, Incident) and incident.phase is IncidentPhase.OPENED:
                    self.opened.append(incident)

    def _record(self, output: Output, partition: int, now: int) -> Record:
        place = (output.topic, partition)
        self._offsets[place] += 1
        return Record(*place, self._offsets[place] - 1, now, output.key, output.value, output.headers)


def _topology(settings: Settings, at: int) -> Topology:
    file = load(TopologyFile, settings.file("topology"))
    known = digest(file)
    services, calls = [one.model_dump() for one in file.services], [one.model_dump(by_alias=True) for one in file.calls]
    return Topology.model_validate({"id": derive_id("top", known), "at": at, "digest": known, "services": services, "calls": calls})
