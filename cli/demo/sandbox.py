"""The live system of a demo: the sandbox as a subprocess, spoken to through its command line and its JSON lines."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from pathlib import Path
from typing import Any

from cli.config import ConfigError
from cli.demo.ending import WARM_UP_S
from cli.processes import our_env, python_module, stop
from streams.harness.children import spawn

TOKEN_VARIABLE = "SANDBOX_TOKEN"  # noqa: S105 - the variable's name


def faults(scenario: Path) -> list[dict[str, Any]]:
    """List the scenario's faults with what is expected of AIRRA; a mistake in the file is a ConfigError."""
    command = python_module("sandbox", "faults", "--scenario", str(scenario), "--json")
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=our_env())  # noqa: S603 - our own command
    if answer.returncode != 0:
        raise ConfigError(answer.stderr.strip() or f"{scenario}: the sandbox refused it")
    listed: list[dict[str, Any]] = json.loads(answer.stdout)
    return listed


class Sandbox:
    """Runs until stopped; its events are queued in order, and None marks the end."""

    def __init__(
        self,
        scenario: Path,
        fault: str,
        seed: int,
        bootstrap: str,
        work_dir: Path,
        token: str,
        *,
        warm_up_s: float = WARM_UP_S,
        test_hooks: bool = False,
    ) -> None:
        work_dir = work_dir.resolve()
        work_dir.mkdir(parents=True, exist_ok=True)
        self._log = (work_dir / "sandbox.log").open("ab")
        command = python_module("sandbox", "run", "--scenario", str(scenario.resolve()), "--fault", fault, "--seed", str(seed))
        command += ["--broker", bootstrap, "--work-dir", str(work_dir), "--token-env", TOKEN_VARIABLE]
        command += ["--warm-up-s", str(warm_up_s), *(["--test-hooks"] if test_hooks else [])]
        env = {**our_env(), TOKEN_VARIABLE: token}
        # In its own folder: the processes that it starts would find a `sandbox` of the user's folder before ours.
        self._process = spawn(command, env, stderr=self._log, stdout=subprocess.PIPE, cwd=work_dir)
        self.events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._read, name="sandbox-events", daemon=True).start()

    def wait_ready(self, timeout_s: float = 60.0) -> dict[str, Any]:
        """Return the ready event; raise RuntimeError when the sandbox ends or stays silent instead."""
        while True:
            try:
                event = self.events.get(timeout=timeout_s)
            except queue.Empty:
                raise RuntimeError(f"the sandbox was not ready within {timeout_s:.0f} s; see {self._log.name}") from None
            if event is None:
                raise RuntimeError(f"the sandbox ended before it was ready; see {self._log.name}")
            if event["event"] == "ready":
                return event

    def stop(self) -> None:
        stop(self._process)
        self._log.close()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        for line in self._process.stdout:
            self.events.put(json.loads(line))
        self.events.put(None)
