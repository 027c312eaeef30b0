"""The parts of a service: workers within their cap, a pool, a cache, a leak, and what it says about itself."""

import asyncio
import random
from itertools import pairwise
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sandbox.scenario import METRIC_NAMES
from sandbox.service import leak, pool
from sandbox.service.app import Service
from sandbox.service.cache import WARM_KEYS, WINDOW_S, Cache
from sandbox.service.duty import BURST_S, Duty, OverloadedError, Workers, spin
from sandbox.service.metrics import BUCKETS, Metrics
from sandbox.service.pool import Occupancy, Pool, PoolExhaustedError
from sandbox.spec import Condition, DatabaseSpec, ServiceSpec
from sandbox.web.server import Request
from schemas.kinds import Kind
from tests.unit.detect_feed import CONFIG as DETECT


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_worker_gets_its_cap_and_no_more() -> None:
    duty, now, used = Duty(0.03, 0.0), 0.0, 0.0
    while now < 60:
        now = max(now, duty.free_at())
        duty.charge(now, 0.003)
        used += 0.003
    assert used == pytest.approx(0.03 * (60 + BURST_S), rel=0.02)


def test_a_rested_worker_may_work_at_once() -> None:
    duty = Duty(0.03, 0.0)
    for _ in range(11):
        assert duty.free_at() <= 10.0
        duty.charge(10.0, 0.003)
    duty.charge(10.0, 0.003)
    assert duty.free_at() == pytest.approx(10.0)


def test_spinning_uses_real_cpu() -> None:
    assert 0.004 <= spin(0.004) < 0.05


async def test_more_than_the_queue_holds_is_refused_and_more_workers_serve_it() -> None:
    loop = asyncio.get_running_loop()
    workers = Workers(1, 0.5, clock=loop.time, burn=lambda cpu_s: cpu_s)
    cost = 0.3  # 0.6 s of its cap: two are served at once out of the burst, two may wait
    tasks = [asyncio.ensure_future(workers.run(cost)) for _ in range(6)]
    await asyncio.sleep(0)
    refused = [task for task in tasks if task.done() and isinstance(task.exception(), OverloadedError)]
    await asyncio.sleep(0)
    workers.resize(8)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert workers.queued == 0
    assert len(refused) == len([result for result in results if isinstance(result, OverloadedError)])
    assert 1 <= len(refused) <= 3
    workers.resize(1)
    assert workers.count == 1


def test_occupancy_is_the_mean_over_the_window() -> None:
    occupancy = Occupancy(0.0)
    occupancy.change(10.0, 4)
    assert occupancy.mean(11.0) == pytest.approx(2.0)  # 4 during one of the last two seconds
    assert occupancy.mean(12.0) == pytest.approx(4.0)
    occupancy.change(12.0, -4)
    assert occupancy.mean(13.0) == pytest.approx(2.0)
    assert occupancy.mean(30.0) == 0.0


async def test_a_dry_pool_fails_whoever_waits_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "ACQUIRE_S", 0.02)
    two = Pool(tmp_path / "stock.db", 2)
    results = await asyncio.gather(*(two.query(key, 0.1) for key in range(4)), return_exceptions=True)
    assert [type(result) for result in results] == [int, int, PoolExhaustedError, PoolExhaustedError]
    assert two.in_use_ratio() > 0.5
    assert await two.query(7, 0) == 8  # a real row of a real table


