"""Read the PetShop layout: metrics of many services in one CSV with three header rows, and incidents with the time of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cli.backtest.series import read_rows
from cli.config import ConfigError

HEADER_ROWS = 3  # service, metric, statistic; then comes a row that names the index


@dataclass(frozen=True)
class Metrics:
    """A table of readings: a row a moment, a column a series; NaN where there is none."""

    at: NDArray[np.int64]  # ms
    columns: list[tuple[str, str, str]]  # service, metric, statistic
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Incident:
    name: str
    onset: int  # ms
    metrics: Metrics


def read_metrics(path: Path) -> Metrics:
    rows = read_rows(path)
    if len(rows) < HEADER_ROWS:
        raise ConfigError(f"{path}: three header rows (service, metric, statistic) and then a row a moment")
    columns = list(zip(*(row[1:] for row in rows[:HEADER_ROWS]), strict=True))
    at, values = [], []
    for number, row in enumerate(rows[HEADER_ROWS:], HEADER_ROWS + 1):
        if not any(row[1:]):
            continue
        if len(row) != len(columns) + 1:
            raise ConfigError(f"{path}, line {number}: {len(columns) + 1} columns, and here it is {len(row)}")
        try:
            at.append(round(float(row[0]) * 1000))
            values.append([float(text) if text else np.nan for text in row[1:]])
        except ValueError as error:
            raise ConfigError(f"{path}, line {number}: {error}") from error
    if at != sorted(set(at)):
        raise ConfigError(f"{path}: times do not rise from row to row")
    return Metrics(np.array(at, np.int64), columns, np.array(values).reshape(len(at), len(columns)))


def read_incidents(folder: Path) -> list[Incident]:
    """Read every incident of a folder with train/issue_N and test/issue_N."""
    found = []
    for path in sorted(folder.glob("t*/issue_*/metrics.csv")):
        target = path.with_name("target.json")
        try:
            onset = json.loads(target.read_text())["target"]["timestamp"]
            at = round(float(onset) * 1000)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{target}: target.timestamp, the seconds at which it began: {error}") from error
        found.append(Incident(f"{path.parent.parent.name}/{path.parent.name}", at, read_metrics(path)))
    if not found:
        raise ConfigError(f"{folder}: no incident as train/issue_N/metrics.csv or test/issue_N/metrics.csv")
    return found
