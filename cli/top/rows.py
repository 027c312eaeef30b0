"""What `airra top` shows of a role, from two readings of its /metrics. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cli.top.readings import Between, Reading, buckets, quantile

# Of each list the first that a role has: what it takes in, how it is behind, in what batches.
RECEIVED = (
    "airra_normalise_source_samples_total",
    "airra_detect_received_rows_total",
    "airra_normalise_received_records_total",  # where alerts and changes are all that comes
    "airra_sink_records_total",
    "airra_harness_records_total",
)
LAG = ("airra_normalise_lag_records", "airra_harness_lag_records")
BATCH = ("airra_normalise_batch_records_bucket", "airra_detect_batch_rows_bucket")
SNAPSHOT = "airra_harness_snapshot_seconds_bucket"
# All that a role has: each name of a fate once, so what a stage gives up as poison stands beside what it takes.
FATES = (
    ("airra_normalise_source_samples_total", "fate"),
    ("airra_detect_rows_total", "fate"),
    ("airra_dedup_events_total", "fate"),
    ("airra_sink_records_total", "fate"),
    ("airra_harness_poison_total", "reason"),
)
STATE = (("airra_detect_state_rows", "table"),)
STATE_TOTALS = (("airra_normalise_cached_series", "cached series"), ("airra_dedup_tracked_fingerprints", "fingerprints"))
SOURCES = (("airra_normalise_source_samples_total", "topic"), ("airra_detect_received_rows_total", "topic"))
SOURCE_LAG = "airra_normalise_lag_records"
DETECTIONS = "airra_detect_anomalies_total"


@dataclass(frozen=True, slots=True)
class Source:
    """One source topic of a role."""

    topic: str
    received_per_s: float
    lag: int | None  # records; None where the role reads no source topics itself


@dataclass(frozen=True, slots=True)
class Row:
    """One role. Whatever it does not tell is None or empty; rates need two readings."""

    role: str
    trouble: str = ""  # why nothing is known of it
    received_per_s: float | None = None
    fates_per_s: Mapping[str, float] = field(default_factory=dict)
    lag: int | None = None  # records
    batch_p50: float | None = None  # in the interval
    state_rows: Mapping[str, int] = field(default_factory=dict)
    snapshot_p50_s: float | None = None  # since the role's start: there is one every few seconds at most
    snapshot_p95_s: float | None = None
    detections_per_min: Mapping[str, float] | None = None  # by phase; None for a role that detects nothing
    cpu_cores: float | None = None
    rss_bytes: int | None = None
    sources: Sequence[Source] = ()


def silent(role: str, reason: str) -> Row:
    """Return the row of a role that does not answer."""
    return Row(role, trouble=reason)


def rows(before: Mapping[str, Reading], now: Mapping[str, Reading | str]) -> list[Row]:
    """Return a row for every role that answered before or is looked for now; of one that gave a reason instead, the reason."""
    result = []
    for role in sorted({*before, *now}):
        found = now.get(role, "no longer runs")
        result.append(silent(role, found) if isinstance(found, str) else row(role, before.get(role), found))
    return result


def row(role: str, before: Reading | None, after: Reading) -> Row:
    """Return what two readings say of a role; without an earlier one only what needs none."""
    snapshots = buckets(after.samples.get(SNAPSHOT, {}))
    between = Between(before, after) if before is not None and before.at_s < after.at_s else None
    return Row(
        role,
        received_per_s=_first(between.rate(name) for name in RECEIVED) if between else None,
        fates_per_s=_fates(between) if between else {},
        lag=_whole(_first(after.total(name) for name in LAG)),
        batch_p50=_first(quantile(0.5, buckets(between.increases(name))) for name in BATCH) if between else None,
        state_rows=_state(after),
        snapshot_p50_s=quantile(0.5, snapshots),
        snapshot_p95_s=quantile(0.95, snapshots),
        detections_per_min=_detections(between) if between else None,
        cpu_cores=between.rate("process_cpu_seconds_total") if between else None,
        rss_bytes=_whole(after.total("process_resident_memory_bytes")),
        sources=_sources(between) if between else (),
    )


def _fates(between: Between) -> dict[str, float]:
    return {fate: rate for name, label in FATES for fate, rate in between.rates(name, label).items()}


def _state(after: Reading) -> dict[str, int]:
    found = {table: int(rows) for name, label in STATE for table, rows in after.by(name, label).items()}
    # A role has the gauges of modules that it only imports, too: those stand at nothing.
    return found | {told: int(total) for name, told in STATE_TOTALS if (total := after.total(name))}


def _detections(between: Between) -> dict[str, float] | None:
    if "airra_detect_state_rows" not in between.after.samples and DETECTIONS not in between.after.samples:
        return None
    return {phase: 60 * rate for phase, rate in between.rates(DETECTIONS, "phase").items()}


def _sources(between: Between) -> list[Source]:
    waiting = between.after.by(SOURCE_LAG, "topic")
    flowing = {topic: rate for name, label in SOURCES for topic, rate in between.rates(name, label).items()}
    known = {topic for name, label in SOURCES for topic in between.after.by(name, label)}
    return [Source(topic, flowing.get(topic, 0.0), _whole(waiting.get(topic))) for topic in sorted(known | set(waiting))]


def _first(found: Iterable[float | None]) -> float | None:
    return next((value for value in found if value is not None), None)


def _whole(value: float | None) -> int | None:
    return int(value) if value is not None else None
