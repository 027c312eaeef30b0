"""When a demo is over: a person may take their time, a scenario too; nothing else is waited for."""

from pathlib import Path

import pytest

from cli.config import load
from cli.demo import run as running
from cli.demo.command import ROOT
from cli.demo.ending import (
    CALM_S,
    END_AFTER_S,
    EXPIRY_SEEN_S,
    INJECTED_WITHIN_S,
    SILENCE_S,
    THINKING_S,
    TOO_LATE_S,
    Asked,
    Until,
    armed_for,
    ended,
    injected_within,
)
from cli.demo.run import Plan, Run
from cli.demo.story import Fault, Story
from schemas.approvals import Decision, DecisionOutcome
from schemas.config.runbooks import RunbookCatalogue
from schemas.kinds import Mode
from streams.harness.errors import Retryable
from tests.api_world import proposal

FAULT_AT = 1_800_000_000_000
CURABLE = {"root_cause": "inventory", "action": "restart"}
EXPIRES_AT = FAULT_AT + 900_000


def after(seconds: float) -> int:
    return FAULT_AT + int(seconds * 1000)


def asked_story() -> Story:
    story = Story(fault=Fault("leak", "memory_leak", "inventory", FAULT_AT, "inventory", "restart"))
    story.take(proposal(expires_at=EXPIRES_AT), after(18))
    return story


def decided(story: Story, outcome: DecisionOutcome, at: float) -> Story:
    decision = Decision(
        id="dec-1", proposal="prp-1", incident="inc-1", outcome=outcome, mode=Mode.LIVE, digest="d", subject="alice", at=after(at)
    )
    story.take(decision, after(at))
    return story


def test_an_answer_that_took_long_starts_the_time_for_the_cure() -> None:
    late = Asked(answered_at=after(300))
    assert not ended(asked_story(), CURABLE, late, after(301))
    story = decided(asked_story(), DecisionOutcome.APPROVED, 300)
    assert not ended(story, CURABLE, late, after(300 + END_AFTER_S - 1))
    assert ended(story, CURABLE, late, after(300 + END_AFTER_S + 1))


def test_a_run_that_only_has_to_find_its_fault_ends_with_the_incident_or_when_it_is_too_late() -> None:
    story = asked_story()
    assert not ended(story, CURABLE, Asked(), after(TOO_LATE_S), Until.INCIDENT)
    assert ended(story, CURABLE, Asked(), after(TOO_LATE_S + 1), Until.INCIDENT)
    story.incidents["inc-0"] = after(-1)
    assert not ended(story, CURABLE, Asked(), after(5), Until.INCIDENT)
    story.incidents["inc-1"] = after(4)
    assert ended(story, CURABLE, Asked(), after(5), Until.INCIDENT)


def test_the_page_may_decide_until_the_proposal_expires() -> None:
    page = Asked(elsewhere=frozenset({"prp-1"}))
    assert not ended(asked_story(), CURABLE, page, after(899))
    assert ended(asked_story(), CURABLE, page, EXPIRES_AT + int(EXPIRY_SEEN_S * 1000) + 1)
    story = decided(asked_story(), DecisionOutcome.APPROVED, 600)
    assert not ended(story, CURABLE, page, after(600 + END_AFTER_S - 1))


@pytest.mark.parametrize("outcome", [DecisionOutcome.REJECTED, DecisionOutcome.EXPIRED])
def test_after_a_no_only_the_calm_is_watched(outcome: DecisionOutcome) -> None:
    story = decided(asked_story(), outcome, 40)
    assert not ended(story, CURABLE, Asked(), after(40 + CALM_S - 1))
    assert ended(story, CURABLE, Asked(), after(40 + CALM_S + 1))


def test_without_a_person_nothing_is_waited_for_beyond_the_deadline() -> None:
    assert not ended(asked_story(), CURABLE, Asked(), after(END_AFTER_S - 1))
    assert ended(asked_story(), CURABLE, Asked(), after(END_AFTER_S + 1))


def test_silence_and_an_abstention_end_as_they_should() -> None:
    story = Story(fault=Fault("deploy", "deploy", "catalog", FAULT_AT))
    assert not ended(story, {}, Asked(), after(SILENCE_S - 1))
    assert ended(story, {}, Asked(), after(SILENCE_S))
    crash = Story(fault=Fault("crash", "crash_loop", "payments", FAULT_AT, "payments", "none"))
    assert not ended(crash, {"action": "none"}, Asked(), after(30))
    crash.escalated_at = after(30)
    assert not ended(crash, {"action": "none"}, Asked(), after(49))
    assert ended(crash, {"action": "none"}, Asked(), after(51))


def test_a_fault_that_comes_late_is_waited_for_and_acting_stays_armed() -> None:
    late = {"name": "leak", "after_s": 400.0}
    assert injected_within({"name": "leak", "after_s": 10.0}) == INJECTED_WITHIN_S
    assert injected_within(late) == INJECTED_WITHIN_S + 340
    assert armed_for(late, None, 0.0) > injected_within(late) + END_AFTER_S
    assert armed_for(late, None, THINKING_S) > injected_within(late) + THINKING_S + END_AFTER_S
    assert armed_for(None, 7200.0, 0.0) > 7200


def test_thinking_is_as_long_as_a_proposal_lives() -> None:
    assert load(RunbookCatalogue, ROOT / "config" / "runbooks.yaml").proposing.expires_s == THINKING_S


def make(tmp_path: Path, fault: dict[str, object], said: list[str] | None = None) -> Run:
    say = (said if said is not None else []).append
    return Run(Plan(tmp_path / "x.yaml", fault, 1, None, tmp_path), say, lambda *_: None)


def test_a_run_gives_up_on_the_injection_only_after_the_scenarios_own_waiting(tmp_path: Path) -> None:
    run = make(tmp_path, {"name": "leak", "after_s": 400.0, "expected": CURABLE})
    assert not run._over(500.0)
    with pytest.raises(RuntimeError, match="was not injected within 520 s"):
        run._over(521.0)


def test_a_proposal_that_the_page_decides_is_remembered(tmp_path: Path) -> None:
    run = make(tmp_path, {"name": "leak", "expected": CURABLE})
    run._ask(proposal())
    assert run._asked == Asked(elsewhere=frozenset({"prp-1"}))


def test_a_store_that_is_away_is_no_row_and_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> list[dict[str, object]]:
        raise Retryable("store http://127.0.0.1:8123: connection refused")

    run = make(tmp_path, {"name": "leak", "expected": CURABLE})
    run.story.outcomes = {"act-1": None}  # type: ignore[dict-item] - only the name is asked for
    monkeypatch.setattr(run, "query", away)
    monkeypatch.setattr(running, "READ_BACK_S", 0.5)
    assert run._read_back() is None
