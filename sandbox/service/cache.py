"""An in-process cache that can be poisoned, and is well again only when it has been cleared."""

from __future__ import annotations

import random
import time
from collections import OrderedDict, deque
from collections.abc import Callable

WARM_KEYS = 16  # what is asked again and again; few, so that a cleared cache is warm within a second or two
CAPACITY = 256
REPLAYED = 200  # look-ups before the first user: a new process then neither misses more than an old one nor seems to
WINDOW_S = 5.0  # the hit ratio is that of the look-ups of this long


class Cache:
    """Least recently used entries leave first; a poisoned entry is found but cannot be used."""

    def __init__(self, hit_ratio: float, rng: random.Random, clock: Callable[[], float] = time.monotonic) -> None:
        self._hit_ratio = hit_ratio
        self._rng = rng
        self._clock = clock
        self._entries: OrderedDict[int, int] = OrderedDict()
        self._usable = 1.0  # share of found entries that can be read
        self._fresh = WARM_KEYS
        self._looked_up: deque[tuple[float, bool]] = deque()
        self._last = hit_ratio

    def warm(self) -> None:
        """Fill it as a careful release does before it takes users: with what is popular, and with replayed look-ups."""
        for key in range(WARM_KEYS):
            self.put(key, key)
        for _ in range(REPLAYED):
            key = self.next_key()
            if self.get(key) is None:
                self.put(key, key)

    def next_key(self) -> int:
        """Draw what a user asks for: something popular as often as the hit ratio says, else something new."""
        if self._rng.random() < self._hit_ratio:
            return self._rng.randrange(WARM_KEYS)
        self._fresh += 1
        return self._fresh

    def get(self, key: int) -> int | None:
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
            if self._usable < 1 and self._rng.random() >= self._usable:
                value = None
        now = self._clock()
        self._looked_up.append((now, value is not None))
        self._forget(now)
        return value

    def put(self, key: int, value: int) -> None:
        self._entries[key] = value
        if len(self._entries) > CAPACITY:
            self._entries.popitem(last=False)

    def poison(self, hit_ratio: float) -> None:
        """Spoil the entries, and those to come, so that only so many look-ups hit."""
        self._usable = min(1.0, hit_ratio / self._hit_ratio) if self._hit_ratio > 0 else 0.0

    def clear(self) -> None:
        self._entries.clear()
        self._usable = 1.0

    def hit_ratio(self) -> float:
        """Return the share of hits in the window; without a look-up, the last that was known."""
        self._forget(self._clock())
        if self._looked_up:
            self._last = sum(hit for _, hit in self._looked_up) / len(self._looked_up)
        return self._last

    def _forget(self, now: float) -> None:
        while self._looked_up and self._looked_up[0][0] < now - WINDOW_S:
            self._looked_up.popleft()
