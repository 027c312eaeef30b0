"""`airra backtest`: what the detector is worth, on public series and on shapes of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.backtest.judge import judged, score_config
from cli.backtest.nab import PROFILES, Score, Truth, best, score, truth
from cli.backtest.series import Series, read_series, time_of, write_scores
from cli.config import ConfigError
from cli.output import STDOUT, JsonTo, rows, write_json

backtest = typer.Typer(no_args_is_help=True, help="What the detector is worth, on public series and on shapes whose truth is known.")

REMARKABLE = 0.5  # the one threshold that is fixed


@backtest.command()
def nab(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Series as GROUP/NAME.csv.")],
    windows: Annotated[Path, typer.Option(help="JSON: by GROUP/NAME.csv a list of [first, last] times of an anomaly.")],
    out: Annotated[Path, typer.Option(help="Where the scores go, as GROUP/NAME.csv.")],
    json_to: JsonTo = None,
) -> None:
    """Judge every series of the Numenta Anomaly Benchmark, or of a folder laid out like it, and print its scores.

    Each profile's score is given at the threshold that is best for all files together, known only afterwards, and at the fixed one of 0.5.

    Example:  airra backtest nab nab/data --windows nab/labels/combined_windows.json --out scored
    """
    config, labels = score_config(), _labels(windows)
    files = sorted(path for path in folder.glob("*/*.csv"))
    if not files:
        raise ConfigError(f"{folder}: no series as GROUP/NAME.csv")
    truths, scores = {}, {}
    for path in files:
        name = f"{path.parent.name}/{path.name}"
        found = judged(read_series(path), config)
        write_scores(out / path.parent.name / path.name, found.series, found.readings)
        truths[name], scores[name] = _truth(name, found.series, labels.get(name, [])), found.readings["score"]
    if not any(one.windows for one in truths.values()):
        raise ConfigError(f"{windows}: no window for any series of {folder}")
    records = [
        _record(profile, kind, found)
        for profile in PROFILES
        for kind, found in (("best", best(truths, scores, profile)), ("fixed", score(truths, scores, profile, REMARKABLE)))
    ]
    if json_to is not None:
        write_json(json_to, {"files": len(files), "scores": records})
    if json_to != STDOUT:
        rows(None, f"{len(files)} series", ["profile", "at", "threshold", "score", "windows hit", "of", "false alerts"], records)


def _record(profile: str, kind: str, found: Score) -> dict[str, Any]:
    return {
        "profile": profile,
        "at": kind,
        "threshold": round(found.threshold, 4),
        "score": round(found.score, 2),
        "windows hit": found.hit,
        "of": found.windows,
        "false alerts": found.false,
    }


def _labels(path: Path) -> dict[str, list[tuple[int, int]]]:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: an object of lists of [first, last] by GROUP/NAME.csv, and here it is a {type(document).__name__}")
    found: dict[str, list[tuple[int, int]]] = {}
    for name, spans in document.items():
        try:
            times = [(time_of(str(first)), time_of(str(last))) for first, last in spans]
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{path}: {name}: a list of [first, last]") from error
        if any(first is None or last is None or first > last for first, last in times):
            raise ConfigError(f"{path}: {name}: a window's times are two, in order")
        found[name] = [(first, last) for first, last in times if first is not None and last is not None]
    return found


def _truth(name: str, series: Series, windows: list[tuple[int, int]]) -> Truth:
    present = set(series.at.tolist())
    for window in windows:
        if not set(window) <= present:
            raise ConfigError(f"{name}: a window begins or ends at a time that the series has no row for")
    return truth(series.at, windows)
