"""People's commands on a proposal: the first valid one in log order decides, and every loser is told by whom and when."""

import pytest

from models.approvals import CommandFate, pending, verdict_on
from schemas.approvals import CommandVerb, DecisionOutcome
from schemas.kinds import Mode
from tests.acting_world import T0, command, proposal
from tests.unit.approval_log import Log


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


@pytest.mark.parametrize("name", ["policy", "clock", " Policy"])
@pytest.mark.parametrize("verb", list(CommandVerb))
def test_nobody_decides_under_a_name_of_airras_own(name: str, verb: CommandVerb) -> None:
    log, of = Log(), proposal()
    log.take(of)
    word = command(of, verb, subject=name)
    assert log.take(word) == []
    assert verdict_on(log.book, word.id).fate is CommandFate.NOT_A_PERSON
    assert len(pending(log.book)) == 1
