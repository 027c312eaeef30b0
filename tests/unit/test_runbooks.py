"""The runbook file: what it may say, and what is proposed from it."""

from pathlib import Path

import networkx as nx
import pytest
import yaml
from incident_world import T0
from test_ranking_faults import SOURCE, errors, memory_leak, pool_exhausted, traffic_surge

from cli.config import ConfigError, load, validate
from models.runbooks.digests import digests_of
from models.runbooks.propose import propose
from models.runbooks.risk import blast_level, blast_radius, risk, urgency
from schemas.actions import Preconditions
from schemas.config.correlate import CorrelateConfig
from schemas.config.runbooks import RunbookCatalogue
from schemas.config.topology import TopologyFile
from schemas.kinds import ActionName, Criticality, Severity

CONFIG = Path(__file__).parents[2] / "config"


def catalogue(**changed) -> dict:
    return {**yaml.safe_load((CONFIG / "runbooks.yaml").read_text()), **changed}


def test_the_shipped_files_are_valid():
    assert len(load(RunbookCatalogue, CONFIG / "runbooks.yaml").runbooks) == 6
    assert load(CorrelateConfig, CONFIG / "correlate.yaml").quiet_s >= 30
    assert load(TopologyFile, CONFIG / "topology.yaml").services == ()


def test_an_unknown_action_is_named_with_its_place_and_the_known_ones():
    data = catalogue(runbooks=[{"name": "a", "cause": "memory_leak", "cures": [{"action": "explode", "expected_effect": "boom"}]}])
    with pytest.raises(ConfigError, match=r"runbooks\.yaml: runbooks\.0\.cures\.0\.action: .*'scale_up'.*'restart'.*given: 'explode'"):
        validate(RunbookCatalogue, data, "runbooks.yaml")


@pytest.mark.parametrize(
    ("runbooks", "message"),
    [
        ([{"name": "a", "cause": "memory_leak", "cures": [{"action": "none", "expected_effect": "x"}]}], "none cures nothing"),
        ([{"name": "a", "cause": "memory_leak", "cures": []}], "at least 1 item"),
        ([{"name": n, "cause": "cache", "cures": [{"action": "restart", "expected_effect": "x"}]} for n in "ab"], "same cause: cache"),
        ([{"name": "a", "cause": "gremlins", "cures": [{"action": "restart", "expected_effect": "x"}]}], "gremlins"),
    ],
)
def test_mistakes_are_errors(runbooks, message):
    with pytest.raises(ConfigError, match=message):
        validate(RunbookCatalogue, catalogue(runbooks=runbooks), "runbooks.yaml")


def test_a_topology_that_calls_nobody_known_is_an_error():
    with pytest.raises(ConfigError, match="not listed: ordres"):
        validate(TopologyFile, {"services": [{"name": "gateway"}], "calls": [{"from": "gateway", "to": "ordres"}]}, "topology.yaml")


@pytest.mark.parametrize(
    ("order", "cheapest"), [(("rollback", "restart", "clear_cache"), "clear_cache"), (("restart", "clear_cache"), "clear_cache")]
)
def test_the_lowest_risk_cure_is_chosen_whatever_the_order_in_the_file(order, cheapest):
    cures = [{"action": action, "expected_effect": "x"} for action in order]
    given = RunbookCatalogue.model_validate(catalogue(runbooks=[{"name": "a", "cause": "memory_leak", "cures": cures}]))
    assert propose(memory_leak(), given, source=SOURCE, at=T0).chosen.spec.action == cheapest


def test_equal_risks_are_decided_by_name():
    cures = [{"action": action, "expected_effect": "x"} for action in ("restart", "clear_cache", "drain")]
    data = catalogue(
        runbooks=[{"name": "a", "cause": "memory_leak", "cures": cures}], risk={"restart": 0.3, "clear_cache": 0.3, "drain": 0.3}
    )
    assert propose(memory_leak(), RunbookCatalogue.model_validate(data), source=SOURCE, at=T0).chosen.spec.action == "clear_cache"