async def test_a_freed_connection_goes_to_who_waited_longest(tmp_path: Path) -> None:
    one = Pool(tmp_path / "stock.db", 1)
    order: list[int] = []

    async def ask(number: int) -> None:
        await one.query(number, 0.001)
        order.append(number)

    await asyncio.gather(*(ask(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]


def look_up(cache: Cache, times: int) -> float:
    hits = 0
    for _ in range(times):
        key = cache.next_key()
        if cache.get(key) is None:
            cache.put(key, key)
        else:
            hits += 1
    return hits / times


def test_a_poisoned_cache_misses_until_it_is_cleared() -> None:
    clock = Clock()
    cache = Cache(0.9, random.Random(1), clock)
    look_up(cache, 20 * WARM_KEYS)
    assert look_up(cache, 2000) == pytest.approx(0.9, abs=0.03)
    cache.poison(0.0)
    clock.now += WINDOW_S + 1
    assert look_up(cache, 500) == 0.0
    assert cache.hit_ratio() == 0.0
    cache.poison(0.3)
    assert look_up(cache, 2000) == pytest.approx(0.3, abs=0.05)
    cache.clear()
    look_up(cache, 20 * WARM_KEYS)
    clock.now += WINDOW_S + 1
    assert look_up(cache, 2000) == pytest.approx(0.9, abs=0.03)
    assert cache.hit_ratio() == pytest.approx(0.9, abs=0.03)


def test_a_new_process_hits_as_often_as_the_old_one_from_its_first_user_on() -> None:
    cache = Cache(0.85, random.Random(3), Clock())
    cache.warm()
    assert cache.hit_ratio() == pytest.approx(0.85, abs=0.07)
    assert look_up(cache, 400) == pytest.approx(0.85, abs=0.05)


def test_two_caches_of_one_seed_are_asked_the_same() -> None:
    one, other = Cache(0.7, random.Random("7:a")), Cache(0.7, random.Random("7:a"))
    assert [one.next_key() for _ in range(100)] == [other.next_key() for _ in range(100)]


def test_a_leak_first_slows_and_then_fails() -> None:
    assert leak.pause_s(50) == 0 == leak.fail_ratio(50)
    assert 0 < leak.pause_s(leak.SOFT_MB) < leak.pause_s(leak.HARD_MB) < leak.PAUSE_EVERY_S
    assert leak.fail_ratio(leak.HARD_MB - 1) == 0 < leak.fail_ratio(leak.HARD_MB) < leak.fail_ratio(leak.MAX_MB) < 1
    assert leak.MAX_MB <= 400


def test_metrics_have_the_names_and_labels_that_their_owner_chose() -> None:
    names = {**METRIC_NAMES, "requests": "app_requests_count", "latency": "app_seconds"}
    metrics = Metrics(names, {"app": "a", "pod": "p"}, {"pool": lambda: 0.25})
    metrics.served(0.03, failed=False)
    metrics.served(3.0, failed=True)
    metrics.refused()
    assert "# TYPE app_requests_count untyped" in metrics.text().decode()
    families = list(text_string_to_metric_families(metrics.text().decode()))
    samples = {(sample.name, sample.labels.get("le", "")): sample for family in families for sample in family.samples}
    assert samples["app_requests_count", ""].value == 3
    assert samples["http_errors_total", ""].value == 2
    assert [samples["app_seconds_bucket", bound].value for bound in ("0.025", "0.05", "2.5", "5.0", "+Inf")] == [0, 1, 1, 2, 2]
    assert samples["app_seconds_sum", ""].value == pytest.approx(3.03)
    assert samples["app_seconds_count", ""].value == 2
    assert samples["db_pool_in_use_ratio", ""].value == 0.25
    assert samples["process_resident_memory_bytes", ""].value > 1e6
    assert samples["process_cpu_seconds_total", ""].value > 0
    assert all((sample.labels["app"], sample.labels["pod"]) == ("a", "p") for sample in samples.values())
    assert not [name for name, _ in samples if "created" in name or name == "http_requests_total"]


def test_one_request_across_a_bound_takes_no_tail_out_of_a_band_of_half_its_baseline() -> None:
    answering = [bound for bound in BUCKETS if bound <= 1.5]
    relative = DETECT.kinds[Kind.LATENCY].relative
    assert all(upper <= lower * (1 + relative) + 1e-9 for lower, upper in pairwise(answering))


def test_a_histogram_that_counts_the_requests_is_exposed_once_and_counts_the_refused() -> None:
    names = {**METRIC_NAMES, "requests": "http_server_requests_seconds_count", "latency": "http_server_requests_seconds"}
    metrics = Metrics(names, {"app": "a"}, {})
    metrics.served(0.03, failed=False)
    metrics.refused()
    families = text_string_to_metric_families(metrics.text().decode())
    counts = [sample.value for family in families for sample in family.samples if sample.name == "http_server_requests_seconds_count"]
    assert counts == [2]
    assert metrics.text().decode().count("\nhttp_server_requests_seconds_count{") == 1


async def test_a_request_with_slow_queries_takes_its_connections_at_once_and_gives_them_all_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "ACQUIRE_S", 0.05)
    spec = ServiceSpec(
        name="a",
        host="127.0.0.1",
        port=1,
        seed="1",
        parent=1,
        workers=1,
        worker_cpu=0.5,
        cpu_s=0.0001,
        work_s=0.0,
        calls=(),
        metric_names=dict(METRIC_NAMES),
        labels={},
        condition=Condition(slow_hold_s=0.2, slow_connections=3),
        database=DatabaseSpec(str(tmp_path / "a.db"), 4, 0.0),
    )
    service = Service(spec)
    statuses = [answer.status for answer in await asyncio.gather(*(service.handle(Request("GET", "/", {})) for _ in range(2)))]
    assert sorted(statuses) == [200, 503]  # the second one finds one connection free of the three that it needs
    service.condition = Condition()
    assert service.pool is not None
    assert len(service.pool._free) == 4
