"""Input logs of the control stages, long enough to measure with: what a busy environment would write, made of the unit tests' worlds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from agents import admit, approve, reason, verify
from agents.execute import report
from cli.config import load
from cli.demo.command import ROOT
from schemas import topics
from schemas.config.correlate import CorrelateConfig
from schemas.config.policy import Policy
from schemas.config.runbooks import RunbookCatalogue
from schemas.incidents import IncidentPhase
from schemas.kinds import Kind
from schemas.signals import Phase, Tick
from streams import correlate
from streams.harness.emit import emit
from streams.harness.stage import Output, Stage
from tests.acting_world import T0, World, command, proposal
from tests.unit.incident_world import SERVICES, anomaly, health, incident, reading, suspect, topology
from tests.unit.verify_world import finished, started

KINDS = (Kind.REQUESTS, Kind.ERRORS, Kind.LATENCY, Kind.CPU, Kind.MEMORY)
EVERY_MS = 10_000  # health, evidence
FAULT_S, RECOVERY_S = 60, 600  # one fault in so many seconds
VERSIONS, ACTED_AT = 12, 11  # records of an incident, and the one after which it is acted upon: its proposal is there
LIVE_PER_WORLD = 200  # incidents of one pass through the acting world; it keeps its logs in lists


@dataclass(frozen=True)
class Stamped:
    """A record to be, with its append time: the control stages live by it."""

    at: int
    output: Output


def signals(count: int) -> Iterator[Stamped]:
    """Yield about so many records and the ticks between: health of every service and kind each 10 s, and one fault after the other: opened, continued, closed."""
    made, at = 1, T0
    yield Stamped(at, emit(topics.SIGNALS, "topology", topology(at=at)))
    while made < count:
        since = (at - T0) // 1000 % RECOVERY_S
        service = SERVICES[(at - T0) // 1000 // RECOVERY_S % len(SERVICES)]
        found: list[BaseModel] = [health(name, kind, at, z=0.0) for name in SERVICES for kind in KINDS]
        if since <= FAULT_S:
            phase = Phase.OPENED if since == 0 else Phase.CLOSED if since == FAULT_S else Phase.CONTINUED
            found.append(anomaly(service, Kind.LATENCY, phase, at, opened_at=at - since * 1000))
        for one in found[: count - made]:
            yield Stamped(at, emit(topics.SIGNALS, "s", one))
        made += len(found)
        for _ in range(EVERY_MS // 1000):
            at += 1000
            yield Stamped(at, emit(topics.SIGNALS, "tick", Tick(at=at)))


def incidents(count: int) -> Iterator[Stamped]:
    """Yield so many records and the ticks between: one incident after the other, each opened, acted upon, updated, resolved."""
    for number in range(count):
        key, version = f"inc-{number // VERSIONS:06d}", number % VERSIONS + 1
        phase = IncidentPhase.OPENED if version == 1 else IncidentPhase.RESOLVED if version == VERSIONS else IncidentPhase.UPDATED
        found = reading("inventory", Kind.MEMORY, 200e6, baseline=40e6, z=9.0)
        told = emit(topics.INCIDENTS, key, incident(suspect(found), key=key, version=version, phase=phase))
        at = T0 + number * 1000
        yield Stamped(at, told)
        if version == ACTED_AT:
            of = {"action": f"act-{key}", "proposal": f"prp-{key}", "incident": key}
            yield Stamped(at, emit(topics.INCIDENTS, key, started(at=at, **of)))
            yield Stamped(at, emit(topics.INCIDENTS, key, finished(at=at, **of, id=f"fin-{key}")))
        yield Stamped(at, emit(topics.INCIDENTS, "tick", Tick(at=at)))


def acted(count: int) -> dict[str, list[Stamped]]:
    """Return what approve, admit and report read: proposals, approvals, decisions, grants, starts, ends, with ticks between."""
    logs: dict[str, list[Stamped]] = {topics.APPROVALS.name: [], topics.ACTIONS.name: []}
    turn = 0
    while any(len(log) < count for log in logs.values()):
        world = World(Policy.model_validate({"budget": {"live_per_hour": 1_000_000}}))
        world.logs.now += turn * LIVE_PER_WORLD * 2000
        world.start_execute()
        for number in range(LIVE_PER_WORLD):
            name = f"inc-{turn}-{number}"
            of = proposal(name, at=world.logs.now, expires_at=world.logs.now + 900_000)
            world.target.facts = {"workers": 2, "release": "v1"}
            world.approved(of)
            world.logs.write(topics.APPROVALS.name, command(of, subject="bob"))
            world.settle()
            world.tick(1)
        for name, log in logs.items():
            log += [
                Stamped(record.timestamp, Output(name, record.key, record.value, record.headers)) for record in world.logs.records[name]
            ]
        turn += 1
    return {name: log[:count] for name, log in logs.items()}


def stages() -> dict[str, Callable[[], Stage[object]]]:
    """Return the control stages as the shipped configuration makes them."""
    config = ROOT / "config"
    policy = load(Policy, config / "policy.yaml")
    return {
        "correlate": lambda: correlate.stage(load(CorrelateConfig, config / "correlate.yaml")),
        "reason": lambda: reason.stage(load(RunbookCatalogue, config / "runbooks.yaml")),
        "approve": lambda: approve.stage(policy),
        "admit": lambda: admit.stage(policy),
        "report": report,
        "verify": lambda: verify.stage(policy),
    }