def test_a_scale_up_is_sized_by_the_load_and_capped_and_goes_back_to_what_was():
    given = load(RunbookCatalogue, CONFIG / "runbooks.yaml")
    chosen = propose(traffic_surge(), given, source=SOURCE, at=T0).chosen
    assert (chosen.spec.params, chosen.undo.action, chosen.undo.params) == ({"workers": 8}, ActionName.SCALE_DOWN, {"workers": 2})
    capped = given.model_copy(update={"scale_cap": 3})
    assert propose(traffic_surge(), capped, source=SOURCE, at=T0).chosen.spec.params == {"workers": 6}


def test_a_scale_up_without_known_workers_does_not_apply():
    surge = traffic_surge()
    blind = surge.model_copy(update={"nodes": tuple(node.model_copy(update={"workers": None}) for node in surge.nodes)})
    assert propose(blind, load(RunbookCatalogue, CONFIG / "runbooks.yaml"), source=SOURCE, at=T0).chosen is None


def test_risk_is_the_actions_times_the_services_criticality():
    given = RunbookCatalogue()
    assert [risk(ActionName.RESTART, c, given) for c in Criticality] == pytest.approx([0.28, 0.35, 0.42, 0.525])
    assert risk(ActionName.NONE, Criticality.CRITICAL, given) == 0


def test_the_blast_radius_is_heritages_formula():
    graph = nx.DiGraph([("gateway", "orders"), ("orders", "inventory"), ("gateway", "catalog")])
    radius = blast_radius(graph, {}, ["inventory"], Criticality.MEDIUM)
    assert radius == pytest.approx(0.30 * 3 / 10 + 0.25 * 0 + 0.25 * 2 / 3 + 0.20 * 0.5, abs=1e-4)
    assert [blast_level(r) for r in (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)] == ["minimal", "low", "medium", "high", "critical", "critical"]
    assert (urgency(0.0, Severity.INFO), urgency(1.0, Severity.CRITICAL)) == (1.0, 5.0)


def shipped() -> RunbookCatalogue:
    return load(RunbookCatalogue, CONFIG / "runbooks.yaml")


def test_a_rollback_needs_what_the_blamed_deploy_brought_even_where_the_topology_knows_no_release():
    given = errors()
    assert propose(given, shipped(), source=SOURCE, at=T0).chosen.preconditions == Preconditions(workers=2, release="v2")
    blind = given.model_copy(update={"nodes": tuple(node.model_copy(update={"release": None}) for node in given.nodes)})
    found = propose(blind, shipped(), source=SOURCE, at=T0)
    assert (found.chosen.spec.params, found.chosen.preconditions.release) == ({"to": "v1"}, "v2")
    unsaid = blind.model_copy(update={"changes": tuple(change.model_copy(update={"after": ""}) for change in blind.changes)})
    assert propose(unsaid, shipped(), source=SOURCE, at=T0).chosen is None, "nobody knows what runs there"


@pytest.mark.parametrize(("after", "enabled"), [("true", True), ("on", True), ("false", False), ("off", False)])
def test_a_toggle_needs_the_flag_as_its_change_left_it(after, enabled):
    given = pool_exhausted()
    moved = given.model_copy(update={"changes": tuple(change.model_copy(update={"after": after}) for change in given.changes)})
    chosen = propose(moved, shipped(), source=SOURCE, at=T0).chosen
    assert (chosen.spec.params["enabled"], chosen.preconditions.flags) == (not enabled, {"slow_report": enabled})


def test_the_digest_binds_the_flags():
    chosen = propose(pool_exhausted(), shipped(), source=SOURCE, at=T0).chosen
    other = chosen.model_copy(update={"preconditions": chosen.preconditions.model_copy(update={"flags": {}})})
    assert digests_of(chosen, "inc-1").live != digests_of(other, "inc-1").live
