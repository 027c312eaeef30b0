"""Change events of `changes`, right and wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.base import Position
from schemas.config.metrics import MetricsMapping
from schemas.kinds import ChangeType
from schemas.signals import SIGNALS, Change
from streams.harness.emit import parse
from streams.harness.stage import Record
from streams.normalise.core import Core, Taken
from streams.normalise.fates import Reason
from streams.normalise.times import Reach, of_history

NOW = 1_795_489_200_000
LIVE = Reach(NOW)
CORE = Core(MetricsMapping.model_validate({"metrics": [{"match": "up", "kind": "up"}]}), 4, 4)
DEPLOY = {"type": "deploy", "service": "orders", "at": NOW, "before": "v1", "after": "v2", "by": "ci"}


def take(value: bytes, offset: int = 5, stamp: int = NOW, reach: Reach = LIVE) -> Taken:
    return CORE.take_changes([Record("changes", 0, offset, stamp, None, value)], reach)


def changed(**change: Any) -> bytes:
    return json.dumps(DEPLOY | change).encode()


def test_a_change_becomes_a_signal_that_says_where_it_came_from() -> None:
    (output,) = take(changed()).outputs

    signal = parse(SIGNALS, Record(output.topic, 0, 0, NOW, output.key, output.value))
    assert isinstance(signal, Change)
    assert (output.topic, output.key) == ("airra.signals.v1", b"orders")
    assert (signal.change, signal.service, signal.at, signal.before, signal.after) == (ChangeType.DEPLOY, "orders", NOW, "v1", "v2")
    assert signal.source == Position(topic="changes", partition=0, offset=5)


def test_the_id_is_the_same_for_the_same_record_and_another_for_another() -> None:
    assert take(changed()).outputs == take(changed()).outputs
    assert take(changed(), offset=6).outputs != take(changed()).outputs


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"deploy", Reason.NOT_JSON),
        (b"{}", Reason.MISSING_FIELD),
        (changed(type="wish"), Reason.WRONG_TYPE),
        (changed(at="now"), Reason.WRONG_TYPE),
        (changed(at=float(NOW) + 0.5), Reason.WRONG_TYPE),
        (changed(before=1), Reason.WRONG_TYPE),
        (changed(service=""), Reason.NO_SERVICE),
        (changed(at=NOW + 300_001), Reason.TIMESTAMP_OUT_OF_RANGE),
        (changed(at=NOW - 86_400_001), Reason.TIMESTAMP_OUT_OF_RANGE),
        (changed(at=-1), Reason.TIMESTAMP_OUT_OF_RANGE),
        (changed(at=10**30), Reason.WRONG_TYPE),
        (changed().replace(str(NOW).encode(), b"9" * 5000), Reason.WRONG_TYPE),
        (changed(name="x" * 70_000), Reason.TOO_LARGE),
        (changed(service="x" * 513), Reason.TOO_LARGE),
    ],
)
def test_a_bad_change_is_dead_lettered_with_its_reason(value: bytes, reason: Reason) -> None:
    taken = take(value)

    assert taken.refused == [reason]
    assert [output.topic for output in taken.outputs] == ["airra.dlq.v1"]


YEAR = 365 * 86_400_000


@pytest.mark.parametrize("off", [-YEAR, YEAR, -31 * 86_400_000])
def test_a_change_from_a_host_with_a_wrong_clock_is_dead_lettered(off: int) -> None:
    assert take(changed(), reach=Reach(NOW - off)).refused == [Reason.TIMESTAMP_OUT_OF_RANGE]


def test_a_first_start_takes_all_that_the_raw_topic_keeps_and_history_that_says_so() -> None:
    assert take(changed(), reach=Reach(NOW + 29 * 86_400_000)).accepted == 1
    assert take(changed(), reach=of_history(NOW + YEAR)).accepted == 1
