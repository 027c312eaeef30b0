"""Messages of collectd, Telegraf and kcat, recorded from a real Apache Kafka, are read as their producers tell what they sent."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.record.memory_records import MemoryRecords

from schemas.kinds import MetricType
from tests.golden.messages import BYTES, MESSAGES, messages, says
from tests.golden.private import FOLDERS, addresses, unpacked
from tests.unit.golden_reading import Labels, Seen, bare, by_stage, choose, labelled, read

CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}  # as a batch of Kafka numbers them
EXPOSED = re.compile(r"^(\w+)\{(.*)\} (\S+) (\d+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')
MOST_BYTES = 300 * 1024
MEASUREMENTS = ("cpu", "mem", "system")

Told = tuple[Labels, int, float]


def exposed(text: str) -> Iterator[Told]:
    """Yield the lines of Prometheus' text format that have a value."""
    for name, labels, value, at in EXPOSED.findall(text):
        if value.lower() != "nan":
            yield labelled(__name__=name, **dict(LABEL.findall(labels))), int(at), float(value)


def told(found: list[Seen]) -> set[Told]:
    return {(one.labels, one.at, one.value) for one in found}


def csv(text: str) -> Counter[tuple[str, int]]:
    """Count the values of collectd's plugin csv by type and time: host/plugin/type,seconds,value,…"""
    counted: Counter[tuple[str, int]] = Counter()
    for line in text.splitlines():
        place, at, *values = line.split(",")
        counted[place.split("/")[1].partition("-")[0], round(float(at) * 1000)] += sum(value != "nan" for value in values)
    return +counted


def plugin(one: Seen) -> str:
    return one.name.split("_")[1]


@pytest.mark.parametrize(("recording", "name"), [("counters", "collectd"), ("rates", "collectd-rates")])
def test_collectd_is_read_as_its_write_prometheus_and_its_csv_tell(recording: str, name: str) -> None:
    sent = messages("collectd", recording)
    records, found = read(sent, formats=choose(metrics=name))
    shown = set(exposed(says("collectd", f"{recording}.prometheus.txt")))

    assert records == {name: len(sent)}
    assert Counter((plugin(one), one.at) for one in found) == csv(says("collectd", f"{recording}.csv"))
    if recording == "counters":
        assert shown <= told(found)
        assert {labels for labels, _, _ in shown} == {one.labels for one in found}
    else:  # write_prometheus shows counters even so: a rate is a gauge of the same labels without _total
        assert {one.type for one in found} == {MetricType.GAUGE}
        names = {
            (dict(labels)["__name__"].removesuffix("_total"), labels - {("__name__", dict(labels)["__name__"])}) for labels, _, _ in shown
        }
        assert names == {(one.name, one.labels - {("__name__", one.name)}) for one in found}
    assert len({one.labels for one in found}) == 24 + 1


def test_collectd_with_store_rates_has_the_rates_that_its_csv_tells() -> None:
    _, found = read(messages("collectd", "rates"))
    rows = (line.split(",") for line in says("collectd", "rates.csv").splitlines())
    values = sorted((round(float(at) * 1000), float(value)) for _, at, *some in rows for value in some if value != "nan")
    seen = sorted((one.at, one.value) for one in found)

    assert len(seen) == len(values)
    for (at, value), (at_told, value_told) in zip(seen, values, strict=True):
        assert at == at_told
        assert math.isclose(value, value_told, rel_tol=1e-12, abs_tol=1e-6)  # csv writes six digits


def test_collectds_counters_are_counters_and_the_rest_is_not() -> None:
    _, found = read(messages("collectd", "counters"), formats=choose(metrics="collectd"))

    assert {(plugin(one), one.type, one.name.endswith("_total")) for one in found} == {
        ("cpu", MetricType.COUNTER, True),
        ("memory", MetricType.GAUGE, False),
        ("load", MetricType.GAUGE, False),
    }


def test_a_topic_of_collectd_that_nobody_named_is_read_as_rates() -> None:
    """What docs/ingest.md warns of: no record tells counters from rates, so StoreRates false has to be named."""
    assert read(messages("collectd", "counters"))[0] == {"collectd-rates": len(messages("collectd", "counters"))}


