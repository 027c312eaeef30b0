"""What the approvals book keeps is bounded, and what it has forgotten is not decided anew."""

import pytest

from models.approvals import CommandFate, pending, restore, snapshot, verdict_on
from models.approvals import case as caps
from schemas.approvals import CommandVerb, DecisionOutcome
from tests.acting_world import T0, command, proposal
from tests.unit.approval_log import AUTOMATIC, Log


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
