"""reason: given incident records and ticks, when the evidence has settled, then one proposal, or an abstention."""

import json
from pathlib import Path

import pytest
from incident_world import T0, Run, incident, reading, suspect
from test_ranking_faults import crash_loop, memory_leak, pool_exhausted, traffic_surge

from agents.reason import stage
from agents.reason.cases import CASES_KEPT
from agents.reason.stage import BACKFILL_HEADER
from cli.config import load
from models.ranking.readings import read
from models.runbooks.digests import action_digest
from schemas.actions import Finished, FinishStatus, RefusalReason, Refused, Seen, Started
from schemas.approvals import APPROVAL_EVENTS, Proposal, ProposalReason, Withdrawal, WithdrawalReason
from schemas.config.runbooks import RunbookCatalogue
from schemas.incidents import Incident, IncidentPhase
from schemas.kinds import ActionName, Kind, Mode
from schemas.topics import APPROVALS, NOTICES

CATALOGUE = load(RunbookCatalogue, Path(__file__).parents[2] / "config" / "runbooks.yaml")


@pytest.fixture
def run() -> Run:
    return Run(stage(CATALOGUE))


def proposals(outputs) -> list[Proposal]:
    return [event for event in said(outputs) if isinstance(event, Proposal)]


def said(outputs) -> list[Proposal | Withdrawal]:
    return [APPROVAL_EVENTS.validate_json(out.value) for out in outputs if out.topic == APPROVALS.name]


def withdrawn(outputs) -> list[tuple[str, WithdrawalReason]]:
    return [(event.incident, event.reason) for event in said(outputs) if isinstance(event, Withdrawal)]


def notices(outputs) -> list[str]:
    return [json.loads(out.value)["kind"] for out in outputs if out.topic == NOTICES.name]


def version(given: Incident, number: int, phase: IncidentPhase = IncidentPhase.UPDATED) -> Incident:
    return given.model_copy(update={"version": number, "id": f"ire-{given.incident}-{number}", "phase": phase})


def live(run: Run, given: Incident) -> list[Proposal]:
    """Open an incident and bring it to its first settled record."""
    run.send(version(given, 1, IncidentPhase.OPENED), T0)
    run.ticks(T0, 9)
    return proposals(run.send(version(given, 2), T0 + 10_000))


def started(proposal: Proposal, kind: type = Started, **more) -> Started:
    spec = proposal.chosen.spec
    base = {"id": "x", "action": "act-1", "proposal": proposal.id, "incident": proposal.incident, "mode": Mode.LIVE, "spec": spec, "at": T0}
    return kind(**{**base, **more})


def test_nothing_is_proposed_before_the_evidence_has_settled(run):
    run.send(version(memory_leak(), 1, IncidentPhase.OPENED), T0)
    assert run.send(version(memory_leak(), 2), T0 + 3000) == []
    assert run.ticks(T0 + 3000, 5) == []


def test_the_first_settled_record_brings_one_proposal_and_whether_people_are_asked_is_approves_to_say(run):
    found = live(run, memory_leak())
    assert [(p.chosen.spec.action, p.incident_version, p.expires_at) for p in found] == [(ActionName.RESTART, 2, T0 + 10_000 + 900_000)]
    assert notices(run.outputs) == []
    assert found[0].severity is memory_leak().severity


def test_the_alternatives_hold_doing_nothing_and_say_what_each_risks(run):
    proposal = live(run, pool_exhausted())[0]
    assert proposal.candidates[0] == proposal.chosen
    assert proposal.chosen.undo.params == {"flag": "slow_report", "enabled": True}
    assert (proposal.chosen.risk, proposal.chosen.reversible) == (0.2, True)
    nothing = proposal.candidates[-1]
    assert (nothing.spec.action, nothing.risk, nothing.hypothesis) == (ActionName.NONE, 0.0, 0)


