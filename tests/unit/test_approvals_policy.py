"""The policy's part in a decision: what it forbids, approves by itself or leaves to a human, and which policy is in force."""

import pytest

from models.approvals import decision_of, in_force, pending
from schemas.approvals import CommandVerb, DecisionOutcome
from schemas.config.policy import Policy, Rule, Ruling
from schemas.kinds import ActionName, Criticality, Mode
from schemas.signals import Tick
from tests.acting_world import T0, command, proposal
from tests.acting_world import in_force as on_the_log
from tests.unit.approval_log import AUTOMATIC, DRY, FORBIDDING, Log, explanation


def test_what_no_rule_matches_is_forbidden() -> None:
    log, of = Log(Policy(rules=(Rule(decide=Ruling.HUMAN, actions=(ActionName.RESTART,)),))), proposal()
    (decision,) = log.take(of)
    assert (decision.outcome, decision.subject) == (DecisionOutcome.FORBIDDEN, "policy")


@pytest.mark.parametrize(
    ("match", "outcome"),
    [
        ({"services": ("orders",)}, DecisionOutcome.FORBIDDEN),
        ({"services": ("other",)}, None),
        ({"criticalities": (Criticality.MEDIUM,)}, DecisionOutcome.FORBIDDEN),
        ({"criticalities": (Criticality.HIGH,)}, None),
    ],
)
def test_the_first_matching_rule_decides(match: dict, outcome: DecisionOutcome | None) -> None:
    log, of = Log(Policy(rules=(Rule(decide=Ruling.FORBIDDEN, **match), Rule(decide=Ruling.HUMAN)))), proposal()
    log.take(of)
    assert log.outcome(of) is outcome


def test_an_automatic_policy_approves_a_sure_and_fresh_proposal_in_its_mode() -> None:
    log, of = Log(AUTOMATIC), proposal()
    (decision,) = log.take(of, T0 + 30_000)
    assert (decision.outcome, decision.subject, decision.digest) == (DecisionOutcome.APPROVED, "policy", of.digests.live)


@pytest.mark.parametrize(("confidence", "late"), [(0.79, 0), (None, 0), (0.9, 30_001)])
def test_an_automatic_policy_asks_a_human_when_it_is_not_sure_or_not_fresh(confidence: float | None, late: int) -> None:
    log, of = Log(AUTOMATIC), proposal(confidence=confidence)
    assert log.take(of, T0 + late) == []
    assert len(pending(log.book)) == 1
    assert log.take(command(of), T0 + late)[0].subject == "ann"


def test_with_an_llm_on_automatic_waits_for_its_word_or_the_end_of_its_budget() -> None:
    policy = in_force(AUTOMATIC, llm_timeout_s=20)
    spoken, silent = Log(policy), Log(policy)
    of = proposal()
    assert spoken.take(of) == silent.take(of) == []
    assert spoken.take(explanation(of))[0].outcome is DecisionOutcome.APPROVED
    assert silent.take(Tick(at=0), T0 + 20_000) == []
    assert silent.take(Tick(at=0), T0 + 20_001)[0].subject == "policy"


def test_the_llms_disagreement_turns_automatic_into_human_and_nothing_else() -> None:
    log, of = Log(in_force(AUTOMATIC, llm_timeout_s=20)), proposal()
    log.take(of)
    assert log.take(explanation(of, agrees=False)) == []
    assert log.take(Tick(at=0), T0 + 60_000) == []
    assert log.take(command(of), T0 + 60_001)[0].subject == "ann"
    human, same = Log(), proposal()
    human.take(same)
    assert human.take(explanation(same)) == []


def test_a_broken_llm_does_not_stop_automatic() -> None:
    log, of = Log(in_force(AUTOMATIC, llm_timeout_s=20)), proposal()
    log.take(of)
    assert log.take(explanation(of, agrees=None, status="failed"))[0].outcome is DecisionOutcome.APPROVED


def test_the_settings_override_the_threshold() -> None:
    log, of = Log(in_force(AUTOMATIC, threshold_high=0.95)), proposal()
    assert log.take(of) == []


