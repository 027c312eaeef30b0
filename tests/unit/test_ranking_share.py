"""Sharing blame along the call graph, by itself: no cause patterns, no runbooks."""

import math

import networkx as nx
import pytest
from incident_world import incident, reading, suspect

from models.ranking.readings import Readings, read
from models.ranking.share import Blame, share
from schemas.kinds import Kind


def readings(**departures: tuple[Kind, float, float]) -> Readings:
    """service=(kind, value, z) for each departed service; the others stay ordinary."""
    return read(incident(*(suspect(reading(service, kind, value, z=z)) for service, (kind, value, z) in departures.items())))


def shared(calls: list[tuple[str, str]], given: Readings, **local: float) -> dict[str, Blame]:
    return share(nx.DiGraph(calls), given, local, {})


def test_a_caller_whose_latency_its_callee_explains_keeps_nothing():
    found = shared([("gateway", "orders")], readings(gateway=(Kind.LATENCY, 0.45, 90), orders=(Kind.LATENCY, 0.45, 9)))
    assert (found["gateway"].own, found["gateway"].score) == (0.0, 0.0)
    assert found["orders"].own == 1.0
    assert found["orders"].score == pytest.approx(math.log1p(90)), "the caller's louder anomaly becomes the callee's blame"


def test_a_caller_keeps_what_its_callee_does_not_explain():
    found = shared([("gateway", "orders")], readings(gateway=(Kind.LATENCY, 0.45, 9), orders=(Kind.LATENCY, 0.15, 9)))
    assert found["gateway"].own == pytest.approx(0.75), "0.1 s of 0.4 s is the callee's"
    assert found["gateway"].score == pytest.approx(0.75 * math.log1p(9))


def test_two_callees_get_blame_in_proportion_to_what_they_explain():
    given = readings(gateway=(Kind.LATENCY, 0.45, 99), orders=(Kind.LATENCY, 0.35, 3), catalog=(Kind.LATENCY, 0.15, 3))
    found = shared([("gateway", "orders"), ("gateway", "catalog")], given)
    assert found["orders"].score / found["catalog"].score == pytest.approx(3.0)
    assert found["gateway"].score == pytest.approx(0.0)


def test_blame_goes_all_the_way_down_a_chain():
    given = readings(**{name: (Kind.ERRORS, 6.1, z) for name, z in (("gateway", 90), ("orders", 40), ("payments", 5))})
    found = shared([("gateway", "orders"), ("orders", "payments")], given)
    assert [found[name].score for name in ("gateway", "orders")] == [0.0, 0.0]
    assert found["payments"].score > 4
    assert [found[name].depth for name in ("gateway", "orders", "payments")] == [0, 1, 2]


def test_services_that_call_each_other_do_not_explain_one_another():
    given = readings(orders=(Kind.LATENCY, 0.45, 9), payments=(Kind.LATENCY, 0.45, 9))
    found = shared([("orders", "payments"), ("payments", "orders")], given)
    assert (found["orders"].own, found["payments"].own) == (1.0, 1.0)


def test_what_only_a_service_itself_can_cause_is_not_passed_on():
    given = readings(gateway=(Kind.LATENCY, 0.45, 9), orders=(Kind.LATENCY, 0.45, 9))
    assert shared([("gateway", "orders")], given, gateway=2.5)["gateway"].score == 2.5


def test_a_callee_that_was_not_there_explains_its_callers_errors():
    given = readings(orders=(Kind.ERRORS, 11.0, 60))
    found = share(nx.DiGraph([("orders", "payments")]), given, {}, {"payments": 0.9})
    assert found["orders"].own == pytest.approx(0.1)
    assert found["payments"].score > found["orders"].score


def test_a_service_that_comes_and_goes_explains_callers_of_its_callers_though_the_one_between_was_read_at_a_good_moment():
    given = readings(gateway=(Kind.ERRORS, 11.0, 100), payments=(Kind.RESTARTS, 4.0, 4.8))
    graph = nx.DiGraph([("gateway", "orders"), ("orders", "payments")])
    found = share(graph, given, {"payments": 1.76}, {"payments": 1.0})
    assert found["gateway"].own == pytest.approx(0.2)
    assert found["orders"].score == pytest.approx(0.0)
    assert found["payments"].score == pytest.approx(1.76 + 0.8 * math.log1p(100))


def test_what_lies_behind_a_healthy_service_is_not_blamed_for_being_there():
    given = readings(gateway=(Kind.ERRORS, 11.0, 100))
    found = share(nx.DiGraph([("gateway", "orders"), ("orders", "payments")]), given, {}, {})
    assert (found["gateway"].own, found["payments"].score) == (1.0, 0.0)
