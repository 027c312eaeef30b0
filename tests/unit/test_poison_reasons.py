"""Each kind of poison on a topic of metrics has the reason that the campaign expects of its dead letter."""

from __future__ import annotations

import time

import pytest

from schemas.config.metrics import MetricsMapping
from streams.harness.stage import Record
from streams.normalise.core import Core
from streams.normalise.raw import by_index
from streams.normalise.times import Reach
from tests.faults.poison.kinds import METRICS, Kind

MAPPING = MetricsMapping.model_validate(
    {"service_labels": ["service"], "metrics": [{"match": "requests_total", "kind": "requests", "type": "counter"}]}
)


@pytest.mark.parametrize("kind", METRICS, ids=lambda kind: kind.name)
def test_poison_is_refused_for_its_reason(kind: Kind) -> None:
    value, now = kind.make(1), int(time.time() * 1000)
    record = Record("metrics", 0, 1, now, None, value or b"", kind.headers)
    stamps, headers = [now + kind.stamp_s * 1000], by_index([kind.headers])
    taken = Core(MAPPING, 1, 1).take_samples(("metrics", 0), [value], [1], stamps, lambda _: record, Reach(now), headers)
    assert [str(reason) for reason in taken.refused] == [kind.reason]
