"""What detection says: anomalies and health, with the evidence of each series."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from models.detection.judge import ORDINARY, SILENT, spread
from models.detection.packed import Ints
from models.detection.series.registry import Registry
from schemas.base import Position, derive_id
from schemas.config.detect import MAX_POINTS
from schemas.kinds import Kind
from schemas.signals import Anomaly, AnomalyReason, Health, Phase, SeriesEvidence

DIGITS = 9  # significant, of values; z needs fewer


def anomaly(registry: Registry, slot: int, phase: Phase, reason: AnomalyReason, at: int, source: Position) -> Anomaly:
    """Tell of one series; `at` is the end of the window that decided."""
    opened_at = int(registry.slots.opened[slot])
    name = derive_id("anm", registry.metas[slot].series, opened_at)
    (described,) = evidence(registry, np.array([slot]), registry.config.points)
    return Anomaly(
        id=derive_id("sig", name, phase.value, at),
        anomaly=name,
        phase=phase,
        reason=reason,
        opened_at=opened_at,
        at=at,
        evidence=described.model_copy(update={"peak_z": round(float(registry.slots.peak[slot]), 3)}),
        source=source,
    )


def reason_of(registry: Registry, slot: int) -> AnomalyReason:
    return AnomalyReason.SILENCE if registry.slots.state[slot] == SILENT else AnomalyReason.SHIFT


def evidence(registry: Registry, rows: Ints, points: int) -> list[SeriesEvidence]:
    """Describe derived series as they are now, each with its newest points."""
    slots = registry.slots
    width = spread(slots, rows, registry.config)
    base = slots.base[rows]
    peak = np.where(slots.state[rows] != ORDINARY, slots.peak[rows], 0.0)
    columns = (
        rows, slots.values[rows, -1], base, base - width, base + width, np.round(slots.z[rows], 3), np.round(peak, 3),
        np.minimum(points, slots.seen[rows]), slots.times[rows], slots.values[rows],
    )  # fmt: skip
    found = []
    for slot, value, middle, low, high, z, worst, kept, times, values in zip(*(column.tolist() for column in columns), strict=True):
        meta = registry.metas[slot]
        first = MAX_POINTS - kept
        found.append(
            SeriesEvidence(
                series=meta.series,
                service=meta.service,
                instance=meta.instance,
                metric=meta.metric,
                kind=meta.kind,
                unit=meta.unit,
                direction=meta.direction,
                value=_short(value),
                baseline=_short(middle),
                low=_short(low),
                high=_short(high),
                z=z,
                peak_z=worst,
                points=tuple(zip(times[first:], map(_short, values[first:]), strict=True)),
            )
        )
    return found


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
    slots = registry.slots
    state, sign, z = slots.state[rows], slots.sign[rows], slots.z[rows]
    bad = np.where(sign == 0, np.abs(z), z * sign)
    worst = np.lexsort((rows, -bad, slots.bad_at[rows] < lately, state == ORDINARY))[: registry.config.health_series]
    return Health(
        id=derive_id("hea", service, kind.value, at),
        service=service,
        kind=kind,
        at=at,
        series_count=len(rows),
        anomalous=int((state != ORDINARY).sum()),
        series=tuple(evidence(registry, rows[worst], points)),
        source=source,
    )


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
