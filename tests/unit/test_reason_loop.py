"""From evidence to the act, reason and everything behind it on the same logs: no dead end, and one live action an incident."""

import pytest
from incident_world import incident, reading, suspect

from agents import reason
from cli.config import load
from schemas.actions import Finished, RefusalReason, Refused, Started
from schemas.approvals import Decision, DecisionOutcome, Proposal, ProposalReason, Withdrawal
from schemas.base import Position
from schemas.config.policy import Policy, Rule, Ruling
from schemas.config.runbooks import RunbookCatalogue
from schemas.incidents import Incident, IncidentPhase
from schemas.kinds import Kind, Mode
from schemas.topics import SIGNALS
from tests.acting_world import ACTIONS, APPROVALS, INCIDENTS, Running, World, arming, command
from tests.unit.test_policy import SHIPPED

CATALOGUE = load(RunbookCatalogue, SHIPPED.parent / "runbooks.yaml")


def surge() -> Incident:
    late = [suspect(reading(name, Kind.LATENCY, seconds, z=20)) for name, seconds in (("gateway", 0.9), ("catalog", 0.86))]
    return incident(*late, health=[reading("catalog", Kind.REQUESTS, 112.0, z=20)])


class Loop(World):
    """A world whose catalog is overloaded; a new version of the incident comes every ten seconds."""

    def __init__(self, policy: Policy | None = None) -> None:
        super().__init__(policy)
        stage = reason.stage(CATALOGUE)
        self.stages["reason"] = Running(stage, stage.restore(None))
        self.tick(2)
        self.start_execute()
        self.version = 0

    def update(self, times: int = 1, phase: IncidentPhase = IncidentPhase.UPDATED) -> None:
        for _ in range(times):
            self.version += 1
            heard = (Position(topic=SIGNALS.name, partition=0, offset=self.version),)
            now = {"version": self.version, "id": f"ire-{self.version}", "phase": phase, "at": self.logs.now, "sources": heard}
            self.logs.write(INCIDENTS, surge().model_copy(update=now))
            self.tick(10)

    @property
    def newest(self) -> Proposal:
        return self.logs.events(APPROVALS, Proposal)[-1]

    def say(self, mode: Mode) -> None:
        self.logs.write(APPROVALS, command(self.newest, mode=mode))
        self.settle()

    def outcomes(self) -> list[DecisionOutcome]:
        return [decision.outcome for decision in self.logs.events(APPROVALS, Decision)]


def test_a_dry_run_leads_to_a_live_approval_and_one_action() -> None:
    loop = Loop()
    loop.update(2)
    rehearsed = loop.newest
    loop.say(Mode.DRY_RUN)
    assert [event.mode for event in loop.logs.events(ACTIONS, Finished)] == [Mode.DRY_RUN]
    loop.update(360)
    assert loop.newest.id != rehearsed.id
    loop.logs.write(APPROVALS, arming(until=loop.logs.now + 60_000))
    loop.say(Mode.LIVE)
    loop.update(3)
    assert [event.mode for event in loop.logs.events(ACTIONS, Finished)] == [Mode.DRY_RUN, Mode.LIVE]
    assert len(loop.target.effects) == 1
    proposals = len(loop.logs.events(APPROVALS, Proposal))
    loop.update(100)
    assert len(loop.logs.events(APPROVALS, Proposal)) == proposals, "nothing more once something was done"


def test_a_refusal_for_want_of_arming_is_followed_by_a_proposal_that_works_once_armed() -> None:
    loop = Loop()
    loop.update(2)
    loop.say(Mode.LIVE)
    loop.update()
    assert [event.reason for event in loop.logs.events(ACTIONS, Refused)] == [RefusalReason.NOT_ARMED]
    loop.logs.write(APPROVALS, arming())
    loop.update()
    loop.say(Mode.LIVE)
    assert len(loop.target.effects) == 1


@pytest.mark.parametrize("decided", [True, False])
def test_an_incident_that_ends_by_itself_leaves_nothing_to_decide_and_pages_nobody(decided: bool) -> None:
    loop = Loop()
    loop.update(2)
    if decided:
        loop.say(Mode.DRY_RUN)
        loop.update()
    loop.update(1, IncidentPhase.RESOLVED)
    assert loop.outcomes()[-1] is DecisionOutcome.WITHDRAWN
    loop.tick(1000)
    assert "escalated" not in loop.notices()
    assert len(loop.logs.events(APPROVALS, Withdrawal)) == 1


def test_policy_that_tries_dry_by_itself_rehearses_once_and_then_asks() -> None:
    loop = Loop(Policy(rules=(Rule(decide=Ruling.AUTOMATIC, mode=Mode.DRY_RUN),)))
    loop.update(30)
    assert [event.mode for event in loop.logs.events(ACTIONS, Started)] == [Mode.DRY_RUN]
    assert loop.notices().count("approval_needed") == 1
    assert len(loop.logs.events(APPROVALS, Proposal)) == 2


def test_policy_that_acts_by_itself_and_is_refused_every_time_gives_up_aloud() -> None:
    loop = Loop(Policy(rules=(Rule(decide=Ruling.AUTOMATIC, mode=Mode.LIVE),)))
    loop.update(60)
    proposals = loop.logs.events(APPROVALS, Proposal)
    assert len(proposals) == CATALOGUE.proposing.max_proposals + 1
    assert (proposals[-1].reason, proposals[-1].chosen) == (ProposalReason.UNSETTLED, None)
    assert loop.notices().count("escalated") == 1
    assert loop.target.effects == []
