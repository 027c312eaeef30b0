"""Confidence is heritage.md's formula, term by term."""

import networkx as nx
import pytest

from models.confidence import Weighed, confidence, topology_bonus
from schemas.kinds import Cause

GRAPH = nx.DiGraph([("gateway", "orders"), ("orders", "inventory")])


def test_the_parts_are_the_formulas_terms_and_add_up():
    parts = confidence(Cause.MEMORY_LEAK, Weighed(relevance=1.0, types=2, count=2, sigma=6.0, pattern=1), 0.15)
    assert (parts.base, parts.topology, parts.pattern) == (0.28, 0.15, 0.10)
    assert parts.evidence == pytest.approx(0.35 * (0.6 + 0.10 + 0.06))
    assert parts.anomaly == pytest.approx(0.25, abs=1e-4)
    assert parts.total == 0.99, "clamped"


def test_types_and_count_are_capped():
    few, many = (confidence(Cause.OTHER, Weighed(0.5, n, n, 3.0, 0), 0.0).evidence for n in (4, 40))
    assert few == many == pytest.approx(0.35 * (0.3 + 0.15 + 0.10))


def test_it_never_leaves_its_bounds_downwards():
    assert confidence(Cause.OTHER, Weighed(0.0, 0, 0, 0.0, -1), -0.2).total == 0.01


@pytest.mark.parametrize(
    ("cause", "base"), [(Cause.ERROR, 0.85), (Cause.TRAFFIC_SPIKE, 0.80), (Cause.CRASH_LOOP, 0.50), (Cause.CACHE, 0.50)]
)
def test_each_cause_has_its_base(cause, base):
    assert confidence(cause, Weighed(0.5, 1, 1, 3.0, 0), 0.0).base == pytest.approx(0.4 * base)


@pytest.mark.parametrize(("relevance", "sigma"), [(1.2, 3.0), (-0.1, 3.0), (0.5, float("inf")), (0.5, float("nan")), (0.5, -1.0)])
def test_what_is_no_evidence_is_refused(relevance, sigma):
    with pytest.raises(ValueError, match="relevance"):
        confidence(Cause.OTHER, Weighed(relevance, 1, 1, sigma, 0), 0.0)


@pytest.mark.parametrize(
    ("suspect", "most_affected", "bonus"),
    [
        ("orders", "gateway", 0.15),
        ("inventory", "gateway", 0.08),
        ("gateway", "orders", -0.05),
        ("orders", "orders", 0.0),
        ("x", "orders", 0.0),
    ],
)
def test_a_callee_of_the_most_affected_service_is_likelier_than_its_caller(suspect, most_affected, bonus):
    assert topology_bonus(GRAPH, suspect, most_affected) == bonus
