"""What a record becomes in the store: pure, total over everything that the control logs hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import get_args

import pytest
from pydantic import BaseModel

from schemas.actions import ActionEvent
from schemas.approvals import ApprovalEvent
from schemas.base import canonical
from schemas.incidents import IncidentEvent
from schemas.outcomes import NoticeEvent, Outcome
from schemas.signals import Tick
from schemas.topics import ACTIONS, APPROVALS, DLQ, INCIDENTS, OUTCOMES, SIGNALS
from streams.harness.dlq import dead_letter
from streams.harness.errors import Poison
from streams.sink.batch import Batch
from streams.sink.rows import _SHAPES, Fate, fold, row_version, rows
from tests.unit.sink_records import RESTART, T0, Log, candidate, finished, incident, outcome, proposal, refused, whole_loop


def test_every_type_that_a_control_log_may_hold_has_a_table_or_is_time() -> None:
    unions = (IncidentEvent, ApprovalEvent, ActionEvent, NoticeEvent)
    types = {member for union in unions for member in get_args(get_args(union)[0])} | {Outcome}
    assert types - {Tick} == set(_SHAPES)


def test_each_record_of_a_loop_ends_in_one_fate_and_the_counts_add_up() -> None:
    log = whole_loop()
    batch = Batch()
    for record in log.records:
        batch.add(record)
    assert sum(batch.fates.values()) == len(log.records)
    by_fate = {fate: sum(count for (_, each), count in batch.fates.items() if each is fate) for fate in Fate}
    assert by_fate == {Fate.STORED: len(log.records) - 5, Fate.TICK: 1, Fate.COPY: 4, Fate.REPLAYED: 0, Fate.UNKNOWN: 0, Fate.DEAD: 0}


def test_the_same_record_always_gives_the_same_rows() -> None:
    for record in whole_loop().records:
        assert rows(record) == rows(record)


def test_a_proposal_shows_its_best_explanation_and_chosen_action_flat() -> None:
    (row,) = rows(Log().append(APPROVALS, proposal(chosen=candidate(RESTART, 1, 0.35))))
    assert row.table == "proposals"
    assert {name: row.values[name] for name in ("root_cause", "cause", "action_name", "service", "risk", "confidence")} == {
        "root_cause": "inventory",
        "cause": "memory_leak",
        "action_name": "restart",
        "service": "inventory",
        "risk": 0.35,
        "confidence": 0.82,
    }
    assert row.values["at"] == datetime.fromtimestamp((T0 + 20_000) / 1000, UTC)
    assert [each["rank"] for each in row.values["hypotheses"]] == [1, 2]


def test_a_proposal_that_abstains_names_the_action_none_and_no_figures() -> None:
    (row,) = rows(Log().append(APPROVALS, proposal(chosen=None, services=())))
    assert (row.values["action_name"], row.values["service"], row.values["root_cause"]) == ("none", "", "")
    assert all(row.values[name] is None for name in ("confidence", "risk", "blast_radius", "urgency", "reversible"))


def test_a_copied_result_is_not_stored_twice() -> None:
    log = Log()
    assert fold(log.append(ACTIONS, finished())).fate is Fate.STORED
    assert fold(log.append(INCIDENTS, finished())) == fold(log.append(APPROVALS, finished()))
    assert fold(log.append(INCIDENTS, finished())).fate is Fate.COPY


@pytest.mark.parametrize(("event", "epoch"), [(refused(), None), (refused(), 7), (finished(), 7)])
def test_what_became_of_an_undo_names_the_action_it_takes_back_and_who_owned_the_executor(event: BaseModel, epoch: int | None) -> None:
    (row,) = rows(Log().append(ACTIONS, event.model_copy(update={"undo_of": "act-0", "epoch": epoch})))
    assert (row.values["undo_of"], row.values["epoch"]) == ("act-0", epoch)


def test_the_first_record_of_an_id_counts_and_a_newer_model_version_beats_it() -> None:
    assert row_version(0, 5) > row_version(0, 6)
    assert row_version(2, 900) > row_version(1, 5)
    assert row_version(1, 2**48 - 1) >= 0


def test_an_unknown_type_of_a_newer_writer_is_passed_over() -> None:
    log = Log()
    for topic in (INCIDENTS, APPROVALS, ACTIONS, OUTCOMES):
        assert fold(log.append_bytes(topic, b'{"type":"forecast","at":1}')).fate is Fate.UNKNOWN
    assert fold(log.append_bytes(SIGNALS, b"{}")).fate is Fate.UNKNOWN


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff\xfe",
        b"nonsense",
        b"[]",
        b"null",
        b'{"type":5}',
        b'{"type":"incident"}',
        b'{"type":"tick","at":-1}',
        b"[" * 100_000,
    ],
)
def test_an_unreadable_record_becomes_a_dead_letter_with_its_reason_and_stops_nothing(value: bytes) -> None:
    log = Log()
    batch = Batch()
    bad = log.append_bytes(INCIDENTS, value)
    assert batch.add(bad) is Fate.DEAD
    assert batch.add(log.append(INCIDENTS, incident())) is Fate.STORED
    (letter,) = batch.letters
    assert letter.topic == DLQ.name
    assert letter.value == value
    assert dict(letter.headers)["airra.error.stage"] == b"sink"
    assert batch.following == {(INCIDENTS.name, 0): 2}


def test_a_time_that_no_store_can_hold_is_poison() -> None:
    log = Log()
    far = outcome().model_copy(update={"at": 10**13})  # 2286: a time, but none of the store's
    with pytest.raises(Poison, match="time_out_of_range"):
        rows(log.append(OUTCOMES, far))
    with pytest.raises(Poison, match="version_out_of_range"):
        rows(log.append(OUTCOMES, outcome(version=10**9)))


@pytest.mark.parametrize("params", [b'{"x":NaN}', b'{"x":[Infinity]}'])
def test_what_a_model_lets_through_and_no_row_can_hold_is_a_dead_letter_and_stops_nothing(params: bytes) -> None:
    log, batch = Log(), Batch()
    value = canonical(proposal(chosen=candidate(RESTART, 1, 0.35))).replace(b'"params":{}', b'"params":' + params)

    assert batch.add(log.append_bytes(APPROVALS, value)) is Fate.DEAD
    assert batch.add(log.append(INCIDENTS, incident())) is Fate.STORED
    assert dict(batch.letters[0].headers)["airra.error.reason"] == b"unstorable_value"


def test_a_dead_letter_is_kept_as_coordinates_and_reason_without_its_content() -> None:
    log = Log()
    bad = log.append_bytes(INCIDENTS, b"secret payload")
    letter = dead_letter(bad, "correlate", Poison("invalid_record", "no json"))
    (row,) = rows(log.append_bytes(DLQ, letter.value, letter.headers))
    kept = {name: row.values[name] for name in ("stage", "reason", "detail", "topic", "partition", "offset")}
    assert kept == {
        "stage": "correlate",
        "reason": "invalid_record",
        "detail": "no json",
        "topic": INCIDENTS.name,
        "partition": 0,
        "offset": 0,
    }
    assert "secret" not in json.dumps(row.values, default=str)
    (again,) = rows(log.append_bytes(DLQ, letter.value, letter.headers))
    assert again.values["id"] == row.values["id"]


def test_a_dead_letter_without_sense_is_counted_and_never_buried_again() -> None:
    log = Log()
    batch = Batch()
    headers = (("airra.error.offset", b"99999999999999999999999"), ("airra.error.partition", b"x"), ("airra.error.reason", b"\xff"))
    assert batch.add(log.append_bytes(DLQ, b"", headers)) is Fate.STORED
    assert batch.letters == []
