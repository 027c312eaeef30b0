"""From a proposal to a verdict without Kafka: logs as lists, the real stages and the real effector, a target that keeps a ledger."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from agents import admit, approve, verify
from agents.execute import Execute, Sides, Standing, Views, report
from agents.execute.executors import Answer, Description, DryRunExecutor, Status, Unreachable
from models.approvals import ApprovalBook
from models.execution.params import predict
from models.runbooks.digests import digests_of
from schemas import topics
from schemas.actions import ACTION_EVENTS, ActionSpec, Finished, Preconditions
from schemas.approvals import (
    APPROVAL_EVENTS,
    Arming,
    BlastLevel,
    Candidate,
    Command,
    CommandVerb,
    ConfidenceParts,
    Hypothesis,
    PolicyInForce,
    Proposal,
    ProposalReason,
)
from schemas.base import Position, canonical, derive_id, digest
from schemas.config.policy import Policy
from schemas.incidents import INCIDENT_EVENTS, Incident, IncidentPhase, Suspect
from schemas.kinds import ActionName, Cause, Criticality, Direction, Kind, Mode, Severity
from schemas.outcomes import NOTICE_EVENTS, Notice, Outcome
from schemas.signals import AnomalyReason, SeriesEvidence, Tick
from streams.harness.emit import parse
from streams.harness.errors import Fatal, Retryable
from streams.harness.stage import Output, Record, Stage

T0 = 1_790_000_000_000
CLUSTER = "cluster-1"
APPROVALS, ACTIONS, INCIDENTS, OUTCOMES, NOTICES = (
    topic.name for topic in (topics.APPROVALS, topics.ACTIONS, topics.INCIDENTS, topics.OUTCOMES, topics.NOTICES)
)
SCALE = ActionSpec(action=ActionName.SCALE_UP, service="orders", params={"workers": 4})
UNSCALE = ActionSpec(action=ActionName.SCALE_DOWN, service="orders", params={"workers": 2})
FOUND = Preconditions(workers=2, release="v1")
RESTART = ActionSpec(action=ActionName.RESTART, service="orders")
PARTS = ConfidenceParts(base=0.7, evidence=0.1, anomaly=0.1, topology=0.0, pattern=0.0, total=0.9)


def proposal(
    incident: str = "inc-1",
    version: int = 2,
    *,
    spec: ActionSpec = SCALE,
    undo: ActionSpec | None = UNSCALE,
    preconditions: Preconditions = FOUND,
    **changes: Any,
) -> Proposal:
    """A proposal that scales orders up; `chosen=None` abstains."""
    chosen = Candidate(
        spec=spec,
        hypothesis=1,
        cures=True,
        risk=0.05,
        blast_radius=0.1,
        blast_level=BlastLevel.LOW,
        urgency=1.0,
        expected_effect="queues drain",
        reversible=undo is not None,
        undo=undo,
        preconditions=preconditions,
    )
    guess = Hypothesis(
        rank=1,
        service=spec.service,
        cause=Cause.CPU_SPIKE,
        score=1.0,
        confidence=0.9,
        parts=PARTS,
        runbook="cpu-spike",
        reasons=(),
        series=(),
    )
    fields: dict[str, Any] = {
        "id": derive_id("prp", incident, version),
        "incident": incident,
        "incident_version": version,
        "title": f"{spec.action} {spec.service}",
        "reason": ProposalReason.CURE_FOUND,
        "hypotheses": (guess, guess.model_copy(update={"rank": 2, "cause": Cause.OTHER})),
        "candidates": (chosen,),
        "chosen": chosen,
        "confidence": 0.9,
        "criticality": Criticality.MEDIUM,
        "digests": digests_of(chosen, incident),
        "runbooks_digest": "r",
        "at": T0,
        "expires_at": T0 + 900_000,
        "source": Position(topic=INCIDENTS, partition=0, offset=0),
    }
    fields.update(changes)
    if fields["chosen"] is None:
        fields.update(digests=None, confidence=None)
    return Proposal(**fields)


def command(
    of: Proposal, verb: CommandVerb = CommandVerb.APPROVE, *, mode: Mode = Mode.LIVE, subject: str = "ann", **changes: Any
) -> Command:
    digests = of.digests
    digest = None if digests is None else digests.live if mode is Mode.LIVE else digests.dry_run
    fields = {
        "id": derive_id("cmd", of.id, subject, verb, mode),
        "proposal": of.id,
        "verb": verb,
        "mode": mode,
        "digest": digest,
        "subject": subject,
        "at": T0,
    }
    return Command(**{**fields, **changes})


def in_force(policy: Policy, name: str = "1") -> PolicyInForce:
    return PolicyInForce(id=f"pol-{name}", digest=digest(policy), content=policy.model_dump(mode="json"), at=T0)


def arming(*, armed: bool = True, until: int = T0 + 3_600_000, cluster: str = CLUSTER, name: str = "1") -> Arming:
    return Arming(id=f"arm-{name}", armed=armed, by="ann", at=T0, until=until, cluster=cluster)


def evidence(values: Sequence[float], last_at: int, *, name: str = "latency", service: str = "orders", **changes: Any) -> SeriesEvidence:
    """A series read once a second, the last value at `last_at`; its band is 0.8 to 1.2."""
    points = tuple((last_at - 1000 * (len(values) - 1 - index), value) for index, value in enumerate(values))
    fields: dict[str, Any] = {
        "series": derive_id("s", service, name),
        "service": service,
        "metric": name,
        "kind": Kind.LATENCY,
        "direction": Direction.UP,
        "value": values[-1] if values else 0.0,
        "baseline": 1.0,
        "low": 0.8,
        "high": 1.2,
        "z": 9.0,
        "points": points,
    }
    return SeriesEvidence(**{**fields, **changes})


def incident(
    version: int,
    openers: Sequence[SeriesEvidence],
    *,
    name: str = "inc-1",
    phase: IncidentPhase = IncidentPhase.UPDATED,
    at: int = T0,
    health: Sequence[SeriesEvidence] = (),
) -> Incident:
    suspects = tuple(
        Suspect(anomaly=f"anm-{one.series}", reason=AnomalyReason.SHIFT, opened_at=T0, open=True, opener=True, evidence=one)
        for one in openers
    )
    return Incident(
        id=derive_id("ire", name, version),
        incident=name,
        phase=phase,
        version=version,
        opened_at=T0,
        at=at,
        title="orders is slow",
        severity=Severity.WARNING,
        services=("orders",),
        suspects=suspects,
        health=tuple(health),
        sources=(Position(topic=topics.SIGNALS.name, partition=0, offset=version),),
    )


class Killed(BaseException):
    """The process is gone: nothing after this line happens."""


@dataclass
class Logs:
    """Every topic as a list; the broker's clock stamps what is appended."""

    now: int = T0
    records: dict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))

    def append(self, output: Output) -> Position:
        log = self.records[output.topic]
        log.append(Record(output.topic, 0, len(log), self.now, output.key, output.value, output.headers))
        return Position(topic=output.topic, partition=0, offset=len(log) - 1)

    def write(self, topic: str, event: BaseModel) -> Position:
        return self.append(Output(topic, b"k", canonical(event)))

    def events(self, topic: str, kind: type | None = None) -> list[Any]:
        adapters = {APPROVALS: APPROVAL_EVENTS, ACTIONS: ACTION_EVENTS, INCIDENTS: INCIDENT_EVENTS, NOTICES: NOTICE_EVENTS}
        parsed = [
            parse(adapters[topic], record) if topic in adapters else Outcome.model_validate_json(record.value)
            for record in self.records[topic]
        ]
        return [event for event in parsed if kind is None or isinstance(event, kind)]


