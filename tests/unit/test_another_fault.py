"""An incident that goes on for long does not swallow the next fault near it: people are told, and what is proposed is for it alone."""

import pytest
from incident_world import T0, Run, anomaly, incident, reading, suspect, topology
from test_correlate import notices, texts
from test_reason import CATALOGUE, live, proposals, started, version
from test_reason import notices as escalations

from agents.reason import stage as reason
from agents.reason.decide import AFRESH_MS
from models.correlation.notices import GROWN_EVERY_MS
from schemas.actions import Seen
from schemas.approvals import ProposalReason
from schemas.config.correlate import CorrelateConfig
from schemas.incidents import Incident
from schemas.kinds import ActionName, Kind
from schemas.signals import Phase
from streams.correlate import stage

LATER = T0 + 20_000 + AFRESH_MS


@pytest.fixture
def shop() -> Run:
    run = Run(stage(CorrelateConfig()))
    run.send(topology(), T0 - 1000)
    return run


def opened(shop: Run, *services: str, at: int) -> None:
    for service in services:
        shop.send(anomaly(service, Kind.LATENCY, Phase.OPENED, at), at)


def test_a_service_that_joins_long_after_people_were_told_is_told_of(shop: Run) -> None:
    opened(shop, "orders", at=T0)
    assert notices(shop.ticks(T0, 2)) == ["incident_opened"]
    late = T0 + GROWN_EVERY_MS + 5000
    opened(shop, "payments", at=late)
    made = shop.ticks(late, 3)
    assert notices(made) == ["incident_grown"]
    assert texts(made) == ["joined: payments; affected: orders, payments"]
    assert notices(shop.ticks(late + 3000, 60)) == [], "once"


def test_a_fault_that_spreads_is_told_of_again_only_every_five_minutes(shop: Run) -> None:
    opened(shop, "orders", at=T0)
    shop.ticks(T0, 2)
    for number, service in enumerate(("payments", "inventory", "gateway")):
        opened(shop, service, at=T0 + 10_000 * (number + 1))
        assert notices(shop.ticks(T0 + 10_000 * (number + 1), 5)) == []
    made = shop.ticks(T0 + 60_000, GROWN_EVERY_MS // 1000)
    assert notices(made) == ["incident_grown"]
    assert texts(made)[0].startswith("joined: payments, inventory, gateway;")


def leaking(*services: str, opened_at: int = T0, z: float = 30.0, level: float = 120e6) -> Incident:
    return incident(*(suspect(reading(one, Kind.MEMORY, level, z=z), opened_at=opened_at) for one in services))


def acted(run: Run) -> None:
    """Bring an incident of a leak to the start of its action."""
    (first,) = live(run, leaking("orders"))
    run.send(started(first, epoch=1, seen=Seen()), T0 + 12_000)


def joined(at: int, *, z: float = 60.0) -> Incident:
    """Return the incident once payments leaks, too."""
    before, after = leaking("orders"), leaking("payments", opened_at=at, z=z, level=300e6)
    return before.model_copy(update={"suspects": (*before.suspects, *after.suspects), "at": at})


def settled(run: Run, given: Incident, at: int) -> list:
    run.send(version(given, 3), at)
    run.ticks(at, 9)
    return run.send(version(given, 4), at + 11_000)


def test_what_falls_ill_long_after_the_action_brings_a_proposal_of_its_own() -> None:
    run = Run(reason(CATALOGUE))
    acted(run)
    (found,) = proposals(settled(run, joined(LATER), LATER))
    assert (found.chosen.spec.action, found.chosen.spec.service) == (ActionName.RESTART, "payments")


def test_what_falls_ill_soon_after_it_brings_none() -> None:
    run = Run(reason(CATALOGUE))
    acted(run)
    soon = T0 + 60_000
    assert proposals(settled(run, joined(soon), soon)) == []


def test_a_case_that_a_release_before_closed_stays_closed() -> None:
    """Given a snapshot that does not say when a case was closed, when another service falls ill, then nothing is proposed again."""
    run = Run(reason(CATALOGUE))
    acted(run)
    (case,) = run.state.cases.values()
    case.closed_at, case.done = None, []
    assert proposals(settled(run, joined(LATER), LATER)) == []


def test_a_service_that_was_acted_on_is_not_proposed_again_but_a_human_is_told() -> None:
    """Given that the evidence still names the first service, when another falls ill, then nothing is proposed and somebody must look."""
    run = Run(reason(CATALOGUE))
    acted(run)
    made = settled(run, joined(LATER, z=4.0), LATER)
    made += run.ticks(LATER + 12_000, 300)
    (found,) = proposals(made)
    assert (found.chosen, found.reason) == (None, ProposalReason.UNSETTLED)
    assert escalations(made) == ["escalated"]
