"""What the network campaign takes for a repeat, for a second, for a loss: each can be told from the others on the logs alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cli.settings import read_settings
from cli.wiring import folds
from schemas.incidents import Incident
from schemas.samples import BATCH_HEADER, BatchSource, SampleBatch, encode_batch, encode_source, headers
from schemas.topics import ACTIONS, APPROVALS, INCIDENTS, SAMPLES
from streams.harness.emit import SOURCE_HEADER, emit
from streams.harness.fold import fold, restore
from streams.harness.stage import Output, Record
from tests.faults.network import repeats
from tests.faults.network.plane import PlaneBench, rows_said, said_again
from tests.faults.network.trouble import Spell, Trouble
from tests.faults.points.patient import SICK, Patient
from tests.network.recorder import Heard
from tests.unit.test_conserve import Logs

ROOT = Path(__file__).parents[2]
DECIDED = {"id": "dec-1", "proposal": "prp-1"}


def said(kind: str, **content: Any) -> Record:
    return Record(APPROVALS.name, 0, 0, 0, None, json.dumps(content).encode(), (("airra.type", kind.encode()),))


def test_a_record_with_the_id_of_an_earlier_one_is_a_repeat() -> None:
    once, other = said("decision", **DECIDED), said("decision", id="dec-2", proposal="prp-2")
    end = said("finished", id="fin-1", action="act-1")
    tick, copy = said("tick", at=1), replace(end, headers=(*end.headers, (SOURCE_HEADER, b"x")))
    assert repeats.stand_twice([once, other, tick, tick, copy, copy]) == (0, [])
    assert repeats.stand_twice([once, other, once]) == (1, [])
    assert repeats.stand_twice([once, said("decision", **DECIDED, at=7)]) == (1, ["airra.approvals.v1 decision dec-1"])


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (said("decision", **DECIDED), said("decision", id="dec-9", proposal="prp-1")),
        (
            said("command", id="cmd-1", proposal="prp-1", subject="ada", verb="approve", mode="live"),
            said("command", id="cmd-2", proposal="prp-1", subject="ada", verb="approve", mode="live"),
        ),
        (said("finished", id="fin-1", action="act-1"), said("finished", id="fin-2", action="act-1")),
        (said("outcome", id="out-1", action="act-1", version=1), said("outcome", id="out-2", action="act-1", version=1)),
        (said("delivery", id="dlv-1", notice="n", receiver="webhook"), said("delivery", id="dlv-2", notice="n", receiver="webhook")),
    ],
)
def test_what_stands_again_under_another_id_was_done_twice(first: Record, again: Record) -> None:
    assert repeats.under_other_ids([first, first]) == []
    assert len(repeats.under_other_ids([first, again])) == 1


def test_a_second_sending_after_a_look_up_has_an_id_of_its_own() -> None:
    assert repeats.under_other_ids([said("started", id="sta-1", action="act-1"), said("started", id="sta-2", action="act-1")]) == []


@pytest.fixture
def proposed() -> Logs:
    """What the control stages make of an incident that the bench tells."""
    logs, at = Logs(), 1_795_489_200_000

    def publish(told: Incident) -> None:
        logs.append(emit(INCIDENTS, told.incident, told), at)

    patient = Patient("inc-1", publish)
    stages = [stage for stage in folds(read_settings(config_dir=ROOT / "config")) if stage.name not in {"detect", "dedup", "correlate"}]
    parts = [restore(stage, 0, None, 0) for stage in stages]
    for _ in range(20):
        at += 1000
        patient.step(SICK)
        for stage, part in zip(stages, parts, strict=True):
            for record in list(logs.records(stage.topic, 0, part.offset + 1)):
                for output in fold(stage, part, record):
                    logs.append(output, at)
    return logs


def accounts(logs: Logs) -> list[str]:
    return repeats.unaccounted(logs, folds(read_settings(config_dir=ROOT / "config")))


def of_type(logs: Logs, kind: bytes) -> list[Record]:
    return [record for record in logs.records(APPROVALS.name, 0) if record.header("airra.type") == kind]


def again(logs: Logs, record: Record, **changes: Any) -> None:
    value = json.dumps({**json.loads(record.value), **changes}, separators=(",", ":")).encode() if changes else record.value
    logs.append(Output(record.topic, record.key, value, record.headers))


def test_logs_on_which_records_stand_again_with_their_ids_add_up(proposed: Logs) -> None:
    (proposal,) = of_type(proposed, b"proposal")
    again(proposed, proposal)
    again(proposed, next(iter(proposed.records(INCIDENTS.name, 0))))
    assert accounts(proposed) == []


def test_logs_with_a_record_under_another_id_do_not_add_up(proposed: Logs) -> None:
    (proposal,) = of_type(proposed, b"proposal")
    again(proposed, proposal, id="prp-another")
    assert any("outputs from nowhere" in account for account in accounts(proposed))


def test_logs_that_lack_what_a_stage_said_do_not_add_up(proposed: Logs) -> None:
    records = proposed.by_place[APPROVALS.name, 0]
    proposed.by_place[APPROVALS.name, 0] = [one for one in records if one.header("airra.type") != b"policy"]
    assert any("outputs lost" in account for account in accounts(proposed))


def test_an_end_of_what_was_never_granted_does_not_add_up(proposed: Logs) -> None:
    end = {"id": "fin-1", "action": "act-1", "proposal": "prp-1", "incident": "inc-1", "mode": "live", "status": "succeeded", "at": 1}
    spec = {"action": "restart", "service": "inventory", "params": {}}
    proposed.append(Output(ACTIONS.name, None, json.dumps({"type": "finished", "spec": spec, **end}).encode()))
    assert any("never granted" in account for account in accounts(proposed))


def heard(key: str, body: bytes = b"{}") -> Heard:
    return Heard("POST", "/notices", key, body)


def test_notices_that_arrived_once_or_again_are_told() -> None:
    found = repeats.told({"n1": "delivered", "n2": "delivered"}, [heard("n1"), heard("n2"), heard("n2")])
    assert (found.lost, found.wrong, found.repeated, found.failed) == (0, 0, 1, ())


@pytest.mark.parametrize(
    ("words", "arrived", "lost", "wrong", "failed"),
    [
        ({}, [], 0, 0, ("there was no notice at all",)),
        ({"n1": "failed"}, [], 1, 0, ("1 notices were given up",)),
        ({"n1": "failed"}, [heard("n1")], 0, 0, ("1 notices were given up",)),
        ({"n1": ""}, [heard("n1")], 0, 0, ("1 notices have no word of their delivery",)),
        ({"n1": "delivered"}, [], 1, 0, ()),
        ({"n1": "delivered"}, [heard("n1"), heard("n1", b"[]")], 0, 1, ()),
    ],
)
def test_a_notice_that_is_given_up_or_lost_or_altered_is_found(
    words: dict[str, str], arrived: list[Heard], lost: int, wrong: int, failed: tuple[str, ...]
) -> None:
    found = repeats.told(words, arrived)
    assert (found.lost, found.wrong, found.failed) == (lost, wrong, failed)


def batch(first: int, *values: float) -> Record:
    count = len(values)
    rows = SampleBatch(np.ones(count, np.uint64), np.zeros(count, np.int64), np.array(values), np.arange(first, first + count))
    head = (*headers("samples"), (BATCH_HEADER, encode_source(BatchSource("metrics", 0, first, first + count - 1))))
    return Record(SAMPLES.name, 0, 0, 0, None, encode_batch(rows), head)


def test_a_row_of_the_same_place_is_a_repeat_however_its_batch_is_cut() -> None:
    assert said_again(rows_said([batch(0, 1.0, 2.0), batch(2, 3.0)])) == (0, 0)
    assert said_again(rows_said([batch(0, 1.0, 2.0), batch(1, 2.0, 3.0)])) == (1, 0)
    assert said_again(rows_said([batch(0, 1.0, 2.0), batch(1, 5.0)])) == (1, 1)


def test_a_trouble_that_never_came_to_its_point_says_so() -> None:
    ended: list[str] = []
    spell = Spell(Trouble(lambda: None, lambda: ended.append("end"), 0.0, over=lambda key: key == "other"), "mine")
    spell.begin()
    spell.step()
    assert (ended, spell.met) == (["end"], False)
    assert not Spell(Trouble(lambda: None, lambda: None, 60.0), "mine").met  # it never began
    spell = Spell(Trouble(lambda: None, lambda: ended.append("end"), 60.0, over=lambda key: key == "mine"), "mine")
    spell.begin()
    spell.step()
    assert (ended, spell.met) == (["end", "end"], True)


def test_a_trouble_is_not_over_before_it_has_met_something(monkeypatch: pytest.MonkeyPatch) -> None:
    now, met = [0.0], [False]
    monkeypatch.setattr("tests.faults.network.trouble.time", SimpleNamespace(monotonic=lambda: now[0]))

    def lasting(until_s: float) -> float | None:
        now[0] = 0.0
        spell = Spell(Trouble(lambda: None, lambda: None, 9.0, fell=lambda: met[0]), "inc-1")
        spell.begin()
        now[0] = until_s
        spell.step()
        return spell.ended

    assert (lasting(9.0), lasting(38.9), lasting(39.0)) == (None, None, 39.0)  # and not for ever
    met[0] = True
    assert (lasting(8.9), lasting(9.0)) == (None, 9.0)


def test_traffic_flows_until_the_proxy_has_met_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flowed = 0
    proxy = SimpleNamespace(met=False)

    def flow(seconds: int) -> None:
        nonlocal flowed
        flowed += seconds
        proxy.met = flowed == 3

    bench = PlaneBench(SimpleNamespace(), proxy, tmp_path)  # type: ignore[arg-type]
    monkeypatch.setattr(bench, "_flow", flow)
    bench._flow_until_met()
    assert flowed == 3
    bench._flow_until_met()
    assert flowed == 3
    monkeypatch.setattr("tests.faults.network.plane.FALLS_WITHIN_S", 0.0)
    proxy.met = False
    bench._flow_until_met()  # and not for ever
    assert flowed == 3
