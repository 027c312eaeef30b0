"""A place where AIRRA acts: a live target, the control role kept running as a supervisor does, and a person who approves.

The bench plays correlate: it writes incidents whose evidence names a memory leak, keeps them fresh, and shows a recovery once the
action is done. What counts is the target's own log: each incident that was approved has one effect in it, no other has any.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import secrets
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import httpx2

from cli.acting import append, arm
from cli.demo.sandbox import Sandbox
from cli.processes import WRONG_CONFIGURATION, role_command, role_env
from cli.watch import Watch
from schemas import topics
from schemas.actions import RefusalReason, Refused
from schemas.approvals import Command, CommandVerb, Proposal
from schemas.base import derive_id
from schemas.incidents import Incident
from schemas.kinds import Mode
from streams.harness.emit import emit
from streams.harness.errors import Fatal
from streams.harness.kafka import KafkaSettings
from streams.harness.topics import create_topics
from tests.faults.holding import holding
from tests.faults.points.acting_world import configuration, scenario
from tests.faults.points.groups import plain_environment, until
from tests.faults.points.patient import SICK, WELL, Patient, Seen
from tests.faults.points.victim import Victim
from tests.network.recorder import Recorder
from tests.unit.incident_world import SERVICES

EVERY_S = 0.5  # the evidence is renewed
READY_WITHIN_S = 120.0
DONE_WITHIN_S = 180.0  # with a broker that comes back, and roles that start anew


NO_CHANGES: Mapping[str, float] = MappingProxyType({})


class Site:
    """Use as a context. `replication` is that of every topic; `lease` and `acting` change the policy's sections of these names."""

    def __init__(
        self,
        bootstrap: str,
        folder: Path,
        replication: int = 1,
        lease: Mapping[str, float] = NO_CHANGES,
        acting: Mapping[str, float] = NO_CHANGES,
    ) -> None:
        self.kafka = KafkaSettings(bootstrap)
        self.seen = Seen()
        self.exits: collections.Counter[int] = collections.Counter()
        self._folder = folder
        self._replication = replication
        self._lease, self._acting = lease, acting
        self._token = secrets.token_urlsafe(24)
        self._exit = contextlib.ExitStack()
        self._numbers = itertools.count()
        self._patients: dict[str, Patient] = {}
        self._waiting: set[str] = set()  # incidents of which a person has not made up their mind
        self._stepped = 0.0
        self._lives = 0  # of the control role

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as guard:
            guard.callback(self._exit.close)  # what has been started, if the rest does not start
            self._start()
            guard.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def _start(self) -> None:
        create_topics(self.kafka, topics.CATALOGUE, self._replication)
        sandbox = Sandbox(scenario(self._folder), "none", 1, self.kafka.bootstrap, self._folder / "sandbox", self._token, test_hooks=True)
        self._exit.callback(sandbox.stop)
        self._ready = sandbox.wait_ready()
        headers = {"Authorization": f"Bearer {self._token}"}
        self._target = self._exit.enter_context(httpx2.Client(base_url=self._ready["control_url"], headers=headers, timeout=20.0))
        self._front = self._exit.enter_context(Recorder(self._ready["control_url"]))
        self._config = configuration(self._folder, "config", self._lease, **self._acting)
        self._begin()

    def _begin(self) -> None:
        """Watch the logs, and make a slot for the control role; it is not started."""
        self._watch = Watch(self.kafka.confluent(), self.seen.take)
        self._watch.start()
        settings = {
            "kafka_bootstrap": self.kafka.bootstrap,
            "kafka_replication": self._replication,
            "config_dir": self._config,
            "dry_run_mode": False,
            "executor": "http",
            "executor_url": self._front.url,
            "executor_token": self._token,
            "topology_file": self._ready["topology"],
            "observe_port": 0,
            "data_dir": self._folder / "data",
        }
        self.log = self._folder / f"control-{self._lives}.log"
        self._lives += 1
        self.control = Victim(role_command("control"), role_env(settings, plain_environment()), self.log)
        self._exit.callback(self.control.kill)
        self._exit.callback(self._watch.stop)

    def move(self, bootstrap: str) -> None:
        """Go on with the same target on another cluster, whose logs are watched from their beginning; control is not started."""
        self.control.kill()
        self._watch.stop()
        self.kafka = KafkaSettings(bootstrap)
        self.seen = Seen()
        self._patients.clear()
        self._begin()

    # what a person does

    def arm(self) -> None:
        """Arm, again and again until the effects begin: an arming counts only once they have noticed that they need one."""
        epochs = self.seen.epochs

        def meanwhile() -> None:
            arm(self.kafka, "bench", 24 * 3600.0)
            self.pass_time(1.0)

        until(lambda: self.seen.epochs > epochs, READY_WITHIN_S, "the effects are armed and begin", meanwhile)

    def start(self) -> None:
        self.control.start()
        self.arm()

    def fall_ill(self, *, approve: bool = True) -> str:
        number = next(self._numbers)
        key = f"inc-{number:04d}-{self._folder.name}"
        self._patients[key] = Patient(key, self._publish, SERVICES[number % len(SERVICES)])
        if not approve:
            self._waiting.add(key)
        return key

    def approve(self, key: str) -> None:
        self._waiting.discard(key)

    def said_yes(self, key: str) -> bool:
        return self._patients[key].approved

    def forget(self, key: str) -> None:
        """Renew the evidence of this incident no longer."""
        self._patients.pop(key, None)

    def heal(self, key: str, within_s: float = DONE_WITHIN_S) -> float:
        """Wait for the incident's outcome; return the seconds it took."""
        begun = time.monotonic()
        until(lambda: key in self.seen.outcomes, within_s, f"{key} has its outcome", self.step)
        self.forget(key)
        return time.monotonic() - begun

    def done_after(self, key: str, within_s: float) -> float:
        """Wait for the incident's effect; return the seconds it took."""
        begun = time.monotonic()
        until(lambda: bool(self.of(key)), within_s, f"what {key} needs is done", self.step)
        return time.monotonic() - begun

    # the course of things

    def held(self) -> contextlib.AbstractContextManager[threading.Event]:
        """Hold what the target says of itself back until the end of this: who is about to act is in the midst of its last look."""
        return holding(self._front)

    def granted(self, key: str) -> bool:
        """Say whether an action of this incident stands granted on the log, without an end."""
        return self.seen.end_of(key) is None and any(grant.incident == key for grant in self.seen.grants.values())

    def refusals(self, key: str) -> set[RefusalReason]:
        """Return why actions of this incident were refused."""
        actions = {action for action, grant in self.seen.grants.items() if grant.incident == key}
        ends = (end for action in actions for end in self.seen.ends.get(action, {}).values())
        return {end.reason for end in ends if isinstance(end, Refused)}

    def step(self) -> None:
        """Start control again where it ended, and see to the patients."""
        code = self.control.code
        if code is not None:
            self.exits[code] += 1
            if code == WRONG_CONFIGURATION:
                raise RuntimeError(f"control refuses to run: {self.last_words()}")
            self.control.start()
        self.renew()

    def renew(self) -> None:
        """Renew the evidence, approve what is proposed; brokers may be away."""
        time.sleep(0.05)
        if time.monotonic() - self._stepped < EVERY_S:
            return
        self._stepped = time.monotonic()
        with contextlib.suppress(Fatal):
            for key, patient in list(self._patients.items()):
                patient.step(WELL if self.seen.end_of(key) else SICK)
                proposal = self.seen.proposals.get(key)
                if proposal is not None and not patient.approved and key not in self._waiting:
                    self._say_yes(proposal)
                    patient.approved = True

    def pass_time(self, seconds: float, meanwhile: Callable[[], None] | None = None) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            (meanwhile or self.step)()

    def stop_control(self) -> None:
        """SIGTERM, and wait for its end."""
        self.control.signal(signal.SIGTERM)
        until(lambda: not self.control.running, READY_WITHIN_S, "control has stopped")
        self.control.kill()  # the slot is empty: nobody starts it again

    def last_words(self) -> str:
        return "\n".join(line for line in self.log.read_text(errors="replace").splitlines()[-12:] if not line.startswith("{"))[-600:]

    def _publish(self, told: Incident) -> None:
        append(self.kafka, emit(topics.INCIDENTS, told.incident, told))

    def _say_yes(self, proposal: Proposal) -> None:
        """Say what the API says when a person approves."""
        assert proposal.digests is not None
        command = Command(
            id=derive_id("cmd", proposal.id, "bench"),
            proposal=proposal.id,
            verb=CommandVerb.APPROVE,
            mode=Mode.LIVE,
            digest=proposal.digests.live,
            subject="bench",
            at=int(time.time() * 1000),
        )
        append(self.kafka, emit(topics.APPROVALS, proposal.id, command))

    # the truth

    def effects(self) -> list[str]:
        """Return the keys of all that was done to the target, as its own log has them, in order."""
        told: list[dict[str, Any]] = self._target.get("/log").json()["effects"]
        return [effect["key"] for effect in told if effect["status"] == "done"]

    def of(self, key: str) -> int:
        """Return how many effects an incident had."""
        actions = {action for action, grant in self.seen.grants.items() if grant.incident == key}
        return sum(1 for effect in self.effects() if effect in actions)


def one_waits(site: Site) -> tuple[str, str]:
    """Live through one incident, and a second one until it waits for a person; return both."""
    first = site.fall_ill()
    site.heal(first)
    second = site.fall_ill(approve=False)
    until(lambda: second in site.seen.proposals, READY_WITHIN_S, "it is proposed", site.step)
    return first, second
