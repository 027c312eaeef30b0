"""What every record shares: bounded times, ids that no crafted text can forge."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.base import LAST_MS, derive_id
from schemas.signals import Tick


def test_ids_of_different_parts_differ_though_their_texts_run_together() -> None:
    assert derive_id("x", "a\x1fb") != derive_id("x", "a", "b")
    assert derive_id("x", "ab", "c") != derive_id("x", "a", "bc")
    assert derive_id("x", "a", 1) == derive_id("x", "a", "1")


@pytest.mark.parametrize("digits", [str(LAST_MS + 1), "9" * 4000, "-1"])
def test_a_time_beyond_the_calendar_is_no_time(digits: str) -> None:
    with pytest.raises(ValidationError):
        Tick.model_validate_json(f'{{"type":"tick","at":{digits}}}')


def test_the_last_millisecond_of_the_calendar_is_a_time() -> None:
    assert Tick(at=LAST_MS).at == LAST_MS
