"""What differs for some series: a mistake in it is named with its place in the file."""

from __future__ import annotations

from typing import Any

import pytest

from cli.config import ConfigError, validate
from schemas.config.detect import DetectConfig
from schemas.config.score import ScoreConfig


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"alram": 3}, r"score\.series\.ok\.alram is not known here; did you mean alarm\?"),
        ({"alarm": -1}, r"score\.series\.ok\.alarm: Input should be greater than 0"),
        ({"alarm": float("inf")}, r"score\.series\.ok\.alarm: Value error, inf is no number"),
        ({"weights": {"levle": 1}}, r"score\.series\.ok\.weights\.levle is not known here; did you mean level\?"),
        ({"weights": {"level": -1}}, r"score\.series\.ok\.weights\.level: Input should be greater than or equal to 0"),
        ({"weights": 5}, r"score\.series\.ok\.weights: Input should be a valid dictionary"),
        ({"series": {}}, r"score\.series\.ok: Value error, what differs for some series has no series in it"),
    ],
)
def test_a_mistake_has_the_place_at_which_it_stands(own: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=rf"^detect\.yaml: {words}"):
        validate(DetectConfig, {"score": {"series": {"ok": own}}}, "detect.yaml")


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        validate(ScoreConfig, {"series": {"a": {"alram": 3}, "*_cpu": {"alarm": -1}}}, "score")
    assert [line.split()[1] for line in str(caught.value).splitlines()] == ["series.a.alram", "series.*_cpu.alarm:"]
