"""What execute and report keep of the actions is bounded, and what they drop is counted."""

import asyncio

from prometheus_client import REGISTRY

from models.execution.log import ActionLog, fold
from schemas.actions import Grant, Started
from tests.acting_world import ACTIONS, T0
from tests.unit.execute_steps import granted_world


def test_the_log_of_actions_is_bounded_and_what_is_begun_is_dropped_last() -> None:
    world = granted_world()
    (grant,) = world.logs.events(ACTIONS, Grant)
    told = {"action": "act-1", "proposal": grant.proposal, "incident": grant.incident, "mode": grant.mode, "spec": grant.spec, "at": T0}
    log = ActionLog(max_open=3)
    events = [grant.model_copy(update={"id": f"act-{number}"}) for number in range(6)]
    events.insert(2, Started(id="sta-1", epoch=0, seen={}, **told))
    for offset, event in enumerate(events):
        fold(log, event, offset)
    assert (list(log.open), list(log.started), log.evicted) == (["act-1", "act-4", "act-5"], ["act-1"], 3)
    strangers = [Started(id=f"sta-{n}", epoch=0, seen={}, **{**told, "action": f"act-{n}"}) for n in range(10, 15)]
    for offset, event in enumerate(strangers, start=10):
        fold(log, event, offset)
    assert (list(log.started), log.evicted) == (["act-1", "act-13", "act-14"], 6)


def test_what_execute_and_report_drop_is_counted_on_a_metric() -> None:
    def counts() -> list[float]:
        names = [("airra_report_evicted_entries_total", {"table": "open"})]
        names += [("airra_execute_evicted_entries_total", {"fold": fold, "table": "open"}) for fold in ("intents", "actions")]
        return [REGISTRY.get_sample_value(name, labels) or 0.0 for name, labels in names]

    before = counts()
    world = granted_world()
    world.execute._log.max_open = world.execute._sides.actions.max_open = world.stages["report"].state.max_open = 1
    (grant,) = world.logs.events(ACTIONS, Grant)
    world.logs.write(ACTIONS, grant.model_copy(update={"id": "act-2"}))
    world.stages["report"].run(world.logs)
    world.fold_execute()
    asyncio.run(world.views.barrier(1.0))
    assert [now - then for now, then in zip(counts(), before, strict=True)] == [1, 1, 1]
