"""Read an incident's evidence table: how far each kind of each service has left its ordinary band."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from schemas.incidents import Incident, Suspect
from schemas.kinds import Direction, Kind
from schemas.signals import AnomalyReason, SeriesEvidence

MAX_Z = 100.0  # a flat baseline gives any z: beyond this it says no more
FAINT_Z = 2.0  # below it a reading that is no suspect is ordinary
SUSPECT_Z = 3.0  # a suspect is at least this far out, whatever its newest reading says
SILENCE_Z = 6.0  # a series that fell silent
MAX_RATIO = 99.0  # over a baseline of zero
RECENT = 5  # points whose median is the level: one point is noise
FEWEST = 3  # of them
RATIO = "ratio"
PARTIAL = ":silence"  # how detect names the silence of one metric; of a whole service it is `silence`
SUMMED = frozenset({Kind.REQUESTS, Kind.ERRORS, Kind.CPU})  # series of these add up to the service's; of others the worst counts
TO_BASE_UNIT = {"ms": 1e-3, "milliseconds": 1e-3, "us": 1e-6, "microseconds": 1e-6}


@dataclass(frozen=True, slots=True)
class Departure:
    """One kind of one service. `strength` is ln(1 + z) in the bad direction, 0 where ordinary; `excess` is in the metric's base unit."""

    kind: Kind
    strength: float
    z: float
    level: float  # newest, summed over series where the kind adds up
    baseline: float
    excess: float  # departure from the baseline in the bad direction, ≥ 0
    ratio: float  # level over baseline; of the worst series where the kind does not add up
    onset: int | None  # event time in ms of its first anomaly
    silent: bool
    lasting: bool  # a suspect is open, or there were several: it comes and goes
    partial: bool  # nothing but single metrics that fell silent while others of the service go on
    share: bool  # the level is a share (an error ratio, a part of a pool), not a quantity
    series: tuple[str, ...]  # ids of the series that departed; all of them where none did


Readings = Mapping[str, Mapping[Kind, Departure]]


def read(incident: Incident) -> dict[str, dict[Kind, Departure]]:
    """Return the departures of every service and kind that the incident has readings of."""
    suspects: dict[tuple[str, Kind], list[Suspect]] = {}
    evidence: dict[tuple[str, Kind], dict[tuple[str, str], SeriesEvidence]] = {}
    for reading in incident.health:
        if reading.kind is Kind.COMBINED:
            continue  # it is of the others, and names no cause
        evidence.setdefault((reading.service, reading.kind), {})[reading.series, reading.metric] = reading
    for suspect in incident.suspects:
        mine = suspect.evidence
        if mine.kind is Kind.COMBINED:
            continue
        suspects.setdefault((mine.service, mine.kind), []).append(suspect)
        evidence.setdefault((mine.service, mine.kind), {})[mine.series, mine.metric] = mine
    found: dict[str, dict[Kind, Departure]] = {}
    for (service, kind), series in sorted(evidence.items()):
        found.setdefault(service, {})[kind] = _departure(kind, list(series.values()), suspects.get((service, kind), []))
    return found


def level(evidence: SeriesEvidence) -> float:
    """Return the median of the newest points, or the value where there are too few."""
    recent = [value for _, value in evidence.points[-RECENT:]]
    return median(recent) if len(recent) >= FEWEST else evidence.value


def bad_z(evidence: SeriesEvidence, *, peak: bool) -> float:
    """Return the z in the bad direction, ≥ 0 and at most MAX_Z; with `peak` the largest since the anomaly opened."""
    return min(MAX_Z, max(_toward(evidence.direction, z) for z in ((evidence.z, evidence.peak_z) if peak else (evidence.z,))))


def departed(readings: Readings, service: str, kind: Kind) -> Departure | None:
    """Return the departure of a kind of a service, None where it is ordinary or unknown."""
    found = readings.get(service, {}).get(kind)
    return found if found is not None and found.strength > 0 else None


def ratio(readings: Readings, service: str, kind: Kind) -> float | None:
    """Return level over baseline of a kind of a service, ordinary or not; None where unknown."""
    found = readings.get(service, {}).get(kind)
    return None if found is None else found.ratio


def _toward(direction: Direction, z: float) -> float:
    if direction is Direction.UP:
        return max(0.0, z)
    return max(0.0, -z) if direction is Direction.DOWN else abs(z)


def _departure(kind: Kind, series: list[SeriesEvidence], suspects: list[Suspect]) -> Departure:
    """Combine the series of one kind; an open suspect counts with its peak, a closed one half, a plain reading as it is now."""
    scores = {(reading.series, reading.metric): _faint(bad_z(reading, peak=False)) for reading in series}
    for suspect in suspects:
        z = SILENCE_Z if suspect.reason is AnomalyReason.SILENCE else max(SUSPECT_Z, bad_z(suspect.evidence, peak=suspect.open))
        key = (suspect.evidence.series, suspect.evidence.metric)
        scores[key] = max(scores[key], z if suspect.open else z / 2)
    z = max(scores.values())
    out = [reading for reading in series if scores[reading.series, reading.metric] > 0] or series
    share_of = any(reading.unit == RATIO for reading in series)
    if kind in SUMMED and not share_of:
        now, before = _total(map(level, series)), _total(reading.baseline for reading in series)
        relative, excess = _ratio(now, before), _excess(series[0], now, before)
    else:
        worst = max(out, key=lambda r: (_excess(r, level(r), r.baseline), r.series, r.metric))
        now, before = level(worst), worst.baseline
        relative, excess = _ratio(now, before), _excess(worst, now, before)
    return Departure(
        kind=kind,
        strength=math.log1p(z),
        z=z,
        level=now,
        baseline=before,
        excess=excess,
        ratio=relative,
        onset=min((suspect.opened_at for suspect in suspects), default=None),
        silent=any(suspect.open and suspect.reason is AnomalyReason.SILENCE for suspect in suspects),
        lasting=len(suspects) > 1 or any(suspect.open for suspect in suspects),
        partial=bool(suspects) and all(suspect.evidence.metric.endswith(PARTIAL) for suspect in suspects),
        share=share_of,
        series=tuple(sorted({reading.series for reading in out})),
    )


def _faint(z: float) -> float:
    return z if z >= FAINT_Z else 0.0


def _total(values: Iterable[float]) -> float:
    return math.fsum(values)


def _ratio(now: float, before: float) -> float:
    if abs(before) < 1e-9:
        return 1.0 if abs(now) < 1e-9 else MAX_RATIO
    return min(MAX_RATIO, max(0.0, now / before))


def _excess(reading: SeriesEvidence, now: float, before: float) -> float:
    return _toward(reading.direction, now - before) * TO_BASE_UNIT.get(reading.unit, 1.0)
