"""`airra detect` on files that are not as they should be: what was not judged is said, and what to do about it."""

from __future__ import annotations

import gzip
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.backtest.judge import judged, score_config
from cli.backtest.plot import picture
from cli.backtest.series import read_series, time_of
from cli.config import ConfigError
from cli.main import program
from models.surprise.explain import EVENT_WORDS
from models.surprise.past import DRIFTS, OPENED

BEGIN = 1_700_000_000  # s
STEP = 1500
COUNT = 1600
PNG = b"\x89PNG"


@pytest.fixture(autouse=True)
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRRA_CONFIG_DIR", str(Path(__file__).parents[2] / "config"))


def values(count: int = COUNT) -> np.ndarray:
    return 100 + 5 * np.random.default_rng(1).standard_normal(count)


def rows(value: np.ndarray, every: int = 60) -> list[str]:
    return [f"{BEGIN + i * every},{one!r}" for i, one in enumerate(value.tolist())]


def written(folder: Path, lines: list[str]) -> Path:
    path = folder / "cpu.csv"
    path.write_text("\n".join(("timestamp,value", *lines)) + "\n")
    return path


def run(*words: str) -> Result:
    result = CliRunner().invoke(program(), ["detect", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_a_file_with_the_newest_row_first_is_an_error_that_says_so(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    path = written(tmp_path, rows(values())[::-1])
    with pytest.raises(
        ConfigError, match=r"judged 1 of 1,600 rows; left out: 1,599 no later than a row before \(is it newest first\? sort it"
    ):
        run(str(path), "--out", str(out))
    assert not out.exists()


def test_a_file_in_no_order_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, np.random.default_rng(1).permutation(rows(values())).tolist())
    with pytest.raises(ConfigError, match="no later than a row before"):
        run(str(path))


def test_a_file_without_any_value_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, rows(np.full(100, np.nan)))
    with pytest.raises(ConfigError, match="judged 0 of 100 rows; left out: 100 without a finite value"):
        run(str(path))


def test_some_rows_that_are_left_out_are_a_warning_beside_the_result(tmp_path: Path) -> None:
    lines = rows(values())
    lines[700] = f"{BEGIN + 700 * 60},"
    lines[800], lines[801] = lines[801], lines[800]
    said = run(str(written(tmp_path, lines)), "--json=-")
    assert "judged 1,598 of 1,600 rows; left out: 1 no later than a row before" in said.stderr
    assert "1 without a finite value" in said.stderr
    told = json.loads(said.stdout)
    assert [told[name] for name in ("points", "judged", "not_later", "without_value", "clipped")] == [1600, 1598, 1, 1, 0]


def test_of_a_file_that_is_as_it_should_be_there_is_no_warning(tmp_path: Path) -> None:
    assert not run(str(written(tmp_path, rows(values())))).stderr


def test_a_file_without_rows_is_no_error(tmp_path: Path) -> None:
    assert "0 points, 0 events" in run(str(written(tmp_path, []))).stdout


def test_values_that_were_judged_as_less_than_they_are_are_counted(tmp_path: Path) -> None:
    said = run(str(written(tmp_path, rows(values() * 1e300))), "--json=-")
    assert "1,600 of 1,600 values are beyond ±1e+30" in said.stderr
    assert json.loads(said.stdout)["clipped"] == COUNT


@pytest.mark.parametrize(
    "text",
    ["0001-01-01T00:00:00", "0001-01-01T00:00:00+05:00", "9999-12-31T23:00:00-05:00", "0999-12-31", "-90000000000000", "-1e14", "nan"],
)
def test_a_time_that_no_picture_has_room_for_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "far.csv"
    path.write_text(f"timestamp,value\n{text},1\n")
    with pytest.raises(
        ConfigError, match=r"far\.csv, line 2: .* is no time of the years 1000 to 5138: ISO 8601, or seconds or milliseconds"
    ):
        run(str(path))


@pytest.mark.parametrize("text", ["1000-01-01", "5138-11-16T09:46:39"])
def test_the_first_and_the_last_time_are_drawn(tmp_path: Path, text: str) -> None:
    assert time_of(text) is not None
    path, plot = tmp_path / "far.csv", tmp_path / "far.png"
    for lines in (f"{text},1\n", f"1000-01-01,1\n{text[:4]}-11-16T09:46:39,2\n"):
        path.write_text("timestamp,value\n" + lines)
        run(str(path), "--plot", str(plot))
        assert plot.read_bytes().startswith(PNG)


@pytest.mark.parametrize("value", [[1.7e308, -1.7e308] * 100, [1e302] * 200, [5.0]])
def test_values_of_any_size_are_drawn(tmp_path: Path, value: list[float]) -> None:
    plot = tmp_path / "huge.svg"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(str(written(tmp_path, rows(np.array(value)))), "--plot", str(plot))
    assert "<svg" in plot.read_text()


def test_a_picture_stands_where_it_is_said_to_stand(tmp_path: Path) -> None:
    plot = tmp_path / "noext"
    assert f"written: {plot}" in run(str(written(tmp_path, rows(values()))), "--plot", str(plot)).stdout.replace("\n", "")
    assert plot.read_bytes().startswith(PNG)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["cpu.csv", "noext"]


def leaking() -> list[str]:
    value = values(16 * 288)
    value[14 * 288 :] += 0.1 * np.arange(2 * 288)
    return rows(value, every=300)


def test_a_leak_has_its_line_in_the_picture_and_an_alarm_the_band_of_before(tmp_path: Path) -> None:
    found = judged(read_series(written(tmp_path, leaking())), score_config())
    upper = picture(found).axes[0]
    drawn = {str(np.datetime64(line.get_xdata()[0], "ms").astype(np.int64)) for line in upper.lines if len(line.get_xdata()) == 2}
    leaks = np.flatnonzero(found.readings["event"] == DRIFTS)
    assert len(leaks)
    assert {str(found.series.at[row]) for row in leaks} <= drawn
    stepped = values()
    stepped[STEP:] += 80
    labels = [
        picture(judged(read_series(written(tmp_path, rows(one))), score_config())).axes[0].get_legend_handles_labels()[1]
        for one in (values(300), stepped)
    ]
    assert ["usual before the alarm" in found for found in labels] == [False, True]


def test_a_point_within_an_alarm_is_explained_by_the_alarm(tmp_path: Path) -> None:
    value = values()
    value[STEP:] += 80
    path = written(tmp_path, rows(value))
    said = run(str(path), "--explain", str(BEGIN + 60 * (COUNT - 1))).stdout
    assert "in alarm: nothing changed" in said
    assert f"open since {BEGIN + 60 * STEP}: the distance from what was expected" in said
    low, _, high = said.split("judged by what was usual before it, ")[1].split(":")[0].split()
    assert 60 < float(low) < 90 < 110 < float(high) < 140
    assert "5 points in a row within end it, if they are as near to each other as they were" in said
    assert "open since" not in run(str(path), "--explain", str(BEGIN + 60 * STEP)).stdout  # it is the one that opens it, and says why


def test_a_point_within_a_drift_is_explained_by_the_drift(tmp_path: Path) -> None:
    path = written(tmp_path, leaking())
    found = judged(read_series(path), score_config())
    told = int(np.flatnonzero(found.readings["event"] == DRIFTS)[-1])
    assert not (found.readings["event"][told + 1 : told + 3] == OPENED).any()
    said = run(str(path), "--explain", found.series.stamps[told + 2]).stdout
    assert f"open since {found.series.stamps[told]}: {EVENT_WORDS[DRIFTS]}" in said
    assert "judged by these hours a day and a week before" in said


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (gzip.compress(b"timestamp,value\n", mtime=0), r"bad\.csv is compressed, .*: run gunzip on it first"),
        (
            "timestamp,value\n1,2\n".encode("utf-16"),
            r"bad\.csv, line 1: byte 0xff is no UTF-8 text: convert the file \(iconv -f UTF-16 -t UTF-8\)",
        ),
        (
            "timestamp,value\n1,2°\n".encode("latin-1"),
            r"bad\.csv, line 2: byte 0xb0 is no UTF-8 text: convert the file \(iconv -f LATIN1 -t UTF-8\)",
        ),
    ],
)
def test_a_file_that_is_no_utf_8_says_what_to_do(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=words):
        run(str(path))
