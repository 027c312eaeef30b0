"""`airra ingest check` on what real producers wrote (tests/golden/bytes): each recording is read, and gives the metrics its producer tells of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.golden.messages import BYTES, Message, messages, says
from tests.unit import test_ingest as records
from tests.unit.test_golden_otlp import said
from tests.unit.test_golden_producers import exposed
from tests.unit.test_golden_prometheus import ENDED, ONE, api
from tests.unit.test_ingest import hold, look, run

RECORDINGS = [
    (manifest.parent.name, name)
    for manifest in sorted(BYTES.glob("*/manifest.json"))
    for name in json.loads(manifest.read_text())["messages"]
]
recorded = pytest.mark.parametrize(("producer", "recording"), RECORDINGS)
PARTS = ("_bucket", "_count", "_sum")
HISTORY = ("airra.backfill", b"1")  # it was written a while ago, and the command has a clock


def headers(message: Message, producer: str, recording: str) -> tuple[tuple[str, bytes], ...]:
    named = [("airra.format", b"collectd")] if (producer, recording) == ("collectd", "counters") else []  # nothing else tells it from rates
    return (*message.headers, *named, HISTORY)


def promised(producer: str, recording: str) -> set[str]:
    """Return the names of all metrics by the producer's own account."""
    match producer:
        case "kcat":
            return {json.loads(line)["name"] for line in says(producer, "lines.txt").splitlines()}
        case "telegraf":
            return {dict(labels)["__name__"] for labels, _, _ in exposed(says(producer, "prometheus.txt"))}
        case "collectd":
            names = {dict(labels)["__name__"] for labels, _, _ in exposed(says(producer, f"{recording}.prometheus.txt"))}
            return names if recording == "counters" else {name.removesuffix("_total") for name in names}
        case "otel-python" | "otel-node":
            return {one.name + part for one in said(producer, recording) for part in ([""] if one.count is None else PARTS)}
    return set(of_prometheus(producer, recording))


def of_prometheus(producer: str, recording: str) -> Iterator[str]:
    for labels, values, histograms in api(producer):
        name, job = (dict(labels).get(label, "") for label in ("__name__", "job"))
        if any(value != "NaN" for _, value in values):
            yield name
        if histograms and not (recording == ONE and job == "prometheus-custom"):  # 1.0 has no place for these
            yield from (name + part for part in PARTS)
            if job in ENDED:  # by a float of the bare name
                yield name


def names(told: dict) -> set[str]:
    return {one["labels"]["__name__"] for one in told["series"]}


@recorded
def test_the_records_of_a_topic_give_the_metrics_that_their_producer_tells_of(
    producer: str, recording: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = messages(producer, recording)
    hold(monkeypatch, [records.Message(at, one.value, headers(one, producer, recording)) for at, one in enumerate(sent)])
    code, told = run(tmp_path, "--last", str(len(sent)))

    assert (code, told["records"], told["refused"], told["waiting"]) == (0, len(sent), [], [])
    assert names(told) == promised(producer, recording)


@recorded
def test_a_record_in_a_file_is_shown_with_its_labels(producer: str, recording: str, tmp_path: Path) -> None:
    first = messages(producer, recording)[0]
    code, told = look(
        tmp_path,
        first.value,
        *(word for name, value in headers(first, producer, recording) for word in ("--header", f"{name}={value.decode()}")),
    )

    assert (code, told["records"], told["refused"]) == (0, 1, [])
    assert set() < names(told) <= promised(producer, recording)
    for name, value in told["series"][0]["labels"].items():
        assert f"{name}={value}" in told["shown"]


def test_there_are_recordings_of_every_producer() -> None:
    assert len(RECORDINGS) >= 15
