"""One service: what it does with a request."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

from sandbox.service.cache import Cache
from sandbox.service.duty import OverloadedError, Workers
from sandbox.service.leak import Leak
from sandbox.service.metrics import Metrics
from sandbox.service.pool import Pool, PoolExhaustedError
from sandbox.spec import CallSpec, Condition, ServiceSpec
from sandbox.web.client import CallFailedError, Client
from sandbox.web.server import TEXT_TYPE, Request, Response

MAX_IN_FLIGHT = 256
HOT_PAGE = "/hot"  # a page that a service answers by itself: a surge of it burdens nobody else


class Service:
    """Works, reads, calls, answers; everything that can go wrong with it is in its condition, its cache or its memory."""

    def __init__(self, spec: ServiceSpec) -> None:
        self._spec = spec
        self.condition: Condition = spec.condition
        self._rng = random.Random(spec.seed)
        self._client = Client()
        self._in_flight = 0
        self.workers = Workers(spec.workers, spec.worker_cpu)
        self.leak = Leak()
        self.cache = Cache(spec.cache.hit_ratio, random.Random(f"{spec.seed}:cache")) if spec.cache else None
        if self.cache is not None:
            self.cache.warm()
        self.pool = Pool(Path(spec.database.path), spec.database.pool) if spec.database else None
        gauges = {
            **({"pool": self.pool.in_use_ratio} if self.pool else {}),
            **({"cache": self.cache.hit_ratio} if self.cache else {}),
        }
        self.metrics = Metrics(spec.metric_names, spec.labels, gauges)

    async def handle(self, request: Request) -> Response:
        """Answer; /metrics comes before everything and needs no worker."""
        if request.path == "/metrics":
            return Response(200, self.metrics.text(), TEXT_TYPE)
        if self._in_flight >= MAX_IN_FLIGHT:
            self.metrics.refused()
            return Response(503)
        self._in_flight += 1
        start = time.perf_counter()
        try:
            status = await self._serve(alone=request.path == HOT_PAGE)
        except OverloadedError:
            self.metrics.refused()
            return Response(503)
        finally:
            self._in_flight -= 1
        self.metrics.served(time.perf_counter() - start, failed=status >= 500)
        return Response(status)

    async def _serve(self, *, alone: bool) -> int:
        await self.leak.wait()
        await self.workers.run(self._spec.cpu_s * self.condition.cpu_factor)
        await asyncio.sleep(self._spec.work_s * self._rng.uniform(0.8, 1.2) + self.condition.add_s)
        failing = max(self.condition.error_ratio, self.leak.fail_ratio)
        if failing and self._rng.random() < failing:
            return 500
        if alone:
            return 200
        try:
            await self._read()
            for call in self._spec.calls:
                for _ in range(self._times(call)):
                    status, _body = await self._client.request(call.host, call.port, "GET", "/", timeout_s=call.timeout_s)
                    if status >= 500:
                        return 502
        except PoolExhaustedError:
            return 503
        except CallFailedError:
            return 502
        await self.leak.wait()
        return 200

    async def _read(self) -> None:
        if self.condition.slow_connections:
            await self._read_slowly()
        query_s = self._spec.database.query_s if self._spec.database else 0.0
        if self.cache is None:
            await self._query(self._rng.randrange(1_000_000), query_s)
            return
        key = self.cache.next_key()
        if self.cache.get(key) is None:
            if self._spec.cache is not None and self._spec.cache.miss_s:
                await asyncio.sleep(self._spec.cache.miss_s)
            self.cache.put(key, await self._query(key, query_s))

    async def _read_slowly(self) -> None:
        hold_s = self.condition.slow_hold_s
        queries = [self._query(self._rng.randrange(1_000_000), hold_s) for _ in range(self.condition.slow_connections)]
        # All of them come to their end, for a query that was cut off could take a connection with it.
        for result in await asyncio.gather(*queries, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def _query(self, key: int, hold_s: float) -> int:
        return await self.pool.query(key, hold_s * self._rng.uniform(0.9, 1.1)) if self.pool else key

    def _times(self, call: CallSpec) -> int:
        whole = int(call.per_request)
        return whole + (self._rng.random() < call.per_request - whole)
