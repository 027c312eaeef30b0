"""What is kept of a leak between two hours: all of it, in little; a snapshot holds it in full, whatever its width there."""

from __future__ import annotations

from array import array

import msgspec
import numpy as np
import pytest

from models.surprise.drift import HOUR_MS, WEEK, Differences, Leak, Sums
from models.surprise.kept import Kept, kept, plain
from models.surprise.past import DRIFTED, DRIFTS
from schemas.config.score import ScoreRule

# Each number of its own, so that none can stand where another belongs.
FULL = Leak(
    hour=490_000,
    means=array("f", [np.nan, *(0.1 * number - 3 for number in range(WEEK - 1))]),
    by_day=Differences(0.1, 101),
    by_week=Differences(0.2, 102),
    sums=Sums(1.5, 2.5, -3.5, 4.5, -5.5, 6.5),
    since=490_000 * HOUR_MS,
    rises=True,
    calm=2,
    day=7.125,
    week=-8.25,
)
PLAIN_AGAIN = msgspec.structs.replace(FULL, hour=0, since=None, rises=False, day=None, week=None, sums=Sums())


def in_full(leak: Leak) -> bytes:
    return msgspec.msgpack.encode(leak, enc_hook=plain)


@pytest.mark.parametrize("leak", [Leak(), FULL, PLAIN_AGAIN])
def test_all_comes_back(leak: Leak) -> None:
    assert in_full(Kept(leak).open()) == in_full(leak)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(Kept(leak), enc_hook=plain), type=Kept, dec_hook=kept)
    assert in_full(again.open()) == in_full(leak)


def test_a_snapshot_holds_a_leak_as_it_did_when_it_was_kept_in_full() -> None:
    assert msgspec.msgpack.encode(Kept(FULL), enc_hook=plain) == in_full(FULL)
    assert in_full(Kept().open()) == in_full(Leak())


def test_the_means_of_a_snapshot_of_any_width_are_kept_in_four_bytes_each() -> None:
    means = [100.25, np.nan, -0.5]
    found = msgspec.msgpack.decode(in_full(Leak(means=array("d", means))), type=Kept, dec_hook=kept).open().means
    assert found.itemsize == 4
    np.testing.assert_array_equal(found, means)


def test_what_is_kept_hour_by_hour_says_what_a_leak_that_goes_on_says() -> None:
    straight, one, config, rng = Leak(), Kept(), ScoreRule(release_s=86_400), np.random.default_rng(3)
    events = []
    for hour in range(24 * 40):
        if hour % 50 == 7:
            continue
        mean = float((100 + rng.standard_normal()) * 1.01 ** max(0, hour - 24 * 30))
        leak = one.open()
        events.append(leak.take(hour, mean, config))
        assert events[-1] == straight.take(hour, mean, config)
        one = Kept(leak)
    assert in_full(one.open()) == in_full(straight)
    assert {DRIFTS, DRIFTED} <= set(events)


def test_it_takes_less_than_eight_hundred_bytes() -> None:
    assert len(Kept(FULL)._packed) < 800
    assert len(Kept(Leak(hour=5, means=array("f", [np.nan]) * WEEK))._packed) < 150


def test_nothing_else_has_a_form_of_its_own() -> None:
    with pytest.raises(NotImplementedError):
        plain(object())
    with pytest.raises(NotImplementedError):
        kept(set, [])
