"""`airra detect`: the detector over one series of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from cli.backtest.judge import Judged, judged, score_config
from cli.backtest.plot import draw
from cli.backtest.series import read_series, time_of, write_scores
from cli.config import ConfigError
from cli.output import STDOUT, JsonTo, rows, say, write_json
from models.surprise.explain import explain

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
    if out is not None:
        write_scores(out, found.series, found.readings)
    if plot is not None:
        draw(found, plot)
    words = _explained(found, explain_at, file) if explain_at is not None else None
    events = found.events()
    if json_to is not None:
        document = {"points": len(found.series.at), "judged": len(found.taken), "events": events}
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


def _explained(found: Judged, text: str, file: Path) -> list[str]:
    at = time_of(text)
    if at is None:
        raise ConfigError(f"--explain {text}: no time: ISO 8601, or seconds or milliseconds since 1970")
    times = found.series.at[found.taken]
    place = int(np.searchsorted(times, at))
    if place == len(times):
        raise ConfigError(f"--explain {text}: {file} has no point then or later")
    row = int(found.taken[place])
    judged_rows = found.readings[found.taken]
    return [found.series.stamps[row], *explain(times, found.series.value[found.taken], judged_rows, place, found.rule)]
