"""What the campaign invents as telemetry is a fault for the real stages, and how it judges what came of it can say no."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.config import load
from cli.settings import read_settings
from cli.wiring import folds
from schemas import topics
from schemas.approvals import Decision, DecisionOutcome
from schemas.base import SCHEMA, canonical, derive_id
from schemas.config.metrics import MetricsMapping
from schemas.kinds import Mode, Severity
from schemas.outcomes import Notice, NoticeKind
from schemas.settings import Settings
from schemas.signals import Tick
from streams.harness.fold import fold, restore
from streams.harness.stage import Output, Record
from streams.normalise.core import Core
from streams.normalise.times import Reach
from tests.faults.network.clocks import EXPIRES_S, Told, change
from tests.faults.network.history import LEAK_B_S, LEVEL, sample
from tests.faults.network.source import WELL_S, expired, late_s
from tests.faults.reliability.lost_control import STAGES, procedure_missing, settled
from tests.faults.reliability.timing import wrong_decision
from tests.unit.sink_records import RESTART, candidate, proposal
from tests.unit.test_conserve import Logs

ROOT = Path(__file__).parents[2]
T0_S = 1_795_489_200
PROPOSAL = proposal(chosen=candidate(RESTART, 1, 0.35))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The shipped configuration, but a proposal is soon over."""
    for file in (ROOT / "config").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    change(tmp_path / "runbooks.yaml", "proposing", expires_s=EXPIRES_S)
    return read_settings(config_dir=tmp_path)


def lived(settings: Settings, seconds: int, write: Callable[[int], Iterator[bytes]]) -> Logs:
    """Let all the stages live through so many seconds; `write` gives the raw samples of each."""
    logs, core, stages = Logs(), Core(load(MetricsMapping, settings.file("metrics")), 4, 4), folds(settings)
    parts = {(stage.name, number): restore(stage, number, None, 0) for stage in stages for number in logs.bounds(stage.topic)}
    for second in range(seconds):
        now = (T0_S + second) * 1000
        raw = [logs.append(Output("metrics", None, value), now) for value in write(second)]
        if raw:
            values: list[bytes | None] = [one.value for one in raw]
            where = [one.offset for one in raw]
            for output in core.take_samples(("metrics", 0), values, where, [now] * len(raw), raw.__getitem__, Reach(now)).outputs:
                logs.append(output, now)
        for stage in stages:
            if stage.tick_every_s and second % int(stage.tick_every_s) == 0:
                for number in logs.bounds(stage.topic):
                    logs.append(Output(stage.topic, None, canonical(Tick(at=now)), (("airra.type", b"tick"), SCHEMA), number), now)
        for _ in range(len(stages)):
            for stage in stages:
                for number in logs.bounds(stage.topic):
                    part = parts[stage.name, number]
                    for record in list(logs.records(stage.topic, number, part.offset + 1)):
                        for output in fold(stage, part, record):
                            logs.append(output, now)
    return logs


def of_type(logs: Logs, topic: topics.TopicSpec, kind: str) -> list[tuple[Record, dict[str, Any]]]:
    return [(one, json.loads(one.value)) for one in logs.records(topic.name, 0) if one.header("airra.type") == kind.encode()]


def test_a_leak_that_stops_at_its_source_is_proposed_a_cure_for_and_expires_on_time(settings: Settings) -> None:
    def write(second: int) -> Iterator[bytes]:
        leaked = max(0, second - WELL_S) * LEAK_B_S
        if second < WELL_S + 20:
            for service, more in (("orders", leaked), ("payments", 0.0)):
                yield sample(service, "process_resident_memory_bytes", T0_S + second, LEVEL + more)

    logs = lived(settings, WELL_S + 60, write)
    (_, asked), *_ = of_type(logs, topics.APPROVALS, "proposal")
    assert asked["chosen"]["spec"]["action"] == "restart"
    (decision, decided), *_ = of_type(logs, topics.APPROVALS, "decision")
    assert (decided["outcome"], decided["proposal"]) == ("expired", asked["id"])
    assert 0 <= decision.timestamp - asked["expires_at"] <= 1000
    ((notice, _),) = [(record, one) for record, one in of_type(logs, topics.NOTICES, "notice") if one["kind"] == "escalated"]
    assert 0 <= notice.timestamp - asked["expires_at"] <= 1000


def test_services_that_are_well_open_nothing(settings: Settings) -> None:
    logs = lived(settings, WELL_S + 20, lambda second: iter([sample("orders", "process_resident_memory_bytes", T0_S + second, LEVEL)]))
    assert of_type(logs, topics.INCIDENTS, "incident") == []


