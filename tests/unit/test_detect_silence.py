"""Series that fall silent: which of them detect misses, and which it does not."""

from __future__ import annotations

from schemas.kinds import Kind
from schemas.samples import SeriesDef
from schemas.signals import AnomalyReason, Phase
from tests.unit.detect_cart import MB, MEMORY, POOL, REQUESTS, seconds
from tests.unit.detect_feed import T0, Log, anomalies, each_second, phases, series


def test_a_series_that_falls_silent_is_a_signal_and_its_return_ends_it() -> None:
    log = each_second(120, lambda i: [(MEMORY, 50 * MB)] + ([(POOL, 0.1)] if not 60 <= i < 90 else []), MEMORY, POOL)
    opened, closed = (phases(log, phase) for phase in (Phase.OPENED, Phase.CLOSED))
    assert [(one.reason, one.evidence.metric) for one in opened] == [(AnomalyReason.SILENCE, POOL.metric)]
    assert seconds(opened[0].opened_at) == 59.3
    assert seconds(opened[0].at) <= 68
    assert [(one.anomaly, one.reason, seconds(one.at)) for one in closed] == [(opened[0].anomaly, AnomalyReason.SILENCE, 91.0)]


def test_the_whole_pipeline_falling_silent_accuses_nobody_when_it_comes_back() -> None:
    many = [series(f"s{i}", Kind.MEMORY, unit="bytes") for i in range(5)]
    log = Log().define(*many)
    for i in [*range(60), *range(200, 260)]:
        log.rows([(one, T0 + 1000 * i, 50.0 * MB) for one in many[: 1 if i == 200 else 5]])
        if i == 59:
            for tick in range(60, 200, 5):
                log.tick(T0 + 1000 * tick)
    assert anomalies(log) == []


def test_a_series_that_its_instance_lost_in_a_restart_is_not_missed() -> None:
    def second(i: int) -> list[tuple[SeriesDef, float]]:
        return [(REQUESTS, 40.0 * (i if i < 60 else i - 60)), *([(POOL, 0.1)] if i < 60 else [])]

    assert anomalies(each_second(120, second, REQUESTS, POOL)) == []


def test_an_instance_that_was_scaled_in_is_not_missed_and_the_last_one_is() -> None:
    pods = [series("cart", Kind.MEMORY, unit="bytes", instance=f"i:{i}") for i in (1, 2)]
    other = series("shop", Kind.MEMORY, unit="bytes")
    scaled_in = each_second(
        120, lambda i: [(other, 1.0 * MB), (pods[0], 50.0 * MB), *([(pods[1], 50.0 * MB)] if i < 60 else [])], *pods, other
    )
    assert anomalies(scaled_in) == []
    gone = each_second(120, lambda i: [(other, 1.0 * MB), *((pod, 50.0 * MB) for pod in pods if i < 60)], *pods, other)
    assert {one.evidence.instance for one in phases(gone, Phase.OPENED)} == {"i:1", "i:2"}
