"""What the acting bench runs beside what it strikes: a live target, people to be told, an LLM, the folds of the control role."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import httpx2
import yaml

from cli.demo.command import ROOT
from cli.demo.sandbox import Sandbox
from cli.processes import role_env
from cli.watch import Watch
from schemas import topics
from streams.harness.kafka import KafkaSettings
from streams.harness.topics import create_topics
from tests.faults.points.gate import Gate, Receiver
from tests.faults.points.groups import plain_environment, python
from tests.faults.points.patient import Seen
from tests.faults.points.victim import Victim
from tests.kafka.broker import KafkaBroker
from tests.llm_server import LlmServer
from tests.unit.incident_world import SERVICES

LONG = MappingProxyType({"hold_s": 3600.0, "wait_s": 3600.0})  # of a lease: in a round of strikes who acts is dead most of the time


def scenario(folder: Path) -> Path:
    """Write a quiet shop whose services are those of the invented incidents."""
    path = folder / "quiet.yaml"
    services = [{"name": name, "entry": name == "gateway", "workers": 2, "release": "v1"} for name in SERVICES]
    path.write_text(yaml.safe_dump({"name": "quiet", "load": {"rps": 1}, "services": services}))
    return path


def configuration(folder: Path, name: str = "config", lease: Mapping[str, float] = MappingProxyType({}), **acting: float) -> Path:
    """Copy the shipped configuration and take the waiting out of it: what is decided is the same."""
    shutil.copytree(ROOT / "config", folder / name)
    for file, section, change in (
        ("runbooks", "proposing", {"settle_s": 0.2}),
        ("policy", "verification", {"settle_s": 0.5}),
        ("policy", "budget", {"live_per_hour": 100_000}),
        ("policy", "lease", lease),
        ("policy", "acting", acting),
    ):
        path = folder / name / f"{file}.yaml"
        content = yaml.safe_load(path.read_text())
        content.setdefault(section, {}).update(change)
        path.write_text(yaml.safe_dump(content))
    return folder / name


class World:
    """Use as a context. `effects(instance)` is a slot for the process that is struck."""

    def __init__(self, broker: KafkaBroker, folder: Path) -> None:
        self.kafka = KafkaSettings(broker.bootstrap)
        self._folder = folder
        self._token = secrets.token_urlsafe(24)
        self._exit = contextlib.ExitStack()
        self.seen = Seen()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as guard:
            guard.callback(self._exit.close)  # what has been started, if the rest does not start
            self._start()
            guard.pop_all()
        return self

    def _start(self) -> None:
        create_topics(self.kafka, topics.CATALOGUE)
        self.configs = {
            "plain": configuration(self._folder, "plain", LONG),
            "unreadable": configuration(self._folder, "unreadable", LONG, barrier_s=0.001, patience_s=0),
            "unknown": configuration(self._folder, "unknown", LONG, look_up_s=0.2),
        }
        bootstrap = self.kafka.bootstrap
        sandbox = Sandbox(scenario(self._folder), "none", 1, bootstrap, self._folder / "sandbox", self._token, test_hooks=True)
        self._exit.callback(sandbox.stop)
        self.receiver = self._exit.enter_context(Receiver())
        self.llm = self._exit.enter_context(LlmServer())
        ready = sandbox.wait_ready()
        self.target = self._exit.enter_context(
            httpx2.Client(base_url=ready["control_url"], headers={"Authorization": f"Bearer {self._token}"}, timeout=20.0)
        )
        self.gate = self._exit.enter_context(Gate(ready["control_url"]))
        settings = {
            "kafka_bootstrap": bootstrap,
            "config_dir": self.configs["plain"],
            "dry_run_mode": False,
            "executor": "http",
            "executor_url": self.gate.url,
            "executor_token": self._token,
            "topology_file": ready["topology"],
            "webhook_url": self.receiver.url,
            "llm_api_key": "sk-test",
            "llm_base_url": self.llm.url,
            "observe_port": 0,
        }
        self._settings: dict[str, Any] = settings
        watch = Watch(self.kafka.confluent(), self.seen.take)
        watch.start()
        self._exit.callback(watch.stop)
        folds = self._slot("folds", "0")
        folds.start()
        self._exit.callback(folds.kill)

    def effects(self, instance: str) -> Victim:
        slot = self._slot("effects", instance)
        self._exit.callback(slot.kill)
        return slot

    def _slot(self, half: str, instance: str) -> Victim:
        folder = self._folder / f"{half}-{instance}"
        env = role_env({**self._settings, "data_dir": folder, "instance": instance}, plain_environment())
        return Victim(python("tests.faults.points.half", half), env, folder.with_suffix(".log"))

    def log(self) -> list[dict[str, Any]]:
        """Return what the target itself says was done to it."""
        effects: list[dict[str, Any]] = self.target.get("/log").json()["effects"]
        return effects

    def fence(self, token: int) -> None:
        """Raise the target's fence, as a newer executor would."""
        self.target.get("/actions/none", headers={"Fencing-Token": str(token)})

    def delay(self, seconds: float) -> None:
        """Hold the target's next action back before its effect."""
        self.target.post("/test/delay", json={"seconds": seconds, "where": "before"}).raise_for_status()

    def __exit__(self, *_: object) -> None:
        self._exit.close()