def decision(outcome: DecisionOutcome = DecisionOutcome.APPROVED, name: str = "", of: str = PROPOSAL.id, at: int = 1_000) -> Decision:
    digest = "d1" if outcome is DecisionOutcome.APPROVED else None
    identity = name or derive_id("dec", of)
    return Decision(id=identity, proposal=of, incident="inc-1", outcome=outcome, mode=Mode.LIVE, digest=digest, subject="ada", at=at)


def test_one_approval_dated_by_the_log_is_right() -> None:
    assert wrong_decision(PROPOSAL, [(decision(at=1_000), 1_200)]) == []


@pytest.mark.parametrize(
    "decided",
    [
        [],
        [(decision(), 1_000), (decision(name="dec-2"), 1_000)],
        [(decision(DecisionOutcome.EXPIRED), 1_000)],
        [(decision(name="dec-2"), 1_000)],
        [(decision(at=3_601_000), 1_000)],
    ],
)
def test_another_decision_or_one_dated_by_a_wrong_clock_is_found(decided: list[tuple[Decision, int]]) -> None:
    assert wrong_decision(PROPOSAL, decided) != []
    assert wrong_decision(None, decided) == ["nothing was proposed"]


def told(*events: tuple[object, int]) -> Told:
    found = Told()
    for event, at in ((PROPOSAL, 0), *events):
        found.take(event, at)
    return found


def escalated() -> Notice:
    return Notice(id="n", kind=NoticeKind.ESCALATED, incident="inc-1", severity=Severity.CRITICAL, title="t", text="x", at=0)


def test_how_late_an_expiry_is_counts_from_when_it_was_due() -> None:
    due = PROPOSAL.expires_at
    seen = told((decision(DecisionOutcome.EXPIRED), due + 500), (escalated(), due + 1_500))
    assert len(expired(seen, "inc-1")) == 1
    assert late_s(seen, "inc-1") == ([0.5, 1.5], [])


@pytest.mark.parametrize(
    "events",
    [
        [],
        [(decision(DecisionOutcome.EXPIRED), 0)],
        [(escalated(), 0)],
        [(decision(DecisionOutcome.APPROVED), 0), (escalated(), 0)],
        [(decision(DecisionOutcome.EXPIRED, of="prp-older"), 0), (escalated(), 0)],
    ],
)
def test_what_did_not_expire_or_nobody_was_told_of_is_found(events: list[tuple[object, int]]) -> None:
    assert late_s(told(*events), "inc-1")[1] != []


SAID = """airra: admit: airra.approvals.v1 is not the log that the state of admit was folded from: it was deleted and made again, or …
  2. Delete airra-admit-state-changelog and the group airra-admit (kafka-topics.sh --delete, …
  4. Nothing is acted upon until an operator says so: `airra act arm`."""


def test_a_procedure_names_the_log_what_to_delete_and_the_arming() -> None:
    assert procedure_missing(SAID, "airra.approvals.v1") == []
    assert procedure_missing(SAID, "airra.actions.v1") == ["not told which log"]
    assert procedure_missing(SAID.replace("Delete", "Keep"), "airra.approvals.v1") == ["not told what to delete"]
    assert procedure_missing("", "airra.approvals.v1") != []


class Control:
    def __init__(self, code: int | None = None) -> None:
        self.code = code
        self.started = 0

    def start(self) -> None:
        self.code, self.started = None, self.started + 1


class Place:
    """A site as far as its log and its control role go."""

    def __init__(self, log: Path, control: Control, *lines: dict[str, str]) -> None:
        self.log, self.control = log, control
        log.write_text("\n".join(map(json.dumps, lines)))


OPENED = [{"stage": stage, "event": "partition_opened"} for stage in STAGES]
TELLS, ACTS = ({"effector": name, "event": "effector_began"} for name in ("tell", "execute"))
WAITS = {"effector": "execute", "event": "waits_for_arming"}


@pytest.mark.parametrize(
    ("code", "lines", "settles"),
    [
        (None, [*OPENED, ACTS], True),
        (None, [*OPENED, WAITS], True),
        (None, [*OPENED, TELLS], False),
        (None, [*OPENED[1:], ACTS], False),
        (2, [], True),
        (70, [], False),
    ],
)
def test_control_runs_once_every_stage_has_its_log_and_execute_is_there(
    code: int | None, lines: list[dict[str, str]], settles: bool, tmp_path: Path
) -> None:
    control = Control(code)
    assert settled(Place(tmp_path / "log", control, *lines)) is settles  # type: ignore[arg-type]
    assert control.started == (code == 70)
