"""What is kept of a series' past: one record of fixed size, whatever its length; and what is said of each of its points."""

from __future__ import annotations

from typing import Any

import numpy as np

BINS = 64  # of a histogram of standardised residuals
CHANNELS = 6
INNOVATION, RESIDUAL, LEVEL, SHIFT, VARIATION, BURST = range(CHANNELS)
NO_SEASON, HOUR, DAY, WEEK = range(4)
SEASONS = 4
HOUR_SLOTS, DAY_SLOTS, WEEK_SLOTS = 12, 24, 168
ORDINARY, ALARMED = 0, 1
NOTHING, OPENED, AGAIN, RECOVERED, NEW_NORMAL, MISSING, DRIFTS, DRIFTED = range(8)  # what a point brings about
NEWS, BURSTING, STUCK, LASTS = range(4)  # why an alarm opened

PAST = np.dtype(
    [
        ("seen", np.int64),  # points
        ("at", np.int64),  # ms, of the newest
        ("value", np.float64),
        ("interval", np.float64),  # ms between two points, usually
        ("gap", np.float64),  # the longest of late, ms
        ("largest", np.float64),  # magnitude: a flat series takes its scale from it
        # the seasons that compete to foretell: of each the profile, the level above it, how far off it was lately, squared
        ("hour", np.float32, HOUR_SLOTS),
        ("day", np.float32, DAY_SLOTS),
        ("week", np.float32, WEEK_SLOTS),
        ("level", np.float64, SEASONS),
        ("error", np.float64, SEASONS),
        ("judged", np.int64, SEASONS),
        ("trust", np.float64, SEASONS),  # how much the forecast of each counts
        ("season", np.int64),  # the best of them
        # what one residual says of the next
        ("residual", np.float64),
        ("together", np.float64),
        ("alone", np.float64),
        ("step", np.float64),  # between two points, usually,
        ("moved", np.float64),  # and with one leap as no more than some steps
        ("same", np.int64),  # points that equal the one before, in a row
        ("longest", np.float64),  # of such rows, of late
        ("changes", np.int64),  # points that do not
        ("recent", np.float64),  # surprise, lately
        # a channel: center and scale, and how often each standardised residual was seen
        ("heard", np.int64, CHANNELS),
        ("center", np.float64, CHANNELS),
        ("scale", np.float64, CHANNELS),
        ("weight", np.float64, CHANNELS),  # of the histogram, in counts
        ("unit", np.float64, CHANNELS),  # what one count is in it
        ("histogram", np.float32, (CHANNELS, BINS)),
        # the alarm
        ("habit", np.float64),  # the surprise that is expected after what was
        ("state", np.int64),
        ("opened", np.int64),  # ms
        ("cause", np.int64),
        ("calm", np.int64),  # points in a row,
        ("stepped", np.float64),  # and what is between them, added up
        ("restless", np.float64),  # `moved` beyond it was more than usual before the alarm
        ("suspected", np.int64),  # ms, since when points are far from what was usual; while `beyond` is above 0
        ("beyond", np.int64),  # such points
        ("before", np.float64, SEASONS),  # the levels before the alarm, or the suspicion,
        ("slow", np.float64, SEASONS),  # and their means over days: where the series was before what came slowly
        ("middle", np.float64),  # the center and scale of residuals then
        ("width", np.float64),
        ("band", np.float64),  # half of what is usual around it then; `width` is wider where more is
        ("departed", np.float64),  # how far values are from what was usual before the alarm; 0 while none was beyond the width
        ("astray", np.float64),  # and how far from that, lately
        ("lasted", np.float64),  # departures that lasted, of late
    ],
    align=True,
)

READING = np.dtype(
    [
        ("surprise", np.float64),  # -log10 of the probability
        ("news", np.float64),  # what of it is not explained by what was just before
        ("score", np.float64),  # in [0, 1]; 0.5 at the threshold
        ("expected", np.float64),
        ("width", np.float64),  # half of the expected band
        ("alarmed", np.bool_),
        ("event", np.int64),
        ("cause", np.int64),  # of the alarm that opens
        ("due", np.float64),  # when the series counts as missing, if no point comes before: ms
        ("season", np.int64),
        ("said", np.float64, CHANNELS),  # probability, by channel; 1 where it has no opinion yet
    ],
    align=True,
)


def empty(count: int) -> Any:
    """Return the pasts of so many series of which nothing is known."""
    past = np.zeros(count, PAST)
    for name in ("hour", "day", "week"):
        past[name] = np.nan
    past["unit"] = 1.0
    return past
