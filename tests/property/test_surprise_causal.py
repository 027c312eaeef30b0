"""A score never looks ahead, and a series' past is all that it depends on."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.surprise.past import READING, empty
from models.surprise.rule import rule_of
from models.surprise.score_kernel import run
from models.surprise.univariate import judge
from schemas.config.score import ScoreRule

CONFIG = ScoreRule()
SHAPES = ("surprise", "news", "score", "expected", "width", "alarmed", "event", "season")


def made(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    at = np.cumsum(np.where(draw.random(count) < 0.02, draw.integers(1, 50, count), 1)) * 300_000
    value = 10 * draw.standard_normal(count) + 30 * np.sin(at / 86_400_000 * 2 * np.pi) * (seed % 2)
    value[draw.integers(0, count, 5)] *= 20
    value[count // 2 :] += 100 * (seed % 3)
    return at, value


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 1))
def test_cutting_the_tail_off_changes_no_score_before_the_cut(seed: int, share: float) -> None:
    at, value = made(seed, 2000)
    cut = max(1, int(share * len(at)))
    whole, part = judge(at, value, CONFIG), judge(at[:cut], value[:cut], CONFIG)
    for name in SHAPES:
        assert np.array_equal(whole[name][:cut], part[name], equal_nan=True), name


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_series_that_are_judged_together_are_judged_as_if_alone(one: int, two: int) -> None:
    series = [made(seed, 500) for seed in (one, two)]
    numbers = np.tile(np.arange(2), 500)
    at = np.stack([found[0] for found in series], axis=1).ravel()
    value = np.stack([found[1] for found in series], axis=1).ravel()
    together = np.zeros(1000, READING)
    run(empty(2), numbers, at, value, rule_of(CONFIG), together)
    for number, (own_at, own_value) in enumerate(series):
        alone = np.zeros(500, READING)
        run(empty(1), np.zeros(500, np.int64), own_at, own_value, rule_of(CONFIG), alone)
        assert np.array_equal(together[numbers == number]["news"], alone["news"])
        assert np.array_equal(together[numbers == number]["event"], alone["event"])
