"""What a service may be guilty of: one pattern a cause, each with the evidence that speaks for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from models.ranking.local import Local, ramp
from models.ranking.readings import Readings, departed
from models.ranking.share import Blame
from schemas.incidents import Incident
from schemas.kinds import Cause, ChangeType, Kind
from schemas.signals import Change

# How specific a cause's pattern is: of two that fit a service equally, the more specific one ranks first.
SPECIFICITY = {
    Cause.MEMORY_LEAK: 1.0,
    Cause.CRASH_LOOP: 1.0,
    Cause.CACHE: 1.0,
    Cause.DATABASE: 0.95,
    Cause.DEPLOYMENT: 0.95,
    Cause.CPU_SPIKE: 0.85,
    Cause.TRAFFIC_SPIKE: 0.8,
    Cause.ERROR: 0.4,
    Cause.LATENCY: 0.35,
    Cause.NETWORK: 0.3,
    Cause.OTHER: 0.2,
}
LEAST = 0.15  # below this relevance a pattern is not a hypothesis
FRESH_MS = 120_000  # a change this long before the onset is full evidence; older ones fade
OLD_MS = 1_800_000
CLOCKS_MS = 5_000  # a change may be stamped this much later than the symptom it made


@dataclass(frozen=True, slots=True)
class Pattern:
    """A cause that fits one service."""

    service: str
    cause: Cause
    relevance: float  # in [0, 1]
    reasons: tuple[str, ...]
    kinds: tuple[Kind, ...]  # whose readings are its evidence
    changes: tuple[Change, ...] = ()


def latest_change(incident: Incident, service: str, change: ChangeType, until: int | None = None) -> Change | None:
    """Return the newest change of this type of a service in the incident's window, made at `until` (event ms) at the latest."""
    found = [c for c in incident.changes if c.service == service and c.change is change and (until is None or c.at <= until)]
    return max(found, key=lambda c: (c.at, c.id)) if found else None


def patterns(incident: Incident, readings: Readings, blame: Blame, own: Local) -> Iterator[Pattern]:
    """Yield every pattern of one service that is relevant enough; OTHER where none is."""
    found = [pattern for pattern in _all(incident, readings, blame, own) if pattern.relevance >= LEAST]
    if not found and blame.score > 0:
        kinds = tuple(kind for kind in readings[blame.service] if departed(readings, blame.service, kind))
        found = [Pattern(blame.service, Cause.OTHER, 0.3, ("out of the ordinary, in no known pattern",), kinds)]
    yield from found


def _all(incident: Incident, readings: Readings, blame: Blame, own: Local) -> Iterator[Pattern]:
    name = blame.service
    slow, failing = departed(readings, name, Kind.LATENCY), departed(readings, name, Kind.ERRORS)
    symptoms = tuple(kind for kind, found in ((Kind.LATENCY, slow), (Kind.ERRORS, failing)) if found)
    onset = min((d.onset for d in (slow, failing) if d and d.onset is not None), default=incident.opened_at)
    there = 1 - 0.5 * own.gone  # a process that begins anew spends memory and CPU on beginning

    yield Pattern(name, Cause.MEMORY_LEAK, own.memory * there, (_grown(readings, name),), (Kind.MEMORY, *symptoms))
    yield Pattern(name, Cause.CRASH_LOOP, own.gone, (_gone(own),), (Kind.RESTARTS, Kind.UP, *symptoms))
    yield Pattern(name, Cause.CACHE, own.cache, ("look-ups miss the cache",), (Kind.CACHE, *symptoms))

    flag = latest_change(incident, name, ChangeType.FLAG, onset + CLOCKS_MS)
    if flag is not None:
        relevance = max(own.pool, own.saturation) if own.pool or own.saturation else 0.6 * blame.own * _proximity(flag, onset)
        reasons = (f"flag {flag.name} went from {flag.before} to {flag.after} just before", _pool(own))
        yield Pattern(name, Cause.DATABASE, relevance, reasons, (Kind.POOL, Kind.SATURATION, *symptoms), (flag,))
    else:
        misses = 1 - 0.6 * own.cache  # misses hit the database: the cache is the cause, the pool its symptom
        yield Pattern(name, Cause.DATABASE, 0.8 * own.pool * misses, (_pool(own),), (Kind.POOL, Kind.SATURATION, *symptoms))

    deploy = latest_change(incident, name, ChangeType.DEPLOY, onset + CLOCKS_MS)
    if deploy is not None and symptoms:
        what = " and ".join(kind.value for kind in symptoms)
        reasons = (f"{what} rose after the deploy of {deploy.after or 'a release'} at this service", _unexplained(blame))
        yield Pattern(name, Cause.DEPLOYMENT, blame.own * _proximity(deploy, onset), reasons, symptoms, (deploy,))

    queues = 1.0 if slow else 0.5  # work that is too dear or too much waits
    dearer = f"a request costs {own.cpu_ratio / max(own.request_ratio, 0.1):.1f} times the CPU"
    cpu = own.cpu_per_request * queues * there
    yield Pattern(name, Cause.CPU_SPIKE, cpu if symptoms else 0.0, (dearer,), (Kind.CPU, *symptoms))
    more = f"{own.request_ratio:.1f} times the requests"
    traffic = own.load * blame.own * (1 - own.cpu_per_request) if symptoms else 0.0
    yield Pattern(name, Cause.TRAFFIC_SPIKE, traffic, (more, _unexplained(blame)), (Kind.REQUESTS, *symptoms))
    yield Pattern(name, Cause.ERROR, blame.own if failing else 0.0, ("errors rose here", _unexplained(blame)), (Kind.ERRORS,))
    yield Pattern(name, Cause.LATENCY, blame.own if slow else 0.0, ("latency rose here", _unexplained(blame)), (Kind.LATENCY,))


def _proximity(change: Change, onset: int) -> float:
    """Grade how near before the onset a change was made: 1 within two minutes, 0.3 after half an hour."""
    return 1 - 0.7 * ramp(onset - change.at, FRESH_MS, OLD_MS)


def _grown(readings: Readings, name: str) -> str:
    found = departed(readings, name, Kind.MEMORY)
    return f"memory is {found.ratio:.1f} times what it was" if found else "memory grows"


def _gone(own: Local) -> str:
    return "the process keeps starting anew" if own.restarts >= own.absent else "the service does not answer the scraper"


def _pool(own: Local) -> str:
    return "the connection pool runs dry" if own.pool or own.saturation else "the pool itself shows nothing yet"


def _unexplained(blame: Blame) -> str:
    return f"its callees explain {1 - blame.own:.0%} of it"
