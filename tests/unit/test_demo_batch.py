"""Many demos: how far they are, what is kept of those that fail, and that stopping stops them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cli.demo import batch as batches
from cli.demo.all import progress, summary
from cli.demo.batch import Batch, Job, jobs

ROOT = Path(__file__).resolve().parents[2]
LISTED = [{"name": "leak", "after_s": 300.0}, {"name": "burn", "after_s": 5.0}]


def stand_in(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Job, "command", lambda _, directory: [sys.executable, "-c", code, str(directory)])


def run(keep: Path | None = None) -> dict[str, dict[str, Any]]:
    with Batch(jobs(Path("shop.yaml"), LISTED, [1]), 2, keep) as batch:
        return {job.name: result for job, result in batch.results()}


def test_progress_tells_how_many_how_long_and_how_much_longer() -> None:
    assert progress(3, 30, 300.0) == "3 of 30, 5.0 min elapsed, 45.0 min to go"


def test_jobs_are_every_fault_with_every_seed_once_and_know_their_waiting() -> None:
    found = jobs(Path("shop.yaml"), [*LISTED, LISTED[0]], [1, 2])
    assert [job.name for job in found] == ["leak-1", "burn-1", "leak-2", "burn-2"]
    assert [job.waiting_s for job in found[:2]] == [240.0, 0.0]


def test_a_scenarios_own_waiting_does_not_count_against_the_three_minutes() -> None:
    told = {"met": True, "expected": {}, "waiting_s": 240.0, "seconds": {"fault_to_incident": None, "total": 340.0}}
    assert summary([told])["longest_run_s"] == 100.0


def test_a_failed_run_keeps_its_logs_and_names_them_and_a_good_one_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
import pathlib, sys
folder = pathlib.Path(sys.argv[1])
(folder / "logs").mkdir(parents=True)
(folder / "logs" / "control.log").write_text("why")
print('{"incidents": 2}')
print("NOT MET  one incident was expected, 2 were opened", file=sys.stderr)
sys.exit(folder.name == "leak-1")
"""
    stand_in(code, monkeypatch)
    results = run(tmp_path)
    assert results["burn-1"]["met"]
    assert not (tmp_path / "burn-1").exists()
    failed = results["leak-1"]
    assert not failed["met"]
    assert failed["incidents"] == 2
    assert failed["logs"] == str(tmp_path / "leak-1")
    assert (tmp_path / "leak-1" / "logs" / "control.log").read_text() == "why"
    assert "NOT MET" in (tmp_path / "leak-1" / "said.txt").read_text()
    assert json.loads((tmp_path / "leak-1" / "result.json").read_text())["said"] == failed["said"]


def test_a_run_that_ends_without_a_word_is_a_fault_that_was_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in("raise SystemExit(1)", monkeypatch)
    with Batch(jobs(Path("shop.yaml"), [{"name": "leak", "expected": {"root_cause": "inventory"}}], [1]), 1) as batch:
        told = summary([result for _, result in batch.results()])
    assert (told["without_incident"], told["found_within_20_s"], told["incidents_of_nothing"]) == (1, 0.0, 0)


def test_a_run_without_an_end_is_a_failed_run(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in("import time; time.sleep(60)", monkeypatch)
    monkeypatch.setattr(batches, "LIMIT_S", -239.5)  # with the waiting of the first: half a second
    results = run()
    assert results["leak-1"]["said"] == ["no end within 0 s"]
    assert not results["leak-1"]["met"]


PARENT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs these tests in the background ignores it, and hands that down
from pathlib import Path
from cli.demo import all as whole
from cli.demo.batch import Job
marks = Path(sys.argv.pop())
child = f"import os, pathlib, time; pathlib.Path({str(marks)!r}, str(os.getpid())).touch(); time.sleep(60)"
Job.command = lambda self, directory: [sys.executable, "-c", child]
whole.faults = lambda scenario: [{"name": "leak", "after_s": 60.0}, {"name": "burn", "after_s": 60.0}]
sys.exit(whole.main())
"""


def gone(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 130), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_no_run_outlives_the_batch(number: signal.Signals, code: int, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, "-c", PARENT, "--jobs", "2", str(tmp_path)], cwd=ROOT, env=env, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while len(list(tmp_path.iterdir())) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    parent.send_signal(number)
    assert parent.wait(20) == code
    deadline = time.monotonic() + 5
    while not all(gone(mark.name) for mark in tmp_path.iterdir()):
        assert time.monotonic() < deadline, "a run outlived the batch"
        time.sleep(0.05)
