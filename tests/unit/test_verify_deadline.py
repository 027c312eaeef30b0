"""verify's deadline: metrics that are read seldom get the time that their points take, and no more than half an hour."""

import pytest

from models.verification.deadline import interval_s, wait_s
from schemas.config.policy import Verification
from schemas.kinds import Verdict
from schemas.signals import SeriesEvidence
from tests.acting_world import INCIDENTS, OUTCOMES, T0, World, evidence, incident
from tests.unit.verify_world import finished, started

BOUNDS = Verification()


def scraped(every_s: int, last_at: int, *, after: float = 1.0, name: str = "latency") -> SeriesEvidence:
    """Return the newest ten points of a series that stands at 4 up to T0, and at `after` from then on; one lies at T0."""
    step = every_s * 1000
    newest = T0 + (last_at - T0) // step * step
    points = tuple((at, 4.0 if at <= T0 else after) for at in range(newest - 9 * step, newest + 1, step))
    return evidence([points[-1][1]], newest, name=name, points=points)


def begun(every_s: int) -> World:
    world = World()
    world.logs.write(INCIDENTS, incident(1, [scraped(1, T0, name="quick"), scraped(every_s, T0)]))
    world.logs.write(INCIDENTS, started())
    world.logs.now += 1000
    world.logs.write(INCIDENTS, finished())
    world.settle()
    return world


def watched(world: World, every_s: int, seconds: int, *, after: float = 1.0) -> list[int]:
    """Let time pass with a record every ten seconds; return the seconds at which an outcome was said."""
    said = []
    for version in range(2, 2 + seconds // 10):
        world.tick(10, settle=False)
        openers = [scraped(1, world.logs.now, name="quick"), scraped(every_s, world.logs.now, after=after)]
        world.logs.write(INCIDENTS, incident(version, openers))
        world.settle()
        said += [(world.logs.now - T0) // 1000] * (len(world.logs.events(OUTCOMES)) - len(said))
    return said


@pytest.mark.parametrize("every_s", [1, 5, 10, 15, 20, 30, 60, 120])
def test_a_cure_of_a_metric_that_is_read_seldom_is_a_success_as_soon_as_it_was_read_often_enough(every_s: int) -> None:
    """Given a usual scrape interval, when the cure works at once, then the verdict waits for the points and is a success."""
    world = begun(every_s)
    said = watched(world, every_s, 7 * every_s + 20)
    (outcome,) = world.logs.events(OUTCOMES)
    assert outcome.verdict is Verdict.SUCCESS
    assert said[0] <= 10 + 6 * every_s + 10


def test_that_an_action_did_nothing_is_said_at_the_longer_deadline() -> None:
    world = begun(60)
    said = watched(world, 60, 600, after=4.0)
    (outcome,) = world.logs.events(OUTCOMES)
    assert (outcome.verdict, said) == (Verdict.NONE, [431]), "10 s and 7 intervals after its end"


@pytest.mark.parametrize(
    ("every_s", "expected"),
    [(1, 90.0), (11, 90.0), (12, 94.0), (15, 115.0), (20, 150.0), (60, 430.0), (300, 1800.0), (3600, 1800.0)],
)
def test_the_most_seldom_read_opener_says_how_long_up_to_half_an_hour(every_s: int, expected: float) -> None:
    assert wait_s([scraped(1, T0), scraped(every_s, T0), scraped(5, T0)], BOUNDS) == expected


def test_a_longer_deadline_of_the_operators_stands() -> None:
    assert wait_s([scraped(60, T0)], Verification(deadline_s=7200)) == 7200


def test_without_openers_or_points_it_is_the_policys() -> None:
    assert wait_s([], BOUNDS) == wait_s([evidence([], T0), evidence([4.0], T0)], BOUNDS) == BOUNDS.deadline_s


def test_a_gap_in_the_readings_is_not_their_interval() -> None:
    reading = evidence([4.0] * 4, T0, points=((T0 - 640_000, 4.0), (T0 - 20_000, 4.0), (T0 - 10_000, 4.0), (T0, 4.0)))
    assert interval_s(reading) == 10.0
