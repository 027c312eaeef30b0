"""What a run came to, told from its records alone: pure, so that recorded runs can be judged again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from schemas.actions import Finished, Refused, Started
from schemas.approvals import Command, Decision, DecisionOutcome, Proposal
from schemas.incidents import Incident, IncidentPhase
from schemas.kinds import ActionName, Verdict
from schemas.outcomes import Notice, NoticeKind, Outcome
from schemas.signals import Anomaly, Phase


@dataclass(frozen=True)
class Fault:
    """What the sandbox did; the expectation stays here and never reaches AIRRA."""

    name: str
    kind: str
    service: str
    at: int
    root_cause: str | None = None  # None with action None: silence is expected
    action: str | None = None


@dataclass
class Story:
    """The run so far. Times are append times in milliseconds."""

    fault: Fault | None = None
    anomaly_at: int | None = None
    incidents: dict[str, int] = field(default_factory=dict)  # incident id → when it opened
    resolved: dict[str, int] = field(default_factory=dict)
    proposals: dict[str, tuple[Proposal, int]] = field(default_factory=dict)
    decisions: dict[str, tuple[Decision, int]] = field(default_factory=dict)
    started: list[Started] = field(default_factory=list)
    finished: list[Finished] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    outcomes: dict[str, tuple[Outcome, int]] = field(default_factory=dict)
    escalated_at: int | None = None
    early: int = 0  # incidents opened before the fault

    def take(self, event: object, at: int) -> list[str]:
        """Fold one record; return what a person watching would want to read about it."""
        match event:
            case Anomaly(phase=Phase.OPENED) as anomaly:
                if self.anomaly_at is None and self.fault is not None and at >= self.fault.at:
                    self.anomaly_at = at
                found = anomaly.evidence
                return [f"anomaly: {found.service} {found.metric} {found.value:.4g} (ordinary {found.baseline:.4g}, {found.z:+.1f} σ)"]
            case Incident(phase=IncidentPhase.OPENED) as incident if incident.incident not in self.incidents:
                self.incidents[incident.incident] = at
                if self.fault is None or at < self.fault.at:
                    self.early += 1
                return [f"incident {incident.incident} opened: {incident.title} [{incident.severity}]"]
            case Incident(phase=IncidentPhase.RESOLVED) as incident if incident.incident not in self.resolved:
                self.resolved[incident.incident] = at
                return [f"incident {incident.incident} resolved"]
            case Proposal() as proposal if proposal.id not in self.proposals:
                self.proposals[proposal.id] = (proposal, at)
                return [_proposed(proposal)]
            case Command() as command:
                return [f"command: {command.verb} by {command.subject} ({command.mode})"]
            case Decision() as decision if decision.id not in self.decisions:
                self.decisions[decision.id] = (decision, at)
                return [f"decision: {decision.outcome} by {decision.subject}" + (f", {decision.mode}" if decision.digest else "")]
            case Started() as started if all(started.action != other.action for other in self.started):
                self.started.append(started)
                return [f"execution started: {started.spec.action} {started.spec.service} {started.spec.params or ''} ({started.mode})"]
            case Finished() as finished if all(finished.action != other.action for other in self.finished):
                self.finished.append(finished)
                return [f"execution {finished.status}: {finished.spec.action} {finished.spec.service}"]
            case Refused() as refused if all(refused.action != other.action for other in self.refused):
                self.refused.append(refused)
                return [f"execution refused: {refused.reason} {refused.detail}"]
            case Outcome() as outcome if outcome.action not in self.outcomes:
                self.outcomes[outcome.action] = (outcome, at)
                return [f"verified: {outcome.verdict} ({_metrics(outcome)})"]
            case Notice(kind=NoticeKind.ESCALATED) as notice:
                self.escalated_at = self.escalated_at or at
                return [f"escalated to a human: {notice.text}"]
        return []

    @property
    def found_at(self) -> int | None:
        """Return when the first incident was opened that can be about the fault."""
        after = [at for at in self.incidents.values() if self.fault is not None and at >= self.fault.at]
        return min(after, default=None)

    @property
    def last_proposal(self) -> Proposal | None:
        """Return the one that was acted on, otherwise the newest."""
        acted = {started.proposal for started in self.started}
        proposals = [proposal for proposal, _ in self.proposals.values()]
        return next((p for p in proposals if p.id in acted), proposals[-1] if proposals else None)

    def pending(self) -> Proposal | None:
        """Return the newest proposal with an action that nobody has decided yet."""
        decided = {decision.proposal for decision, _ in self.decisions.values()}
        waiting = [p for p, _ in self.proposals.values() if p.chosen is not None and p.id not in decided]
        return waiting[-1] if waiting else None

    def result(self, row: dict[str, Any] | None, total_s: float) -> dict[str, Any]:
        """Return the contract's JSON document."""
        proposal = self.last_proposal
        outcome = next(iter(self.outcomes.values()), None)
        fault_at = self.fault.at if self.fault is not None else None
        incident_at = min(self.incidents.values(), default=None)
        proposal_at = self.proposals[proposal.id][1] if proposal is not None else None
        approved_at = next((at for decision, at in self.decisions.values() if decision.outcome is DecisionOutcome.APPROVED), None)
        recovered = outcome[1] if outcome is not None and outcome[0].verdict is Verdict.SUCCESS else None
        return {
            "fault": self.fault.name if self.fault is not None else None,
            "incidents": len(self.incidents),
            "root_cause": proposal.hypotheses[0].service if proposal is not None and proposal.hypotheses else None,
            "action": _action(proposal),
            "verdict": outcome[0].verdict.value if outcome is not None else None,
            "expected": {
                "root_cause": self.fault.root_cause if self.fault is not None else None,
                "action": self.fault.action if self.fault is not None else None,
            },
            "seconds": {
                "fault_to_anomaly": _between(fault_at, self.anomaly_at),
                "fault_to_incident": _between(fault_at, incident_at),
                "incident_to_proposal": _between(incident_at, proposal_at),
                "approved_to_recovered": _between(approved_at, recovered),
                "total": round(total_s, 1),
            },
            "outcome": row,
        }


