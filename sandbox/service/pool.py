"""A bounded pool of real SQLite connections."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

ROWS = 500
ACQUIRE_S = 1.0  # who has waited this long for a connection fails
WINDOW_S = 2.0  # occupancy is the mean over this long: smooth, and quick to show a dry pool


class PoolExhaustedError(Exception):
    """No connection became free in time."""


class Occupancy:
    """The mean number in use over the last window, exact at any moment."""

    def __init__(self, now: float) -> None:
        self._in_use = 0
        self._integral = 0.0
        self._at = now
        self._past: deque[tuple[float, float, int]] = deque([(now, 0.0, 0)])  # time, integral up to it, in use from it on

    def change(self, now: float, by: int) -> None:
        self._integral += self._in_use * (now - self._at)
        self._at = now
        self._in_use += by
        self._past.append((now, self._integral, self._in_use))
        self._forget(now)

    def mean(self, now: float) -> float:
        self._forget(now)
        start = now - WINDOW_S
        at, integral, in_use = self._past[0]
        begin = max(start, at)
        behind = integral + in_use * (begin - at)
        total = self._integral + self._in_use * (now - self._at)
        return (total - behind) / (now - begin) if now > begin else float(self._in_use)

    def _forget(self, now: float) -> None:
        while len(self._past) > 1 and self._past[1][0] <= now - WINDOW_S:
            self._past.popleft()


class Pool:
    """Hands out connections in the order of asking; whoever holds one keeps it for the whole query."""

    def __init__(self, path: Path, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        create(path)
        self.size = size
        self._clock = clock
        self._free = [sqlite3.connect(path, timeout=5, isolation_level=None) for _ in range(size)]
        self._waiting: deque[asyncio.Future[sqlite3.Connection]] = deque()
        self._occupancy = Occupancy(clock())

    def in_use_ratio(self) -> float:
        return min(1.0, self._occupancy.mean(self._clock()) / self.size)

    async def query(self, key: int, hold_s: float) -> int:
        """Read one row and hold the connection as long as the query takes; raise PoolExhaustedError."""
        connection = await self._acquire()
        try:
            row = connection.execute("SELECT quantity FROM stock WHERE id = ?", (key % ROWS,)).fetchone()
            await asyncio.sleep(hold_s)
            return int(row[0])
        finally:
            self._release(connection)

    async def _acquire(self) -> sqlite3.Connection:
        if self._free and not self._waiting:
            self._occupancy.change(self._clock(), 1)
            return self._free.pop()
        loop = asyncio.get_running_loop()
        place: asyncio.Future[sqlite3.Connection] = loop.create_future()
        self._waiting.append(place)
        timer = loop.call_later(ACQUIRE_S, _give_up, place)
        try:
            return await place
        finally:
            timer.cancel()

    def _release(self, connection: sqlite3.Connection) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(connection)  # from hand to hand: in use all the time
                return
        self._occupancy.change(self._clock(), -1)
        self._free.append(connection)


def _give_up(place: asyncio.Future[sqlite3.Connection]) -> None:
    if not place.done():
        place.set_exception(PoolExhaustedError())


def create(path: Path) -> None:
    """Make the database file with its table, unless it is there."""
    with contextlib.closing(sqlite3.connect(path, timeout=5)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS stock (id INTEGER PRIMARY KEY, quantity INTEGER NOT NULL)")
        connection.executemany("INSERT OR IGNORE INTO stock VALUES (?, ?)", [(i, 1 + i % 97) for i in range(ROWS)])
