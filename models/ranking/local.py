"""What only a service itself can cause: growing memory, a dry pool, a missing cache, dearer requests, absence."""

from __future__ import annotations

from dataclasses import dataclass

from models.ranking.readings import Departure, Readings, departed, ratio
from schemas.incidents import Incident
from schemas.kinds import ChangeType, Direction, Kind

RESTART_EXPLAINED_MS = 60_000  # a deploy or a restart on purpose explains a process that began anew this long after it
UNUSED = 1.0  # of a load that nobody measures


@dataclass(frozen=True, slots=True)
class Local:
    """Each relevance in [0, 1]: 0 is ordinary, 1 is beyond doubt. Ratios are against the service's own baseline."""

    memory: float = 0.0
    pool: float = 0.0
    cache: float = 0.0
    restarts: float = 0.0
    absent: float = 0.0  # down or silent
    saturation: float = 0.0
    cpu_per_request: float = 0.0
    load: float = 0.0
    request_ratio: float = UNUSED
    cpu_ratio: float = UNUSED

    @property
    def gone(self) -> float:
        return max(self.restarts, self.absent)


def ramp(value: float, low: float, high: float) -> float:
    """Rise from 0 at `low` to 1 at `high`, straight."""
    return min(1.0, max(0.0, (value - low) / (high - low)))


def local(incident: Incident, readings: Readings, service: str) -> Local:
    """Grade the local evidence of one service; thresholds are shares of the service's own baseline."""
    load = ratio(readings, service, Kind.REQUESTS)
    load_ratio = UNUSED if load is None else load
    cpu = ratio(readings, service, Kind.CPU)
    cpu_ratio = UNUSED if cpu is None else cpu
    dearer = cpu_ratio / max(load_ratio, 0.1)
    memory = departed(readings, service, Kind.MEMORY)
    pool = departed(readings, service, Kind.POOL)
    cache = departed(readings, service, Kind.CACHE)
    full = departed(readings, service, Kind.SATURATION)
    return Local(
        memory=ramp(memory.ratio, 1.05, 1.3) if memory else 0.0,
        pool=_pool(pool, load_ratio) if pool else 0.0,
        cache=_cache(incident, cache, load_ratio) if cache else 0.0,
        restarts=_restarts(incident, service, departed(readings, service, Kind.RESTARTS)),
        absent=_absent(readings, service),
        saturation=ramp(full.ratio / max(1.0, load_ratio), 1.2, 2.0) if full else 0.0,
        # CPU itself must be up: a service that serves less costs more a request just by standing there
        cpu_per_request=ramp(dearer, 1.2, 1.7) * ramp(cpu_ratio, 1.05, 1.3),
        load=ramp(load_ratio, 1.2, 1.8),
        request_ratio=load_ratio,
        cpu_ratio=cpu_ratio,
    )


def served_cost_ratio(readings: Readings, service: str) -> float:
    """Return CPU a *served* request over its baseline: at its cap a service's CPU stands still, and what it serves falls."""
    cpu, load, failed = (readings.get(service, {}).get(kind) for kind in (Kind.CPU, Kind.REQUESTS, Kind.ERRORS))
    if cpu is None or load is None:
        return 1.0
    served, before = load.level, load.baseline
    if failed is not None and failed.share:
        served, before = served * (1 - min(1.0, failed.level)), before * (1 - min(1.0, failed.baseline))
    elif failed is not None:
        served, before = served - failed.level, before - failed.baseline
    return cpu.ratio / max(0.1, served / before) if before > 0 else cpu.ratio


def _pool(found: Departure, load: float) -> float:
    """Grade a pool: connections in use follow the load, so only more of them a request count; a share of the pool must be large too."""
    dry = ramp(found.level, 0.2, 0.6) if found.share or found.level <= 1.0 else 1.0
    return dry * ramp(found.ratio / max(1.0, load), 1.3, 2.3)


def _cache(incident: Incident, found: Departure, load: float) -> float:
    """Grade a cache: a ratio as it is, counts (hits or misses a second) a request."""
    of = [r for r in (*incident.health, *(s.evidence for s in incident.suspects)) if r.series in found.series and r.kind is Kind.CACHE]
    down = any(reading.direction is Direction.DOWN for reading in of)
    counted = not found.share and max(abs(found.baseline), abs(found.level)) > 1.0
    per_request = found.ratio / max(load, 0.1) if counted else found.ratio
    return ramp(1 - per_request, 0.05, 0.35) if down else ramp(per_request, 1.3, 2.3)


def _restarts(incident: Incident, service: str, found: Departure | None) -> float:
    """Grade restarts; one that somebody made on purpose is no loop."""
    if found is None:
        return 0.0
    onset = found.onset or incident.opened_at
    meant = sum(
        change.service == service
        and change.change in (ChangeType.DEPLOY, ChangeType.RESTART, ChangeType.SCALE)
        and 0 <= onset - change.at <= RESTART_EXPLAINED_MS
        for change in incident.changes
    )
    return 0.2 if meant and found.level <= meant else 1.0


def _absent(readings: Readings, service: str) -> float:
    """Grade absence: a scrape that fails says it, silence of other series hints at it."""
    if down := departed(readings, service, Kind.UP):
        if down.partial:
            return 0.5
        return 0.9 if down.lasting else 0.4
    return 0.7 if any(found.silent for found in readings.get(service, {}).values()) else 0.0
