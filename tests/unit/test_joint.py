"""The distance of a service from its past over all its kinds: what it counts once, what load explains, what is better than usual."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.joint.kernel import FAINT, MEMORY, distances, learn
from models.joint.past import CONTEXT, KINDS, empty
from schemas.kinds import Kind

FIRST = np.zeros(1, np.int64)
AT = {kind: KINDS.index(kind) for kind in KINDS}


def past_of(x: Any) -> Any:
    past = empty(1)
    for row in x:
        learn(past, FIRST, row[None])
    return past


def usual(count: int = 1500, seed: int = 1) -> Any:
    """Readings of which errors and memory always move together, and latency with the requests."""
    chance = np.random.default_rng(seed)
    x = 1 + chance.normal(0, 0.3, (count, len(KINDS)))
    shared = chance.normal(0, 0.5, count)
    for kind in (Kind.ERRORS, Kind.MEMORY):
        x[:, AT[kind]] = 1 + shared + chance.normal(0, 0.1, count)
    x[:, AT[Kind.REQUESTS]] = 1 + chance.normal(0, 1, count)
    x[:, AT[Kind.LATENCY]] = 1 + 0.6 * (x[:, AT[Kind.REQUESTS]] - 1) + chance.normal(0, 0.1, count)
    return x


PAST = past_of(usual())


def distance(past: Any = PAST, **moved: float) -> float:
    x = np.ones((1, len(KINDS)))
    for name, by in moved.items():
        x[0, AT[Kind(name)]] += by
    return float(distances(past, FIRST, x)[0])


def test_a_small_move_of_kinds_that_go_their_own_ways_counts_as_a_large_one_of_one_kind() -> None:
    small = dict.fromkeys(("pool", "cache", "up", "restarts", "saturation"), 0.8)
    assert distance(pool=0.8) < 2.5 < 4 < distance(**small)


def test_kinds_that_always_move_together_count_once() -> None:
    together, alone, both_of_others = distance(errors=1.2, memory=1.2), distance(errors=1.2), distance(pool=1.2, cache=1.2)
    assert together < alone < both_of_others


def test_what_the_load_explains_is_no_harm() -> None:
    assert distance(requests=4.0, latency=2.4) < 1 < 5 < distance(latency=2.4)
    assert distance(requests=8.0) < 1, "load alone is none"


def test_better_than_usual_is_as_usual() -> None:
    assert distance(pool=-0.9, cache=-0.9, up=-0.5) <= distance() < 0.1


def test_a_kind_without_a_reading_is_left_out() -> None:
    x = np.full((1, len(KINDS)), np.nan)
    x[0, AT[Kind.POOL]] = 3.0
    only = past_of(np.where(np.isnan(x), np.nan, usual()))
    found = float(distances(PAST, FIRST, x)[0])
    assert found == pytest.approx(float(distances(only, FIRST, x)[0]), rel=1e-9)
    assert found > 4


@pytest.mark.parametrize("present", [(), CONTEXT, (Kind.REQUESTS,)])
def test_without_a_reading_of_harm_there_is_no_distance(present: tuple[Kind, ...]) -> None:
    x = np.full((1, len(KINDS)), np.nan)
    for kind in present:
        x[0, AT[kind]] = 1.0
    assert np.isnan(distances(PAST, FIRST, x)[0])
    assert np.isnan(distances(empty(1), FIRST, np.ones((1, len(KINDS))))[0]), "nor without a past"


def test_one_wild_moment_moves_the_past_no_further_than_a_large_one() -> None:
    wild, large = PAST.copy(), PAST.copy()
    learn(wild, FIRST, np.full((1, len(KINDS)), 10.0))
    learn(large, FIRST, np.full((1, len(KINDS)), 6.0))
    assert np.abs(wild["mean"] - PAST["mean"]).max() < 0.01
    assert wild["mean"][0, AT[Kind.POOL]] == large["mean"][0, AT[Kind.POOL]]


def test_the_past_is_of_two_hours_and_not_of_all_time() -> None:
    x = usual()
    moved = past_of(np.concatenate([x, x[: 3 * int(MEMORY)] + 0.5]))
    assert moved["mean"][0, AT[Kind.POOL]] == pytest.approx(1.5, abs=0.1)


def test_however_still_it_was_a_tenth_of_a_band_is_no_news() -> None:
    still = past_of(np.ones((500, len(KINDS))))
    assert distance(still, pool=FAINT) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_distance_of_mahalanobis_where_there_is_no_load(seed: int) -> None:
    chance = np.random.default_rng(seed)
    mixed = np.abs(chance.normal(0, 1, (4000, len(KINDS))) @ chance.normal(0, 0.5, (len(KINDS), len(KINDS)))) + 1
    mixed[:, : len(CONTEXT)] = np.nan
    past = past_of(mixed)
    count = len(KINDS) - len(CONTEXT)
    x = past["mean"] + 1.5
    x[0, : len(CONTEXT)] = np.nan
    lower = past["spread"][0][len(CONTEXT) :, len(CONTEXT) :]
    whole = np.tril(lower) + np.tril(lower, -1).T
    shrunk = np.where(np.eye(count) == 1, whole + FAINT**2 * np.eye(count), whole * MEMORY / (MEMORY + count))
    off = np.full(count, 1.5)
    assert distances(past, FIRST, x)[0] == pytest.approx(np.sqrt(off @ np.linalg.solve(shrunk, off)), rel=1e-6)


@pytest.mark.parametrize("hours", [1, 4, 8])
@pytest.mark.parametrize("pair", [(Kind.MEMORY, Kind.POOL), (Kind.CPU, Kind.LATENCY)])
def test_a_kind_that_is_away_for_hours_leaves_a_covariance(pair: tuple[Kind, Kind], hours: int) -> None:
    """Given two kinds that go together and one of them gone for the night, when it is back, then an ordinary morning is one."""
    chance, past = np.random.default_rng(1), empty(1)

    def moment(*, day: bool) -> Any:
        shared, x = chance.exponential(1.0), np.full((1, len(KINDS)), np.nan)
        x[0, AT[pair[0]]] = (shared if day else 0) + abs(chance.normal(0, 0.1))
        if day:
            x[0, AT[pair[1]]] = shared + abs(chance.normal(0, 0.1))
        return x

    day = []
    for _ in range(2 * int(MEMORY)):
        x = moment(day=True)
        day.append(distances(past, FIRST, x)[0])
        learn(past, FIRST, x)
    for _ in range(360 * hours):
        learn(past, FIRST, moment(day=False))
    lower = past["spread"][0]
    assert np.linalg.eigvalsh(np.tril(lower) + np.tril(lower, -1).T).min() > -1e-9
    morning = [distances(past, FIRST, moment(day=True))[0] for _ in range(50)]
    assert np.median(morning) < 3 * np.nanquantile(day[500:], 0.99)