@pytest.mark.parametrize(("recording", "name"), [("influx", "influx"), ("json", "telegraf-json")])
def test_telegraf_is_read_as_its_own_prometheus_serializer_tells(recording: str, name: str) -> None:
    sent = messages("telegraf", recording)
    records, found = read(sent)
    expected = set(exposed(says("telegraf", "prometheus.txt")))

    assert records == {name: len(sent)}
    assert told(found) == expected
    assert len(found) == len(expected)
    assert {one.name.split("_")[0] for one in found} == set(MEASUREMENTS)
    assert {one.of("host") for one in found} == {"host-a"}


@pytest.mark.parametrize(("producer", "recording", "name"), [
    ("telegraf", "influx", "influx"), ("telegraf", "json", "telegraf-json"), ("collectd", "rates", "collectd-rates"),
    ("otel-node", "delta", "otlp-json"), ("kcat", "zstd", "prometheus-json"), ("kcat", "lz4", "prometheus-json"),
])  # fmt: skip
def test_normalise_takes_every_sample(producer: str, recording: str, name: str) -> None:
    sent = messages(producer, recording)
    found, _ = by_stage(sent)
    _, seen = read(sent)

    assert set(found.formats.values()) <= {name}  # the adapter's own way keeps no format
    assert found.refusals.count == {}
    assert sorted(zip(found.rows.time.tolist(), found.rows.value.tolist(), strict=True)) == sorted((one.at, one.value) for one in seen)
    assert len(set(found.rows.slot.tolist())) == len({(one.labels, one.unit) for one in seen})


@pytest.mark.parametrize("codec", CODECS)
def test_what_kcat_packed_is_read_alike_whatever_the_codec(codec: str) -> None:
    lines = [json.loads(line) for line in says("kcat", "lines.txt").splitlines()]
    sent = messages("kcat", codec)
    records, found = read(sent)

    assert records == {"prometheus-json": len(lines)}
    assert [(one.labels, one.value) for one in found] == [(labelled(**line["labels"]), float(line["value"])) for line in lines]
    assert [message.key for message in sent] == [line["name"].encode() for line in lines]
    assert [one.at for one in found] == [one.at for one in read(bare(messages("kcat", "gzip")))[1]]
    assert {message.headers for message in sent} == {(("airra.format", b"prometheus-json"),) if codec == "lz4" else ()}


@pytest.mark.parametrize("codec", CODECS)
def test_the_log_of_kafka_shows_that_kcat_did_pack_it(codec: str) -> None:
    batches = MemoryRecords((BYTES / "kcat" / f"{codec}.log").read_bytes())
    packed: list[tuple[bytes | None, bytes | None]] = []
    while (batch := batches.next_batch()) is not None:
        assert batch.attributes & 0x07 == CODECS[codec]
        packed += [(one.key, one.value) for one in batch]

    assert packed == [(message.key, message.value) for message in messages("kcat", codec)]


def recordings() -> list[Path]:
    return sorted(path for path in BYTES.rglob("*") if path.is_file())


def test_each_recording_says_which_program_of_which_version_made_it() -> None:
    for folder in BYTES.iterdir():
        manifest = json.loads((folder / "manifest.json").read_text())
        assert manifest["by"] == f"python -m tests.golden.record {folder.name}"
        assert all(re.search(r"\d+\.\d+", version) for version in manifest["versions"].values())
        for name, count in manifest["messages"].items():
            assert len(messages(folder.name, name)) == count > 0
        assert {path.name.removesuffix(MESSAGES) for path in folder.glob(f"*{MESSAGES}")} == set(manifest["messages"])


def test_recordings_are_small_and_tell_nothing_of_the_machine() -> None:
    texts = [path.read_bytes() for path in recordings() if path.suffix != ".xz"]
    texts += [says(path.parent.name, path.name.removesuffix(".xz")).encode() for path in recordings() if path.suffix == ".xz"]
    for path in recordings():
        if path.name.endswith(MESSAGES):
            sent = messages(path.parent.name, path.name.removesuffix(MESSAGES))
            texts += [unpacked(one.value) for one in sent]

    assert sum(path.stat().st_size for path in recordings()) < MOST_BYTES
    assert {found for text in texts for found in addresses(text)} == set()
    assert [folder for folder in FOLDERS for text in texts if folder in text] == []
