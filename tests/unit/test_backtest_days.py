"""`airra backtest days`: days made of a recording go through the real folds; nothing opens an incident, and a fault at the end does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from cli.backtest.days.fitted import Fitted, fit
from cli.backtest.days.pipeline import Pipeline
from cli.backtest.days.requests import Requests
from cli.backtest.days.run import BEGIN, HEADERS, TOGETHER, most_likely_below, one_run
from cli.backtest.days.simulate import AWAY_S, BLOCK_S, CHUNK_S, COLD, DAY_S, WARM_S, Days
from cli.config import ConfigError, load
from cli.settings import read_settings
from schemas.config.metrics import MetricsMapping
from schemas.kinds import Kind
from schemas.settings import Settings
from streams.harness.stage import Record
from streams.normalise.formats.remote_write import RemoteWrite, unpack
from streams.normalise.series import Resolver

CONFIG = Path(__file__).parents[2] / "config"
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, "+Inf")
RECORDED_S = 240


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("AIRRA_CONFIG_DIR", str(CONFIG))
    return read_settings()


def recorded(services: tuple[str, ...] = ("shop", "till")) -> Iterator[Record]:
    """Messages of the adapter: each service has requests, a histogram of latency, memory and `up`."""
    draw = np.random.default_rng(1)
    totals: dict[str, np.ndarray] = {}
    offset = 0
    for second in range(RECORDED_S):
        stamp = datetime.fromtimestamp(BEGIN + second, UTC).isoformat().replace("+00:00", "Z")
        for service in services:
            requests = draw.poisson(40)
            falls = draw.multinomial(requests, np.array([1, 4, 20, 40, 25, 8, 1.5, 0.4, 0.1, 0, 0]) / 100)
            buckets = totals.setdefault(service, np.zeros(len(BOUNDS)))
            buckets += np.cumsum(falls)
            labels = {"service": service, "instance": f"{service}:1"}
            told = [("http_requests_total", {"status": "200"}, buckets[-1]), ("up", {}, 1.0)]
            told += [("process_resident_memory_bytes", {}, 50e6 + draw.normal(0, 1e5))]
            told += [("http_request_duration_seconds_bucket", {"le": str(le)}, b) for le, b in zip(BOUNDS, buckets, strict=True)]
            for name, more, value in told:
                body = {"labels": {"__name__": name, **labels, **more}, "name": name, "timestamp": stamp, "value": str(value)}
                yield Record("metrics", 0, offset, (BEGIN + second) * 1000, None, json.dumps(body).encode())
                offset += 1


def resolver() -> Resolver:
    return Resolver(load(MetricsMapping, CONFIG / "metrics.yaml"))


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return fit(recorded(), resolver())


def test_what_is_recorded_is_taken_by_the_second(fitted: Fitted) -> None:
    assert fitted.services == ["shop", "till"]
    assert fitted.steps.shape == (RECORDED_S - 1, 2 * (3 + len(BOUNDS)))
    requests = [place for place, one in enumerate(fitted.series) if one.kind is Kind.REQUESTS]
    assert fitted.steps[:, requests].mean() == pytest.approx(40, rel=0.05)
    assert fitted.load.mean() == pytest.approx(1, rel=0.01)


def test_a_request_holds_what_is_there_and_its_time(fitted: Fitted) -> None:
    requests, values = Requests(fitted.series), np.arange(len(fitted.series), dtype=np.float64)
    there = np.ones(len(values), np.bool_)
    there[3] = False
    at = 1_795_489_200_123
    found = list(RemoteWrite().read(unpack(requests.of(at, values, there))))
    assert [one.value for one in found] == [0.0, 1.0, 2.0, *values[4:]]
    assert {one.at for one in found} == {at}
    told = [RemoteWrite().describe(one.key).labels for one in found]
    assert told == [one.labels for place, one in enumerate(fitted.series) if place != 3]


def test_counters_only_rise_but_for_deploys_and_buckets_hold_those_below(fitted: Fitted) -> None:
    days = Days(fitted, BEGIN, seed=3)
    chunks = [days.chunk(number) for number in range(DAY_S // CHUNK_S)]
    values = np.concatenate([one.values for one in chunks])
    falls = (np.diff(values[:, fitted.counts], axis=0) < 0).any(axis=1).sum()
    assert falls == len(days.deploys(np.arange(BEGIN, BEGIN + DAY_S))) == 2
    for service in range(2):
        mine = [place for place, one in enumerate(fitted.series) if one.part == "bucket" and fitted.service[place] == service]
        mine.sort(key=lambda place: fitted.series[place].le or np.inf)
        assert (np.diff(values[:, mine], axis=1) >= 0).all()
    gone = np.concatenate([one.there for one in chunks])
    assert (~gone).any(axis=1).sum() == 2 * AWAY_S
    up = [place for place, one in enumerate(fitted.series) if one.kind is Kind.UP]
    assert (values[:, up] == 0).sum() == 2 * AWAY_S


def test_a_deploy_takes_a_part_of_the_memory_which_comes_back_and_nothing_before_it(fitted: Fitted) -> None:
    days = Days(fitted, BEGIN, seed=3)
    values = np.concatenate([days.chunk(number).values for number in range(2 * DAY_S // CHUNK_S)])
    usual, left = 50e6, []
    for service, second in days.deploys(np.arange(BEGIN, BEGIN + DAY_S)):
        (memory,) = (p for p, one in enumerate(fitted.series) if one.kind is Kind.MEMORY and fitted.service[p] == service)
        at = second - BEGIN
        assert values[:at, memory] == pytest.approx(usual, rel=0.03)
        left.append(values[at, memory] / usual)
        assert values[at + 5 * round(WARM_S[1]), memory] == pytest.approx(usual, rel=0.03)
    assert COLD[0] < min(left) < max(left) < COLD[1] + 0.03
    assert max(left) - min(left) > 0.05, "each deploy draws its own"


def test_the_load_has_nights_week_ends_and_peaks(fitted: Fitted) -> None:
    days = Days(fitted, BEGIN, seed=1)
    week = days.load(np.arange(BEGIN, BEGIN + 7 * DAY_S))
    assert week.min() < 0.5
    assert 1.8 < week.max() < 3.6
    assert np.abs(np.diff(week)).max() < 0.05, "with ramps"
    saturday = days.load(np.arange(BEGIN + 2 * DAY_S, BEGIN + 3 * DAY_S))
    assert np.median(saturday) < np.median(week)
    requests = [place for place, one in enumerate(fitted.series) if one.kind is Kind.REQUESTS]
    chunk = days.chunk(72)  # noon
    rate = (chunk.values[-1, requests] - chunk.values[0, requests]) / (CHUNK_S - 1)
    assert rate / 40 == pytest.approx(days.load(chunk.at).mean(), rel=0.1)


def test_the_same_seed_gives_the_same_days(fitted: Fitted) -> None:
    one, same, other = (Days(fitted, BEGIN, seed).chunk(0).values for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


def test_hours_without_a_fault_open_nothing_and_the_fault_at_the_end_does(fitted: Fitted, settings: Settings) -> None:
    told = one_run(fitted, settings, days=2 / 24, seed=5)
    assert told.incidents == []
    assert told.found_s is not None
    assert 0 < told.found_s < 60
    assert told.refused == 0
    assert told.samples >= (7200 + CHUNK_S - 10) * len(fitted.series)


def test_a_service_that_stays_away_opens_an_incident(fitted: Fitted, settings: Settings) -> None:
    days, requests, pipeline = Days(fitted, BEGIN, seed=5), Requests(fitted.series), Pipeline(settings, BEGIN * 1000)
    mine = fitted.service == 0
    for number in range(2):
        chunk = days.chunk(number)
        for first in range(0, CHUNK_S, TOGETHER):
            there = chunk.there[first : first + TOGETHER] & (~mine | (number == 0))
            records = [requests.of(int(chunk.at[first + i]) * 1000, chunk.values[first + i], there[i]) for i in range(TOGETHER)]
            pipeline.take(records, HEADERS, int(chunk.at[first + TOGETHER - 1]) * 1000)
    assert [one.services[0] for one in pipeline.opened] == [fitted.services[0]]


def test_too_short_a_recording_is_told() -> None:
    short = (record for record in recorded() if record.timestamp < (BEGIN + BLOCK_S) * 1000)
    with pytest.raises(ConfigError, match="30 seconds of metrics"):
        fit(short, resolver())


def test_the_bound_is_the_mean_that_shows_so_few_once_in_twenty() -> None:
    assert [most_likely_below(count) for count in (0, 1, 10)] == pytest.approx([2.9957, 4.7439, 16.962], abs=1e-3)
