"""Each kind of poison on a topic of metrics has the reason that the campaign expects of its dead letter, and leaves nothing behind."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

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


@pytest.fixture
def garbage() -> Iterator[list[object]]:
    """Collect what only the collector would have freed."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield gc.garbage
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def refused(core: Core, kind: Kind) -> list[str]:
    value, now = kind.make(1), int(time.time() * 1000)
    record = Record("metrics", 0, 1, now, None, value or b"", kind.headers)
    stamps, headers = [now + kind.stamp_s * 1000], by_index([kind.headers])
    taken = core.take_samples(("metrics", 0), [value], [1], stamps, lambda _: record, Reach(now), headers)
    return [str(reason) for reason in taken.refused]


@pytest.mark.parametrize("kind", METRICS, ids=lambda kind: kind.name)
def test_poison_is_refused_for_its_reason(kind: Kind) -> None:
    assert refused(Core(MAPPING, 1, 1), kind) == [kind.reason]


@pytest.mark.parametrize("kind", METRICS, ids=lambda kind: kind.name)
def test_an_error_that_says_why_does_not_keep_its_batch(kind: Kind, garbage: list[object]) -> None:
    core = Core(MAPPING, 1, 1)
    refused(core, kind)
    gc.collect()
    garbage.clear()  # what the first one made ready
    refused(core, kind)
    gc.collect()
    assert [one for one in garbage if isinstance(one, BaseException)] == []