def test_the_digests_bind_target_preconditions_undo_and_mode(run):
    chosen = live(run, traffic_surge())[0].chosen
    binds = {
        action_digest(chosen.spec, chosen.preconditions, chosen.undo, Mode.LIVE, incident="i"),
        action_digest(chosen.spec, chosen.preconditions, chosen.undo, Mode.DRY_RUN, incident="i"),
        action_digest(chosen.spec, chosen.preconditions.model_copy(update={"workers": 9}), chosen.undo, Mode.LIVE, incident="i"),
        action_digest(chosen.spec, chosen.preconditions, None, Mode.LIVE, incident="i"),
        action_digest(chosen.spec, chosen.preconditions, chosen.undo, Mode.LIVE, incident="j"),
    }
    assert len(binds) == 5


def test_the_same_choice_is_not_proposed_twice_and_another_one_supersedes(run):
    live(run, memory_leak())
    assert run.send(version(memory_leak(), 3), T0 + 20_000) == []
    changed = version(pool_exhausted(), 4)
    assert [p.chosen.spec.action for p in proposals(run.send(changed, T0 + 30_000))] == [ActionName.TOGGLE_FEATURE_FLAG]


def test_a_smaller_scale_up_is_no_news_and_a_larger_one_is(run):
    def surge(ratio: float) -> Incident:
        late = [suspect(reading(name, Kind.LATENCY, seconds, z=20)) for name, seconds in (("gateway", 0.9), ("catalog", 0.86))]
        return incident(*late, health=[reading("catalog", Kind.REQUESTS, 40 * ratio, z=20)])

    assert live(run, surge(2.8))[0].chosen.spec.params == {"workers": 6}
    assert run.send(version(surge(2.05), 3), T0 + 20_000) == []
    assert proposals(run.send(version(surge(3.9), 4), T0 + 30_000))[0].chosen.spec.params == {"workers": 8}


def test_once_something_was_done_nothing_more_is_proposed(run):
    proposal = live(run, memory_leak())[0]
    run.send(started(proposal, epoch=1, seen=Seen()), T0 + 12_000)
    run.send(started(proposal, Finished, status=FinishStatus.SUCCEEDED), T0 + 13_000)
    assert run.send(version(pool_exhausted(), 3), T0 + 20_000) == []
    assert run.send(version(crash_loop(), 4), T0 + 30_000) == []
    assert run.ticks(T0 + 30_000, 1200) == []
    assert run.send(version(memory_leak(), 5, IncidentPhase.RESOLVED), T0 + 1_300_000) == []


def test_a_dry_run_is_followed_by_a_fresh_proposal_that_can_be_approved_live(run):
    first = live(run, memory_leak())[0]
    run.send(started(first, epoch=1, seen=Seen(), mode=Mode.DRY_RUN), T0 + 12_000)
    assert run.send(version(memory_leak(), 3), T0 + 13_000) == []
    run.send(started(first, Finished, status=FinishStatus.SUCCEEDED, mode=Mode.DRY_RUN), T0 + 14_000)
    (second,) = proposals(run.send(version(memory_leak(), 4), T0 + 20_000))
    assert second.id != first.id
    assert second.digests == first.digests
    assert run.send(version(memory_leak(), 5), T0 + 30_000) == []


def test_a_dry_run_of_what_was_superseded_leaves_the_newer_proposal(run):
    first = live(run, memory_leak())[0]
    run.send(version(pool_exhausted(), 3), T0 + 13_000)
    run.send(started(first, Finished, status=FinishStatus.SUCCEEDED, mode=Mode.DRY_RUN), T0 + 14_000)
    assert run.send(version(pool_exhausted(), 4), T0 + 20_000) == []


