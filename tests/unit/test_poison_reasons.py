"""Each kind of poison on a topic of metrics has the reason that the campaign expects of its dead letter, and leaves nothing behind.

Nothing of it is passed on, what stands round it is, and what the kinds break is sound before.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator, Sequence

import pytest

from schemas.config.metrics import MetricsMapping
from streams.harness.redelivery import REPLAY_OF
from streams.harness.stage import Record
from streams.normalise.core import Core, Taken
from streams.normalise.raw import by_index
from streams.normalise.times import Reach
from tests.faults.poison import formats
from tests.faults.poison.kinds import MENDED, METRICS, Kind, sample


def mapping(*service_labels: str) -> MetricsMapping:
    rules = [{"match": "requests_total", "kind": "requests", "type": "counter"}, {"match": "collectd_*", "kind": "other"}]
    return MetricsMapping.model_validate({"service_labels": service_labels, "metrics": rules})


MAPPING = mapping("service")
SOUND = {
    "remote_write": Kind("", "", formats.remote_write),
    "remote_write of a sender": Kind("", "", formats.remote_write, formats.REQUEST),
    "remote_write 2": Kind("", "", formats.remote_write_2, formats.REQUEST),
    "OTLP": Kind("", "", formats.otlp, formats.OTLP),
    "OTLP JSON": Kind("", "", formats.otlp_json),
    "Influx": Kind("", "", formats.influx),
    "Telegraf": Kind("", "", formats.telegraf),
    "collectd": Kind("", "", formats.collectd),
    "an event": Kind("", "", lambda number: formats.event(data=json.loads(sample(number))), formats.EVENT),
    "events": Kind("", "", lambda n: b"[" + formats.event(data=json.loads(sample(n))) + b"]", formats.EVENTS),
    "an event by its headers": Kind("", "", sample, formats.ATTRIBUTES),
}


@pytest.fixture
def garbage() -> Iterator[list[object]]:
    """Collect what only the collector would have freed."""
    gc.collect()
    gc.freeze()  # what was there before is not looked at again and again
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield gc.garbage
    gc.set_debug(0)
    gc.garbage.clear()
    gc.unfreeze()
    gc.enable()


def taken(core: Core, kinds: Sequence[Kind], more: formats.Headers = ()) -> Taken:
    """Take one record of each, in one batch."""
    now = int(time.time() * 1000)
    values, headers = [kind.make(number) for number, kind in enumerate(kinds, 1)], [(*kind.headers, *more) for kind in kinds]
    stamps, offsets = [now + kind.stamp_s * 1000 for kind in kinds], list(range(len(kinds)))

    def record(index: int) -> Record:
        return Record("metrics", 0, index, stamps[index], None, values[index] or b"", headers[index])

    return core.take_samples(("metrics", 0), values, offsets, stamps, record, Reach(now), by_index(headers))


def refused(core: Core, kind: Kind) -> list[str]:
    return [str(reason) for reason in taken(core, [kind]).refused]


def test_kinds_have_names_of_their_own() -> None:
    assert len({kind.name for kind in METRICS}) == len(METRICS)


@pytest.mark.parametrize("kind", METRICS, ids=lambda kind: kind.name)
def test_poison_is_refused_for_its_reason(kind: Kind) -> None:
    found = taken(Core(MAPPING, 1, 1), [kind])
    assert [str(reason) for reason in found.refused] == [kind.reason]
    assert (found.accepted, found.unmapped, found.empty, found.held) == (0, 0, 0, 0)


def test_all_of_it_in_one_batch_is_refused_for_its_reasons_and_nothing_else_is() -> None:
    good = list(SOUND.values()) * (len(METRICS) // len(SOUND) + 1)
    mixed = [one for pair in zip(METRICS, good, strict=False) for one in pair]
    found = taken(Core(MAPPING, 1, 1), mixed)
    assert [str(reason) for reason in found.refused] == [kind.reason for kind in METRICS]
    assert found.accepted == found.held == len(METRICS)


@pytest.mark.parametrize("name", SOUND)
def test_what_the_kinds_break_is_sound(name: str) -> None:
    found = taken(Core(MAPPING, 1, 1), [SOUND[name]])
    assert (found.refused, found.accepted, found.held) == ([], 1, 1)


@pytest.mark.parametrize("name", sorted(name for topic, name in MENDED if topic == "metrics"))
def test_what_a_mapping_mends_comes_in_by_its_replay(name: str) -> None:
    [kind] = [kind for kind in METRICS if kind.name == name]
    found = taken(Core(mapping("service", "app"), 1, 1), [kind], ((REPLAY_OF, b"metrics/0@1"),))
    assert (found.refused, found.accepted, found.held) == ([], 1, 1)


@pytest.mark.parametrize("kind", METRICS, ids=lambda kind: kind.name)
def test_an_error_that_says_why_does_not_keep_its_batch(kind: Kind, garbage: list[object]) -> None:
    core = Core(MAPPING, 1, 1)
    refused(core, kind)
    gc.collect()
    garbage.clear()  # what the first one made ready
    refused(core, kind)
    gc.collect()
    assert [one for one in garbage if isinstance(one, BaseException)] == []
