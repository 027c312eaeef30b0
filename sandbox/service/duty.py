"""Workers that may use only so much CPU: real CPU seconds, a real cap, a bounded queue."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

BURST_S = 1.2  # of its cap's worth that a rested worker may use at once, so that ordinary unevenness never queues
MAX_WAIT_S = 0.8  # the queue is as long as the workers serve in this time; beyond it a request is refused
SLICE_S = 0.004  # other connections, /metrics above all, are looked after at least this often


class OverloadedError(Exception):
    """The queue is full."""


class Duty:
    """The CPU account of one worker: the generic cell rate algorithm, with CPU seconds as cells."""

    def __init__(self, cap: float, now: float) -> None:
        self._cap = cap
        self._paid_until = now

    def free_at(self) -> float:
        """Return from when on the worker may work again."""
        return self._paid_until - BURST_S

    def charge(self, now: float, cpu_s: float) -> None:
        self._paid_until = max(now, self._paid_until) + cpu_s / self._cap


def spin(cpu_s: float) -> float:
    """Use CPU until this thread's own CPU clock has moved so far; return what was used."""
    start = time.thread_time()
    used = 0.0
    while used < cpu_s:
        used = time.thread_time() - start
    return used


class _Worker:
    def __init__(self, cap: float, now: float) -> None:
        self.duty = Duty(cap, now)
        self.busy = False


class Workers:
    """Serves the CPU part of requests, each on a worker that is within its cap; waiting is not a worker's time."""

    def __init__(self, count: int, cap: float, clock: Callable[[], float] = time.monotonic, burn: Callable[[float], float] = spin) -> None:
        self._cap = cap
        self._clock = clock
        self._burn = burn
        self._workers = [_Worker(cap, clock()) for _ in range(count)]
        self._queue: deque[asyncio.Future[_Worker]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def count(self) -> int:
        return len(self._workers)

    @property
    def queued(self) -> int:
        return len(self._queue)

    def resize(self, count: int) -> None:
        """Add rested workers, or take away those that have worked most."""
        self._workers.sort(key=lambda worker: worker.duty.free_at())
        del self._workers[count:]
        self._workers += [_Worker(self._cap, self._clock()) for _ in range(count - len(self._workers))]
        self._pump()

    def limit(self, cpu_s: float) -> int:
        """Return how many requests may wait."""
        return max(2, int(MAX_WAIT_S * len(self._workers) * self._cap / cpu_s))

    async def run(self, cpu_s: float) -> None:
        """Use the CPU that a request costs; raise OverloadedError."""
        worker = self._free() if not self._queue else None
        if worker is None:
            if len(self._queue) >= self.limit(cpu_s):
                raise OverloadedError
            place: asyncio.Future[_Worker] = asyncio.get_running_loop().create_future()
            self._queue.append(place)
            self._arm()
            worker = await place
        worker.busy = True
        used = 0.0
        try:
            while used < cpu_s:
                used += self._burn(min(SLICE_S, cpu_s - used))
                if used < cpu_s:
                    await asyncio.sleep(0)
        finally:
            worker.busy = False
            worker.duty.charge(self._clock(), used)
            self._pump()

    def _free(self) -> _Worker | None:
        idle = [worker for worker in self._workers if not worker.busy]
        rested = min(idle, key=lambda worker: worker.duty.free_at(), default=None)
        return rested if rested is not None and rested.duty.free_at() <= self._clock() else None

    def _pump(self) -> None:
        while self._queue:
            worker = self._free()
            if worker is None:
                self._arm()
                return
            place = self._queue.popleft()
            if not place.done():
                worker.busy = True
                place.set_result(worker)

    def _arm(self) -> None:
        """Wake up when the first worker is within its cap again; a busy one pumps by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waits = [worker.duty.free_at() for worker in self._workers if not worker.busy]
        if waits and self._queue:
            delay = max(0.0, min(waits) - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self._pump)
