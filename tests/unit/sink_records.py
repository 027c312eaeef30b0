"""One whole loop as records of the control logs, for the sink's tests."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from pydantic import BaseModel

from schemas.actions import ActionSpec, Epoch, Finished, FinishStatus, Grant, Preconditions, RefusalReason, Refused, Seen, Started
from schemas.approvals import (
    Arming,
    BlastLevel,
    Candidate,
    Command,
    CommandVerb,
    ConfidenceParts,
    Decision,
    DecisionOutcome,
    Digests,
    Explanation,
    Hypothesis,
    PolicyInForce,
    Proposal,
    ProposalReason,
    UndoRequest,
    Withdrawal,
    WithdrawalReason,
)
from schemas.base import Position, canonical, digest
from schemas.config.policy import Policy
from schemas.incidents import Feedback, Incident, IncidentPhase, Suspect
from schemas.kinds import ActionName, Cause, Direction, Kind, Mode, Severity, Verdict
from schemas.outcomes import Delivery, MetricVerdict, Notice, NoticeKind, Outcome
from schemas.signals import AnomalyReason, SeriesEvidence, Tick
from schemas.topics import ACTIONS, APPROVALS, INCIDENTS, NOTICES, OUTCOMES, TopicSpec
from streams.harness.stage import Record

T0 = 1_795_000_000_000  # 2026-11-18
HERE = Position(topic="airra.signals.v1", partition=0, offset=7)
RESTART = ActionSpec(action=ActionName.RESTART, service="inventory")
SCALE = ActionSpec(action=ActionName.SCALE_UP, service="inventory", params={"workers": 4})


class Log:
    """Append models as a broker would: offsets and append times of their own for each topic."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._next: dict[str, int] = defaultdict(int)

    def append(self, topic: TopicSpec, model: BaseModel, headers: tuple[tuple[str, bytes], ...] = ()) -> Record:
        return self.append_bytes(topic, canonical(model), headers)

    def append_bytes(self, topic: TopicSpec, value: bytes, headers: tuple[tuple[str, bytes], ...] = ()) -> Record:
        offset = self._next[topic.name]
        self._next[topic.name] += 1
        self.records.append(Record(topic.name, 0, offset, T0 + len(self.records), b"key", value, headers))
        return self.records[-1]


def evidence(**changes: Any) -> SeriesEvidence:
    values: dict[str, Any] = {
        "series": "00ff",
        "service": "inventory",
        "metric": "memory_bytes",
        "kind": Kind.MEMORY,
        "direction": Direction.UP,
    }
    return SeriesEvidence(**{**values, "value": 9.0, "baseline": 1.0, "low": 0.5, "high": 1.5, "z": 12.0, **changes})


def incident(version: int = 1, phase: IncidentPhase = IncidentPhase.OPENED, name: str = "inc-1") -> Incident:
    suspect = Suspect(
        anomaly="anm-1",
        reason=AnomalyReason.SHIFT,
        opened_at=T0,
        open=phase is not IncidentPhase.RESOLVED,
        opener=True,
        evidence=evidence(),
    )
    return Incident(
        id=f"ire-{name}-{version}",
        incident=name,
        phase=phase,
        version=version,
        opened_at=T0,
        at=T0 + version * 10_000,
        title="inventory leaks memory",
        severity=Severity.CRITICAL,
        services=("inventory", "orders"),
        suspects=(suspect,),
        health=(),
        sources=(HERE,),
    )


def hypothesis(rank: int, service: str, confidence: float) -> Hypothesis:
    parts = ConfidenceParts(base=0.28, evidence=0.2, anomaly=0.2, topology=0.1, pattern=0.0, total=confidence)
    return Hypothesis(
        rank=rank,
        service=service,
        cause=Cause.MEMORY_LEAK,
        score=confidence,
        confidence=confidence,
        parts=parts,
        runbook="memory-leak",
        reasons=("memory grows",),
        series=("00ff",),
    )


def candidate(spec: ActionSpec, rank: int, risk: float) -> Candidate:
    return Candidate(
        spec=spec,
        hypothesis=rank,
        cures=rank == 1,
        risk=risk,
        blast_radius=0.2,
        blast_level=BlastLevel.LOW,
        urgency=2.0,
        expected_effect="memory falls",
        reversible=False,
    )


def proposal(name: str = "prp-1", chosen: Candidate | None = None, services: tuple[str, ...] = ("inventory", "orders")) -> Proposal:
    return Proposal(
        id=name,
        incident="inc-1",
        incident_version=2,
        title="restart inventory",
        reason=ProposalReason.CURE_FOUND if chosen else ProposalReason.LOW_CONFIDENCE,
        hypotheses=tuple(hypothesis(rank + 1, service, 0.82 - 0.3 * rank) for rank, service in enumerate(services)),
        candidates=(candidate(RESTART, 1, 0.35), candidate(ActionSpec(action=ActionName.NONE, service=""), 0, 0.0)),
        chosen=chosen,
        confidence=0.82 if chosen else None,
        digests=Digests(dry_run="d0", live="d1") if chosen else None,
        runbooks_digest="rb",
        at=T0 + 20_000,
        expires_at=T0 + 900_000,
        source=Position(topic=INCIDENTS.name, partition=0, offset=1),
    )


