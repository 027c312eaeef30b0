"""What the figures of the control worker are made of: who is active, what counts as folded, what counts as performed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from cli.demo.command import ROOT
from cli.settings import read_settings
from cli.wiring import control, now_ms
from schemas import topics
from schemas.actions import FinishStatus
from streams.harness.kafka import KafkaSettings
from streams.harness.readiness import Readiness
from streams.harness.stage import Output, Record
from tests.faults.load import control_logs
from tests.faults.load.control_logs import Stamped
from tests.faults.reliability.control import GROUPS, INTENTS, STAGES, folded, performed, shared
from tests.faults.reliability.effect_rate import BENCHES, Target, granted

LOG = [Stamped(0, Output(topics.SIGNALS.name, None, b"12345678"))] * 100


@pytest.mark.parametrize(
    ("owners", "found"),
    [
        ({"reason": {"reason-0": 1, "reason-1": 0}, "tell": {"tell-0": 0, "tell-1": 1}}, {0: 1, 1: 1}),
        ({"reason": {"reason-0": 2, "reason-1": 1}, "tell": {"tell-0": 1, "tell-1": 0}}, {0: 2}),
        ({"reason": {"reason-0": 2, "reason-1": 0}, "tell": None}, None),
        ({"reason": {"reason-0": 1, "reason-1": 1}}, None),
        ({"reason": {"reason-0": 1}}, None),
        ({"reason": {"reason-0": 0, "reason-1": 0}}, None),
    ],
)
def test_who_is_active_is_what_the_groups_say_once_both_are_in_each(
    owners: Mapping[str, Mapping[str, int] | None], found: dict[int, int] | None
) -> None:
    assert shared(owners) == found


def test_every_grant_that_execute_is_measured_with_is_carried_out() -> None:
    world, target = granted(5, now_ms()), Target()
    world.executor = target
    world.start_execute()
    world.settle()
    assert [told.status for told in world.finished()] == [FinishStatus.SUCCEEDED] * 5
    assert sorted(target.asked.values()) == [1] * 5


def test_a_control_worker_is_in_these_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.harness.kafka.cluster_id", lambda _: "cluster")
    parts = control(read_settings(config_dir=ROOT / "config"), KafkaSettings("127.0.0.1:9"), Readiness())
    assert [one.name for one in (*parts.stages, *parts.effectors)] == list(GROUPS)
    assert [make().name for make in control_logs.stages().values()] == list(STAGES)
    assert set(BENCHES) == set(INTENTS)


@pytest.mark.parametrize("name", STAGES)
def test_each_stage_has_something_to_say_of_the_log_that_it_is_measured_with(name: str) -> None:
    logs = {topics.SIGNALS.name: control_logs.signals(1000), topics.INCIDENTS.name: control_logs.incidents(200), **control_logs.acted(200)}
    stage = control_logs.stages()[name]()
    state, said = stage.restore(None), 0
    for offset, one in enumerate(logs[stage.topic]):
        record = Record(stage.topic, 0, offset, one.at, one.output.key, one.output.value, one.output.headers)
        said += len(stage.apply(state, record, one.at))
    assert said > 0


def test_a_dead_letter_is_no_record_folded_and_no_output() -> None:
    good = folded("reason", LOG, {"seconds": 2.0, "outputs": 30}, 0)
    assert (good.passed, good.notes) == (True, "50 records/s (100 of 8 bytes, 30 outputs)")
    bad = folded("reason", LOG, {"seconds": 2.0, "outputs": 30}, 10)
    assert (bad.failed, bad.notes) == (("10 of 100 records became dead letters",), "45 records/s (90 of 8 bytes, 20 outputs)")


def test_a_stage_that_says_nothing_is_not_measured() -> None:
    assert folded("reason", LOG, {"seconds": 2.0, "outputs": 0}, 0).failed == ("it said nothing of what it folded",)
    assert "it said nothing of what it folded" in folded("reason", LOG, {"seconds": 2.0, "outputs": 100}, 100).failed


@pytest.mark.parametrize(
    ("change", "expected"),
    [({}, (0, 0, True)), ({"performed": 9}, (1, 1, False)), ({"asked": 12}, (0, 2, False)), ({"told": 9}, (0, 0, False))],
)
def test_an_intent_counts_once_it_is_done_at_the_target_once_and_its_result_says_so(
    change: dict[str, Any], expected: tuple[int, int, bool]
) -> None:
    found = performed("tell", 10, {"seconds": 2.0, "performed": 10, "asked": 10, "told": 10} | change)
    assert (found.lost, found.doubled, found.passed) == expected
    assert found.notes == "5 intents/s (10 over a target that answers at once)"
