"""`airra detect`: the detector over one series of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from cli.backtest.judge import Judged, judged, score_config
from cli.backtest.plot import draw
from cli.backtest.series import NO_TIME, read_series, time_of, write_scores
from cli.config import ConfigError
from cli.output import STDOUT, JsonTo, err, rows, say, write_json
from models.surprise.explain import EVENT_WORDS, because, explain
from models.surprise.past import DRIFTS, MISSING, OPENED
from models.surprise.univariate import before
from schemas.samples import LARGEST

SHOWN = ["timestamp", "event", "value", "expected", "score", "because"]


def detect(
    file: Annotated[Path, typer.Argument(help="A CSV of timestamp,value.")],
    out: Annotated[Path | None, typer.Option(help="Write timestamp,value,anomaly_score,is_anomaly.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the series, its expected band, the score and the alarms, as PNG or SVG.")] = None,
    explain_at: Annotated[
        str | None,
        typer.Option("--explain", metavar="TIME", help="Say in words how the point at this time was judged, or the first after it."),
    ] = None,
    json_to: JsonTo = None,
) -> None:
    """Judge each point of a series by what came before it, and tell of alarms.

    anomaly_score is in [0, 1] and says how improbable the point is under the series' own past: 0.5 is remarkable. is_anomaly is 1 while an
    alarm is open: it takes more to open one, and it stays until the series is as before, or for so long that this is the new normal.

    Examples:  airra detect cpu.csv --out scored.csv --plot cpu.png  ·  airra detect cpu.csv --explain 2014-02-14T10:35
    """
    found = judged(read_series(file), score_config())
    _say_what_is_not_judged(found, file)
    if out is not None:
        write_scores(out, found.series, found.readings)
    if plot is not None:
        draw(found, plot)
    words = _explained(found, explain_at, file) if explain_at is not None else None
    events = found.events()
    if json_to is not None:
        document = {
            "points": len(found.series.at),
            "judged": len(found.taken),
            "not_later": found.not_later,
            "without_value": found.without_value,
            "clipped": found.clipped,
            "events": events,
        }
        write_json(json_to, document | ({"explanation": words} if words is not None else {}))
    if json_to == STDOUT:
        return
    if words is not None:
        for line in words:
            say(line)
        return
    rows(None, f"{len(found.series.at)} points, {len(events)} events", SHOWN, events)
    for path in (out, plot):
        if path is not None:
            say(f"written: {path}")


def _say_what_is_not_judged(found: Judged, file: Path) -> None:
    """Warn of rows that were left out; raise where they are the reason that nothing can be said of any."""
    points, taken, late = len(found.series.at), len(found.taken), found.not_later
    why = [f"{late:,} no later than a row before (is it newest first? sort it by time; one series a file)"] if late else []
    why += [f"{found.without_value:,} without a finite value"] if found.without_value else []
    if why:
        text = f"{file}: judged {taken:,} of {points:,} rows; left out: {', '.join(why)}"
        if not taken or taken <= found.rule.warm_up < taken + late:
            raise ConfigError(text)
        say(f"airra: {text}", err)
    if found.clipped:
        say(
            f"airra: {file}: {found.clipped:,} of {taken:,} values are beyond ±{LARGEST:g} and judged as that: give them in a larger unit",
            err,
        )


def _explained(found: Judged, text: str, file: Path) -> list[str]:
    at = time_of(text)
    if at is None:
        raise ConfigError(f"--explain {text}: {NO_TIME}")
    times = found.series.at[found.taken]
    place = int(np.searchsorted(times, at))
    if place == len(times):
        raise ConfigError(f"--explain {text}: {file} has no point then or later")
    row = int(found.taken[place])
    judged_rows = found.readings[found.taken]
    lines = explain(times, found.series.value[found.taken], judged_rows, place, found.rule)
    return [found.series.stamps[row], *lines, *_since(found, place)]


def _since(found: Judged, place: int) -> list[str]:
    """Say of an alarm that was open before a point since when, why, and by what the point is judged."""
    taken = found.taken[: place + 1]
    at, value, readings = found.series.at[taken], found.series.value[taken], found.readings[taken]
    event = readings["event"]
    if not readings["alarmed"][place] or event[place] in (OPENED, DRIFTS):
        return []
    middle, width = (column[place] for column in before(at, value, readings, found.rule))
    drifts = bool(np.isnan(middle))
    if drifts and event[place] == MISSING:
        return []
    since = int(np.flatnonzero(event == (DRIFTS if drifts else OPENED))[-1])
    why = EVENT_WORDS[DRIFTS] if drifts else because(readings[since])
    by = "these hours a day and a week before" if drifts else f"what was usual before it, {middle - width:.6g} to {middle + width:.6g}"
    end = "" if drifts else f": {found.rule.calm_points} points in a row within end it, if they are as near to each other as they were"
    return [f"  open since {found.series.stamps[taken[since]]}: {why}", f"  judged by {by}{end}"]
