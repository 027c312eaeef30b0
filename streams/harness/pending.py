"""Which pending intents to begin now: each at most once at a time, a bounded number at once, failed ones after a pause. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence

from streams.harness.stage import Intent

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0


class Desk:
    """Keeps what is begun, done and not yet on the log, or waiting for its next attempt."""

    def __init__(self, concurrency: int, randomness: random.Random) -> None:
        self._concurrency = concurrency
        self._random = randomness
        self._begun: set[str] = set()
        self._performed: set[str] = set()  # its result is appended, but the fold has not met it yet
        self._attempts: dict[str, int] = {}
        self._not_before: dict[str, float] = {}

    def due(self, pending: Sequence[Intent], now_s: float) -> list[Intent]:
        """Return what to begin now, in log order, and count it as begun. `now_s` is any clock that only moves forward."""
        ids = {intent.id for intent in pending}
        self._performed &= ids
        self._attempts = {name: count for name, count in self._attempts.items() if name in ids}
        self._not_before = {name: at for name, at in self._not_before.items() if name in ids}
        chosen = []
        for intent in sorted(pending, key=lambda one: one.offset):
            if len(self._begun) >= self._concurrency:
                break
            if intent.id in self._begun or intent.id in self._performed or self._not_before.get(intent.id, 0.0) > now_s:
                continue
            self._begun.add(intent.id)
            chosen.append(intent)
        return chosen

    def performed(self, intent: str) -> None:
        """Note that the intent's result is on the log."""
        self._begun.discard(intent)
        self._performed.add(intent)

    def failed(self, intent: str, now_s: float) -> float:
        """Put the intent off and return the pause in seconds: it doubles with every attempt, with full jitter above a half."""
        self._begun.discard(intent)
        attempt = self._attempts[intent] = self._attempts.get(intent, 0) + 1
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (attempt - 1))
        pause = longest * self._random.uniform(0.5, 1.0)
        self._not_before[intent] = now_s + pause
        return pause

    def forget(self) -> None:
        """Forget everything: the partition is lost."""
        self._begun.clear()
        self._performed.clear()
        self._attempts.clear()
        self._not_before.clear()
