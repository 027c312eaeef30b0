"""What is configured, as compiled code takes it."""

from __future__ import annotations

from models.detection.judge import rule_of
from models.detection.series.points import Pooling
from models.detection.window_kernel import Way
from schemas.config.detect import DetectConfig


def way_of(config: DetectConfig) -> Way:
    """Return the way of rows through their windows."""
    return Way(
        window_ms=_ms(config.window_s),
        health_ms=_ms(min(config.health_s, config.health_watched_s)),
        everyone_ms=_ms(config.health_s),
        recent_ms=_ms(config.recent_s),
        full=config.max_pending,
        continued_ms=_ms(config.continued_s),
        silence_ms=_ms(config.silence_s),
        silence_intervals=config.silence_intervals,
        forget_ms=_ms(config.forget_s),
        judging=rule_of(config),
        pooling=Pooling(
            quantile_count=config.quantile_count,
            tail_count=config.tail_count,
            ratio_count=config.ratio_count,
            longest=_ms(config.pooled_s),
            restarts_ms=_ms(config.restarts.window_s),
            restarts_quick_ms=_ms(config.restarts.quick_window_s),
            restarts_quick_count=config.restarts.quick_count,
            restarts_count=config.restarts.count,
        ),
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