@pytest.mark.parametrize("reason", [RefusalReason.NOT_ARMED, RefusalReason.LIVE_DISABLED, RefusalReason.EVIDENCE_STALE])
def test_after_a_refusal_the_same_choice_is_proposed_anew_while_the_incident_lasts(run, reason):
    first = live(run, memory_leak())[0]
    run.send(started(first, Refused, reason=reason, seen=Seen()), T0 + 12_000)
    assert [p.chosen for p in proposals(run.send(version(memory_leak(), 3), T0 + 20_000))] == [first.chosen]
    assert run.send(version(memory_leak(), 4), T0 + 30_000) == []


def test_an_expired_proposal_is_followed_by_a_newer_one_for_as_long_as_the_incident_lasts(run):
    newest, number = live(run, memory_leak())[0], 3
    for _ in range(2 * CATALOGUE.proposing.max_proposals):
        assert run.send(version(memory_leak(), number), newest.expires_at) == []
        (newer,) = proposals(run.send(version(memory_leak(), number + 1), newest.expires_at + 1))
        assert newer.chosen == newest.chosen
        newest, number = newer, number + 2


def test_a_cure_that_vanishes_for_good_is_taken_back_by_an_abstention_once(run):
    live(run, memory_leak())
    assert run.send(version(crash_loop(), 3), T0 + 20_000) == []
    made = run.ticks(T0 + 20_000, 15) + run.send(version(crash_loop(), 4), T0 + 36_000) + run.ticks(T0 + 36_000, 60)
    assert [(p.reason, p.chosen, p.incident_version, p.at) for p in proposals(made)] == [(ProposalReason.NO_RUNBOOK, None, 4, T0 + 40_000)]
    assert notices(made) == ["escalated"]
    assert [p.chosen.spec.action for p in proposals(run.send(version(memory_leak(), 5), T0 + 100_000))] == [ActionName.RESTART]


def test_a_cure_that_flickers_changes_nothing(run):
    live(run, memory_leak())
    for number in range(3, 23):
        given = crash_loop() if number % 2 else memory_leak()
        assert run.send(version(given, number), T0 + number * 10_000) == []
        assert run.ticks(T0 + number * 10_000, 9) == []


def test_evidence_that_is_back_in_its_band_is_no_reason_to_call_anybody(run):
    live(run, memory_leak())
    calm = crash_loop()
    calm = calm.model_copy(update={"suspects": tuple(one.model_copy(update={"open": False}) for one in calm.suspects)})
    assert run.send(version(calm, 3), T0 + 20_000) == []
    assert run.ticks(T0 + 20_000, 60) == []


def test_the_end_of_an_incident_takes_back_what_stands(run):
    live(run, memory_leak())
    over = version(memory_leak(), 3, IncidentPhase.RESOLVED)
    assert withdrawn(run.send(over, T0 + 20_000)) == [("inc-1", WithdrawalReason.RESOLVED)]
    assert run.send(over, T0 + 21_000) == []


def test_a_started_action_takes_back_what_was_proposed_beside_it(run):
    first = live(run, memory_leak())[0]
    run.send(version(pool_exhausted(), 3), T0 + 20_000)
    assert withdrawn(run.send(started(first, epoch=1, seen=Seen()), T0 + 21_000)) == [("inc-1", WithdrawalReason.ACTING)]
    assert run.send(version(pool_exhausted(), 4), T0 + 30_000) == []


def test_ids_of_resolved_incidents_are_bounded_and_counted(run):
    for number in range(CASES_KEPT + 3):
        run.send(version(memory_leak(), 1, IncidentPhase.OPENED).model_copy(update={"incident": f"inc-{number}"}), T0)
        run.send(version(memory_leak(), 2, IncidentPhase.RESOLVED).model_copy(update={"incident": f"inc-{number}"}), T0)
    assert (len(run.state.resolved), run.state.evicted) == (CASES_KEPT, 3)


