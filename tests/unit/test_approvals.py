"""approve: the first valid record in log order decides, and every loser is told by whom and when."""

import pytest

from models.approvals import ApprovalBook, CommandFate, armed, decision_of, fold, in_force, pending, restore, snapshot, verdict_on
from models.approvals import case as caps
from schemas.approvals import CommandVerb, Decision, DecisionOutcome, Explanation, Proposal, Withdrawal, WithdrawalReason
from schemas.base import Position
from schemas.config.policy import Policy, Rule, Ruling
from schemas.kinds import ActionName, Criticality, Mode, Severity
from schemas.outcomes import Notice, NoticeKind
from schemas.signals import Tick
from tests.acting_world import APPROVALS, CLUSTER, NOTICES, T0, World, arming, command, proposal
from tests.acting_world import in_force as on_the_log


class Log:
    """Folds one event after another; a policy is its first."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.book = ApprovalBook()
        self.offset = 0
        if policy is not None:
            self.take(on_the_log(policy))

    def take(self, event: object, now: int = T0) -> list[Decision]:
        self.offset += 1
        return fold(self.book, event, now, Position(topic="airra.approvals.v1", partition=0, offset=self.offset))

    def outcome(self, of: Proposal) -> DecisionOutcome | None:
        decision = decision_of(self.book, of.id)
        return decision.outcome if decision else None


DRY = Policy(rules=(Rule(decide=Ruling.AUTOMATIC, mode=Mode.DRY_RUN),))
FORBIDDING = Policy(rules=(Rule(decide=Ruling.FORBIDDEN),))
AUTOMATIC = Policy(rules=(Rule(decide=Ruling.AUTOMATIC, mode=Mode.LIVE),))


def explanation(of: Proposal, *, agrees: bool | None = True, status: str = "ok") -> Explanation:
    return Explanation(id=f"exp-{of.id}", proposal=of.id, provider="p", model="m", status=status, agrees=agrees, at=T0)


def test_a_proposal_waits_for_a_human_as_shipped() -> None:
    log, of = Log(), proposal()
    assert log.take(of) == []
    assert [case.proposal for case in pending(log.book)] == [of]


def test_the_first_of_two_approvers_wins_and_the_other_is_told_who_and_when() -> None:
    log, of = Log(), proposal()
    log.take(of)
    ann, bob = command(of, subject="ann"), command(of, subject="bob")
    (decision,) = log.take(ann, T0 + 5)
    assert log.take(bob, T0 + 6) == []
    assert (decision.outcome, decision.subject, decision.mode, decision.digest) == ("approved", "ann", "live", of.digests.live)
    assert decision.source.offset == 2
    assert verdict_on(log.book, ann.id).fate is CommandFate.WON
    lost = verdict_on(log.book, bob.id)
    assert (lost.fate, lost.subject, lost.outcome, lost.at) == (CommandFate.LOST, "ann", DecisionOutcome.APPROVED, T0 + 5)


def test_a_command_appended_twice_stays_the_winner() -> None:
    log, of = Log(), proposal()
    word = command(of)
    log.take(of)
    log.take(word)
    assert log.take(word) == []
    assert verdict_on(log.book, word.id).fate is CommandFate.WON


def test_a_rejection_keeps_its_reason_and_beats_a_later_approval() -> None:
    log, of = Log(), proposal()
    log.take(of)
    (decision,) = log.take(command(of, CommandVerb.REJECT, reason="not now"))
    assert (decision.outcome, decision.reason, decision.digest) == (DecisionOutcome.REJECTED, "not now", None)
    assert log.take(command(of)) == []


@pytest.mark.parametrize(("mode", "digest"), [(Mode.LIVE, "dry_run"), (Mode.DRY_RUN, "live"), (Mode.LIVE, None)])
def test_an_approval_must_name_the_digest_of_its_own_mode(mode: Mode, digest: str | None) -> None:
    log, of = Log(), proposal()
    log.take(of)
    wrong = command(of, mode=mode, digest=getattr(of.digests, digest) if digest else None)
    assert log.take(wrong) == []
    assert verdict_on(log.book, wrong.id).fate is CommandFate.WRONG_DIGEST
    assert len(pending(log.book)) == 1


def test_a_command_on_what_is_unknown_or_abstains_decides_nothing() -> None:
    log, of, abstains = Log(), proposal(), proposal("inc-2", chosen=None)
    log.take(abstains)
    for each, fate in ((of, CommandFate.UNKNOWN_PROPOSAL), (abstains, CommandFate.NO_ACTION)):
        word = command(each)
        assert log.take(word) == []
        assert verdict_on(log.book, word.id).fate is fate
    assert pending(log.book) == []


def test_a_tick_past_the_expiry_expires_and_at_the_expiry_does_not() -> None:
    log, of = Log(), proposal()
    log.take(of)
    assert log.take(Tick(at=0), of.expires_at) == []
    (decision,) = log.take(Tick(at=0), of.expires_at + 1)
    assert (decision.outcome, decision.subject) == (DecisionOutcome.EXPIRED, "clock")


def test_a_command_after_the_expiry_finds_it_expired_before_any_tick() -> None:
    log, of = Log(), proposal()
    log.take(of)
    late = command(of)
    (decision,) = log.take(late, of.expires_at + 1)
    assert decision.outcome is DecisionOutcome.EXPIRED
    assert verdict_on(log.book, late.id).fate is CommandFate.EXPIRED


def test_a_newer_proposal_of_the_incident_supersedes_the_undecided_one() -> None:
    log, old, new = Log(), proposal(version=2), proposal(version=3)
    log.take(old)
    (decision,) = log.take(new)
    assert (decision.proposal, decision.outcome) == (old.id, DecisionOutcome.SUPERSEDED)
    late = command(old)
    assert log.take(late) == []
    assert verdict_on(log.book, late.id).fate is CommandFate.SUPERSEDED
    assert [case.proposal.id for case in pending(log.book)] == [new.id]


def test_a_zombies_older_proposal_does_not_supersede_a_newer_one() -> None:
    log, old, new = Log(), proposal(version=2), proposal(version=3)
    log.take(new)
    (decision,) = log.take(old)
    assert (decision.proposal, decision.outcome) == (old.id, DecisionOutcome.SUPERSEDED)
    assert [case.proposal.id for case in pending(log.book)] == [new.id]


def test_an_abstention_supersedes_what_was_proposed_before() -> None:
    log, old, new = Log(), proposal(version=2), proposal(version=3, chosen=None)
    log.take(old)
    log.take(new)
    assert log.outcome(old) is DecisionOutcome.SUPERSEDED
    assert pending(log.book) == []


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


def test_a_contradicting_decision_record_has_no_effect_and_does_not_announce() -> None:
    log, of = Log(), proposal()
    log.take(of)
    (decision,) = log.take(command(of, CommandVerb.REJECT))
    log.take(decision.model_copy(update={"outcome": DecisionOutcome.APPROVED, "digest": of.digests.live}))
    assert log.outcome(of) is DecisionOutcome.REJECTED
    assert not log.book.cases[of.id].announced
    log.take(decision)
    assert log.book.cases[of.id].announced


def test_a_decision_record_alone_decides_nothing() -> None:
    log, of, other = Log(), proposal(), Log()
    other.take(of)
    (decision,) = other.take(command(of))
    log.take(of)
    log.take(decision)
    assert log.outcome(of) is None


def test_an_arming_is_in_force_on_its_cluster_until_it_ends_or_is_taken_back() -> None:
    log = Log()
    assert armed(log.book, CLUSTER, T0) is None
    log.take(arming(until=T0 + 10))
    assert armed(log.book, CLUSTER, T0 + 10) is not None
    assert armed(log.book, CLUSTER, T0 + 11) is None
    assert armed(log.book, "another", T0) is None
    log.take(arming(armed=False, name="2"))
    assert armed(log.book, CLUSTER, T0) is None
    log.take(arming(until=T0 + 10))
    assert armed(log.book, CLUSTER, T0) is None, "an old record repeated must not arm again"


def test_what_is_decided_is_bounded_and_an_old_proposal_repeated_is_not_decided_anew() -> None:
    log = Log()
    first = proposal("inc-0", expires_at=T0 + 10)
    log.take(first)
    log.take(command(first))
    for number in range(1, 520):
        of = proposal(f"inc-{number}", expires_at=T0 + 10)
        log.take(of, T0 + number)
    assert len(log.book.cases) <= caps.MAX_CASES
    assert log.book.evicted >= 20
    assert log.take(first, T0 + 1000) == []


def test_the_cap_holds_where_nothing_has_expired_and_a_forgotten_decision_stands() -> None:
    log = Log()
    first = proposal("inc-0")
    log.take(first)
    log.take(command(first))
    for number in range(1, 1500):
        log.take(proposal(f"inc-{number}"), T0 + number)
        assert len(log.book.cases) <= caps.MAX_CASES
    assert len(pending(log.book)) == caps.MAX_PENDING
    log.book = restore(snapshot(log.book))
    assert log.take(first, T0 + 2000) == []
    late = command(first, subject="bob")
    assert log.take(late, T0 + 2001) == []
    assert verdict_on(log.book, late.id).fate is CommandFate.UNKNOWN_PROPOSAL


def test_what_was_forgotten_altogether_is_at_most_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.approvals.decide.MAX_CASES", 4)
    monkeypatch.setattr("models.approvals.decide.MAX_FORGOTTEN", 3)
    log, first = Log(AUTOMATIC), proposal("inc-0")
    log.take(first)
    for number in range(1, 20):
        log.take(proposal(f"inc-{number}", expires_at=first.expires_at + number), T0 + number)
    assert (len(log.book.cases), len(log.book.forgotten)) == (4, 3)
    assert [decision.outcome for decision in log.take(first, T0 + 100)] == [DecisionOutcome.EXPIRED]


def test_the_proposal_decided_last_is_forgotten_last_however_old_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """An approval that is not announced yet must find its case."""
    monkeypatch.setattr("models.approvals.decide.MAX_CASES", 3)
    log, old = Log(), proposal("inc-0")
    log.take(old)
    for number in (1, 2):
        of = proposal(f"inc-{number}")
        log.take(of)
        log.take(command(of, CommandVerb.REJECT))
    (decision,) = log.take(command(old))
    log.take(proposal("inc-3"))
    log.take(decision)
    assert log.book.cases[old.id].announced


@pytest.mark.parametrize("name", ["policy", "clock", " Policy"])
@pytest.mark.parametrize("verb", list(CommandVerb))
def test_nobody_decides_under_a_name_of_airras_own(name: str, verb: CommandVerb) -> None:
    log, of = Log(), proposal()
    log.take(of)
    word = command(of, verb, subject=name)
    assert log.take(word) == []
    assert verdict_on(log.book, word.id).fate is CommandFate.NOT_A_PERSON
    assert len(pending(log.book)) == 1


def withdrawal(incident: str = "inc-1", reason: WithdrawalReason = WithdrawalReason.RESOLVED) -> Withdrawal:
    return Withdrawal(id=f"wdr-{incident}", incident=incident, reason=reason, at=T0, source=Position(topic="i", partition=0, offset=9))


def test_a_withdrawal_closes_what_is_undecided_and_leaves_what_is_decided() -> None:
    log, of, other = Log(), proposal(), proposal("inc-2")
    log.take(of)
    log.take(other)
    log.take(command(other))
    (decision,) = log.take(withdrawal())
    assert (decision.proposal, decision.outcome, decision.subject, decision.reason) == (of.id, "withdrawn", "clock", "resolved")
    late = command(of)
    assert log.take(late) == []
    assert verdict_on(log.book, late.id).fate is CommandFate.WITHDRAWN
    assert log.take(withdrawal("inc-2")) == []
    assert log.outcome(other) is DecisionOutcome.APPROVED


def test_what_a_zombie_proposes_for_an_incident_that_is_over_is_withdrawn_at_once() -> None:
    log, of = Log(AUTOMATIC), proposal()
    log.take(withdrawal())
    assert [decision.outcome for decision in log.take(of)] == [DecisionOutcome.WITHDRAWN]


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


def test_a_policy_that_this_reader_does_not_understand_forbids_everything() -> None:
    log, of = Log(), proposal()
    log.take(on_the_log(AUTOMATIC).model_copy(update={"content": {"rules": [{"decide": "by_lot"}]}}))
    assert [decision.outcome for decision in log.take(of)] == [DecisionOutcome.FORBIDDEN]


def test_policy_tries_an_action_dry_once_an_incident_and_then_asks() -> None:
    log, first, second = Log(DRY), proposal(version=2), proposal(version=3)
    assert [(d.outcome, d.mode) for d in log.take(first)] == [(DecisionOutcome.APPROVED, Mode.DRY_RUN)]
    assert log.take(second) == []
    assert log.take(command(second))[0].mode is Mode.LIVE


def policies(world: World) -> list[str]:
    return [event.digest for event in world.logs.events(APPROVALS) if event.type == "policy"]


def test_the_stage_puts_its_policy_on_the_log_once_and_again_only_when_it_is_another() -> None:
    world = World(AUTOMATIC)
    world.tick(5)
    assert policies(world) == [on_the_log(AUTOMATIC).digest]
    world.restart_approve(Policy())
    world.tick(5)
    world.restart_approve(Policy())
    world.tick(5)
    assert policies(world) == [on_the_log(AUTOMATIC).digest, on_the_log(Policy()).digest]


def test_a_policy_on_its_way_is_not_said_again_not_even_after_a_crash() -> None:
    world = World(AUTOMATIC)
    approve = world.stages["approve"]
    for _ in range(3):
        world.logs.write(APPROVALS, Tick(at=T0))
    approve.run(world.logs)
    approve.crash()  # nothing was saved: the first tick says it again, under the same id
    world.settle()
    said = [event for event in world.logs.events(APPROVALS) if event.type == "policy"]
    assert len({event.id for event in said}) == 1
    world.tick(3)
    assert len([event for event in world.logs.events(APPROVALS) if event.type == "policy"]) == len(said)
    assert approve.state.saying == ""


def test_a_restart_under_another_policy_leaves_history_as_it_was_for_every_reader() -> None:
    world, of = World(), proposal()
    world.tick()
    world.logs.write(APPROVALS, of)
    world.logs.write(APPROVALS, command(of, CommandVerb.REJECT))
    world.settle()
    world.restart_approve(AUTOMATIC)
    world.tick(3)
    reread = world.reread()
    assert reread.cases[of.id].decision == world.stages["approve"].state.book.cases[of.id].decision
    assert (reread.cases[of.id].decision.outcome, reread.cases[of.id].decision.subject) == (DecisionOutcome.REJECTED, "ann")
    assert snapshot(reread) == snapshot(world.stages["approve"].state.book)
    assert reread.in_force.policy == AUTOMATIC


def told(world: World) -> list[tuple[NoticeKind, str]]:
    return [(event.kind, event.title) for event in world.logs.events(NOTICES, Notice)]


@pytest.mark.parametrize(
    ("policy", "kinds"),
    [(Policy(), [NoticeKind.APPROVAL_NEEDED]), (AUTOMATIC, []), (FORBIDDING, [NoticeKind.ESCALATED])],
)
def test_a_person_is_asked_only_for_what_is_left_to_a_person(policy: Policy, kinds: list[NoticeKind]) -> None:
    world, of = World(policy), proposal(severity=Severity.CRITICAL)
    world.tick(2)
    world.logs.write(APPROVALS, of)
    world.tick(3)
    assert told(world) == [(kind, of.title) for kind in kinds]
    assert all(event.severity is Severity.CRITICAL for event in world.logs.events(NOTICES, Notice))


def test_a_person_is_asked_once_when_the_llm_disagrees_and_not_before() -> None:
    world, of = World(in_force(AUTOMATIC, llm_timeout_s=20)), proposal()
    world.tick(2)
    world.logs.write(APPROVALS, of)
    world.tick(3)
    assert told(world) == []
    world.logs.write(APPROVALS, explanation(of, agrees=False))
    world.tick(3)
    assert told(world) == [(NoticeKind.APPROVAL_NEEDED, of.title)]


def test_nobody_is_paged_for_a_proposal_whose_incident_is_over() -> None:
    world, of = World(), proposal(expires_at=T0 + 10_000)
    world.tick()
    world.logs.write(APPROVALS, of)
    world.logs.write(APPROVALS, withdrawal())
    world.tick(15)
    assert [decision.outcome for decision in world.logs.events(APPROVALS, Decision)] == [DecisionOutcome.WITHDRAWN]
    assert world.notices() == [NoticeKind.APPROVAL_NEEDED]


def test_the_stage_writes_each_decision_once_and_tells_people_of_the_expired() -> None:
    world = World()
    of = proposal(expires_at=T0 + 3000)
    world.logs.write("airra.approvals.v1", of)
    world.tick(6)
    decisions = world.logs.events("airra.approvals.v1", Decision)
    assert [decision.outcome for decision in decisions] == [DecisionOutcome.EXPIRED]
    assert world.notices() == [NoticeKind.APPROVAL_NEEDED, NoticeKind.ESCALATED]
