"""The API over an in-memory log that folds, for tests; and the records of a small incident."""

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import asynccontextmanager

import httpx2

from api.app import build
from api.deps import Dependencies
from api.read_model import ReadModel
from api.said import Said
from schemas import topics
from schemas.actions import ActionSpec
from schemas.approvals import BlastLevel, Candidate, ConfidenceParts, Digests, Hypothesis, Proposal, ProposalReason
from schemas.base import Position, digest
from schemas.incidents import Incident, IncidentPhase, Suspect
from schemas.kinds import ActionName, Cause, Direction, Kind, Severity
from schemas.signals import AnomalyReason, SeriesEvidence
from streams.harness.emit import emit
from streams.harness.errors import Retryable
from streams.harness.stage import Output, Record

NOW = 1_800_000_000_000
TOKENS = {"token-of-alice-0123456789": "alice", "token-of-bob-0123456789": "bob"}
ALICE, BOB = TOKENS


class Log:
    """One topic: appended at once, folded when somebody waits for it."""

    def __init__(self, name, fold, world):
        self.name, self.fold, self.world = name, fold, world
        self.records: list[Record] = []
        self.folded = 0
        self.stuck = False

    def append(self, output: Output, at: int) -> Position:
        record = Record(output.topic, 0, len(self.records), at, output.key, output.value, output.headers)
        self.records.append(record)
        return Position(topic=self.name, partition=0, offset=record.offset)

    def fold_one(self):
        self.fold(self.records[self.folded])
        self.folded += 1

    async def barrier(self, timeout_s):
        await self.wait_for(0, len(self.records) - 1, timeout_s)

    async def wait_for(self, partition, offset, timeout_s):
        await asyncio.sleep(0)
        if self.stuck:
            raise Retryable("the view stands still")
        while self.folded <= offset:
            self.fold_one()
            await asyncio.sleep(0)  # others get their turn between two records


class World:
    """Everything the API is built from, with a clock that tests turn."""

    def __init__(self, tokens=TOKENS, **more):
        self.now = NOW
        self.model = ReadModel()
        self.logs = {
            topics.APPROVALS.name: Log(topics.APPROVALS.name, self.model.fold_approvals, self),
            topics.INCIDENTS.name: Log(topics.INCIDENTS.name, self.model.fold_incidents, self),
            topics.ACTIONS.name: Log(topics.ACTIONS.name, self.model.fold_actions, self),
            topics.OUTCOMES.name: Log(topics.OUTCOMES.name, self.model.fold_outcomes, self),
        }
        self.approvals = self.logs[topics.APPROVALS.name]
        self.append_error: Exception | None = None
        self.ready = True
        ids = itertools.count()
        self.app = build(
            Dependencies(
                model=self.model,
                approvals=self.approvals,
                incidents=self.logs[topics.INCIDENTS.name],
                actions=self.logs[topics.ACTIONS.name],
                said=Said(self._send),
                tokens=tokens,
                secret=b"a secret of this process",
                cluster="cluster-1",
                clock=lambda: self.now,
                new_id=lambda: f"request-{next(ids)}",
                readiness=lambda: (self.ready, {"airra.approvals.v1": "ready" if self.ready else "is being read"}),
                wait_s=1.0,
                **more,
            )
        )

    async def _send(self, outputs: Sequence[Output]):
        return await self.append(outputs)  # a test may put another in its place

    async def append(self, outputs: Sequence[Output]):
        await asyncio.sleep(0)
        if self.append_error:
            raise self.append_error
        return [self.logs[output.topic].append(output, self.now) for output in outputs]

    def put(self, topic, key, event, at=None):
        """Append and fold one record."""
        log = self.logs[topic.name]
        position = log.append(emit(topic, key, event), self.now if at is None else at)
        while log.folded < len(log.records):
            log.fold_one()
        return position

    def propose(self, name="prp-1", incident="inc-1", fold=True, **more):
        found = proposal(name, incident, **more)
        if fold:
            self.put(topics.APPROVALS, name, found)
        else:
            self.approvals.append(emit(topics.APPROVALS, name, found), self.now)
        return found

    def open_incident(self, name="inc-1", **more):
        found = incident(name, **more)
        self.put(topics.INCIDENTS, name, found)
        return found

    def commands(self):
        return [record for record in self.approvals.records if ("airra.type", b"command") in record.headers]

    @asynccontextmanager
    async def client(self, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=self.app), base_url="http://127.0.0.1", headers=headers) as client:
            yield client


def evidence(service="inventory", series="00000000000000aa", **more):
    values = {
        "series": series,
        "service": service,
        "metric": "process_resident_memory_bytes",
        "kind": Kind.MEMORY,
        "unit": "bytes",
        "direction": Direction.UP,
        "value": 412e6,
        "baseline": 98e6,
        "low": 90e6,
        "high": 110e6,
        "z": 21.5,
        "points": tuple((NOW - 10_000 + 1000 * step, 98e6 + 30e6 * step) for step in range(10)),
    }
    return SeriesEvidence(**{**values, **more})


def incident(name="inc-1", version=1, phase=IncidentPhase.OPENED, title="inventory: memory far above its band", **more):
    suspect = Suspect(anomaly="anm-1", reason=AnomalyReason.SHIFT, opened_at=NOW - 60_000, open=True, opener=True, evidence=evidence())
    values = {
        "id": f"ire-{name}-{version}",
        "incident": name,
        "phase": phase,
        "version": version,
        "opened_at": NOW - 60_000,
        "at": NOW - 1_000,
        "title": title,
        "severity": Severity.CRITICAL,
        "services": ("inventory", "orders"),
        "suspects": (suspect,),
        "health": (),
    }
    return Incident(**{**values, **more})


def proposal(name="prp-1", incident="inc-1", expires_at=NOW + 600_000, abstain=False, title="inventory leaks memory", **more):
    parts = ConfidenceParts(base=0.28, evidence=0.25, anomaly=0.2, topology=0.08, pattern=0.0, total=0.81)
    guilty = Hypothesis(
        rank=1,
        service="inventory",
        cause=Cause.MEMORY_LEAK,
        score=3.2,
        confidence=0.81,
        parts=parts,
        runbook="memory-leak",
        reasons=("memory rises without the load rising",),
        series=("00000000000000aa",),
    )
    restart = Candidate(
        spec=ActionSpec(action=ActionName.RESTART, service="inventory"),
        hypothesis=1,
        cures=True,
        risk=0.35,
        blast_radius=0.31,
        blast_level=BlastLevel.MEDIUM,
        urgency=2.1,
        expected_effect="memory falls back to its band",
        reversible=False,
    )
    nothing = restart.model_copy(
        update={
            "spec": ActionSpec(action=ActionName.NONE, service="inventory"),
            "cures": False,
            "risk": 0.0,
            "expected_effect": "it goes on",
        }
    )
    values = {
        "id": name,
        "incident": incident,
        "incident_version": 1,
        "title": title,
        "reason": ProposalReason.LOW_CONFIDENCE if abstain else ProposalReason.CURE_FOUND,
        "hypotheses": (guilty,),
        "candidates": (restart, nothing),
        "chosen": None if abstain else restart,
        "confidence": None if abstain else 0.81,
        "digests": None if abstain else Digests(dry_run=digest([name, "dry"]), live=digest([name, "live"])),
        "runbooks_digest": digest("runbooks"),
        "at": NOW,
        "expires_at": expires_at,
        "source": Position(topic="airra.incidents.v1", partition=0, offset=0),
    }
    return Proposal(**{**values, **more})


def approval(subject, mode="dry_run", **more):
    return {"approved_by": subject, "execution_mode": mode, **more}
