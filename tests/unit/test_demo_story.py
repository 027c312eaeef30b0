"""What a demo run came to, judged from its records: nothing passes that was not seen."""

from typing import Any

import pytest

from cli.demo.all import summary
from cli.demo.story import Fault, Story, met
from schemas.base import Position
from schemas.incidents import Incident, IncidentPhase
from schemas.kinds import Severity
from schemas.outcomes import Notice, NoticeKind

FAULT = Fault("leak", "memory_leak", "inventory", 1000, "inventory", "restart")
CRASH = Fault("crash", "crash_loop", "payments", 1000, "payments", "none")
CALM = Fault("deploy", "deploy", "catalog", 1000)


def incident(name: str, phase: IncidentPhase = IncidentPhase.OPENED) -> Incident:
    return Incident(
        id=f"ire-{name}-{phase}",
        incident=name,
        phase=phase,
        version=1,
        opened_at=1,
        at=1,
        title="t",
        severity=Severity.WARNING,
        services=("inventory",),
        suspects=(),
        health=(),
        sources=(Position(topic="airra.signals.v1", partition=0, offset=1),),
    )


def result(**more: Any) -> dict[str, Any]:
    good = {
        "incidents": 1,
        "root_cause": "inventory",
        "action": "restart",
        "verdict": "success",
        "expected": {"root_cause": "inventory", "action": "restart"},
        "outcome": {"action": "act-1"},
    }
    return good | more


def test_a_run_as_expected_is_met() -> None:
    assert met(Story(fault=FAULT), result()) == []


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"incidents": 2}, "one incident was expected, 2"),
        ({"incidents": 0}, "one incident was expected, 0"),
        ({"root_cause": "orders"}, "root_cause: expected inventory, got orders"),
        ({"action": "none"}, "action: expected restart, got none"),
        ({"verdict": "partial"}, "expected success, got partial"),
        ({"verdict": None}, "expected success, got None"),
        ({"outcome": None}, "not read back"),
    ],
)
def test_what_is_not_as_expected_is_named(more: dict[str, Any], says: str) -> None:
    assert any(says in line for line in met(Story(fault=FAULT), result(**more)))


def test_an_incident_before_the_fault_is_not_met() -> None:
    story = Story()
    story.take(incident("inc-1"), 500)
    story.fault = FAULT
    assert any("before the fault" in line for line in met(story, result()))


def test_an_abstention_must_be_told_and_nothing_executed() -> None:
    asked = result(root_cause="payments", action="none", verdict=None, outcome=None, expected={"root_cause": "payments", "action": "none"})
    story = Story(fault=CRASH)
    assert met(story, asked) == ["nobody was told: no escalation"]
    notice = Notice(id="n", kind=NoticeKind.ESCALATED, incident="inc-1", severity=Severity.WARNING, title="t", text="x", at=2000)
    story.take(notice, 2000)
    assert met(story, asked) == []


def test_silence_is_met_only_by_silence() -> None:
    story = Story(fault=CALM)
    assert met(story, result(incidents=0)) == []
    assert met(story, result(incidents=1)) == ["silence was expected, 1 incidents were opened"]


def test_the_same_record_twice_counts_once() -> None:
    story = Story(fault=FAULT)
    for at in (2000, 3000):
        story.take(incident("inc-1"), at)
    assert story.incidents == {"inc-1": 2000}
    assert story.result(None, 1.0)["seconds"]["fault_to_incident"] == 1.0


def test_the_summary_counts_a_missing_incident() -> None:
    runs = [
        {"met": True, "expected": {"root_cause": "a"}, "seconds": {"fault_to_incident": 5.0, "total": 90.0}},
        {"met": False, "expected": {"root_cause": "a"}, "seconds": {"fault_to_incident": None, "total": 99.0}},
        {"met": True, "expected": {"root_cause": None}, "seconds": {"fault_to_incident": None, "total": 80.0}},
    ]
    assert summary(runs) == {
        "runs": 3,
        "met": 2,
        "fault_to_incident_p50_s": 5.0,
        "fault_to_incident_worst_s": 5.0,
        "without_incident": 1,
        "longest_run_s": 99.0,
    }
