"""A record that gives more than its topics take is refused as a whole, whatever its format, and takes nothing with it."""

from __future__ import annotations

import json

import pytest

from schemas.config.metrics import MetricsMapping
from schemas.topics import CATALOGUE, DLQ
from streams.harness.stage import Headers, Record
from streams.normalise.core import Core, Taken
from streams.normalise.fates import Reason
from streams.normalise.formats.harvest import MAX_ITEMS
from streams.normalise.raw import by_index
from streams.normalise.series import LABELS_CHARS
from streams.normalise.times import Reach

NOW = 1_795_489_200_000
MAPPING = MetricsMapping.model_validate({"service_labels": ["service", "host", "instance"], "metrics": [{"match": "*up*", "kind": "up"}]})
ROOM = {spec.name: spec.max_message_bytes for spec in CATALOGUE}
GOOD = b"up,service=ok value=1"
BATCH: Headers = (("content-type", b"application/cloudevents-batch+json"),)


def take(*values: bytes, headers: Headers = ()) -> Taken:
    told = [headers if value != GOOD else () for value in values]

    def record(index: int) -> Record:
        return Record("metrics", 0, index, NOW, None, values[index], told[index])

    core = Core(MAPPING, 1, 1)
    taken = core.take_samples(("metrics", 0), values, range(len(values)), [NOW] * len(values), record, Reach(NOW), by_index(told))
    for output in taken.outputs:
        assert len(output.value) + len(output.key or b"") < ROOM[output.topic], output.topic
    return taken


def influx_lines(rows: int) -> bytes:
    return b"\n".join(b"up,service=a value=%d" % i for i in range(rows))


def influx_fields(rows: int) -> bytes:
    return b"up,service=a " + b",".join(b"f%d=1" % i for i in range(rows // 20)) + b"".join(
        b"\nup,service=a " + b",".join(b"f%d=1" % i for i in range(rows // 20)) for _ in range(19)
    ) + b"\nup,service=a value=1" * (rows % 20)  # fmt: skip


def telegraf(rows: int) -> bytes:
    one = {"name": "up", "fields": {"value": 1}, "tags": {"service": "a"}, "timestamp": NOW // 1000}
    return json.dumps({"metrics": [one] * rows}, separators=(",", ":")).encode()


def collectd(rows: int) -> bytes:
    def one(count: int) -> dict[str, object]:
        kinds = {"values": [1] * count, "dstypes": ["gauge"] * count, "dsnames": [f"v{i}" for i in range(count)]}
        return {**kinds, "time": NOW / 1000, "host": "a", "plugin": "up", "type": "up", "interval": 10}

    return json.dumps([one(1000)] * (rows // 1000) + [one(1)] * (rows % 1000), separators=(",", ":")).encode()


def events(rows: int) -> bytes:
    def one(count: int) -> dict[str, object]:
        told = {"specversion": "1.0", "id": "1", "source": "/x", "type": "t", "datacontenttype": "text/plain"}
        return {**told, "data": "\n".join(["up,service=a value=1"] * count)}

    return json.dumps([one(1000)] * (rows // 1000) + [one(1)] * (rows % 1000)).encode()


@pytest.mark.parametrize(
    ("form", "headers"), [(influx_lines, ()), (influx_fields, ()), (telegraf, ()), (collectd, ()), (events, BATCH)], ids=lambda one: getattr(one, "__name__", "")
)  # fmt: skip
def test_more_samples_than_a_record_may_have_are_refused_and_the_records_beside_it_are_taken(form, headers: Headers) -> None:
    taken = take(GOOD, form(MAX_ITEMS + 1), GOOD, headers=headers)
    assert taken.refused == [Reason.TOO_LARGE]
    assert taken.accepted == 2
    assert taken.held == 2
    assert sum(output.topic == DLQ.name for output in taken.outputs) == 1


@pytest.mark.parametrize("form", [influx_lines, telegraf, collectd])
def test_as_many_as_it_may_have_are_taken(form) -> None:
    taken = take(form(MAX_ITEMS))
    assert (taken.accepted, taken.refused) == (1, [])
    assert taken.held == MAX_ITEMS


@pytest.mark.parametrize("metric", ["up", "strange"])
@pytest.mark.parametrize("letter", ["x", "\x01", "é", "\U0001f600"])
def test_labels_larger_than_a_definition_may_be_are_refused_and_the_others_of_the_record_are_taken(metric: str, letter: str) -> None:
    def line(size: int) -> bytes:
        return f"{metric},service=a,x={letter * size} value=1".encode()

    taken = take(GOOD, GOOD + b"\n" + line(LABELS_CHARS))
    assert taken.refused == [Reason.TOO_LARGE]
    assert taken.held == 2
    fits = take(line(LABELS_CHARS - 100))
    assert fits.refused == []
    assert fits.accepted + fits.unmapped == 1
