"""`airra backtest days`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from cli.backtest.days.fitted import fit
from cli.backtest.days.run import has_latency, most_likely_below, runs
from cli.config import ConfigError, load
from cli.conserve.recording import Recording
from cli.output import STDOUT, JsonTo, err, rows, say, write_json
from cli.settings import read_settings
from schemas.config.metrics import MetricsMapping
from streams.normalise.series import Resolver


def days(
    recording: Annotated[Path, typer.Argument(help="Of `airra topics record DIR`, of a system in which nothing was wrong.")],
    count: Annotated[int, typer.Option("--days", help="Days that are made of it.", min=1)] = 21,
    seed: Annotated[int, typer.Option(help="The same seed gives the same days.")] = 1,
    jobs: Annotated[int, typer.Option(help="Runs at a time.", min=1)] = 2,
    json_to: JsonTo = None,
) -> None:
    """Make days of a recording, with load, peaks and deploys, and count the incidents that the pipeline opens in them: none is right.

    The real folds, without a broker: normalise, detect, correlate. At the end of each run comes a fault, which must be found.

    Example:  airra topics record ./recording && airra backtest days ./recording --days 21
    """
    kept = Recording(recording)
    settings = read_settings(**kept.overrides)
    mapping = load(MetricsMapping, settings.file("metrics"))
    topics = [topic for topic in settings.metrics_topics if kept.bounds(topic)]
    fitted = fit((one for topic in topics for number in kept.bounds(topic) for one in kept.records(topic, number)), Resolver(mapping))
    talk = json_to != STDOUT
    if not has_latency(fitted):
        raise ConfigError(f"{recording}: no histogram of latency, of which the fault at the end would be made")
    told = []
    for one in runs(fitted, settings, count, seed, jobs, (lambda text: say(text, err)) if talk else (lambda _: None)):
        told.append(one)
        if talk:
            say(f"  {sum(run.days for run in told):.0f} days: {sum(len(run.incidents) for run in told)} incidents", err)
    incidents = [title for one in told for title in one.incidents]
    weeks = sum(one.days for one in told) / 7
    record = {
        "days": round(7 * weeks, 3),
        "samples": sum(one.samples for one in told),
        "dead letters": sum(one.refused for one in told),
        "anomalies": dict(sum((one.anomalies for one in told), Counter())),
        "incidents": incidents,
        "a week, 95 % bound": round(most_likely_below(len(incidents)) / weeks, 3),
        "runs": len(told),
        "faults found": sum(one.found_s is not None for one in told),
        "found after, s": sorted(round(one.found_s, 1) for one in told if one.found_s is not None),
    }
    if json_to is not None:
        write_json(json_to, record)
    if talk:
        rows(None, "days", ["what", "is"], [{"what": name, "is": str(value)} for name, value in record.items()])