def test_before_the_first_policy_on_the_log_a_human_decides_and_the_readers_own_file_says_nothing() -> None:
    log, of = Log(), proposal()
    log.book.policy = AUTOMATIC
    assert log.take(of) == []
    assert len(pending(log.book)) == 1


def test_another_policy_rules_what_comes_after_it_and_leaves_what_was_decided() -> None:
    """The whole log read again, by whoever and under whichever configuration, gives the same history."""
    log, rejected, automatic = Log(Policy()), proposal(), proposal("inc-2")
    log.take(rejected)
    log.take(command(rejected, CommandVerb.REJECT))
    log.take(on_the_log(AUTOMATIC, "2"))
    log.take(automatic)
    assert (log.outcome(rejected), log.outcome(automatic)) == (DecisionOutcome.REJECTED, DecisionOutcome.APPROVED)
    assert decision_of(log.book, rejected.id).subject == "ann"


def test_an_old_policy_repeated_does_not_come_into_force_again() -> None:
    log, of = Log(AUTOMATIC), proposal()
    log.take(on_the_log(Policy(), "2"))
    log.take(on_the_log(AUTOMATIC))
    assert log.take(of) == []


def test_a_stricter_policy_rules_what_is_undecided_again_and_a_looser_one_does_not() -> None:
    log, of = Log(in_force(AUTOMATIC, llm_timeout_s=20)), proposal()
    log.take(of)
    log.take(on_the_log(Policy(), "2"))
    assert log.take(Tick(at=0), T0 + 60_000) == [], "policy no longer approves by itself"
    log.take(on_the_log(AUTOMATIC, "3"))
    assert log.take(explanation(of)) == []
    (decision,) = log.take(on_the_log(FORBIDDING, "4"))
    assert (decision.outcome, decision.subject) == (DecisionOutcome.FORBIDDEN, "policy")


@pytest.mark.parametrize("stricter", [{"threshold_high": 0.95}, {"evidence_s": 19}])
def test_a_policy_that_wants_more_sureness_or_fresher_evidence_leaves_what_waits_for_the_llm_to_a_human(stricter: dict) -> None:
    waiting = in_force(AUTOMATIC, llm_timeout_s=60)
    log, of = Log(waiting), proposal()
    log.take(of, T0 + 20_000)
    bounds = waiting.automatic.model_copy(update=stricter)
    assert log.take(on_the_log(waiting.model_copy(update={"automatic": bounds}), "2"), T0 + 21_000) == []
    assert [case.proposal.id for case in pending(log.book)] == [of.id]
    assert log.take(explanation(of), T0 + 22_000) == []
    log.take(on_the_log(waiting, "3"), T0 + 23_000)
    assert log.take(Tick(at=0), T0 + 90_000) == [], "a looser policy takes nothing back from a person who was asked"
    assert log.take(command(of), T0 + 90_001)[0].subject == "ann"


def test_another_policy_that_wants_no_more_leaves_what_waits_to_policy_however_long_it_has_waited() -> None:
    log, of = Log(in_force(AUTOMATIC, llm_timeout_s=60)), proposal()
    log.take(of, T0 + 30_000)
    assert log.take(on_the_log(in_force(AUTOMATIC, llm_timeout_s=60, threshold_high=0.9), "2"), T0 + 50_000) == []
    (decision,) = log.take(explanation(of), T0 + 60_000)
    assert (decision.outcome, decision.subject) == (DecisionOutcome.APPROVED, "policy")


def test_a_policy_that_this_reader_does_not_understand_forbids_everything() -> None:
    log, of = Log(), proposal()
    log.take(on_the_log(AUTOMATIC).model_copy(update={"content": {"rules": [{"decide": "by_lot"}]}}))
    assert [decision.outcome for decision in log.take(of)] == [DecisionOutcome.FORBIDDEN]


def test_policy_tries_an_action_dry_once_an_incident_and_then_asks() -> None:
    log, first, second = Log(DRY), proposal(version=2), proposal(version=3)
    assert [(d.outcome, d.mode) for d in log.take(first)] == [(DecisionOutcome.APPROVED, Mode.DRY_RUN)]
    assert log.take(second) == []
    assert log.take(command(second))[0].mode is Mode.LIVE