def outcome(action: str = "act-1", version: int = 1, confidence: float = 0.82, correct: int | None = 1, metrics: int = 2) -> Outcome:
    verdicts = tuple(
        MetricVerdict(
            series=f"{number:04x}",
            service="inventory",
            metric="memory_bytes",
            before=9.0,
            after=1.0,
            improvement=0.88,
            in_band=True,
            points=5,
        )
        for number in range(metrics)
    )
    return Outcome(
        id=f"out-{action}",
        version=version,
        action=action,
        proposal="prp-1",
        incident="inc-1",
        mode=Mode.LIVE,
        service="inventory",
        cause=Cause.MEMORY_LEAK,
        action_name=ActionName.RESTART,
        verdict=Verdict.SUCCESS if correct else Verdict.NONE,
        confidence=confidence,
        correct=correct,
        confirmed_by=None if version == 1 else "ada",
        metrics=verdicts,
        started_at=T0 + 30_000,
        finished_at=T0 + 31_000,
        at=T0 + 60_000,
        source=Position(topic=INCIDENTS.name, partition=0, offset=3),
    )


def grant() -> Grant:
    return Grant(
        id="act-1",
        proposal="prp-1",
        incident="inc-1",
        decision="dec-1",
        digest="d1",
        mode=Mode.LIVE,
        spec=RESTART,
        preconditions=Preconditions(workers=2),
        lease_until=T0 + 90_000,
        at=T0 + 29_000,
    )


def started() -> Started:
    names = {"action": "act-1", "proposal": "prp-1", "incident": "inc-1"}
    return Started(id="sta-1", **names, mode=Mode.LIVE, spec=RESTART, epoch=0, seen=Seen(incident_version=2), at=T0 + 30_000)


def finished() -> Finished:
    names = {"action": "act-1", "proposal": "prp-1", "incident": "inc-1"}
    return Finished(
        id="fin-1",
        **names,
        mode=Mode.LIVE,
        spec=RESTART,
        status=FinishStatus.SUCCEEDED,
        before={"workers": 2},
        after={"workers": 2},
        at=T0 + 31_000,
    )


def refused() -> Refused:
    names = {"action": "act-2", "proposal": "prp-2", "incident": "inc-1"}
    return Refused(id="ref-2", **names, mode=Mode.LIVE, spec=SCALE, reason=RefusalReason.NOT_ARMED, seen=Seen(), at=T0 + 32_000)


def notice(number: int) -> Notice:
    return Notice(
        id=f"not-{number}", kind=NoticeKind.APPROVAL_NEEDED, incident="inc-1", severity=Severity.CRITICAL, title="t", text="x", at=T0
    )


def whole_loop() -> Log:
    """Build the logs of one incident from its opening to its verified outcome, with everything else that may stand on them."""
    log = Log()
    log.append(INCIDENTS, incident())
    log.append(INCIDENTS, Tick(at=T0 + 1_000))
    log.append(INCIDENTS, incident(2, IncidentPhase.UPDATED))
    log.append(APPROVALS, proposal(chosen=candidate(RESTART, 1, 0.35)))
    log.append(NOTICES, notice(1))
    log.append(NOTICES, Delivery(id="dlv-1", notice="not-1", receiver="webhook", status="delivered", attempts=1, at=T0))
    log.append(APPROVALS, Arming(id="arm-1", armed=True, by="ada", at=T0, until=T0 + 3_600_000, cluster="c"))
    command = Command(id="cmd-1", proposal="prp-1", verb=CommandVerb.APPROVE, mode=Mode.LIVE, digest="d1", subject="ada", at=T0)
    placed = log.append(APPROVALS, command)
    log.append(APPROVALS, command.model_copy(update={"id": "cmd-2", "subject": "bob", "verb": CommandVerb.REJECT}))
    source = Position(topic=placed.topic, partition=0, offset=placed.offset)
    names = {"proposal": "prp-1", "incident": "inc-1"}
    log.append(
        APPROVALS,
        Decision(
            id="dec-1", **names, outcome=DecisionOutcome.APPROVED, mode=Mode.LIVE, digest="d1", subject="ada", at=T0 + 28_000, source=source
        ),
    )
    explanation = Explanation(id="exp-1", proposal="prp-1", provider="anthropic", model="m", status="ok", order=(0, 1), agrees=True, at=T0)
    log.append(APPROVALS, explanation.model_copy(update={"input_tokens": 900, "output_tokens": 80}))
    log.append(ACTIONS, Epoch(id="epo-1", owner="execute-0", at=T0))
    log.append(ACTIONS, grant())
    for event in (started(), finished()):
        original = log.append(ACTIONS, event)
        copied = (("airra.source", f"{original.topic}/0@{original.offset}".encode()),)
        log.append(INCIDENTS, event, copied)
        log.append(APPROVALS, event, copied)
    log.append(ACTIONS, refused())
    log.append(APPROVALS, UndoRequest(id="und-1", action="act-1", **names, reason="worse", at=T0))
    log.append(OUTCOMES, outcome())
    content = Policy().model_dump(mode="json")
    log.append(APPROVALS, PolicyInForce(id="pol-1", digest=digest(content), content=content, at=T0))
    over = log.append(INCIDENTS, incident(3, IncidentPhase.RESOLVED))
    ended = Position(topic=over.topic, partition=0, offset=over.offset)
    log.append(APPROVALS, Withdrawal(id="wdr-1", incident="inc-1", reason=WithdrawalReason.RESOLVED, at=T0, source=ended))
    log.append(INCIDENTS, Feedback(id="fbk-1", incident="inc-1", subject="ada", at=T0 + 70_000, confirmed_service="inventory"))
    return log
