"""`airra backtest`: what the detector is worth, on public series and on shapes of one's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from cli.backtest import peer
from cli.backtest import shapes as shape_bench
from cli.backtest.alarms import alarms
from cli.backtest.days.command import days
from cli.backtest.health import Found, measure
from cli.backtest.judge import detect_config, judged, score_config
from cli.backtest.nab import PROFILES, Score, Truth, best, score, truth
from cli.backtest.petshop import read_incidents, read_metrics
from cli.backtest.sandbox import measure as watched
from cli.backtest.series import Series, read_series, time_of, write_scores
from cli.config import ConfigError
from cli.output import STDOUT, JsonTo, err, rows, say, write_json

backtest = typer.Typer(no_args_is_help=True, help="What the detector is worth, on public series and on shapes whose truth is known.")

backtest.command()(days)

OURS = "airra"
REMARKABLE = 0.5  # the one threshold that is fixed


@backtest.command()
def nab(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Series as GROUP/NAME.csv.")],
    windows: Annotated[Path, typer.Option(help="JSON: by GROUP/NAME.csv a list of [first, last] times of an anomaly.")],
    out: Annotated[Path, typer.Option(help="Where the scores go, as GROUP/NAME.csv.")],
    beside: Annotated[bool, typer.Option(help=f"Also {peer.NAME} on the same series; it takes a minute.")] = False,
    json_to: JsonTo = None,
) -> None:
    """Judge every series of the Numenta Anomaly Benchmark, or of a folder laid out like it, and print its scores.

    Each profile's score is given at the threshold that is best for all files together, known only afterwards, and at the fixed one of 0.5.
    Beside the scores stands what people would be told: the alarms, how many of them are right, what they find, and when.

    Example:  airra backtest nab nab/data --windows nab/labels/combined_windows.json --out scored
    """
    config, labels = score_config(), _labels(windows)
    files = sorted(path for path in folder.glob("*/*.csv"))
    if not files:
        raise ConfigError(f"{folder}: no series as GROUP/NAME.csv")
    truths: dict[str, Truth] = {}
    scores: dict[str, NDArray[np.float64]] = {}
    others: dict[str, NDArray[np.float64]] = {}
    told: list[tuple[Truth, NDArray[np.int64], NDArray[np.int64]]] = []
    for path in files:
        name = f"{path.parent.name}/{path.name}"
        found = judged(read_series(path), config)
        write_scores(out / path.parent.name / path.name, found.series, found.readings)
        truths[name], scores[name] = _truth(name, found.series, labels.get(name, [])), found.readings["score"]
        told.append((truths[name], found.series.at, found.readings["event"]))
        if beside:
            others[name] = peer.scores(found.series)
    if not any(one.windows for one in truths.values()):
        raise ConfigError(f"{windows}: no window for any series of {folder}")
    records = [
        _record(OURS, profile, kind, found)
        for profile in PROFILES
        for kind, found in (("best", best(truths, scores, profile)), ("fixed", score(truths, scores, profile, REMARKABLE)))
    ]
    if beside:
        records += [_record(peer.NAME, profile, "best", best(truths, others, profile)) for profile in PROFILES]
    people = alarms(told).as_told()
    if json_to is not None:
        write_json(json_to, {"files": len(files), "scores": records, "alarms": people})
    if json_to != STDOUT:
        rows(None, f"{len(files)} series", list(records[0]), records)
        rows(None, "what is told", list(people), [people])


def _record(detector: str, profile: str, kind: str, found: Score) -> dict[str, Any]:
    return {
        "detector": detector,
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


@backtest.command()
def shapes(
    weeks: Annotated[int, typer.Option(help="Weeks of ordinary series, about.", min=1)] = 1100,
    runs: Annotated[int, typer.Option(help="Series that each fault is put into.", min=1)] = 40,
    seed: Annotated[int, typer.Option(help="The same seed gives the same series.")] = 1,
    json_to: JsonTo = None,
) -> None:
    """Print how soon faults of known shape are found, how many are missed, and how often ordinary series raise an alarm.

    A point a minute. An alarm is what is told: is_anomaly of `airra detect`. `held`: the share of a fault, once found, with it;
    `after`: how many minutes it usually outlasts the fault.

    Example:  airra backtest shapes --weeks 1100 --runs 40
    """
    config = score_config().of("")
    talk = json_to != STDOUT
    found = list(_told(shape_bench.faults(runs, seed, config), talk=talk))
    calm = list(_told(shape_bench.quiet(weeks, seed, config), talk=talk))
    faults = [
        {
            "shape": one.name,
            "series": one.runs,
            "missed": one.runs - len(one.delays),
            "within": one.within,
            "median": round(float(np.median(one.delays)), 1) if one.delays else None,
            "worst": max(one.delays, default=None),
            "held": None if one.held is None else round(one.held, 3),
            "after": one.after,
        }
        for one in found
    ]
    every = shape_bench.Quiet("all", *(sum(getattr(one, name) for one in calm) for name in ("alarms", "leaks", "weeks")))
    ordinary = [
        {
            "series": one.name,
            "weeks": one.weeks,
            "alarms": one.alarms,
            "a week": round(one.rate, 3),
            "95 % bound": round(one.bound, 3),
            "of them leaks": one.leaks,
        }
        for one in (*calm, every)
    ]
    if json_to is not None:
        write_json(json_to, {"faults": faults, "ordinary": ordinary})
    if talk:
        rows(None, "faults; minutes", ["shape", "series", "missed", "within", "median", "worst", "held", "after"], faults)
        rows(None, "ordinary series; alarms", list(ordinary[0]), ordinary)


@backtest.command()
def health(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="noissue/metrics.csv and {train,test}/issue_N/{metrics.csv,target.json}.")],
    json_to: JsonTo = None,
) -> None:
    """Find the incidents of a folder laid out like PetShop, each service scored from all its kinds, and by its worst series beside it.

    The threshold of each is that at which 95 % of the windows of quiet rows are passed.

    Example:  airra backtest health petshop/low_traffic
    """
    found = measure(read_metrics(folder / "noissue" / "metrics.csv"), read_incidents(folder), detect_config())
    records = [_worth(one) for one in found]
    if json_to is not None:
        write_json(json_to, {"health": records})
    if json_to != STDOUT:
        rows(None, f"{found[0].incidents} incidents", list(records[0]), records)


@backtest.command()
def sandbox(
    ledger: Annotated[Path, typer.Argument(metavar="FILE", help="As make demo-all leaves it: '--until watched --calm 300 --ledger FILE'.")],
    json_to: JsonTo = None,
) -> None:
    """Find the faults of the sandbox, each service scored from all its kinds, and by its worst series beside it, in watched runs.

    The threshold of each is that at which 95 % of the windows before the faults are passed. What expects no incident (a deploy, a load
    peak) stands by itself.

    Example:  airra backtest sandbox docs/watched.jsonl
    """
    faults, ordinary = ([_worth(one) for one in found] for found in watched(ledger))
    if json_to is not None:
        write_json(json_to, {"faults": faults, "ordinary": ordinary})
    if json_to != STDOUT:
        rows(None, f"{faults[0]['incidents']} faults", list(faults[0]), faults)
        if ordinary:
            rows(None, "what expects no incident", list(ordinary[0]), ordinary)


def _worth(one: Found) -> dict[str, Any]:
    return {
        "score": one.method,
        "threshold": round(one.threshold, 2),
        "quiet windows": one.quiet,
        "specificity": round(one.passed / one.quiet, 3),
        "incidents": one.incidents,
        "found": one.found,
        "share": round(one.found / one.incidents, 3),
    }


def _told(found: Iterator[Any], *, talk: bool) -> Iterator[Any]:
    """Say that one is done: all of them take a minute."""
    for one in found:
        if talk:
            say(f"  {one.name}", err)
        yield one
