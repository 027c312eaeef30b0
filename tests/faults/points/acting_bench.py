"""Strike the role that acts at every crash point it passes, over a live target; what counts is the target's own log.

The control role and the sink run as they do in production, on Apache Kafka, beside a small live sandbox. The bench plays correlate: it
writes an incident whose evidence names a memory leak and keeps it fresh, approves what is proposed, and shows a recovery once the
action is done. Each strike falls in the course of one such incident; the supervisor starts the role again.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from api.client import ApiClient, ApiError
from cli.demo.command import ROOT
from cli.demo.sandbox import Sandbox
from cli.demo.stack import Stack
from cli.watch import Watch
from schemas import topics
from schemas.actions import Finished
from schemas.approvals import Proposal
from schemas.base import derive_id
from schemas.incidents import Incident, IncidentPhase
from schemas.kinds import Kind, Mode
from schemas.outcomes import Outcome
from streams.harness.emit import emit
from tests.faults.campaign import BEYOND_S
from tests.faults.fleet import REPO, STRIKE_HOOK
from tests.faults.points.code import Point, all_points
from tests.faults.points.harness_bench import Strike
from tests.unit.incident_world import SERVICES, incident, reading, suspect

ACTING = (
    "agents.execute.effector",
    "agents.execute.sides",
    "agents.execute.executors.http_control",
    "streams.harness.effector_runner",
    "agents.tell",
    "api.decide",
    "streams.sink.consumer",
    "streams.sink.batch",
)
ROLE_OF = {"api.decide": "api", "streams.sink.consumer": "sink", "streams.sink.batch": "sink"}
ARMED_S = 24 * 3600.0
EVERY_S = 0.5  # the evidence is renewed
DONE_WITHIN_S = 90.0
SICK, WELL = 200e6, 40e6


def role_of(point: str) -> str:
    return ROLE_OF.get(point.split(":", 1)[0], "control")


def acting_points() -> list[Point]:
    return [point for point in all_points() if point.module in ACTING]


def scenario(folder: Path) -> Path:
    """Write a quiet shop whose services are those of the invented incidents."""
    path = folder / "quiet.yaml"
    services = [{"name": name, "entry": name == "gateway", "workers": 2, "release": "v1"} for name in SERVICES]
    path.write_text(yaml.safe_dump({"name": "quiet", "load": {"rps": 1}, "services": services}))
    return path


def configuration(folder: Path) -> Path:
    """Copy the shipped configuration and take the waiting out of it: what is decided is the same."""
    shutil.copytree(ROOT / "config", folder / "config")
    for name, section, change in (
        ("runbooks", "proposing", {"settle_s": 0.2}),
        ("policy", "verification", {"settle_s": 0.5}),
        ("policy", "budget", {"live_per_hour": 100_000}),
    ):
        path = folder / "config" / f"{name}.yaml"
        content = yaml.safe_load(path.read_text())
        content.setdefault(section, {}).update(change)
        path.write_text(yaml.safe_dump(content))
    return folder / "config"


@dataclass
class Seen:
    """What stands on the logs so far."""

    proposals: dict[str, Proposal] = field(default_factory=dict)  # by incident: the newest with an action
    finished: dict[str, Finished] = field(default_factory=dict)  # by incident
    outcomes: dict[str, Outcome] = field(default_factory=dict)  # by incident

    def take(self, event: object, _at: int) -> None:
        match event:
            case Proposal() if event.chosen is not None:
                self.proposals[event.incident] = event
            case Finished():
                self.finished[event.incident] = event
            case Outcome():
                self.outcomes[event.incident] = event


class Patient:
    """One invented incident, kept fresh until its outcome is there."""

    def __init__(self, key: str, publish: Callable[[Any], None]) -> None:
        self.key = key
        self._publish = publish
        self._version = 0
        self._began = int(time.time() * 1000)
        self._points: list[tuple[int, float]] = []

    def step(self, value: float, phase: IncidentPhase = IncidentPhase.UPDATED) -> None:
        now = int(time.time() * 1000)
        self._version += 1
        self._points = [*self._points, (now, value)][-8:]
        found = reading("inventory", Kind.MEMORY, value, baseline=WELL, z=9.0 if value == SICK else 0.0, at=now)
        found = found.model_copy(update={"points": tuple(self._points)})
        told = incident(
            suspect(found, opened_at=self._began),
            key=self.key,
            version=self._version,
            phase=IncidentPhase.OPENED if self._version == 1 else phase,
        )
        told = told.model_copy(update={"opened_at": self._began, "at": now, "id": derive_id("ire", self.key, self._version)})
        self._publish(told)


class ActingBench:
    """Use as a context: broker given, everything else started and stopped here."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self._folder = folder
        self._bootstrap = bootstrap
        self._exit = contextlib.ExitStack()
        self.seen = Seen()
        self._number = 0
        self._known = 0  # effects in the target's log that belong to earlier incidents
        self._token = secrets.token_urlsafe(24)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as guard:
            guard.callback(self._exit.close)  # what has been started, if the rest does not start
            self._start()
            guard.pop_all()
        return self

    def _start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        settings = {"config_dir": configuration(self._folder), "dry_run_mode": False}
        self.stack = self._exit.enter_context(Stack(self._folder / "run", settings, self._bootstrap, roles=("control", "sink", "api")))
        sandbox = Sandbox(scenario(self._folder), "none", 1, self._bootstrap, self._folder / "sandbox", self._token)
        self._exit.callback(sandbox.stop)
        ready = sandbox.wait_ready()
        self.control_url = ready["control_url"]
        self.stack.start_roles(executor="http", executor_url=self.control_url, executor_token=self._token, topology_file=ready["topology"])
        watch = Watch(self.stack.kafka.confluent(), self.seen.take)
        watch.start()
        self._exit.callback(watch.stop)
        self.stack.wait_ready(["sink", "api"])
        self.stack.arm(ARMED_S)
        assert self.stack.supervisor is not None
        self._children = self.stack.supervisor.children
        self._plain = {name: dict(child.env) for name, child in self._children.items()}

    def __exit__(self, *error: object) -> None:
        self._exit.close()

    def run(self, strike: Strike | None, environment: dict[str, str] | None = None) -> list[str]:
        """Live through one incident, with a strike in its course; return what is not as it should be."""
        role = role_of(strike.point) if strike else "control"
        child = self._children[role]
        child.env = {**self._plain[role], **(environment or _environment(strike)), "PYTHONPATH": f"{STRIKE_HOOK}:{REPO}"}
        self._restart(role)
        child.env = self._plain[role]
        struck = child.process
        self._number += 1
        key = f"inc-{self._number:04d}-{self._folder.name}"
        fell = self._live(key, struck)
        wrong = [] if fell or strike is None else ["did not fall"]
        return wrong + self._judged(key)

    def _restart(self, role: str) -> None:
        child = self._children[role]
        child.failures = 0
        process = child.process
        if process is not None and process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        _until(lambda: child.process is not process and child.process is not None, 20.0)

    def _live(self, key: str, struck: Any) -> bool:
        """Keep the incident fresh to its end; say whether the struck process fell."""
        patient = Patient(key, self.publish)
        fell, asked = False, False
        deadline = time.monotonic() + DONE_WITHIN_S
        while key not in self.seen.outcomes and time.monotonic() < deadline:
            done = key in self.seen.finished
            patient.step(WELL if done else SICK)
            if key in self.seen.proposals and not asked:
                asked = self._approve(self.seen.proposals[key])
            if not fell and struck is not None:
                fell = self._fallen(struck)
            time.sleep(EVERY_S)
        patient.step(WELL, IncidentPhase.RESOLVED)
        return fell or self._fallen(struck)

    def _fallen(self, process: Any) -> bool:
        if process.poll() is not None:
            return bool(process.returncode == -signal.SIGKILL)
        stopped = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
        if stopped:
            # The zombie: a second process takes over while it sleeps, and it goes on afterwards.
            role = next(name for name, child in self._children.items() if child.process is process)
            child = self._children[role]
            child.process, child.failures = None, 0  # the supervisor starts another of the same instance
            time.sleep(BEYOND_S)
            os.kill(process.pid, signal.SIGCONT)
            self._exit.callback(lambda: process.poll() is None and process.kill())
        return stopped

    def _approve(self, proposal: Proposal) -> bool:
        with contextlib.suppress(ApiError, OSError, RuntimeError):
            url = f"http://127.0.0.1:{self.stack.address('api', 'api_port')}"
            with ApiClient(url, self.stack.operator_token) as api:
                api.approve(proposal.id, "demo-operator", Mode.LIVE, key=f"bench-{proposal.id}")
            return True
        return False

    def publish(self, told: Incident) -> None:
        from cli.acting import append

        append(self.stack.kafka, emit(topics.INCIDENTS, told.incident, told))

    def _judged(self, key: str) -> list[str]:
        """Compare the target's log with the outcome."""
        import httpx2

        outcome, finished = self.seen.outcomes.get(key), self.seen.finished.get(key)
        if outcome is None or finished is None:
            return [f"no outcome within {DONE_WITHIN_S:.0f} s"]
        with httpx2.Client(base_url=self.control_url, headers={"Authorization": f"Bearer {self._token}"}, timeout=10.0) as client:
            log = client.get("/log").json()["effects"]
        effects, self._known = log[self._known :], len(log)
        right = [(effect["key"], effect["status"]) for effect in effects] == [(finished.action, "done")]
        wrong = [] if right else [f"effects: {json.dumps(effects)}"]
        if outcome.verdict.value != "success":
            wrong.append(f"verdict {outcome.verdict.value}")
        return wrong


def _environment(strike: Strike | None) -> dict[str, str]:
    if strike is None:
        return {}
    return {"FAULT_POINT": strike.point, "FAULT_SIDE": strike.side, "FAULT_STRIKE": strike.how, "FAULT_NTH": str(strike.nth)}


def _until(reached: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not reached():
        if time.monotonic() > deadline:
            raise RuntimeError("not reached in time")
        time.sleep(0.05)


def strikes(bench: ActingBench, todo: Iterable[Strike], say: Callable[[str], None]) -> Iterator[tuple[Strike, list[str]]]:
    """Strike one after the other; yield each with what was wrong."""
    for strike in todo:
        wrong = bench.run(strike)
        say(f"{strike.how:5} {strike.side:6} {'ok' if not wrong else '; '.join(wrong):20} {strike.point}")
        yield strike, wrong
