"""Each fault kind of the sandbox, with the loudest symptom at a caller: the guilty service, its cause and its cure are found."""

from pathlib import Path

import pytest
from incident_world import SERVICES, T0, change, incident, reading, suspect

from cli.config import load
from models.runbooks.propose import propose
from schemas.approvals import Proposal, ProposalReason
from schemas.base import Position
from schemas.config.runbooks import RunbookCatalogue
from schemas.incidents import Incident
from schemas.kinds import ActionName, Cause, ChangeType, Direction, Kind
from schemas.signals import AnomalyReason

CATALOGUE = load(RunbookCatalogue, Path(__file__).parents[2] / "config" / "runbooks.yaml")
SOURCE = Position(topic="airra.incidents.v1", partition=0, offset=7)


def proposed(given: Incident, catalogue: RunbookCatalogue = CATALOGUE) -> Proposal:
    return propose(given, catalogue, source=SOURCE, at=T0 + 10_000)


def slow(service: str, seconds: float, z: float):
    return suspect(reading(service, Kind.LATENCY, seconds, z=z))


def failing(service: str, per_second: float, z: float):
    return suspect(reading(service, Kind.ERRORS, per_second, z=z))


# The gateway is the loudest in standard deviations in each of them; the guilty one is further down.
LOUD_GATEWAY = (slow("gateway", 0.40, 80), failing("gateway", 6, 60), slow("orders", 0.38, 25))


def memory_leak() -> Incident:
    return incident(*LOUD_GATEWAY, slow("inventory", 0.36, 9), suspect(reading("inventory", Kind.MEMORY, 120e6, z=30)))


def cpu_burn() -> Incident:
    return incident(*LOUD_GATEWAY, slow("payments", 0.36, 9), failing("payments", 8, 9), health=[reading("payments", Kind.CPU, 0.046, z=9)])


def traffic_surge() -> Incident:
    loaded = reading("catalog", Kind.REQUESTS, 160, z=20)
    return incident(
        slow("gateway", 0.9, 80), failing("gateway", 30, 60), slow("catalog", 0.86, 12), failing("catalog", 70, 20), health=[loaded]
    )


def errors() -> Incident:
    bad = change(ChangeType.DEPLOY, "payments", "v1", "v2")
    other = change(ChangeType.DEPLOY, "gateway", "v1", "v2", at=T0 - 300_000)
    suspects = (failing("gateway", 6, 80), failing("orders", 6, 30), failing("payments", 6.2, 9))
    return incident(*suspects, changes=[bad, other], releases={"payments": "v2", "gateway": "v2"})


def latency() -> Incident:
    bad = change(ChangeType.DEPLOY, "inventory", "v1", "v2")
    return incident(*LOUD_GATEWAY, slow("catalog", 0.37, 20), slow("inventory", 0.35, 9), changes=[bad], releases={"inventory": "v2"})


def pool_exhausted() -> Incident:
    flag = change(ChangeType.FLAG, "inventory", "false", "true", name="slow_report")
    return incident(*LOUD_GATEWAY, slow("inventory", 0.36, 9), suspect(reading("inventory", Kind.POOL, 1.0, z=12)), changes=[flag])


def cache_poisoned() -> Incident:
    """The misses reach the database: its pool is busier, and yet the cache is the cause."""
    dry = suspect(reading("inventory", Kind.POOL, 0.6, z=14))
    return incident(*LOUD_GATEWAY, slow("inventory", 0.36, 9), dry, suspect(reading("inventory", Kind.CACHE, 0.02, z=-9)))


def crash_loop() -> Incident:
    """A process that begins anew spends much CPU on few requests; nothing else is wrong with it while it is there."""
    down = suspect(reading("payments", Kind.UP, 0.0, z=-40))
    starting = [reading("payments", Kind.CPU, 0.2, z=30), reading("payments", Kind.REQUESTS, 25, z=-4)]
    return incident(failing("gateway", 10, 80), failing("orders", 11, 60), down, health=starting)


CASES = {
    memory_leak: ("inventory", Cause.MEMORY_LEAK, ActionName.RESTART, {}),
    cpu_burn: ("payments", Cause.CPU_SPIKE, ActionName.SCALE_UP, {"workers": 6}),
    traffic_surge: ("catalog", Cause.TRAFFIC_SPIKE, ActionName.SCALE_UP, {"workers": 8}),
    errors: ("payments", Cause.DEPLOYMENT, ActionName.ROLLBACK, {"to": "v1"}),
    latency: ("inventory", Cause.DEPLOYMENT, ActionName.ROLLBACK, {"to": "v1"}),
    pool_exhausted: ("inventory", Cause.DATABASE, ActionName.TOGGLE_FEATURE_FLAG, {"flag": "slow_report", "enabled": False}),
    cache_poisoned: ("inventory", Cause.CACHE, ActionName.CLEAR_CACHE, {}),
}


@pytest.mark.parametrize("fault", CASES, ids=lambda fault: fault.__name__)
def test_the_guilty_service_its_cause_and_its_cure_are_found(fault):
    service, cause, action, params = CASES[fault]
    found = proposed(fault())
    assert (found.hypotheses[0].service, found.hypotheses[0].cause) == (service, cause)
    assert found.reason is ProposalReason.CURE_FOUND
    assert found.chosen is not None
    assert (found.chosen.spec.service, found.chosen.spec.action, found.chosen.spec.params) == (service, action, params)
    assert found.confidence is not None
    assert found.confidence >= CATALOGUE.min_confidence
    assert found.hypotheses[0].score > found.hypotheses[1].score * 1.1, "not by a hair"