def test_without_a_cure_it_abstains_once_when_patience_ends_and_escalates(run):
    assert live(run, crash_loop()) == []
    made = run.ticks(T0 + 10_000, 30)
    found = proposals(made)
    assert [(p.reason, p.chosen, p.hypotheses[0].service, p.at) for p in found] == [
        (ProposalReason.NO_RUNBOOK, None, "payments", T0 + 20_000)
    ]
    assert notices(made) == ["escalated"]


def test_all_signals_together_name_no_cause_and_a_person_is_called(run):
    assert live(run, incident(suspect(reading("orders", Kind.COMBINED, 9.0, z=9.0)))) == []
    made = run.ticks(T0 + 10_000, 30)
    assert [(p.chosen, p.hypotheses) for p in proposals(made)] == [(None, ())]
    assert notices(made) == ["escalated"]


def test_all_signals_together_change_nothing_in_what_is_thought_of_the_others(run):
    given = memory_leak()
    beside = suspect(reading("gateway", Kind.COMBINED, 90.0, z=90.0))
    (without,) = live(Run(stage(CATALOGUE)), given)
    (with_it,) = live(run, given.model_copy(update={"suspects": (*given.suspects, beside)}))
    assert with_it.hypotheses == without.hypotheses


def test_after_an_abstention_better_evidence_still_brings_a_proposal(run):
    live(run, crash_loop())
    run.ticks(T0 + 10_000, 15)
    assert [p.reason for p in proposals(run.send(version(memory_leak(), 3), T0 + 30_000))] == [ProposalReason.CURE_FOUND]


def test_a_low_confidence_abstains():
    run = Run(stage(CATALOGUE.model_copy(update={"min_confidence": 0.98})))
    assert live(run, memory_leak()) == []
    assert [p.reason for p in proposals(run.ticks(T0 + 10_000, 12))] == [ProposalReason.LOW_CONFIDENCE]


def test_an_incident_without_readings_has_no_hypothesis(run):
    empty = incident().model_copy(update={"health": (), "services": ("orders",)})
    live(run, empty)
    assert [p.reason for p in proposals(run.ticks(T0 + 10_000, 12))] == [ProposalReason.NO_HYPOTHESIS]


def test_a_resolved_incident_is_forgotten(run):
    run.send(version(memory_leak(), 1, IncidentPhase.OPENED), T0)
    run.send(version(memory_leak(), 2, IncidentPhase.RESOLVED), T0 + 5000)
    assert run.send(version(memory_leak(), 1, IncidentPhase.OPENED), T0 + 6000) == []
    assert run.ticks(T0 + 6000, 60) == []


def test_historical_evidence_never_proposes(run):
    history = ((BACKFILL_HEADER, b"1"),)
    assert run.send(version(memory_leak(), 1, IncidentPhase.OPENED), T0, history) == []
    run.ticks(T0, 9)
    assert run.send(version(memory_leak(), 2), T0 + 10_000, history) == []
    assert run.ticks(T0 + 10_000, 60) == []


def test_a_picture_that_keeps_changing_is_proposed_a_bounded_number_of_times(run):
    live(run, memory_leak())
    made = [out for i in range(20) for out in run.send(version((memory_leak, pool_exhausted)[i % 2](), 3 + i), T0 + 20_000 + i)]
    *chosen, last = proposals(made)
    assert len(chosen) == CATALOGUE.proposing.max_proposals - 1
    assert all(p.chosen is not None for p in chosen)
    assert (last.reason, last.chosen, last.digests) == (ProposalReason.UNSETTLED, None, None)
    assert notices(made) == ["escalated"]
    assert run.ticks(T0 + 30_000, 1000) == []


def test_a_closed_suspect_weighs_less_than_an_open_one():
    back = reading("orders", Kind.LATENCY, 0.05, z=0.5).model_copy(update={"peak_z": 9.0})
    open_, closed = (incident(suspect(back, is_open=is_open)) for is_open in (True, False))
    assert read(open_)["orders"][Kind.LATENCY].strength > read(closed)["orders"][Kind.LATENCY].strength
