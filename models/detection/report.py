"""What detection says: anomalies and health, with the evidence of each series."""

from __future__ import annotations

import msgspec
import numpy as np

from models.detection.evidence import Texts
from models.detection.evidence_kernel import NOT_PLAIN
from models.detection.health_kernel import BASE, HIGH, LOW, PEAK, POINTS, VALUE, Z, choose, describe, troubled
from models.detection.judge import KINDS as ORDERED
from models.detection.judge import SILENT
from models.detection.packed import Ints, Numbers
from models.detection.series.registry import Registry
from models.detection.series.tables import NONE
from models.joint.past import CONTEXT, KINDS
from schemas.base import Position, derive_id, id_of, unambiguous
from schemas.config.detect import MAX_POINTS
from schemas.health_record import EvidenceRecord, HealthRecord, PositionRecord
from schemas.kinds import Kind
from schemas.signals import Anomaly, AnomalyReason, Phase, SeriesEvidence

COLUMNS = {kind: column for column, kind in enumerate(KINDS)}
Place = Position | PositionRecord  # of the record that decides; the second is soon made, and most are never told of


def anomaly(registry: Registry, slot: int, phase: Phase, reason: AnomalyReason, at: int, source: Place) -> Anomaly:
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
        source=Position(topic=source.topic, partition=source.partition, offset=source.offset),
    )


def reason_of(registry: Registry, slot: int) -> AnomalyReason:
    return AnomalyReason.SILENCE if registry.slots.state[slot] == SILENT else AnomalyReason.SHIFT


class Directory:
    """Which derived series each service has, by kind; built anew when the registry changes."""

    def __init__(self) -> None:
        self._version = -1
        self.groups: list[tuple[str, Kind]] = []
        self.names: list[bytes] = []  # of each group: what its ids begin with
        self.starts: Ints = np.zeros(0, np.int64)
        self.members: Numbers = np.zeros(0, np.int32)  # the slots of group g at starts[g] … starts[g + 1], in order
        self.services: list[str] = []  # in order
        # Of services with more than one kind, of harm one at least: those that have no past of all kinds together, and who has one and is
        # none of these any longer.
        self.new: list[str] = []
        self.gone: list[str] = []
        self.service = self.column = np.zeros(0, np.int64)  # of group g: the place of its service, and of its kind among joint.past.KINDS
        self.all = np.zeros(0, np.bool_)  # of the groups
        self.texts = Texts()

    def of(self, registry: Registry) -> Directory:
        """Return itself, as the registry is now."""
        if self._version != registry.version:
            slots, names = registry.slots, registry.services.names
            held = np.flatnonzero(slots.service[: slots.used] != NONE)
            numbers = sorted(np.unique(slots.service[held]).tolist(), key=names.__getitem__)
            self.services = [names[number] for number in numbers]
            ranks = np.zeros(len(names), np.int64)
            ranks[numbers] = np.arange(len(numbers))
            group = ranks[slots.service[held]] * len(ORDERED) + slots.kind[held]
            self.members = held[np.argsort(group, kind="stable")].astype(np.int32)
            found, counts = np.unique(group, return_counts=True)
            self.service = found // len(ORDERED)
            kinds = [ORDERED[place] for place in (found % len(ORDERED)).tolist()]
            self.groups = [(self.services[place], kind) for place, kind in zip(self.service.tolist(), kinds, strict=True)]
            self.names = [unambiguous(service, kind.value) for service, kind in self.groups]
            self.starts = np.concatenate([[0], np.cumsum(counts)])
            self.column = np.array([COLUMNS.get(kind, NONE) for _, kind in self.groups], np.int64)
            self.all = np.ones(len(self.groups), np.bool_)
            sided, known = self._sided(), registry.past_of.keys()
            self.new, self.gone = sorted(sided - known), sorted(known - sided)
            self._version = registry.version
        return self

    def slots_of(self, service: str) -> Numbers:
        """Return the slots of a service's kinds of harm; of all its kinds together there is another."""
        place = self.services.index(service)
        groups = np.flatnonzero((self.service == place) & (self.column >= len(CONTEXT)))
        return np.concatenate([self.members[self.starts[group] : self.starts[group + 1]] for group in groups])

    def _sided(self) -> set[str]:
        kinds: dict[str, set[int]] = {}
        for (service, _), column in zip(self.groups, self.column.tolist(), strict=True):
            if column != NONE:
                kinds.setdefault(service, set()).add(column)
        return {service for service, found in kinds.items() if len(found) > 1 and max(found) >= len(CONTEXT)}


