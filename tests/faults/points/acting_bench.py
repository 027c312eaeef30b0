"""The effects of the control role under strikes (execute, tell, the LLM), over a live target; what counts is the target's own log.

The folds run beside it and are not struck (the harness's bench is theirs). The bench plays correlate and a person: it writes incidents
whose evidence names a memory leak, approves what is proposed, and shows a recovery once the action is done.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from cli.acting import append, arm
from cli.reading import read
from models.execution import log as actions_log
from models.execution.log import ActionLog
from schemas import topics
from schemas.actions import ACTION_EVENTS, FinishStatus, Grant
from schemas.approvals import Command, CommandVerb, Proposal
from schemas.base import derive_id
from schemas.incidents import Incident, IncidentPhase
from schemas.kinds import Mode
from streams.harness.emit import emit, parse
from tests.faults.points.acting_world import World
from tests.faults.points.code import SOCKET, SOCKET_WRITE
from tests.faults.points.doubles import counted
from tests.faults.points.driving import SESSION_S, Family, Verdict
from tests.faults.points.groups import MOVED_WITHIN_S, Groups, until
from tests.faults.points.patient import SICK, WELL, Patient
from tests.faults.points.proven import SOCKET_POINTS
from tests.faults.points.spots import Spot
from tests.kafka.broker import KafkaBroker
from tests.unit.incident_world import SERVICES

ACT = "agents.execute.effector:Execute._act:executor.act"
EVERY_S = 0.4  # the evidence is renewed
WITHIN_S = 45.0  # of one scene
ENDED_WITHIN_S = 90.0
DELAY_S = 30.0  # the target is still at it when the next process asks
LATE_S = 10.0  # a zombie sleeps on until the next process has been at the target, if it gets there in time
CONSTANTS = {
    "streams.harness.effector_runner:SESSION_TIMEOUT_MS": int(SESSION_S * 1000),
    "streams.harness.effector_runner:HEARTBEAT_MS": 800,
}
PLAIN = {"FAULT_SET": json.dumps(CONSTANTS)}  # of whoever is killed at the end of a scene: the next does not wait for its session
# A crash that comes before the strike, so that there is something to look up.
CRASH: dict[str, dict[str, str]] = {
    "look_up": {"FAULT_POINT": ACT, "FAULT_SIDE": "before"},
    "looked": {"FAULT_POINT": ACT, "FAULT_SIDE": "after"},
    "unknown": {"FAULT_POINT": SOCKET_WRITE, "FAULT_FROM": ACT, "FAULT_NTH": "1", "FAULT_SIDE": "after"},
}
SETTINGS: dict[str, dict[str, str]] = {
    "refused": {"AIRRA_DRY_RUN_MODE": "true"},
    "openai": {"AIRRA_LLM_PROVIDER": "openai"},
}
_counter = itertools.count()


class ActingBench:
    def __init__(self, broker: KafkaBroker, folder: Path) -> None:
        self._world = World(broker, folder).__enter__()
        self._folder = folder
        self._groups = Groups(broker.bootstrap)
        self.victim, self._second = self._world.effects("0"), self._world.effects("1")
        self._patients: list[Patient] = []
        self._stepped = 0.0
        self._counts = (0, 0, 0)  # lost, doubled, wrong effects as of the last comparison
        self._read = 0  # of the actions log
        self._log = ActionLog(max_closed=1_000_000)
        self._incidents: dict[str, str] = {}  # by action that was granted
        self._wrong: list[str] = []
        self._late_write = False
        self.victim.start()
        until(lambda: self._world.seen.epochs > 0, 120.0, "the effects are armed and begin", self._armed)

    def _armed(self) -> None:
        arm(self._world.kafka, "bench", 24 * 3600.0)
        time.sleep(1.0)

    def live(self, scene: str, environment: Mapping[str, str], over: Callable[[], bool]) -> None:
        patient = self._fall_ill(Mode.DRY_RUN if scene == "dry" else Mode.LIVE)
        if scene in CRASH:
            self._crash(scene)
        self._world.receiver.refusals = int(scene == "retry")
        if scene == "fenced":
            self._patients.remove(patient)  # it is asked about once the fence stands
        # All but a strike after the last write: then the whole request was there before the process slept.
        where = (environment.get("FAULT_POINT"), environment.get("FAULT_NTH"), environment.get("FAULT_SIDE"))
        self._late_write = where[0] == SOCKET_WRITE and where[1:] != ("1", "after")
        seen, epochs = Path(environment.get("FAULT_SEEN", self._folder / "seen")), self._world.seen.epochs
        seen.unlink(missing_ok=True)
        settings = {"AIRRA_CONFIG_DIR": str(self._world.configs.get(scene, self._world.configs["plain"])), **SETTINGS.get(scene, {})}
        self.victim.start({"FAULT_SEEN": str(seen), **environment, **PLAIN}, settings)
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline and not over() and (self.victim.running or self.victim.stopped):
            self._step()
            if scene == "fenced" and patient not in self._patients and self._world.seen.epochs > epochs:
                self._world.fence(self._end_of_actions())
                self._patients.append(patient)
            elif scene == "end" and seen.exists() and ACT in seen.read_text():
                self.victim.signal(signal.SIGTERM)

    def _crash(self, scene: str) -> None:
        if scene == "unknown":
            self._world.delay(DELAY_S)
        self.victim.start({**CRASH[scene], **PLAIN})
        until(lambda: self.victim.struck, WITHIN_S, f"the crash before {scene}", self._step)

    def _fall_ill(self, mode: Mode) -> Patient:
        number = next(_counter)
        patient = Patient(f"inc-{os.getpid()}-{number:04d}", self._publish, SERVICES[number % len(SERVICES)], mode)
        self._patients.append(patient)
        return patient

    def _publish(self, told: Incident) -> None:
        append(self._world.kafka, emit(topics.INCIDENTS, told.incident, told))

    def _step(self) -> None:
        """Renew the evidence of every open incident, and approve what is proposed."""
        time.sleep(0.05)
        if time.monotonic() - self._stepped < EVERY_S:
            return
        self._stepped = time.monotonic()
        for patient in self._patients:
            patient.step(WELL if self._world.seen.end_of(patient.key) else SICK)
            proposal = self._world.seen.proposals.get(patient.key)
            if proposal is not None and not patient.approved:
                patient.approved = True
                self._approve(proposal, patient.mode)

    def _approve(self, proposal: Proposal, mode: Mode) -> None:
        """Say what the API says when a person approves."""
        assert proposal.digests is not None
        command = Command(
            id=derive_id("cmd", proposal.id, "bench"),
            proposal=proposal.id,
            verb=CommandVerb.APPROVE,
            mode=mode,
            digest=proposal.digests.live if mode is Mode.LIVE else proposal.digests.dry_run,
            subject="bench",
            at=int(time.time() * 1000),
        )
        append(self._world.kafka, emit(topics.APPROVALS, proposal.id, command))

    def _end_of_actions(self) -> int:
        last = [record.offset for record in read(self._world.kafka, topics.ACTIONS.name, newest=1)]
        return last[-1] + 1 if last else 0

    def bury(self) -> None:
        if self.victim.stopped:
            zombie = self.victim.release()
            epochs = self._world.seen.epochs
            self._second.start(PLAIN)
            until(lambda: self._taken_over() and self._world.seen.epochs > epochs, MOVED_WITHIN_S + 20, "another takes over", self._step)
            late = time.monotonic() + LATE_S
            while time.monotonic() < late and any(self._world.seen.end_of(one.key) is None for one in self._patients if one.approved):
                self._step()
            before = len(self._world.gate.requests)
            zombie.send_signal(signal.SIGCONT)
            self._awake(zombie)
            if self._late_write and not self._world.gate.refused(before):
                self._wrong.append("what the zombie wrote to the target was not refused there")
        self.victim.kill()
        self._second.kill()

    def _taken_over(self) -> bool:
        return all(self._groups.without(f"airra-{name}", f"{name}-0") for name in ("execute", "tell", "llm"))

    def _awake(self, zombie: subprocess.Popen[bytes]) -> None:
        """Give it time to do what it was about to do; it may end by itself."""
        until_s = time.monotonic() + 3.0
        while time.monotonic() < until_s and zombie.poll() is None:
            self._step()
        zombie.kill()
        zombie.wait()

    def judge(self) -> Verdict:
        """Let a plain process finish everything, and compare the target's log with what the actions log says."""
        self.victim.start()
        seen = self._world.seen
        open_ones = list(self._patients)

        def over() -> bool:
            return all(seen.end_of(one.key) is not None and self._verified(one) for one in open_ones) and not self._untold()

        failed = list(self._wrong)
        self._wrong = []
        try:
            until(over, ENDED_WITHIN_S, "every incident has its end", self._step)
        except RuntimeError:
            failed += [f"{one.key}: no end" for one in open_ones if seen.end_of(one.key) is None]
            failed += [f"{one.key}: no outcome" for one in open_ones if not self._verified(one)]
            failed += self._untold()
        for patient in open_ones:
            patient.step(WELL, IncidentPhase.RESOLVED)
        self._patients.clear()
        self.victim.kill()
        lost, twice, wrong = self._compared()
        return Verdict(lost=lost, doubled=twice, wrong=wrong, failed=tuple(failed))

    def _verified(self, patient: Patient) -> bool:
        end = self._world.seen.end_of(patient.key)
        succeeded = getattr(end, "status", None) is FinishStatus.SUCCEEDED and patient.mode is Mode.LIVE
        return not succeeded or patient.key in self._world.seen.outcomes

    def _untold(self) -> list[str]:
        """Say which notice did not reach a receiver, which proposal has no explanation, and what has two."""
        seen, told = self._world.seen, self._world.receiver.told
        wrong = [f"{name} was not told" for name in list(seen.notices) if not told[name] or (name, "webhook") not in seen.deliveries]
        wrong += [f"{name} has no explanation" for name in list(seen.asked) if name not in seen.explanations]
        wrong += [f"{name} has two explanations" for name, ids in list(seen.explanations.items()) if len(ids) > 1]
        wrong += [f"{name} has two deliveries to {receiver}" for (name, receiver), ids in list(seen.deliveries.items()) if len(ids) > 1]
        return wrong

    def _compared(self) -> tuple[int, int, int]:
        """Return lost, doubled and wrong effects: the target's log, and what came to it, against a linear replay of the actions log."""
        records = [record for record in read(self._world.kafka, topics.ACTIONS.name) if record.offset >= self._read]
        for record in records:
            event = parse(ACTION_EVENTS, record)
            if isinstance(event, Grant):
                self._incidents[event.id] = event.incident
            actions_log.fold(self._log, event, record.offset)
        self._read = records[-1].offset + 1 if records else self._read
        keys = [effect["key"] for effect in self._world.log() if effect["status"] == "done"]
        counts = counted(keys, self._log.closed, self._incidents, self._world.gate.requests)
        before, self._counts = self._counts, counts
        return counts[0] - before[0], counts[1] - before[1], counts[2] - before[2]

    def close(self) -> None:
        self._world.__exit__()


FAMILY = Family(
    "acting",
    "the process that executes, tells and asks the LLM at every await, and at both writes of the request that acts to the socket",
    owns=("agents.", "streams.harness.view:", SOCKET),
    scenes=("act", "dry", "end", "look_up", "looked", "retry", "openai", "refused", "unreadable", "unknown", "fenced"),
    make=ActingBench,
    shared=False,
    minutes={"kill": 20, "stop": 40},
    fixed={
        name: Spot("act", {"FAULT_POINT": SOCKET_WRITE, "FAULT_FROM": ACT, "FAULT_NTH": str(number)})
        for number, name in enumerate(SOCKET_POINTS)
    },
    worked="before streams.harness.effector_runner:EffectorRunner._perform:self.effector.perform",
)
