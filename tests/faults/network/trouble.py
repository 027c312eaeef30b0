"""Trouble in the course of one incident: when it begins, what ends it, and what was seen meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.network.recorder import Heard

FALLS_WITHIN_S = 30.0  # beyond its time: so long it goes on where it has met nothing yet


@dataclass(frozen=True)
class Trouble:
    """What is done to the way, when it begins and how long it lasts."""

    begin: Callable[[], None]
    end: Callable[[], None]
    lasts_s: float | None  # None: until the outcome is there
    early: bool = False  # with the incident, else with its proposal
    heard: Callable[[Heard], bool] | None = None  # or when the target hears this, before it answers
    role: str | None = None  # whose way it is, where it is one to the broker
    over: Callable[[str], bool] | None = None  # it ends as soon as this holds for the incident, and must
    fell: Callable[[], object] = lambda: True  # it has met something: what has its own time is not over before


class Spell:
    """One trouble as it passes: it begins once and ends once."""

    def __init__(self, trouble: Trouble, key: str) -> None:
        self._trouble = trouble
        self._key = key
        self._once = threading.Lock()
        self.born = time.monotonic()
        self.began: float | None = None
        self.ended: float | None = None
        self.met = False  # it began, and came to what it was to go on until

    @property
    def nearly_over(self) -> bool:
        lasts_s = self._trouble.lasts_s
        return self.began is not None and self.ended is None and lasts_s is not None and time.monotonic() - self.began > 0.8 * lasts_s

    @property
    def goes_on(self) -> bool:
        """Tell whether it has its own time, and that is not over."""
        return self.began is not None and self.ended is None and self._trouble.lasts_s is not None

    @property
    def over_for_s(self) -> float:
        return time.monotonic() - (self.ended or self.began or self.born)

    def begin(self) -> None:
        with self._once:
            if self.began is None:
                self._trouble.begin()
                self.met = self._trouble.over is None
                self.began = time.monotonic()

    def step(self) -> None:
        lasts_s, over = self._trouble.lasts_s, self._trouble.over
        if self.goes_on and over is not None and over(self._key):
            self.met = True
            self.end()
        if self.began is not None and self.ended is None and lasts_s is not None:
            beyond_s = time.monotonic() - self.began - lasts_s
            if beyond_s >= FALLS_WITHIN_S or (beyond_s >= 0 and self._trouble.fell()):
                self.end()

    def end(self) -> None:
        if self.began is not None and self.ended is None:
            self._trouble.end()
            self.ended = time.monotonic()


@dataclass
class Lived:
    """One incident with trouble in its course; seconds count from the end of the trouble."""

    key: str
    wrong: list[str] = field(default_factory=list)
    outcome_s: float = 0.0
    ready: dict[str, bool] = field(default_factory=dict)  # of the roles that nothing was done to, in the midst of it
