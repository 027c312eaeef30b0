"""Draw a series, what was expected of it, its score and its alarms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cli.backtest.alarms import TOLD
from cli.backtest.judge import Judged
from models.surprise.univariate import before
from schemas.samples import LARGEST
from streams.harness.errors import Fatal

_BAND, _BEFORE, _LINE, _SCORE, _ALARM = "#c7d9ee", "#e0b450", "#1f4e79", "#6b4c9a", "#d1495b"


def draw(found: Judged, path: Path) -> None:
    """Write a picture; its format is what the name of the file says, and PNG where that says nothing."""
    try:
        picture(found).savefig(path, dpi=120, format=path.suffix[1:] or "png")  # it adds .png to the name where it chooses the format
    except (OSError, ValueError) as error:
        raise Fatal(f"--plot {path}: {error}") from error


def picture(found: Judged) -> Any:
    """Return the figure. Matplotlib takes a second to load, so only here."""
    from matplotlib.figure import Figure

    rows = found.taken
    readings, value = found.readings[rows], np.clip(found.series.value[rows], -LARGEST, LARGEST)  # as they are judged
    at = found.series.at[rows].astype("datetime64[ms]")
    figure = Figure(figsize=(12, 6))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.fill_between(
        at,
        readings["expected"] - readings["width"],
        readings["expected"] + readings["width"],
        where=np.arange(len(rows)) >= found.rule.warm_up,
        color=_BAND,
        linewidth=0,
        label="expected",
    )
    middle, width = before(found.series.at[rows], value, readings, found.rule)
    if np.isfinite(middle).any():
        upper.fill_between(at, middle - width, middle + width, color=_BEFORE, alpha=0.5, linewidth=0, label="usual before the alarm")
    upper.plot(at, value, color=_LINE, linewidth=0.7, label="value")
    upper.fill_between(
        at, 0, 1, where=readings["alarmed"], transform=upper.get_xaxis_transform(), color=_ALARM, alpha=0.25, linewidth=0, label="in alarm"
    )
    for place, row in enumerate(np.flatnonzero(np.isin(readings["event"], TOLD)).tolist()):
        upper.axvline(at[row], color=_ALARM, linewidth=0.8, label=None if place else "alarm")
    reach = np.quantile(value, [0.001, 0.999]) if len(value) else (0.0, 1.0)
    room = 0.5 * (reach[1] - reach[0]) or max(1.0, 0.1 * abs(reach[0]))
    upper.set(title=found.series.name, ylim=(min(value.min(), reach[0] - room), max(value.max(), reach[1] + room)) if len(value) else None)
    upper.legend(loc="upper left", fontsize=8)
    lower.plot(at, readings["score"], color=_SCORE, linewidth=0.7)
    lower.axhline(0.5, color=_ALARM, linewidth=0.8, linestyle="--")
    lower.set(ylim=(0, 1), ylabel="score")
    figure.autofmt_xdate()
    figure.tight_layout()
    return figure
