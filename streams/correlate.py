"""correlate: airra.signals.v1 → airra.incidents.v1 and airra.notices.v1."""

from __future__ import annotations

import math
from collections.abc import Sequence

import structlog
from prometheus_client import Counter, Gauge

from models.correlation.clamp import no_later
from models.correlation.fold import take
from models.correlation.state import CorrelateState, restore, snapshot
from schemas.config.correlate import CorrelateConfig
from schemas.incidents import IncidentPhase
from schemas.signals import SIGNALS, Alert, Anomaly, Change, Health, SeriesEvidence, Signal
from schemas.topics import INCIDENTS, NOTICES
from schemas.topics import SIGNALS as SIGNALS_TOPIC
from streams.harness.emit import emit, parse, position
from streams.harness.errors import Poison
from streams.harness.stage import Output, Record, Stage

BACKFILL_HEADER = "airra.backfill"  # history: it is never acted on

INCIDENT_RECORDS = Counter("airra_correlate_incident_records_total", "incident records written", ["phase"])
OPEN_INCIDENTS = Gauge("airra_correlate_open_incidents", "incidents open now")
SKIPPED = Counter("airra_correlate_historical_signals_total", "signals of a backfill, which open nothing")
CLAMPED = Counter("airra_correlate_clamped_signals_total", "signals from the future, taken as of now", ["type"])
EVICTED = Counter("airra_correlate_evicted_entries_total", "entries dropped at the cap of their table, or by age", ["table"])
TEXT_CHARS = 2_048  # of a name inside evidence: normalise lets 512 pass, and every incident record repeats it

log = structlog.get_logger()


def stage(config: CorrelateConfig) -> Stage[CorrelateState]:
    """Return the stage that makes incidents of signals."""

    def apply(state: CorrelateState, record: Record, now: int) -> Sequence[Output]:
        signal = parse(SIGNALS, record)
        _refuse_boundless(signal)
        if record.header(BACKFILL_HEADER) is not None:
            SKIPPED.inc()
            return ()
        evicted = dict(state.evicted)
        timely = no_later(signal, now)
        if timely is not signal:
            CLAMPED.labels(signal.type).inc()
        decided = take(state, timely, source=position(record), now=now, config=config)
        for table, count in state.evicted.items():
            EVICTED.labels(table).inc(count - evicted.get(table, 0))
        OPEN_INCIDENTS.set(len(state.incidents))
        for incident in decided.incidents:
            INCIDENT_RECORDS.labels(incident.phase).inc()
            if incident.phase is not IncidentPhase.UPDATED:
                log.info("incident", incident=incident.incident, phase=incident.phase, title=incident.title, version=incident.version)
        return [
            *(emit(INCIDENTS, incident.incident, incident) for incident in decided.incidents),
            *(emit(NOTICES, notice.incident, notice) for notice in decided.notices),
        ]

    return Stage("correlate", SIGNALS_TOPIC.name, restore, apply, snapshot, tick_every_s=1)


def _refuse_boundless(signal: Signal) -> None:
    """Numbers that JSON cannot carry and names that fill a record would stop every later one of the incident: poison, at once."""
    readings = signal.series if isinstance(signal, Health) else (signal.evidence,) if isinstance(signal, Anomaly) else ()
    if not all(_finite(reading) for reading in readings):
        raise Poison("invalid_record", "evidence with a number that is not finite")
    names = [text for reading in readings for text in (reading.series, reading.service, reading.instance, reading.metric, reading.unit)]
    if isinstance(signal, Alert | Change):
        names += [signal.service, signal.name]
    if any(len(name) > TEXT_CHARS for name in names):
        raise Poison("invalid_record", f"a name of more than {TEXT_CHARS} characters")


def _finite(reading: SeriesEvidence) -> bool:
    numbers = (reading.value, reading.baseline, reading.low, reading.high, reading.z, reading.peak_z)
    return all(map(math.isfinite, numbers)) and all(math.isfinite(value) for _, value in reading.points)