@dataclass
class Running:
    """One stage with its state, its place in the log, and the snapshot that a crash takes it back to."""

    stage: Stage[Any]
    state: Any
    next: int = 0
    saved: tuple[bytes | None, int] = (None, 0)

    def run(self, logs: Logs) -> bool:
        log = logs.records[self.stage.topic]
        moved = self.next < len(log)
        while self.next < len(log):
            record = log[self.next]
            for output in self.stage.apply(self.state, record, record.timestamp):
                logs.append(output)
            self.next += 1
        return moved

    def save(self) -> None:
        self.saved = (self.stage.snapshot(self.state), self.next)

    def crash(self) -> None:
        data, self.next = self.saved
        self.state = self.stage.restore(data)


@dataclass
class FakeView:
    """Reads a log of the world to its end at every barrier."""

    logs: Logs
    topic: str
    fold: Callable[[Record], None]
    next: int = 0
    unreadable: bool = False

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def wait_ready(self, timeout_s: float) -> None:
        await self.barrier(timeout_s)

    async def barrier(self, timeout_s: float) -> dict[int, int]:
        if self.unreadable:
            raise Retryable(f"{self.topic} was not read within {timeout_s} s")
        log = self.logs.records[self.topic]
        while self.next < len(log):
            self.fold(log[self.next])
            self.next += 1
        return {0: self.next}


