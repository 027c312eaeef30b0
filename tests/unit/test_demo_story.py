"""What a demo run came to, judged from its records: nothing passes that was not seen."""

from typing import Any

import pytest

from cli.demo.all import demands, summary
from cli.demo.ending import Until
from cli.demo.story import Fault, Story, found, met
from schemas.actions import ActionSpec, Seen, Started
from schemas.base import Position
from schemas.incidents import Incident, IncidentPhase
from schemas.kinds import ActionName, Mode, Severity
from schemas.outcomes import Notice, NoticeKind

FAULT = Fault("leak", "memory_leak", "inventory", 1000, "inventory", "restart")
ROW = {"service": "inventory", "action_name": "restart", "verdict": "success"}
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
        "outcome": ROW,
    }
    return good | more


def started(action: str = "act-1", service: str = "inventory") -> Started:
    return Started(
        id=f"sta-{action}",
        action=action,
        proposal="prp",
        incident="inc-1",
        mode=Mode.LIVE,
        spec=ActionSpec(action=ActionName.RESTART, service=service),
        epoch=1,
        seen=Seen(),
        at=2000,
    )


def acted(*words: Started) -> Story:
    story = Story(fault=FAULT)
    for word in words:
        story.take(word, 2000)
    return story


def test_a_run_as_expected_is_met() -> None:
    assert met(acted(started()), result()) == []


@pytest.mark.parametrize("words", [(), (started(service="orders"),), (started(), started("act-2"))])
def test_only_the_expected_action_once_is_met(words: tuple[Started, ...]) -> None:
    assert any(line.startswith("executed") for line in met(acted(*words), result()))


@pytest.mark.parametrize("wrong", [{"verdict": "none"}, {"service": "orders"}, {"action_name": "rollback"}, {"duplicates": 2}])
def test_the_row_itself_is_looked_at(wrong: dict[str, Any]) -> None:
    assert any("the row read back" in line for line in met(acted(started()), result(outcome=ROW | wrong)))


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
    assert any(says in line for line in met(acted(started()), result(**more)))


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
        "found_within_20_s": 0.5,
        "incidents_of_nothing": 0,
        "longest_run_s": 99.0,
    }


def test_a_run_that_only_has_to_find_its_fault_is_judged_by_when_it_did() -> None:
    def told(*incidents: tuple[str, float]) -> list[str]:
        story = Story(fault=Fault("leak", "memory_leak", "inventory", 1000, "inventory", "restart"))
        story.incidents = {name: int(at) for name, at in incidents}
        story.early = sum(at < 1000 for _, at in incidents)
        return found(story, 20.0)

    assert told(("inc-1", 21_000)) == []
    assert told(("inc-1", 21_100)) == ["the incident was opened after 20.1 s, and should be within 20"]
    assert told() == ["no incident was opened"]
    assert told(("inc-1", 900)) == ["an incident was opened before the fault", "no incident was opened"]
    silent = Story(fault=Fault("peak", "load_peak", "gateway", 1000))
    assert found(silent, 20.0) == []
    silent.incidents["inc-1"] = 2000
    assert found(silent, 20.0) == ["silence was expected, 1 incidents were opened"]


def test_most_faults_must_be_found_in_time_and_nothing_where_there_is_nothing() -> None:
    def runs(found: int, late: int, of_nothing: int) -> list[dict[str, Any]]:
        one = {"met": True, "expected": {"root_cause": "a"}, "incidents": 1}
        good = [one | {"seconds": {"fault_to_incident": 5.0, "total": 90.0}}] * found
        bad = [one | {"seconds": {"fault_to_incident": 25.0, "total": 90.0}}] * late
        silent = [{"met": not of_nothing, "expected": {}, "incidents": of_nothing, "seconds": {"fault_to_incident": None, "total": 80.0}}]
        return good + bad + silent

    assert all(demands(summary(runs(97, 3, 0)), Until.INCIDENT).values())
    assert list(demands(summary(runs(96, 4, 0)), Until.INCIDENT).values()) == [False, True]
    assert list(demands(summary(runs(97, 3, 1)), Until.INCIDENT).values()) == [True, False]


def test_what_the_loop_promises_is_enforced() -> None:
    good = {
        "runs": 2,
        "met": 2,
        "fault_to_incident_p50_s": 9.9,
        "fault_to_incident_worst_s": 19.0,
        "without_incident": 0,
        "longest_run_s": 170.0,
    }
    assert all(demands(good).values())
    for name, value in (
        ("met", 1),
        ("fault_to_incident_p50_s", 10.5),
        ("fault_to_incident_worst_s", 21.0),
        ("without_incident", 1),
        ("longest_run_s", 181.0),
    ):
        assert not all(demands(good | {name: value}).values()), name