def health(registry: Registry, directory: Directory, at: int, source: Place, *, everyone: bool) -> list[HealthRecord]:
    """Tell of every service that is due at this moment: those in trouble, or lately, more often and with more points.

    `everyone`: it is the moment for all of them.
    """
    config, slots = registry.config, registry.slots
    lately = at - round(config.recent_s * 1000)
    watched = in_trouble(registry, at)
    if not (everyone or watched):
        return []
    groups = directory.of(registry).groups
    told = directory.all if everyone else np.array([service in watched for service, _ in groups], np.bool_)
    rows, counts = choose(slots.rows, directory.members, directory.starts, told, lately, config.health_series)
    points = np.full(len(rows), config.points_calm)
    if watched:
        points = np.repeat([config.points if service in watched else config.points_calm for service, _ in groups], counts[:, 0])
    kept = np.minimum(points, slots.seen[rows])
    values, times = describe(slots.rows, slots.rules.rows, rows, kept, registry.way.judging)
    text, ends = directory.texts.written(registry.metas, slots.named, values, times, rows, kept)
    place, moment, found = PositionRecord(source.offset, source.partition, source.topic), unambiguous(str(at)), []
    begin = first = 0
    for (service, kind), name, (size, count, anomalous) in zip(groups, directory.names, counts.tolist(), strict=True):
        if not count:
            continue
        own = ends[first : first + size]
        if NOT_PLAIN in own:
            series: list[EvidenceRecord] | msgspec.Raw = _evidence(registry, rows[first : first + size], points[first : first + size])
            end = max(begin, *own)
        else:
            end = own[-1]
            series = msgspec.Raw(b"[" + text[begin : end - 1] + b"]")
        found.append(HealthRecord(anomalous, at, id_of("hea", name + moment), kind, series, count, service, place))
        first, begin = first + size, end
    return found


def in_trouble(registry: Registry, at: int) -> set[str]:
    """Return the services on which something that opens incidents is out of the ordinary at this moment, or was lately."""
    slots = registry.slots
    lately = at - round(registry.config.recent_s * 1000)
    found = np.empty(slots.used, np.int64)
    numbers = slots.service[found[: troubled(slots.rows, slots.used, lately, found)]]
    return {registry.services.names[number] for number in np.unique(numbers).tolist()}


def _evidence(registry: Registry, rows: Ints, points: Ints) -> list[EvidenceRecord]:
    """Describe derived series as they are now, each with so many of its newest points."""
    slots, metas = registry.slots, registry.metas
    kept = np.minimum(points, slots.seen[rows])
    values, times = describe(slots.rows, slots.rules.rows, rows, kept, registry.way.judging)
    found = []
    for slot, own, at, many in zip(rows.tolist(), values.tolist(), times.tolist(), kept.tolist(), strict=True):
        meta = metas[slot]
        first = MAX_POINTS - many
        newest = list(zip(at[first:], own[POINTS + first :], strict=True))
        found.append(
            EvidenceRecord(
                own[BASE], meta.direction, own[HIGH], meta.instance, meta.kind, own[LOW], meta.metric, own[PEAK], newest,
                meta.series, meta.service, meta.unit, None, own[VALUE], own[Z],
            )
        )  # fmt: skip
    return found
