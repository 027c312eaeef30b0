"""What is configured of the score, as compiled code takes it."""

from __future__ import annotations

from typing import NamedTuple

from schemas.config.score import ScoreRule


class Rule(NamedTuple):
    """Counts and spans are of points, times of ms; the fields are ScoreRule's, half-lives as what is kept of them."""

    rate: float  # of a channel's center and scale, a point
    memory: float
    kept: float  # of a histogram, a point, once its memory is full
    prior: float
    freedom: float
    clip: float
    warm_up: int
    profile_rate: float
    level_rate: float
    carried: float
    variation_span: float
    burst_span: float
    burst_most: float
    error_memory: float
    season_gain: float
    season_power: float
    visits: int
    weights: tuple[float, float, float, float, float]  # of all channels but the burst's
    habit_kept: float  # a point
    habit_margin: float
    habit_most: float
    threshold: float
    alarm: float
    spaced: float
    lasting_points: int
    lasting_most: float
    lasted_kept: float  # a point
    calm: float
    calm_points: int
    band: float
    rare: float
    release: float
    stuck_points: int
    silence_intervals: float


def rule_of(config: ScoreRule) -> Rule:
    alike = {name: getattr(config, name) for name in set(ScoreRule.model_fields) & set(Rule._fields) - {"weights"}}
    weights = config.weights
    return Rule(
        **alike,
        rate=1.0 - 0.5 ** (1.0 / config.half_life),
        kept=1.0 - 1.0 / config.memory,
        lasted_kept=1.0 - 1.0 / config.lasting_memory,
        habit_kept=0.5 ** (1.0 / config.habit_half_life),
        weights=(weights.innovation, weights.residual, weights.level, weights.shift, weights.variation),
        error_memory=1000.0 * config.error_memory_s,
        spaced=1000.0 * config.spaced_s,
        release=1000.0 * config.release_s,
    )
