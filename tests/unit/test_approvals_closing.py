"""What closes a proposal without anybody's word on it: its expiry, another proposal, the end of its incident."""

from models.approvals import CommandFate, pending, verdict_on
from schemas.approvals import DecisionOutcome
from schemas.signals import Tick
from tests.acting_world import command, proposal
from tests.unit.approval_log import AUTOMATIC, Log, withdrawal


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
