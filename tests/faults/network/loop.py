"""The control role, the sink and the API as they run in production, beside a small live sandbox: a loop that trouble can be put into.

What is between them and their neighbours, a bench says in `settings`. The bench plays correlate: it writes an incident whose evidence
names a memory leak, keeps it fresh, and shows a recovery once the action is done. It approves through the API, as a person does.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from pathlib import Path
from typing import Any, Self

import httpx2

from api.client import ApiClient, ApiError
from cli.acting import append
from cli.demo.sandbox import Sandbox
from cli.demo.stack import Stack
from cli.watch import Watch
from schemas import topics
from schemas.actions import Finished
from schemas.approvals import Proposal
from schemas.incidents import Incident, IncidentPhase
from schemas.kinds import Mode
from streams.harness.emit import emit
from tests.faults.points.acting_world import configuration, scenario
from tests.faults.points.patient import SICK, WELL, Patient, Seen
from tests.unit.incident_world import SERVICES

ROLES = ("control", "sink", "api")
ARMED_S = 24 * 3600.0
EVERY_S = 0.5  # the evidence is renewed
DONE_WITHIN_S = 90.0


class LoopBench:
    """Use as a context; the broker is given."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self._folder = folder
        self._bootstrap = bootstrap
        self._exit = contextlib.ExitStack()
        self.seen = Seen()
        self._number = 0
        self._effects = 0  # in the target's log, of earlier incidents
        self._token = secrets.token_urlsafe(24)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as guard:
            guard.callback(self._exit.close)  # what has been started, if the rest does not start
            self._start()
            guard.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._exit.close()

    def configuration(self) -> Path:
        return configuration(self._folder, "config")

    def settings(self, control_url: str) -> dict[str, Any]:
        """Return what the roles are told beside their configuration; a bench that puts something in between says more."""
        return {"executor": "http", "executor_url": control_url, "executor_token": self._token}

    def _start(self) -> None:
        self.config = self.configuration()
        settings = {"config_dir": self.config, "dry_run_mode": False}
        self.stack = self._exit.enter_context(Stack(self._folder / "run", settings, self._bootstrap, roles=ROLES))
        sandbox = Sandbox(scenario(self._folder), "none", 1, self._bootstrap, self._folder / "sandbox", self._token)
        self._exit.callback(sandbox.stop)
        ready = sandbox.wait_ready()
        self.control_url = ready["control_url"]
        self.stack.start_roles(topology_file=ready["topology"], **self.settings(self.control_url))
        watch = Watch(self.stack.kafka.confluent(), self.seen.take)
        watch.start()
        self._exit.callback(watch.stop)
        self.stack.wait_ready(["sink", "api"])
        self.stack.arm(ARMED_S)

    def fresh(self) -> Patient:
        """Return a new incident, not told yet."""
        self._number += 1
        service = SERVICES[self._number % len(SERVICES)]
        return Patient(f"inc-{self._number:04d}-{self._folder.name}", self.publish, service, Mode.LIVE)

    def publish(self, told: Incident) -> None:
        append(self.stack.kafka, emit(topics.INCIDENTS, told.incident, told))

    def finished(self, key: str) -> Finished | None:
        """Return the end of the incident's newest action, where it was begun."""
        end = self.seen.end_of(key)
        return end if isinstance(end, Finished) else None

    def step(self, patient: Patient) -> None:
        """Tell the incident as it is now."""
        patient.step(WELL if self.finished(patient.key) else SICK)

    def approve(self, proposal: Proposal) -> bool:
        """Approve once; the same proposal again is the same request. Say whether the API says that it is decided."""
        with contextlib.suppress(ApiError, OSError, RuntimeError):
            url = f"http://127.0.0.1:{self.stack.address('api', 'api_port')}"
            with ApiClient(url, self.stack.operator_token) as api:
                api.approve(proposal.id, "demo-operator", Mode.LIVE, key=f"bench-{proposal.id}")
            return True
        return False

    def over(self, patient: Patient) -> list[str]:
        """End the incident; return what is not as it should be: one effect in the target's own log, and an outcome."""
        patient.step(WELL, IncidentPhase.RESOLVED)
        outcome, finished = self.seen.outcomes.get(patient.key), self.finished(patient.key)
        if outcome is None or finished is None:
            return [f"no outcome within {DONE_WITHIN_S:.0f} s"]
        with httpx2.Client(base_url=self.control_url, headers={"Authorization": f"Bearer {self._token}"}, timeout=10.0) as target:
            log = target.get("/log").json()["effects"]
        effects, self._effects = log[self._effects :], len(log)
        right = [(effect["key"], effect["status"]) for effect in effects] == [(finished.action, "done")]
        wrong = [] if right else [f"effects: {json.dumps(effects)}"]
        return wrong + ([] if outcome.verdict.value == "success" else [f"verdict {outcome.verdict.value}"])

    def until(self, reached: Any, within_s: float = DONE_WITHIN_S) -> bool:
        """Wait for a condition; say whether it came."""
        deadline = time.monotonic() + within_s
        while not reached() and time.monotonic() < deadline:
            time.sleep(0.05)
        return bool(reached())
