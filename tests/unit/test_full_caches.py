"""Each bounded table of the data plane and of correlate, full: it stays at its cap, and what goes or is refused is counted by table."""

from __future__ import annotations

import pytest

from schemas.config.correlate import CorrelateConfig
from schemas.config.metrics import MetricsMapping
from schemas.kinds import Kind, Severity
from schemas.signals import Phase
from streams import correlate
from streams.normalise.core import Core
from streams.normalise.metrics import count_cache
from streams.normalise.outputs import UnknownMetrics
from tests.unit.incident_world import SERVICES, T0, Run, anomaly, topology
from tests.unit.test_correlate import alert
from tests.unit.test_full_tables import moves
from tests.unit.test_normalise_samples import message, take

ROOM = 2
MAPPING = MetricsMapping.model_validate({"metrics": [{"match": "up*", "kind": "up"}]})


def test_the_caches_of_normalise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.normalise.prometheus_kafka_adapter.MEMO_SIZE", ROOM)
    monkeypatch.setattr("streams.normalise.series.MAPPED_NAMES", ROOM)
    core = Core(MAPPING, 4, 4)
    core.cache._half, core.unknown = ROOM, UnknownMetrics(ROOM)
    with (
        moves("airra_normalise_cache_evictions_total", "series", "timestamps", "names"),
        moves("airra_normalise_untold_metrics_total", ""),
    ):
        for number in range(4 * ROOM):
            stamp = f"2026-11-24T03:00:0{number}z"  # not as the adapter writes it: read one by one
            take(message(f"up{number}", timestamp=stamp), message(f"other{number}", timestamp=stamp), core=core)
        count_cache(core)
    assert len(core.cache) <= 2 * (ROOM + 2)  # two generations, each of at most one batch above the half
    assert len(core.resolver._hits) == ROOM


def test_incidents_above_the_cap_wait_and_are_counted() -> None:
    run = Run(correlate.stage(CorrelateConfig(max_incidents=1, max_hops=0)))
    run.send(topology(), T0)
    with moves("airra_correlate_evicted_entries_total", "incidents_refused"):
        for service in SERVICES:
            run.send(anomaly(service, Kind.LATENCY, Phase.OPENED, T0), T0)
        run.ticks(T0, 5)
    assert len(run.state.incidents) == 1


def test_alerts_above_the_cap_make_room() -> None:
    run = Run(correlate.stage(CorrelateConfig(max_tracked=10)))
    run.send(topology(), T0)
    with moves("airra_correlate_evicted_entries_total", "alerts"):
        for number in range(12):
            run.send(alert("orders", at=T0 + number).model_copy(update={"fingerprint": f"f{number}"}), T0)
    assert list(run.state.alerts) == [f"f{number}" for number in range(2, 12)]


def test_what_one_record_has_no_room_for_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(correlate.stage(CorrelateConfig()))
    run.send(topology(), T0)
    for number in range(40):
        labels = {"alertname": "x", **{f"l{i}": "é" * 1_000 for i in range(20)}}
        told = alert("orders", severity=Severity.WARNING, at=T0 + number)
        run.send(told.model_copy(update={"fingerprint": f"f{number}", "labels": labels}), T0)
    run.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0), T0)
    with moves("airra_correlate_evicted_entries_total", "record_alerts"):
        run.ticks(T0, 3)
