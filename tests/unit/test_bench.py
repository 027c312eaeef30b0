"""The benchmarks' own decisions: what a rate is taken from, when a goal is met, what the page says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import sizing
from bench.bed import Peer
from bench.figures import Figure, Goal, keep, kept, newest
from bench.memory import seasoned
from bench.meter import Reading, Unmeasured, follow, rate
from bench.peers.zscore import FIRST, decode, series_of, step
from bench.report import ABOUT, GOALS, PAGE, number, text
from cli.bench import bench as command
from models.surprise.past import PAST


def test_a_rate_is_taken_from_the_first_that_is_counted_to_the_last_and_start_up_is_no_part_of_it() -> None:
    readings = [Reading(0, 0), Reading(5, 0), Reading(6, 100), Reading(7, 400), Reading(8, 700), Reading(9, 700)]
    assert rate(readings, 700) == 300


def test_what_was_not_counted_whole_or_between_two_readings_has_no_rate() -> None:
    with pytest.raises(Unmeasured, match="counted 400 of 700"):
        rate([Reading(0, 0), Reading(1, 100), Reading(2, 400)], 700)
    with pytest.raises(Unmeasured, match="too few"):
        rate([Reading(0, 0), Reading(1, 700)], 700)


def test_who_has_ended_is_not_waited_for() -> None:
    with pytest.raises(Unmeasured, match="it has ended"):
        follow(lambda: 5.0, 10, within_s=60, alive=lambda: False)


def test_a_goal_is_a_bound_or_a_share_of_what_stands_beside_it() -> None:
    beside, most = Goal("ours", 2.5, "theirs"), Goal("p99", 300, most=True, unit="ms")
    assert beside.reached({"ours": 10.0, "theirs": 4.0}) == 2.5
    assert beside.met(2.5)
    assert not beside.met(2.4)
    assert most.met(300)
    assert not most.met(301)
    assert beside.words() == "at least 2.5 × theirs"
    assert most.words() == "at most 300 ms"
    assert beside.reached({"ours": 10.0}) is None, "a peer that was not measured"


def test_ratios_are_made_within_the_newest_run_of_a_bench_alone(tmp_path: Path) -> None:
    old = [Figure("throughput", "quix", 1.0, "samples/s", run="1"), Figure("latency", "p50", 7.0, "ms", run="1")]
    keep(old, tmp_path / "ledger")
    keep([Figure("throughput", "normalise and detect", 9.0, "samples/s", run="2")], tmp_path / "ledger")
    found = newest(list(kept(tmp_path / "ledger")))
    assert [one.name for one in found["throughput"]] == ["normalise and detect"]
    assert [one.value for one in found["latency"]] == [7.0]


def test_the_page_says_which_goals_were_missed() -> None:
    found = [Figure("latency", "p50", 80.0, "ms", run="1", code="abc"), Figure("latency", "p99", 900.0, "ms", run="1", code="abc")]
    lines = text(found).splitlines()
    assert "| p50 | at most 100 ms | 80 | yes |" in lines
    assert "| p99 | at most 300 ms | 900 | **no** |" in lines
    assert any("at abc" in line for line in lines)


def test_numbers_have_three_digits_or_all_before_the_point() -> None:
    assert [number(value) for value in (0.12345, 9.876, 123.4, 650_123.4)] == ["0.123", "9.88", "123", "650,123"]


def test_every_bench_that_has_goals_names_what_it_measures() -> None:
    assert {name: bool(goals) for name, goals in GOALS.items()} == {
        "throughput": True,
        "formats": True,
        "write": True,
        "processes": False,
        "latency": True,
        "memory": True,
        "recovery": True,
        "cost": False,
        "score": True,
    }


def test_the_peers_work_is_a_z_score_with_state_that_finds_a_step() -> None:
    state, calm = FIRST, []
    for value in [1.0, 1.2] * 50:
        state, z = step(state, value)
        calm.append(abs(z))
    assert max(calm) < 3
    assert step(state, 9.0)[1] > 10


def test_a_series_is_its_sorted_labels() -> None:
    sample = decode(b'{"labels":{"b":"2","__name__":"up","a":"1"},"name":"up","timestamp":"2026-01-01T00:00:00Z","value":"1"}')
    assert series_of(sample) == "__name__=up,a=1,b=2"


def test_a_peers_banner_and_half_a_line_are_no_readings(tmp_path: Path) -> None:
    peer = object.__new__(Peer)
    peer._out = tmp_path / "out"
    peer._out.write_bytes(b'faust v0\n{"at": 1.5, "count": 5000}\n{"at": 2.5, "cou')
    assert peer.readings() == [Reading(1.5, 5000.0)]


def test_a_user_is_told_how_many_processes_keep_up_at_half_their_rate() -> None:
    measured = [
        Figure("throughput", "normalise", 10_000, "samples/s", run="1"),
        Figure("throughput", "detect", 50_000, "samples/s", run="1"),
        Figure("memory", "normalise and detect", 2_000, "bytes a series", run="2"),
    ]
    assert list(sizing.rows(measured))[2] == ("100,000", "10,000", "2", "1", "4", "200")
    assert list(sizing.rows(measured))[3][4] == "20", "of a million series a partition that gets twice its share takes its 100,000"
    assert list(sizing.rows(measured[1:])) == [], "nothing is made up"


def test_every_bench_that_can_be_kept_has_a_place_on_the_page() -> None:
    benches = {name.name or name.callback.__name__ for name in command.registered_commands}
    assert benches - {"report"} == set(ABOUT) == set(GOALS)


def test_the_page_in_docs_is_what_the_ledger_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == text(list(kept()))


def test_the_installed_command_finds_the_benchmarks_from_any_folder(tmp_path: Path) -> None:
    """Given a shell elsewhere and nothing on the path but what is installed, when a benchmark is asked for, then it is found."""
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-P", "-c", "from cli.bench import _module; print(_module('throughput').GOALS[0].name)"]
    found = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True, check=False)
    assert found.stdout.strip() == "normalise and detect", found.stderr


def test_what_is_kept_of_a_metric_whose_season_is_found_is_measured() -> None:
    assert seasoned(metrics=1) > PAST.itemsize
    with pytest.raises(AssertionError, match="no season was found"):
        seasoned(metrics=1, days=1)
