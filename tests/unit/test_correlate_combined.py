"""correlate: all signals of a service together, which open an incident where nothing else does."""

import pytest
from incident_world import T0, Run, anomaly, topology
from test_correlate import incidents

from schemas.config.correlate import CorrelateConfig
from schemas.kinds import Kind
from schemas.signals import Phase
from streams.correlate import stage


@pytest.fixture
def shop() -> Run:
    run = Run(stage(CorrelateConfig()))
    run.send(topology(), T0 - 1000)
    return run


def test_all_signals_together_open_an_incident_by_themselves_and_are_named_only_then(shop):
    shop.send(anomaly("orders", Kind.COMBINED, Phase.OPENED, T0), T0)
    (opened,) = incidents(shop.ticks(T0, 2))
    assert opened.title == "orders: all signals together out of the ordinary"
    shop.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0 + 2500), T0 + 2500)
    (updated,) = incidents(shop.ticks(T0 + 2000, 1))
    assert updated.title == "orders: latency out of the ordinary"


def test_the_worst_service_is_the_one_whose_own_series_are_farthest_out(shop):
    shop.send(anomaly("gateway", Kind.COMBINED, Phase.OPENED, T0, z=40.0), T0)
    shop.send(anomaly("orders", Kind.LATENCY, Phase.OPENED, T0, z=8.0), T0)
    assert incidents(shop.ticks(T0, 2))[0].services == ("orders", "gateway")