@dataclass
class Target:
    """A target that remembers what it did under which key and the highest token it has seen, and does whatever it is sent."""

    effects: list[str] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=lambda: {"workers": 2, "release": "v1"})
    highest: int = -1
    step: Callable[[], None] = lambda: None
    lost: int = 0  # so many answers are lost after the effect
    down: bool = False
    down_when_lost: bool = False
    during: Callable[[], Any] | None = None  # awaited once, when a call arrives

    async def describe(self, service: str) -> Description:
        self._up()
        return Description(known=service in {"orders", "catalog"}, facts=dict(self.facts))

    async def act(self, action: str, token: int, spec: ActionSpec) -> Answer:
        self.step()
        if self.during is not None:
            during, self.during = self.during, None
            await during()
        self._up()
        if token < self.highest:
            return Answer(Status.FENCED, detail="stale_fencing_token")
        self.highest = token
        self.effects.append(action)  # whoever sends twice does it twice: a key alone does not help here
        before, self.facts = dict(self.facts), predict(self.facts, spec)
        self.answers[action] = Answer(Status.DONE, before, dict(self.facts))
        self.step()
        if self.lost > 0:
            self.lost -= 1
            self.down = self.down or self.down_when_lost
            raise Unreachable("the answer was lost")
        return self.answers[action]

    async def look_up(self, action: str, token: int) -> Answer:
        del token
        self.step()
        self._up()
        return self.answers.get(action, Answer(Status.NOT_DONE))

    def _up(self) -> None:
        if self.down:
            raise Unreachable("the target is down")


