"""How series are judged: each way of it once, for most series of a kind are judged alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.detection.band_kernel import NO_RELEASE
from schemas.config.detect import KindRule

# Times in ms. A mask has a one for each of the newest points that are looked at.
OWN = np.dtype(
    [
        ("relative", np.float64),
        ("absolute", np.float64),
        ("release", np.int64),
        ("settle", np.int64),  # so long after a restart of its instance
        ("enter_mask", np.int32),
        ("alone_mask", np.int32),
        ("leave_mask", np.int32),
        ("enter_m", np.int8),
        ("alone_m", np.int8),  # hits without the witness's
        ("leave_m", np.int8),
    ],
    align=True,
)
_BLANK = np.array([(0.0, 1.0, 0, 0, 0, 0, 0, 1, 1, 1)], OWN)  # of a series for which nothing was configured


class Rules:
    """`rows`: the ways, by number. They are as many as configuration makes of kinds, units and series that differ."""

    def __init__(self) -> None:
        self.rows: Any = _BLANK.copy()
        self._numbers = {_BLANK.tobytes(): 0}

    def number(self, rule: KindRule, unit: str) -> int:
        """Return the number of one way; it stays."""
        own = np.zeros(1, OWN)
        own["relative"], own["absolute"] = rule.relative, rule.floor(unit)
        own["release"] = NO_RELEASE if rule.release_s is None else round(rule.release_s * 1000)
        own["settle"] = round(rule.settle_s * 1000)
        for name, (hits, points) in (("enter", rule.enter), ("alone", rule.alone), ("leave", rule.leave)):
            own[f"{name}_m"], own[f"{name}_mask"] = hits, (1 << points) - 1
        number = self._numbers.setdefault(own.tobytes(), len(self.rows))
        if number == len(self.rows):
            self.rows = np.concatenate([self.rows, own])
        return number
