"""What detection says: anomalies and health, with the evidence of each series."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from models.detection.judge import ORDINARY, SILENT, spread
from models.detection.packed import Ints
from models.detection.registry import Meta, Registry
from schemas.base import Position, derive_id
from schemas.config.detect import MAX_POINTS
from schemas.kinds import Direction, Kind
from schemas.signals import Anomaly, AnomalyReason, Health, Phase, SeriesEvidence

DIGITS = 9  # significant, of values; z needs fewer


def anomaly(registry: Registry, slot: int, phase: Phase, reason: AnomalyReason, at: int, source: Position) -> Anomaly:
    """Tell of one series; `at` is the end of the window that decided."""
    meta = registry.metas[slot]
    opened_at = int(registry.slots.opened[slot])
    name = derive_id("anm", meta.series, opened_at)
    return Anomaly(
        id=derive_id("sig", name, phase.value, at),
        anomaly=name,
        phase=phase,
        reason=reason,
        opened_at=opened_at,
        at=at,
        evidence=evidence(registry, slot, registry.config.points).model_copy(update={"peak_z": round(float(registry.slots.peak[slot]), 3)}),
        source=source,
    )


def reason_of(registry: Registry, slot: int) -> AnomalyReason:
    return AnomalyReason.SILENCE if registry.slots.state[slot] == SILENT else AnomalyReason.SHIFT


def evidence(registry: Registry, slot: int, points: int) -> SeriesEvidence:
    """Describe one derived series as it is now, with its newest points."""
    slots, meta = registry.slots, registry.metas[slot]
    width = float(spread(slots, np.array([slot]), registry.config)[0])
    base = float(slots.base[slot])
    kept = min(points, int(slots.seen[slot]))
    newest = zip(slots.times[slot, MAX_POINTS - kept :].tolist(), slots.values[slot, MAX_POINTS - kept :].tolist(), strict=True)
    return SeriesEvidence(
        series=meta.series,
        service=meta.service,
        instance=meta.instance,
        metric=meta.metric,
        kind=meta.kind,
        unit=meta.unit,
        direction=meta.direction,
        value=_short(float(slots.values[slot, -1])),
        baseline=_short(base),
        low=_short(base - width),
        high=_short(base + width),
        z=round(float(slots.z[slot]), 3),
        peak_z=round(float(slots.peak[slot]), 3) if slots.state[slot] != ORDINARY else 0.0,
        points=tuple([(at, _short(value)) for at, value in newest]),
    )


class Directory:
    """Which derived series each service has, by kind; built anew when the registry changes."""

    def __init__(self) -> None:
        self._version = -1
        self.services: dict[str, dict[Kind, list[int]]] = {}

    def of(self, registry: Registry) -> dict[str, dict[Kind, list[int]]]:
        if self._version != registry.version:
            services: dict[str, dict[Kind, list[int]]] = defaultdict(lambda: defaultdict(list))
            for slot, meta in registry.metas.items():
                services[meta.service][meta.kind].append(slot)
            self.services = {
                service: {kind: sorted(services[service][kind]) for kind in sorted(services[service])} for service in sorted(services)
            }
            self._version = registry.version
        return self.services


def health(registry: Registry, directory: Directory, at: int, source: Position) -> list[Health]:
    """Tell of every service that is due at this moment: those in trouble, or lately, more often and with more points."""
    config, slots = registry.config, registry.slots
    lately = at - round(config.recent_s * 1000)
    troubled = slots.opens[: slots.used] & (slots.bad_at[: slots.used] >= lately)
    watched = {registry.metas[slot].service for slot in np.flatnonzero(troubled).tolist()}
    everyone = at % round(config.health_s * 1000) == 0
    services = directory.of(registry)
    told = services if everyone else sorted(watched & set(services))
    found: list[Health] = []
    for service in told:
        points = config.points if service in watched else config.points_calm
        for kind, members in services[service].items():
            rows = np.array(members)
            rows = rows[slots.seen[rows] > 0]
            if len(rows):
                found.append(_health(registry, service, kind, rows, at, lately, points, source))
    return found


def _health(registry: Registry, service: str, kind: Kind, rows: Ints, at: int, lately: int, points: int, source: Position) -> Health:
    slots, metas = registry.slots, registry.metas
    worst = sorted(rows.tolist(), key=lambda slot: _worst_first(registry, slot, lately))[: registry.config.health_series]
    return Health(
        id=derive_id("hea", service, kind.value, at),
        service=service,
        kind=kind,
        at=at,
        series_count=len(rows),
        anomalous=int((slots.state[rows] != ORDINARY).sum()),
        series=tuple([evidence(registry, slot, points) for slot in worst]),
        source=source,
    )


def _worst_first(registry: Registry, slot: int, lately: int) -> tuple[bool, bool, float, str]:
    slots, meta = registry.slots, registry.metas[slot]
    return (slots.state[slot] == ORDINARY, slots.bad_at[slot] < lately, -_bad(meta, float(slots.z[slot])), meta.series)


def _bad(meta: Meta, z: float) -> float:
    return {Direction.UP: z, Direction.DOWN: -z}.get(meta.direction, abs(z))


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
