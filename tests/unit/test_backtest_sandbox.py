"""`airra backtest sandbox`: watched runs, their moments, and what stands above the threshold of the quiet ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.backtest.sandbox import measure
from cli.config import ConfigError
from cli.demo import ledger
from cli.demo.ending import WATCHED_S, Asked, Until, ended, later, waiting
from cli.demo.moments import EVERY_MS, Moments
from cli.demo.story import Fault, Story
from cli.main import program
from schemas.base import Position
from schemas.kinds import Direction, Kind
from schemas.signals import Health, SeriesEvidence

AT, FAULT_AT, BEFORE = 1_800_000_000_000, 1_800_000_400_500, 40


def health(kind: Kind, at: int, *series: SeriesEvidence, service: str = "shop") -> Health:
    position = Position(topic="t", partition=0, offset=1)
    return Health(id="h", service=service, kind=kind, at=at, series_count=len(series), anomalous=0, series=series, source=position)


def evidence(kind: Kind, value: float, z: float, direction: Direction = Direction.UP) -> SeriesEvidence:
    return SeriesEvidence(
        series="0" * 16, service="shop", metric="m", kind=kind, direction=direction, value=value, baseline=0, low=0, high=0, z=z
    )


def test_a_moment_has_the_farthest_service_and_the_worst_series_of_harm() -> None:
    moments = Moments()
    for event in (
        health(Kind.COMBINED, AT, evidence(Kind.COMBINED, 4.0, 1.0)),
        health(Kind.COMBINED, AT, evidence(Kind.COMBINED, 7.0, 2.0), service="till"),
        health(Kind.LATENCY, AT, evidence(Kind.LATENCY, 1.0, 3.0), evidence(Kind.LATENCY, 1.0, -9.0)),
        health(Kind.CACHE, AT, evidence(Kind.CACHE, 1.0, -5.0, Direction.DOWN)),
        health(Kind.REQUESTS, AT, evidence(Kind.REQUESTS, 1.0, 90.0)),  # load is no harm
        health(Kind.COMBINED, AT + EVERY_MS // 2, evidence(Kind.COMBINED, 50.0, 9.0)),  # told of those in trouble alone
        health(Kind.COMBINED, AT + EVERY_MS, evidence(Kind.COMBINED, 2.0, 0.0)),
        health(Kind.UP, AT + 2 * EVERY_MS),
        object(),
    ):
        moments.take(event)
    assert moments.rows() == [(AT, 7.0, 5.0), (AT + EVERY_MS, 2.0, 0.0)]


def line(fault: str, after: tuple[float, float], *, seed: int = 1, cause: str | None = "shop", until: str = "watched") -> dict[str, Any]:
    """A run whose moments before are 0 … 1, the first half 9; after it `after`, from the second moment on."""
    rows = [(AT + EVERY_MS * place, 9.0 if place < BEFORE // 2 else place % 10 / 10, place % 7 / 10) for place in range(BEFORE + 1)]
    rows += [(AT + EVERY_MS * (BEFORE + 1), 0.1, 0.1), *((AT + EVERY_MS * (BEFORE + place), *after) for place in (2, 3))]
    rows.append((AT + EVERY_MS * (BEFORE + 4), 99.0, 99.0))  # too late
    run = {"fault": fault, "seed": seed, "met": True, "expected": {"root_cause": cause}, "health": {"fault_at": FAULT_AT, "moments": rows}}
    return {"scenario": "shop.yaml", "until": until, "commit": "abc", "on": "2026-11-30T00:00:00Z", "run": run}


def kept(folder: Path, *lines: dict[str, Any]) -> Path:
    for one in lines:
        ledger.append(folder / "watched.jsonl", one)
    return folder / "watched.jsonl"


def test_faults_above_what_was_before_them_are_found_and_ordinary_events_stand_apart(tmp_path: Path) -> None:
    path = kept(
        tmp_path,
        line("leak", (5.0, 0.2)),
        line("burn", (3.0, 4.0)),
        line("crash", (0.5, 0.3)),
        line("peak", (8.0, 0.1), cause=None),
        line("leak", (0.0, 0.0), until="incident", seed=2),
    )
    faults, ordinary = measure(path)
    assert [(one.incidents, one.found) for one in faults] == [(3, 2), (3, 1)]
    assert [(one.incidents, one.found) for one in ordinary] == [(1, 1), (1, 0)]
    assert all(one.threshold <= 1.0 and one.passed / one.quiet >= 0.95 for one in faults)  # the 9 of the first half teach only
    assert faults[0].quiet == 4 * (BEFORE // 2 + 1 - 2)
    shown = CliRunner().invoke(program(), ["backtest", "sandbox", str(path), "--json", "-"])
    assert shown.exit_code == 0, shown.output
    assert [one["share"] for one in json.loads(shown.stdout)["faults"]] == [0.667, 0.333]


def test_runs_that_say_too_little_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no watched run of a fault"):
        measure(kept(tmp_path, line("peak", (1.0, 1.0), cause=None)))
    short = line("leak", (5.0, 5.0))
    short["run"]["health"]["moments"] = short["run"]["health"]["moments"][BEFORE - 5 :]
    with pytest.raises(ConfigError, match="leak, seed 1: 6 moments before its fault"):
        measure(kept(tmp_path, short))


def test_a_watched_run_waits_longer_before_its_fault_and_ends_by_the_clock_alone() -> None:
    fault = later({"name": "leak", "after_s": 100.0}, 480.0)
    assert waiting(fault) == 420.0
    assert waiting(later({"name": "leak", "after_s": 500.0}, 480.0)) == 440.0
    story = Story(fault=Fault("leak", "memory_leak", "inventory", FAULT_AT, "inventory", "restart"))
    story.incidents["inc-1"] = FAULT_AT + 1000
    for expected in ({}, {"root_cause": "inventory", "action": "restart"}):
        assert not ended(story, expected, Asked(), FAULT_AT + int(WATCHED_S * 1000), Until.WATCHED)
        assert ended(story, expected, Asked(), FAULT_AT + int(WATCHED_S * 1000) + 1, Until.WATCHED)
