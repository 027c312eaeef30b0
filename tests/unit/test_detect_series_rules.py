"""What differs for some series: `series` of config/detect.yaml, by service and metric."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.detection.state import DetectState, restore, snapshot
from schemas.config.detect import DetectConfig
from schemas.kinds import Kind
from schemas.signals import Phase
from tests.unit.detect_feed import CONFIG, Log, anomalies, each_second, fold, series

CART = series("cart", Kind.LATENCY, metric="latency", unit="seconds")
TILL = series("till", Kind.LATENCY, metric="latency", unit="seconds")


def with_series(**own: object) -> DetectConfig:
    return DetectConfig.model_validate({**CONFIG.model_dump(), "series": own})


def slow(seconds: int = 120) -> Log:
    return each_second(seconds, lambda i: [(one, 0.1 if i < 60 else 0.3) for one in (CART, TILL)], CART, TILL)


def opened(config: DetectConfig) -> set[str]:
    return {one.evidence.service for one in anomalies(slow(), config) if one.phase is Phase.OPENED}


def test_a_series_has_a_floor_of_its_own_and_others_of_its_kind_that_of_the_kind() -> None:
    assert opened(CONFIG) == {"cart", "till"}
    assert opened(with_series(**{"cart/latency": {"absolute": {"seconds": 0.5}}})) == {"till"}
    assert opened(with_series(**{"cart/*": {"absolute": {"seconds": 0.5}}, "*/latency": {"relative": 3}})) == set()
    assert opened(with_series(**{"cart/queue": {"absolute": {"seconds": 0.5}}})) == {"cart", "till"}


def test_the_first_name_that_fits_holds() -> None:
    wide, usual = {"absolute": {"seconds": 0.5}}, {"relative": 0.5}
    assert opened(with_series(**{"cart/*": usual, "*/*": wide})) == {"cart"}
    assert opened(with_series(**{"*/*": wide, "cart/*": usual})) == set()


def test_what_is_not_said_is_as_of_its_kind_and_another_unit_keeps_its_floor() -> None:
    config = with_series(**{"cart/*": {"absolute": {"seconds": 0.5}, "enter": [1, 1]}})
    found, kind = config.rule(Kind.LATENCY, config.named("cart", "latency")), config.kinds[Kind.LATENCY]
    assert (found.enter, found.absolute) == ((1, 1), {**kind.absolute, "seconds": 0.5})
    assert found.model_copy(update={"enter": kind.enter, "absolute": kind.absolute}) == kind
    assert config.rule(Kind.LATENCY, config.named("till", "latency")) is kind


def test_a_bracket_is_a_bracket_and_a_question_mark_one_letter() -> None:
    config = with_series(**{"cart[eu]/*": {"relative": 1}, "til?/lat*": {"relative": 2}})
    assert [config.named(*one) for one in (("cart[eu]", "x"), ("carte", "x"), ("till", "latency"), ("tilll", "latency"))] == [
        "cart[eu]/*", "", "til?/lat*", "",
    ]  # fmt: skip


def floors(state: DetectState) -> Any:
    """Return the absolute floor of each slot."""
    slots = state.registry.slots
    return slots.rules.rows["absolute"][slots.rule[: slots.used]]


def test_after_a_restart_what_the_file_says_now_holds() -> None:
    config = with_series(**{"cart/*": {"absolute": {"seconds": 0.5}}})
    image = snapshot(fold(slow(50), CONFIG))
    assert np.array_equal(floors(restore(image, config))[:2], [0.5, 0.05])
    assert np.array_equal(floors(restore(snapshot(restore(image, config)), CONFIG))[:2], [0.05, 0.05])


@pytest.mark.parametrize(
    ("name", "own", "said"),
    [
        ("cart/*", {"relative": -1}, "series.cart/\\*.relative\n  Input should be greater than or equal to 0"),
        ("cart/*", {"absolute": 3}, "series.cart/\\*.absolute\n  Input should be a valid dictionary"),
        ("cart/*", {"absolute": {"seconds": 0}}, "an absolute floor is above 0"),
        ("cart/*", {"floor": 3}, "series.cart/\\*.floor\n  Extra inputs are not permitted"),
        ("cart/*", {"opens": False}, "series.cart/\\*.opens\n  Extra inputs are not permitted"),
        ("cart/*", {"enter": [5, 2]}, "\\[M, N\\] with 1 <= M <= N"),
        ("cart/*", {"relative": float("nan")}, "series.cart/\\*.relative\n"),
        ("cart", {"relative": 1}, "'cart' is no service/metric"),
    ],
)
def test_a_mistake_says_which_series_what_and_why(name: str, own: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        with_series(**{name: own})
