"""`airra backtest health`: incidents of a folder laid out like PetShop, found by all kinds of a service together and by its worst series."""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.config import ConfigError
from cli.main import program

SERVICES = ("web", "shop", "till")
COLUMNS = [
    (service, metric, statistic)
    for service in SERVICES
    for metric, statistic in (("latency", "p50"), ("latency", "p95"), ("availability", "Average"), ("requests", "Sum"))
]
USUAL = {"p50": 0.2, "p95": 0.4, "Average": 97.0, "Sum": 1000.0}
EVERY_S, QUIET, BEGIN = 300, 400, 1_692_600_000
Values = Callable[[int, tuple[str, str, str]], float]


def write(path: Path, rows: int, values: Values, *, begin: int = BEGIN) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        for name, part in zip(("microservice", "metric", "statistic"), zip(*COLUMNS, strict=True), strict=True):
            writer.writerow((name, *part))
        writer.writerow(("unix_timestamp", *("" for _ in COLUMNS)))
        for row in range(rows):
            writer.writerow((float(begin + EVERY_S * row), *(values(row, column) for column in COLUMNS)))


def site(folder: Path, moved: Values, *, incidents: int = 6) -> Path:
    """Quiet rows, in which load comes and goes and latency with it, and incidents whose last three of five rows are times `moved`."""
    chance = random.Random(1)
    peaks = [chance.uniform(0, 2) if chance.random() < 0.2 else 0.0 for _ in range(QUIET)]

    def usual(column: tuple[str, str, str]) -> float:
        return USUAL[column[2]] * (1 + chance.gauss(0, 0.002 if column[1] == "availability" else 0.05))

    def quiet(row: int, column: tuple[str, str, str]) -> float:
        return usual(column) * (1 + {"requests": 1.0, "latency": 0.6, "availability": 0.0}[column[1]] * peaks[row])

    def broken(row: int, column: tuple[str, str, str]) -> float:
        return usual(column) * (moved(row, column) if row >= 2 else 1.0)

    write(folder / "noissue/metrics.csv", QUIET, quiet)
    for number in range(incidents):
        path = folder / ("train" if number % 2 else "test") / f"issue_{number}"
        write(path / "metrics.csv", 5, broken, begin=1_681_800_000)
        (path / "target.json").write_text(json.dumps({"target": {"node": "web", "timestamp": 1_681_800_000 + 2 * EVERY_S - 100}}))
    return folder


def found(folder: Path) -> dict[str, int]:
    result = CliRunner().invoke(program(), ["backtest", "health", str(folder), "--json", "-"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)["health"]
    assert {one["incidents"] for one in told} == {6}
    assert all(0.93 <= one["specificity"] <= 0.97 for one in told)
    return {one["score"]: one["found"] for one in told}


TOGETHER, SINGLE = "all kinds of a service together", "the worst single series"


def test_what_load_does_not_explain_is_found_together_and_not_by_a_single_series(tmp_path: Path) -> None:
    told = found(site(tmp_path, lambda _, column: 1.9 if column[:2] == ("shop", "latency") else 1.0))
    assert told == {TOGETHER: 6, SINGLE: 0}


def test_what_load_explains_is_found_by_neither(tmp_path: Path) -> None:
    told = found(site(tmp_path, lambda _, column: {"latency": 1.48, "requests": 1.8, "availability": 1.0}[column[1]]))
    assert max(told.values()) <= 1


def test_a_large_fault_of_one_kind_is_found_by_both(tmp_path: Path) -> None:
    told = found(site(tmp_path, lambda _, column: 5.0 if column == ("till", "latency", "p95") else 1.0))
    assert told == {TOGETHER: 6, SINGLE: 6}


def test_where_nothing_happens_hardly_anything_is_found(tmp_path: Path) -> None:
    told = found(site(tmp_path, lambda *_: 1.0))
    assert max(told.values()) <= 1


def wrong_metric(folder: Path) -> None:
    path = folder / "noissue/metrics.csv"
    path.write_text(path.read_text().replace("latency", "slowness"))


def short_row(folder: Path) -> None:
    path = folder / "test/issue_0/metrics.csv"
    path.write_text(path.read_text() + "1681900000.0,1.0,2.0\n")


def backwards(folder: Path) -> None:
    path = folder / "noissue/metrics.csv"
    path.write_text(path.read_text() + path.read_text().splitlines()[-2] + "\n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "noissue/metrics.csv").unlink(), "noissue/metrics.csv: No such file"),
        (wrong_metric, "a metric 'slowness': known are latency, availability, requests"),
        (short_row, "issue_0/metrics.csv, line 10: 13 columns, and here it is 3"),
        (backwards, "times do not rise"),
        (lambda folder: (folder / "test/issue_0/target.json").write_text("{}"), "target.json: target.timestamp"),
        (lambda folder: (folder / "test/issue_0/target.json").write_text('{"target":{"timestamp":1e10}}'), "test/issue_0: no row from its"),
    ],
)
def test_a_folder_that_is_not_laid_out_so_is_told(tmp_path: Path, spoil: Callable[[Path], object], said: str) -> None:
    site(tmp_path, lambda *_: 1.0)
    spoil(tmp_path)
    with pytest.raises(ConfigError, match=re.escape(said)):
        CliRunner().invoke(program(), ["backtest", "health", str(tmp_path)], catch_exceptions=False)
