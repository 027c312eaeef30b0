"""A memory leak: a stuck background job that keeps what it reads, until the process is another one."""

from __future__ import annotations

import asyncio

MB = 1_048_576
STEP_S = 0.25
SOFT_MB = 100.0  # above it the collector stops the world ever longer
HARD_MB = 180.0  # above it allocations fail
MAX_MB = 320.0  # the machine is not ours alone
PAUSE_EVERY_S = 1.0
PAUSES_S = (0.15, 0.6)  # at the soft and at the hard limit
FAILS = (0.2, 0.7)  # share of requests at the hard limit and at the end


class Leak:
    """Holds real, touched memory and says what that does to requests."""

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._running = asyncio.Event()  # cleared while the world stands still
        self._running.set()

    @property
    def held_mb(self) -> float:
        return sum(map(len, self._held)) / MB

    @property
    def fail_ratio(self) -> float:
        return fail_ratio(self.held_mb) if self._held else 0.0

    def start(self, mb_per_s: float) -> None:
        if not self._tasks:
            loop = asyncio.get_running_loop()
            self._tasks = [loop.create_task(self._grow(mb_per_s)), loop.create_task(self._pause())]

    async def wait(self) -> None:
        """Wait for the end of a pause, if there is one."""
        if not self._running.is_set():
            await self._running.wait()

    async def _grow(self, mb_per_s: float) -> None:
        while True:
            if self.held_mb < MAX_MB:
                self._held.append(b"\x01" * int(mb_per_s * STEP_S * MB))  # written to, so that it is resident
            await asyncio.sleep(STEP_S)

    async def _pause(self) -> None:
        while True:
            pause = pause_s(self.held_mb)
            if pause:
                self._running.clear()
                await asyncio.sleep(pause)
                self._running.set()
            await asyncio.sleep(PAUSE_EVERY_S - pause)


def pause_s(held_mb: float) -> float:
    """Return how long of each second the process stands still."""
    if held_mb < SOFT_MB:
        return 0.0
    return PAUSES_S[0] + (PAUSES_S[1] - PAUSES_S[0]) * min(1.0, (held_mb - SOFT_MB) / (HARD_MB - SOFT_MB))


def fail_ratio(held_mb: float) -> float:
    """Return the share of requests that get no memory."""
    if held_mb < HARD_MB:
        return 0.0
    return FAILS[0] + (FAILS[1] - FAILS[0]) * min(1.0, (held_mb - HARD_MB) / (MAX_MB - HARD_MB))