def found(story: Story, within_s: float) -> list[str]:
    """Say what is not as it should be of a run that only had to find its fault; where silence is expected, as `met` does."""
    fault = story.fault
    if fault is None or (fault.root_cause is None and fault.action is None):
        return met(story, {"incidents": len(story.incidents)})
    wrong = ["an incident was opened before the fault"] if story.early else []
    took = _between(fault.at, story.found_at)
    if took is None:
        wrong.append("no incident was opened")
    elif took > within_s:
        wrong.append(f"the incident was opened after {took:g} s, and should be within {within_s:g}")
    return wrong


def met(story: Story, result: dict[str, Any]) -> list[str]:
    """Compare a result with what the scenario expected; return what is not as it should be."""
    fault = story.fault
    wrong: list[str] = []
    if fault is None or (fault.root_cause is None and fault.action is None):
        if result["incidents"]:
            wrong.append(f"silence was expected, {result['incidents']} incidents were opened")
        return wrong
    if result["incidents"] != 1:
        wrong.append(f"one incident was expected, {result['incidents']} were opened")
    if story.early:
        wrong.append("an incident was opened before the fault")
    for name in ("root_cause", "action"):
        if result[name] != result["expected"][name]:
            wrong.append(f"{name}: expected {result['expected'][name]}, got {result[name]}")
    if fault.action == ActionName.NONE:
        if story.escalated_at is None:
            wrong.append("nobody was told: no escalation")
        if story.started:
            wrong.append("something was executed")
        return wrong
    if result["verdict"] != Verdict.SUCCESS:
        wrong.append(f"verdict: expected success, got {result['verdict']}")
    if [(one.spec.service, one.spec.action.value) for one in story.started] != [(fault.root_cause, fault.action)]:
        wrong.append(f"executed: {[f'{one.spec.action} {one.spec.service}' for one in story.started]}")
    row = result["outcome"]
    if row is None:
        wrong.append("the outcome row was not read back from ClickHouse")
    elif (row["service"], row["action_name"], row["verdict"]) != (fault.root_cause, fault.action, Verdict.SUCCESS) or "duplicates" in row:
        wrong.append(f"the row read back is another: {row}")
    return wrong


def _proposed(proposal: Proposal) -> str:
    best = proposal.hypotheses[0] if proposal.hypotheses else None
    cause = f"{best.service}: {best.cause} (confidence {best.confidence:.2f})" if best is not None else "no hypothesis"
    if proposal.chosen is None:
        return f"abstained ({proposal.reason}): {cause}"
    spec = proposal.chosen.spec
    return f"proposal {proposal.id}: {spec.action} {spec.service} {spec.params or ''} for {cause}"


def _action(proposal: Proposal | None) -> str | None:
    if proposal is None:
        return None
    return proposal.chosen.spec.action.value if proposal.chosen is not None else ActionName.NONE.value


def _metrics(outcome: Outcome) -> str:
    def number(value: float | None) -> str:
        return "missing" if value is None else f"{value:.4g}"

    return "; ".join(f"{m.service} {m.metric} {number(m.before)} → {number(m.after)}" for m in outcome.metrics[:3])


def _between(start: int | None, end: int | None) -> float | None:
    return round((end - start) / 1000, 1) if start is not None and end is not None else None
