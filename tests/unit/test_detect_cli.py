"""`airra detect` and `airra backtest`: files in, scores, words and pictures out."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.backtest import peer, shapes
from cli.backtest.series import Series, read_series
from cli.config import ConfigError
from cli.main import program
from schemas.config.score import ScoreRule

STEP = 1500
COUNT = 1600


@pytest.fixture(autouse=True)
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRRA_CONFIG_DIR", str(Path(__file__).parents[2] / "config"))


@pytest.fixture
def series(tmp_path: Path) -> Path:
    value = 100 + 5 * np.random.default_rng(1).standard_normal(COUNT)
    value[STEP:] += 80
    path = tmp_path / "cpu.csv"
    rows = (f"2026-01-{1 + i // 288:02d} {i % 288 // 12:02d}:{i % 12 * 5:02d}:00,{value[i]}" for i in range(COUNT))
    path.write_text("\n".join(("timestamp,value", *rows)) + "\n")
    return path


def run(*words: str) -> str:
    result = CliRunner().invoke(program(), list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_each_row_has_its_score_and_whether_it_is_in_alarm(series: Path, tmp_path: Path) -> None:
    out = tmp_path / "scored" / "out.csv"
    run("detect", str(series), "--out", str(out))
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["timestamp", "value", "anomaly_score", "is_anomaly"]
    assert [row["timestamp"] for row in rows] == [line.split(",")[0] for line in series.read_text().splitlines()[1:]]
    assert all(0 <= float(row["anomaly_score"]) <= 1 for row in rows)
    assert float(rows[STEP]["anomaly_score"]) > 0.5
    assert {row["is_anomaly"] for row in rows[STEP + 1 :]} == {"1"}
    assert sum(row["is_anomaly"] == "1" for row in rows[:STEP]) < 30


def test_json_lists_what_would_have_been_told(series: Path) -> None:
    told = json.loads(run("detect", str(series), "--json=-"))
    assert (told["points"], told["judged"]) == (COUNT, COUNT)
    last = told["events"][-1]
    assert (last["timestamp"], last["event"]) == ("2026-01-06 05:00:00", "an alarm opened")


def test_a_point_is_explained_in_words(series: Path) -> None:
    said = run("detect", str(series), "--explain", "2026-01-06T05:00")
    assert "history: 1500 points over 5.2 days" in said
    assert "an alarm opened" in said


def test_a_picture_is_drawn(series: Path, tmp_path: Path) -> None:
    picture = tmp_path / "cpu.png"
    run("detect", str(series), "--plot", str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the first line is timestamp,value, and here it is missing"),
        ("time,value\n1,2\n", "the first line is timestamp,value, and here it is time,value"),
        ("timestamp,value\n1e300,2\n", "line 2: '1e300' is no time"),
        ("timestamp,value\nyesterday,2\n", "line 2: 'yesterday' is no time"),
        ("timestamp,value\n1,two\n", "line 2: 'two' is no number"),
        ("timestamp,value\n1\n", "line 2: a timestamp and a value"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        run("detect", str(path))


def test_rows_without_a_value_or_out_of_order_are_kept_and_not_judged(tmp_path: Path) -> None:
    path, out = tmp_path / "gaps.csv", tmp_path / "out.csv"
    path.write_text("timestamp,value\n1000,1\n1060,\n1030,2\n1000,3\n1120,nan\n1180,4\n")
    told = json.loads(run("detect", str(path), "--out", str(out), "--json=-"))
    assert (told["points"], told["judged"]) == (6, 2)
    assert len(out.read_text().splitlines()) == 7


def laid_out(series: Path, tmp_path: Path, first: str, last: str) -> Path:
    """Lay the series out as the benchmark is, with this window; return the file of windows."""
    data, windows = tmp_path / "data" / "group", tmp_path / "windows.json"
    data.mkdir(parents=True)
    series.rename(data / "cpu.csv")
    windows.write_text(json.dumps({"group/cpu.csv": [[first, last]]}))
    return windows


def test_nab_scores_a_folder_and_writes_it_out(series: Path, tmp_path: Path) -> None:
    out = tmp_path / "scored"
    windows = laid_out(series, tmp_path, "2026-01-06 04:30:00.000000", "2026-01-06 06:00:00.000000")
    told = json.loads(run("backtest", "nab", str(tmp_path / "data"), "--windows", str(windows), "--out", str(out), "--json=-"))
    assert told["files"] == 1
    assert {(one["profile"], one["at"]) for one in told["scores"]} == {
        (profile, at) for profile in ("standard", "reward_low_FP_rate", "reward_low_FN_rate") for at in ("best", "fixed")
    }
    assert all(one["windows hit"] == 1 and one["score"] > 30 for one in told["scores"])
    assert (told["alarms"]["windows"], told["alarms"]["found"], told["alarms"]["recall"]) == (1, 1, 1.0)
    assert (out / "group" / "cpu.csv").exists()


def test_a_public_detector_is_judged_on_the_same_series(series: Path, tmp_path: Path) -> None:
    windows = laid_out(series, tmp_path, "2026-01-06 04:30:00", "2026-01-06 06:00:00")
    words = ("backtest", "nab", str(tmp_path / "data"), "--windows", str(windows), "--out", str(tmp_path / "scored"), "--json=-")
    alone, beside = json.loads(run(*words))["scores"], json.loads(run(*words, "--beside"))["scores"]
    assert beside[: len(alone)] == alone
    assert [(one["detector"], one["at"], one["of"]) for one in beside[len(alone) :]] == [("river HalfSpaceTrees", "best", 1)] * 3


def test_the_public_detector_is_causal_and_sees_a_jump(series: Path) -> None:
    whole = read_series(series)
    found = peer.scores(whole)
    assert found[STEP : STEP + 5].max() > np.quantile(found[500:STEP], 0.9)
    cut = Series(whole.name, whole.stamps[:STEP], whole.at[:STEP], whole.value[:STEP], whole.kept[:STEP])
    assert peer.scores(cut).tolist() == found[:STEP].tolist()


def test_a_window_that_no_row_begins_is_an_error(series: Path, tmp_path: Path) -> None:
    windows = laid_out(series, tmp_path, "2026-02-06 04:30:00", "2026-02-06 06:00:00")
    with pytest.raises(ConfigError, match=r"group/cpu\.csv: a window begins or ends"):
        run("backtest", "nab", str(tmp_path / "data"), "--windows", str(windows), "--out", str(tmp_path / "scored"))


def test_shapes_are_found_in_time_and_ordinary_series_are_quiet() -> None:
    found = {one.name: one for one in shapes.faults(2, 1, ScoreRule())}
    assert set(found) == set(shapes.FAULTS)
    for name in ("outage to zero, 1 hour", "missing, 30 minutes", "flat line, 12 hours", "slow leak, 1 % an hour"):
        assert len(found[name].delays) == 2, name
    assert {name for name, one in found.items() if one.held is not None} == {name for name, shape in shapes.FAULTS.items() if shape.over}
    assert min(one.held for one in found.values() if one.held is not None) > 0.8, "an alarm ended before its fault"
    assert max(one.after for one in found.values() if one.after is not None) < 60, "an alarm did not end with its fault"
    calm = list(shapes.quiet(1, 1, ScoreRule()))
    assert sum(one.alarms for one in calm) <= sum(one.weeks for one in calm)


def test_the_bound_of_a_rate_is_that_of_a_poisson_mean() -> None:
    assert shapes.upper_bound(0) == pytest.approx(3.689, rel=0.02)
    assert shapes.upper_bound(10) == pytest.approx(18.39, rel=0.01)
