"""What people would be told of labelled series: how much of it is right, how much of what is labelled is told of, and how late.

An alarm is one row, and right where it falls into a labelled window; a window is found by the first alarm in it. No point is adjusted: that
a window was found makes no other point of it found (Kim et al., *Towards a rigorous evaluation of time-series anomaly detection*, 2022).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cli.backtest.nab import Truth
from models.surprise.past import AGAIN, DRIFTS, MISSING, OPENED

TOLD = (OPENED, AGAIN, MISSING, DRIFTS)


@dataclass
class Alarms:
    told: int = 0
    right: int = 0
    windows: int = 0
    delays_ms: list[int] = field(default_factory=list)  # of the windows that were found, from their beginning

    def as_told(self) -> dict[str, Any]:
        """Return the figures with their names; None where there is nothing to divide by."""
        found = len(self.delays_ms)
        return {
            "alarms": self.told,
            "in a window": self.right,
            "precision": round(self.right / self.told, 3) if self.told else None,
            "windows": self.windows,
            "found": found,
            "recall": round(found / self.windows, 3) if self.windows else None,
            "median delay, min": round(float(np.median(self.delays_ms)) / 60_000, 1) if found else None,
        }


def alarms(files: Iterable[tuple[Truth, NDArray[np.int64], NDArray[np.int64]]]) -> Alarms:
    """Count what is told of some files: of each its truth, and (n,) each the time of its rows in ms and what each brings about.

    What stands in the rows that the benchmark does not score counts nowhere; a window all of whose rows are such is none.
    """
    result = Alarms()
    for truth, at, event in files:
        told = np.isin(event, TOLD) & truth.scored
        result.told += int(told.sum())
        result.right += int((told & (truth.window >= 0)).sum())
        for number in range(truth.windows):
            inside = truth.window == number
            if not (inside & truth.scored).any():
                continue
            result.windows += 1
            if (rows := np.flatnonzero(told & inside)).size:
                result.delays_ms.append(int(at[rows[0]] - at[np.flatnonzero(inside)[0]]))
    return result
