"""The read model behind the API: the same whatever is repeated, closed to poison, bounded, and counting what it drops."""

import pytest
from prometheus_client import REGISTRY

from api import read_model
from api.read_model import Kept
from models import calibration
from schemas import topics
from streams.harness.errors import Poison
from streams.harness.stage import Record
from tests.api_world import NOW, World
from tests.unit.api_calls import grant, outcome, waiting_world  # noqa: F401 - the fixture world


async def test_an_outcome_of_a_higher_version_takes_the_place(world):
    for version, correct in ((2, 0), (1, 1)):
        world.put(topics.OUTCOMES, "act-1", outcome("act-1", version, correct=correct))
    assert world.model.outcomes.get("act-1").correct == 0


def test_the_same_log_twice_gives_the_same_read_model(world):
    again = World()
    records = [(name, record) for name, log in world.logs.items() for record in log.records]
    for name, record in [*records, *records]:  # every record twice, as after a view that starts again
        again.logs[name].fold(record)
    assert list(again.model.proposals) == list(world.model.proposals)
    assert again.model.of_incident.get("inc-1") == ["prp-1"]
    assert again.model.incidents.latest("inc-1") == world.model.incidents.latest("inc-1")


def test_an_unreadable_record_is_poison_and_changes_nothing(world):
    for log in world.logs.values():
        with pytest.raises(Poison):
            log.fold(Record(log.name, 0, 99, NOW, None, b"\xff not json"))
    assert len(world.model.proposals) == 1


def test_a_table_keeps_its_cap():
    table = Kept[int]("test", cap=3)
    for number in range(10):
        table.put(str(number), number)
    assert list(table) == [7, 8, 9]


def test_what_the_folds_of_the_read_model_drop_is_counted(world, monkeypatch):
    def dropped(table):
        return REGISTRY.get_sample_value("airra_api_evictions_total", {"table": table}) or 0.0

    tables = ("proposals_of_one", "actions_of_one", "incidents", "actions", "calibration")
    before = {table: dropped(table) for table in tables}
    monkeypatch.setattr(read_model, "OF_ONE", 2)
    monkeypatch.setattr(calibration, "KEPT", 1)
    world.model.log.max_open, world.model.incidents.capacity = 2, 1
    first = grant(world)
    for number in range(2, 5):
        world.propose(f"prp-{number}")
        world.put(topics.ACTIONS, "a", first.model_copy(update={"id": f"act-{number}"}))
        world.put(topics.OUTCOMES, "a", outcome(f"act-{number}"))
        world.open_incident(f"inc-{number}")
    assert {table: dropped(table) - before[table] for table in tables} == {
        "proposals_of_one": 2,
        "actions_of_one": 2,
        "incidents": 3,
        "actions": 2,
        "calibration": 2,
    }