def test_a_crash_loop_is_named_and_nothing_is_proposed():
    found = proposed(crash_loop())
    assert (found.hypotheses[0].service, found.hypotheses[0].cause) == ("payments", Cause.CRASH_LOOP)
    assert (found.reason, found.chosen, found.digests, found.confidence) == (ProposalReason.NO_RUNBOOK, None, None, None)


def test_a_service_that_keeps_restarting_is_named_although_it_was_deployed_before():
    looping = suspect(reading("payments", Kind.RESTARTS, 3, z=9))
    deploy = change(ChangeType.DEPLOY, "payments", "v1", "v2")
    found = proposed(incident(failing("orders", 11, 60), looping, changes=[deploy], releases={"payments": "v2"}))
    assert (found.hypotheses[0].service, found.hypotheses[0].cause) == ("payments", Cause.CRASH_LOOP)


def test_a_process_that_dies_and_comes_back_is_no_leak_although_its_memory_is_up():
    down = suspect(reading("payments", Kind.UP, 0.0, z=-40))
    grown = suspect(reading("payments", Kind.MEMORY, 120e6, z=30))
    found = proposed(incident(failing("orders", 11, 60), down, grown))
    assert (found.hypotheses[0].cause, found.chosen) == (Cause.CRASH_LOOP, None)


def test_a_single_metric_that_fell_silent_does_not_outweigh_a_dry_pool():
    gone = reading("inventory", Kind.UP, 30, z=9).model_copy(update={"metric": "cache_hit_ratio:silence", "direction": Direction.UP})
    given = pool_exhausted()
    found = proposed(given.model_copy(update={"suspects": (*given.suspects, suspect(gone, reason=AnomalyReason.SILENCE))}))
    assert found.hypotheses[0].cause is Cause.DATABASE


def test_error_ratios_size_a_scale_up_by_what_is_still_served():
    refused = suspect(reading("catalog", Kind.ERRORS, 0.45, z=9, baseline=0.0).model_copy(update={"unit": "ratio"}))
    hot = reading("catalog", Kind.CPU, 0.044, z=9)
    assert proposed(incident(slow("catalog", 0.8, 9), refused, health=[hot])).chosen.spec.params == {"workers": 8}


def test_errors_after_nobody_changed_anything_have_no_cure():
    found = proposed(incident(failing("gateway", 6, 80), failing("payments", 6.2, 9), failing("orders", 6, 9)))
    assert (found.hypotheses[0].service, found.hypotheses[0].cause) == ("payments", Cause.ERROR)
    assert found.reason is ProposalReason.NO_RUNBOOK


def test_a_deploy_of_a_service_whose_symptoms_a_callee_explains_is_no_evidence():
    innocent = change(ChangeType.DEPLOY, "gateway", "v1", "v2", at=T0 - 5_000)
    given = pool_exhausted()
    found = proposed(given.model_copy(update={"changes": (*given.changes, innocent)}))
    assert (found.hypotheses[0].service, found.chosen.spec.action) == ("inventory", ActionName.TOGGLE_FEATURE_FLAG)


def test_a_deploy_after_the_onset_is_not_blamed():
    late = change(ChangeType.DEPLOY, "payments", "v1", "v2", at=T0 + 8_000)
    found = proposed(incident(failing("orders", 6, 30), failing("payments", 6.2, 9), changes=[late], releases={"payments": "v2"}))
    assert Cause.DEPLOYMENT not in {hypothesis.cause for hypothesis in found.hypotheses}


def test_a_release_that_is_no_longer_there_is_not_rolled_back():
    given = errors()
    found = proposed(given.model_copy(update={"nodes": tuple(node.model_copy(update={"release": "v9"}) for node in given.nodes)}))
    assert found.reason is ProposalReason.NO_RUNBOOK


def test_a_flag_that_somebody_has_moved_back_is_not_toggled():
    given = pool_exhausted()
    back = change(ChangeType.FLAG, "inventory", "true", "false", name="slow_report", at=T0 + 9_000)
    found = proposed(given.model_copy(update={"changes": (*given.changes, back)}))
    assert found.chosen is None


def test_a_memory_leak_beats_the_latency_it_causes_at_the_same_service():
    found = proposed(memory_leak())
    causes = [hypothesis.cause for hypothesis in found.hypotheses if hypothesis.service == "inventory"]
    assert causes.index(Cause.MEMORY_LEAK) < causes.index(Cause.LATENCY)


def test_a_busier_pool_under_more_load_is_not_exhaustion():
    loaded = [reading(name, Kind.REQUESTS, 160, z=20) for name in ("gateway", "inventory")]
    busy = suspect(reading("inventory", Kind.POOL, 0.4, z=12))
    found = proposed(incident(failing("gateway", 70, 30), slow("gateway", 0.9, 40), busy, health=loaded))
    assert (found.hypotheses[0].service, found.hypotheses[0].cause) == ("gateway", Cause.TRAFFIC_SPIKE)


def test_a_saturated_entry_keeps_the_blame_although_its_callees_are_steadier_and_depart_further():
    loaded = [reading(name, Kind.REQUESTS, 90, z=20) for name in SERVICES]
    small = [slow(name, 0.07, 40) for name in ("orders", "catalog", "inventory", "payments")]
    found = proposed(incident(slow("gateway", 0.9, 30), failing("gateway", 60, 30), *small, health=loaded))
    assert (found.hypotheses[0].service, found.chosen.spec.action) == ("gateway", ActionName.SCALE_UP)


def test_a_crash_loop_is_named_though_the_service_between_it_and_its_failing_caller_was_read_at_a_good_moment():
    restarts = suspect(reading("payments", Kind.RESTARTS, 4.0, z=4.8))
    found = proposed(incident(restarts, health=[reading("gateway", Kind.ERRORS, 10.0, z=80)]))
    assert (found.hypotheses[0].service, found.hypotheses[0].cause) == ("payments", Cause.CRASH_LOOP)
