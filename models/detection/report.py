"""What detection says: anomalies and health, with the evidence of each series."""

from __future__ import annotations

from collections import defaultdict

import msgspec
import numpy as np

from models.detection.evidence import Texts
from models.detection.evidence_kernel import NOT_PLAIN
from models.detection.health_kernel import BASE, HIGH, LOW, PEAK, POINTS, VALUE, Z, choose, describe
from models.detection.judge import SILENT
from models.detection.packed import Ints
from models.detection.series.registry import Registry
from schemas.base import Position, derive_id
from schemas.config.detect import MAX_POINTS
from schemas.health_record import EvidenceRecord, HealthRecord, PositionRecord
from schemas.kinds import Kind
from schemas.signals import Anomaly, AnomalyReason, Phase, SeriesEvidence


def anomaly(registry: Registry, slot: int, phase: Phase, reason: AnomalyReason, at: int, source: Position) -> Anomaly:
    """Tell of one series; `at` is the end of the window that decided."""
    opened_at = int(registry.slots.opened[slot])
    name = derive_id("anm", registry.metas[slot].series, opened_at)
    (described,) = _evidence(registry, np.array([slot]), np.array([registry.config.points]))
    described = msgspec.structs.replace(described, peak_z=round(float(registry.slots.peak[slot]), 3))
    return Anomaly(
        id=derive_id("sig", name, phase.value, at),
        anomaly=name,
        phase=phase,
        reason=reason,
        opened_at=opened_at,
        at=at,
        evidence=SeriesEvidence.model_validate(msgspec.structs.asdict(described)),
        source=source,
    )


def reason_of(registry: Registry, slot: int) -> AnomalyReason:
    return AnomalyReason.SILENCE if registry.slots.state[slot] == SILENT else AnomalyReason.SHIFT


class Directory:
    """Which derived series each service has, by kind; built anew when the registry changes."""

    def __init__(self) -> None:
        self._version = -1
        self.groups: list[tuple[str, Kind]] = []
        self.starts = self.members = np.zeros(0, np.int64)  # the slots of group g at starts[g] … starts[g + 1], in order
        self.texts = Texts()

    def of(self, registry: Registry) -> Directory:
        """Return itself, as the registry is now."""
        if self._version != registry.version:
            slots: dict[tuple[str, Kind], list[int]] = defaultdict(list)
            for slot, meta in registry.metas.items():
                slots[meta.service, meta.kind].append(slot)
            self.groups = sorted(slots)
            self.starts = np.cumsum([0, *(len(slots[group]) for group in self.groups)])
            self.members = np.array([slot for group in self.groups for slot in sorted(slots[group])], np.int64)
            self.texts.renew(registry.metas)
            self._version = registry.version
        return self


def health(registry: Registry, directory: Directory, at: int, source: Position, *, everyone: bool) -> list[HealthRecord]:
    """Tell of every service that is due at this moment: those in trouble, or lately, more often and with more points.

    `everyone`: it is the moment for all of them.
    """
    config, slots = registry.config, registry.slots
    lately = at - round(config.recent_s * 1000)
    troubled = slots.opens[: slots.used] & (slots.bad_at[: slots.used] >= lately)
    watched = {registry.metas[slot].service for slot in np.flatnonzero(troubled).tolist()}
    if not (everyone or watched):
        return []
    groups = directory.of(registry).groups
    told = np.array([everyone or service in watched for service, _ in groups], np.bool_)
    rows, counts = choose(slots.rows, directory.members, directory.starts, told, lately, config.health_series)
    points = np.repeat([config.points if service in watched else config.points_calm for service, _ in groups], counts[:, 0])
    values, times = describe(slots.rows, rows, config.sigma)
    text, ends = directory.texts.written(values, times, rows, np.minimum(points, slots.seen[rows]))
    place, found = PositionRecord(source.offset, source.partition, source.topic), []
    begin = first = 0
    for (service, kind), (size, count, anomalous) in zip(groups, counts.tolist(), strict=True):
        if not count:
            continue
        own = ends[first : first + size]
        if NOT_PLAIN in own:
            series: list[EvidenceRecord] | msgspec.Raw = _evidence(registry, rows[first : first + size], points[first : first + size])
            end = max(begin, *own)
        else:
            end = own[-1]
            series = msgspec.Raw(b"[" + text[begin : end - 1] + b"]")
        found.append(HealthRecord(anomalous, at, derive_id("hea", service, kind.value, at), kind, series, count, service, place))
        first, begin = first + size, end
    return found


def _evidence(registry: Registry, rows: Ints, points: Ints) -> list[EvidenceRecord]:
    """Describe derived series as they are now, each with so many of its newest points."""
    slots, metas = registry.slots, registry.metas
    values, times = describe(slots.rows, rows, registry.config.sigma)
    kept = np.minimum(points, slots.seen[rows]).tolist()
    found = []
    for slot, own, at, many in zip(rows.tolist(), values.tolist(), times.tolist(), kept, strict=True):
        meta = metas[slot]
        first = MAX_POINTS - many
        newest = list(zip(at[first:], own[POINTS + first :], strict=True))
        found.append(
            EvidenceRecord(
                own[BASE], meta.direction, own[HIGH], meta.instance, meta.kind, own[LOW], meta.metric, own[PEAK], newest,
                meta.series, meta.service, meta.unit, own[VALUE], own[Z],
            )
        )  # fmt: skip
    return found
