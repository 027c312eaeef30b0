"""Several demos, each in a process of its own, so many at a time; stopping the batch stops them in order."""

from __future__ import annotations

import concurrent.futures
import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cli.demo.ending import WARM_UP_S, Until, later, waiting
from cli.processes import our_env, python_module, stop
from streams.harness.children import spawn

NO_FAULT = "none"
LIMIT_S = 420.0  # a run that has not ended by then is a failed run

Result = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One run of one fault, or so long without one; `waiting_s` is what passes before it above the warm-up."""

    scenario: Path
    fault: str
    seed: int
    waiting_s: float = 0.0
    until: Until = Until.VERDICT
    seconds: float | None = None  # with the fault `none`
    root_cause: str | None = None  # that is expected: also of a run that ends without a word

    @property
    def name(self) -> str:
        return f"{self.fault}-{self.seed}"

    def command(self, directory: Path | None) -> list[str]:
        chosen = ["--scenario", str(self.scenario), "--fault", self.fault, "--seed", str(self.seed), "--until", self.until]
        chosen += ["--seconds", str(self.seconds)] if self.seconds is not None else []
        chosen += ["--calm", str(WARM_UP_S + self.waiting_s)] if self.seconds is None and self.waiting_s else []
        return python_module("cli.main", "demo", *chosen, "--yes", "--json", *(["--keep", str(directory)] if directory else []))


def jobs(
    scenario: Path,
    listed: Sequence[Mapping[str, Any]],
    seeds: Sequence[int],
    until: Until = Until.VERDICT,
    calm_s: float = WARM_UP_S,
) -> list[Job]:
    """Return a run of every listed fault with every seed, once each."""
    cause = {fault["name"]: (fault.get("expected") or {}).get("root_cause") for fault in listed}
    found = [
        Job(scenario, each["name"], seed, waiting(later(each, calm_s)), until, root_cause=cause[each["name"]])
        for seed in seeds
        for each in listed
    ]
    return list(dict.fromkeys(found))


def quiet(scenario: Path, seed: int, seconds: float) -> Job:
    """Return a run without a fault."""
    return Job(scenario, NO_FAULT, seed, seconds, seconds=seconds)


class Batch:
    """Use as a context: leaving it stops what still runs."""

    def __init__(self, jobs: Sequence[Job], at_a_time: int, keep: Path | None = None) -> None:
        self._jobs = jobs
        self._keep = keep.resolve() if keep is not None else None
        self._pool = concurrent.futures.ThreadPoolExecutor(at_a_time)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopping = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._stopping = True
            running = list(self._running)
        for process in running:
            process.terminate()
        for process in running:
            stop(process)
        # The kernel kills a child whose starting thread has ended: the threads go last.
        self._pool.shutdown(cancel_futures=True)

    def results(self) -> Iterator[tuple[Job, Result]]:
        """Yield each run's document with `met`, as they end."""
        futures = {self._pool.submit(self._one, job): job for job in self._jobs}
        for future in concurrent.futures.as_completed(futures):
            yield futures[future], future.result()

    def _one(self, job: Job) -> Result:
        directory = self._keep / job.name if self._keep is not None else None
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)  # what an earlier campaign left
        result, stderr = self._run(job, job.command(directory))
        if directory is not None:
            self._keep_or_drop(directory, result, stderr)
        return result

    def _run(self, job: Job, command: Sequence[str]) -> tuple[Result, str]:
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            with self._lock:
                if self._stopping:
                    return _result(job, {}, 1, ["not started"]), ""
                process = spawn(command, our_env(), stdout=stdout.fileno(), stderr=stderr.fileno())
                self._running.add(process)
            try:
                process.wait(LIMIT_S + job.waiting_s)
            except subprocess.TimeoutExpired:
                stop(process)
                return _result(job, {}, 1, [f"no end within {LIMIT_S + job.waiting_s:.0f} s"]), _text(stderr)
            finally:
                with self._lock:
                    self._running.discard(process)
            said = _text(stderr)
            told = [line for line in said.splitlines() if line.startswith(("NOT MET", "airra"))]
            return _result(job, _document(_text(stdout)), process.returncode, told), said

    def _keep_or_drop(self, directory: Path, result: Result, stderr: str) -> None:
        if result["met"]:
            shutil.rmtree(directory, ignore_errors=True)
            return
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "said.txt").write_text(stderr)
        (directory / "result.json").write_text(json.dumps(result, indent=2, default=str))
        result["logs"] = str(directory)


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode(errors="replace"))


def _document(text: str) -> Result:
    try:
        document: Result = json.loads(text)
    except ValueError:
        return {}
    return document


def _result(job: Job, document: Result, code: int, said: list[str]) -> Result:
    expected = document.get("expected") or {"root_cause": job.root_cause}
    return {
        **document,
        "expected": expected,
        "fault": job.fault,
        "seed": job.seed,
        "waiting_s": job.waiting_s,
        "met": code == 0,
        "said": said,
    }