class World:
    """The control plane from proposals on; ticks come when the clock is moved."""

    def __init__(self, policy: Policy | None = None, *, dry_run_mode: bool = False) -> None:
        self.policy = policy or Policy()
        self.dry_run_mode = dry_run_mode
        self.logs = Logs()
        self.target = Target()
        self.executor: Any = self.target
        self.skew = 0  # of the executing host's clock
        self.stages = {
            stage.name: Running(stage, stage.restore(None))
            for stage in (approve.stage(self.policy), admit.stage(self.policy), report(), verify.stage(self.policy))
        }
        self.lives = 0
        self.execute: Execute | None = None
        self.views: Views | None = None
        self.folded = 0
        self.committed = 0
        self.step: Callable[[], None] = lambda: None
        self.slept: list[str] = []

    def restart_approve(self, policy: Policy) -> None:
        """Stop approve in order and start it under this policy."""
        running = self.stages["approve"]
        stage = approve.stage(policy)
        self.stages["approve"] = Running(stage, stage.restore(running.stage.snapshot(running.state)), running.next)

    def reread(self) -> ApprovalBook:
        """Fold the approvals log from its beginning, as a reader does that starts now."""
        sides = Sides(Policy())
        for record in self.logs.records[APPROVALS]:
            sides.fold_approvals(record)
        return sides.approvals

    def start_execute(self) -> Execute:
        """Begin a new life of the executor, from the committed offset; its views start from the beginning."""
        self.lives += 1
        sides = Sides(self.policy)
        self.views = Views(
            FakeView(self.logs, APPROVALS, sides.fold_approvals),
            FakeView(self.logs, INCIDENTS, sides.fold_incidents),
            FakeView(self.logs, ACTIONS, sides.fold_actions),
        )
        self.target.step = self.step
        self.execute = Execute(
            sides,
            self.views,
            {Mode.LIVE: self.executor, Mode.DRY_RUN: DryRunExecutor(self.executor)},
            Standing(owner=f"life-{self.lives}", cluster=CLUSTER, dry_run_mode=self.dry_run_mode, call_timeout_s=1.0),
            lambda: self.logs.now + self.skew,
            lambda: self.logs.now,
        )
        self.folded = self.committed
        self.fold_execute()
        asyncio.run(self.execute.begin(self.append))
        return self.execute

    def fold_execute(self) -> None:
        assert self.execute is not None
        log = self.logs.records[ACTIONS]
        while self.folded < len(log):
            self.execute.fold(log[self.folded])
            self.folded += 1

    async def append(self, outputs: Sequence[Output]) -> list[Position]:
        positions = []
        for output in outputs:
            self.step()  # killed before it is sent
            positions.append(self.logs.append(output))
            self.step()  # killed before the acknowledgement is seen
        return positions

    def perform(self) -> bool:
        """Perform what is pending once; say whether anything was. What must wait notes why."""
        assert self.execute is not None
        self.fold_execute()
        intents = list(self.execute.pending())
        self.committed = min([self.folded, *(intent.offset for intent in intents)])
        moved = False
        for intent in intents:
            try:
                asyncio.run(self.execute.perform(intent, self.append))
                moved = True
            except Retryable as error:
                self.slept.append(str(error))
        self.fold_execute()
        return moved

    def settle(self) -> None:
        """Run the stages and the executor until nothing moves."""
        moved = True
        while moved:
            moved = sum(running.run(self.logs) for running in self.stages.values()) > 0
            if self.execute is not None:
                moved = self.perform() or moved

    def tick(self, seconds: int = 1, *, settle: bool = True) -> None:
        """Let time pass, a tick a second on both ticked logs."""
        for _ in range(seconds):
            self.logs.now += 1000
            self.logs.write(APPROVALS, Tick(at=self.logs.now))
            self.logs.write(INCIDENTS, Tick(at=self.logs.now))
            if settle:
                self.settle()

    def open_incident(self, version: int = 1, *, value: float = 4.0, **more: Any) -> None:
        self.logs.write(INCIDENTS, incident(version, [evidence([value] * 20, self.logs.now)], **more))

    def approved(self, of: Proposal | None = None, *, mode: Mode = Mode.LIVE) -> Proposal:
        """Put an open incident, an arming, a proposal and its approval on the logs."""
        of = of or proposal()
        self.open_incident(name=of.incident)
        self.logs.write(APPROVALS, arming())
        self.logs.write(APPROVALS, of)
        self.logs.write(APPROVALS, command(of, mode=mode))
        return of

    def finished(self, topic: str = ACTIONS) -> list[Finished]:
        return self.logs.events(topic, Finished)

    def notices(self) -> list[str]:
        return [event.kind.value for event in self.logs.events(NOTICES, Notice)]


__all__ = ["Fatal", "Killed", "Target", "World"]
